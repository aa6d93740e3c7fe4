"""What the published trainings of FOMM, MRAA and TPSMM have in common: two frames of one clip, a perceptual pyramid,
equivariance under a random transform, and the stage that parts shape from pose (AVD). `drawn.py` adds what puppets
allow; a family's own file says what is its own.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..models import FAMILIES, build
from ..models.base import Animator, Motion, Source
from ..models.config import merged
from ..models.layers import ImagePyramid
from ..models.motion import RandomTransform
from ..models.perception import Perception
from ..paths import shipped
from . import checks
from . import losses as loss
from .data import Batch, Puppets
from .parts import WHOLE, Part, per_row, rand
from .recipe import Recipe, Stage
from .task import HALF
from .vgg import VGG19

VGG_LEAST = 16  # pixels of a side
Found = dict[str, Any]  # {"source", "driving": a motion's tensors, "background": B x 3 x 3 where it moves}


def animator_of(family: str, model: Mapping[str, Any]) -> Animator:
    """The untrained model of a recipe's [model] table."""
    config = dict(model)
    align_corners, name = config.pop("align_corners", None), config.pop("published", None)
    if name is None:
        return build(family, config, align_corners)
    if name not in FAMILIES[family].published or not config:
        return build(family, name, align_corners)
    return build(family, merged(FAMILIES[family].published[name], config), align_corners)


class Reenactment:
    """The task (see `task.Task`) of a model that moves a picture by a flow.

    A family sets: family; detector, the module that finds the motion; places, the motion's tensor B x K x 2 of where
    things are; and writes `network`, `flow`, `move` and `objective`, and `parted` where it has an AVD network. `Drawn`
    puts the losses of a step together.
    """

    family: str
    detector = "kp_detector"
    places = "value"

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.animator = animator_of(self.family, recipe.model)
        parts = {name: getattr(self.animator, name) for name in self.animator.parts}
        self.modules: dict[str, nn.Module] = {name: part for name, part in parts.items() if part is not None}
        self.modules |= self.adversaries()
        self.data: Any  # Puppets, or a folder's ClipPairs
        if recipe.clips.folder:
            from .clips import ClipPairs  # and with it what reads pictures and clips

            self.data = ClipPairs(recipe.clips, recipe.seed, device)
            self.data.weigh(max(stage.size for stage in recipe.stages))
        else:
            self.data = Puppets(recipe.data, recipe.seed, device, recipe.anchors)
        self.pyramid = ImagePyramid((1, 0.5, 0.25, 0.125)).to(device)
        self.stage = recipe.stages[0]
        self._features: nn.Module | None = None
        for stage in recipe.stages:
            if stage.steps or stage.epochs:
                self.check(stage)

    # ------------------------------------------------------------------ what a family says

    def adversaries(self) -> dict[str, nn.Module]:
        """Modules that learn but are no part of the animator."""
        return {}

    @property
    def network(self) -> Any:
        """The module that encodes pictures and decodes them under a `Deformation`."""
        raise NotImplementedError

    @property
    def flow(self) -> Any:
        """The dense motion network."""
        raise NotImplementedError

    def move(self, encoded: Mapping[str, Tensor], found: Found, dropout: float = 0.0) -> dict[str, Any]:
        """The dense motion's output: "mask" B x (K+1) x h x w, "sparse_deformed", "occlusion_map", and what
        `network.deformation` needs.
        """
        raise NotImplementedError

    def objective(self, out: Mapping[str, Any], found: Found, frames: Tensor, stage: Stage) -> dict[str, Tensor]:
        """The published terms beside the perceptual one. frames: the driving frames."""
        raise NotImplementedError

    def parted(self, source: Mapping[str, Tensor], driving: Mapping[str, Tensor], factor: Tensor) -> dict[str, Tensor]:
        """The AVD network's answer to source motion and driving motion scaled by factor B x 2 (x, y)."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the loop's side

    def check(self, stage: Stage) -> None:
        """Raises ConfigError for a stage that cannot work, before the first begins."""
        checks.check_names(self.family, stage, (*self.animator.parts, *self.animator.training_parts))
        step = 2 ** len(self.network.down_blocks)
        if not self.fits(stage.size) or stage.size % step:
            raise ConfigError(
                f"Stage '{stage.name}' has pictures of {stage.size} pixels, which this model can't take.",
                f"Give a multiple of {self.multiple}.",
            )
        for name in ("crop",) if stage.part == "copy" else ("window",):
            if (side := getattr(stage, name)) % step:
                raise ConfigError(f"Stage '{stage.name}': {name} can't be {side!r}.", f"Give a multiple of {step}.")
        smallest = (stage.window or stage.size) * min(map(float, stage.levels), default=1.0)
        if self.recipe.vgg and "perceptual" in stage.weights and smallest < VGG_LEAST:
            raise ConfigError(
                f"Stage '{stage.name}' has a perceptual loss of pictures of {smallest:g} pixels.",
                f"Leave out the smaller of the levels: VGG-19 needs {VGG_LEAST}.",
            )
        if stage.part == "avd" and "avd_network" not in self.modules:
            raise ConfigError(f"Stage '{stage.name}' trains an AVD network.", "This model has none: leave it out.")

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be multiples of."""
        return self.animator.info.multiple

    def fits(self, side: int) -> bool:
        """Whether the networks take pictures with a side of so many pixels."""
        try:
            self.animator.fit(torch.empty(1, self.animator.info.channels, side, side, device="meta"))
        except InputError:
            return False
        return side % self.multiple == 0

    def open(self, stages: Iterable[Stage]) -> None:
        """Load the network behind the perceptual loss, if one of the stages needs it: a missing file is an error now,
        not hours later.
        """
        if any("perceptual" in stage.weights for stage in stages):
            self._features = self.features

    def prepare(self, stage: Stage) -> None:
        """In the AVD stage the detector's batch norms keep using, and moving, batch statistics, as published."""
        self.stage = stage
        if self.recipe.clips.folder and (self.recipe.measure or self.recipe.sheet):
            self.data.held_out(1, stage.size)  # if no test clip can be read, that is an error now, not hours later
        self.open([stage])  # at the latest: made within a step, it would draw from the step's random numbers
        if stage.part == "avd" and not stage.frozen_norms:
            self.modules[self.detector].train()

    def batch(self, stage: Stage, step: int, part: Part = WHOLE) -> Any:
        """What a step sees, or a part of it; a function of seed and step alone."""
        _, within = self.recipe.at(step)
        batch = self.data.batch(step, self.side(stage), stage.batch, stage.cross, part)
        return dataclasses.replace(batch, progress=stage.progress(within))

    def side(self, stage: Stage) -> int:
        """Of the pictures of a batch."""
        return stage.size

    def adversary(self, batch: Any, stage: Stage) -> Tensor | None:
        """The discriminator's loss of the same batch, where there is one."""
        return None

    def close(self) -> None:
        """End the threads that read clips."""
        if self.recipe.clips.folder:
            self.data.close()

    # ------------------------------------------------------------------ motion

    def find(self, pictures: Tensor) -> dict[str, Tensor]:
        """The motion of pictures."""
        return self.modules[self.detector](self._laid(pictures))

    def keypoints(self, batch: Batch, stage: Stage) -> Found:
        """The motions of a batch as inference would have them: absolute in same-identity rows, relative in cross rows.
        "moving" is the driver's own.
        """
        learns = self.detector in stage.train
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            source, driving = self.find(batch.source.picture), self.find(batch.driving.picture)
            reference = {name: tensor.clone() for name, tensor in source.items()}
            if batch.cross.any():
                found = self.find(batch.reference.picture[batch.cross])
                reference = {
                    name: tensor.masked_scatter(_as(batch.cross, tensor), found[name])
                    for name, tensor in reference.items()
                }
        found = {"source": source, "driving": self.moved(source, driving, reference, batch.cross), "moving": driving}
        return found | self.background(batch, stage)

    def background(self, batch: Batch, stage: Stage) -> Found:
        """The background's motion, where the model predicts it and the stage has come so far. In cross rows it stands
        still.
        """
        predictor = self.modules.get("bg_predictor")
        if predictor is None or batch.progress < stage.background_from:
            return {}
        matrix = predictor(self._laid(batch.source.picture), self._laid(batch.driving.picture))
        still = torch.eye(3, device=matrix.device).expand_as(matrix)
        return {"background": torch.where(_as(batch.cross, matrix), still, matrix)}

    def moved(
        self,
        source: Mapping[str, Tensor],
        driving: Mapping[str, Tensor],
        reference: Mapping[str, Tensor],
        cross: Tensor,
    ) -> dict[str, Tensor]:
        """The driving motion as the generator gets it: absolute, and in rows marked cross relative (with scale
        adapted), as in inference.
        """
        if not cross.any():
            return dict(driving)
        own = Source(self.family, Motion(self.family, source), {}, (0, 0))
        initial = Motion(self.family, reference)
        relative = self.animator.transfer(own, Motion(self.family, driving), reference=initial, mode="relative")
        return {
            name: torch.where(_as(cross, tensor), relative[name].to(tensor), tensor) for name, tensor in driving.items()
        }

    def transform(self, rows: int) -> RandomTransform:
        """The random transform of a step."""
        return per_row(lambda count: RandomTransform.sample(count, device=self.device), rows)

    def stretch(self, rows: int, most: float) -> Tensor:
        """The random factors of an AVD step, rows x 2 in 1 - most … 1 + most."""
        return (1 + most * (2 * rand(rows, 2) - 1)).to(self.device)

    # ------------------------------------------------------------------ pictures and losses

    def encode(self, pictures: Tensor) -> dict[str, Tensor]:
        """All that depends on the pictures alone."""
        return self.network.encode(pictures)

    def generated(self, source: Tensor, found: Found, dropout: float = 0.0) -> dict[str, Any]:
        """The whole generator: `move`'s output, "encoded", "deformed" (the source under the flow), "prediction"."""
        encoded = self.encode(source)
        out = self.move(encoded, found, dropout)
        out["deformed"] = self.network.deformation(out).warped(source)
        out["prediction"] = self.network.decode(encoded, out)
        return {**out, "encoded": encoded}

    def _published(
        self, out: Mapping[str, Any], found: Found, wanted: Tensor, frames: Tensor, stage: Stage
    ) -> dict[str, Tensor]:
        """The published terms. frames: the whole driving frames, where prediction and wanted may be windows."""
        weights, total = stage.weights, {}
        if "perceptual" in weights:
            levels = stage.levels
            pyramids = [
                {k: v for k, v in self.pyramid(x).items() if k.removeprefix("prediction_") in levels}
                for x in (out["prediction"], wanted)
            ]
            total["perceptual"] = loss.perceptual(self.features, *pyramids, weights["perceptual"])
        return total | self.objective({**out, "wanted": wanted}, found, frames, stage)

    def _avd(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Given the driver's motion, stretched, and the source's, the network must find the driver's as it was: the
        stretching is a matter of shape. In cross rows (puppets) it must find the true answer instead.
        """
        source, driving, truth = self.posed(batch, stage)
        factor = self.stretch(len(batch.cross), stage.scaling).masked_fill(batch.cross[:, None], 1)
        answer, weights = self.parted(source, driving, factor), stage.weights
        terms = {"shift": self.places, "affine": "affine"}
        return {
            term: weights[term] * (truth[name] - answer[name]).abs().mean()
            for term, name in terms.items()
            if term in weights and name in answer
        }

    @torch.no_grad()
    def posed(self, batch: Batch, stage: Stage) -> tuple[dict[str, Tensor], ...]:
        """The motions of an AVD step: the source's, the driver's, and the answer to find."""
        source, driving = self.find(batch.source.picture), self.find(batch.driving.picture)
        return source, driving, self.find(batch.target.picture) if batch.cross.any() else driving

    @property
    def features(self) -> nn.Module:
        """The network behind the perceptual loss: VGG-19 where the recipe names its file or the zoo's name for it, else
        the shipped perception network.
        """
        if self._features is None:
            if self.recipe.vgg:
                from .. import zoo

                file = Path(self.recipe.vgg).expanduser()
                network: nn.Module = VGG19.load(file if file.suffix else zoo.fetch(self.recipe.vgg))
                network.features.to(HALF.get(self.recipe.precision, torch.float32))  # else converted at each call
            elif (perception := shipped("checkpoints/mini/perception.safetensors")).is_file():
                network = Perception.load(perception).eyes
            else:
                raise ConfigError(
                    "The recipe has a perceptual loss, but no network for it.",
                    "Give vgg = FILE, or train perception first.",
                )
            memory = torch.channels_last if self.recipe.channels_last else torch.contiguous_format
            self._features = network.to(self.device, memory_format=memory).requires_grad_(False).eval()
        return self._features

    def _laid(self, pictures: Tensor) -> Tensor:
        return pictures.contiguous(memory_format=torch.channels_last) if self.recipe.channels_last else pictures

    # ------------------------------------------------------------------ what is shown and kept

    def measure(self) -> dict[str, float]:
        """Held out: L1 (0 … 1) of frames rebuilt from the first of their clip, and that of not moving."""
        batch = self.data.held_out(8, self.stage.size)
        with torch.no_grad():
            prediction = self._shown(batch)["prediction"]
        wanted = batch.target.picture
        return {
            "l1": float((prediction - wanted).abs().mean()),
            "l1_still": float((batch.source.picture - wanted).abs().mean()),
        }

    def sheet(self) -> Any:
        """The published grid of four held-out pairs."""
        return self._preview(self.data.held_out(4, self.stage.size))

    def _preview(self, batch: Batch, rows: slice | list[int] = slice(None)) -> Any:
        """The grid of some rows of a batch."""
        from .sheets import preview

        with torch.no_grad():
            out = self._shown(batch)
        found, occlusion = out["found"], out.get("occlusion_map")
        return preview(
            (batch.source.picture[rows], {name: tensor[rows] for name, tensor in found["source"].items()}),
            (batch.driving.picture[rows], {name: tensor[rows] for name, tensor in found["moving"].items()}),
            out["deformed"][rows],
            out["prediction"][rows],
            places=self.places,
            truth=batch.target.picture[rows] if batch.cross.any() else None,
            occlusion=None if occlusion is None else occlusion[rows],
            shares=out["mask"][rows],
        )

    def _shown(self, batch: Batch) -> dict[str, Any]:
        """What the model makes of a batch, nothing dropped, the background moving."""
        found = self.keypoints(batch, dataclasses.replace(self.stage, background_from=0.0))
        return {**self.generated(self._laid(batch.source.picture), found), "found": found}

    def export(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Half-precision snapshot that `toolkit.load` takes."""
        from .. import zoo

        animator = self.animator
        if self.recipe.sharpen:
            animator = copy.deepcopy(animator)
            self.sharpen(animator, self.recipe.sharpen)
        clips = bool(self.recipe.clips.folder)
        crop = self.recipe.crop or ("" if clips else "bust")  # puppets are framed with head and shoulders
        own = {"size": self.stage.size} if clips else {}
        own |= {"crop": crop} if crop else {}
        zoo.save(animator, path, half=True, drawn=self.recipe.drawn or not clips, **own, **facts)

    @classmethod
    def sharpen(cls, animator: Animator, amount: float) -> None:
        """Let a model keep more of the warped picture; see `Recipe.sharpen`."""
        for head in cls.occlusions(animator):
            head.bias.data += amount

    @staticmethod
    def occlusions(animator: Any) -> list[nn.Module]:
        """The heads that predict occlusion."""
        return [animator.generator.flow.occlusion]


def dropped(stage: Stage, progress: float) -> float:
    """The share of motions that a stage leaves out at some progress; see `Stage.dropout`."""
    if not stage.dropout:
        return 0.0
    start, rise, most, until = stage.dropout
    return min(start + rise * progress, most) if progress < until else 0.0


def _as(rows: Tensor, tensor: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (tensor.dim() - 1))

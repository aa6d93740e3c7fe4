"""What training FOMM means: the published objective, and what puppets add to it (known keypoints, regions, cross-
identity answers).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..models import build
from ..models.fomm import transfer_keypoints
from ..models.layers import ImagePyramid, antialias
from ..models.motion import RandomTransform
from ..models.perception import Perception
from ..paths import shipped
from . import losses as loss
from . import regions
from .data import HELD_OUT, Batch, Puppets, View, distort
from .recipe import Recipe, Stage
from .vgg import VGG19
from .window import WindowedDeformation, Windows

MAP = 64  # detector and dense motion look at pictures of this side, whatever the size of the stage
Keypoints = dict[str, Tensor]


def to_grid(edges: Tensor, side: int = MAP) -> Tensor:
    """Places from edge to edge (-1 … 1) -> the networks' coordinates, where -1 … 1 are the corner pixels' centres of
    a map of `side`.
    """
    return edges * (side / (side - 1))


class FommTask:
    """The task of the recipes with task = "fomm". See `loop.Task`."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        config = dict(recipe.model)
        align_corners = config.pop("align_corners", None)
        self.animator = build("fomm", config, align_corners)
        self.modules: dict[str, nn.Module] = {
            "kp_detector": self.animator.kp_detector,
            "generator": self.animator.generator,
        }
        if "discriminator" in self.animator.config:
            self.modules["discriminator"] = self.animator.discriminator
        self.data = Puppets(recipe.data, recipe.seed, device, recipe.anchors)
        self.pyramid = ImagePyramid((1, 0.5, 0.25, 0.125)).to(device)
        self.stage = recipe.stages[0]
        self._held: Batch | None = None
        self._features: nn.Module | None = None
        self._step: dict[str, Any] = {}  # of the last forward pass: what the discriminator's turn needs

    # ------------------------------------------------------------------ the loop's side

    def prepare(self, stage: Stage) -> None:
        """Detector and dense motion see MAP x MAP at every size: only the fixed anti-alias kernel changes."""
        self.stage = stage
        self._look(stage.size)

    def _look(self, size: int) -> None:
        for network in (self.animator.kp_detector, self.animator.generator.dense_motion_network):
            network.down = antialias(3, MAP / size).to(self.device)

    def batch(self, stage: Stage, step: int) -> Batch | View | Tensor:
        if stage.train == ("kp_detector",) and stage.keypoints == "true":
            view, _ = self.data.views(step, stage.size, stage.batch)
            random = self.data.generator(step)
            return View(distort(view.picture, random), view.points, view.jacobian, view.landmarks)
        if stage.part == "copy":
            return self.data.crops(step, stage.size, stage.batch, stage.crop)
        return self.data.batch(step, stage.size, stage.batch, stage.cross)

    def losses(self, batch: Batch | View | Tensor, stage: Stage) -> dict[str, Tensor]:
        if stage.part == "copy":
            return self._copy(batch, stage)
        if isinstance(batch, View):  # the detector alone, taught by the puppets' anchors
            return self._supervised([(self.animator.kp_detector(self._laid(batch.picture)), batch)], stage)
        if stage.part == "flow":
            return self._flow(batch, stage)
        source, wanted = self._laid(batch.source.picture), batch.target.picture
        found = self.keypoints(batch, stage)
        by_region = regions.weights(batch.target.landmarks, *wanted.shape[2:], stage.regions)
        out, windows = self._generated(source, found, batch, stage)
        total = self._supervised(found["taught"], stage) if "taught" in found else {}
        total |= self._motions(out, found, batch, by_region, stage)
        if windows is not None:
            wanted, by_region = (x if x is None else windows.crop(x) for x in (wanted, by_region))
        total |= self._pictures(out["prediction"], wanted, by_region, stage)
        total |= self._published(out["prediction"], wanted, batch.target.picture, found["driving"], stage)
        return total

    def _generated(
        self, source: Tensor, found: Mapping[str, Any], batch: Batch, stage: Stage
    ) -> tuple[dict[str, Tensor], Windows | None]:
        """The generator's output; with stage.window, the prediction of windows alone. The encoder then rests: at full
        size it would be most of the work, and stage "copy" has taught it.
        """
        generator = self.animator.generator
        if not stage.window:
            return generator(source, found["driving"], found["source"]), None
        windows = Windows.sample(batch.target.landmarks, stage.window, stage.size)
        with torch.no_grad():
            encoded = generator.encode(source)
        out = generator.move(encoded, found["driving"], found["source"])
        deformation = generator.deformation(out)
        out["deformed"] = deformation.warped(source)
        out["prediction"] = generator.decode(encoded, WindowedDeformation(deformation, windows))
        return out, windows

    def _copy(self, pictures: Tensor, stage: Stage) -> dict[str, Tensor]:
        """The generator alone learns to copy; there is no motion yet, and no skips, which would do its work."""
        generator = self.animator.generator
        skips, generator.skips = generator.skips, False
        copy = generator.decode(generator.encode(self._laid(pictures)), {})
        generator.skips = skips
        terms = {"pyramid": loss.pyramid_l1, "gradient": loss.gradient_l1}
        return {n: stage.weights[n] * term(copy, pictures, None) for n, term in terms.items() if n in stage.weights}

    def _flow(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """The dense motion alone learns to choose motions and what to keep, on its own small pictures: 20 times as
        fast.
        """
        generator, found, weights = self.animator.generator, self.keypoints(batch, stage), stage.weights
        small, wanted = (generator.flow.down(view.picture) for view in (batch.source, batch.target))
        out = generator.move({"small": self._laid(small)}, found["driving"], found["source"])
        deformed = generator.deform(small, out)
        by_region = regions.weights(batch.target.landmarks, *wanted.shape[2:], stage.regions)
        total = {
            "selection": loss.selection(out["mask"], out["sparse_deformed"], wanted, by_region),
            "deformed": loss.pyramid_l1(deformed, wanted, by_region),
            "keeping": loss.keeping(out["occlusion_map"], deformed, wanted, None),
            "following": self._following(out, found, batch),
        }
        return {name: weights[name] * value for name, value in total.items() if name in weights}

    def _following(self, out: Mapping[str, Tensor], found: Mapping[str, Keypoints], batch: Batch) -> Tensor:
        motions = self.animator.generator.flow.motions(found["driving"], found["source"], *out["mask"].shape[2:])
        return loss.following(out["mask"], motions, batch.source.landmarks, batch.target.landmarks)

    def adversary(self, batch: Batch, stage: Stage) -> Tensor | None:
        """The discriminator's turn: the picture of the generator's turn against the true one, both detached."""
        pair, kp = self._step["pair"], self._step["kp"]
        disc = self.modules["discriminator"]
        fake = disc(self.pyramid(pair[0].detach()), kp)
        real = disc(self.pyramid(pair[1].detach()), kp)
        return stage.weights.get("discriminator_gan", 1.0) * loss.discriminator_gan(real, fake)

    # ------------------------------------------------------------------ keypoints

    def keypoints(self, batch: Batch, stage: Stage) -> dict[str, Any]:
        """Source and driving keypoints of a batch, as inference would have them: absolute in same-identity rows,
        relative in cross rows.

        With a detector that learns, "taught" pairs what it found with the views that know better.
        """
        if stage.keypoints == "true":
            source, driving, reference = (
                self.known(view, stage.noise) for view in (batch.source, batch.driving, batch.reference)
            )
            out = {"source": source, "driving": moved(source, driving, reference, batch.cross)}
            if "kp_detector" in stage.train:  # it learns beside: the generator need not wait for it
                seen = distort(batch.driving.picture, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
                out["taught"] = [(self.animator.kp_detector(self._laid(seen)), batch.driving)]
            return out
        if stage.keypoints != "detector":
            raise ConfigError(
                f"Stage '{stage.name}' takes keypoints from '{stage.keypoints}'.", "Choose one of: true, detector."
            )
        detector, learns = self.animator.kp_detector, "kp_detector" in stage.train
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            source = detector(self._laid(batch.source.picture))
            driving = detector(self._laid(batch.driving.picture))
            reference = {name: tensor.clone() for name, tensor in source.items()}
            if batch.cross.any():
                found = detector(self._laid(batch.reference.picture[batch.cross]))
                reference = {
                    name: tensor.masked_scatter(_as(batch.cross, tensor), found[name])
                    for name, tensor in reference.items()
                }
        out = {"source": source, "driving": moved(source, driving, reference, batch.cross)}
        if learns and "keypoints" in stage.weights:
            out["taught"] = [(source, batch.source), (driving, batch.driving)]
        return out

    def known(self, view: View, noise: float = 0.0) -> Keypoints:
        """The anchors of puppets as a perfect detector would find them, or one that errs by `noise`."""
        value, jacobian = to_grid(view.points), view.jacobian
        if noise:
            value = value + noise * torch.randn(value.shape).to(value)
            jacobian = jacobian + 4 * noise * torch.randn(jacobian.shape).to(jacobian)
        return {"value": value, "jacobian": jacobian}

    # ------------------------------------------------------------------ losses

    def _supervised(self, pairs: Sequence[tuple[Keypoints, View]], stage: Stage) -> dict[str, Tensor]:
        weights, share = stage.weights, 1 / len(pairs)
        value = sum(loss.keypoint_value(found["value"], to_grid(view.points)) for found, view in pairs)
        jacobian = sum(loss.keypoint_jacobian(found["jacobian"], view.jacobian) for found, view in pairs)
        return {
            "keypoints": weights.get("keypoints", 1.0) * share * value,
            "jacobians": weights.get("jacobians", 0.2) * share * jacobian,
        }

    def _motions(
        self, out: Mapping[str, Tensor], found: Mapping[str, Any], batch: Batch, by_region: Tensor | None, stage: Stage
    ) -> dict[str, Tensor]:
        """What puppets tell of the motions: which fit, and what the source warped by them should look like."""
        weights, wanted, total = stage.weights, batch.target.picture, {}
        if "selection" in weights or "keeping" in weights:
            down = self.animator.generator.flow.down
            small, coarse = down(wanted), by_region
            if coarse is not None:
                coarse = nn.functional.adaptive_avg_pool2d(coarse, small.shape[2:])
        if "selection" in weights:
            fit = loss.selection(out["mask"], out["sparse_deformed"], small, coarse)
            total["selection"] = weights["selection"] * fit
        if "keeping" in weights:
            kept = loss.keeping(out["occlusion_map"], down(out["deformed"].detach()), small, coarse)
            total["keeping"] = weights["keeping"] * kept
        if "following" in weights:
            total["following"] = weights["following"] * self._following(out, found, batch)
        if "deformed" in weights:
            total["deformed"] = weights["deformed"] * loss.pyramid_l1(out["deformed"], wanted, by_region)
        return total

    def _pictures(
        self, prediction: Tensor, wanted: Tensor, by_region: Tensor | None, stage: Stage
    ) -> dict[str, Tensor]:
        """Pyramids of L1 and of gradient L1 weighed by region."""
        terms = {"pyramid": loss.pyramid_l1, "gradient": loss.gradient_l1}
        weights = {name: stage.weights[name] for name in terms if name in stage.weights}
        return {name: weight * terms[name](prediction, wanted, by_region) for name, weight in weights.items()}

    def _published(
        self, prediction: Tensor, wanted: Tensor, frames: Tensor, driving: Keypoints, stage: Stage
    ) -> dict[str, Tensor]:
        """The published terms. frames: the whole driving frames, where prediction and wanted may be windows."""
        weights, total = stage.weights, {}
        if "perceptual" in weights:
            levels = stage.levels
            pyramids = [
                {k: v for k, v in self.pyramid(x).items() if k.removeprefix("prediction_") in levels}
                for x in (prediction, wanted)
            ]
            total["perceptual"] = loss.perceptual(self.features, *pyramids, weights["perceptual"])
        if weights.get("generator_gan"):
            kp = {name: tensor.detach() for name, tensor in driving.items()}
            disc = self.modules["discriminator"]
            fake = disc(self.pyramid(prediction), kp)
            total["generator_gan"] = weights["generator_gan"] * loss.generator_gan(fake)
            if weights.get("feature_matching"):
                real = disc(self.pyramid(wanted), kp)
                total["feature_matching"] = loss.feature_matching(real, fake, weights["feature_matching"])
            self._step = {"pair": (prediction.detach(), wanted), "kp": kp}
        if "equivariance_value" in weights or "equivariance_jacobian" in weights:
            transform = self.transform(len(frames))
            found = self.animator.kp_detector(transform.transform_frame(frames, self.animator.align_corners))
            value = loss.equivariance_value(driving["value"], transform, found["value"])
            total["equivariance_value"] = weights.get("equivariance_value", 0.0) * value
            jacobian = loss.equivariance_jacobian(driving["jacobian"], transform, found["value"], found["jacobian"])
            total["equivariance_jacobian"] = weights.get("equivariance_jacobian", 0.0) * jacobian
        return total

    def transform(self, rows: int) -> RandomTransform:
        """The random transform of a step."""
        return RandomTransform.sample(rows, device=self.device)

    @property
    def features(self) -> nn.Module:
        """The network behind the perceptual loss: VGG-19 where the recipe names its file, else the shipped perception
        network.
        """
        if self._features is None:
            if self.recipe.vgg:
                network: nn.Module = VGG19.load(self.recipe.vgg)
            elif (perception := shipped("checkpoints/mini/perception.safetensors")).is_file():
                network = Perception.load(perception).eyes
            else:
                raise ConfigError(
                    "The recipe has a perceptual loss, but no network for it.",
                    "Give vgg = FILE, or train perception first.",
                )
            self._features = network.to(self.device).requires_grad_(False).eval()
        return self._features

    def _laid(self, pictures: Tensor) -> Tensor:
        return pictures.contiguous(memory_format=torch.channels_last) if self.recipe.channels_last else pictures

    # ------------------------------------------------------------------ what is shown and kept

    def measure(self) -> dict[str, float]:
        """Held out: share of "not moving" that the L1 still has (same identity, cross identity), and the detector's
        error in pixels of MAP.
        """
        batch, stage = self._held_out(16), self.stage
        out: dict[str, float] = {}
        with torch.no_grad():
            found = self.animator.kp_detector(batch.driving.picture)["value"]
            pixels = (found - to_grid(batch.driving.points)).norm(dim=-1).mean(0) * (MAP - 1) / 2
            out["kp_px"] = float(pixels.mean())
            if face := [
                row for row, name in enumerate(self.recipe.anchors) if name.startswith(("eye", "iris", "lip", "mouth"))
            ]:
                out["kp_px_face"] = float(pixels[face].mean())
            if stage.train == ("kp_detector",):
                return out
            for name in ("same", "cross"):
                rows = batch.cross == (name == "cross")
                prediction = self._render(batch, stage)[rows]
                still, wanted = batch.source.picture[rows], batch.target.picture[rows]
                where = regions.masks(batch.target.landmarks[rows], *wanted.shape[2:])
                error, base = ((x - wanted).abs().mean(1, keepdim=True) for x in (prediction, still))
                out[name] = float(error.sum() / base.sum())
                for part in ("background", "head", "eyes", "mouth"):
                    out[f"{name}_{part}"] = float(error[where[part]].sum() / base[where[part]].sum())
        return out

    def sheet(self) -> Any:
        """Rows of source, driver, truth, deformed source, occlusion, result: four in the same identity, four across."""
        from .sheets import grid

        batch, stage = self._held_out(16), self.stage
        if stage.train == ("kp_detector",):
            return None
        with torch.no_grad():
            out = self._render(batch, stage, whole=True)
        rows = [0, 1, 2, 3, 8, 9, 10, 11]
        columns = [batch.source.picture, batch.driving.picture, batch.target.picture, out["deformed"]]
        occlusion = nn.functional.interpolate(out["occlusion_map"], batch.source.picture.shape[2:])
        columns += [occlusion.expand(-1, 3, -1, -1), out["prediction"]]
        return grid([[column[row] for column in columns] for row in rows])

    def _render(self, batch: Batch, stage: Stage, whole: bool = False) -> Any:
        found = self.keypoints(batch, stage)
        out = self.animator.generator(self._laid(batch.source.picture), found["driving"], found["source"])
        return out if whole else out["prediction"]

    def _held_out(self, rows: int) -> Batch:
        """Half cross, half same identity, of characters that training never sees, at the stage's size."""
        if self._held is None or self._held.source.picture.shape[-1] != self.stage.size:
            data = dataclasses.replace(self.recipe.data, characters=2 * rows, poses=2, group=2)
            self._held = Puppets(data, HELD_OUT // 1_000_000, self.device, self.recipe.anchors).batch(
                0, self.stage.size, rows, 0.5
            )
        return self._held

    def export(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Half-precision snapshot that `toolkit.load` takes."""
        from .. import zoo

        self._look(self.animator.info.size)
        animator = copy.deepcopy(self.animator) if self.recipe.sharpen else self.animator
        if self.recipe.sharpen:
            animator.generator.flow.occlusion.bias.data += self.recipe.sharpen
        zoo.save(animator, path, half=True, drawn=True, **facts)
        self._look(self.stage.size)


def moved(source: Keypoints, driving: Keypoints, reference: Keypoints, cross: Tensor) -> Keypoints:
    """The driving keypoints as the generator gets them: absolute, and in rows marked cross relative (with scale
    adapted), as in inference.
    """
    if not cross.any():
        return dict(driving)
    relative = transfer_keypoints(source, driving, reference, adapt_scale=True)
    return {
        name: torch.where(_as(cross, tensor), relative[name].to(tensor), tensor) for name, tensor in driving.items()
    }


def _as(rows: Tensor, tensor: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (tensor.dim() - 1))

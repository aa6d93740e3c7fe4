"""Few-shot neural talking heads (Zakharov, Shysheya, Burkov, Lempitsky, ICCV 2019, arXiv 1905.08233).

Nothing is warped: a generator paints the head from a picture of its landmarks. An embedder sees a few pictures of the
person, each with its landmarks, and the mean of its vectors, through a learned matrix, gives the means and scales of
the generator's adaptive norms ("psi"). A discriminator scores pictures for one video or person (training only).

The paper's own weights were never published. There are three layouts, told apart by a file's keys:

- 2019: the public re-implementation after the paper's first version; the one published file fits it.
- 2020: the same project's later networks; only users' own files.
- authors: the baseline that a co-author ships with a later paper, nearest to the paper; no weights.

Kept for parity: 2019 and 2020 see pictures transposed, and padded to 256 with black; 2019 computes in 0 … 255; the
standard deviation of their adaptive norm is the unbiased one, with 1e-5 added outside the root; spectral norm uses the
stored vectors as they are. Spec: fewshot.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError, InputError
from . import landmarks as drawing
from .base import Animator, Config, Info, Motion, Source
from .config import agreed, checked, count, parts_of
from .fewshot_authors import AuthorsDiscriminator, AuthorsEmbedder, AuthorsGenerator
from .fewshot_networks import LAYOUTS, Discriminator, Embedder, Generator, layout_of
from .motion import shape_distance, transfer_keypoints

# ---------------------------------------------------------------- configurations

NETWORKS: dict[str, dict[str, type[nn.Module]]] = {
    **{layout: {"E": Embedder, "G": Generator, "D": Discriminator} for layout in LAYOUTS},
    "authors": {"E": AuthorsEmbedder, "G": AuthorsGenerator, "D": AuthorsDiscriminator},
}
ONLY = {"e_finetuning": None, "padding": "zero", "average_function": "sum", "norm_layer": "in"}  # what there is of each
FOLLOWS = ("psi_length", "psi_slices")  # from the widths


def sections(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration -> the sections E, G and D, as far as it has them, each complete and checked.

    It has a section for each network, each with its "layout" and the arguments of its class; or it is flat:
    {"layout": "2020", "in_height": 224, …} means all three. A generator without an embedder is a fine-tuned person's.
    Raises ConfigError naming what is unknown, missing, of the wrong type or contradictory.
    """
    out = {}
    for name, part in parts_of(_spread(config), ("E", "G", "D")).items():
        layout = _layout(part.get("layout"), f"The section '{name}' of the configuration")
        arguments = {key: value for key, value in part.items() if key != "layout"}
        out[name] = {**checked(NETWORKS[layout][name], arguments, name), "layout": layout}
    if (side := out.get("D", {}).get("image_size", 1)) & (side - 1):
        raise ConfigError(f"'image_size' is {side}.", "Give a power of two.")
    agreed(out, ("layout", "in_height", "embedding_size", "embed_channels"))
    if "G" in out and "E" not in out:
        out["G"]["finetuning"] = True
    return out


def _spread(flat: Config) -> Config:
    """A flat configuration, as in the golden manifests -> sections, unchecked. What nobody knows goes to all."""
    if not isinstance(flat, Mapping) or "layout" not in flat:
        return flat
    layout = _layout(flat["layout"], "The configuration")
    flat = {key: value for key, value in flat.items() if key not in FOLLOWS and key != "layout"}
    for key, value in ONLY.items():
        if flat.pop(key, value) != value:
            raise ConfigError(f"'{key}' in the configuration is not {value!r}.", "That is the only one there is.")
    held = flat.pop("discriminator", None) or {}
    if not isinstance(held, Mapping):
        raise ConfigError(f"'discriminator' in the configuration is {held!r}.", "Give a mapping with 'num_videos'.")
    columns = held.get("columns_held") or held.get("num_videos")
    known = {name: set(inspect.signature(kind).parameters) for name, kind in NETWORKS[layout].items()}
    anyone = set.union(*known.values())
    out = {
        name: {"layout": layout, **{key: flat[key] for key in flat if key in names or key not in anyone}}
        for name, names in known.items()
    }
    if columns:
        out["D"]["columns"] = columns
    return out


def _layout(value: Any, where: str) -> str:
    if str(value) not in NETWORKS:
        what = "names no layout" if value is None else f"has an unknown layout '{value}'"
        raise ConfigError(f"{where} {what}.", f"Choose one of: {', '.join(NETWORKS)}.")
    return str(value)


def _network(name: str, section: Mapping[str, Any]) -> nn.Module:
    kind = NETWORKS[section["layout"]][name]
    takes = inspect.signature(kind).parameters
    return kind(**{key: value for key, value in section.items() if key in takes})


PUBLISHED = {
    name: sections(config)
    for name, config in {
        "vox-224-published": {"layout": "2019", "in_height": 224},
        "vox-256-published": {"layout": "2019", "in_height": 256},
        "vox-224": {"layout": "2020", "in_height": 224},
        "vox-256": {"layout": "2020", "in_height": 256},
        "fsth-256": {"layout": "authors", "image_size": 256},
    }.items()
}
DOMAIN = "talking people (VoxCeleb2)"
LICENCE = "The published file carries no licence of its own; the code it was made with is GPL-3.0."


def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
    """The configuration of published state dicts, read off keys and shapes; None if they are no few-shot heads'.

    parts: {"E": state dict, "G": state dict}, and "D" where there is one. A file without E holds one fine-tuned person:
    its psi is its own. The size leaves no trace; it is the size of training, 224, or 256 for a fine-tuned person.
    """
    generator = parts.get("G", {})
    layout = layout_of(generator)
    if layout is None:
        return None
    if layout == "authors":
        downs = 1 + count(generator, "down_blocks.")
        wide = len(generator["down_block.1.bias"])
        deepest = generator["decoder_blocks.0.block.3.weight_orig"].shape[0]
        same = sum(f"decoder_blocks.{i}.block.3.weight_orig" in generator for i in range(99))
        flat = {
            "embed_channels": generator["project.weight_orig"].shape[1],
            "gen_num_downsample_blocks": downs,
            "gen_num_residual_blocks": same,
            "embed_num_blocks": 1 + count(parts["E"], "down_blocks.") if "E" in parts else 6,
            "finetuning": "decoder_blocks.0.block.0.weight" in generator,
        }
    else:
        downs = LAYOUTS[layout].downs
        wide = len(generator["resDown1.conv_l1.bias"])
        deepest = len(generator[f"resDown{downs}.conv_l1.bias"])
        flat = {
            "embedding_size": generator["p"].shape[1],
            "in_height": 224 if "E" in parts else 256,
        }
    capped = deepest < wide * 2 ** (downs - 1)
    widest = {"num_channels": wide, "max_num_channels": deepest if capped else max(deepest, 512)}
    spread = _spread({"layout": layout, **flat, **widest})
    found = sections({name: part for name, part in spread.items() if name in ("E", "G") and name in parts})
    return {**found, "D": spread["D"]}  # how many videos it knows, its weights tell


# ---------------------------------------------------------------- the animator


class FewShot(Animator):
    """The animator. Submodules `E` and `G` (a fine-tuned person's file has no `E`); `D` is made when it is asked for
    and is not in the state dict.

    Landmarks are the 68 iBUG points (x, y), -1 … 1 from edge to edge of the picture they belong to, here and in the
    Motion ("landmarks", T x 68 x 2).

    config: a published name (`PUBLISHED`) or a mapping (see `sections`). align_corners: nothing is warped; it is not
    read. name: what `info` is to call a mapping. Raises ConfigError.
    """

    family = "fewshot"
    published = PUBLISHED
    parts = ("E", "G")
    optional_parts = ("E",)
    training_parts = ("D",)
    linear = ("landmarks",)
    exact = ("E", "G.project")
    sections = staticmethod(sections)
    recognise = staticmethod(recognise)

    def __init__(self, config: str | Config, align_corners: bool | None = None, name: str | None = None) -> None:
        super().__init__()
        config, name = self.resolve(config, name)
        self.config = sections(config)
        self.align_corners = False
        self.E = _network("E", self.config["E"]) if "E" in self.config else None
        self.G = _network("G", self.config["G"]) if "G" in self.config else None
        sizes = {**self.config.get("D", {}), **self.config.get("G", {})}
        size = sizes.get("in_height") or sizes.get("image_size", 256)
        self.info = Info(
            model=self.family,
            config=name,
            size=size,
            multiple=size,
            modes=("absolute", "relative"),
            mode="absolute",
            needs=frozenset({"landmarks", "picture landmarks"}),
            views=True,
            crop="face",
            domain=DOMAIN if name in PUBLISHED else "",
            licence=LICENCE if name in PUBLISHED and name.endswith("published") else "",
        )

    @classmethod
    def parts_of(cls, config: Config) -> dict[str, dict[str, Any]]:
        return super().parts_of(_spread(config))

    @functools.cached_property
    def D(self) -> nn.Module:
        """The discriminator of this configuration, for training. Not part of the state dict, nor moved by `.to()`."""
        if "D" not in self.config:
            raise ConfigError("The configuration has no discriminator.", "Add a section 'D'.")
        return _network("D", self.config["D"])

    # ------------------------------------------------------------------ the four steps

    def encode(self, pictures: Tensor | Sequence[Tensor], landmarks: Tensor | Sequence[Tensor] | None = None) -> Source:
        """Pictures with their landmarks -> each person's mean vector "e_hat" B x E, and "psi" B x L, the generator's
        style.

        pictures: B x 3 x size x size in 0..1, B persons seen once; or a list of K pictures (3 x size x size, or
        B x 3 x size x size for B persons at once), the same person seen K times. landmarks: of each picture:
        B x 68 x 2; or, for a list, K of them, 68 x 2 or B x 68 x 2 each. The first picture's are the source's own pose.
        Raises InputError for no picture, no landmarks, or what does not fit.
        """
        generator = self._generator()
        views = self._views(pictures, landmarks)
        first, own = views[0]
        tensors = {}
        if self.E is not None:
            seen = [self.E(self._turned(x, self.E), self._drawn(points, self.E)) for x, points in views]
            vectors = tensors["e_hat"] = torch.stack(seen).mean(0)
        else:  # the person is in the weights
            vectors = first.new_zeros(len(first), 1)
        tensors["psi"] = generator.style(vectors)
        if not tensors["psi"].isfinite().all():
            raise CheckpointError("The model's weights hold values that are no numbers.", "Get the file again.")
        pose = Motion(self.family, {"landmarks": own})
        return Source(self.family, pose, tensors, (self.info.size, self.info.size))

    def motion(self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None) -> Motion:
        """Landmarks T x 68 x 2 of T frames -> the motion "landmarks" T x 68 x 2; the frames themselves are not looked
        at.

        A row with a point that is no number (the face was lost) is not `valid` and takes the points of the last row
        before it that is, or else of the next. Raises InputError for no landmarks or other rows than frames.
        """
        points = self._points(landmarks, len(frames)).detach().to(frames.device)
        valid = points.isfinite().flatten(1).all(1)
        if not valid.all():
            rows = torch.arange(len(points), device=points.device)
            last = torch.where(valid, rows, -1).cummax(0).values
            points = points[torch.where(last < 0, valid.int().argmax(), last)].nan_to_num(0, 0, 0)
        return Motion(self.family, {"landmarks": points}, valid)

    def transfer(
        self,
        source: Source,
        motion: Motion,
        *,
        reference: Motion | None = None,
        mode: str = "auto",
        adapt_scale: bool = True,
        strength: float = 1.0,
    ) -> Motion:
        """See `Animator.transfer` and `transfer_keypoints`. Absolute, the published way: the driver's landmarks as they
        are. Relative: the source's own, moved as the driver's moved, with adapt_scale in proportion to the faces, which
        keeps the shape of the person's face.
        """
        relative = self.check_mode(mode, strength) == "relative"
        initial = motion[:1] if reference is None else reference
        self.check_rows(len(motion), source=source, reference=initial)
        own, driving, start = ({"value": each["landmarks"]} for each in (source.motion, motion, initial))
        moved = transfer_keypoints(
            own, driving, start, adapt_scale=adapt_scale, relative_movement=relative, strength=strength
        )
        return motion.replace(landmarks=moved["value"])

    def render(self, source: Source, motion: Motion) -> Tensor:
        """Landmarks in the person's style -> T x 3 x size x size in 0..1, float32."""
        self.check_rows(len(motion), source=source)
        generator = self._generator()
        frames = generator.decode(self._drawn(motion["landmarks"], generator), source["psi"]) / generator.range
        return self._oriented(frames).clamp(0, 1)

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """The difference of the landmarks' shape, place and size aside: T values, float64 on the CPU."""
        return shape_distance(source.motion["landmarks"], motion["landmarks"])

    def fits(self, side: int) -> bool:
        return side == self.info.size

    # ------------------------------------------------------------------ what they need

    def _generator(self) -> nn.Module:
        if self.G is None:
            raise ConfigError("This configuration lacks the generator.", "Add a section 'G' to animate.")
        return self.G

    def _oriented(self, pictures: Tensor) -> Tensor:
        """Pictures as people see them <-> as the networks do: transposed in the layouts 2019 and 2020."""
        return pictures.transpose(2, 3) if self.G.transposed else pictures

    def _turned(self, pictures: Tensor, network: nn.Module) -> Tensor:
        """Pictures in 0..1 -> what a network is given."""
        return self._oriented(pictures).to(next(network.parameters()).dtype) * self.G.range

    def _drawn(self, points: Tensor, network: nn.Module) -> Tensor:
        """Landmarks -> the landmark pictures that a network is given."""
        size = self.info.size
        return self._turned(drawing.draw(drawing.to_pixels(points, size, size), size, size, self.G.drawing), network)

    def _views(self, pictures: Any, landmarks: Any) -> list[tuple[Tensor, Tensor]]:
        """One (pictures B x 3 x size x size, landmarks B x 68 x 2) for each time that the persons were seen."""
        if isinstance(pictures, Tensor):
            pictures, landmarks = [pictures], landmarks if landmarks is None else [landmarks]
        if not len(pictures) or not len(pictures[0]):
            raise InputError("There is no picture.", "Give at least one picture of the person, with its landmarks.")
        if landmarks is None:
            self._points(None, 1)
        if len(landmarks) != len(pictures):
            what = f"There are {len(pictures)} pictures, but landmarks of {len(landmarks)}."
            raise InputError(what, "Give each picture's landmarks.")
        size, out = self.info.size, []
        for picture, points in zip(pictures, landmarks, strict=True):
            picture = picture[None] if picture.dim() == 3 else picture
            if picture.dim() != 4 or picture.shape[1:] != (3, size, size):
                shape = " x ".join(map(str, picture.shape))
                raise InputError(f"The pictures are {shape}.", f"Give rows x 3 x {size} x {size}: this model's size.")
            if out and len(picture) != len(out[0][0]):
                raise InputError(f"Of {len(out[0][0])} persons, a picture shows {len(picture)}.", "Show all each time.")
            points = self._points(points[None] if points.dim() == 2 else points, len(picture))
            if not points.isfinite().all():
                raise InputError("A picture has no face: its landmarks are no numbers.", "Leave that picture out.")
            out.append((picture, points.to(picture.device)))
        return out

    @staticmethod
    def _points(landmarks: Tensor | None, rows: int) -> Tensor:
        """The landmarks as rows x 68 x 2, float32, or an error that says what doesn't fit."""
        if landmarks is None:
            raise InputError(
                "The few-shot heads see through face landmarks, and none were given.",
                "Give landmarks=, the 68 points (x, y) of each picture in -1 … 1.",
            )
        if landmarks.shape != (rows, drawing.COUNT, 2):
            shape = " x ".join(map(str, landmarks.shape))
            raise InputError(f"The landmarks are {shape}.", f"Give {rows} x {drawing.COUNT} x 2, a row a picture.")
        return landmarks.float()

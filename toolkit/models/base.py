"""The four steps that every model shares: encode, motion, transfer, render.

Tensors are N x C x H x W, float, 0 to 1, RGB. A picture tensor of B rows is B independent sources. `render` pairs
source rows with motion rows, or gives one source to all rows. Nothing outside `toolkit/models/` knows which model it
talks to: callers ask `animator.info`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError, InputError, OutputError
from .config import parts_of

Config = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Info:
    """What a caller may know of a model.

    model, config: family ("fomm") and configuration name ("vox-256"; "custom" for a mapping). size: picture side in
    pixels the model was trained at; multiple: both sides must be a multiple of it. channels: 3 (RGB) or 4 (RGBA).
    modes, mode: what `transfer` accepts, and what "auto" means. needs: inputs beyond the pictures, "landmarks" (of the
    driving frames) and "picture landmarks". views: `encode` takes several pictures of one person, as a list. crop:
    as the training pictures were cut: "face" (VoxCeleb), "head" (anime, the middle half from hair to chin), "bust"
    (puppets, head and shoulders) or "whole". domain: what it was trained on, in words. drawn: it has only ever seen
    drawn heads. licence: of the weights.
    """

    model: str
    config: str
    size: int = 256
    multiple: int = 1
    channels: int = 3
    modes: tuple[str, ...] = ("absolute", "relative")
    mode: str = "relative"
    needs: frozenset[str] = frozenset()
    views: bool = False
    crop: str = "face"
    domain: str = ""
    drawn: bool = False
    licence: str = ""


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], meta: dict[str, Any]) -> None:
    """Write named tensors and JSON-able metadata as safetensors, whole or not at all. Raises OutputError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(flat, temporary, metadata={key: json.dumps(value) for key, value in meta.items()})
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        raise OutputError(f"{path} can't be written ({error}).", "Choose another folder, or make room.") from None
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote with {"kind": kind}. Raises CheckpointError for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            meta = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        remedy = f"Give a file that a {kind}'s .save() wrote."
        raise CheckpointError(f"{path} is not a saved {kind} ({error}).", remedy) from None
    if meta.get("kind") != kind:
        raise CheckpointError(f"{path} holds no {kind}.", f"Give a file that a {kind}'s .save() wrote.")
    return tensors, meta


@dataclasses.dataclass(frozen=True)
class Motion:
    """The motion of T frames: named tensors, time first, one row a frame.

    model: the family it belongs to. tensors: e.g. {"value": T x K x 2, "jacobian": T x K x 2 x 2}.
    valid: bool T, False where the landmarks of a frame were lost.
    `motion["value"]` is a tensor; `motion[2]`, `motion[1:4]`, `motion[index_tensor]` are Motions (time is kept).
    """

    model: str
    tensors: Mapping[str, Tensor]
    valid: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        first = next(iter(self.tensors.values()))
        if self.valid is None:
            object.__setattr__(self, "valid", torch.ones(len(first), dtype=torch.bool, device=first.device))

    def __len__(self) -> int:
        return len(self.valid)

    def __getitem__(self, key: str | int | slice | Tensor) -> Any:
        if isinstance(key, str):
            return self.tensors[key]
        if isinstance(key, int):
            key = slice(key, key + 1) if key != -1 else slice(-1, None)
        return Motion(self.model, {name: tensor[key] for name, tensor in self.tensors.items()}, self.valid[key])

    def replace(self, **tensors: Tensor) -> Motion:
        """The same motion with some of its tensors exchanged."""
        return Motion(self.model, {**self.tensors, **tensors}, self.valid)

    def to(self, *args: Any, **kwargs: Any) -> Motion:
        """As `Tensor.to`, for every tensor (`valid` follows the device only)."""
        tensors = {name: tensor.to(*args, **kwargs) for name, tensor in self.tensors.items()}
        return Motion(self.model, tensors, self.valid.to(next(iter(tensors.values())).device))

    @staticmethod
    def cat(parts: Iterable[Motion]) -> Motion:
        """Join motions of one model along time."""
        parts = list(parts)
        names = parts[0].tensors
        return Motion(
            parts[0].model,
            {name: torch.cat([part[name] for part in parts]) for name in names},
            torch.cat([part.valid for part in parts]),
        )

    def save(self, path: str | Path) -> None:
        """Write a motion template (safetensors) that any picture can follow later."""
        write_tensors(path, {**self.tensors, "valid": self.valid}, {"kind": "motion", "model": self.model})

    @staticmethod
    def load(path: str | Path) -> Motion:
        """Read a motion template. Raises CheckpointError for any other file."""
        tensors, meta = read_tensors(path, "motion")
        valid = tensors.pop("valid")
        return Motion(meta["model"], tensors, valid)


@dataclasses.dataclass(frozen=True)
class Source:
    """All that depends on the picture alone: computed once, used for every frame.

    model: the family. motion: the picture's own motion (B rows). tensors: cached features, batch first.
    size: (height, width) of the picture in pixels.
    """

    model: str
    motion: Motion
    tensors: Mapping[str, Tensor]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def to(self, *args: Any, **kwargs: Any) -> Source:
        tensors = {name: tensor.to(*args, **kwargs) for name, tensor in self.tensors.items()}
        return Source(self.model, self.motion.to(*args, **kwargs), tensors, self.size)

    def save(self, path: str | Path) -> None:
        """Write the encoded picture (safetensors)."""
        own = {f"motion.{name}": tensor for name, tensor in self.motion.tensors.items()}
        write_tensors(path, {**own, **self.tensors}, {"kind": "source", "model": self.model, "size": list(self.size)})

    @staticmethod
    def load(path: str | Path) -> Source:
        """Read an encoded picture. Raises CheckpointError for any other file."""
        tensors, meta = read_tensors(path, "source")
        own = {name[7:]: tensors.pop(name) for name in list(tensors) if name.startswith("motion.")}
        return Source(meta["model"], Motion(meta["model"], own), tensors, tuple(meta["size"]))


class Animator(nn.Module):
    """Base of every model. A subclass sets what is listed here and writes the four steps.

    linear: the names of its motion tensors that may be averaged over time. exact: submodules that stay in full
    precision when the rest is rounded (what finds the motion, and what runs once a picture). For `build` and `load`:
    family, its name; published, its configurations; parts, the submodules that a file of weights must have, but for
    the optional_parts; files, the file of each part where they were published apart; trained_align_corners, how the
    published weights were trained; config and align_corners, what this very one was built with.
    """

    info: Info
    linear: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()

    family: str
    published: Mapping[str, Config] = {}
    parts: tuple[str, ...] = ()
    optional_parts: tuple[str, ...] = ()
    training_parts: tuple[str, ...] = ()
    files: Mapping[str, str] = {}
    trained_align_corners: bool = False
    config: dict[str, Any]
    align_corners: bool

    @classmethod
    def parts_of(cls, config: Config) -> dict[str, dict[str, Any]]:
        """A configuration in any layout, whole or not -> the sections of the parts in it, unchecked."""
        return parts_of(config, cls.parts + cls.training_parts)

    @staticmethod
    def sections(config: Config) -> dict[str, dict[str, Any]]:
        """A configuration in any layout, complete and checked: equal networks have equal sections."""
        raise NotImplementedError

    @staticmethod
    def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
        """The sections that state dicts {part: state dict} belong to, read off keys and shapes; None: not of this
        family.
        """
        raise NotImplementedError

    @staticmethod
    def part_of(state: Mapping[str, Any]) -> str | None:
        """Which part a file with this content belongs to, where each part was published in a file of its own."""
        return None

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Source:
        """pictures B x C x H x W in 0..1 -> all that depends on the pictures alone."""
        raise NotImplementedError

    def motion(self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None) -> Motion:
        """frames T x C x H x W in 0..1 -> their motion, T rows."""
        raise NotImplementedError

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
        """Make the driver's motion the picture's.

        reference: one row, the motion of the frame where driver and picture are taken to agree (first row if None).
        strength: 1 is the published result; less calms, more exaggerates.
        """
        raise NotImplementedError

    def render(self, source: Source, motion: Motion) -> Tensor:
        """motion (as `transfer` returns it) on the picture -> frames T x C x H x W in 0..1."""
        raise NotImplementedError

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """How far each row's pose is from the picture's own, T values; the smallest is the best reference frame."""
        raise NotImplementedError

    def settle(self, motion: Motion) -> Motion:
        """Recompute what is not linear after the linear tensors were changed."""
        return motion

    def check_mode(self, mode: str, strength: float = 1.0) -> str:
        """Resolve "auto"; ConfigError names the modes there are, or says that avd knows no strength but 1 (where "auto"
        is avd, it is relative for another strength).
        """
        if mode == "auto":
            mode = "relative" if self.info.mode == "avd" and strength != 1 else self.info.mode
        if mode not in self.info.modes:
            has = ", ".join(self.info.modes)
            raise ConfigError(f"{self.info.model} has no mode '{mode}'.", f"Choose one of: auto, {has}.")
        if mode == "avd" and strength != 1:
            others = " or ".join(other for other in self.info.modes if other != "avd")
            raise ConfigError(f"Mode 'avd' knows no strength ({strength}).", f"Give 1, or the mode {others}.")
        return mode

    @classmethod
    def resolve(cls, config: str | Config, name: str | None = None) -> tuple[Config, str]:
        """A published name, or a mapping and what to call it -> a mapping and its name. Raises ConfigError."""
        if not isinstance(config, str):
            return config, name or "custom"
        if config not in cls.published:
            has = ", ".join(cls.published)
            raise ConfigError(f"{cls.family.upper()} has no configuration '{config}'.", f"Choose one of: {has}.")
        return cls.published[config], config

    def fit(self, pictures: Tensor) -> Tensor:
        """The pictures, or InputError that says what does not fit: rows x channels, sides of the right multiple."""
        if pictures.dim() != 4 or pictures.shape[1] != self.info.channels:
            shape = " x ".join(map(str, pictures.shape))
            raise InputError(f"The pictures are {shape}.", f"Give rows x {self.info.channels} x height x width.")
        height, width = pictures.shape[2:]
        if not (self.fits(height) and self.fits(width)):
            raise InputError(
                f"A picture of {width} x {height} does not fit this model.",
                f"Give sides that are multiples of {self.info.multiple}, at least {self.least()}.",
            )
        return pictures

    def fits(self, side: int) -> bool:
        """Whether a picture may have a side of so many pixels."""
        return side >= self.least() and side % self.info.multiple == 0

    def least(self) -> int:
        """The smallest side that a picture may have."""
        return self.info.multiple

    @staticmethod
    def check_rows(frames: int, **given: Source | Motion | None) -> None:
        """InputError unless each has one row, or as many as there are frames."""
        for what, rows in given.items():
            if rows is not None and len(rows) not in (1, frames):
                raise InputError(
                    f"The {what} has {len(rows)} rows, the motion {frames}.", f"Give one row, or {frames}."
                )

    def beside(self, source: Source, frames: Tensor) -> Tensor:
        """The source's pictures as rows beside frames of the same size, T x C x H x W; InputError where they differ."""
        self.check_rows(len(frames), source=source)
        if tuple(frames.shape[2:]) != tuple(source.size):
            sizes = [f"{width} x {height}" for height, width in (source.size, frames.shape[2:])]
            raise InputError(f"The picture is {sizes[0]}, the frames are {sizes[1]}.", "Give both the same size.")
        return source["picture"].to(frames.dtype).expand(len(frames), -1, -1, -1)

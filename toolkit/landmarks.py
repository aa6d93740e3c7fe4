"""Where landmarks come from: the 68 points of a face that some models see through (`Info.needs`).

Points are (x, y) in iBUG order, -1 … 1 from edge to edge of the picture or frame that they belong to, so that they hold
at any size. A finder is any function of frames, uint8 T x H x W x 3, that gives points T x 68 x 2 and valid, T values:
False where no face was found. `drawn` is the finder that ships with the toolkit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor

from .errors import ConfigError, InputError
from .media.fit import Plan
from .models.perception import Perception
from .paths import shipped

Size = Sequence[int]  # (height, width) in pixels
Finder = Callable[[np.ndarray], Any]
Given = Union[None, Finder, np.ndarray, Tensor, "tuple[Any, Any]"]

COUNT = 68
CERTAIN = 0.015  # sharpness of the perception network's maps: 0.03 and more on drawn heads, below 0.01 without one
FAR = 10.0  # no face reaches so many half widths beyond the frame: such numbers are pixels
REMEDY = "Give landmarks=, a function that finds them or the points themselves; see toolkit.animate."
DRAWN_NOTE = (
    "The landmarks came from the small network that ships with the toolkit, which has only ever seen drawn heads. For "
    "people give landmarks=, a function that finds them or the points themselves."
)


class Landmarks:
    """What `animate(landmarks=…)` was given: None (the network that ships), a finder for pictures and frames, the
    points of the clip, one row a frame that is used, or a pair (the pictures', the clip's) of such.
    """

    def __init__(self, given: Given = None) -> None:
        if isinstance(given, tuple):
            if len(given) != 2:
                raise ConfigError(f"landmarks is a tuple of {len(given)}.", "Give a pair: (the picture's, the clip's).")
            self.pictures, self.clip = given
        else:
            self.pictures, self.clip = (given if callable(given) else None), given

    def of_pictures(
        self, pictures: Sequence[np.ndarray], plans: Sequence[Plan], sizes: Sequence[Sequence[int]]
    ) -> Tensor:
        """The landmarks of fitted pictures, K x 68 x 2. plans, sizes: how each was fitted, and its (height, width)
        before. Raises InputError for a picture without a face.
        """
        if self.pictures is None or callable(self.pictures):
            points = torch.cat([found(self.pictures, picture[None]) for picture in pictures])
        else:
            points = _rows(self.pictures, "picture")
            if len(points) != len(pictures):
                raise InputError(
                    f"There are {len(pictures)} pictures, and landmarks of {len(points)}.", "Give a row each."
                )
            points = torch.stack(
                [fitted(row, plan, size) for row, plan, size in zip(points, plans, sizes, strict=True)]
            )
        if not bool(points.isfinite().all()):
            number = int((~points.flatten(1).isfinite().all(1)).nonzero()[0])
            what = f"picture {number + 1} of {len(pictures)}" if len(pictures) > 1 else "the picture"
            raise InputError(f"No face was found in {what}.", REMEDY)
        return points

    def along(self, plan: Plan, size: Size) -> Along:
        """The landmarks of the clip's frames, to be asked for batch after batch."""
        return Along(self.clip, plan, size)


class Along:
    """Landmarks of a clip: called with one batch of fitted frames after the other -> T x 68 x 2, NaN where lost."""

    def __init__(self, given: Any, plan: Plan, size: Size) -> None:
        self._find = given if given is None or callable(given) else None
        self._points = None if given is None or callable(given) else fitted(_rows(given, "clip"), plan, size)
        self._done = 0

    def __call__(self, frames: np.ndarray) -> Tensor:
        start, self._done = self._done, self._done + len(frames)
        if self._points is None:
            return found(self._find, frames)
        if self._done > len(self._points):
            self._unequal("more")
        return self._points[start : self._done]

    def finish(self) -> None:
        """InputError if points are left over: then they belong to another part, or another rate, of the clip."""
        if self._points is not None and self._done < len(self._points):
            self._unequal(f"{self._done}")

    def _unequal(self, frames: str) -> None:
        raise InputError(
            f"There are landmarks for {len(self._points)} frames, but {frames} are used.",
            "Give a row for each frame between the ends of trim=, at the clip's own rate.",
        )


def found(find: Finder | None, frames: np.ndarray) -> Tensor:
    """What a finder (None: `drawn`) finds in frames uint8 T x H x W x 3, checked: T x 68 x 2, NaN where it lost the
    face.
    """
    points, valid = answer if isinstance(answer := (find or drawn)(frames), tuple) else (answer, None)
    points = _rows(points, "clip")
    if len(points) != len(frames):
        raise ConfigError(
            f"The landmark finder gave {len(points)} rows for {len(frames)} frames.", "It must give a row a frame."
        )
    lost = ~points.flatten(1).isfinite().all(1)
    if valid is not None:
        lost |= ~torch.as_tensor(valid, device="cpu").bool().reshape(len(points))
    return torch.where(lost[:, None, None], torch.nan, points)


@torch.inference_mode()
def drawn(frames: np.ndarray) -> tuple[Tensor, Tensor]:
    """The finder for drawn heads, one in each frame: frames uint8 T x H x W x 3 -> points T x 68 x 2 and valid, T."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2) / 255
    out = _perception()(pictures)
    return out["landmarks"], out["sharpness"] > CERTAIN


@functools.cache
def _perception() -> Perception:
    path = shipped("checkpoints/mini/perception.safetensors")
    if not path.is_file():
        raise InputError(f"This model needs landmarks, and the network that finds them is not here ({path}).", REMEDY)
    return Perception.load(path)


def fitted(points: Tensor, plan: Plan, size: Size) -> Tensor:
    """Points … x 2 of a frame of size (height, width) -> points of the fitted frame."""
    (x, y, wide, high), (inner_h, inner_w), (top, left) = plan.crop, plan.inner, plan.corner
    pixels = (points + 1) / 2 * points.new_tensor([size[1], size[0]])
    pixels = (pixels - points.new_tensor([x, y])) * points.new_tensor([inner_w / wide, inner_h / high])
    return (pixels + points.new_tensor([left, top])) * 2 / points.new_tensor(plan.canvas[::-1]) - 1


def _rows(points: Any, whose: str) -> Tensor:
    """Points as float32 T x 68 x 2 on the CPU; ConfigError for another shape, or for pixels."""
    points = torch.as_tensor(np.asarray(points) if not isinstance(points, Tensor) else points).detach().float().cpu()
    points = points[None] if whose == "picture" and points.dim() == 2 else points
    if points.dim() != 3 or points.shape[1:] != (COUNT, 2):
        shape = " x ".join(map(str, points.shape))
        raise ConfigError(f"The {whose}'s landmarks are {shape}.", f"Give rows x {COUNT} x 2.")
    seen = points[points.isfinite()]
    if len(seen) and float(seen.abs().max()) > FAR:
        raise ConfigError(
            f"The {whose}'s landmarks reach {float(seen.abs().max()):.0f}: they seem to be pixels.",
            "Give -1 … 1 from edge to edge: x = 2 * (column + 0.5) / width - 1, y likewise.",
        )
    return points

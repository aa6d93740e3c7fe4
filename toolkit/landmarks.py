"""Where landmarks come from: the 68 points of a face that some models see through (`Info.needs`).

Points are (x, y) in iBUG order, -1 … 1 from edge to edge of the picture or frame that they belong to, so that they hold
at any size. A finder is any function of frames, uint8 T x H x W x 3, that gives points T x 68 x 2 and valid, T values:
False where no face was found. None stands for the toolkit's own, `faces.following.Follower`, which follows one person.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor

from .errors import ConfigError, InputError
from .faces import finders
from .faces.following import Follower
from .media.fit import Plan
from .paths import brief, expanded, is_file

Size = Sequence[int]  # (height, width) in pixels
Region = Callable[[int], Sequence[float]]  # a frame's number -> x, y, width, height in pixels
Finder = Callable[[np.ndarray], Any]
Given = Union[None, Finder, np.ndarray, Tensor, str, Path, "tuple[Any, Any]"]

COUNT = 68
FAR = 10.0  # no face reaches so many half widths beyond the frame: such numbers are pixels
REMEDY = "Give landmarks=, a function that finds them or the points themselves; see toolkit.animate."
DRAWN_NOTE = (
    "The landmarks came from the small network that ships with the toolkit, which has only ever seen drawn heads. For "
    f"people fetch face-alignment's weights ({finders.FETCH}), or give landmarks=, a function or the points themselves."
)


class Landmarks:
    """What `animate(landmarks=…)` was given: None (the toolkit's own finders), a finder for pictures and frames, the
    points of the clip, one row a frame that is used, a file of them (see `from_file`), or a pair (the pictures', the
    clip's) of such. Raises InputError for a file that can't be used.
    """

    def __init__(self, given: Given = None) -> None:
        if isinstance(given, tuple):
            if len(given) != 2:
                raise ConfigError(f"landmarks is a tuple of {len(given)}.", "Give a pair: (the picture's, the clip's).")
            self.pictures, self.clip = given
        else:
            self.pictures, self.clip = (given if callable(given) else None), given
        self.pictures, self.clip = (
            from_file(each) if isinstance(each, str | Path) else each for each in (self.pictures, self.clip)
        )
        self._own: list[Follower] = []

    @property
    def note(self) -> str:
        """What is worth a sentence about where the points came from, "" if nothing."""
        return DRAWN_NOTE if any(finders.name_of(own.finder) == "perception" for own in self._own) else ""

    def of_pictures(
        self, pictures: Sequence[np.ndarray], plans: Sequence[Plan], sizes: Sequence[Sequence[int]]
    ) -> Tensor:
        """The landmarks of fitted pictures, K x 68 x 2. plans, sizes: how each was fitted, and its (height, width)
        before. Raises InputError for a picture without a face.
        """
        if self.pictures is None or callable(self.pictures):
            points = torch.cat([found(self._finder(self.pictures), picture[None]) for picture in pictures])
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
            tried = finders.tried(self._own[number].finder) if self._own else ""
            raise InputError(f"No face was found in {what}{f': {tried}' if tried else ''}.", REMEDY)
        return points

    def along(self, region: Region, size: Size) -> Along:
        """The landmarks of the clip's frames, to be asked for batch after batch. region: what is used of them, by
        their number. size: their (height, width).
        """
        return Along(self._finder(self.clip), region, size)

    def _finder(self, given: Any) -> Any:
        """What was given, or else one of the toolkit's own, which follows one person."""
        if given is not None:
            return given
        self._own.append(Follower())
        return self._own[-1]


class Along:
    """Landmarks of a clip: called with one batch of fitted frames after the other -> T x 68 x 2, NaN where lost."""

    def __init__(self, given: Any, region: Region, size: Size) -> None:
        self._find = given if callable(given) else None
        self._points = None
        if self._find is None:
            rows = _rows(given, "clip")
            self._points = seen_in(rows, [region(number) for number in range(len(rows))], size)
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
    """What a finder (None: a `Follower`) finds in frames uint8 T x H x W x 3, checked: T x 68 x 2, NaN where it lost
    the face.
    """
    points, valid = answer if isinstance(answer := (find or Follower())(frames), tuple) else (answer, None)
    points = _rows(points, "clip")
    if len(points) != len(frames):
        raise ConfigError(
            f"The landmark finder gave {len(points)} rows for {len(frames)} frames.", "It must give a row a frame."
        )
    lost = ~points.flatten(1).isfinite().all(1)
    if valid is not None:
        lost |= ~torch.as_tensor(valid, device="cpu").bool().reshape(len(points))
    return torch.where(lost[:, None, None], torch.nan, points)


def drawn(frames: np.ndarray) -> tuple[Tensor, Tensor]:
    """A finder for drawn heads, the likeliest of each frame, whoever it is: frames uint8 T x H x W x 3 -> points
    T x 68 x 2 and valid, T.
    """
    points = torch.cat([found(Follower("perception"), frame[None]) for frame in frames])
    return points, points[:, 0, 0].isfinite()


def fitted(points: Tensor, plan: Plan, size: Size) -> Tensor:
    """Points … x 2 of a frame of size (height, width) -> points of the fitted frame."""
    return seen_in(points, plan.region, size)


def seen_in(points: Tensor, region: Any, size: Size) -> Tensor:
    """Points … x 2 of frames of size (height, width) -> points of a region of them: x, y, width, height in pixels, for
    all, or a row for each of T x K x 2.
    """
    region = torch.as_tensor(region, dtype=points.dtype)
    region = region[:, None] if region.dim() == 2 else region
    pixels = (points + 1) / 2 * points.new_tensor([size[1], size[0]])
    return (pixels - region[..., :2]) / region[..., 2:] * 2 - 1


def from_file(path: str | Path) -> np.ndarray:
    """Points in a file: .npy, or .json with lists (null in place of a row is a face that was lost) -> rows x 68 x 2, or
    68 x 2. Raises InputError naming the file.
    """
    path = expanded(path)
    if not is_file(path):
        raise InputError(f"There is no file of landmarks {brief(path, 300)}.", "Check the path.")
    if path.suffix not in (".npy", ".json"):
        raise InputError(f"{path} is no file of landmarks.", "Give .npy (numpy.save) or .json (lists of numbers).")
    try:
        if path.suffix == ".npy":
            points = np.load(path, allow_pickle=False).astype(np.float32)
        else:
            lost = np.full((COUNT, 2), np.nan)
            points = np.asarray([lost if row is None else row for row in json.loads(path.read_text())], np.float32)
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise InputError(f"The landmarks in {path} can't be read ({error}).", f"Give rows x {COUNT} x 2.") from None
    if points.shape[-2:] != (COUNT, 2) or points.ndim not in (2, 3):
        shape = " x ".join(map(str, points.shape))
        raise InputError(f"The landmarks in {path} are {shape}.", f"Give rows x {COUNT} x 2.")
    return points


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

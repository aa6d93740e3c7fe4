"""Frames of one shape into another without squashing them: crop, or extend softly beyond the edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from .pictures import flatten


class Plan(NamedTuple):
    """How one frame size becomes another: cut `crop` out, scale it to `inner`, put it into the canvas at `corner`."""

    crop: tuple[int, int, int, int]  # x, y, width, height in the frame
    inner: tuple[int, int]  # height, width
    corner: tuple[int, int]  # top, left
    canvas: tuple[int, int]  # height, width

    @property
    def visible(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas that show the frame; the others continue its edges."""
        return tuple(slice(at, at + length) for at, length in zip(self.corner, self.inner))

    @property
    def region(self) -> tuple[float, float, float, float]:
        """What the whole canvas shows: x, y, width, height in pixels of the frame; it may reach beyond."""
        (x, y, w, h), (inner_h, inner_w), (top, left) = self.crop, self.inner, self.corner
        across, down = w / inner_w, h / inner_h
        return x - left * across, y - top * down, self.canvas[1] * across, self.canvas[0] * down

    @property
    def padded(self) -> bool:
        return self.inner != self.canvas


@dataclass(frozen=True)
class Fit:
    """A target size and the way to it, the same for every frame of a clip.

    size: (height, width), or one number for a square.
    how: "crop" keeps the middle; "pad" keeps everything and continues the edges, blurred.
    box: (x, y, width, height), the part of the upright frame to use instead of the whole, in pixels; it may reach
    beyond the frame. When its shape is not that of `size`, "crop" shrinks it and "pad" grows it about its centre.
    """

    size: tuple[int, int] | int
    how: str = "crop"
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        size = (self.size, self.size) if isinstance(self.size, (int, np.integer)) else tuple(self.size)
        object.__setattr__(self, "size", tuple(int(side) for side in size))
        if len(self.size) != 2 or min(self.size) < 1:
            raise ConfigError(f"A size is (height, width) in pixels, not {self.size}.")
        if self.how not in ("crop", "pad"):
            raise ConfigError(f'A frame is fitted by "crop" or "pad", not {self.how!r}.')
        if self.box is not None and (len(self.box) != 4 or min(self.box[2:]) <= 0):
            raise ConfigError(f"A box is (x, y, width, height) in pixels, not {self.box}.")

    def plan(self, height: int, width: int) -> Plan:
        """The steps for frames of this size. Raises ConfigError when the box lies outside of them."""
        x, y, w, h = self.box or (0, 0, width, height)
        canvas_h, canvas_w = self.size
        centre_x, centre_y, wide = x + w / 2, y + h / 2, w * canvas_h > h * canvas_w
        if wide == (self.how == "crop"):
            w = h * canvas_w / canvas_h
        else:
            h = w * canvas_h / canvas_w
        left, x0, x1, inner_w = _axis(centre_x, w, width, canvas_w)
        top, y0, y1, inner_h = _axis(centre_y, h, height, canvas_h)
        if min(inner_w, inner_h) < 1:
            raise ConfigError(f"The box {self.box} lies outside of frames of {width} x {height} pixels.")
        return Plan((x0, y0, x1 - x0, y1 - y0), (inner_h, inner_w), (top, left), self.size)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Fit one uint8 H x W x C frame."""
        plan = self.plan(*frame.shape[:2])
        x, y, w, h = plan.crop
        return extend(resize(frame[y : y + h, x : x + w], plan.inner), plan)


def fit(
    frames: np.ndarray,
    size: tuple[int, int] | int,
    how: str = "crop",
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Fit a uint8 H x W x C frame, or a batch N x H x W x C, to size (height, width); see Fit."""
    way = Fit(size, how, box)
    return way.apply(frames) if frames.ndim == 3 else np.stack([way.apply(frame) for frame in frames])


def resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a uint8 H x W x C frame to (height, width), antialiased; transparent pixels lend no colour to others."""
    if frame.shape[:2] == tuple(size):
        return frame
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def extend(frame: np.ndarray, plan: Plan) -> np.ndarray:
    """Put a scaled frame into its canvas and continue its edges outwards, more blurred the farther out."""
    if not plan.padded:
        return frame
    (height, width), (top, left) = plan.inner, plan.corner
    canvas = np.empty((*plan.canvas, frame.shape[2]), np.uint8)
    canvas[top : top + height, left : left + width] = frame
    rows = canvas[top : top + height]
    _continue(rows[:, :left][:, ::-1], frame[:, 0])
    _continue(rows[:, left + width :], frame[:, -1])
    _continue(canvas[:top][::-1].swapaxes(0, 1), rows[0])
    _continue(canvas[top + height :].swapaxes(0, 1), rows[-1])
    return canvas


def beside(frames: Sequence[np.ndarray], height: int | None = None) -> np.ndarray:
    """Put uint8 H x W x C frames side by side, all scaled to one height (that of the last). Several lose their
    transparency, a single one keeps it.
    """
    height = height or frames[-1].shape[0]
    widths = [max(1, round(frame.shape[1] * height / frame.shape[0])) for frame in frames]
    if len(frames) == 1:
        return resize(frames[0], (height, widths[0]))
    return np.concatenate([resize(flatten(f), (height, width)) for f, width in zip(frames, widths)], axis=1)


def _axis(centre: float, length: float, available: int, target: int) -> tuple[int, int, int, int]:
    """One axis of a plan: offset in the canvas, begin and end in the frame, length in the canvas."""
    scale, begin = target / length, centre - length / 2
    low, high = max(0.0, begin), min(float(available), begin + length)
    if high <= low:
        return 0, 0, 0, 0
    first = min(int(round(low)), available - 1)
    last = max(first + 1, int(round(high)))
    offset, end = round((low - begin) * scale), round((high - begin) * scale)
    offset = min(offset, target - 1)
    return offset, first, last, max(1, min(end, target) - offset)


def _continue(margin: np.ndarray, edge: np.ndarray) -> None:
    """Fill an L x depth x C margin, nearest column first, from its L x C edge."""
    depth = margin.shape[1]
    if not depth:
        return
    blurred = _blur(_blur(edge.astype(np.float32)))
    weight = np.minimum(np.arange(1, depth + 1, dtype=np.float32) / max(1.0, 0.15 * len(edge)), 1)[None, :, None]
    margin[...] = np.round(edge[:, None] * (1 - weight) + blurred[:, None] * weight)


def _blur(line: np.ndarray) -> np.ndarray:
    """Running mean of an L x C line over a quarter of its length, its ends continued."""
    reach = max(1, len(line) // 8)
    total = np.cumsum(np.pad(line, ((reach + 1, reach), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
    return ((total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)).astype(np.float32)

"""An animated crop back into the full picture: seam, colour and grain as the photograph has them.

What depends on the picture alone (mask, colour shift, grain) is made once; a frame then costs as much as its crop, not
as the photograph. The grain stands still, as that of the photograph around it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..media.fit import Plan, extend, resize
from . import grain
from .face import Box

if TYPE_CHECKING:
    from PIL import Image

MARGIN, FEATHER, ROUND = 0.01, 0.13, 0.4  # of the crop's side: untouched rim, soft seam, radius of the corners
BROAD = 0.06  # of the crop's side: colours are matched on this scale and above
STILL, REACH = 8, 0.04  # levels a pixel may change and count as still; how far (of the side) the mask goes beyond
FINE = 0.35  # levels: grain below that is not worth adding


class Paster:
    """Puts the frames of one crop back into their picture.

    picture: uint8 H x W x 3, or 4 where the frames have an alpha too. plan: how the crop was made from it
    (`media.Fit(…).plan`); it may leave the picture. still: the model's own picture of the unmoved crop, uint8
    side x side x C, from which its shift in colour is learned; None takes the model for exact. poses: frames from all
    over the clip, N x side x side x C: where none of them differs from `still` the photograph stays; None animates all
    of the crop but its rim. seed: of the grain.

    `region` (rows and columns of the picture) is what a frame may change, `mask` (uint8, of the region's shape) by how
    much: pixels outside keep all their bits.
    """

    def __init__(
        self,
        picture: np.ndarray,
        plan: Plan,
        still: np.ndarray | None = None,
        poses: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        x, y, width, height = plan.crop
        crop = picture[y : y + height, x : x + width]
        wanted = _over(extend(resize(crop, plan.inner), plan))
        own = wanted if still is None else _over(_like(still, wanted.shape))
        self._shift = _broad(wanted.astype(np.float32) - own)
        self._shape, self._plan = wanted.shape, plan
        mask = rounded(plan, picture.shape[:2])
        if poses is not None:
            moving = _moving(np.stack([_over(_like(pose, wanted.shape)) for pose in poses]), own)
            mask *= _scaled(_bytes(moving * 255), plan, (height, width)) / np.float32(255)
        self.region, self.mask = (slice(y, y + height), slice(x, x + width)), _bytes(mask * 255)
        self._trim()
        rows, columns = self.region
        self._grain = None
        if picture.shape[2] == 3 and self.mask.size:
            self._grain = _grain(picture[rows, columns], self._enlarged(own), self.mask, seed)

    def __call__(self, frame: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """A copy of the full picture with the frame in it."""
        full = picture.copy()
        self.paste(frame, full)
        return full

    def paste(self, frame: np.ndarray, canvas: np.ndarray) -> None:
        """Lay a frame, uint8 side x side x C, over the canvas, the full picture H x W x C, which is changed."""
        from PIL import Image, ImageChops

        if not self.mask.size:
            return
        part = canvas[self.region]
        new = _image(self._enlarged(_over(_like(frame, self._shape))))
        if self._grain is not None:
            new = ImageChops.add(new, self._grain, 1, -128)
        mixed = np.asarray(Image.composite(new, _image(_over(part)), _image(self.mask)))
        if part.shape[2] == 3:
            part[...] = mixed
        else:
            np.copyto(part, _straight(mixed), where=self.mask[..., None] > 0)

    def narrow(self, share: np.ndarray) -> None:
        """Let this crop have only its share of each pixel: float 0 … 1, of the region's shape."""
        self.mask = _bytes(self.mask * share)

    def _enlarged(self, frame: np.ndarray) -> np.ndarray:
        """A premultiplied frame with its colours mended, at the region's own size."""
        frame = _bytes(frame + self._shift)
        if frame.shape[2] == 4:
            np.minimum(frame, frame[..., 3:], out=frame)
        return _scaled(frame, self._plan, self.mask.shape, self._source)

    def _trim(self) -> None:
        """Make region and mask no larger than what the mask lets through."""
        (rows, columns), (high, wide) = self.region, self.mask.shape
        used = [np.flatnonzero(self.mask.any(axis)) for axis in (1, 0)]
        (top, bottom), (left, right) = ((int(n[0]), int(n[-1]) + 1) if len(n) else (0, 0) for n in used)
        self.mask = np.ascontiguousarray(self.mask[top:bottom, left:right])
        self.region = slice(rows.start + top, rows.start + bottom), slice(columns.start + left, columns.start + right)
        self._source = left / wide, top / high, right / wide, bottom / high  # of the crop, in shares


def pasted(
    picture: np.ndarray, pasters: Sequence[Paster], streams: Sequence[Iterator[np.ndarray]]
) -> Iterator[np.ndarray]:
    """The full picture with a frame of each stream in it, until the first of them ends. Each time it is the SAME array,
    changed: copy what is to be kept (`media.Writer` does).
    """
    canvas = picture.copy()
    for frames in zip(*streams):
        for paster in pasters:  # masks may overlap: first all as it was
            canvas[paster.region] = picture[paster.region]
        for paster, frame in zip(pasters, frames):
            paster.paste(frame, canvas)
        yield canvas


def share_out(pasters: Sequence[Paster], faces: Sequence[Box]) -> None:
    """Let each pixel belong to the face that is nearest, in measures of that face's own size: of crops that overlap
    none covers another's face, and a larger (nearer) one reaches farther.
    """
    for k, (paster, face) in enumerate(zip(pasters, faces)):
        own = _distance(face, paster.region)
        for n, other in enumerate(faces):
            if n != k and _meet(paster.region, pasters[n].region):
                beyond = (_distance(other, paster.region) - own) / FEATHER
                paster.narrow(_ease(0.5 + 0.25 * beyond))


def rounded(plan: Plan, size: tuple[int, int]) -> np.ndarray:
    """The mask of a crop of a picture of size (height, width): float32 0 … 1, one value a pixel of the crop.

    A rounded square with a soft rim, inside the crop; where the crop ends with the picture there is no rim.
    """
    across, down = (_across(plan, size, axis) for axis in (1, 0))
    x, y = np.maximum(across - (0.5 - ROUND), -ROUND)[None], np.maximum(down - (0.5 - ROUND), -ROUND)[:, None]
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0)
    return _ease((ROUND - outside - MARGIN) / FEATHER).astype(np.float32)


def _across(plan: Plan, size: tuple[int, int], axis: int) -> np.ndarray:
    """How far each column (axis 1) or row (0) of the crop is from the square's middle, 0 … 0.5; 0 on that side of it
    where the crop ends with the picture.
    """
    begin, length = plan.crop[1 - axis], plan.crop[3 - axis]
    scale, offset = plan.inner[axis] / length / plan.canvas[axis], plan.corner[axis] / plan.canvas[axis]
    place = offset + scale * (np.arange(length) + 0.5) - 0.5
    if begin == 0:
        place = np.maximum(place, 0)
    if begin + length == size[axis]:
        place = np.minimum(place, 0)
    return np.abs(place)


# -- colour and what moves -------------------------------------------------------------------------------------------


def _broad(values: np.ndarray) -> np.ndarray:
    """What of H x W x C is broader than `BROAD`."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, [BROAD * side for side in values.shape[:2]] + [0], mode="nearest")


def _moving(poses: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Where poses N x H x W x C differ from the still picture, and a little around: float32 H x W, 0 … 1."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    reach = max(1.0, REACH * max(still.shape[:2]))
    most = np.zeros(still.shape[:2], np.float32)
    for pose in poses:
        change = gaussian_filter(np.abs(pose.astype(np.float32) - still).max(2), reach / 6)
        np.maximum(most, change, out=most)
    moved = np.clip(most / STILL - 1, 0, 1)
    return gaussian_filter(maximum_filter(moved, size=2 * round(reach) + 1), reach / 2)


# -- grain -----------------------------------------------------------------------------------------------------------


def _grain(original: np.ndarray, own: np.ndarray, mask: np.ndarray, seed: int) -> Image.Image | None:
    """What the original has in noise and the model's picture lacks, around 128; None where it is next to nothing."""

    flat = grain.flat_blocks(original)
    if not len(flat):
        return None
    (wanted, close), (there, closer) = grain.measured(original, flat), grain.measured(own, flat)
    lacking = wanted - there
    if np.trace(lacking) / 3 < FINE**2:
        return None
    correlation = (np.trace(wanted) * close - np.trace(there) * closer) / np.trace(lacking)
    # In the seam two independent noises mix, which would leave less than either: there it is stronger.
    weight = np.maximum(mask, 40)[..., None] / np.float32(255)
    values = grain.noise(mask.shape, lacking, correlation, seed) * np.sqrt((2 - weight) / weight)
    return _image(_bytes(128 + values))


# -- small parts -----------------------------------------------------------------------------------------------------


def _like(frame: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if frame.shape != shape or frame.dtype != np.uint8:
        wanted = " x ".join(map(str, shape))
        raise ConfigError(f"A frame to paste is uint8 {wanted}, not {frame.dtype} of shape {frame.shape}.")
    return frame


def _over(frame: np.ndarray) -> np.ndarray:
    """Colours times alpha, which mix and scale rightly; three channels as they are."""
    if frame.shape[2] == 3:
        return frame
    colours = (frame[..., :3].astype(np.uint16) * frame[..., 3:] + 127) // 255
    return np.concatenate([colours.astype(np.uint8), frame[..., 3:]], 2)


def _straight(frame: np.ndarray) -> np.ndarray:
    """Undo `_over` for H x W x 4."""
    alpha = frame[..., 3:].astype(np.float32)
    return np.concatenate([_bytes(frame[..., :3] * np.float32(255) / np.maximum(alpha, 1)), frame[..., 3:]], 2)


def _image(frame: np.ndarray) -> Image.Image:
    """As Pillow has it; four channels as such that mean nothing to it, for ours are premultiplied."""
    from PIL import Image

    if frame.ndim == 3 and frame.shape[2] == 4:
        return Image.frombytes("RGBX", frame.shape[1::-1], frame.tobytes())
    return Image.fromarray(frame)


def _scaled(frame: np.ndarray, plan: Plan, size: tuple[int, int], part: Sequence[float] = (0, 0, 1, 1)) -> np.ndarray:
    """What of the square frame shows the picture, or a part of that (left, top, right, bottom, in shares), at a size
    (height, width).
    """
    from PIL import Image

    (top, left), (high, wide) = plan.corner, plan.inner
    box = (left + part[0] * wide, top + part[1] * high, left + part[2] * wide, top + part[3] * high)
    return np.asarray(_image(frame).resize(size[::-1], Image.Resampling.BICUBIC, box=box))


def _distance(face: Box, region: tuple[slice, slice]) -> np.ndarray:
    """From the face's middle to each pixel of a region, in measures of the face's size."""
    rows, columns = region
    x, y = (np.arange(part.start, part.stop, dtype=np.float32) + 0.5 for part in (columns, rows))
    return np.hypot((x - face.centre[0])[None], (y - face.centre[1])[:, None]) / face.side


def _meet(first: tuple[slice, slice], second: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(first, second))


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

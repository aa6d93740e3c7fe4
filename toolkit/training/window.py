"""Decoding only a window of each picture: the generator learns at full resolution for a fraction of the work."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigError
from ..models.motion import Deformation, warp
from . import regions
from .parts import rand

STEP = 8  # windows begin at multiples of it, so that they are whole pixels of the generator's coarser maps


@dataclasses.dataclass(frozen=True)
class Windows:
    """A square of `side` pixels in each row of pictures of `size` pixels: its upper left corner (y, x)."""

    corners: list[tuple[int, int]]
    side: int
    size: int

    @staticmethod
    def sample(landmarks: Tensor, side: int, size: int, anywhere: float = 0.25) -> Windows:
        """Windows about the faces (landmarks B x 68 x 2 in -1 … 1) with some jitter; a share of them anywhere. Raises
        ConfigError for a side that does not go into size.
        """
        if size % side:
            raise ConfigError(f"A window of {side} does not go into pictures of {size}.", "Choose a divisor of it.")
        rows, room = len(landmarks), size - side
        boxes = regions.boxes(landmarks)["head"].cpu()
        centre = (boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 4 * size + size / 2
        centre += (rand(rows, 2) - 0.5) * 0.7 * side
        corner = torch.where(rand(rows, 1) < anywhere, rand(rows, 2) * room, centre - side / 2)
        corner = (corner / STEP).round().long() * STEP
        return Windows([tuple(row) for row in corner.clamp(0, room // STEP * STEP).tolist()], side, size)

    def crop(self, maps: Tensor) -> Tensor:
        """The windows of maps B x C x H x W, whatever their size."""
        scale = maps.shape[-1] / self.size
        side = int(self.side * scale)
        cut = [row[:, int(y * scale) :, int(x * scale) :] for row, (y, x) in zip(maps, self.corners, strict=True)]
        return torch.stack([row[:, :side, :side] for row in cut])


class WindowedDeformation(Deformation):
    """A deformation of which a generator sees only the windows."""

    def __init__(self, whole: Deformation, windows: Windows) -> None:
        self.whole, self.windows = whole, windows
        self.align_corners, self.points = whole.align_corners, whole.points

    def mask(self, height: int, width: int) -> Tensor:
        factor = self.windows.size // self.windows.side
        return self.windows.crop(self.whole.mask(height * factor, width * factor))

    def warped(self, x: Tensor) -> Tensor:
        flow = self.windows.crop(self.whole.flow(*x.shape[2:]).permute(0, 3, 1, 2))
        return warp(x, flow.permute(0, 2, 3, 1), self.align_corners)

    def spots(self, height: int, width: int) -> Tensor:
        factor = self.windows.size // self.windows.side
        return self.windows.crop(self.whole.spots(height * factor, width * factor))

    @property
    def _mask(self) -> Tensor | None:
        return self.whole._mask

"""Several pictures as one: a near-square grid of equal cells, each with a word under it if wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError
from .fit import resize
from .letters import font
from .pictures import flatten

PAPER, INK = 255, (40, 40, 40)
LARGEST = 4096  # pixels of a side: beyond it players give up
LETTERS = 0.085  # height of the letters, of a cell's shorter side; at least LEAST pixels
LEAST = 11


class Grid:
    """Where the cells of a grid go; the last row is centred. All sides are even, as video wants them.

    count: the number of cells. shape: (height, width) of each. labels: a word for each, or None for none. gap: pixels
    between cells and around them (default: 1/64 of the height). shape, rows, columns and size ((height, width) of the
    whole) can be read. Raises ConfigError where the whole would be too large.
    """

    def __init__(
        self, count: int, shape: tuple[int, int], labels: Sequence[str] | None = None, gap: int | None = None
    ) -> None:
        if labels is not None and len(labels) != count:
            raise ConfigError(f"There are {count} cells and {len(labels)} labels.", "Give each cell its label.")
        height, width = self.shape = tuple(_even(side) for side in shape)
        gap = _even(max(2, height // 64) if gap is None else gap)
        letters = max(LEAST, round(LETTERS * min(self.shape)))
        band = _even(round(1.6 * letters)) if labels else 0
        self.columns = math.ceil(math.sqrt(count))
        self.rows = math.ceil(count / self.columns)
        across, down = width + gap, height + band + gap
        self.size = (self.rows * down + gap, self.columns * across + gap)
        if max(self.size) > LARGEST:
            raise ConfigError(
                f"{count} pictures of {width} x {height} make a grid of {self.size[1]} x {self.size[0]} pixels.",
                f"Give a smaller size=: neither side may be over {LARGEST}.",
            )
        self.corners: list[tuple[int, int]] = []  # top, left
        for index in range(count):
            row, column = divmod(index, self.columns)
            lacking = self.columns - min(self.columns, count - row * self.columns)
            self.corners.append((gap + row * down, gap + column * across + _even(lacking * across // 2)))
        self._paper = np.full((*self.size, 3), PAPER, np.uint8)
        for (top, left), label in zip(self.corners, labels or ()):
            strip = self._paper[top + height : top + height + band, left : left + width]
            strip[:] = _word(label, letters, strip.shape[:2])

    def compose(self, cells: Sequence[np.ndarray]) -> np.ndarray:
        """One uint8 H x W x 3 or 4 picture a cell, of any shape -> the whole, H x W x 3. A picture of another shape is
        scaled until it fits and put in the middle; it is never squashed.
        """
        whole = self._paper.copy()
        for (top, left), picture in zip(self.corners, cells, strict=True):
            scale = min(side / length for side, length in zip(self.shape, picture.shape[:2]))
            high, wide = (max(1, min(side, round(n * scale))) for side, n in zip(self.shape, picture.shape[:2]))
            top, left = top + (self.shape[0] - high) // 2, left + (self.shape[1] - wide) // 2
            whole[top : top + high, left : left + wide] = flatten(resize(picture, (high, wide)))
        return whole


def _even(number: int) -> int:
    return number + number % 2


def _word(text: str, letters: int, shape: tuple[int, int]) -> np.ndarray:
    """A word in the middle of a strip of (height, width), H x W x 3: in smaller letters where it is long, and in the
    end shortened.
    """
    from PIL import Image, ImageDraw

    height, width = shape
    while letters > LEAST and font(text, letters).getlength(text) > width:
        letters -= 1
    face, shown = font(text, letters), text
    while len(shown) > 4 and face.getlength(shown) > width:
        shown = shown.removesuffix("...")[:-1] + "..."
    strip = Image.new("RGB", (width, height), (PAPER,) * 3)
    ImageDraw.Draw(strip).text((width / 2, height / 2), shown, INK, face, anchor="mm")
    return np.asarray(strip)

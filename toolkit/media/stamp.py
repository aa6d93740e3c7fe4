"""The visible mark of a result: a few words in one of its corners, where no face is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError
from ..platform import LANGUAGES
from ..platform import language as in_force
from .letters import can_write, font

WORDS = ("made with AI", "AI 生成")  # in English, and in Chinese, for which there is not everywhere a font
LETTERS, LEAST = 0.05, 10  # height of the letters: of the shorter side (as China's rules ask), and in pixels
WIDEST = 0.9  # of the frame; longer words are smaller
GROUND, INK, VEIL = 0.0, 255.0, 0.45  # white letters on a veil of black


class Stamp:
    """Words on a dark ground in a corner of frames of one size.

    text: up to 60 letters. size: (height, width) of the frames. faces: boxes (x, y, width, height) in pixels to stay
    clear of; the corners are tried in the order upper right (where neither players nor grids have words of their own),
    lower right, upper left, lower left, and the first that is free is taken (if none is, that where least is covered).
    `box` is where the mark is, (x, y, width, height). Raises ConfigError for a text that can't be written.
    """

    def __init__(self, text: str, size: tuple[int, int], faces: Sequence[Sequence[float]] = ()) -> None:
        check_text(text)
        veil, letters = _drawn(text.strip(), size)
        high, wide = veil.shape
        gap = max(1, round(0.02 * min(size)))
        bottom, right = max(0, size[0] - gap - high), max(0, size[1] - gap - wide)
        top, left = min(gap, bottom), min(gap, right)
        corners = [(top, right), (bottom, right), (top, left), (bottom, left)]
        y, x = min(corners, key=lambda corner: sum(_shared(face, (corner[1], corner[0], wide, high)) for face in faces))
        self.box = x, y, wide, high
        self._cover = (1 - (1 - VEIL * veil) * (1 - letters))[..., None]  # how much of the frame is covered, and
        self._paint = (letters * INK + (1 - letters) * VEIL * veil * GROUND)[..., None]  # by what

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """A uint8 H x W x 3 or 4 frame -> a copy with the mark."""
        x, y, wide, high = self.box
        marked = frame.copy()
        part = marked[y : y + high, x : x + wide].astype(np.float32)
        cover, paint = (layer[: part.shape[0], : part.shape[1]] for layer in (self._cover, self._paint))
        colour = part[..., :3]
        if frame.shape[-1] == 4:
            alpha = part[..., 3:] / 255
            whole = cover + alpha * (1 - cover)
            colour = (paint + colour * alpha * (1 - cover)) / np.maximum(whole, 1e-6)
            part[..., 3:] = 255 * whole
        else:
            colour = paint + colour * (1 - cover)
        part[..., :3] = colour
        marked[y : y + high, x : x + wide] = part.round().clip(0, 255).astype(np.uint8)
        return marked


def usual(language: str | None = None) -> str:
    """The usual words, in a language ("en" or "zh"; None: TOOLKIT_LANG's, else the platform's) if a font here can write
    them, else in English.
    """
    said = dict(zip(LANGUAGES, WORDS))[language or in_force()]
    return said if can_write(said) else WORDS[0]


def check_text(text: str) -> None:
    """ConfigError for words that are no mark."""
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= 60 or not text.isprintable():
        raise ConfigError(f"The mark is {text!r}.", f"Give True ('{WORDS[0]}'), or up to 60 letters of your own.")
    if not can_write(text):
        raise ConfigError(
            f"No font here has all letters of the mark '{text}'.",
            f"Install one that has (Noto Sans CJK for Chinese), or take the usual mark, '{WORDS[0]}'.",
        )


def _drawn(text: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ground and letters, each height x width, 0 to 1, smooth at their edges."""
    from PIL import Image, ImageDraw

    letters = max(LEAST, round(LETTERS * min(size)))
    while letters > 4 and font(text, letters).getlength(text) + letters > WIDEST * size[1]:
        letters -= 1
    face = font(text, letters)
    low, high = face.getbbox(text, anchor="ls")[1::2]
    wide, tall = round(face.getlength(text) + 0.9 * letters), round(high - low + 0.7 * letters)
    words = Image.new("L", (wide, tall))
    ImageDraw.Draw(words).text((wide / 2, (tall - high - low) / 2), text, 255, face, anchor="ms")
    fine = 4  # the ground's round corners are drawn larger, and made smaller
    ground = Image.new("L", (fine * wide, fine * tall))
    ImageDraw.Draw(ground).rounded_rectangle(
        (0, 0, fine * wide - 1, fine * tall - 1), radius=fine * 0.3 * letters, fill=255
    )
    ground = ground.resize((wide, tall), Image.Resampling.BOX)
    return np.asarray(ground, np.float32) / 255, np.asarray(words, np.float32) / 255


def _shared(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes share."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)

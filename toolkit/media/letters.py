"""Letters for words in pictures: a font that has them, at any size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

# Pillow's own font has ASCII alone; for all else the usual fonts of Linux, Windows and macOS are tried.
WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
)
_NOWHERE = "\U0010ffff"  # no font has this one: what is drawn in its place stands for whatever is missing


def font(text: str, pixels: int) -> ImageFont.FreeTypeFont:
    """A font of that height that has all letters of the text; Pillow's own where none has."""
    from PIL import ImageFont

    return next(filter(lambda one: _has(one, text), _fonts(text, pixels)), None) or ImageFont.load_default(pixels)


def can_write(text: str) -> bool:
    """Whether some font here has all letters of the text."""
    return _has(font(text, 16), text)


def _fonts(text: str, pixels: int) -> Iterator[ImageFont.FreeTypeFont]:
    from PIL import ImageFont

    for name in () if text.isascii() else WIDE_FONTS:
        with contextlib.suppress(OSError):
            yield ImageFont.truetype(name, pixels)


def _has(face: ImageFont.FreeTypeFont, text: str) -> bool:
    missing = bytes(face.getmask(_NOWHERE))
    return all(letter.isspace() or bytes(face.getmask(letter)) != missing for letter in set(text))

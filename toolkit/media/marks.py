"""The note "made by a machine" in GIF and WebP files, which ffmpeg cannot write there itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from .files import MARK
from .pictures import xmp

_XMP, _ALPHA = 0x04, 0x10  # flags in the header of an extended WebP


def mark_gif(plain: Path, marked: Path) -> None:
    """Copy a GIF with a comment before its first frame; after the last one ffmpeg takes it for another frame."""
    text = MARK.encode()
    with plain.open("rb") as source, marked.open("wb") as target:
        head = source.read(13)
        palette = 3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0
        target.write(head + source.read(palette) + b"\x21\xfe" + bytes([len(text)]) + text + b"\x00")
        shutil.copyfileobj(source, target)


def mark_webp(path: Path, has_alpha: bool) -> None:
    """Add an XMP chunk at the end of an animated (extended) WebP and announce it in the header.

    has_alpha: say that there is transparency, also where each frame itself is opaque and only smaller than the canvas.
    """
    text = xmp(MARK)
    with path.open("r+b") as file:
        head = file.read(21)
        if head[12:16] != b"VP8X":
            return
        file.seek(20)
        file.write(bytes([head[20] | _XMP | (_ALPHA if has_alpha else 0)]))
        file.seek(0, 2)
        file.write(b"XMP " + len(text).to_bytes(4, "little") + text + b"\x00" * (len(text) % 2))
        size = file.tell() - 8
        file.seek(4)
        file.write(size.to_bytes(4, "little"))

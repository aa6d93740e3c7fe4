"""Clips that ffmpeg does not read as such: folders of pictures, and animated WebP (its demuxer skips the animation)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from .pictures import read_picture

_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif"}


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, frame2 before frame10. Raises InputError when there are none."""
    try:
        names = [p for p in folder.iterdir() if p.suffix.lower() in _ENDINGS and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be opened: {error.strerror}.", "Check who may read it.") from error
    if not names:
        raise InputError(f"There are no pictures in the folder {folder}.", "Put numbered PNG or JPEG frames there.")
    return sorted(names, key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"([0-9]+)", p.name.lower())])


def folder_frames(folder: Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the pictures of a folder as uint8 H x W x 4; all must have the size (height, width) of the first."""
    for name in pictures_in(folder):
        frame = read_picture(name, channels=4)
        if frame.shape[:2] != size:
            raise InputError(
                f"{name} is {frame.shape[1]} x {frame.shape[0]} pixels, but the first frame is {size[1]} x {size[0]}.",
                "Make all frames of one size.",
            )
        yield frame


def is_webp(path: Path) -> bool:
    """Whether the file begins as WebP does, whatever its name."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def webp_frames(path: Path) -> tuple[int, int, list[int]]:
    """Width, height and the milliseconds that each frame is shown, from the chunks alone; a still picture has none."""
    width = height = 0
    lengths = []
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            body = file.read(min(size, 16))
            if head[:4] == b"VP8X":
                width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
            elif head[:4] == b"ANMF":
                lengths.append(int.from_bytes(body[12:15], "little"))
            file.seek(size + size % 2 - len(body), 1)
    return width, height, lengths


def webp_pictures(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the frames of an animated WebP with the second each appears at, as uint8 H x W x 4."""
    from PIL import Image

    second = 0.0
    try:
        with Image.open(path) as image:
            for number, length in enumerate(webp_frames(path)[2]):
                image.seek(number)
                yield second, np.array(image.convert("RGBA"))
                second += length / 1000
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} is damaged or cut off ({error}).", "Get it again.") from error

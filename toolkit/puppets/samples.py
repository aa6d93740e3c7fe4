"""Makes the pictures and the clip in samples/: `python -m toolkit.puppets.samples [folder]`.

picture.png   a cartoon character, 512 x 512, RGB
driving.mp4   another one singing for ten seconds, 512 x 512, 25 frames a second, with sound
anime.png     an anime character as "Talking Head Anime" (2019) asks: 256 x 256, RGBA, nothing behind it (alpha 0 and
              colour 0), looking straight out with eyes and mouth open, the head from row 64 to row 191
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import Identity, Pose, anchors, draw, identities, landmarks, performance, song
from .anchors import ANCHORS
from .song import RATE

PICTURE = (1, 29)  # seed and number of the character in the picture …
SINGER = (1, 4)  # … of the one in the driving clip …
ANIME = (3, 12)  # … and of the anime character
TUNE = 4
SECONDS, FPS, SIZE = 10, 25, 512


def character(seed: int, number: int, style: str) -> Identity:
    return identities(number + 1, seed, style)[number]


def to_bytes(pictures: Tensor) -> np.ndarray:
    """N x C x H x W in 0…1 -> N x H x W x C uint8."""
    pixels = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    if pixels.shape[-1] == 4:
        pixels[pixels[..., 3] == 0] = 0
    return pixels


def picture(size: int = SIZE) -> Tensor:
    """3 x size x size."""
    return draw(character(*PICTURE, "cartoon"), Pose.neutral(1), size)[0, :3]


def singing(seconds: float = SECONDS, fps: int = FPS) -> tuple[Identity, Pose, np.ndarray]:
    """Who sings, how they move, and the sound."""
    wave, syllables = song(seconds, TUNE)
    return character(*SINGER, "cartoon"), performance(seconds, fps, TUNE, wave, syllables=syllables), wave


def anime(size: int = 256) -> Tensor:
    """4 x size x size: the head fills the middle half of the frame, from its flat hair to its chin."""
    who = character(*ANIME, "anime")
    pose = Pose.neutral(1).replace(mouth_open=torch.tensor([0.9]))
    for _ in range(8):  # place and scale are nearly linear in the pose, so a few steps of correction settle it
        top = anchors(who, pose)[0][0, ANCHORS.index("crown"), 1]
        chin = landmarks(who, pose)[0, 8, 1]
        pose = pose.replace(scale=pose.scale / (chin - top), y=pose.y - (chin + top) / 2)
    return draw(who, pose, size, background=False)[0]


def main(folder: str | Path = "samples") -> None:
    from fractions import Fraction

    from PIL import Image

    from ..media import Writer

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_bytes(picture()[None])[0]).save(folder / "picture.png", optimize=True)
    Image.fromarray(to_bytes(anime()[None])[0]).save(folder / "anime.png", optimize=True)
    who, pose, wave = singing()
    with Writer(folder / "driving.mp4", Fraction(FPS), sound=(wave, RATE), overwrite=True, quality=20) as writer:
        for k in range(0, len(pose), 10):
            for frame in to_bytes(draw(who, pose[k : k + 10], SIZE)[:, :3]):
                writer.write(frame)
    for name in ("picture.png", "driving.mp4", "anime.png"):
        print(f"{folder / name}  {(folder / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:2])

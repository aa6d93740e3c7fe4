"""Makes the pictures and the clip in samples/: `python -m toolkit.puppets.samples [folder]`.

picture.png   a cartoon character, 512 x 512, RGB
driving.mp4   another one singing for ten seconds, 512 x 512, 25 frames a second, with sound
anime.png     an anime character as "Talking Head Anime" (2019) asks: 256 x 256, RGBA, nothing behind it (alpha 0 and
              colour 0), looking straight out with eyes and mouth open, the head from row 64 to row 191
group.png     four characters before one backdrop, 1129 x 512, RGB
figure.png    a whole figure, for models of bodies: 384 x 384, RGB, standing straight
dance.mp4     another one who dances and sings for six seconds, 384 x 384, 25 frames a second, with sound
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import Identity, Pose, anchors, draw, identities, landmarks, performance, song
from .anchors import ANCHORS
from .dance import dance
from .figure import Figure, Stance, figures
from .figure_drawing import draw_figures
from .song import RATE, beats

PICTURE = (1, 29)  # seed and number of the character in the picture …
SINGER = (1, 4)  # … of the one in the driving clip …
ANIME = (3, 12)  # … and of the anime character
GROUP = ((3, 1, "cartoon"), (1, 7, "cartoon"), (3, 14, "cartoon"), (3, 8, "anime"))  # … of those in the group photo
HILLS = (3, 9)  # … and of the one whose backdrop they stand before
FIGURE, DANCER = (5, 15), (5, 34)  # the same of the whole figures
TUNE, DANCE_TUNE = 4, 2
SECONDS, DANCE_SECONDS, FPS, SIZE, FIGURE_SIZE = 10, 6, 25, 512, 384


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


def group(height: int = SIZE, apart: float = 0.54) -> Tensor:
    """3 x height x width: side by side before one backdrop, each a little behind the next. apart: in heights."""
    step, side = round(apart * height), round(0.94 * height)
    width = step * len(GROUP) + height // 20
    canvas = draw(character(*HILLS, "cartoon"), Pose.neutral(1), width, parts=["background"])[0, :3]
    canvas = canvas[:, (width - height) // 2 :][:, :height].contiguous()
    for number, one in enumerate(GROUP):
        lean, low = torch.tensor([0.06 * (-1) ** number]), torch.tensor([0.03 * (number % 2)])
        pose = Pose.neutral(1).replace(roll=lean, y=low)
        left = round((number + 0.5) * step - side / 2) + height // 40
        shown = slice(max(0, -left), min(side, width - left))
        sprite = draw(character(*one), pose, side, background=False)[0, :, :, shown]
        canvas[:, height - side :, left + shown.start : left + shown.stop].lerp_(sprite[:3], sprite[3:])
    return canvas


def figure(size: int = FIGURE_SIZE) -> Tensor:
    """3 x size x size."""
    stance = Stance.neutral(1)
    smile = stance.head.replace(mouth_wide=torch.tensor([0.5]))
    return draw_figures(someone(*FIGURE), stance.replace(head=smile), size)[0, :3]


def dancing(seconds: float = DANCE_SECONDS, fps: int = FPS) -> tuple[Figure, Stance, np.ndarray]:
    """Who dances, how they move, and the sound."""
    who = someone(*DANCER)
    wave, syllables = song(seconds, DANCE_TUNE, drums=0.5)
    head = performance(seconds, fps, DANCE_TUNE, wave, syllables=syllables)
    return who, dance(who, beats(seconds, DANCE_TUNE), seconds, fps, DANCE_TUNE, head=head), wave


def someone(seed: int, number: int) -> Figure:
    return figures(number + 1, seed, "cartoon")[number]


def clip(path: Path, frames: Callable[[slice], Tensor], count: int, wave: np.ndarray) -> None:
    """Write what `frames` draws, a few at a time, with the sound."""
    from fractions import Fraction

    from ..media import Writer

    with Writer(path, Fraction(FPS), sound=(wave, RATE), overwrite=True, quality=20) as writer:
        for k in range(0, count, 10):
            for frame in to_bytes(frames(slice(k, k + 10))[:, :3]):
                writer.write(frame)


def main(folder: str | Path = "samples") -> None:
    from PIL import Image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stills = {"picture.png": picture, "anime.png": anime, "group.png": group, "figure.png": figure}
    for name, still in stills.items():
        drawn = still()
        Image.fromarray(to_bytes(drawn[None])[0]).save(folder / name, optimize=True)
    who, pose, wave = singing()
    clip(folder / "driving.mp4", lambda part: draw(who, pose[part], SIZE), len(pose), wave)
    dancer, stance, beat = dancing()
    clip(folder / "dance.mp4", lambda part: draw_figures(dancer, stance[part], FIGURE_SIZE), len(stance), beat)
    for name in ("picture.png", "driving.mp4", "anime.png", "figure.png", "dance.mp4"):
        print(f"{folder / name}  {(folder / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:2])

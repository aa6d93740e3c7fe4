"""Clips that models are measured on: the test part of a data set in a published layout, or puppets with all landmarks
known. They are read anew each time, a few frames at once, so that no clip is ever held whole.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from .. import media, puppets
from ..errors import InputError
from ..paths import expanded, is_folder
from .clips import STACKED, Reader, entries, split
from .data import HELD_OUT, draw

BATCH = 8  # frames at once
DRAWN, SECONDS, RATE = 8, 2.0, 12.5  # puppets: how many clips, how long, frames a second


@dataclasses.dataclass(frozen=True)
class Clip:
    """A test clip. read: side in pixels -> batches of all its frames, uint8 T x side x side x 3. probe: what its file
    tells, None for what is no clip to the decoder. landmarks: T x 68 x 2 in -1 … 1 from edge to edge, where the truth
    is known.
    """

    name: str
    read: Callable[[int], Iterator[np.ndarray]]
    probe: Callable[[], media.ClipInfo | None] = lambda: None
    landmarks: Tensor | None = None

    def frames(self) -> int | None:
        """How many frames it says it has, None if it does not."""
        if self.landmarks is not None:
            return len(self.landmarks)
        return media.expected_frames(info) if (info := self.probe()) else None


def clips_in(folder: str | Path) -> list[Clip]:
    """The clips of a data set's test/ (without train/ and test/, of a fifth of them). Raises InputError."""
    root = expanded(folder)
    if not is_folder(root / "test"):
        found = split(root)[1]
    elif not (found := entries(root / "test")):
        raise InputError(f"There is no clip in {root / 'test'}.", "Put clips or folders of frames there.")
    return [_clip(path) for path in found]


def _clip(path: Path) -> Clip:
    stacked = path.suffix.lower() in STACKED and path.is_file()

    @functools.cache
    def probe() -> media.ClipInfo | None:
        return None if stacked else media.probe(path)

    def read(side: int) -> Iterator[np.ndarray]:
        if stacked:
            frames = Reader(0).pick(path, side, range)
            yield from (np.stack(frames[begin : begin + BATCH]) for begin in range(0, len(frames), BATCH))
        else:
            with media.read_frames(probe(), fit=(side, side), batch=BATCH) as batches:
                yield from batches

    return Clip(path.name, read, probe)


def clips_drawn(count: int = DRAWN) -> list[Clip]:
    """Clips of drawn heads that training never sees, with their true landmarks. Always the same."""
    return [_drawn(number) for number in range(count)]


def _drawn(number: int) -> Clip:
    pose = puppets.performance(SECONDS, RATE, HELD_OUT + 11 + number)
    who = puppets.identities(1, HELD_OUT + 611 + number).repeat(len(pose))

    def read(side: int) -> Iterator[np.ndarray]:
        for begin in range(0, len(pose), BATCH):
            rows = slice(begin, begin + BATCH)
            yield draw(who[rows], pose[rows], side).picture.permute(0, 2, 3, 1).numpy()

    return Clip(f"puppet-{number:03d}", read, landmarks=puppets.landmarks(who, pose))

"""Which stretches of a clip become training clips: VoxCeleb's published rules, for any number of people.

A tube follows one face for as long as it is seen and stays about where it was first seen; its box is the union of the
face's boxes. What it gives is a chunk if it is long and large enough and, grown, doesn't leave the picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..faces.face import Box, Face, distinct
from ..faces.people import Scenes, Tracker
from ..faces.published import Corners, increased, overlap_of, union

SHORT, SMALL, OUTSIDE = "too short", "too small", "leaves the picture"


@dataclasses.dataclass(frozen=True)
class Rules:
    """min_frames, max_frames: of a chunk. min_size: least pixels of the longer side of a tube's box, or of the shorter
    side of whole frames. overlap: least intersection over union with a tube's first box. increase: growth of the
    box on each side, to a square. whole: frames are kept whole, and nobody is looked for.
    """

    min_frames: int = 64
    max_frames: int = 1024
    min_size: int = 256
    overlap: float = 0.25
    increase: float = 0.1
    whole: bool = False

    def judged(self, tube: Tube, size: Sequence[int]) -> tuple[Box | None, str]:
        """What to cut of a clip of (height, width), and "" if the tube is a chunk; else None and why not."""
        if tube.frames < self.min_frames:
            return None, SHORT
        if self.whole:
            return (None, SMALL) if min(size) < self.min_size else (Box(0, 0, size[1], size[0]), "")
        if max(tube.box[2] - tube.box[0], tube.box[3] - tube.box[1]) < self.min_size:
            return None, SMALL
        left, top, right, bottom = increased(tube.box, self.increase)
        if left < 0 or top < 0 or right > size[1] or bottom > size[0]:
            return None, OUTSIDE
        return Box(left, top, right - left, bottom - top), ""


@dataclasses.dataclass
class Tube:
    """One face in the frames first … end - 1. start: its box in the first of them; box: the union of all."""

    first: int
    end: int
    start: Corners
    box: Corners

    @property
    def frames(self) -> int:
        return self.end - self.first

    def scaled(self, across: float, down: float) -> Tube:
        """The same in a picture of another size."""
        scale = (across, down, across, down)
        start, box = (tuple(s * x for s, x in zip(scale, corners)) for corners in (self.start, self.box))
        return dataclasses.replace(self, start=start, box=box)


class Tubes:
    """Give it one frame after the other; it gives back the tubes that are complete. Memory follows the number of people
    and not of frames. empty: frames in which nobody was seen; scenes: how many there were so far.
    """

    def __init__(self, rules: Rules, fps: float) -> None:
        self.rules, self.fps = rules, float(fps)
        self.empty, self.scenes = 0, 1
        self._is_cut, self._tracker = Scenes(), Tracker(self.fps)
        self._open: list[tuple[Any, Tube]] = []  # whose, and what is known of it so far

    def add(self, number: int, frame: np.ndarray, faces: Sequence[Face] = ()) -> list[Tube]:
        """The next frame, uint8 H x W x 3, and its faces -> the tubes that ended before it."""
        ended = []
        if self._is_cut(frame):
            ended, self._tracker = self.close(), Tracker(self.fps)
            self.scenes += 1
        going = []
        for who, box in self._people(number, frame, faces):
            tube = next((tube for other, tube in self._open if other is who), None)
            if tube and tube.frames < self.rules.max_frames and overlap_of(tube.start, box) >= self.rules.overlap:
                tube.end, tube.box = number + 1, union(tube.box, box)
            else:
                tube = Tube(number, number + 1, box, box)
            going.append((who, tube))
        self.empty += not going
        ended += [tube for _, tube in self._open if all(tube is not other for _, other in going)]
        self._open = going
        return ended

    def close(self) -> list[Tube]:
        """The tubes that end with the clip, or the scene."""
        ended, self._open = [tube for _, tube in self._open], []
        return ended

    def _people(self, number: int, frame: np.ndarray, faces: Sequence[Face]) -> list[tuple[Any, Corners]]:
        if self.rules.whole:
            return [(None, (0.0, 0.0, float(frame.shape[1]), float(frame.shape[0])))]
        faces = distinct(faces)
        tracks = self._tracker.add(number, frame, faces)
        for track in tracks:  # the last place is all that following somebody needs
            del track.faces[:-1], track.numbers[:-1]
        return [(track, (*face.box[:2], *np.add(face.box[:2], face.box[2:]))) for track, face in zip(tracks, faces)]

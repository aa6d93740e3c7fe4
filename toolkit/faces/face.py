"""What is known of one face in one picture, and the small geometry of boxes and landmarks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError


class Box(NamedTuple):
    """A rectangle in pixels, from edge to edge: the left upper corner of a picture is (0, 0). It may reach beyond."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def side(self) -> float:
        """The longer side."""
        return max(self.width, self.height)

    @staticmethod
    def around(points: np.ndarray) -> Box:
        """The smallest box that holds points … x 2."""
        low, high = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
        return Box(*map(float, (*low, *(high - low))))

    def union(self, other: Box) -> Box:
        """The smallest box that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        return Box(x, y, right - x, max(self.y + self.height, other.y + other.height) - y)

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0 … 1."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(0.0, wide) * max(0.0, high)
        return shared / max(1e-9, self.width * self.height + other.width * other.height - shared)

    def holds(self, point: Sequence[float]) -> bool:
        return 0 <= point[0] - self.x <= self.width and 0 <= point[1] - self.y <= self.height


@dataclasses.dataclass(frozen=True)
class Face:
    """One face in one picture.

    box: from the brows (or the forehead's middle) to the chin and from ear to ear, as face detectors of photographs
    have it. score: how sure the finder is, 0 … 1. landmarks: 68 x 2 pixels (x, y), iBUG order, in the box's
    coordinates; None where the finder gives boxes only. finder: who found it.
    """

    box: Box
    score: float
    landmarks: np.ndarray | None = None
    finder: str = ""

    @property
    def size(self) -> float:
        """The box's longer side in pixels."""
        return self.box.side

    @property
    def frontality(self) -> float | None:
        """1 for a face turned straight to the camera, 0 for a profile; None without landmarks.

        How evenly the nose's tip stands between the jaw's two ends.
        """
        if self.landmarks is None:
            return None
        left, right = (float(np.linalg.norm(self.landmarks[30] - self.landmarks[end])) for end in (0, 16))
        return min(left, right) / max(left, right, 1e-9)

    @property
    def eye_distance(self) -> float | None:
        """Pixels between the eyes' middles; None without landmarks."""
        if self.landmarks is None:
            return None
        return float(np.linalg.norm(self.landmarks[36:42].mean(0) - self.landmarks[42:48].mean(0)))

    def moved(self, x: float, y: float, scale: float = 1.0) -> Face:
        """The face in a picture that is scaled, then shifted by x and y pixels."""
        box = Box(self.box.x * scale + x, self.box.y * scale + y, self.box.width * scale, self.box.height * scale)
        points = None if self.landmarks is None else self.landmarks * scale + np.array([x, y])
        return dataclasses.replace(self, box=box, landmarks=points)


def ordered(faces: Iterable[Face]) -> list[Face]:
    """Largest first; of equal ones from left to right, then from above."""
    return sorted(faces, key=lambda face: (-round(face.size), face.box.x, face.box.y))


def picked(faces: Sequence[Face], pick: int | Sequence[float] | None) -> list[Face]:
    """The one that is asked for, as a list: by number (0 is the largest) or by a point (x, y) in pixels, in it or
    nearest; None: all of them. ConfigError for a number that is not there.
    """
    if pick is None or not faces:
        return list(faces)
    if isinstance(pick, int | np.integer):
        if not 0 <= pick < len(faces):
            raise ConfigError(
                f"There is no face number {pick}: {len(faces)} were found.",
                "Count from 0, the largest; toolkit.faces.find shows them.",
            )
        return [faces[pick]]
    point = np.asarray(pick, float)
    return [min(faces, key=lambda face: (not face.box.holds(point), np.hypot(*(point - face.box.centre))))]


def distinct(faces: Iterable[Face], overlap: float = 0.4) -> list[Face]:
    """Without doubles, the surest first, of equally sure ones the one that comes first: a face goes if its box overlaps
    that of one before it by more than that, or if one of the two is much smaller and its middle lies in the other (no
    face is seen within another).
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not any(_same(face.box, other.box, overlap) for other in kept):
            kept.append(face)
    return kept


def _same(one: Box, other: Box, overlap: float) -> bool:
    small, large = sorted((one, other), key=lambda box: box.side)
    return one.overlap(other) > overlap or (small.side < 0.7 * large.side and large.holds(small.centre))

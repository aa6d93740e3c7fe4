"""Landmarks of one person through the frames that a model sees, for models that see through landmarks."""

from __future__ import annotations

import numpy as np

from . import finders
from .face import Face, distinct
from .finders import Finder
from .people import Track, Tracker

WITH_LANDMARKS = ("perception", "face-alignment")


class Follower:
    """Called with one batch of frames after the other, uint8 T x H x W x 3 -> points T x 68 x 2 (-1 … 1 from edge to
    edge, NaN where lost) and valid, T values.

    Frames are cut about the person that they are of, so the first face that is large and near the middle is followed:
    others who come in are not taken for it, and after a gap or a cut it is known again. backend: as for
    `finders.choose`; None: drawn heads or people, whoever is there.
    """

    def __init__(self, backend: str | Finder | None = None, fps: float = 25.0) -> None:
        self.finder = finders.Auto(WITH_LANDMARKS) if backend is None else finders.choose(backend)
        self._tracker, self._count = Tracker(fps), 0
        self._followed: Track | None = None

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.full((len(frames), 68, 2), np.nan)
        size = np.array(frames.shape[2:0:-1])
        for row, (frame, faces) in enumerate(zip(frames, self.finder(frames), strict=True)):
            self._tracker.watch(self._count, frame)
            faces = distinct(face for face in faces if face.landmarks is not None)
            tracks = self._tracker.add(self._count, frame, faces)
            if self._followed is None and faces:
                self._followed = tracks[max(range(len(faces)), key=lambda k: _meant(faces[k], size))]
            for face, track in zip(faces, tracks):
                if track is self._followed:
                    points[row] = face.landmarks * 2 / size - 1
            self._count += 1
        return points, np.isfinite(points[:, 0, 0])


def _meant(face: Face, size: np.ndarray) -> float:
    """How likely frames of size (width, height) are of this face: its share of them, less towards their edges."""
    return face.size / float(max(size)) - float(np.hypot(*(np.array(face.box.centre) / size - 0.5)))

"""Faces of frame after frame -> people: kept apart where they cross, known again after a gap or a cut.

In a scene a face belongs to the person whose box, moved on as it last moved, it overlaps, whose landmarks it has and
whom it looks like; after a cut, or a long absence, looks alone decide. All of a frame's faces are given out at once, so
that the sum over all people is the likeliest. Nothing of a frame is kept but numbers.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections import deque
from collections.abc import Sequence

import numpy as np

from .face import Box, Face
from .found import Person

ABSENCE = 1.0  # seconds after which a person may be anywhere in the frame
COASTING = 0.5  # seconds for which a lost face is taken to move on as it did
REACH, SPEED = 0.9, 1.5  # sizes that a face may be from where it is expected: at once, and more for each second
GROWTH = 0.5  # |log| of the change of size that is still the same face, in a scene
LIKE, ALIKE = 0.6, 0.42  # distance of looks that still is the same person: in its place, and anywhere
LOOKS, SHAPE = 1.5, 1.0  # weight of looks and of the landmarks' shape against that of the place
LEARNING = 0.1  # how fast a person's looks follow what is seen
SPOTS, LEVELS = 32, 6  # a face's looks are sampled in so many rows and columns; levels of a colour in a histogram
CHANGE, RECOLOUR, SUDDEN = 0.6, 0.25, 4  # a cut: of picture and colours, of colours, and as a multiple of the usual
NEVER = 1e3  # cost of what can't be


class Tracker:
    """Give each frame to `watch`, and those in which faces were sought to `add`, in order; then `people` has them. A
    frame is watched before it is added, and may be added later.

    fps: frames a second. cuts: the numbers of the frames that begin a new scene.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self.cuts = float(fps), []
        self._scenes, self._tracks, self._frames = Scenes(), [], []

    def watch(self, number: int, frame: np.ndarray) -> None:
        """Look for a cut before this frame, uint8 H x W x 3."""
        if self._scenes(frame):
            self.cuts.append(number)

    def add(self, number: int, frame: np.ndarray, faces: Sequence[Face]) -> list[Track]:
        """The people that the faces of a frame belong to, in the order of the faces."""
        from scipy.optimize import linear_sum_assignment

        self._frames.append(number)
        looks = [colours(frame, face.box) for face in faces]
        found: list[Track | None] = [None] * len(faces)
        if faces and self._tracks:
            costs = np.array(
                [[self._cost(track, number, *seen) for seen in zip(faces, looks)] for track in self._tracks]
            )
            for row, column in zip(*linear_sum_assignment(costs)):
                if costs[row, column] < NEVER:
                    found[column] = self._tracks[row]
        for k, face in enumerate(faces):
            if found[k] is None:
                found[k] = Track(face.finder)
                self._tracks.append(found[k])
            alone = all(face.box.overlap(other.box) < 0.1 for other in faces if other is not face)
            found[k].append(number, self._scene(number), face, looks[k], alone)
        return found

    def people(self) -> list[Person]:
        """Who was seen, largest first; without those who were seen in one or two of many frames."""
        count = len(self._frames)
        rows = {number: row for row, number in enumerate(self._frames)}
        frames = np.array(self._frames, int)
        people = [track.person(frames, rows) for track in self._tracks if len(track.faces) >= min(3, count / 4)]
        return sorted(people, key=lambda person: (-round(person.size), person.box.x, person.box.y))

    def _scene(self, number: int) -> int:
        """The scene of a frame that was watched, which need not be the last one."""
        return bisect.bisect_right(self.cuts, number)

    def _cost(self, track: Track, number: int, face: Face, looks: np.ndarray) -> float:
        """How unlikely it is that a face is that person's; NEVER where it can't be."""
        unlike = _apart(track.looks, looks)
        away = (number - track.number) / self.fps
        if track.scene != self._scene(number) or away > ABSENCE:
            return 2 + LOOKS * unlike if unlike < ALIKE else NEVER
        last, expected = track.faces[-1], track.expected(number, COASTING * self.fps)
        off = np.hypot(*np.subtract(face.box.centre, expected.centre)) / max(face.size, expected.side)
        growth = abs(np.log(face.size / last.size))
        if off > REACH + SPEED * away or growth > GROWTH * (1 + away) or unlike > LIKE:
            return NEVER
        return 1 - face.box.overlap(expected) + off + growth + LOOKS * unlike + SHAPE * _difference(last, face)


@dataclasses.dataclass
class Track:
    """What is known of one person so far. number, scene: the frame and the scene in which it was last seen."""

    finder: str
    number: int = 0
    scene: int = 0
    numbers: list[int] = dataclasses.field(default_factory=list)
    faces: list[Face] = dataclasses.field(default_factory=list)
    looks: np.ndarray | None = None
    velocity: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))  # pixels a frame

    def append(self, number: int, scene: int, face: Face, looks: np.ndarray, alone: bool) -> None:
        """See the person once more. alone: no other face is near, so that its looks are its own."""
        if self.faces:
            since = number - self.number
            moved = np.subtract(face.box.centre, self.faces[-1].box.centre) / since
            self.velocity = 0.5 * self.velocity + 0.5 * moved if scene == self.scene and since < 10 else np.zeros(2)
        if self.looks is None:
            self.looks = looks
        elif alone:
            self.looks = (1 - LEARNING) * self.looks + LEARNING * looks
        self.number, self.scene = number, scene
        points = None if face.landmarks is None else face.landmarks.astype(np.float32)
        self.numbers.append(number)
        self.faces.append(dataclasses.replace(face, landmarks=points))

    def expected(self, number: int, longest: float) -> Box:
        """Where the face is taken to be in a frame, if it moves on for at most so many frames."""
        x, y, wide, high = self.faces[-1].box
        dx, dy = self.velocity * min(number - self.number, longest)
        return Box(x + dx, y + dy, wide, high)

    def person(self, frames: np.ndarray, rows: dict[int, int]) -> Person:
        at = [rows[number] for number in self.numbers]
        boxes, scores = np.full((len(frames), 4), np.nan), np.zeros(len(frames))
        boxes[at], scores[at] = [face.box for face in self.faces], [face.score for face in self.faces]
        points = None
        if any(face.landmarks is not None for face in self.faces):
            points = np.full((len(frames), 68, 2), np.nan, np.float32)
            for row, face in zip(at, self.faces):
                if face.landmarks is not None:
                    points[row] = face.landmarks
        return Person(frames, boxes, points, scores, self.finder)


class Scenes:
    """Called with one frame after the other -> whether it begins a new scene.

    At a cut the picture and its colours change at once, and much more than just before. A quick movement changes parts
    of the picture, and its colours hardly; a fade changes all, but slowly.
    """

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._changes: deque[float] = deque(maxlen=12)

    def __call__(self, frame: np.ndarray) -> bool:
        step = max(1, min(frame.shape[:2]) // 48)
        small = frame[::step, ::step].astype(np.float32)
        colour = _histogram(small.reshape(-1, 3))
        last, self._last = self._last, (small, colour)
        if last is None or last[0].shape != small.shape:
            return False
        recolour = _apart(last[1], colour)
        change = recolour + float(np.abs(small - last[0]).mean()) / 64
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(change)
        return change > CHANGE and recolour > RECOLOUR and change > SUDDEN * usual


def colours(frame: np.ndarray, box: Box) -> np.ndarray:
    """What colours a face and its hair have, in an ellipse from the hair to the mouth that leaves out what is beside
    the head: a histogram that sums to 1.

    Of drawn heads on changing grounds the same one in other poses is 0.27 from itself at most, another one 0.55 away at
    least (Hellinger's distance).
    """
    across, down = (np.mgrid[:SPOTS, :SPOTS][::-1] + 0.5) * (2 / SPOTS) - 1
    inside = across**2 + down**2 < 1
    x = box.centre[0] + 0.4 * box.width * across[inside]
    y = box.y + box.height * (0.3 + 0.6 * down[inside])
    columns, rows = x.astype(int).clip(0, frame.shape[1] - 1), y.astype(int).clip(0, frame.shape[0] - 1)
    return _histogram(frame[rows, columns].astype(np.float32))


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Hellinger's distance of two histograms: 0 for equal ones, 1 for those that share no colour."""
    return float(np.sqrt(max(0.0, 1 - np.sqrt(a * b).sum())))


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Pixels N x 3 -> how many of them have which colour, twice: bins, and bins shifted by half, so that no colour is
    at an edge of both. Sums to 1.
    """
    counts = []
    for shift in (0.0, 0.5):
        level = (pixels * (LEVELS / 256) + shift).astype(int)
        number = (level[:, 0] * (LEVELS + 1) + level[:, 1]) * (LEVELS + 1) + level[:, 2]
        counts.append(np.bincount(number, minlength=(LEVELS + 1) ** 3))
    return np.concatenate(counts) / (2 * len(pixels))


def _difference(a: Face, b: Face) -> float:
    """How unlike two faces' landmarks are in shape, as a share of the face; 0 where one has none."""
    if a.landmarks is None or b.landmarks is None:
        return 0.0
    shapes = [
        (points - points.mean(0)) / max(1e-6, float(np.ptp(points, axis=0).max()))
        for points in (a.landmarks, b.landmarks)
    ]
    return float(np.linalg.norm(shapes[0] - shapes[1], axis=1).mean())

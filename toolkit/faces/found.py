"""What `find` answers: the faces of a picture, or the people of a clip; both show themselves."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..translations import translate
from .face import Box, Face, picked

SHOWN = 640  # the longest side of a picture that a notebook is given
COLOURS = ((255, 90, 60), (60, 170, 255), (90, 210, 90), (250, 190, 40), (220, 110, 240), (70, 220, 210))


class Faces(Sequence[Face]):
    """The faces of one picture, largest first. picture: uint8 H x W x 3. finder: who found them. notes: what is worth
    a sentence. Evaluated in a notebook cell it shows boxes, landmarks and numbers.
    """

    def __init__(self, faces: Sequence[Face], picture: np.ndarray, finder: str, notes: Sequence[str] = ()) -> None:
        self._faces, self.picture, self.finder, self.notes = list(faces), picture, finder, list(notes)

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, index: Any) -> Any:
        return self._faces[index]

    def __repr__(self) -> str:
        lines = [f"{len(self)} {'face' if len(self) == 1 else 'faces'}, found by {self.finder}"]
        lines += [f"{number}: {translate(_words(face))}" for number, face in enumerate(self)]
        return "\n".join(map(translate, [*lines, *self.notes]))

    def drawn(self) -> np.ndarray:
        """The picture with boxes, landmarks and numbers, uint8 H x W x 3."""
        return drawn(self.picture, dict(enumerate(self)))

    def _repr_png_(self) -> bytes:
        return _png(self.drawn())


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One person through a clip, as found: nothing is smoothed, nothing filled.

    frames: the numbers of the frames that were looked at, T, the same for all people of a clip (counted from the
    beginning of its trimmed part). boxes: T x 4 pixels (x, y, width, height), edge to edge. landmarks: T x 68 x 2
    pixels, or None where the finder gives boxes only. scores: T. Where the person was not seen boxes and landmarks are
    NaN, the score 0. finder: who found them.
    """

    frames: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray | None
    scores: np.ndarray
    finder: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def lost(self) -> np.ndarray:
        """T values: True where the person was not seen."""
        return np.isnan(self.boxes[:, 0])

    @property
    def size(self) -> float:
        """The longer side of the box, in the middle of all frames (median), in pixels."""
        return float(np.nanmedian(self.boxes[:, 2:].max(1)))

    @property
    def box(self) -> Box:
        """Where the person usually is: the median box."""
        return Box(*map(float, np.nanmedian(self.boxes, axis=0)))

    def face(self, row: int) -> Face | None:
        """The person's face in the frame `frames[row]`; None where it was not seen."""
        if self.lost[row]:
            return None
        points = None if self.landmarks is None else self.landmarks[row]
        return Face(Box(*map(float, self.boxes[row])), float(self.scores[row]), points, self.finder)

    @property
    def best(self) -> int:
        """The row in which the person is seen best: the highest score, and of such the first."""
        return int(self.scores.argmax())


class People(Sequence[Person]):
    """The people of one clip, largest first. fps: its rate. cuts: the numbers of the frames that begin a new scene.
    picture: one frame, uint8 H x W x 3, and row: which. finder, notes: as of `Faces`.
    """

    def __init__(
        self,
        people: Sequence[Person],
        fps: Fraction,
        cuts: Sequence[int],
        picture: np.ndarray,
        row: int,
        finder: str,
        notes: Sequence[str] = (),
    ) -> None:
        self._people, self.fps, self.cuts = list(people), fps, list(cuts)
        self.picture, self.row, self.finder, self.notes = picture, row, finder, list(notes)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: Any) -> Any:
        return self._people[index]

    def __repr__(self) -> str:
        lines = [f"{len(self)} {'person' if len(self) == 1 else 'people'}, found by {self.finder}"]
        for number, person in enumerate(self):
            lost = int(person.lost.sum())
            seen = f"lost in {lost} of {len(person)} frames" if lost else f"seen in all {len(person)} frames"
            where = translate(_words(person.face(person.best), person.box))
            lines.append(f"{number}: {where}, {translate(seen)}")
        if self.cuts:
            lines.append(f"A new scene begins at {', '.join(f'{float(cut / self.fps):.2f} s' for cut in self.cuts)}.")
        return "\n".join(map(translate, [*lines, *self.notes]))

    def drawn(self) -> np.ndarray:
        """One frame with boxes, landmarks and numbers, uint8 H x W x 3."""
        faces = {number: person.face(self.row) for number, person in enumerate(self)}
        return drawn(self.picture, {number: face for number, face in faces.items() if face is not None})

    def _repr_png_(self) -> bytes:
        return _png(self.drawn())


def chosen(people: Sequence[Person], pick: int | Sequence[float] | None) -> list[Person]:
    """As `picked`, of people: by number (0 is the largest) or by a point (x, y), in or nearest to where they are."""
    faces = [Face(person.box, 1.0) for person in people]
    return [people[next(k for k, face in enumerate(faces) if face is one)] for one in picked(faces, pick)]


def drawn(picture: np.ndarray, faces: dict[int, Face]) -> np.ndarray:
    """Boxes, landmarks and numbers of faces on a copy of a picture, uint8 H x W x 3."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(picture))
    brush = ImageDraw.Draw(image)
    for number, face in faces.items():
        colour, thick = COLOURS[number % len(COLOURS)], max(1, round(face.size / 80))
        x, y, wide, high = face.box
        brush.rectangle([x, y, x + wide - 1, y + high - 1], outline=colour, width=thick)
        if face.landmarks is not None:
            radius = max(0.8, face.size / 110)
            for px, py in face.landmarks - 0.5:
                brush.ellipse([px - radius, py - radius, px + radius, py + radius], fill=colour)
        size = max(12.0, face.size / 7)
        brush.text(
            (x + thick + 2, y),
            str(number),
            fill=colour,
            font=ImageFont.load_default(size),
            stroke_width=1,
            stroke_fill=(0, 0, 0),
        )
    return np.asarray(image)


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((SHOWN, SHOWN))
    image.save(file, "PNG")
    return file.getvalue()


def _words(face: Face, box: Box | None = None) -> str:
    """A face in words: how large, where, how sure."""
    box = box or face.box
    more = [] if face.frontality is None else [f"frontality {face.frontality:.2f}"]
    more.append("68 landmarks" if face.landmarks is not None else "box only")
    where = f"{box.width:.0f} x {box.height:.0f} pixels at ({box.x:.0f}, {box.y:.0f})"
    return f"{where}, score {face.score:.2f}, {', '.join(more)}"

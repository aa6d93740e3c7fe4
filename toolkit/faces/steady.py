"""A steady crop of a clip: one box that stands still in a scene, or one that goes softly with the face.

A still box is set by a few frames; where these don't agree, and where the box is to follow, the face is tracked through
all of them. Only numbers are kept.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np

from .. import media
from ..errors import InputError
from ..media.fit import Plan, extend
from . import finders
from .cropping import Recipe, is_near, snapped, spelt
from .face import Box, distinct
from .finders import Finder
from .finding import find
from .found import Person, chosen
from .people import Tracker

SAMPLES = 8  # frames that decide on a still box
LOOKED_AT = 960  # the longest side of these frames, in pixels
SHORT = 20.0  # seconds of a clip that are decoded as quickly as a few frames of it are found
AGREEING = 0.25  # least overlap of a face's box with its usual one: as published tubes have it with their first box
SHARE = 0.75  # of the frames that must agree
CALM, SLOW = 0.3, 1.0  # seconds: standard deviation of the smoothing of a following box's place, and of its size
STRAYS = 0.2  # seconds over which a place is the median of its neighbours first
WANDERING = 1.6  # times a face's usual frame, from which a still box is so large that one is told


@dataclasses.dataclass(frozen=True, eq=False)
class Steady:
    """Which part of a clip's frames is used. boxes: N x 4 (x, y, side, side), one for all, or one a frame at the rate
    `fps` from where `trim` begins (the last one goes on). lost: T values, the frames without the face, where all were
    looked at. follows: the box goes with the face.
    """

    boxes: np.ndarray
    fps: Fraction = Fraction(25)
    lost: np.ndarray | None = None
    follows: bool = False

    @classmethod
    def given(cls, box: Box) -> Steady:
        return cls(np.array([box], float))

    @property
    def key(self) -> tuple:
        """The same for crops that cut the same."""
        return self.boxes.tobytes(), self.fps if len(self.boxes) > 1 else None

    @property
    def box(self) -> Box | None:
        """The one box of all frames; None where there are several."""
        return Box(*map(float, self.boxes[0])) if len(self.boxes) == 1 else None

    def at(self, number: int, fps: Fraction) -> Box:
        """The box of the frame of that number, of frames that are read at the rate `fps`."""
        row = min(round(Fraction(number) / fps * self.fps), len(self.boxes) - 1)
        return Box(*map(float, self.boxes[row]))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The stretches of lost frames: first, last + 1."""
        if self.lost is None:
            return []
        steps = np.flatnonzero(np.diff(np.concatenate([[0], self.lost.astype(np.int8), [0]])))
        return [(int(first), int(last)) for first, last in zip(steps[::2], steps[1::2], strict=True)]

    @property
    def lost_words(self) -> str:
        """In which frames the face was lost, in words; "" where in none, or where not all were looked at."""
        if not self.gaps:
            return ""
        first = float(self.gaps[0][0] / self.fps)
        return f"The face was lost in {self.lost.sum()} of {len(self.lost)} frames (first at {first:.1f} s)"

    def report(self) -> Any:
        """The box as rounded numbers; the boxes of scenes by the second at which each begins; or "follows the face"."""
        if self.follows:
            return "follows the face"
        rows = [0, *(np.flatnonzero((self.boxes[1:] != self.boxes[:-1]).any(1)) + 1)]
        rounded = [[round(float(value), 1) for value in self.boxes[row]] for row in rows]
        if len(rows) == 1:
            return rounded[0]
        return {round(float(row / self.fps), 3): box for row, box in zip(rows, rounded, strict=True)}


def read(
    clip: Any, steady: Steady | None, side: int, how: str, *, fps: Fraction, trim: Any = None
) -> Iterator[np.ndarray]:
    """The frames of a clip as the model sees them, uint8 side x side x 3, one after the other."""
    if steady is None or steady.box is not None:
        return media.read_frames(clip, fps=fps, trim=trim, fit=media.Fit(side, how, steady and steady.box))
    return _cut_one_by_one(clip, steady, side, fps, trim)


def _cut_one_by_one(clip: Any, steady: Steady, side: int, fps: Fraction, trim: Any) -> Iterator[np.ndarray]:
    with closing(media.read_frames(clip, fps=fps, trim=trim)) as frames:
        for number, frame in enumerate(frames):
            yield cut(frame, steady.at(number, fps), side)


def cut(frame: np.ndarray, box: Box, side: int) -> np.ndarray:
    """The square box of a uint8 H x W x C frame, to a fraction of a pixel, as side x side x C; edges are continued."""
    from PIL import Image

    spans = []  # of each axis: where it begins in the result, its length there, and from where to where in the frame
    for low, available in ((box.y, frame.shape[0]), (box.x, frame.shape[1])):
        scale = side / box.side
        first = min(max(0, round(-low * scale)), side - 1)
        last = max(min(side, round((available - low) * scale)), first + 1)
        begin, end = (min(max(0.0, low + at / scale), available) for at in (first, last))
        if end - begin < 1:  # the box has left the frame: its edge is all there is to see
            begin = min(max(0.0, begin - 1), available - 1.0)
            end = begin + 1
        spans.append((first, last - first, begin, end))
    (top, high, y0, y1), (left, wide, x0, x1) = spans
    picture = Image.fromarray(np.ascontiguousarray(frame))
    inner = picture.resize((wide, high), Image.Resampling.LANCZOS, box=(x0, y0, x1, y1))
    plan = Plan((0, 0, frame.shape[1], frame.shape[0]), (high, wide), (top, left), (side, side))
    return extend(np.asarray(inner), plan)


# -- what to cut -----------------------------------------------------------------------------------------------------


def of_clip(
    clip: Any,
    info: media.ClipInfo,
    recipe: Recipe,
    *,
    pick: Any = None,
    follow: float = 0.0,
    trim: Any = None,
    strict: bool = False,
    step: Callable[[int], None] = lambda count: None,
) -> tuple[Steady | None, str]:
    """How to cut a clip, and what was done, in words. None where it is framed like that already (then there is nothing
    to say) or shows no face.

    pick: a person, by number or point; None: the largest, and where a scene does not show it the largest there.
    follow: 0, one box for a scene, … 1, the box goes with the face. strict: look at each frame even where a few would
    do, and frame it anyhow. step: told how many more frames are looked at, where it is all of them.
    Raises InputError where there is no face to pick, or none at all if strict.
    """
    finder = finders.choose()
    people = _sampled(clip, info, finder, trim)  # where each frame is looked at, they only tell which finder serves
    if not (follow or strict):
        if not people and pick is None:
            return None, _nobody(clip, finder)
        if people:
            who = chosen(people, pick)[0]
            boxes = _agreed(who, [] if pick is not None else people)
            if boxes is not None:
                box = snapped(recipe.steady(boxes))
                if is_near(box, info.size):
                    return None, ""
                return Steady.given(box), _told(clip, recipe, Steady.given(box), boxes)
    try:
        people = find(clip, backend=_stepping(finder, step), trim=trim)
    except InputError:
        if strict or pick is not None:
            raise
        return None, _nobody(clip, finder)
    boxes = _filled(chosen(people, pick)[0], [] if pick is not None else people, people.cuts)
    lost = np.isnan(boxes[:, 0])
    placed = _steadied(boxes, people.cuts, recipe, follow, float(people.fps))
    if not (strict or follow) and all(is_near(Box(*box), info.size) for box in np.unique(placed, axis=0)):
        return None, ""
    placed = placed[:1] if (placed == placed[:1]).all() else placed
    steady = Steady(placed, people.fps, lost, follow > 0)
    return steady, _told(clip, recipe, steady, boxes[~lost], len(people.cuts) + 1)


def _sampled(clip: Any, info: media.ClipInfo, finder: Finder, trim: Any) -> list[Person]:
    """The people in a few frames of a clip."""
    scale = min(1.0, LOOKED_AT / max(info.size))
    fit = media.Fit(tuple(max(1, round(side * scale)) for side in info.size))
    frames = list(_few(clip if info.codec == "array" else info, info, fit, trim))
    tracker = Tracker(1.0)
    for number, (frame, faces) in enumerate(zip(frames, finder(np.stack(frames)) if frames else (), strict=True)):
        tracker.add(number, frame, distinct(faces))
    people = tracker.people()
    return [dataclasses.replace(person, boxes=person.boxes / scale, landmarks=None) for person in people]


def _few(clip: Any, info: media.ClipInfo, fit: media.Fit, trim: Any) -> Iterator[np.ndarray]:
    """About SAMPLES frames, evenly spread."""
    begin, end = trim or (None, None)
    begin = begin or 0.0
    length = None if info.duration is None else min(info.duration, info.duration if end is None else end) - begin
    if info.codec in ("folder", "array") or length is None:  # they tell no time, or no length
        count = 100 if length is None else max(1, round(length * info.fps))
        with closing(media.read_frames(clip, trim=trim, fit=fit)) as frames:
            yield from islice(frames, count // SAMPLES // 2, count, max(1, count // SAMPLES))
    elif length <= SHORT:
        rate = min(info.fps, Fraction(SAMPLES / max(length, 0.01)).limit_denominator(100))
        with closing(media.read_frames(clip, fps=rate, trim=trim, fit=fit)) as frames:
            yield from frames
    else:
        for part in range(SAMPLES):
            with closing(media.read_frames(clip, trim=(begin + (part + 0.5) * length / SAMPLES, None), fit=fit)) as one:
                yield next(one)


def _agreed(who: Person, people: Sequence[Person]) -> np.ndarray | None:
    """The boxes of a person who is about one place, N x 4, without strays; None where the person is not, or where
    frames without that person show another of the people.
    """
    lost, usual = who.lost, who.box
    if any((lost & ~other.lost).mean() > 1 - SHARE for other in people):
        return None
    boxes = who.boxes[~lost]
    near = np.array([usual.overlap(Box(*box)) >= AGREEING for box in boxes])
    return boxes[near] if near.mean() >= SHARE else None


def _stepping(finder: Finder, step: Callable[[int], None]) -> Finder:
    """The finder (the one that serves, of "auto"), which tells how many frames it is given."""
    finder = getattr(finder, "serving", None) or finder
    if isinstance(finder, finders.Auto):
        return finder  # none has seen a face so far: `find` looks for one that does

    def look(frames: np.ndarray) -> list:
        step(len(frames))
        return finder(frames)

    look.name, look.sees = finders.name_of(finder), getattr(finder, "sees", "")
    return look


def _filled(who: Person, people: Sequence[Person], cuts: Sequence[int]) -> np.ndarray:
    """The person's boxes T x 4; in scenes without that person those of the largest of the others. NaN: nobody."""
    boxes = who.boxes.copy()
    for scene in _scenes(len(boxes), cuts):
        if who.lost[scene].all():
            here = [other for other in people if not other.lost[scene].all()]
            if here:
                largest = max(here, key=lambda other: np.nanmedian(other.boxes[scene, 2:].max(1)))
                boxes[scene] = largest.boxes[scene]
    return boxes


def _scenes(count: int, cuts: Sequence[int]) -> list[slice]:
    ends = [0, *(cut for cut in cuts if 0 < cut < count), count]
    return [slice(*pair) for pair in zip(ends, ends[1:])]


def _steadied(boxes: np.ndarray, cuts: Sequence[int], recipe: Recipe, follow: float, fps: float) -> np.ndarray:
    """The frames about faces T x 4 (NaN where lost: the last one is held), still in each scene, or following."""
    placed, scenes = np.empty((len(boxes), 4)), _scenes(len(boxes), cuts)
    seen = [~np.isnan(boxes[scene, 0]) for scene in scenes]
    first = next(k for k, here in enumerate(seen) if here.any())
    for k in [*range(first, len(scenes)), *reversed(range(first))]:
        scene = scenes[k]
        if not seen[k].any():  # held: from the scene before, at the beginning from the one after
            placed[scene] = placed[scene.start - 1 if k > first else scene.stop]
            continue
        here = boxes[scene][seen[k]]
        placed[scene] = snapped(recipe.steady(here))
        if follow:
            rows = np.where(seen[k], np.arange(len(seen[k])), -1)
            rows = np.maximum.accumulate(rows)
            rows = np.where(rows < 0, seen[k].argmax(), rows)
            path = np.array([recipe.frame(Box(*box)) for box in boxes[scene][rows]])
            placed[scene] += follow * (_calmed(path, fps) - placed[scene])
    return placed


def _calmed(path: np.ndarray, fps: float) -> np.ndarray:
    """Square boxes T x 4 whose middles and sides move softly."""
    side = _blurred(_unstrayed(path[:, 2:3], fps), SLOW * fps)
    middle = _blurred(_unstrayed(path[:, :2] + path[:, 2:] / 2, fps), CALM * fps)
    return np.concatenate([middle - side / 2, side, side], 1)


def _unstrayed(rows: np.ndarray, fps: float) -> np.ndarray:
    """The running median of T x C."""
    reach = max(1, round(STRAYS * fps / 2))
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0), axis=-1)


def _blurred(rows: np.ndarray, sigma: float) -> np.ndarray:
    """A zero-lag Gaussian over T x C, ends continued."""
    reach = max(1, int(3 * sigma + 0.5))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], 1)


# -- what is said about it -------------------------------------------------------------------------------------------


def _told(clip: Any, recipe: Recipe, steady: Steady, faces: np.ndarray, scenes: int = 1) -> str:
    if steady.follows:
        how = "a box that follows the face"
    else:
        how = f"{spelt(steady.box)}, the same for all of it" if steady.box else f"a box for each of {scenes} scenes"
    said = f"{_called(clip)} was cut to the {recipe.what}, {how}."
    usual = recipe.frame(Box(*map(float, np.median(faces, axis=0)))).side
    if steady.box and steady.box.side > WANDERING * usual:
        said += " The face wanders: follow=1 keeps it in the middle, and larger."
    return said


def _called(clip: Any) -> str:
    return str(clip) if isinstance(clip, str | os.PathLike) else "The clip"


def _nobody(clip: Any, finder: Finder) -> str:
    return (
        f"No face was found in {_called(clip)}, so all of the frame was used ({finders.tried(finder)}). "
        "If that does badly, give its box: crop=('auto', (x, y, width, height)) in pixels."
    )

"""`find`: the faces of a picture, the people of a clip."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from typing import Any

import numpy as np

from .. import media
from ..errors import ConfigError, InputError
from ..paths import expanded
from . import finders
from .face import distinct, ordered, picked
from .finders import Finder
from .found import Faces, People, chosen
from .people import Tracker

BATCH = 8  # frames that are sought at once
SAMPLES = 6  # frames of a clip by which its finder is chosen
WAY_OUT = "Take the whole picture (crop=None), or say where the face is: crop=(x, y, width, height) in pixels."


def find(
    source: Any,
    *,
    pick: int | Sequence[float] | None = None,
    backend: str | Finder = "auto",
    trim: tuple[float | None, float | None] | None = None,
    samples: int | None = None,
) -> Faces | People:
    """The faces of a picture, or the people of a clip, largest first.

    source: a picture (a file, bytes, an array H x W x C, a PIL picture) or a clip (a file, a folder of frames, an array
        T x H x W x C, what `media.probe` returned).
    pick: only this one: a number (0 is the largest) or a point (x, y) in pixels.
    backend: "auto", "perception" (drawn heads), "face-alignment" (people), "cascade" (people from the front, boxes
        only), or a finder of your own (see `finders.Finder`).
    trim: (begin, end) in seconds of a clip. samples: look for faces in so many of its frames,
        evenly spread, instead of in all.
    Raises InputError where there is no face, ConfigError for a pick or a backend that isn't there.
    """
    finder = finders.choose(backend)
    if is_clip(source):
        return _people(source, finder, pick, trim, samples)
    if trim is not None or samples is not None:
        raise ConfigError("trim and samples are for clips, and this is a picture.", "Leave them out.")
    picture = media.read_picture(source)
    faces = ordered(distinct(finder(picture[None])[0]))
    if not faces:
        raise InputError(f"No face was found in {_called(source, 'the picture')}: {finders.tried(finder)}.", WAY_OUT)
    return Faces(picked(faces, pick), picture, finders.name_of(finder), _notes(finder))


def is_clip(source: Any) -> bool:
    """Whether `find` takes this for a clip. Raises InputError for a file that is neither clip nor picture."""
    if isinstance(source, media.ClipInfo):
        return True
    if isinstance(source, np.ndarray):
        return source.ndim == 4
    if not isinstance(source, str | os.PathLike):
        return False
    try:
        media.probe(source)
    except InputError:
        if not _is_picture(source):
            raise
        return False
    return True


def _is_picture(path: str | os.PathLike) -> bool:
    from PIL import Image

    try:
        Image.open(expanded(path)).close()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _people(clip: Any, finder: Finder, pick: int | Sequence[float] | None, trim: Any, samples: int | None) -> People:
    if samples is not None and samples < 1:
        raise ConfigError(f"samples is {samples}.", "Give a number of frames, from 1 on.")
    asked = finder
    if isinstance(finder, finders.Auto):
        finder = _settled(finder, clip, trim)
    shown: tuple[int, int, np.ndarray] = (-1, 0, np.empty(0))  # faces, row, the frame with most faces
    with closing(media.read_frames(clip, trim=trim)) as frames:
        tracker, rows = Tracker(frames.fps), 0
        wanted = _spread(frames.expected, frames.fps, samples)
        for batch in _batches(enumerate(frames), tracker, wanted):
            found = finder(np.stack([frame for _, frame in batch]))
            for (number, frame), faces in zip(batch, found, strict=True):
                faces = distinct(faces)
                tracker.add(number, frame, faces)
                if len(faces) > shown[0]:
                    shown = len(faces), rows, frame
                rows += 1
    people = tracker.people()
    if not people:
        raise InputError(
            f"No face was found in {_called(clip, 'the clip')}, in any of {rows} frames: {finders.tried(asked)}.",
            WAY_OUT,
        )
    return People(
        chosen(people, pick), frames.fps, tracker.cuts, shown[2], shown[1], finders.name_of(finder), _notes(finder)
    )


def _settled(auto: finders.Auto, clip: Any, trim: Any) -> Finder:
    """The finder that sees a face in a few frames of the clip; if none does, the quickest: that for drawn heads."""
    with closing(media.read_frames(clip, trim=trim)) as frames:
        wanted = _spread(frames.expected, frames.fps, SAMPLES)
        for number, frame in enumerate(frames):
            if wanted(number) and any(auto(frame[None])):
                break
    return auto.serving or finders.choose("perception")


def _spread(count: int | None, fps: Fraction, samples: int | None) -> Callable[[int], bool]:
    """Which frames are looked at, so that about `samples` of `count` are: the middles of as many equal parts. One a
    second where the clip doesn't say how long it is.
    """
    if samples is None:
        return lambda number: True
    if count is None:
        return lambda number: number % max(1, round(fps)) == 0
    chosen = {int((k + 0.5) * count / samples) for k in range(samples)}
    return chosen.__contains__


def _batches(
    frames: Iterable[tuple[int, np.ndarray]], tracker: Tracker, wanted: Callable[[int], bool]
) -> Iterator[list[tuple[int, np.ndarray]]]:
    """The frames to look at, some at a time; the tracker watches all of them."""
    batch: list[tuple[int, np.ndarray]] = []
    for number, frame in frames:
        tracker.watch(number, frame)
        if wanted(number):
            batch.append((number, frame))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _notes(finder: Finder) -> list[str]:
    return [advice] if (advice := finders.advice(finder)) else []


def _called(source: Any, otherwise: str) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else otherwise

"""What can be wrong with a driving clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import driving as drivers
from .. import media
from ..errors import InputError, ToolkitError
from ..faces import cropping, finders
from ..faces.face import Face
from ..faces.finding import find
from .picture import SMALL, faces_in, lying
from .pose import FAR, OPEN, TURNED, apart, mouth
from .report import Finding

if TYPE_CHECKING:
    from ..models.base import Info

LOOKS = 5  # frames of a clip that are looked at, the first among them
LONG = 60.0  # seconds of a clip


def of_driver(driving: Any, info: Info, own: Face | None, backend: Any, trim: Any) -> tuple[list[Finding], int | None]:
    """The findings, and how many frames there will be (None where the file does not say)."""
    if (template := drivers.template(driving)) is not None:
        return [Finding("ok", "clip", f"A recorded motion of {len(template)} frames.")], len(template)
    clip = media.probe(driving)
    said = list(_file(clip, trim))
    if cropping.recipe_of(info) is not None or "landmarks" in info.needs:
        said += _performer(clip, info, own, backend, trim)
    if all(finding.level == "ok" for finding in said):
        said.append(Finding("ok", "clip", f"{_words(clip)}, with sound."))
    return said, media.expected_frames(clip, trim)


def _words(clip: media.ClipInfo) -> str:
    length = "" if clip.duration is None else f"{clip.duration:.1f} s"
    return f"{clip.width} x {clip.height}, {f'{length}, ' if length else ''}{float(clip.fps):.5g} frames a second"


def _file(clip: media.ClipInfo, trim: Any) -> Iterator[Finding]:
    """What the file itself says."""
    begin, end = trim or (None, None)
    length = None if clip.duration is None else min(end or clip.duration, clip.duration) - (begin or 0)
    if length is not None and length > LONG:
        yield Finding(
            "hint",
            "clip",
            f"It is long: {length / 60:.1f} minutes.",
            "Try the settings on a part of it first; memory does not grow with the length, time does.",
            "trim=(0, 30)",
        )
    if clip.is_variable:
        yield Finding(
            "hint",
            "clip",
            "Its frame rate varies, as phones record.",
            f"It is resampled by its time stamps to {float(clip.fps):.5g} frames a second, and stays with its sound.",
            "nothing to set; where it stutters, have the camera record at a fixed rate",
        )
    if clip.rotation:
        yield Finding(
            "hint",
            "clip",
            f"It is stored turned by {clip.rotation} degrees.",
            f"It is set upright as players do, {clip.width} x {clip.height}.",
            "nothing to set; if it lies on its side in a player too, turn it there and save it",
        )
    if not clip.has_sound:
        yield Finding("hint", "clip", "It has no sound.", "Neither will the result.", 'sound="song.mp3"')


def _performer(clip: media.ClipInfo, info: Info, own: Face | None, backend: Any, trim: Any) -> Iterator[Finding]:
    """Who is seen in a few frames, and how."""
    times, frames = _looks(clip, trim)
    backend = finders.choose(backend)
    seen = [_faces_upright(frame, backend) for frame in frames]
    lost = [time for time, faces in zip(times, seen) if not faces]
    if len(lost) == len(times):
        turn = faces_in(frames[len(frames) // 2], backend)[1]
        if turn:
            yield lying("clip", turn)
        else:
            what = f"No face was found in {len(times)} frames of it."
            why = "Its frames are used whole, so the head may be smaller than the model expects."
            box = "(x, y, width, height)"
            yield Finding("warning", "clip", what, why, f'crop=("auto", {box}): the second box is the clip\'s')
        return
    if lost:
        first = ", ".join(f"{time:.1f}" for time in lost)
        what, why = f"No face is seen at {first} s.", "The last pose is held there."
        yield Finding("hint", "clip", what, why, "trim=(begin, end) to a part that shows the face")
    if (most := max(map(len, seen))) > 1:
        why = "The one who is largest throughout drives the picture."
        yield Finding("hint", "clip", f"It shows {most} people.", why, 'pick={"clip": 1} for the next')
    size = float(np.median([faces[0].size for faces in seen if faces]))
    if size < SMALL / 2 * info.size:
        what, why = f"The face has {size:.0f} pixels.", "Lips and lids are hard to follow when they are so small."
        yield Finding("hint", "clip", what, why, "a clip from nearer, or of higher resolution")
    yield from _beginning(times, seen, own)


def _faces_upright(frame: np.ndarray, backend: Any) -> list[Face]:
    try:
        return list(find(frame, backend=backend))
    except InputError:
        return []


def _beginning(times: Sequence[float], seen: Sequence[Sequence[Face]], own: Face | None) -> Iterator[Finding]:
    """Whether the first frame is one in which the driver looks as the picture does."""
    if not seen[0] or seen[0][0].landmarks is None:
        return
    first = seen[0][0].landmarks
    odd = []
    if mouth(first) > OPEN and (own is None or own.landmarks is None or mouth(own.landmarks) < OPEN):
        odd.append("the mouth is open")
    if seen[0][0].frontality < TURNED:
        odd.append("the face is turned")
    if own is None or own.landmarks is None:
        distances = []
    else:
        distances = [apart(faces[0].landmarks, own.landmarks) if faces else np.inf for faces in seen]
        if distances[0] > FAR and not odd:
            odd.append("the pose is not the picture's")
    if not odd:
        return
    if distances and min(distances) > FAR:
        level, nearest = "warning", "none of the frames looked at comes near to the picture's pose"
    else:
        level = "hint"
        nearest = f"one like the picture is near {times[int(np.argmin(distances))]:.1f} s" if distances else ""
    why = "Motion is taken as the change since a frame in which driver and picture agree" + (
        f"; {nearest}." if nearest else "."
    )
    mend = 'reference="best" (the default), or reference=SECONDS of such a frame; not reference="first"'
    yield Finding(level, "clip", f"Its first frame is not neutral: {' and '.join(odd)}.", why, mend)


def _looks(clip: media.ClipInfo, trim: Any) -> tuple[list[float], list[np.ndarray]]:
    """A few frames of the clip, the first among them, and their times in seconds; each is sought, not read up to."""
    begin, end = trim or (None, None)
    begin = begin or 0.0
    length = max(0.0, min(end or np.inf, clip.duration if clip.duration is not None else begin) - begin)
    times, frames = [], []
    for k in range(LOOKS):
        time = begin + length * k / LOOKS
        part = (time, time + 2 / float(clip.fps)) if time else None
        with closing(media.read_frames(clip, trim=part)) as reading:
            try:
                frame = next(iter(reading), None)
            except ToolkitError:
                frame = None  # a damaged end is no news to hold up the rest
        if frame is not None:
            times.append(time)
            frames.append(frame)
        if not length:
            break
    return times, frames

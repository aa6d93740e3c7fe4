"""Tracks -> clip: one picture that follows one driver is a track; a result is one or more of them on a canvas.

Two passes. The first reads the driver and keeps only its `Motion` (kilobytes a second): the reference frame and the
smoothing are chosen there. The second renders in batches while the writer encodes. Neither ever holds more than a few
batches of frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError
from .media import stamp
from .paths import is_sample, results_folder
from .progress import Progress
from .track import DEFAULT_MODEL, Driving, Picture, Track, name_of
from .whole import check_pasted, whole

if TYPE_CHECKING:
    from .models.base import Animator, Motion
    from .runner import Runner

ROOM = 0.2  # of a face's box, on each side: so far it may move without the mark on it
Compose = Callable[[Sequence[Track]], Iterator[np.ndarray]]  # prepared tracks -> the frames of the result


def animate(
    picture: Picture,
    driving: Driving,
    *,
    model: str | Path | Animator | Runner | None = None,
    mode: str = "auto",
    adapt_scale: bool = True,
    reference: str | int | float = "best",
    strength: float = 1.0,
    smooth: float = 0.0,
    trim: tuple[float | None, float | None] | None = None,
    sound: media.sound.Sound | None = "driving",
    size: int | None = None,
    side_by_side: bool = False,
    output: str | Path | None = None,
    progress: bool | Callable[[str, int, int | None], None] = True,
    fit: str = "crop",
    overwrite: bool = False,
    landmarks: Any = None,
    crop: Any = "auto",
    pick: Any = None,
    follow: float = 0.0,
    paste: bool = False,
    mark: bool | str = False,
    device: str | None = None,
    precision: str = "auto",
) -> Clip:
    """Make the picture move as the driving clip does, with its sound.

    picture: a file, a uint8 H x W x C array, a PIL picture, or a `Source`; a list of pictures of one person for a model
        that takes several (few-shot heads). Talking Head Anime wants a character on a transparent ground.
    driving: a clip, a folder of frames, or a `Motion` (also a saved one, .safetensors), with a row for each frame.
    model: a name, a checkpoint file or a loaded animator; None is the small model that ships with the toolkit.
    mode: "relative" (the picture moves as the driver moves from the reference frame on), "absolute" (it takes the
        driver's own pose), "avd" (MRAA and TPSMM: shape and pose taken apart), or "auto", the model's default.
    adapt_scale: a larger or smaller head moves more or less.
    reference: where driver and picture are taken to agree: "best" (the driver's frame nearest to the picture's pose),
        "first", a frame number (int, from 0) or a time in seconds (float).
    strength: 1 is the driver's motion; less calms, more exaggerates.
    smooth: standard deviation of a zero-lag Gaussian over time, in frames; 0 leaves the motion untouched.
    trim: (begin, end) in seconds of the driver; None for an open end.
    sound: "driving" (the driver's), another file, a pair (samples, samples a second; see `toolkit.sound`), or None.
    size: side of the result in pixels (default: the model's own).
    side_by_side: picture, driver and result beside each other.
    output: a path ending in .mp4, .gif or .webp; None finds a free name in `results/`. A file that the toolkit did not
        make is never overwritten unless `overwrite`.
    progress: True, False, or a function called as `f(label, done, total)`.
    fit: a picture or clip that isn't square is cut to its middle ("crop") or kept whole ("pad"); never squashed.
    landmarks: for models that see through the 68 landmarks of faces (few-shot heads, Talking Head Anime): a function
        `f(frames)` of uint8 T x H x W x 3 -> (points T x 68 x 2, valid T), iBUG order, -1 … 1 from edge to edge; or the
        points of the clip, a row for each frame that is used, or a file of them (.npy, or .json with null for a lost
        face); or a pair (the picture's, the clip's) of these. None is the toolkit's own: the small network that ships,
        which knows drawn heads, or face-alignment where its weights are here. Frames whose face is lost hold the last
        pose.
    crop: "auto" cuts picture and clip to the face as the model's training pictures were cut, where they are not framed
        so already, and says so; models of whole bodies, and fit="pad", leave them whole. None: never. A box (x, y,
        width, height) in pixels, which may reach beyond the picture, is the picture's; a pair of these is the
        picture's and the clip's. Where no face is found all of the picture or frame is used, which is said.
    pick: which face of the picture, by number (0 is the largest) or by a point (x, y) in it; {"clip": …} is for the
        clip's, {"picture": …, "clip": …} for both.
    follow: 0, the clip's box stands still, as in training; up to 1, it goes softly with the face, which then moves
        less in the result.
    paste: put the animated face back into the full picture, with a soft seam, in its colours and grain; the result is
        as large as the picture, or its longer side is `size`. What does not move keeps the picture's own pixels.
    mark: True writes "made with AI" into a corner, where no face is ("AI 生成" where Chinese is spoken and a font here
        can write it); a text of your own instead. (That a machine made it is in the file's metadata in any case.)
    device, precision: "auto" measures what is fastest; precision "fp32" gives the published numbers.
    Raises InputError, OutputError, CheckpointError or ConfigError, each naming the file or argument and the remedy.
    """
    check_size(size)
    if paste:
        check_pasted(picture)
    track = Track(
        picture,
        driving,
        model,
        mode=mode,
        adapt_scale=adapt_scale,
        reference=reference,
        strength=strength,
        smooth=smooth,
        trim=trim,
        fit=fit,
        landmarks=landmarks,
        crop=crop,
        pick=pick,
        follow=follow,
        device=device,
        precision=precision,
    )
    named = _stem(picture, "picture"), _stem(driving, "motion"), _stem(model or DEFAULT_MODEL, "model")
    return render(
        [track],
        output,
        compose=lambda tracks: (whole if paste else canvas)(tracks, size, side_by_side),
        name="--".join(named),
        sound=sound,
        overwrite=overwrite,
        progress=progress,
        mark=mark,
    )


def render(
    tracks: Sequence[Track],
    output: str | Path | None = None,
    *,
    compose: Compose | None = None,
    name: str = "result",
    sound: media.sound.Sound | None = "driving",
    overwrite: bool = False,
    progress: bool | Callable[[str, int, int | None], None] = True,
    mark: bool | str = False,
) -> Clip:
    """Prepare the tracks, compose their frames (as `canvas` does by default) and write the clip.

    The first track gives rate and sound; drivers of other rates are resampled to it by time, and the shortest ends the
    clip. Tracks that follow one driver through one model read it once. name: of a file in `results/` where output is
    None. Else as `animate`; the report has one entry a track in "tracks".
    """
    first, began = tracks[0], time.perf_counter()
    # What is impossible is said before the work, not after it.
    path = (
        media.check_output(output, overwrite)
        if output is not None
        else media.free_name(results_folder() / f"{name}.mp4")
    )
    if sound not in (None, "driving"):
        media.check_sound(sound)
    words = stamp.usual() if mark is True else mark
    if words:
        stamp.check_text(words)

    with Progress(progress) as bar:
        for track in tracks:
            track.open()
        notes = _one_rate(tracks)
        recorded: dict[Any, Motion] = {}
        for track in tracks:
            track.prepare(bar, recorded)
        lengths = [len(track.motion) for track in tracks]
        if len(set(lengths)) > 1:
            notes.append(
                f"The drivers last {_listed(count / first.fps for count in lengths)} seconds; the result ends with the "
                "shortest."
            )
        if sound == "driving" and (first.info is None or not first.info.has_sound):
            sound = None
            notes.append(f"The {'driving clip' if first.info else 'motion'} has no sound, so the result has none.")
        pass2 = time.perf_counter()
        with closing((compose or canvas)(tracks)) as frames:
            one = next(frames)
            marked = _marker(words, one) if words else None
            bar.start("animating", min(lengths))
            with media.Writer(
                path,
                first.fps,
                overwrite=overwrite,
                sound=first.driving if sound == "driving" else sound,
                sound_trim=first.trim if sound == "driving" else None,
            ) as writer:
                for frame in chain([one], islice(frames, min(lengths) - 1)):
                    writer.write(marked(frame) if marked else frame)
                    bar.step()
        for track in tracks:
            notes += [*track.runner.notes, *track.notes, _domain_note(track)]
        notes = [text for text in dict.fromkeys(notes) if text]
        for text in notes:
            bar.say(text)
    now = time.perf_counter()
    report = {
        **first.report,
        "tracks": [track.report for track in tracks],
        "notes": notes,
        "took": {
            "seconds": round(now - began, 2),
            "rendering frames a second": round(min(lengths) / (now - pass2), 1),
        },
    }
    return Clip.open(path, report=report)


def canvas(tracks: Sequence[Track], size: int | None = None, side_by_side: bool = False) -> Iterator[np.ndarray]:
    """The composed frames, uint8 H x W x C: each track's result, after picture and driver if `side_by_side`.

    A single result keeps its transparency.
    """
    with_driver = [side_by_side and track.template is None for track in tracks]
    drivers = [track.driver() if shown else None for track, shown in zip(tracks, with_driver)]
    results = [track.frames() for track in tracks]
    try:
        while True:
            cells = []
            for track, driver, result in zip(tracks, drivers, results):
                frame = next(result, None)
                if frame is None:
                    return
                if side_by_side and track.still is not None:
                    cells.append(track.still)
                if driver is not None:
                    cells.append(next(driver, cells[-1]))
                cells.append(frame)
            yield media.beside(cells, size)
    finally:
        for driver in drivers:
            if driver is not None:
                driver.close()


def check_size(size: int | None) -> None:
    """ConfigError for a size that no result should have."""
    if size is not None and not 16 <= size <= 4096:
        raise ConfigError(f"size is {size}.", "Give a side of 16 to 4096 pixels.")


# -- small parts -----------------------------------------------------------------------------------------------------


def _marker(words: str, frame: np.ndarray) -> stamp.Stamp:
    """What puts words into a corner where the first frame has no face, nor will have one a little later."""
    from .faces import cropping, finders

    faces = finders.choose()(media.flatten(frame)[None])[0]
    return stamp.Stamp(words, frame.shape[:2], [cropping.grown(face.box, ROOM) for face in faces])


def _one_rate(tracks: Sequence[Track]) -> list[str]:
    """Have all drivers read at the first one's rate; a note where theirs differ."""
    rates = dict.fromkeys(track.info.fps for track in tracks if track.info)
    for track in tracks:
        track.fps = tracks[0].fps
    if len(rates) < 2:
        return []
    return [f"The drivers have {_listed(rates)} frames a second; the result has {float(tracks[0].fps):.5g}."]


def _listed(numbers: Iterable[Any]) -> str:
    return ", ".join(f"{float(number):.5g}" for number in dict.fromkeys(numbers))


def _stem(thing: Any, otherwise: str) -> str:
    return Path(name_of(thing, otherwise)).stem


def _domain_note(track: Track) -> str:
    if not track.runner.info.drawn or (isinstance(track.picture, str | Path) and is_sample(track.picture)):
        return ""
    return (
        "This model has only ever seen drawn heads. For a photograph or a painting name published weights, "
        "model='tpsmm-vox' (faces; fetched once), or pass a file that you have, such as vox-adv-cpk.pth.tar."
    )

"""The frames of a clip, one after the other at an even rate: upright, trimmed and fitted, in constant memory."""

from __future__ import annotations

import itertools
import math
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, InputError
from ..translations import translate
from . import ffmpeg, stills
from .fit import Fit, extend
from .pictures import flatten
from .probe import ClipInfo, probe
from .rates import USUAL, as_rate

Trim = tuple[float | None, float | None] | None

SCALING = "lanczos+accurate_rnd+full_chroma_int"  # without the latter two every frame comes out a level too dark
RUN_UP = 1.0  # seconds before a trimmed beginning at which reading starts, for key frames that are off a little
_DAMAGE = re.compile(r"partial file|prematurely|truncat|damaged|corrupt|invalid (nal|data)|decode failed", re.I)


class Frames:
    """An iterator over uint8 H x W x C frames, or N x H x W x C batches (the last may be shorter).

    info: the clip as `probe` sees it. fps: the exact rate of these frames. size: their (height, width).
    expected: how many will come if the file tells the truth, or None; count: how many have come.
    warnings: what was found wrong while reading.
    Use it in a with statement, or close it, to stop early; the decoder ends with it.
    """

    def __init__(
        self,
        info: ClipInfo,
        fps: Fraction,
        size: tuple[int, int],
        expected: int | None,
        batch: int | None,
        notes: list[str],
        frames: Iterator[np.ndarray],
    ) -> None:
        self.info, self.fps, self.size, self.expected, self.warnings = info, fps, size, expected, notes
        self.count = 0
        self._batch, self._frames = batch, frames

    def __iter__(self) -> Frames:
        return self

    def __next__(self) -> np.ndarray:
        some = list(itertools.islice(self._frames, self._batch or 1))
        if not some:
            raise StopIteration
        self.count += len(some)
        return np.stack(some) if self._batch else some[0]

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and end the decoder. Harmless when repeated."""
        self._frames.close()


def read_frames(
    clip: str | os.PathLike | ClipInfo | np.ndarray,
    *,
    fps: float | Fraction | None = None,
    trim: Trim = None,
    fit: Fit | tuple[int, int] | None = None,
    batch: int | None = None,
    channels: int = 3,
) -> Frames:
    """Read the frames of a clip one after the other, upright, at an even rate; memory does not grow with its length.

    clip: a video file, GIF, animated WebP, folder of pictures, what `probe` returned, or an array T x H x W x C.
    fps: the wanted rate; default the clip's own. A clip whose own rate differs or varies is resampled by time stamp, so
    that its sound stays in step. A folder or an array has no rate of its own: there fps says which one it has (25).
    trim: (begin, end) in seconds, exact to the frame; None leaves an end open.
    fit: the size and the way to it, done while decoding where possible; (height, width) alone is a centre crop.
    batch: yield batches of so many frames. channels: 3, transparent parts laid over white; or 4.
    Raises InputError for what cannot be read. A clip that is cut off gives the frames it has, and a warning.
    """
    if channels not in (3, 4):
        raise ConfigError(f"Frames have 3 or 4 channels, not {channels}.")
    if batch is not None and batch < 1:
        raise ConfigError(f"A batch has at least one frame, not {batch}.")
    wanted = None if fps is None else as_rate(fps)
    if wanted is not None and wanted <= 0:
        raise ConfigError(f"A frame rate is above zero, not {fps}.")
    info = clip if isinstance(clip, ClipInfo) else _info(clip)
    if info.codec in ("folder", "array"):
        count = round(info.duration * info.fps)
        info = replace(info, fps=wanted or USUAL, duration=count / float(wanted or USUAL))
    rate = wanted or info.fps
    if isinstance(fit, tuple):
        fit = Fit(fit)

    span = _span(info, trim, rate)

    notes: list[str] = []
    if info.codec in ("folder", "array", "webp"):
        frames, rest = _evenly(_timed(clip, info), rate, span), fit
    elif info.has_alpha:  # ffmpeg would let transparent pixels colour their neighbours
        frames, rest = _decode(info, rate, span, None, 4, notes), fit
    else:
        frames, rest = _decode(info, rate, span, fit, channels, notes), None
    frames = _finish(frames, span.limit, rest, channels)
    return Frames(info, rate, fit.size if fit else info.size, span.expected, batch, notes, frames)


def expected_frames(info: ClipInfo, trim: Trim = None, fps: Fraction | None = None) -> int | None:
    """How many frames read_frames will give if the file tells the truth; None where it does not say."""
    return _span(info, trim, fps or info.fps).expected


def _info(clip: str | os.PathLike | np.ndarray) -> ClipInfo:
    if not isinstance(clip, np.ndarray):
        return probe(clip)
    if clip.ndim != 4 or clip.dtype != np.uint8 or clip.shape[3] not in (3, 4) or not len(clip):
        raise InputError(f"An array {clip.dtype} {clip.shape} is not a clip.", "It must be uint8 T x H x W x 3 or 4.")
    length = len(clip) / float(USUAL)
    return ClipInfo(Path("array"), clip.shape[2], clip.shape[1], USUAL, length, codec="array", has_alpha=True)


class _Span(NamedTuple):
    """Which part to read: its first second, the most frames wanted of it, how many there are from there to the end."""

    begin: float
    limit: int | None
    total: int | None

    @property
    def expected(self) -> int | None:
        return min((n for n in (self.limit, self.total) if n is not None), default=None)


def _span(info: ClipInfo, trim: Trim, rate: Fraction) -> _Span:
    begin, end = trim or (None, None)
    begin = begin or 0.0
    if begin < 0 or (end is not None and end <= begin):
        raise ConfigError(f"A trim is (begin, end) in seconds, from early to late, not {trim}.")
    if info.duration is not None and begin >= info.duration:
        raise InputError(f"{info.path} is {info.duration:.2f} s long.", f"A trim cannot begin at {begin} s.")
    limit = None if end is None else max(1, math.ceil((end - begin) * rate - Fraction(1, 100)))
    if rate == info.fps and not info.is_variable:  # onto the clip's own frames, or rounding would double and drop some
        number = math.floor((begin - info.origin) * rate + 0.5)
        if info.duration is not None:
            number = min(number, math.ceil((info.duration - info.origin) * rate - 0.01) - 1)
        begin = info.origin + number / float(rate)
    return _Span(begin, limit, None if info.duration is None else max(1, round((info.duration - begin) * rate)))


def _decode(
    info: ClipInfo, rate: Fraction, span: _Span, fit: Fit | None, channels: int, notes: list[str]
) -> Iterator[np.ndarray]:
    """Yield frames of a video file, uint8 H x W x channels: decoded, resampled, cropped and scaled by ffmpeg."""
    height, width = info.size
    plan = (fit or Fit((height, width))).plan(height, width)
    # Time stamps are counted from the beginning (copyts keeps ffmpeg from moving them, itsoffset moves them; the filter
    # setpts would not move the clip's end in older versions). Seeking goes to a key frame before the beginning; fps
    # drops what is earlier, and knows that the last of that is what is seen there.
    filters = [f"fps={rate}:start_time=0:round=near"]
    if plan.crop != (0, 0, width, height):
        filters += [f"scale={width}:{height}", "crop={2}:{3}:{0}:{1}:exact=1".format(*plan.crop)]
    filters.append(f"scale={plan.inner[1]}:{plan.inner[0]}:flags={SCALING},setsar=1")
    moved = ["-copyts", "-itsoffset", f"{-info.start - span.begin:.6f}"]
    seek = ["-noaccurate_seek", "-ss", f"{span.begin - RUN_UP:.6f}"] if span.begin > RUN_UP else []
    steady = ["-reinit_filter", "0"]  # when the size changes on the way only scale has to notice, not fps
    limit = ["-frames:v", str(span.limit)] if span.limit is not None else []
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba" if channels == 4 else "rgb24", "pipe:1"]
    process = ffmpeg.Process(
        [*moved, *seek, *steady, *ffmpeg.source(info.path), "-map", "0:V:0", "-vf", ",".join(filters), *limit, *raw],
        fetch=True,
    )
    count = 0
    try:
        while True:
            frame = np.empty((*plan.inner, channels), np.uint8)
            if process.read_into(memoryview(frame).cast("B")) < frame.nbytes:
                break
            count += 1
            yield extend(frame, plan)
        status, said = process.finish(), process.messages
        if not count:
            raise InputError(
                f"No frame of {info.path} can be decoded there.", "Is it damaged, or shorter than it says?"
            )
        if count != span.limit and (status or _DAMAGE.search(said)):
            notes.append(f"{info.path} is damaged or cut off: {float(count / rate):.1f} s of it were read.")
            warnings.warn(translate(notes[-1]), stacklevel=2)
    finally:
        process.kill()


def _timed(clip: Any, info: ClipInfo) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the frames that Python reads with the second each appears at."""
    if info.codec == "webp":
        return stills.webp_pictures(info.path)
    frames = clip if info.codec == "array" else stills.folder_frames(info.path, info.size)
    return ((number / float(info.fps), frame) for number, frame in enumerate(frames))


def _evenly(timed: Iterator[tuple[float, np.ndarray]], rate: Fraction, span: _Span) -> Iterator[np.ndarray]:
    """Yield at an even rate the frame that is seen then, to the end of the clip: what ffmpeg's fps filter does."""
    shown, current = 0, None
    for second, frame in timed:
        due = math.floor((second - span.begin) * rate + 0.5)
        while current is not None and shown < min(due, span.total):
            yield current
            shown += 1
        current = frame
    while shown < span.total:
        yield current
        shown += 1


def _finish(frames: Iterator[np.ndarray], limit: int | None, fit: Fit | None, channels: int) -> Iterator[np.ndarray]:
    try:
        for number, frame in enumerate(frames, 1):
            if channels == 3:
                frame = flatten(frame)
            elif frame.shape[2] == 3:
                frame = np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])
            yield fit.apply(frame) if fit else frame
            if number == limit:
                break
    finally:
        frames.close()

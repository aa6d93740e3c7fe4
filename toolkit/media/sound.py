"""Sound, read from any clip or sound file as samples that begin at its time zero, cut and padded to the sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import ConfigError, InputError
from . import ffmpeg
from .probe import SoundInfo, probe_sound

Sound = str | os.PathLike | tuple[np.ndarray, int]  # a clip or sound file, or (waveform, samples a second)

CHUNK = 1 << 16  # samples
LONGEST_GAP = 0.04  # seconds a sound may lag behind its time stamps before silence fills the gap: less than a frame


def read_sound(
    path: str | os.PathLike,
    rate: int | None = None,
    *,
    trim: tuple[float | None, float | None] | None = None,
) -> tuple[np.ndarray, int]:
    """Return the sound of a clip or sound file as float32 samples x channels (1 or 2), and its samples a second.

    rate: resample to this rate; default the file's own. trim: (begin, end) in seconds.
    The first sample is the clip's time zero, so that sample n is heard with the picture at n / rate seconds.
    Raises InputError when there is no sound.
    """
    info = check_sound(path)
    rate = rate or info.rate
    chunks = list(_file_chunks(Path(path).expanduser(), info, rate, *_span(trim), 0.0))
    return np.concatenate(chunks) if chunks else np.zeros((0, min(info.channels, 2)), np.float32), rate


def check_sound(sound: Sound) -> SoundInfo:
    """Look at a sound before it is used. Raises InputError when there is none in it."""
    if isinstance(sound, tuple):
        waveform, rate = _waveform(*sound)
        return SoundInfo(rate, waveform.shape[1], 0.0)
    info = probe_sound(sound)
    if info is None:
        raise InputError(f"{sound} has no sound.", "Choose another file, or none.")
    return info


def sound_chunks(
    sound: Sound,
    info: SoundInfo,
    samples: int,
    trim: tuple[float | None, float | None] | None = None,
    offset: float = 0.0,
) -> Iterator[np.ndarray]:
    """Yield exactly `samples` float32 samples x channels at info.rate, in pieces: cut off, or followed by silence.

    trim: the part of the sound to use, in seconds. offset: where that part begins in the result; before it is silence,
    and when it is negative the first seconds of the part are skipped.
    """
    begin, end = _span(trim)
    if isinstance(sound, tuple):
        chunks = _array_chunks(*_waveform(*sound), begin, end, offset)
    else:
        chunks = _file_chunks(Path(sound).expanduser(), info, info.rate, begin, end, offset)
    left = samples
    try:
        for chunk in chunks:
            if left <= 0:
                break
            yield chunk[:left]
            left -= len(chunk)
    finally:
        chunks.close()
    while left > 0:
        yield np.zeros((min(left, CHUNK), min(info.channels, 2)), np.float32)
        left -= CHUNK


def _span(trim: tuple[float | None, float | None] | None) -> tuple[float, float | None]:
    begin, end = trim or (None, None)
    begin = begin or 0.0
    if begin < 0 or (end is not None and end <= begin):
        raise ConfigError(f"A trim is (begin, end) in seconds, from early to late, not {trim}.")
    return begin, end


def _file_chunks(
    path: Path, info: SoundInfo, rate: int, begin: float, end: float | None, offset: float
) -> Iterator[np.ndarray]:
    channels = min(info.channels, 2)
    stop = "" if end is None else f":end={offset + end - begin:.6f}"
    # Samples are placed by their time stamps: a late start or a gap is filled with silence, and nothing drifts.
    filters = (
        f"asetpts=PTS-({info.start + begin - offset:.6f})/TB,atrim=start={max(0.0, offset):.6f}{stop},"
        f"aresample={rate}:async=1:min_hard_comp={LONGEST_GAP}:first_pts=0,"
        f"aformat=channel_layouts={'mono' if channels == 1 else 'stereo'}"
    )
    seek = ["-noaccurate_seek", "-ss", f"{begin - 1:.6f}"] if begin > 1 else []
    process = ffmpeg.Process(
        ["-copyts", *seek, *ffmpeg.source(path), "-map", "0:a:0", "-af", filters, "-f", "f32le", "pipe:1"], fetch=True
    )
    try:
        while True:
            chunk = np.empty((CHUNK, channels), np.float32)
            samples = process.read_into(memoryview(chunk).cast("B")) // (4 * channels)
            if samples:
                yield chunk[:samples]
            if samples < CHUNK:
                break
    finally:
        process.kill()


def _array_chunks(
    waveform: np.ndarray, rate: int, begin: float, end: float | None, offset: float
) -> Iterator[np.ndarray]:
    first = round((begin - min(offset, 0.0)) * rate)
    part = waveform[first : None if end is None else round(end * rate)]
    silence = round(max(offset, 0.0) * rate)
    if silence:
        yield np.zeros((silence, waveform.shape[1]), np.float32)
    for at in range(0, len(part), CHUNK):
        yield part[at : at + CHUNK]


def _waveform(waveform: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """Any waveform as float32 samples x 1 or 2 channels."""
    array = np.asarray(waveform)
    array = np.ascontiguousarray(array[:, None] if array.ndim == 1 else array)
    if array.ndim != 2 or array.shape[1] not in (1, 2) or rate < 1:
        raise InputError(f"An array of shape {array.shape} is not a sound.", "It must be samples, or samples x 1 or 2.")
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.float32) / (np.iinfo(array.dtype).max + 1.0), int(rate)
    return np.nan_to_num(array.astype(np.float32)).clip(-1, 1), int(rate)

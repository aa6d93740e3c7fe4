"""What a clip is: upright size, exact frame rate, length, sound.

ffmpeg prints rates with two decimals and no ffprobe is at hand, so the rate is worked out from the time stamps of the
packets, which ffmpeg lists exactly and without decoding them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..paths import expanded, is_folder
from . import ffmpeg, stills
from .files import check_input
from .pictures import read_picture
from .rates import USUAL, rate_of

SCANNED = 2000  # packets looked at: enough to tell 23.976 from 24 in any container, little enough for a film
_CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "4.0": 4, "quad": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before its frames are decoded.

    width, height: pixels of the upright picture as a player shows it (turned, pixels made square).
    fps: the exact rate; for a variable one the rate at which it will be resampled.
    duration: seconds of picture, None where the file does not say.
    rotation: degrees counterclockwise by which the coded frames are turned to stand upright.
    start, origin: time stamp of the clip's time zero (of the earlier of sound and picture), and seconds from there to
    the first frame.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    duration: float | None = None
    has_sound: bool = False
    sound_rate: int | None = None
    sound_channels: int | None = None
    rotation: int = 0
    is_variable: bool = False
    codec: str = ""
    has_alpha: bool = False
    start: float = 0.0
    origin: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), as arrays have it."""
        return self.height, self.width


@dataclass(frozen=True)
class SoundInfo:
    """Samples per second, channels, and the time stamp of the file's time zero."""

    rate: int
    channels: int
    start: float


def probe(path: str | os.PathLike) -> ClipInfo:
    """Look at a clip (a video file, GIF, animated WebP) or a folder of frames.

    Raises InputError when it is none, has no moving picture, or is too damaged to show one frame.
    """
    if is_folder(path):
        return _probe_folder(expanded(path))
    path = check_input(path, "clip")
    return _probe_webp(path) if stills.is_webp(path) else _probe_video(path)


def probe_sound(path: str | os.PathLike) -> SoundInfo | None:
    """Look at the sound of a clip or sound file; None when it has none. Raises InputError when it is neither."""
    path = check_input(path, "sound")
    if stills.is_webp(path):
        return None
    _, _, text = ffmpeg.run(ffmpeg.source(path), verbose=True)
    return _sound(_input_text(text, path, "sound"))


def _probe_video(path: Path) -> ClipInfo:
    scan = ["-map", "0:V:0", "-c", "copy", "-frames:v", str(SCANNED), "-f", "framecrc", "pipe:1"]
    first = ["-map", "0:V:0", "-frames:v", "1", "-f", "framecrc", "pipe:2"]  # its header has the true upright size
    _, packets, text = ffmpeg.run(["-copyts", *ffmpeg.source(path), *scan, *first], verbose=True)
    about = _input_text(text, path, "clip")
    demuxer = re.search(r"Input #0, ([\w,]+),", about).group(1)
    stream = re.search(r"^ *Stream #0:\d+.*?: Video: (?!.*\(attached pic\)).*", about, re.M)
    sound = _sound(about)
    if demuxer == "tty" or not (stream or sound):
        raise InputError(f"{path} is not a clip.", "Give an MP4, MOV, WebM, AVI or GIF, or a folder of frames.")
    if demuxer.endswith("_pipe") or demuxer == "image2":
        raise InputError(f"{path} is a still picture, not a clip.", "Give a clip of somebody moving.")
    if not stream:
        raise InputError(f"{path} has sound but no moving picture.", "Give a clip; this file can be its sound.")
    decoded = re.search(r"^#dimensions 0: (\d+)x(\d+)\s+#sar 0: (\d+)/(\d+)", text, re.M)
    if not decoded or not re.search(r"^0,\s", text, re.M):
        raise InputError(f"No frame of {path} can be decoded.", "It is damaged or cut off: get it again.")
    width, height = _square(*map(int, decoded.groups()))

    line, start = stream[0], _start(about)
    stamps, tick, end = _stamps(packets)
    printed = [float(number) for number in re.findall(r"([\d.]+) (?:fps|tbr)", line)]
    rate = rate_of(stamps, tick, printed)
    total = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", about, re.M)
    if 0 < len(stamps) < SCANNED:
        duration = max(float(end), rate.begin + float(1 / rate.fps)) - start
    else:
        duration = int(total[1]) * 3600 + int(total[2]) * 60 + float(total[3]) if total else None
    turn = re.search(r"display ?matrix: rotation of (-?[\d.]+)", about[about.index(line) :], re.I)
    return ClipInfo(
        path=path,
        width=width,
        height=height,
        fps=rate.fps,
        duration=duration,
        has_sound=sound is not None,
        sound_rate=sound and sound.rate,
        sound_channels=sound and sound.channels,
        rotation=round(float(turn[1])) % 360 if turn else 0,
        is_variable=rate.is_variable,
        codec=re.search(r"Video: (\w+)", line)[1],
        has_alpha=bool(re.search(r"\b(bgra|rgba|argb|abgr|yuva\w*|gbrap\w*|ya8|ya16\w*|pal8)\b", line)),
        start=start,
        origin=rate.begin - start,
    )


def _input_text(text: str, path: Path, kind: str) -> str:
    """The part of ffmpeg's messages that describes the input."""
    found = re.search(r"^Input #0, .*?(?=^(?:Stream map|Output #0|At least one output)|\Z)", text, re.M | re.S)
    if found:
        return found[0]
    if "moov atom not found" in text and b"ftyp" in _head(path):
        raise InputError(f"{path} is cut off: its index is missing.", "Its recording or download did not end: redo it.")
    raise InputError(f"{path} is not a {kind} that can be read.", "Is it complete? Does a video player open it?")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _sound(about: str) -> SoundInfo | None:
    found = re.search(r"^ *Stream #0:\d+.*?: Audio: .*?(\d+) Hz, ([\w.]+)(?:\([\w-]+\))?(?: (channels))?", about, re.M)
    if not found:
        return None
    channels = int(found[2]) if found[3] else _CHANNELS.get(found[2], 2)
    return SoundInfo(int(found[1]), channels, _start(about))


def _start(about: str) -> float:
    """Time stamp of time zero. Below zero there is only the run-up of a sound decoder, which is not heard."""
    found = re.search(r"^  Duration: .*?start: (-?[\d.]+)", about, re.M)
    return max(0.0, float(found[1])) if found else 0.0


def _square(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Size once the pixels are square; ffmpeg says 0/1 where it does not know their shape."""
    if not across or not down or across == down:
        return width, height
    if across > down:
        return round(width * across / down), height
    return width, round(height * down / across)


def _stamps(packets: str) -> tuple[np.ndarray, Fraction, Fraction]:
    """Time stamps of the frames in order, the seconds they count in, and the seconds at which the last one ends."""
    tick = Fraction(re.search(r"^#tb 0: (\d+/\d+)", packets, re.M)[1]) if packets else Fraction(1, 1000)
    frames = []
    for line in packets.splitlines():
        fields, flags = line.split(","), re.search(r"F=0x([0-9A-Fa-f]+)", line)
        if line.startswith("#") or len(fields) < 6 or (flags and int(flags[1], 16) & 4):
            continue  # flag 4: only decoded for the sake of later frames, not shown
        dts, pts, length = map(int, fields[1:4])
        stamp = pts if pts > -(1 << 62) else dts  # AVI has no presentation times
        if stamp > -(1 << 62):
            frames.append((stamp, length))
    frames.sort()
    return np.array([stamp for stamp, _ in frames], np.int64), tick, sum(frames[-1]) * tick if frames else Fraction(0)


def _probe_folder(folder: Path) -> ClipInfo:
    names = stills.pictures_in(folder)
    height, width = read_picture(names[0]).shape[:2]
    return ClipInfo(folder, width, height, USUAL, len(names) / float(USUAL), codec="folder", has_alpha=True)


def _probe_webp(path: Path) -> ClipInfo:
    width, height, lengths = stills.webp_frames(path)
    if len(lengths) < 2:
        raise InputError(f"{path} is a still picture, not a clip.", "Give a clip of somebody moving.")
    rate = rate_of(np.cumsum([0, *lengths[:-1]]), Fraction(1, 1000), [])
    return ClipInfo(
        path,
        width,
        height,
        rate.fps,
        sum(lengths) / 1000,
        is_variable=rate.is_variable,
        codec="webp",
        has_alpha=True,
        origin=rate.begin,
    )

"""A finished clip: where it is, what it is, and how it shows itself in a notebook."""

from __future__ import annotations

import base64
import html
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from . import media
from .errors import InputError, ToolkitError
from .media.files import CLIP_ENDINGS, replacing
from .platform import INLINE
from .translations import translate

EMBEDDED = INLINE  # bytes
PREVIEW = 20.0  # seconds shown of a larger clip, at most
PREVIEW_SIDES = (480, 200)  # pixels of its shorter side: the most, and what it is shortened rather than made smaller
PREVIEW_QUALITY = {"quality": 28, "sound_quality": 48}
TRIES = 3  # until it is small enough; the second most often is
PLAYED = {"h264": "video/mp4", "vp8": "video/webm", "vp9": "video/webm", "av1": "video/mp4"}  # by every browser
KEPT = 4  # previews
PICTURES = {"gif": "image/gif", "webp": "image/webp"}

_previews: dict[tuple[str, int, int], tuple[bytes, float]] = {}  # of a file as it is (path, time of change, size)


@dataclass(frozen=True)
class Clip:
    """A clip on disk, as `toolkit.animate` returns it; evaluated in a notebook cell it plays.

    path: the file. fps: exact frames a second. frames: their number. size: (height, width) in pixels.
    report: what was decided and noticed while it was made.
    """

    path: Path
    fps: Fraction
    frames: int
    size: tuple[int, int]
    has_sound: bool = False
    codec: str = "h264"
    report: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: str | os.PathLike, report: dict[str, Any] | None = None) -> Clip:
        """Look at a clip on disk. Raises InputError when it is none."""
        info = media.probe(path)
        frames = media.expected_frames(info)
        if frames is None:  # a long recording that was never finished: its frames have to be counted
            with media.read_frames(info, fit=media.Fit(16)) as all_frames:
                frames = sum(1 for _ in all_frames)
        return cls(Path(path).expanduser(), info.fps, frames, info.size, info.has_sound, info.codec, report or {})

    @property
    def seconds(self) -> float:
        return float(self.frames / self.fps)

    def picture(self, t: float = 0.0) -> np.ndarray:
        """The frame that is seen `t` seconds after the beginning, uint8 H x W x 3."""
        if not 0 <= t <= self.seconds:
            raise InputError(f"{self.path} has no picture at {t} s.", f"It is {self.seconds:.2f} s long.")
        number = min(int(t * self.fps + 1e-6), self.frames - 1)
        with media.read_frames(self.path, fps=self.fps, trim=(float(number / self.fps), None)) as frames:
            return next(frames)

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> Clip:
        """Copy the clip to another place, or convert it to .mp4, .gif or .webp by the ending, and return that clip."""
        same = Path(path).suffix.lower() == self.path.suffix.lower()
        path = media.check_output(path, overwrite, tuple({*CLIP_ENDINGS, self.path.suffix.lower()}))
        if path.exists() and path.samefile(self.path):
            return self
        if same:
            with replacing(path) as temporary:
                shutil.copyfile(self.path, temporary)
        else:
            self._write(path, overwrite=overwrite)
        return Clip.open(path, self.report)

    def show(self) -> None:
        """Play the clip in a notebook; elsewhere print what and where it is."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            print(self)
        else:
            display(self) if get_ipython() else print(self)

    def __str__(self) -> str:
        return translate(self._about())

    def _about(self) -> str:
        height, width = self.size
        sound = "with sound" if self.has_sound else "no sound"
        return f"{self.path} ({width} x {height}, {self.seconds:.1f} s, {float(self.fps):.5g} frames a second, {sound})"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, language: str | None = None
    ) -> dict[str, str]:
        """language: of a panel that shows it; None for TOOLKIT_LANG's."""
        try:
            return {"text/plain": translate(self._about(), language), "text/html": self._html(language)}
        except (
            OSError,
            ToolkitError,
        ) as error:  # moved or deleted since: a cell that shows it again must not fail
            return {"text/plain": translate(f"{self._about()} cannot be shown: {error}", language)}

    def _html(self, language: str | None) -> str:
        note, width = self._about(), min(640, max(256, self.size[1]))
        kind = PLAYED.get(self.codec) or PICTURES.get(self.codec)
        if kind and self.path.stat().st_size <= EMBEDDED:
            data = self.path.read_bytes()
        else:
            (data, seconds), kind = self._preview(), "video/mp4"
            short = f"A small preview of the first {seconds:.3g} s of {note}"
            note = short if self.seconds > seconds else f"A small preview of {note}"
        url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        shown = (
            f'<img src="{url}" width="{width}" style="max-width: 100%" alt="">'
            if kind in PICTURES.values()
            else f'<video src="{url}" width="{width}" style="max-width: 100%" controls loop playsinline></video>'
        )
        return f"<div>{shown}<br><small>{html.escape(translate(note, language))}</small></div>"

    def _preview(self) -> tuple[bytes, float]:
        """A copy small enough to live in a page, with sound, and the seconds that it shows. That of the last
        clips is kept, as it is shown again in another language, or another cell.
        """
        stat = self.path.stat()
        key = str(self.path.absolute()), stat.st_mtime_ns, stat.st_size
        if (data := _previews.get(key)) is None:
            data = self._small()
            _previews[key] = data
            for old in list(_previews)[:-KEPT]:
                _previews.pop(old, None)
        return data

    def _small(self) -> tuple[bytes, float]:
        largest, smallest = PREVIEW_SIDES
        side, seconds = min(largest, *self.size), min(PREVIEW, self.seconds)
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "preview.mp4"
            for _ in range(TRIES):
                height, width = (max(16, round(n * side / min(self.size) / 2) * 2) for n in self.size)
                fit = media.Fit((height, width))
                self._write(small, fit=fit, trim=(0, seconds), overwrite=True, **PREVIEW_QUALITY)
                share = 0.9 * EMBEDDED / (size := small.stat().st_size)  # bytes go with pixels and seconds, nearly
                if size <= EMBEDDED:
                    break
                wanted = side * share**0.5
                side = max(wanted, min(smallest, side))
                seconds = min(seconds, max(1.0, seconds * (wanted / side) ** 2))
            return small.read_bytes(), seconds

    def _write(
        self,
        path: Path,
        fit: media.Fit | None = None,
        trim: tuple[float, float] | None = None,
        **options: Any,
    ) -> None:
        channels = 4 if path.suffix.lower() in (".gif", ".webp") and self.codec in PICTURES else 3
        sound = self.path if self.has_sound else None
        with (
            media.read_frames(self.path, fit=fit, trim=trim, batch=16, channels=channels) as frames,
            media.Writer(path, frames.fps, sound=sound, sound_trim=trim, **options) as writer,
        ):
            for batch in frames:
                writer.write(batch)

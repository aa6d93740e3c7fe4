"""Frames into a clip: H.264 with AAC sound, a GIF, or an animated WebP; whole or not at all."""

from __future__ import annotations

import math
import os
import queue
import threading
import weakref
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import ConfigError, OutputError
from . import ffmpeg
from .files import MARK, check_output, free_name, made_here, partial
from .marks import mark_gif, mark_webp
from .pictures import flatten
from .rates import as_rate
from .sound import Sound, check_sound, sound_chunks

STICKER_FPS = 30  # the most for GIF and WebP: browsers slow faster GIFs down to 10
AHEAD = 8_000_000  # bytes of frames that may wait while the encoder is busy
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Chroma from all pixels, colours as HD television has them, and tags that say so: what a player undoes exactly.
YUV420 = (
    "scale=in_range=full:out_range=limited:out_color_matrix=bt709:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp,"
    "format=yuv420p,setparams=range=limited:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
BT709 = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
ABOUT = ["-map_metadata", "-1", "-metadata", f"comment={MARK}"]


class Writer:
    """Writes frames to `path`: .mp4 (H.264 yuv420p, AAC, index first), .gif or .webp (both looping, without sound).

        with Writer("out.mp4", Fraction(30000, 1001), sound="driving.mp4") as writer:
            for frame in frames:
                writer.write(frame)

    The file appears under its name when the block ends well; after an exception nothing is left of it.

    fps: the exact rate. size: (height, width) of the frames; by default the first one tells. overwrite: replace a file
    that the toolkit did not make. quality: x264's crf; 18 is visually clean, more is smaller.
    sound: a clip or sound file, or (waveform of samples [x channels], samples a second). sound_trim: (begin, end), the
    seconds of it to use. sound_offset: the second of the picture at which they begin. Sound and picture end together.
    sound_quality: kbit/s of each channel.

    Afterwards `path`, `fps`, `frames`, `size` (height, width) and `has_sound` say what was written: .mp4 frames of odd
    size get one more row or column, .gif and .webp above 30 frames a second only every second (third, …) frame.
    Raises OutputError when the path cannot be written (at once, where that can be known) or ffmpeg fails, InputError
    when the sound cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        fps: Fraction | float,
        size: tuple[int, int] | None = None,
        *,
        sound: Sound | None = None,
        sound_trim: tuple[float | None, float | None] | None = None,
        sound_offset: float = 0.0,
        overwrite: bool = False,
        quality: int = 18,
        sound_quality: int = 96,
    ) -> None:
        rate = as_rate(fps)
        if rate <= 0:
            raise ConfigError(f"A frame rate is above zero, not {fps}.")
        self.path = check_output(path, overwrite)
        self._kind = self.path.suffix.lower()
        self._every = 1 if self._kind == ".mp4" else math.ceil(rate / STICKER_FPS)
        self.fps = rate / self._every
        self.frames = 0
        self.size: tuple[int, int] | None = None
        self._shape: tuple[int, ...] | None = tuple(size) if size else None
        self._sound = sound if self._kind == ".mp4" else None
        self._sound_info = check_sound(sound) if self._sound is not None else None
        self._sound_trim, self._sound_offset = sound_trim, sound_offset
        self._overwrite, self._quality, self._sound_quality = overwrite, quality, sound_quality
        self._given = 0
        self._closed = False
        self._process: ffmpeg.Process | None = None
        self._result = partial(self.path)
        self._draft = self._result.with_suffix(".draft" + {".gif": ".mkv"}.get(self._kind, self._kind))
        self._palette, self._plain = self._result.with_suffix(".png"), self._result.with_suffix(".plain.gif")
        self._temporary = self._result, self._draft, self._palette, self._plain
        self._running: list[ffmpeg.Process] = []
        weakref.finalize(self, _clear, self._running, self._temporary)  # also when Python ends in the middle
        self._trouble: Exception | None = None
        self._feeder = threading.Thread(target=self._feed, daemon=True)

    @property
    def has_sound(self) -> bool:
        return self._sound_info is not None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, frames: np.ndarray) -> None:
        """Take a uint8 H x W x 3 or 4 frame or a batch N x H x W x 3 or 4; .webp and .gif keep transparency, over .mp4
        frames it is laid over white. Returns before the frames are encoded; the array may be reused at once.
        """
        if self._closed:
            raise ConfigError(f"{self.path} is already closed.")
        frames = self._checked(np.asarray(frames))
        kept = frames[-self._given % self._every :: self._every]
        self._given += len(frames)
        if not len(kept):
            return
        if self._process is None:
            self._start(*kept.shape[1:])
        if self._process.ended or self._trouble:
            self._fail(self._process)
        for frame in kept:
            self._queue.put(np.array(frame, order="C"))
        self.frames += len(kept)

    def close(self) -> None:
        """Finish the file and give it its name. Raises OutputError when that fails or no frame was written."""
        if self._closed:
            return
        try:
            if self._process is None:
                raise OutputError(f"No frame was written to {self.path}.", "Is the clip, or the part of it, empty?")
            self._queue.put(None)
            self._feeder.join()
            if self._process.finish() or self._trouble:
                self._fail(self._process)
            if self._kind == ".gif":
                self._make_gif()
            elif self._kind == ".webp":
                mark_webp(self._result, self._shape[2] == 4)
            elif self.has_sound:
                self._add_sound()
            if not self._overwrite and not made_here(self.path):
                self.path = free_name(self.path)  # somebody put a file there meanwhile: keep both
            os.replace(self._result, self.path)
        except OSError as error:
            raise OutputError(
                f"{self.path} could not be written: {error.strerror or error}.", "Is the disk full?"
            ) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Stop and leave nothing behind. Harmless when repeated, or after close."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            if self._feeder.is_alive():  # its next write fails, then it drops what waits
                self._queue.put(None)
                self._feeder.join()
        _clear([], self._temporary)

    def _checked(self, frames: np.ndarray) -> np.ndarray:
        """As N x H x W x C, ready for the container."""
        frames = frames[None] if frames.ndim == 3 else frames
        if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[3] not in (3, 4):
            raise ConfigError(f"Frames are uint8 H x W x 3 or 4, not {frames.dtype} of shape {frames.shape}.")
        shape = self._shape or frames.shape[1:]
        if frames.shape[1:3] != shape[:2] or (len(shape) == 3 and shape[2] != frames.shape[3]):
            raise ConfigError(f"Frames of shape {frames.shape[1:]} do not go into a clip of {shape}.")
        self._shape = frames.shape[1:]
        if self._kind != ".mp4":
            return frames
        frames = flatten(frames)
        height, width = frames.shape[1:3]
        if height % 2 or width % 2:  # yuv420p has one colour for 2 x 2 pixels
            frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return frames

    def _start(self, height: int, width: int, channels: int) -> None:
        self.size = (height, width)
        raw = ["-f", "rawvideo", "-pix_fmt", "rgba" if channels == 4 else "rgb24", "-s", f"{width}x{height}"]
        if self._kind == ".gif":
            coding = ["-c:v", "ffv1", "-pix_fmt", "bgra" if channels == 4 else "bgr0", ffmpeg.target(self._draft)]
        elif self._kind == ".webp":
            coding = ["-c:v", "libwebp_anim", "-pix_fmt", "bgra", "-quality", "85", "-loop", "0"]
            coding.append(ffmpeg.target(self._result))
        else:
            coding = ["-vf", YUV420, "-c:v", "libx264", "-preset", "faster", "-crf", str(self._quality), *BT709]
            draft = [ffmpeg.target(self._draft)]
            coding += draft if self.has_sound else [*ABOUT, "-movflags", "+faststart", ffmpeg.target(self._result)]
        # Not -framerate: from that ffmpeg guesses a "usual" rate, and 120000/1001 becomes 120.
        self._process = ffmpeg.Process([*raw, "-r", str(self.fps), "-i", "pipe:0", *coding], feed=True)
        self._running.append(self._process)
        self._queue: queue.Queue[np.ndarray | None] = queue.Queue(max(2, AHEAD // (height * width * channels)))
        self._feeder.start()

    def _feed(self) -> None:
        """In a thread of its own, so that encoding and the making of the next frames overlap."""
        while (frame := self._queue.get()) is not None:
            if self._trouble is None:  # else empty the queue, or write would wait for ever
                try:
                    self._process.write(frame.data)
                except Exception as error:  # most likely ffmpeg has died; write and close tell of it
                    self._trouble = error

    def _add_sound(self) -> None:
        info = self._sound_info
        channels, rate = min(info.channels, 2), str(info.rate if info.rate in AAC_RATES else 48000)
        raw = ["-f", "f32le", "-ar", str(info.rate), "-ac", str(channels), "-i", "pipe:0"]
        aac = ["-c:a", "aac", "-b:a", f"{self._sound_quality * channels}k", "-ar", rate]
        coding = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", *aac, *ABOUT]
        mux = ffmpeg.Process(
            [*ffmpeg.source(self._draft), *raw, *coding, "-movflags", "+faststart", ffmpeg.target(self._result)],
            feed=True,
        )
        samples = round(self.frames / self.fps * info.rate)
        chunks = sound_chunks(self._sound, info, samples, self._sound_trim, self._sound_offset)
        try:
            for chunk in chunks:
                mux.write(chunk.data)
            if mux.finish():
                self._fail(mux)
        except BrokenPipeError:
            self._fail(mux)
        finally:
            chunks.close()
            mux.kill()

    def _make_gif(self) -> None:
        """One palette for the whole clip, found in a first pass over the lossless draft, applied in a second."""
        draft, keep = ffmpeg.source(self._draft), self._shape[2] == 4
        find = f"palettegen=reserve_transparent={int(keep)}"
        use = "paletteuse=dither=sierra2_4a:diff_mode=rectangle"
        palette = ffmpeg.target(self._palette)
        for step in (
            [*draft, "-vf", find, "-frames:v", "1", palette],
            [*draft, *ffmpeg.source(self._palette), "-lavfi", use, "-loop", "0", ffmpeg.target(self._plain)],
        ):
            process = ffmpeg.Process(step)
            try:
                if process.finish():
                    self._fail(process)
            finally:
                process.kill()
        mark_gif(self._plain, self._result)

    def _fail(self, process: ffmpeg.Process) -> None:
        process.kill()
        said = process.complaint.rstrip(".")
        raise OutputError(f"{self.path} could not be written: {said}.", "Is the disk full?") from self._trouble


def _clear(running: Iterable[ffmpeg.Process], temporary: Iterable[Path]) -> None:
    """End what still writes, then remove what it wrote."""
    for process in running:
        process.kill()
    for file in temporary:
        file.unlink(missing_ok=True)

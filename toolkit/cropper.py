"""`crop`: a picture or a clip cut to a face as a model wants it, as a file of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError
from .faces import cropping, steady
from .faces.cropping import Box
from .faces.finding import is_clip
from .media.pictures import PICTURE_ENDINGS
from .media.sound import check_sound, sound_chunks
from .paths import results_folder
from .progress import Progress
from .track import DEFAULT_MODEL, Model, name_of
from .translations import translate

GAP = 0.5  # seconds for which a lost face is held even where lost ones are cut: a blink of the finder
LARGEST = 2048  # pixels of a clip's side that is not asked for


@dataclasses.dataclass(frozen=True, eq=False)
class Cropped:
    """A cropped picture; evaluated in a notebook cell it shows itself.

    picture: uint8 side x side x 3 or 4. box: what it shows, in pixels of the whole picture; None where that is all.
    path: where it was written, if it was. notes: what was done.
    """

    picture: np.ndarray
    box: Box | None
    path: Path | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        return "\n".join([f"{self.path or translate('A picture')} ({width} x {height})", *map(translate, self.notes)])

    def _repr_png_(self) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.picture).save(file, "PNG")
        return file.getvalue()


def crop(
    source: Any,
    output: str | Path | None = None,
    *,
    model: Model = None,
    recipe: str | None = None,
    box: tuple[float, float, float, float] | None = None,
    pick: Any = None,
    follow: float = 0.0,
    lost: str = "hold",
    size: int | None = None,
    trim: tuple[float | None, float | None] | None = None,
    overwrite: bool = False,
    progress: bool | Callable[[str, int, int | None], None] = True,
) -> Cropped | Clip:
    """Cut a picture or a clip to a face, square, as a model's training pictures were cut; nothing is squashed.

    source: a picture as `animate` takes it, or a clip (also an array T x H x W x 3).
    output: a .png, .jpg or .webp for a picture (None: it is not written), .mp4, .gif or .webp for a clip (None: a free
        name in `results/`).
    model: for which one; a name of the zoo is not fetched for it. recipe: instead, "face" (as VoxCeleb), "head" (anime,
        as Talking Head Anime wants it), "bust" (head and shoulders, as the models that ship) or "whole" (the middle
        square).
    box: (x, y, width, height) in pixels, what to use instead; it may reach beyond the picture.
    pick: which face, by number (0 is the largest) or by a point (x, y) in it.
    follow: 0, a clip's box stands still in each scene; up to 1, it goes softly with the face.
    lost: where a clip's face is lost, "hold" the last box, or "cut" those frames out, with their sound (not for less
        than half a second).
    size: side of the result in pixels (default: as it is).
    A clip's report tells the boxes, the notes, and the seconds (begin, end) at which the face was lost. Raises
    InputError where no face is found, ConfigError, OutputError.
    """
    cropping.check_follow(follow)
    if lost not in ("hold", "cut"):
        raise ConfigError(f"lost is {lost!r}.", "Choose 'hold' (the last box) or 'cut' (leave those frames out).")
    if size is not None and not 16 <= size <= 4096:
        raise ConfigError(f"size is {size}.", "Give a side of 16 to 4096 pixels.")
    box = cropping.asked((box, None))[0]
    if box == "auto":
        box = None
    how = cropping.named(recipe if recipe is not None else _recipe_of(model))
    if not is_clip(source):
        return _picture(source, output, how, box, cropping.picks(pick)[0], size, overwrite)
    path = (
        media.free_name(results_folder() / f"{Path(name_of(source, 'clip')).stem}--crop.mp4")
        if output is None
        else media.check_output(output, overwrite)
    )
    with Progress(progress) as bar:
        look = {"pick": cropping.picks(pick)[0], "follow": follow, "trim": trim}
        return _Cutter(source, how, box, look, bar).write(path, size, lost == "cut", overwrite)


def _recipe_of(model: Model) -> str:
    """How a model's training pictures were cut. A name of the zoo is built without its weights."""
    from . import models, zoo

    if not isinstance(model, str | Path | None):
        return model.info.crop
    name = str(model or DEFAULT_MODEL)
    known = {entry.name: entry for entry in zoo.entries().values() if entry.model and entry.config}
    if name not in known:
        return zoo.load(name).info.crop
    import torch

    with torch.device("meta"):
        return models.build(known[name].model, known[name].config).info.crop


def _picture(
    source: Any, output: str | Path | None, how: Any, box: Box | None, pick: Any, size: int | None, overwrite: bool
) -> Cropped:
    if output is not None:
        media.check_output(output, overwrite, PICTURE_ENDINGS)
    picture = media.read_picture(source, channels=4)
    notes = []
    if box is None and how is not None:
        box, said = cropping.in_picture(picture, how, pick, name=name_of(source, "The picture"), strict=True)
        notes = [said]
    side = size or max(1, round(min(box[2:] if box else picture.shape[:2])))
    picture = media.Fit(side, "crop", box).apply(picture)
    if picture[..., 3].min() == 255:
        picture = media.flatten(picture)
    path = None if output is None else media.write_picture(output, picture, generated=False, overwrite=overwrite)
    return Cropped(picture, box, path, notes)


class _Cutter:
    """A clip that is cut: where, and which of its frames show the face."""

    def __init__(self, clip: Any, how: Any, box: Box | None, look: dict[str, Any], bar: Progress) -> None:
        self.clip, self.trim, self.bar = clip, look["trim"], bar
        with closing(media.read_frames(clip, trim=self.trim)) as frames:
            self.info, self.fps, self.total = frames.info, frames.fps, frames.expected
        self.steady, self.notes = None, []
        if box is not None:
            self.steady = steady.Steady.given(box)
        elif how is not None:
            bar.start("looking for the face", self.total)
            self.steady, said = steady.of_clip(clip, self.info, how, **look, strict=True, step=bar.step)
            self.notes = [said]

    def write(self, path: Path, size: int | None, cut: bool, overwrite: bool) -> Clip:
        sides = [min(self.info.size)] if self.steady is None else self.steady.boxes[:, 2:].min(1)
        side = size or min(LARGEST, max(16, round(float(np.max(sides)) / 2) * 2))
        gaps = self.steady.gaps if self.steady else []
        out = [gap for gap in gaps if gap[1] - gap[0] >= GAP * self.fps] if cut else []
        if gaps:
            count = sum(last - first for first, last in out)
            what = "the last box was held" if not out else f"{count} of them were cut out"
            self.notes.append(f"{self.steady.lost_words}; {what}.")
        self.bar.start("cropping", self.total)
        with contextlib.ExitStack() as stack:
            sound, span = self._sound(out, stack)
            writer = stack.enter_context(
                media.Writer(path, self.fps, sound=sound, sound_trim=span, overwrite=overwrite)
            )
            for number, frame in enumerate(self._frames(side, stack)):
                if not any(first <= number < last for first, last in out):
                    writer.write(frame)
                self.bar.step()
        seconds = [tuple(round(float(end / self.fps), 3) for end in gap) for gap in gaps]
        for note in self.notes:
            self.bar.say(note)
        box = None if self.steady is None else self.steady.report()
        return Clip.open(writer.path, {"crop": {"clip": box, "lost": seconds}, "notes": self.notes})

    def _frames(self, side: int, stack: contextlib.ExitStack) -> Iterator[np.ndarray]:
        frames = steady.read(self.clip, self.steady, side, "crop", fps=self.fps, trim=self.trim)
        return stack.enter_context(closing(frames))

    def _sound(self, out: list[tuple[int, int]], stack: contextlib.ExitStack) -> tuple[Any, Any]:
        """The clip's sound, and which part of it; what is cut out of the picture is cut out of it."""
        if not self.info.has_sound:
            return None, None
        if not out:
            return self.clip, self.trim
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        about, begin = check_sound(self.clip), (self.trim or (0,))[0] or 0.0
        ends = [0, *(end for gap in out for end in gap), len(self.steady.lost)]
        with wave.open(str(Path(folder) / "sound.wav"), "wb") as file:
            file.setparams((min(about.channels, 2), 2, about.rate, 0, "NONE", ""))
            for first, last in zip(ends[::2], ends[1::2], strict=True):
                span = tuple(begin + float(Fraction(end) / self.fps) for end in (first, last))
                count = round(last / self.fps * about.rate) - round(first / self.fps * about.rate)
                for chunk in sound_chunks(self.clip, about, count, span) if count else ():
                    file.writeframes((np.clip(chunk, -1, 1) * 32767).astype("<i2").tobytes())
        return Path(folder) / "sound.wav", None

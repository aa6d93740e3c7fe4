"""Tracks -> clip: one picture that follows one driver is a track; a result is one or more of them on a canvas.

Two passes. The first reads the driver and keeps only its `Motion` (kilobytes a second): the reference frame and the
smoothing are chosen there. The second renders in batches while the writer encodes. Neither ever holds more than a few
batches of frames.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError, InputError
from .progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from .models.base import Animator, Motion
    from .runner import Runner

DEFAULT_MODEL = "mini-fomm"
Picture = Any  # a path, an H x W x C array, a PIL picture, or a Source
Driving = Any  # a path of a clip, a folder of frames, a Motion or a file of one


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
    sound: str | Path | None = "driving",
    size: int | None = None,
    side_by_side: bool = False,
    output: str | Path | None = None,
    progress: bool | Callable[[str, int, int | None], None] = True,
    fit: str = "crop",
    overwrite: bool = False,
    device: str | None = None,
    precision: str = "auto",
) -> Clip:
    """Make the picture move as the driving clip does, with its sound.

    picture: a file, a uint8 H x W x C array, a PIL picture, or a `Source`.
    driving: a clip, a folder of frames, or a `Motion` (also a saved one).
    model: a name, a checkpoint file or a loaded animator; None is the small model that ships with the toolkit.
    mode: "relative" (the picture moves as the driver moves from the reference frame on), "absolute" (it takes the
        driver's own pose), "avd" (MRAA and TPSMM: shape and pose taken apart), or "auto", the model's default.
    adapt_scale: a larger or smaller head moves more or less.
    reference: where driver and picture are taken to agree: "best" (the driver's frame nearest to the picture's pose),
        "first", a frame number (int, from 0) or a time in seconds (float).
    strength: 1 is the driver's motion; less calms, more exaggerates.
    smooth: standard deviation of a zero-lag Gaussian over time, in frames; 0 leaves the motion untouched.
    trim: (begin, end) in seconds of the driver; None for an open end.
    sound: "driving" (the driver's), another file, or None.
    size: side of the result in pixels (default: the model's own).
    side_by_side: picture, driver and result beside each other.
    output: a path ending in .mp4, .gif or .webp; None finds a free name in `results/`. A file that the toolkit did not
        make is never overwritten unless `overwrite`.
    progress: True, False, or a function called as `f(label, done, total)`.
    fit: a picture or clip that isn't square is cut to its middle ("crop") or kept whole ("pad"); never squashed.
    device, precision: "auto" measures what is fastest; precision "fp32" gives the published numbers.
    Raises InputError, OutputError, CheckpointError or ConfigError, each naming the file or argument and the remedy.
    """
    motion = {"mode": mode, "adapt_scale": adapt_scale, "reference": reference, "strength": strength, "smooth": smooth}
    track = Track(picture, driving, model, **motion, trim=trim, fit=fit, device=device, precision=precision)
    return render(
        [track],
        output,
        sound=sound,
        size=size,
        side_by_side=side_by_side,
        overwrite=overwrite,
        progress=progress,
    )


@dataclasses.dataclass
class Track:
    """One picture that follows one driver; the fields are the arguments of `animate`.

    After `prepare`: `motion` has one row a frame of the result, `fps` is its rate and `report` says what was decided.
    """

    picture: Picture
    driving: Driving
    model: str | Path | Animator | Runner | None = None
    mode: str = "auto"
    adapt_scale: bool = True
    reference: str | int | float = "best"
    strength: float = 1.0
    smooth: float = 0.0
    trim: tuple[float | None, float | None] | None = None
    fit: str = "crop"
    device: str | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        self.report: dict[str, Any] = {}
        _check_number("strength", self.strength, "Give 0 (still) to about 2; 1 is the driver's own motion.")
        _check_number(
            "smooth", self.smooth, "Give a number of frames: 0 leaves the motion untouched, 1 to 3 calms jitter."
        )
        if self.fit not in ("crop", "pad"):
            raise ConfigError(
                f"fit is {self.fit!r}.", "Choose 'crop' (cut to the middle square) or 'pad' (keep all of it)."
            )

    # -- pass 1 ------------------------------------------------------------------------------------------------------

    def prepare(self, bar: Progress) -> None:
        """Read picture and driver; leave the motion that the picture is to follow."""
        from .models.base import Source

        # What can be wrong with a file is said before the model is loaded.
        ready = isinstance(self.picture, Source)
        pixels = None if ready else media.read_picture(self.picture, channels=4)
        self.template = _template(self.driving)
        self.info = None if self.template is not None else media.probe(self.driving)
        self.fps = self.info.fps if self.info else Fraction(25)  # a template carries no rate of its own
        self.runner = _runner(self.model, self.device, self.precision)
        mode = self.runner.check_mode(self.mode)
        self.side = self.runner.info.size

        self._visible: tuple[slice, slice] = (slice(None), slice(None))
        self.still: np.ndarray | None = None  # the picture as the model sees it, H x W x 3
        if ready:
            self.source = self.picture
        else:
            way = media.Fit(self.side, self.fit)
            square, plan = way.apply(pixels), way.plan(*pixels.shape[:2])
            (top, left), (height, width) = plan.corner, plan.inner
            self._visible = slice(top, top + height), slice(left, left + width)
            flat = media.flatten(square)
            self.still = flat[self._visible]
            self.source = self.runner.encode(square if self.runner.info.channels == 4 else flat)

        if self.template is not None:
            if self.template.model != self.runner.info.model:
                raise ConfigError(
                    f"The motion was recorded with {self.template.model}, but the model is {self.runner.info.model}.",
                    "Use the model that recorded it, or give the clip itself.",
                )
            motion, distance = self.template, self.runner.distance(self.source, self.template)
        else:
            motion, distance = self._read_driver(bar)
        if self.smooth:
            motion = self.runner.settle(smoothed(motion, self.runner.linear, self.smooth))
        index = reference_row(self.reference, distance, motion.valid, self.fps)
        self.motion = self.runner.transfer(
            self.source,
            motion,
            reference=motion[index],
            mode=mode,
            adapt_scale=self.adapt_scale,
            strength=self.strength,
        )
        self.report = {
            "model": f"{self.runner.info.model} {self.runner.info.config}",
            "mode": mode,
            "reference": {
                "frame": index,
                "seconds": round(float(index / self.fps), 3),
                "chosen": self.reference,
                "distance": round(float(distance[index]), 4),
            },
            "device": self.runner.describe(),
        }

    def _read_driver(self, bar: Progress) -> tuple[Motion, Tensor]:
        import torch

        from .models.base import Motion

        motions, distances = [], []
        bar.start("reading the motion", media.expected_frames(self.info, self.trim))
        with closing(self.driver()) as frames:
            for batch in _batches(frames, self.runner.plan.batch):
                motion = self.runner.motion(batch)
                motions.append(motion)
                distances.append(self.runner.distance(self.source, motion))
                if len(motions) == 64:  # many small tensors would split the heap: large ones no longer fit
                    motions, distances = [Motion.cat(motions)], [torch.cat(distances)]
                bar.step(len(batch))
        if not motions:
            raise InputError(
                f"{self.driving} has no frames between {_span(self.trim)}.", "Choose a part inside the clip."
            )
        return Motion.cat(motions), torch.cat(distances)

    def driver(self) -> Iterator[np.ndarray]:
        """The driver's frames as the model sees them, uint8 side x side x 3, at its own rate."""
        return media.read_frames(self.driving, fps=self.fps, trim=self.trim, fit=media.Fit(self.side, self.fit))

    def reference_picture(self) -> np.ndarray | None:
        """The driver's frame where the two are taken to agree, uint8 side x side x 3 (None for a motion template)."""
        if self.template is not None:
            return None
        with closing(self.driver()) as frames:
            return next(islice(frames, self.report["reference"]["frame"], None), None)

    # -- pass 2 ------------------------------------------------------------------------------------------------------

    def frames(self) -> Iterator[np.ndarray]:
        """Rendered frames, uint8 H x W x C: square, or cut back to the picture's own shape where it was padded."""
        for start in range(0, len(self.motion), self.runner.plan.batch):
            rows = self.motion[start : start + self.runner.plan.batch]
            for frame in self.runner.render(self.source, rows):
                yield frame[self._visible]


def render(
    tracks: Sequence[Track],
    output: str | Path | None = None,
    *,
    sound: str | Path | None = "driving",
    size: int | None = None,
    side_by_side: bool = False,
    overwrite: bool = False,
    progress: bool | Callable[[str, int, int | None], None] = True,
) -> Clip:
    """Compose the tracks left to right and write the clip; the first gives rate and sound. Else as `animate`."""
    first, began = tracks[0], time.perf_counter()
    if size is not None and not 16 <= size <= 4096:
        raise ConfigError(f"size is {size}.", "Give a side of 16 to 4096 pixels.")
    # What is impossible is said before the work, not after it.
    path = media.check_output(output, overwrite) if output is not None else _free_output(first)
    if sound not in (None, "driving"):
        media.check_sound(sound)

    with Progress(progress) as bar:
        for track in tracks:
            track.prepare(bar)
        length = min(len(track.motion) for track in tracks)
        note = ""
        if sound == "driving" and (first.info is None or not first.info.has_sound):
            sound, note = None, "The driving clip has no sound, so the result has none."
        pass2 = time.perf_counter()
        with closing(canvas(tracks, size, side_by_side)) as frames:
            one = next(frames)
            bar.start("animating", length)
            with media.Writer(
                path,
                first.fps,
                overwrite=overwrite,
                sound=first.driving if sound == "driving" else sound,
                sound_trim=first.trim if sound == "driving" else None,
            ) as writer:
                for frame in chain([one], islice(frames, length - 1)):
                    writer.write(frame)
                    bar.step()
        notes = [text for text in (*first.runner.notes, note, _domain_note(first)) if text]
        for text in notes:
            bar.say(text)
    now = time.perf_counter()
    report = {
        **first.report,
        "notes": notes,
        "took": {"seconds": round(now - began, 2), "rendering frames a second": round(length / (now - pass2), 1)},
    }
    return Clip.open(path, report=report)


def canvas(tracks: Sequence[Track], size: int | None, side_by_side: bool) -> Iterator[np.ndarray]:
    """The composed frames, uint8 H x W x C: each track's result, after picture and driver if `side_by_side`."""
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


# -- motion ----------------------------------------------------------------------------------------------------------


def smoothed(motion: Motion, linear: Sequence[str], sigma: float) -> Motion:
    """A zero-lag Gaussian (standard deviation `sigma`, in frames) over the linear tensors; lost rows don't count."""
    import torch

    reach = max(1, int(4 * sigma + 0.5))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)[None, None]

    def blur(rows: Tensor) -> Tensor:  # T x C -> T x C
        return torch.nn.functional.conv1d(rows.T[:, None], kernel, padding=reach)[:, 0].T

    weight = motion.valid.double()[:, None]
    total = blur(weight).clamp_min(1e-12)
    out = {}
    for name in linear:
        rows = motion[name].double().reshape(len(motion), -1)
        out[name] = (blur(rows * weight) / total).reshape(motion[name].shape).to(motion[name].dtype)
    return motion.replace(**out)


def reference_row(reference: str | int | float, distance: Tensor, valid: Tensor, fps: Fraction) -> int:
    """Resolve the `reference` argument of `animate` to a row; ConfigError where there is none."""
    count = len(distance)
    if reference == "first":
        return int(valid.int().argmax())
    if reference == "best":
        return int(distance.masked_fill(~valid, float("inf")).argmin())
    if isinstance(reference, str | bool) or not np.isfinite(reference):
        raise ConfigError(
            f"reference is {reference!r}.", "Choose 'best', 'first', a frame number or a time in seconds (1.5)."
        )
    row = reference if isinstance(reference, int) else int(round(reference * fps))
    if not 0 <= row < count:
        raise ConfigError(
            f"The reference frame {row} is not in the clip.",
            f"It has {count} frames ({float(count / fps):.1f} s); count from 0.",
        )
    return row


# -- small parts -----------------------------------------------------------------------------------------------------


def _check_number(name: str, value: float, remedy: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
        raise ConfigError(f"{name} is {value!r}.", remedy)


def _template(driving: Driving) -> Motion | None:
    from .models.base import Motion

    if isinstance(driving, Motion):
        return driving
    if isinstance(driving, str | Path) and Path(driving).suffix == ".safetensors":
        return Motion.load(driving)
    return None


_loaded: dict[tuple, Runner] = {}


def _runner(model: str | Path | Animator | Runner | None, device: str | None, precision: str) -> Runner:
    """The model ready to run; the last one loaded by name is kept, so that trying settings does not load it anew."""
    from .runner import Runner, prepare
    from .zoo import load

    if isinstance(model, Runner):
        return model
    if model is not None and not isinstance(model, str | Path):
        return prepare(model, device, precision)
    name = str(model or DEFAULT_MODEL)
    changed = Path(name).stat().st_mtime_ns if Path(name).is_file() else 0
    key = (name, changed, device, precision)
    if key not in _loaded:
        runner = prepare(load(name), device, precision)
        _loaded.clear()
        _loaded[key] = runner
    return _loaded[key]


def _batches(frames: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while batch := list(islice(frames, size)):
        yield np.stack(batch)


def _span(trim: tuple[float | None, float | None] | None) -> str:
    begin, end = trim or (None, None)
    return f"{begin or 0} s and {f'{end} s' if end is not None else 'its end'}"


def _name(thing: Any, otherwise: str) -> str:
    return Path(thing).stem if isinstance(thing, str | Path) else otherwise


def _free_output(track: Track) -> Path:
    model = track.model if isinstance(track.model, str | Path) else None
    parts = (_name(track.picture, "picture"), _name(track.driving, "motion"), _name(model or DEFAULT_MODEL, "model"))
    return media.free_name(Path("results") / ("--".join(parts) + ".mp4"))


def _domain_note(track: Track) -> str:
    from .paths import is_sample

    if not track.runner.info.drawn or (isinstance(track.picture, str | Path) and is_sample(track.picture)):
        return ""
    return (
        "The model that ships with the toolkit has only ever seen drawn heads. For a photograph or a painting get "
        "published weights, vox-adv-cpk.pth.tar (FOMM, faces) first of all, and pass the file as model=."
    )

"""One picture that follows one driver: the unit that every result is made of."""

from __future__ import annotations

import dataclasses
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import driving as drivers
from . import media
from .errors import ConfigError, InputError
from .paths import is_sample
from .progress import Progress

if TYPE_CHECKING:
    from .landmarks import Landmarks
    from .models.base import Animator, Motion
    from .runner import Runner

DEFAULT_MODEL = "mini-fomm"
Picture = Any  # a path, an H x W x C array, a PIL picture, a Source, or a list of pictures of one person
Driving = Any  # a path of a clip, a folder of frames, a Motion or a file of one
Model = Any  # a name, a file, an Animator, a Runner, or None


@dataclasses.dataclass
class Track:
    """One picture that follows one driver; the fields are the arguments of `animate`.

    After `open`: `fps` is the rate. After `prepare`: `motion` has one row a frame of the result, `report` says what was
    decided, and `notes` what is worth a sentence.
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
    landmarks: Any = None

    def __post_init__(self) -> None:
        self.report: dict[str, Any] = {}
        self._views: list[np.ndarray] | None = None  # the pictures as they are given, until they are encoded
        _check_number("strength", self.strength, "Give 0 (still) to about 2; 1 is the driver's own motion.")
        _check_number(
            "smooth", self.smooth, "Give a number of frames: 0 leaves the motion untouched, 1 to 3 calms jitter."
        )
        if self.fit not in ("crop", "pad"):
            raise ConfigError(
                f"fit is {self.fit!r}.", "Choose 'crop' (cut to the middle square) or 'pad' (keep all of it)."
            )

    # -- pass 1 ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the picture and look at the driver: what can be wrong with a file is said before a model is loaded."""
        from .models.base import Source

        self.notes: list[str] = []
        self.times: dict[str, list[float]] = {"motion": [], "rendering": []}  # seconds a frame of each batch
        several = isinstance(self.picture, list | tuple)
        if several and not self.picture:
            raise InputError("There is no picture.", "Give at least one.")
        pictures = self.picture if several else [self.picture]
        given = isinstance(self.picture, Source)
        self._views = [] if given else [media.read_picture(picture, channels=4) for picture in pictures]
        self.template = drivers.template(self.driving)
        self.info = None if self.template is not None else media.probe(self.driving)
        self.fps = self.info.fps if self.info else Fraction(25)  # a template carries no rate of its own

    def prepare(self, bar: Progress, recorded: dict[Any, Motion] | None = None) -> None:
        """Leave the motion that the picture is to follow. recorded: what other tracks read of their drivers; what this
        one reads is added, so that several who follow one driver read it once.
        """
        if self._views is None:
            self.open()
        self.runner = runner_of(self.model, self.device, self.precision)
        mode = self.runner.check_mode(self.mode, self.strength)
        self.side = self.runner.info.size
        self._encode()
        motion = self._recorded(bar, {} if recorded is None else recorded)
        distance = self.runner.distance(self.source, motion)
        if self.smooth:
            motion = self.runner.settle(drivers.smoothed(motion, self.runner.linear, self.smooth))
        index = drivers.reference_row(self.reference, distance, motion.valid, self.fps)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            self.motion = self.runner.transfer(
                self.source,
                motion,
                reference=motion[index],
                mode=mode,
                adapt_scale=self.adapt_scale,
                strength=self.strength,
            )
        self.notes += [str(warning.message) for warning in heard]
        self.report = {
            "model": f"{self.runner.info.model} {self.runner.info.config}",
            "mode": mode,
            "reference": {
                "frame": index,
                "seconds": round(float(index / self.fps), 3),
                "chosen": self.reference,
                "distance": round(float(distance[index]), 4),
            },
            "lost frames": int((~motion.valid).sum()),
            "device": self.runner.describe(),
        }

    def _encode(self) -> None:
        """The picture as the model sees it, encoded."""
        info, views = self.runner.info, self._views
        self._views = None  # they may be large
        self._visible: tuple[slice, slice] = (slice(None), slice(None))
        self.still: np.ndarray | None = None  # the picture as the model sees it, H x W x 3
        if not views:
            self.source = self.picture
            if self.source.model != info.model:
                raise ConfigError(
                    f"The picture was encoded with {self.source.model}, but the model is {info.model}.",
                    "Use the model that encoded it, or give the picture itself.",
                )
            return
        if len(views) > 1 and not info.views:
            raise ConfigError(
                f"{len(views)} pictures were given, but {info.model} takes one.",
                "Give one picture; toolkit.chorus lets several sing together.",
            )
        way = media.Fit(self.side, self.fit)
        sizes = [view.shape[:2] for view in views]
        plans, squares = [way.plan(*size) for size in sizes], [way.apply(view) for view in views]
        flat = [media.flatten(square) for square in squares]
        self._visible = plans[0].visible
        self.still = flat[0][self._visible]
        seen = squares if info.channels == 4 else flat
        try:
            points = None
            if "picture landmarks" in info.needs:
                points = self._eye("pictures").of_pictures(flat, plans, sizes)
            self.source = self.runner.encode(seen if info.views else seen[0], points)
        except InputError as error:
            name = name_of(self.picture, "The picture")
            raise InputError(f"{name} can't be used with {info.model}: {error.what}", error.remedy) from None

    def _recorded(self, bar: Progress, recorded: dict[Any, Motion]) -> Motion:
        """The driver's motion, a row a frame; what was lost is filled, and noted."""
        if self.template is not None:
            drivers.check_template(self.template, self.source.motion)
            motion, what = self._trimmed(self.template), "The motion"
        else:
            part = self.fps, tuple(self.trim or ()), self.fit
            key = id(self.runner), _identity(self.driving), part, id(self.landmarks)
            if key not in recorded:
                recorded[key] = self._read(bar)
            motion, what = recorded[key], str(self.driving)
        lost = int((~motion.valid).sum())
        if lost == len(motion):
            raise InputError(
                f"{what} shows no face in any of its {lost} frames.",
                "Give another clip or part of it, or landmarks= where the toolkit's own eye sees none.",
            )
        if lost:
            first = int((~motion.valid).int().argmax())
            self.notes.append(
                f"The face was lost in {lost} of {len(motion)} frames (first at {float(first / self.fps):.1f} s); "
                "there the last pose is held."
            )
        return drivers.held(motion)

    def _read(self, bar: Progress) -> Motion:
        bar.start("reading the motion", media.expected_frames(self.info, self.trim))
        points = None
        if "landmarks" in self.runner.info.needs:
            plan = media.Fit(self.side, self.fit).plan(*self.info.size)
            points = self._eye("clip").along(plan, self.info.size)
        with closing(self.driver()) as frames:
            motion = drivers.read(self.runner, frames, points, bar.step, self.times["motion"])
        if motion is None:
            raise self._empty(str(self.driving))
        if points is not None:
            points.finish()
        return motion

    def _trimmed(self, motion: Motion) -> Motion:
        """The rows of a recorded motion between the ends of `trim`."""
        begin, end = self.trim or (None, None)
        rows = slice(max(0, round((begin or 0) * self.fps)), None if end is None else round(end * self.fps))
        if not len(motion[rows]):
            raise self._empty("The motion")
        return motion[rows]

    def _empty(self, what: str) -> InputError:
        begin, end = self.trim or (None, None)
        span = f"{begin or 0} s and {'its end' if end is None else f'{end} s'}"
        return InputError(f"{what} has no frames between {span}.", "Choose a part inside the clip.")

    def _eye(self, what: str) -> Landmarks:
        """Where the landmarks of the "pictures" or the "clip" come from; a note where it is the network that ships."""
        from .landmarks import DRAWN_NOTE, Landmarks

        given, seen = Landmarks(self.landmarks), self.picture if what == "pictures" else self.driving
        if getattr(given, what) is None and not (isinstance(seen, str | Path) and is_sample(seen)):
            self.notes.append(DRAWN_NOTE)
        return given

    def driver(self) -> Iterator[np.ndarray]:
        """The driver's frames as the model sees them, uint8 side x side x 3, at the rate `fps`."""
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
            rows, began = self.motion[start : start + self.runner.plan.batch], time.perf_counter()
            rendered = self.runner.render(self.source, rows)
            self.times["rendering"].append((time.perf_counter() - began) / len(rows))
            for frame in rendered:
                yield frame[self._visible]

    def seconds_a_frame(self, stage: str) -> float | None:
        """What a frame took in the stage "motion" or "rendering", the median of its batches; None if it did not run."""
        return statistics.median(self.times[stage]) if self.times[stage] else None


# -- small parts -----------------------------------------------------------------------------------------------------


def name_of(thing: Any, otherwise: str) -> str:
    """What to call a picture, a driver or a model in words: its path, or `otherwise`."""
    return str(thing) if isinstance(thing, str | Path) else otherwise


def _check_number(name: str, value: float, remedy: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
        raise ConfigError(f"{name} is {value!r}.", remedy)


def _identity(thing: Any) -> Any:
    return str(thing) if isinstance(thing, str | Path) else id(thing)


_loaded: dict[tuple, Runner] = {}


def runner_of(model: Model, device: str | None, precision: str) -> Runner:
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

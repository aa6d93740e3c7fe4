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
from .faces import cropping
from .paths import expanded, is_file, is_sample
from .progress import Progress

if TYPE_CHECKING:
    from .faces.steady import Steady
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
    crop: Any = "auto"
    pick: Any = None
    follow: float = 0.0

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
        self._asked, self._picks = cropping.asked(self.crop), cropping.picks(self.pick)
        cropping.check_follow(self.follow)

    # -- pass 1 ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the picture and look at the driver: what can be wrong with a file is said before a model is loaded."""
        from .landmarks import Landmarks
        from .models.base import Source

        self.notes: list[str] = []
        self.times: dict[str, list[float]] = {"motion": [], "rendering": []}  # seconds a frame of each batch
        several = isinstance(self.picture, list | tuple)
        if several and not self.picture:
            raise InputError("There is no picture.", "Give at least one.")
        pictures = self.picture if several else [self.picture]
        given = isinstance(self.picture, Source)
        self._views = [] if given else [media.read_picture(picture, channels=4) for picture in pictures]
        Landmarks(self.landmarks)  # refuses a file that holds none
        self.template = drivers.template(self.driving)
        self.info = None if self.template is not None else media.probe(self.driving)
        self.fps = self.info.fps if self.info else Fraction(25)  # a template carries no rate of its own
        for box, sizes in zip(self._asked, ([view.shape[:2] for view in self._views], [self.info and self.info.size])):
            for size in filter(None, sizes):
                if isinstance(box, cropping.Box):
                    media.Fit(16, self.fit, box).plan(*size)  # refuses a box that is outside

    def prepare(self, bar: Progress, recorded: dict[Any, Any] | None = None) -> None:
        """Leave the motion that the picture is to follow. recorded: what other tracks read of their drivers; what this
        one reads is added, so that several who follow one driver read it once.
        """
        recorded = {} if recorded is None else recorded
        self._begin()
        mode = self.runner.check_mode(self.mode, self.strength)
        if self.mode == "auto" and mode != (usual := self.runner.info.mode):
            self.notes.append(f"The mode is {mode}: {usual}, this model's own, knows no strength but 1.")
        self._place(bar, recorded)
        motion = self._recorded(bar, recorded)
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
            "crop": self.cuts,
            "device": self.runner.describe(),
        }

    def place(self, bar: Progress, recorded: dict[Any, Any] | None = None) -> None:
        """Only find where picture and clip are cut (`cuts`, in pixels): the clip's motion is not read. recorded: as for
        `prepare`, which may follow.
        """
        self._begin()
        self._place(bar, {} if recorded is None else recorded)

    def _begin(self) -> None:
        if self._views is None:
            self.open()
        self.runner = runner_of(self.model, self.device, self.precision)

    def _place(self, bar: Progress, recorded: dict[Any, Any]) -> None:
        self.side = self.runner.info.size
        # A picture that is to be kept whole is not cut.
        self._recipe = cropping.recipe_of(self.runner.info) if self.fit == "crop" else None
        self._encode()
        self.steady = self._steadied(bar, recorded)
        self.cuts = {
            "picture": None if self._framed is None else [round(value, 1) for value in self._framed],
            "clip": None if self.steady is None else self.steady.report(),
        }

    @property
    def original(self) -> np.ndarray | None:
        """The picture as it was given, upright, uint8 H x W x 4 (the first of several; None for a `Source`)."""
        if self.box is None:
            return None
        several = isinstance(self.picture, list | tuple)
        return media.read_picture(self.picture[0] if several else self.picture, channels=4)

    def _encode(self) -> None:
        """The picture as the model sees it, encoded."""
        info, views = self.runner.info, self._views
        self._views = None  # they may be large
        self._visible: tuple[slice, slice] = (slice(None), slice(None))
        self.still: np.ndarray | None = None  # the picture as the model sees it, H x W x 3
        self._framed: cropping.Box | None = None  # to which the picture was cut, if it was
        self.plan: media.Plan | None = None  # how the picture became what the model sees, and what it sees in pixels
        self.box: cropping.Box | None = None
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
        boxes = [self._box_in(view, number, len(views)) for number, view in enumerate(views)]
        ways = [media.Fit(self.side, self.fit, box) for box in boxes]
        sizes = [view.shape[:2] for view in views]
        plans = [way.plan(*size) for way, size in zip(ways, sizes)]
        squares = [way.apply(view) for way, view in zip(ways, views)]
        flat = [media.flatten(square) for square in squares]
        self._framed, self.plan, self.box = boxes[0], plans[0], cropping.Box(*plans[0].region)
        if boxes[0] is None:  # the result of a crop is its square, also where it leaves the picture
            self._visible = plans[0].visible
        self.still = flat[0][self._visible]
        seen = squares if info.channels == 4 else flat
        try:
            points = None
            if "picture landmarks" in info.needs:
                eye = self._eye()
                points = eye.of_pictures(flat, plans, sizes)
                self._credit(eye, self.picture)
            self.source = self.runner.encode(seen if info.views else seen[0], points)
        except InputError as error:
            name = name_of(self.picture, "The picture")
            raise InputError(f"{name} can't be used with {info.model}: {error.what}", error.remedy) from None

    def _box_in(self, view: np.ndarray, number: int, count: int) -> cropping.Box | None:
        """Where to cut a picture; None for nowhere."""
        asked, pick = self._asked[0], self._picks[0]
        if asked != "auto":
            return asked
        if self._recipe is None or (pick is None and cropping.is_framed(self.picture, self._recipe)):
            return None
        name = name_of(self.picture, "The picture" if count == 1 else f"Picture {number + 1} of {count}")
        box, said = cropping.in_picture(view, self._recipe, pick, name=name)
        self._say(box, said)
        return box

    def _say(self, found: Any, said: str) -> None:
        """Note what crop="auto" did, if it did something."""
        if said:
            self.notes.append(" ".join([said, *(["crop=None uses all of it."] if found else [])]))

    def _steadied(self, bar: Progress, recorded: dict[Any, Any]) -> Steady | None:
        """Where to cut the clip; None for nowhere."""
        from .faces import steady

        asked, pick = self._asked[1], self._picks[1]
        if self.template is not None or asked is None:
            return None
        if asked != "auto":
            return steady.Steady.given(asked)
        usual = pick is None and not self.follow
        if self._recipe is None or (usual and cropping.is_framed(self.driving, self._recipe)):
            return None
        how = {"pick": pick, "follow": self.follow, "trim": self.trim}
        key = "crop", _identity(self.driving), self._recipe, repr(how)
        if key not in recorded:
            total, begun = media.expected_frames(self.info, self.trim), []

            def step(count: int) -> None:
                if not begun:
                    bar.start("following the face", total)
                    begun.append(True)
                bar.step(count)

            recorded[key] = steady.of_clip(self.driving, self.info, self._recipe, **how, step=step)
        found, said = recorded[key]
        self._say(found, said)
        if found is not None and found.lost_words:
            self.notes.append(f"{found.lost_words}; there the last box is held.")
        return found

    def _recorded(self, bar: Progress, recorded: dict[Any, Any]) -> Motion:
        """The driver's motion, a row a frame; what was lost is filled, and noted."""
        if self.template is not None:
            drivers.check_template(self.template, self.source.motion)
            motion, what = self._trimmed(self.template), "The motion"
        else:
            part = self.fps, tuple(self.trim or ()), self.fit, self.steady and self.steady.key
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
            eye = self._eye()
            points = eye.along(self._region, self.info.size)
        with closing(self.driver()) as frames:
            motion = drivers.read(self.runner, frames, points, bar.step, self.times["motion"])
        if motion is None:
            raise self._empty(str(self.driving))
        if points is not None:
            points.finish()
            self._credit(eye, self.driving)
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

    def _eye(self) -> Landmarks:
        """Where landmarks come from."""
        from .landmarks import Landmarks

        return Landmarks(self.landmarks)

    def _credit(self, eye: Landmarks, seen: Any) -> None:
        """Note where the landmarks came from, unless they are of the toolkit's own samples."""
        if eye.note and not (isinstance(seen, str | Path) and is_sample(seen)):
            self.notes.append(eye.note)

    def driver(self) -> Iterator[np.ndarray]:
        """The driver's frames as the model sees them, uint8 side x side x 3, at the rate `fps`."""
        from .faces import steady

        return steady.read(self.driving, self.steady, self.side, self.fit, fps=self.fps, trim=self.trim)

    def _region(self, number: int) -> tuple[float, float, float, float]:
        """What the model sees of the driver's frame of that number: x, y, width, height in pixels."""
        if self.steady is not None and self.steady.box is None:
            return self.steady.at(number, self.fps)
        return media.Fit(self.side, self.fit, self.steady and self.steady.box).plan(*self.info.size).region

    def reference_picture(self) -> np.ndarray | None:
        """The driver's frame where the two are taken to agree, uint8 side x side x 3 (None for a motion template)."""
        if self.template is not None:
            return None
        with closing(self.driver()) as frames:
            return next(islice(frames, self.report["reference"]["frame"], None), None)

    # -- pass 2 ------------------------------------------------------------------------------------------------------

    def frames(self) -> Iterator[np.ndarray]:
        """Rendered frames, uint8 H x W x C: square, or cut back to the picture's own shape where it was padded."""
        return (frame[self._visible] for frame in self.squares())

    def squares(self) -> Iterator[np.ndarray]:
        """Rendered frames as the model makes them, uint8 side x side x C; `plan` tells where they lie."""
        for start in range(0, len(self.motion), self.runner.plan.batch):
            rows, began = self.motion[start : start + self.runner.plan.batch], time.perf_counter()
            rendered = self.runner.render(self.source, rows)
            self.times["rendering"].append((time.perf_counter() - began) / len(rows))
            yield from rendered

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
    changed = expanded(name).stat().st_mtime_ns if is_file(name) else 0
    key = (name, changed, device, precision)
    if key not in _loaded:
        runner = prepare(load(name), device, precision)
        _loaded.clear()
        _loaded[key] = runner
    return _loaded[key]

"""A recipe: everything that decides a training run, read from TOML and checked.

A recipe names a task (what is trained), the model's configuration, and one or more stages that follow each other; with
base = NAME it says only what differs from another. Unknown keys and words, wrong types and numbers that can't be are
refused (see `checks.py`): a misspelt setting must not cost a night.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..paths import brief, is_file
from . import checks

RECIPES = Path(__file__).parent / "recipes"
NOTHING = "not set"  # in place of what only one of two recipes has


@dataclasses.dataclass(frozen=True)
class Stage:
    """One leg of a run.

    steps, batch: how long and how wide. epochs, repeats: how long, in epochs of so many passes over a folder's clips;
    steps, if not given, follow from their number. size: picture side in pixels, as drawn for the network.
    train: the modules that learn; the others stay as they are (and in evaluation mode).
    lr: {module: learning rate} or one number. schedule: "constant", "cosine" (to 2 % of lr) or "milestones"
    (x 0.1 at each of `milestones`). warmup: steps of linear increase. Milestones, dropout and background_from are
    numbers of epochs (from 0), or shares of a stage that does not count epochs: see `progress`.
    decay: weight decay, as Adam's. clip: {module: the largest entry its gradient may have; a larger one scales the
    whole gradient down}.
    keypoints: where the motion comes from: "detector" (learns if trained) or "true" (the puppets' own anchors).
    noise: standard deviation of what is added to true keypoints, as a detector's error would.
    part: what learns: "whole"; "flow": the dense motion alone; "copy": the generator alone, as an auto-encoder of
    random crops of side `crop`; "paint": its decoder alone (of windows), judged by what it paints everywhere; "avd":
    the network that parts shape from pose (MRAA, TPSMM), the rest stays.
    scaling: how much part "avd" stretches the driver's motion at most, along each axis.
    window: the generator decodes (and its losses see) only a window of this side in each picture, mostly about the
    face; its encoder rests meanwhile. 0: the whole picture.
    frozen_norms: batch norms use (and keep) their running statistics; scale and shift still learn. Small batches of
    different pictures have statistics so noisy that colours never get exact.
    cross: share of rows whose driver is another character (relative motion, true answer).
    dropout: TPSMM's random leaving out of splines, (start, rise, most, until): the share is start + rise * progress, at
    most `most`, and 0 from progress `until` on. background_from: the progress from which the background moves.
    painted: what the flow brings is kept where it errs less than that (loss "keeping"), or at most so much more than
    what was painted there (loss "choosing").
    levels: pyramid levels of the perceptual loss. weights: {loss: weight}, see `losses.py`. regions: {background,
    head, eyes, mouth: weight of a pixel there}.
    """

    name: str
    steps: int = 0
    epochs: int = 0
    repeats: int = 1
    size: int = 128
    batch: int = 8
    train: tuple[str, ...] = ()
    lr: dict[str, float] = dataclasses.field(default_factory=lambda: {"": 2e-4})
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    warmup: int = 50
    decay: float = 0.0
    clip: dict[str, float] = dataclasses.field(default_factory=dict)
    keypoints: str = "detector"
    noise: float = 0.0
    part: str = "whole"
    crop: int = 64
    window: int = 0
    frozen_norms: bool = False
    scaling: float = 0.25
    dropout: tuple[float, ...] = ()
    background_from: float = 0.0
    cross: float = 0.0
    painted: float = 0.12
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    regions: dict[str, float] = dataclasses.field(default_factory=dict)
    levels: tuple[str, ...] = checks.LEVELS

    def __post_init__(self) -> None:
        checks.check_stage(self)

    def progress(self, step: int) -> float:
        """How far the stage is at one of its steps: the number of the epoch, or the share that is done where it does
        not count epochs.
        """
        return step * self.epochs // self.steps if self.epochs else step / max(1, self.steps)


@dataclasses.dataclass(frozen=True)
class Data:
    """Puppets drawn on the fly: chunks of `characters` in `poses` poses each, each picture used
    about `reuse` times, then drawn anew.

    group: characters that share their poses (two or more make true cross-identity answers). amount: how far poses go,
    1 = all the way.
    styles: drawing styles, or none for any.
    """

    characters: int = 96
    poses: int = 4
    group: int = 2
    reuse: int = 3
    amount: float = 1.0
    styles: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Clips:
    """A folder of clips in a published layout, as training data: see `clips.py`. Without a folder puppets are drawn.

    id_sampling: a pass is over the identities (names up to the first "#"), one clip of each drawn at random, rather
    than over the clips. Augmentation: flip_time and flip (the frames change places; a mirror), rotation (degrees),
    resize (smallest and largest factor; a random window of the stage's size is cut), brightness, contrast, saturation,
    hue (jitter, 0: none). workers: threads that decode (0: one a core, 8 at most). memory: gigabytes of decoded clips
    that are kept.
    """

    folder: str = ""
    id_sampling: bool = False
    flip_time: bool = True
    flip: bool = True
    rotation: float = 0.0
    resize: tuple[float, ...] = ()
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    workers: int = 0
    memory: float = 2.0

    def __post_init__(self) -> None:
        checks.check_clips(self)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A whole run. name: the recipe's; task: "fomm", "mraa", "tpsmm" or "perception"; model: the configuration that
    `toolkit.build` takes (published = NAME: that one, with what else is said here instead; empty: that of the weights
    it begins with). clips, data: what it learns from, clips where they have a folder, else puppets.

    init: what it begins with, unless it is told otherwise: a name of the zoo, a file, or a run (none: from nothing).
    output: the file that the half-precision snapshot goes to when a run is exported. optimiser: "adam" or "muon".
    betas: Adam's. clip: largest gradient norm (0: none).
    ema: decay of the averaged weights that are shown, measured and exported. precision: "bf16", "fp16" or "fp32".
    vgg: VGG-19's weights for the perceptual loss, a file or "vgg19", the zoo's (none: the perception network).
    anchors: the puppets' anchors that the keypoints are, in order (none: all).
    sharpen: added to the bias of FOMM's occlusion head in what is exported: more of the warped picture, which is sharp,
    is kept, and less is painted. L1 would rather have a blur than a line a pixel beside its place; people would not.
    accumulate: passes that a step takes, each with its part of the batch: so much less memory, for the same result
    (batch norms that learn see a part alone). checkpoint, sheet, measure: every how many steps. keep: how many
    checkpoints. best: the held-out number of which the least marks the checkpoint of a stage that is kept as the best,
    the first of these that is measured.
    crop, domain, drawn, licence: what the trained model tells of itself, see `toolkit.models.base.Info`; drawn is true
    of all that learn from puppets.
    """

    name: str
    task: str
    model: dict[str, Any]
    stages: tuple[Stage, ...]
    data: Data = Data()
    clips: Clips = Clips()
    init: str = ""
    output: str = ""
    seed: int = 0
    optimiser: str = "adam"
    betas: tuple[float, ...] = (0.5, 0.999)
    clip: float = 0.0
    ema: float = 0.999
    precision: str = "bf16"
    channels_last: bool = True
    sharpen: float = 0.0
    checkpoint: int = 200
    sheet: int = 500
    measure: int = 500
    keep: int = 2
    best: tuple[str, ...] = ("same", "l1", "landmark_px")
    accumulate: int = 1
    vgg: str = ""
    anchors: tuple[str, ...] = ()
    crop: str = ""
    domain: str = ""
    drawn: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        checks.check_recipe(self)

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def at(self, step: int) -> tuple[Stage, int]:
        """The stage that step (counted from 0) lies in, and the step within it."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        raise IndexError(step)

    def ahead(self, step: int) -> tuple[Stage, ...]:
        """The stages that have steps from this one on."""
        ends = itertools.accumulate(stage.steps for stage in self.stages)
        return tuple(stage for stage, end in zip(self.stages, ends) if stage.steps and end > step)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def load(recipe: str | Path | Mapping[str, Any], settings: Iterable[str] | Mapping[str, Any] = ()) -> Recipe:
        """Read a recipe: a name of `recipes/`, a TOML file, or a mapping; then apply settings ("stages.0.steps=100",
        or a mapping).
        """
        table = copy.deepcopy(dict(recipe)) if isinstance(recipe, Mapping) else _read(recipe)
        pairs = settings.items() if isinstance(settings, Mapping) else (_pair(text) for text in settings)
        for key, value in pairs:
            _put(table, key, value)
        from_file = not isinstance(recipe, Mapping) and Path(recipe).suffix == ".toml"
        return _check(Recipe, table, str(recipe) if from_file else "the recipe")


def names() -> list[str]:
    """The recipes that come with the toolkit."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def filled(value: Any, hint: Any = Recipe) -> Any:
    """A recipe (or a part of it, by its type) that was stored as JSON, of an older version maybe: settings that it
    lacks have their defaults, those that are no longer known are left out.
    """
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        hints, fields = typing.get_type_hints(hint), dataclasses.fields(hint)
        return {
            field.name: filled(value[field.name] if field.name in value else _default(field), hints[field.name])
            for field in fields
            if field.name in value or not _required(field)
        }
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return [filled(item, typing.get_args(hint)[0]) for item in value]
    return value


def differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """What differs between two recipes as JSON, one line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            old, new = before.get(name, NOTHING), now.get(name, NOTHING)
            yield from differences(old, new, f"{key}.{name}".strip("."))
    elif isinstance(before, list) and isinstance(now, list) and _tables(before + now):
        for index, (old, new) in enumerate(itertools.zip_longest(before, now, fillvalue=NOTHING)):
            if NOTHING in (old, new):  # a stage more or less: its name is enough
                old, new = (item.get("name", item) if isinstance(item, dict) else item for item in (old, new))
            yield from differences(old, new, f"{key}.{index}")
    elif before != now:
        yield f"{key} was {before}, is {now}"


def _tables(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _read(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    if path.suffix != ".toml":
        path = RECIPES / f"{recipe}.toml"
    if not is_file(path):
        raise ConfigError(
            f"There is no recipe '{brief(recipe, 300)}'.", f"Give a .toml file or one of: {', '.join(names())}."
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a recipe: {error}.", "Mend the TOML at that place.") from None
    base = table.pop("base", None)
    return table if base is None else _over(_read(path.parent / f"{base}.toml"), table)


def _over(base: Any, table: Any) -> Any:
    """`base` with what `table` says instead; the first stage of one goes with the first of the other, and so on."""
    if isinstance(base, dict) and isinstance(table, dict):
        return base | {key: _over(base[key], value) if key in base else value for key, value in table.items()}
    if isinstance(base, list) and isinstance(table, list) and _tables(base + table):
        both = [_over(old, new) for old, new in zip(base, table)]
        return both + base[len(both) :] + table[len(both) :]
    return table


def _pair(text: str) -> tuple[str, Any]:
    key, sign, value = (part.strip() for part in text.partition("="))
    if not sign:
        raise ConfigError(f"The setting '{text}' has no '='.", "Write it as key=value, for example stages.0.steps=100.")
    try:
        typed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value  # a bare word is text
    return key, value if _is_text(key) and not isinstance(typed, str) else typed  # keypoints=true is a word there


def _is_text(key: str) -> bool:
    """Whether the setting of that name is text."""
    hint: Any = Recipe
    for name in key.split("."):
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            hint = typing.get_type_hints(hint).get(name)
        else:
            hint = arguments[0] if origin is tuple else arguments[1] if origin is dict else None
    return hint is str


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = table
    try:
        for name in parents:
            if isinstance(place, list):
                place = place[int(name)]
            else:
                place = place.setdefault(name, {})
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(
            f"The recipe has no place '{key}'.", "Stages are counted from 0: stages.0.steps=100."
        ) from None


def _check(kind: type, table: Mapping[str, Any], where: str) -> Any:
    """Build the dataclass `kind` from a table, refusing what it does not know."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ConfigError(f"{where} has an unknown key '{unknown[0]}'.", f"Known are: {', '.join(hints)}.")
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in table]
    if missing:
        raise ConfigError(f"{where} lacks '{missing[0]}'.", "Add it.")
    return kind(**{key: _value(hints[key], value, f"{where}, {key}") for key, value in table.items()})


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field) -> Any:
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table.")
        return _check(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, not {value!r}.")
        return tuple(_value(arguments[0], item, f"{where}.{index}") for index, item in enumerate(value))
    if origin is dict:
        if isinstance(value, (int, float)) and where.endswith("lr"):
            return {"": float(value)}  # one learning rate for all modules
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table, not {value!r}.")
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is Any or isinstance(hint, types.UnionType):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {_words[hint]}, not {value!r}.")
    return value


_words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}

"""What a recipe can't mean: words that nothing knows and numbers that can't be, in any of its stages. They are refused
when it is made, since the last stage may begin hours after the first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from .recipe import Clips, Data, Recipe, Stage

PARTS = ("whole", "flow", "copy", "paint", "avd")
KEYPOINTS = ("detector", "true")
SCHEDULES = ("constant", "cosine", "milestones")
LEVELS = ("1", "0.5", "0.25", "0.125")
REGIONS = ("background", "head", "eyes", "mouth")
OPTIMISERS = ("adam", "muon")
PRECISIONS = ("bf16", "fp16", "fp32")
ERRORS = ("same", "cross", "kp_px", "kp_px_face", "l1", "landmark_px", "align_error")  # measured; less is better
BEST = (*ERRORS, *(f"{kind}_{region}" for kind in ("same", "cross") for region in REGIONS))

DRAWN = ("pyramid", "gradient", "deformed", "selection", "following", "keeping", "painting", "choosing", "keypoints")
MOVED = ("perceptual", "shift", "affine", *DRAWN)
TERMS = {  # the losses that each task knows, and what else of a stage's weights it reads
    "fomm": (*MOVED, "jacobians", "equivariance_value", "equivariance_jacobian", "generator_gan", "feature_matching")
    + ("discriminator_gan",),
    "mraa": (*MOVED, "covariances", "equivariance_shift", "equivariance_affine"),
    "tpsmm": (*MOVED, "equivariance_value", "warp_loss", "bg"),
    "perception": ("landmarks", "identity", "heat", "box", "aligned", "maps", "face"),
}

STAGE = {"steps": 0, "epochs": 0, "repeats": 1, "size": 1, "batch": 1, "warmup": 0, "decay": 0, "noise": 0, "crop": 1}
STAGE |= {"window": 0, "scaling": 0, "background_from": 0, "painted": 0}  # the least that each number may be
RECIPE = {"clip": 0, "checkpoint": 0, "sheet": 0, "measure": 0, "keep": 1, "accumulate": 1}
CLIPS = dict.fromkeys(("rotation", "brightness", "contrast", "saturation", "hue", "workers", "memory"), 0)
DATA = {"characters": 1, "poses": 2, "group": 1, "reuse": 1, "amount": 0}


def check_stage(stage: Stage) -> None:
    """Raises ConfigError for a stage that no task could run."""
    where = f"Stage '{stage.name}'"
    _least(where, stage, STAGE)
    _among(where, stage, part=PARTS, keypoints=KEYPOINTS, schedule=SCHEDULES)
    known(where, "levels", stage.levels, LEVELS)
    known(where, "regions", stage.regions, REGIONS)
    for name in ("lr", "clip", "weights", "regions"):
        for key, value in getattr(stage, name).items():
            if not (math.isfinite(value) and value >= 0):
                raise _wrong(where, f"{name}.{key}".strip("."), value, "Give 0 or more.")
    if not 0 <= stage.cross <= 1:
        raise _wrong(where, "cross", stage.cross, "Give a share, from 0 to 1.")
    if len(stage.dropout) not in (0, 4):
        raise _wrong(where, "dropout", list(stage.dropout), "Give four numbers: start, rise, most, until; or none.")
    if "perceptual" in stage.weights and not stage.levels:
        raise ConfigError(f"{where} has a perceptual loss, but no levels.", f"Choose among: {', '.join(LEVELS)}.")
    if stage.part == "copy" and stage.crop > stage.size:
        raise ConfigError(
            f"{where} cuts crops of {stage.crop} from pictures of {stage.size}.",
            "Give a smaller crop, or a larger size.",
        )
    if stage.window and stage.size % stage.window:
        raise ConfigError(
            f"{where} has a window of {stage.window} in pictures of {stage.size}.", "Choose a divisor of the size."
        )


def check_recipe(recipe: Recipe) -> None:
    """Raises ConfigError for a recipe that no task could follow, its stages aside."""
    where = "the recipe"
    if not recipe.stages:
        raise ConfigError("The recipe has no stage.", "Add [[stages]].")
    names = [stage.name for stage in recipe.stages]
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise ConfigError(f"Two stages are called '{twice[0]}'.", "Give each a name of its own.")
    _least(where, recipe, RECIPE)
    _among(where, recipe, optimiser=OPTIMISERS, precision=PRECISIONS)
    known(where, "best", recipe.best, BEST)
    if len(recipe.betas) != 2 or not all(0 <= beta < 1 for beta in recipe.betas):
        raise _wrong(where, "betas", list(recipe.betas), "Give two numbers below 1, such as [0.5, 0.999].")
    if not 0 <= recipe.ema < 1:
        raise _wrong(where, "ema", recipe.ema, "Give 0 or more, and less than 1.")


def check_clips(clips: Clips) -> None:
    """Raises ConfigError for clips that can't be read or changed so."""
    _least("clips", clips, CLIPS)
    if clips.resize and not (len(clips.resize) == 2 and 0 < clips.resize[0] <= clips.resize[1]):
        remedy = "Give the smallest and the largest factor, such as [0.9, 1.1]."
        raise _wrong("clips", "resize", list(clips.resize), remedy)


def check_data(data: Data, anchors: Sequence[str]) -> None:
    """Raises ConfigError for puppets that can't be drawn in groups, or that have no such anchors."""
    from ..puppets import ANCHORS  # and with it torch
    from ..puppets.identity import STYLES

    _least("data", data, DATA)
    if data.characters % data.group:
        raise ConfigError(
            f"data: {data.characters} characters make no groups of {data.group}.", "Give a multiple of the group."
        )
    known("data", "styles", data.styles, STYLES)
    known("the recipe", "anchors", anchors, ANCHORS)


def check_names(task: str, stage: Stage, modules: Collection[str]) -> None:
    """Raises ConfigError for losses that a task doesn't know, and rates of modules that it can't have."""
    where = f"Stage '{stage.name}'"
    known(where, "weights", stage.weights, TERMS[task])
    known(where, "lr", (name for name in stage.lr if name), modules)
    known(where, "clip", stage.clip, modules)


def check_trained(stage: Stage, modules: Collection[str]) -> None:
    """Raises ConfigError for a stage in which nothing learns, or something that is not there."""
    unknown = [name for name in stage.train if name not in modules]
    if unknown or not stage.train:
        what = f"'{unknown[0]}'" if unknown else "nothing"
        raise ConfigError(f"Stage '{stage.name}' trains {what}.", f"Choose among: {', '.join(modules)}.")


def known(where: str, name: str, given: Iterable[str], choice: Iterable[str]) -> None:
    """Raises ConfigError that names the first of what is given that is not among the choice."""
    choice = tuple(choice)
    if unknown := [one for one in given if one not in choice]:
        raise ConfigError(f"{where}: {name} knows no '{unknown[0]}'.", f"Known are: {', '.join(choice)}.")


def _among(where: str, table: Any, **choices: Sequence[str]) -> None:
    for name, choice in choices.items():
        if (value := getattr(table, name)) not in choice:
            raise _wrong(where, name, value, f"Choose one of: {', '.join(choice)}.")


def _least(where: str, table: Any, least: Mapping[str, float]) -> None:
    for name, number in least.items():
        if not (math.isfinite(value := getattr(table, name)) and value >= number):
            raise _wrong(where, name, value, f"Give {number} or more.")


def _wrong(where: str, name: str, value: Any, remedy: str) -> ConfigError:
    return ConfigError(f"{where}: {name} can't be {value!r}.", remedy)

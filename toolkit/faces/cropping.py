"""Where to cut: the box that frames a face as the pictures that a model was trained on framed theirs.

Frames are squares, boxes in pixels of the upright picture, from edge to edge; they may reach beyond it, and what is not
there is continued softly (`media.Fit`), never squashed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import media
from ..errors import ConfigError, InputError
from ..paths import is_sample
from . import finders
from .face import Box, distinct, ordered, picked

if TYPE_CHECKING:
    from ..models.base import Info
    from .finders import Finder

GROWTH = 0.1  # of a box's sides, on each side: VoxCeleb's, as published
# A tube (all that a face's box covers in a clip) is so many boxes long. VoxCeleb's median clip has 160 frames; drawn
# performers (60 of `puppets.performance`, 160 frames each) give 1.10, the 169 frames of the driving clip published with
# TPSMM about 1.2, and in its authors' own pictures, cut by hand, the face fills about 0.6 of the side: that is 1.375.
TUBE = 1.3
NEAR = 0.55  # overlap from which a picture counts as framed already: 98 % of training puppets' own frames reach it
BY_HAND = "crop=(x, y, width, height) in pixels"


class Recipe(NamedTuple):
    """How training pictures were cut. what: they show, in words. side: of the frame, in longer sides of the face's box.
    drop: how far the face's middle lies below the frame's, of the frame's side.
    """

    what: str
    side: float
    drop: float = 0.0

    def frame(self, face: Box) -> Box:
        """The frame about one face."""
        side, (x, y) = self.side * face.side, face.centre
        return Box(x - side / 2, y - (0.5 + self.drop) * side, side, side)

    def steady(self, faces: np.ndarray) -> Box:
        """One frame for all places of a face, boxes N x 4: that about the usual one, and as much more as the published
        growth about all of them needs. A few strays among many don't count.
        """
        low, high = np.quantile(faces[:, :2], 0.02, axis=0), np.quantile(faces[:, :2] + faces[:, 2:], 0.98, axis=0)
        tube = Box(*map(float, (*low, *(high - low))))
        usual = self.frame(Box(*map(float, np.median(faces, axis=0))))
        return grown(usual.union(grown(tube)), 0.0)


# "bust" and "head" were measured with boxes from ear to ear and from the forehead's middle to the chin, as the finders
# give them, on 200 puppets of each style, at rest. "bust" is how puppets are drawn: sides 2.26 (cartoon) and 2.41
# (anime) in the median, 2.04 to 2.58 in 96 % of all; drops 0.006 and 0.014. "head" is Talking Head Anime's rule, from
# the flat hair to the chin the middle half of the frame, on the anime ones: side 2.77 (2.59 … 2.95), drop 0.07.
RECIPES = {
    "face": Recipe("face", (1 + 2 * GROWTH) * TUBE),
    "head": Recipe("head", 2.77, 0.07),
    "bust": Recipe("head and shoulders", 2.33, 0.01),
}

FRAMED = {"picture.png": "bust", "driving.mp4": "bust", "anime.png": "head"}  # the toolkit's own samples, as drawn


def is_framed(source: Any, recipe: Recipe) -> bool:
    """Whether this is a sample that was drawn as the recipe frames it, so that nobody need look for its face."""
    known = isinstance(source, str | os.PathLike) and is_sample(source)
    return known and RECIPES.get(FRAMED.get(Path(source).name, "")) is recipe


def recipe_of(info: Info) -> Recipe | None:
    """The recipe that crop="auto" follows; None where the whole frame is wanted, or nobody says what the model was
    trained on.
    """
    return named(info.crop) if info.domain else None


def named(name: str) -> Recipe | None:
    """A recipe by its name; None for "whole". Raises ConfigError."""
    if name != "whole" and name not in RECIPES:
        raise ConfigError(f"There is no recipe {name!r} for a crop.", f"Choose {', '.join(RECIPES)} or whole.")
    return RECIPES.get(name)


def grown(box: Box, share: float = GROWTH) -> Box:
    """The square about a box whose longer side has grown by a share of itself on each side: the published
    "aspect-preserving increase".
    """
    side, (x, y) = (1 + 2 * share) * box.side, box.centre
    return Box(x - side / 2, y - side / 2, side, side)


def whole(size: Sequence[int]) -> Box:
    """What is used of a picture of (height, width) without a crop: its middle square."""
    height, width = size
    side = float(min(height, width))
    return Box((width - side) / 2, (height - side) / 2, side, side)


def is_near(box: Box, size: Sequence[int]) -> bool:
    """Whether a picture of (height, width) is framed like that already, within what a model has seen in training."""
    return box.overlap(whole(size)) >= NEAR


def snapped(box: Box) -> Box:
    """On whole pixels, still a square: so it is cut without being resampled twice."""
    side = max(1, round(box.side))
    return Box(round(box.centre[0] - side / 2), round(box.centre[1] - side / 2), side, side)


def in_picture(
    picture: np.ndarray,
    recipe: Recipe,
    pick: Any = None,
    *,
    name: str = "The picture",
    strict: bool = False,
    finder: Finder | None = None,
) -> tuple[Box | None, str]:
    """The frame about the largest face of a picture, uint8 H x W x 3 or 4, or the one to `pick`; and what was done, in
    words. None where the picture is framed like that already (then there is nothing to say) or shows no face. strict:
    frame it anyhow, and be told.

    Raises InputError where there is no face to pick, or none at all if strict.
    """
    finder = finder or finders.choose()
    faces = ordered(distinct(finder(media.flatten(picture)[None])[0]))
    if not faces:
        what = f"No face was found in {name[0].lower() + name[1:] if name.startswith('The ') else name}"
        if strict or pick is not None:
            raise InputError(
                f"{what}: {finders.tried(finder)}.",
                "Take the whole of it (recipe='whole', crop=None), or give the face's box: (x, y, width, height).",
            )
        return None, f"{what}, so all of it was used ({finders.tried(finder)}). If that does badly, give {BY_HAND}."
    box = snapped(recipe.frame(picked(faces, pick)[0].box))
    if not strict and is_near(box, picture.shape[:2]):
        return None, ""
    said = f"{name} was cut to the {recipe.what}, {spelt(box)}."
    if len(faces) > 1 and pick is None:
        said += f" Of {len(faces)} faces the largest was taken; pick= takes another."
    return box, said


def spelt(box: Box) -> str:
    """A box in words."""
    return f"{box.width:.0f} x {box.height:.0f} pixels from ({box.x:.0f}, {box.y:.0f})"


# -- what the user may ask for ---------------------------------------------------------------------------------------


def asked(crop: Any) -> tuple[Any, Any]:
    """The argument `crop` of animate -> the picture's and the clip's: "auto", None or a Box each. A box alone is the
    picture's, and the clip's is "auto". Raises ConfigError.
    """
    if _is_box(crop):
        return _one(crop), "auto"
    if isinstance(crop, tuple | list) and len(crop) == 2:
        return _one(crop[0]), _one(crop[1])
    return _one(crop), _one(crop)


def picks(pick: Any) -> tuple[Any, Any]:
    """The argument `pick` -> the picture's and the clip's: None, a number or a point each. Raises ConfigError."""
    if not isinstance(pick, Mapping):
        return _check_pick(pick), None
    if unknown := set(pick) - {"picture", "clip"}:
        raise ConfigError(f"pick names {', '.join(map(repr, sorted(unknown)))}.", "Name 'picture' and 'clip'.")
    return _check_pick(pick.get("picture")), _check_pick(pick.get("clip"))


def check_follow(follow: Any) -> None:
    """ConfigError unless it is a number, 0 … 1."""
    if isinstance(follow, bool) or not isinstance(follow, int | float) or not 0 <= follow <= 1:
        raise ConfigError(f"follow is {follow!r}.", "Give 0 (the box stands still) to 1 (it goes with the face).")


def _one(crop: Any) -> Any:
    if crop is None or (isinstance(crop, str) and crop == "auto"):
        return crop
    if not _is_box(crop):
        raise ConfigError(
            f"crop is {crop!r}.",
            f"Give 'auto', None, {BY_HAND}, or a pair of these, the picture's and the clip's.",
        )
    box = Box(*map(float, crop))
    if not np.isfinite(box).all() or min(box.width, box.height) < 1:
        raise ConfigError(f"crop is {crop!r}.", "Give x, y, width and height in pixels, the latter two above 0.")
    return box


def _is_box(crop: Any) -> bool:
    numbers = int | float | np.integer | np.floating
    return isinstance(crop, tuple | list | np.ndarray) and len(crop) == 4 and all(isinstance(n, numbers) for n in crop)


def _check_pick(pick: Any) -> Any:
    number = int | np.integer
    point = isinstance(pick, tuple | list | np.ndarray) and len(pick) == 2
    if pick is None or (isinstance(pick, number) and not isinstance(pick, bool)):
        return pick
    if point and all(isinstance(n, number | float | np.floating) for n in pick):
        return pick
    raise ConfigError(
        f"pick is {pick!r}.",
        "Give a face's number (0 is the largest), a point (x, y) in it, or {'picture': …, 'clip': …} of these.",
    )

"""What can be wrong with a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import media
from ..errors import InputError, ToolkitError
from ..faces import cropping, finders
from ..faces.face import Face
from ..faces.finding import find
from .pose import TILTED, TURNED, tilt
from .report import Finding

if TYPE_CHECKING:
    from ..models.base import Info

ASIDE = 0.15  # of the picture's shorter side: a face so far from the middle is off centre
SMALL = 0.5  # of the model's side: a crop of fewer pixels comes out soft
SMOOTH = 0.45  # see `smoothness`


def smoothness(picture: np.ndarray) -> float:
    """The share of a picture's pixels (uint8 H x W x 3) that are as their neighbours let expect, to a grey level.

    Rendered drawings have no grain: 24 puppets gave 0.44 to 0.74, the samples 0.80; scikit-image's photographs 0.01 to
    0.33, but for an evenly lit retina (0.45). Coded as JPEG drawings lose it (0.15 to 0.45), so a high value tells a
    drawing, and a low one tells nothing.
    """
    grey = picture[..., :3].mean(-1, dtype=np.float32)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    rough = np.abs(4 * grey[1:-1, 1:-1] - around)
    return float((rough < 1).mean()) if rough.size else 1.0


def is_drawn(picture: np.ndarray, finder: str) -> bool | None:
    """Whether a picture is a drawing; None where nothing tells. finder: who found its face ("": nobody did).

    The finder of drawn heads now and then takes a person for one: where the grain doesn't speak for a drawing, the
    cascade is asked as well, which saw a face in 1 of 16 puppets and in scikit-image's astronaut.
    """
    if smoothness(picture) > SMOOTH:
        return True
    if finder == "perception":
        return None if _knows_a_person(picture) else True
    return False if finder in ("face-alignment", "cascade") else None


def _knows_a_person(picture: np.ndarray) -> bool:
    try:
        return bool(finders.choose("cascade")(picture[None])[0])
    except ToolkitError:  # scikit-image is not there
        return False


def of_picture(picture: np.ndarray, info: Info, backend: Any) -> tuple[Face | None, list[Finding]]:
    """The face that will be used, and the findings. picture: uint8 H x W x 4."""
    height, width = picture.shape[:2]
    flat = media.flatten(picture)
    recipe = cropping.recipe_of(info)
    faces, turn = faces_in(flat, backend)
    drawn = is_drawn(flat, faces[0].finder if faces else "")
    said = list(_kind(drawn, info))
    if info.channels == 4 and picture[..., 3].min() == 255:
        what = "Nothing of it is transparent."
        why = f"{info.model} was trained on characters that are cut out; a background goes into the head."
        said.append(Finding("warning", "picture", what, why, "Give a PNG with a transparent background."))
    if recipe is None:
        if min(height, width) < info.size:
            said.append(coarse(f"It has {width} x {height} pixels", info))
        return (faces[0] if faces else None), said or [Finding("ok", "picture", f"{width} x {height}, used whole.")]
    if turn:
        said.append(lying("picture", turn))
    elif not faces:
        what = "No face was found."
        why = f"The model wants to see the {recipe.what} and nothing else; now all of the picture is used."
        said.append(Finding("warning", "picture", what, why, f"{cropping.BY_HAND}, about the face"))
        if min(height, width) < info.size:
            said.append(coarse(f"It has {width} x {height} pixels", info))
    if turn or not faces:
        return None, said
    said += _framing(faces, (height, width), recipe, info)
    said += _bearing(faces[0])
    if all(finding.level == "ok" for finding in said):
        side = round(faces[0].size)
        said.append(Finding("ok", "picture", f"A face of {side} pixels, turned to the viewer ({faces[0].finder})."))
    return faces[0], said


def faces_in(picture: np.ndarray, backend: Any) -> tuple[list[Face], int]:
    """The faces of a picture, and, where there are only some once it is turned, by how many degrees to the right."""
    for turn in (0, 90, 270):
        try:
            return list(find(np.rot90(picture, -turn // 90).copy(), backend=backend)), turn
        except InputError:
            continue
    return [], 0


def _kind(drawn: bool | None, info: Info) -> Iterator[Finding]:
    if info.drawn and drawn is False:
        yield Finding(
            "warning",
            "picture",
            "It is a photograph, and this model has only ever seen drawn heads.",
            "The face will smear: it looks for lines and flat colours that a photograph has not.",
            'model="tpsmm-vox" (faces of people; fetched once)',
        )
    if info.drawn and drawn is None:
        yield Finding(
            "hint",
            "picture",
            "It may be a photograph, and this model has only ever seen drawn heads.",
            "Nothing in it tells a drawing from a photograph.",
            'for a photograph model="tpsmm-vox"',
        )
    if drawn and info.domain and not info.drawn and info.crop == "face":
        yield Finding(
            "hint",
            "picture",
            "It is a drawing, and this model was trained on people.",
            "Faces drawn like life do well; large eyes and flat noses often melt.",
            'compare with model="mini-fomm": toolkit.compare(picture, clip, models=[…])',
        )


def _framing(faces: Sequence[Face], size: tuple[int, int], recipe: cropping.Recipe, info: Info) -> Iterator[Finding]:
    """How large the face is, and where."""
    face, (height, width) = faces[0], size
    box = recipe.frame(face.box)
    near = cropping.is_near(box, size)
    side = min(size) if near else box.side
    if side < SMALL * info.size:
        yield coarse(f"The face has {face.size:.0f} pixels, and its crop {side:.0f}", info)
    if len(faces) > 1:
        yield Finding(
            "hint",
            "picture",
            f"It shows {len(faces)} faces; the largest is taken.",
            "Faces are numbered from 0, the largest; toolkit.faces.find(picture) shows them.",
            "pick=1 for the next, or toolkit.animate_all(picture, clip) for all of them",
        )
    aside = max(abs(face.box.centre[0] - width / 2), abs(face.box.centre[1] - height / 2)) / min(size)
    if near:
        return
    share = face.box.width * face.box.height / (width * height)
    yield Finding(
        "hint",
        "picture",
        f"The face is {'off centre and ' if aside > ASIDE else ''}{share:.0%} of the picture.",
        f'The model was trained on frames of the {recipe.what}: crop="auto", the default, cuts that out; the rest is '
        "not in the result.",
        "paste=True puts the moving face back into the whole picture",
    )


def _bearing(face: Face) -> Iterator[Finding]:
    """How the head is held."""
    front = face.frontality
    if front is not None and front < TURNED:
        yield Finding(
            "warning",
            "picture",
            f"The face is turned aside (frontality {front:.2f} of 1).",
            "The model has to make up the half that is not seen.",
            'a picture from the front, or a clip that begins turned alike: reference="best" finds such a frame',
        )
    if face.landmarks is not None and abs(tilt(face.landmarks)) > TILTED:
        yield Finding(
            "hint",
            "picture",
            f"The head leans by {abs(tilt(face.landmarks)):.0f} degrees.",
            "Motion is relative to it: what is a nod upright goes askew.",
            "turn the picture until the eyes are level",
        )


def coarse(what: str, info: Info) -> Finding:
    return Finding(
        "warning",
        "picture",
        f"{what}; the model works at {info.size} x {info.size}.",
        "It is enlarged first, so the result is soft.",
        "a larger picture, or the original instead of a thumbnail",
    )


def lying(about: str, turn: int) -> Finding:
    return Finding(
        "warning",
        about,
        "The heads lie on their side.",
        "No finder and no model knows faces like that.",
        f"turn it by {turn} degrees clockwise and save it again",
    )

"""The input doctor: looks at a picture, a clip and a model before they are used, and says what to change.

    toolkit.check("friend.jpg", "dance.mp4", "tpsmm-vox")

It opens what it is given, looks for faces in the picture and in a few frames of the clip, and has the model compute one
frame. Nothing is changed and nothing is fetched.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from .. import media
from ..errors import ToolkitError
from ..faces import finders
from ..faces.face import Face
from .clip import of_driver
from .picture import of_picture
from .report import LEVELS, Finding, Report

if TYPE_CHECKING:
    from ..models.base import Animator

__all__ = ["Finding", "Report", "check"]

PATIENCE = 5.0  # minutes


def check(
    picture: Any,
    driving: Any = None,
    model: Any = None,
    *,
    backend: Any = "auto",
    trim: tuple[float | None, float | None] | None = None,
    device: str | None = None,
) -> Report:
    """What to know before `animate(picture, driving, model=model)`: a short list, each with what mends it.

    picture, driving, model, trim, device: as for `animate`; driving may be left out. backend: who looks for faces, as
    for `faces.find`. Takes seconds: a few frames of the clip are looked at, and one frame is computed to tell the time.
    Raises InputError for a file that can't be read, CheckpointError for a model that doesn't exist.
    """
    animator, missing = _model(model)
    info = animator.info
    found = list(missing)
    pictures = picture if isinstance(picture, list | tuple) else [picture]
    own: Face | None = None
    for number, one in enumerate(pictures):
        if hasattr(one, "motion") and hasattr(one, "tensors"):
            found.append(Finding("ok", "picture", "It was encoded already."))
            continue
        face, said = of_picture(media.read_picture(one, channels=4), info, backend)
        own = own or face
        found += said if not number else [finding for finding in said if finding.level != "ok"]
    minutes = None
    if driving is not None:
        said, frames = of_driver(driving, info, own, backend, trim)
        found += said
        minutes, said = _time(animator, frames, device)
        found += said
    return Report(tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level))), minutes)


# -- the model -------------------------------------------------------------------------------------------------------


def _model(model: Any) -> tuple[Animator, list[Finding]]:
    """The animator (of a published model the bare architecture, which is quick and says as much), and what is said."""
    from .. import zoo
    from ..models import FAMILIES, build
    from ..track import DEFAULT_MODEL
    from ..zoo.catalogue import amount

    name = DEFAULT_MODEL if model is None else model
    if not isinstance(name, str) or name not in zoo.entries():
        if hasattr(name, "info"):
            return getattr(name, "_original", name), []
        return zoo.load(name), []
    entry = zoo.entry(name)
    animator = build(entry.model, entry.config or next(iter(FAMILIES[entry.model].published)))
    if finders.is_here(name):
        return animator, []
    return animator, [
        Finding(
            "hint",
            "model",
            f"{name} is not here yet ({amount(entry.size)}).",
            "It is fetched the first time it is used.",
            f"python -m toolkit fetch {name}",
        )
    ]


# -- the time --------------------------------------------------------------------------------------------------------


def _time(animator: Animator, frames: int | None, device: str | None) -> tuple[float | None, list[Finding]]:
    """Minutes that so many frames will take, by one that is computed now."""
    import torch

    from .. import device as devices
    from ..runner import seconds_a_frame
    from ..tuning import starting

    place = devices.pick(device)
    plan = dataclasses.replace(starting(place, torch.float32), batch=1)
    try:
        seconds = seconds_a_frame(animator, plan)
    except (RuntimeError, MemoryError, ToolkitError) as error:
        why = f"One frame could not be computed ({error})."
        return None, [
            Finding("hint", "time", "How long it takes can't be told.", why, 'device="cpu", or a smaller model')
        ]
    where = devices.describe(place)
    if frames is None:
        return None, [
            Finding("ok", "time", f"About {seconds:.2g} s a frame on {where}; the clip's length is not known.")
        ]
    minutes = seconds * frames / 60
    text = f"{minutes:.1f} minutes" if minutes >= 1 else f"{max(2, round(60 * minutes))} seconds"
    what = f"About {text} on {where} for {frames} frames."
    if minutes < PATIENCE:
        return minutes, [Finding("ok", "time", what)]
    mend = "trim=(0, 10) for a first try" + ("" if place.type != "cpu" else "; a GPU is many times faster")
    return minutes, [Finding("hint", "time", what, "Settings are best tried on a part of the clip.", mend)]

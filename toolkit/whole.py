"""Animated faces back in their picture: the tracks of one picture, composed into the whole of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np

from . import media
from .errors import ConfigError
from .faces.cropping import spelt
from .faces.face import Box
from .faces.pasting import Paster, pasted, share_out

if TYPE_CHECKING:
    from torch import Tensor

    from .models.base import Motion
    from .track import Track

POSES = 16  # frames of a track that tell what moves in it
MOVING = 0.02  # of the crop: where less moves, that is said
LARGE = 4096  # pixels of a side, beyond which many players give up


def whole(
    tracks: Sequence[Track],
    size: int | None = None,
    side_by_side: bool = False,
    faces: Sequence[Box] | None = None,
) -> Iterator[np.ndarray]:
    """The frames of the full picture with the track's crop in it, or several tracks' of one picture; uint8 H x W x C,
    each time the same array, changed.

    size: the longer side is no more than that (default: the picture's own size). side_by_side: after picture and driver
    (of the first track). faces: for several tracks, where each face is, in pixels of the picture: crops that overlap
    don't paint over each other's.
    """
    picture = tracks[0].original
    if any(track.runner.info.channels == 3 for track in tracks):
        picture = media.flatten(picture)
    scale = 1.0 if size is None else min(1.0, size / max(picture.shape[:2]))
    if scale < 1:
        picture = media.resize(picture, tuple(max(1, round(side * scale)) for side in picture.shape[:2]))
    elif max(picture.shape[:2]) > LARGE:
        tracks[0].notes.append(
            f"The result is as large as the picture, {picture.shape[1]} x {picture.shape[0]} pixels; many players show "
            f"no more than {LARGE}. size=2048 makes it smaller."
        )
    pasters = [_paster(track, picture, scale, seed) for seed, track in enumerate(tracks)]
    if faces is not None:
        share_out(pasters, [Box(*(value * scale for value in face)) for face in faces])
    frames = pasted(picture, pasters, [track.squares() for track in tracks])
    if not side_by_side:
        yield from frames
        return
    with ExitStack() as stack:
        drivers = [stack.enter_context(closing(tracks[0].driver()))] if tracks[0].template is None else []
        for frame in frames:
            yield media.beside([picture, *(next(driver, frame) for driver in drivers), frame])


def check_pasted(picture: Any) -> None:
    """ConfigError for what is no picture to paste into."""
    from .models.base import Source

    if isinstance(picture, Source):
        raise ConfigError(
            "The face can't be pasted back: an encoded picture no longer has its surroundings.",
            "Give the picture itself.",
        )


def spread(motion: Motion, names: Sequence[str], count: int = POSES) -> Tensor:
    """Numbers of rows that differ as much as can be: the first, then each time the one farthest from all before.

    names: of the tensors that tell.
    """
    import torch

    rows = torch.cat([motion[name].flatten(1).float() for name in names if name in motion.tensors], 1)
    chosen, far = [0], (rows - rows[0]).norm(dim=1)
    while len(chosen) < min(count, len(rows)) and far.max() > 0:
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (rows - rows[chosen[-1]]).norm(dim=1))
    return torch.tensor(sorted(chosen))


def _paster(track: Track, picture: np.ndarray, scale: float, seed: int) -> Paster:
    """For the picture at this scale; the model is asked for the face at rest and for some of its poses."""
    runner, own, plan = track.runner, track.source.motion[:1], track.plan
    if scale < 1:
        box = Box(*(value * scale for value in track.box))
        plan = media.Fit(track.side, "crop", box).plan(*picture.shape[:2])
    mode, same = track.report["mode"], {"reference": own, "adapt_scale": track.adapt_scale}
    rest = runner.transfer(track.source, own, mode=mode, **same)
    poses = runner.render(track.source, track.motion[spread(track.motion, runner.linear)])
    paster = Paster(picture, plan, runner.render(track.source, rest)[0], poses, seed)
    if np.count_nonzero(paster.mask > 127) < MOVING * plan.crop[2] * plan.crop[3]:
        track.notes.append(
            f"Hardly anything moves in the part that was cut out ({spelt(track.box)}): is the face there? "
            "If not, say where it is, in pixels of the picture (x, y, width, height)."
        )
    return paster

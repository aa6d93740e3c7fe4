"""The driver's motion before any picture follows it: read, taken from a file, filled where it was lost, smoothed, and
the frame in it where driver and picture are taken to agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError, InputError
from .media.files import check_input

if TYPE_CHECKING:
    from torch import Tensor

    from .models.base import Motion
    from .runner import Runner

JOINED = 64  # motions of batches are joined this often: many small tensors would split the heap


def template(driving: Any) -> Motion | None:
    """A `Motion`, given as such or as the file that its `save` wrote; None for a clip. Raises InputError where there
    is no file, CheckpointError for another one.
    """
    from .models.base import Motion

    if isinstance(driving, str | Path) and Path(driving).suffix == ".safetensors":
        return Motion.load(check_input(driving, "clip"))
    return driving if isinstance(driving, Motion) else None


def check_template(motion: Motion, own: Motion) -> None:
    """ConfigError unless a recorded motion is of the kind of the picture's own; InputError for values that are no
    numbers.
    """
    if motion.model != own.model:
        raise ConfigError(
            f"The motion was recorded with {motion.model}, but the model is {own.model}.",
            "Use the model that recorded it, or give the clip itself.",
        )
    if not len(motion):
        raise InputError("The motion has no rows.", "Give one row for each frame.")
    for name, tensor in own.tensors.items():
        given, wanted = motion.tensors.get(name), " x ".join(["rows", *map(str, tensor.shape[1:])])
        if given is None or given.shape[1:] != tensor.shape[1:]:
            what = "lacks" if given is None else f"has {' x '.join(map(str, given.shape))} as"
            raise ConfigError(f"The motion {what} '{name}', which this model reads.", f"Give '{name}' as {wanted}.")
        if not bool(given[motion.valid].isfinite().all()):
            row = int((~given.flatten(1).isfinite().all(1) & motion.valid).nonzero()[0])
            raise InputError(f"The motion's '{name}' holds a value that is no number, in row {row}.", "Mend that row.")


def read(
    runner: Runner,
    frames: Iterator[np.ndarray],
    landmarks: Callable[[np.ndarray], Tensor] | None,
    step: Callable[[int], None],
    times: list[float],
) -> Motion | None:
    """The motion of frames uint8 H x W x 3, in batches; None where there is no frame.

    landmarks: a batch of frames T x H x W x 3 -> their landmarks, for a model that sees through them. step is told how
    many frames were done; times gets the seconds a frame of each batch.
    """
    from .models.base import Motion

    motions: list[Motion] = []
    while batch := list(islice(frames, runner.plan.batch)):
        began, pixels = time.perf_counter(), np.stack(batch)
        motions.append(runner.motion(pixels, landmarks(pixels) if landmarks else None))
        times.append((time.perf_counter() - began) / len(batch))
        if len(motions) == JOINED:
            motions = [Motion.cat(motions)]
        step(len(batch))
    return Motion.cat(motions) if motions else None


def held(motion: Motion) -> Motion:
    """Lost rows (not `valid`) take what the last valid one before them has, leading ones the first valid one's; they
    stay marked. At least one row is valid.
    """
    import torch

    if bool(motion.valid.all()):
        return motion
    rows = torch.where(motion.valid, torch.arange(len(motion)), -1).cummax(0).values
    rows = torch.where(rows < 0, motion.valid.int().argmax(), rows)
    return motion.replace(**{name: tensor[rows] for name, tensor in motion.tensors.items()})


def smoothed(motion: Motion, linear: Sequence[str], sigma: float) -> Motion:
    """A zero-lag Gaussian (standard deviation `sigma`, in frames) over the linear tensors; lost rows don't count, and
    stay as they are where no valid one is near.
    """
    import torch

    reach = max(1, int(4 * sigma + 0.5))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)[None, None]

    def blur(rows: Tensor) -> Tensor:  # T x C -> T x C
        return torch.nn.functional.conv1d(rows.T[:, None], kernel, padding=reach)[:, 0].T

    weight = motion.valid.double()[:, None]
    total, out = blur(weight), {}
    for name in linear:
        rows = motion[name].double().reshape(len(motion), -1)
        mean = blur(torch.where(weight > 0, rows, 0)) / total.clamp_min(1e-12)
        mean = torch.where(total > 0, mean, rows)
        out[name] = mean.reshape(motion[name].shape).to(motion[name].dtype)
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

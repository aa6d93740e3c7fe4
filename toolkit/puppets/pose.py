"""What a puppet does: head turn, eyes, brows, mouth, place in the picture."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .batch import Batch, uniforms


@dataclasses.dataclass(frozen=True)
class Pose(Batch):
    """B poses; each field is a float tensor of shape (B,). "left": on the left IN THE PICTURE, not the puppet's own."""

    yaw: Tensor  # radians; > 0 turns the face to picture right
    pitch: Tensor  # radians; > 0 looks up
    roll: Tensor  # radians; > 0 tilts the crown to picture right (clockwise)
    eye_left: Tensor  # 0 shut … 1 fully open
    eye_right: Tensor
    gaze_x: Tensor  # -1 picture left … 1 picture right
    gaze_y: Tensor  # -1 up … 1 down
    brow_left: Tensor  # -1 lowered … 1 raised
    brow_right: Tensor
    mouth_open: Tensor  # 0 … 1
    mouth_wide: Tensor  # -1 "oo" … 1 "ee", a smile
    x: Tensor  # shift of the head, in half-widths of the picture; > 0 to the right
    y: Tensor  # > 0 downwards
    scale: Tensor  # 1 is the puppet's own size

    @classmethod
    def neutral(cls, n: int, device: torch.device | str = "cpu") -> Pose:
        """n times looking straight out, eyes open, mouth shut."""
        ones = {"eye_left", "eye_right", "scale"}
        return cls(**{f.name: torch.full((n,), float(f.name in ones), device=device) for f in dataclasses.fields(cls)})


def poses(n: int, seed: int, device: torch.device | str = "cpu", *, amount: float = 1.0) -> Pose:
    """n random poses over the whole range (yaw to 0.6, pitch and roll to 0.35 rad), for training.

    Row i depends on (seed, i) alone. `amount` calms head turn, tilt, shift and scale: 1 is the full range, 0 frontal.
    Eyes, brows and mouth keep their full range.
    """
    u = uniforms(n, seed, 24).unbind(1)

    def bell(k: int, reach: float) -> Tensor:
        """Symmetric, more often small than large, never beyond reach."""
        s = 2 * u[k] - 1
        return reach * (0.6 * s + 0.4 * s**3)

    # Eyes: mostly open, often half shut or shut; a wink now and then.
    lids = torch.where(u[3] < 0.18, 0 * u[3], torch.where(u[3] < 0.45, u[4], 0.75 + 0.25 * u[4]))
    wink = torch.where(u[5] < 0.15, u[6], lids)
    eye_left = torch.where(u[7] < 0.5, lids, wink)
    eye_right = torch.where(u[7] < 0.5, wink, lids)
    # Mouth: shut a quarter of the time, else anywhere.
    mouth_open = torch.where(u[8] < 0.25, 0 * u[8], u[9])
    brow, frown = 2 * u[11] - 1, 0.5 * (2 * u[12] - 1)
    return Pose(
        yaw=amount * bell(0, 0.62), pitch=amount * bell(1, 0.36), roll=amount * bell(2, 0.36),
        eye_left=eye_left, eye_right=eye_right, gaze_x=2 * u[13] - 1, gaze_y=0.8 * (2 * u[14] - 1),
        brow_left=(brow + frown).clamp(-1, 1), brow_right=(brow - frown).clamp(-1, 1),
        mouth_open=mouth_open, mouth_wide=2 * u[10] - 1,
        x=amount * bell(15, 0.16), y=amount * bell(16, 0.13), scale=1 + amount * bell(17, 0.16),
    ).to(device)  # fmt: skip

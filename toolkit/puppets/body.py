"""Neck and chest; clothes.py covers the rest.

The body stays behind when the head moves: it follows shift and scale by half and leans a little with roll.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .geometry import BASE, Rig
from .identity import Identity
from .shapes import col, cover, mix, smooth, spread, tint

if TYPE_CHECKING:
    from .draw import Stage
    from .face import Face


class Torso:
    """Where the body is: its own frame, origin at the pit of the neck, in body units (as long as head units)."""

    def __init__(self, rig: Rig) -> None:
        i, p = rig.identity, rig.pose
        self.scale = i.size * (0.55 + 0.45 * p.scale)
        self.x = 0.45 * p.x + 0.05 * p.roll
        self.y = BASE + 0.45 * p.y + self.scale * (0.62 + 0.12 * (i.chin_y - 0.9) - 0.06 * (i.style == 1))
        self.lean = 0.12 * p.roll
        under = torch.tensor([[[0.0, 0.45, -0.2]]], device=rig.device).expand(len(p), -1, -1)
        self.root = rig.project(under)[:, 0]  # where the neck begins, under the head

    def __getitem__(self, rows: Tensor) -> Torso:
        some = copy.copy(self)
        some.scale, some.x, some.y, some.lean, some.root = (
            t[rows] for t in (self.scale, self.x, self.y, self.lean, self.root)
        )
        return some

    def to_picture(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, K) body coordinates -> B x K x 2."""
        c, n = self.lean.cos()[:, None], self.lean.sin()[:, None]
        s = self.scale[:, None]
        return torch.stack([self.x[:, None] + s * (c * x - n * y), self.y[:, None] + s * (n * x + c * y)], -1)

    def from_picture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        c, n, s = col(self.lean.cos()), col(self.lean.sin()), col(self.scale)
        dx, dy = (x - col(self.x)) / s, (y - col(self.y)) / s
        return c * dx + n * dy, c * dy - n * dx

    def neck(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The neck runs from under the head to the pit of the neck: x of its middle at heights y, the share 0…1 of the
        way down, and y of its root.
        """
        ax, ay = self.from_picture(*(self.root[:, k, None, None] for k in (0, 1)))
        along = ((y - ay) / (0.05 - ay).clamp_min(0.1)).clamp(0, 1)
        return ax - ax * along, along, ay


def shoulder_distance(x: Tensor, y: Tensor, identity: Identity) -> Tensor:
    """About the signed distance to chest and shoulders: slopes that round off into upright sides."""
    wide = col(identity.shoulders)
    q = x.abs() / wide
    q2 = q * q
    q4 = q2 * q2
    t = ((y - 0.77) / 0.75).sub_(q2 * (0.34 / 0.75)).clamp_max_(0)
    k = (t * t).addcmul_(q4, q2).add_(1e-9).sqrt_()
    gx, gy = (3 * q4).sub_(0.9 * t).mul_(q).div_(wide), t.div_(0.75)
    return (k - 1).mul_(k).div_(gx.square_().addcmul_(gy, gy).add_(0.01).sqrt_())


def draw(stage: Stage, face: Face) -> None:
    """The skin of neck and chest, as far as any neckline lets it be seen."""
    rig, i = stage.rig, stage.identity
    torso = Torso(rig)
    top = (face.middle[:, 1] + 0.35 * rig.scale).minimum(torso.y - 0.3 * torso.scale)
    wide, lean = 0.75 * torso.scale, torso.root[:, 0] - torso.x
    view = stage.window(
        torso.x - wide + lean.clamp_max(0), torso.x + wide + lean.clamp_min(0), top, torso.y + 0.9 * torso.scale
    )
    x, y = torso.from_picture(view.x, view.y)
    px = 2 / stage.size / col(torso.scale)
    shadow, skin, _ = i.skin_tones()
    anime = col((i.style == 1).float())
    middle, along, root = torso.neck(y)
    off = x - middle
    aside = off.abs()
    side = aside - col(i.neck) - 0.19 * smooth(along, 0.55, 1.0)
    side = torch.maximum(side, (root - y).maximum(y - 0.6))
    chest = shoulder_distance(x, y, i).maximum(x.abs() - 0.62).maximum(y - 0.8)
    alpha = cover(torch.minimum(side, chest), px)
    # light from the side; the chin's shadow; a hint of sinews and collar bones
    under = view.crop(face.far)
    shade = smooth(off * (col(i.light) / col(i.neck)), 0.2, 1.0) * 0.45 + 0.2
    soft = shade.maximum(smooth(under, 0.16, 0.0) * 0.75)
    sinew = spread(aside - 0.45 * col(i.neck) * (1.25 - along), 0.03) * smooth(along, 0.3, 0.9) * 0.16
    bone = spread(y - 0.16 - 0.1 * x.abs(), 0.03) * smooth(x.abs(), 0.08, 0.2) * 0.3
    soft = (soft + sinew + bone).clamp_max(1)
    cel = smooth(under + 0.03 * off / col(i.neck), 0.075, 0.065) * 0.7
    view.paint(mix(skin, shadow, soft + anime * (cel - soft)), alpha)
    view.paint(
        tint(shadow, 0.7, 0.55, 0.55), anime * smooth(side.abs(), 0.02, 0.008) * alpha * smooth(y, 0.15, 0.0) * 0.7
    )

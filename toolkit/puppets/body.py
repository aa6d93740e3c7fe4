"""Neck and shoulders.

The body stays behind when the head moves: it follows shift and scale by half and leans a little with roll.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import clothes
from .geometry import BASE, Rig
from .identity import Identity
from .shapes import col, cover, mix, smooth, tint

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

    def to_picture(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, K) body coordinates -> B x K x 2."""
        c, n = self.lean.cos()[:, None], self.lean.sin()[:, None]
        s = self.scale[:, None]
        return torch.stack([self.x[:, None] + s * (c * x - n * y), self.y[:, None] + s * (n * x + c * y)], -1)

    def from_picture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        c, n, s = col(self.lean.cos()), col(self.lean.sin()), col(self.scale)
        dx, dy = (x - col(self.x)) / s, (y - col(self.y)) / s
        return c * dx + n * dy, c * dy - n * dx


def shoulder_distance(x: Tensor, y: Tensor, identity: Identity) -> Tensor:
    """About the signed distance to chest and shoulders: slopes that round off into upright sides."""
    wide = col(identity.shoulders)
    q = x.abs() / wide
    q2 = q * q
    t = ((y - 0.02 - 0.34 * q2) / 0.75 - 1).clamp_max(0)
    k = (t * t + q2 * q2 * q2 + 1e-9).sqrt()
    gx, gy = (3 * q2 * q2 * q - 0.9 * t * q) / wide, t / 0.75
    return (k - 1) * k / (gx * gx + gy * gy + 0.01).sqrt()


def draw(stage: Stage, face: Face) -> None:
    rig, i = stage.rig, stage.identity
    torso = Torso(rig)
    one = torch.ones_like(torso.y)
    top = (face.middle[:, 1] + 0.35 * rig.scale).minimum(torso.y - 0.3 * torso.scale)
    wide = 1.15 * (i.shoulders + 0.1) * torso.scale
    view = stage.window(torso.x - wide, torso.x + wide, top, 1.1 * one)
    x, y = torso.from_picture(view.x, view.y)
    px = 2 / stage.size / col(torso.scale)
    shadow, skin, _ = i.skin_tones()
    anime = col((i.style == 1).float())
    # the neck runs from under the head to the pit of the neck
    root = rig.project(torch.tensor([[[0.0, 0.45, -0.2]]], device=rig.device).expand(len(top), -1, -1))[:, 0]
    ax, ay = torso.from_picture(root[:, 0, None, None], root[:, 1, None, None])
    along = ((y - ay) / (0.05 - ay).clamp_min(0.1)).clamp(0, 1)
    middle = ax - ax * along
    off = x - middle
    aside = off.abs()
    neck = aside - col(i.neck) - 0.19 * smooth(along, 0.55, 1.0)
    neck = torch.maximum(neck, (ay - y).maximum(y - 0.6))
    body = shoulder_distance(x, y, i)
    alpha = cover(torch.minimum(neck, body), px)
    # light from the side; the chin's shadow; a hint of sinews and collar bones
    under = view.crop(face.far)
    shade = smooth(off / col(i.neck) * col(i.light), 0.2, 1.0) * 0.45 + 0.2
    soft = shade.maximum(smooth(under, 0.16, 0.0) * 0.75)
    sinew = torch.exp(-(((aside - 0.45 * col(i.neck) * (1.25 - along)) / 0.03) ** 2)) * smooth(along, 0.3, 0.9) * 0.16
    bone = torch.exp(-(((y - 0.16 - 0.1 * x.abs()) / 0.03) ** 2)) * smooth(x.abs(), 0.08, 0.2) * 0.3
    soft = (soft + sinew + bone).clamp_max(1)
    cel = smooth(under + 0.03 * off / col(i.neck), 0.075, 0.065) * 0.7
    view.paint(mix(skin, shadow, soft + anime * (cel - soft)), alpha)
    view.paint(
        tint(shadow, 0.7, 0.55, 0.55), anime * smooth(neck.abs(), 0.02, 0.008) * alpha * smooth(y, 0.15, 0.0) * 0.7
    )

    for kind in range(len(clothes.KINDS)):
        rows = (i.clothes == kind).nonzero()[:, 0]
        if len(rows):
            some = view.part(rows)
            clothes.KINDS[kind](clothes.Cloth(some, i[rows], x[rows], y[rows], px[rows], body[rows], middle[rows]))
            some.back()

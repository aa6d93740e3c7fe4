"""What puppets wear, one function a kind. Coordinates are the body's: origin at the pit of the neck, y down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .body import Torso, shoulder_distance
from .identity import Identity
from .shapes import col, cover, few, fract, mix, smooth, spread, tint

if TYPE_CHECKING:
    from .draw import Stage


class Cloth:
    """The body of some puppets (rows of the stage), ready to be dressed."""

    def __init__(self, stage: Stage, torso: Torso, rows: Tensor) -> None:
        self.identity = identity = stage.identity[rows]
        self.torso = torso = torso[rows]
        wide = 1.15 * (identity.shoulders + 0.1) * torso.scale
        top = torso.y - 0.45 * torso.scale
        self.view = stage.window(torso.x - wide, torso.x + wide, top, torch.full_like(top, 1.1)).part(rows)
        self.x, self.y = torso.from_picture(self.view.x, self.view.y)
        self.a = self.x.abs()
        self.px = 2 / stage.size / col(torso.scale)
        self.body = shoulder_distance(self.x, self.y, identity)
        self.neck = col(identity.neck)
        self.colour, self.trim, self.under = identity.clothes_colours.unbind(1)
        self.dark = tint(self.colour, 0.6, 0.57, 0.64)
        self.bright = self.colour + (1 - self.colour) * 0.22
        self.side = col(identity.light)
        self.anime = col((identity.style == 1).float())

    def cover(self, distance: Tensor) -> Tensor:
        return cover(distance, self.px)

    def figure(self) -> Tensor:
        """The pattern woven into the cloth, as coverage."""
        q = self.x / col(self.identity.shoulders)
        return woven(self.identity, self.x, self.y - 0.35 * q * q, self.px)

    def cloak(self, neckline: Tensor, loose: float = 0.03, pattern: float = 0.85) -> Tensor:
        """The garment itself below its neckline, with light, folds and pattern. Returns what it covers."""
        x, y, a = self.x, self.y, self.a
        wide = col(self.identity.shoulders)
        lit = self.side * 0.9 * x / wide + 0.25 * self.body
        fold = spread(a - 0.62 * wide + 0.25 * (y - 0.9), 0.035) * smooth(y, 0.55, 0.9) * 0.55
        inner = smooth(y - neckline, 0.08, 0.0) * 0.5
        soft = smooth(lit, 0.1, 1.1) * 0.8 + fold + inner
        cel = smooth(lit, 0.28, 0.31).maximum(smooth(fold, 0.25, 0.3)).maximum(smooth(y - neckline, 0.045, 0.035)) * 0.7
        tone = mix(self.colour, self.trim, self.figure() * pattern)
        dark = tone * self.view.x.new_tensor([0.6, 0.57, 0.64])[:, None, None]
        tone = mix(tone, dark, (soft + self.anime * (cel - soft)).clamp(0, 1))
        tone = mix(tone, tone.new_ones(1, 3), smooth(lit, -0.2, -1.0) * (0.25 - 0.25 * self.anime))
        covered = self.cover(neckline - y) * self.cover(self.body - loose)
        self.view.paint(tone, covered)
        line = self.anime * smooth((self.body - loose).abs(), 0.03, 0.012) * 0.55
        self.view.paint(tint(self.colour, 0.4, 0.38, 0.42), line * covered)
        return covered

    def seam(self, distance: Tensor, inside: Tensor, width: float = 0.008, strength: float = 0.6) -> None:
        """A dark line along distance = 0."""
        self.view.paint(self.dark, self.cover(distance.abs() - width) * inside * strength)

    def ribbing(self, neckline: Tensor, covered: Tensor) -> None:
        """A band along the neckline."""
        edge = self.y - neckline
        tone = mix(self.trim, tint(self.trim, 0.7, 0.7, 0.72), smooth(edge, 0.04, 0.07) * 0.8)
        self.view.paint(tone, self.cover((edge - 0.03).abs() - 0.035) * covered)

    def collar(self, colour: Tensor) -> None:
        """The two leaves of a shirt collar."""
        n = self.neck
        leaf = corners(self.a, self.y, [(n - 0.04, -0.10), (n + 0.07, 0.10), (0.62 * n, 0.40), (0.02 + 0 * n, 0.13)])
        alpha = self.cover(leaf)
        self.view.paint(mix(colour, tint(colour, 0.76, 0.76, 0.82), smooth(self.y - 0.5 * self.a, 0.22, -0.1)), alpha)
        self.seam(leaf, torch.ones_like(alpha), 0.007, 0.6)


def woven(identity: Identity, x: Tensor, y: Tensor, px: Tensor) -> Tensor:
    """The pattern of a puppet's cloth at x across and y down it (head units), as coverage."""
    f = 7.0 + 6 * col(identity.backdrop_shape[:, 15])
    u, v = fract(x * f) - 0.5, fract(y * f) - 0.5
    px = px * f
    stripes, pins, dots, checks = (col((identity.pattern == k).float()) for k in (1, 2, 3, 4))
    lying = cover(v.abs() - 0.25, px) * (stripes + 0.4 * checks)
    upright = cover(u.abs().sub_(0.08 * pins + 0.25 * checks), px) * (0.7 * pins + 0.4 * checks)
    round_ = cover((u * u).addcmul_(v, v).sqrt_().sub_(0.26), px) * dots
    return lying.add_(upright).add_(round_)


def corners(x: Tensor, y: Tensor, points: list[tuple]) -> Tensor:
    """About the signed distance to a convex polygon; points go clockwise on the screen."""
    sides = []
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        dx, dy = bx - ax, by - ay
        length = (dx * dx + dy * dy) ** 0.5
        sides.append(((x - ax) * dy - (y - ay) * dx) / length)
    return torch.stack(sides).amax(0)


def _tee(c: Cloth) -> None:
    neckline = 0.16 - 1.2 * (c.a - c.neck * 0.55).clamp_min_(1e-6).log_().mul_(1.3).exp_()  # ** 1.3, and faster
    c.ribbing(neckline, c.cloak(neckline))


def _vee(c: Cloth) -> None:
    neckline = 0.62 - 1.35 * c.a
    c.ribbing(neckline, c.cloak(neckline))


def _shirt(c: Cloth) -> None:
    neckline = 0.44 - 1.35 * c.a
    covered = c.cloak(neckline)
    c.collar(c.bright)
    c.seam(c.a - 0.055, covered, 0.006, 0.5)
    button = (c.x * c.x + (fract((c.y - 0.41) / 0.28) * 0.28 - 0.14) ** 2).sqrt() - 0.022
    c.view.paint(c.bright, c.cover(button) * c.cover(neckline + 0.05 - c.y))
    c.view.paint(c.dark, c.cover((button + 0.002).abs() - 0.004) * c.cover(neckline + 0.05 - c.y) * 0.7)


def _suit(c: Cloth) -> None:
    x, y, a = c.x, c.y, c.a
    pale = c.under * 0.25 + 0.72
    front = c.cover(0.10 - y) * c.cover(c.body - 0.02) * c.cover(a - 0.5)
    c.view.paint(mix(pale, tint(pale, 0.75, 0.75, 0.8), smooth(a, 0.05, 0.3) * 0.5), front)
    tie = c.cover(a - 0.05 - 0.05 * (y - 0.2).clamp(0, 1.5)) * c.cover(0.14 - y)
    knot = c.cover(torch.maximum(a - 0.085 + 0.12 * (y - 0.14).clamp_min(0), (y - 0.22).abs() - 0.08))
    c.view.paint(mix(c.trim, tint(c.trim, 0.7, 0.7, 0.7), smooth(x * c.side, -0.05, 0.08)), tie.maximum(knot))
    neckline = 0.95 - 1.9 * a
    covered = c.cloak(neckline, pattern=0.1)
    c.collar(pale)
    c.seam(a - 0.26 - 0.32 * (0.95 - y).clamp(0, 1), covered * c.cover(0.12 - y), strength=0.8)


def _hoodie(c: Cloth) -> None:
    x, y, a = c.x, c.y, c.a
    c.cloak(0.22 - 1.1 * (a - c.neck * 0.5).clamp_min(0), loose=0.06)
    ring = (((x / 0.56) ** 2 + ((y + 0.02) / 0.24) ** 2 + 1e-9).sqrt() - 1) * 0.3
    tone = smooth(ring, -0.02, 0.10) * 0.8
    c.view.paint(mix(c.colour, c.dark, tone), c.cover(ring.abs() - 0.12) * c.cover(-y - 0.18))
    string = torch.maximum((a - 0.16 - 0.02 * (5 * y).sin()).abs() - 0.014, (y - 0.48).abs() - 0.22)
    c.view.paint(c.trim, c.cover(string))


def _turtleneck(c: Cloth) -> None:
    x, y = c.x, c.y
    c.cloak(torch.full_like(x, -0.9))
    middle = c.torso.neck(y)[0]
    roll = torch.maximum((x - middle).abs() - c.neck - 0.05, (y + 0.16).abs() - 0.17)
    tone = smooth(x * torch.sign(c.side), -0.2, 0.4) * 0.7 + 0.07 * (x * 42).sin() + 0.07 + 0.5 * smooth(y, -0.06, 0.02)
    c.view.paint(mix(c.colour, c.dark, tone.clamp(0, 1)), c.cover(roll))


def _dress(c: Cloth) -> None:
    neckline = 0.5 - 0.6 * (c.a / 0.5).square() ** 2
    covered = c.cloak(neckline)
    c.ribbing(neckline, covered)


def _sailor(c: Cloth) -> None:
    y, a = c.y, c.a
    neckline = 0.72 - 1.35 * a
    c.cloak(neckline, pattern=0.0)
    sail = torch.maximum(a - 0.78 + 0.5 * (y - 0.5).clamp_min(0), y - 0.92 + 0.35 * a).maximum(neckline - y)
    chest = c.cover(c.body - 0.03)
    c.view.paint(c.trim, c.cover(sail) * chest)
    pale = c.under * 0.25 + 0.72
    c.view.paint(pale, c.cover((sail + 0.07).abs() - 0.012) * c.cover(neckline + 0.05 - y) * chest)
    scarf = torch.maximum(a - 0.07 - 0.32 * (y - 0.70).abs(), (y - 0.78).abs() - 0.22)
    c.view.paint(mix(c.under, tint(c.under, 0.7, 0.68, 0.7), smooth((y - 0.72).abs(), 0.05, 0.0)), c.cover(scarf))


KINDS = (_tee, _vee, _shirt, _suit, _hoodie, _turtleneck, _dress, _sailor)  # in the order of identity.CLOTHES


def draw(stage: Stage) -> None:
    """Dress all puppets of the stage."""
    torso = Torso(stage.rig)
    for kind, dress in enumerate(KINDS):
        for rows in (stage.identity.clothes == kind).nonzero()[:, 0].split(few(stage.size, stage.canvas.device)):
            if len(rows):
                cloth = Cloth(stage, torso, rows)
                dress(cloth)
                cloth.view.back()

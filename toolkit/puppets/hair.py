"""Hair: a cut is an outline of the head with hair on, an opening for the face, lengths and tails; and its painting.

The outline is a polar table round the head, tilted with it. The opening (fringe, parting, sides) lies on the head's
ellipsoid: every pixel is cast onto it along the line of sight, so the hairline turns with the head as it should.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .geometry import CAMERA, DEPTH, Rig
from .identity import HAIR, Identity
from .shapes import Polar, band, capsule, col, cover, directions, fract, mix, smooth, spread, steepness, step, tint

if TYPE_CHECKING:
    from .draw import Stage

# style          volume  top  fringe  side  square  jag  jags  sweep  bump bumps  sides  back  flare wave  tails
_CUTS = {
    "bald":        (0.00, 0.00, -2.00, 2.00, 2.0, 0.00, 5, 0.00, 0.000, 9, -9.0, 0.0, 0.00, 0.00, 0),
    "buzz":        (0.02, 0.01, -0.62, 0.70, 3.2, 0.00, 9, 0.00, 0.000, 9, 0.05, 0.0, 0.00, 0.00, 0),
    "side parting":(0.07, 0.10, -0.52, 0.70, 3.0, 0.05, 3, 0.16, 0.020, 5, 0.12, 0.0, 0.00, 0.00, 0),
    "quiff":       (0.05, 0.24, -0.62, 0.70, 3.4, 0.06, 5, 0.04, 0.045, 6, 0.08, 0.0, 0.00, 0.00, 0),
    "spiky":       (0.13, 0.14, -0.50, 0.70, 2.8, 0.34, 6, 0.06, 0.140, 11, 0.22, 0.0, 0.00, 0.00, 0),
    "curly":       (0.15, 0.10, -0.50, 0.70, 2.8, 0.08, 9, 0.00, 0.045, 16, 0.15, 0.0, 0.00, 0.00, 0),
    "afro":        (0.42, 0.16, -0.54, 0.70, 2.6, 0.03, 14, 0.00, 0.022, 28, 0.75, 0.0, 0.00, 0.00, 0),
    "bowl":        (0.10, 0.03, -0.34, 0.68, 4.0, 0.04, 12, 0.00, 0.006, 9, 0.28, 0.0, 0.00, 0.00, 0),
    "bob":         (0.14, 0.05, -0.38, 0.68, 3.4, 0.10, 6, 0.06, 0.008, 7, 0.80, 0.92, 0.12, 0.00, 0),
    "long":        (0.11, 0.06, -0.46, 0.70, 2.8, 0.10, 5, 0.14, 0.010, 7, 0.85, 1.75, 0.08, 0.01, 0),
    "wavy":        (0.17, 0.08, -0.52, 0.72, 2.6, 0.08, 5, 0.18, 0.024, 9, 0.85, 1.60, 0.16, 0.06, 0),
    "ponytail":    (0.06, 0.06, -0.54, 0.70, 2.8, 0.08, 4, 0.16, 0.008, 7, 0.15, 0.0, 0.00, 0.00, 1),
    "twin tails":  (0.09, 0.06, -0.44, 0.69, 3.0, 0.22, 6, 0.04, 0.012, 7, 0.45, 0.0, 0.00, 0.00, 2),
    "top bun":     (0.04, 0.02, -0.60, 0.70, 2.8, 0.03, 5, 0.10, 0.006, 7, 0.10, 0.0, 0.00, 0.00, 3),
    "two buns":    (0.07, 0.03, -0.44, 0.69, 3.0, 0.14, 6, 0.05, 0.010, 7, 0.35, 0.0, 0.00, 0.00, 4),
    "curtains":    (0.12, 0.10, -0.40, 0.68, 2.8, 0.08, 4, 0.34, 0.014, 7, 0.38, 0.0, 0.00, 0.00, 0),
    "pixie":       (0.11, 0.10, -0.46, 0.69, 2.8, 0.20, 5, 0.16, 0.050, 9, 0.30, 0.0, 0.00, 0.00, 0),
    "receding":    (0.06, -0.06, -0.97, 0.71, 2.8, 0.02, 6, 0.00, 0.020, 13, 0.20, 0.0, 0.00, 0.00, 0),
}  # fmt: skip
CENTRE = (0.0, -0.12, -0.08)  # of outline and ellipsoid, head space
OPENING = 0.55  # height of the opening's middle


@dataclasses.dataclass
class Cut:
    """Numbers of a haircut, (B,) each; see the table above."""

    volume: Tensor  # how far hair stands off at the sides
    top: Tensor  # and further on top
    fringe: Tensor  # height of the hairline over the face's middle
    side: Tensor  # half-width of the opening
    square: Tensor  # 2 round … 4 square opening
    jag: Tensor  # depth of the tufts of the fringe
    jags: Tensor  # how many
    sweep: Tensor  # how far hair opens at the parting
    bump: Tensor  # tufts of the outline
    bumps: Tensor
    sides: Tensor  # how far front hair hangs down
    back: Tensor  # how far back hair hangs down; 0 to the nape
    flare: Tensor
    wave: Tensor
    tails: Tensor


def cut(identity: Identity) -> Cut:
    table = torch.tensor([_CUTS[name] for name in HAIR], device=identity.hair.device)[identity.hair]
    c = Cut(*table.unbind(1))
    u = identity.hair_shape
    anime = identity.style == 1
    big = 1 + 0.35 * anime
    c.volume = c.volume * big * (0.8 + 0.45 * u[:, 0])
    c.top = c.top * (0.8 + 0.5 * u[:, 1]) + 0.03 * anime
    c.fringe = c.fringe + 0.10 * (u[:, 2] - 0.5) - 0.02 * anime
    c.jag = c.jag * (0.6 + 0.8 * u[:, 3]) * (1 - 0.4 * anime) + 0.24 * anime
    c.jags = (c.jags + 2 * u[:, 4]).floor()
    c.bump = c.bump * (1 + 0.3 * anime)
    c.sides = (
        c.sides
        + torch.where((c.sides > 0.3) & (c.bumps < 20), 0.25 * (u[:, 5] - 0.3), 0.06 * (u[:, 5] - 0.5))
        + 0.12 * anime
    )
    c.back = torch.where(c.back > 0, c.back + 0.3 * (u[:, 6] - 0.5), c.back)
    return c


class Hair:
    """The hair of B puppets in their poses."""

    def __init__(self, rig: Rig) -> None:
        self.rig, i = rig, rig.identity
        self.cut = c = cut(i)
        self.bald = c.sides < -1
        self.part = (i.hair_shape[:, 7] - 0.5) * 1.1 * (i.hair != HAIR.index("curtains"))
        self.middle = rig.project(torch.tensor([[CENTRE]], device=rig.device).expand(len(c.top), -1, -1))[:, 0]
        n = rig.cos_yaw
        depth = DEPTH * 1.02
        self.half = ((i.head_width * n) ** 2 + (depth * rig.sin_yaw) ** 2).sqrt() * 1.01 + c.volume * 0.8
        self.height = i.head_top + CENTRE[1] + 0.03 + 0.8 * c.volume + c.top
        self.radius = self._radius()

    def _radius(self) -> Tensor:
        """The outline of the hair round its middle: B x TURNS, head units, in the frame tilted with the head."""
        c, i = self.cut, self.rig.identity
        ux, uy = directions(self.rig.device)
        angle = torch.atan2(ux, -uy)  # 0 at the crown
        half, height = self.half[:, None], self.height[:, None]
        up = ((ux.abs() / half) ** 2.25 + (uy.abs() / height) ** 2.25) ** (-1 / 2.25)
        round_hair = c.bumps > 14  # curls make a ball
        hang = (smooth(c.sides, 0.2, 0.6) * ~round_hair)[:, None]
        tall = torch.where(round_hair[:, None], 0.45 + 0.62 * c.sides[:, None], 1.0 + 0.6 * hang)
        low = ((ux.abs() / half) ** 2 + (uy.abs() / tall) ** 2) ** -0.5
        round_ = torch.where(uy > 0, low, up)
        straight = (half / ux.abs().clamp_min(0.03)).clamp_max(3.0)
        r = torch.where(uy > 0, round_ + hang * (straight - round_).clamp_min(0) * uy.clamp(0, 1) ** 0.5, round_)
        # Tufts: round ones for curls, pointed ones for the rest; none where hair hangs straight.
        phase = i.hair_shape[:, 3:4] * 6.28 + 0.6 * self.rig.pose.yaw[:, None]
        wave = 0.5 * c.bumps[:, None].round() * (angle + phase / c.bumps[:, None])
        curl = wave.sin().abs()
        tuft = 1 - (2 * fract(wave / torch.pi) - 1).abs()
        soft = round_hair.float()[:, None]
        strength = c.bump[:, None] * torch.where(uy > 0.3, 0.6 - 0.4 * hang, 1.0)
        lean = 1 + 0.12 * i.hair_shape[:, 2:3] * (angle - 1.2 * self.part[:, None]).cos() * c.top[:, None] / 0.2
        return r * (1 + strength * (soft * curl + (1 - soft) * tuft)) * torch.where(uy < 0, lean, 1.0)

    def opening(self) -> Tensor:
        """The edge of the face's opening round (0, OPENING) on the ellipsoid: B x TURNS."""
        c, i = self.cut, self.rig.identity
        ux, uy = directions(self.rig.device)
        angle = torch.atan2(ux, -uy)
        side, high = (c.side * i.head_width / 0.78)[:, None], (OPENING - c.fringe)[:, None]
        square = c.square[:, None]
        up = ((ux.abs() / side) ** square + (uy.abs() / high) ** square) ** (-1 / square)
        down = (side / ux.abs().clamp_min(1e-3)).clamp_max(4)
        # Tufts of the fringe: pointed, uneven, combed away from the parting.
        from_part = angle - self.part[:, None]
        place = c.jags[:, None] * from_part / 1.9 + 0.35 * (from_part * 3 + i.hair_shape[:, :1] * 6).sin()
        place = torch.where(from_part < 0, -place, place)
        which, saw = place.floor(), fract(place)
        tuft = torch.minimum(saw / 0.66, (1 - saw) / 0.34) ** 0.85
        uneven = 0.6 + 0.4 * (which * 2.4 + 17 * i.hair_shape[:, 6:7] + (from_part < 0)).sin()
        front = ((0.98 - angle.abs()) / 0.35).clamp(0, 1)
        up = up * (1 - front * c.jag[:, None] * uneven * tuft)
        up = up * (1 + front * c.sweep[:, None] * (torch.exp(-((from_part / 0.3) ** 2)) - 0.3))
        return torch.where(uy < 0, up, down)

    def to_picture(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, K) places in the tilted frame of the outline -> B x K x 2."""
        points = torch.stack([x, y], -1) @ self.rig.roll.mT
        return self.middle[:, None] + self.rig.scale[:, None, None] * points

    def from_picture(self, x: Tensor, y: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Pixels to the tilted frame; share < 1 tilts less (hair that hangs)."""
        angle = self.rig.pose.roll * share
        c, n, s = col(angle.cos()), col(angle.sin()), col(self.rig.scale)
        dx, dy = (x - col(self.middle[:, 0])) / s, (y - col(self.middle[:, 1])) / s
        return c * dx + n * dy, c * dy - n * dx

    def hang(self) -> Tensor:
        """The frame of hair that hangs: it tilts less than the head. B x 2 x 2."""
        c, n = (0.4 * self.rig.pose.roll).cos(), (0.4 * self.rig.pose.roll).sin()
        return self.rig.scale[:, None, None] * torch.stack([torch.stack([c, -n], -1), torch.stack([n, c], -1)], -2)

    def tip(self, side: float) -> Tensor:
        """Where hair ends on the left (-1) or right (1): B x 1 x 2. Hair that does not hang ends at the jaw."""
        low = torch.where(self.cut.back > 0, 0.85 * self.cut.back, 0.55 + 0 * self.cut.back)
        wide = torch.where(self.cut.back > 0, 0.92 * self.half, 0.75 * self.half)
        return self.middle[:, None] + (self.hang() @ torch.stack([side * wide, low], -1)[..., None]).mT

    def cast(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels to the point of the head's ellipsoid they see, in head space; beside it, the point nearest to it."""
        rig, i = self.rig, self.rig.identity
        s = col(rig.scale)
        px, py = (x - col(rig.place[:, 0])) / s, (y - col(rig.place[:, 1])) / s
        R = rig.rotation
        centre = torch.tensor(CENTRE, device=rig.device)
        radii = torch.stack([i.head_width * 1.02, i.head_top - 0.06, torch.full_like(i.head_top, 0.9 * DEPTH)], -1)
        eye = (CAMERA * R[:, 2] - centre + rig.pivot) / radii  # the camera, in the ellipsoid's own space
        rows = R / radii[:, None]

        def ray(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
            return (px * col(a) - CAMERA * col(c)) + py * col(b)

        d = [ray(*rows[..., k].unbind(1)) for k in range(3)]
        A = (d[0] * d[0]).addcmul_(d[1], d[1]).addcmul_(d[2], d[2])
        B = ray(*(rows @ eye[..., None])[..., 0].unbind(1))
        C = col((eye * eye).sum(1) - 1)
        root = (B * B).sub_(A * C).clamp_min_(2e-4).sqrt_()
        t = root.add_(B).div_(A).neg_()
        start = eye * radii + centre
        return tuple(d[k].mul_(t).mul_(col(radii[:, k])).add_(col(start[:, k])) for k in range(3))

    # ---- tails and buns ----

    def tails(self) -> tuple[Tensor, Tensor]:
        """Two strokes a puppet: three knots (B x 2 x 3 x 2, picture), radii there (B x 2 x 3, head units; 0: none)."""
        rig, c, u = self.rig, self.cut, self.rig.identity.hair_shape
        side = torch.where(u[:, 5] > 0.5, 1.0, -1.0)
        pony, twin, bun, buns = ((c.tails == k).float() for k in (1, 2, 3, 4))
        sway = 0.5 * rig.pose.roll
        knots, radii = [], []
        for k in (-1.0, 1.0):
            only = float(k > 0)  # ponytail and top bun are one stroke
            x = only * pony * side * 0.44 + twin * k * 0.84 + buns * k * 0.6
            y = -only * pony * 0.92 - twin * 0.45 - only * bun * 1.18 - buns * 1.0
            z = -0.45 * only * pony - 0.25 * twin - 0.2 * (only * bun + buns)
            root = rig.project(torch.stack([x, y, z], -1)[:, None])[:, 0]
            long = 1 + 0.25 * u[:, 6]
            belly = torch.stack(
                [only * pony * side * 0.58 + twin * k * 0.34 - 0.4 * sway, (only * pony * 0.55 + twin * 0.5) * long], -1
            )
            tip = torch.stack(
                [
                    only * pony * side * 0.52 + twin * k * (0.18 + 0.25 * u[:, 4]) - sway,
                    (only * pony * 1.65 + twin * 1.55) * long,
                ],
                -1,
            )
            knots.append(torch.stack([root, root + belly * rig.scale[:, None], root + tip * rig.scale[:, None]], 1))
            ball = (only * bun + buns * 0.86) * (0.25 + 0.1 * u[:, 4])
            hang = only * pony + twin
            radii.append(
                torch.stack([hang * 0.17 + ball, hang * (0.23 + 0.05 * u[:, 0]) + ball, hang * 0.03 + ball], -1)
            )
        return torch.stack(knots, 1), torch.stack(radii, 1)

    # ---- drawing ----

    def shade(self, tone: Tensor) -> Tensor:
        """tone (B x h x w; 0 is the plain colour, -1 deep shadow, 1 highlight) -> B x 3 x h x w."""
        base = self.rig.identity.hair_colour
        dark = base * base.new_tensor([0.42, 0.38, 0.45])
        light = base + (1 - base) * (0.24 + 0.22 * base.mean(1, keepdim=True))
        base, dark, light = (t[:, :, None, None] for t in (base, dark, light))
        tone = tone.unsqueeze(1)
        colour = tone.clamp_max(0) * (base - dark)
        return colour.add_(tone.clamp_min(0) * (light - base)).add_(base)

    def strands(self) -> tuple[Tensor, Tensor]:
        """Broad locks and fine strands for every direction round the whorl: B x TURNS each, about -1 … 1."""
        u = self.rig.identity.hair_shape
        ux, uy = directions(self.rig.device)
        a = torch.atan2(ux, uy)[None] * 1.3

        def waves(*parts: tuple[int, float]) -> Tensor:
            return sum((n * a + 20 * u[:, j : j + 1] + j).sin() * w for j, (n, w) in enumerate(parts))

        return waves((7, 0.4), (13, 0.35), (19, 0.25)), waves((41, 0.4), (59, 0.35), (83, 0.25))

    def draw_back(self, stage: Stage) -> None:
        """What hangs behind neck and ears, and tails."""
        rig, c = self.rig, self.cut
        low = torch.where(c.back > 0, c.back, 0.55 + 0 * c.back)
        wide, tall = self.half * (1 + c.flare) + c.wave, torch.maximum(self.height, low + 0.05)
        askew = (0.4 * rig.pose.roll).sin().abs()
        mx, my = self.middle.unbind(1)
        view = stage.window(
            mx - (wide + askew * tall) * rig.scale,
            mx + (wide + askew * tall) * rig.scale,
            my - (self.height + askew * wide) * rig.scale,
            my + (low + 0.05 + askew * wide) * rig.scale,
        )
        x, y = self.from_picture(view.x, view.y, 0.4)
        px = 2 / stage.size / col(rig.scale)
        down = y.clamp_min(0)
        long = col(smooth(c.back, 0.1, 0.6))
        nape = 1 - 0.28 * smooth(down, 0.1, 0.8)
        hang = 1 + col(c.flare) * smooth(down, 0.2, 1.4) - 0.12 * smooth(down, 1.2, 2.2)
        phase = col(rig.identity.hair_shape[:, 0]) * 6
        half = col(self.half) * (nape + long * (hang - nape)) + col(c.wave) * (7 * y + phase).sin() * torch.sign(x)
        strand = (11 * x + 3 * phase).sin_() * 0.5 + (23 * x + phase).sin_() * 0.25
        across = (x / half).square_()
        end = col(low) - 0.22 * across * across + 0.05 * long * strand
        top = (1 - across).clamp_min_(0).sqrt_() * -col(self.height)
        distance = torch.maximum(torch.maximum(x.abs() - half, y - end), top - y)
        alpha = cover(distance, px) * (~self.bald).float()[:, None, None]
        tone = -0.55 + 0.18 * strand - 0.25 * smooth(y, 1.0, 0.2) + 0.1 * smooth(y, 0.6, 1.6)
        view.paint(self.shade(tone), alpha)
        self._draw_tails(stage)

    def _draw_tails(self, stage: Stage) -> None:
        rows = (self.cut.tails > 0).nonzero()[:, 0]
        if not len(rows):
            return
        knots, radii = (t[rows] for t in self.tails())
        s = col(self.rig.scale[rows])
        reach = 0.45 * s[:, 0]
        low, high = knots.amin((1, 2)) - reach, knots.amax((1, 2)) + reach
        view = stage.window(low[:, 0], high[:, 0], low[:, 1], high[:, 1]).part(rows)
        hair = self.rig.identity.hair_colour[rows]
        anime = col((self.rig.identity.style[rows] == 1).float())
        dark, light = tint(hair, 0.45, 0.4, 0.48), hair + (1 - hair) * 0.3
        for k in (0, 1):
            a, b, c = knots[:, k].unbind(1)
            ra, rb, rc = (col(r) * s for r in radii[:, k].unbind(1))
            upper, t = capsule(view.x, view.y, a, b, ra, rb)
            lower, q = capsule(view.x, view.y, b, c, rb, rc)
            k_ = 0.12 * s  # the two strokes flow into each other
            h = (0.5 + 0.5 * (lower - upper) / k_).clamp(0, 1)
            distance = lower + (upper - lower) * h - k_ * h * (1 - h)
            alpha = cover(distance, 2 / stage.size) * (ra > 1e-4)
            inside = -distance / (rb + 1e-4)
            line = (34 * (view.x - col(a[:, 0])) / s + 3 * (t + q)).sin() * 0.05
            soft = smooth(inside, 0.0, 0.75) * 0.75 + line
            hard = 0.35 + 0.4 * smooth(inside + 2 * line, 0.28, 0.32)
            tone = (soft + anime * (hard - soft)).clamp(0, 1)
            colour = mix(mix(dark, hair, (tone * 2).clamp(0, 1)), light, (tone * 2 - 1).clamp_min(0))
            colour = mix(colour, dark * 0.6, anime * smooth(-distance / s, 0.028, 0.012) * 0.8)
            view.paint(colour, alpha)
        view.back()

    def lay_front(self, stage: Stage) -> None:
        """Measure cap, fringe and sides: how far every pixel is from their edges, and their locks."""
        rig, c = self.rig, self.cut
        wide = (self.half * 1.18 + 0.1) * rig.scale
        m = self.middle
        low = torch.maximum(c.sides, torch.tensor(0.4, device=rig.device)) + 0.65
        high = (self.height * 1.25 + 0.15) * rig.scale
        self.view = view = stage.window(m[:, 0] - wide, m[:, 0] + wide, m[:, 1] - high, m[:, 1] + low * rig.scale)
        # outline
        self.dx, self.dy = dx, dy = self.from_picture(view.x, view.y)
        rho = (dx * dx + dy * dy).sqrt()
        rim = Polar(dx, dy)
        radius = rim.read(self.radius)
        outside = (rho - radius) * rim.read(steepness(self.radius))
        # opening, on the head
        x, self.y, self.z = self.cast(view.x, view.y)
        cy = self.y - OPENING
        inner = Polar(x, cy)
        table = self.opening()
        hole = inner.read(table)
        reach = (x * x + cy * cy).sqrt()
        inside = (hole - reach) * inner.read(steepness(table))  # > 0 in the opening
        behind = step((-0.15 - self.z).minimum(x.abs() - 0.8 * col(c.side)).minimum(0.45 - self.y))
        inside.lerp_(self.z - 0.05, behind)
        whorl = Polar(x - col(0.5 * self.part), self.y + 1.35)
        self.lock, self.fine = (whorl.read(t) for t in self.strands())
        ends = self.y - (col(c.sides) + 0.04 * self.lock - 0.5 * (x.abs() - col(c.side)).clamp_min(-0.3))
        ends.lerp_(torch.maximum(ends, self.y - 0.45), step(-0.05 - self.z))
        self.near = torch.maximum(inside, ends)
        self.distance = torch.maximum(outside, self.near)
        over = reach - hole
        self.depth = (over / (over + radius - rho).clamp_min_(0.05)).clamp_(0, 1.2)  # 0 at the opening, 1 at the rim
        self.lit = (dx * col(rig.identity.light) * 0.35 - dy * 0.5) / (rho + 0.2)
        self.hairy = (~self.bald).float()[:, None, None]

    def draw_shadow(self, face: Tensor) -> None:
        """The shadow of fringe and sides on the face. face: B x H x W, the coverage of the face."""
        i = self.rig.identity
        anime = col((i.style == 1).float())
        soft, hard = smooth(self.near, 0.13, 0.0) * 0.32, smooth(self.near, 0.085, 0.07) * 0.5
        shadow = (soft + anime * (hard - soft)) * self.view.crop(face) * self.hairy
        self.view.paint(tint(i.skin, 0.72, 0.55, 0.52), shadow)

    def draw_front(self, stage: Stage) -> None:
        """Cap, fringe and sides over the face."""
        i, t = self.rig.identity, self.depth
        anime = col((i.style == 1).float())
        alpha = cover(self.distance, 2 / stage.size / col(self.rig.scale)) * self.hairy
        # tones: rounder at the rim, strands, and a ring of light; flat ones for anime
        plain = (
            0.30 * self.lit
            + 0.13 * self.lock
            + 0.09 * self.fine
            - 0.30 * smooth(t, 0.2, 0.0)
            - 0.35 * smooth(t, 0.7, 1.05)
        )
        at = 0.5 + 0.06 * self.lock
        ring = spread(t - at, 0.16) * (0.30 + 0.14 * self.lock + 0.14 * self.fine) * smooth(self.dy, 0.1, -0.4)
        soft = plain + ring
        ring = band(t, at - 0.075 - 0.12 * self.lock.clamp_min(0), at + 0.04, 0.03) * smooth(self.dy, -0.05, -0.3)
        cel = -0.42 * smooth(plain, -0.14, -0.18) + 0.75 * ring - 0.25 * smooth(t, 0.93, 0.97)
        colour = self.shade((soft + anime * (cel - soft)).clamp(-1, 1))
        # a hair band goes over the crown from ear to ear
        rows = ((i.accessory == 2) & (self.cut.volume < 0.3)).nonzero()[:, 0]
        if len(rows):
            belt = band(self.z[rows], 0.16, 0.30, 0.03) * smooth(self.y[rows], 0.0, -0.1)
            gem = i.accessory_colour[rows][:, :, None, None] * (1 + 0.25 * self.lit[rows].unsqueeze(1))
            colour[rows] = mix(colour[rows], gem.clamp(0, 1), belt)
        line = anime * smooth(-self.distance, 0.028, 0.014) * 0.65
        self.view.paint(colour.mul_(1 - line.unsqueeze(1)), alpha)
        self._draw_bow(stage)

    def _draw_bow(self, stage: Stage) -> None:
        """A ribbon tied at the side of the head."""
        rows = ((self.rig.identity.accessory == 3) & ~self.bald).nonzero()[:, 0]
        if not len(rows):
            return
        i, u = self.rig.identity, self.rig.identity.hair_shape
        side = torch.where(u[:, 2] > 0.5, 1.0, -1.0)
        stand = 0.9 + 0.8 * self.cut.volume
        spot = torch.stack([0.56 * stand * side, -0.74 * stand - 0.3 * self.cut.top, 0.2 + 0 * side], -1)
        knot = self.rig.project(spot[:, None])[rows, 0]
        s, side = self.rig.scale[rows], side[rows]
        tilted = self.rig.roll[rows]
        view = stage.window(*(f(knot[:, k]) for k in (0, 1) for f in (lambda v: v - 0.4 * s, lambda v: v + 0.4 * s)))
        view = view.part(rows)
        colour, px = i.accessory_colour[rows], 2 / stage.size
        dark = tint(colour, 0.62, 0.56, 0.6)
        for out in (-1.0, 1.0):
            arm = torch.stack([out * 0.15 + 0 * s, 0.45 * out * 0.15 * side], -1)
            end = knot + (tilted @ arm[..., None])[..., 0] * s[:, None]
            distance, t = capsule(view.x, view.y, knot, end, 0.03 * col(s), 0.10 * col(s))
            tone = mix(dark, colour, smooth(t, 0.1, 0.7) * smooth(-distance / col(s), 0.0, 0.025))
            view.paint(tone, cover(distance, px))
        distance, _ = capsule(view.x, view.y, knot, knot, 0.045 * col(s), 0.045 * col(s))
        view.paint(mix(dark, colour, smooth(-distance / col(s), 0.0, 0.03)), cover(distance, px))
        view.back()

"""The face: head, ears, cheeks, nose, mouth, eyes, brows, beard, glasses. Each function paints one part.

The head is given the Face, the other parts its coverage alone (B x size x size), which they are clipped to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .geometry import Chart, Rig, profile
from .shapes import (
    Patch,
    Polar,
    band,
    bump,
    capsule,
    col,
    cover,
    ellipse,
    fract,
    mix,
    outline,
    paint,
    smooth,
    spread,
    steepness,
    tint,
)

if TYPE_CHECKING:
    from .draw import Stage

INK = (0.16, 0.09, 0.10)


def _pixels(colour: Tensor) -> Tensor:
    return colour[:, :, None, None]


class Face:
    """Where the face is in every pixel; made once a picture."""

    def __init__(self, stage: Stage) -> None:
        rig = stage.rig
        self.points, self.middle = rig.outline()
        table = outline(self.points, self.middle)
        low, high = self.points.amin(1), self.points.amax(1)
        m = 4 / stage.size
        self.view = view = stage.window(low[:, 0] - m, high[:, 0] + m, low[:, 1] - m, high[:, 1] + m + 0.12)
        dx, dy = view.x - col(self.middle[:, 0]), view.y - col(self.middle[:, 1])
        rho = (dx * dx + dy * dy).sqrt()
        rim = Polar(dx, dy)
        radius = rim.read(table)
        self.distance = (rho - radius) * rim.read(steepness(table))
        alpha = cover(self.distance, 2 / stage.size)
        bulge = rho / (radius * radius)
        self.nx, self.ny, self.edge = dx * bulge, dy * bulge, rho / radius
        self.alpha = stage.full(view, alpha)
        self.far = stage.full(view, self.distance, 1.0)
        self.inner = alpha


def head(stage: Stage, face: Face) -> None:
    i = stage.identity
    shadow, skin, light = i.skin_tones()
    anime = col((i.style == 1).float())
    lit = col(i.light) * 0.45 * face.nx - 0.55 * face.ny
    soft = (smooth(lit, 0.05, -0.75) * 0.62 + 0.25 * smooth(face.edge, 0.82, 1.05)).clamp_(0, 1)
    cel = 0.5 * smooth(lit, -0.42, -0.45)
    colour = mix(skin, shadow, soft + anime * (cel - soft))
    colour = mix(colour, light, 0.45 * smooth(lit, 0.0, 0.7) * (1 - anime))
    line = smooth(-face.distance, 0.014, 0.006) * (0.75 * anime + 0.25)
    colour = mix(colour, tint(shadow, 0.7, 0.55, 0.55), line)
    face.view.paint(colour, face.inner)


def ear(stage: Stage, face: Tensor, side: float) -> None:
    """The ear stands off backward from the head: it shows on the near side and goes behind the far one."""
    rig, i = stage.rig, stage.identity
    base, rim, near = ear_ends(rig, side)
    out = rim - base
    roll = rig.roll
    down = roll @ out.new_tensor([0.0, 1.0])
    across = roll @ out.new_tensor([1.0, 0.0]) * side
    width = (out * across).sum(-1).clamp_min(0.004) + 0.03 * rig.scale
    centre = (base + rim) / 2 - across * 0.015 * rig.scale[:, None]
    chart = Chart(centre, torch.stack([across * width[:, None], down * (i.ear_size * rig.scale)[:, None]], -1))
    reach = float((i.ear_size * rig.scale).amax()) * 1.35
    patch = Patch(stage.size, centre, reach, reach)
    u, v = chart.from_picture(patch.x, patch.y)
    u = u + 0.18 * v * v - 0.08  # leans and narrows to the lobe
    taper = 0.62 - 0.16 * v
    d = ellipse(u, v, taper, 1.0)
    px = 2 / stage.size / col(torch.minimum(width, i.ear_size * rig.scale))
    alpha = cover(d, px)
    hidden = 1 - patch.take(face)
    shown = (hidden + (1 - hidden) * col(near)) * smooth(col(width / rig.scale), 0.035, 0.07)
    shadow, skin, _ = i.skin_tones()
    colour = mix(
        tint(skin, 0.98, 0.93, 0.92),
        shadow,
        smooth(ellipse(u + 0.05, v + 0.05, taper * 0.62, 0.66), 0.08, -0.12) * 0.75,
    )
    colour = mix(colour, tint(shadow, 0.75, 0.6, 0.6), smooth(d, -0.12, -0.03) * 0.35)
    canvas = patch.take(stage.canvas)
    paint(canvas, colour, alpha * shown)
    # an ear-ring hangs from the lobe
    du, dv = (u + 0.05) * col(width / rig.scale), (v - 1.08) * col(i.ear_size)
    ring = cover((du * du + dv * dv).sqrt() - 0.05, 2 / stage.size / col(rig.scale)) * col((i.accessory == 1).float())
    paint(canvas, i.accessory_colour, ring * shown)
    patch.put(stage.canvas, canvas)


def ear_ends(rig: Rig, side: float) -> tuple[Tensor, Tensor, Tensor]:
    """Picture points (B x 2) where the ear begins and stands out most, and how far it shows over the head (0…1)."""
    i = rig.identity
    y = i.eye_y + 0.10
    base = torch.stack([side * i.head_width * 0.985, y, 0 * y - 0.02], -1)
    rim = torch.stack([side * (i.head_width + 0.6 * i.ear_size), y, -0.03 - 0.85 * i.ear_size], -1)
    ends = rig.project(torch.stack([base, rim], 1))
    return ends[:, 0], ends[:, 1], smooth(-side * rig.sin_yaw, 0.08, 0.3)


def _patch(stage: Stage, chart: Chart, half_u: Tensor, half_v: Tensor) -> tuple[Patch, Tensor, Tensor]:
    """A patch of the canvas that holds |u| < half_u, |v| < half_v of the chart, and its u and v."""
    extent = (chart.J.abs() @ torch.stack([half_u, half_v], -1)[..., None])[..., 0].amax(0)
    half_width, half_height = extent.tolist()
    patch = Patch(stage.size, chart.centre, half_width, half_height)
    u, v = chart.from_picture(patch.x, patch.y)
    return patch, u, v


def cheeks(stage: Stage, face: Tensor) -> None:
    """Blush, freckles and the lines of age."""
    i, rig = stage.identity, stage.rig
    anime = col((i.style == 1).float())
    shadow, _, _ = i.skin_tones()
    rosy = tint(i.skin, 0.98, 0.62, 0.6)
    one = torch.ones_like(i.age)
    for side in (-1.0, 1.0):
        chart = rig.chart(side * (i.eye_x + 0.09), i.eye_y + 0.3, flip=side < 0)
        patch, u, v = _patch(stage, chart, 0.34 * one, 0.30 * one)
        mask = patch.take(face)
        canvas = patch.take(stage.canvas)
        d = (u / 0.22) ** 2 + (v / (0.15 - 0.03 * anime)) ** 2
        paint(canvas, rosy, bump(0.42 * d) * col(i.blush) * 0.75 * mask)
        px = chart.pixel(stage.size)
        a, b = u * 13.0, v * 13.0
        ca, cb = a.floor(), b.floor()
        h = (ca * 12.9898 + cb * 78.233 + side).sin() * 43758.547
        h = h - h.floor()
        k = fract(h * 7.77)
        spot = ((a - ca - 0.3 - 0.4 * h) ** 2 + (b - cb - 0.3 - 0.4 * k) ** 2).sqrt() - 0.13 * (0.6 + h)
        spots = cover(spot / 13, px * 1.5) * (h > 0.25) * bump((u / 0.3) ** 2 + (v / 0.2) ** 2)
        paint(canvas, tint(i.skin, 0.78, 0.62, 0.5), spots * col(i.freckles) * 0.7 * mask)
        patch.put(stage.canvas, canvas)
    # folds from the nose to the corners of the mouth: with age, and with a smile
    chart = rig.mouth()
    w = rig.mouth_shape()[0]
    patch, u, v = _patch(stage, chart, w + 0.2, 0.34 * one)
    canvas = patch.take(stage.canvas)
    top, low = col(i.nose_width) * 1.1, col(w) * 1.14 + 0.03
    along = ((v + 0.24) / 0.3).clamp(0, 1)
    fold = (u.abs() - top - (low - top) * along.sqrt()).abs() - 0.007
    strength = col(i.wrinkles) * 0.6 + col(rig.pose.mouth_wide.clamp_min(0)) * 0.22 * (1 - anime)
    alpha = cover(fold, 0.03) * smooth(along, 0.0, 0.25) * smooth(along, 1.0, 0.6) * strength
    paint(canvas, shadow, alpha * patch.take(face))
    patch.put(stage.canvas, canvas)
    # lines of the forehead
    chart = rig.chart(0 * i.age, i.eye_y - i.brow_y - 0.2)
    patch, u, v = _patch(stage, chart, 0.45 * one, 0.2 * one)
    lift = col((rig.pose.brow_left + rig.pose.brow_right).clamp_min(0) / 2)
    canvas = patch.take(stage.canvas)
    px = chart.pixel(stage.size)
    for k, height in enumerate((-0.1, 0.0, 0.09)):
        d = (v - height - 0.08 * u * u - 0.012 * (9 * u + k).sin()).abs() - 0.004
        alpha = (
            cover(d, px * 2)
            * smooth(u.abs(), 0.38 - 0.04 * k, 0.1)
            * (col(i.wrinkles) * 0.45 + lift * 0.25 * (1 - anime) * col(1 - rig.child))
        )
        paint(canvas, shadow, alpha * patch.take(face))
    patch.put(stage.canvas, canvas)


def nose(stage: Stage, face: Tensor) -> None:
    i, rig = stage.identity, stage.rig
    chart = rig.nose()
    w = i.nose_width
    up = i.nose_y - i.eye_y
    bridge = rig.chart(0 * w, i.eye_y, 0.04).centre
    reach = w + 0.12
    tall = torch.maximum(up + 0.08, reach)
    patch, u, v = _patch(stage, chart, reach + 0.15, tall)
    canvas = patch.take(stage.canvas)
    px = chart.pixel(stage.size)
    mask = patch.take(face)
    anime = col((i.style == 1).float())
    shadow, skin, light = i.skin_tones()
    drop = 0.095 * (col(w) / 0.16) ** 0.5
    s = col(rig.scale)
    # side of the bridge in shadow, ridge lit
    d, t = capsule(patch.x, patch.y, bridge, chart.centre, 0.0, 0.0)
    d = d / s
    side = u * torch.sign(col(i.light)) + 0.02
    flank = smooth(d, 0.13, 0.02) * smooth(side, -0.01, 0.07) * smooth(t, 0.1, 0.8)
    flank = flank * (0.2 + 0.4 * col(rig.sin_yaw).abs())
    paint(canvas, shadow, flank * (1 - anime) * mask * 0.9)
    paint(canvas, light, smooth(d, 0.06, 0.0) * smooth(t, 0.3, 0.9) * 0.28 * (1 - anime) * mask)
    # ball and wings; their lower edge is nose_base
    n = u / col(w)
    base = drop * (0.632 + 0.368 * (1 - n * n))  # nose_base: 0.06 + 0.035 (1 - n²)
    roof = -0.10 * (1 - 0.55 * n * n) * (col(w) / 0.16)
    body = torch.minimum(v - roof, base - v).minimum((1 - n.abs()) * col(w) * 1.2)
    shape = (body / px + 0.5).clamp(0, 1)
    stage.note("nose", patch, shape * mask)
    tone = mix(skin, light, smooth((u + 0.03 * torch.sign(col(i.light))) ** 2 + (v + 0.01) ** 2, 0.006, 0.0) * 0.75)
    warm = tint(i.skin, 0.97, 0.80, 0.77)
    tone = mix(tone, warm, smooth(v, -0.02, 0.05) * 0.55)
    tone = mix(tone, shadow, smooth(base - v, 0.035, 0.0) * 0.55)
    rim = smooth(body, 0.0, 0.05)
    paint(canvas, tone, shape * rim * (1 - anime) * mask * smooth(v - roof, 0.0, 0.08))
    wing = smooth(n.abs(), 0.62, 0.95) * smooth(n.abs(), 1.0, 0.95) * smooth(v, -0.03, 0.03)
    paint(canvas, tint(shadow, 0.85, 0.75, 0.75), shape * wing * 0.45 * (1 - anime) * mask)
    # nostrils and the line under the nose
    hole = ellipse(u.abs() - 0.5 * col(w), v - 0.68 * drop, 0.17 * col(w), 0.017)
    dark = tint(shadow, 0.5, 0.38, 0.4)
    paint(canvas, dark, cover(hole, px) * 0.8 * (1 - anime) * mask)
    line = (v - base).abs() - 0.006 * (1 - n * n).clamp_min(0)
    paint(canvas, tint(shadow, 0.75, 0.6, 0.6), cover(line, px) * smooth(n.abs(), 1.0, 0.6) * (1 - anime) * 0.8 * mask)
    # anime: a small wedge of shadow
    wedge = torch.maximum((v - 0.02).abs() - 0.03, u.abs() - 0.5 * (v + 0.05).clamp(0, 0.1))
    paint(canvas, tint(shadow, 0.9, 0.8, 0.8), cover(wedge, px) * anime * 0.75 * mask)
    patch.put(stage.canvas, canvas)


def mouth(stage: Stage, face: Tensor) -> None:
    i, rig = stage.identity, stage.rig
    chart = rig.mouth()
    w, h = rig.mouth_shape()
    patch, u, v = _patch(stage, chart, w + 0.06, h * 0.8 + 0.17)
    canvas = patch.take(stage.canvas)
    px = chart.pixel(stage.size)
    mask = patch.take(face)
    anime = col((i.style == 1).float())
    shadow, skin, light = i.skin_tones()
    n = u / col(w)
    inside = ((1 - n.abs()) * col(w) / px + 0.5).clamp(0, 1) * mask
    outer_upper, upper, lower, outer_lower = rig.lips(n)
    # shade under the lower lip
    under = bump(((v - outer_lower - 0.045) / 0.065) ** 2) * smooth(n.abs(), 0.75, 0.2)
    paint(canvas, shadow, under * 0.35 * (1 - anime) * mask)
    corner = bump((((n.abs() - 1.03) * col(w)) ** 2 + (v - lower) ** 2) / 0.003)
    paint(canvas, shadow, corner * 0.45 * (1 - anime) * mask)
    lips = band(v, outer_upper, outer_lower, px) * inside
    stage.note("mouth", patch, lips)
    lip = i.lip_colour
    tone = mix(lip, tint(lip, 0.78, 0.7, 0.72), smooth(v - (upper + lower) / 2, 0.01, -0.01))
    gloss = bump(((v - lower - 0.45 * (outer_lower - lower)) / 0.026) ** 2) * smooth(n.abs(), 0.5, 0.1)
    tone = mix(tone, lip + (1 - lip) * 0.6, gloss * 0.55)
    line = tint(shadow, 0.55, 0.35, 0.35)
    tone = tone + anime.unsqueeze(1) * (_pixels(tint(line, 0.9, 0.8, 0.8)) - tone)
    paint(canvas, tone, lips * (1 - 0.12 * anime))
    # the opening: dark, tongue, teeth
    gap = band(v, upper, lower, px) * inside * smooth(col(h), 0.006, 0.02)
    depth = ((v - upper) / (lower - upper).clamp_min(1e-3)).clamp(0, 1)
    cave = mix(v.new_tensor([[0.30, 0.07, 0.09]]), v.new_tensor([[0.45, 0.12, 0.13]]), depth)
    tongue_top = lower - 0.42 * col(h) * (1 - 1.7 * n * n) + 0.02 * spread(n, 0.12) * (col(h) > 0.06)
    tongue = ((v - tongue_top) / px + 0.5).clamp(0, 1) * smooth(col(h), 0.03, 0.12)
    cave = mix(cave, v.new_tensor([[0.86, 0.42, 0.42]]), tongue)
    tooth = (
        (0.26 * col(h) + 0.016).clamp_max(0.07) * (1 + 0.35 * col(rig.pose.mouth_wide).clamp_min(0)) * (1 - 0.6 * n**4)
    )
    teeth = (
        ((upper + tooth - v) / px + 0.5).clamp(0, 1)
        * smooth(n.abs(), 0.98, 0.86)
        * (1 - anime * smooth(col(h), 0.05, 0.03))
    )
    gap_line = smooth((fract(u / 0.052 + 0.5) - 0.5).abs(), 0.06, 0.02) * 0.12 * (1 - anime)
    cave = mix(
        cave,
        v.new_tensor([0.98, 0.96, 0.93])[:, None, None]
        - gap_line[:, None] * v.new_tensor([0.4, 0.5, 0.5])[:, None, None],
        teeth,
    )
    bottom = (
        ((v - (lower - 0.35 * tooth)) / px + 0.5).clamp(0, 1)
        * smooth(col(rig.pose.mouth_wide), 0.1, 0.8)
        * smooth(n.abs(), 0.8, 0.6)
    )
    cave = mix(cave, v.new_tensor([[0.92, 0.89, 0.86]]), bottom * (1 - anime))
    cave = mix(cave, v.new_tensor([[0.2, 0.04, 0.06]]), smooth(v - upper, 0.03, 0.0) * 0.35)
    paint(canvas, cave, gap)
    # the line between closed lips, always there at the corners
    seam = band(v, upper - 0.006 - 0.003 * anime, lower + 0.006 + 0.003 * anime, px) * inside
    closed = smooth(col(h), 0.03, 0.004)
    edge = (1 - gap) * seam
    paint(canvas, line, edge * (0.85 * closed + 0.35 * (1 - closed)))
    patch.put(stage.canvas, canvas)


def eye(stage: Stage, face: Tensor, side: float) -> None:
    i, rig = stage.identity, stage.rig
    chart = rig.eye(side)
    w, h, o = i.eye_width, i.eye_height, rig.openness(side)
    patch, u, v = _patch(stage, chart, w + 0.12, h * 0.5 + 0.17)
    canvas = patch.take(stage.canvas)
    px = chart.pixel(stage.size)
    # what has turned away from the viewer is out of sight
    facing = chart.J.det() / rig.scale**2 * (-1.0 if side < 0 else 1.0)
    mask = patch.take(face) * smooth(col(facing), 0.02, 0.10)
    anime = col((i.style == 1).float())
    shadow, skin, light = i.skin_tones()
    n = u / col(w)
    upper, lower = rig.lids(side, n)
    across = ((1 - n.abs()) * col(w) / px + 0.5).clamp(0, 1)
    e = profile(n)
    # socket, crease and the skin of the lid
    socket = bump((n / 1.5) ** 2 + ((v + 0.03) / (0.5 * col(h) + 0.13)) ** 2)
    paint(canvas, shadow, socket * (0.20 + 0.15 * col(i.lashes)) * (1 - anime) * mask)
    crease = upper - (0.035 + 0.03 * anime + 0.03 * col(1 - o)) - 0.02 * e
    d = (v - crease).abs() - 0.006
    paint(canvas, tint(shadow, 0.8, 0.66, 0.66), cover(d, px) * smooth(n.abs(), 1.0, 0.55) * (0.7 - 0.3 * anime) * mask)
    # the bag under the eye, with age
    bag = (v - lower - 0.075 - 0.02 * e).abs() - 0.004
    paint(canvas, shadow, cover(bag, 0.025) * smooth(n.abs(), 0.95, 0.3) * col(i.wrinkles) * 0.7 * mask)
    # the ball
    opening = band(v, upper, lower, px) * across * mask
    stage.note("eye_left" if side < 0 else "eye_right", patch, opening)
    white = mix(
        v.new_tensor([[0.99, 0.985, 0.975]]), v.new_tensor([[0.80, 0.80, 0.86]]), smooth(v - upper, 0.075, 0.01) * 0.85
    )
    white = mix(white, v.new_tensor([[0.93, 0.78, 0.75]]), smooth(-n, 0.86, 0.99) * 0.5 * (1 - anime))
    gu, gv = rig.gaze(side)
    # the ball is round: the iris narrows as it looks aside
    iu, iv = (u - col(gu)), (v - col(gv))
    r = (iu * iu * (1 + 0.5 * anime) + iv * iv * (1 - 0.1 * anime) + 1e-9).sqrt()  # anime irises are tall
    R = col(i.iris)
    colour = i.eye_colour
    dark = tint(colour, 0.42, 0.38, 0.42)
    bright = colour + (1 - colour) * 0.35
    down = (iv / R).clamp(-1, 1)
    iris = mix(mix(colour, dark, smooth(down, 0.1, -0.8) * 0.75), bright, smooth(down, 0.0, 0.9) * 0.75)
    angle = turn_waves(iu, iv)
    iris = mix(iris, bright, (angle * 0.5 + 0.5) * smooth(r / R, 0.95, 0.55) * 0.25 * (1 - anime))
    iris = mix(iris, dark, smooth(r / R, 0.8, 0.97) * 0.8)
    iris = mix(iris, v.new_tensor([[0.04, 0.03, 0.05]]), cover(r - R * (0.46 - 0.02 * anime), px))
    glow = ellipse(iu, iv - 0.52 * R, 0.52 * R, 0.26 * R)
    iris = mix(iris, bright + (1 - bright) * 0.3, cover(glow, px * 2) * 0.55 * anime)
    ball = mix(white, iris, cover(r - R, px))
    # shadow of the lid, and the lights: they stay where the light is, on both eyes alike
    ball = mix(ball, v.new_tensor([[0.08, 0.05, 0.10]]), smooth(v - upper, 0.05 + 0.03 * anime, 0.0) * 0.45)
    sign = col(torch.sign(i.light)) * side
    spark = ellipse(iu + 0.36 * R * sign, iv + 0.38 * R, 0.25 * R, 0.28 * R)
    ball = mix(ball, v.new_tensor([[1.0, 1.0, 1.0]]), cover(spark, px))
    spark2 = ((iu - 0.36 * R * sign) ** 2 + (iv - 0.42 * R) ** 2 + 1e-9).sqrt() - (0.11 + 0.03 * anime) * R
    ball = mix(ball, v.new_tensor([[1.0, 1.0, 1.0]]), cover(spark2, px) * 0.75)
    paint(canvas, ball, opening)
    # lash line, lashes, lower lid
    lash = col(i.lashes)
    ink = _pixels(tint(i.brow_colour, 0.45, 0.4, 0.42)) * 0.6 + v.new_tensor(INK)[:, None, None] * 0.4
    thick = (
        (0.016 + 0.012 * lash + anime * 0.034)
        * (0.55 + 0.45 * (n + 1).clamp(0, 2) / 2)
        * (0.35 + 0.65 * e.clamp(0, 1) ** 0.5)
    )
    wing = col(w) * (0.10 + 0.16 * lash + 0.06 * anime)
    flick = (u - col(w)).clamp_min(0)
    top_line = upper - flick * (0.7 + 0.3 * anime)
    fade = (1 - flick / wing).clamp(0, 1)
    reach = ((col(w) + wing - u) / px + 0.5).clamp(0, 1) * ((u + col(w) * 1.02) / px + 0.5).clamp(0, 1)
    upper_line = band(v, top_line - thick * fade, top_line + 0.5 * thick * fade * (n < 1.02), px) * reach
    under_line = (
        band(v, lower - 0.004, lower + 0.010 + 0.004 * anime, px)
        * across
        * smooth(n, -1.0, 0.6)
        * (0.45 + 0.25 * anime)
    )
    paint(canvas, ink.expand(-1, -1, *upper_line.shape[1:]), (upper_line * 0.97).maximum(under_line) * mask)
    # single lashes fan out at the outer third
    for k, (at, long) in enumerate(((0.45, 0.055), (0.72, 0.07), (0.93, 0.075))):
        root = torch.full_like(w, at)
        ru, rv = root * w, rig.lids(side, root)[0]
        length = long * i.lashes * (0.6 + 0.4 * o)
        tip_u, tip_v = ru + length * (0.35 + 0.35 * k / 2), rv - length * (0.85 - 0.35 * k / 2)
        d, t = capsule(u, v, torch.stack([ru, rv], 1), torch.stack([tip_u, tip_v], 1), 0.011, 0.003)
        paint(canvas, ink.expand(-1, -1, *upper_line.shape[1:]), cover(d, px) * smooth(lash, 0.3, 0.6) * mask)
    patch.put(stage.canvas, canvas)


def turn_waves(x: Tensor, y: Tensor) -> Tensor:
    """Rays of the iris."""
    return (26 * torch.atan2(y, x)).sin()


def brow(stage: Stage, face: Tensor, side: float) -> None:
    i, rig = stage.identity, stage.rig
    chart = rig.brow(side)
    length = i.brow_length
    patch, u, v = _patch(stage, chart, length * 1.12, i.brow_thick + 0.15)
    n = u / col(length)
    middle, thick = rig.brow_curve(n)
    px = chart.pixel(stage.size)
    inside = ((1 - n.abs()) * col(length) / px + 0.5).clamp(0, 1)
    hair = 0.002 * (170 * u + 60 * v).sin() * col((i.style == 0).float())
    alpha = band(v, middle - thick + hair, middle + thick + hair, px) * inside * patch.take(face)
    stage.note("brow_left" if side < 0 else "brow_right", patch, alpha)
    canvas = patch.take(stage.canvas)
    shade = mix(i.brow_colour, tint(i.brow_colour, 0.75, 0.72, 0.72), smooth(v - middle, -0.02, 0.02))
    paint(canvas, shade, alpha * 0.95)
    patch.put(stage.canvas, canvas)


def beard(stage: Stage, face: Tensor) -> None:
    rows = (stage.identity.beard > 0).nonzero()[:, 0]
    if not len(rows):
        return
    i, rig = stage.identity[rows], Rig(stage.identity[rows], stage.pose[rows])
    chart = rig.chart(0 * i.age, i.mouth_y, 0.0)
    points = rig.outline()[0]
    low, high = points.amin(1), points.amax(1)
    view = stage.window(low[:, 0], high[:, 0], low[:, 1], high[:, 1]).part(rows)
    u, v = chart.from_picture(view.x, view.y)
    px = chart.pixel(stage.size)
    kind = [(col((i.beard == k).float())) for k in range(5)]
    _, h = rig.mouth_shape()
    w = col(i.mouth_width)
    strand = 0.012 * (40 * u).sin() + 0.008 * (23 * u + 1).sin()
    # the full beard fills the jaw below a line from the ears round the mouth
    edge = 0.10 - 1.15 * (u.abs() - 0.36).clamp_min(0) - 0.35 * (u.abs() - 0.3).clamp(max=0).abs()
    full = edge - v + strand
    goatee = ellipse(u, v - 0.26 - 0.5 * col(h), 0.22 + 0 * u, 0.24 + 0.3 * col(h)) + strand
    lip = rig.lips((u / w).clamp(-1.3, 1.3))[0]
    tash = torch.maximum(
        (v - (lip - 0.01) - 0.10 * (u.abs() / w - 0.75).clamp_min(0)), lip - 0.105 + 0.09 * (u / (1.2 * w)) ** 2 - v
    )
    tash = torch.maximum(tash, u.abs() - 1.22 * w) + 0.4 * strand
    fuzz = ((173.0 * u).sin() * (191.0 * v).sin()) * 0.10
    colour = i.hair_colour * 0.85
    shade = mix(colour, tint(colour, 0.6, 0.55, 0.55), smooth(v, 0.0, 0.45) * 0.7 + 0.15 + fuzz)
    alpha = kind[4] * torch.maximum(cover(full, px * 3), cover(tash, px * 2))
    alpha = alpha + kind[3] * torch.maximum(cover(goatee, px * 3), cover(tash, px * 2)) + kind[2] * cover(tash, px * 2)
    alpha = alpha + kind[1] * 0.34 * torch.maximum(smooth(full, 0.05, -0.05), smooth(tash, 0.03, -0.02))
    view.paint(shade, alpha.clamp(0, 1) * view.crop(face[rows]) * 0.97)
    view.back()


def glasses(stage: Stage, face: Tensor) -> None:
    i, rig = stage.identity, stage.rig
    rows = (i.glasses > 0).nonzero()[:, 0]
    if not len(rows):
        return
    sub = stage.only(rows)
    i, rig = sub.identity, sub.rig
    round_, square = (i.glasses == 1).float(), (i.glasses == 2).float()
    thick = col(0.012 + 0.014 * (round_ + square))
    a = i.eye_width * 1.32 + 0.02
    b = torch.maximum(i.eye_height * 0.5 + 0.10, 0.86 * a * round_) * (1 - 0.1 * square)
    centres = {s: rig.chart(s * i.eye_x, i.eye_y + 0.02, 0.14, flip=s < 0) for s in (-1.0, 1.0)}
    for side in (-1.0, 1.0):
        chart = centres[side]
        patch, u, v = _patch(sub, chart, a + 0.5, b + 0.1)
        px = chart.pixel(sub.size)
        p = 2.0 + 2.5 * col(square) + 0.8 * col(1 - round_ - square)
        k = ((u / col(a)).abs() ** p + (v / col(b)).abs() ** p + 1e-9) ** (1 / p)
        d = (k - 1) * torch.minimum(col(a), col(b))
        canvas = patch.take(sub.canvas)
        glint = smooth((0.35 - (u + v * 0.7) * side / col(a)).abs(), 0.22, 0.18) * 0.16
        paint(canvas, u.new_tensor([[0.93, 0.97, 1.0]]), cover(d, px) * (0.06 + glint))
        arch = -0.25 * col(b) - 0.03 * (1 - ((u + col(i.eye_x)) / 0.12) ** 2)
        bridge = band(v, arch, -0.25 * col(b) + thick * 1.2, px) * (u < -col(a)) * (u > -col(i.eye_x) - 0.02)
        arm = band(v, -0.35 * col(b) - thick, -0.35 * col(b) + thick, px) * (u > col(a))
        arm = arm * (u < col(i.head_width - i.eye_x) + 0.04) * patch.take(face[rows])
        ring = cover(d.abs() - thick, px).maximum(bridge).maximum(arm)
        shine = i.glasses_colour + (1 - i.glasses_colour) * 0.5
        top = mix(i.glasses_colour, shine, smooth(v / col(b), -0.2, -0.9) * 0.5)
        paint(canvas, top, ring)
        patch.put(sub.canvas, canvas)
    stage.canvas[rows] = sub.canvas

"""Drawing whole figures: backdrop and floor, legs, skirt, torso, arms, and a puppet's head on top."""

from __future__ import annotations

import torch
from torch import Tensor

from . import backdrop
from .clothes import woven
from .draw import PARTS, draw
from .figure import ANKLE, FLOOR, OUTFITS, SHOULDER, SIDES, Figure, Skeleton, Stance, pair
from .shapes import Patch, band, capsule, centres, col, cover, few, fract, mix, paint, smooth, step, tint

HORIZON = 0.52  # where floor and wall meet
HEAD = tuple(part for part in PARTS if part not in ("background", "hair_back", "body"))


@torch.no_grad()
def draw_figures(figure: Figure, stance: Stance, size: int = 256, background: bool = True) -> Tensor:
    """Pictures of figures: N x 4 x size x size, RGBA in 0…1, straight alpha.

    figure and stance have the same length, or one of them has length 1 and serves all. background=False leaves what is
    not the figure transparent (colour 0 there).
    """
    figure, stance = pair(figure, stance)
    pictures = torch.zeros(len(stance.x), 4, size, size, device=stance.x.device)
    count = 4 * few(size, pictures.device)
    for k in range(0, len(pictures), count):
        rows = slice(k, k + count)
        pictures[rows] = _draw(figure[rows], stance[rows], size, background)
    return pictures


def _draw(figure: Figure, stance: Stance, size: int, background: bool) -> Tensor:
    easel = Easel(figure, stance, size)
    canvas, head = easel.canvas, easel.bones.head
    if background:
        canvas[:, 3] = 1
        backdrop.draw(canvas[:, :3], figure.identity)
        _floor(easel)
    easel.lay(draw(figure.identity, head, size, parts={"hair_back"}))
    for side in SIDES:
        _leg(easel, side)
    trunk = _torso(easel)
    _skirt(easel)
    for side in SIDES:
        _arm(easel, side, trunk)
    easel.lay(draw(figure.identity, head, size, parts=HEAD))
    alpha = canvas[:, 3:]
    canvas[:, :3] /= alpha.clamp_min(1e-6)
    canvas[:, :3] *= alpha > 0
    return canvas.clamp_(0, 1)


class Easel:
    """The canvas (B x 4 x size x size, premultiplied) and what all parts want to know."""

    def __init__(self, figure: Figure, stance: Stance, size: int) -> None:
        self.figure, self.identity, self.stance, self.size = figure, figure.identity, stance, size
        self.canvas = torch.zeros(len(stance.x), 4, size, size, device=stance.x.device)
        self.bones = Skeleton(figure, stance)
        self.points, self.scale = self.bones.points, self.bones.scale
        self.px = 2 / size / col(self.scale)  # a pixel, in head units
        self.wears = figure.wears()
        self.cloth, self.trim, self.under = self.identity.clothes_colours.unbind(1)
        self.anime = col((self.identity.style == 1).float())
        self.light = self.identity.light

    def lay(self, picture: Tensor) -> None:
        """A whole picture with straight alpha over the canvas."""
        paint(self.canvas, picture[:, :3], picture[:, 3])

    def at(self, name: str) -> Tensor:
        return self.points[name]

    def patch(self, *points: Tensor, room: float) -> Patch:
        """A window that holds points (B x 2 each) and `room` head units round them."""
        some = torch.stack(points)
        low, high = some.amin(0), some.amax(0)
        half = (high - low).amax(0) / 2 + room * self.scale.max()
        return Patch(self.size, (low + high) / 2, *half.tolist())

    def tone(self, colour: Tensor, shade: Tensor, dark: tuple = (0.6, 0.57, 0.64)) -> Tensor:
        """A colour (B x 3, or of every pixel) in light: shade from -1 (towards the light) to 1 (away)."""
        if colour.dim() == 2:
            colour = colour[:, :, None, None]
        soft = smooth(shade, -0.15, 1.0) * 0.72
        cel = smooth(shade, 0.42, 0.48) * 0.62
        away = (soft + self.anime * (cel - soft)).unsqueeze(1)
        lit = (smooth(shade, -0.35, -1.0) * (0.2 - 0.2 * self.anime)).unsqueeze(1)
        colour = colour * (1 - away * (1 - colour.new_tensor(dark)[:, None, None]))
        return colour + (1 - colour) * lit

    def skin(self, shade: Tensor) -> Tensor:
        return self.tone(self.identity.skin, shade, (0.78, 0.60, 0.57))

    def ink(self, canvas: Tensor, colour: Tensor, d: Tensor, alpha: Tensor) -> None:
        """The drawn outline of anime: a line inside the edge d = 0 of what alpha covers."""
        paint(canvas, tint(colour, 0.42, 0.38, 0.42), smooth(d.abs(), 0.035, 0.012) * alpha * self.anime * 0.6)


class Limb:
    """Three joints with flesh round them, on the pixels of a patch."""

    def __init__(self, easel: Easel, patch: Patch, joints: tuple[Tensor, ...], radii: tuple[Tensor, ...]) -> None:
        s = easel.scale
        (d0, t0), (d1, t1) = (
            capsule(patch.x, patch.y, a, b, col(ra * s), col(rb * s))
            for a, b, ra, rb in zip(joints, joints[1:], radii, radii[1:])
        )
        k = 0.12 * col(radii[1] * s)  # how softly both halves flow into each other
        h = ((d1 - d0) / (2 * k) + 0.5).clamp(0, 1)  # 1 where the upper half is nearer
        self.d = ((d1 + h * (d0 - d1)) - k * h * (1 - h)) / col(s)  # head units
        self.along = t1 + 1 + h * (t0 - t1 - 1)  # 0 … 2

        def offset(a: Tensor, b: Tensor, t: Tensor, ra: Tensor, rb: Tensor) -> tuple[Tensor, Tensor]:
            r = col(ra * s) + t * col((rb - ra) * s)
            (ax, ay), (bx, by) = ([col(v) for v in p.unbind(1)] for p in (a, b))
            return (patch.x - ax - t * (bx - ax)) / r, (patch.y - ay - t * (by - ay)) / r

        (x0, y0), (x1, y1) = offset(*joints[:2], t0, *radii[:2]), offset(*joints[1:], t1, *radii[1:])
        self.x, self.y = x1 + h * (x0 - x1), y1 + h * (y0 - y1)  # offset from the bone, in radii
        self.shade = (0.85 * self.x * col(easel.light) + 0.35 * self.y).clamp(-1, 1)


def _floor(easel: Easel) -> None:
    """A floor up to the horizon, and the soft shadow of each foot."""
    size, f = easel.size, easel.figure
    y = centres(0, size, size, f.device)[None, :, None]
    x = centres(0, size, size, f.device)[None, None, :]
    deep = ((y - HORIZON) / (1 - HORIZON)).clamp(0, 1)
    px, inside = 2 / size, col((~f.outdoors()).float())
    board = fract(x * 4.5 / (0.55 + 0.6 * deep) + 0.5)  # boards run away from the viewer
    seam = smooth((board - 0.5).abs(), 0.47, 0.49) * (0.08 + 0.12 * deep) * inside
    tone = mix(tint(f.floor, 0.86, 0.84, 0.84), f.floor, deep + 0 * x) * (1 - seam).unsqueeze(1)
    skirting = (band(y, HORIZON - 0.045, HORIZON, px) + 0 * x) * inside
    paint(easel.canvas, f.floor * 0.35 + 0.6, skirting)
    paint(easel.canvas, tone, (cover(HORIZON - y, px) + 0 * x).expand(len(f), -1, -1))
    shadow = torch.zeros_like(easel.canvas[:, 0])
    for name in SIDES:
        ankle, s = easel.at(f"ankle_{name}"), easel.scale
        over = ((FLOOR - ankle[:, 1]) / s - ANKLE).clamp_min(0)  # of a lifted foot the shadow is wide and faint
        wide = 0.52 + 0.5 * over
        place = torch.stack([ankle[:, 0], FLOOR - 0.03 * s], 1)
        dx, dy = (x - col(place[:, 0])) / col(wide * s), (y - col(place[:, 1])) / col(0.28 * wide * s)
        spot = (1 - dx * dx - dy * dy).clamp_min(0) * col(0.55 / (1 + 3 * over))
        shadow = shadow + spot * (1 - shadow)
    paint(easel.canvas, f.floor * 0.18, shadow)


def _leg(easel: Easel, name: str) -> None:
    f, w, side = easel.figure, easel.wears, SIDES[name]
    hip, knee, ankle = joints = tuple(easel.at(f"{part}_{name}") for part in ("hip", "knee", "ankle"))
    patch = easel.patch(*joints, room=0.62)
    canvas = patch.take(easel.canvas)
    r = f.limbs
    # the leg itself, its sock
    skin = Limb(easel, patch, joints, (1.6 * r, 1.1 * r, 0.78 * r))
    alpha = cover(skin.d, easel.px)
    paint(canvas, easel.skin(skin.shade), alpha)
    easel.ink(canvas, easel.identity.skin, skin.d, alpha)
    across = easel.px / col(f.leg)
    top = col(2 - 0.8 * w.socks)
    sock = cover(skin.d - 0.015, easel.px) * cover(top - skin.along, across) * col(step(w.socks))
    pale = easel.under * 0.3 + 0.66
    stripe = band(skin.along, top + 0.05, top + 0.10, across) + band(skin.along, top + 0.15, top + 0.20, across)
    paint(canvas, mix(easel.tone(pale, skin.shade), easel.trim, stripe), sock)
    # the shoe stands flat on the floor and goes with the shin as it leaves it
    shin = (ankle - knee) / (ankle - knee).norm(dim=1, keepdim=True).clamp_min(1e-6)
    lifted = smooth((FLOOR - ankle[:, 1]) / easel.scale - ANKLE, 0.1, 0.7)
    turn = torch.atan2(-shin[:, 0], shin[:, 1]) * lifted
    _shoe(easel, patch, canvas, ankle, turn, side)
    # trousers over all that
    cloth = Limb(easel, patch, joints, (1.95 * r, 1.5 * r, 1.32 * r))
    wide = cloth.d - 0.05 * (w.legs < 1.2)[:, None, None]  # shorts are wider
    covered = cover(wide, easel.px) * cover(cloth.along - col(w.legs), across) * col(step(w.legs))
    folds = smooth((cloth.along - 1.0).abs(), 0.10, 0.0) * 0.22 * smooth(cloth.x * side, 0.2, -0.8)
    cuff = band(cloth.along, col(w.legs) - 0.075, col(w.legs) - 0.055, across) * 0.45
    tone = easel.tone(f.lower, cloth.shade + folds)
    paint(canvas, tone * (1 - 0.5 * cuff).unsqueeze(1), covered)
    inner = smooth(cloth.x * side, -0.55, -1.0) * smooth(cloth.along, 0.9, 0.0)  # where the legs meet
    paint(canvas, tint(f.lower, 0.45, 0.43, 0.5), inner * covered * 0.45)
    easel.ink(canvas, f.lower, wide, covered)
    patch.put(easel.canvas, canvas)


def _shoe(easel: Easel, patch: Patch, canvas: Tensor, ankle: Tensor, turn: Tensor, side: float) -> None:
    c, n, s = col(turn.cos()), col(turn.sin()), col(easel.scale)
    dx, dy = (patch.x - col(ankle[:, 0])) / s, (patch.y - col(ankle[:, 1])) / s
    u, v = (c * dx + n * dy) * side, c * dy - n * dx  # outward and down from the ankle
    light = col(easel.wears.ballet)
    zero = torch.zeros_like(ankle)
    heel, toe = zero + zero.new_tensor([-0.02, 0.08]), zero + zero.new_tensor([0.30, 0.12])
    foot, along = capsule(u, v, heel, toe, 0.185, 0.155)
    leg = torch.maximum(u.abs() - 0.165, (v + 0.02).abs() - 0.12)
    d = torch.minimum(foot, leg + 0.5 * light).maximum(v - ANKLE)
    alpha = cover(d, easel.px)
    shade = (0.15 + 1.3 * v + 0.4 * u * side * col(easel.light)).clamp(-1, 1)
    paint(canvas, easel.tone(easel.figure.shoes, shade), alpha)
    # the sole, a cap and laces; light shoes show the instep
    sole = cover(0.15 - v, easel.px) * alpha * (1 - light)
    paint(canvas, easel.tone(easel.figure.shoes * 0.2 + 0.78, shade - 0.3), sole)
    paint(canvas, tint(easel.figure.shoes, 0.5, 0.48, 0.52), cover((v - 0.15).abs() - 0.008, easel.px) * alpha * 0.6)
    lace = cover((fract(along * 5) - 0.5).abs() - 0.16, easel.px * 12) * band(v - 0.15 * u, -0.11, -0.03, easel.px)
    paint(canvas, easel.figure.shoes * 0.15 + 0.83, lace * band(along, 0.02, 0.62, easel.px * 3) * alpha * (1 - light))
    instep = cover(((u - 0.06) / 0.14) ** 2 + ((v + 0.08) / 0.14) ** 2 - 1, easel.px * 8) * alpha * light
    paint(canvas, easel.skin(shade), instep)
    easel.ink(canvas, easel.figure.shoes, d, alpha)


def _skirt(easel: Easel) -> None:
    """From the waist to a hem that swings and covers knees which go apart."""
    f, w, bones = easel.figure, easel.wears, easel.bones
    there = step(w.skirt)
    if not bool(there.any()):
        return
    s = easel.scale
    waist = bones.on_torso(easel.stance.bend * 0.5, -0.62 + 0 * s)
    hips = bones.pelvis + s[:, None] * torch.stack([easel.stance.swing, w.skirt.clamp_min(1) - 0.62], 1)
    half = f.hips + f.limbs * 1.6 + w.flare
    reach = torch.stack([s * (half + 0.35), 0 * s], 1)
    patch = easel.patch(waist - reach, waist + reach, hips - reach, hips + reach, room=0.2)
    canvas = patch.take(easel.canvas)
    (ax, ay), (bx, by) = ([col(v) for v in p.unbind(1)] for p in (waist, hips))
    t = (patch.y - ay) / (by - ay)
    x = (patch.x - ax - t * (bx - ax)) / col(s)
    knees = ((easel.at("knee_right") - easel.at("knee_left"))[:, 0] / s / 2 - 0.35).clamp(0, 0.5)
    low, narrow, wide = t.clamp(0, 1.1), col(f.waist), col(half + 0.45 * knees)
    edge = narrow + (wide - narrow) * (0.35 * smooth(t, 0.0, 0.35) * (1 - 0.35 * low) + 0.65 * low**1.15)
    q = x / edge
    ripple = (q * 9.5 + 2.0 * easel.stance.swing[:, None, None]).sin()
    length = (by - ay) / col(s)
    hem = 1 + (0.05 * (1 - q * q).clamp_min(-1) + 0.018 * ripple) * smooth(low, 0.3, 1.0)
    d = torch.maximum((q.abs() - 1) * edge * 0.92, (t - hem) * length).maximum(-t * length)
    alpha = cover(d, easel.px) * col(there)
    fold = (0.3 * ripple + 0.15 * (q * 23 + 1).sin()) * smooth(low, 0.15, 0.9)
    shade = q * 0.75 * col(easel.light) + fold + 0.1
    figure = woven(easel.identity, q * edge, t * length + 0 * q, easel.px)
    dress = col((f.outfit == OUTFITS.index("dress")).float())
    tone = mix(f.lower, easel.trim, figure * 0.8 * dress)
    paint(canvas, easel.tone(tone, shade), alpha)
    trim = band(t * length, hem * length - 0.13, hem * length - 0.06, easel.px) * alpha
    paint(canvas, easel.tone(easel.trim, shade), trim * 0.9)
    easel.ink(canvas, f.lower, d, alpha)
    patch.put(easel.canvas, canvas)


def _torso(easel: Easel) -> Tensor:
    """Chest, waist and hips with what they wear; returns the signed distance to them (B x size x size, head units)."""
    f, w, bones, i = easel.figure, easel.wears, easel.bones, easel.identity
    s = easel.scale
    patch = easel.patch(
        easel.at("neck"), easel.at("shoulder_left"), easel.at("shoulder_right"), bones.pelvis, room=0.75
    )
    canvas = patch.take(easel.canvas)
    c, n = col(bones.lean.cos()), col(bones.lean.sin())
    dx, dy = ((patch.x - col(bones.pelvis[:, 0])) / col(s), (patch.y - col(bones.pelvis[:, 1])) / col(s))
    x, y = c * dx + n * dy, c * dy - n * dx + col(f.torso)  # y from the pit of the neck down
    tall = col(f.torso)
    x = x - col(easel.stance.bend) * (4 * (y / tall) * (1 - y / tall)).clamp_min(0)

    def at(across: Tensor | float, down: Tensor | float) -> Tensor:
        return torch.stack([across + 0 * f.torso, down + 0 * f.torso], 1)

    cap = 1.25 * f.limbs + 0.04
    half = f.shoulders - cap + 0.06
    bar, _ = capsule(x, y, at(-half, SHOULDER), at(half, SHOULDER), col(cap), col(cap))
    chest, _ = capsule(x, y, at(0.0, 0.55), at(0.0, 0.60 * f.torso), col(f.waist + 0.07), col(f.waist))
    belly, _ = capsule(x, y, at(0.0, 0.60 * f.torso), at(0.0, f.torso - 0.2), col(f.waist), col(f.waist + 0.04))
    seat, _ = capsule(x, y, at(-f.hips, f.torso), at(f.hips, f.torso), col(1.95 * f.limbs), col(1.95 * f.limbs))
    slope = (y - 0.02 - 0.2 * x.abs()) * -0.98  # shoulders fall off from the neck
    d = _union(_union(_union(bar, chest, 0.22), belly, 0.1), seat, 0.16).maximum(slope)
    alpha = cover(d, easel.px)
    wide = col(f.shoulders)
    light = col(easel.light)
    shade = (x / wide * light * 0.75 + 0.18 * (y / tall - 0.4)).clamp(-1, 1)
    thigh = (x - x.sign() * col(f.hips)) / col(1.95 * f.limbs)
    below = shade + smooth(y - tall, -0.25, 0.15) * (0.85 * thigh * light - shade)  # as the legs are shaded
    folds = smooth((y - 0.62 * tall - 0.35 * x.abs()).abs(), 0.10, 0.0) * smooth(x.abs(), 0.1, 0.4) * 0.2
    cloth = mix(easel.cloth, easel.trim, woven(i, x, y, easel.px) * 0.85)
    trousers = col(step(w.legs))
    belt = tall - 0.30 + 0.05 * (1 - (x / 0.5) ** 2)
    hood = col(w.hood)
    # the lower half first, then the top, which a hoodie wears over it
    paint(canvas, easel.tone(f.lower, below), alpha * trousers)
    fly = smooth((x - 0.02).abs(), 0.022, 0.008) * band(y, belt + 0.1, tall + 0.3, easel.px)
    paint(canvas, tint(f.lower, 0.55, 0.53, 0.6), fly * alpha * trousers * 0.6)
    over = (y - belt - 0.10 * hood - 0.12 * (1 - trousers)) * 0.98
    top = cover(d, easel.px) * cover(over, easel.px)
    paint(canvas, easel.tone(cloth, shade + folds), top)
    paint(canvas, tint(f.lower, 0.5, 0.5, 0.55), smooth(over, 0.10, 0.0) * step(over) * alpha * trousers * 0.5)
    hem = band(over, -0.10, -0.02, easel.px) * trousers * top
    paint(canvas, easel.tone(easel.trim, shade), hem * 0.55)
    _front(easel, canvas, x, y, belt, shade, top)
    # neck and neckline: skin under the shadow of the chin
    deep, r = col(w.neckline), col(0.86 * i.neck)
    hole = (((x / (r + 0.03)) ** 2 + (y / deep) ** 2 + 1e-9).sqrt() - 1) * deep
    neck = torch.maximum(x.abs() - r, (y + 0.35).abs() - 0.35)
    paint(canvas, easel.tone(easel.trim, shade + 0.1), cover((hole - 0.07).maximum(0.2 * x.abs() - 0.04 - y), easel.px))
    skin = cover(torch.minimum(hole.maximum(-0.1 - y), neck), easel.px)
    paint(canvas, easel.skin(smooth(y, 0.12, -0.22) * 0.85 + 0.25 * x / r * light), skin)
    easel.ink(canvas, easel.cloth, d, alpha * smooth(y - tall, -0.1, -0.4) * smooth(y, 0.1, 0.25))
    patch.put(easel.canvas, canvas)
    whole = torch.full_like(easel.canvas[:, :1], 1.0)
    patch.put(whole, d.unsqueeze(1))
    return whole[:, 0]


def _front(easel: Easel, canvas: Tensor, x: Tensor, y: Tensor, belt: Tensor, shade: Tensor, top: Tensor) -> None:
    """What is on the chest: a bib with straps, buttons and a collar, a pouch and strings."""
    f, w, px = easel.figure, easel.wears, easel.px
    a = x.abs()
    bib, buttons, hood = (col(t) for t in (w.bib, w.buttons, w.hood))
    board = torch.maximum(a - 0.36 - 0.12 * smooth(y, 0.9, 1.5), (y - 1.15).abs() - 0.5)
    strap = torch.maximum((a - 0.34 - 0.1 * (0.7 - y)).abs() - 0.075, y - 0.75)
    piece = torch.minimum(board, strap).minimum(0.06 - (y - belt + 0.05))
    paint(canvas, easel.tone(f.lower, shade), cover(piece, px) * top * bib)
    dark = tint(f.lower, 0.6, 0.58, 0.64)
    pocket = torch.maximum(a - 0.2, (y - 1.0).abs() - 0.17)
    paint(canvas, dark, cover((pocket + 0.01).abs() - 0.012, px) * top * bib * 0.8)
    knob = ((a - 0.335) ** 2 + (y - 0.74) ** 2).sqrt() - 0.06
    paint(canvas, x.new_tensor([[0.93, 0.78, 0.42]]), cover(knob, px) * top * bib)
    shirt = tint(easel.cloth, 0.55, 0.52, 0.6)
    paint(canvas, shirt, cover(a - 0.012, px) * top * buttons * 0.6)
    button = (x * x + (fract((y - 0.1) / 0.3) * 0.3 - 0.15) ** 2).sqrt() - 0.04
    paint(canvas, easel.cloth * 0.2 + 0.78, cover(button, px) * top * buttons)
    pouch = torch.maximum(a - 0.40 + 0.25 * (belt - 0.1 - y).clamp_min(0), (y - belt + 0.22).abs() - 0.24)
    paint(canvas, tint(easel.cloth, 0.62, 0.6, 0.66), cover((pouch + 0.01).abs() - 0.016, px) * top * hood * 0.8)
    string = torch.maximum((a - 0.15).abs() - 0.022, (y - 0.42).abs() - 0.22)
    paint(canvas, easel.trim * 0.3 + 0.66, cover(string, px) * top * hood)


def _union(a: Tensor, b: Tensor, k: float) -> Tensor:
    """The smaller of two distances, flowing into each other within k."""
    h = ((b - a) / (2 * k) + 0.5).clamp(0, 1)
    return b + h * (a - b) - k * h * (1 - h)


def _arm(easel: Easel, name: str, trunk: Tensor) -> None:
    f, w, side = easel.figure, easel.wears, SIDES[name]
    shoulder, elbow, wrist = joints = tuple(easel.at(f"{part}_{name}") for part in ("shoulder", "elbow", "wrist"))
    patch = easel.patch(*joints, room=0.62)
    canvas = patch.take(easel.canvas)
    r, px = f.limbs, easel.px
    across = px / col(f.arm)
    skin = Limb(easel, patch, joints, (1.02 * r, 0.86 * r, 0.66 * r))
    cloth = Limb(easel, patch, joints, (1.28 * r, 1.22 * r, 1.08 * r))
    # its shadow on the body
    near = smooth(cloth.d, 0.16, -0.02) * smooth(cloth.along, 0.4, 0.9)
    paint(canvas, tint(easel.cloth, 0.4, 0.36, 0.42), near * cover(patch.take(trunk), px) * 0.4)
    _hand(easel, patch, canvas, elbow, wrist, side)
    alpha = cover(skin.d, px)
    paint(canvas, easel.skin(skin.shade), alpha)
    easel.ink(canvas, easel.identity.skin, skin.d, alpha * smooth(skin.along, 1.96, 1.88))
    edge = col(w.sleeves)
    loose = cloth.d - 0.05 * smooth(edge - cloth.along, 0.5, 0.0) * (edge < 1.2)
    sleeve = cover(loose, px) * cover(cloth.along - edge, across)
    folds = smooth((cloth.along - 1.0).abs(), 0.16, 0.0) * 0.3 * smooth(cloth.x * side, 0.3, -0.8)
    length = cloth.along * col(f.arm)
    pattern = mix(easel.cloth, easel.trim, woven(easel.identity, cloth.x * 0.2, length + 0.3, px) * 0.85)
    root = 0.6 * side * col(easel.light)  # the shoulder is shaded as the chest beside it
    shade = root + (cloth.shade - root) * smooth(cloth.along, 0.0, 0.5)
    paint(canvas, easel.tone(pattern, shade + folds), sleeve)
    cuff = band(cloth.along, edge - 0.13, edge + 1, across) * sleeve
    paint(canvas, easel.tone(easel.trim, cloth.shade), cuff * 0.8)
    # where the sleeve lies on the body a faint edge keeps them apart
    rim = smooth(loose.abs(), 0.04, 0.0) * smooth(cloth.along, 0.3, 0.7) * sleeve * cover(patch.take(trunk), px)
    paint(canvas, tint(easel.cloth, 0.5, 0.46, 0.52), rim * 0.5)
    easel.ink(canvas, easel.cloth, loose, sleeve * smooth(cloth.along, 0.25, 0.5))
    patch.put(easel.canvas, canvas)


def _hand(easel: Easel, patch: Patch, canvas: Tensor, elbow: Tensor, wrist: Tensor, side: float) -> None:
    """A mitten with a thumb, going on as the forearm does."""
    s = col(easel.scale)
    along = (wrist - elbow) / (wrist - elbow).norm(dim=1, keepdim=True).clamp_min(1e-6)
    ux, uy = (col(t) for t in along.unbind(1))
    dx, dy = (patch.x - col(wrist[:, 0])) / s, (patch.y - col(wrist[:, 1])) / s
    u, v = dx * ux + dy * uy, (dy * ux - dx * uy) * side  # along the forearm; the thumb's side is v > 0
    zero = torch.zeros_like(wrist)

    def stroke(ax: float, ay: float, bx: float, by: float, ra: float, rb: float) -> Tensor:
        return capsule(u, v, zero + zero.new_tensor([ax, ay]), zero + zero.new_tensor([bx, by]), ra, rb)[0]

    d = _union(stroke(0.04, 0.0, 0.27, -0.01, 0.115, 0.14), stroke(0.06, 0.06, 0.20, 0.215, 0.07, 0.058), 0.02)
    alpha = cover(d, easel.px)
    shade = (dx * 2.6 * col(easel.light) + 1.4 * (dy - uy * 0.2)).clamp(-1, 1)
    paint(canvas, easel.skin(shade), alpha)
    for k in (-0.07, 0.02):  # fingers
        line = stroke(0.27, k, 0.37, k, 0.008, 0.006)
        paint(canvas, tint(easel.identity.skin, 0.6, 0.42, 0.4), cover(line, easel.px) * 0.5)
    easel.ink(canvas, easel.identity.skin, d, alpha)

"""What is behind: eight kinds of static, busy background. It belongs to the identity and never moves with the pose."""

from __future__ import annotations

import torch
from torch import Tensor

from .identity import Identity
from .shapes import Patch, centres, col, cover, few, fract, smooth, step

Values = list[Tensor]  # colours (B x 3 x 1 x 1) or numbers in 0…1 (B x 1 x 1) of the puppets


def draw(canvas: Tensor, identity: Identity) -> None:
    """Fill the colours of a canvas, B x 3 x size x size."""
    size = canvas.shape[-1]
    x = centres(0, size, size, identity.device)[None, None, :]
    y = x.mT
    corners = (1.02 - 0.13 * (x * x + y * y)).unsqueeze(1)  # a little darker
    for kind, function in enumerate(_KINDS):
        for rows in (identity.backdrop == kind).nonzero()[:, 0].split(few(size, identity.device)):
            if len(rows):
                c = [t[:, :, None, None] for t in identity.backdrop_colours[rows].unbind(1)]
                u = [col(t) for t in identity.backdrop_shape[rows].unbind(1)]
                canvas[rows] = function(x, y, c, u, 2 / size).mul_(corners).clamp_(0, 1)


def _lay(ground: Tensor, colour: Tensor, alpha: Tensor) -> Tensor:
    """Paint over a ground: in place, unless it is less than a whole picture yet."""
    alpha = alpha.unsqueeze(1)
    if ground.shape[2:] == alpha.shape[2:]:
        return ground.lerp_(colour, alpha)
    return ground + (colour - ground) * alpha


def _pick(number: Tensor, low: float, high: float, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Colour a where number < low, b where it is between, c where it is over high."""
    return _lay(_lay(c, b, step(high - number)), a, step(low - number))


def _hash(*parts: Tensor | float) -> Tensor:
    """A number in 0…1 from numbers."""
    h = sum(p * k for p, k in zip(parts, (12.9898, 78.233, 37.719))).sin() * 4375.8547
    return h - h.floor()


def _bokeh(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    ground = _lay(c[0] * 0.75, c[1], (y * 0.5 + 0.5 + 0.2 * x) + 0 * u[0])
    for k in range(9):
        cx, cy = _hash(u[0] + k, u[1]) * 2.2 - 1.1, _hash(u[2] + k, u[3]) * 2 - 1.1
        r = 0.07 + 0.2 * _hash(u[4] + k, u[5])
        reach = float(r.max()) + 0.02
        patch = Patch(ground.shape[-1], torch.cat([cx, cy], 1)[..., 0], reach, reach)
        d = ((patch.x - cx) ** 2 + (patch.y - cy) ** 2).sqrt() - r
        alpha = cover(d, 0.02) * (0.35 + 0.3 * smooth(d, -0.06, -0.005))
        patch.put(ground, _lay(patch.take(ground), c[k % 3 + 1] * 0.5 + 0.5, alpha))
    return ground


def _wallpaper(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    n = 3 + (4 * u[0]).floor()
    fx, fy = x * n, y * n
    odd = (fy.floor() % 2) * 0.5
    dx, dy = fract(fx + odd) - 0.5, fract(fy) - 0.5
    r = (dx * dx + dy * dy).sqrt()
    petals = r - 0.22 - 0.10 * (torch.atan2(dy, dx) * (3 + (3 * u[1]).floor())).cos()
    ground = _lay(c[0] + 0 * r.unsqueeze(1), c[0] * 0.9, cover((fract(fx + odd) - 0.5).abs() - 0.03, n * px))
    ground = _lay(ground, c[1] * 0.6 + c[0] * 0.4, cover(petals, n * px))
    ground = _lay(ground, c[2] * 0.6 + c[0] * 0.4, cover(r - 0.09, n * px))
    rail = y - 0.35 - 0.2 * u[2]
    ground = _lay(ground, c[3] * 0.8 + 0.15, cover(-rail, px))
    return _lay(ground, c[3] * 0.5, cover((rail - 0.02).abs() - 0.02, px))


def _shelves(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    wood = c[3] * 0.5 + torch.tensor([0.30, 0.20, 0.12], device=x.device)[:, None, None]
    rows = 2.2 + 0.8 * u[0]
    fy = (y + 1) * rows / 2 + u[1]
    shelf, vy = fy.floor(), fract(fy)
    # books of uneven width: a jittered comb
    fx = x * 8 + 8 + shelf * 3.7
    book = fx.floor()
    lean = 0.35 * (_hash(book, shelf, u[2]) - 0.5)
    fx = fx + lean * (0.8 - vy) * 0.6
    book, wx = fx.floor(), fract(fx)
    h = _hash(book, shelf, u[2])
    h2 = _hash(book, shelf, u[3])
    top = 0.22 + 0.3 * h
    width = 0.5 - 0.06 - 0.12 * h2
    inside = cover(torch.maximum((wx - 0.5).abs() - width, torch.maximum(top - vy, vy - 0.93)), 8 * px)
    spine = _pick(_hash(book + 5, shelf, u[4]), 0.33, 0.66, c[0], c[1], c[2])
    spine = spine * (0.65 + 0.35 * h2.unsqueeze(1))
    spine = spine * (1 - 0.35 * cover((vy - top - 0.12).abs() - 0.025, 3 * px)).unsqueeze(1)
    inside = inside * step(h2 - 0.08)
    ground = _lay(wood * 0.45 + 0 * spine, spine, inside)
    board = cover((vy - 0.97).abs() - 0.035, rows * px)
    return _lay(ground, wood, board)


def _hills(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    sky = torch.tensor([0.62, 0.81, 0.94], device=x.device)[:, None, None] * 0.6 + c[0] * 0.4
    ground = _lay(sky * 0.9, sky * 0.35 + 0.65, smooth(y, -1, 0.4) + 0 * u[0])
    sun = ((x - 1.4 * u[1] + 0.7) ** 2 + (y + 0.62) ** 2).sqrt()
    ground = _lay(
        ground,
        torch.tensor([1.0, 0.93, 0.7], device=x.device)[:, None, None],
        cover(sun - 0.16, px) + 0.35 * smooth(sun, 0.55, 0.1),
    )
    for k in range(3):
        cx, cy = _hash(u[2] + k, u[3]) * 2.4 - 1.2, -0.85 + 0.7 * _hash(u[4], u[5] + k)
        d = torch.ones_like(x * y)
        for j in (-1, 0, 1):
            d = torch.minimum(
                d, ((x - cx - 0.14 * j) ** 2 + (1.5 * (y - cy) + 0.05 * (j == 0)) ** 2).sqrt() - 0.13 - 0.05 * (j == 0)
            )
        ground = _lay(ground, 0 * sky + 0.98, cover(d, px * 2) * 0.85)
    green = torch.tensor([0.45, 0.66, 0.40], device=x.device)[:, None, None]
    for k, depth in enumerate((0.0, 0.5, 1.0)):
        line = (
            -0.1
            + 0.3 * k
            + 0.13 * (x * (2 + 1.5 * u[6 + k]) + 6 * u[9 + k]).sin()
            + 0.04 * (x * 7 + 9 * u[6 + k]).sin()
        )
        tone = green * (0.75 + 0.25 * depth) * 0.7 + c[k + 1] * 0.3
        ground = _lay(
            ground, tone * (1 - 0.12 * smooth(y - line, 0, 0.4).unsqueeze(1)) + 0.12 * (1 - depth), cover(line - y, px)
        )
    return ground


def _city(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    ground = _lay(
        c[0] * 0.5 + 0.35,
        torch.tensor([1.0, 0.83, 0.66], device=x.device)[:, None, None] * 0.7 + c[1] * 0.3,
        smooth(y, -0.9, 0.7) + 0 * u[0],
    )
    for k, n in enumerate((4.0, 3.0)):
        fx = (x + 1) * n + 3 * u[1 + k]
        b, wx = fx.floor(), fract(fx)
        h = _hash(b, u[3] + k)
        top = (0.15 if k else -0.35) - 0.5 * h + 0.25 * k
        wall = torch.maximum((wx - 0.5).abs() - 0.46, (top - y) * n)
        tone = c[2 + k] * (0.55 - 0.15 * k) + 0.12 + 0.1 * h.unsqueeze(1)
        ground = _lay(ground, tone, cover(wall, n * px))
        wy = fract(y * 9)
        pane = torch.maximum((fract(wx * 4) - 0.5).abs() - 0.26, (wy - 0.5).abs() - 0.3)
        on = step(_hash((wx * 4).floor() + 7 * b, (y * 9).floor(), u[5]) - 0.45)
        light = torch.tensor([1.0, 0.9, 0.6], device=x.device)[:, None, None]
        glass = cover(pane, 9 * px) * cover(wall + 0.12, n * px) * cover((top + 0.06 - y), px)
        ground = _lay(ground, _lay(tone * 0.6, light, on), glass * 0.8)
    return ground


def _stripes(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    a = (u[0] - 0.5) * 2.4
    n = 2.5 + 3 * u[1]
    t = (x * a.cos() + y * a.sin()) * n + 4 * u[2]

    def colour(k: Tensor) -> Tensor:
        return _pick(_hash(k, u[3]), 0.34, 0.67, c[0], c[1], c[2])

    k = t.floor()
    edge = (fract(t) - 0.5).abs()
    ground = _lay(colour(k - 1), colour(k), (fract(t) / (n * px) + 0.5).clamp(0, 1))
    return ground * (0.92 + 0.08 * smooth(edge, 0.5, 0.3)).unsqueeze(1)


def _shapes(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    """Confetti: discs, squares and rings strewn over a grid."""
    n = 2.5 + 1.5 * u[0]
    fx, fy = x * n + u[1], y * n + u[2]
    cx, cy = fx.floor(), fy.floor()
    h, g = _hash(cx, cy, u[3]), _hash(cx + 7, cy, u[4])
    dx, dy = fx - cx - 0.5 - 0.25 * (h - 0.5), fy - cy - 0.5 - 0.25 * (g - 0.5)
    a = 6.28 * g
    p, q = dx * a.cos() + dy * a.sin(), dy * a.cos() - dx * a.sin()
    disc = (dx * dx + dy * dy).sqrt() - 0.15 - 0.15 * g
    box = torch.maximum(p.abs(), q.abs()) - 0.14 - 0.12 * g
    bar = torch.maximum(p.abs() - 0.32, q.abs() - 0.07)
    ring = (disc + 0.02).abs() - 0.05
    d = torch.where(h < 0.25, disc, torch.where(h < 0.5, box, torch.where(h < 0.75, bar, ring)))
    tone = _pick(_hash(cy, cx, u[5]), 0.4, 0.75, c[1], c[2], c[3])
    return _lay(c[0] + 0 * tone, tone, cover(d, n * px))


def _window(x: Tensor, y: Tensor, c: Values, u: Values, px: float) -> Tensor:
    """A wall with a window, a lamp's glow and a picture."""
    wall = _lay(c[0] * 0.95, c[0] * 0.7, smooth(x * torch.sign(u[0] - 0.5), -0.2, 1.2) + 0 * y)
    side = torch.sign(u[0] - 0.5)
    patch = Patch(wall.shape[-1], torch.cat([-0.62 * side, -0.35 + 0 * side], 1)[..., 0], 0.39 + px, 0.55 + px)
    wx, wy = patch.x * side + 0.62, patch.y + 0.35
    frame = torch.maximum(wx.abs() - 0.34, wy.abs() - 0.5)
    window = _lay(patch.take(wall), c[1] * 0.4 + 0.55, cover(frame - 0.05, px))
    pane = torch.minimum(wx.abs(), wy.abs()) - 0.018
    patch.put(wall, _lay(window, _hills(patch.x, patch.y, c, u, px), cover(torch.maximum(frame, -pane), px)))
    px_, py_ = x * side - 0.72, y + 0.3 + 0.2 * u[1]
    picture = torch.maximum(px_.abs() - 0.2, py_.abs() - 0.26)
    wall = _lay(wall, c[2] * 0.5, cover(picture, px))
    wall = _lay(wall, c[3] * 0.6 + 0.3, cover(picture + 0.04, px))
    wall = _lay(wall, c[1] * 0.8, cover((px_**2 + py_**2).sqrt() - 0.1, px))
    dado = y - 0.55
    return _lay(wall, c[2] * 0.7 + 0.1, cover(0.0 - dado, px))


_KINDS = (_bokeh, _wallpaper, _shelves, _hills, _city, _stripes, _shapes, _window)

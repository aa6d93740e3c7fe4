"""The tools of drawing: pixel coordinates, patches, coverage of bands and outlines, paint.

Coordinates are picture coordinates: -1 … 1 from edge to edge, x to the right, y down. A canvas is N x 4 x H x W, RGB
premultiplied by alpha, so that one linear step lays any paint over it. What a function has made itself it goes on with
in place: on a CPU the passes over memory are what drawing costs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TURNS = 256  # entries of a polar table


def centres(first: int, count: int, size: int, device: torch.device) -> Tensor:
    """Coordinates of `count` pixel centres from pixel `first` on, of a picture `size` pixels wide."""
    return (2 * torch.arange(first, first + count, device=device, dtype=torch.float32) + 1) / size - 1


def few(size: int, device: torch.device) -> int:
    """How many puppets at a time make fields of the whole frame: on a CPU these should stay in its caches."""
    return max(1, (2**18 if device.type == "cpu" else 2**24) // size**2)


def col(value: Tensor, dims: int = 3) -> Tensor:
    """(B,) -> (B, 1, 1), so that it spreads over pixels."""
    return value.reshape(value.shape[0], *[1] * (dims - 1))


def smooth(value: Tensor, low: float, high: float) -> Tensor:
    """Smoothstep from 0 at low to 1 at high (low may be the larger)."""
    t = (value - low).mul_(1 / (high - low)).clamp_(0, 1)
    return torch.rsub(t, 3, alpha=2).mul_(t).mul_(t)


def fract(value: Tensor) -> Tensor:
    """value modulo 1; much faster than % on a CPU."""
    return value - value.floor()


def step(value: Tensor) -> Tensor:
    """1 where value is over 0, else 0. To blend by it is several times faster on a CPU than torch.where."""
    return value.sign().clamp_min_(0)


def bump(square: Tensor) -> Tensor:
    """A soft spot from a squared distance: 1 at 0, exactly 0 at 1 and beyond, so that it ends within its patch."""
    return (1 - square).clamp_min_(0).square_()


def spread(distance: Tensor, width: float) -> Tensor:
    """A bell over distance 0: exp(-(distance / width)²); 0 far off, where exp would be slow for numbers too small."""
    return (distance * distance).mul_(-1 / width**2).clamp_min_(-40).exp_()


def cover(distance: Tensor, px: Tensor | float) -> Tensor:
    """Anti-aliased coverage of a shape from signed distance (negative inside); px: the size of a pixel in its unit."""
    return F.hardsigmoid(distance * (-6 / px), inplace=True)  # (0.5 - distance / px).clamp(0, 1)


def band(v: Tensor, low: Tensor | float, high: Tensor | float, px: Tensor | float) -> Tensor:
    """Coverage of low < v < high; bands thinner than a pixel fade rather than vanish."""
    return (cover(low - v, px) + cover(v - high, px)).sub_(1).clamp_min_(0)


def ellipse(u: Tensor, v: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """About the signed distance to an axis-aligned ellipse with half axes a and b."""
    p, q = u / a, v / b
    k = (p * p).add_(q * q).add_(1e-12).sqrt_()
    slope = (p / a).square_().add_((q / b).square_()).add_(1e-12).sqrt_()
    return (k - 1).mul_(k).div_(slope)


def capsule(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, ra: Tensor | float, rb: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Signed distance to a stroke from a to b (B x 2 each), radius ra to rb; and the share 0…1 along it."""
    ax, ay, bx, by = (col(t) for t in (*a.unbind(1), *b.unbind(1)))
    dx, dy = bx - ax, by - ay
    x, y, k = x - ax, y - ay, 1 / (dx * dx + dy * dy + 1e-9)
    t = (x * (dx * k) + y * (dy * k)).clamp_(0, 1)
    d = (x - t * dx).square_().add_((y - t * dy).square_()).add_(1e-12).sqrt_()
    return d.sub_(t * (rb - ra)).sub_(ra), t


def tint(colour: Tensor, *factors: float) -> Tensor:
    """A colour (B x 3) with its channels multiplied."""
    return (colour * colour.new_tensor(factors)).clamp(0, 1)


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Colours a, b (B x 3 or B x 3 x h x w) mixed by share (B x h x w, 0 is a): B x 3 x h x w."""
    a, b = (t if t.dim() == 4 else t[:, :, None, None] for t in (a, b))
    if a[0, 0].numel() == b[0, 0].numel() == 1:  # lerp crawls between two single numbers
        return (share.unsqueeze(1) * (b - a)).add_(a)
    return torch.lerp(a, b, share.unsqueeze(1))


def paint(canvas: Tensor, colour: Tensor, alpha: Tensor) -> None:
    """Lay paint over the canvas (B x 4 x H x W, or B x 3 x H x W where all is opaque), in place.

    colour: B x 3 (flat) or B x 3 x H x W; alpha: B x H x W.
    """
    if colour.dim() == 2:
        colour = colour[:, :, None, None]
    alpha = alpha.unsqueeze(1)
    canvas[:, :3].lerp_(colour, alpha)
    canvas[:, 3:].lerp_(alpha.new_ones(1), alpha)


# ---- star-shaped outlines: a radius for every direction ----


def turn(dx: Tensor, dy: Tensor) -> Tensor:
    """Direction as 0…1 once round (0 right, 1/4 down, 1/2 left, 3/4 up); cheap, and not linear in the angle."""
    p = dx / (dx.abs() + dy.abs()).add_(1e-9)
    return torch.rsub(torch.copysign(p.add_(1), dy), 0.5, alpha=0.25)


def directions(device: torch.device, count: int = TURNS) -> tuple[Tensor, Tensor]:
    """Unit vectors (x, y) of the directions that a polar table of `count` entries holds."""
    t = torch.arange(count, device=device) / count
    p = torch.where(t <= 0.5, 1 - 4 * t, 4 * t - 3)
    q = torch.where(t <= 0.5, 1 - p.abs(), p.abs() - 1)
    length = (p * p + q * q).sqrt()
    return p / length, q / length


def outline(points: Tensor, centre: Tensor) -> Tensor:
    """The polar table (B x TURNS) of the closed curve through points (B x K x 2) round centre (B x 2)."""
    d = points - centre[:, None]
    t, r = turn(d[..., 0], d[..., 1]), d.norm(dim=-1)
    t, order = t.sort(dim=1)
    r = r.gather(1, order)
    t = torch.cat([t[:, -2:] - 1, t, t[:, :2] + 1], 1)
    r = torch.cat([r[:, -2:], r, r[:, :2]], 1)
    want = (torch.arange(TURNS, device=t.device) / TURNS).expand(len(t), -1).contiguous()
    j = torch.searchsorted(t.contiguous(), want).clamp(1, t.shape[1] - 1)
    t0, t1, r0, r1 = t.gather(1, j - 1), t.gather(1, j), r.gather(1, j - 1), r.gather(1, j)
    return r0 + (r1 - r0) * (want - t0) / (t1 - t0).clamp_min(1e-6)


class Polar:
    """Tables (B x TURNS each) read at the direction of every pixel from a centre."""

    def __init__(self, dx: Tensor, dy: Tensor) -> None:
        self.shape = torch.broadcast_shapes(dx.shape, dy.shape)
        f = turn(dx, dy).reshape(self.shape[0], -1).mul_(TURNS)
        whole = f.floor().clamp_(max=TURNS - 1)
        self.index, self.share = whole.long(), f.sub_(whole)

    def read(self, table: Tensor) -> Tensor:
        """Linear between the entries."""
        step = table.roll(-1, 1) - table
        return step.gather(1, self.index).mul_(self.share).add_(table.gather(1, self.index)).view(self.shape)


def steepness(radius: Tensor) -> Tensor:
    """The factor that turns (rho - r) into distance where the outline runs askew: B x TURNS, in 0…1."""
    ux, uy = directions(radius.device)
    x, y = radius * ux, radius * uy
    dx, dy = x.roll(-1, 1) - x.roll(1, 1), y.roll(-1, 1) - y.roll(1, 1)
    cross = (dx * uy - dy * ux).abs()
    return (cross / (dx * dx + dy * dy + 1e-12).sqrt()).clamp(0.08, 1)


# ---- small parts are drawn in patches ----


class Patch:
    """A window of the canvas round `centre` (B x 2, picture coordinates), for each item its own, all of one size."""

    def __init__(self, size: int, centre: Tensor, half_width: float, half_height: float) -> None:
        device = centre.device
        self.w = min(size, int(half_width * size) + 3)
        self.h = min(size, int(half_height * size) + 3)
        first = ((centre + 1) * size / 2 - centre.new_tensor([self.w / 2, self.h / 2])).round().long()
        x0 = first[:, 0].clamp(0, size - self.w)
        y0 = first[:, 1].clamp(0, size - self.h)
        columns = x0[:, None] + torch.arange(self.w, device=device)
        rows = y0[:, None] + torch.arange(self.h, device=device)
        self.x = ((2 * columns + 1) / size - 1)[:, None, :]
        self.y = ((2 * rows + 1) / size - 1)[:, :, None]
        self.index = (rows[:, :, None] * size + columns[:, None, :]).flatten(1)

    def take(self, canvas: Tensor) -> Tensor:
        """B x C x H x W -> B x C x h x w (B x H x W -> B x h x w)."""
        if canvas.dim() == 3:
            return canvas.flatten(1).gather(1, self.index).view(-1, self.h, self.w)
        index = self.index[:, None].expand(-1, canvas.shape[1], -1)
        return canvas.flatten(2).gather(2, index).view(*canvas.shape[:2], self.h, self.w)

    def put(self, canvas: Tensor, patch: Tensor) -> None:
        index = self.index[:, None].expand(-1, canvas.shape[1], -1)
        canvas.flatten(2).scatter_(2, index, patch.flatten(2))

"""Scenes: several puppets in one picture, at any size, turned, cut by the frame, before any ground, as cameras and
codecs change them. What the face detector and the aligner of the perception network are trained on and measured with.

Drawing is slow and pasting quick: a pool of puppets without their backdrops is drawn at once and pasted for many steps.
What step n sees depends on the seed and n alone, as in `data`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import puppets
from .data import distort
from .recipe import Data

SPRITE = 320  # side of the drawn puppets; their faces are about 125 pixels wide
LEVELS = 5  # each half as large as the one before: pasting small needs no averaging
STEPS = 150  # steps that a pool serves
BARE = (  # what of a puppet is pasted without its features: no faces
    ("hair_back", "body", "face", "ears", "hair_front"), ("face", "ears"), ("body",), ("hair_back", "hair_front"),
)  # fmt: skip
SEEN = 0.6  # share of its landmarks that is seen of a face that must be found


@dataclasses.dataclass(frozen=True)
class Scenes:
    """B pictures of up to K faces each. picture: B x 3 x S x S in 0..1. landmarks: B x K x 68 x 2 in pixels from edge
    to edge. seen: B x K, share of the landmarks that is inside and not hidden by another puppet; 0 where there is no
    face.
    """

    picture: Tensor
    landmarks: Tensor
    seen: Tensor

    def faces(self, row: int, least: float = SEEN) -> Tensor:
        """The landmarks of one picture's faces that are seen well enough, F x 68 x 2."""
        return self.landmarks[row][self.seen[row] >= least]


@dataclasses.dataclass(frozen=True)
class _Pool:
    """Premultiplied RGBA of N sprites in LEVELS sizes, uint8; landmarks of the first ones (the others are no faces), in
    -1 … 1 of the sprite; grounds M x 3 x s x s, uint8.
    """

    sprites: list[Tensor]
    landmarks: Tensor
    grounds: Tensor


class Painter:
    """Scenes of puppets; `scenes(step, …)` is a pure function of the seed and its arguments."""

    def __init__(self, data: Data, seed: int, sprite: int = SPRITE) -> None:
        self.data, self.seed, self.sprite = data, seed, sprite
        self._key: int | None = None
        self._pool: _Pool | None = None

    def pool(self, number: int) -> _Pool:
        """Pool `number`: characters x poses puppets, and a few heads, bodies and heads of hair without a face."""
        if self._key != number:
            data, seed = self.data, self.seed * 1_000_000 + number
            style = data.styles[number % len(data.styles)] if data.styles else None
            who = puppets.identities(data.characters, seed, style).repeat(data.poses)
            pose = puppets.poses(len(who), seed, amount=data.amount)
            faces = puppets.draw(who, pose, self.sprite, background=False)
            few = max(2, data.characters // 8)
            random = torch.Generator().manual_seed(seed)
            leaves = dead_leaves(4 * few, min(self.sprite, SPRITE), random)
            leaves = F.interpolate(leaves, (self.sprite, self.sprite), mode="bilinear", align_corners=False)
            bare = [puppets.draw(who[:few], pose[:few], self.sprite, parts=parts) for parts in BARE]
            painted = bare[0].clone()  # a head of no drawn skin
            painted[:, :3] = 0.5 * (painted[:, :3] + leaves[:few])
            sprites = torch.cat([faces, *bare, painted])
            sprites[:, :3] *= sprites[:, 3:]
            levels = [sprites]
            for _ in range(LEVELS - 1):
                levels.append(F.avg_pool2d(levels[-1], 2))
            drawn = puppets.draw(who[: 4 * few], pose[: 4 * few], self.sprite, parts=("background",))[:, :3]
            grounds = _bytes(torch.cat([drawn, leaves]))
            self._pool = _Pool([_bytes(level) for level in levels], puppets.landmarks(who, pose), grounds)
            self._key = number
        return self._pool

    def scenes(
        self,
        step: int,
        size: int,
        rows: int,
        most: int = 5,
        faces: tuple[float, float] = (11, 150),
        plain: bool = False,
    ) -> Scenes:
        """`rows` pictures of size x size with 0 to `most` faces, whose boxes' sides lie between the given pixels.
        plain: as drawn, without what cameras and codecs do.
        """
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        pool = self.pool(step // STEPS)
        pictures, landmarks, seen = [], torch.zeros(rows, most, 68, 2), torch.zeros(rows, most)
        for row in range(rows):
            picture, points, shares = _scene(pool, size, most, faces, random)
            landmarks[row, : len(points)], seen[row, : len(points)] = points, shares
            pictures.append(picture)
        picture = torch.stack(pictures)
        return Scenes(picture if plain else worn(picture, random), landmarks, seen)


def worn(pictures: Tensor, random: torch.Generator) -> Tensor:
    """What cameras and codecs do: `distort`, and blur and blocks in a part of the rows. B x 3 x H x W -> the same."""
    x = distort(pictures, random)
    chance = torch.rand(len(x), 2, generator=random)
    parts = []
    for picture, (blur, blocks) in zip(x.split(1), chance.tolist(), strict=True):
        if blur < 0.25:  # out of focus, or enlarged from a small picture
            height, width = picture.shape[2:]
            small = [max(8, round(side * (0.35 + 2 * blur))) for side in (height, width)]
            picture = F.interpolate(picture, small, mode="bilinear", antialias=True, align_corners=False)
            picture = F.interpolate(picture, (height, width), mode="bilinear", align_corners=False)
        if blocks < 0.3:
            picture = coded(picture, 0.02 + 0.3 * blocks)
        parts.append(picture)
    return torch.cat(parts)


def coded(pictures: Tensor, step: float) -> Tensor:
    """As a codec leaves them: the cosine transform of 8 x 8 blocks, rounded to steps that grow with the frequency, the
    lowest to `step`. B x 3 x H x W in 0..1, sides multiples of 8.
    """
    k = torch.arange(8.0)
    basis = (math.pi / 8 * (k[None] + 0.5) * k[:, None]).cos() * torch.where(k == 0, 8**-0.5, 0.5)[:, None]
    b, c, height, width = pictures.shape
    blocks = pictures.reshape(b, c, height // 8, 8, width // 8, 8).transpose(3, 4)
    waves = basis @ blocks @ basis.T
    steps = step * (1 + k[:, None] + k[None])
    blocks = basis.T @ ((waves / steps).round() * steps) @ basis
    return blocks.transpose(3, 4).reshape(pictures.shape).clamp(0, 1)


def dead_leaves(count: int, size: int, random: torch.Generator) -> Tensor:
    """Pictures of shaded, grained leaves of all sizes that cover each other: count x 3 x size x size in 0..1. They
    have the edges, gradients and grain of photographs, and no drawn lines.
    """
    grain = clouds(size, 6, random)
    pictures = torch.rand(count, 3, 1, 1, generator=random).expand(-1, 3, size, size).clone()
    for picture in pictures:
        tones = torch.rand(4, 3, generator=random)
        tones = torch.lerp(tones.mean(1, keepdim=True), tones, torch.rand((), generator=random))  # more or less colour
        for k, u in enumerate(torch.rand(160, 12, generator=random).tolist()):
            reach = 0.45 * size / (1 + 0.3 * k) ** 0.6 * (0.4 + u[0])  # the last ones small
            x, y = u[1] * size, u[2] * size
            x0, x1 = max(0, int(x - reach)), min(size, int(x + reach) + 1)
            y0, y1 = max(0, int(y - reach)), min(size, int(y + reach) + 1)
            across = (torch.arange(x0, x1)[None] + 0.5 - x) / reach
            along = (torch.arange(y0, y1)[:, None] + 0.5 - y) / reach
            p, q = across * math.cos(6 * u[3]) + along * math.sin(6 * u[3]), across * math.sin(6 * u[3])
            q = (along * math.cos(6 * u[3]) - q) * (1 + 2 * u[4] ** 2)
            away = (p * p + q * q).sqrt() if u[5] < 0.6 else 1.4 * torch.maximum(p.abs(), q.abs())
            alpha = ((1 - away) * reach / (1 + 6 * u[6] ** 4)).clamp(0, 1)
            tone = tones[int(4 * u[7])] + 0.2 * (torch.tensor(u[8:11]) - 0.5)
            light = 1 + 0.5 * u[11] * (p + q).clamp(-1, 1) + 0.5 * u[0] * grain[y0:y1, x0:x1]
            window = picture[:, y0:y1, x0:x1]
            window.lerp_(tone[:, None, None] * light, alpha)
    return pictures.clamp_(0, 1)


def clouds(size: int, octaves: int, random: torch.Generator) -> Tensor:
    """Noise with ever finer grain, size x size, about 0."""
    total = torch.zeros(size, size)
    for octave in range(1, octaves + 1):
        noise = torch.randn(1, 1, 2**octave, 2**octave, generator=random)
        total += 0.65**octave * F.interpolate(noise, (size, size), mode="bicubic", align_corners=False)[0, 0]
    return total


def _scene(
    pool: _Pool, size: int, most: int, faces: tuple[float, float], random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One picture, the landmarks K x 68 x 2 of the puppets in it, and how much of each is seen."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=random))

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=random))

    canvas = _ground(pool, size, random)
    owner = torch.full((size, size), -1)
    count = 0 if uniform(0, 1) < 0.1 else 1 + number(most)
    sides = [faces[0] * (faces[1] / faces[0]) ** uniform(0, 1) for _ in range(count)]
    if uniform(0, 1) < 0.7:  # the small ones in front, else few of them would be seen
        sides.sort(reverse=True)
    things = len(pool.sprites[0]) - len(pool.landmarks)
    for _ in range(number(4)):
        scale = faces[0] * (faces[1] / faces[0]) ** uniform(0, 1) / (0.42 * pool.sprites[0].shape[-1])
        _paste(canvas, pool, len(pool.landmarks) + number(things), scale, uniform(-0.4, 0.4), _place(0, size, uniform))
    all_points = torch.zeros(count, 68, 2)
    for k, side in enumerate(sides):
        sprite = number(len(pool.landmarks))
        drawn = pool.landmarks[sprite] * pool.sprites[0].shape[-1] / 2  # about the sprite's middle
        middle = (drawn.amin(0) + drawn.amax(0)) / 2
        scale = side / float((drawn.amax(0) - drawn.amin(0)).max()) / 1.05
        roll = uniform(-0.4, 0.4) if uniform(0, 1) < 0.6 else 0.0
        cos, sin = math.cos(roll) * scale, math.sin(roll) * scale
        turn = torch.tensor([[cos, sin], [-sin, cos]])  # for row vectors
        place = _place(side, size, uniform) - middle @ turn
        all_points[k] = drawn @ turn + place
        patch, alpha = _paste(canvas, pool, sprite, scale, roll, place)
        if patch is not None:
            owner[patch][alpha > 0.5] = k
    cells = all_points.floor().long()
    inside = ((cells >= 0) & (cells < size)).all(-1)
    cells = cells.clamp(0, size - 1)
    mine = owner[cells[..., 1], cells[..., 0]] == torch.arange(count)[:, None]
    return canvas.clamp_(0, 1), all_points, (mine & inside).float().mean(1)


def _place(side: float, size: int, uniform: Callable[[float, float], float]) -> Tensor:
    """Where a face's middle comes: anywhere, large ones not quite at the edge."""
    edge = min(0.35 * size, 0.3 * side)
    return torch.tensor([uniform(edge, size - edge), uniform(edge, size - edge)])


def _paste(
    canvas: Tensor, pool: _Pool, sprite: int, scale: float, roll: float, place: Tensor
) -> tuple[tuple[slice, slice] | None, Tensor | None]:
    """Paste a sprite, its middle at `place`, into a canvas 3 x S x S -> where, and its alpha there."""
    size, whole = canvas.shape[-1], pool.sprites[0].shape[-1]
    reach = scale * whole / 2 * (abs(math.cos(roll)) + abs(math.sin(roll)))
    x0, y0 = (max(0, math.floor(float(c) - reach)) for c in place)
    x1, y1 = (min(size, math.ceil(float(c) + reach)) for c in place)
    if x0 >= x1 or y0 >= y1:
        return None, None
    level = min(LEVELS - 1, max(0, math.floor(-math.log2(scale))))
    picture = pool.sprites[level][sprite].float()[None] / 255
    cos, sin = math.cos(roll) * 2 / (scale * whole), math.sin(roll) * 2 / (scale * whole)
    x = torch.arange(x0, x1)[None] + 0.5 - place[0]
    y = torch.arange(y0, y1)[:, None] + 0.5 - place[1]
    grid = torch.stack([cos * x + sin * y, cos * y - sin * x], -1)[None]
    layer = F.grid_sample(picture, grid, padding_mode="zeros", align_corners=False)[0]
    patch = (slice(y0, y1), slice(x0, x1))
    canvas[:, patch[0], patch[1]] = canvas[:, patch[0], patch[1]] * (1 - layer[3]) + layer[:3]
    return patch, layer[3]


def _ground(pool: _Pool, size: int, random: torch.Generator) -> Tensor:
    """What is behind, 3 x size x size: a piece of a drawn backdrop or of dead leaves, a gradient, clouds of noise."""
    kind, a, b, c = torch.rand(4, generator=random).tolist()
    colours = torch.rand(3, 3, 1, 1, generator=random)
    if kind < 0.6:
        ground = pool.grounds[int(a * len(pool.grounds))]
        side = max(16, int((0.3 + 0.7 * b) * ground.shape[-1]))
        left, top = (int(share * (ground.shape[-1] - side)) for share in (c, colours[0, 0, 0, 0].item()))
        ground = ground[None, :, top : top + side, left : left + side].float() / 255
        ground = F.interpolate(ground, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        return ground.flip(2) if kind < 0.3 else ground
    ticks = torch.linspace(0, 1, size)
    slope = (a * ticks[None] + (1 - a) * ticks[:, None]).clamp(0, 1)
    ground = torch.lerp(colours[0], colours[1], slope)
    if kind > 0.75:
        octaves = int(3 + 5 * b)
        ground = ground + 0.35 * torch.stack([clouds(size, octaves, random) for _ in range(3 if c < 0.5 else 1)])
    return ground.clamp(0, 1).contiguous()


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)

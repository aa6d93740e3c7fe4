"""Pictures of face landmarks, and the crop that goes with them: what the few-shot heads see in place of a driver.

The 68 iBUG points of a face are drawn as coloured lines, in the manner that a model was trained on. Points are (x, y);
in pixels, (0, 0) is the centre of the top left pixel, as face-alignment gives them. Everywhere else in the toolkit they
are -1 … 1 from edge to edge of the picture, so that they hold at any size. Spec: fewshot, section 6.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

COUNT = 68

Line = tuple[int, int, bool, tuple[int, int, int]]  # first and last point, closed, RGB 0 … 255


@dataclasses.dataclass(frozen=True)
class Style:
    """How landmarks are drawn. paper: the background, 0 … 1. lines: later ones cover earlier ones. smooth: antialiased,
    `WIDTH` wide, or else hard pixels, two wide.
    """

    paper: float
    smooth: bool
    lines: tuple[Line, ...]


GREEN, ORANGE, BLUE, RED = (0, 128, 0), (255, 165, 0), (0, 0, 255), (255, 0, 0)
PURPLE, PINK, MAGENTA, CYAN, YELLOW = (128, 0, 128), (255, 192, 203), (255, 0, 255), (0, 255, 255), (255, 255, 0)

PLOTTED = Style(  # as matplotlib plots it, on white: layouts 2019 and 2020
    1.0,
    True,
    (
        (0, 16, False, GREEN),  # jaw
        (17, 21, False, ORANGE),  # brows
        (22, 26, False, ORANGE),
        (27, 30, False, BLUE),  # nose: ridge and base
        (31, 35, False, BLUE),
        (36, 41, False, RED),  # eyes
        (42, 47, False, RED),
        (48, 59, False, PURPLE),  # lips: outer and inner
        (60, 67, False, PINK),
    ),
)
POLYLINES = Style(  # as OpenCV draws polylines, on black: the authors' layout; it has no inner lips
    0.0,
    False,
    (
        (0, 16, False, (255, 255, 255)),
        (17, 21, False, RED),
        (22, 26, False, (0, 255, 0)),
        (27, 30, False, BLUE),
        (31, 35, False, BLUE),
        (36, 41, True, MAGENTA),
        (42, 47, True, CYAN),
        (48, 59, True, YELLOW),
    ),
)
WIDTH = 2 / 72 * 100  # of smooth lines, in pixels: two points at 100 dots an inch


def to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Points … x 2 from -1 … 1, edge to edge -> pixels of a picture of height x width."""
    return ((points + 1) * points.new_tensor([width, height]) - 1) / 2


def from_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Points … x 2 from pixels -> -1 … 1, edge to edge."""
    return (2 * points + 1) / points.new_tensor([width, height]) - 1


@torch.no_grad()
def draw(points: Tensor, height: int, width: int, style: Style = PLOTTED) -> Tensor:
    """Landmarks T x 68 x 2 in pixels -> pictures T x 3 x height x width in 0 … 1, float32.

    What lies outside the picture is cut off. A row with a point that is no number gives blank paper.
    """
    points = points.detach().float()
    blank = ~points.isfinite().flatten(1).all(1)
    points = torch.where(blank[:, None, None], -1e4, points if style.smooth else points.round())
    canvas = torch.full((len(points), 3, height, width), style.paper, device=points.device)
    for first, last, closed, colour in style.lines:
        line = points[:, first : last + 1]
        if closed:
            line = torch.cat([line, line[:, :1]], dim=1)
        seen = line[~blank]
        if not len(seen):
            continue
        (left, top), (right, bottom) = seen.amin((0, 1)).tolist(), seen.amax((0, 1)).tolist()
        rows = slice(*(min(max(0, int(y)), height) for y in (top - 3, bottom + 4)))
        columns = slice(*(min(max(0, int(x)), width) for x in (left - 3, right + 4)))
        cover = _cover(line, rows, columns, style.smooth)[:, None]  # T x 1 x h x w
        ink = torch.tensor(colour, device=points.device).view(3, 1, 1) / 255
        part = canvas[:, :, rows, columns]
        part += cover * (ink - part)
    return canvas


def _cover(line: Tensor, rows: slice, columns: slice, smooth: bool) -> Tensor:
    """How much of each pixel an open polyline T x P x 2 covers: T x h x w, for these rows and columns."""
    x = torch.arange(columns.start, columns.stop, device=line.device)
    y = torch.arange(rows.start, rows.stop, device=line.device)[:, None]
    step = line[:, 1:] - line[:, :-1]
    length = step.norm(dim=-1)
    step = torch.where(length[..., None] > 0, step / length[..., None], step.new_tensor([1.0, 0.0]))
    (x0, y0), (ux, uy) = (pair[..., None, None].unbind(2) for pair in (line[:, :-1], step))  # T x S x 1 x 1 each
    along = (x - x0) * ux + (y - y0) * uy  # T x S x h x w: from a segment's start along it, and across it
    across = ((x - x0) * uy - (y - y0) * ux).abs_()
    beyond = along - torch.minimum(
        along.clamp(min=0), length[..., None, None]
    )  # < 0 before its start, > 0 behind its end
    distance = (beyond.square() + across.square()).sqrt_()
    if not smooth:  # √2 on either side makes OpenCV's lines, about 1.1 beyond the ends
        return (torch.where(beyond != 0, 1.3 * distance, across) <= 1.42).any(1).float()
    for end, outside in ((0, beyond[:, 0] < 0), (-1, beyond[:, -1] > 0)):  # the joins are round, the caps project
        square = torch.maximum(beyond[:, end].abs(), across[:, end])
        distance[:, end] = torch.where(outside, square, distance[:, end])
    return (WIDTH / 2 + 0.5 - distance.amin(1)).clamp_(0, 1)


def crop(picture: Tensor, points: Tensor, size: int = 256, pad: int = 50) -> tuple[Tensor, Tensor]:
    """The crop of the published scripts: a picture H x W x 3 (uint8) and its landmarks 68 x 2 in pixels -> the face,
    size x size x 3 (uint8), and the landmarks in it, whole pixels.

    The picture is cut at its border and stretched while the points are not, as published: near the border the two don't
    agree. Use it to repeat published results.
    """
    low, high = points.float().amin(0), points.float().amax(0)
    extent = high - low  # width, height
    larger = extent.max()
    margin = ((larger - extent) / 2).trunc()
    start = (low.trunc() - margin - pad).clamp(min=0).long().tolist()
    stop = (high.trunc() + margin + pad).clamp(min=0).long().tolist()
    cut = picture[start[1] : stop[1], start[0] : stop[0]].permute(2, 0, 1)[None].float()
    resized = F.interpolate(cut, (size, size), mode="bilinear", align_corners=False)[0]
    moved = (points.float() - low + margin + pad).clamp(min=0) * (size / (larger + 2 * pad))
    return resized.round().to(torch.uint8).permute(1, 2, 0), moved.trunc()

"""Preview sheets: pictures in rows as one array, and the grid of the published trainings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

RAINBOW = (  # where along the scale, and red, green, blue there: gist_rainbow, as in the published grids
    (0.000, 1.00, 0.00, 0.16),
    (0.030, 1.00, 0.00, 0.00),
    (0.215, 1.00, 1.00, 0.00),
    (0.400, 0.00, 1.00, 0.00),
    (0.586, 0.00, 1.00, 1.00),
    (0.770, 0.00, 0.00, 1.00),
    (0.954, 1.00, 0.00, 1.00),
    (1.000, 1.00, 0.00, 0.75),
)
Marked = tuple[Tensor, Tensor]  # pictures B x 3 x H x W and points B x K x 2 in -1 … 1


def grid(rows: Sequence[Sequence[Tensor]], gap: int = 4) -> np.ndarray:
    """Rows of pictures C x H x W in 0..1, all of one size -> H' x W' x 3, uint8, with white gaps."""
    lines = []
    for row in rows:
        pictures = [
            (picture.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            for picture in row
        ]
        white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
        line = [part for picture in pictures for part in (white, picture)]
        lines.append(np.concatenate([*line, white], 1))
    white = np.full((gap, lines[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for line in lines for part in (white, line)] + [white], 0)


def reenactment(
    source: Marked,
    driving: Marked,
    deformed: Tensor,
    prediction: Tensor,
    *,
    transformed: Marked | None = None,
    normalised: Tensor | None = None,
    occlusion: Tensor | Sequence[Tensor] | None = None,
    motions: Marked | None = None,
    radius: float = 5,
    border: bool = True,
) -> np.ndarray:
    """The published grid, uint8: a row a sample, and columns source, transformed and driving frame with their points,
    source under the flow, prediction with `normalised` points, prediction, occlusion maps.

    motions: the copies B x (K+1) x 3 x h x w under each motion, and how much each counts, B x (K+1) x h x w: a column
    each, and last all that counts, in the points' colours. radius: of a point, in pixels. border: left and right
    pixels white.
    """
    source, driving, transformed, motions = (
        pair and tuple(tensor.detach().float().cpu() for tensor in pair)
        for pair in (source, driving, transformed, motions)
    )
    deformed, prediction = (tensor.detach().float().cpu() for tensor in (deformed, prediction))
    columns = [marked(*pair, radius) for pair in (source, transformed, driving) if pair]
    columns.append(deformed)
    if normalised is not None:
        columns.append(marked(prediction, normalised.detach().float().cpu(), radius))
    columns.append(prediction)
    maps = [] if occlusion is None else [occlusion] if isinstance(occlusion, Tensor) else list(occlusion)
    columns += [_large(map_.detach().float().cpu(), prediction).expand_as(prediction) for map_ in maps]
    if motions:
        copies, shares = motions
        total = torch.zeros_like(prediction)
        for k in range(shares.shape[1]):
            colour = torch.tensor(rainbow((k - 1) / (shares.shape[1] - 1)) if k else (1.0, 1.0, 1.0)).view(3, 1, 1)
            share = _large(shares[:, k : k + 1], prediction) * colour
            columns += [_large(copies[:, k], prediction), share]
            total += share if k else 0
        columns.append(total)
    if border:
        columns = [column.clone() for column in columns]
        for column in columns:
            column[..., [0, -1]] = 1
    rows = torch.cat(columns, 3).clamp(0, 1)
    return (255 * torch.cat(list(rows), 1)).byte().permute(1, 2, 0).numpy()  # cut off, not rounded, as published


def marked(pictures: Tensor, points: Tensor, radius: float = 5) -> Tensor:
    """Pictures B x 3 x H x W with a disk at each of points B x K x 2, in the colours of the rainbow."""
    out, (height, width) = pictures.clone(), pictures.shape[2:]
    centres = torch.tensor([width, height]) * (points + 1) / 2
    y, x = torch.arange(height)[:, None], torch.arange(width)
    for picture, places in zip(out, centres, strict=True):
        for k, (cx, cy) in enumerate(places):
            inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
            picture[:, inside] = torch.tensor(rainbow(k / len(places)))[:, None]
    return out


def rainbow(share: float) -> tuple[float, ...]:
    """The colour (red, green, blue) at 0 … 1 of the rainbow, in 256 steps."""
    step = min(255, int(share * 256)) / 255
    places, *colours = zip(*RAINBOW, strict=True)
    return tuple(float(np.interp(step, places, colour)) for colour in colours)


def _large(maps: Tensor, like: Tensor) -> Tensor:
    return interpolate(maps, like.shape[2:], mode="nearest")

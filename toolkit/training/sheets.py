"""Preview sheets: pictures in rows as one array, and the grid of the published trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
ARM = 0.16  # of a Jacobian's axes, in -1 … 1
Marked = tuple[Tensor, Tensor]  # pictures B x 3 x H x W and points B x K x 2 in -1 … 1
Moving = tuple[Tensor, Mapping[str, Tensor]]  # pictures B x 3 x H x W and their motion's tensors


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


def preview(
    source: Moving,
    driving: Moving,
    deformed: Tensor,
    prediction: Tensor,
    *,
    places: str = "value",
    truth: Tensor | None = None,
    occlusion: Tensor | None = None,
    shares: Tensor | None = None,
) -> np.ndarray:
    """The published grid with titles, uint8 H x W x 3: source and driver with their motions drawn, the source under the
    flow, the result and the truth, how much of the source is kept (white: all) and which motion counts where.

    places: the motion's tensor B x K x 2 of where things are. deformed, prediction, truth: B x 3 x H x W. occlusion:
    B x 1 x h x w. shares: B x (K+1) x h x w.
    """
    columns = {"source": source, "driver": driving, "moved": deformed, "result": prediction}
    columns |= {"truth": truth, "kept": occlusion, "motions": shares}
    both = [(drawn(pictures, motion, places), motion[places]) for pictures, motion in (source, driving)]
    more = {"truth": truth, "occlusion": occlusion, "shares": shares, "radius": _radius(*both[0])}
    grid = reenactment(*both, deformed, prediction, **more)
    return titled(grid, [title for title, column in columns.items() if column is not None])


def motions(pictures: Tensor, found: Mapping[str, Mapping[str, Tensor]], places: str = "value") -> np.ndarray:
    """Pictures B x 3 x H x W (B even) with each of some motions drawn, uint8: two pictures a row, a column a motion
    under its name.
    """
    columns = []
    for motion in found.values():
        part = drawn(pictures, motion, places)
        columns.append(marked(part, motion[places].detach().float().cpu(), _radius(part, motion[places])))
        columns[-1][..., [0, -1]] = 1
    rows = torch.cat(columns, 3)
    grid = torch.cat([torch.cat(list(rows[first::2]), 1) for first in range(2)], 2).clamp(0, 1)
    return titled((255 * grid).byte().permute(1, 2, 0).numpy(), 2 * [*found])


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
    shares: Tensor | None = None,
    truth: Tensor | None = None,
    radius: float = 5,
    border: bool = True,
) -> np.ndarray:
    """The published grid, uint8: a row a sample, and columns source, transformed and driving frame with their points,
    source under the flow, prediction with `normalised` points, prediction, occlusion maps.

    motions: the copies B x (K+1) x 3 x h x w under each motion, and how much each counts, B x (K+1) x h x w: a column
    each, and last all that counts, in the points' colours. shares: this last one alone, of B x (K+1) x h x w. truth: a
    column after the prediction. radius: of a point, in pixels. border: left and right pixels white.
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
    columns += [prediction] if truth is None else [prediction, truth.detach().float().cpu()]
    maps = [] if occlusion is None else [occlusion] if isinstance(occlusion, Tensor) else list(occlusion)
    columns += [_large(map_.detach().float().cpu(), prediction).expand_as(prediction) for map_ in maps]
    for k in range(motions[1].shape[1] if motions else 0):
        columns += [_large(motions[0][:, k], prediction), _share(motions[1], k, prediction)]
    if motions or shares is not None:
        every = motions[1] if motions else shares.detach().float().cpu()
        columns.append(sum(_share(every, k, prediction) for k in range(1, every.shape[1])))
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


def drawn(pictures: Tensor, motion: Mapping[str, Tensor], places: str = "value") -> Tensor:
    """Pictures B x 3 x H x W with what a motion knows beside its places: the axes of FOMM's Jacobians, and MRAA's
    regions as ellipses (one standard deviation) with their axes.
    """
    spread = motion.get("affine")
    arms = ARM * motion["jacobian"] if "jacobian" in motion else spread
    out = pictures.detach().float().cpu().clone()
    if arms is None:
        return out
    height, width = out.shape[2:]
    half, count = torch.tensor([width, height]) / 2, arms.shape[1]
    centres = half * (motion[places].detach().float().cpu() + 1)
    arms = half[:, None] * arms.detach().float().cpu()
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels, thick = torch.stack([x, y], -1).float(), max(1.0, width / 160)
    for picture, middles, axes in zip(out, centres, arms):
        for k in range(count):
            away = pixels - middles[k]
            distance = torch.minimum(*(_to_line(away, axes[k, :, j]) for j in range(2)))
            if spread is not None:
                distance = torch.minimum(distance, _to_ellipse(away, axes[k]))
            ink = (thick / 2 + 0.5 - distance).clamp(0, 1)
            picture.lerp_(torch.tensor(rainbow(k / count)).view(3, 1, 1), ink)
    return out


def titled(grid: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """A grid H x W x 3 with a word over each of its columns, which are of one width."""
    from PIL import Image, ImageDraw, ImageFont

    wide = grid.shape[1] / len(titles)
    letters = round(min(20, max(11, wide / 9)))
    strip = Image.new("RGB", (grid.shape[1], round(1.6 * letters)), (255, 255, 255))
    draw, face = ImageDraw.Draw(strip), ImageFont.load_default(letters)
    for number, title in enumerate(titles):
        draw.text(((number + 0.5) * wide, strip.height / 2), title, (40, 40, 40), face, anchor="mm")
    return np.concatenate([np.asarray(strip), grid])


def rainbow(share: float) -> tuple[float, ...]:
    """The colour (red, green, blue) at 0 … 1 of the rainbow, in 256 steps."""
    step = min(255, int(share * 256)) / 255
    places, *colours = zip(*RAINBOW, strict=True)
    return tuple(float(np.interp(step, places, colour)) for colour in colours)


def _radius(pictures: Tensor, points: Tensor) -> float:
    """A point's, in pixels: smaller where there are many."""
    return max(1.5, pictures.shape[-1] / (110 if points.shape[1] > 20 else 75))


def _share(shares: Tensor, k: int, like: Tensor) -> Tensor:
    """How much motion k counts, in its colour; the background's (0) is white."""
    colour = rainbow((k - 1) / (shares.shape[1] - 1)) if k else (1.0, 1.0, 1.0)
    return _large(shares[:, k : k + 1], like) * torch.tensor(colour).view(3, 1, 1)


def _large(maps: Tensor, like: Tensor) -> Tensor:
    return interpolate(maps, like.shape[2:], mode="nearest")


def _to_line(away: Tensor, arm: Tensor) -> Tensor:
    """Distances of places H x W x 2 to the line from 0 to arm."""
    along = (away @ arm / arm.square().sum().clamp(min=1e-6)).clamp(0, 1)
    return (away - along[..., None] * arm).norm(dim=-1)


def _to_ellipse(away: Tensor, axes: Tensor) -> Tensor:
    """Distances of places H x W x 2 to the ellipse with these axes (columns, 2 x 2), to first order."""
    inverse = torch.linalg.pinv(axes)
    unit = away @ inverse.T
    reach = unit.norm(dim=-1).clamp(min=1e-6)
    return (reach - 1).abs() * reach / (unit @ inverse).norm(dim=-1).clamp(min=1e-6)

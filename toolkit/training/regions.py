"""Where the head, the eyes and the mouth are: boxes round the 68 landmarks, and maps that weigh pixels by region."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# iBUG numbers; left and right as in the picture
EYE_LEFT, EYE_RIGHT, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)


def _around(points: Tensor, across: float, along: float, least: float) -> Tensor:
    """The box round points B x P x 2, `across` x its width wide and `along` x its width high (at least its height and
    a bit).
    """
    low, high = points.amin(1), points.amax(1)
    centre = (low + high) / 2
    width = (high - low)[:, 0].clamp(min=least)
    height = torch.maximum(along * width, (high - low)[:, 1] * 1.25)
    half = torch.stack([across * width, height], -1) / 2
    return torch.cat([centre - half, centre + half], -1)


def boxes(landmarks: Tensor) -> dict[str, Tensor]:
    """Landmarks B x 68 x 2 (-1 … 1, edges) -> boxes B x 4 (left, top, right, bottom): head, eye_left, eye_right,
    mouth.
    """
    low, high = landmarks.amin(1), landmarks.amax(1)
    width, height = (high - low).unbind(-1)
    head = torch.stack(
        [low[:, 0] - 0.28 * width, low[:, 1] - 0.55 * height, high[:, 0] + 0.28 * width, high[:, 1] + 0.08 * height], -1
    )
    return {
        "head": head,
        "eye_left": _around(landmarks[:, EYE_LEFT], 1.5, 1.1, 0.1),
        "eye_right": _around(landmarks[:, EYE_RIGHT], 1.5, 1.1, 0.1),
        "mouth": _around(landmarks[:, MOUTH], 1.3, 0.8, 0.16),
    }


def inside(box: Tensor, height: int, width: int) -> Tensor:
    """Boxes B x 4 -> masks B x 1 x height x width (bool): pixels whose centre lies inside."""
    x = (torch.arange(width, device=box.device) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=box.device) + 0.5) * (2 / height) - 1
    left, top, right, bottom = box[..., None].unbind(1)  # B x 1
    across = (x >= left) & (x <= right)
    along = (y >= top) & (y <= bottom)
    return (along[:, :, None] & across[:, None, :])[:, None]


def masks(landmarks: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Landmarks B x 68 x 2 -> masks B x 1 x H x W: background (outside the head), head, eyes, mouth."""
    box = boxes(landmarks)
    head = inside(box["head"], height, width)
    eyes = inside(box["eye_left"], height, width) | inside(box["eye_right"], height, width)
    return {"background": ~head, "head": head, "eyes": eyes, "mouth": inside(box["mouth"], height, width)}


def weights(landmarks: Tensor, height: int, width: int, regions: Mapping[str, float]) -> Tensor | None:
    """How much each pixel counts: B x 1 x H x W; the largest weight of the regions it lies in. None if no region has
    a weight.
    """
    if not regions:
        return None
    total = torch.full((len(landmarks), 1, height, width), regions.get("background", 1.0), device=landmarks.device)
    for name, mask in masks(landmarks, height, width).items():
        if name != "background" and name in regions:
            total = torch.where(mask, total.clamp(min=regions[name]), total)
    return total

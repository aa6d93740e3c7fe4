"""Preview sheets: pictures in rows, as one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor


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

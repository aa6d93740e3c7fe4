"""The finder of drawn heads: the perception network that ships with the toolkit, on pictures of any size.

The detector looks at each picture in two sizes, so that a face may fill the picture or be a small part of it; what it
claims is cut out, the aligner finds the landmarks, and again in crops that these put straight. Claims in which it
sees no face, or landmarks elsewhere than before, are dropped: so is nearly all that looks like one in photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..models.layers import fold_norms
from ..models.perception import Crops, Perception, boxes, decoded, overlaps
from ..paths import shipped
from .face import Box, Face, distinct

WHOLE = 128  # the longer side of the picture, in pixels, when the detector looks for faces that fill it
FINE = (384, 1536)  # for the smaller ones: half the picture's own size, within these
AT_ONCE = 8  # frames
CLAIM = 0.25  # what the detector must be sure of for a second look
LOOKS = 3  # crops of a claim, one after the other: about its box, then aligned by the landmarks of the one before
UNSTEADY = 0.05  # eye distances between the landmarks of the last two looks: at a drawn face they agree
LEAST = 0.45  # least score of what is given out
DOUBLE = 0.4  # overlap from which two boxes are one face's


class Drawn:
    """A Finder (see `finders`) that knows drawn heads and nobody else. network: None for the one that ships."""

    name = "perception"
    sees = "drawn heads"

    def __init__(self, network: Perception | None = None, least: float = LEAST) -> None:
        network = network or _shipped()
        self.detector, self.aligner, self.least = network.detector, network.aligner, least

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """Frames uint8 T x H x W x 3 -> the faces of each, surest first, each once. Memory follows the size of a frame
        and not their number.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise InputError(f"Faces can't be sought in {frames.dtype} {frames.shape}.", "Give uint8 T x H x W x 3.")
        return [faces for k in range(0, len(frames), AT_ONCE) for faces in self._found(frames[k : k + AT_ONCE])]

    @torch.inference_mode()
    def _found(self, frames: np.ndarray) -> list[list[Face]]:
        pictures = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)
        claims = self._claims(pictures)
        counts = [len(scores) for scores, _ in claims]
        points, face = self._aligned(pictures, [Crops.around(claimed) for _, claimed in claims])
        for _ in range(LOOKS - 1):
            before = points
            points, face = self._aligned(pictures, [Crops.aligned(row) for row in before.split(counts)])
        eyes = (points[:, 36:42].mean(1) - points[:, 42:48].mean(1)).norm(dim=1)
        away = (points - before).norm(dim=2).mean(1) / eyes
        sure = face * (-((away / UNSTEADY) ** 2)).exp()
        return [
            _faces((scores * again).sqrt(), row, self.least)
            for (scores, _), again, row in zip(claims, sure.split(counts), points.split(counts), strict=True)
        ]

    def _claims(self, pictures: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The detector's scores F and boxes F x 4, in pixels, for each picture."""
        height, width = pictures.shape[2:]
        longer = max(height, width)
        sides = {WHOLE, min(longer, int(np.clip(longer / 2, *FINE)))} if longer > 1.2 * WHOLE else {WHOLE}
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in pictures]
        for side in sorted(sides):
            cell, scale = self.detector.cell, side / longer
            size = [max(cell, round(length * scale / cell) * cell) for length in (height, width)]
            small = F.interpolate(pictures.float() / 255, size, mode="bilinear", antialias=True, align_corners=False)
            stretch = torch.tensor([width / size[1], height / size[0]]).repeat(2)
            maps = self.detector(small.contiguous(memory_format=torch.channels_last))
            for row, (scores, claimed) in enumerate(decoded(maps, CLAIM)):
                found[row].append((scores, claimed * stretch))
        return [_distinct(*map(torch.cat, zip(*claims, strict=True))) for claims in found]

    def _aligned(self, pictures: Tensor, crops: list[Crops]) -> tuple[Tensor, Tensor]:
        """Landmarks N x 68 x 2 in pixels and scores N, of all crops of all pictures."""
        cut = torch.cat([crop.cut(picture) for picture, crop in zip(pictures, crops, strict=True)])
        if not len(cut):
            return cut.new_zeros(0, 68, 2), cut.new_zeros(0)
        points, face = self.aligner(cut.contiguous(memory_format=torch.channels_last))
        rows = points.split([len(crop.side) for crop in crops])
        return torch.cat([crop.outside(row) for crop, row in zip(crops, rows, strict=True)]), face.sigmoid()


def _distinct(scores: Tensor, claimed: Tensor) -> tuple[Tensor, Tensor]:
    """Surest first, and of those that overlap only the surest."""
    order = scores.argsort(descending=True)
    scores, claimed = scores[order], claimed[order]
    same = overlaps(claimed, claimed).triu(1) > DOUBLE
    kept = torch.ones(len(scores), dtype=torch.bool)
    for k in range(len(scores)):
        if kept[k]:
            kept &= ~same[k]
    return scores[kept], claimed[kept]


def _faces(scores: Tensor, points: Tensor, least: float) -> list[Face]:
    rows = zip(boxes(points).tolist(), scores.tolist(), points.double().numpy(), strict=True)
    return distinct(
        (
            Face(Box(x0, y0, x1 - x0, y1 - y0), score, landmarks.copy(), Drawn.name)
            for (x0, y0, x1, y1), score, landmarks in rows
            if score >= least
        ),
        DOUBLE,
    )


def _shipped() -> Perception:
    path: Path = shipped("checkpoints/mini/perception.safetensors")
    if not path.is_file():
        raise InputError(
            f"The network that finds drawn faces is not here ({path}).",
            "Make it: python -m toolkit train perception; or give the face's box yourself.",
        )
    network = Perception.load(path)
    fold_norms(network)
    return network.to(memory_format=torch.channels_last)

"""How near a result is to the truth: plain functions of tensors, a value for each row, and what adds them up.

A row in which a metric says nothing (no face, nothing in `where`) is NaN. `Mean` and `Frechet` take rows as they come
and keep none of them, so that a data set of any length can be measured.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import InputError

LEAST = 1600  # frames for a Fréchet distance: as few as a paper of the field dared (50 clips, 32 frames of each)
PIXELS = 256  # landmark distances are in pixels of a picture of this side, as in the papers


def l1(result: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean |result - truth| of each row, B x C x H x W in 0..1 -> B; where: bool B x 1 x H x W, the pixels that count
    (NaN if none).
    """
    difference = (result.float() - truth.float()).abs().mean(1, keepdim=True)
    if where is None:
        return difference.mean((1, 2, 3))
    return (difference * where).sum((1, 2, 3)) / where.sum((1, 2, 3))


def ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each row, B x C x H x W in 0..1 -> B, 1 for equal pictures (torchmetrics: windows of 11
    pixels, Gaussian, sigma 1.5). Raises InputError where the library is missing.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise InputError(f"SSIM needs the library torchmetrics ({error}).", "pip install torchmetrics") from None
    one_by_one = structural_similarity_index_measure(result.float(), truth.float(), data_range=1.0, reduction="none")
    return one_by_one.reshape(len(result))


def akd(points: Tensor, truth: Tensor) -> Tensor:
    """Average keypoint distance of each row: the mean |difference| of all coordinates (not a Euclidean distance), in
    pixels of a picture of 256 x 256. Points B x K x 2 in -1 … 1 from edge to edge -> B, NaN where either was not found.
    """
    return (points - truth).abs().mean((1, 2)) * (PIXELS / 2)


def missing(points: Tensor, truth: Tensor) -> Tensor:
    """Missing keypoint rate of each row: of the points found in the truth, the share that the result lacks. Points
    B x K x 2, NaN where not found -> B, NaN where the truth has none.
    """
    there, found = (each.isfinite().all(2) for each in (truth, points))
    return (there & ~found).sum(1) / there.sum(1)


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """AED of each row: in spite of the metric's name the sum of squared differences of embeddings B x D -> B."""
    return (a - b).square().sum(1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """CSIM of each row: the cosine between embeddings B x D -> B, 1 for the same direction."""
    return torch.cosine_similarity(a, b, dim=1)


class Mean:
    """A mean over rows that come in batches; NaN rows are left out, and counted."""

    def __init__(self) -> None:
        self.total, self.count, self.left_out = 0.0, 0, 0

    def add(self, values: Tensor) -> None:
        told = values.isfinite()
        self.total += float(values[told].double().sum())
        self.count += int(told.sum())
        self.left_out += int((~told).sum())

    @property
    def value(self) -> float | None:
        """None where no row said anything."""
        return self.total / self.count if self.count else None


class Frechet:
    """The Fréchet distance between two sets of features, taken for Gaussian (FID with Inception's features). They come
    in batches B x D; only sums are kept.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, Tensor, Tensor]] = {}

    def add(self, real: Tensor, made: Tensor) -> None:
        """Features of true frames and of made ones."""
        for name, rows in (("real", real.double()), ("made", made.double())):
            count, total, squares = self._sums.get(name, (0, 0.0, 0.0))
            self._sums[name] = count + len(rows), total + rows.sum(0), squares + rows.T @ rows

    @property
    def count(self) -> int:
        """Frames of the smaller set."""
        return min((count for count, *_ in self._sums.values()), default=0)

    def distance(self) -> float:
        """Raises InputError for fewer frames than `LEAST`."""
        enough(self.count)
        (mean_a, spread_a), (mean_b, spread_b) = (self._moments(name) for name in ("real", "made"))
        values, vectors = torch.linalg.eigh(spread_a)
        root = vectors * values.clamp(min=0).sqrt() @ vectors.T
        mixed = torch.linalg.eigvalsh(root @ spread_b @ root).clamp(min=0).sqrt().sum()
        return float((mean_a - mean_b).square().sum() + spread_a.trace() + spread_b.trace() - 2 * mixed)

    def _moments(self, name: str) -> tuple[Tensor, Tensor]:
        count, total, squares = self._sums[name]
        mean = total / count
        return mean, (squares - count * mean[:, None] * mean[None]) / (count - 1)


def enough(frames: int) -> None:
    """InputError for fewer frames than a Fréchet distance needs."""
    if frames < LEAST:
        raise InputError(
            f"FID of {frames} frames would say more about their number than about the model.",
            f"Give at least {LEAST} frames, or leave FID out.",
        )


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's correlation of two lists of numbers; NaN where one of them is constant."""
    a, b = a.double().flatten() - a.double().mean(), b.double().flatten() - b.double().mean()
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())


def nearest(result: Tensor, candidates: Tensor, where: Tensor) -> Tensor:
    """Which candidate is nearest in L1: result C x H x W, candidates N x C x H x W, where: bool 1 x H x W -> index,
    0-d.
    """
    rows, columns = where[0].any(1).nonzero(), where[0].any(0).nonzero()
    if not len(rows):
        return torch.zeros((), dtype=torch.long)
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return ((candidates - result).abs()[(..., *window)] * where[(..., *window)]).sum((1, 2, 3)).argmin()

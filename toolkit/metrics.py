"""How near a result is to the truth: plain functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def l1(result: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean |result - truth| of each row, B x C x H x W in 0..1 -> B; where: bool B x 1 x H x W, the pixels that count
    (NaN if none).
    """
    difference = (result.float() - truth.float()).abs().mean(1, keepdim=True)
    if where is None:
        return difference.mean((1, 2, 3))
    return (difference * where).sum((1, 2, 3)) / where.sum((1, 2, 3))


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

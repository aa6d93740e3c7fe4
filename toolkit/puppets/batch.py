"""What Identity and Pose share: frozen dataclasses of tensors whose first axis is the puppet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import torch
from torch import Tensor


class Batch:
    """Mixin of a frozen dataclass whose fields are all tensors with the same first axis, or such dataclasses again."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The same dataclass with `function` applied to every tensor."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return type(self)(**{k: v.map(function) if isinstance(v, Batch) else function(v) for k, v in fields.items()})

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def __getitem__(self, index: int | slice | Sequence | Tensor) -> Self:
        """Rows by number, slice, list, mask or index tensor; the batch axis always stays."""
        if isinstance(index, int):
            index = [range(len(self))[index]]  # the range raises IndexError and turns negative numbers round
        return self.map(lambda t: t[index.to(t.device) if isinstance(index, Tensor) else index])

    def to(self, device: torch.device | str) -> Self:
        return self.map(lambda t: t.to(device))

    @property
    def device(self) -> torch.device:
        return getattr(self, dataclasses.fields(self)[0].name).device

    def repeat(self, n: int) -> Self:
        """The whole batch n times over: rows 0, 1, …, 0, 1, …"""
        return self.map(lambda t: t.repeat(n, *[1] * (t.dim() - 1)))

    def replace(self, **fields: Tensor | Batch) -> Self:
        return dataclasses.replace(self, **fields)

    @classmethod
    def cat(cls, batches: Iterable[Self]) -> Self:
        """Several batches joined, in order."""
        batches = list(batches)
        columns = {f.name: [getattr(b, f.name) for b in batches] for f in dataclasses.fields(cls)}
        return cls(**{k: type(c[0]).cat(c) if isinstance(c[0], Batch) else torch.cat(c) for k, c in columns.items()})


def uniforms(n: int, seed: int, width: int) -> Tensor:
    """n x width numbers in 0…1; row i depends on (seed, i) alone, so sets that grow keep their members."""
    generator, rows = torch.Generator(), []
    for i in range(n):
        generator.manual_seed((seed * 1_000_003 + i * 7919 + 17) % (2**63))
        rows.append(torch.rand(width, generator=generator))
    return torch.stack(rows) if rows else torch.zeros(0, width)

"""A batch in parts: what each of several processes sees of it, and each pass where gradients are accumulated.

A part is every n-th row of the batch. What is drawn at random row by row is drawn for the whole batch, and a part takes
its own rows: a step comes to the same however its batch is cut, as far as its losses are means over rows.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Part:
    """Row `number` of a batch and every `of`-th row after it."""

    number: int = 0
    of: int = 1

    @property
    def rows(self) -> slice:
        return slice(self.number, None, self.of)

    def count(self, whole: int) -> int:
        """How many of a batch's rows are in it."""
        return len(range(self.number, whole, self.of))


WHOLE = Part()
_cut: contextvars.ContextVar[tuple[Part, int]] = contextvars.ContextVar("cut", default=(WHOLE, 0))


@contextlib.contextmanager
def cut(part: Part, whole: int) -> Iterator[None]:
    """Inside, `per_row` knows that a batch of so many rows is cut, and that this is the part."""
    token = _cut.set((part, whole))
    try:
        yield
    finally:
        _cut.reset(token)


def per_row(draw: Callable[[int], Any], rows: int) -> Any:
    """What `draw` (a number of rows -> something with so many rows) draws for this part of the batch, `rows` rows."""
    part, whole = _cut.get()
    return draw(rows) if part.of == 1 else draw(whole)[part.rows]


def rand(rows: int, *shape: int, device: torch.device | None = None) -> Tensor:
    """As torch.rand, see `per_row`."""
    return per_row(lambda count: torch.rand(count, *shape, device=device), rows)


def randn(rows: int, *shape: int) -> Tensor:
    """As torch.randn, see `per_row`."""
    return per_row(lambda count: torch.randn(count, *shape), rows)

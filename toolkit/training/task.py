"""What a training trains: the interface between the loop and the models' own files."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .parts import WHOLE, Part
from .recipe import Recipe, Stage

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}  # by the name of a recipe's precision
TASKS = {"fomm": "FommTask", "mraa": "MraaTask", "tpsmm": "TpsmmTask", "perception": "PerceptionTask"}


class Task(Protocol):
    """What the loop trains.

    modules: those that can learn, by name; their state is saved. open: called before the first step, for the files that
    the stages to come need. prepare: called when a stage begins.
    batch, losses: what step n sees, or a part of it, and {name: weighted loss}. adversary: the discriminator's loss of
    the same part, or None.
    measure: held-out numbers. sheet: a preview picture (H x W x 3, uint8). export: the half-precision file.
    """

    modules: Mapping[str, nn.Module]

    def open(self, stages: Iterable[Stage]) -> None: ...
    def prepare(self, stage: Stage) -> None: ...
    def batch(self, stage: Stage, step: int, part: Part = WHOLE) -> Any: ...
    def losses(self, batch: Any, stage: Stage) -> dict[str, Tensor]: ...
    def adversary(self, batch: Any, stage: Stage) -> Tensor | None: ...
    def measure(self) -> dict[str, float]: ...
    def sheet(self) -> Any: ...
    def export(self, path: Path, facts: Mapping[str, Any]) -> None: ...


def make_task(recipe: Recipe, device: torch.device) -> Task:
    """The task that a recipe names."""
    if recipe.task not in TASKS:
        raise ConfigError(f"There is no task '{recipe.task}'.", f"Choose one of: {', '.join(TASKS)}.")
    module = importlib.import_module(f".{recipe.task}", __package__)
    return getattr(module, TASKS[recipe.task])(recipe, device)

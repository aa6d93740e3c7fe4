"""What a step does to the modules: passes over parts of the batch, gradients, precision, optimisers, learning rates."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..device import out_of_memory
from ..errors import ConfigError, ToolkitError
from .muon import Muon
from .parts import cut
from .processes import Processes
from .recipe import Recipe, Stage
from .task import HALF, Task


class TrainingError(ToolkitError):
    """A run that cannot go on."""


def learning_rate(stage: Stage, step: int) -> float:
    """The factor on the learning rate at a step of the stage."""
    warm = min(1.0, (step + 1) / max(1, stage.warmup))
    done = step / max(1, stage.steps)
    progress = stage.progress(step)
    if stage.schedule == "cosine":
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    if stage.schedule == "milestones":
        return warm * 0.1 ** sum(progress >= milestone for milestone in stage.milestones)
    return warm


class Learner:
    """The optimisers of a stage, one for each module that learns, and the way to their gradients.

    In fp16 losses are scaled up so that small gradients don't vanish; a step whose gradients overflow is left out, and
    the scale lowered. halved: memory ran out, so a step takes twice as many passes. notes: what was changed on the way,
    in sentences.
    """

    def __init__(self, recipe: Recipe, task: Task, processes: Processes) -> None:
        self.recipe, self.task, self.processes = recipe, task, processes
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=recipe.precision == "fp16")
        self.halved, self.notes = False, list[str]()
        for stage in recipe.stages:
            self._check(stage)

    # ------------------------------------------------------------------ a stage

    def begin(self, stage: Stage, within: int) -> None:
        """Make fresh optimisers, unless this goes on within the stage."""
        if within == 0 or set(self.optimisers) != set(stage.train):
            self._make_optimisers(stage.train)

    def _make_optimisers(self, names: tuple[str, ...]) -> None:
        fused = self.processes.device.type in ("cpu", "cuda")  # all of a tensor's arithmetic in one pass
        kinds = {"adam": functools.partial(torch.optim.Adam, fused=fused), "muon": Muon}
        make, betas = kinds[self.recipe.optimiser], tuple(self.recipe.betas)
        self.optimisers = {name: make(self.task.modules[name].parameters(), lr=1e-4, betas=betas) for name in names}

    def _check(self, stage: Stage) -> None:
        """Raises ConfigError for a batch that does not go round the processes."""
        if stage.steps and self._least(stage) < self.processes.count:
            raise ConfigError(
                f"Stage '{stage.name}' has {self._least(stage)} rows of a kind for {self.processes.count} processes.",
                "Give it a larger batch, or take fewer processes.",
            )

    def _least(self, stage: Stage) -> int:
        """The smallest number of rows of a kind. Rows across identities have a forward pass of their own, in which
        batch norms wait for each other: all processes take part or none.
        """
        crossed = round(stage.cross * stage.batch) if self.processes.count > 1 else 0
        return min(stage.batch, crossed or stage.batch)

    def passes(self, stage: Stage) -> int:
        """How many parts of a batch a process takes one after the other."""
        wanted = self.recipe.accumulate * (2 if self.halved else 1)
        return max(1, min(wanted, self._least(stage) // self.processes.count))

    # ------------------------------------------------------------------ a step

    def learn(self, stage: Stage, step: int) -> dict[str, float]:
        """Gradients and losses (with their total) of a step; where memory runs out, again in smaller parts."""
        while True:
            try:
                return self._accumulate(stage, step)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            self._halve(stage, step)  # here, where the attempt that failed holds no memory any more

    def _accumulate(self, stage: Stage, step: int) -> dict[str, float]:
        modules, passes, sums = self.task.modules, self.passes(stage), dict[str, Tensor]()
        learning = [name for name in stage.train if name != "discriminator"]
        learners = [p for name in learning for p in modules[name].parameters() if p.requires_grad]  # parts may rest
        self._forget()
        for number in range(passes):
            part = self.processes.part(number, passes)
            share = part.count(stage.batch) / stage.batch
            torch.manual_seed(self.recipe.seed * 1_000_003 + step)  # for whatever draws from torch's own stream
            with cut(part, stage.batch):
                batch = self.task.batch(stage, step, part)
                with self._precision():
                    losses = self.task.losses(batch, stage)
                total = sum(losses.values())
                self.scaler.scale(share * total).backward(inputs=learners)
                if "discriminator" in stage.train:
                    with self._precision():
                        losses["discriminator"] = self.task.adversary(batch, stage)
                    judges = list(modules["discriminator"].parameters())
                    self.scaler.scale(share * losses["discriminator"]).backward(inputs=judges)
            for name, value in (losses | {"total": total}).items():
                sums[name] = sums.get(name, 0) + share * value.detach().float()
        together = torch.stack(list(sums.values()))
        slopes = [p.grad for name in stage.train for p in modules[name].parameters() if p.grad is not None]
        self.processes.add_up([together, *slopes])
        return dict(zip(sums, together.tolist()))

    def move(self, stage: Stage, within: int) -> None:
        """Let the optimisers take their step. within: the step of the stage, which the learning rates follow from."""
        factor = learning_rate(stage, within)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = stage.lr.get(name, stage.lr.get("", 2e-4)) * factor
                if "weight_decay" in group:
                    group["weight_decay"] = stage.decay
            parameters = [p for p in self.task.modules[name].parameters() if p.grad is not None]
            if not parameters:  # the background's, say, which joins later
                continue
            self.scaler.unscale_(optimiser)
            if self.recipe.clip:
                nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
            if name in stage.clip:
                nn.utils.clip_grad_norm_(parameters, stage.clip[name], math.inf)
            self.scaler.step(optimiser)
        if self.optimisers:
            self.scaler.update()

    def _forget(self) -> None:
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)

    def _halve(self, stage: Stage, step: int) -> None:
        """Twice as many passes from now on. Raises TrainingError if that was done already, or cannot be."""
        self._forget()
        if self.processes.device.type == "cuda":
            torch.cuda.empty_cache()
        passes = self.passes(stage)
        rows = -(-stage.batch // (passes * self.processes.count))
        what = f"There is not enough memory for {rows} rows of stage '{stage.name}' at once"
        if self.halved or rows < 2 or self.processes.count > 1:  # the others would wait for this one
            raise TrainingError(
                f"{what} (step {step}).",
                f"Take more passes (--set accumulate={2 * passes}), a smaller batch, or smaller pictures.",
            )
        self.halved = True
        self.notes.append(f"{what}: from step {step} on a step takes {self.passes(stage)} passes of fewer rows.")

    def _precision(self) -> contextlib.AbstractContextManager:
        if self.recipe.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.processes.device.type, HALF[self.recipe.precision])

    # ------------------------------------------------------------------ checkpoints

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of it."""
        return {
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "scaler": self.scaler.state_dict(),
            "halved": self.halved,
        }

    def restore(self, state: Mapping[str, Any], within_stage: bool) -> None:
        """Take up what `state` gave. within_stage: the optimisers too, for their stage is not over."""
        if within_stage:
            self._make_optimisers(tuple(state["optimisers"]))
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(state["optimisers"][name])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self.halved = state.get("halved", False)

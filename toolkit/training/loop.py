"""The loop: stages, steps, resume, what is measured and kept.

The loop knows nothing of models. A task (see `task.Task`) says what is trained, draws a batch for a step, and returns
its losses. A run that is killed at any moment and resumed sees the batches and gives the losses of a run never killed:
batches follow from the seed and the step, and everything else is in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from . import beginning, checkpoints
from .average import Average
from .checkpoints import UNREADABLE, first_sentence
from .learner import Learner, TrainingError
from .processes import Processes
from .recipe import Recipe, Stage
from .task import make_task
from .watch import Listen, Watch

MODEL = "model.safetensors"  # what a run exports, in its folder


class Trainer:
    """One run: a recipe, a folder, a device. progress: print how far it is. listen: told of every step, see `watch`."""

    def __init__(
        self,
        recipe: Recipe,
        folder: str | Path,
        device: str | None = None,
        progress: bool = True,
        listen: Listen | None = None,
    ) -> None:
        if any(stage.epochs for stage in recipe.stages):
            from .clips import counted

            recipe = counted(recipe)
        self.recipe, self.folder, self.progress, self.listen = recipe, Path(folder), progress, listen
        self.processes = Processes(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
        self.device = self.processes.device
        torch.manual_seed(recipe.seed)
        self.task = make_task(recipe, self.device)
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        for module in self.task.modules.values():
            module.to(self.device, memory_format=memory)
            self.processes.share_norms(module)
        self.learner = Learner(recipe, self.task, self.processes)
        self.average = Average(self.task.modules, recipe.ema)
        self.step, self.stage_name = 0, ""
        self.best: dict[str, Any] = {}  # stage, number and value of the best checkpoint
        self.history: list[dict[str, float]] = []  # losses of the steps of this session

    # ------------------------------------------------------------------ running

    def run(self, resume: bool = False, init: str | Path | None = None) -> Path:
        """Train to the end of the recipe (or Ctrl-C); returns the exported file."""
        main = self.processes.main
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and self.checkpoints():
            checkpoints.compare(self.recipe, self.folder, warn=main)
            self.restore(self.checkpoints()[-1])
        elif not resume and self.checkpoints():
            raise ConfigError(f"{self.folder} already holds a run.", "Resume it (--resume), or give another folder.")
        elif init is not None:
            self.begin_with(init)
        self.processes.agree(self.step)
        if main:
            checkpoints.begin(self.recipe, self.folder)
        watch = Watch(self.folder, self.recipe, self.step, show=self.progress, listen=self.listen, main=main)
        try:
            while self.step < self.recipe.steps and not self.processes.any(watch.stopping):
                losses = self.advance()
                self.history.append(losses)
                while self.learner.notes:
                    watch.say(self.learner.notes.pop(0))
                watch.step(self.step, self.stage_name, losses)
                if main:
                    self._chores(watch)
        except KeyboardInterrupt:
            pass
        finally:
            watch.close()
            if close := getattr(self.task, "close", None):
                close()
        if self.step < self.recipe.steps:
            watch.say(f"Stopped at step {self.step}; saving.")
        if main:
            self.save()
            self.export()
            if self.recipe.output:
                target = Path(self.recipe.output)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._export(target)
        if self.step == self.recipe.steps:  # not where one was interrupted: it would wait for ever
            self.processes.wait()
        return self.folder / MODEL

    def advance(self) -> dict[str, float]:
        """One step; returns the losses of its batch."""
        stage, within = self.recipe.at(self.step)
        if stage.name != self.stage_name:
            self._enter(stage, within)
        losses = self.learner.learn(stage, self.step)
        self._check(losses)
        self.learner.move(stage, within)
        self.step += 1
        self.average.update(name for name, module in self.task.modules.items() if module.training)
        return losses

    def _enter(self, stage: Stage, within: int) -> None:
        """Begin a stage: which modules learn, with fresh optimisers (unless this goes on within it)."""
        self.stage_name = stage.name
        unknown = [name for name in stage.train if name not in self.task.modules]
        if unknown or not stage.train:
            known = ", ".join(self.task.modules)
            raise ConfigError(f"Stage '{stage.name}' trains {unknown or 'nothing'}.", f"Choose among: {known}.")
        for name, module in self.task.modules.items():
            module.requires_grad_(name in stage.train).train(name in stage.train)
            for part in module.modules() if stage.frozen_norms else ():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        self.task.prepare(stage)
        self.learner.begin(stage, within)

    def _check(self, losses: Mapping[str, float]) -> None:
        if all(map(math.isfinite, losses.values())):
            return
        bad = ", ".join(name for name, value in losses.items() if not math.isfinite(value) and name != "total")
        good = self.checkpoints()
        last = f"The last good checkpoint is {good[-1]}." if good else "There is no checkpoint yet."
        raise TrainingError(
            f"The loss is no longer a number at step {self.step} ({bad}).",
            f"{last} Resume from it with a lower learning rate.",
        )

    def _chores(self, watch: Watch) -> None:
        recipe, last = self.recipe, self.step == self.recipe.steps
        if recipe.measure and (self.step % recipe.measure == 0 or last):
            with self.average.applied():
                numbers = self.task.measure()
            watch.measured(numbers)
            self._keep_best(numbers)
        if recipe.sheet and (self.step % recipe.sheet == 0 or last):
            with self.average.applied():
                sheet = self.task.sheet()
            watch.pictured(sheet)
        if recipe.checkpoint and self.step % recipe.checkpoint == 0:
            self.save()
            self.export()  # so that a run can be used while it goes on

    def _keep_best(self, numbers: Mapping[str, float]) -> None:
        """Keep this checkpoint, and what it exports, if the stage has none better."""
        name = next((name for name in self.recipe.best if name in numbers), None)
        if name is None or not math.isfinite(numbers[name]):
            return
        now = {"stage": self.stage_name, "number": name, "value": numbers[name]}
        if any(self.best.get(key) != now[key] for key in ("stage", "number")) or now["value"] < self.best["value"]:
            self.best = now
            checkpoints.save_atomically(self._state(), self.folder / checkpoints.BEST)
            self._export((self.folder / checkpoints.BEST).with_suffix(".safetensors"))

    # ------------------------------------------------------------------ files

    def checkpoints(self) -> list[Path]:
        """The run's checkpoints, oldest first."""
        return checkpoints.listed(self.folder)

    def save(self) -> Path:
        """Write a checkpoint; older ones beyond `keep` go."""
        return checkpoints.save(self._state(), self.folder, self.recipe.keep)

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "stage": self.stage_name,
            "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
            "average": self.average.state,
            "averaged": self.average.counts,
            "best": self.best,
            **self.learner.state(),
        }

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            stage, within = self.recipe.at(state["step"]) if state["step"] < self.recipe.steps else (None, 0)
            self.learner.restore(state, within_stage=within > 0 and stage.name == state["stage"])
            self._adopt(state["modules"])
            self.average.state, self.average.counts = state["average"], state["averaged"]
            self.best, self.step = state.get("best", {}), state["step"]
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} cannot be resumed from: {first_sentence(error)}",
                "Give the folder and recipe of the run, or start anew.",
            ) from None

    def begin_with(self, init: str | Path) -> None:
        """Start from trained weights: a name of the zoo, a run or its checkpoint (its averaged weights), or a file of
        weights; see `beginning.find`.
        """
        path = beginning.find(init, self.recipe.task)
        try:
            found, names = beginning.weights(path), self.task.modules
            if not any(name in found for name in names):
                raise ValueError(f"it has no {' and no '.join(names)}")
            self._adopt(found)
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} cannot be begun with: {first_sentence(error)}",
                "Give a checkpoint or snapshot of the same model.",
            ) from None
        self.average = Average(self.task.modules, self.recipe.ema)

    def _adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, module in self.task.modules.items():
            if states.get(name):
                module.load_state_dict(dict(states[name]))

    def export(self) -> Path:
        """Write the averaged weights in half precision: `model.safetensors` in the run's folder."""
        path = self.folder / MODEL
        self._export(path)
        return path

    def _export(self, path: Path) -> None:
        facts = {
            "recipe": self.recipe.name,
            "config": self.recipe.name,
            "steps": self.step,
            "domain": self.recipe.domain,
            "licence": self.recipe.licence,
        }
        with self.average.applied():
            self.task.export(path, facts)

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
from . import beginning, checkpoints, checks
from .average import Average
from .checkpoints import UNREADABLE, first_sentence
from .interrupt import Interrupt
from .learner import Learner, TrainingError
from .processes import Processes
from .recipe import Recipe, Stage
from .task import make_task
from .watch import Listen, Watch

MODEL = "model.safetensors"  # what a run exports, in its folder
JUDGE = "discriminator"  # the module that a run may begin without


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
        for stage in recipe.stages:
            if stage.steps:
                checks.check_trained(stage, self.task.modules)
        self.learner = Learner(recipe, self.task, self.processes)
        self.average = Average(self.task.modules, recipe.ema)
        self.step, self.stage = 0, None  # steps done; the stage that was entered
        self.saved = -1  # the step of the last checkpoint, written or read
        self.best: dict[str, Any] = {}  # stage, number and value of the best checkpoint
        self.history: list[dict[str, float]] = []  # losses of the steps of this session

    # ------------------------------------------------------------------ running

    def run(self, resume: bool = False, init: str | Path | None = None) -> Path:
        """Train to the end of the recipe, or until Ctrl-C: that ends it after its step. Returns the exported file. A
        second Ctrl-C raises KeyboardInterrupt at once, and the last checkpoint is what is left.
        """
        main, notes = self.processes.main, self.learner.notes
        checkpoints.make(self.folder)
        if resume and not self.checkpoints():
            notes.append(f"There is no checkpoint in {self.folder}: it begins anew.")
        if resume and self.checkpoints():
            checkpoints.compare(self.recipe, self.folder, warn=main)
            self.restore(self.checkpoints()[-1])
        elif not resume and self.checkpoints():
            raise ConfigError(f"{self.folder} already holds a run.", "Resume it (--resume), or give another folder.")
        elif init is not None:
            self.begin_with(init)
        self.processes.agree(self.step)
        self.task.open(self.recipe.ahead(self.step))
        if main:
            checkpoints.begin(self.recipe, self.folder)
        watch = Watch(self.folder, self.recipe, self.step, show=self.progress, listen=self.listen, main=main)
        with Interrupt(show=self.progress and main) as interrupt:
            try:
                while notes:
                    watch.say(notes.pop(0))
                while self.step < self.recipe.steps and not self.processes.any(watch.stopping or interrupt.asked):
                    losses = self.advance()
                    self.history.append(losses)
                    while notes:
                        watch.say(notes.pop(0))
                    watch.step(self.step, self.stage_name, losses)
                    self._chores(watch)
            finally:
                watch.close()
                if close := getattr(self.task, "close", None):
                    close()
            if self.step < self.recipe.steps:
                watch.say(f"Stopped at step {self.step}; saving.")
            self._check_weights()
            if main:
                self._finish()
            self.processes.wait()
        return self.folder / MODEL

    def _finish(self) -> None:
        if self.saved != self.step:  # a checkpoint that was only read has its optimisers, this run has none
            self.save()
        self.export()
        if self.recipe.output and self.step == self.recipe.steps:  # others load that file: only what is complete
            target = Path(self.recipe.output)
            checkpoints.make(target.parent)
            self._export(target)

    def advance(self) -> dict[str, float]:
        """One step; returns the losses of its batch."""
        stage, within = self.recipe.at(self.step)
        if stage is not self.stage:
            self._enter(stage, within)
        losses = self.learner.learn(stage, self.step)
        self._check(losses)
        self.learner.move(stage, within)
        self.step += 1
        self.average.update(name for name, module in self.task.modules.items() if module.training)
        return losses

    def _enter(self, stage: Stage, within: int) -> None:
        """Begin a stage: which modules learn, with fresh optimisers (unless this goes on within it)."""
        self.stage = stage
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
        raise TrainingError(f"The loss is no longer a number at step {self.step} ({bad}).", self._remedy())

    def _check_weights(self) -> None:
        """Raises TrainingError where weights or their averages are no numbers: a gradient can overflow while the losses
        are as they should be, and nothing of that may be kept.
        """
        states = [(name, tensor) for name, m in self.task.modules.items() for tensor in m.state_dict().values()]
        states += [(key.partition(".")[0], tensor) for key, tensor in self.average.state.items()]
        states = [(name, tensor) for name, tensor in states if tensor.is_floating_point()]
        good = torch.stack([tensor.isfinite().all() for _, tensor in states]).tolist()  # one wait for the device
        if bad := sorted({name for (name, _), fine in zip(states, good, strict=True) if not fine}):
            raise TrainingError(
                f"Weights are no longer numbers after step {self.step} ({', '.join(bad)}): nothing was saved of them.",
                self._remedy(),
            )

    def _remedy(self) -> str:
        good = self.checkpoints()
        last = f"The last good checkpoint is {good[-1]}." if good else "There is no checkpoint yet."
        return f"{last} Resume from it with a lower learning rate."

    def _chores(self, watch: Watch) -> None:
        recipe, last = self.recipe, self.step == self.recipe.steps
        measure, sheet = (every and (self.step % every == 0 or last) for every in (recipe.measure, recipe.sheet))
        save = recipe.checkpoint and self.step % recipe.checkpoint == 0
        if measure or sheet or save:
            self._check_weights()
        if not self.processes.main:
            return
        if measure:
            with self.average.applied():
                numbers = self.task.measure()
            watch.measured(numbers)
            self._keep_best(numbers)
        if sheet:
            with self.average.applied():
                picture = self.task.sheet()
            watch.pictured(picture)
        if save:
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

    @property
    def stage_name(self) -> str:
        """The stage that was entered; "" before the first step."""
        return self.stage.name if self.stage else ""

    def checkpoints(self) -> list[Path]:
        """The run's checkpoints, oldest first."""
        return checkpoints.listed(self.folder)

    def save(self) -> Path:
        """Write a checkpoint; older ones beyond `keep` go."""
        path = checkpoints.save(self._state(), self.folder, self.recipe.keep)
        self.saved = self.step
        return path

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
            self.best = state.get("best", {})
            self.step = self.saved = state["step"]
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} cannot be resumed from: {first_sentence(error)}",
                "Give the folder and recipe of the run, or start anew.",
            ) from None

    def begin_with(self, init: str | Path) -> None:
        """Start from trained weights: a name of the zoo, a run or its checkpoint (its averaged weights), or a file of
        weights; see `beginning.find`. A discriminator that it lacks, or that is of another kind, begins at random.
        """
        path = beginning.find(init, self.recipe.task)
        try:
            found, names = beginning.weights(path), self.task.modules
            if not any(name in found for name in names):
                raise ValueError(f"it has no {' and no '.join(names)}")
            if JUDGE in names and not beginning.fits(found.get(JUDGE, {}), names[JUDGE]):
                found.pop(JUDGE, None)
                self.learner.notes.append(f"{path} has no discriminator that fits: it begins at random.")
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

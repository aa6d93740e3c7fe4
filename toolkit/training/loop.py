"""The loop: stages, optimisers, averaged weights, checkpoints, resume, previews.

The loop knows nothing of models. A task (see `Task`) says what is trained, draws a batch for a step, and returns its
losses. A run that is killed at any moment and resumed sees the batches and gives the losses of a run never killed:
batches follow from the seed and the step, and everything else is in the checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import pickle
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError, OutputError, ToolkitError
from .muon import Muon
from .recipe import Recipe, Stage, differences

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, EOFError, AttributeError, TypeError, pickle.UnpicklingError)
TASKS = {"fomm": "FommTask", "mraa": "MraaTask", "tpsmm": "TpsmmTask", "perception": "PerceptionTask"}


class TrainingError(ToolkitError):
    """A run that cannot go on."""


class Task(Protocol):
    """What the loop trains.

    modules: those that can learn, by name; their state is saved. prepare: called when a stage begins.
    batch, losses: what step n sees, and {name: weighted loss}. adversary: the discriminator's loss of the same batch,
    or None.
    measure: held-out numbers. sheet: a preview picture (H x W x 3, uint8). export: the half-precision file.
    """

    modules: Mapping[str, nn.Module]

    def prepare(self, stage: Stage) -> None: ...
    def batch(self, stage: Stage, step: int) -> Any: ...
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


def save_atomically(state: Any, path: Path) -> None:
    """Write a checkpoint beside its place, then rename: a full disk or a kill leaves the last good file as it was."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{path} could not be written: {error}.", "Make room on the disk; the last good checkpoint is untouched."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _first(error: Exception) -> str:
    """The first sentence of what may be a long technical message."""
    return str(error).partition("\n")[0].partition(". ")[0] + "."


def learning_rate(stage: Stage, step: int) -> float:
    """The factor on the learning rate at a step of the stage."""
    warm = min(1.0, (step + 1) / max(1, stage.warmup))
    done = step / max(1, stage.steps)
    progress = stage.progress(step)
    if stage.schedule == "cosine":
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    if stage.schedule == "milestones":
        return warm * 0.1 ** sum(progress >= milestone for milestone in stage.milestones)
    if stage.schedule == "constant":
        return warm
    raise ConfigError(f"There is no schedule '{stage.schedule}'.", "Choose one of: constant, cosine, milestones.")


class Average:
    """Exponential moving average of modules' weights and running statistics. Each module's warms up from the moment
    it begins to learn, so that no average is stuck at the start.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.decay, self.modules = decay, modules
        self.state = self._now()
        self.counts = dict.fromkeys(modules, 0)

    def _now(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value.detach().clone()
            for name, m in self.modules.items()
            for key, value in m.state_dict().items()
        }

    @torch.no_grad()
    def update(self, names: Iterable[str]) -> None:
        """Take in the weights of the modules that just learned."""
        for name in names:
            count = self.counts[name] = self.counts[name] + 1
            decay, module = min(self.decay, (1 + count) / (10 + count)), self.modules[name]
            for key, value in module.state_dict().items():
                kept = self.state.get(f"{name}.{key}")
                if kept is None or kept.shape != value.shape or not value.is_floating_point():
                    self.state[f"{name}.{key}"] = value.detach().clone()
                else:
                    kept.lerp_(value, 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the modules hold the averaged weights and are in evaluation mode."""
        own, modes = self._now(), {part: part.training for m in self.modules.values() for part in m.modules()}
        try:
            self._load(self.state)
            for module in self.modules.values():
                module.eval()
            yield
        finally:
            self._load(own)
            for part, mode in modes.items():
                part.training = mode

    def _load(self, state: Mapping[str, Tensor]) -> None:
        for name, module in self.modules.items():
            prefix = name + "."
            module.load_state_dict(
                {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}, strict=False
            )


class Trainer:
    """One run: a recipe, a folder, a device."""

    def __init__(self, recipe: Recipe, folder: str | Path, device: str | None = None, progress: bool = True) -> None:
        if any(stage.epochs for stage in recipe.stages):
            from .clips import counted

            recipe = counted(recipe)
        for stage in recipe.stages:
            learning_rate(stage, 0)  # a schedule that does not exist should not be found out hours later
        self.recipe, self.folder, self.progress = recipe, Path(folder), progress
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.manual_seed(recipe.seed)
        self.task = make_task(recipe, self.device)
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        for module in self.task.modules.values():
            module.to(self.device, memory_format=memory)
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.average = Average(self.task.modules, recipe.ema)
        self.step, self.stage_name = 0, ""
        self.history: list[dict[str, float]] = []  # losses of the steps of this session

    # ------------------------------------------------------------------ running

    def run(self, resume: bool = False, init: str | Path | None = None) -> Path:
        """Train to the end of the recipe (or Ctrl-C); returns the exported file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and self.checkpoints():
            self._compare()
            self.restore(self.checkpoints()[-1])
        elif not resume and self.checkpoints():
            raise ConfigError(f"{self.folder} already holds a run.", "Resume it (--resume), or give another folder.")
        elif init is not None:
            self.begin_with(init)
        (self.folder / "recipe.json").write_text(json.dumps(self.recipe.to_dict(), indent=1), encoding="utf-8")
        meter = _Meter(self.recipe.steps, self.step, self.progress)
        try:
            while self.step < self.recipe.steps:
                losses = self.advance()
                self.history.append(losses)
                meter.tick(self.step, self.stage_name, losses)
                self._chores()
        except KeyboardInterrupt:
            self._say(f"Stopped at step {self.step}; saving.")
        finally:
            if close := getattr(self.task, "close", None):
                close()
        self.save()
        path = self.export()
        if self.recipe.output:
            target = Path(self.recipe.output)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._export(target)
        return path

    def advance(self) -> dict[str, float]:
        """One step; returns the losses."""
        stage, within = self.recipe.at(self.step)
        if stage.name != self.stage_name:
            self._enter(stage, within)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = stage.lr.get(name, stage.lr.get("", 2e-4)) * learning_rate(stage, within)
                if "weight_decay" in group:
                    group["weight_decay"] = stage.decay
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # for whatever draws from torch's own stream
        batch = self.task.batch(stage, self.step)
        with self._precision():
            losses = self.task.losses(batch, stage)
        total = sum(losses.values())
        self._check(total, losses)
        self._optimise(total, [name for name in stage.train if name != "discriminator"], stage.clip)
        if "discriminator" in stage.train:
            with self._precision():
                adversary = self.task.adversary(batch, stage)
            self._optimise(adversary, ["discriminator"])
            losses["discriminator"] = adversary
        self.step += 1
        self.average.update(name for name, module in self.task.modules.items() if module.training)
        return {name: float(value.detach()) for name, value in losses.items()} | {"total": float(total.detach())}

    def _optimise(self, total: Tensor, names: list[str], largest: Mapping[str, float] | None = None) -> None:
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        total.backward()
        for name in names:
            if self.recipe.clip:
                nn.utils.clip_grad_norm_(self.task.modules[name].parameters(), self.recipe.clip)
            if name in (largest or {}):
                nn.utils.clip_grad_norm_(self.task.modules[name].parameters(), largest[name], math.inf)
            self.optimisers[name].step()

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
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        self.task.prepare(stage)
        if within == 0 or set(self.optimisers) != set(stage.train):
            self.optimisers = self._make_optimisers(stage.train)

    def _make_optimisers(self, names: tuple[str, ...]) -> dict[str, torch.optim.Optimizer]:
        kinds = {"adam": torch.optim.Adam, "muon": Muon}
        if self.recipe.optimiser not in kinds:
            raise ConfigError(f"There is no optimiser '{self.recipe.optimiser}'.", "Choose one of: adam, muon.")
        make, betas = kinds[self.recipe.optimiser], tuple(self.recipe.betas)
        return {name: make(self.task.modules[name].parameters(), lr=1e-4, betas=betas) for name in names}

    def _precision(self) -> contextlib.AbstractContextManager:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.recipe.precision == "fp32":
            return contextlib.nullcontext()
        if self.recipe.precision not in kinds:
            raise ConfigError(f"There is no precision '{self.recipe.precision}'.", "Choose one of: bf16, fp16, fp32.")
        return torch.autocast(self.device.type, kinds[self.recipe.precision])

    def _check(self, total: Tensor, losses: Mapping[str, Tensor]) -> None:
        if torch.isfinite(total):
            return
        bad = ", ".join(name for name, value in losses.items() if not torch.isfinite(value))
        good = self.checkpoints()
        last = f"The last good checkpoint is {good[-1]}." if good else "There is no checkpoint yet."
        raise TrainingError(
            f"The loss is no longer a number at step {self.step} ({bad}).",
            f"{last} Resume from it with a lower learning rate.",
        )

    def _chores(self) -> None:
        recipe, last = self.recipe, self.step == self.recipe.steps
        if recipe.measure and (self.step % recipe.measure == 0 or last):
            with self.average.applied():
                numbers = self.task.measure()
            self._log(numbers)
        if recipe.sheet and (self.step % recipe.sheet == 0 or last):
            with self.average.applied():
                self._picture(self.task.sheet())
        if recipe.checkpoint and self.step % recipe.checkpoint == 0:
            self.save()
            self.export()  # so that a run can be used while it goes on

    # ------------------------------------------------------------------ files

    def checkpoints(self) -> list[Path]:
        """The run's checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self) -> Path:
        """Write a checkpoint; older ones beyond `keep` go."""
        path = self.folder / f"step-{self.step:07d}.pt"
        state = {
            "step": self.step,
            "stage": self.stage_name,
            "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
            "average": self.average.state,
            "averaged": self.average.counts,
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        save_atomically(state, path)
        for old in self.checkpoints()[: -max(1, self.recipe.keep)]:
            old.unlink()
        return path

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            if state["step"] < self.recipe.steps:
                stage, within = self.recipe.at(state["step"])
                if stage.name == state["stage"] and within:
                    self.optimisers = self._make_optimisers(tuple(state["optimisers"]))
                    for name, optimiser in self.optimisers.items():
                        optimiser.load_state_dict(state["optimisers"][name])
            self._adopt(state["modules"])
            self.average.state, self.average.counts = state["average"], state["averaged"]
            self.step = state["step"]
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} cannot be resumed from: {_first(error)}",
                "Give the folder and recipe of the run, or start anew.",
            ) from None

    def _compare(self) -> None:
        """Warn of settings that are not those of the run so far. Raises CheckpointError for another model."""
        path = self.folder / "recipe.json"
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        now = json.loads(json.dumps(self.recipe.to_dict()))
        changed = list(differences(before, now))
        if other := [line for line in changed if line.startswith(("task", "model"))]:
            raise CheckpointError(f"{path} is of another model: {other[0]}.", "Give another folder to this one.")
        if changed:
            more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
            text = f"{path} has other settings: {'; '.join(changed[:3])}{more}. The run goes on with the new ones."
            warnings.warn(text, stacklevel=3)

    def begin_with(self, path: str | Path) -> None:
        """Start from trained weights: a run's checkpoint (its averaged weights) or a safetensors snapshot."""
        path = Path(path)
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                flat = {
                    key: value.float() if value.is_floating_point() else value
                    for key, value in load_file(str(path)).items()
                }
            else:
                flat = torch.load(path, map_location="cpu", weights_only=True)["average"]
            names = self.task.modules
            parts = {n: {k[len(n) + 1 :]: v for k, v in flat.items() if k.startswith(n + ".")} for n in names}
            if not any(parts.values()):
                raise ValueError(f"it has no {' and no '.join(names)}")
            self._adopt(parts)
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} cannot be begun with: {_first(error)}", "Give a checkpoint or snapshot of the same model."
            ) from None
        self.average = Average(self.task.modules, self.recipe.ema)

    def _adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, module in self.task.modules.items():
            if states.get(name):
                module.load_state_dict(dict(states[name]))

    def export(self) -> Path:
        """Write the averaged weights in half precision: `model.safetensors` in the run's folder."""
        path = self.folder / "model.safetensors"
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

    def _log(self, numbers: Mapping[str, float]) -> None:
        recent = self.history[-100:]
        row = {"step": self.step, "stage": self.stage_name, "seconds": round(time.time())}
        row |= {
            name: sum(r[name] for r in recent if name in r) / sum(name in r for r in recent)
            for name in (recent[-1] if recent else {})
        }
        row |= dict(numbers)
        self._say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _picture(self, sheet: Any) -> None:
        if sheet is None:
            return
        from PIL import Image

        Image.fromarray(sheet).save(self.folder / f"sheet-{self.step:07d}.png")

    def _say(self, text: str) -> None:
        if self.progress:
            print(text, flush=True)


class _Meter:
    """One line of progress: step, stage, loss, steps a second, time left."""

    def __init__(self, total: int, begun: int, shown: bool, every: float = 20.0) -> None:
        self.total, self.begun, self.shown, self.every = total, begun, shown, every
        self.start = self.said = time.time()
        self.marks: list[tuple[float, int]] = [(self.start, begun)]

    def tick(self, step: int, stage: str, losses: Mapping[str, float]) -> None:
        now = time.time()
        if not self.shown or (now - self.said < self.every and step != self.total):
            return
        self.said = now
        self.marks = [*self.marks[-9:], (now, step)]
        speed = (step - self.marks[0][1]) / max(1e-9, now - self.marks[0][0])
        left = (self.total - step) / max(1e-9, speed)
        parts = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        print(
            f"{step}/{self.total} {stage}  {parts}  {speed:.2f} steps/s  {int(left // 60)}:{int(left % 60):02d} left",
            flush=True,
        )

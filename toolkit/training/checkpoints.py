"""A run's folder: checkpoints written so that none is lost, the best one, and the recipe that they belong to."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import CheckpointError, OutputError
from ..translations import translate
from .recipe import Recipe, differences, filled

RECIPE, BEST = "recipe.json", "best.pt"
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, EOFError, AttributeError, TypeError, pickle.UnpicklingError)


def listed(folder: Path) -> list[Path]:
    """A run's checkpoints, oldest first (the best one is not among them)."""
    return sorted(folder.glob("step-*.pt"))


def save(state: Mapping[str, Any], folder: Path, keep: int) -> Path:
    """Write the checkpoint of state["step"]; all but the last `keep` go."""
    path = folder / f"step-{state['step']:07d}.pt"
    save_atomically(state, path)
    for old in listed(folder)[: -max(1, keep)]:
        old.unlink()
    return path


def begin(recipe: Recipe, folder: Path) -> None:
    """Note the recipe of a run, and clear away what one that was killed left half-written."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            part.unlink()
    path, text = folder / RECIPE, json.dumps(recipe.to_dict(), indent=1)
    with contextlib.suppress(OSError, ValueError):
        if path.read_text(encoding="utf-8") == text:
            return
    _whole(path, lambda file: file.write(text.encode()))


def make(folder: Path) -> None:
    """Make a folder, and those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} can't be made ({error.strerror}).", "Choose another folder.") from None


def compare(recipe: Recipe, folder: Path, warn: bool = True) -> None:
    """Warn of settings that are not those of the run so far. Raises CheckpointError for another model."""
    path = folder / RECIPE
    try:
        before = filled(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return
    changed = list(differences(before, filled(recipe.to_dict())))
    if other := [line for line in changed if line.startswith(("task", "model"))]:
        raise CheckpointError(f"{path} is of another model: {other[0]}.", "Give another folder to this one.")
    if changed and warn:
        more = [f"and {len(changed) - 3} more"] if len(changed) > 3 else []
        text = f"{path} has other settings: {'; '.join([*changed[:3], *more])}. The run goes on with the new ones."
        warnings.warn(translate(text), stacklevel=4)


def save_atomically(state: Any, path: Path) -> None:
    """Write a checkpoint so that a full disk or a kill leaves the last good file as it was."""
    _whole(path, lambda file: torch.save(state, file))


def _whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file beside its place, then rename."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{path} could not be written: {error}.", "Make room on the disk; the last good checkpoint is untouched."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def first_sentence(error: Exception) -> str:
    """The first sentence of what may be a long technical message."""
    return f"{error}".partition("\n")[0].partition(". ")[0] + "."

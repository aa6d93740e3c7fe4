"""Training: recipes, data, losses, the loop.

    import toolkit
    toolkit.train("mini-fomm", output="runs/mini")            # python -m toolkit train mini-fomm -o runs/mini
    toolkit.train("mini-fomm", output="runs/mini", resume=True)

A run is a folder: the recipe as it was, checkpoints, `log.jsonl`, preview sheets, and `model.safetensors` (half
precision).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .recipe import Recipe, names

__all__ = ["Recipe", "names", "train"]


def train(
    recipe: str | Path | Mapping[str, Any],
    output: str | Path | None = None,
    *,
    resume: bool = False,
    init: str | Path | None = None,
    data: str | Path | None = None,
    settings: Iterable[str] | Mapping[str, Any] = (),
    device: str | None = None,
    progress: bool = True,
) -> Path:
    """Train by a recipe; returns the file of the trained model (half precision, safetensors).

    recipe: a name (`names()`), a TOML file or a mapping. output: the run's folder (runs/NAME if None).
    resume: go on from the folder's last checkpoint, exactly as if it had never stopped. init: weights to begin with.
    data: a folder of clips to learn from, see `clips.py` (none: puppets are drawn).
    settings: changes of the recipe, "stages.0.steps=100" or a mapping. Ctrl-C saves and ends.
    """
    from .loop import Trainer

    checked = Recipe.load(recipe, settings)
    if data is not None:
        checked = dataclasses.replace(checked, clips=dataclasses.replace(checked.clips, folder=str(data)))
    folder = Path(output) if output is not None else Path("runs") / checked.name
    return Trainer(checked, folder, device=device, progress=progress).run(resume=resume, init=init)

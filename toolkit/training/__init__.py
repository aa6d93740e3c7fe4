"""Training: recipes, data, losses, the loop.

    import toolkit
    toolkit.train("mini-fomm", output="runs/mini")            # python -m toolkit train mini-fomm -o runs/mini
    toolkit.train("mini-fomm", output="runs/mini", resume=True)
    toolkit.train("mini-finetune", data="data", output="runs/mine")
    toolkit.animate("picture.png", "clip.mp4", model="runs/mine")

A run is a folder: the recipe as it was, the last checkpoints and the best one, log, curves and preview sheets (see
`watch.py`), and `model.safetensors` (half precision; `best.safetensors` of the best). `toolkit.ui.TrainingView` shows
it while it goes on. On several GPUs: see `processes.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .recipe import Recipe, names

if TYPE_CHECKING:
    from .watch import Listen

__all__ = ["Recipe", "names", "train"]


def train(
    recipe: str | Path | Mapping[str, Any],
    *,
    data: str | Path | None = None,
    init: str | Path | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    settings: Iterable[str] | Mapping[str, Any] = (),
    device: str | None = None,
    progress: bool = True,
    listen: Listen | None = None,
) -> Path:
    """Train by a recipe; returns the file of the trained model (half precision, safetensors).

    recipe: a name (`names()`), a TOML file, or a mapping. data: a folder of clips to learn from, as `toolkit.prepare`
        makes one, see `clips.py` (None: puppets are drawn, where the recipe has no folder of its own).
    init: what to begin with: a model that `toolkit.load` takes ("mini-fomm", "fomm-vox", "runs/mine"), a configuration
        that the zoo has weights of ("vox-256"), or a run's checkpoint; None is the recipe's own, mostly nothing.
    output: the run's folder (None: runs/ and the recipe's name). It has the checkpoints, log, curves, previews and,
        from the first checkpoint on, the model: toolkit.load(output).
    resume: go on from the folder's last checkpoint, exactly as if it had never stopped.
    settings: changes of the recipe: {"stages.0.steps": 100}, or "stages.0.steps=100" and others in a list.
    device: None is the GPU if there is one. progress: print how far it is. listen: called with `watch.News` after each
        step; `toolkit.ui.TrainingView` listens.

    Ctrl-C (in a notebook: stop) ends it after its step, with a checkpoint and the model; a second one at once, without.
    Raises ConfigError for what is wrong with the recipe, InputError for clips, CheckpointError for weights, before the
    first step.
    """
    from .beginning import begun
    from .loop import Trainer

    checked = Recipe.load(recipe, settings)
    if data is not None:
        checked = dataclasses.replace(checked, clips=dataclasses.replace(checked.clips, folder=str(data)))
    folder = Path(output if output is not None else Path("runs") / checked.name).expanduser()
    first = init if init is not None else checked.init or None
    checked = begun(checked, first, folder if resume else None)
    return Trainer(checked, folder, device=device, progress=progress, listen=listen).run(resume=resume, init=first)

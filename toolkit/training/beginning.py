"""What a run begins with: trained weights, given as a name, a file or another run, and the model that they are of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..models import FAMILIES
from ..paths import expanded, is_file
from .checkpoints import RECIPE
from .recipe import Recipe

TAKEN = ("model", "crop", "drawn", "domain", "licence")  # of a recipe: what the weights that it begins with decide


def find(init: str | Path, task: str = "") -> Path:
    """The file that `init` stands for: a file, the folder of a run, whatever `toolkit.load` takes ("mini-fomm",
    "fomm-vox"; fetched if need be), or a configuration of the task's family that the zoo has weights of ("vox-256").
    Raises CheckpointError or FetchError.
    """
    from .. import zoo

    if is_file(init):
        return expanded(init)
    known, name = zoo.entries(), str(init)
    if name not in known:
        name = next((entry.name for entry in known.values() if (entry.model, entry.config) == (task, name)), name)
    return zoo.find(name)


def weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """{module: state dict} of a file of weights; of a run's checkpoint the averaged ones. What follows from a stage's
    size is left out. Raises CheckpointError.
    """
    from ..zoo import files
    from ..zoo.recognition import DERIVED

    if files.is_safetensors(path):
        from safetensors.torch import load_file

        content = load_file(str(path))
    else:
        content = files.read_torch(path)
        content = content.get("average", content) if isinstance(content, dict) else {}
    parts = files.parts_of(content)
    return {
        name: {key: tensor for key, tensor in part.items() if not f".{key}".endswith(DERIVED)}
        for name, part in parts.items()
    }


def fits(state: Mapping[str, Tensor], module: nn.Module) -> bool:
    """Whether a state dict has a module's keys and shapes."""
    shapes, wanted = ({key: value.shape for key, value in part.items()} for part in (state, module.state_dict()))
    return shapes == wanted


def begun(recipe: Recipe, init: str | Path | None, folder: Path | None = None) -> Recipe:
    """A recipe without a model of its own gets that of the weights it begins with, and with it the model's crop,
    domain and licence. folder: of a run that is resumed, which knows them already. Raises ConfigError without weights
    or with those of another family, InputError without clips.
    """
    if recipe.model or recipe.task not in FAMILIES:
        return recipe
    if folder is not None and (folder / RECIPE).is_file():
        return dataclasses.replace(recipe, **_noted(folder / RECIPE))
    if init is None:
        raise ConfigError(
            f"The recipe '{recipe.name}' has no model of its own: it goes on from trained weights.",
            "Say which: --init NAME, a file, or the folder of a run.",
        )
    if not recipe.clips.folder:
        raise InputError(f"The recipe '{recipe.name}' learns from clips.", "Say where they are: --data FOLDER.")
    from .. import zoo
    from .export import MODEL, plain

    path = find(init, recipe.task)
    animator = zoo.load(path.with_name(MODEL) if path.suffix == ".pt" and path.with_name(MODEL).is_file() else path)
    if animator.family != recipe.task:
        raise ConfigError(
            f"{init} is a model of the family {animator.family}; the recipe '{recipe.name}' trains {recipe.task}.",
            "Take the recipe of that family, or other weights.",
        )
    info = animator.info
    return dataclasses.replace(
        recipe,
        model={**plain(animator.config), "align_corners": animator.align_corners},
        crop=recipe.crop or info.crop,
        drawn=info.drawn,
        domain=recipe.domain or f"{info.domain}, fine-tuned".removeprefix(", "),
        licence=recipe.licence or info.licence,
    )


def _noted(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return {key: noted[key] for key in TAKEN}
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path} can't be read ({error}).", "Give the run as it was.") from None

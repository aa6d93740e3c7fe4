"""A trained model as one file for others: the toolkit's own (safetensors), or in the published layout."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError, OutputError
from ..paths import expanded, is_file, is_folder

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import Animator

OWN, PUBLISHED = (".safetensors",), (".pth.tar", ".pth", ".pt")
ZIPPED = ("tpsmm",)  # written by a torch that zips; the others' programs may be of a time before that
EPOCH = {"mraa": "epoch_reconstruction"}  # what the entry "epoch" is called there
MODEL = "model.safetensors"  # what a run keeps beside its checkpoints


def export(
    run: str | Path, output: str | Path, *, published: bool = False, half: bool = True, overwrite: bool = False
) -> Path:
    """Write a trained model as one file that `toolkit.load` takes; returns its path.

    run: a run's folder (its last checkpoint), a checkpoint in it (step-….pt), or whatever `toolkit.load` takes.
    published: in the layout of the published checkpoints (.pth.tar, .pth), full precision, for FOMM, MRAA and TPSMM:
    the published sections and keys, which the authors' programs read, and an entry "toolkit" with the configuration,
    which they pass over. Else one safetensors file (half: kernels in half precision). Raises OutputError for a file
    that is already there, ConfigError for a model that was not published in such a file.
    """
    from ..zoo import save

    path = _checked(output, PUBLISHED if published else OWN, overwrite)
    animator, facts, adversary = _read(expanded(run) if is_file(run) or is_folder(run) else run)
    if not published:
        return save(animator, path, half=half, **facts)
    _write_published(animator, facts, adversary, path)
    return path


def _checked(output: str | Path, endings: tuple[str, ...], overwrite: bool) -> Path:
    path = Path(output).expanduser()
    if not path.name.endswith(endings):
        raise OutputError(f"{path} has another ending.", f"Let it end in {' or '.join(endings)}.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError(f"{path} is already there.", "Give another name, or overwrite=True (--overwrite).")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} can't be made ({error.strerror}).", "Choose another folder.") from None
    return path


def _read(run: str | Path) -> tuple[Animator, dict[str, Any], dict[str, Any]]:
    """The model, what its file tells of its training, and its discriminator's state, where the run has one."""
    from .. import zoo
    from ..zoo.files import is_safetensors, read_metadata, read_torch

    run, checkpoint = _within(run)
    file = zoo.find(run)
    told = read_metadata(file) if is_safetensors(file) else {}
    facts = {key: told[key] for key in ("recipe", "steps", "zoo") if key in told}
    animator = zoo.load(run)
    if not checkpoint:
        return animator, facts, {}
    state = read_torch(checkpoint)
    _adopt(animator, state["average"], checkpoint)
    name = "discriminator."
    adversary = {key.removeprefix(name): value for key, value in state["average"].items() if key.startswith(name)}
    return animator, {**facts, "steps": int(state["step"])}, adversary


def _within(run: str | Path) -> tuple[str | Path, Path | None]:
    """A model's name or file, and the run's checkpoint that is newer or fuller, if there is one."""
    if not isinstance(run, Path):
        return run, None
    if run.is_dir():
        found = sorted(run.glob("step-*.pt"))
        return run, found[-1] if found and (run / MODEL).is_file() else None
    if run.name.startswith("step-") and run.suffix == ".pt":
        model = run.with_name(MODEL)
        if not model.is_file():
            raise CheckpointError(
                f"{model}, which tells what model {run.name} is of, is not there.",
                "Give a checkpoint where it lies in its run's folder.",
            )
        return model, run
    return run, None


def _adopt(animator: Animator, weights: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Put a run's averaged weights in, in full precision, as its trainer exports them."""
    from ..zoo.recognition import DERIVED

    own = animator.state_dict()
    kept = {key: tensor for key, tensor in weights.items() if key in own and not key.endswith(DERIVED)}
    lacking = [key for key in own if key not in kept and not key.endswith(DERIVED)]
    if lacking or any(kept[key].shape != own[key].shape for key in kept):
        raise CheckpointError(f"{checkpoint} is of another model than {MODEL} beside it.", "Give the run as it was.")
    animator.load_state_dict(kept, strict=False)
    path = checkpoint.with_name("recipe.json")
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        task, amount = recipe["task"], float(recipe.get("sharpen", 0))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} can't be read ({error}).", "Give the run as it was.") from None
    if amount:
        from .task import TASKS

        getattr(import_module(f".{task}", __package__), TASKS[task]).sharpen(animator, amount)


def _write_published(animator: Animator, facts: dict[str, Any], adversary: dict[str, Any], path: Path) -> None:
    import torch

    from ..zoo.weights import DESCRIPTION

    if animator.family not in ("fomm", "mraa", "tpsmm"):
        raise ConfigError(
            f"{animator.family} was not published in one file of sections.", "Leave published out: safetensors."
        )
    parts = {part: module for part in animator.parts if (module := getattr(animator, part)) is not None}
    content: dict[str, Any] = {part: _full(module.state_dict()) for part, module in parts.items()}
    if adversary:
        content["discriminator"] = _full(adversary)
    content[EPOCH.get(animator.family, "epoch")] = 0
    description = dataclasses.asdict(animator.info)
    content["toolkit"] = {
        "model": animator.family,
        "config": plain(animator.config),
        "align_corners": animator.align_corners,
        "info": {key: description[key] for key in DESCRIPTION},
        **facts,
    }
    part = path.with_name(path.name + ".part")
    try:
        torch.save(content, part, _use_new_zipfile_serialization=animator.family in ZIPPED)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path} can't be written ({error}).", "Choose another folder, or make room.") from None
    finally:
        part.unlink(missing_ok=True)


def _full(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict on the CPU, in full precision."""
    return {
        key: (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for key, tensor in state.items()
    }


def plain(value: Any) -> Any:
    """A configuration in plain dictionaries and lists, which load as weights do."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value

"""Weights: from a name or a file to a model that is ready to use, and back.

Published `.pth.tar` files, the toolkit's own `.safetensors` files, the small models that ship with it and the zoo's
names all come through `load`. A file is looked at before it is opened, opened as plain tensors only, and recognised by
the names and shapes in it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, OutputError
from ..models import FAMILIES
from ..models.base import Animator, Config, write_tensors
from ..models.config import merged
from ..paths import brief, expanded, is_file, is_folder, shipped, weights_folder
from . import catalogue, checks
from .download import fetch, guarded
from .files import Parts, is_safetensors, parts_of, read_metadata, read_safetensors, read_torch
from .recognition import DERIVED, differences, given, name_of, recognise

SHIPPED = {f"mini-{family}": f"checkpoints/mini/{family}.safetensors" for family in FAMILIES}
RUN = "model.safetensors"  # in the folder of a training run
DESCRIPTION = ("config", "size", "crop", "domain", "drawn", "licence")  # what a file tells of its model's Info


def load(
    name: str | Path,
    config: str | Config | None = None,
    align_corners: bool | None = None,
    device: str | torch.device = "cpu",
) -> Animator:
    """A trained model, in evaluation mode: load("mini-fomm"), load("tpsmm-vox"), load("path/vox-cpk.pth.tar").

    name: a model that ships with the toolkit, one of the zoo (fetched if it isn't here, see `toolkit.zoo.table`), the
    folder of a training run, or a file of weights, published or written by `save`; a file's bare name is looked for in
    the weights folder too. config: instead of what the file's shapes say: a published name, or the sections and values
    that differ ({"kp_detector": {"scale_factor": 0.125}, …} takes a network to 512 pixels). align_corners: how warps
    sample; None is what the weights were trained with. Raises CheckpointError for what can't be found, fetched or isn't
    usable, ConfigError for a configuration that doesn't exist.
    """
    path = find(name)
    parts, meta = read(path)
    family, found = recognise(path, parts, meta)
    kind = FAMILIES[family]
    if align_corners is None:
        align_corners = meta.get("align_corners", kind.trained_align_corners)
    known, note = (None, "") if "config" in meta else name_of(kind, found, path)
    if isinstance(config, str):
        (whole, known), note = kind.resolve(config), ""
    else:
        over = {} if config is None else kind.parts_of(config)
        whole = merged(kind.published.get(known, found), over)
    whole = {key: value for key, value in whole.items() if key not in kind.optional_parts or key in parts}
    animator = kind(whole, align_corners, name=known)
    if note:
        animator.info = dataclasses.replace(animator.info, domain=note)
    described = {key: value for key, value in meta.get("info", {}).items() if key in DESCRIPTION}
    animator.info = dataclasses.replace(animator.info, **described)
    _fill(animator, parts, path, found)
    return animator.to(device).eval()


def save(animator: Animator, path: str | Path, half: bool = True, **meta: Any) -> Path:
    """Write a model as one self-describing safetensors file, whole or not at all.

    half: kernels in half precision (biases, norms and their statistics stay float32). meta: JSON-able values to keep in
    the file; domain, drawn, licence, crop, size and config describe the model (`Info`). Raises OutputError.
    """
    state = {key: tensor for key, tensor in animator.state_dict().items() if not key.endswith(DERIVED)}
    if half:
        state = {key: _halved(tensor) for key, tensor in state.items()}
    info = {key: meta.pop(key, getattr(animator.info, key)) for key in DESCRIPTION}
    own = {
        "kind": "model",
        "model": animator.family,
        "config": animator.config,
        "align_corners": animator.align_corners,
        "info": info,
    }
    write_tensors(path, state, {**meta, **own})
    return Path(path)


def find(name: str | Path) -> Path:
    """The file that a name stands for; what the zoo has is fetched and converted first. Raises CheckpointError that
    lists the names, or the nearest file.
    """
    text = str(name)
    if text in SHIPPED:
        path = shipped(SHIPPED[text])
        if not path.is_file():
            raise CheckpointError(
                f"The model '{text}' is not here: {path} is missing.",
                f"Fetch the repository again, or train it: python -m toolkit train {text}.",
            )
        return path
    if text in catalogue.entries():
        return _converted(catalogue.entries()[text])
    candidates, said = [expanded(text), weights_folder() / text], brief(text, 300)
    for path in candidates:
        if is_file(path):
            return path
    for folder in filter(is_folder, candidates):
        of_parts = [folder / file for kind in FAMILIES.values() for file in kind.files.values()]
        if here := [path for path in (folder / RUN, *of_parts) if path.is_file()]:
            return here[0]
    if is_file(candidates[0] / "recipe.json"):
        raise CheckpointError(
            f"{text} is a run that has no model yet.",
            "It writes one with its first checkpoint: let it run, or resume it.",
        )
    if is_folder(candidates[0]):
        raise CheckpointError(f"{text} is a folder.", "Give the file of weights in it.")
    if len(Path(text).parts) == 1 and not re.search(r"\.(pth|tar|pt|ckpt|safetensors)$", text):
        names = [*SHIPPED, *(name for name, entry in catalogue.entries().items() if entry.model)]
        near = get_close_matches(text, names, 1, 0.5)
        raise CheckpointError(
            f"There is no model '{said}'.",
            (f"Did you mean '{near[0]}'? " if near else f"There is: {', '.join(names)}. ")
            + "Or give the path of a file of weights.",
        )
    beside = [path.name for path in candidates[0].parent.iterdir()] if is_folder(candidates[0].parent) else []
    near = get_close_matches(candidates[0].name, beside, 1)
    raise CheckpointError(
        f"There is no file {said}.",
        f"Did you mean {candidates[0].with_name(near[0])}?"
        if near
        else f"Check the path, or put it into {weights_folder()}.",
    )


def read(path: str | Path) -> tuple[Parts, dict[str, Any]]:
    """What is in a file of weights: {part: state dict} (discriminator too, where there is one) and the metadata of own
    files.

    Plain tensors only; code in a pickle is refused. Raises CheckpointError that says what the file is instead.
    """
    path = Path(path)
    if is_safetensors(path):
        return read_safetensors(path)
    content = read_torch(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds no weights but {type(content).__name__}.", "Give a checkpoint file of a model."
        )
    told = content.get("toolkit")  # of files that `training.export` wrote in the published layout
    told = dict(told) if isinstance(told, Mapping) and {"model", "config", "info"} <= told.keys() else {}
    return _together(path, content) or parts_of(content), told


def _together(path: Path, content: Mapping[str, Any]) -> Parts | None:
    """The parts of a model that was published in a file for each part: the given file's, and those of the files beside
    it. None where a file holds a whole model.
    """
    owner = {family: part for family, kind in FAMILIES.items() if (part := kind.part_of(content))}
    if not owner:
        return None
    ((family, own),) = owner.items()
    kind = FAMILIES[family]
    files = {part: path if part == own else path.with_name(file) for part, file in kind.files.items()}
    if lacking := [file.name for file in files.values() if not file.is_file()]:
        raise CheckpointError(
            f"{path} is one of {len(files)} files of {family.upper()}; {' and '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} missing.",
            f"Put {'it' if len(lacking) == 1 else 'them'} beside it, into {path.parent}, under that name.",
        )
    parts: Parts = {}
    for part, file in files.items():
        parts[part] = content if file == path else {} if is_safetensors(file) else read_torch(file)
        if kind.part_of(parts[part]) != part:
            raise CheckpointError(f"{file} doesn't hold the {part} of {family.upper()}.", "Download it again.")
    return parts


def _fill(animator: Animator, parts: Parts, path: Path, found: Config) -> None:
    """Put the weights in, or say what doesn't fit. found: the sections that the file is of."""
    tensors = given(animator, parts)
    if wrong := differences(animator, tensors):
        complaints = [str(wrong)] + [
            f"in the file '{part}.{name}' is {found[part][name]!r}, not {value!r}"
            for part in animator.parts
            for name, value in animator.config.get(part, {}).items()
            if found.get(part, {}).get(name, value) != value
        ]
        raise CheckpointError(
            f"{path} doesn't fit {animator.family} {animator.info.config} ({'; '.join(complaints)}).",
            "Leave config= out to go by the file's own shapes, or give the configuration that it was trained with.",
        )
    animator.load_state_dict({key: tensors[key] for key in animator.state_dict() if key in tensors}, strict=False)


def _halved(tensor: Tensor) -> Tensor:
    """Kernels in half precision, unless a value is beyond its range."""
    if tensor.dim() < 2 or not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor


# ---------------------------------------------------------------- models of the zoo


def _converted(entry: catalogue.Entry) -> Path:
    """A zoo model as one safetensors file without optimiser state, made once from the published files, and again when
    those have changed. Where it can't be written, the published file itself.
    """
    if not entry.model:
        raise CheckpointError(
            f"'{entry.name}' is no model but a helper's weights ({entry.purpose}).",
            f"toolkit.fetch('{entry.name}') gives the file.",
        )
    own = _own(entry)
    if _is_current(own):
        return own
    published = fetch(entry.name)
    try:
        with guarded(entry.folder):
            if not _is_current(own):  # another process may have just made it
                files = [published / file.name for file in entry.files] if published.is_dir() else [published]
                origin = [checks.trace(file) for file in files]
                save(load(published, entry.config or None), own, half=False, zoo=entry.name, origin=origin)
        return own
    except OutputError:
        return published


def is_converted(name: str) -> bool:
    """Whether a zoo model is here as the one file that `load` made of the published ones, and needs them no more."""
    return _is_current(_own(catalogue.entry(name)))


def _own(entry: catalogue.Entry) -> Path:
    return entry.folder / f"{entry.name}.safetensors"


def _is_current(own: Path) -> bool:
    """Whether a converted file is whole, and the published files that it was made from, if still there, the same."""
    try:
        return own.is_file() and all(map(checks.unchanged, read_metadata(own).get("origin", [])))
    except CheckpointError:
        return False

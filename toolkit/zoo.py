"""Weights: from a name or a file to a model that is ready to use, and back.

Published `.pth.tar` files, the toolkit's own `.safetensors` files and the small models that ship with it all come
through `load`. A file is looked at before it is opened, opened as plain tensors only, and recognised by the names and
shapes in it.
"""

from __future__ import annotations

import dataclasses
import re
import zipfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError, ConfigError
from .models import FAMILIES
from .models.base import Animator, Config, write_tensors
from .models.config import merged
from .paths import shipped, weights_folder

SHIPPED = {f"mini-{family}": f"checkpoints/mini/{family}.safetensors" for family in FAMILIES}
DERIVED = ("down.weight",)  # follows from the configuration
HARMLESS = ("num_batches_tracked",)  # counts that nothing reads
DESCRIPTION = ("config", "size", "crop", "domain", "drawn", "licence")  # what a file tells of its model's Info

Parts = dict[str, dict[str, Tensor]]


def load(
    name: str | Path,
    config: str | Config | None = None,
    align_corners: bool | None = None,
    device: str | torch.device = "cpu",
) -> Animator:
    """A trained model, in evaluation mode: load("mini-fomm"), load("path/vox-cpk.pth.tar").

    name: a model that ships with the toolkit, or a file of weights, published or written by `save`; a file's bare name
    is looked for in the weights folder too. config: instead of what the file's shapes say: a published name, or the
    sections and values that differ ({"kp_detector": {"scale_factor": 0.125}, …} takes a network to 512 pixels).
    align_corners: how warps sample; None is what the weights were trained with. Raises CheckpointError for what can't
    be found or isn't usable, ConfigError for a configuration that doesn't exist.
    """
    path = find(name)
    parts, meta = read(path)
    family, found = _recognise(path, parts, meta)
    kind = FAMILIES[family]
    if align_corners is None:
        align_corners = meta.get("align_corners", kind.trained_align_corners)
    known, note = (None, "") if "config" in meta else _name(kind, found, path)
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
    """The file that a name stands for. Raises CheckpointError that lists the names, or the nearest file."""
    text = str(name)
    if text in SHIPPED:
        path = shipped(SHIPPED[text])
        if not path.is_file():
            raise CheckpointError(
                f"The model '{text}' is not here: {path} is missing.",
                f"Fetch the repository again, or train it: python -m toolkit train {text}.",
            )
        return path
    candidates = [Path(text).expanduser(), weights_folder() / text]
    for path in candidates:
        if path.is_file():
            return path
    for folder in filter(Path.is_dir, candidates):
        of_parts = [folder / file for kind in FAMILIES.values() for file in kind.files.values()]
        if here := [path for path in of_parts if path.is_file()]:
            return here[0]
    if candidates[0].is_dir():
        raise CheckpointError(f"{text} is a folder.", "Give the file of weights in it.")
    if len(Path(text).parts) == 1 and not re.search(r"\.(pth|tar|pt|ckpt|safetensors)$", text):
        near = get_close_matches(text, SHIPPED, 1, 0.5)
        raise CheckpointError(
            f"There is no model '{text}'.",
            (f"Did you mean '{near[0]}'? " if near else f"There is: {', '.join(SHIPPED)}. ")
            + "Or give the path of a file of weights.",
        )
    beside = [path.name for path in candidates[0].parent.iterdir()] if candidates[0].parent.is_dir() else []
    near = get_close_matches(candidates[0].name, beside, 1)
    raise CheckpointError(
        f"There is no file {text}.",
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
    if _is_safetensors(path):
        return _read_own(path)
    content = _read_torch(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds no weights but {type(content).__name__}.", "Give a checkpoint file of a model."
        )
    return _together(path, content) or _parts(content), {}


# ---------------------------------------------------------------- what the file is


def _is_safetensors(path: Path) -> bool:
    """Look at the first bytes: True for safetensors, False for what torch.save writes, CheckpointError for all else."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}).", "Check the path and its permissions."
        ) from None
    again = "Download it again, in a browser if need be, and compare its size with what the page says."
    if not head:
        raise CheckpointError(f"{path} is empty.", again)
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not the weights.", "Run `git lfs pull`, or download the file itself."
        )
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        raise CheckpointError(
            f"{path} is a web page, not the weights: the download was refused or needs a click.", again
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return True
    if head.startswith(b"PK"):
        _check_zip(path, again)
        return False
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return False
    if head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        raise CheckpointError(f"{path} is an archive.", "Unpack it and give the file of weights inside.")
    if path.suffix == ".safetensors":
        raise CheckpointError(f"{path} is cut off or damaged.", again)
    raise CheckpointError(f"{path} is no file of weights.", "Give a .pth.tar or .safetensors file of a model.")


def _check_zip(path: Path, again: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.endswith("data.pkl") for entry in archive.namelist()):
                return
    except (zipfile.BadZipFile, OSError, ValueError):
        raise CheckpointError(f"{path} is cut off or damaged.", again) from None
    raise CheckpointError(f"{path} is an archive.", "Unpack it and give the file of weights inside.")


def _read_torch(path: Path) -> Any:
    import pickle
    import warnings

    try:
        with warnings.catch_warnings():  # on foreign pickles, which are refused below
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\w[\w.]*)", str(error))
        raise CheckpointError(
            f"{path} holds more than weights{f' ({code[1]})' if code else ''}: opening it could run a program.",
            "Get the weights from the authors' own page, or have them saved as safetensors.",
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises nearly anything on a file that ends too early
        raise CheckpointError(
            f"{path} is cut off or damaged ({str(error).splitlines()[0] if str(error) else type(error).__name__}).",
            "Download it again and compare its size with what the page says.",
        ) from None


def _read_own(path: Path) -> tuple[Parts, dict[str, Any]]:
    import json

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is cut off or damaged ({error}).", "Download or make it again.") from None
    try:
        meta = {key: json.loads(value) for key, value in meta.items()}
    except ValueError:
        meta = {}  # another program's notes
    if (kind := meta.get("kind", "model")) != "model":
        raise CheckpointError(f"{path} holds a {kind}, not a model.", f"Give it where a {kind} belongs.")
    return _parts(tensors), meta


def _parts(content: Mapping[str, Any]) -> Parts:
    """The state dicts in a file: nested ({"generator": {…}}, {"G_state_dict": {…}}) or flat ("generator.first…"),
    `module.` prefixes taken off.
    """
    parts: Parts = {}
    for key, value in content.items():
        key = str(key).removeprefix("module.").removesuffix("_state_dict")
        if isinstance(value, Tensor):
            part, _, rest = key.partition(".")
            parts.setdefault(part, {})[rest.removeprefix("module.")] = value
        elif isinstance(value, Mapping) and all(isinstance(tensor, Tensor) for tensor in value.values()):
            parts[key] = {str(name).removeprefix("module."): tensor for name, tensor in value.items()}
    return parts


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
        parts[part] = content if file == path else {} if _is_safetensors(file) else _read_torch(file)
        if kind.part_of(parts[part]) != part:
            raise CheckpointError(f"{file} doesn't hold the {part} of {family.upper()}.", "Download it again.")
    return parts


# ---------------------------------------------------------------- which model it is


def _recognise(path: Path, parts: Parts, meta: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The family, and the configuration from the metadata or the shapes."""
    if "model" in meta:
        if meta["model"] not in FAMILIES:
            raise CheckpointError(
                f"{path} is a '{meta['model']}' model, which this version doesn't have.", "Update the toolkit."
            )
        return meta["model"], meta["config"]
    for family, kind in FAMILIES.items():
        try:
            found = kind.recognise(parts)
        except (KeyError, IndexError, ConfigError) as error:
            missing = error.args[0] if isinstance(error, KeyError) else error
            raise CheckpointError(
                f"{path} looks like a {family.upper()} file but is incomplete ({missing}).", "Get the whole file."
            ) from None
        if found is not None:
            return family, found
    there = f"There is: {', '.join(FAMILIES)}."
    if any(tensor.dim() == 5 for tensor in parts.get("kp_detector", {}).values()):
        raise CheckpointError(f"{path} looks like a Monkey-Net file, a model that isn't there yet.", there)
    share, nearest = 0.0, ""
    for family, kind in FAMILIES.items():
        needed = [part for part in kind.parts if part not in kind.optional_parts]
        lacking = [part for part in needed if part not in parts]
        if 1 - len(lacking) / len(needed) > share:
            share = 1 - len(lacking) / len(needed)
            why = f"it lacks {' and '.join(lacking)}" if lacking else "the networks in it are others"
            nearest = f"{path} looks somewhat like a {family.upper()} file, but {why}."
    if nearest:
        raise CheckpointError(nearest, "Get the whole file.")
    has = ", ".join(sorted(parts)[:8]) or "no weights at all"
    raise CheckpointError(f"{path} is no model that the toolkit knows. It has: {has}.", there)


def _name(kind: type[Animator], config: Config, path: Path) -> tuple[str | None, str]:
    """The published configuration's name (by the file's name where several are alike), and a note where that can't be
    told. What the configuration lacks left no trace in the file.
    """

    def within(part: Any, whole: Any) -> bool:
        if not isinstance(part, Mapping) or not isinstance(whole, Mapping):
            return part == whole
        return all(key in whole and within(value, whole[key]) for key, value in part.items())

    alike = [name for name, other in kind.published.items() if within(config, kind.sections(other))]
    words = f"-{re.sub(r'[^a-z0-9]+', '-', path.name.lower())}-"
    named = [name for name in alike if f"-{re.sub(r'-?[0-9]+$', '', name)}-" in words or f"-{name}-" in words]
    if named:
        return max(named, key=len), ""
    alike = [name for name in alike if {*kind.published[name]} & {*kind.parts} == {*config}] or alike
    if len(alike) > 1:
        return alike[0], f"unknown: {', '.join(alike)} are built alike (config= tells which it is)"
    return (alike[0] if alike else None), ""


def _fill(animator: Animator, parts: Parts, path: Path, found: Config) -> None:
    """Put the weights in, or say what doesn't fit. found: the sections that the file is of."""
    own = animator.state_dict()
    given = {f"{part}.{key}": tensor for part in animator.parts for key, tensor in parts.get(part, {}).items()}
    missing = [key for key in own if key not in given and not key.endswith(DERIVED + HARMLESS)]
    unexpected = [key for key in given if key not in own and not key.endswith(DERIVED)]
    shapes = [
        f"{key} is {_shape(given[key])}, not {_shape(own[key])}"
        for key in own
        if key in given and given[key].shape != own[key].shape and not key.endswith(DERIVED)
    ]
    complaints = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if complaints:
        complaints += [
            f"in the file '{part}.{name}' is {found[part][name]!r}, not {value!r}"
            for part in animator.parts
            for name, value in animator.config.get(part, {}).items()
            if found.get(part, {}).get(name, value) != value
        ]
        raise CheckpointError(
            f"{path} doesn't fit {animator.family} {animator.info.config} ({'; '.join(complaints)}).",
            "Leave config= out to go by the file's own shapes, or give the configuration that it was trained with.",
        )
    animator.load_state_dict({key: given[key] for key in own if key in given}, strict=False)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _halved(tensor: Tensor) -> Tensor:
    """Kernels in half precision, unless a value is beyond its range."""
    if tensor.dim() < 2 or not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor

"""Which model a file of weights is of, and what of it fits: by the names and shapes of its tensors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, ConfigError
from ..models import FAMILIES
from ..models.base import Animator, Config
from .files import Parts

DERIVED = ("down.weight",)  # follows from the configuration
HARMLESS = ("num_batches_tracked",)  # counts that nothing reads


def recognise(path: Path, parts: Parts, meta: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The family, and the configuration from the metadata or the shapes. Raises CheckpointError that says what is
    nearest.
    """
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


def name_of(kind: type[Animator], config: Config, path: Path) -> tuple[str | None, str]:
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


@dataclasses.dataclass(frozen=True)
class Differences:
    """What keeps weights from fitting a model: names of tensors; shapes: {name: (the file's, the model's)}."""

    missing: list[str]
    unexpected: list[str]
    shapes: dict[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def __str__(self) -> str:
        shapes = [f"{key} is {theirs}, not {ours}" for key, (theirs, ours) in self.shapes.items()]
        told = (
            f"{len(self.missing)} missing: {_few(self.missing)}" if self.missing else "",
            f"{len(self.unexpected)} unexpected: {_few(self.unexpected)}" if self.unexpected else "",
            f"{len(shapes)} of another shape: {_few(shapes)}" if shapes else "",
        )
        return "; ".join(filter(None, told))


def _few(names: list[str]) -> str:
    return ", ".join([*names[:3], *(["…"] if len(names) > 3 else [])])


def given(animator: Animator, parts: Parts) -> dict[str, Tensor]:
    """The tensors of a file that belong to a model's parts, named as in its state dict."""
    return {f"{part}.{key}": tensor for part in animator.parts for key, tensor in parts.get(part, {}).items()}


def differences(animator: Animator, tensors: Mapping[str, Tensor]) -> Differences:
    """How a file's tensors (see `given`) differ from what the model wants. Devices don't matter, "meta" will do."""
    own = animator.state_dict()
    return Differences(
        missing=[key for key in own if key not in tensors and not key.endswith(DERIVED + HARMLESS)],
        unexpected=[key for key in tensors if key not in own and not key.endswith(DERIVED)],
        shapes={
            key: (_shape(tensors[key]), _shape(own[key]))
            for key in own
            if key in tensors and tensors[key].shape != own[key].shape and not key.endswith(DERIVED)
        },
    )


def nearest(parts: Parts) -> Animator | None:
    """The published model, without numbers, that has most tensors in common with a file; None if none has a tenth."""
    best, share = None, 0.1
    for kind in FAMILIES.values():
        if not any(part in parts for part in kind.parts):
            continue
        tried = []  # many differ in what training needs alone
        for name, config in kind.published.items():
            if (networks := [config.get(part) for part in kind.parts]) in tried:
                continue
            tried.append(networks)
            with torch.device("meta"):
                animator = kind(name)
            own, theirs = animator.state_dict(), given(animator, parts)
            common = sum(key in own and own[key].shape == tensor.shape for key, tensor in theirs.items())
            if common / len(own) > share:
                best, share = animator, common / len(own)
    return best


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"

"""What a file of weights is: model, configuration, what fits and what doesn't, and whether it would load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, ConfigError
from ..models import FAMILIES
from ..models.base import Animator
from ..paths import brief, expanded, is_file, is_folder
from ..translations import padded, translate
from . import checks
from .catalogue import Entry, File, entries
from .files import Parts
from .recognition import Differences, differences, given, name_of, nearest, recognise
from .weights import read

MOST = 20  # lines of a kind in the table


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    loads: whether `toolkit.load` would take it. zoo: the entry whose bytes these are, "" if of none. model, config:
    "" where that can't be told. wrong: how it differs from that model. why: what `load` would say.
    """

    path: Path
    size: int
    sha256: str
    loads: bool
    why: str = ""
    zoo: str = ""
    model: str = ""
    config: str = ""
    licence: str = ""
    wrong: Differences = Differences([], [], {})

    def __str__(self) -> str:
        said = [
            ("file", str(self.path)),
            ("size", f"{self.size:,} bytes"),
            ("sha256", self.sha256),
            ("zoo", self.zoo or "not the bytes of a published file whose hash is known"),
            ("model", f"{self.model} {self.config}".strip() or "not known"),
            ("licence", self.licence),
            ("loads", "yes" if self.loads else f"no: {self.why}"),
        ]
        lines = [f"{padded(translate(name), 8)}{translate(value)}" for name, value in said if value]
        rows = [
            *(("missing", key, "") for key in self.wrong.missing[:MOST]),
            *(("unexpected", key, "") for key in self.wrong.unexpected[:MOST]),
            *(
                ("other shape", key, f"{theirs}, not {ours}")
                for key, (theirs, ours) in list(self.wrong.shapes.items())[:MOST]
            ),
        ]
        if rows:
            width = max(len(key) for _, key, _ in rows)
            counts = (len(self.wrong.missing), len(self.wrong.unexpected), len(self.wrong.shapes))
            told = f"Tensors: {counts[0]} missing, {counts[1]} unexpected, {counts[2]} of another shape"
            lines += ["", translate(told)]
            rows = [(padded(translate(what), 12), key, translate(detail)) for what, key, detail in rows]
            lines += [f"  {what}{key:{width}}  {detail}".rstrip() for what, key, detail in rows]
            if sum(counts) > len(rows):
                lines.append("  " + translate(f"… and {sum(counts) - len(rows)} more"))
        return "\n".join(lines)


def verify(path: str | Path) -> Report:
    """Look at a checkpoint file (published, or written by `save`) without building it in full. Raises CheckpointError
    for a path that isn't there.
    """
    name, path = str(path), expanded(path)
    if is_folder(path):
        raise CheckpointError(f"{path} is a folder.", "Give a file of weights in it.")
    if not is_file(path) and name in entries():
        raise CheckpointError(
            f"There is no file {path}: that is a name of the zoo.",
            f"'python -m toolkit fetch {name}' gets its file, if it isn't here yet, and says where it is.",
        )
    if not is_file(path):
        raise CheckpointError(f"There is no file {brief(path, 300)}.", "Check the path.")
    sha256 = checks.digest(path)
    entry, file = _by_hash(path, sha256) or (None, None)
    zoo = entry.name if entry else ""
    if not entry:
        entry, file = _helper(path) or (None, None)
    facts = {"path": path, "size": path.stat().st_size, "sha256": sha256, "zoo": zoo}
    if entry and file and not entry.model:
        why = checks.wrong(path, entry, file)
        facts |= {"model": f"helper: {entry.purpose}", "licence": entry.weights}
        return Report(**facts, loads=not why, why=why and f"{path} {why}.")
    try:
        parts, meta = read(path)
    except CheckpointError as error:
        return Report(**facts, loads=False, why=f"{error}")
    try:
        animator, config = _bare(path, parts, meta, entry.config if entry else "")
        why = ""
    except (CheckpointError, ConfigError) as error:
        animator, why = nearest(parts), f"{error}"
        if animator is None:
            return Report(**facts, loads=False, why=why)
        config = f"{animator.info.config} (the nearest)"
    wrong = differences(animator, given(animator, parts))
    if wrong and not why:
        why = f"it doesn't fit ({wrong})."
    licence = meta.get("info", {}).get("licence", animator.info.licence)
    facts |= {"model": animator.family, "config": config, "licence": licence, "wrong": wrong}
    return Report(**facts, loads=not why, why=why)


def _bare(path: Path, parts: Parts, meta: dict[str, Any], config: str) -> tuple[Animator, str]:
    """The model that `load` would fill, without numbers, and its configuration in words. config: if it is known."""
    family, found = recognise(path, parts, meta)
    kind = FAMILIES[family]
    known, note = (config or None, "") if config or "config" in meta else name_of(kind, found, path)
    whole = kind.published.get(known, found)
    whole = {key: value for key, value in whole.items() if key not in kind.optional_parts or key in parts}
    with torch.device("meta"):
        animator = kind(whole, name=known or meta.get("info", {}).get("config"))
    return animator, f"{animator.info.config} ({note})" if note else animator.info.config


def _by_hash(path: Path, sha256: str) -> tuple[Entry, File] | None:
    """The published file whose bytes these are."""
    for entry in entries().values():
        for file in entry.files:
            if len(file.sha256) == 64 and file.sha256 == sha256:
                return entry, file
            if file.sha256 and file.name == path.name and sha256.startswith(file.sha256):
                return entry, file
            if file.md5 and file.name == path.name and file.md5 == checks.digest(path, "md5"):
                return entry, file
    return None


def _helper(path: Path) -> tuple[Entry, File] | None:
    """The helper that has a file of this name."""
    helpers = (entry for entry in entries().values() if not entry.model)
    return next(((entry, file) for entry in helpers for file in entry.files if file.name == path.name), None)

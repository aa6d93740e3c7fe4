"""The catalogue, `toolkit/zoo.toml`: every published checkpoint, where it is, how large, which hash, whose licence.

TOOLKIT_ZOO names a second file of the same layout, whose entries come on top: a course's own models, say.
"""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, ConfigError
from ..paths import PACKAGE, brief, torch_hub, weights_folder
from .mirrors import Mirror

ABOUT = 0.01  # how far a rounded size may be off
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class File:
    """One published file.

    name: exactly as published. size: in bytes; None where nobody states it; `exact` or rounded. sha256: whole or its
    first digits. md5: whole.
    """

    name: str
    size: int | None
    exact: bool
    sha256: str
    md5: str
    mirrors: tuple[Mirror, ...]

    @property
    def known(self) -> bool:
        """Whether somebody states a whole hash."""
        return len(self.sha256) == 64 or bool(self.md5)

    def fits(self, size: int) -> bool:
        """Whether a file may have so many bytes."""
        return not self.size or abs(size - self.size) <= (0 if self.exact else ABOUT * self.size)

    @property
    def amount(self) -> str:
        return amount(self.size)


@dataclass(frozen=True)
class Entry:
    """One thing to fetch.

    model, config: as for `toolkit.build`; both "" for helpers; no config: by the file's own shapes. purpose: what it is
    for, in a line. pixels: picture side (0: any). code, weights: licences. pages: where people can look or get it by
    hand. place: "torch" for files that other libraries look for in torch.hub's folder.
    """

    name: str
    model: str
    config: str
    purpose: str
    pixels: int
    code: str
    weights: str
    files: tuple[File, ...]
    pages: tuple[str, ...]
    place: str = ""

    @property
    def folder(self) -> Path:
        """Where its files belong, under their published names."""
        return torch_hub() if self.place == "torch" else weights_folder() / self.name

    @property
    def size(self) -> int | None:
        """Bytes to download; None where not all are known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(filter(None, sizes))


def amount(size: int | None) -> str:
    """A size in words."""
    if not size:
        return "size not stated"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def entries() -> Mapping[str, Entry]:
    """Every entry, by its name. Raises ConfigError for a TOOLKIT_ZOO that isn't one."""
    own = os.environ.get("TOOLKIT_ZOO", "")
    return {**_read(PACKAGE / "zoo.toml"), **(_read(Path(own).expanduser()) if own else {})}


def entry(name: str) -> Entry:
    """The entry of a name. Raises CheckpointError that suggests the nearest."""
    known = entries()
    if name not in known:
        near = get_close_matches(str(name), known, 1, 0.5)
        raise CheckpointError(
            f"The zoo has no '{brief(name)}'.",
            f"toolkit.load('{name}') needs no download: the small models ship with the toolkit."
            if str(name).startswith("mini-")
            else f"Did you mean '{near[0]}'?"
            if near
            else f"It has: {', '.join(known)}.",
        )
    return known[name]


@functools.lru_cache
def _read(path: Path) -> dict[str, Entry]:
    try:
        groups = tomllib.loads(path.read_text(encoding="utf-8"))
        return {entry.name: entry for group, shared in groups.items() for entry in _entries(group, shared)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else error
        raise ConfigError(
            f"{path} is no catalogue ({reason}).", "Look at toolkit/zoo.toml, or unset TOOLKIT_ZOO."
        ) from None


def _entries(group: str, shared: dict[str, Any]) -> list[Entry]:
    """A group [fomm] with what its entries [fomm.vox] have in common. Those of [helper] go by their bare names."""
    model = "" if group == "helper" else group
    made = []
    for key, own in shared.items():
        if not isinstance(own, dict):
            continue
        values = {**{name: value for name, value in shared.items() if not isinstance(value, dict)}, **own}
        common = [*(shared.get("mirrors", []) if own.get("shared_mirrors", True) else []), *own.get("mirrors", [])]
        files = tuple(_file(file, [*file.get("mirrors", []), *common]) for file in values["files"])
        made.append(
            Entry(
                name=f"{model}-{key}" if model else key,
                model=model,
                config=values.get("config", ""),
                purpose=values["for"],
                pixels=values.get("pixels", 0),
                code=values["code"],
                weights=values["weights"],
                files=files,
                pages=(*own.get("pages", []), *shared.get("pages", [])),
                place=values.get("place", ""),
            )
        )
    return made


def _file(file: Mapping[str, Any], mirrors: list[dict[str, str]]) -> File:
    size = file.get("size")
    return File(
        name=file["name"],
        size=_bytes(size) if isinstance(size, str) else size,
        exact=isinstance(size, int),
        sha256=file.get("sha256", ""),
        md5=file.get("md5", ""),
        mirrors=tuple(Mirror.of(mirror, file["name"]) for mirror in mirrors),
    )


def _bytes(text: str) -> int:
    if not (parts := re.fullmatch(r"([0-9.]+) (kB|MB|GB)", text)):
        raise ValueError(f"'{text}' is no size")
    return round(float(parts[1]) * UNITS[parts[2]])

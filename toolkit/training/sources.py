"""A folder of raw clips: which are there, whose they are, and what their chunks are called."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, InputError
from ..media.stills import pictures_in
from ..paths import brief, is_file, is_folder

RAW = (".mp4", ".mov", ".m4v", ".gif", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts")
RAW += (".3gp", ".ogv")
LONGEST = 80  # bytes of a part of a name: file systems take 255 for the whole


@dataclasses.dataclass(frozen=True)
class RawClip:
    """A clip as it was found. key: its path below the input. size: bytes. label: whose it is, as the user calls it (its
    key where nobody says so). identity, video: how that and the clip are called in the names of its chunks.
    """

    path: Path
    key: str
    size: int
    label: str
    identity: str = ""
    video: str = ""


def listed(folder: Path, pattern: str | None) -> list[RawClip]:
    """The clips of a folder and those below it, in order: files, and folders with nothing but pictures. A file alone is
    taken as well.

    pattern: a regular expression; what it finds in a clip's path (its first group, if it has one) is the identity.
    None: the sub-folder it lies in, or else the clip itself.
    Raises InputError where there are none, ConfigError for a pattern that finds nothing.
    """
    files = _files(folder)
    if not files:
        raise InputError(f"There is no clip in {folder}.", "Put clips (mp4, mov, …) or folders of frames there.")
    keys = {path: path.relative_to(folder if folder.is_dir() else folder.parent).as_posix() for path in files}
    return [RawClip(path, key, _size(path), _label(key, pattern)) for path, key in keys.items()]


def named(clips: Sequence[RawClip], known: Mapping[str, Mapping[str, Any]]) -> list[RawClip]:
    """With identities of which none begins with another (the published loaders search for files by prefix), and with
    videos of which an identity has each once. known: what clips were called before, {key: {label, identity, video}};
    they are called so again.
    """
    earlier = {line["label"]: line["identity"] for line in known.values()}
    plain = {clip.label: _plain(_stem(clip.path) if clip.label == clip.key else clip.label) for clip in clips}
    identities = earlier | _apart({label: plain[label] for label in plain if label not in earlier}, earlier.values())
    used: dict[str, set[str]] = defaultdict(set)
    for line in known.values():
        used[line["identity"]].add(line["video"])
    given = []
    for clip in clips:
        identity = identities[clip.label]
        if clip.key in known:
            video = known[clip.key]["video"]
        else:
            video = free(_plain(_stem(clip.path)), used[identity].__contains__)
            used[identity].add(video)
        given.append(dataclasses.replace(clip, identity=identity, video=video))
    return given


def _files(folder: Path) -> list[Path]:
    if is_file(folder):
        return [folder]
    if not is_folder(folder):
        raise InputError(
            f"There is no folder {brief(folder, 300)}.", "Check its name; a relative one starts in the current folder."
        )
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = [Path(place, name) for name in names if not name.startswith(".")]
        clips = [path for path in here if path.suffix.lower() in RAW]
        if clips:
            found += clips
        elif not folders and _pictures(Path(place)):
            found.append(Path(place))
    return sorted(found)


def _pictures(folder: Path) -> list[Path]:
    try:
        return pictures_in(folder)
    except InputError:
        return []


def _size(path: Path) -> int:
    total = 0
    for file in _pictures(path) if path.is_dir() else [path]:
        with contextlib.suppress(OSError):  # a link to nothing: reading it says so
            total += file.stat().st_size
    return total


def _label(key: str, pattern: str | None) -> str:
    if pattern is None:
        return key.split("/")[0]
    try:
        found = re.search(pattern, key)
    except re.error as error:
        raise ConfigError(f"The identity {pattern!r} is no regular expression: {error}.") from None
    label = found and (found[1] if found.re.groups else found[0])
    if not label:
        raise ConfigError(f"The identity {pattern!r} finds nothing in {key}.", "Change it, or rename the clip.")
    return label


# -- names -----------------------------------------------------------------------------------------------------------


def free(name: str, is_used: Callable[[str], bool]) -> str:
    """The name itself, or the first of name-2, name-3, … that is not used."""
    number, candidate = 1, name
    while is_used(candidate):
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _plain(text: str) -> str:
    """Without what means something in names of chunks, patterns and paths."""
    text = re.sub(r"[^\w.-]+", "_", text).strip("._-").encode()[:LONGEST].decode(errors="ignore")
    return text or "clip"


def _apart(wanted: Mapping[str, str], taken: Iterable[str]) -> dict[str, str]:
    """Names of which none is the beginning of another one, nor of one that is taken: {key: name}."""
    names, beginnings = Counter(), Counter()

    def count(name: str, by: int) -> None:
        names[name] += by
        beginnings.update({name[:end]: by for end in range(1, len(name) + 1)})

    def clashes(name: str) -> bool:
        return beginnings[name] > 0 or any(names[name[:end]] > 0 for end in range(1, len(name)))

    for name in (*taken, *wanted.values()):
        count(name.casefold(), 1)
    given = {}
    for key, name in wanted.items():
        count(name.casefold(), -1)
        candidates = (name, f"{name}_", *(f"{number}_{name}" for number in range(2, len(wanted) + len(names) + 3)))
        given[key] = next(candidate for candidate in candidates if not clashes(candidate.casefold()))
        count(given[key].casefold(), 1)
    return given

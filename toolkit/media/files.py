"""Files as they come and go: is this one usable at all, may that one be written, which name is free."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError, OutputError
from ..paths import brief, expanded

MARK = "Made by a machine: Living Pictures toolkit"
CLIP_ENDINGS = (".mp4", ".gif", ".webp")
SAVED = "Saved by the Living Pictures toolkit"  # for pictures that were only cropped or converted
LONGEST = 200  # bytes of a name, which most file systems can bear with what is added
ADDRESS = re.compile(r"(data|https?|ftp|blob):", re.IGNORECASE)


def check_input(path: str | os.PathLike, kind: str) -> Path:
    """Return the path if it is a file that may hold a `kind` ("picture", "clip", "sound").

    Raises InputError for what its name or its first bytes tell: an address, no name at all, missing, a folder, empty, a
    web page, a Git LFS pointer.
    """
    text, path = os.fspath(path), expanded(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a {kind}.", f"Name the {kind} in it.")
        if not path.exists():
            if ADDRESS.match(text):
                raise _no_file(text)
            raise InputError(
                f"There is no file {path}.", "Check its name; a relative one starts in the current folder."
            )
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        if ADDRESS.match(text):
            raise _no_file(text) from error
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{brief(text)} is too long for a file's name.", f"Give the path of a {kind}.") from error
        raise InputError(f"{path} cannot be opened: {error.strerror}.", "Check who may read it.") from error
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise InputError(f"{path} is empty.", "Its download or recording failed: get it again.")
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        raise InputError(f"{path} is a web page, not a {kind}.", "Open it in a browser and download the file itself.")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a Git LFS pointer, not the {kind} itself.", "Run git lfs pull in its repository.")
    return path


def _no_file(address: str) -> InputError:
    return InputError(f"{brief(address)} is an address, not a file.", "Download it, and give the file's path.")


def check_output(path: str | os.PathLike, overwrite: bool = False, endings: Sequence[str] = CLIP_ENDINGS) -> Path:
    """Return the path if a result with one of these endings may be written there; missing folders are made.

    A file that is already there is only replaced when it carries the toolkit's mark, or with overwrite=True.
    Raises OutputError with the reason.
    """
    path = expanded(path)
    if path.parts and path.parts[0].startswith("~"):
        raise OutputError(f"{path} cannot be written: nobody has that home folder.", "Choose another folder.")
    if path.suffix.lower() not in endings:
        named = f"ends in {brief(path.suffix)}" if path.suffix else "has no ending"
        raise OutputError(f"{brief(path, 300)} {named}.", f"Let it end in {', '.join(endings)}.")
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder.", f"Add a file name, such as {path / ('result' + endings[0])}.")
        if not overwrite and not made_here(path):
            raise OutputError(
                f"{path} is already there and was not made by the toolkit.",
                "Choose another name, or pass overwrite=True.",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = partial(path)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(f"{brief(path)} is too long for a file's name.", "Choose a shorter one.") from error
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error
    except ValueError as error:  # a zero byte
        raise OutputError(f"{path} cannot be written: {error}.", "Choose another name.") from error
    return path


def made_here(path: Path) -> bool:
    """Whether this may be replaced: nothing is there, or a file that carries the toolkit's mark."""
    if not path.exists():
        return not path.is_symlink()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(mark.encode()) >= 0 for mark in (MARK, SAVED))
    except (OSError, ValueError):  # unreadable, or empty
        return False


def free_name(path: str | os.PathLike) -> Path:
    """The path itself if nothing is there, else the first free one of name-2, name-3, …; a name that is too long for a
    file (it may be made of several) is cut.
    """
    path = Path(path)
    stem = path.stem
    while len(os.fsencode(stem + path.suffix)) > LONGEST and stem:
        stem = stem[:-1]
    number, candidate = 1, path if stem == path.stem else path.with_name(stem + path.suffix)
    while candidate.exists() or candidate.is_symlink():
        number += 1
        candidate = path.with_name(f"{stem}-{number}{path.suffix}")
    return candidate


def partial(path: Path) -> Path:
    """A hidden name beside the path for a file in the making: same folder, so that the renaming is atomic."""
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name; it becomes `path` when the block ends well and vanishes when it does not."""
    temporary = partial(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", "Is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)

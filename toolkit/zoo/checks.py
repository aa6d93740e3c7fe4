"""Whether a file is the one that was published: what kind it is, its size, its hash.

Where nobody states a hash, that of the first one used is recorded in `zoo.lock`, beside the weights (or where
TOOLKIT_LOCK says), in the layout of sha256sum. Commit it, and everybody who works with you gets the same bytes, or an
error.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OutputError
from ..paths import weights_folder
from . import files
from .catalogue import Entry, File

NOT_TENSORS = (".onnx", ".npy")  # helpers' files that no reader here opens


def wrong(path: Path, entry: Entry, file: File) -> str:
    """What is wrong with a file, in words that follow its name; "" if it is the published one. Raises CheckpointError
    where it can't be read.
    """
    kind = files.kind(path)
    if kind in files.WRONG and not (kind == "unknown" and is_other(file)):
        return _with_size(files.WRONG[kind][0], path, file)
    size = path.stat().st_size
    if file.size and not file.fits(size):
        short = "is cut off" if size < file.size else "is another file"
        return f"{short}: it has {size:,} bytes, not {'' if file.exact else 'about '}{file.size:,}"
    if file.md5 and digest(path, "md5") != file.md5:
        return f"is another file: its MD5 is not {file.md5}"
    sha256 = "" if file.md5 else digest(path)
    if not sha256.startswith(file.sha256):
        return f"is another file: its SHA-256 is {sha256}, not {file.sha256}{'…' if len(file.sha256) < 64 else ''}"
    if not file.known:
        recorded = pins().get(f"{entry.name}/{file.name}")
        if recorded and recorded != sha256:
            return (
                f"has changed since it was first used: its SHA-256 is {sha256}, {lock_file()} says {recorded} "
                "(take that line out if you trust the new one)"
            )
        if not recorded and not is_other(file):
            try:
                files.read_safetensors(path) if kind == "safetensors" else files.read_torch(path)
            except CheckpointError as error:
                return error.what.removeprefix(f"{path} ").rstrip(".")
    return ""


def is_other(file: File) -> bool:
    """Whether no reader here opens a file."""
    return file.name.endswith(NOT_TENSORS)


def _with_size(what: str, path: Path, file: File) -> str:
    size = path.stat().st_size
    return f"{what} ({size:,} bytes instead of {file.amount})" if file.size and size else what


def digest(path: Path, kind: str = "sha256") -> str:
    """A file's hash, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


# ---------------------------------------------------------------- zoo.lock


def lock_file() -> Path:
    """Where hashes are recorded."""
    return Path(os.environ.get("TOOLKIT_LOCK") or weights_folder() / "zoo.lock").expanduser()


def pins() -> dict[str, str]:
    """The recorded hashes: ENTRY/FILE -> SHA-256."""
    path = lock_file()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines) if name}


def pin(entry: Entry, file: File, path: Path) -> None:
    """Record the hash of a file that nobody states one of, unless there is one already. Raises OutputError."""
    from filelock import FileLock

    name, lock = f"{entry.name}/{file.name}", lock_file()
    if file.known or name in pins():
        return
    part = lock.with_name(f"{lock.name}.part")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock.with_name(f".{lock.name}.busy")):
            known = {**pins(), name: digest(path)}
            part.write_text("".join(f"{known[name]}  {name}\n" for name in sorted(known)), encoding="utf-8")
            part.replace(lock)
    except OSError as error:
        raise OutputError(
            f"{lock} can't be written ({error.strerror}).", "Set TOOLKIT_LOCK to a file that can be."
        ) from None


# ---------------------------------------------------------------- what a converted file was made from


def trace(path: Path) -> dict[str, Any]:
    """What tells later whether a file is still the same."""
    stat = path.stat()
    return {"path": str(path.resolve()), "size": stat.st_size, "time": stat.st_mtime_ns, "sha256": digest(path)}


def unchanged(origin: dict[str, Any]) -> bool:
    """Whether the file of a trace is still the same, or gone."""
    path = Path(origin["path"])
    try:
        stat = path.stat()
    except OSError:
        return True
    if stat.st_size != origin["size"]:
        return False
    return stat.st_mtime_ns == origin["time"] or digest(path) == origin["sha256"]

"""Fetching weights: found where people put them, or downloaded from the first mirror that gives the right bytes.

Nothing wrong is ever under a final name: a download lies under a temporary one until its kind, size and hash are
right. What was cut off is continued, also by the next run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import CheckpointError, FetchError, OutputError
from ..progress import Progress, Report
from . import catalogue, checks, drive, files, search, transfer
from .catalogue import Entry, File
from .mirrors import Mirror, in_order, part_name
from .transfer import Failed

PAUSES = (1.0, 3.0)  # seconds before the same mirror is asked again
GAIN = 1e6  # bytes below which an answer that broke off brought nothing
MARGIN = 20e6  # bytes of disk to leave free
UNREACHED = 2  # so many hosts without an address or a way to them mean that there is no network


def fetch(name: str, progress: bool | Report = True, timeout: float = 20.0) -> Path:
    """The checked file of a zoo entry, downloaded if it isn't here: fetch("tpsmm-vox"). The folder, where it has
    several.

    What lies in the weights folder or among the platform's mounted data is used as it is. progress: a bar, nothing, or
    a function f(label, done, total). timeout: seconds without a byte until the next mirror is tried. Raises FetchError
    with mirrors, file and folder, OutputError where it can't be written, CheckpointError for an unknown name.
    """
    entry = catalogue.entry(name)
    with Progress(progress) as show:
        here = _here(entry, show)
        missing = [file for file in entry.files if file.name not in here]
        if missing:
            with guarded(entry.folder, show):
                here |= _from(entry, entry.folder)  # another process may have brought them meanwhile
                for file in missing:
                    if file.name not in here:
                        _download(entry, file, show, timeout)
                        here |= _from(entry, entry.folder)
        folders = {path.parent for path in here.values()}
        if len(folders) > 1:  # the files of one model belong together
            with guarded(entry.folder, show):
                _gather(entry, here)
            folders = {entry.folder}
        (folder,) = folders
        try:
            for file in entry.files:
                checks.pin(entry, file, folder / file.name)
        except OutputError as error:  # what is mounted can be used all the same
            show.say(str(error))
    return folder if len(entry.files) > 1 else folder / entry.files[0].name


# ---------------------------------------------------------------- what is here


def _here(entry: Entry, show: Progress) -> dict[str, Path]:
    """The files of an entry that are here and right: file name -> path. Raises FetchError for a wrong one in the place
    where it belongs.
    """
    copies = search.copies([file.name for file in entry.files], entry.folder)
    here = {}
    for file in entry.files:
        for path in copies[file.name]:
            try:
                why = checks.wrong(path, entry, file)
            except CheckpointError as error:  # not for us to read
                why = error.what.removeprefix(f"{path} ").rstrip(".")
            if not why:
                here[file.name] = path
                break
            if path.parent == entry.folder:
                raise FetchError(
                    f"{path} {why}.",
                    f"Delete it and fetch '{entry.name}' again. Or load it by its path, if you trust it.",
                )
            show.say(f"Not used for '{entry.name}': {path} {why}.")
    return here


def _from(entry: Entry, folder: Path) -> dict[str, Path]:
    paths = {file.name: folder / file.name for file in entry.files}
    return {name: path for name, path in paths.items() if path.is_file()}


def _gather(entry: Entry, here: dict[str, Path]) -> None:
    """Copy the files that lie elsewhere into the entry's folder."""
    for name, path in here.items():
        final = entry.folder / name
        if not final.is_file():
            part = entry.folder / f"{name}.copy.part"
            with _writing(part):
                shutil.copyfile(path, part)
                part.replace(final)


# ---------------------------------------------------------------- downloads


@contextlib.contextmanager
def guarded(folder: Path, show: Progress | None = None) -> Iterator[None]:
    """One process at a time works in a folder; the system frees it when a process dies. Raises OutputError where the
    folder can't be written.
    """
    from filelock import FileLock, Timeout

    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock = FileLock(folder / ".busy")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if show:
                show.say(f"Another process works in {folder}: waiting for it.")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota
        raise OutputError(
            f"{path} can't be written ({error.strerror or error}).",
            "Make room, and say it again: it goes on where it stopped."
            if full
            else "Set TOOLKIT_WEIGHTS to a folder that can be.",
        ) from None


def _download(entry: Entry, file: File, show: Progress, timeout: float) -> None:
    """Bring one file under its final name, from the first mirror that has the right one."""
    folder, final = entry.folder, entry.folder / file.name
    mirrors = in_order(file.mirrors, entry.name, file.name)
    _check_room(folder, file, mirrors)
    refused: list[tuple[Mirror, str]] = []
    unreached: set[str] = set()
    for mirror in mirrors:
        part = folder / part_name(mirror, file.name)
        try:
            with _writing(final):
                _receive(mirror, file, part, show, timeout)
                show.close()
                _accept(entry, part, final)
            _clean(folder, f"{file.name}.*")  # what other mirrors left half-done too
            return
        except Failed as failed:
            show.close()
            refused.append((mirror, str(failed)))
            show.say(f"{mirror}: {failed}." + (" Trying the next mirror." if mirror != mirrors[-1] else ""))
            if failed.unreachable:
                unreached.add(mirror.kind if mirror.kind != "https" else str(mirror))
            if len(unreached) >= UNREACHED and len(unreached) == len(refused):
                break  # no network: the others wouldn't answer either
    raise _nowhere(entry, file, mirrors, refused, bool(unreached) and len(unreached) == len(refused))


def _receive(mirror: Mirror, file: File, part: Path, show: Progress, timeout: float) -> None:
    """All of a file from one mirror, asked again after short pauses as long as that may help."""
    show.start(f"{file.name} ({mirror})", file.size, unit="B", done=_size(part))

    def once() -> None:
        if mirror.kind in ("gdrive", "gdrive_folder"):
            member = mirror.path if mirror.kind == "gdrive_folder" else ""
            drive.receive(mirror.at, part, timeout, member, show.reach)
        else:
            url, headers = mirror.link(timeout, file.sha256, file.size)
            transfer.receive(url, part, timeout, headers, show.reach)

    persist(part, once)


def persist(part: Path, receive: Callable[[], None]) -> None:
    """Call `receive`, which goes on with the file `part`, again after short pauses as long as that may help. Raises
    Failed.
    """
    fruitless = 0
    while True:
        before = _size(part)
        try:
            return receive()
        except Failed as failed:
            fruitless = 0 if _size(part) >= before + GAIN else fruitless + 1
            if not failed.again or fruitless > len(PAUSES):
                raise
            time.sleep(PAUSES[fruitless - 1] if fruitless else 0)


def _accept(entry: Entry, part: Path, final: Path) -> None:
    """A download that is what was published gets its final name; from a zip that a drive made, every file of the entry
    that is in it. Anything else is removed. Raises Failed.
    """
    file = next(file for file in entry.files if file.name == final.name)
    try:
        why = _unpack(entry, part, final) if files.kind(part) == "zip archive" else checks.wrong(part, entry, file)
        if not final.is_file() and not why:
            part.replace(final)
    except CheckpointError as error:
        why = error.what
    if why:
        _clean(final.parent, part.name.removesuffix(".part"))
        raise Failed(f"what came {why}")


def _unpack(entry: Entry, archive: Path, final: Path) -> str:
    """What is wrong with the file of that name in a zip; "" if it is right, and then it is in its place."""
    why = "is a zip made by the drive, without the file in it"
    with zipfile.ZipFile(archive) as content:
        members = {Path(name).name: name for name in content.namelist()}
        for file in entry.files:
            place = final.with_name(file.name)
            if file.name not in members or place.is_file():
                continue
            part = place.with_name(f"{file.name}.unpacked.part")
            try:
                with content.open(members[file.name]) as inside, part.open("wb") as out:
                    shutil.copyfileobj(inside, out)
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
                part.unlink()
                return "is a damaged zip, or one with a password"
            found = checks.wrong(part, entry, file)
            if not found:
                part.replace(place)
            part.unlink(missing_ok=True)
            if place == final:
                why = f"is a zip, and the file in it {found}" if found else ""
    return why


def _clean(folder: Path, stem: str) -> None:
    """Remove temporary files, and what is noted beside them."""
    for left in (path for ending in ("", ".json", ".gdown") for path in folder.glob(f"{stem}.part{ending}")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _check_room(folder: Path, file: File, mirrors: list[Mirror]) -> None:
    """Raises OutputError where the disk is too full, as far as the size is known."""
    begun = max((_size(folder / part_name(mirror, file.name)) for mirror in mirrors), default=0)
    needed, free = (file.size or 0) - begun + MARGIN, shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{file.name} needs {needed / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB left.",
            "Make room, or set TOOLKIT_WEIGHTS to a folder on another disk.",
        )


def _nowhere(
    entry: Entry, file: File, mirrors: list[Mirror], refused: list[tuple[Mirror, str]], offline: bool
) -> FetchError:
    """What to say when no mirror gave a file: why, and how to get it by hand."""
    if not mirrors:
        what = f"Nobody is known to host {file.name} of '{entry.name}'."
    elif offline:
        tried = ", ".join(str(mirror) for mirror, _ in refused)
        what = f"'{entry.name}' can't be fetched: there is no network, or it doesn't let through to {tried}."
    else:
        reasons = (f"\n  - {mirror}: {why}" for mirror, why in refused)
        what = "".join([f"'{entry.name}' can't be fetched: no mirror gave {file.name}.", *reasons])
    pages = dict.fromkeys([*(mirror.page for mirror in mirrors), *entry.pages])
    by_hand = f"Get {file.name} ({file.amount}) with a browser, and put it under that name into {entry.folder}."
    return FetchError(what, by_hand + "".join(f"\n  - {page}" for page in pages))

"""A picture or a clip that is given by its address: fetched into the folder of uploads, and looked at first."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from .. import media
from ..errors import InputError, OutputError
from ..media.files import brief, partial
from ..progress import Report
from .receive import MARGIN, tame
from .words import Words

LIMIT = 500_000_000  # bytes; what is larger is no clip for a studio
TIMEOUT = 20.0  # seconds without a byte
KEPT = "/%:@!$&'()*+,;=~?"  # letters of an address that have a meaning, or are written as they are


def is_address(text: str) -> bool:
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def fetch(address: str, folder: Path, check: Callable[[Path], object], words: Words, report: Report) -> Path:
    """Bring what is at an http(s) address, and return its file: under the name that it has there, or a free one like
    it.

    Until all of it is here and `check(path)` bears it, it lies under a hidden name; nothing is left of it after an
    error, or where report(label, bytes, bytes in all) raises. What breaks off goes on where it stopped. Raises
    InputError where it can't be had, is too large (LIMIT) or is not what `check` wants; OutputError where it can't be
    kept.
    """
    from ..zoo import download, transfer

    where = _written(address)
    name = tame(unquote(urlsplit(where).path))
    part = partial(folder / name)

    def tell(here: int, total: int | None) -> None:
        if max(here, total or 0) > LIMIT:
            raise InputError(
                f"{brief(address)} is larger than {LIMIT // 1_000_000} MB.",
                "Cut the part that you want out of it, or download it yourself and give the file's path.",
            )
        if (total or 0) - here + MARGIN > shutil.disk_usage(folder).free:
            raise OutputError(words("upload no room", name=name), words("upload no room remedy"))
        report(name, here, total)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        report(name, 0, None)
        download.persist(part, lambda: transfer.receive(where, part, TIMEOUT, tell=tell))
        check(part)
        path = media.free_name(folder / name)
        os.replace(part, path)
    except transfer.Failed as failed:
        raise InputError(
            f"{brief(address)} can't be fetched: {failed}.",
            "Try it in a browser; or download the file there, and upload it.",
        ) from None
    except InputError as error:  # of what came, which nobody knows under its hidden name
        raise InputError(error.what.replace(str(part), brief(address)), error.remedy) from None
    except OSError as error:
        why = words("upload failed", name=name, why=error.strerror or error)
        raise OutputError(why, words("upload failed remedy", folder=folder)) from None
    finally:
        for left in (part, part.with_name(f"{part.name}.json")):
            left.unlink(missing_ok=True)
    return path


def _written(address: str) -> str:
    """An address as servers want it: letters beyond ASCII in percent signs, no fragment. Raises InputError."""
    try:
        scheme, place, path, query, _ = urlsplit(address)
        if not place.isascii():
            place = place.encode("idna").decode("ascii")
    except ValueError:
        raise InputError(f"{brief(address)} is no address that can be fetched.", "Copy it once more.") from None
    return urlunsplit((scheme, place, quote(path, KEPT), quote(query, KEPT), ""))

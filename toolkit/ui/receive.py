"""The kernel's half of the sliced upload: slices of a file come in, and the file appears when it is whole."""

from __future__ import annotations

import os
import shutil
import weakref
from pathlib import Path
from typing import BinaryIO

from .. import media
from ..errors import OutputError
from ..media.files import partial
from .words import Words

MARGIN = 20_000_000  # bytes of disk to leave free
LONGEST = 200  # bytes of a name, which most file systems can bear with what is added


class Receiver:
    """One file that comes in slices, in order. It lies under a hidden name until all of it is here and its size is
    right; after `cancel`, or an error, nothing is left of it.

    name: as the browser calls it; of a path only the last part counts. size: bytes. folder: where it shall be. A file
    of that name that is there already stays (the new one is called name-2). Raises OutputError where it can't be kept.
    """

    def __init__(self, name: str, size: int, folder: str | os.PathLike, words: Words | None = None) -> None:
        self.name, self.size, self.here = tame(name), size, 0
        self.path: Path | None = None  # once all of it is here
        self._words, self._folder = words or Words(), Path(folder).expanduser()
        if size == 0:
            raise self._refusal("upload empty", "upload empty remedy")
        self._part = partial(self._folder / self.name)
        self._file: BinaryIO | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free < size + MARGIN:
                raise self._refusal("upload no room", "upload no room remedy")
            self._file = self._part.open("xb")
            weakref.finalize(self, self._part.unlink, missing_ok=True)  # also when the kernel ends in the middle
        except OSError as error:
            raise self._failed(error) from None

    def take(self, begin: int, content: bytes) -> bool:
        """Add a slice that begins at that byte; whether the file is whole now. A slice that doesn't go on where the
        last one ended (it was sent twice) is left out.
        """
        if self._file is None or begin != self.here:
            return self.path is not None
        try:
            if self.here + len(content) > self.size:
                raise self._refusal("upload changed", "upload changed remedy")
            self._file.write(content)
            self.here += len(content)
            if self.here < self.size:
                return False
            self._file.close()
            if self._part.stat().st_size != self.size:
                raise self._refusal("upload changed", "upload changed remedy")
            path = media.free_name(self._folder / self.name)
            os.replace(self._part, path)
        except OSError as error:
            raise self._failed(error) from None
        except OutputError:
            self.cancel()
            raise
        self._file, self.path = None, path
        return True

    def cancel(self) -> None:
        """Stop, and leave nothing behind. Harmless when repeated, or once the file is whole."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._part.unlink(missing_ok=True)

    def _refusal(self, key: str, remedy: str) -> OutputError:
        return OutputError(self._words(key, name=self.name), self._words(remedy))

    def _failed(self, error: OSError) -> OutputError:
        self.cancel()
        return OutputError(
            self._words("upload failed", name=self.name, why=error.strerror or error),
            self._words("upload failed remedy", folder=self._folder),
        )


def tame(name: str) -> str:
    """A name for a file from what a browser says: no folders, no control characters, neither hidden nor too long."""
    last = Path(name.replace("\\", "/")).name
    last = "".join(letter for letter in last if letter.isprintable() and letter not in '<>:"|?*').strip(" .")
    stem, suffix = os.path.splitext(last)
    while len((stem + suffix).encode()) > LONGEST:
        stem, suffix = (stem[:-1], suffix) if stem else (stem, suffix[:-1])
    return (stem + suffix) or "upload"

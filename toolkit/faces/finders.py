"""Who finds faces: one small interface, and which of its backends serves on a picture.

"auto" asks in this order, and the first that sees a face serves: the perception network that ships (drawn heads),
face-alignment (people; when its weights are here), scikit-image's frontal-face cascade (people, boxes only).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .. import zoo
from ..errors import ConfigError, ToolkitError
from .face import Face

LANDMARKS, DETECTOR = "face-landmarks", "face-detector"  # the zoo's names of face-alignment's weights
SURE = 0.75  # score of a face from which nobody else is asked
FETCH = f"python -m toolkit fetch {LANDMARKS}"


class Finder(Protocol):
    """name: which backend it is. sees: in words, what it knows."""

    name: str
    sees: str

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """uint8 T x H x W x 3 -> the faces of each frame, each face once, in no order."""
        ...


class Auto:
    """Asks one finder after the other, and stays with the first that is sure to see a face: `serving`, None until then.
    If none is sure (the network for drawn heads half believes in people), the first that saw one serves.

    backends: their names, in order. tried: name -> what came of it, in words.
    """

    name = "auto"
    sees = "drawn heads, people"

    def __init__(self, backends: Sequence[str] = ()) -> None:
        self._backends = backends or tuple(BACKENDS)
        self.tried: dict[str, str] = {}
        self.serving: Finder | None = None

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        if self.serving is not None:
            return self.serving(frames)
        unsure: tuple[Finder, list[list[Face]]] | None = None
        for name in self._backends:
            if not (finder := self._made(name)):
                continue
            found = finder(frames)
            score = max((face.score for faces in found for face in faces), default=0.0)
            if score >= SURE:
                self.serving = finder
                return found
            self.tried[name] = f"{'was not sure' if score else 'saw no face'} (it knows {finder.sees})"
            if score and unsure is None:
                unsure = finder, found
        self.serving, found = unsure or (None, [[] for _ in frames])
        return found

    def _made(self, name: str) -> Finder | None:
        """The backend if it can serve at once; else the reason goes into `tried`."""
        if name == "face-alignment" and not is_here(LANDMARKS):
            self.tried[name] = f"has no weights here ({FETCH})"
            return None
        try:
            return choose(name)
        except ToolkitError as error:
            self.tried[name] = f"can't serve: {error.what}"
            return None


def choose(backend: str | Finder = "auto") -> Finder:
    """The finder of a name: "auto", "perception", "face-alignment" (its landmark weights are fetched if they aren't
    here) or "cascade". What can be called already is a finder, and is handed back.

    Raises ConfigError for another name, InputError where a library is missing, FetchError where weights can't be had.
    """
    if callable(backend):
        return backend
    if backend == "auto":
        return Auto()
    if backend not in BACKENDS:
        raise ConfigError(f"There is no face finder {backend!r}.", f"Choose auto, {', '.join(BACKENDS)}.")
    return BACKENDS[backend]()


def tried(finder: Finder) -> str:
    """What was asked and what came of it, in words."""
    if isinstance(finder, Auto):
        seldom = {finder.serving.name: "saw one too seldom to be sure"} if finder.serving else {}
        return "; ".join(f"{name} {what}" for name, what in {**finder.tried, **seldom}.items())
    return f"{name_of(finder)} saw no face"


def advice(finder: Finder) -> str:
    """What would find faces better than the finder that served, and how to have it; "" if nothing would."""
    if name_of(finder) != "cascade":
        return ""
    return (
        "The cascade gives boxes only, and only of faces that look at the camera. For landmarks, and for faces that "
        f"are turned, fetch face-alignment's weights: {FETCH}."
    )


def name_of(finder: Finder) -> str:
    """Who serves, in a word; also for a plain function."""
    serving = finder.serving if isinstance(finder, Auto) else None
    return getattr(serving or finder, "name", None) or getattr(finder, "__name__", "the given finder")


def is_here(name: str) -> bool:
    """Whether the files of a zoo entry are on this machine, by their names and sizes alone."""
    entry = zoo.entry(name)
    if all((entry.folder / file.name).is_file() for file in entry.files):
        return True
    return _is_mounted(name)


@functools.cache
def _is_mounted(name: str) -> bool:
    """The same, on the platform's mounted folders as well: slow, so it is asked once."""
    from ..zoo.search import copies

    entry = zoo.entry(name)
    found = copies([file.name for file in entry.files], entry.folder)
    return all(any(file.fits(path.stat().st_size) for path in found[file.name]) for file in entry.files)


# -- the backends: each is made once, when it is first asked for -----------------------------------------------------


@functools.cache
def _perception() -> Any:
    from .drawn import Drawn

    return Drawn()


@functools.cache
def _alignment() -> Any:
    from .alignment import Alignment

    return Alignment()


@functools.cache
def _cascade() -> Any:
    from .cascade import Cascade

    return Cascade()


BACKENDS: dict[str, Callable[[], Finder]] = {
    "perception": _perception,
    "face-alignment": _alignment,
    "cascade": _cascade,
}

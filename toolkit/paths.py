"""Where things are: what ships with the toolkit, where results, uploads and downloaded weights go; and whether there is
something where somebody says.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import InputError
from .platform import here

PACKAGE = Path(__file__).resolve().parent


def shipped(relative: str) -> Path:
    """A file or folder that ships with the toolkit ("checkpoints/mini/fomm.safetensors", "samples"): in a clone it lies
    beside the package, in an installation inside it. The path is returned whether or not it is there.
    """
    beside = PACKAGE.parent / relative
    inside = PACKAGE / "shipped" / relative
    return inside if inside.exists() or not (PACKAGE.parent / "pyproject.toml").exists() else beside


def weights_folder() -> Path:
    """Where downloaded weights are kept: TOOLKIT_WEIGHTS, or a clone's checkpoints/, or the user's cache if that can't
    be written; on a platform whose folder for keeping things the clone is not in, living-pictures/checkpoints there.
    """
    if chosen := os.environ.get("TOOLKIT_WEIGHTS"):
        return Path(chosen).expanduser()
    if (home := here().home) is not None and not PACKAGE.is_relative_to(home.resolve()):
        return home / "living-pictures" / "checkpoints"
    beside = PACKAGE.parent / "checkpoints"
    if (PACKAGE.parent / "pyproject.toml").exists() and os.access(
        beside if beside.exists() else beside.parent, os.W_OK
    ):
        return beside
    return _user_cache() / "living-pictures"


def results_folder() -> Path:
    """Where results go that are not told where: results/ in the working folder; on a platform that forgets it,
    living-pictures/results in the folder that it keeps, if the working folder is not within that.
    """
    return _working() / "results"


def uploads_folder() -> Path:
    """Where files go that a browser sends: uploads/, beside the results."""
    return _working() / "uploads"


def _working() -> Path:
    found = here()
    if found.forgets and found.home is not None and not Path.cwd().is_relative_to(found.home.resolve()):
        return found.home / "living-pictures"
    return Path()


def torch_hub() -> Path:
    """Where torch.hub, and with it face-alignment, looks for downloaded weights."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def sample(name: str) -> Path:
    """A sample that ships with the toolkit: sample("picture.png"). Raises InputError that lists them."""
    path = shipped("samples") / name
    if not is_file(path):
        there = sorted(file.name for file in path.parent.glob("*.*")) if is_folder(path.parent) else []
        raise InputError(
            f"There is no sample '{brief(name)}'.", f"There is: {', '.join(there)}." if there else "Make them first."
        )
    return path


def is_sample(path: str | Path) -> bool:
    """Whether a file is one of the toolkit's own samples."""
    return Path(path).resolve().parent == shipped("samples").resolve()


def expanded(path: str | os.PathLike) -> Path:
    """The path with ~ filled in. That of a user whom nobody knows is a name like any other."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: str | os.PathLike) -> bool:
    """Whether it is a file; what can't be looked at (a name may be too long for one) is none."""
    try:
        return expanded(path).is_file()
    except OSError:
        return False


def is_folder(path: str | os.PathLike) -> bool:
    """Whether it is a folder; what can't be looked at is none."""
    try:
        return expanded(path).is_dir()
    except OSError:
        return False


def brief(text: str | os.PathLike, most: int = 60) -> str:
    """The beginning of a long text that somebody took for a path."""
    text = os.fspath(text)
    return text if len(text) <= most else f"{text[:most]}…"

"""Files that people put or mounted: the weights folder, Colab's Drive, Kaggle's, OpenBayes' and AutoDL's inputs.

TOOLKIT_MOUNTS is the root that the platforms' folders are looked for under, "/" unless set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..paths import torch_hub, weights_folder

PLACES = (  # on the platforms, every spelling that was in use
    "content/drive/MyDrive",
    "content/drive/My Drive",
    "content/drive/Shareddrives",
    "content/gdrive/MyDrive",
    "content/gdrive/My Drive",
    "kaggle/input",
    "kaggle/working",
    *(f"openbayes/{inputs}/input{n}" for inputs in ("input", "inputs") for n in range(5)),
    *(f"hyperai/{inputs}/input{n}" for inputs in ("input", "inputs") for n in range(5)),
    *(f"input{n}" for n in range(5)),
    "openbayes/home",
    "hyperai/home",
    "output",
    "root/autodl-tmp",
    "root/autodl-fs",
    "root/autodl-pub",
    "content",  # Colab: what was uploaded
)
DEPTH = 6  # folders below each place: /kaggle/input/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION
SECONDS = 10.0  # for each place: a mounted Drive answers slowly
PASSED = {"__pycache__", "node_modules", "site-packages"}


def places(root: str | Path | None = None) -> list[Path]:
    """The platforms' folders that are here. root: instead of TOOLKIT_MOUNTS."""
    root = Path(root or os.environ.get("TOOLKIT_MOUNTS") or "/")
    seen: dict[Path, Path] = {}
    for place in PLACES:
        if (root / place).is_dir():
            seen.setdefault((root / place).resolve(), root / place)  # some are links to others
    return list(seen.values())


def copies(names: Iterable[str], home: Path | None = None, root: str | Path | None = None) -> dict[str, list[Path]]:
    """Where files of exactly these names lie: in `home`, the weights folder and torch.hub's; if not all are there, then
    on the platform.
    """
    names = set(names)
    found: dict[str, list[Path]] = {name: [] for name in names}
    near = [folder for folder in (home, weights_folder(), torch_hub()) if folder is not None]
    for name in names:
        found[name] = [folder / name for folder in dict.fromkeys(near) if (folder / name).is_file()]
    if all(found.values()):
        return found
    for place in places(root):
        for path in _below(place, 0 if place.name == "content" else DEPTH):
            if path.name in names and path not in found[path.name]:
                found[path.name].append(path)
    return found


def _below(place: Path, depth: int) -> Iterator[Path]:
    """The files at most so many folders below a place, the nearest first."""
    level, deadline = [place], time.monotonic() + SECONDS
    for _ in range(depth + 1):
        deeper = []
        for folder in level:
            if time.monotonic() > deadline:
                return
            try:
                with os.scandir(folder) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.is_file():
                            yield Path(entry.path)
                        elif entry.is_dir(follow_symlinks=False) and entry.name[0] != "." and entry.name not in PASSED:
                            deeper.append(Path(entry.path))
            except OSError:
                continue  # not for us to read
        level = deeper

"""Files that people put or mounted: the weights folder, and the folders of the platforms (see `toolkit.platform`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..paths import torch_hub, weights_folder
from ..platform import places

DEPTH = 6  # folders below each place: /kaggle/input/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION
SECONDS = 10.0  # for each place: a mounted Drive answers slowly
PASSED = {"__pycache__", "node_modules", "site-packages"}


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

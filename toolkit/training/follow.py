"""A run that is trained elsewhere, followed through the files in its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path

from .watch import CURVES, LOG, LOSS, STOP, News, Speed, read_log


class Follower:
    """The run in a folder, which need not be there yet. model: the file that the trained model will be."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, folder / "model.safetensors"
        self._seen: dict[Path, int] = {}  # when each file had changed, as it was last read
        self._news = News(folder, 0, 0, "", {})
        self._last = time.time()
        self._asked = False

    def look(self) -> list[News]:
        """What is new since the last look: where the run is, then pictures."""
        new = []
        if self._changed(self.folder / LOG) and self._read():
            new.append(self._news)
        sheets = sorted(self.folder.glob("sheet-*.png"))[-1:]
        new += [
            dataclasses.replace(self._news, file=path)
            for path in (self.folder / CURVES, *sheets)
            if self._news.steps and self._changed(path)
        ]
        return new

    def stop(self) -> None:
        """Ask the run to end after its step."""
        with contextlib.suppress(OSError):
            (self.folder / STOP).touch()
            self._asked = True

    @property
    def over(self) -> bool:
        """Whether the run came to its end, or stopped as asked, and the model was written."""
        stopped = self._asked and not (self.folder / STOP).exists()
        if not self._news.steps or not (stopped or self._news.step >= self._news.steps):
            return False
        return self.model.is_file() and self.model.stat().st_mtime > self._last - 0.2

    def silence(self) -> float:
        """Seconds since the last line of the log, or since it was first looked for."""
        return time.time() - self._last

    def _read(self) -> bool:
        """Take in the log. False: there is nothing to tell yet."""
        try:
            recipe = json.loads((self.folder / "recipe.json").read_text(encoding="utf-8"))
            steps = sum(stage["steps"] for stage in recipe["stages"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        rows = read_log(self.folder)
        lost = [row for row in rows if any(key.startswith(LOSS) for key in row)]
        if not lost:
            return False
        speed = Speed(steps)
        for row in lost:
            pace = speed.at(row["step"], row["stage"], row["seconds"])
        losses = {key.removeprefix(LOSS): value for key, value in row.items() if key.startswith(LOSS)}
        self._news = News(self.folder, row["step"], steps, row["stage"], losses, *pace)
        self._last = rows[-1]["seconds"]
        return True

    def _changed(self, path: Path) -> bool:
        try:
            when = path.stat().st_mtime_ns
        except OSError:
            return False
        changed, self._seen[path] = self._seen.get(path) != when, when
        return changed

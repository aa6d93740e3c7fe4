"""What `prepare` knows and tells: the journal by which it resumes, and the report."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, OutputError
from ..media.files import replacing
from ..translations import columns, padded, translate
from .chunks import OUTSIDE, SHORT, SMALL

JOURNAL, REPORT = "prepare.jsonl", "report.json"


class Journal:
    """What has been done to an output folder, a line of JSON each: the settings first, then each clip when it is done,
    and who was put where. A line that a kill cut off is dropped.

    clips: path below the input -> what came of it. split: identity -> "train" or "test".
    Raises ConfigError where the folder was made with other settings, OutputError where it is somebody else's.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.clips: dict[str, dict[str, Any]] = {}
        self.split: dict[str, str] = {}
        settings = json.loads(json.dumps(settings))
        before = None
        for line in self._lines():
            before = line.get("settings", before)
            self.split |= line.get("split", {})
            if "clip" in line:
                self.clips[line["clip"]] = line
        if before is None:
            there = [name for name in ("train", "test", REPORT) if (folder / name).exists()]
            if there:
                raise OutputError(f"{folder} has a {there[0]} that prepare did not make.", "Choose another folder.")
            self.add(settings=settings)
        elif before != settings:
            said = "; ".join(
                f"{k} was {before.get(k)}, is {settings[k]}" for k in settings if before.get(k) != settings[k]
            )
            raise ConfigError(
                f"{folder} was prepared with other settings: {said}.", "Give those again, or choose another folder."
            )

    def add(self, **line: Any) -> None:
        """Write a line down, for good."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path} can't be written: {error.strerror}.", "Is the disk full?") from error
        if "clip" in line:
            self.clips[line["clip"]] = line
        self.split |= line.get("split", {})

    @property
    def chunks(self) -> dict[str, str]:
        """The names of all chunks -> their identity."""
        return {chunk["name"]: line["identity"] for line in self.clips.values() for chunk in line["kept"]}

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        lines, good = [], 0
        with open(self.path, "r+b") as file:
            for text in file:
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    break
                if not text.endswith(b"\n"):
                    lines.pop()
                    break
                good += len(text)
            file.truncate(good)
        return lines


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """What was made of a folder of clips; prints as a table.

    folder: the data set. split: chunk -> "train", "test" or "both". clips: what came of each clip, with keys clip,
    identity, frames, empty (frames without a face), finder, kept (name, first, end, box), dropped (first, end, why),
    notes, and error where it could not be used. settings: as given. notes: what is worth a sentence.
    """

    folder: Path
    settings: dict[str, Any]
    clips: list[dict[str, Any]]
    split: dict[str, str]
    notes: list[str]

    def save(self) -> None:
        """Write report.json into the folder."""
        table = dataclasses.asdict(self) | {"folder": self.folder.name}
        with replacing(self.folder / REPORT) as temporary:
            temporary.write_text(json.dumps(table, indent=1, ensure_ascii=False), encoding="utf-8")

    @property
    def broken(self) -> dict[str, str]:
        """The clips that could not be used, and why."""
        return {line["clip"]: line["error"] for line in self.clips if "error" in line}

    def dropped(self) -> dict[str, tuple[int, int]]:
        """Why stretches of clips were dropped -> how many, and how many frames."""
        stretches, frames = Counter(), Counter()
        for line in self.clips:
            for piece in line["dropped"]:
                stretches[piece["why"]] += 1
                frames[piece["why"]] += piece["end"] - piece["first"]
        return {why: (stretches[why], frames[why]) for why in (SHORT, SMALL, OUTSIDE) if stretches[why]}

    def __str__(self) -> str:
        names = {chunk["name"]: (line["identity"], chunk) for line in self.clips for chunk in line["kept"]}
        rows = [("", "chunks", "frames", "")]
        for part in ("train", "test"):
            here = [names[name] for name, place in self.split.items() if place in (part, "both")]
            who = len({identity for identity, _ in here})
            about = f"{who} {'identity' if who == 1 else 'identities'}"
            rows.append((part, len(here), sum(chunk["end"] - chunk["first"] for _, chunk in here), about))
        limits = {
            SHORT: f"fewer than {self.settings['min_frames']} frames until a cut, or the face is lost or elsewhere",
            SMALL: f"smaller than {self.settings['min_size']} pixels",
            OUTSIDE: "the crop would reach beyond the picture's edge",
        }
        rows += [(f"dropped: {why}", *counts, limits[why]) for why, counts in self.dropped().items()]
        if empty := sum(line["empty"] for line in self.clips):
            rows.append(("dropped: no face", "", empty, "nobody was seen there"))
        rows = [tuple(map(translate, row)) for row in rows]
        wide = [max(columns(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{padded(name, wide[0])}  {count:>{wide[1]}}  {frames:>{wide[2]}}  {about}".rstrip()
            for name, count, frames, about in rows
        ]
        used = sum(bool(line["kept"]) for line in self.clips)
        lines.insert(0, translate(f"{self.folder}: from {used} of {len(self.clips)} clips"))
        lines += [translate(f"left out: {error}") for error in self.broken.values()]
        notes = [note for line in self.clips for note in line["notes"]] + self.notes
        return "\n".join(lines + [translate(f"note: {note}") for note in dict.fromkeys(notes)])

    __repr__ = __str__

"""`prepare`: a folder of raw clips -> a data set in the published layout, cut by the published rules (`chunks.py`).

Clips are read twice, frame by frame: once to see who is where, once to cut. What is cut waits in a hidden folder of
the output until all clips are done and identities can be given to train/ and test/.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .. import media
from ..errors import ConfigError, InputError, OutputError
from ..faces import finders
from ..faces.face import Box
from ..faces.finding import BATCH
from ..faces.steady import LOOKED_AT
from ..paths import expanded
from ..progress import Progress, Report
from .chunks import SHORT, SMALL, Rules, Tube, Tubes
from .prepared import JOURNAL, Journal, Prepared
from .sources import RawClip, free, listed, named

WAITING = ".chunks"  # the folder of chunks that are in neither train/ nor test/ yet
ENDINGS = {"mp4": ".mp4", "png": ".mp4", "gif": ".gif"}  # the published loaders want folders of frames to be called so


def prepare(
    clips: str | Path,
    output: str | Path = "data",
    *,
    whole: bool = False,
    size: int = 256,
    fit: str = "crop",
    fps: float | Fraction | None = None,
    min_frames: int | None = None,
    max_frames: int = 1024,
    min_size: int | None = None,
    test_share: float = 0.1,
    identity: str | None = None,
    format: str = "mp4",
    backend: str | finders.Finder = "auto",
    progress: bool | Report = True,
) -> Prepared:
    """Cut a folder of clips into training clips of one face each, as VoxCeleb was, in train/ and test/; see `Prepared`.

    A chunk ends where the face is lost, at a cut, where the face's box overlaps its first one by less than 0.25, or
    after `max_frames`. Dropped are chunks of fewer than `min_frames` (64) or whose face's longer side is below
    `min_size` pixels (as `size`), and those whose crop, a square 1.2 times as large as all places of the face, leaves
    the picture. Named in the report, too: clips that can't be read. The clips themselves are never changed.

    whole: keep whole frames instead, nobody is looked for; chunks end at cuts, and nothing is too short (from two
        frames on) or too small unless `min_frames` or `min_size` (of the shorter side) say so. fit: then, "crop" takes
        the middle square, "pad" keeps everything and continues the edges.
    size: side of the pictures. fps: the rate (None: each clip's own; VoxCeleb has 25).
    test_share: share of the identities whose chunks go to test/, one at least. Of a single identity the last chunks do.
    identity: a regular expression that finds whose a clip is in its path (its first group, if it has one); None: the
        sub-folder of `clips` it lies in, or else each clip is its own. Nobody is in train/ and in test/.
    format: "mp4"; "png", folders of frames: without loss, read soonest, and ten times as large; or "gif", of 256
        colours and at most 30 frames a second (of faster clips every second, third, … frame), for cartoons.
    backend: who looks for faces, as in `faces.find`.

    Called again it goes on where it was stopped, and takes up clips that are new. Raises InputError where there is no
    clip, or no chunk comes out of any; OutputError for an output that can't be; ConfigError for settings that can't be,
    or that aren't those the output was made with.
    """
    rules = Rules(
        min_frames=(2 if whole else 64) if min_frames is None else min_frames,
        max_frames=max_frames,
        min_size=(0 if whole else size) if min_size is None else min_size,
        whole=whole,
    )
    rate = None if fps is None else media.as_rate(fps)
    _check(rules, size, fit, test_share, format, rate)
    if not whole:
        finders.choose(backend)  # what it lacks is an error now, not at each clip
    settings = {
        **dataclasses.asdict(rules),
        "size": size,
        "fit": fit,
        "fps": rate and str(rate),
        "test_share": test_share,
        "identity": identity,
        "format": format,
        "finder": backend if isinstance(backend, str) else finders.name_of(backend),
    }
    source = expanded(clips)
    found = listed(source, identity)
    folder = _output(Path(output).expanduser(), source)
    journal = Journal(folder, settings)
    cutter = Cutter(rules, folder / WAITING, size, fit, rate, format, backend)
    raw = named(found, journal.clips)
    with Progress(progress) as bar:
        _cut(raw, journal, cutter, folder, bar)
    kept = {clip.key: journal.clips[clip.key] for clip in raw} | journal.clips
    places, notes = _split(journal, test_share)
    report = Prepared(folder, settings, list(kept.values()), places, notes)
    _place(folder, places)
    report.save()
    if not places:
        raise InputError("\n".join([f"No chunk came out of {source}.", str(report)]), _remedy(report))
    return report


def _cut(raw: list[RawClip], journal: Journal, cutter: Cutter, folder: Path, bar: Progress) -> None:
    """Cut the clips that aren't done yet."""
    _tidy(folder, journal)
    todo = [clip for clip in raw if journal.clips.get(clip.key, {}).get("size") != clip.size]
    if len(todo) < len(raw):
        bar.say(f"{len(raw) - len(todo)} of {len(raw)} clips were done already.")
    bar.start("preparing", sum(clip.size for clip in todo), "B")
    used: dict[str, set[str]] = defaultdict(set)
    for name, who in journal.chunks.items():
        used[who].add(name)
    done = 0
    for clip in todo:
        if clip.key in journal.clips:  # the file is another one than before
            for chunk in journal.clips[clip.key]["kept"]:
                _remove(*(folder / place / chunk["name"] for place in (WAITING, "train", "test")))
                used[clip.identity].discard(chunk["name"])
        found = cutter.cut(
            clip, used[clip.identity], lambda share, done=done, clip=clip: bar.reach(done + int(share * clip.size))
        )
        if "error" in found:
            bar.say(f"Left out: {found['error']}")
        about = {"clip": clip.key, "size": clip.size, "label": clip.label, "identity": clip.identity}
        journal.add(**about, video=clip.video, **found)
        done += clip.size
        bar.reach(done)


class Cutter:
    """Cuts one clip after the other into a folder."""

    def __init__(
        self, rules: Rules, folder: Path, size: int, fit: str, fps: Fraction | None, format: str, backend: Any
    ) -> None:
        self.rules, self.folder, self.size, self.fit, self.fps = rules, folder, size, fit, fps
        self.format, self.backend = format, backend

    def cut(self, clip: RawClip, used: set[str], step: Callable[[float], None]) -> dict[str, Any]:
        """What came of a clip, as `Prepared.clips` has it. used: names that chunks have already. step: told how much of
        it is done, 0 … 1.
        """
        out: dict[str, Any] = {"frames": 0, "empty": 0, "kept": [], "dropped": [], "notes": []}
        try:
            info = media.probe(clip.path)
            tubes = self._looked(info, out, lambda share: step(share / 2))
            total = sum(tube.frames for tube, _ in tubes)
            written = 0

            def count(frames: int) -> None:
                nonlocal written
                written += frames
                step(0.5 + written / total / 2)

            for tube, box in tubes:
                span = f"{tube.first:06d}#{tube.end:06d}{ENDINGS[self.format]}"
                video = free(clip.video, lambda text, span=span: f"{clip.identity}#{text}#{span}" in used)
                name = f"{clip.identity}#{video}#{span}"
                used.add(name)
                self._write(self.folder / name, info, tube, box, count)
                out["kept"].append({"name": name, "first": tube.first, "end": tube.end, "box": list(map(int, box))})
        except InputError as error:
            with _writing(self.folder):
                _remove(*(self.folder / chunk["name"] for chunk in out["kept"]))
            said = f"{error}" if clip.path.name in f"{error}" else f"{clip.path}: {error}"
            out |= {"kept": [], "dropped": [], "empty": 0, "error": said}
        return out

    def _looked(
        self, info: media.ClipInfo, out: dict[str, Any], step: Callable[[float], None]
    ) -> list[tuple[Tube, Box]]:
        """The tubes that are chunks, in order, each with what to cut, in pixels of the clip's frames."""
        finder = None if self.rules.whole else finders.choose(self.backend)
        scale = min(1.0, LOOKED_AT / max(info.size))
        seen = tuple(max(1, round(side * scale)) for side in info.size)
        stretch = info.width / seen[1], info.height / seen[0]
        found: list[tuple[Tube, Box]] = []

        def judge(tube: Tube) -> None:
            box, why = self.rules.judged(tube.scaled(*stretch), info.size)
            if box:
                found.append((tube, box))
            else:
                out["dropped"].append({"first": tube.first, "end": tube.end, "why": why})

        with _reading(info, out["notes"], fps=self.fps, fit=media.Fit(seen), batch=BATCH) as frames:
            tubes = Tubes(self.rules, frames.fps)
            for batch in frames:
                faces = finder(batch) if finder else [()] * len(batch)
                for frame, here in zip(batch, faces, strict=True):
                    for tube in tubes.add(out["frames"], frame, here):
                        judge(tube)
                    out["frames"] += 1
                step(min(1.0, out["frames"] / (frames.expected or np.inf)))
        for tube in tubes.close():
            judge(tube)
        out["empty"] = tubes.empty
        if finder:
            out["finder"] = finders.name_of(finder)
            if out["empty"] == out["frames"]:
                out["notes"].append(f"No face was found in {info.path}: {finders.tried(finder)}.")
            elif advice := finders.advice(finder):
                out["notes"].append(advice)
        return sorted(found, key=lambda pair: (pair[0].first, pair[1]))

    def _write(self, path: Path, info: media.ClipInfo, tube: Tube, box: Box, step: Callable[[int], None]) -> None:
        """Cut a chunk. Raises InputError where the clip doesn't give its frames once more."""
        rate = self.fps or info.fps
        trim = float(tube.first / rate), float(tube.end / rate)
        fit = media.Fit(self.size, self.fit if self.rules.whole else "crop", box)
        with _reading(info, [], fps=self.fps, trim=trim, fit=fit, batch=BATCH) as frames:
            count = 0
            with Pictures(path) if self.format == "png" else media.Writer(path, frames.fps, overwrite=True) as writer:
                for batch in frames:
                    writer.write(batch)
                    count += len(batch)
                    step(len(batch))
        if count != tube.frames:
            _remove(path)
            raise InputError(f"{info.path} gave {count} of {tube.frames} frames when it was read again.")


class Pictures:
    """A folder of numbered frames, written like a clip."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __enter__(self) -> Pictures:
        with _writing(self.folder):
            self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, frames: np.ndarray) -> None:
        """Take frames, uint8 N x H x W x 3."""
        from PIL import Image

        with _writing(self.folder):
            for frame in frames:
                Image.fromarray(frame).save(self.folder / f"{self.count:07d}.png")
                self.count += 1


@contextmanager
def _reading(info: media.ClipInfo, notes: list[str], **how: Any) -> Iterator[media.Frames]:
    """The frames of a clip; what is wrong with it goes into the notes."""
    with warnings.catch_warnings(), closing(media.read_frames(info, **how)) as frames:
        warnings.simplefilter("ignore")
        yield frames
    notes += frames.warnings


# -- the output ------------------------------------------------------------------------------------------------------


def _split(journal: Journal, share: float) -> tuple[dict[str, str], list[str]]:
    """chunk -> "train", "test" or "both", and what is to be said about it. Who was put somewhere stays there."""
    chunks = dict(sorted(journal.chunks.items()))
    identities = sorted(set(chunks.values()))
    if not identities:
        return {}, []
    if len(identities) == 1:
        who, held = identities[0], max(1, round(share * len(chunks)))
        if len(chunks) == 1:
            return dict.fromkeys(chunks, "both"), [f"{who} is the only identity: its only chunk is in train and test."]
        last = list(chunks)[-held:]
        note = f"{who} is the only identity: its last {held} of {len(chunks)} chunks are in test."
        return {name: "test" if name in last else "train" for name in chunks}, [note]
    new = [name for name in identities if name not in journal.split]
    wanted = min(max(1, round(share * len(identities))), len(identities) - 1)
    wanted -= sum(journal.split.get(name) == "test" for name in identities)
    drawn = sorted(new, key=lambda name: hashlib.sha256(name.encode()).hexdigest())  # at random, always the same
    if new:
        journal.add(split={name: "test" if number < wanted else "train" for number, name in enumerate(drawn)})
    return {name: journal.split[who] for name, who in chunks.items()}, []


def _place(folder: Path, places: dict[str, str]) -> None:
    """Move every chunk to where it belongs."""
    with _writing(folder):
        for part in ("train", "test") if places else ():
            (folder / part).mkdir(exist_ok=True)
        for name, part in places.items():
            first, other = ("test", "train") if part == "test" else ("train", "test")
            wanted = folder / first / name
            for path in (folder / WAITING / name, folder / other / name):
                if wanted.exists():
                    _remove(path)
                elif path.exists():
                    os.replace(path, wanted)
            if part == "both" and wanted.exists():
                copy, waiting = (shutil.copytree if wanted.is_dir() else shutil.copyfile), folder / WAITING / name
                copy(wanted, waiting)
                os.replace(waiting, folder / other / name)
        shutil.rmtree(folder / WAITING)


def _tidy(folder: Path, journal: Journal) -> None:
    """Drop what a run that was stopped left half done."""
    with _writing(folder):
        (folder / WAITING).mkdir(exist_ok=True)
        names = journal.chunks
        _remove(*(path for path in (folder / WAITING).iterdir() if path.name not in names))


def _output(folder: Path, source: Path) -> Path:
    """The folder, made if need be. Raises OutputError where it can't be, or is among the clips."""
    inside, root = folder.resolve(), source.resolve()
    if inside.is_relative_to(root) or any(root.is_relative_to(inside / part) for part in ("train", "test", WAITING)):
        raise OutputError(f"The output {folder} is among the clips {source}.", "Choose a folder elsewhere.")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JOURNAL).touch()
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} can't be written: {error.strerror or error}.", "Choose another folder, or make room on the disk."
        ) from error


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# -- what is asked for -----------------------------------------------------------------------------------------------


def _check(rules: Rules, size: int, fit: str, share: float, format: str, fps: Fraction | None) -> None:
    """Raises ConfigError."""
    if format not in ENDINGS:
        raise ConfigError(f"There is no format {format!r}.", "Choose mp4, gif, or png: folders of frames.")
    if size < 16 or size % 2:
        raise ConfigError(f"size is {size}.", "Give an even number of pixels from 16 on, such as 256.")
    if not 0 < share < 1:
        raise ConfigError(f"test_share is {share}.", "Give a share between 0 and 1, such as 0.1.")
    if rules.min_frames < 2 or rules.max_frames < rules.min_frames:
        raise ConfigError(
            f"Chunks of {rules.min_frames} to {rules.max_frames} frames can't be.", "Give two or more, and no less."
        )
    if fps is not None and fps <= 0:
        raise ConfigError(f"A frame rate is above zero, not {fps}.")
    media.Fit(size, fit)


def _remedy(report: Prepared) -> str:
    dropped = report.dropped()
    why = max(dropped, key=lambda why: dropped[why][1], default=None)
    if why == SHORT:
        return "Lower min_frames (--min-frames), or give longer clips."
    if why == SMALL:
        return "Lower min_size (--min-size), or give larger clips."
    if why is not None:
        return "Give clips in which the head is farther from the edge; or whole=True (--whole) keeps whole frames."
    if len(report.broken) == len(report.clips):
        return "Give clips that a video player opens."
    return "Choose another finder (--finder); or whole=True (--whole) keeps whole frames."

"""Clips as training data: two frames of one clip, augmented alike.

A data set in the published layout is a folder with train/ and test/; without them a fifth of its entries, drawn as the
authors do, is for testing. An entry is a clip (.mp4, .mov, .gif, …), a folder of frames (read soonest; it may be called
.mp4 too), or a picture of square frames side by side (.png, .jpg). In names like `id10283#video#begin#end.mp4` the part
before the first "#" is the identity. Unlike the authors' loader: listings are sorted, frames of another size or shape
are brought to the stage's, transparent parts are laid over white, and what cannot be read is left out and named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .. import media
from ..errors import InputError, ToolkitError
from ..media.stills import pictures_in
from ..paths import brief, expanded, is_folder
from ..translations import translate
from .augment import augmented
from .data import Batch, View
from .parts import WHOLE, Part
from .processes import is_main
from .recipe import Clips, Recipe, Stage

Choice = Callable[[int], Sequence[int]]  # how many frames there are -> the numbers of those wanted
MOVING = (".mp4", ".mov", ".gif", ".webm", ".mkv", ".avi")  # the first three as published
STACKED = (".png", ".jpg", ".jpeg")
LOG = logging.getLogger(__name__)  # what is left out or changed; Python's warnings are not made for threads
AHEAD = 3  # batches that are being made while one is used
PROBED = 16  # clips whose lengths stand for those of all


def entries(folder: Path) -> list[Path]:
    """What a folder has of clips, folders of frames and stacked pictures, sorted by name."""
    known = MOVING + STACKED
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.is_dir() or path.suffix.lower() in known)


def split(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """A data set's entries for training and for testing. Raises InputError naming what is missing."""
    root = expanded(folder)
    layout = "Give a folder with train/ and test/, or one of clips: python -m toolkit prepare makes one."
    if not is_folder(root):
        raise InputError(f"There is no folder {brief(root, 300)}.", layout)
    if (root / "train").is_dir():
        if not (root / "test").is_dir():
            raise InputError(f"{root} has a folder train, but no folder test.", "Put some clips into test/.")
        train, test = entries(root / "train"), entries(root / "test")
    else:
        found = entries(root)
        order = np.random.RandomState(0).permutation(len(found))
        kept = -(-len(found) // 5) if len(found) > 1 else 0
        train, test = (sorted(found[i] for i in part) for part in (order[kept:], order[:kept]))
        if len(found) == 1:
            LOG.warning(translate(f"{found[0]} is the only clip: it is for training and testing."))
            test = train
    if not train or not test:
        raise InputError(f"There is no clip in {root / 'train' if test else root}.", layout)
    return train, test


def grouped(paths: Sequence[Path], by_identity: bool) -> list[list[Path]]:
    """The items of a pass: each clip by itself, or the clips of each identity."""
    if not by_identity:
        return [[path] for path in paths]
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        groups[path.name.split("#")[0]].append(path)
    return list(groups.values())


def counted(recipe: Recipe) -> Recipe:
    """The recipe with the steps of its stages that count epochs; without any it is returned as it is."""
    if not any(stage.epochs and not stage.steps for stage in recipe.stages):
        return recipe
    if not recipe.clips.folder:
        raise InputError(f"The recipe '{recipe.name}' learns from clips.", "Say where they are: --data FOLDER.")
    items = len(grouped(split(recipe.clips.folder)[0], recipe.clips.id_sampling))

    def steps(stage: Stage) -> int:
        return stage.steps or stage.epochs * max(1, items * stage.repeats // stage.batch)

    return dataclasses.replace(
        recipe, stages=tuple(dataclasses.replace(stage, steps=steps(stage)) for stage in recipe.stages)
    )


# ---------------------------------------------------------------- reading


class Reader:
    """Frames of entries by number, uint8 side x side x 3; safe to share between threads.

    Clips that were decoded stay in memory as far as `memory` bytes go; of very long ones only what is asked for is.
    """

    def __init__(self, memory: float) -> None:
        self.memory, self._used = memory, 0
        self._kept: OrderedDict[tuple[Path, int], np.ndarray] = OrderedDict()
        self._infos: dict[Path, media.ClipInfo] = {}
        self._busy: dict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._told = False

    def pick(self, path: Path, side: int, choose: Choice) -> list[np.ndarray]:
        """The frames of an entry that `choose` (number of frames -> their numbers) wants. Raises InputError for what
        cannot be read, and for a clip of fewer than two frames.
        """
        with self._lock:
            busy = self._busy[path]
        with busy:  # several rows may want one clip at once: one of them decodes
            if path.is_dir():
                files = pictures_in(path)
                return [self._fitted(_picture(files[i]), side, path) for i in choose(_two(len(files), path))]
            frames = self._decoded(path, side)
            if frames is not None:
                return [frames[i] for i in choose(_two(len(frames), path))]
            info = self._infos[path]
            wanted, rate = choose(media.expected_frames(info)), float(info.fps)
            return [self._single(info, i / rate, (i + 1) / rate, side) for i in wanted]

    def count(self, path: Path) -> int:
        """How many frames a clip, or a picture of several, has by its own account. Raises InputError."""
        if path.suffix.lower() in STACKED:
            width, height = _opened(path, lambda image: image.size)
            return width // height
        return media.expected_frames(self._probed(path)) or 0

    def _probed(self, path: Path) -> media.ClipInfo:
        if path not in self._infos:
            self._infos[path] = media.probe(path)
        return self._infos[path]

    def _decoded(self, path: Path, side: int) -> np.ndarray | None:
        """All frames of a clip, N x side x side x 3; None if they are too many to keep."""
        with self._lock:
            if (path, side) in self._kept:
                self._kept.move_to_end((path, side))
                return self._kept[path, side]
        if path.suffix.lower() in STACKED:
            frames = self._unstacked(path, side)
        else:
            info = self._probed(path)
            self._note(info.size, side, path)
            count = media.expected_frames(info)
            if count and count * side * side * 3 > self.memory / 4:
                return None
            frames = np.stack(list(media.read_frames(info, fit=(side, side))))
        with self._lock:
            self._kept[path, side] = frames
            self._used += frames.nbytes
            while self._used > self.memory and len(self._kept) > 1:
                self._used -= self._kept.popitem(last=False)[1].nbytes
        return frames

    def _unstacked(self, path: Path, side: int) -> np.ndarray:
        picture = _picture(path)
        height, width = picture.shape[:2]
        if width % height:
            raise InputError(f"{path} is {width} x {height} pixels: no square frames side by side.")
        return np.stack([self._fitted(frame, side, path) for frame in np.split(picture, width // height, axis=1)])

    def _single(self, info: media.ClipInfo, begin: float, end: float, side: int) -> np.ndarray:
        with media.read_frames(info, trim=(begin, end), fit=(side, side)) as frames:
            return next(frames)

    def _fitted(self, frame: np.ndarray, side: int, path: Path) -> np.ndarray:
        self._note(frame.shape[:2], side, path)
        return frame if frame.shape[:2] == (side, side) else media.fit(frame, (side, side))

    def _note(self, size: tuple[int, int], side: int, path: Path) -> None:
        if tuple(size) != (side, side) and not self._told:
            self._told = True
            text = f"{path} is {size[1]} x {size[0]} pixels; clips are cut and scaled to {side}."
            LOG.warning(translate(text))


def _picture(path: Path) -> np.ndarray:
    """A frame, uint8 H x W x 3. (`media.read_picture` silences warnings, which is not safe in threads.)"""
    return _opened(
        path, lambda image: media.flatten(np.array(image.convert("RGBA" if "A" in image.getbands() else "RGB")))
    )


def _opened(path: Path, look: Callable[[Image.Image], Any]) -> Any:
    try:
        with Image.open(path) as image:
            return look(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for damaged files
        raise InputError(f"{path} cannot be read: {error}.") from None


def _two(count: int, path: Path) -> int:
    if count < 2:
        raise InputError(f"{path} has {count} frame{'' if count == 1 else 's'}: two are needed.")
    return count


# ---------------------------------------------------------------- batches


class ClipPairs:
    """Batches of two frames of one clip each. What step n sees depends on the seed and n alone (and on which files can
    be read), so a run that is resumed goes on exactly. Threads decode ahead.
    """

    def __init__(self, clips: Clips, seed: int, device: torch.device | str = "cpu") -> None:
        self.clips, self.seed, self.device = clips, seed, torch.device(device)
        train, self.test = split(clips.folder)
        self.items = grouped(train, clips.id_sampling)
        self.files = len(train)
        self.broken: dict[Path, str] = {}
        self._telling = threading.Lock()
        self.reader = Reader(clips.memory * 1e9)
        workers = clips.workers or min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="clips")
        self._coming: dict[tuple[int, int, int, Part], list[Future]] = {}
        self._held: dict[tuple[int, int], Batch] = {}

    def batch(self, step: int, size: int, rows: int, cross: float = 0.0, part: Part = WHOLE) -> Batch:
        """Source and driving frame of `rows` clips, or of a part of them. (cross is for puppets: of a clip no true
        answer is known.)
        """
        for number in range(step, step + AHEAD):
            if (number, size, rows, part) not in self._coming:
                some = [self._pool.submit(self._row, number * rows + row, size) for row in range(rows)[part.rows]]
                self._coming[number, size, rows, part] = some
        for key in list(self._coming):
            number, *shape, other = key
            if shape != [size, rows] or other.of != part.of or not step <= number < step + AHEAD:
                for future in self._coming.pop(key):
                    future.cancel()
        return self._batch([future.result() for future in self._coming.pop((step, size, rows, part))])

    def weigh(self, size: int) -> None:
        """Say where the clips are more than fits into memory when decoded: then most are decoded again at each use."""
        files = [path for paths in self.items for path in paths if not path.is_dir()]
        some = files[:: -(-len(files) // PROBED) or 1]
        counts = []
        for path in some:
            with contextlib.suppress(ToolkitError, OSError, ValueError):  # it is named when it is drawn
                counts.append(self.reader.count(path))
        needed = len(files) * size * size * 3 * sum(counts) / max(1, len(counts)) / 1e9
        if needed > self.clips.memory and is_main():
            text = (
                f"Decoded, the clips in {files[0].parent} take some {needed:.2g} GB, but clips.memory is "
                f"{self.clips.memory:g}: most are decoded again at each use. Prepare them as folders of frames "
                f"(prepare --format png), or give more memory (--set clips.memory={math.ceil(needed)})."
            )
            LOG.warning(translate(text))

    def close(self) -> None:
        """Make nothing more ahead; the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def held_out(self, rows: int, size: int) -> Batch:
        """First frames of test clips, and later ones: always the same."""
        if (rows, size) not in self._held:
            pairs, tried = [], 0
            while len(pairs) < rows:
                path, random = self.test[tried % len(self.test)], np.random.default_rng([tried])
                if frames := self._try(path, size, lambda count, random=random: [0, int(random.integers(1, count))]):
                    pairs.append(frames)
                tried += 1
                if tried >= 4 * len(self.test) and not pairs:
                    raise self._none(self.test)
            self._held = {(rows, size): self._batch(pairs)}
        return self._held[rows, size]

    def _batch(self, pairs: Sequence[Sequence[np.ndarray]]) -> Batch:
        def view(which: int) -> View:
            pictures = torch.from_numpy(np.stack([pair[which] for pair in pairs]))
            return View(pictures.to(self.device).permute(0, 3, 1, 2).float() / 255)

        source, driving = view(0), view(1)
        return Batch(source, driving, source, driving, torch.zeros(len(pairs), dtype=torch.bool, device=self.device))

    def _row(self, number: int, size: int) -> list[np.ndarray]:
        """The sample of this number: items in shuffled passes. Where a file is of no use, another is drawn."""
        passed, place = divmod(number, len(self.items))
        item = int(np.random.default_rng([self.seed, passed]).permutation(len(self.items))[place])
        for attempt in range(50 + 4 * self.files):
            random = np.random.default_rng([self.seed, number, attempt])
            if attempt:
                item = int(random.integers(len(self.items)))
            files = self.items[item]
            path = files[int(random.integers(len(files)))]
            frames = self._try(path, size, lambda count, random=random: sorted(random.integers(count, size=2).tolist()))
            if frames:
                return augmented(frames, self.clips, random)
        raise self._none([path for files in self.items for path in files])

    def _try(self, path: Path, size: int, choose: Choice) -> list[np.ndarray] | None:
        """Frames of an entry; None, said once, if it is of no use. (A folder may have one bad frame: it is tried again,
        so that what a step sees does not depend on the steps before.)
        """
        if path not in self.broken or path.is_dir():
            try:
                return self.reader.pick(path, size, choose)
            except (ToolkitError, OSError, ValueError) as error:
                with self._telling:  # a thread that finds it told can rely on that
                    if path not in self.broken:
                        self.broken[path] = f"{error}"
                        said = error if path.name in f"{error}" else f"{path}: {error}"
                        LOG.warning(translate(f"Left out: {said}"))
        return None

    def _none(self, paths: Sequence[Path]) -> InputError:
        return InputError(
            f"None of the {len(paths)} clips in {paths[0].parent} can be used: {next(iter(self.broken.values()))}",
            "Prepare the clips anew.",
        )

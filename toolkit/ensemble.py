"""Several tracks in one clip: a chorus (many pictures, one driver) and a comparison (one picture, many models)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError, InputError
from .pipeline import check_size, render
from .track import Driving, Model, Picture, Track, name_of, runner_of

Report = bool | Callable[[str, int, int | None], None]


def chorus(
    pictures: Sequence[Picture],
    driving: Driving,
    *,
    model: Model = None,
    labels: Sequence[str] | None = None,
    size: int | None = None,
    sound: str | Path | None = "driving",
    output: str | Path | None = None,
    progress: Report = True,
    overwrite: bool = False,
    **how: Any,
) -> Clip:
    """Let several pictures sing one clip together, in a near-square grid with one sound track.

    pictures: each as `animate` takes one; of any sizes, none is squashed. labels: a word under each. size: height of a
    picture's cell in pixels (default: the model's own). how: mode, adapt_scale, reference, strength, smooth, trim, fit,
    landmarks (of the pictures by a function), device, precision, as in `animate`; the "best" reference is each
    picture's own.
    The driver is read once. The clip's report has an entry for each picture in "tracks". Raises as `animate`.
    """
    check_size(size)
    pictures = list(pictures) if isinstance(pictures, list | tuple) else [pictures]
    if not pictures:
        raise InputError("There is no picture.", "Give at least one.")
    if model is not None and not isinstance(model, str | Path):
        model = runner_of(model, how.get("device"), how.get("precision", "auto"))  # one for all
    tracks = [Track(picture, driving, model, **how) for picture in pictures]

    def compose(ready: Sequence[Track]) -> Iterator[np.ndarray]:
        return tiled([track.frames() for track in ready], labels, size)

    name = f"chorus--{Path(name_of(driving, 'motion')).stem}"
    clip = render(tracks, output, compose=compose, name=name, sound=sound, overwrite=overwrite, progress=progress)
    for track, entry in zip(tracks, clip.report["tracks"], strict=True):
        entry["picture"] = name_of(track.picture, "picture")
    return clip


def compare(
    picture: Picture,
    driving: Driving,
    *,
    models: Sequence[Model],
    inputs: bool = True,
    labels: Sequence[str] | None = None,
    size: int | None = None,
    sound: str | Path | None = "driving",
    output: str | Path | None = None,
    progress: Report = True,
    overwrite: bool = False,
    **how: Any,
) -> Clip:
    """Let several models do the same: one picture, one driver, a grid with the name of each model under its result.

    models: names, files or loaded models. inputs: whether picture and driver are shown too. labels: other words than
    the models' names. size: height of a cell in pixels (default: that of the largest model). how: as in `chorus`;
    a mode must be one that every model has.
    The clip's report has an entry for each model in "tracks", with its "side" (of the pictures it computes, in pixels),
    "parameters", and the milliseconds a frame of "motion" (None where a recorded one drives) and "rendering";
    "table" holds them as text, which is printed too (unless progress is off). Raises as `animate`.
    """
    check_size(size)
    models = list(models) if isinstance(models, list | tuple) else [models]
    if not models:
        raise ConfigError("There is no model to compare.", "Give at least one: models=['mini-fomm', 'vox.pth.tar'].")
    names = list(labels) if labels is not None else [_called(model) for model in models]
    if len(names) != len(models):
        raise ConfigError(f"There are {len(models)} models and {len(names)} labels.", "Give each model its label.")
    tracks = [Track(picture, driving, model, **how) for model in models]

    def compose(ready: Sequence[Track]) -> Iterator[np.ndarray]:
        shown, words = [track.frames() for track in ready], names
        if inputs:
            largest = max(ready, key=lambda track: track.side)
            if largest.template is None:
                shown, words = [largest.driver(), *shown], ["driver", *words]
            if largest.still is not None:
                shown, words = [repeat(largest.still), *shown], ["picture", *words]
        return tiled(shown, words, size)

    name = f"compare--{Path(name_of(picture, 'picture')).stem}--{Path(name_of(driving, 'motion')).stem}"
    clip = render(tracks, output, compose=compose, name=name, sound=sound, overwrite=overwrite, progress=progress)
    for track, entry, word in zip(tracks, clip.report["tracks"], names, strict=True):
        entry |= {"name": word, "side": track.side, "parameters": track.runner.parameters}
        for stage in ("motion", "rendering"):
            seconds = track.seconds_a_frame(stage)
            entry[stage] = None if seconds is None else round(1000 * seconds, 2)
    clip.report["table"] = _table(clip.report["tracks"])
    if progress is True:
        print(clip.report["table"])
    return clip


def tiled(
    streams: Sequence[Iterator[np.ndarray]], labels: Sequence[str] | None, size: int | None
) -> Iterator[np.ndarray]:
    """The frames of several streams in one grid, until the first of them ends. Cells are as large as the largest of the
    first frames, or `size` high.
    """
    with ExitStack() as stack:
        for stream in streams:
            if hasattr(stream, "close"):
                stack.enter_context(closing(stream))
        grid = None
        for cells in zip(*streams):  # noqa: B905 (the shortest ends it)
            if grid is None:
                height, width = (max(sides) for sides in zip(*(cell.shape[:2] for cell in cells), strict=True))
                scale = 1 if size is None else size / height
                grid = media.Grid(len(cells), (round(height * scale), round(width * scale)), labels)
            yield grid.compose(cells)


def _called(model: Model) -> str:
    """A model's name as a label: a file's without its endings, else family and configuration."""
    if isinstance(model, str | Path):
        return Path(model).name.removesuffix(".safetensors").removesuffix(".tar").removesuffix(".pth")
    return "mini-fomm" if model is None else f"{model.info.model} {model.info.config}"


def _table(entries: Sequence[dict[str, Any]]) -> str:
    """The summary as text in columns."""
    rows = [("model", "size", "parameters", "motion", "rendering", "mode")]
    for entry in entries:
        times = ("-" if entry[stage] is None else f"{entry[stage]:.1f} ms" for stage in ("motion", "rendering"))
        weights = f"{entry['parameters'] / 1e6:.1f} M"
        rows.append((entry["name"], f"{entry['side']} px", weights, *times, entry["mode"]))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *numbers, last = (
            cell.ljust(n) if k in (0, 5) else cell.rjust(n) for k, (cell, n) in enumerate(zip(row, wide, strict=True))
        )
        lines.append("  ".join([first, *numbers, last]).rstrip())
    return "\n".join([*lines, "(motion and rendering: of one frame)"])

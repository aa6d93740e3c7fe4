"""Several tracks in one clip: a chorus (many pictures, one driver), a comparison (one picture, many models), a group
photo (every face of one picture).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError, InputError
from .faces.face import Box, Face, picked
from .pipeline import check_size, render
from .track import Driving, Model, Picture, Track, name_of, runner_of
from .translations import columns, padded, translate
from .whole import whole

if TYPE_CHECKING:
    from .models.base import Info

BY_HAND = "Say where to cut: faces=[(x, y, width, height), …], in pixels of the picture."
Report = bool | Callable[[str, int, int | None], None]


def chorus(
    pictures: Sequence[Picture],
    driving: Driving,
    *,
    model: Model = None,
    labels: Sequence[str] | None = None,
    size: int | None = None,
    sound: media.sound.Sound | None = "driving",
    output: str | Path | None = None,
    progress: Report = True,
    overwrite: bool = False,
    mark: bool | str = False,
    **how: Any,
) -> Clip:
    """Let several pictures sing one clip together, in a near-square grid with one sound track.

    pictures: each as `animate` takes one; of any sizes, none is squashed. labels: a word under each. size: height of a
    picture's cell in pixels (default: the model's own). mark, and how: mode, adapt_scale, reference, strength, smooth,
    trim, fit, landmarks (of the pictures by a function), crop, pick, follow, device, precision, as in `animate`; the
    "best" reference is each picture's own.
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
    clip = render(
        tracks, output, compose=compose, name=name, sound=sound, overwrite=overwrite, progress=progress, mark=mark
    )
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
    sound: media.sound.Sound | None = "driving",
    output: str | Path | None = None,
    progress: Report = True,
    overwrite: bool = False,
    mark: bool | str = False,
    **how: Any,
) -> Clip:
    """Let several models do the same: one picture, one driver, a grid with the name of each model under its result.

    models: names, files or loaded models. inputs: whether picture and driver are shown too. labels: other words than
    the models' names. size: height of a cell in pixels (default: that of the largest model). mark, how: as in `chorus`;
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
    clip = render(
        tracks, output, compose=compose, name=name, sound=sound, overwrite=overwrite, progress=progress, mark=mark
    )
    for track, entry, word in zip(tracks, clip.report["tracks"], names, strict=True):
        entry |= {"name": word, "side": track.side, "parameters": track.runner.parameters}
        for stage in ("motion", "rendering"):
            seconds = track.seconds_a_frame(stage)
            entry[stage] = None if seconds is None else round(1000 * seconds, 2)
    clip.report["table"] = _table(clip.report["tracks"])
    if progress is True:
        print(clip.report["table"])
    return clip


def animate_all(
    picture: Picture,
    driving: Driving | Sequence[Driving],
    *,
    faces: Sequence[int | Sequence[float] | Face] | None = None,
    model: Model = None,
    backend: Any = "auto",
    size: int | None = None,
    sound: media.sound.Sound | None = "driving",
    output: str | Path | None = None,
    progress: Report = True,
    overwrite: bool = False,
    mark: bool | str = False,
    **how: Any,
) -> Clip:
    """Animate every face of one picture at once, each in its place: a group photo that sings.

    picture: a file, a uint8 H x W x C array or a PIL picture. driving: one clip for all, read once; or a list of clips
    (or of motions), one for each face in the order of the faces.
    faces: which ones, in this order: numbers (0 is the largest; `toolkit.faces.find` shows them), points (x, y) in
    them, `Face`s, or boxes (x, y, width, height) to cut out, where no finder knows the face; all in pixels. None: all.
    backend: who finds them, as in `toolkit.faces.find`. size: the longer side of the result is no more than that
    (default: the picture's own size). mark, and how: mode, adapt_scale, reference, strength, smooth, trim, landmarks (a
    function), follow, device, precision, as in `animate`; crop="auto", None or a box: of the clips alone.
    The sound is that of the first clip, and the shortest ends the result. Each face keeps to its own part where crops
    overlap, and what does not move keeps the picture's own pixels. The report has an entry for each face in "tracks",
    with its "box". Raises as `animate`; InputError where there is no face.
    """
    check_size(size)
    full = media.read_picture(picture, channels=4)
    runner = runner_of(model, how.get("device"), how.get("precision", "auto"))  # one for all
    chosen = _chosen(full, faces, runner.info, backend)
    clips = list(driving) if isinstance(driving, list | tuple) else [driving]
    clips *= len(chosen) if len(clips) == 1 else 1
    if len(clips) != len(chosen):
        raise ConfigError(
            f"There are {len(clips)} clips for {len(chosen)} faces.", "Give one clip for all, or one for each face."
        )
    cut = how.pop("crop", "auto")
    tracks = [Track(full, clip, runner, crop=(box, cut), **how) for clip, (box, _) in zip(clips, chosen)]
    name = f"group--{Path(name_of(picture, 'picture')).stem}--{Path(name_of(clips[0], 'motion')).stem}"
    clip = render(
        tracks,
        output,
        compose=lambda ready: whole(ready, size, faces=[face for _, face in chosen]),
        name=name,
        sound=sound,
        overwrite=overwrite,
        progress=progress,
        mark=mark,
    )
    for entry, (box, _) in zip(clip.report["tracks"], chosen, strict=True):
        entry["box"] = tuple(round(value, 1) for value in box)
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


def _chosen(
    picture: np.ndarray, wanted: Sequence[int | Sequence[float] | Face] | None, info: Info, backend: Any
) -> list[tuple[Box, Box]]:
    """For each face that is wanted: the box to cut out for the model, and that of the face itself."""
    from .faces import cropping, finding

    recipe, found, chosen = cropping.named(info.crop), None, []
    for one in [None] if wanted is None else [wanted] if isinstance(wanted, int) else wanted:
        numbers = list(one) if isinstance(one, tuple | list | np.ndarray) else None
        if not isinstance(one, Face | int | None) and (numbers is None or len(numbers) not in (2, 4)):
            raise ConfigError(
                f"No face is {one!r}.",
                "Name faces by number (0 is the largest), by points (x, y) in them, or by boxes (x, y, width, height).",
            )
        if numbers is not None and len(numbers) == 4:
            box = Box(*map(float, numbers))
            chosen.append((box, Box(box.x + box.width / 4, box.y + box.height / 4, box.width / 2, box.height / 2)))
            continue
        if recipe is None:
            raise ConfigError(f"{info.model} {info.config} was not trained on faces, but on whole pictures.", BY_HAND)
        if not isinstance(one, Face) and found is None:
            try:
                found = finding.find(media.flatten(picture), backend=backend)
            except InputError as error:
                raise InputError(error.what, BY_HAND) from None
        for face in [one] if isinstance(one, Face) else picked(found, one):
            chosen.append((cropping.snapped(recipe.frame(face.box)), face.box))
    if not chosen:
        raise InputError("No face was chosen.", "Leave faces out for all of them, or name at least one.")
    if len(set(chosen)) < len(chosen):
        raise ConfigError("A face was chosen twice.", "Name each once; toolkit.faces.find shows their numbers.")
    return chosen


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
    rows[0] = tuple(map(translate, rows[0]))
    wide = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        (first, *numbers, last), widths = row, wide[1:-1]
        figures = [" " * (n - columns(cell)) + cell for cell, n in zip(numbers, widths, strict=True)]
        lines.append("  ".join([padded(first, wide[0]), *figures, last]).rstrip())
    return "\n".join([*lines, translate("(motion and rendering: of one frame)")])

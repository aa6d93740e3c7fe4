"""The curves of a run as one figure: its losses, and what was measured on held-out data. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .recipe import Recipe
from .watch import ABOUT, LOSS

WIDTH, HEIGHT = 9.0, 2.6  # inches, of each panel
COLOURS = [colormaps["tab10"](i) for i in range(10)]
SMOOTH = 25  # a stage's curve is smoothed over its 25th part
POINTS = 400  # of a curve at most: more are thinned to means
WIDE, DEEP = 20.0, 1e4  # values that far apart (largest to smallest) are on a logarithmic scale; and no farther down

Series = dict[str, list[tuple[int, str, float]]]  # name -> step, stage, value


def curves(rows: Sequence[Mapping[str, Any]], recipe: Recipe | None = None) -> Figure:
    """The rows of a run's log (see `watch.read_log`): its losses, pale as logged and smoothed within each stage; what
    was measured, shares apart from pixels. recipe: marks where its stages begin.
    """
    losses, held_out = _series(rows, LOSS), _series(rows, "")
    pixels = {name: held_out.pop(name) for name in [*held_out] if "px" in name.split("_")}
    panels = [("losses, weighted", losses), ("held out", held_out), ("held out, in pixels", pixels)]
    panels = [(title, series) for title, series in panels if series] or panels[:1]
    tall = HEIGHT * len(panels)
    figure = Figure(figsize=(WIDTH, tall))  # margins of our own: a layout engine draws everything twice
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(0.085, 0.48 / tall, 0.8, 1 - 0.25 / tall, hspace=0.1)
    last = max((row["step"] for row in rows), default=0)
    for axis, (title, series) in zip(axes, panels):
        axis.set_ylabel(title)
        axis.grid(alpha=0.25)
        axis.set_xlim(0, max(1, last) * 1.01)
        _lines(axis, series, smooth=series is losses)
        _stages(axis, recipe, last, named=axis is axes[0])
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _series(rows: Iterable[Mapping[str, Any]], prefix: str) -> Series:
    found: Series = {}
    for row in rows:
        for key, value in row.items():
            loss = key.startswith(LOSS)
            if key not in ABOUT and loss == bool(prefix) and isinstance(value, float | int):
                found.setdefault(key.removeprefix(prefix), []).append((row["step"], row.get("stage", ""), value))
    return found


def _lines(axis: Axes, series: Series, smooth: bool) -> None:
    for number, (name, points) in enumerate(sorted(series.items(), key=lambda item: item[0] == "total")):
        total = name == "total"
        look = {"color": "black" if total else COLOURS[number % 10], "lw": 2 if total else 1.4}
        look["ls"] = "-" if number < 10 else "--"
        label = name
        for stage in dict.fromkeys(stage for _, stage, _ in points):
            own = np.array([(step, value) for step, at, value in points if at == stage], float)
            steps, values = _thinned(own).T
            if smooth and len(steps) >= SMOOTH:
                axis.plot(steps, values, **(look | {"lw": 0.8, "alpha": 0.25}))
                values = smoothed(values, len(values) // SMOOTH)
            marks = {"marker": "o", "ms": 3} if not smooth or len(steps) < 3 else {}
            axis.plot(steps, values, label=label, **look, **marks)
            label = "_"  # one entry of the legend for all stages
    every = [value for points in series.values() for _, _, value in points if np.isfinite(value)]
    least, most = min((value for value in every if value > 0), default=0), max(every, default=0)
    if every and min(every) >= 0 and most > WIDE * least > 0:
        axis.set_yscale("log", nonpositive="mask")
        axis.set_ylim(max(least, most / DEEP) / 1.2, 1.2 * most)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif most > 0 and min(every) >= 0:
        axis.set_ylim(0, 1.05 * most)
    if series:
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0, fontsize=8, frameon=False)


def _stages(axis: Axes, recipe: Recipe | None, last: int, named: bool) -> None:
    begin = 0
    for stage in recipe.stages if recipe else ():
        if stage.steps and begin <= last:
            if begin:
                axis.axvline(begin, color="0.5", lw=0.8, ls=":")
            end = min(last, begin + stage.steps)
            room = WIDTH * 9 * (end - begin) / max(1, last)  # letters, about
            if named and room > len(stage.name):
                axis.annotate(
                    stage.name, ((begin + end) / 2, 1.0), (0, 2), fontsize=8, color="0.4", ha="center", va="bottom",
                    xycoords=("data", "axes fraction"), textcoords="offset points",
                )  # fmt: skip
        begin += stage.steps


def smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean of each value and `reach` on either side (of those there are)."""
    ones = np.ones(2 * min(reach, (len(values) - 1) // 2) + 1)
    return np.convolve(values, ones, "same") / np.convolve(np.ones_like(values), ones, "same")


def _thinned(points: np.ndarray) -> np.ndarray:
    """Points N x 2 -> at most POINTS, each the mean of its neighbours."""
    if len(points) <= POINTS:
        return points
    return np.array([part.mean(0) for part in np.array_split(points, POINTS)])

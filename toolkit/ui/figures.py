"""Pictures that explain, for the notebooks: what a model sees and does, a sound under its frames, sliders that redraw.

Figures are drawn without pyplot, whose state is shared: a slider may redraw from any thread. Coordinates are the
models': -1 … 1 from edge to edge, y down.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

from .. import sound as sounds
from ..clip import Clip
from ..media.sound import Sound

COLOURS = [colormaps["tab20"](i) for i in (*range(0, 20, 2), *range(1, 20, 2))]
EDGES = (-1, 1, 1, -1)  # left, right, bottom, top


class Drawing(Figure):
    """A figure that a notebook shows as it is."""

    def _repr_png_(self) -> bytes:
        return png(self)


def explore(
    draw: Callable[..., None], size: tuple[float, float] = (9, 3), **sliders: widgets.ValueWidget
) -> widgets.VBox:
    """Sliders above a picture that is drawn anew when one of them changes.

    draw: called as draw(figure, name=value, …) with an empty figure of `size` inches. sliders: name -> widget, which is
    called by that name where it has no description.
    """
    image = widgets.Image(format="png", layout={"max_width": "100%", "width": f"{size[0] * 100:.0f}px"})

    def redraw(_: Any = None) -> None:
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, **{name: slider.value for name, slider in sliders.items()})
        image.value = png(figure)

    for name, slider in sliders.items():
        slider.description = slider.description or name
        slider.continuous_update = False
        slider.observe(redraw, "value")
    redraw()
    return widgets.VBox([*sliders.values(), image])


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def picture(axis: Axes, shown: Tensor | np.ndarray, title: str = "", **how: Any) -> Axes:
    """Show C x H x W (1 or 3 channels, 0 to 1) or H x W x 3 in the models' coordinates."""
    array = shown.detach().float().cpu().numpy() if isinstance(shown, Tensor) else shown
    if isinstance(shown, Tensor):
        array = array[0] if len(array) == 1 else array.transpose(1, 2, 0).clip(0, 1)
    axis.imshow(array, extent=EDGES, **{"cmap": "gray", **how})
    axis.set_title(title, fontsize=10)
    axis.set(xlim=EDGES[:2], ylim=EDGES[2:], xticks=[], yticks=[])
    return axis


def pictures(axes: Iterable[Axes], shown: Mapping[str, Tensor | np.ndarray], **how: Any) -> None:
    """One `picture` after the other, titles and C x H x W."""
    for axis, (title, one) in zip(axes, shown.items()):
        picture(axis, one, title, **how)


def difference(axis: Axes, made: Tensor, wanted: Tensor, title: str = "difference", most: float = 0.3) -> None:
    """Where two pictures C x H x W differ (black: nowhere), and by how much in the mean."""
    off = (made - wanted).abs().mean(0, keepdim=True)
    picture(axis, off, f"{title}: {float(off.mean()):.3f}", cmap="magma", vmin=0, vmax=most)


def points(
    axis: Axes, value: Tensor, matrix: Tensor | None = None, length: float = 0.12, only: int | None = None
) -> None:
    """Keypoints K x 2 as dots of twenty colours; matrix, K x 2 x 2: its columns as two arms. only: but one of them."""
    for k, (x, y) in enumerate(value.tolist()):
        if only is not None and k != only:
            continue
        colour = COLOURS[k % 20]
        if matrix is not None:
            for dx, dy in (length * matrix[k]).T.tolist():
                axis.plot([x, x + dx], [y, y + dy], color=colour, lw=2)
        axis.plot(x, y, "o", color=colour, ms=7, mec="white", mew=1)


def lines(axis: Axes, start: Tensor, end: Tensor, colour: Any = "black", width: float = 1.5) -> None:
    """Lines from points K x 2 to points K x 2."""
    axis.add_collection(LineCollection([*zip(start.tolist(), end.tolist())], colors=colour, linewidths=width))


def ellipses(axis: Axes, middles: Tensor, covar: Tensor, colour: Any = None, width: float = 1.5) -> None:
    """Regions: one standard deviation of K x 2 x 2 round K x 2, in twenty colours or in one."""
    squares, axes = np.linalg.eigh(covar.detach().double().cpu().numpy())  # the longer axis is the last column
    for k, (middle, sides) in enumerate(zip(middles.tolist(), 2 * squares.clip(0) ** 0.5)):
        angle = np.degrees(np.arctan2(axes[k, 1, 1], axes[k, 0, 1]))
        edge = COLOURS[k % 20] if colour is None else colour
        axis.add_patch(Ellipse(middle, sides[1], sides[0], angle=angle, fill=False, ec=edge, lw=width))


def grid(axis: Axes, flow: Tensor, lines: int = 13, colour: Any = "tab:blue") -> None:
    """A backward flow h x w x 2 as a bent net: where the result's straight lines are read from in the picture."""
    x, y = flow.detach().float().cpu().numpy().transpose(2, 0, 1)
    rows, columns = (np.linspace(0, side - 1, lines).round().astype(int) for side in x.shape)
    for i in rows:
        axis.plot(x[i], y[i], color=colour, lw=0.8)
    for j in columns:
        axis.plot(x[:, j], y[:, j], color=colour, lw=0.8)


def who_rules(mask: Tensor) -> np.ndarray:
    """The shares (K + 1) x h x w of the background (grey) and of K motions as one picture, h x w x 3."""
    colours = np.array([(0.85, 0.85, 0.85), *(COLOURS[k % 20][:3] for k in range(len(mask) - 1))])
    return np.tensordot(mask.detach().float().cpu().numpy(), colours, ((0,), (0,))).clip(0, 1)


def under_frames(clip: Clip, sound: Sound | None = None, frames: int = 8, title: str = "") -> Drawing:
    """Some frames of a clip in a row, and under each the sound that is heard with it. sound: instead of the clip's."""
    samples, rate = sounds.read(clip.path if sound is None else sound)
    figure = Drawing(figsize=(9, 2.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1.25, 1), sharex=True)
    times = (np.arange(frames) + 0.5) * clip.seconds / frames
    strip = np.hstack([clip.picture(time) for time in times])
    top.imshow(strip, aspect="auto", extent=(0, clip.seconds, 0, 1))
    top.set_yticks([])
    top.set_title(title, fontsize=10)
    wave(bottom, samples, rate)
    bottom.set(xlim=(0, clip.seconds), xlabel="seconds")
    return figure


def wave(axis: Axes, samples: np.ndarray, rate: int, columns: int = 900) -> None:
    """The loudest and the lowest of each short stretch of samples x channels, over time."""
    mono = samples.mean(1)
    edges = np.unique(np.linspace(0, len(mono), min(columns, len(mono)) + 1).astype(int))
    high, low = (extreme.reduceat(mono, edges[:-1]) for extreme in (np.maximum, np.minimum))
    axis.fill_between(edges[:-1] / rate, low, high, lw=0, color="tab:blue")
    axis.set(ylim=(-1, 1), yticks=[])

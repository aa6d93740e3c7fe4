"""The panel of the crop: which part of picture and clip the model will see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from .. import media
from ..progress import Report
from .look import FRAMING, Look, changed
from .model import bring
from .panel import LABELS, Panel, boxed, png, small
from .state import State
from .words import Words
from .work import Later, Work

SHOWN = 260  # pixels
AUTO, NONE, HAND = "auto", "none", "hand"


class CropPanel(Panel):
    """A box on picture and clip: found by the model's recipe, none, or by three sliders (`state.crop_picture`,
    `state.crop_clip`). Where a face is is only looked for when asked.
    """

    def __init__(self, state: State | None = None, words: Words | None = None, look: Look | None = None) -> None:
        super().__init__(state, words)
        self.seen = look or Look(self.state, self.words)
        self.work = Work(self.words, "look", "eye")
        self.work.button.on_click(lambda _: self.work.begin(self._find))
        self.picture, self.clip = _Box(self, "picture"), _Box(self, "clip")
        self.state.watch(self.work.forget, *FRAMING)
        self.seen.watch(self.picture.show)
        self.seen.watch(self.clip.show)
        both = widgets.HBox([self.picture, self.clip], layout={"flex_flow": "row wrap"})
        self.children = [both, self.work, self.message]

    def _find(self, report: Report) -> None:
        bring(self.state, self.work, report)
        self.seen.find(report)

    def wait(self, seconds: float | None = None) -> None:
        self.work.wait(seconds)
        self.picture.later.wait(seconds)
        self.clip.later.wait(seconds)


class _Box(widgets.VBox):
    """The box of one of the two. what: "picture" or "clip"."""

    def __init__(self, panel: CropPanel, what: str) -> None:
        self._panel, self._what, self._field = panel, what, f"crop_{what}"
        self._source = {"picture": "picture", "clip": "driving"}[what]
        self._loaded: tuple = ()
        self._whole: np.ndarray | None = None  # the picture, small
        self._scale = 1.0  # of that
        self._silent = False
        self.later = Later()
        options = [("crop auto", AUTO), ("crop none", NONE), ("crop hand", HAND)]
        self.kind = panel.choice(f"crop {what}", options, self._kind)
        self.kind.layout = {"width": "auto"}
        self.kind.observe(self._kind_chosen, "value")
        sliders = [panel.slider(f"crop {name}", 0, 100, 1) for name in ("x", "y")]
        self.x, self.y = sliders
        self.side = panel.slider("crop side", 5, 150, 1)
        for slider in (self.x, self.y, self.side):
            slider.style, slider.layout, slider.readout_format = LABELS, {"width": "100%"}, ".0f"
            slider.observe(self._moved, "value")
        self.hand = widgets.VBox([self.x, self.y, self.side])
        self.image = widgets.Image(format="png", layout={"max_width": "100%"})
        self.said = widgets.Label()
        super().__init__(
            [self.kind, self.hand, self.image, self.said], layout={"width": "340px", "margin": "0 16px 0 0"}
        )
        panel.state.watch(self.show, self._field, self._source, "begin", "model")
        panel.words.each(self.show)

    def show(self) -> None:
        """Show the file with its box, in a thread."""
        self.later(self._show)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the file in pixels."""
        height, width = self._whole.shape[:2]
        return round(width / self._scale), round(height / self._scale)

    def _kind(self) -> str:
        value = getattr(self._panel.state, self._field)
        return AUTO if value == "auto" else NONE if value is None else HAND

    def _kind_chosen(self, change: Any) -> None:
        if self._panel._silent or change["new"] == self._kind():
            return
        value = {AUTO: "auto", NONE: None}.get(change["new"], "hand")
        if value == "hand":
            if self._whole is None:
                self.kind.value = self._kind()
                return
            value = self._found() or self._middle()
        setattr(self._panel.state, self._field, value)

    def _found(self) -> tuple | None:
        """The box that was found for the settings as they are."""
        seen = self._panel.seen
        box = seen.boxes.get(self._what) if seen.of == seen.framing() else None
        return box if isinstance(box, tuple) else None

    def _middle(self) -> tuple:
        width, height = self.size
        side = min(width, height)
        return (width - side) / 2, (height - side) / 2, side, side

    def _moved(self, _: Any) -> None:
        if self._silent or self._whole is None:
            return
        width, height = self.size
        side = self.side.value / 100 * min(width, height)
        box = self.x.value / 100 * width - side / 2, self.y.value / 100 * height - side / 2, side, side
        setattr(self._panel.state, self._field, box)

    def _show(self) -> None:
        self._load()
        self.kind.value = self._kind()
        value, words = getattr(self._panel.state, self._field), self._panel.words
        self.hand.layout.display = None if isinstance(value, tuple) else "none"
        self.image.layout.display = "none" if self._whole is None else None
        if self._whole is None:
            self.said.value = ""
            return
        seen = self._panel.seen
        box, said = value, ""
        if value == "auto":
            known = seen.of == seen.framing()
            box = seen.boxes.get(self._what) if known else None
            said = "not looked" if not known else "seen moving" if box == "moving" else ""
        if isinstance(box, tuple):
            self._slide(box)
            x, y, width, height = map(round, box)
            self.said.value = words("seen box", x=x, y=y, width=width, height=height)
        else:
            box, self.said.value = None, words(said or "seen whole")
        self.image.layout.width = f"{self._whole.shape[1]}px"
        self.image.value = png(boxed(self._whole, box and [number * self._scale for number in box]))

    def _slide(self, box: tuple) -> None:
        width, height = self.size
        self._silent = True
        self.side.value = 100 * box[2] / min(width, height)
        self.x.value, self.y.value = 100 * (box[0] + box[2] / 2) / width, 100 * (box[1] + box[3] / 2) / height
        self._silent = False

    def _load(self) -> None:
        """Read the picture, or the clip's first frame that is used."""
        path = getattr(self._panel.state, self._source)
        if self._loaded == (wanted := (path, self._panel.state.begin, changed(path))):
            return
        self._whole, self._loaded = None, wanted
        if not path:
            return
        try:
            whole = media.read_picture(path) if self._what == "picture" else _frame(path, self._panel.state.begin)
        except Exception:  # the panel where it was chosen says what is wrong
            return
        self._whole = small(whole, SHOWN)
        self._scale = self._whole.shape[1] / whole.shape[1]


def _frame(path: str, seconds: float) -> np.ndarray:
    with media.read_frames(Path(path).expanduser(), trim=(seconds, None)) as frames:
        return next(frames)

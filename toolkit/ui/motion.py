"""The panel of the motion: mode, strength, smoothing, reference frame, and one frame of what they give."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import numpy as np

from ..clip import Clip
from ..progress import Report
from .look import FRAMING, Look
from .model import bring
from .panel import LABELS, ROW, WIDE, Panel, png
from .state import MODES, State
from .words import Words
from .work import Later, Work, line

SHOWN = ("mode", "strength", "smooth", "reference")  # what the preview follows; what FRAMING names ends it
UNKNOWN = 10.0  # seconds that can be previewed of a clip whose length is not known yet


class Overtaken(Exception):
    """What is previewed is not chosen any more."""


class MotionPanel(Panel):
    """How the driver's motion becomes the picture's, with a preview of one frame at a chosen time (`at`).

    After the first preview, which reads the clip once, further ones follow each change at once while `live` is ticked.
    What is of another picture, clip, crop or model is taken away.
    """

    def __init__(self, state: State | None = None, words: Words | None = None, look: Look | None = None) -> None:
        super().__init__(state, words)
        self.seen = look or Look(self.state, self.words)
        self.mode = self.choice("mode", [(f"mode {mode}", mode) for mode in MODES], lambda: self.state.mode)
        self.strength = self.slider("strength", 0, 2, 0.1)
        self.smooth = self.slider("smooth", 0, 5, 0.5)
        self.reference = self.choice(
            "reference",
            [("reference best", "best"), ("reference first", "first"), ("reference time", "time")],
            self._kind,
        )
        self.second = widgets.BoundedFloatText(min=0, max=86400, step=0.1, style=LABELS, layout={"width": "220px"})
        self.words.label(self.second, "description", "at second")
        self.bind(self.mode, "mode")
        self.bind(self.strength, "strength", lambda value: _within(self.strength, value))
        self.bind(self.smooth, "smooth", lambda value: _within(self.smooth, value))
        self.bind(self.reference, "reference", lambda _: self._kind(), self._reference)
        self.bind(self.second, "reference", self._seconds, self._second)
        self.state.watch(self._show_second, "reference")
        self._show_second()
        self.at = self.slider("preview at", 0, 10, 0.04, value=self.state.begin)
        self.at.readout_format = ".2f"
        self.live = widgets.Checkbox(value=True, indent=False, layout={"width": "auto"})
        self.words.label(self.live, "description", "live")
        self.work = Work(self.words, "preview", "eye", beside=(self.live,))
        self.image = widgets.Image(format="png", layout={**WIDE, "display": "none"})
        self._previewed: tuple = ()
        self._clip: Clip | None = None  # as long as it is, once that is known
        self.later = Later()
        self.work.button.on_click(lambda _: self.preview())
        self.at.observe(self._follow, "value")
        self.state.watch(self._follow, *SHOWN)
        self.state.watch(self._aside, *FRAMING)  # before the slider moves, which would be followed
        self.state.watch(self._span, "begin", "end")
        self.state.watch(self._measure, "driving")
        self._measure()
        second = widgets.HBox([self.reference, self.second], layout=ROW)
        self.children = [self.mode, self.strength, self.smooth, second, self.message, self.at, self.work, self.image]

    def preview(self) -> None:
        """Show the frame at `at`, in a thread."""

        def work(report: Report) -> str:
            fixed = self._fixed()
            told = self._of(fixed, report)
            while True:
                wanted = self._wanted()
                try:
                    bring(self.state, self.work, told)
                    frames = self.seen.frame(wanted[0], told)
                    self._check(fixed)
                except Overtaken:
                    return self._stale()
                self.image.value, self.image.layout.display = png(np.hstack(frames)), None
                self._previewed = wanted
                if wanted == self._wanted():
                    return self._said()
                if not self.live.value:
                    return self._stale()

        self.work.begin(work)

    def _of(self, fixed: tuple, report: Report) -> Report:
        """The report of a preview of these settings, which ends when others are chosen."""

        def told(label: str, done: int, total: int | None) -> None:
            report(label, done, total)
            self._check(fixed)

        return told

    def _check(self, fixed: tuple) -> None:
        if fixed != self._fixed():
            raise Overtaken

    def wait(self, seconds: float | None = None) -> None:
        self.work.wait(seconds)
        self.later.wait(seconds)

    def _wanted(self) -> tuple:
        return self.at.value, *(getattr(self.state, name) for name in SHOWN)

    def _fixed(self) -> tuple:
        return tuple(getattr(self.state, name) for name in FRAMING)

    def _said(self) -> str:
        return line(self.words("preview said", seconds=f"{self._previewed[0]:.2f}"))

    def _stale(self) -> str:
        return line(self.words("preview stale"))

    def _follow(self, _: Any = None) -> None:
        if not self._previewed:
            return
        fits = self._previewed == self._wanted()
        if self.live.value and not fits:
            self.preview()
        elif not self.work.button.disabled:  # else it says so itself
            self.work.message.value = self._said() if fits else self._stale()

    def _aside(self) -> None:
        """Take away a preview, or an error, of what is not chosen any more."""
        self.work.forget()
        if self._previewed:
            self._previewed, self.image.layout.display = (), "none"
            self.work.message.value = self._stale()

    def _measure(self) -> None:
        """See how long the clip is, in a thread."""
        self._clip = None
        self._span()
        self.later(self._measured)

    def _measured(self) -> None:
        path = self.state.driving
        try:
            clip = Clip.open(path) if path else None
        except Exception:  # the panel of the clip says what is wrong
            clip = None
        if path == self.state.driving:
            self._clip = clip
            self._span()

    def _span(self) -> None:
        """The times that can be previewed: those of the part that is used, up to its last frame."""
        begin, end = self.state.begin, self.state.end
        if (clip := self._clip) is not None:
            end = min(clip.seconds, clip.seconds if end is None else end) - float(1 / clip.fps)
        elif end is None:
            end = begin + UNKNOWN
        end = max(end, begin + self.at.step)
        self.at.min, self.at.max = min(begin, self.at.max), end  # in an order that both allow
        self.at.min = begin

    def _kind(self) -> str:
        return self.state.reference if isinstance(self.state.reference, str) else "time"

    def _reference(self, kind: str) -> str | float:
        return float(self.second.value) if kind == "time" else kind

    def _seconds(self, reference: str | float) -> float:
        return self.second.value if isinstance(reference, str) else reference

    def _second(self, seconds: float) -> str | float:
        return seconds if self._kind() == "time" else self.state.reference

    def _show_second(self) -> None:
        self.second.layout.display = None if self._kind() == "time" else "none"


def _within(slider: widgets.FloatSlider, value: float) -> float:
    """The value, for which the slider grows: more may be asked for from Python or by a file."""
    slider.max = max(slider.max, value)
    return value

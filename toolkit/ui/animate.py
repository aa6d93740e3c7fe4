"""The panel of the notebook "Animate a picture": name a picture and a clip, press the button, watch."""

from __future__ import annotations

import html
import os
from typing import Any

import ipywidgets as widgets

from ..clip import Clip
from ..pipeline import animate
from ..progress import Report
from ..track import DEFAULT_MODEL
from .look import check_named
from .model import bring
from .source import short
from .state import State
from .words import Words
from .work import Work, line

_LABELS = {"description_width": "84px"}
_WIDE, _NARROW = {"width": "100%", "max_width": "560px"}, {"width": "170px"}


class AnimatePanel(widgets.VBox):
    """Fields, two sliders and a button; the result plays below them.

    picture, driving: files that the fields begin with. model: a name or a checkpoint file. begin, seconds: the part of
    the clip. The fields may be set from Python too (`panel.strength.value = 1.4`); `panel.clip` is the last result.

    The work runs in a thread, so the page stays alive; Stop ends it within one batch and leaves no half file. What goes
    wrong is shown as a card: no field is lost, and the button works again.
    """

    def __init__(
        self,
        picture: str | os.PathLike = "",
        driving: str | os.PathLike = "",
        *,
        model: str | os.PathLike = DEFAULT_MODEL,
        begin: float = 0.0,
        seconds: float = 2.0,
    ) -> None:
        self.words = Words()
        self.picture = self._text(short(picture), "picture", "friend.png")
        self.driving = self._text(short(driving), "clip", "me.mp4")
        self.model = self._text(str(model), "model", DEFAULT_MODEL)
        self.begin = self._number(begin, "from second", 0.0)
        self.seconds = self._number(seconds, "seconds", 0.1)
        self.strength = self._slider(1.0, 2.0, 0.1, "strength")
        self.smooth = self._slider(0.0, 5.0, 0.5, "smooth")
        self.beside = widgets.Checkbox(value=True, description=self.words("beside"), style=_LABELS, layout=_WIDE)
        self.work = Work(self.words, "animate", "play", primary=True)
        self.button, self.stop, self.stage = self.work.button, self.work.stop, self.work.stage
        self.message = self.work.message
        self.screen = widgets.HTML()
        self.clip: Clip | None = None
        self.button.on_click(lambda _: self._start())
        part = widgets.HBox([self.begin, self.seconds])
        fields = [self.picture, self.driving, self.model, part, self.strength, self.smooth, self.beside]
        super().__init__([*fields, self.work, self.screen])

    def wait(self, seconds: float | None = None) -> Clip | None:
        """Wait until the run that was begun is over (or that many seconds); return the last result."""
        self.work.wait(seconds)
        return self.clip

    # -- a run ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        settings = self._settings()

        def work(report: Report) -> str:
            named = {name: settings[name] for name in ("picture", "driving", "model")}
            check_named(named["picture"], named["driving"], self.words)
            bring(State(**named), self.work, report)
            self.clip = animate(**settings, progress=report)
            shown = self.clip._repr_mimebundle_(language=self.words.language)
            self.screen.value = shown.get("text/html") or html.escape(shown["text/plain"])
            return "".join(line(self.words.told(note)) for note in self.clip.report["notes"])

        self.work.begin(work)

    def _settings(self) -> dict[str, Any]:
        """The fields as they are now, as arguments of `animate`."""
        begin = self.begin.value
        return {
            "picture": _named(self.picture),
            "driving": _named(self.driving),
            "model": _named(self.model) or DEFAULT_MODEL,
            "trim": (begin, begin + self.seconds.value),
            "strength": self.strength.value,
            "smooth": self.smooth.value,
            "side_by_side": self.beside.value,
        }

    # -- small parts ---------------------------------------------------------------------------------------------------

    def _text(self, value: str, key: str, placeholder: str) -> widgets.Text:
        how = {"description": self.words(key), "style": _LABELS, "layout": _WIDE}
        return widgets.Text(value=value, placeholder=placeholder, **how)

    def _number(self, value: float, key: str, least: float) -> widgets.BoundedFloatText:
        how = {"description": self.words(key), "style": _LABELS, "layout": _NARROW}
        return widgets.BoundedFloatText(value=value, min=least, max=86400, step=0.5, **how)

    def _slider(self, value: float, most: float, step: float, key: str) -> widgets.FloatSlider:
        how = {"description": self.words(key), "style": _LABELS, "layout": _WIDE, "readout_format": ".1f"}
        return widgets.FloatSlider(value=value, min=0, max=most, step=step, **how)


def _named(field: widgets.Text) -> str:
    """What was written, without the quotation marks and blanks that come along with a copied path."""
    return field.value.strip().strip("\"'")

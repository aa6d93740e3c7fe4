"""The panel of the notebook "Animate a picture": name a picture and a clip, press the button, watch."""

from __future__ import annotations

import contextlib
import html
import os
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ..clip import Clip
from ..errors import InputError, ToolkitError
from ..pipeline import animate
from ..track import DEFAULT_MODEL
from .card import card

_one_at_a_time = threading.Lock()  # of the module, so that it holds when a cell is run again
_LABELS = {"description_width": "84px"}
_WIDE, _NARROW = {"width": "100%", "max_width": "560px"}, {"width": "170px"}


class _Stopped(Exception):
    """The Stop button was pressed."""


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
        self.picture = _text(_short(picture), "picture", "friend.png")
        self.driving = _text(_short(driving), "clip", "me.mp4")
        self.model = _text(str(model), "model", DEFAULT_MODEL)
        self.begin = _number(begin, "from second", 0.0)
        self.seconds = _number(seconds, "seconds", 0.1)
        self.strength = _slider(1.0, 2.0, 0.1, "strength")
        self.smooth = _slider(0.0, 5.0, 0.5, "smooth")
        self.beside = widgets.Checkbox(
            value=True, description="show picture and clip beside the result", style=_LABELS, layout=_WIDE
        )
        self.button = widgets.Button(description="Animate", button_style="primary", icon="play")
        self.stop = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.bar = widgets.IntProgress(min=0, max=100, layout={"width": "300px"})
        self.stage = widgets.Label()
        self.under_way = widgets.HBox([self.bar, self.stage], layout={"display": "none"})
        self.message = widgets.HTML()
        self.screen = widgets.HTML()
        self.clip: Clip | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.button.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self._stopping.set())
        part = widgets.HBox([self.begin, self.seconds])
        buttons = widgets.HBox([self.button, self.stop])
        fields = [self.picture, self.driving, self.model, part, self.strength, self.smooth, self.beside]
        super().__init__([*fields, buttons, self.under_way, self.message, self.screen])

    def wait(self, seconds: float | None = None) -> Clip | None:
        """Wait until the run that was begun is over (or that many seconds); return the last result."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.clip

    # -- a run ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.button.disabled:  # a second click that was on its way
            return
        self.button.disabled, self.stop.disabled = True, False
        self._stopping.clear()
        self.message.value, self.bar.value, self.under_way.layout.display = "", 0, None
        self._thread = threading.Thread(target=self._run, args=(self._settings(),), daemon=True)
        self._thread.start()

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

    def _run(self, settings: dict[str, Any]) -> None:
        try:
            for name, field in (("picture", "picture"), ("driving", "clip")):
                if not settings[name]:
                    raise InputError(f"No {field} is named.", f"Write the name of its file into the field '{field}'.")
            with self._turn():
                self.clip = animate(**settings, progress=self._progress)
            shown = self.clip._repr_mimebundle_()
            self.screen.value = shown.get("text/html") or html.escape(shown["text/plain"])
            self.message.value = "".join(map(_line, self.clip.report["notes"]))
        except _Stopped:
            self.message.value = _line("Stopped. Nothing was written.")
        except ToolkitError as error:
            self._card(error.what, error.remedy)
        except Exception as error:  # in a thread nobody would ever see it
            what = f"Something went wrong that the toolkit has no words for: {type(error).__name__}: {error}"
            self._card(what, "Run the notebook anew; if it comes back, report it with the details.", details=True)
        finally:
            self.stage.value, self.under_way.layout.display = "", "none"
            self.button.disabled, self.stop.disabled = False, True

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the run of another panel, which may be that of this very cell before it was run again."""
        self.stage.value = "waiting for the run before this one …" if _one_at_a_time.locked() else "getting ready …"
        while not _one_at_a_time.acquire(timeout=0.2):
            self._check_stop()
        try:
            yield
        finally:
            _one_at_a_time.release()

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _Stopped

    def _progress(self, label: str, done: int, total: int | None) -> None:
        self._check_stop()
        self.bar.value = min(100, 100 * done // total) if total else 0
        self.stage.value = f"{label}: {self.bar.value} %" if total else f"{label}: {done}"

    def _card(self, what: str, remedy: str, details: bool = False) -> None:
        """An error as a card; with `details`, the traceback of the exception at hand is folded into it."""
        self.message.value = card(what, remedy, traceback.format_exc() if details else "")


# -- small parts -----------------------------------------------------------------------------------------------------


def _text(value: str, description: str, placeholder: str) -> widgets.Text:
    return widgets.Text(value=value, description=description, placeholder=placeholder, style=_LABELS, layout=_WIDE)


def _number(value: float, description: str, least: float) -> widgets.BoundedFloatText:
    return widgets.BoundedFloatText(
        value=value, min=least, max=86400, step=0.5, description=description, style=_LABELS, layout=_NARROW
    )


def _slider(value: float, most: float, step: float, description: str) -> widgets.FloatSlider:
    return widgets.FloatSlider(
        value=value,
        min=0,
        max=most,
        step=step,
        description=description,
        readout_format=".1f",
        style=_LABELS,
        layout=_WIDE,
    )


def _line(text: str) -> str:
    return f'<div style="line-height: 1.5; padding: 4px 0">{html.escape(text)}</div>'


def _named(field: widgets.Text) -> str:
    """What was written, without the quotation marks and blanks that come along with a copied path."""
    return field.value.strip().strip("\"'")


def _short(path: str | os.PathLike) -> str:
    """The path as it is, or relative to the current folder where that is shorter."""
    if not (text := os.fspath(path)) or not Path(text).is_absolute():
        return text
    try:
        return min(text, os.path.relpath(text), key=len)
    except ValueError:  # another drive
        return text

"""Long work of a panel: in a thread, one at a time, told while it goes on, stopped within one batch."""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import ipywidgets as widgets

from ..errors import ToolkitError
from ..progress import Report
from ..zoo.catalogue import amount
from .card import card
from .words import Words

BREATH = 0.2  # seconds between looks at the work that is waited for
WRAPPED = {"flex_flow": "row wrap", "align_items": "center"}


class Turns:
    """Works that go on one at a time. holder: the panel whose work goes on, which may belong to a cell as it was before
    it was run again; None where nobody sees it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holder: Work | None = None


# Of the module, so that they hold when a cell is run again. A download keeps no model waiting.
MODELS, DOWNLOADS = Turns(), Turns()


class Stopped(Exception):
    """The Stop button was pressed."""


class Work(widgets.VBox):
    """A button, a Stop button, how far the work is, and a place for what is said about it.

    The work runs in a thread, so the page stays alive; Stop ends it at its next report. What goes wrong is shown as a
    card, and the button works again. While it waits for the work of another panel, it shows how far that is, and a
    button (`before`) that stops it. key, icon: of the button. beside: more widgets in the row of buttons. fetching: it
    brings bytes, not frames, and waits for downloads alone.
    """

    def __init__(
        self,
        words: Words,
        key: str,
        icon: str = "",
        primary: bool = False,
        beside: tuple[widgets.Widget, ...] = (),
        fetching: bool = False,
    ) -> None:
        self.words = words
        self._own = self._turns = DOWNLOADS if fetching else MODELS  # _turns: those of the moment, see `downloading`
        self._held = contextlib.ExitStack()  # the turn that it has
        self.button = widgets.Button(icon=icon, button_style="primary" if primary else "", layout={"width": "auto"})
        self.stop = widgets.Button(icon="stop", disabled=True, layout={"width": "auto"})
        words.label(self.button, "description", key)
        words.label(self.stop, "description", "stop")
        self.bar = widgets.IntProgress(min=0, max=100, layout={"width": "300px", "max_width": "50%"})
        self.stage = widgets.Label()
        self.before = widgets.Button(icon="stop", layout={"width": "auto", "display": "none"})
        words.label(self.before, "description", "stop before")
        self.before.on_click(lambda _: self._stop_before())
        self.under_way = widgets.HBox([self.bar, self.stage, self.before], layout={"display": "none", **WRAPPED})
        self.message = widgets.HTML()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._error: Exception | None = None  # with which the last work ended
        words.each(self._tell)
        self._idle = None if primary else "none"  # the Stop button of small things only shows while it can be pressed
        self.stop.layout.display = self._idle
        self._began = "", 0.0, 0  # the stage, when it began, and with how much done
        self.stop.on_click(lambda _: self._stop())
        row = widgets.HBox([self.button, self.stop, *beside], layout=WRAPPED)
        super().__init__([row, self.under_way, self.message])

    def begin(self, work: Callable[[Report], str | None]) -> bool:
        """Call `work(report)` in a thread, unless one is under way (False then).

        work: calls report(label, done, total) often, which is where it may be stopped, and returns HTML to be shown.
        """
        if self.button.disabled:  # a second click that was on its way
            return False
        self.button.disabled, self.stop.disabled, self.stop.layout.display = True, False, None
        self._stopping.clear()
        self._error, self._began = None, ("", 0.0, 0)
        self.message.value, self.bar.value, self.under_way.layout.display = "", 0, None
        thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        thread.start()
        self._thread = thread  # which can be waited for from now on
        return True

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the work that was begun is over, or that many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def fail(self, error: Exception) -> None:
        """Show an error as a card, in the language of the moment."""
        self._error = error
        self._tell()

    def forget(self) -> None:
        """Take away the error card of what has been put right meanwhile."""
        if self._error is not None and not self.button.disabled:
            self._error, self.message.value = None, ""

    def _tell(self) -> None:
        if self._error is not None:
            self.message.value = failure(self._error, self.words)

    def _run(self, work: Callable[[Report], str | None]) -> None:
        try:
            with self._held:
                self._held.enter_context(self._turn(self._own))
                said = work(self._report)
            self.message.value = said or ""
        except Stopped:
            self.message.value = line(self.words("stopped"))
        except Exception as error:  # in a thread nobody would ever see it
            self.fail(error)
        finally:
            self.stage.value, self.under_way.layout.display = "", "none"
            self.stop.layout.display = self._idle
            self.button.disabled, self.stop.disabled = False, True

    @contextlib.contextmanager
    def downloading(self) -> Iterator[None]:
        """Within the work: it brings bytes for a while, in the turn of downloads, and other models need not wait."""
        self._held.close()
        with self._turn(DOWNLOADS):
            yield
        self._held.enter_context(self._turn(self._own))  # not after an error: the work is over then

    @contextlib.contextmanager
    def _turn(self, turns: Turns) -> Iterator[None]:
        """Wait for the work of another panel, and show how far it is."""
        self._turns = turns
        self.stage.value = self.words("waiting" if turns.lock.locked() else "getting ready")
        try:
            while not turns.lock.acquire(timeout=BREATH):
                self._check_stop()
                self._show_before()
        finally:
            self.before.layout.display, self.bar.value = "none", 0
        turns.holder = self
        try:
            self.stage.value = self.words("getting ready")
            self._check_stop()
            yield
        finally:
            turns.holder = None
            turns.lock.release()

    def _show_before(self) -> None:
        """How far the work is that this one waits for."""
        before, waiting = self._turns.holder, self.words("waiting")
        self.before.layout.display = "none" if before is None else None
        self.before.disabled = before is not None and before.stopping
        self.bar.value = 0 if before is None else before.bar.value
        self.stage.value = waiting if before is None else f"{waiting} {before.stage.value}"

    def _stop_before(self) -> None:
        if (before := self._turns.holder) is not None and before is not self:
            before._stop()
            self.before.disabled = True

    @property
    def stopping(self) -> bool:
        """Whether it has been stopped, and has not ended yet."""
        return self._stopping.is_set()

    def _stop(self) -> None:
        """End at the next report; that may take a moment, when a model is loaded or a server keeps silent."""
        if not self.stop.disabled:
            self._stopping.set()
            self.stage.value = self.words("cancelling")

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Stopped

    def _report(self, label: str, done: int, total: int | None) -> None:
        """How far, how fast, how long still."""
        self._check_stop()
        now = time.monotonic()
        if self._began[0] != label or done < self._began[2]:
            self._began = label, now, done
        _, since, first = self._began
        self.bar.value = min(100, 100 * done // total) if total else 0
        far = f"{self.bar.value} %" if total else f"{done}"
        fetching = self._turns is DOWNLOADS
        if fetching and not total:  # a server that doesn't say how large it is
            far = amount(done) if done else "…"
        text = f"{self.words.told(label)}: {far}"
        speed = (done - first) / (now - since) if now - since > 0.5 else 0
        if speed and fetching:
            text += self.words("megabytes a second", speed=f"{speed / 1e6:.1f}")
        elif speed:
            text += self.words("frames a second", speed=f"{speed:.1f}")
        if speed and total:
            text += self.words("left", seconds=round(max(0, total - done) / speed))
        self.stage.value = text


class Later:
    """Does the latest of what is asked for, in a thread; what has been overtaken meanwhile is left out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._next = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all that was asked for is done, or that many seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                work, self._next = self._next, None
                if work is None:
                    self._thread = None
                    return
            try:
                work()
            except BaseException:  # said as the end of a thread is; what was asked for meanwhile is done all the same
                told = (*sys.exc_info(), threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(told))
                del told  # which would keep all that the error has seen


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Wait for one's turn without a word, for short work on a model."""
    with MODELS.lock:
        yield


def failure(error: Exception, words: Words) -> str:
    """An error as a card; with the traceback folded into it where the toolkit has no words for it."""
    if isinstance(error, ToolkitError):
        return card(error.what, error.remedy, language=words.language)
    what = words("unexpected", error=f"{type(error).__name__}: {error}")
    details = "".join(traceback.format_exception(error))
    return card(what, words("unexpected remedy"), details, words.language)


def line(text: str) -> str:
    return f'<div style="line-height: 1.5; padding: 4px 0">{html.escape(text)}</div>'

"""A training run in a notebook while it goes on: how far it is, its curves, its newest preview, and a Stop button."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ..errors import ConfigError
from ..training.follow import Follower
from ..training.watch import CURVES, News, clock
from .panel import ROW
from .words import Words
from .work import failure, line

OFTEN, LOOK = 0.3, 2.0  # seconds between changes of the bar; between looks into a folder
BREATH = 0.2  # seconds of a wait after which an interrupt is noticed, also where a lock can't be interrupted
SILENT, FORGOTTEN = 120.0, 3600.0  # seconds without news of a followed run: it may have ended; nobody looks any more


class TrainingView(widgets.VBox):
    """A run as it goes on: steps and time left, losses, curves, the newest preview. It is shown like any widget, and
    used in one of three ways.

        view = toolkit.ui.TrainingView()
        view.train("finetune", output="runs/mine", data="data")  # as toolkit.train, in a thread: Stop works
        view.wait()                   # in a later cell -> the trained model's file; the kernel's ■ is Stop there

        display(view)                                            # in the cell's own thread: stop with its ■
        toolkit.train("finetune", output="runs/mine", data="data", progress=False, listen=view)

        view.follow("runs/mine")                                 # a run that was started elsewhere; Stop works

    `train`, `start` and `follow` return the view, so that one of them as a cell's last line shows it. Stop ends the run
    after its step, with a checkpoint and the exported model, as Ctrl-C does. An error is shown as a card.

    language: "en" or "zh"; None for TOOLKIT_LANG or the platform's. news: the last `News`, or None. result: the trained
    model's file, or None. error: what ended the run, or None.
    """

    def __init__(self, language: str | None = None) -> None:
        self.words = Words(language)
        self.bar = widgets.IntProgress(min=0, max=1, layout={"width": "300px", "max_width": "50%"})
        self.stage, self.losses = widgets.Label(), widgets.HTML()
        self.message, self.hint = widgets.HTML(), widgets.HTML()  # of the run; of who waits for it
        self.stop = widgets.Button(icon="stop", layout={"width": "auto", "display": "none"})
        self.words.label(self.stop, "description", "stop")
        self.stop.on_click(lambda _: self.end())
        self.caption = widgets.HTML()
        self.curves, self.sheet = (widgets.Image(format="png", layout={"display": "none"}) for _ in range(2))
        self._thread: threading.Thread | None = None
        self._follower: Follower | None = None
        self._stopping, self._leaving = threading.Event(), threading.Event()
        self._begin()
        row = widgets.HBox([self.bar, self.stop, self.stage], layout=ROW)
        pictures = [self.curves, self.caption, self.sheet]
        super().__init__([row, self.losses, self.message, self.hint, *pictures], layout={"overflow": "hidden"})
        self.words.each(self._show)

    # ------------------------------------------------------------------ three ways to use it

    def train(self, *args: Any, **more: Any) -> TrainingView:
        """Call `toolkit.train` with these arguments, in a thread. Raises ConfigError while a run is under way here."""
        from ..training import train

        return self.start(lambda: train(*args, **{"progress": False, **more, "listen": self}))

    def start(self, work: Callable[[], Path]) -> TrainingView:
        """Call `work()` in a thread: it trains with this view as `listen`, and returns the model's file. Raises
        ConfigError while a run is under way here.
        """
        return self._in_thread(lambda: self._work(work))

    def follow(self, folder: str | os.PathLike) -> TrainingView:
        """Show the run in a folder, whoever trains it, until it ends. Raises ConfigError while a run is under way
        here.
        """
        follower = Follower(Path(folder).expanduser())
        return self._in_thread(lambda: self._follow(follower), follower)

    def __call__(self, news: News) -> None:
        """Listen to a run. Raises KeyboardInterrupt, which ends it as Ctrl-C does, where Stop was pressed."""
        if threading.current_thread() is not self._thread:
            if self.news is None or news.step < self.news.step or news.folder != self.news.folder:
                self._begin()
                self.message.value = line(self.words("interrupt"))
            elif news.step == news.steps:
                self.message.value = ""
        self.hear(news)
        if self._stopping.is_set():
            self._stopping.clear()
            raise KeyboardInterrupt

    # ------------------------------------------------------------------ while it runs

    def hear(self, news: News) -> None:
        """Show news: numbers three times a second at most, pictures as they come."""
        self.news, now, last = news, time.monotonic(), news.step == news.steps
        if news.file is not None:
            self._picture(news.file)
        if news.text:
            self.message.value = line(self.words.told(news.text))
        if now - self._shown >= OFTEN or last:
            self._shown = now
            self._show()

    def end(self) -> None:
        """Stop the run after its step, as the Stop button does."""
        self.stop.disabled = True
        if self._follower is not None:
            self._follower.stop()
        else:
            self._stopping.set()
        self.message.value = line(self.words("stopping"))

    def wait(self, seconds: float | None = None) -> Path | None:
        """Wait until the run is over, or that many seconds; then the trained model's file, if there is one.

        No button's click comes through meanwhile, so interrupting the kernel (■) is Stop: the run ends after its step,
        and is waited for; once more, and it is waited for no longer. Of a run elsewhere it only ends the waiting.
        """
        if (thread := self._thread) is None:
            return self.result
        until = None if seconds is None else time.monotonic() + seconds
        if thread.is_alive():
            self.hint.value = line(self.words("interrupt" if self._follower is None else "interrupt following"))
        try:
            _join(thread, until)
        except KeyboardInterrupt:
            if self._follower is None and thread.is_alive():
                self.end()
                with contextlib.suppress(KeyboardInterrupt):
                    _join(thread, until)
        finally:
            self.hint.value = ""
        return self.result

    def close(self) -> None:
        """Take the view away; a folder is followed no more."""
        self._leaving.set()
        super().close()

    # ------------------------------------------------------------------ its parts

    def _begin(self) -> None:
        self.news: News | None = None
        self.result: Path | None = None
        self.error: Exception | None = None
        self._shown, self._preview = 0.0, 0
        self._stopping.clear()
        self.message.value = self.caption.value = self.losses.value = self.stage.value = self.bar.bar_style = ""
        self.bar.value = 0
        self.curves.layout.display = self.sheet.layout.display = "none"

    def _in_thread(self, work: Callable[[], None], follower: Follower | None = None) -> TrainingView:
        if self._thread is not None and self._thread.is_alive() and self._follower is None:
            raise ConfigError(self.words("under way"), self.words("under way remedy"))
        self._leaving.set()  # whoever followed another folder
        if self._thread is not None:
            self._thread.join()
        self._leaving.clear()
        self._begin()
        self._follower = follower
        self.stop.layout.display, self.stop.disabled = None, False
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()
        return self

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # in a thread nobody would ever see it
            self.error = error
            self.bar.bar_style = "danger"
            self.message.value = failure(error, self.words)
        finally:
            self.stop.layout.display = "none"

    def _work(self, work: Callable[[], Path]) -> None:
        self.result = work()
        self._over()

    def _follow(self, follower: Follower) -> None:
        while not self._leaving.is_set():
            for news in follower.look():
                self.hear(news)
            if follower.over:
                self.result = follower.model
                self._over()
                break
            if (silence := follower.silence()) > SILENT:
                unknown = self.words("no run", folder=follower.folder)
                self.message.value = line(self.words("no news", time=clock(silence)) if self.news else unknown)
            if silence > FORGOTTEN:
                break
            self._leaving.wait(LOOK)

    def _over(self) -> None:
        """Say how it ended."""
        self._show()
        news = self.news
        if news is not None and news.step < news.steps:
            self.message.value = line(self.words("stopped at", step=news.step, steps=news.steps))
        else:
            self.bar.bar_style = "success"
            self.message.value = line(self.words("trained", path=self.result))

    def _show(self) -> None:
        """The numbers of the last news, in the chosen language."""
        if (news := self.news) is None:
            return
        words = self.words
        self.bar.max, self.bar.value = max(1, news.steps), news.step
        text = words("step of", step=news.step, steps=news.steps) + words("in stage", stage=news.stage)
        if news.speed and news.left is not None:
            if news.speed >= 0.1:
                text += words("steps a second", speed=f"{news.speed:.2f}")
            else:
                text += words("seconds a step", seconds=round(1 / news.speed))
            text += words("time left", time=clock(news.left))
        self.stage.value = text
        losses = sorted(news.losses.items(), key=lambda item: item[0] != "total")
        self.losses.value = line(words("losses", losses=" · ".join(f"{name} {value:.4g}" for name, value in losses)))
        self.caption.value = line(words("preview of", step=self._preview)) if self._preview else ""

    def _picture(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError:  # a newer one is there by now
            return
        image = self.curves if path.name == CURVES else self.sheet
        image.value = data
        image.layout.width, image.layout.max_width = f"{int.from_bytes(data[16:20], 'big')}px", "100%"
        image.layout.display = None
        if image is self.sheet:
            self._preview, self._shown = int(path.stem.rpartition("-")[2]), 0.0


def _join(thread: threading.Thread, until: float | None) -> None:
    """Wait for a thread, at the longest until that time of the monotonic clock."""
    while thread.is_alive() and (until is None or time.monotonic() < until):
        thread.join(BREATH if until is None else max(0.0, min(BREATH, until - time.monotonic())))

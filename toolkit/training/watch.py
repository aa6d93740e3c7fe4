"""Watching a run: what it says while it goes on, and the files that say it later.

In the run's folder: `log.jsonl`, a line for every few steps, and one for what was measured; `curves.png`, drawn anew
now and then; a `sheet-*.png` for every preview; and `tensorboard/`, for `tensorboard --logdir`, where tensorboard is
installed (`pip install tensorboard`). A file named `stop` ends the run after its step, with a checkpoint, as Ctrl-C
does: `touch runs/mine/stop`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..translations import translate
from .recipe import Recipe

LOG, CURVES, STOP, BOARD = "log.jsonl", "curves.png", "stop", "tensorboard"
ABOUT = ("step", "stage", "seconds")  # what a row of the log says beside numbers
LOSS = "loss/"  # before the name of each loss, in the log as in TensorBoard
SAID, LOOKED, SPAN = 20.0, 1.0, 120.0  # seconds between lines; between looks for `stop`; that the speed is a mean of
ROWS, FINEST = 200, 50  # a run's log has at least so many rows (if it has as many steps), and one every 50 steps
FEW = 5  # rows before which there is no curve to draw
COST = 0.01, 0.05  # most share of the time that drawing curves takes; where somebody looks on


@dataclasses.dataclass(frozen=True)
class News:
    """What a listener is told after each step, when a picture was written, and when the run says something.

    folder: the run's. step: how many are done of `steps`. losses: of that step. speed: steps a second. left: seconds,
    at this speed; both None where it is too early to say. file: the picture that was just written. text: what is said.
    """

    folder: Path
    step: int
    steps: int
    stage: str
    losses: Mapping[str, float]
    speed: float | None = None
    left: float | None = None
    file: Path | None = None
    text: str = ""


Listen = Callable[[News], None]


class Watch:
    """The voice of one run, which goes on after `step` steps: what is said of later ones is forgotten, since they are
    run again.

    show: print a line every 20 s. listen: called with `News`, in the thread that trains; KeyboardInterrupt raised there
    ends the run as Ctrl-C does. main: False in all processes of a run but one: they say and write nothing.
    A file that can't be written is warned of, and the run goes on.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        step: int = 0,
        *,
        show: bool = True,
        listen: Listen | None = None,
        main: bool = True,
    ) -> None:
        self.folder, self.recipe, self.main = folder, recipe, main
        self._show, self._listen = show and main, listen if main else None
        self._every = min(FINEST, max(1, recipe.steps // ROWS))
        self._news = News(folder, step, recipe.steps, "", {})
        self._speed = Speed(recipe.steps)
        self._speed.at(step, "", time.monotonic())
        self._sums: dict[str, list[float]] = {}
        self._rows: list[dict[str, Any]] = []
        self._said = self._looked = time.monotonic()
        self._drawn, self._cost, self._fresh = 0.0, 0.0, False
        self._board: Any = None
        self._asked = False
        if main:
            with self._sparing():
                (folder / STOP).unlink(missing_ok=True)
                self._rows = _begun(folder, step)
            with self._sparing():
                self._board = _board(folder, step)

    # ------------------------------------------------------------------ what the loop tells

    def step(self, step: int, stage: str, losses: Mapping[str, float]) -> None:
        """A step is done: so many by now, in this stage, with these losses."""
        if not self.main:
            return
        speed, left = self._speed.at(step, stage, time.monotonic())
        self._news = News(self.folder, step, self.recipe.steps, stage, losses, speed, left)
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(value)
        if step % self._every == 0 or step == self.recipe.steps:
            self._log_losses()
        if self._show and (time.monotonic() - self._said >= SAID or step == self.recipe.steps):
            self._said = time.monotonic()
            print(line(self._news), flush=True)
        self._tell()
        self._draw()

    def measured(self, numbers: Mapping[str, float]) -> None:
        """Held-out numbers, of the weights as they are now."""
        if not self.main:
            return
        self._log(numbers, "held_out/")
        if self._show:
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            print(translate(f"{self._news.step}/{self._news.steps} held out  {text}"), flush=True)
        self._draw()

    def pictured(self, sheet: np.ndarray | None) -> None:
        """A preview, uint8 H x W x 3, or None where there is none yet."""
        if not self.main or sheet is None:
            return
        from PIL import Image

        path, step = self.folder / f"sheet-{self._news.step:07d}.png", self._news.step
        with self._sparing():
            _replace(path, lambda part: Image.fromarray(sheet).save(part, "PNG"))
            self._tell(file=path)
            if self._board is not None:
                self._board.add_image("sheet", sheet, step, dataformats="HWC")

    def say(self, text: str) -> None:
        """A line for people."""
        if self._show:
            print(translate(text), flush=True)
        self._tell(text=text)

    @property
    def stopping(self) -> bool:
        """Whether the listener raised KeyboardInterrupt, or somebody put a file named `stop` into the folder; looked up
        once a second.
        """
        now = time.monotonic()
        if self._asked:
            return True
        if not self.main or now - self._looked < LOOKED:
            return False
        self._looked = now
        return (self.folder / STOP).exists()

    def close(self) -> None:
        """Write what is still to be written."""
        if not self.main:
            return
        self._log_losses()
        self._draw(now=True)
        with self._sparing():
            (self.folder / STOP).unlink(missing_ok=True)
            if self._board is not None:
                self._board.close()

    # ------------------------------------------------------------------ files and listeners

    def _log_losses(self) -> None:
        """A row of the losses since the last one, each the mean of the steps that had it."""
        means, self._sums = {name: float(np.mean(values)) for name, values in self._sums.items()}, {}
        if means:
            self._log({LOSS + name: value for name, value in means.items()})

    def _log(self, numbers: Mapping[str, float], group: str = "") -> None:
        row = {"step": self._news.step, "stage": self._news.stage, "seconds": round(time.time(), 1), **numbers}
        self._rows.append(row)
        self._fresh = True
        with self._sparing():
            with open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            for name, value in numbers.items() if self._board is not None else ():
                self._board.add_scalar(group + name, value, self._news.step)

    def _draw(self, now: bool = False) -> None:
        """Draw the curves, unless that was done just now or there is nothing new."""
        wait = self._cost / COST[self._listen is not None]
        if not self._fresh or not (now or (len(self._rows) >= FEW and time.monotonic() - self._drawn >= wait)):
            return
        try:
            from .curves import curves
        except ImportError:  # no matplotlib: a bare machine
            self._cost = float("inf")
            return
        path, began = self.folder / CURVES, time.monotonic()
        with self._sparing():
            figure = curves(self._rows, self.recipe)
            _replace(path, lambda part: figure.savefig(part, format="png", dpi=100))
            self._tell(file=path)
        self._fresh, self._drawn = False, time.monotonic()
        self._cost = self._drawn - began

    def _tell(self, **what: Any) -> None:
        if self._listen is None:
            return
        try:
            self._listen(dataclasses.replace(self._news, **what))
        except KeyboardInterrupt:
            self._asked = True  # the step is done, but what follows it (a checkpoint, say) is not
        except Exception as error:  # a display that breaks must not cost the run
            text = f"The listener failed and is told no more: {type(error).__name__}: {error}."
            warnings.warn(translate(text), stacklevel=2)
            self._listen = None

    @contextlib.contextmanager
    def _sparing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = f"{self.folder}: {error}. The training goes on without that file."
            warnings.warn(translate(text), stacklevel=3)


class Speed:
    """Steps a second, of the last two minutes and of this stage, and how long the rest will take."""

    def __init__(self, total: int) -> None:
        self._total, self._stage = total, ""
        self._marks: deque[tuple[float, int]] = deque()

    def at(self, step: int, stage: str, now: float) -> tuple[float | None, float | None]:
        """(steps a second, seconds left) when `step` steps are done; None, None at first. now: in seconds."""
        if stage != self._stage:
            self._stage, self._marks = stage, deque([*self._marks][-1:])
        self._marks.append((now, step))
        while len(self._marks) > 2 and now - self._marks[0][0] > SPAN:
            self._marks.popleft()
        begun, first = self._marks[0]
        if step <= first or now <= begun:
            return None, None
        speed = (step - first) / (now - begun)
        return speed, (self._total - step) / speed


def line(news: News) -> str:
    """News as a line: step, stage, losses, steps a second, time left."""
    parts = [f"{news.step}/{news.steps} {news.stage}"]
    parts.append(" ".join(f"{name} {value:.4f}" for name, value in news.losses.items()))
    if news.speed and news.left is not None:
        pace = f"{news.speed:.2f} steps/s" if news.speed >= 0.1 else f"{1 / news.speed:.0f} s a step"
        parts.append(translate(f"{pace}  {clock(news.left)} left"))
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """3:07 (minutes and seconds), 2:15:00."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of a run's log, in order; half a line at the end (a run that was killed) is left out.

    step, stage, seconds (since 1970); and either the losses, "loss/NAME", each the mean of the steps since the last
    such row, or what was measured on held-out data, by its name.
    """
    rows = []
    with contextlib.suppress(FileNotFoundError):
        for text in (Path(folder) / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                row = json.loads(text)
                if isinstance(row, dict) and isinstance(row.get("step"), int):
                    rows.append(row)
    return rows


def _begun(folder: Path, step: int) -> list[dict[str, Any]]:
    """The rows up to a step; those of later steps go from the log, and later previews from the folder."""
    if not (folder / LOG).exists():
        return []
    rows = [row for row in read_log(folder) if row["step"] <= step]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    _replace(folder / LOG, lambda part: part.write_text(text, encoding="utf-8"))
    for path in folder.glob("sheet-*.png"):
        if path.stem.removeprefix("sheet-").isdigit() and int(path.stem.removeprefix("sheet-")) > step:
            path.unlink()
    return rows


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / BOARD), purge_step=step + 1 if step else None, flush_secs=20)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, then rename: who looks meanwhile sees the old one."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

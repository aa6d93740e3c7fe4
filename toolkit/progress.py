"""One progress line for every long job: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .translations import translate

Report = Callable[[str, int, int | None], None]  # label, done, total


class Progress:
    """A bar on the terminal or in a notebook (True), nothing (False), or a function `f(label, done, total)`."""

    def __init__(self, show: bool | Report = True) -> None:
        self._call = show if callable(show) else None
        self._show = bool(show) and self._call is None
        self._bar: Any = None
        self._label, self._done, self._total, self._unit = "", 0, None, ""

    def start(self, label: str, total: int | None, unit: str = " frames", done: int = 0) -> None:
        """Begin a stage of `total` frames, or of other units ("B" for bytes); None: not known. done: what is there
        already.
        """
        self.close()
        self._label, self._done, self._total, self._unit = label, done, total, unit
        if self._show:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total,
                desc=translate(label),
                unit=translate(unit),
                unit_scale=unit == "B",
                initial=done,
                dynamic_ncols=True,
                mininterval=0.2,
                delay=0.3 if unit == "B" else 0,  # a mirror that refuses at once needs no bar
            )
        self._report()

    def step(self, n: int = 1) -> None:
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        self._report()

    def reach(self, done: int, total: int | None = None) -> None:
        """So much is done; total: as it turns out to be."""
        if total is not None and total != self._total:
            self._total = total
            if self._bar is not None:
                self._bar.total = total
        self.step(done - self._done)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._show:
            from tqdm.auto import tqdm

            tqdm.write(translate(text))

    def close(self) -> None:
        if self._bar is not None:
            if self._unit != "B" and self._total is not None and self._done < self._total:
                self._bar.total = self._done  # a clip whose length was only a guess
                self._bar.refresh()
            self._bar.close()
            self._bar = None

    def _report(self) -> None:
        if self._call is not None:
            self._call(self._label, self._done, self._total)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

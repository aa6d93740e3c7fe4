"""Ctrl-C while a model learns: between two optimisers' steps it would leave a model that no resume comes back to."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from types import FrameType
from typing import Any

from ..translations import translate


class Interrupt:
    """As a context: a first Ctrl-C only sets `asked`, for the loop to look at after its step; a second one raises
    KeyboardInterrupt wherever it comes. What was in force before is again afterwards.

    Outside the main thread, where Python has no signals, and where Ctrl-C is ignored (a background job), it does
    nothing. show: say that it was heard; a step may take minutes.
    """

    def __init__(self, show: bool = True) -> None:
        self.asked, self._show = False, show
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        now = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and now not in (None, signal.SIG_IGN):
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._show:
            with contextlib.suppress(RuntimeError):  # it came in the middle of another print
                text = "It stops after this step and saves; Ctrl-C once more stops at once, without saving."
                print("\n" + translate(text), file=sys.stderr, flush=True)

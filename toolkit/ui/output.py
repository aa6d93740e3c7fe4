"""The panel of the output: how large, what stands beside it, where the face goes, and a visible mark."""

from __future__ import annotations

import ipywidgets as widgets

from ..media.letters import can_write
from ..media.stamp import WORDS, usual
from .panel import LABELS, WIDE, Panel
from .state import State
from .words import Words

SIZES = (256, 384, 512, 720, 1080)


class OutputPanel(Panel):
    """How the result is written (`state.size`, `state.side_by_side`, `state.paste`, `state.mark`)."""

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state, words)
        self.size = widgets.Dropdown(options=[("", None)], style=LABELS, layout=WIDE)
        self.words.label(self.size, "description", "size")
        self.words.each(self._sizes)
        self.state.watch(self._sizes, "size")
        self.size.observe(self._chosen, "value")
        self.beside, self.paste = (widgets.Checkbox(style=LABELS, layout=WIDE) for _ in range(2))
        for widget, name, key in ((self.beside, "side_by_side", "beside"), (self.paste, "paste", "paste")):
            self.words.label(widget, "description", key)
            self.bind(widget, name)
        self.mark = widgets.Dropdown(options=[("", "")], style=LABELS, layout=WIDE)
        self.words.label(self.mark, "description", "mark")
        self.words.each(self._marks)
        self.state.watch(self._marks, "mark")
        self.mark.observe(self._mark_chosen, "value")
        self.children = [self.size, self.beside, self.paste, self.mark, self.message]

    def _sizes(self) -> None:
        """The usual sizes, and the one that was asked for from Python."""
        sizes = sorted({*SIZES, *([] if self.state.size is None else [self.state.size])})
        options = [(self.words("size own"), None), *((str(size), size) for size in sizes)]
        self._silent = True
        self.size.options, self.size.value = options, self.state.size
        self._silent = False

    def _chosen(self, change: dict) -> None:
        if not self._silent:
            self.state.size = change["new"]

    def _marks(self) -> None:
        """The usual words, as far as there is a font for them, the language's own first; those asked for in Python."""
        own = usual(self.words.language)
        words = dict.fromkeys([own, *filter(can_write, WORDS), *filter(None, [self.state.mark])])
        self._silent = True
        self.mark.options = [(self.words("mark none"), ""), *((text, text) for text in words)]
        self.mark.value = self.state.mark
        self._silent = False

    def _mark_chosen(self, change: dict) -> None:
        if not self._silent:
            self.state.mark = change["new"]

"""The panel of the sound: the clip's, none, or that of a file."""

from __future__ import annotations

from .panel import Panel
from .state import State
from .words import Words

FILE = "file"


class SoundPanel(Panel):
    """What is heard with the result (`state.sound`)."""

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state, words)
        self._named = "" if self._kind() != FILE else self.state.sound
        self._wanted = self._kind()  # a file may be wanted before it is named
        options = [("sound driving", "driving"), ("sound none", ""), ("sound file", FILE)]
        self.kind = self.choice("sound", options, lambda: self._wanted)
        self.file = self.text("path", value=self._named, placeholder="song.wav")
        self.kind.observe(self._chosen, "value")
        self.file.observe(lambda change: self._name(change["new"]), "value")
        self.state.watch(self._show, "sound")
        self._show()
        self.children = [self.kind, self.file, self.message]

    def _kind(self) -> str:
        return self.state.sound if self.state.sound in ("driving", "") else FILE

    def _chosen(self, change: dict) -> None:
        if self._silent:
            return
        self._wanted = change["new"]
        if self._wanted != FILE:
            self.state.sound = self._wanted
        elif self.file.value:
            self.state.sound = self.file.value
        self._reveal()

    def _name(self, file: str) -> None:
        if self._wanted == FILE and file:
            self.state.sound = file

    def _show(self) -> None:
        self._wanted = self._kind()
        if self._wanted == FILE:
            self.file.value = self.state.sound
        self.kind.value = self._wanted
        self._reveal()

    def _reveal(self) -> None:
        self.file.layout.display = None if self._wanted == FILE else "none"

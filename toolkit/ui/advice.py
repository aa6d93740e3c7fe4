"""What the input doctor says of the picture before anything is animated, with the way out."""

from __future__ import annotations

import html

import ipywidgets as widgets

from .. import zoo
from ..paths import is_sample
from ..zoo.catalogue import amount
from .model import ModelPanel, described
from .panel import WIDE, Panel
from .state import State
from .words import Words
from .work import Later, Work, quietly

FOR_PHOTOGRAPHS = "tpsmm-vox"


class Advice(Panel):
    """What the input doctor says of the picture, before anything is animated; the way out is one click.

    It looks in a thread whenever picture or model change, but not at the toolkit's own samples. models: the panel that
    fetches.
    """

    def __init__(self, models: ModelPanel, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state or models.state, words or models.words)
        self.later = Later()
        self.said = widgets.HTML(layout=WIDE)
        self.work = Work(self.words, "fetch", "download", fetching=True)
        entry = zoo.entry(FOR_PHOTOGRAPHS)
        self.words.label(self.work.button, "description", "fetch it", name=entry.name, size=amount(entry.size))
        self.work.layout.display = "none"
        self.work.button.on_click(lambda _: models.fetch(FOR_PHOTOGRAPHS, self.work))
        self.children = [self.said, self.work]
        self._report = None
        self.state.watch(self.look, "picture", "model")
        self.words.each(self._tell)
        self.look()

    def look(self) -> None:
        """Ask the doctor."""
        self.later(self._look)

    def wait(self, seconds: float | None = None) -> None:
        self.work.wait(seconds)
        self.later.wait(seconds)

    def _look(self) -> None:
        picture, model, self._report = self.state.picture, self.state.model, None
        self._tell()
        if picture and not is_sample(picture):
            from ..doctor import check

            try:
                with quietly():
                    self._report = check(picture, model=model)
            except Exception:  # the panel of the picture, or the run, says what is wrong; advice is no reason to fail
                self._report = None
        self._tell()

    def _tell(self) -> None:
        found = [] if self._report is None else [one for one in self._report.findings if one.level != "ok"]
        unfit = next((one for one in found if one.about == "picture" and FOR_PHOTOGRAPHS in one.mend), None)
        rows = []
        if unfit is not None:
            key = "photograph" if unfit.level == "warning" else "perhaps a photograph"
            entry = zoo.entry(FOR_PHOTOGRAPHS)
            rows.append(f"<b>{html.escape(self.words(key))}</b><br>{html.escape(described(entry, self.words))}")
        others = [one for one in found if one is not unfit and one.about == "picture"]
        rows += [html.escape(f"{self.words.told(one.what)} {self.words.told(one.mend)}") for one in others]
        items = "".join(f"<li>{row}</li>" for row in rows)
        title = f"<b>{html.escape(self.words('advice'))}</b>"
        style = "border-left: 4px solid #b9770e; padding: 4px 12px; line-height: 1.5"
        self.said.value = (
            f'<div role="status" style="{style}">{title}<ul style="margin: 0">{items}</ul></div>' if rows else ""
        )
        # what went on there (an error above all) stays to be read
        self.work.layout.display = None if unfit is not None or self.work.message.value else "none"

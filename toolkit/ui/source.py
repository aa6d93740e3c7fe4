"""What the panels of picture and clip share: a gallery, drawn characters, a small upload, a path or an address."""

from __future__ import annotations

import html
import os
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from .. import media
from ..errors import InputError
from ..paths import results_folder, sample, uploads_folder
from ..platform import here
from ..progress import Report
from .address import fetch, is_address
from .panel import NEAR, ROW, Panel, png
from .receive import Receiver
from .state import State
from .words import Words
from .work import Later, Work, line

THUMBNAIL = 96  # pixels


class SourcePanel(Panel):
    """Choose a file. Subclasses say of which kind, and show what was chosen.

    field: the setting that holds its path. samples: file names. credits: the words that say whose one is, for those
    that the project did not make. accept: of the upload, as browsers want it. large: whether such files often are too
    large for it.
    """

    field = ""
    large = False
    samples: tuple[str, ...] = ()
    credits: dict[str, str] = {}
    accept = ""
    draw_key = ""

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state, words)
        self.later, self._shelf = Later(), Later()
        self.fetching = Work(self.words, "fetch", "download", fetching=True)
        self.fetching.button.layout.display = "none"
        self.fetching.button.on_click(lambda _: self.fetch(named(self.path.value)))
        self.path = self.text("path", placeholder=f"{self.samples[0]}, https://…")
        self.path.observe(self._named, "value")
        self._show_path()
        self.state.watch(self._show_path, self.field)
        self.upload = widgets.FileUpload(accept=self.accept, multiple=False, layout={"width": "auto"})
        self.words.label(self.upload, "description", "upload", size=here().upload_limit // 1_000_000)
        self.upload.observe(self._uploaded, "value")
        self.hint = widgets.HTML()
        self.words.each(self._hint)
        self.gallery = {name: widgets.Button(layout={"width": f"{THUMBNAIL}px"}) for name in self.samples}
        pictures = {name: widgets.Image(format="png", width=THUMBNAIL, height=THUMBNAIL) for name in self.samples}
        for name, button in self.gallery.items():
            self.words.label(button, "description", f"sample {name}")
            button.on_click(lambda _, name=name: self._take_sample(name))
        self.seed = widgets.BoundedIntText(1, min=0, max=999_999, style=NEAR, layout={"width": "140px"})
        self.words.label(self.seed, "description", "seed")
        self.style_of = self.choice("style", [("cartoon", "cartoon"), ("anime", "anime")], self._style)
        self.style_of.style, self.style_of.layout = NEAR, {"width": "150px"}
        self.work = Work(self.words, self.draw_key, "pencil", beside=(self.seed, self.style_of))
        self.work.button.on_click(lambda _: self._draw())
        title = widgets.HTML()
        self.words.each(lambda: setattr(title, "value", f"<b>{self.words(f'title {self.key}')}</b>"))
        shelf = [widgets.VBox([pictures[name], self.gallery[name], *self._credit(name)]) for name in self.samples]
        self.view = widgets.VBox()
        self.trouble = widgets.HTML()  # with what is chosen; `message` is about the way it came
        self.children = [
            title,
            widgets.HBox(shelf, layout={**ROW, "align_items": "flex-start"}),
            self.path,
            self.fetching,
            widgets.HBox([self.upload], layout=ROW),
            self.hint,
            self.work,
            self.message,
            self.trouble,
            self.view,
        ]
        self.state.watch(self.look, self.field)
        self._shelf(lambda: self._fill(pictures))
        self.words.each(self.look)

    @property
    def key(self) -> str:
        return {"picture": "picture", "driving": "clip"}[self.field]

    def look(self) -> None:
        """Show what is chosen, in a thread."""
        self.later(self._look)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until what was begun is done."""
        self.fetching.wait(seconds)
        self.work.wait(seconds)
        self.later.wait(seconds)
        self._shelf.wait(seconds)

    # -- to be said by subclasses ------------------------------------------------------------------------------------

    def found(self, name: str) -> Path:
        """Where the sample of that name lies."""
        return sample(name)

    def taken(self, name: str) -> Path:
        """The file of a sample that is chosen."""
        return self.found(name)

    def thumbnail(self, path: Path) -> np.ndarray:
        """A picture of the file, uint8 H x W x 3."""
        raise NotImplementedError

    def check(self, path: Path) -> None:
        """InputError where a file that was fetched is not of the kind."""
        raise NotImplementedError

    def show(self, path: str) -> None:
        """Show the file of that path in `view`; what it raises becomes a card."""
        raise NotImplementedError

    def drawn(self, seed: int, style: str, report: Report) -> Path:
        """Draw a character of that number, and return its file."""
        raise NotImplementedError

    # -- ways in -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        with self.carding(self.trouble):
            path = getattr(self.state, self.field)
            self.view.layout.display = None if path and not is_address(path) else "none"
            if self.view.layout.display is None:
                try:
                    self.show(path)
                except Exception:
                    self.view.layout.display = "none"
                    raise

    def _show_path(self) -> None:
        self.path.value = getattr(self.state, self.field)

    def _named(self, _: object) -> None:
        """A file is chosen; an address is fetched first."""
        text = named(self.path.value)
        self.fetching.button.layout.display = None if is_address(text) else "none"
        if is_address(text):
            self.fetch(text)
            return
        if not self.fetching.button.disabled:
            self.fetching.message.value = ""
        with self.carding():
            setattr(self.state, self.field, self.path.value)

    def fetch(self, address: str) -> bool:
        """Fetch what is at an address, in a thread, and choose it, unless another file has been named meanwhile."""

        def work(report: Report) -> str:
            path = fetch(address, uploads_folder(), self.check, self.words, report)
            said = line(self.words("uploaded", path=path, size=f"{path.stat().st_size / 1e6:.1f}"))
            if named(self.path.value) == address:
                setattr(self.state, self.field, str(path))
            return said

        return self.fetching.begin(work)

    def _take_sample(self, name: str) -> None:
        with self.carding():
            setattr(self.state, self.field, short(self.taken(name)))

    def _credit(self, name: str) -> list[widgets.HTML]:
        """Whose a sample is, to stand under it."""
        if name not in self.credits:
            return []
        told = widgets.HTML(layout={"width": f"{THUMBNAIL}px"})
        style = "font-size: 11px; line-height: 1.3; white-space: normal; text-align: center"
        self.words.each(
            lambda: setattr(told, "value", f'<div style="{style}">{html.escape(self.words(self.credits[name]))}</div>')
        )
        return [told]

    def _fill(self, pictures: dict[str, widgets.Image]) -> None:
        for name, image in pictures.items():
            try:
                image.value = png(media.fit(self.thumbnail(self.found(name)), THUMBNAIL))
            except InputError:  # its button says so
                image.layout.visibility = "hidden"

    def _style(self) -> str:
        return "cartoon" if not hasattr(self, "style_of") else self.style_of.value

    def _draw(self) -> None:
        seed, style = self.seed.value, self.style_of.value

        def work(report: Report) -> None:
            report("drawing", 0, None)
            drawn_folder().mkdir(parents=True, exist_ok=True)
            setattr(self.state, self.field, str(self.drawn(seed, style, report)))

        self.work.begin(work)

    def _uploaded(self, change: object) -> None:
        """Keep what came in its own file. Version 7 gives a dict by name, version 8 a tuple."""
        value = self.upload.value
        files = (
            [(name, file["content"]) for name, file in value.items()]
            if isinstance(value, dict)
            else [(file["name"], file["content"]) for file in value]
        )
        if not files:
            return
        name, content = files[-1]
        with self.carding():
            receiver = Receiver(name, len(content), uploads_folder(), self.words)
            receiver.take(0, content)
            setattr(self.state, self.field, str(receiver.path))

    def _hint(self) -> None:
        platform = here()
        text = line(self.words("larger", how=platform.upload(self.words.language)))
        if self.large and platform.name != "colab":  # it has its own, and such a widget would take the tabs away
            text += self.words("larger too")
        self.hint.value = f'<div style="opacity: .75; line-height: 1.5">{text}</div>'


def named(text: str) -> str:
    """What was written, without the quotation marks and blanks that come along with a copied path."""
    return text.strip().strip("\"'")


def drawn_folder() -> Path:
    """Where drawn characters are kept."""
    return results_folder() / "characters"


def short(path: str | os.PathLike) -> str:
    """The path as it is, or relative to the current folder where that is shorter."""
    if not (text := os.fspath(path)) or not Path(text).is_absolute():
        return text
    try:
        return min(text, os.path.relpath(text), key=len)
    except ValueError:  # another drive
        return text

"""The panel that makes the result: Animate, Cancel, how far it is; the clip plays below, and its settings are kept."""

from __future__ import annotations

import base64
import contextlib
import html
from pathlib import Path

import ipywidgets as widgets

from ..clip import PLAYED, Clip
from ..errors import InputError, OutputError
from ..paths import results_folder
from ..pipeline import animate
from ..platform import here
from ..progress import Report
from .look import check_named
from .model import bring
from .panel import ROW, Panel
from .state import State
from .words import Words
from .work import Work, line

LAST = Path("studio.json")  # in the folder of results: the settings of the run that was begun last
LINKED = 5_000_000  # bytes of a clip that goes into the page a second time, for the download
TAKEN = ("colab", "kaggle", "jupyter")  # platforms that have a way of their own to take a file home


class ResultPanel(Panel):
    """Animate as the settings say. `clip` is the last result; beside each lies a .json with its settings, which can be
    taken again (`again`). Those of a run are kept from its beginning (LAST): after a restart they can be taken up.
    """

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state, words)
        self.work = Work(self.words, "animate", "play", primary=True)
        self.words.label(self.work.stop, "description", "cancel")
        self.button, self.stop = self.work.button, self.work.stop
        self.screen = widgets.HTML()
        last = results_folder() / LAST
        self.file = self.text("settings file", placeholder="results/….json", value=str(last) if last.is_file() else "")
        self.again = widgets.Button(icon="repeat", layout={"width": "auto"})
        self.words.label(self.again, "description", "again")
        self.clip: Clip | None = None
        self.settings: Path | None = None  # of the last result
        self.button.on_click(lambda _: self.start())
        self.again.on_click(lambda _: self._take())
        self.words.each(self._place)
        again = widgets.HBox([self.file, self.again], layout=ROW)
        self.children = [self.work, self.screen, self.message, again]

    def start(self) -> bool:
        """Begin, unless a run is under way (False then)."""
        settings = State(**self.state.settings())  # as they are now, whatever is changed meanwhile

        def work(report: Report) -> str:
            check_named(settings.picture, settings.driving, self.words)
            _remember(settings)
            bring(settings, self.work, report)
            self.state.tell("here")  # `settings` are a copy that nobody watches
            self.clip = animate(**settings.arguments(), progress=report)
            notes = [self.words.told(note) for note in self.clip.report["notes"]]
            try:
                self.settings = settings.write(self.clip.path)
                self.file.value = str(self.settings)
            except (OSError, OutputError) as error:  # the result is there all the same
                self.settings = None
                notes.append(self.words("not kept", why=self.words.told(f"{error}")))
            self._place()
            return "".join(map(line, notes))

        return self.work.begin(work)

    def wait(self, seconds: float | None = None) -> Clip | None:
        """Wait until the run that was begun is over (or that many seconds); return the last result."""
        self.work.wait(seconds)
        return self.clip

    def _take(self) -> None:
        with self.carding():
            self.state.read(self.file.value.strip().strip("\"'"))
            self.message.value = line(self.words("taken", name=Path(self.file.value).name))

    def _place(self) -> None:
        """The clip, a link to take it home (or how, where it is large), and where its settings are."""
        if self.clip is None:
            return
        shown = self.clip._repr_mimebundle_(language=self.words.language)
        lines = [] if self.settings is None else [self.words("settings at", path=self.settings)]
        self.screen.value = (
            (shown.get("text/html") or html.escape(shown["text/plain"])) + self._link() + "".join(map(line, lines))
        )

    def _link(self) -> str:
        path = self.clip.path
        if not path.is_file():
            return ""
        if path.stat().st_size > LINKED:
            how = self.words(f"taking {place if (place := here().name) in TAKEN else 'jupyter'}", path=repr(str(path)))
            return line(self.words("taking it", path=path, size=f"{path.stat().st_size / 1e6:.0f}", how=how))
        data = base64.b64encode(path.read_bytes()).decode()
        kind, name = PLAYED.get(self.clip.codec, "application/octet-stream"), html.escape(path.name, quote=True)
        text = html.escape(self.words("download"))
        return f'<a download="{name}" href="data:{kind};base64,{data}" style="text-decoration: underline">{text}</a>'


def _remember(settings: State) -> None:
    """Keep the settings of a run that begins, unless something else lies there, or they can't be written."""
    with contextlib.suppress(OSError, InputError, OutputError):
        last = results_folder() / LAST
        if last.exists():
            State().read(last)
        last.parent.mkdir(parents=True, exist_ok=True)
        settings.save(last)

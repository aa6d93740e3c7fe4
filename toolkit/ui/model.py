"""The panel of the model: the zoo, with licences and sizes, fetched with one click."""

from __future__ import annotations

import ipywidgets as widgets

from .. import zoo
from ..faces import finders
from ..paths import shipped
from ..progress import Report
from ..zoo.catalogue import Entry, amount
from .look import check_named
from .panel import LABELS, WIDE, Panel
from .state import State
from .words import Words
from .work import Work, line


class ModelPanel(Panel):
    """Choose a model that ships, one of the zoo, or a file of weights (`state.model`)."""

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        super().__init__(state, words)
        self.names = [*mine(), *(name for name, entry in zoo.entries().items() if entry.model)]
        self.list = widgets.Dropdown(style=LABELS, layout=WIDE)
        self.words.each(self._name)
        self.words.label(self.list, "description", "model")
        self.file = self.text("own file", placeholder="vox-adv-cpk.pth.tar")
        self.bind(self.list, "model", lambda model: model if model in self.names else "", self._chosen)
        self.bind(self.file, "model", lambda model: "" if model in self.names else model, self._chosen)
        self.about = widgets.HTML(layout=WIDE)
        self.work = Work(self.words, "fetch", "download", fetching=True)
        self.work.button.on_click(lambda _: self.fetch(self.state.model))
        self.children = [self.list, self.file, self.about, self.work, self.message]
        self.state.watch(self._tell, "model", "here")
        self.words.each(self._tell)

    def fetch(self, name: str, work: Work | None = None) -> None:
        """Fetch an entry of the zoo, in a thread, and choose it when it is here. work: where that is shown."""

        def fetching(report: Report) -> str:
            if name in self.names and name not in zoo.entries():
                return line(self.words("nothing to fetch"))
            zoo.fetch(name, progress=report)
            self.state.model = name
            self.state.tell("here")
            return line(self.words("fetched", name=name))

        (work or self.work).begin(fetching)

    def wait(self, seconds: float | None = None) -> None:
        self.work.wait(seconds)

    def _chosen(self, name: str) -> str:
        """An empty choice leaves what the other widget has."""
        return name or self.state.model

    def _name(self) -> None:
        """The list in the chosen language; what is chosen in it stays."""
        chosen, self._silent = self.list.value or "", True
        self.list.options = [("", ""), *((_line(name, self.words), name) for name in self.names)]
        self.list.value, self._silent = chosen, False

    def _tell(self) -> None:
        model = self.state.model
        entry = zoo.entries().get(model)
        if entry is None:
            text = self.words("ships" if model in self.names else "own")
        else:
            text = (
                f"{described(entry, self.words)} {self.words('is here' if finders.is_here(model) else 'is not here')}"
            )
        self.work.button.layout.display = "none" if entry is None else None
        self.about.value = line(text)


def bring(state: State, work: Work, report: Report) -> None:
    """Within a work that is about to load the model of these settings: download it first, if that takes a download.

    What can be wrong with picture and clip is said before. Raises as `animate` and `zoo.fetch` do, and what `report`
    raises.
    """
    from ..track import Track

    model = None
    while model != (model := state.model):  # another one may be chosen while it comes
        entry = zoo.entries().get(model)
        if entry is None or not entry.model or finders.is_here(model) or zoo.is_converted(model):
            continue
        check_named(state.picture, state.driving, work.words)
        Track(**state.of_track()).open()
        with work.downloading():
            zoo.fetch(model, progress=report)
        state.tell("here")


def mine() -> list[str]:
    """The models that ship and are here, without the weight of looking into them."""
    families = dict.fromkeys(entry.model for entry in zoo.entries().values() if entry.model)
    return [f"mini-{family}" for family in families if shipped(f"checkpoints/mini/{family}.safetensors").is_file()]


def described(entry: Entry, words: Words) -> str:
    """What it is for, how large, whose licence."""
    told = {"purpose": entry.purpose, "size": amount(entry.size), "code": entry.code, "weights": entry.weights}
    return words("about model", **{key: words.told(text) for key, text in told.items()})


def _line(name: str, words: Words) -> str:
    entry = zoo.entries().get(name)
    return name if entry is None else f"{name} · {words.told(entry.purpose)} · {words.told(amount(entry.size))}"

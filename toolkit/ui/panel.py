"""What the studio's panels have in common: they show settings and change them, in the chosen language."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np

from .state import State
from .words import Words
from .work import failure

LABELS = {"description_width": "130px"}
NEAR = {"description_width": "initial"}
WIDE = {"width": "calc(100% - 4px)", "max_width": "560px"}  # the margins of a widget stand outside its width
ROW = {"flex_flow": "row wrap", "align_items": "center"}


class Panel(widgets.VBox):
    """A part of the studio that can be used alone.

    state: the settings that it shows and changes (default: new ones). words: the language.
    """

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        self.state = state if state is not None else State()
        self.words = words or Words()
        self.message = widgets.HTML()
        self._silent = False
        super().__init__(layout={"overflow": "hidden"})

    def text(self, key: str, **more: Any) -> widgets.Text:
        """A line to write in, sent when it is left or Enter is pressed."""
        made = widgets.Text(style=LABELS, layout=WIDE, continuous_update=False, **more)
        return self.words.label(made, "description", key)

    def slider(self, key: str, least: float, most: float, step: float, **more: Any) -> widgets.FloatSlider:
        made = widgets.FloatSlider(
            min=least,
            max=most,
            step=step,
            style=LABELS,
            layout=WIDE,
            readout_format=".1f",
            continuous_update=False,
            **more,
        )
        return self.words.label(made, "description", key)

    def choice(self, key: str, options: Sequence[tuple[str, Any]], chosen: Callable[[], Any]) -> widgets.Dropdown:
        """A list to choose from. options: (key of its words, value). chosen: tells the value when words change."""
        made = widgets.Dropdown(options=[("", value) for _, value in options], style=LABELS, layout=WIDE)
        self.words.label(made, "description", key)

        def relabel() -> None:
            self._silent = True  # new options choose the first one for a moment
            made.options = [(self.words(word), value) for word, value in options]
            made.value = chosen()
            self._silent = False

        self.words.each(relabel)
        return made

    def bind(
        self,
        widget: widgets.ValueWidget,
        name: str,
        shown: Callable[[Any], Any] = lambda value: value,
        chosen: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """Tie a widget to a setting, both ways. shown: the setting's value as the widget's; chosen: the way back."""

        def show() -> None:
            widget.value = shown(getattr(self.state, name))

        def choose(change: Any) -> None:
            if not self._silent:
                with self.carding():
                    setattr(self.state, name, chosen(change["new"]))

        show()
        widget.observe(choose, "value")
        self.state.watch(show, name)

    def carding(self, message: widgets.HTML | None = None) -> _Carding:
        """A block whose error is shown in the panel, as a card. message: where, instead of in the panel's own."""
        return _Carding(message or self.message, self.words)


class _Carding:
    """A context that turns any error into a card (in a thread or a callback nobody would ever see it), and takes the
    last one away where all went well.
    """

    def __init__(self, message: widgets.HTML, words: Words) -> None:
        self._message, self._words = message, words

    def __enter__(self) -> None:
        self._message.value = ""

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        if isinstance(error, Exception):
            self._message.value = failure(error, self._words)
        return isinstance(error, Exception)


def png(picture: np.ndarray) -> bytes:
    """uint8 H x W x 3 or 4 as the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def shown(picture: np.ndarray) -> widgets.Image:
    """A picture as it is, or as wide as there is room."""
    return widgets.Image(
        value=png(picture), format="png", layout={"width": f"{picture.shape[1]}px", "max_width": "100%"}
    )


def small(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture whose longer side is at most `side` pixels."""
    from ..media import resize

    scale = side / max(picture.shape[:2])
    return picture if scale >= 1 else resize(picture, tuple(max(1, round(n * scale)) for n in picture.shape[:2]))


def boxed(picture: np.ndarray, box: Sequence[float] | None) -> np.ndarray:
    """A picture, uint8 H x W x 3, with a box (x, y, width, height) of its pixels drawn into it; the rest is paler."""
    if box is None:
        return picture
    height, width = picture.shape[:2]
    x, y = max(0, round(box[0])), max(0, round(box[1]))
    right, low = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    shown = (picture // 2 + 110).astype(np.uint8)
    line = max(2, max(height, width) // 120)
    shown[max(0, y - line) : low + line, max(0, x - line) : right + line] = (230, 60, 40)
    shown[y:low, x:right] = picture[y:low, x:right]
    return shown

"""The studio: everything that the toolkit does with one picture and one clip, in one panel."""

from __future__ import annotations

import os

import ipywidgets as widgets

from ..clip import Clip
from ..paths import sample
from .advice import Advice
from .clip import ClipPanel
from .crop import CropPanel
from .look import Look
from .model import ModelPanel
from .motion import MotionPanel
from .output import OutputPanel
from .panel import Panel
from .picture import PicturePanel
from .result import ResultPanel
from .sound import SoundPanel
from .source import short
from .state import State
from .words import Words

NAMES = {"en": "English", "zh": "中文"}
SECONDS = 2.0  # of the sample, for a first try


class Studio(Panel):
    """Choose a picture and a clip, press Animate, watch.

    picture, driving: files to begin with (default: samples; of the sampled clip the first two seconds). settings: more
    of `State`, by name. language: "en" or "zh"; None for TOOLKIT_LANG or the platform's.

    All that is chosen is in `state`, which may be changed from Python. The parts are panels of their own: `picture`,
    `driving`, `crop`, `model`, `motion`, `sound`, `output`, `advice`, `result`; `clip` is the last result.
    """

    def __init__(
        self,
        picture: str | os.PathLike | None = None,
        driving: str | os.PathLike | None = None,
        *,
        language: str | None = None,
        **settings: object,
    ) -> None:
        state = State()
        if driving is None and not {"begin", "end"} & set(settings):
            settings["end"] = SECONDS
        state.take(
            {
                "picture": short(sample("picture.png") if picture is None else picture),
                "driving": short(sample("driving.mp4") if driving is None else driving),
                **settings,
            }
        )
        super().__init__(state, Words(language))
        shared = self.state, self.words
        look = Look(*shared)
        self.picture, self.driving = PicturePanel(*shared), ClipPanel(*shared)
        self.crop, self.motion = CropPanel(*shared, look), MotionPanel(*shared, look)
        self.model, self.sound, self.output = ModelPanel(*shared), SoundPanel(*shared), OutputPanel(*shared)
        self.advice = Advice(self.model)
        self.result = ResultPanel(*shared)
        self.language = widgets.ToggleButtons(
            options=[(name, language) for language, name in NAMES.items()],
            value=self.words.language,
            style={"button_width": "80px"},
        )
        self.language.observe(lambda change: setattr(self.words, "language", change["new"]), "value")
        parts = {
            "model": self.model,
            "crop": self.crop,
            "motion": self.motion,
            "sound": self.sound,
            "output": self.output,
        }
        self.tabs = widgets.Tab(list(parts.values()))
        for number, name in enumerate(parts):
            self.words.each(lambda number=number, name=name: self.tabs.set_title(number, self.words(f"title {name}")))
        for panel in (self.picture, self.driving):
            panel.layout.width, panel.layout.min_width, panel.layout.flex = "auto", "320px", "1 1 320px"
        sources = widgets.HBox(
            [self.picture, self.driving], layout={"flex_flow": "row wrap", "align_items": "flex-start"}
        )
        self.children = [self.language, sources, self.tabs, self.advice, self.result]

    @property
    def clip(self) -> Clip | None:
        """The last result."""
        return self.result.clip

    def wait(self, seconds: float | None = None) -> Clip | None:
        """Wait until all that was begun is done (or so many seconds for each part); return the last result."""
        for panel in (self.picture, self.driving, self.crop, self.motion, self.model, self.advice):
            panel.wait(seconds)
        return self.result.wait(seconds)

"""The panel of the clip: how the picture shall move."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from .. import media
from ..clip import Clip
from ..progress import Report
from .panel import png
from .source import SourcePanel, drawn_folder
from .state import State
from .words import Words

STRIP, TALL = 8, 72  # frames of the strip, and their height in pixels
BETWEEN = {"width": "calc(100% - 24px)", "max_width": "536px", "margin": "0 12px"}  # where both handles are seen whole
LONG = 30.0  # seconds beyond which frames are looked up one by one
DRAWN_SIDE, DRAWN_SECONDS, FPS = 256, 4, 25


class ClipPanel(SourcePanel):
    """Choose a clip: a sample, a drawn singer, an upload, or a file by its path or address (`state.driving`); trim it
    by the two handles under its frames (`state.begin`, `state.end`).
    """

    field = "driving"
    samples = ("driving.mp4", "dance.mp4")
    accept = "video/*,image/gif,image/webp"
    large = True
    draw_key = "draw singer"

    def __init__(self, state: State | None = None, words: Words | None = None) -> None:
        self.clip: Clip | None = None
        self._of = ""  # where it is, as the setting says it
        self._shown: tuple[str, float] | None = None
        self.strip = widgets.Image(format="png", layout=BETWEEN)
        self.part = widgets.FloatRangeSlider(
            value=(0, 1),
            min=0,
            max=1,
            step=0.04,
            readout=False,
            layout=BETWEEN,
        )
        self.said = widgets.Label()
        super().__init__(state, words)
        self.part.observe(self._trimmed, "value")
        self.state.watch(self._show_part, "begin", "end")

    def thumbnail(self, path: Path) -> np.ndarray:
        with media.read_frames(path, fit=media.Fit(96)) as frames:
            return next(frames)

    def check(self, path: Path) -> None:
        media.probe(path)

    def show(self, path: str) -> None:
        clip = Clip.open(path)
        self.clip, self._of = clip, path
        if self._shown != (mark := (path, clip.path.stat().st_mtime)):
            self.strip.value = png(np.hstack(_frames(clip)))
            self._shown = mark
        self._show_part()
        self.view.children = [self.strip, self.part, self.said]

    def _show_part(self) -> None:
        """The handles where the settings are; a part that the clip has not becomes all of it."""
        if self.clip is None or self._of != self.state.driving:  # it has just been changed: the new one is looked at
            return
        seconds = self.clip.seconds
        if self.state.begin >= seconds:
            self.state.take({"begin": 0.0, "end": None})
        begin, end = self.state.begin, min(seconds, seconds if self.state.end is None else self.state.end)
        self._silent = True
        self.part.max = max(seconds, self.part.step)
        self.part.value = begin, max(begin, end)
        self._silent = False
        height, width = self.clip.size
        said = [
            self.words("part said", begin=f"{begin:.2f}", end=f"{end:.2f}", seconds=f"{seconds:.2f}"),
            self.words("size said", width=width, height=height),
            self.words("sound yes" if self.clip.has_sound else "sound no"),
        ]
        self.said.value = " · ".join(said)

    def _trimmed(self, change: dict) -> None:
        if self._silent or self.clip is None or self._of != self.state.driving:
            return
        begin, end = change["new"]
        at_end = end >= self.clip.seconds - self.part.step / 2
        self.state.take(
            {"begin": round(begin, 3), "end": None if at_end else round(max(end, begin + self.part.step), 3)}
        )

    def drawn(self, seed: int, style: str, report: Report) -> Path:
        from ..puppets import draw, identities, performance, song
        from ..puppets.samples import to_bytes
        from ..puppets.song import RATE

        who = identities(1, seed, style)
        wave, syllables = song(DRAWN_SECONDS, seed)
        pose = performance(DRAWN_SECONDS, FPS, seed, wave, syllables=syllables)
        path = drawn_folder() / f"{style}-singer-{seed}.mp4"
        with media.Writer(path, Fraction(FPS), sound=(wave, RATE), overwrite=True) as writer:
            for k in range(0, len(pose), 5):
                report("drawing", k, len(pose))
                for frame in to_bytes(draw(who, pose[k : k + 5], DRAWN_SIDE)[:, :3]):
                    writer.write(frame)
        return path


def _frames(clip: Clip) -> list[np.ndarray]:
    """STRIP frames from all of a clip, or fewer where it has no more."""
    fit = media.Fit((TALL, max(16, round(TALL * clip.size[1] / clip.size[0]))))
    count = min(STRIP, clip.frames)
    if clip.seconds > LONG:
        return [fit.apply(clip.picture((k + 0.5) * clip.seconds / count)) for k in range(count)]
    with media.read_frames(clip.path, fps=count * clip.fps / clip.frames, fit=fit) as frames:
        return list(islice(frames, count))

"""One look at what the settings will give, before they do: where picture and clip are cut, and single frames.

What was read of the clip is kept, so that the next look at other settings of the motion is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import media
from ..clip import Clip
from ..errors import InputError
from ..progress import Progress, Report
from .state import State
from .words import Words

if TYPE_CHECKING:
    from ..track import Track


class Look:
    """Looks at the result of settings. Several panels may share one, so that the clip is read once.

    boxes: of picture and clip, (x, y, width, height) in pixels, as they were found for the settings `of`; a clip's may
    be None (all of it) or "moving".
    """

    def __init__(self, state: State, words: Words) -> None:
        self.state, self.words = state, words
        self.boxes: dict[str, Any] = {}
        self.of: tuple = ()
        self._recorded: dict[Any, Any] = {}
        self._key: tuple = ()
        self._track: Track | None = None
        self._settings: dict[str, Any] = {}
        self._calls: list[Callable[[], Any]] = []

    def watch(self, call: Callable[[], Any]) -> None:
        """Have `call()` called after each look."""
        self._calls.append(call)

    def framing(self) -> tuple:
        """Which settings the boxes depend on."""
        state = self.state
        return state.picture, state.driving, state.begin, state.end, state.model, state.crop_picture, state.crop_clip

    def track(self, report: Report) -> Track:
        """The track of the settings as they are, prepared. Raises as `animate` does."""
        from ..track import Track

        settings, framing = self.state.of_track(), self.framing()
        check_named(self.state.picture, self.state.driving, self.words)
        if settings == self._settings and self._track is not None:
            return self._track
        key = *framing[1:5], framing[6], _changed(settings["driving"])
        if key != self._key:
            self._recorded, self._key = {}, key
        track = Track(**settings)
        track.open()
        with Progress(report) as bar:
            track.prepare(bar, self._recorded)
        self._track, self._settings, self.of = track, settings, framing
        cut = track.report["crop"]["clip"]
        self.boxes = {
            "picture": tuple(track.box) if track.box is not None and track.report["crop"]["picture"] else None,
            "clip": None if cut is None else tuple(cut) if isinstance(cut, list) else "moving",
        }
        for call in self._calls:
            call()
        return track

    def frame(self, seconds: float, report: Report) -> list[np.ndarray]:
        """Picture, clip and result at a time of the clip, each uint8 side x side x 3, as the model sees and makes
        them.
        """
        track = self.track(report)
        row = min(len(track.motion) - 1, max(0, round((seconds - self.state.begin) * track.fps)))
        result = media.flatten(track.runner.render(track.source, track.motion[row : row + 1])[0])
        return [track.still, self._driver(track, seconds), result]

    def _driver(self, track: Track, seconds: float) -> np.ndarray:
        clip = Clip(Path(self.state.driving), track.info.fps, 0, track.info.size)
        with media.read_frames(track.info, trim=(max(0.0, seconds - 0.5 / float(clip.fps)), None)) as frames:
            frame = next(frames, None)
        box = self.boxes["clip"] if isinstance(self.boxes["clip"], tuple) else None
        if frame is None:
            return track.reference_picture()
        return media.Fit(track.side, "crop", box).apply(frame)


def check_named(picture: str, driving: str, words: Words) -> None:
    """InputError where nothing is chosen."""
    for path, what in ((picture, "picture"), (driving, "clip")):
        if not path:
            raise InputError(words(f"no {what}"), words(f"no {what} remedy"))


def _changed(path: str) -> int:
    file = Path(path).expanduser()
    return file.stat().st_mtime_ns if file.is_file() else 0

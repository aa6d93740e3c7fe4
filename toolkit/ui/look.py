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

FRAMING = ("picture", "driving", "begin", "end", "model", "crop_picture", "crop_clip")  # what the boxes depend on


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
        self._prepared: tuple[dict[str, Any], tuple] = {}, ()  # settings and framing of that
        self._calls: list[Callable[[], Any]] = []

    def watch(self, call: Callable[[], Any]) -> None:
        """Have `call()` called after each look."""
        self._calls.append(call)

    def framing(self) -> tuple:
        """Which settings, and which states of their files, the boxes depend on."""
        state, files = self.state, (self.state.picture, self.state.driving, self.state.model)
        return *(getattr(state, name) for name in FRAMING), *map(changed, files)

    def find(self, report: Report) -> None:
        """Find the boxes for the settings as they are; of the clip no more is read than that takes. Raises as `animate`
        does.
        """
        settings, framing = self.state.of_track(), self.framing()
        if self.of != framing:
            track = self._opened(settings, framing)
            with Progress(report) as bar:
                track.place(bar, self._recorded)
            self._found(track, framing)
        for call in self._calls:
            call()

    def track(self, report: Report) -> Track:
        """The track of the settings as they are, prepared. Raises as `animate` does."""
        settings, framing = self.state.of_track(), self.framing()
        if self._track is not None and (settings, framing) == self._prepared:
            return self._track
        track = self._opened(settings, framing)
        with Progress(report) as bar:
            track.prepare(bar, self._recorded)
        self._track, self._prepared = track, (settings, framing)
        self._found(track, framing)
        for call in self._calls:
            call()
        return track

    def _opened(self, settings: dict[str, Any], framing: tuple) -> Track:
        """A new track; what was read of the clip stays as long as the clip, its part, its box and the model do."""
        from ..track import Track

        check_named(self.state.picture, self.state.driving, self.words)
        if (key := (*framing[1:5], framing[6], *framing[8:])) != self._key:
            self._recorded, self._key = {}, key
        track = Track(**settings)
        track.open()
        return track

    def _found(self, track: Track, framing: tuple) -> None:
        cut = track.cuts["clip"]
        self.of = framing
        self.boxes = {
            "picture": tuple(track.box) if track.box is not None and track.cuts["picture"] else None,
            "clip": None if cut is None else tuple(cut) if isinstance(cut, list) else "moving",
        }

    def frame(self, seconds: float, report: Report) -> list[np.ndarray]:
        """Picture, clip and result at a time of the clip, each uint8 side x side x 3, as the model sees and makes
        them.
        """
        track = self.track(report)
        row = min(len(track.motion) - 1, max(0, round((seconds - self.state.begin) * track.fps)))
        result = media.flatten(track.runner.render(track.source, track.motion[row : row + 1])[0])
        return [track.still, self._driver(track, self.state.begin + float(row / track.fps)), result]

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


def changed(path: str) -> tuple[int, int]:
    """What tells that a file is another one under the same name: the time of its last change, and its size."""
    try:
        stat = Path(path).expanduser().stat()
    except (OSError, ValueError, RuntimeError):  # none, or a name that no file can have
        return 0, 0
    return stat.st_mtime_ns, stat.st_size

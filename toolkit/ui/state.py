"""All that is chosen in the studio: one small dataclass that panels show and change, and that a file keeps."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__, media
from ..errors import ConfigError, InputError

MODES = ("auto", "relative", "absolute", "avd")
ENDING = ".json"


@dataclasses.dataclass
class State:
    """The settings of one result; they may be set from Python (`state.strength = 1.4`), and panels follow.

    picture, driving, model: as for `animate`, as text. begin, end: the part of the clip, in seconds; end None is its
    end. crop_picture, crop_clip: "auto", None (all of it) or a box (x, y, width, height) in pixels. reference: "best",
    "first" or a time in seconds. sound: "driving", "" (none) or a file. size: side of the result in pixels; None is the
    model's own. mark: the words in a corner of the result, "" for none. Raises ConfigError for a value that can't be
    meant, AttributeError for another name.
    """

    picture: str = ""
    driving: str = ""
    begin: float = 0.0
    end: float | None = None
    crop_picture: Any = "auto"
    crop_clip: Any = "auto"
    model: str = "mini-fomm"
    mode: str = "auto"
    strength: float = 1.0
    smooth: float = 0.0
    reference: str | float = "best"
    sound: str = "driving"
    size: int | None = None
    side_by_side: bool = True
    paste: bool = False
    mark: str = ""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__:
            raise AttributeError(f"The studio has no setting '{name}'. It has: {', '.join(self.__dataclass_fields__)}.")
        self._set({name: _checked(name, value)})

    def _set(self, values: dict[str, Any]) -> None:
        """Set checked values, then tell who watches."""
        changed = {name for name, value in values.items() if self.__dict__.get(name, self) != value}
        self.__dict__.update(values)
        if changed:
            self.tell(*changed)

    def tell(self, *changed: str) -> None:
        """Call who watches these. "here" is no setting: a model has been downloaded."""
        for call, names in tuple(self.__dict__.get("_watchers", ())):
            if not names or set(changed).intersection(names):
                call()

    def watch(self, call: Callable[[], Any], *names: str) -> None:
        """Have `call()` called after one of these settings has changed (without names: any)."""
        self.__dict__.setdefault("_watchers", []).append((call, names))

    def settings(self) -> dict[str, Any]:
        """Every setting by its name."""
        return dataclasses.asdict(self)

    def take(self, settings: dict[str, Any]) -> None:
        """Set several at once: all of them, or, where one is wrong, none. Raises ConfigError."""
        unknown = [name for name in settings if name not in self.__dataclass_fields__]
        if unknown:
            raise ConfigError(
                f"There is no setting '{unknown[0]}'.", f"There is: {', '.join(self.__dataclass_fields__)}."
            )
        self._set({name: _checked(name, value) for name, value in settings.items()})

    def of_track(self) -> dict[str, Any]:
        """The arguments of a `Track`."""
        crops = self.crop_picture, self.crop_clip
        return {
            "picture": self.picture,
            "driving": self.driving,
            "model": self.model,
            "mode": self.mode,
            "strength": self.strength,
            "smooth": self.smooth,
            "reference": self.reference,
            "trim": (self.begin, self.end),
            "crop": crops,
        }

    def arguments(self) -> dict[str, Any]:
        """The arguments of `animate`."""
        return {
            **self.of_track(),
            "sound": self.sound or None,
            "size": self.size,
            "side_by_side": self.side_by_side,
            "paste": self.paste,
            "mark": self.mark or False,
        }

    def write(self, result: str | os.PathLike) -> Path:
        """Keep the settings beside a result, under its name with .json, and return where."""
        return self.save(media.free_name(Path(result).with_suffix(ENDING)))

    def save(self, path: Path) -> Path:
        """Write the settings into this file, whole or not at all. Raises OutputError."""
        text = json.dumps({"living pictures": __version__, "settings": self.settings()}, indent=1, ensure_ascii=False)
        with media.files.replacing(path) as part:  # whole or not at all
            part.write_text(text + "\n", encoding="utf-8")
        return path

    def read(self, path: str | os.PathLike) -> None:
        """Take the settings of such a file. Raises InputError where it is none; then nothing has changed."""
        path = Path(path).expanduser()
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
            self.take(dict(settings))
        except FileNotFoundError:
            raise InputError(f"There is no file {path}.", "Look for the .json beside a result.") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            why = error.what if isinstance(error, ConfigError) else f"{type(error).__name__}"
            raise InputError(
                f"{path} holds no settings of the studio ({why}).", "Take the .json beside a result."
            ) from None


def _checked(name: str, value: Any) -> Any:
    """The value in its proper type. Raises ConfigError."""
    try:
        return _CHECKS[name](value)
    except (TypeError, ValueError):
        raise ConfigError(f"The setting {name} is {value!r}.", f"It is {_MEANT[name]}.") from None


def _text(value: Any) -> str:
    """A path without the quotation marks and blanks that come along with a copied one."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return os.fspath(value).strip().strip("\"'")


def _number(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not least <= (value := float(value)) <= most:
            raise ValueError
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _crop(value: Any) -> Any:
    if value is None or (isinstance(value, str) and value == "auto"):
        return value
    x, y, width, height = (round(float(number), 1) for number in value)
    if min(width, height) < 1:
        raise ValueError
    return x, y, width, height


def _mode(value: Any) -> str:
    if value not in MODES:
        raise ValueError
    return value


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


_SECONDS = _number(0, 86400)
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "picture": _text,
    "driving": _text,
    "begin": _SECONDS,
    "end": _optional(_SECONDS),
    "crop_picture": _crop,
    "crop_clip": _crop,
    "model": _text,
    "mode": _mode,
    "strength": _number(0, 10),
    "smooth": _number(0, 100),
    "reference": lambda value: value if value in ("best", "first") else _SECONDS(value),
    "sound": _text,
    "size": _optional(lambda value: int(_number(16, 4096)(value))),
    "side_by_side": _flag,
    "paste": _flag,
    "mark": _text,
}
_CROP, _PATH = "'auto', None or (x, y, width, height) in pixels", "the path of a file"
_MEANT = {
    "picture": _PATH,
    "driving": _PATH,
    "begin": "a time in seconds",
    "end": "a time in seconds, or None",
    "crop_picture": _CROP,
    "crop_clip": _CROP,
    "model": "a name or the path of a file",
    "mode": f"one of {', '.join(MODES)}",
    "strength": "a number from 0 to 10",
    "smooth": "a number of frames from 0 to 100",
    "reference": "'best', 'first' or a time in seconds",
    "sound": "'driving', '' (none) or the path of a file",
    "size": "None or a side of 16 to 4096 pixels",
    "side_by_side": "True or False",
    "paste": "True or False",
    "mark": "the words to write into a corner, or ''",
}

"""Living Pictures: one still picture and a clip of somebody moving; the picture does the same, with the sound.

    import toolkit
    clip = toolkit.animate("picture.png", "driving.mp4")
    clip.path

The verbs live here; what they need (torch above all) is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# verb -> the module that has it
_VERBS = {
    "animate": "pipeline",
    "animate_all": "ensemble",
    "chorus": "ensemble",
    "compare": "ensemble",
    "check": "doctor",
    "crop": "cropper",
    "Track": "track",
    "build": "models",
    "load": "zoo",
    "save": "zoo",
    "fetch": "zoo",
    "Motion": "models.base",
    "Source": "models.base",
    "Clip": "clip",
    "prepare": "training.prepare",
    "train": "training",
    "evaluate": "training.evaluate",
    "export": "training.export",
    "sample": "paths",
    "info": "device",
    "ToolkitError": "errors",
    "InputError": "errors",
    "OutputError": "errors",
    "CheckpointError": "errors",
    "FetchError": "errors",
    "ConfigError": "errors",
}

__all__ = ["__version__", *_VERBS]

if TYPE_CHECKING:
    from .clip import Clip
    from .cropper import crop
    from .device import info
    from .doctor import check
    from .ensemble import animate_all, chorus, compare
    from .errors import CheckpointError, ConfigError, FetchError, InputError, OutputError, ToolkitError
    from .models import build
    from .models.base import Motion, Source
    from .paths import sample
    from .pipeline import animate
    from .track import Track
    from .training import train
    from .training.evaluate import evaluate
    from .training.export import export
    from .training.prepare import prepare
    from .zoo import fetch, load, save


def __getattr__(name: str) -> Any:
    if name in ("faces", "zoo"):
        return import_module(f"{__name__}.{name}")
    if name not in _VERBS:
        raise AttributeError(f"module 'toolkit' has no attribute '{name}'")
    value = getattr(import_module(f"{__name__}.{_VERBS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

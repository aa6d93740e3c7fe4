"""Panels for notebooks, made of core ipywidgets alone (7.7 and later), so that they work wherever notebooks do.

`Upload` is the one exception: it is imported when it is first asked for, and used in a cell of its own.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from .animate import AnimatePanel
from .card import carded
from .state import State
from .studio import Studio
from .training import TrainingView

if TYPE_CHECKING:
    from .upload import Upload

__all__ = ["AnimatePanel", "State", "Studio", "TrainingView", "Upload", "carded"]


def __getattr__(name: str) -> Any:
    if name != "Upload":
        raise AttributeError(f"module 'toolkit.ui' has no attribute '{name}'")
    from ..platform import here, need
    from .words import Words

    lacking = importlib.util.find_spec("anywidget") is None
    need("anywidget")
    if lacking and here().name != "colab":  # the page knows the widgets that were there when it was opened
        print(Words()("upload reload"))
    from .upload import Upload

    return Upload

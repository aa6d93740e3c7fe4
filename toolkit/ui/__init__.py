"""Panels for notebooks, made of core ipywidgets alone (7.7 and later), so that they work wherever notebooks do."""

from .animate import AnimatePanel
from .card import carded
from .state import State
from .studio import Studio

__all__ = ["AnimatePanel", "State", "Studio", "carded"]

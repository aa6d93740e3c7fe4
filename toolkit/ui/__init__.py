"""Panels for notebooks, made of core ipywidgets alone (7.7 and later), so that they work wherever notebooks do."""

from .animate import AnimatePanel

__all__ = ["AnimatePanel"]

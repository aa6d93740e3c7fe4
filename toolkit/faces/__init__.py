"""Faces: find them in pictures, follow people through clips.

toolkit.faces.find("group.jpg")                 # faces, largest first: box, score, 68 landmarks
toolkit.faces.find("interview.mp4", pick=0)     # people through a clip; where they are lost is marked
toolkit.faces.head_pose(points)                 # where a head looks, from its landmarks
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {  # what it needs (torch above all) is imported at first use
    "find": "finding",
    "Recipe": "cropping",
    "Trajectory": "published",
    "trajectories": "published",
    "Box": "face",
    "Face": "face",
    "distinct": "face",
    "ordered": "face",
    "picked": "face",
    "Faces": "found",
    "People": "found",
    "Person": "found",
    "Tracker": "people",
    "Finder": "finders",
    "choose": "finders",
    "euler": ".headpose",
    "head_pose": ".headpose",
}

__all__ = [*_WHERE]

if TYPE_CHECKING:
    from ..headpose import euler, head_pose
    from .cropping import Recipe
    from .face import Box, Face, distinct, ordered, picked
    from .finders import Finder, choose
    from .finding import find
    from .found import Faces, People, Person
    from .people import Tracker
    from .published import Trajectory, trajectories


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'toolkit.faces' has no attribute '{name}'")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value

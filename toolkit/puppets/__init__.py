"""Puppets: heads drawn from numbers, whose motion is known exactly.

    who, pose = identities(8, seed=1), poses(8, seed=2)
    pictures = draw(who, pose, size=256)         # 8 x 4 x 256 x 256, RGBA, 0…1
    points = landmarks(who, pose)                # 8 x 68 x 2, iBUG order, -1…1 from edge to edge

    whole = draw_figures(figures(8, seed=1), stances(8, seed=2))  # with body, arms and legs

"left" means on the left in the picture everywhere. Needs torch and numpy alone; runs on CPU and GPU.
"""

from .anchors import ANCHORS, anchors
from .dance import dance
from .draw import PARTS, draw, masks
from .figure import JOINTS, Figure, Stance, figures, joints, stances
from .figure_drawing import draw_figures
from .geometry import landmarks
from .identity import Identity, identities
from .performance import performance
from .pose import Pose, poses
from .song import beats, song

__all__ = [
    "ANCHORS",
    "JOINTS",
    "PARTS",
    "Figure",
    "Identity",
    "Pose",
    "Stance",
    "anchors",
    "beats",
    "dance",
    "draw",
    "draw_figures",
    "figures",
    "identities",
    "joints",
    "landmarks",
    "masks",
    "performance",
    "poses",
    "song",
    "stances",
]

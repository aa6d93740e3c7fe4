"""Puppets: heads drawn from numbers, whose motion is known exactly.

    who, pose = identities(8, seed=1), poses(8, seed=2)
    pictures = draw(who, pose, size=256)         # 8 x 4 x 256 x 256, RGBA, 0…1
    points = landmarks(who, pose)                # 8 x 68 x 2, iBUG order, -1…1 from edge to edge

"left" means on the left in the picture everywhere. Needs torch and numpy alone; runs on CPU and GPU.
"""

from .anchors import ANCHORS, anchors
from .draw import PARTS, draw, masks
from .geometry import landmarks
from .identity import Identity, identities
from .performance import performance
from .pose import Pose, poses
from .song import song

__all__ = [
    "ANCHORS",
    "PARTS",
    "Identity",
    "Pose",
    "anchors",
    "draw",
    "identities",
    "landmarks",
    "masks",
    "performance",
    "poses",
    "song",
]

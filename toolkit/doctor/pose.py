"""How a face is held, in a few numbers from its 68 landmarks (68 x 2, x and y, y down), whatever its size."""

from __future__ import annotations

import numpy as np

TURNED = 0.5  # frontality under which a face counts as turned: a yaw of about 25 degrees
TILTED = 20.0  # degrees that the line through the eyes leans
OPEN = 0.2  # height of the mouth's opening, in eye distances, from which it counts as open
FAR = 0.16  # see `apart`: another pose


def tilt(points: np.ndarray) -> float:
    """Degrees by which the line through the eyes leans (68 x 2 points, y down); > 0: clockwise."""
    across = points[42:48].mean(0) - points[36:42].mean(0)
    return float(np.degrees(np.arctan2(across[1], across[0])))


def mouth(points: np.ndarray) -> float:
    """How far the mouth is open, in eye distances (68 x 2 points)."""
    return float(np.linalg.norm(points[66] - points[62])) / _eyes(points)


def apart(points: np.ndarray, others: np.ndarray) -> float:
    """How far two faces differ in how they are held, not in place, size and features: the largest difference of turn,
    lean (radians; of the turn about as many) and half the mouth's opening.

    Two characters at rest are up to 0.14 apart, a turn by 0.25 rad makes it 0.26 or more (40 puppets, each with each).
    A nod can't be told from a long nose.
    """
    return float(np.abs(_bearing(points) - _bearing(others)).max())


def _bearing(points: np.ndarray) -> np.ndarray:
    """Turn, by where the tip of the nose lies between the ends of the jaw; lean; the mouth."""
    lean = np.radians(tilt(points))
    left, right = (points[[0, 16]] - points[30]) @ np.array([np.cos(lean), np.sin(lean)])
    return np.array([(left + right) / max(1e-6, right - left), lean, 0.5 * mouth(points)])


def _eyes(points: np.ndarray) -> float:
    return max(1e-6, float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0))))

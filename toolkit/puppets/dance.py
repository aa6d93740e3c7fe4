"""A dance: key stances on the beats of a song, eased, with feet that stand where they stepped."""

from __future__ import annotations

import numpy as np
import torch

from .figure import ANKLE, FLOOR, SPLAY, Figure, Stance, planted, rest_height
from .pose import Pose

KEYS = (
    "x", "lean", "bend", "shoulder_left", "elbow_left", "shoulder_right", "elbow_right",
    "foot_left", "foot_right", "hop",
)  # fmt: skip
"""What a step says. x and feet: head units to the right of where they are at rest; hop: height on the way there, head
units; the rest as in Stance."""

HOLD = 0.1  # share of a beat for which a key is held
_REST = (0, 0, 0, 0.32, 0.1, 0.32, 0.1, 0, 0, 0)
# Four beats each; the second half of a bar is often the first one mirrored.
_STEPS = {
    "swing": [
        (0.35, 0.06, 0.08, 0.75, 0.9, 0.45, 0.5, 0.0, 0.45, 0),
        (-0.35, -0.06, -0.08, 0.45, 0.5, 0.75, 0.9, -0.45, 0.0, 0),
    ],
    "point": [
        (0.30, -0.12, 0.12, 0.85, -1.75, 2.45, 0.0, -0.1, 0.5, 0),
        (-0.30, 0.12, -0.12, 2.45, 0.0, 0.85, -1.75, -0.5, 0.1, 0),
    ],
    "wave": [
        (0.22, 0.14, 0.10, 2.2, 0.55, 2.0, 0.9, -0.15, 0.15, 0),
        (-0.22, -0.14, -0.10, 2.0, 0.9, 2.2, 0.55, -0.15, 0.15, 0),
    ],
    "star": [
        (0.0, 0.0, 0.0, 0.9, -1.6, 0.9, -1.6, 0.1, -0.1, 0),
        (0.0, 0.0, 0.0, 2.1, 0.15, 2.1, 0.15, -0.55, 0.55, 0.55),
    ],
    "lasso": [
        (0.25, -0.05, 0.06, 0.85, -1.75, 1.9, 1.2, 0.0, 0.35, 0),
        (0.05, 0.10, -0.06, 0.85, -1.75, 2.3, -0.5, 0.0, 0.35, 0),
    ],
}
STEPS = tuple(_STEPS)


def dance(
    figure: Figure,
    beats: np.ndarray,
    seconds: float,
    fps: float,
    seed: int,
    *,
    head: Pose | None = None,
    lively: float = 1.0,
) -> Stance:
    """round(seconds * fps) stances of one figure (length 1) that dances; it begins and ends at rest.

    beats: times in seconds, the end of the last one included (see `song.beats`). head: as many poses, of a head that
    sings (see `performance`); it nods with the beat. lively: how far everything goes.
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * fps)
    t = np.arange(n) / fps
    keys = _choreography(len(beats) - 1, rng)
    rest = np.array(_REST)
    keys = rest + lively * (keys - rest)
    row = dict(zip(KEYS, _between(t, beats, keys).T))
    phase = np.clip((t - beats[0]) / np.diff(beats).mean(), 0, len(beats) - 1)
    on = _ease(phase) * _ease(len(beats) - 1 - phase)  # nothing bounces before the first beat and after the last
    bounce = lively * on * (0.5 + 0.5 * np.cos(2 * np.pi * phase)) ** 1.5
    hop = _hops(t, beats, keys[:, KEYS.index("hop")])
    s, stand = float(figure.scale[0]), float(rest_height(figure)[0] - ANKLE)
    apart = float(figure.hips[0] + stand * np.tan(SPLAY))

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32).expand(n)

    angles = {k: tensor(row[k]) for k in KEYS[1:7]}
    angles["elbow_left"], angles["elbow_right"] = (
        tensor(row[k] + 0.18 * bounce * np.sign(row[k])) for k in ("elbow_left", "elbow_right")
    )
    x = row["x"]
    angles["swing"] = tensor(_lag(np.gradient(x) * fps, fps) * -0.09 if n > 1 else 0 * x)
    face = Pose.neutral(n) if head is None else head
    face = face.replace(pitch=face.pitch - tensor(0.10 * bounce), roll=face.roll + tensor(0.5 * row["lean"]))
    stance = Stance.neutral(n).replace(
        head=face, x=tensor(s * x), y=tensor(s * (0.16 * bounce + 0.05 * on - hop)), **angles
    )
    feet = []
    for side, name in ((-1, "foot_left"), (1, "foot_right")):
        step = keys[:, KEYS.index(name)]
        lift = _lifts(t, beats, step) + hop
        feet.append(np.stack([s * (side * apart + row[name]), FLOOR - s * (ANKLE + lift)], -1))
    return planted(figure.repeat(n), stance, torch.from_numpy(np.stack(feet, 1)).float())


def _choreography(count: int, rng: np.random.Generator) -> np.ndarray:
    """A key for each beat, and rest before and after: count + 1 rows."""
    names = list(rng.permutation([name for name in STEPS if name != "star"]))
    bars = count // 4
    names = (names * (bars // len(names) + 1))[: bars - 1] + ["star"]
    rows = [_REST]
    for name in names:
        pair = _STEPS[name]
        rows += (
            [*pair, *pair]
            if name in ("swing", "point", "wave", "star") or rng.random() < 0.5
            else [*pair, *(_mirrored(key) for key in pair)]
        )
    return np.array([*rows[:count], _REST], float)


def _mirrored(key: tuple) -> tuple:
    x, lean, bend, sl, el, sr, er, fl, fr, hop = key
    return -x, -lean, -bend, sr, er, sl, el, -fr, -fl, hop


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _between(t: np.ndarray, beats: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Keys reached on their beats: held for a moment, then eased to the next. len(t) x len(KEYS)."""
    k = np.clip(np.searchsorted(beats, t, "right") - 1, 0, len(beats) - 2)
    share = _ease(((t - beats[k]) / (beats[k + 1] - beats[k]) - HOLD) / (1 - HOLD))[:, None]
    return keys[k] + share * (keys[k + 1] - keys[k])


def _arcs(t: np.ndarray, beats: np.ndarray, height: np.ndarray, begin: float) -> np.ndarray:
    """On the way to key k + 1 up to height[k] and down again: a parabola over the part of the beat after `begin`."""
    k = np.clip(np.searchsorted(beats, t, "right") - 1, 0, len(beats) - 2)
    u = np.clip(((t - beats[k]) / (beats[k + 1] - beats[k]) - begin) / (1 - begin), 0, 1)
    return height[k] * 4 * u * (1 - u)


def _hops(t: np.ndarray, beats: np.ndarray, hop: np.ndarray) -> np.ndarray:
    return _arcs(t, beats, hop[1:], 0.3)


def _lifts(t: np.ndarray, beats: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A foot leaves the floor while it goes to another place."""
    return _arcs(t, beats, np.minimum(0.35 * np.abs(np.diff(place)), 0.18), HOLD)


def _lag(x: np.ndarray, fps: float) -> np.ndarray:
    """Cloth follows late: a first-order filter of 0.12 s."""
    a, out, state = np.exp(-1 / (0.12 * fps)), np.empty_like(x), 0.0
    for k, value in enumerate(x):
        state = a * state + (1 - a) * value
        out[k] = state
    return out

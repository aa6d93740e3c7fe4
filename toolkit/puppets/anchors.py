"""Anchors: named points, each with the affine map of its neighbourhood, to teach keypoint detectors."""

from __future__ import annotations

import torch
from torch import Tensor

from .body import Torso
from .face import ear_ends
from .geometry import Chart, Rig
from .hair import Hair
from .identity import Identity
from .pose import Pose

ANCHORS = (
    "eye_left_upper", "eye_left_lower", "iris_left", "eye_right_upper", "eye_right_lower", "iris_right",
    "brow_left", "brow_right", "nose", "mouth_left", "mouth_right", "lip_upper", "lip_lower", "chin",
    "jaw_left", "jaw_right", "ear_left", "ear_right", "crown", "temple_left", "temple_right",
    "hair_left", "hair_right",
    "neck", "shoulder_left", "shoulder_right",
)  # fmt: skip


def anchors(identity: Identity, pose: Pose) -> tuple[Tensor, Tensor]:
    """Points (N x K x 2) and Jacobians (N x K x 2 x 2) of ANCHORS, in picture coordinates -1 … 1.

    A Jacobian is d(picture position) / d(head-local position) about its anchor: about scale times rotation,
    foreshortened as the head turns; J_now @ inverse(J_then) is the affine map that carries the neighbourhood from one
    pose to another. They are smooth in the pose and never singular. Lids and lips carry the map of the face around
    them: what opens and shuts is the point.
    """
    rig = Rig(identity, pose)
    hair, torso = Hair(rig), Torso(rig)
    zero = torch.zeros_like(pose.yaw)
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def on(name: str, chart: Chart, u: Tensor, v: Tensor, flip: bool = False) -> None:
        J = chart.J * chart.J.new_tensor([-1.0, 1.0]) if flip else chart.J
        found[name] = chart.to_picture(u[:, None], v[:, None])[:, 0], J

    for side, word in ((-1.0, "left"), (1.0, "right")):
        eye, flip = rig.eye(side), side < 0
        upper, lower = rig.lids(side, zero)
        on(f"eye_{word}_upper", eye, zero, upper, flip)
        on(f"eye_{word}_lower", eye, zero, lower, flip)
        on(f"iris_{word}", eye, *rig.gaze(side), flip)
        on(f"brow_{word}", rig.brow(side), zero, rig.brow_curve(zero)[0], flip)
    on("nose", rig.nose(), zero, zero)
    mouth, (w, _) = rig.mouth(), rig.mouth_shape()
    corner = rig.lips(zero + 1)[1]
    on("mouth_left", mouth, -w, corner)
    on("mouth_right", mouth, w, corner)
    _, upper, lower, _ = rig.lips(zero)
    on("lip_upper", mouth, zero, upper)
    on("lip_lower", mouth, zero, lower)

    # The outline keeps its shape as the head turns: scale and roll alone.
    tilted = rig.scale[:, None, None] * rig.roll
    chin = rig.contour(zero[:, None] + 1, 1.0)[:, 0]
    found["chin"] = chin, tilted
    for side, word in ((-1.0, "left"), (1.0, "right")):
        found[f"jaw_{word}"] = rig.contour(zero[:, None] + 0.72, side)[:, 0], tilted
        base, rim, _ = ear_ends(rig, side)
        found[f"ear_{word}"] = (base + rim) / 2, tilted
        found[f"temple_{word}"] = hair.to_picture((side * hair.half)[:, None], zero[:, None] - 0.05)[:, 0], tilted
        found[f"hair_{word}"] = hair.tip(side)[:, 0], hair.hang()
    found["crown"] = hair.to_picture(zero[:, None], -hair.height[:, None])[:, 0], tilted

    c, n = torso.lean.cos(), torso.lean.sin()
    leaning = torso.scale[:, None, None] * torch.stack([torch.stack([c, -n], -1), torch.stack([n, c], -1)], -2)
    found["neck"] = torso.to_picture(zero[:, None], zero[:, None])[:, 0], leaning
    for side, word in ((-1.0, "left"), (1.0, "right")):
        found[f"shoulder_{word}"] = (
            torso.to_picture((0.8 * side * identity.shoulders)[:, None], zero[:, None] + 0.3)[:, 0],
            leaning,
        )
    points = torch.stack([found[name][0] for name in ANCHORS], 1)
    return points, torch.stack([found[name][1] for name in ANCHORS], 1)

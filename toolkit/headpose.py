"""Where a head looks, from its landmarks: the head pose solver of the webcam tool of Talking Head Anime (2019).

Ten landmarks (brows, eye corners, nose wings; no mouth, so that talking does not tilt the head) have known places on a
model of a head; its rotation and translation are those whose projection comes nearest to the landmarks, in least
squares. The camera is fixed: focal length 640, centre (320, 240), no distortion.

The model is left-handed (x to the image's left, y up, z towards the camera), so the head stands at a NEGATIVE z, and a
frontal face has a rotation near the identity. Its points are those of lincolnhard/head-pose-estimation (MIT).
"""

from __future__ import annotations

import torch
from torch import Tensor

FOCAL = 640.0
WIDTH, HEIGHT = 640, 480
MODEL = {  # landmark: (x, y, z)
    17: (6.825897, 6.760612, 4.402142),  # brows: outer and inner end, inner and outer end
    21: (1.330353, 7.122144, 6.903745),
    22: (-1.330353, 7.122144, 6.903745),
    26: (-6.825897, 6.760612, 4.402142),
    36: (5.311432, 5.485328, 3.987654),  # eyes: outer and inner corner, inner and outer corner
    39: (1.789930, 5.393625, 4.413414),
    42: (-1.789930, 5.393625, 4.413414),
    45: (-5.311432, 5.485328, 3.987654),
    31: (2.005628, 1.409845, 6.165652),  # wings of the nose
    35: (-2.005628, 1.409845, 6.165652),
}
BOX = [(x * side, y, z) for side in (1, -1) for x, y, z in ((10, 10.5, 17), (7, 7.5, 7), (7, -7.5, 7), (10, -10.5, 17))]


def head_pose(landmarks: Tensor, height: int = HEIGHT, width: int = WIDTH) -> tuple[Tensor, Tensor]:
    """Landmarks T x 68 x 2 (iBUG order, -1 … 1 from edge to edge of frames of height x width) -> rotations T x 3 x 3
    and translations T x 3, float64 on the CPU.

    Frames of another shape than 640 x 480 are taken to fill that of the camera as far as they fit, in its middle. Rows
    with NaN have a NaN translation.
    """
    model = torch.tensor(list(MODEL.values()), dtype=torch.float64)  # 10 x 3
    points = landmarks[:, list(MODEL)].detach().to("cpu", torch.float64)
    half = points.new_tensor([width, height]) * (min(WIDTH / width, HEIGHT / height) / 2)
    seen = (points * half - 0.5) / FOCAL  # T x 10 x 2, focal length 1; whole numbers are the pixels' centres
    rotation, translation = _start(model, seen)
    error, damping = _error(model, seen, rotation, translation), torch.full((len(seen), 1, 1), 1e-3, dtype=seen.dtype)
    for _ in range(100):  # Levenberg and Marquardt; it takes about ten
        step = _step(model, seen, rotation, translation, damping)
        turned, moved = torch.linalg.matrix_exp(_cross(step[:, :3])) @ rotation, translation + step[:, 3:]
        new = _error(model, seen, turned, moved)
        better = (new < error)[:, None]
        rotation = torch.where(better[..., None], turned, rotation)
        translation = torch.where(better, moved, translation)
        error = torch.where(better[:, 0], new, error)
        damping = torch.where(better[..., None], damping / 10, damping * 10).clamp(1e-12, 1e12)
        if not (step.abs() > 1e-9).any():
            break
    return rotation, translation


def euler(rotation: Tensor) -> Tensor:
    """Rotations T x 3 x 3 -> angles (x, y, z) in degrees, T x 3: R = Rz Ry Rx."""
    (r00, _, _), (r10, _, _), (r20, r21, r22) = (row.unbind(-1) for row in rotation.unbind(-2))
    x, y, z = torch.atan2(r21, r22), torch.atan2(-r20, torch.hypot(r21, r22)), torch.atan2(r10, r00)
    return torch.stack([x, y, z], dim=-1).rad2deg()


def box(rotation: Tensor, translation: Tensor) -> Tensor:
    """The corners of a box round the head, T x 8 x 2 pixels of the 640 x 480 camera, for a preview.

    Its edges are 0-1-2-3-0, 4-5-6-7-4, 0-4, 1-5, 2-6 and 3-7.
    """
    corners = _project(rotation.new_tensor(BOX), rotation, translation)[0]
    return corners * FOCAL + corners.new_tensor([WIDTH / 2, HEIGHT / 2])


def _project(model: Tensor, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Points N x 3 of the model -> where they are seen, T x N x 2 (focal length 1), and where they are, T x N x 3."""
    placed = model @ rotation.mT + translation[:, None]
    return placed[..., :2] / placed[..., 2:], placed


def _error(model: Tensor, seen: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    return (_project(model, rotation, translation)[0] - seen).square().sum((1, 2))


def _start(model: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """A frontal head as large as what is seen, and where it is seen."""

    def spread(points: Tensor) -> Tensor:
        return (points - points.mean(-2, keepdim=True)).square().sum((-2, -1)).sqrt()

    z = -spread(model[:, :2]) / spread(seen)
    translation = torch.cat([seen.mean(1) * z[:, None], z[:, None]], dim=1) - model.mean(0)
    return torch.eye(3, dtype=seen.dtype).repeat(len(seen), 1, 1), translation


def _step(model: Tensor, seen: Tensor, rotation: Tensor, translation: Tensor, damping: Tensor) -> Tensor:
    """The damped Gauss-Newton step of rotation vector and translation, T x 6."""
    at, placed = _project(model, rotation, translation)
    turning = -_cross(placed - translation[:, None])  # how a point moves with the rotation, T x 10 x 3 x 3
    moving = torch.cat([turning, torch.eye(3, dtype=seen.dtype).expand_as(turning)], dim=-1)  # T x 10 x 3 x 6
    slope = (moving[..., :2, :] - at[..., None] * moving[..., 2:, :]) / placed[..., 2:, None]
    slope, rest = slope.flatten(1, 2), (seen - at).flatten(1)[..., None]  # T x 20 x 6 and T x 20 x 1
    normal = slope.mT @ slope
    normal = normal + damping * torch.diag_embed(normal.diagonal(dim1=-2, dim2=-1))
    return torch.linalg.solve_ex(normal, slope.mT @ rest)[0][..., 0]


def _cross(vectors: Tensor) -> Tensor:
    """The matrices … x 3 x 3 of the cross product with vectors … x 3."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))

"""Putting a puppet together, layer by layer from the back."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor

from . import backdrop, body, face
from .geometry import Rig
from .hair import Hair
from .identity import Identity
from .pose import Pose
from .shapes import Patch, centres, paint

PARTS = (
    "background", "hair_back", "body", "face", "ears", "cheeks", "shadow", "nose", "beard", "mouth",
    "eye_left", "eye_right", "brow_left", "brow_right", "glasses", "hair_front",
)  # fmt: skip


class View:
    """A window of the canvas, the same for all puppets."""

    def __init__(self, stage: Stage, x0: int, x1: int, y0: int, y1: int) -> None:
        self.columns, self.lines = slice(x0, x1), slice(y0, y1)
        device = stage.canvas.device
        self.x = centres(x0, x1 - x0, stage.size, device)[None, None, :]
        self.y = centres(y0, y1 - y0, stage.size, device)[None, :, None]
        self.canvas = self.crop(stage.canvas)

    def crop(self, field: Tensor) -> Tensor:
        return field[..., self.lines, self.columns]

    def paint(self, colour: Tensor, alpha: Tensor) -> None:
        paint(self.canvas, colour, alpha)

    def part(self, rows: Tensor) -> View:
        """The same window of some puppets, on a copy of their canvas; `back` puts it back."""
        some = copy.copy(self)
        some.canvas = self.canvas[rows]

        def back() -> None:
            self.canvas[rows] = some.canvas

        some.back = back
        return some


class Stage:
    """The canvas (N x 4 x size x size, premultiplied) and all that the parts want to know."""

    def __init__(self, identity: Identity, pose: Pose, size: int, canvas: Tensor) -> None:
        self.identity, self.pose, self.size, self.canvas = identity, pose, size, canvas
        self.rig = Rig(identity, pose)
        self.masks: dict[str, Tensor] | None = None

    def only(self, rows: Tensor) -> Stage:
        """A stage of some rows, with a copy of their canvas."""
        return Stage(self.identity[rows], self.pose[rows], self.size, self.canvas[rows])

    def window(self, x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor) -> View:
        """The pixels that hold the box x0 … x1, y0 … y1 (B,) of every puppet."""
        ends = torch.stack([x0.amin(), x1.amax(), y0.amin(), y1.amax()])
        a, b, c, d = ((ends + 1) * self.size / 2).tolist()

        def clip(low: float, high: float) -> tuple[int, int]:
            first = min(max(int(low) - 1, 0), self.size - 1)
            return first, min(max(int(high) + 2, first + 1), self.size)

        return View(self, *clip(a, b), *clip(c, d))

    def full(self, view: View, field: Tensor, outside: float = 0.0) -> Tensor:
        """A field of a window on the whole frame."""
        whole = field.new_full((len(field), self.size, self.size), outside)
        whole[:, view.lines, view.columns] = field
        return whole

    def note(self, name: str, patch: Patch, mask: Tensor) -> None:
        """Keep the bare shape of a part when it is asked for (see `mask`)."""
        if self.masks is not None:
            whole = torch.zeros(len(mask), 1, self.size, self.size, device=mask.device)
            patch.put(whole, mask.unsqueeze(1))
            self.masks[name] = whole[:, 0]


@torch.no_grad()
def draw(
    identity: Identity, pose: Pose, size: int = 256, background: bool = True, parts: Collection[str] | None = None
) -> Tensor:
    """Pictures of puppets: N x 4 x size x size, RGBA in 0…1, straight alpha.

    identity and pose have the same length, or one of them has length 1 and serves all. background=False leaves what is
    not the character transparent (colour 0 there). parts: names of PARTS to draw alone, where they would be seen on the
    face; then there is no background unless named.
    """
    identity, pose = _pair(identity, pose)
    # Small batches at a time keep the CPU in its caches; a GPU wants many.
    step = max(1, (2**18 if pose.device.type == "cpu" else 2**24) // size**2)
    pictures = [
        _draw(identity[k : k + step], pose[k : k + step], size, background, parts) for k in range(0, len(pose), step)
    ]
    return torch.cat(pictures) if pictures else torch.zeros(0, 4, size, size, device=pose.device)


def _pair(identity: Identity, pose: Pose) -> tuple[Identity, Pose]:
    n = max(len(identity), len(pose))
    if len(identity) != n:
        identity = identity.repeat(n)
    if len(pose) != n:
        pose = pose.repeat(n)
    return identity, pose


def _draw(identity: Identity, pose: Pose, size: int, background: bool, parts: Collection[str] | None) -> Tensor:
    n, device = len(pose), pose.device
    wanted = set(PARTS if parts is None else parts)
    if unknown := wanted - set(PARTS):
        raise ValueError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not background:
        wanted.discard("background")
    canvas = torch.zeros(n, 4, size, size, device=device)
    if "background" in wanted:
        canvas[:, :3] = backdrop.draw(identity, size)
        canvas[:, 3] = 1
    stage = Stage(identity, pose, size, canvas)
    skin = face.Face(stage)
    hair = Hair(stage.rig)
    if wanted & {"shadow", "hair_front"}:
        hair.lay_front(stage)
    layers = {
        "hair_back": lambda: hair.draw_back(stage),
        "body": lambda: body.draw(stage, skin),
        "face": lambda: face.head(stage, skin),
        "ears": lambda: (face.ear(stage, skin, -1.0), face.ear(stage, skin, 1.0)),
        "cheeks": lambda: face.cheeks(stage, skin),
        "shadow": lambda: hair.draw_shadow(skin.alpha),
        "nose": lambda: face.nose(stage, skin),
        "beard": lambda: face.beard(stage, skin),
        "mouth": lambda: face.mouth(stage, skin),
        "eye_left": lambda: face.eye(stage, skin, -1.0),
        "eye_right": lambda: face.eye(stage, skin, 1.0),
        "brow_left": lambda: face.brow(stage, skin, -1.0),
        "brow_right": lambda: face.brow(stage, skin, 1.0),
        "glasses": lambda: face.glasses(stage, skin),
        "hair_front": lambda: hair.draw_front(stage),
    }
    for name, layer in layers.items():
        if name in wanted:
            layer()
    if "background" not in wanted:
        alpha = canvas[:, 3:]
        canvas[:, :3] /= alpha.clamp_min(1e-6)
        canvas[:, :3] *= alpha > 0
    return canvas.clamp_(0, 1)


@torch.no_grad()
def masks(identity: Identity, pose: Pose, size: int = 256) -> dict[str, Tensor]:
    """The bare shapes, without lines and shadows, each clipped to the face: name -> N x size x size coverage.

    Names: face, nose, mouth (lips and opening), eye_left and eye_right (between the lids), brow_left, brow_right.
    """
    identity, pose = _pair(identity, pose)
    stage = Stage(identity, pose, size, torch.zeros(len(pose), 4, size, size, device=pose.device))
    stage.masks = {}
    skin = face.Face(stage)
    face.nose(stage, skin)
    face.mouth(stage, skin)
    for side in (-1.0, 1.0):
        face.eye(stage, skin, side)
        face.brow(stage, skin, side)
    return {"face": skin.alpha, **stage.masks}

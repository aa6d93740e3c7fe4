"""Putting a puppet together, layer by layer from the back."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor

from . import backdrop, body, clothes, face
from .geometry import Rig
from .hair import Hair
from .identity import Identity
from .pose import Pose
from .shapes import Patch, centres, few, paint

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
    """The canvas (N x 4 x size x size, premultiplied; N x 3 where all is opaque) and what the parts want to know."""

    def __init__(self, identity: Identity, pose: Pose, size: int, canvas: Tensor) -> None:
        self.identity, self.pose, self.size, self.canvas = identity, pose, size, canvas
        self.rig = Rig(identity, pose)
        self.masks: dict[str, Tensor] | None = None

    def only(self, rows: Tensor) -> Stage:
        """A stage of some rows, with a copy of their canvas."""
        return Stage(self.identity[rows], self.pose[rows], self.size, self.canvas[rows])

    def split(self, count: int) -> list[Stage]:
        """Stages of so many rows each, on the same canvas."""
        n = len(self.canvas)
        if n <= count:
            return [self]
        parts = [slice(k, k + count) for k in range(0, n, count)]
        return [Stage(self.identity[part], self.pose[part], self.size, self.canvas[part]) for part in parts]

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
    pictures = torch.zeros(len(pose), 4, size, size, device=pose.device)
    step = few(size, pose.device) * (4 if pose.device.type == "cpu" else 1)
    for k in range(0, len(pose), step):
        part = slice(k, k + step)
        _draw(pictures[part], identity[part], pose[part], background, parts)
    return pictures


def _pair(identity: Identity, pose: Pose) -> tuple[Identity, Pose]:
    n = max(len(identity), len(pose))
    if len(identity) != n:
        identity = identity.repeat(n)
    if len(pose) != n:
        pose = pose.repeat(n)
    return identity, pose


def _draw(picture: Tensor, identity: Identity, pose: Pose, background: bool, parts: Collection[str] | None) -> None:
    """Draw on empty pictures."""
    size = picture.shape[-1]
    wanted = set(PARTS if parts is None else parts)
    if unknown := wanted - set(PARTS):
        raise ValueError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not background:
        wanted.discard("background")
    canvas = picture
    if "background" in wanted:
        picture[:, 3] = 1
        canvas = picture[:, :3]
        backdrop.draw(canvas, identity)
    # What is as large as the head is drawn a few puppets at a time, the rest in patches, for all at once.
    stage = Stage(identity, pose, size, canvas)
    groups = [(part, face.Face(part), Hair(part.rig)) for part in stage.split(few(size, pose.device))]
    skin = torch.cat([skin.alpha for _, skin, _ in groups])
    if wanted & {"shadow", "hair_front"}:
        for part, _, hair in groups:
            hair.lay_front(part)
    large = {
        "hair_back": lambda part, skin, hair: hair.draw_back(part),
        "body": lambda part, skin, hair: body.draw(part, skin),
        "face": lambda part, skin, hair: face.head(part, skin),
        "shadow": lambda part, skin, hair: hair.draw_shadow(skin.alpha),
        "hair_front": lambda part, skin, hair: hair.draw_front(part),
    }
    small = {
        "body": lambda: clothes.draw(stage),
        "ears": lambda: (face.ear(stage, skin, -1.0), face.ear(stage, skin, 1.0)),
        "cheeks": lambda: face.cheeks(stage, skin),
        "nose": lambda: face.nose(stage, skin),
        "beard": lambda: face.beard(stage, skin),
        "mouth": lambda: face.mouth(stage, skin),
        "eye_left": lambda: face.eye(stage, skin, -1.0),
        "eye_right": lambda: face.eye(stage, skin, 1.0),
        "brow_left": lambda: face.brow(stage, skin, -1.0),
        "brow_right": lambda: face.brow(stage, skin, 1.0),
        "glasses": lambda: face.glasses(stage, skin),
    }
    for name in PARTS:
        if name in wanted:
            if name in large:
                for group in groups:
                    large[name](*group)
            if name in small:
                small[name]()
    if "background" not in wanted:
        alpha = picture[:, 3:]
        picture[:, :3] /= alpha.clamp_min(1e-6)
        picture[:, :3] *= alpha > 0
    picture.clamp_(0, 1)


@torch.no_grad()
def masks(identity: Identity, pose: Pose, size: int = 256) -> dict[str, Tensor]:
    """The bare shapes, without lines and shadows, each clipped to the face: name -> N x size x size coverage.

    Names: face, nose, mouth (lips and opening), eye_left and eye_right (between the lids), brow_left, brow_right.
    """
    identity, pose = _pair(identity, pose)
    stage = Stage(identity, pose, size, torch.zeros(len(pose), 4, size, size, device=pose.device))
    stage.masks = {}
    skin = face.Face(stage).alpha
    face.nose(stage, skin)
    face.mouth(stage, skin)
    for side in (-1.0, 1.0):
        face.eye(stage, skin, side)
        face.brow(stage, skin, side)
    return {"face": skin, **stage.masks}

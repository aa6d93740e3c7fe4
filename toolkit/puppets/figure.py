"""Whole figures: a puppet's head on a body with arms and legs, for models that move more than faces.

who, how = figures(8, seed=1), stances(8, seed=2)
pictures = draw_figures(who, how, size=256)      # 8 x 4 x 256 x 256, RGBA, 0…1
points = joints(who, how)                        # 8 x 13 x 2, in the order of JOINTS, -1…1 from edge to edge
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from .batch import Batch, uniforms
from .geometry import BASE
from .identity import BACKDROPS, FABRICS, Identity, choose, identities
from .pose import Pose, poses

# outfit                   sleeves legs skirt flare shoes neckline hood buttons bib socks
_OUTFITS = {
    "t-shirt and trousers": (0.62, 1.94, 0.00, 0.00, 0, 0.20, 0, 0, 0, 0.0),
    "jumper and trousers":  (1.92, 1.94, 0.00, 0.00, 0, 0.14, 0, 0, 0, 0.0),
    "t-shirt and shorts":   (0.62, 0.80, 0.00, 0.00, 0, 0.20, 0, 0, 0, 0.5),
    "hoodie and trousers":  (1.92, 1.90, 0.00, 0.00, 0, 0.16, 1, 0, 0, 0.0),
    "shirt and shorts":     (0.74, 0.92, 0.00, 0.00, 0, 0.26, 0, 1, 0, 0.7),
    "dungarees":            (0.70, 1.88, 0.00, 0.00, 0, 0.16, 0, 0, 1, 0.0),
    "dress":                (0.36, 0.00, 1.45, 0.62, 1, 0.30, 0, 0, 0, 0.0),
    "jumper and skirt":     (1.92, 0.00, 1.10, 0.46, 0, 0.14, 0, 0, 0, 1.0),
}  # fmt: skip
OUTFITS = tuple(_OUTFITS)
JOINTS = (
    "neck", "shoulder_left", "elbow_left", "wrist_left", "shoulder_right", "elbow_right", "wrist_right",
    "hip_left", "knee_left", "ankle_left", "hip_right", "knee_right", "ankle_right",
)  # fmt: skip
FLOOR = 0.84  # where the soles stand at rest, picture coordinates
ANKLE = 0.24  # height of the ankle over the sole, head units
SPLAY = 0.07  # of the legs at rest, radians
SHOULDER = 0.36  # how far the shoulder joints lie under the pit of the neck, head units
FOREARM = 0.94  # as a share of the upper arm
SIDES = {"left": -1.0, "right": 1.0}


@dataclasses.dataclass(frozen=True)
class Outfit:
    """What an outfit is made of, (B,) each. Along a limb 0 is its root, 1 elbow or knee, 2 wrist or ankle."""

    sleeves: Tensor  # how far along the arm
    legs: Tensor  # how far along the leg; 0: there are no trousers
    skirt: Tensor  # length under the waist, head units; 0: none
    flare: Tensor  # how much wider it is at the hem
    ballet: Tensor  # 1: light shoes
    neckline: Tensor  # depth
    hood: Tensor
    buttons: Tensor
    bib: Tensor
    socks: Tensor  # how far up the shin, 0 … 1


@dataclasses.dataclass(frozen=True)
class Figure(Batch):
    """B figures. Fields are (B,) floats unless said; lengths in head units (half the height of a head)."""

    identity: Identity  # head, colours of the clothes, background
    share: Tensor  # size of the head as a share of what a puppet's own picture has
    outfit: Tensor  # (B,) int: index into OUTFITS
    shoulders: Tensor  # half-width from joint to joint
    waist: Tensor  # half-width
    hips: Tensor  # half-width from joint to joint
    torso: Tensor  # from the pit of the neck to the hip joints
    arm: Tensor  # upper arm; the forearm is FOREARM of it
    leg: Tensor  # thigh, and as much again to the ankle
    limbs: Tensor  # radius of an upper arm
    lower: Tensor  # B x 3, colour of trousers or skirt
    shoes: Tensor  # B x 3
    floor: Tensor  # B x 3

    @property
    def scale(self) -> Tensor:
        """Picture half-widths a head unit."""
        return self.identity.size * self.share

    def outdoors(self) -> Tensor:
        """(B,) bool: whether the background is a landscape or a town."""
        hills, city = (self.identity.backdrop == BACKDROPS.index(name) for name in ("hills", "city"))
        return hills | city

    def wears(self) -> Outfit:
        table = torch.tensor(list(_OUTFITS.values()), device=self.device)
        return Outfit(*table[self.outfit].unbind(1))


@dataclasses.dataclass(frozen=True)
class Stance(Batch):
    """B stances: joint angles in radians, each a tensor (B,). "left" is on the left in the picture.

    A limb at 0 goes on as its root does (arms and legs hang down); > 0 lifts it outward, away from the body.
    """

    head: Pose  # turn, tilt and face; the tilt adds to the lean. Its place and scale are the body's
    x: Tensor  # shift of the hips, in half-widths of the picture; > 0 to the right
    y: Tensor  # > 0 downwards
    lean: Tensor  # of the torso; > 0 tips the shoulders to picture right
    bend: Tensor  # of the spine; > 0 pushes the waist to picture right, head units
    shoulder_left: Tensor
    elbow_left: Tensor
    shoulder_right: Tensor
    elbow_right: Tensor
    hip_left: Tensor
    knee_left: Tensor
    hip_right: Tensor
    knee_right: Tensor
    swing: Tensor  # of the hem; > 0 to the right, head units

    @classmethod
    def neutral(cls, n: int, device: torch.device | str = "cpu") -> Stance:
        """n times standing straight, arms a little off the body."""
        rest = {"shoulder": 0.32, "elbow": 0.1, "hip": SPLAY}
        names = [f.name for f in dataclasses.fields(cls) if f.name != "head"]
        angles = {k: torch.full((n,), rest.get(k.split("_")[0], 0.0), device=device) for k in names}
        return cls(head=Pose.neutral(n, device), **angles)


class Skeleton:
    """Where the joints of B figures are: `points`, name of JOINTS -> B x 2, and the pose of the head on the body."""

    def __init__(self, figure: Figure, stance: Stance) -> None:
        f, p, i = figure, stance, figure.identity
        self.scale, self.lean, zero = f.scale, p.lean, torch.zeros_like(p.x)
        self.pelvis = torch.stack([p.x, p.y + FLOOR - self.scale * rest_height(f)], -1)
        self.points = {"neck": self.on_torso(zero, -f.torso)}
        for name, side in SIDES.items():
            shoulder, hip = self.on_torso(side * f.shoulders, SHOULDER - f.torso), self.on_torso(side * f.hips, zero)
            self._limb(("shoulder", "elbow", "wrist"), name, shoulder, p, side * p.lean, f.arm, FOREARM * f.arm)
            self._limb(("hip", "knee", "ankle"), name, hip, p, zero, f.leg, f.leg)
        # The head's pivot is as far from the pit of the neck as in a puppet's own picture.
        rise = 0.6 + 0.12 * (i.chin_y - 0.9) - 0.06 * (i.style == 1)
        self.top = self.on_torso(zero, -f.torso - rise)
        x, y = self.top.unbind(1)
        self.head = p.head.replace(x=x, y=y - BASE, scale=f.share, roll=p.head.roll + 0.7 * p.lean)

    def on_torso(self, x: Tensor, y: Tensor) -> Tensor:
        """Places in the torso's frame (B,), head units, origin between the hip joints, y down -> B x 2."""
        c, n = self.lean.cos(), self.lean.sin()
        return self.pelvis + self.scale[:, None] * torch.stack([c * x - n * y, n * x + c * y], -1)

    def _limb(
        self, parts: tuple, name: str, root: Tensor, stance: Stance, turned: Tensor, upper: Tensor, lower: Tensor
    ) -> None:
        """turned: how far the root is turned inward."""
        angle, at = -turned, root
        self.points[f"{parts[0]}_{name}"] = root
        for joint, end, length in zip(parts, parts[1:], (upper, lower)):
            angle = angle + getattr(stance, f"{joint}_{name}")
            at = at + (self.scale * length)[:, None] * torch.stack([SIDES[name] * angle.sin(), angle.cos()], -1)
            self.points[f"{end}_{name}"] = at


def rest_height(figure: Figure) -> Tensor:
    """Height of the hip joints over the floor of who stands straight, head units."""
    return ANKLE + 2 * figure.leg * math.cos(SPLAY)


def joints(figure: Figure, stance: Stance) -> Tensor:
    """Where the joints of JOINTS are: B x 13 x 2, (x, y) in -1 … 1 from edge to edge."""
    points = Skeleton(*pair(figure, stance)).points
    return torch.stack([points[name] for name in JOINTS], 1)


def planted(figure: Figure, stance: Stance, feet: Tensor) -> Stance:
    """The stance with its legs bent so that the ankles stand at `feet` (B x 2 x 2, left and right, in picture
    coordinates), or as near as the legs reach; the knees go outward.
    """
    points, s = Skeleton(figure, stance).points, figure.scale
    angles = {}
    for k, (name, side) in enumerate(SIDES.items()):
        dx, dy = ((feet[:, k] - points[f"hip_{name}"]) / s[:, None]).unbind(1)
        far = (dx * dx + dy * dy).sqrt()
        bend = (far / (2 * figure.leg)).clamp(0.2, 0.9999).acos()  # both halves are as long: an isosceles triangle
        angles[f"hip_{name}"] = torch.atan2(side * dx, dy) + bend
        angles[f"knee_{name}"] = -2 * bend
    return stance.replace(**angles)


def pair(figure: Figure, stance: Stance) -> tuple[Figure, Stance]:
    """Both of the same length; one of them may be of length 1 and serve all."""
    n = max(len(figure), len(stance))
    return figure if len(figure) == n else figure.repeat(n), stance if len(stance) == n else stance.repeat(n)


def figures(n: int, seed: int, style: int | str | None = None, device: torch.device | str = "cpu") -> Figure:
    """n figures of a seed; number i depends on (seed, i, style) alone, and has the head of that puppet."""
    identity = identities(n, seed, style)
    u = uniforms(n, seed + 500_009, 24).unbind(1)
    lady, child = identity.feminine, (1 - identity.age / 0.25).clamp(0, 1)
    anime = (identity.style == 1).float()
    weights = torch.tensor([1.0, 1, 0.8, 0.9, 0.8, 0.9, 0, 0]), torch.tensor([0.7, 0.7, 0.5, 0.6, 0.4, 0.8, 1.5, 1.3])
    outfit = choose(u[0], torch.where((lady > 0.5)[:, None], weights[1], weights[0]))

    def span(k: int, low: float, high: float) -> Tensor:
        return low + (high - low) * u[k]

    def fabric(k: int) -> Tensor:
        return FABRICS[(u[k] * 0.9999 * len(FABRICS)).long()]

    jeans = torch.tensor([[0.20, 0.30, 0.47], [0.16, 0.20, 0.30], [0.36, 0.47, 0.62], [0.42, 0.36, 0.29]])
    denim = jeans[(u[1] * 3.999).long()]
    skirted = (outfit >= OUTFITS.index("dress"))[:, None]
    lower = torch.where((u[2] < 0.6)[:, None] & ~skirted, denim, fabric(3))
    lower = torch.where((outfit == OUTFITS.index("dress"))[:, None], identity.clothes_colours[:, 0], lower)
    boards = identity.backdrop_colours[:, 3] * 0.45 + torch.tensor([0.72, 0.60, 0.48]) * 0.42
    lawn, stone = torch.tensor([0.47, 0.63, 0.38]), torch.tensor([0.58, 0.57, 0.58])
    hills, city = ((identity.backdrop == BACKDROPS.index(name))[:, None] for name in ("hills", "city"))
    ground = torch.where(hills, lawn, torch.where(city, stone, boards))
    return Figure(
        identity=identity,
        share=span(4, 0.445, 0.475) * (1 + 0.04 * child) / (identity.size / 0.51),
        outfit=outfit,
        shoulders=span(5, 0.66, 0.76) - 0.10 * lady - 0.06 * anime - 0.06 * child,
        waist=span(6, 0.46, 0.56) - 0.07 * lady - 0.04 * anime + 0.03 * child,
        hips=span(7, 0.29, 0.33) + 0.03 * lady,
        torso=span(8, 1.62, 1.80) - 0.12 * child,
        arm=span(9, 0.94, 1.02) - 0.08 * child,
        leg=span(10, 1.16, 1.28) - 0.14 * child,
        limbs=span(11, 0.15, 0.18) - 0.025 * lady - 0.015 * anime,
        lower=lower,
        shoes=torch.where((u[12] < 0.5)[:, None], fabric(13), torch.tensor([0.93, 0.92, 0.9])),
        floor=ground,
    ).to(device)


def stances(n: int, seed: int, device: torch.device | str = "cpu", *, amount: float = 1.0) -> Stance:
    """n random stances over the whole range, for training; row i depends on (seed, i) alone. amount: 0 stands still."""
    u = uniforms(n, seed + 500_009, 16).unbind(1)
    head, rest = poses(n, seed, amount=0.6 * amount), Stance.neutral(n)

    def span(k: int, low: float, high: float) -> Tensor:
        return amount * (low + (high - low) * u[k])

    turns = {
        "x": span(0, -0.16, 0.16), "y": span(1, -0.02, 0.03), "lean": span(2, -0.25, 0.25),
        "bend": span(3, -0.12, 0.12),
        "shoulder_left": span(4, -0.3, 2.6), "elbow_left": span(5, -0.4, 2.2),
        "shoulder_right": span(6, -0.3, 2.6), "elbow_right": span(7, -0.4, 2.2),
        "hip_left": span(8, 0.0, 0.8), "knee_left": span(9, -1.0, 0.1),
        "hip_right": span(10, 0.0, 0.8), "knee_right": span(11, -1.0, 0.1), "swing": span(12, -0.2, 0.2),
    }  # fmt: skip
    return rest.replace(head=head, **{k: getattr(rest, k) + v for k, v in turns.items()}).to(device)

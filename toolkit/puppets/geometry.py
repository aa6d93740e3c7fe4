"""Where everything stands: the head in space, its outline, and the charts its features are drawn in.

Head space: x to picture right, y down, z to the viewer, in head units; (0, 0, 0) is the middle of the head, the crown
near y = -1, the chin near y = 1. The skull is a stack of ellipses, one for each height; features lie on a paraboloid in
front of it. A chart is a flat patch of that surface: picture = centre + J (u, v), so what is drawn in (u, v) is
foreshortened, and landmarks follow by the same map.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .identity import Identity
from .pose import Pose

CAMERA = 7.0  # distance of the viewer, head units
PIVOT = (0.0, 0.5, -0.1)  # what the head turns about: the top of the neck
DEPTH = 0.8  # half the depth of the head
FRONT = 0.62  # how far the face lies before the middle of the head
MIDDLE = -0.08  # height of the head's widest place
BASE = 0.2  # height in the picture of the pivot at rest


@dataclasses.dataclass
class Chart:
    """A flat coordinate patch: picture = centre + J (u, v); u and v in head units."""

    centre: Tensor  # B x 2
    J: Tensor  # B x 2 x 2

    def to_picture(self, u: Tensor, v: Tensor) -> Tensor:
        """(B, K) coordinates -> B x K x 2 picture points."""
        return self.centre[:, None] + torch.stack([u, v], -1) @ self.J.mT

    def from_picture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Picture coordinates (B x h x w, broadcast) -> u, v."""
        a, b, c, d = (self.J[:, i, j, None, None] for i in (0, 1) for j in (0, 1))
        det = a * d - b * c
        dx, dy = x - self.centre[:, 0, None, None], y - self.centre[:, 1, None, None]
        return (d * dx - b * dy) / det, (a * dy - c * dx) / det

    def pixel(self, size: int) -> Tensor:
        """The size of a pixel in the chart's units: B x 1 x 1."""
        det = self.J[:, 0, 0] * self.J[:, 1, 1] - self.J[:, 0, 1] * self.J[:, 1, 0]
        return (2 / size / det.abs().sqrt())[:, None, None]


class Rig:
    """One puppet in one pose, B of them: projections, outline and charts."""

    def __init__(self, identity: Identity, pose: Pose) -> None:
        self.identity, self.pose = identity, pose
        self.device = pose.yaw.device
        self.scale = identity.size * pose.scale  # picture half-widths a head unit
        self.child = (1 - identity.age / 0.25).clamp(0, 1)
        cy, sy = pose.yaw.cos(), pose.yaw.sin()
        cp, sp = pose.pitch.cos(), pose.pitch.sin()
        cr, sr = pose.roll.cos(), pose.roll.sin()
        self.cos_yaw, self.sin_yaw = cy, sy
        zero, one = torch.zeros_like(cy), torch.ones_like(cy)

        def matrix(*rows: tuple[Tensor, ...]) -> Tensor:
            return torch.stack([torch.stack(r, -1) for r in rows], -2)

        self.turn_yaw = matrix((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
        self.turn_pitch = matrix((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
        self.turn_roll = matrix((cr, -sr, zero), (sr, cr, zero), (zero, zero, one))
        self.tilt = self.turn_roll @ self.turn_pitch  # what is left after the yaw
        self.rotation = self.tilt @ self.turn_yaw
        self.roll = self.turn_roll[:, :2, :2]
        self.pivot = torch.tensor(PIVOT, device=self.device)
        self.place = torch.stack([pose.x, BASE + pose.y], -1)
        self.jaw_drop = 0.13 * pose.mouth_open * (identity.chin_y - 0.25 * (identity.style == 1))

    # ---- projection ----

    def project(self, points: Tensor, rotation: Tensor | None = None) -> Tensor:
        """B x K x 3 head space -> B x K x 2 picture."""
        p = (points - self.pivot) @ (self.rotation if rotation is None else rotation).mT
        return self.place[:, None] + self.scale[:, None, None] * CAMERA * p[..., :2] / (CAMERA - p[..., 2:])

    def project_turned(self, points: Tensor) -> Tensor:
        """The same for points whose yaw is already done (about the pivot's axis)."""
        return self.project(points, self.tilt)

    def surface(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Depth z of the face at (u, v) and its two slopes."""
        a, b = self.identity.head_width, self.identity.chin_y
        p, q = u / a, (v - MIDDLE) / b
        return FRONT * (1 - 0.5 * p * p - 0.34 * q * q), -FRONT * p / a, -0.68 * FRONT * q / b

    def chart(self, u: Tensor, v: Tensor, lift: Tensor | float = 0.0, flip: bool = False) -> Chart:
        """The chart about the face at (u, v) (B,), raised by lift. flip: u runs to the left."""
        z, zu, zv = self.surface(u, v)
        p = (torch.stack([u, v, z + lift], -1) - self.pivot)[:, None] @ self.rotation.mT
        one, zero = torch.ones_like(u), torch.zeros_like(u)
        tangents = (
            torch.stack([torch.stack([one, zero, zu], -1), torch.stack([zero, one, zv], -1)], 1) @ self.rotation.mT
        )
        near = CAMERA - p[..., 2]
        k = (self.scale[:, None] * CAMERA / near)[..., None]
        centre = self.place + (k * p[..., :2])[:, 0]
        J = (k * (tangents[..., :2] + p[..., :2] * tangents[..., 2:] / near[..., None])).mT
        if flip:
            J = J * torch.tensor([-1.0, 1.0], device=self.device)
        return Chart(centre, J)

    # ---- the head's outline ----

    def level(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The ellipses at s (B x K; -1 crown, 0 widest, 1 chin): y, half-width, half-depth, depth of the middle."""
        i = self.identity
        top, chin = -i.head_top[:, None], i.chin_y[:, None]
        down, up = s.clamp_min(0), (-s).clamp_min(0)
        y = MIDDLE + down * (chin - MIDDLE) + up * (top - MIDDLE)
        y = y + self.jaw_drop[:, None] * down**3
        skull = (1 - up**2.2).clamp_min(0) ** 0.47
        face = (1 - down ** i.jaw[:, None]).clamp_min(1e-6) ** i.chin[:, None]
        face = torch.where(down >= 1, torch.zeros_like(face), face)
        lower = (s > 0).float()
        width = i.head_width[:, None] * torch.where(s > 0, face, skull)
        depth = DEPTH * torch.where(s > 0, 0.97 * (1 - down**2.2).clamp_min(0) ** 0.75, 0.97 * skull)
        return y, width, depth, -0.06 + 0.46 * down**2 * lower

    def contour(self, s: Tensor, side: float) -> Tensor:
        """Picture points of the silhouette at levels s (B x K), on the left (-1) or right (1): B x K x 2."""
        y, w, d, z0 = self.level(s)
        c, n = self.cos_yaw[:, None], self.sin_yaw[:, None]
        half = (w * w * c * c + d * d * n * n + 1e-8).sqrt()
        z0 = z0 - self.pivot[2]
        x = z0 * n + side * half
        z = z0 * c + side * (d * d - w * w) * n * c / half
        return self.project_turned(torch.stack([x, y, z + self.pivot[2]], -1))

    def outline(self) -> tuple[Tensor, Tensor]:
        """The silhouette as a closed curve (B x K x 2) and a point amidst it (B x 2)."""
        a = torch.linspace(-torch.pi / 2, torch.pi / 2, 49, device=self.device)
        s = a.sin().expand(len(self.scale), -1)
        right, left = self.contour(s, 1.0), self.contour(s, -1.0)
        points = torch.cat([right, left[:, 1:-1].flip(1)], 1)
        middle = self.project(torch.tensor([[[0.0, 0.1, 0.1]]], device=self.device).expand(len(s), -1, -1))[:, 0]
        return points, middle

    # ---- features ----

    def eye(self, side: float) -> Chart:
        """u runs outward from the middle of the eye, v down."""
        i = self.identity
        return self.chart(side * i.eye_x, i.eye_y, flip=side < 0)

    def openness(self, side: float) -> Tensor:
        return self.pose.eye_left if side < 0 else self.pose.eye_right

    def gaze(self, side: float) -> tuple[Tensor, Tensor]:
        """Where the middle of the iris is, in the eye's chart."""
        i = self.identity
        u = side * self.pose.gaze_x * (0.42 * i.eye_width) - 0.02
        v = self.pose.gaze_y * 0.2 * i.eye_height - 0.06 * i.eye_height
        return u, v

    def brow(self, side: float) -> Chart:
        """u runs outward, v down; turned by the brow's own tilt."""
        i = self.identity
        lift = self.pose.brow_left if side < 0 else self.pose.brow_right
        room = torch.where(i.style == 1, 0.5, 0.7)
        v = i.eye_y - i.brow_y - 0.085 * lift * room.clamp(0.6) - 0.012
        base = self.chart(side * (i.eye_x + 0.02), v, flip=side < 0)
        angle = -i.brow_tilt - 0.16 * (-lift).clamp_min(0) * -1  # lowered brows slant inward: a frown
        c, n = angle.cos(), angle.sin()
        turn = torch.stack([torch.stack([c, -n], -1), torch.stack([n, c], -1)], -2)
        return Chart(base.centre, base.J @ turn)

    def nose(self) -> Chart:
        """About the tip, raised over the face."""
        i = self.identity
        return self.chart(torch.zeros_like(i.nose_y), i.nose_y, i.nose_lift)

    def mouth(self) -> Chart:
        i = self.identity
        return self.chart(torch.zeros_like(i.mouth_y), i.mouth_y, 0.03)

    # ---- curves within the charts; n is -1 … 1 across the feature ----

    def lids(self, side: float, n: Tensor) -> tuple[Tensor, Tensor]:
        """v of the upper and the lower lid (n of any shape behind the batch axis; 1 is the outer corner)."""
        i = self.identity
        e = profile(n)
        o, h, tilt, w = (_like(t, n) for t in (self.openness(side), i.eye_height, i.eye_tilt, i.eye_width))
        slant = -tilt * n * w
        shut = slant + 0.26 * h * e
        return shut + o * (-0.56 * h - 0.26 * h) * e, shut + o * (0.44 * h - 0.26 * h) * e

    def mouth_shape(self) -> tuple[Tensor, Tensor]:
        """Half-width and height of the opening: (B,) each."""
        i, p = self.identity, self.pose
        w = i.mouth_width * (
            1 + 0.26 * p.mouth_wide.clamp_min(0) + 0.42 * p.mouth_wide.clamp_max(0) - 0.06 * p.mouth_open
        )
        tall = torch.where(i.style == 1, 0.26, 0.31) * (0.75 + 0.25 * i.mouth_width / 0.27)
        return w, tall * p.mouth_open * (1 - 0.15 * p.mouth_wide.abs())

    def lips(self, n: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """v of the outer upper, inner upper, inner lower, outer lower edge of the lips."""
        i, p = self.identity, self.pose
        w, h = self.mouth_shape()
        e = profile(n)
        smile = _like(i.smile + 0.05 * p.mouth_wide, n)
        h, up, low = (_like(t, n) for t in (h, i.lip_upper, i.lip_lower))
        pout = _like(1 + 0.5 * (-p.mouth_wide).clamp_min(0), n)
        middle = smile * (1 - 2 * n * n)
        soft = 1 - n * n
        upper = middle - 0.3 * h * e
        lower = middle + 0.7 * h * e
        bow = 1 - 0.22 * (1 - (n / 0.3) ** 2).clamp_min(0) ** 2
        return upper - up * pout * soft * bow, upper, lower, lower + low * pout * soft * (1.25 - 0.25 * soft)

    def brow_curve(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """v of the middle line of a brow and its half thickness."""
        i = self.identity
        arch, thick = _like(i.brow_arch, n), _like(i.brow_thick, n)
        t = (n + 0.35).clamp_min(0)
        return -arch * (1 - (n - 0.25) ** 2), thick * (1 - 0.62 * t * t / 1.82) * (1 - n**6).clamp_min(0) ** 0.5


def profile(n: Tensor) -> Tensor:
    """A round arch: 1 in the middle, 0 at -1 and 1 and beyond."""
    e = (1 - n * n).clamp_min(0)
    return e * (1.4 - 0.4 * e)


def _like(value: Tensor, n: Tensor) -> Tensor:
    """(B,) spread over the trailing axes of n."""
    return value.reshape(-1, *[1] * (n.dim() - 1))


def landmarks(identity: Identity, pose: Pose) -> Tensor:
    """The 68 iBUG points of the picture that `draw` makes: B x 68 x 2, (x, y) in -1 … 1 from edge to edge.

    0-16 jaw from picture left to right, 17-21 and 22-26 brows, 27-30 bridge, 31-35 nose base, 36-41 and 42-47 eyes,
    48-59 outer lip, 60-67 inner lip. Jaw points follow the visible silhouette.
    """
    rig = Rig(identity, pose)
    b, device = len(pose), pose.yaw.device

    def spread(*values: float) -> Tensor:
        return torch.tensor(values, device=device).expand(b, -1)

    s = (torch.arange(8, device=device) * torch.pi / 16).sin().expand(b, -1)
    chin = rig.contour(spread(1.0), 1.0)
    parts = [rig.contour(s, -1.0), chin, rig.contour(s, 1.0).flip(1)]

    for side in (-1.0, 1.0):
        n = spread(1.0, 0.5, 0.0, -0.5, -1.0)
        points = rig.brow(side).to_picture(n * identity.brow_length[:, None], rig.brow_curve(n)[0])
        parts.append(points if side < 0 else points.flip(1))

    tip, zero = rig.nose(), torch.zeros_like(identity.nose_y)
    bridge = rig.chart(zero, identity.eye_y, 0.04).centre
    share = spread(0.0, 1 / 3, 2 / 3, 1.0)[..., None]
    parts.append(bridge[:, None] + share * (tip.centre - bridge)[:, None])
    n = spread(-1.0, -0.5, 0.0, 0.5, 1.0)
    parts.append(tip.to_picture(n * identity.nose_width[:, None], nose_base(identity, n)))

    for side in (-1.0, 1.0):
        n = spread(1.0, 1 / 3, -1 / 3, -1.0, -1 / 3, 1 / 3)  # outer corner, over, inner corner, under
        upper, lower = rig.lids(side, n)
        v = torch.cat([upper[:, :4], lower[:, 4:]], 1)
        points = rig.eye(side).to_picture(n * identity.eye_width[:, None], v)
        # iBUG goes from the left corner over the lid to the right corner and back under it.
        parts.append(points if side < 0 else points[:, [3, 2, 1, 0, 5, 4]])

    mouth, (w, _) = rig.mouth(), rig.mouth_shape()
    n = spread(-1.0, -0.62, -0.28, 0.0, 0.28, 0.62, 1.0, 0.62, 0.28, 0.0, -0.28, -0.62)
    outer_upper, _, _, outer_lower = rig.lips(n)
    parts.append(mouth.to_picture(n * w[:, None], torch.cat([outer_upper[:, :7], outer_lower[:, 7:]], 1)))
    n = spread(-INNER, -0.4, 0.0, 0.4, INNER, 0.4, 0.0, -0.4)
    _, upper, lower, _ = rig.lips(n)
    parts.append(mouth.to_picture(n * w[:, None], torch.cat([upper[:, :5], lower[:, 5:]], 1)))
    return torch.cat(parts, 1)


INNER = 0.94  # the inner corners of the lips, as a share of the mouth's half-width


def nose_base(identity: Identity, n: Tensor) -> Tensor:
    """v of the nose's lower edge below its tip."""
    return (0.06 + 0.035 * (1 - n * n)) * (identity.nose_width / 0.16).reshape(-1, *[1] * (n.dim() - 1)) ** 0.5

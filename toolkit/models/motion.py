"""The arithmetic of motion that several models share: keypoints, Gaussians, grids, warps, the random transform of
training.

Points are (x, y), x along the width; on a map of h x w the corner pixels' centres sit at exactly -1 and +1. A flow is
backward: for each output position the place in the source to read from. Coordinates, grids, heatmaps and flows are
float32 whatever the networks compute in: at half precision a flow would be off by whole pixels. Nothing here is a
matrix product, which autocast would round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Keypoints = Mapping[str, Tensor]  # {"value": B x K x 2, "jacobian": B x K x 2 x 2 (where it is estimated)}


def axes(height: int, width: int, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """The coordinates of a map's columns (1 x width) and rows (height x 1), each -1 … 1; they broadcast to height x
    width.
    """
    x = torch.linspace(-1, 1, width, device=device)
    y = torch.linspace(-1, 1, height, device=device)
    return x[None, :], y[:, None]


def coordinate_grid(height: int, width: int, device: torch.device | str | None = None) -> Tensor:
    """The (x, y) of every position, height x width x 2: as a flow it copies the picture (with align_corners=True)."""
    return torch.stack(torch.broadcast_tensors(*axes(height, width, device)), dim=-1)


def softmax_heatmap(logits: Tensor, temperature: float) -> Tensor:
    """Logits B x K x h x w -> heatmaps of the same shape, each map summing to 1 (float32)."""
    flat = logits.float().flatten(2) / temperature
    return flat.softmax(dim=2).view(logits.shape)


def expected_position(heatmap: Tensor) -> Tensor:
    """The mean position under each heatmap: B x K x h x w -> B x K x 2."""
    x, y = axes(*heatmap.shape[2:], heatmap.device)
    return torch.stack([(heatmap.sum(2) * x[0]).sum(-1), (heatmap.sum(3) * y[:, 0]).sum(-1)], dim=-1)


def expected_matrix(heatmap: Tensor, maps: Tensor) -> Tensor:
    """The mean 2 x 2 matrix under each heatmap: B x K x h x w and maps B x 4J x h x w -> B x K x 2 x 2 (J is K, or 1
    for a shared map).
    """
    weights, maps = heatmap.flatten(2), maps.float().flatten(2).unflatten(1, (-1, 4))  # B x K x n, B x J x 4 x n
    if maps.shape[1] == 1:
        return (weights @ maps[:, 0].mT).unflatten(-1, (2, 2))
    return (maps @ weights[..., None]).unflatten(-2, (2, 2)).squeeze(-1)


def gaussians(points: Tensor, height: int, width: int, variance: float = 0.01) -> Tensor:
    """Unnormalised Gaussians round points B x K x 2 -> B x K x height x width (1 at the point itself)."""
    x, y = axes(height, width, points.device)
    points = points.float()[..., None, None]  # B x K x 2 x 1 x 1
    across = torch.exp((x - points[:, :, 0]) ** 2 / (-2 * variance))  # B x K x 1 x width
    along = torch.exp((y - points[:, :, 1]) ** 2 / (-2 * variance))  # B x K x height x 1
    return along * across


def inverse(matrix: Tensor) -> Tensor:
    """The inverse of 2 x 2 matrices, … x 2 x 2, in closed form. No guard: a singular matrix gives inf, as published."""
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
    adjugate = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2))
    return adjugate / (a * d - b * c)[..., None, None]


def product(left: Tensor, right: Tensor) -> Tensor:
    """The product of 2 x 2 matrices, … x 2 x 2 each (elementwise arithmetic: exact also under autocast)."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(-2)


def apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Matrices … x 2 x 2 on points … x 2 -> … x 2."""
    return (matrix * points[..., None, :]).sum(-1)


def affine_grid(matrix: Tensor | None, offset: Tensor, height: int, width: int) -> Tensor:
    """The motion A z + b at each position z: A … x 2 x 2 (None: the identity), b … x 2 -> … x height x width x 2."""
    x, y = axes(height, width, offset.device)
    bx, by = offset.float()[..., None, None].unbind(-3)  # … x 1 x 1
    if matrix is None:
        flow = torch.broadcast_tensors(x + bx, y + by)
    else:
        a, b, c, d = matrix.float().flatten(-2)[..., None, None].unbind(-3)
        flow = (a * x + (b * y + bx), c * x + (d * y + by))
    return torch.stack(flow, dim=-1)


def background_grid(matrix: Tensor | None, rows: int, height: int, width: int, device: torch.device) -> Tensor:
    """The background's motion as a flow: rows x 1 x height x width x 2.

    matrix: rows x 3 x 3 on homogeneous (x, y, 1), or None for the identity.
    """
    if matrix is None:
        return coordinate_grid(height, width, device).expand(rows, 1, -1, -1, -1)
    matrix = matrix.float()[:, None]  # rows x 1 x 3 x 3
    grid = affine_grid(matrix[..., :2, :2], matrix[..., :2, 2], height, width)
    scale = affine_grid(matrix[..., 2:, :2].expand(-1, -1, 2, -1), matrix[..., 2:, 2].expand(-1, -1, 2), height, width)
    return grid / scale


def weakened(matrix: Tensor, strength: float) -> Tensor:
    """Square matrices … x n x n, of which only a share of the way from the identity is gone (1: as they are)."""
    if strength == 1:
        return matrix
    still = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return still + strength * (matrix - still)


def precise(x: Tensor) -> Tensor:
    """A small tensor in float64, so that no digits are lost; on the CPU where the device has no float64."""
    return x.to("cpu" if x.device.type == "mps" else x.device, torch.float64)


def warp(picture: Tensor, flow: Tensor, align_corners: bool, padding: str = "zeros") -> Tensor:
    """Read a picture B x C x H x W where flow B x h x w x 2 says -> B x C x h x w. A picture of one row serves all rows
    (not copied).
    """
    if padding == "zeros" and picture.device.type == "cpu" and picture.shape[1] >= 16 and not torch.is_grad_enabled():
        return _warp_pixels(picture, flow.float(), align_corners)
    source = picture.float()
    if len(source) != len(flow):
        source = source.expand(len(flow), -1, -1, -1)
    out = F.grid_sample(source, flow.float(), mode="bilinear", padding_mode=padding, align_corners=align_corners)
    return out.to(picture.dtype)


def warp_each(pictures: Tensor, flows: Tensor, align_corners: bool) -> Tensor:
    """Pictures B x C x H x W under each of M flows B x M x h x w x 2 -> B x M x C x h x w."""
    stacked = warp(pictures, flows.flatten(1, 2), align_corners)  # the flows below each other: B x C x Mh x w
    return stacked.unflatten(2, (flows.shape[1], -1)).transpose(1, 2)


def _warp_pixels(picture: Tensor, flow: Tensor, align_corners: bool) -> Tensor:
    """`warp` for many channels, result in channels_last: each output pixel is a weighted sum of four rows of the table
    of source pixels.

    On a CPU several times as fast as grid_sample, which reads pixel by pixel in each channel.
    """
    height, width = picture.shape[2:]
    sides = torch.tensor([width, height], dtype=torch.float32)
    place = (flow + 1) * ((sides - 1) / 2) if align_corners else (flow * sides + (sides - 1)) / 2
    corner = place.floor().nan_to_num(-2)  # a place that is no number is outside
    part = place - corner
    x, y = (torch.stack([first, first + 1], dim=-1) for first in corner.unbind(-1))  # B x h x w x 2
    (fx, fy) = (torch.stack([1 - weight, weight], dim=-1) for weight in part.unbind(-1))
    fx = torch.where((x >= 0) & (x < width), fx, 0.0)  # outside is zero
    fy = torch.where((y >= 0) & (y < height), fy, 0.0)
    x, y = x.clamp(0, width - 1).long(), y.clamp(0, height - 1).long()
    index = y[..., :, None] * width + x[..., None, :]  # B x h x w x 2 x 2
    if len(picture) > 1:
        index = index + torch.arange(len(picture))[:, None, None, None, None] * (height * width)
    weights = fy[..., :, None] * fx[..., None, :]
    table = picture.permute(0, 2, 3, 1).reshape(-1, picture.shape[1])
    out = F.embedding_bag(
        index.reshape(-1, 4), table, mode="sum", per_sample_weights=weights.reshape(-1, 4).to(table.dtype)
    )
    return out.view(*flow.shape[:3], -1).permute(0, 3, 1, 2)


def resize(maps: Tensor, height: int, width: int, align_corners: bool = False) -> Tensor:
    """Bring maps B x C x h x w to another size, bilinearly."""
    if maps.shape[2:] == (height, width):
        return maps
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=align_corners)


class Deformation:
    """What a motion network found, ready to be applied to maps of any size: a flow, and masks of what stays of them.

    flow: B x h x w x 2, or None (nothing moves). masks: B x 1 x h x w each, 1 keeps what was warped, 0 is to be
    painted; the last is resized where none has the size asked for; without masks all is kept. resize_corners: the
    align_corners of resizing. points: the driver's keypoints B x K x 2, where a decoder is told of them. Each size is
    computed once.
    """

    def __init__(
        self,
        flow: Tensor | None,
        masks: Sequence[Tensor],
        align_corners: bool,
        resize_corners: bool = False,
        points: Tensor | None = None,
    ) -> None:
        self.align_corners, self.resize_corners, self.points = align_corners, resize_corners, points
        self._flows = {} if flow is None else {tuple(flow.shape[1:3]): flow}
        self._masks = {tuple(mask.shape[2:]): mask for mask in masks}
        self._flow, self._mask = flow, masks[-1] if masks else None

    def flow(self, height: int, width: int) -> Tensor:
        """The flow at a size, B x height x width x 2."""
        if (height, width) not in self._flows:
            maps = resize(self._flow.permute(0, 3, 1, 2), height, width, self.resize_corners)
            self._flows[height, width] = maps.permute(0, 2, 3, 1)
        return self._flows[height, width]

    def mask(self, height: int, width: int) -> Tensor:
        """The mask at a size, B x 1 x height x width."""
        if (height, width) not in self._masks:
            self._masks[height, width] = resize(self._mask, height, width, self.resize_corners)
        return self._masks[height, width]

    def warped(self, x: Tensor) -> Tensor:
        """Maps C x H x W of B rows, or of one row that serves all, under the flow."""
        return x if self._flow is None else warp(x, self.flow(*x.shape[2:]), self.align_corners)

    def spots(self, height: int, width: int) -> Tensor:
        """The driver's keypoints as Gaussians of 1.5 pixels on a map of that size: B x K x height x width."""
        return gaussians(self.points, height, width, (3 / (height - 1)) ** 2)

    def blended(self, warped: Tensor, painted: Tensor | None = None) -> Tensor:
        """What was warped where the mask keeps it, and what was painted elsewhere (None: zeros)."""
        if self._mask is None:
            return warped
        mask = self.mask(*warped.shape[2:])
        if painted is None:
            return warped * mask.to(warped.dtype)
        return torch.lerp(painted, warped.to(painted.dtype), mask.to(painted.dtype))


def hull_area(points: Tensor) -> Tensor:
    """The area of the convex hull of each row's points: T x K x 2 -> T, float64 on the CPU; 0 if all are on a line."""
    return torch.tensor([_hull_area(row) for row in points.detach().cpu().double().tolist()], dtype=torch.float64)


def _hull_area(points: list[list[float]]) -> float:
    """Andrew's monotone chain, then the shoelace formula."""
    points = sorted(points)
    hull: list[list[float]] = []
    for way in (points, points[::-1]):  # the lower, then the upper chain; each ends where the next begins
        chain: list[list[float]] = []
        for p in way:
            while len(chain) > 1 and _cross(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        hull += chain[:-1]
    return 0.5 * sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(hull, hull[1:] + hull[:1], strict=True))


def _cross(o: list[float], a: list[float], b: list[float]) -> float:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def movement_scale(source: Tensor, initial: Tensor) -> Tensor:
    """How much larger the source's point set is than the driver's: sqrt of the ratio of hull areas, a value a row
    (float64, CPU).

    source, initial: rows x K x 2. 1 where either hull has no area (points on a line, fewer than three).
    """
    areas = hull_area(source), hull_area(initial)
    usable = torch.minimum(*areas) > 1e-12  # False for NaN too
    return torch.where(usable, areas[0].sqrt() / areas[1].sqrt(), torch.ones(1, dtype=torch.float64))


def normalised(points: Tensor) -> Tensor:
    """Point sets T x K x 2 made comparable: mean 0, hull area 1 (float64, CPU)."""
    points = points.detach().cpu().double()
    points = points - points.mean(1, keepdim=True)
    area = hull_area(points)
    return points / torch.where(area > 1e-12, area, torch.ones_like(area)).sqrt()[:, None, None]


def shape_distance(source: Tensor, points: Tensor) -> Tensor:
    """How unlike the source's are the poses of point sets: 1 (or T) x K x 2 and T x K x 2 -> T (float64, CPU).

    Sum of squared differences after both were brought to mean 0 and hull area 1: the published search for the best
    frame.
    """
    return (normalised(source) - normalised(points)).square().sum((1, 2))


def transfer_keypoints(
    source: Keypoints,
    driving: Keypoints,
    initial: Keypoints,
    *,
    adapt_scale: bool = True,
    relative_movement: bool = True,
    relative_jacobian: bool = True,
    strength: float = 1.0,
) -> dict[str, Tensor]:
    """The published normalisation of keypoints, and `strength` k: 1 is published, 0 the source's own pose.

    Relative: value s + k a (d - d0), Jacobian (I + k (J_d J_0^-1 - I)) J_s, with a = 1 or, with adapt_scale, the root
    of the ratio of hull areas. Absolute: a blend from source to driving. relative_jacobian counts only with
    relative_movement; without it the driver's Jacobians are blended in as they are. Rows: T in driving, 1 or T in
    source and initial.
    """
    value, start = driving["value"], source["value"]
    if relative_movement:
        shift = value - initial["value"]
        if adapt_scale:
            scale = movement_scale(start, initial["value"])
            shift = shift * scale.to(shift)[:, None, None]
    else:
        shift = value - start
    moved = {"value": start + strength * shift if relative_movement or strength != 1 else value}
    if "jacobian" in driving:
        jacobian, own = driving["jacobian"], source["jacobian"]
        if relative_movement and relative_jacobian:
            turn = weakened(product(jacobian, inverse(initial["jacobian"])), strength)
            jacobian = product(turn, own)
        elif strength != 1:
            jacobian = own + strength * (jacobian - own)
        moved["jacobian"] = jacobian
    return moved


def thin_plate(r2: Tensor) -> Tensor:
    """TPSMM's radial basis r^2 log(r^2 + 1e-9), of squared distances."""
    return r2 * torch.log(r2 + 1e-9)


@dataclasses.dataclass(frozen=True)
class RandomTransform:
    """T(z) = A z + b + u(z) (1, 1): a random affine map with a little thin-plate bending, for the equivariance losses.

    theta: B x 2 x 3, [A | b]. control: B x 1 x N, the weights of N = n * n control points that lie on the n x n
    coordinate grid (row-major), or None for the affine part alone. u(z) = sum of control * r^2 log(r + 1e-6), r the L1
    distance to a control point: one scalar, added to x and y. euclidean (TPSMM): r^2 log(r^2 + 1e-9) instead, r the
    Euclidean distance.
    """

    theta: Tensor
    control: Tensor | None = None
    euclidean: bool = False

    @staticmethod
    def sample(
        batch: int,
        sigma_affine: float = 0.05,
        sigma_tps: float | None = 0.005,
        points_tps: int | None = 5,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
        euclidean: bool = False,
    ) -> RandomTransform:
        """Draw one transform a row. `generator` lives on the CPU, so that a seed gives the same on every device."""
        theta = torch.eye(2, 3) + sigma_affine * torch.randn(batch, 2, 3, generator=generator)
        control = None
        if sigma_tps and points_tps:
            control = (sigma_tps * torch.randn(batch, 1, points_tps**2, generator=generator)).to(device)
        return RandomTransform(theta.to(device), control, euclidean)

    def __getitem__(self, rows: slice) -> RandomTransform:
        """The transforms of some rows."""
        return RandomTransform(self.theta[rows], None if self.control is None else self.control[rows], self.euclidean)

    def _offsets(self, points: Tensor) -> Tensor:
        """Differences B x M x N x 2 to the control points."""
        side = round(self.control.shape[-1] ** 0.5)
        return points[:, :, None] - coordinate_grid(side, side, points.device).view(1, 1, -1, 2)

    def warp_coordinates(self, points: Tensor) -> Tensor:
        """T at points B x M x 2 (or 1 x M x 2) -> B x M x 2."""
        theta = self.theta[:, None]  # B x 1 x 2 x 3
        out = apply(theta[..., :2], points) + theta[..., 2]
        if self.control is not None:
            offsets = self._offsets(points)
            if self.euclidean:
                bending = thin_plate(offsets.square().sum(-1))
            else:
                r = offsets.abs().sum(-1)
                bending = r**2 * torch.log(r + 1e-6)
            out = out + (self.control * bending).sum(-1, keepdim=True)
        return out

    def jacobian(self, points: Tensor) -> Tensor:
        """The derivative of T at points B x M x 2 -> B x M x 2 x 2, [..., i, j] = dT_i / dz_j. Differentiable."""
        out = self.theta[:, None, :, :2].expand(-1, points.shape[1], -1, -1)
        if self.control is not None:
            offsets = self._offsets(points)
            if self.euclidean:
                r = offsets.square().sum(-1, keepdim=True)
                slope = 2 * offsets * (torch.log(r + 1e-9) + r / (r + 1e-9))
            else:
                r = offsets.abs().sum(-1, keepdim=True)
                slope = offsets.sign() * (2 * r * torch.log(r + 1e-6) + r**2 / (r + 1e-6))
            out = out + (self.control[..., None] * slope).sum(2)[:, :, None, :]
        return out

    def grid(self, height: int, width: int) -> Tensor:
        """T at every position of a map: B x height x width x 2."""
        points = coordinate_grid(height, width, self.theta.device).view(1, -1, 2)
        return self.warp_coordinates(points).view(-1, height, width, 2)

    def transform_frame(self, frames: Tensor, align_corners: bool) -> Tensor:
        """Frames B x C x H x W resampled at T's grid (mirrored beyond the border). T maps points of the result to
        points of `frames`.
        """
        return warp(frames, self.grid(*frames.shape[2:]), align_corners, padding="reflection")

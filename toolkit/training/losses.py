"""The losses that models are trained with, each a small function of tensors.

The first part is the published FOMM objective (spec/fomm.md, section 10), proved by golden cases; the second is what
puppets allow: known keypoints, known regions, and pyramids of plain and gradient L1 weighed by region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.motion import Deformation, RandomTransform, inverse, product
from ..models.mraa import upright
from .parts import rand

Features = Callable[[Tensor], Sequence[Tensor]]
Weights = float | Sequence[float]


def _each(weights: Weights, count: int) -> Sequence[float]:
    return weights if isinstance(weights, Sequence) else [weights] * count


# --- published ----------------------------------------------------------------------------------------------------


def perceptual(
    features: Features, prediction: Mapping[str, Tensor], truth: Mapping[str, Tensor], weights: Weights
) -> Tensor:
    """sum over pyramid levels and feature maps of weight_i * mean |V_i(prediction) - V_i(truth)|; the truth has no
    graph.

    prediction, truth: pyramids as `models.layers.ImagePyramid` returns them (same keys). weights: one a map, or one
    number for all.
    """
    total = torch.zeros((), device=next(iter(prediction.values())).device)
    for level, picture in prediction.items():
        with torch.no_grad():
            wanted = features(truth[level])
        for weight, map_, target in zip(_each(weights, len(wanted)), features(picture), wanted, strict=True):
            if weight:
                total = total + weight * (map_ - target).abs().mean(dtype=torch.float32)
    return total


def generator_gan(maps: Mapping[str, Tensor]) -> Tensor:
    """Least-squares GAN, the generator's side: sum over discriminator scales of mean (1 - D)^2.

    maps: the `prediction_map_*` entries of the discriminator's output for generated pictures (other entries are
    ignored).
    """
    return sum(((1 - map_) ** 2).mean() for name, map_ in maps.items() if name.startswith("prediction_map"))


def discriminator_gan(real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> Tensor:
    """Least-squares GAN, the discriminator's side: sum over scales of mean [(1 - D(real))^2 + D(fake)^2]."""
    return sum(((1 - real[name]) ** 2 + fake[name] ** 2).mean() for name in real if name.startswith("prediction_map"))


def feature_matching(
    real: Mapping[str, Sequence[Tensor]], fake: Mapping[str, Sequence[Tensor]], weights: Weights
) -> Tensor:
    """sum over scales and blocks of weight_i * mean |F_i(real) - F_i(fake)|, from the `feature_maps_*` entries; the
    real side is detached.
    """
    total = torch.zeros(())
    for name in real:
        if name.startswith("feature_maps"):
            for weight, a, b in zip(_each(weights, len(real[name])), real[name], fake[name], strict=True):
                if weight:
                    total = total.to(a.device) + weight * (a.detach() - b).abs().mean()
    return total


def equivariance_value(driving: Tensor, transform: RandomTransform, transformed: Tensor) -> Tensor:
    """mean |p - T(p_t)|: keypoints B x K x 2 of the driving frame against those found on the transformed frame,
    brought back by T.
    """
    return (driving - transform.warp_coordinates(transformed)).abs().mean()


def equivariance_jacobian(
    driving: Tensor, transform: RandomTransform, points: Tensor, transformed: Tensor, either_way: bool = False
) -> Tensor:
    """mean |I - J^-1 (dT(p_t) J_t)| over all entries: jacobians B x K x 2 x 2; points: the keypoints on the
    transformed frame. either_way (MRAA's axes): a half turn is none.
    """
    left = product(inverse(driving), product(transform.jacobian(points), transformed))
    if either_way:
        left = left * upright(left)
    return (torch.eye(2, device=driving.device) - left).abs().mean()


def warp_loss(source: Mapping[str, Tensor], driving: Mapping[str, Tensor], deformation: Deformation) -> Tensor:
    """TPSMM: sum over levels of mean |m E_i(driving) - m W(E_i(source))|, of encoded pictures' "map_i". Features and
    masks have no gradient: only the flow learns.
    """
    total = torch.zeros((), device=next(iter(driving.values())).device)
    for name in (name for name in driving if name.startswith("map_")):
        wanted, warped = driving[name].detach(), deformation.warped(source[name].detach())
        mask = deformation.mask(*wanted.shape[2:]).detach().to(wanted.dtype)
        total = total + (mask * wanted - mask * warped).float().abs().mean()
    return total


def cycle(there: Tensor, back: Tensor) -> Tensor:
    """mean |I - A A'|: the background's motions B x 3 x 3 from driver to source and from source to driver."""
    return (torch.eye(3, device=there.device) - (there[..., :, :, None] * back[..., None, :, :]).sum(-2)).abs().mean()


# --- puppets ------------------------------------------------------------------------------------------------------


def weighted_mean(difference: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of B x C x H x W, each pixel counted by weight B x 1 x H x W (None: all alike)."""
    difference = difference.mean(1, keepdim=True)
    if weight is None:
        return difference.mean()
    return (difference * weight).sum() / weight.sum()


def gradient(pictures: Tensor) -> Tensor:
    """Differences to the right and lower neighbour: B x C x H x W -> B x 2C x H-1 x W-1."""
    corner = pictures[..., :-1, :-1]
    return torch.cat([pictures[..., :-1, 1:] - corner, pictures[..., 1:, :-1] - corner], 1)


def pyramid_l1(prediction: Tensor, truth: Tensor, weight: Tensor | None, levels: int = 3) -> Tensor:
    """Mean over levels (full, half, quarter … size) of the weighted L1: large errors of place still have a slope at
    the small ones.
    """
    total = torch.zeros((), device=prediction.device)
    difference = prediction.float() - truth.float()
    for level in range(levels):
        if level:
            difference = F.avg_pool2d(difference, 2)
            weight = F.avg_pool2d(weight, 2) if weight is not None else None
        total = total + weighted_mean(difference.abs(), weight)
    return total / levels


def gradient_l1(prediction: Tensor, truth: Tensor, weight: Tensor | None, levels: int = 2) -> Tensor:
    """Mean over levels of the weighted L1 of picture gradients: lines stand where they should and are sharp."""
    total = torch.zeros((), device=prediction.device)
    difference = prediction.float() - truth.float()
    for level in range(levels):
        if level:
            difference = F.avg_pool2d(difference, 2)
            weight = F.avg_pool2d(weight, 2) if weight is not None else None
        inner = weight[..., :-1, :-1] if weight is not None else None
        total = total + weighted_mean(gradient(difference).abs(), inner)
    return total / levels


def selection(mask: Tensor, sparse: Tensor, truth: Tensor, weight: Tensor | None, sharpness: float = 0.005) -> Tensor:
    """Cross-entropy between the motions that the dense motion chose and those that fit.

    mask: B x K x h x w, the standing background first. sparse: B x K x C x h x w, the picture under each motion. truth:
    B x C x h x w. A motion's error is averaged over 3 x 3 pixels, so that a chance likeness of colours does not
    count, and standing still wins ties. Choosing is learned much sooner from this than from the error of the mixed
    flow, whose slope vanishes for motions that are not chosen: without it half of the keypoints were never used.
    """
    with torch.no_grad():
        error = F.avg_pool2d((sparse.float() - truth.float()[:, None]).abs().mean(2), 3, 1, 1, count_include_pad=False)
        error[:, 0] -= 0.6 * sharpness
        wanted = (-error / sharpness).softmax(1)
    return weighted_mean(-(wanted * mask.clamp(min=1e-12).log()).sum(1, keepdim=True), weight)


def keeping(
    occlusion: Tensor,
    deformed: Tensor,
    truth: Tensor,
    weight: Tensor | None,
    painted: float = 0.12,
) -> Tensor:
    """Cross-entropy of an occlusion map B x 1 x h x w with what it should be if painting erred by `painted`
    everywhere: keep the warped picture where that errs less, have the rest painted. deformed, truth: B x C x h x w,
    without gradient. Painting errs less than that, but what is painted is blurred: L1 alone would have faces painted,
    people would not. (A cost linear in the map saturates it while nothing is in its place yet, and there it stays.)
    """
    with torch.no_grad():
        error = F.avg_pool2d((deformed.float() - truth.float()).abs().mean(1, keepdim=True), 3, 1, 1)
        wanted = ((painted - error) / (painted / 4)).sigmoid()
    kept, lost = (x.float().clamp(min=1e-6).log() for x in (occlusion, 1 - occlusion))
    return weighted_mean(-wanted * kept - (1 - wanted) * lost, weight)


def choosing(
    mask: Tensor, kept: Tensor, painted: Tensor, truth: Tensor, favour: float, softness: float = 0.01
) -> Tensor:
    """Cross-entropy of a mask B x 1 x H x W with the better of two pictures B x C x H x W: the warped one (kept), which
    is sharp, unless what was painted errs less by more than `favour`.
    """
    with torch.no_grad():
        errors = [(x.float() - truth.float()).abs().mean(1, keepdim=True) for x in (kept, painted)]
        wanted = ((F.avg_pool2d(errors[1] - errors[0], 3, 1, 1) + favour) / softness).sigmoid()
    keep, paint = (x.float().clamp(min=1e-6).log() for x in (mask, 1 - mask))
    return (-wanted * keep - (1 - wanted) * paint).mean()


def keypoint_value(found: Tensor, true: Tensor) -> Tensor:
    """Mean distance of keypoints B x K x 2 from where they are known to be (L1 and a little L2 for outliers), in grid
    units.
    """
    return ((found - true).abs() + 2 * (found - true).square()).sum(-1).mean()


def keypoint_jacobian(found: Tensor, true: Tensor) -> Tensor:
    """mean |J - J_true| over B x K x 2 x 2."""
    return (found - true).abs().mean()


# Pairs of iBUG points on one feature or on bare skin: what lies between two of them moves about as they do.
_EYES = [(a, b) for first in (36, 42) for a in range(first, first + 6) for b in range(a + 1, first + 6)]
_BROWS = [(a, a + 1) for a in (*range(17, 21), *range(22, 26))] + [(18, 37), (20, 38), (23, 43), (25, 44)]
_NOSE = [(27, 28), (28, 29), (29, 30), (30, 33), (31, 33), (33, 35), (27, 39), (27, 42), (31, 41), (35, 46), (33, 51)]
_OUTER = [(48 + k, 48 + (k + 1) % 12) for k in range(12)] + [(48 + k, 60 - k) for k in range(1, 6)]
_INNER = [(60 + k, 60 + (k + 1) % 8) for k in range(8)] + [(60 + k, 68 - k) for k in range(1, 4)]
_LIPS = [(48, 60), (50, 61), (51, 62), (52, 63), (54, 64), (56, 65), (57, 66), (58, 67)]
SPANS = _EYES + _BROWS + _NOSE + _OUTER + _INNER + _LIPS


def following(mask: Tensor, motions: Tensor, source: Tensor, target: Tensor, sharpness: float = 0.012) -> Tensor:
    """Do the chosen motions read what they should at the landmarks of the wanted picture, and between them?

    mask: B x K x h x w. motions: B x K x h x w x 2, where each reads (corner to corner). source, target: landmarks B x
    68 x 2, edge to edge. Divergence of the choice from the motions that land within about `sharpness` (units of -1 … 1)
    of the right place, and how far the mixed flow lands from it (L1, in units of sharpness). Colours can't tell which
    motion is right where they hardly change, as on skin, and lids and lips are a few pixels of the map. A place between
    two points is drawn at random for each row.
    """
    rows, count, height, width = mask.shape
    pairs = torch.tensor(SPANS, device=mask.device)
    share = rand(rows, len(pairs), 1, device=mask.device)

    def places(points: Tensor, side: Tensor) -> Tensor:
        ends = points[:, pairs]
        return torch.lerp(ends[:, :, 0], ends[:, :, 1], share) * (side / (side - 1))

    def at(maps: Tensor) -> Tensor:  # B x C x h x w -> B x C x P
        return F.grid_sample(maps.float(), wanted[:, None], align_corners=True)[:, :, 0]

    side = torch.tensor([width, height], device=mask.device)
    wanted, truth = places(target, side), places(source, side).mT[:, None]  # B x P x 2, B x 1 x 2 x P
    flows = at(motions.permute(0, 1, 4, 2, 3).flatten(1, 2)).unflatten(1, (count, 2))  # B x K x 2 x P
    chosen = at(mask)
    with torch.no_grad():
        right = ((flows - truth).abs().sum(2) / -sharpness).softmax(1)
    divergence = (right * (right.clamp(min=1e-6) / chosen.clamp(min=1e-6)).log()).sum(1).mean()
    missed = ((chosen[:, :, None] * flows).sum(1, keepdim=True) - truth).abs().mean() / sharpness
    return divergence + missed

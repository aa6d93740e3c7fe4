"""TPSMM: Thin-Plate Spline Motion Model for Image Animation (Zhao, Zhang, CVPR 2022, arXiv 2203.14367).

A ResNet-18 regresses K groups of five keypoints from a picture. Each group, in driver and picture, fixes one thin-plate
spline; an hourglass that sees a small copy of the picture under each spline blends them (and the background's motion)
into one backward flow and says, at four resolutions, what the flow hides. An inpainting network warps the picture's
features at every level, blanks what is hidden and paints it anew. An optional small network (AVD) transfers the pose
between identities in keypoint space.

Kept for parity with the published weights: the regularisation 0.01 on all eight diagonal entries of the splines' system
(so a spline misses its targets by a little, and equal keypoints give no exact identity); r^2 log r^2, twice the usual
basis; sampling and resizing with align_corners=True, also where a flow is made smaller; source before driver in the
background predictor, pose before identity in AVD; keypoints of relative and avd mode may leave -1 … 1. All names of
arguments and keys are published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from .base import Animator, Config, Info, Motion, Source
from .config import agreed, checked, count, frame_size, hourglass_of, read, scale_of
from .detector import KPDetector as HeatmapDetector
from .layers import (
    Disentangler,
    DownBlock,
    Hourglass,
    ResBlock,
    SameBlock,
    UpBlock,
    WarpingGenerator,
    antialias,
    folded,
    instance_norm,
    widths,
)
from .motion import (
    Deformation,
    Keypoints,
    axes,
    background_grid,
    gaussians,
    precise,
    resize,
    shape_distance,
    thin_plate,
    transfer_keypoints,
    warp_each,
    weakened,
)

POINTS = 5  # keypoints of one spline
MASKS = 4  # resolutions of the masks, from an eighth of the picture up


# ---------------------------------------------------------------- keypoints and background


class BasicBlock(nn.Module):
    """Residual block of ResNet-18: ReLU(bn2(conv2(ReLU(bn1(conv1(x))))) + shortcut(x)); stride 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + (x if self.downsample is None else self.downsample(x)))

    def fold(self) -> None:
        self.conv1, self.bn1 = folded(self.conv1, self.bn1)
        self.conv2, self.bn2 = folded(self.conv2, self.bn2)
        if self.downsample is not None:
            self.downsample = nn.Sequential(*folded(*self.downsample))


class ResNet18(nn.Module):
    """Pictures B x inputs x H x W of any size -> B x outputs numbers, float32. Published keys of the well-known
    network.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for i, (before, after) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512))):
            blocks = BasicBlock(before, after, 2 if i else 1), BasicBlock(after, after, 1)
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, outputs)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x.to(self.conv1.weight.dtype))))
        x = F.max_pool2d(x, 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3))).float()

    def fold(self) -> None:
        self.conv1, self.bn1 = folded(self.conv1, self.bn1)


class KPDetector(nn.Module):
    """Pictures B x C x H x W -> {"value": B x 5K x 2}, keypoints in -1 … 1, five in turn for each of K splines;
    float32.

    heatmaps: the arguments of FOMM's detector, which then stands in for the ResNet (None in all that was published): a
    point that is the mean of a heatmap is found by a network of a tenth the size.
    """

    def __init__(self, num_tps: int, num_channels: int = 3, heatmaps: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.heatmaps = None
        if heatmaps is None:
            self.fg_encoder = ResNet18(num_channels, 2 * POINTS * num_tps)
        else:
            self.heatmaps = HeatmapDetector(num_kp=POINTS * num_tps, num_channels=num_channels, **heatmaps)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        if self.heatmaps is not None:
            return self.heatmaps(pictures)
        return {"value": (2 * self.fg_encoder(pictures).sigmoid() - 1).unflatten(1, (-1, 2))}


class BGMotionPredictor(nn.Module):
    """Source and driving pictures, B x C x H x W each -> the background's affine motion B x 3 x 3, from driving to
    source coordinates; float32. Untrained it is the identity.
    """

    def __init__(self, num_channels: int = 3) -> None:
        super().__init__()
        self.bg_encoder = ResNet18(2 * num_channels, 6)
        nn.init.zeros_(self.bg_encoder.fc.weight)
        with torch.no_grad():
            self.bg_encoder.fc.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        matrix = self.bg_encoder(torch.cat([source, driving], dim=1)).unflatten(1, (2, 3))
        last = torch.tensor([0.0, 0, 1], device=matrix.device).expand(len(matrix), 1, 3)
        return torch.cat([matrix, last], dim=1)


class AVDNetwork(Disentangler):
    """Keypoints of two identities, B x 5K x 2 each -> the first's character in the second's pose, B x 5K x 2."""

    def __init__(self, num_tps: int, id_bottle_size: int = 64, pose_bottle_size: int = 64, width: int = 1024) -> None:
        super().__init__(2 * POINTS * num_tps, id_bottle_size, pose_bottle_size, width)

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        return super().forward(source.flatten(1), driving.flatten(1)).unflatten(1, (-1, 2))


# ---------------------------------------------------------------- dense motion


def fit_splines(control: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Thin-plate splines that take control points (nearly) to targets, … x 5 x 2 each.

    Returns theta … x 2 x 3, the affine part, and weights … x 5 x 2 of the radial part, float32.
    """
    device, control, target = control.device, precise(control), precise(target)
    points = control.shape[-2]
    ones = torch.cat([control, torch.ones_like(control[..., :1])], dim=-1)  # … x 5 x 3
    radial = thin_plate((control[..., :, None, :] - control[..., None, :, :]).square().sum(-1))
    system = torch.cat([torch.cat([radial, ones], dim=-1), F.pad(ones.transpose(-1, -2), (0, 3))], dim=-2)
    system = system + 0.01 * torch.eye(points + 3, dtype=system.dtype, device=system.device)
    solution = torch.linalg.solve(system, F.pad(target, (0, 0, 0, 3))).to(device, torch.float32)  # … x 8 x 2
    return solution[..., points:, :].transpose(-1, -2), solution[..., :points, :]


def spline_grid(control: Tensor, theta: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
    """The value of splines at each position of a map: … x height x width x 2 (see `fit_splines`)."""
    x, y = axes(height, width, control.device)
    cx, cy = control.float()[..., None, None].unbind(-3)  # … x 5 x 1 x 1
    radial = thin_plate((x - cx) ** 2 + (y - cy) ** 2)  # … x 5 x height x width
    grid = []
    for axis in (0, 1):
        a, b, c = theta[..., axis, :, None, None].unbind(-3)
        grid.append(a * x + (b * y + c) + (weights[..., axis, None, None] * radial).sum(-3))
    return torch.stack(grid, dim=-1)


def dropped_softmax(logits: Tensor, keep: Tensor) -> Tensor:
    """The softmax over dim 1 of B x (K+1) x h x w among the motions that `keep`, bool B x (K+1), leaves."""
    weights = (logits - logits.amax(1, keepdim=True)).exp() * keep[:, :, None, None]
    return weights / (weights.sum(1, keepdim=True) + 1e-6)


class DenseMotionNetwork(nn.Module):
    """The picture (down-sampled) and two sets of keypoints -> one flow, and masks of what it hides.

    finer: see `layers.DenseMotion`.
    """

    def __init__(
        self,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_tps: int,
        num_channels: int = 3,
        scale_factor: float = 0.25,
        multi_mask: bool = False,
        kp_variance: float = 0.01,
        align_corners: bool = True,
        finer: int = 1,
    ) -> None:
        super().__init__()
        self.down = antialias(num_channels, scale_factor)
        inputs = num_channels * (num_tps + 1) + POINTS * num_tps + 1
        self.hourglass = Hourglass(block_expansion, inputs, num_blocks, max_features, norm=instance_norm)
        wide = self.hourglass.out_filters
        self.maps = nn.Conv2d(wide, num_tps + 1, 7, padding=3)
        ups = _ups(scale_factor, num_blocks) if multi_mask else 0
        self.up = nn.ModuleList(UpBlock(wide >> i, wide >> i + 1, norm=instance_norm) for i in range(ups))
        # How wide is what each mask is read from: hourglass outputs, the finest last, then those of `up`.
        levels = range(1, MASKS - ups) if multi_mask else ()
        looks = [2 * min(max_features, block_expansion * 2**level) for level in reversed(levels)]
        looks += [wide >> i for i in range(ups + 1)][-MASKS:]
        self.occlusion = nn.ModuleList(nn.Conv2d(look, 1, 7, padding=3) for look in looks)
        self.kp_variance = kp_variance
        self.align_corners = align_corners
        self.finer = finer

    @property
    def scores(self) -> nn.Conv2d:
        """What tells which motion wins (see `layers.DenseMotion`)."""
        return self.maps

    def forward(
        self,
        small: Tensor,
        driving: Keypoints,
        source: Keypoints,
        background: Tensor | None = None,
        dropout: float = 0.0,
        uniform: Tensor | None = None,
    ) -> dict[str, Any]:
        """small: `self.down` of the pictures, B x C x h x w. It and source may have one row for all rows of driving.
        background: B x 3 x 3, or None where it stands still. dropout (training): the share of splines left out at
        random; uniform: the numbers in 0..1 that decide, B x (K+1), drawn if None.

        Returns points B x 5K x 2 (the driver's), sparse_deformed B x (K+1) x C x h x w; contribution B x (K+1) x h x w
        and deformation B x h x w x 2 (h and w times `finer`); and occlusion_maps, a list of B x 1 x … from coarse to
        fine: H/8, H/4, H/2, H, or one as large as contribution.
        """
        height, width = small.shape[2:]
        motions = self.motions(driving, source, height, width, background)
        warped = warp_each(small, motions, self.align_corners)
        heatmap = self.heatmap(driving, source, height, width).to(warped.dtype)
        seen = self.hourglass.encoder(torch.cat([heatmap, warped.flatten(1, 2)], dim=1))
        seen = self.hourglass.decoder(seen)  # coarse to fine
        logits = self.maps(seen[-1]).float()
        if self.finer > 1:
            sides = self.finer * height, self.finer * width
            logits, motions = resize(logits, *sides, True), self.motions(driving, source, *sides, background)
        if dropout:
            uniform = torch.rand(logits.shape[:2], device=logits.device) if uniform is None else uniform
            still = torch.arange(logits.shape[1], device=logits.device) == 0  # the background is always kept
            contribution = dropped_softmax(logits, (uniform < 1 - dropout) | still)
        else:
            contribution = logits.softmax(dim=1)
        for block in self.up:
            seen = [*seen, block(seen[-1])]
        seen = seen[-len(self.occlusion) :]
        hidden = [look(x).float() for look, x in zip(self.occlusion, seen, strict=True)]
        if len(hidden) == 1:
            hidden = [resize(hidden[0], *logits.shape[2:], True)]
        return {
            "points": driving["value"],
            "sparse_deformed": warped,
            "contribution": contribution,
            "deformation": (contribution[..., None] * motions).sum(1),
            "occlusion_maps": [scores.sigmoid() for scores in hidden],
        }

    def heatmap(self, driving: Keypoints, source: Keypoints, height: int, width: int) -> Tensor:
        """Where something comes to and goes from: B x (5K+1) x h x w, driving minus source Gaussians, 0 for the
        background.
        """
        to, origin = (gaussians(kp["value"], height, width, self.kp_variance) for kp in (driving, source))
        return F.pad(to - origin, (0, 0, 0, 0, 1, 0))

    def motions(
        self, driving: Keypoints, source: Keypoints, height: int, width: int, background: Tensor | None = None
    ) -> Tensor:
        """The flow of the background and of each spline: B x (K+1) x h x w x 2."""
        control, target = (kp["value"].unflatten(1, (-1, POINTS)) for kp in (driving, source))  # B x K x 5 x 2
        theta, weights = fit_splines(control, target.expand_as(control))
        splines = spline_grid(control, theta, weights, height, width)
        still = background_grid(background, len(control), height, width, control.device)
        return torch.cat([still, splines], dim=1)


def _ups(scale_factor: float, num_blocks: int) -> int:
    """How often the hourglass's output is doubled to reach the picture's size, for masks of four resolutions."""
    ups = math.log2(1 / scale_factor)
    if ups != int(ups) or not MASKS - num_blocks <= ups <= MASKS:
        raise ConfigError(
            f"multi_mask does not go with scale_factor {scale_factor} and {num_blocks} blocks.",
            "Give 1, 0.5, 0.25, 0.125 or 0.0625, and enough num_blocks that an eighth of the picture is a level.",
        )
    return int(ups)


# ---------------------------------------------------------------- inpainting


class InpaintingNetwork(nn.Module):
    """The picture under a flow, with what the flow hides painted anew. `encode` sees the picture alone, `decode` needs
    the dense motion's output too; `forward` is the published whole.
    """

    skips = resize_corners = True  # see `layers.WarpingGenerator`

    def __init__(
        self,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_channels: int = 3,
        multi_mask: bool = False,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if multi_mask and num_down_blocks != MASKS - 1:
            raise ConfigError(
                f"multi_mask does not go with num_down_blocks {num_down_blocks}.", f"Give {MASKS - 1}: a mask a level."
            )
        wide = widths(block_expansion, max_features, num_down_blocks)
        levels = range(num_down_blocks - 1, -1, -1)
        self.first = SameBlock(num_channels, wide[0], kernel=7, norm=instance_norm)
        self.down_blocks = nn.ModuleList(
            DownBlock(wide[i], wide[i + 1], norm=instance_norm) for i in range(num_down_blocks)
        )
        inputs = [wide[i + 1] * (1 if i == num_down_blocks - 1 else 2) for i in levels]  # of each level, coarse to fine
        self.up_blocks = nn.ModuleList(
            UpBlock(before, wide[i], norm=instance_norm) for before, i in zip(inputs, levels, strict=True)
        )
        self.resblock = nn.ModuleList(ResBlock(before, norm=instance_norm) for before in inputs for _ in range(2))
        self.final = nn.Conv2d(wide[0], num_channels, 7, padding=3)
        self.align_corners = align_corners

    def encode(self, pictures: Tensor) -> dict[str, Tensor]:
        """All that depends on the pictures B x C x H x W alone: "picture", and "map_0" … "map_d", B x w(i) x H/2^i x
        W/2^i.
        """
        maps = [self.first(pictures.to(self.first.conv.weight.dtype))]
        for block in self.down_blocks:
            maps.append(block(maps[-1]))
        return {"picture": pictures} | {f"map_{level}": features for level, features in enumerate(maps)}

    def deformation(self, moved: Mapping[str, Any]) -> Deformation:
        """The dense motion's output, ready to be applied."""
        return Deformation(moved["deformation"], moved["occlusion_maps"], self.align_corners, self.resize_corners)

    def decode(self, encoded: Mapping[str, Tensor], moved: Mapping[str, Any] | Deformation) -> Tensor:
        """Warp, blank and paint: encoded pictures and the dense motion's output -> predictions B x C x H x W in 0..1,
        float32.
        """
        deformation = moved if isinstance(moved, Deformation) else self.deformation(moved)
        levels = len(self.up_blocks)
        x = deformation.blended(deformation.warped(encoded[f"map_{levels}"]))
        for i, up in enumerate(self.up_blocks):
            x = up(self.resblock[2 * i + 1](self.resblock[2 * i](x)))
            warped = deformation.warped(encoded[f"map_{levels - 1 - i}"])
            if i < levels - 1:
                x = torch.cat([x, deformation.blended(warped)], dim=1)
            else:
                x = deformation.blended(warped, x)
        x = self.final(x).float().sigmoid()
        return deformation.blended(deformation.warped(encoded["picture"]), x)

    def forward(self, source: Tensor, moved: Mapping[str, Any]) -> dict[str, Any]:
        """Pictures and the dense motion's output -> that output, `prediction`, and `deformed`, the pictures themselves
        under the flow.
        """
        deformed = self.deformation(moved).warped(source)
        return {**moved, "deformed": deformed, "prediction": self.decode(self.encode(source), moved)}


class GuidedGenerator(WarpingGenerator):
    """FOMM's guided generator in the inpainting network's place (see `inpainting`)."""

    def forward(self, source: Tensor, moved: Mapping[str, Any]) -> dict[str, Any]:
        """See `InpaintingNetwork.forward`."""
        return InpaintingNetwork.forward(self, source, moved)


def inpainting(
    block_expansion: int,
    max_features: int,
    num_down_blocks: int,
    num_channels: int = 3,
    multi_mask: bool = False,
    align_corners: bool = True,
    guided: bool = False,
    num_bottleneck_blocks: int = 0,
    points: int = 0,
) -> InpaintingNetwork | GuidedGenerator:
    """The inpainting network. guided (False in all that was published): FOMM's guided generator, which has
    num_bottleneck_blocks and is told of so many points, stands in for it.
    """
    if guided:
        if multi_mask:
            raise ConfigError("A guided generator mends one mask, not four.", "Set multi_mask to false, or guided.")
        sizes = num_channels, block_expansion, max_features, num_down_blocks, num_bottleneck_blocks
        return GuidedGenerator(None, *sizes, align_corners, skips=True, resize_corners=True, guided=True, points=points)
    if num_bottleneck_blocks:
        raise ConfigError(
            "The published inpainting network has no bottleneck blocks.", "Leave them out, or set guided."
        )
    return InpaintingNetwork(block_expansion, max_features, num_down_blocks, num_channels, multi_mask, align_corners)


# ---------------------------------------------------------------- configurations


PARTS = {
    "kp_detector": KPDetector,
    "dense_motion_network": DenseMotionNetwork,
    "inpainting_network": inpainting,
    "bg_predictor": BGMotionPredictor,
    "avd_network": AVDNetwork,
}
SECTIONS = {**{part: part for part in PARTS}, "dense_motion_network": "dense_motion", "inpainting_network": "generator"}
COMMON = {  # what each part takes of the common parameters
    "kp_detector": ("num_tps", "num_channels"),
    "dense_motion_network": ("num_tps", "num_channels", "multi_mask"),
    "inpainting_network": ("num_channels", "multi_mask"),
    "bg_predictor": ("num_channels",),
    "avd_network": ("num_tps",),
}


def parts_of(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration in any layout (see `config`) -> its parts with their common parameters merged in, unchecked."""
    common, found = read(config, SECTIONS)
    for name in common:
        if name not in ("num_tps", "num_channels", "multi_mask", "bg"):
            raise ConfigError(
                f"The common parameters have an unknown entry '{name}'.",
                "They are: num_tps, num_channels, multi_mask, bg.",
            )
    if common:  # the published files have no section for these two
        found.setdefault("kp_detector", {})
        if common.get("bg"):
            found.setdefault("bg_predictor", {})
    return {
        part: {**{name: common[name] for name in COMMON[part] if name in common}, **found[part]}
        for part in PARTS
        if part in found
    }


def sections(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration in any layout (see `config`) -> the sections of PARTS that it has, each complete and checked;
    bg_predictor and avd_network may be absent.

    Raises ConfigError naming what is unknown, missing, of the wrong type or contradictory.
    """
    found = parts_of(config)
    out = {}
    for part, constructor in PARTS.items():
        if part in found or part not in ("bg_predictor", "avd_network"):
            out[part] = checked(constructor, found.get(part, {}), part)
            for name in ("align_corners", "points"):  # not of the configuration: given by the animator
                out[part].pop(name, None)
    agreed(out, ("num_tps", "num_channels", "multi_mask"))
    detector = out["kp_detector"]
    if detector["heatmaps"] is not None:
        given = {"num_kp": POINTS * detector["num_tps"], "num_channels": detector["num_channels"]}
        found = checked(HeatmapDetector, {**detector["heatmaps"], **given}, "kp_detector.heatmaps")
        detector["heatmaps"] = {name: value for name, value in found.items() if name not in given}
    return out


PUBLISHED = {
    name: sections(
        {
            "common_params": {"num_tps": 10, "num_channels": 3, "multi_mask": True, "bg": name != "mgif-256"},
            "generator_params": {"block_expansion": 64, "max_features": 512, "num_down_blocks": 3},
            "dense_motion_params": {
                "block_expansion": 64,
                "max_features": 1024,
                "num_blocks": 5,
                "scale_factor": 0.25,
            },
            "avd_network_params": {"id_bottle_size": 128, "pose_bottle_size": 128},
        }
    )
    for name in ("vox-256", "taichi-256", "ted-384", "mgif-256")
}
DOMAINS = {  # what the pictures showed, how they were cut, the side of the dense motion's map
    "vox-256": ("talking people (VoxCeleb)", "face", 64),
    "taichi-256": ("whole bodies doing tai chi (TaiChi-HD)", "whole", 64),
    "ted-384": ("upper bodies of people giving talks (TED-talks)", "whole", 96),
    "mgif-256": ("cartoon animals moving (MGif)", "whole", 64),
}
LICENCE = "The authors' code is MIT; the published weights carry no licence of their own."


def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
    """The configuration of published state dicts, read off keys and shapes; None if they are no TPSMM's.

    parts: {"kp_detector": state dict, …}; bg_predictor and avd_network may be absent. What leaves no trace
    (kp_variance) is as published.
    """
    detector, dense, inpainting, avd = (
        parts.get(part, {}) for part in ("kp_detector", "dense_motion_network", "inpainting_network", "avd_network")
    )
    if "fg_encoder.fc.weight" not in detector or "maps.weight" not in dense or "final.weight" not in inpainting:
        return None
    wide, down = len(inpainting["first.conv.weight"]), count(inpainting, "down_blocks.")
    deepest = len(inpainting[f"down_blocks.{down - 1}.conv.weight"]) if down else wide
    common = {
        "num_tps": len(detector["fg_encoder.fc.weight"]) // (2 * POINTS),
        "num_channels": inpainting["first.conv.weight"].shape[1],
        "multi_mask": count(dense, "occlusion.") > 1,
        "bg": "bg_encoder.fc.weight" in parts.get("bg_predictor", {}),
    }
    found: dict[str, Any] = {
        "common_params": common,
        "generator_params": {
            "block_expansion": wide,
            "max_features": deepest if deepest < wide * 2**down else max(deepest, 512),
            "num_down_blocks": down,
        },
        "dense_motion_params": {
            **hourglass_of(dense, "hourglass.", 1024),
            "scale_factor": scale_of(dense, "down.weight"),
        },
    }
    if avd:
        bottles = ((f"{name}_bottle_size", len(avd[f"{name}_encoder.9.weight"])) for name in ("id", "pose"))
        found["avd_network_params"] = dict(bottles)
    return sections(found)


# ---------------------------------------------------------------- the animator


class TPSMM(Animator):
    """The animator. Submodules as in the published files; `bg_predictor` and `avd_network` are None where the
    configuration has none.

    config: a published name (`PUBLISHED`) or a mapping (see `sections`). align_corners: how warps sample; None is True,
    as published. name: what `info` is to call a mapping. Raises ConfigError.
    """

    family = "tpsmm"
    published = PUBLISHED
    parts = tuple(PARTS)
    optional_parts = ("bg_predictor", "avd_network")
    trained_align_corners = True
    linear = ("value",)
    exact = (
        "kp_detector",
        "bg_predictor",
        "avd_network",
        "dense_motion_network.down",
        "inpainting_network.first",
        "inpainting_network.down_blocks",
    )
    parts_of = staticmethod(parts_of)
    sections = staticmethod(sections)
    recognise = staticmethod(recognise)

    def __init__(self, config: str | Config, align_corners: bool | None = None, name: str | None = None) -> None:
        super().__init__()
        config, name = self.resolve(config, name)
        self.config = sections(config)
        self.align_corners = align_corners is not False
        for part, constructor in PARTS.items():
            warps = part in ("dense_motion_network", "inpainting_network")
            more: dict[str, Any] = {"align_corners": self.align_corners} if warps else {}
            if part == "inpainting_network":
                more["points"] = POINTS * self.config["kp_detector"]["num_tps"]
            self.add_module(part, constructor(**self.config[part], **more) if part in self.config else None)
        dense, inpainting = self.config["dense_motion_network"], self.config["inpainting_network"]
        looks = [part for part in (self.config["kp_detector"]["heatmaps"], dense) if part]
        sides = [int(1 / part["scale_factor"]) * 2 ** part["num_blocks"] for part in looks]
        domain, crop, side = DOMAINS.get(name, ("", "face", 64))
        self.info = Info(
            model=self.family,
            config=name,
            size=frame_size(config) or side * int(1 / dense["scale_factor"]),
            multiple=math.lcm(2 ** inpainting["num_down_blocks"], *sides),
            channels=inpainting["num_channels"],
            modes=("absolute", "relative", "avd") if "avd_network" in self.config else ("absolute", "relative"),
            mode="relative",
            crop=crop,
            domain=domain,
            licence=LICENCE if domain else "",
        )

    def fit(self, pictures: Tensor) -> Tensor:
        """As `Animator.fit`; and instance norm needs more than one position on the hourglass's smallest map."""
        pictures = super().fit(pictures)
        dense = self.config["dense_motion_network"]
        least = int(1 / dense["scale_factor"]) * 2 ** dense["num_blocks"]
        if max(pictures.shape[2:]) <= least:
            raise InputError(
                f"A picture of {pictures.shape[3]} x {pictures.shape[2]} is too small for this model.",
                f"Give one with a side of at least {2 * least}.",
            )
        return pictures

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Source:
        """Pictures B x C x H x W in 0..1 -> their keypoints and the inpainting network's features. Raises InputError
        for sides that don't fit.
        """
        pictures = self.fit(pictures)
        encoded = self.inpainting_network.encode(pictures)
        encoded["small"] = self.dense_motion_network.down(pictures.to(encoded["map_0"].dtype))
        motion = Motion(self.family, self.kp_detector(pictures))
        return Source(self.family, motion, encoded, tuple(pictures.shape[2:]))

    def motion(self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None) -> Motion:
        """Frames T x C x H x W in 0..1 -> keypoints "value" T x 5K x 2 in -1..1; with source (one row, or T) also
        "background", T x 3 x 3 from the frames' coordinates to the source's (the identity where the configuration has
        no predictor).
        """
        frames = self.fit(frames)
        motion = Motion(self.family, self.kp_detector(frames))
        if source is None:
            return motion
        pictures = self.beside(source, frames)
        if self.bg_predictor is None:
            return motion.replace(background=torch.eye(3, device=frames.device).repeat(len(frames), 1, 1))
        return motion.replace(background=self.bg_predictor(pictures, frames))

    def transfer(
        self,
        source: Source,
        motion: Motion,
        *,
        reference: Motion | None = None,
        mode: str = "auto",
        adapt_scale: bool = True,
        strength: float = 1.0,
    ) -> Motion:
        """See `Animator.transfer` and `transfer_keypoints`. Source and reference have one row, or one for each row of
        motion. The background moves in absolute mode only, as published.
        """
        mode = self.check_mode(mode, strength)
        reference = motion[:1] if reference is None else reference
        self.check_rows(len(motion), source=source, reference=reference)
        own, driving = source.motion.tensors, {"value": motion["value"]}
        if mode == "avd":
            return Motion(self.family, {"value": self.avd_network(own["value"], driving["value"])}, motion.valid)
        relative = mode == "relative"
        moved = transfer_keypoints(
            own,
            driving,
            reference.tensors,
            adapt_scale=adapt_scale,
            relative_movement=relative,
            strength=strength,
        )
        if not relative and "background" in motion.tensors:
            moved["background"] = weakened(motion["background"], strength)
        return Motion(self.family, moved, motion.valid)

    def render(self, source: Source, motion: Motion) -> Tensor:
        """Motion on the picture -> T x C x H x W in 0..1, float32."""
        self.check_rows(len(motion), source=source)
        moved = self.dense_motion_network(
            source["small"], motion.tensors, source.motion.tensors, motion.tensors.get("background")
        )
        return self.inpainting_network.decode(source.tensors, moved)

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """The difference of the keypoints' shape, place and size aside: T values, float64 on the CPU."""
        return shape_distance(source.motion["value"], motion["value"])

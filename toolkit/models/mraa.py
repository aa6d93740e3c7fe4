"""MRAA: Motion Representations for Articulated Animation (Siarohin, Woodford, Ren, Chai, Tulyakov, CVPR 2021, arXiv
2104.11280).

A predictor finds K soft regions in a picture. A region's place is the mean of its heatmap; its pose is measured, not
regressed: the principal axes of the heatmap. A flow network turns the K affine motions, and the background's, into one
backward flow and an occlusion map; a generator warps the picture's features, blends them in at every level, and paints
what is hidden. An optional small network (AVD) puts the driver's pose on the picture's own shape.

Kept for parity with the published weights: the signs that LAPACK's SVD gives the axes (see `principal_axes`);
coordinates of the logit map although the region head is not padded; grids of align_corners=True sampled with False, and
everything resized with False; the covariance of the driver in relative mode; the source's axes turned to the driver's
before AVD. All names of arguments and keys are published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .base import Animator, Config, Info, Motion, Source
from .config import agreed, checked, count, encoder_of, frame_size, hourglass_of, read, scale_of
from .layers import DenseMotion, Disentangler, Encoder, Hourglass, WarpingGenerator, antialias, widths
from .motion import (
    apply,
    axes,
    expected_matrix,
    expected_position,
    gaussians,
    inverse,
    precise,
    product,
    shape_distance,
    softmax_heatmap,
    transfer_keypoints,
    weakened,
)

Regions = Mapping[str, Tensor]  # {"shift": B x K x 2, and where they are estimated "covar", "affine": B x K x 2 x 2}
LEAST = 1e-12  # variance of a region that is a single pixel


# ---------------------------------------------------------------- regions


def expected_covariance(heatmap: Tensor, mean: Tensor) -> Tensor:
    """The covariance of the position under each heatmap: B x K x h x w and B x K x 2 -> B x K x 2 x 2."""
    x, y = axes(*heatmap.shape[2:], heatmap.device)
    dx = x[0] - mean[..., :1]  # B x K x w
    dy = y[:, 0] - mean[..., 1:]  # B x K x h
    xx = (heatmap.sum(2) * dx**2).sum(-1)
    yy = (heatmap.sum(3) * dy**2).sum(-1)
    xy = ((heatmap * dx[:, :, None]).sum(-1) * dy).sum(-1)
    return torch.stack([xx, xy, xy, yy], dim=-1).unflatten(-1, (2, 2))


def principal_axes(covar: Tensor) -> Tensor:
    """U sqrt(S) of symmetric matrices U S U^T, … x 2 x 2 -> … x 2 x 2, float32: the longer axis is the first column.

    The sign of each column is free in mathematics, but the AVD networks were trained on those that LAPACK's SVD gives
    (spec mraa, section 5): this closed form has them on any device. Differentiable; a round matrix, whose axes are
    arbitrary, and one without extent have finite values too.
    """
    device, covar = covar.device, precise(covar)
    a, c = covar[..., 0, 0], covar[..., 1, 1]
    b = (covar[..., 0, 1] + covar[..., 1, 0]) / 2
    tall = a < c
    h = ((a - c) ** 2 + 4 * b**2).clamp(min=LEAST**2).sqrt()
    larger = ((a + c + h) / 2).clamp(min=LEAST)
    smaller = ((a * c - b**2) / larger).clamp(min=LEAST)
    p = torch.where(tall, b, (a - c + h) / 2)
    q = torch.where(tall, (c - a + h) / 2, b)
    length = (p**2 + q**2).sqrt()
    opposite = torch.where(b < 0, ~tall, (b > 0) & (a * (c - a) <= 2 * b**2))
    length = torch.where(opposite, -length, length)
    p, q = p / length, q / length
    second = torch.where((b == 0) & ~tall, -1.0, 1.0)  # the one case where the axes keep their order
    first, second = larger.sqrt(), second * smaller.sqrt()
    columns = torch.stack([p * first, q * second, q * first, -p * second], dim=-1).unflatten(-1, (2, 2))
    return columns.to(device, torch.float32)


def spread(affine: Tensor) -> Tensor:
    """The covariance A A^T that belongs to axes A, … x 2 x 2."""
    return product(affine, affine.transpose(-1, -2))


def elliptic_gaussians(points: Tensor, covar: Tensor, height: int, width: int) -> Tensor:
    """Unnormalised Gaussians of covariances B x K x 2 x 2 round points B x K x 2 -> B x K x height x width."""
    covar = precise(covar)
    a, c = covar[..., 0, 0].clamp(min=LEAST), covar[..., 1, 1].clamp(min=LEAST)
    b, other = covar[..., 0, 1], covar[..., 1, 0]
    area = (a * c - b * other).clamp(min=LEAST**2)
    inverted = torch.stack([c, -(b + other), a], dim=-1) / area[..., None]
    xx, xy, yy = inverted.to(points.device, torch.float32)[..., None, None].unbind(-3)
    x, y = axes(height, width, points.device)
    points = points.float()[..., None, None]
    dx, dy = x - points[:, :, 0], y - points[:, :, 1]  # B x K x 1 x width, B x K x height x 1
    return torch.exp(-0.5 * (xx * dx**2 + dy * (xy * dx + yy * dy)))


def upright(matrix: Tensor) -> Tensor:
    """-1 for each 2 x 2 matrix that turns by more than a quarter (its first entry is negative), else 1; … x 1 x 1.

    Axes of a region point either way; between two frames the smaller turn is the true one.
    """
    return torch.where(matrix[..., :1, :1] < 0, -1.0, 1.0)


class RegionPredictor(nn.Module):
    """Pictures B x C x H x W -> regions {"shift", "covar", "affine"}, float32.

    pca_based: affine is measured, else with estimate_affine regressed, else there are shifts alone. fast_svd is
    accepted as a published argument: the axes are always found in closed form.
    """

    def __init__(
        self,
        block_expansion: int,
        num_regions: int,
        num_blocks: int,
        max_features: int,
        temperature: float,
        num_channels: int = 3,
        estimate_affine: bool = False,
        scale_factor: float = 1,
        pca_based: bool = False,
        fast_svd: bool = False,
        pad: int = 3,
    ) -> None:
        super().__init__()
        self.predictor = Hourglass(block_expansion, num_channels, num_blocks, max_features)
        self.regions = nn.Conv2d(self.predictor.out_filters, num_regions, 7, padding=pad)
        self.jacobian = None
        if estimate_affine and not pca_based:
            self.jacobian = nn.Conv2d(self.predictor.out_filters, 4, 7, padding=pad)
            nn.init.zeros_(self.jacobian.weight)
            with torch.no_grad():
                self.jacobian.bias.copy_(torch.tensor([1.0, 0, 0, 1]))
        self.down = antialias(num_channels, scale_factor)
        self.temperature = temperature
        self.pca_based = pca_based

    def heatmap(self, features: Tensor) -> Tensor:
        """The hourglass's output -> heatmaps B x K x h x w, with pad 0 smaller by 6 than the map."""
        return softmax_heatmap(self.regions(features), self.temperature)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.predictor(self.down(pictures.to(self.regions.weight.dtype)))
        heatmap = self.heatmap(features)
        out = {"shift": expected_position(heatmap)}
        if self.pca_based:
            out["covar"] = expected_covariance(heatmap, out["shift"])
            out["affine"] = principal_axes(out["covar"])
        elif self.jacobian is not None:
            out["affine"] = expected_matrix(heatmap, self.jacobian(features))
            out["covar"] = spread(out["affine"])
        return out


class BGMotionPredictor(nn.Module):
    """Source and driving pictures, B x C x H x W each -> the background's motion B x 3 x 3 on homogeneous (x, y, 1),
    from driving to source coordinates; float32. Untrained it is the identity; bg_type "zero" has no parameters.
    """

    PLACES = {  # where in the 3 x 3 identity the numbers go
        "zero": (),
        "shift": (2, 5),
        "affine": (0, 1, 2, 3, 4, 5),
        "perspective": (0, 1, 2, 3, 4, 5, 6, 7),
    }

    def __init__(
        self,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        num_channels: int = 3,
        bg_type: Literal["zero", "shift", "affine", "perspective"] = "zero",
    ) -> None:
        super().__init__()
        self.places = self.PLACES[bg_type]
        if self.places:
            self.encoder = Encoder(block_expansion, 2 * num_channels, num_blocks, max_features)
            self.fc = nn.Linear(widths(block_expansion, max_features, num_blocks)[-1], len(self.places))
            nn.init.zeros_(self.fc.weight)
            with torch.no_grad():
                self.fc.bias.copy_(torch.eye(3).flatten()[list(self.places)])

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        matrix = torch.eye(3, device=driving.device).flatten().repeat(len(driving), 1)
        if self.places:
            pictures = torch.cat([source, driving], dim=1).to(self.fc.weight.dtype)
            numbers = self.fc(self.encoder(pictures)[-1].mean((2, 3))).float()
            matrix[:, list(self.places)] = numbers
        return matrix.unflatten(1, (3, 3))


class AVDNetwork(Disentangler):
    """Regions of two identities -> the first's shape in the second's pose, {"shift", "affine", "covar"}."""

    def __init__(
        self,
        num_regions: int,
        id_bottle_size: int = 64,
        pose_bottle_size: int = 64,
        revert_axis_swap: bool = True,
        width: int = 1024,
    ) -> None:
        super().__init__(6 * num_regions, id_bottle_size, pose_bottle_size, width)
        self.revert_axis_swap = revert_axis_swap

    def forward(self, identity: Regions, pose: Regions) -> dict[str, Tensor]:
        """identity may have one row for all rows of pose."""
        affine = identity["affine"]
        if self.revert_axis_swap:
            affine = affine * upright(product(affine, inverse(pose["affine"])))
        found = super().forward(self.embedded(identity["shift"], affine), self.embedded(pose["shift"], pose["affine"]))
        found = found.unflatten(1, (-1, 6))  # B x K x 6
        affine = found[..., 2:].unflatten(-1, (2, 2))
        return {"shift": found[..., :2], "affine": affine, "covar": spread(affine)}

    @staticmethod
    def embedded(shift: Tensor, affine: Tensor) -> Tensor:
        """Six numbers a region, side by side: B x 6K."""
        return torch.cat([shift.expand(len(affine), -1, -1), affine.flatten(2)], dim=-1).flatten(1)


# ---------------------------------------------------------------- flow and generator


class PixelwiseFlowPredictor(DenseMotion):
    """MRAA's local motions: the axes of a region in the driver become those in the source."""

    def __init__(
        self,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_regions: int,
        num_channels: int = 3,
        estimate_occlusion_map: bool = False,
        scale_factor: float = 1,
        region_var: float = 0.01,
        use_covar_heatmap: bool = False,
        use_deformed_source: bool = True,
        revert_axis_swap: bool = False,
        align_corners: bool = False,
        finer: int = 1,
    ) -> None:
        super().__init__(
            num_regions,
            block_expansion,
            num_blocks,
            max_features,
            num_channels,
            estimate_occlusion_map,
            scale_factor,
            align_corners,
            deformed_source=use_deformed_source,
            finer=finer,
        )
        self.region_var = region_var
        self.use_covar_heatmap = use_covar_heatmap
        self.revert_axis_swap = revert_axis_swap

    places = "shift"

    def spots(self, motion: Regions, height: int, width: int) -> Tensor:
        """A Gaussian at each region, of its covariance or of a fixed one."""
        if self.use_covar_heatmap:
            return elliptic_gaussians(motion["shift"], motion["covar"], height, width)
        return gaussians(motion["shift"], height, width, self.region_var)

    def local_affine(self, driving: Regions, source: Regions) -> tuple[Tensor | None, Tensor]:
        """M (z - driving) + source for each region, M = affine_source affine_driving^-1."""
        to, origin = driving["shift"].float(), source["shift"].float()
        if "affine" not in driving:
            return None, origin - to
        matrix = product(source["affine"].float(), inverse(driving["affine"].float()))
        if self.revert_axis_swap:
            matrix = matrix * upright(matrix)
        return matrix, origin - apply(matrix, to)


class Generator(WarpingGenerator):
    """The generator with the published arguments. resize_corners, guided: see WarpingGenerator; False in all that was
    published.
    """

    flow_network = "pixelwise_flow_predictor"

    def __init__(
        self,
        num_regions: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_bottleneck_blocks: int,
        num_channels: int = 3,
        pixelwise_flow_predictor_params: Mapping[str, Any] | None = None,
        skips: bool = False,
        revert_axis_swap: bool = True,
        align_corners: bool = False,
        resize_corners: bool = False,
        guided: bool = False,
    ) -> None:
        flow = None
        if pixelwise_flow_predictor_params is not None:
            flow = PixelwiseFlowPredictor(
                num_regions=num_regions,
                num_channels=num_channels,
                revert_axis_swap=revert_axis_swap,
                align_corners=align_corners,
                **pixelwise_flow_predictor_params,
            )
        super().__init__(
            flow,
            num_channels,
            block_expansion,
            max_features,
            num_down_blocks,
            num_bottleneck_blocks,
            align_corners,
            skips,
            resize_corners,
            guided,
        )


# ---------------------------------------------------------------- configurations


PARTS = {
    "region_predictor": RegionPredictor,
    "bg_predictor": BGMotionPredictor,
    "generator": Generator,
    "avd_network": AVDNetwork,
}
COMMON = {  # what each part takes of the parameters that stand beside the sections
    "region_predictor": ("num_regions", "num_channels", "estimate_affine"),
    "bg_predictor": ("num_channels",),
    "generator": ("num_regions", "num_channels", "revert_axis_swap"),
    "avd_network": ("num_regions",),
}


def parts_of(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration in any layout (see `config`) -> its parts with their common parameters merged in, unchecked."""
    names = sorted({name for names in COMMON.values() for name in names})
    common, found = read(config, {part: part for part in PARTS}, names)
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
        if part in found or part in ("region_predictor", "generator"):
            out[part] = checked(constructor, found.get(part, {}), part)
            out[part].pop("align_corners", None)  # not of the configuration: the same weights may be sampled either way
    agreed(out, ("num_regions", "num_channels"))
    generator, predictor = out["generator"], out["region_predictor"]
    measured = predictor["pca_based"] or predictor["estimate_affine"]
    if generator["pixelwise_flow_predictor_params"] is not None:
        given = {name: generator[name] for name in ("num_regions", "num_channels", "revert_axis_swap")}
        where = "generator.pixelwise_flow_predictor_params"
        flow = checked(PixelwiseFlowPredictor, {**generator["pixelwise_flow_predictor_params"], **given}, where)
        generator["pixelwise_flow_predictor_params"] = {
            name: value for name, value in flow.items() if name not in (*given, "align_corners")
        }
        if flow["use_covar_heatmap"] and not measured:
            raise ConfigError(
                "use_covar_heatmap needs regions with a covariance.", "Switch on pca_based or estimate_affine as well."
            )
    if "avd_network" in out and not measured:
        raise ConfigError(
            "The avd_network needs regions with axes.", "Switch on pca_based or estimate_affine, or leave it out."
        )
    return out


def _published(bg_type: str = "affine", num_regions: int = 10, **predictor: Any) -> dict[str, Any]:
    """The sections that all published configurations share, and what differs."""
    hourglass = {"max_features": 1024, "num_blocks": 5, "scale_factor": 0.25}
    return sections(
        {
            "num_regions": num_regions,
            "num_channels": 3,
            "estimate_affine": True,
            "revert_axis_swap": True,
            "bg_predictor": {"block_expansion": 32, "max_features": 1024, "num_blocks": 5, "bg_type": bg_type},
            "region_predictor": {
                "temperature": 0.1,
                "block_expansion": 32,
                "pca_based": True,
                "fast_svd": False,
                **hourglass,
                **predictor,
            },
            "generator": {
                "block_expansion": 64,
                "max_features": 512,
                "num_down_blocks": 2,
                "num_bottleneck_blocks": 6,
                "skips": True,
                "pixelwise_flow_predictor_params": {
                    "block_expansion": 64,
                    **hourglass,
                    "use_deformed_source": True,
                    "use_covar_heatmap": True,
                    "estimate_occlusion_map": True,
                },
            },
            "avd_network": {"id_bottle_size": 64, "pose_bottle_size": 64},
        }
    )


PUBLISHED = {
    "vox256": _published(),
    "taichi256": _published(pad=0),
    "mgif256": _published("zero", pad=0),
    "ted384": _published(pad=0),
    "ted-youtube384": _published(num_regions=20, pad=0),
}
DOMAINS = {  # what the pictures showed, how they were cut, the side of the flow network's map
    "vox256": ("talking people (VoxCeleb)", "face", 64),
    "taichi256": ("whole bodies doing tai chi (TaiChi-HD)", "whole", 64),
    "mgif256": ("cartoon animals moving (MGif)", "whole", 64),
    "ted384": ("upper bodies of people giving talks (TED-talks)", "whole", 96),
    "ted-youtube384": ("upper bodies of people giving talks (TED-talks, the larger set)", "whole", 96),
}
LICENCE = (
    "None is stated for the published weights, and the authors' code (Snap Inc., 2021) grants none: look at what they "
    "do, and ask the authors before using them for anything else."
)


def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
    """The configuration of published state dicts, read off keys and shapes; None if they are no MRAA's.

    parts: {"region_predictor": state dict, …}; bg_predictor (empty: "zero") and avd_network may be absent. Of what
    leaves no trace, temperature, region_var, the use of covariances and signs are as published, and `pad` is left out,
    since the published ones differ.
    """
    regions, background, generator, avd = (
        parts.get(part, {}) for part in ("region_predictor", "bg_predictor", "generator", "avd_network")
    )
    if "regions.weight" not in regions or "first.conv.weight" not in generator:
        return None
    wide, down = len(generator["first.conv.weight"]), count(generator, "down_blocks.")
    deepest = len(generator[f"down_blocks.{down - 1}.conv.weight"]) if down else wide
    channels, flow = generator["first.conv.weight"].shape[1], "pixelwise_flow_predictor."
    num_regions, regressed = len(regions["regions.weight"]), "jacobian.weight" in regions
    found: dict[str, Any] = {
        "num_regions": num_regions,
        "num_channels": channels,
        "estimate_affine": True,
        "region_predictor": {
            **hourglass_of(regions, "predictor.", 1024),
            "scale_factor": scale_of(regions, "down.weight"),
            "temperature": 0.1,
            "pca_based": not regressed,
        },
        "generator": {
            "block_expansion": wide,
            "max_features": deepest if deepest < wide * 2**down else max(deepest, 512),
            "num_down_blocks": down,
            "num_bottleneck_blocks": count(generator, "bottleneck.r"),
            "skips": True,
        },
    }
    if f"{flow}mask.weight" in generator:
        slots = generator[f"{flow}hourglass.encoder.down_blocks.0.conv.weight"].shape[1]
        found["generator"]["pixelwise_flow_predictor_params"] = {
            **hourglass_of(generator, f"{flow}hourglass.", 1024),
            "scale_factor": scale_of(generator, f"{flow}down.weight"),
            "estimate_occlusion_map": f"{flow}occlusion.weight" in generator,
            "use_deformed_source": slots > num_regions + 1,
            "use_covar_heatmap": True,
        }
    if "bg_predictor" in parts:
        numbers = len(background["fc.weight"]) if background else 0
        bg_type = next(name for name, places in BGMotionPredictor.PLACES.items() if len(places) == numbers)
        found["bg_predictor"] = {"bg_type": bg_type, "block_expansion": 32, "max_features": 1024, "num_blocks": 5}
        if background:
            found["bg_predictor"] |= encoder_of(background, "encoder.", 1024)
    if avd:
        bottles = ((f"{name}_bottle_size", len(avd[f"{name}_encoder.9.weight"])) for name in ("id", "pose"))
        found["avd_network"] = dict(bottles)
    out = sections(found)
    del out["region_predictor"]["pad"]
    return out


# ---------------------------------------------------------------- the animator


class MRAA(Animator):
    """The animator. Submodules as in the published files; `bg_predictor` and `avd_network` are None where the
    configuration has none.

    config: a published name (`PUBLISHED`) or a mapping (see `sections`). align_corners: how warps sample; None is
    False, as published. name: what `info` is to call a mapping. Raises ConfigError.
    """

    family = "mraa"
    published = PUBLISHED
    parts = tuple(PARTS)
    optional_parts = ("bg_predictor", "avd_network")
    trained_align_corners = False
    linear = ("shift", "covar")
    exact = (
        "region_predictor",
        "bg_predictor",
        "avd_network",
        "generator.first",
        "generator.down_blocks",
        "generator.pixelwise_flow_predictor.down",
    )
    parts_of = staticmethod(parts_of)
    sections = staticmethod(sections)
    recognise = staticmethod(recognise)

    def __init__(self, config: str | Config, align_corners: bool | None = None, name: str | None = None) -> None:
        super().__init__()
        config, name = self.resolve(config, name)
        self.config = sections(config)
        self.align_corners = bool(align_corners)
        for part, constructor in PARTS.items():
            more = {"align_corners": self.align_corners} if part == "generator" else {}
            self.add_module(part, constructor(**self.config[part], **more) if part in self.config else None)
        predictor, generator = self.config["region_predictor"], self.config["generator"]
        if not predictor["pca_based"]:
            self.linear = ("shift", "affine") if predictor["estimate_affine"] else ("shift",)
        looks = [part for part in (predictor, generator["pixelwise_flow_predictor_params"]) if part]
        sides = [int(1 / part["scale_factor"]) * 2 ** part["num_blocks"] for part in looks]
        domain, crop, side = DOMAINS.get(name, ("", "face", 64))
        avd = "avd_network" in self.config
        self.info = Info(
            model=self.family,
            config=name,
            size=frame_size(config) or side * int(1 / predictor["scale_factor"]),
            multiple=math.lcm(2 ** generator["num_down_blocks"], *sides),
            channels=generator["num_channels"],
            modes=("absolute", "relative", "avd") if avd else ("absolute", "relative"),
            mode="avd" if avd else "relative",
            crop=crop,
            domain=domain,
            licence=LICENCE if domain else "",
        )

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Source:
        """Pictures B x C x H x W in 0..1 -> their regions and the generator's features. Raises InputError for sides
        that don't fit.
        """
        pictures = self.fit(pictures)
        motion = Motion(self.family, self.region_predictor(pictures))
        encoded = {"picture": pictures, **self.generator.encode(pictures)}
        return Source(self.family, motion, encoded, tuple(pictures.shape[2:]))

    def motion(self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None) -> Motion:
        """Frames T x C x H x W in 0..1 -> regions "shift" T x K x 2 in -1..1, "covar" and "affine" T x K x 2 x 2; with
        source (one row, or T) also "background", T x 3 x 3 on homogeneous coordinates, from the frames' to the source's
        (the identity where the configuration has no predictor).
        """
        frames = self.fit(frames)
        motion = Motion(self.family, self.region_predictor(frames))
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

        In relative mode the covariance stays the driver's, as published; at another strength than 1 it is on the way
        from the picture's own, the axes aligned.
        """
        mode = self.check_mode(mode, strength)
        reference = motion[:1] if reference is None else reference
        self.check_rows(len(motion), source=source, reference=reference)
        own, driving, initial = source.motion.tensors, motion.tensors, reference.tensors
        if mode == "avd":
            return Motion(self.family, self.avd_network(own, driving), motion.valid)
        if mode == "absolute" and strength == 1:
            return motion
        relative = mode == "relative"
        moved = transfer_keypoints(
            _keypoints(own),
            _keypoints(driving, self._aligned(driving, initial if relative else own) if strength != 1 else None),
            _keypoints(initial),
            adapt_scale=adapt_scale,
            relative_movement=relative,
            strength=strength,
        )
        moved = {name: moved[key] for name, key in (("shift", "value"), ("affine", "jacobian")) if key in moved}
        if "affine" in moved:
            moved["covar"] = driving["covar"]
            if strength != 1:
                moved["covar"] = spread(own["affine"] + strength * (self._aligned(driving, own) - own["affine"]))
        if not relative and "background" in driving:
            moved["background"] = weakened(driving["background"], strength)
        return Motion(self.family, moved, motion.valid)

    def render(self, source: Source, motion: Motion) -> Tensor:
        """Motion on the picture -> T x C x H x W in 0..1, float32."""
        self.check_rows(len(motion), source=source)
        background = motion.tensors.get("background")
        moved = self.generator.move(source.tensors, motion.tensors, source.motion.tensors, background)
        return self.generator.decode(source.tensors, moved).expand(len(motion), -1, -1, -1)

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """The difference of the regions' arrangement, place and size aside: T values, float64 on the CPU."""
        return shape_distance(source.motion["shift"], motion["shift"])

    def settle(self, motion: Motion) -> Motion:
        """The axes that belong to changed covariances; for regressed axes the covariances that belong to them."""
        if "affine" not in motion.tensors:
            return motion
        if "affine" in self.linear:
            return motion.replace(covar=spread(motion["affine"]))
        return motion.replace(affine=principal_axes(motion["covar"]))

    def least(self) -> int:
        """The smallest side: the region head must fit on its map, and something must be left of the background's."""
        predictor, background = self.config["region_predictor"], self.config.get("bg_predictor", {"num_blocks": 0})
        head = max(6 - 2 * predictor["pad"], 0) * int(1 / predictor["scale_factor"]) + 1
        multiple = self.info.multiple
        return -(-max(head, 2 ** background["num_blocks"]) // multiple) * multiple

    def _aligned(self, regions: Regions, towards: Regions) -> Tensor | None:
        """The axes of regions, turned by half where they point away from others'."""
        if "affine" not in regions or not self.config["generator"]["revert_axis_swap"]:
            return regions.get("affine")
        affine = regions["affine"]
        return affine * upright(product(affine, inverse(towards["affine"])))


def _keypoints(regions: Regions, affine: Tensor | None = None) -> dict[str, Tensor]:
    """Regions as keypoints, for `transfer_keypoints`."""
    affine = regions.get("affine") if affine is None else affine
    return {"value": regions["shift"]} | ({} if affine is None else {"jacobian": affine})

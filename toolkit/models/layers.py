"""The blocks that several models are built of, under the names of the published checkpoints.

Same, down, up and residual block, hourglass and anti-aliased down-sampling are shared by FOMM, MRAA and (with instance
norm) TPSMM. Every block takes `norm`, the class of its normalisation; convolutions always have a bias, also before a
norm. The flow network and the generator of FOMM and MRAA differ in little: `DenseMotion` and `WarpingGenerator` are
what they share. MRAA and TPSMM transfer poses between identities by a `Disentangler`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import ConfigError
from .motion import Deformation, affine_grid, axes, background_grid, resize, warp_each

Norm = Callable[[int], nn.Module]
STRIP = 256  # positions: a sum of so many in float32 is good to 1e-6


def instance_norm(channels: int) -> nn.Module:
    """Instance norm with learned scale and shift and no running statistics (TPSMM, discriminators)."""
    return nn.InstanceNorm2d(channels, affine=True)


def map_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each map of B x C x H x W: B x C x 1 x 1 each, at least float32."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    if not x.is_cpu or not last or torch.is_grad_enabled():
        variance, mean = torch.var_mean(
            x if x.dtype == torch.float64 else x.float(), (2, 3), correction=0, keepdim=True
        )
        return mean, variance
    # A row's batch statistics are those of its maps, and found in channels_last fifteen times as fast; but they are
    # plain sums, which lose digits over a whole map: so in strips, joined afterwards.
    strips = x.split(max(1, STRIP // x.shape[3]), dim=2)
    pairs = [
        torch.batch_norm_update_stats(row if row.dtype == torch.float64 else row.float(), None, None, 0.0)
        for strip in strips
        for row in strip.split(1)
    ]
    means, variances = (torch.stack(moments).unflatten(0, (len(strips), -1)) for moments in zip(*pairs, strict=True))
    if len(strips) > 1:
        share = means.new_tensor([strip.shape[2] / x.shape[2] for strip in strips])[:, None, None]
        mean = (share * means).sum(0)
        means, variances = mean[None], (share * (variances + (means - mean).square())).sum(0, keepdim=True)
    return means[0, ..., None, None], variances[0, ..., None, None]


def widths(block_expansion: int, max_features: int, count: int) -> list[int]:
    """Channel numbers of levels 0..count: the width doubles from level to level up to max_features."""
    return [min(max_features, block_expansion * 2**level) for level in range(count + 1)]


class SameBlock(nn.Module):
    """Convolution -> norm -> ReLU: B x inputs x H x W -> B x outputs x H x W (odd kernels)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))

    def fold(self) -> None:
        self.conv, self.norm = folded(self.conv, self.norm)


class DownBlock(SameBlock):
    """A SameBlock, then average pooling: H x W -> H//2 x W//2."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock(SameBlock):
    """Nearest up-sampling, then a SameBlock: H x W -> 2H x 2W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class ResBlock(nn.Module):
    """Pre-activation residual block: x + conv2(ReLU(norm2(conv1(ReLU(norm1(x))))))."""

    def __init__(self, channels: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = norm(channels)
        self.norm2 = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))

    def fold(self) -> None:
        self.conv1, self.norm2 = folded(self.conv1, self.norm2)  # norm1 follows an addition: it stays


def folded(conv: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """A convolution and the norm after it as one convolution and nothing; other than batch norms stay as they are."""
    if not isinstance(norm, nn.BatchNorm2d):
        return conv, norm
    return fuse_conv_bn_eval(conv, norm), nn.Identity()


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold the batch norms of all blocks into the convolutions before them, in place; returns the module.

    Whatever has a method `fold` takes part. For inference, on a copy: the folded module computes the same (to rounding)
    and no longer has the published keys. The module must be in evaluation mode.
    """
    for part in list(module.modules()):
        if hasattr(part, "fold"):
            part.fold()
    return module


class Encoder(nn.Module):
    """A chain of DownBlocks. Returns the input and every output: n + 1 maps, fine to coarse."""

    def __init__(
        self, block_expansion: int, in_features: int, num_blocks: int, max_features: int, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        wide = [in_features, *widths(block_expansion, max_features, num_blocks)[1:]]
        self.down_blocks = nn.ModuleList(DownBlock(wide[i], wide[i + 1], norm=norm) for i in range(num_blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [x]
        for block in self.down_blocks:
            maps.append(block(maps[-1]))
        return maps


class Decoder(nn.Module):
    """A chain of UpBlocks; after each the encoder's map of that size is concatenated behind. Returns all n maps, coarse
    to fine.
    """

    def __init__(self, block_expansion: int, num_blocks: int, max_features: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        wide = widths(block_expansion, max_features, num_blocks)
        levels = range(num_blocks - 1, -1, -1)
        self.up_blocks = nn.ModuleList(
            UpBlock(wide[i + 1] * (1 if i == num_blocks - 1 else 2), wide[i], norm=norm) for i in levels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        outputs, x = [], maps[-1]
        for block, skip in zip(self.up_blocks, reversed(maps[:-1]), strict=True):
            x = torch.cat([block(x), skip], dim=1)
            outputs.append(x)
        return outputs


class Hourglass(nn.Module):
    """Encoder and decoder with skip connections: B x in_features x H x W -> B x out_filters x H x W.

    H and W must be multiples of 2 ** num_blocks. out_filters = min(block_expansion, max_features) + in_features: the
    raw input is the last part of the output.
    """

    def __init__(
        self, block_expansion: int, in_features: int, num_blocks: int, max_features: int, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        self.encoder = Encoder(block_expansion, in_features, num_blocks, max_features, norm)
        self.decoder = Decoder(block_expansion, num_blocks, max_features, norm)
        self.out_filters = min(block_expansion, max_features) + in_features

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))[-1]


def antialias_kernel(scale: float) -> Tensor:
    """The Gaussian n x n that goes before down-sampling by `scale` (below 1): 0.5 -> 5 x 5, 0.25 -> 13 x 13, 0.125 ->
    29 x 29.
    """
    sigma = (1 / scale - 1) / 2
    side = 2 * round(sigma * 4) + 1
    offset = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    line = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


class AntiAlias(nn.Module):
    """Down-sampling without aliasing: B x channels x H x W -> B x channels x ceil(H * scale) x ceil(W * scale).

    The kernel is a buffer, so it is in published state dicts, but it follows from `scale`: a state dict without it, or
    with one of another size (a network taken to another resolution), loads just as well.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        if not 0 < scale < 1:
            raise ConfigError(f"scale_factor is {scale}.", "Give a number above 0 and at most 1.")
        kernel = antialias_kernel(scale)
        self.stride = int(1 / scale)
        self.channels = channels
        self.register_buffer("weight", kernel.expand(channels, 1, *kernel.shape).clone())

    def forward(self, x: Tensor) -> Tensor:
        pad = self.weight.shape[-1] // 2
        return F.conv2d(x, self.weight.to(x.dtype), stride=self.stride, padding=pad, groups=self.channels)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        kept = state_dict.get(prefix + "weight")
        if kept is not None and kept.shape == self.weight.shape:
            super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def antialias(channels: int, scale: float) -> nn.Module:
    """AntiAlias, or nothing at all (no state, no work) where scale is 1."""
    return nn.Identity() if scale == 1 else AntiAlias(channels, scale)


class ImagePyramid(nn.Module):
    """A picture at several scales: {"prediction_1": B x C x H x W, "prediction_0.5": …}, the names that discriminators
    and losses read.
    """

    def __init__(self, scales: Sequence[float], num_channels: int = 3) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.downs = nn.ModuleList(antialias(num_channels, scale) for scale in self.scales)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {f"prediction_{scale}": down(x) for scale, down in zip(self.scales, self.downs, strict=True)}


def both(x: Tensor, first: nn.Conv2d, second: nn.Conv2d | None) -> tuple[Tensor, Tensor | None]:
    """Two like convolutions of x. In training as one: there a head with few outputs costs as much as one with many."""
    if second is None:
        return first(x), None
    if not first.training:
        return first(x), second(x)
    weight, bias = (torch.cat([getattr(conv, name) for conv in (first, second)]) for name in ("weight", "bias"))
    return F.conv2d(x, weight, bias, padding=first.padding).split([first.out_channels, second.out_channels], 1)


class DenseMotion(nn.Module):
    """The flow network of FOMM and MRAA: K + 1 local motions of the picture, the background's first, and where they act
    -> one flow, and what of the picture it hides.

    A subclass says what a local motion is: `spots` and `local_affine`. deformed_source: the hourglass sees the picture
    under each motion, not only where they act. finer: scores are brought to so many times the hourglass's side before
    one motion wins, so that borders between motions are as sharp as the finer map (1 in all that was published).
    """

    def __init__(
        self,
        motions: int,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_channels: int,
        estimate_occlusion_map: bool,
        scale_factor: float,
        align_corners: bool,
        deformed_source: bool = True,
        finer: int = 1,
    ) -> None:
        super().__init__()
        slot = 1 + num_channels if deformed_source else 1
        self.hourglass = Hourglass(block_expansion, (motions + 1) * slot, num_blocks, max_features)
        self.mask = nn.Conv2d(self.hourglass.out_filters, motions + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.out_filters, 1, 7, padding=3) if estimate_occlusion_map else None
        self.down = antialias(num_channels, scale_factor)
        self.count = motions
        self.align_corners = align_corners
        self.deformed_source = deformed_source
        self.finer = finer

    places = "value"  # the motion's tensor B x K x 2 of where things are

    @property
    def scores(self) -> nn.Conv2d:
        """What tells which motion wins, whatever its published name."""
        return self.mask

    def spots(self, motion: Mapping[str, Tensor], height: int, width: int) -> Tensor:
        """Where the local motions act: B x K x height x width."""
        raise NotImplementedError

    def local_affine(self, driving: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """The local motions z -> A z + b: A B x K x 2 x 2 (None: the identity) and b B x K x 2, float32."""
        raise NotImplementedError

    def forward(
        self,
        small: Tensor,
        driving: Mapping[str, Tensor],
        source: Mapping[str, Tensor],
        background: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """small: `self.down` of the pictures, B x C x h x w. It and source may have one row for all rows of driving.
        background: B x 3 x 3, or None where it stands still.

        Returns points B x K x 2 (the driver's), sparse_deformed B x (K+1) x C x h x w, and, h and w times `finer`, mask
        B x (K+1) x h x w, deformation B x h x w x 2 and occlusion_map B x 1 x h x w where they are estimated.
        """
        height, width = small.shape[2:]
        motions = self.motions(driving, source, height, width, background)
        slots = self.heatmap(driving, source, height, width).to(small.dtype)[:, :, None]
        out = {"points": driving[self.places]}
        if self.deformed_source:
            out["sparse_deformed"] = warp_each(small, motions, self.align_corners)
            slots = torch.cat([slots, out["sparse_deformed"]], dim=2)
        mask, occlusion = both(self.hourglass(slots.flatten(1, 2)), self.mask, self.occlusion)
        if self.finer > 1:
            sides = self.finer * height, self.finer * width
            mask, occlusion = (x if x is None else resize(x.float(), *sides, True) for x in (mask, occlusion))
        out["mask"] = mask.float().softmax(dim=1)
        if self.finer > 1:
            out["deformation"] = self.mixed(out["mask"], driving, source, background)
        else:
            out["deformation"] = (out["mask"][..., None] * motions).sum(1)
        if occlusion is not None:
            out["occlusion_map"] = occlusion.float().sigmoid()
        return out

    def motions(
        self,
        driving: Mapping[str, Tensor],
        source: Mapping[str, Tensor],
        height: int,
        width: int,
        background: Tensor | None = None,
    ) -> Tensor:
        """The background's and the local motions: B x (K+1) x height x width x 2."""
        local = affine_grid(*self.local_affine(driving, source), height, width)
        return torch.cat([background_grid(background, len(local), height, width, local.device), local], dim=1)

    def mixed(
        self,
        mask: Tensor,
        driving: Mapping[str, Tensor],
        source: Mapping[str, Tensor],
        background: Tensor | None = None,
    ) -> Tensor:
        """The motions mixed by mask B x (K+1) x h x w: a flow B x h x w x 2. What is affine is mixed as matrices: for
        a large map that is a fraction of the work.
        """
        height, width = mask.shape[2:]
        matrix, offset = self.local_affine(driving, source)
        if matrix is None:
            matrix = torch.eye(2, device=mask.device).expand(*offset.shape, 2)
        numbers = torch.cat([matrix.flatten(-2), offset], dim=-1)  # B x K x 6
        a, b, c, d, e, f = torch.einsum("bkhw,bkn->nbhw", mask[:, 1:], numbers)
        x, y = axes(height, width, mask.device)
        flow = torch.stack([a * x + b * y + e, c * x + d * y + f], dim=-1)
        still = background_grid(background, len(mask), height, width, mask.device)[:, 0]
        return flow + mask[:, 0, ..., None] * still

    def heatmap(self, driving: Mapping[str, Tensor], source: Mapping[str, Tensor], height: int, width: int) -> Tensor:
        """Where something comes to and goes from: driving minus source spots, 0 for the background; B x (K+1) x height
        x width.
        """
        change = self.spots(driving, height, width) - self.spots(source, height, width)
        return F.pad(change, (0, 0, 0, 0, 1, 0))


class WarpingGenerator(nn.Module):
    """The occlusion-aware generator of FOMM and MRAA. `encode` sees the picture alone, `move` and `decode` need the
    motion too; `forward` is the published whole.

    resize_corners: how flows and masks are brought to another size. As published, False: a flow that stands still then
    shifts larger maps by up to 0.5 % of their side; with True (and align_corners) it is exact.
    skips (MRAA): features of every level, and the picture itself, are warped and blended in, not only the deepest.
    guided (with skips; False in all that was published): the decoder sees all that was warped, also what the mask
    hides, and below full size a spot at each of the driver's keypoints, as Monkey-Net's does; in the end it mends the
    mask, which only says how much of the warped picture stays. So it can paint an eye half shut where no flow shuts it.
    points: how many keypoints it is told, where the flow network is not its own (flow: None).
    A subclass names its flow network as the published files do.
    """

    flow_network = "dense_motion_network"

    def __init__(
        self,
        flow: DenseMotion | None,
        num_channels: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_bottleneck_blocks: int,
        align_corners: bool,
        skips: bool = False,
        resize_corners: bool = False,
        guided: bool = False,
        points: int = 0,
    ) -> None:
        super().__init__()
        if guided and not (skips and (flow.occlusion if flow else points)):
            raise ConfigError(
                "A guided generator needs skips, and a flow network that estimates occlusion.",
                "Set both, or leave out guided.",
            )
        setattr(self, self.flow_network, flow)
        wide = widths(block_expansion, max_features, num_down_blocks)
        self.first = SameBlock(num_channels, wide[0], kernel=7)
        self.down_blocks = nn.ModuleList(DownBlock(wide[i], wide[i + 1]) for i in range(num_down_blocks))
        self.up_blocks = nn.ModuleList(UpBlock(wide[i], wide[i - 1]) for i in range(num_down_blocks, 0, -1))
        self.bottleneck = nn.Sequential()
        for i in range(num_bottleneck_blocks):
            self.bottleneck.add_module(f"r{i}", ResBlock(wide[-1]))
        self.final = nn.Conv2d(wide[0], num_channels + guided, 7, padding=3)
        self.guides = None
        if guided:  # none at full size, where it would be dear
            points = flow.count if flow else points
            self.guides = nn.ModuleList(nn.Conv2d(points, width, 3, padding=1) for width in wide[1:])
        self.align_corners = align_corners
        self.resize_corners = resize_corners
        self.skips = skips

    @property
    def flow(self) -> DenseMotion | None:
        """The flow network, whatever its published name."""
        return getattr(self, self.flow_network)

    def encode(self, pictures: Tensor) -> dict[str, Tensor]:
        """All that depends on the pictures B x C x H x W alone.

        "features" B x w(D) x H/2^D x W/2^D; "small", what the flow network looks at; and with skips "picture" and
        "map_0" … "map_(D-1)", B x w(i) x H/2^i x W/2^i.
        """
        rounded = pictures.to(self.first.conv.weight.dtype)
        maps = [self.first(rounded)]
        for block in self.down_blocks:
            maps.append(block(maps[-1]))
        encoded = {"features": maps.pop()}
        if self.flow is not None:
            encoded["small"] = self.flow.down(rounded)
        if self.skips:
            encoded |= {"picture": pictures} | {f"map_{level}": features for level, features in enumerate(maps)}
        return encoded

    def move(
        self,
        encoded: Mapping[str, Tensor],
        driving: Mapping[str, Tensor],
        source: Mapping[str, Tensor],
        background: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Encoded pictures and motions -> the flow network's output (nothing for a plain auto-encoder)."""
        return self.flow(encoded["small"], driving, source, background) if self.flow is not None else {}

    def deformation(self, moved: Mapping[str, Tensor]) -> Deformation:
        """`move`'s output, ready to be applied."""
        masks = moved.get("occlusion_maps", [moved["occlusion_map"]] if "occlusion_map" in moved else [])
        points = None if self.guides is None else moved["points"]
        return Deformation(moved.get("deformation"), masks, self.align_corners, self.resize_corners, points)

    def deform(self, x: Tensor, moved: Mapping[str, Tensor]) -> Tensor:
        """Maps of any size under the flow."""
        return self.deformation(moved).warped(x)

    def decode(self, encoded: Mapping[str, Tensor], moved: Mapping[str, Tensor] | Deformation) -> Tensor:
        """Warp, blank, decode: encoded pictures and `move`'s output -> predictions B x C x H x W in 0..1, float32."""
        deformation = moved if isinstance(moved, Deformation) else self.deformation(moved)
        painted, mask = self.paint(encoded, deformation)
        if not self.skips:
            return painted
        warped = deformation.warped(encoded["picture"])
        return deformation.blended(warped, painted) if mask is None else torch.lerp(painted, warped.float(), mask)

    def paint(self, encoded: Mapping[str, Tensor], deformation: Deformation) -> tuple[Tensor, Tensor | None]:
        """What the decoder makes of the warped features, B x C x H x W in 0..1, float32, with skips not yet blended
        with the warped picture; and, guided, how much of that stays, B x 1 x H x W.
        """
        warped = deformation.warped(encoded["features"])
        x = self.bottleneck(self._seen(warped, deformation, len(self.up_blocks)))
        for level, block in zip(reversed(range(len(self.up_blocks))), self.up_blocks, strict=True):
            if self.skips:
                x = self._seen(warped, deformation, level + 1, x)
                warped = deformation.warped(encoded[f"map_{level}"])
            x = block(x)
        if self.skips:
            x = self._seen(warped, deformation, 0, x)
        x = self.final(x).float()
        if self.guides is None:
            return x.sigmoid(), None
        coarse = deformation.mask(*x.shape[2:]).float().logit(1e-4)
        return x[:, :-1].sigmoid(), (coarse + x[:, -1:]).sigmoid()

    def _seen(self, warped: Tensor, deformation: Deformation, level: int, painted: Tensor | None = None) -> Tensor:
        """What the decoder goes on with at a level: the warped features and, but at first, what it has painted."""
        if self.guides is None:
            return deformation.blended(warped, painted)
        x = warped if painted is None else warped + painted
        told = painted is not None and level == len(self.guides)  # before the bottleneck
        if deformation.points is None or level == 0 or told:
            return x
        return x + self.guides[level - 1](deformation.spots(*x.shape[2:]).to(x.dtype))

    def forward(
        self,
        source: Tensor,
        kp_driving: Mapping[str, Tensor],
        kp_source: Mapping[str, Tensor],
        background: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Pictures, and keypoints or regions -> prediction, and how it came about: mask, sparse_deformed,
        occlusion_map, deformation, and `deformed`, the pictures themselves under the flow (for display, not part of the
        prediction).
        """
        encoded = self.encode(source)
        out = self.move(encoded, kp_driving, kp_source, background)
        if out:
            out["deformed"] = self.deform(source, out)
        out["prediction"] = self.decode(encoded, out)
        return out


class Disentangler(nn.Module):
    """The AVD network of MRAA and TPSMM ("animation via disentanglement"): numbers that describe who, and numbers that
    describe which pose, B x features each -> that character in that pose, B x features. Published keys.

    width: of the widest layers, 1024 in all that was published.
    """

    def __init__(self, features: int, id_bottle_size: int, pose_bottle_size: int, width: int = 1024) -> None:
        super().__init__()
        wide = (width // 4, width // 2, width)
        self.id_encoder = mlp(features, *wide, id_bottle_size)
        self.pose_encoder = mlp(features, *wide, pose_bottle_size)
        self.decoder = mlp(pose_bottle_size + id_bottle_size, *reversed(wide), features)

    def forward(self, identity: Tensor, pose: Tensor) -> Tensor:
        """identity may have one row for all rows of pose. The result is float32 and not confined to any range."""
        dtype = self.decoder[0].weight.dtype
        pose = self.pose_encoder(pose.to(dtype))
        identity = self.id_encoder(identity.to(dtype)).expand(len(pose), -1)
        return self.decoder(torch.cat([pose, identity], dim=1)).float()


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers, all but the last followed by batch norm and ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))

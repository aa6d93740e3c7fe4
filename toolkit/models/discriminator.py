"""The multi-scale patch discriminator of FOMM (training only), optionally conditioned on keypoints.

Kept for parity: no padding, instance norm from the second block on, pooling in all blocks but the last, the classic
spectral norm (keys weight_orig, weight_u, weight_v), no sigmoid. Spec: fomm, section 9.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import instance_norm, widths
from .motion import gaussians


def _convolution(inputs: int, outputs: int, kernel: int, spectral: bool) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, kernel)
    if not spectral:
        return conv
    with warnings.catch_warnings():  # its successor has other keys than the published files
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.spectral_norm(conv)


class DiscriminatorBlock(nn.Module):
    """Convolution 4 x 4 -> norm -> LeakyReLU -> average pooling: H x W -> (H - 3)//2 x (W - 3)//2 (H - 3 without
    pooling).
    """

    def __init__(self, inputs: int, outputs: int, norm: bool, pool: bool, spectral: bool) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs, 4, spectral)
        if norm:
            self.norm = instance_norm(outputs)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if hasattr(self, "norm"):
            x = self.norm(x)
        x = F.leaky_relu(x, 0.2)
        return F.avg_pool2d(x, 2) if self.pool else x


class Discriminator(nn.Module):
    """One scale: pictures B x C x H x W (and keypoints B x K x 2) -> the blocks' feature maps, and a map B x 1 x h x w
    of how real it looks.
    """

    def __init__(
        self,
        channels: int,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        sn: bool,
        num_kp: int,
        kp_variance: float,
    ) -> None:
        super().__init__()
        wide = [channels + num_kp, *widths(block_expansion, max_features, num_blocks)[1:]]
        self.down_blocks = nn.ModuleList(
            DiscriminatorBlock(wide[i], wide[i + 1], norm=i > 0, pool=i < num_blocks - 1, spectral=sn)
            for i in range(num_blocks)
        )
        self.conv = _convolution(wide[-1], 1, 1, sn)
        self.num_kp = num_kp
        self.kp_variance = kp_variance

    def forward(self, x: Tensor, points: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        if self.num_kp:
            x = torch.cat([x, gaussians(points, *x.shape[2:], self.kp_variance).to(x.dtype)], dim=1)
        maps = []
        for block in self.down_blocks:
            x = block(x)
            maps.append(x)
        return maps, self.conv(x)


class MultiScaleDiscriminator(nn.Module):
    """A discriminator for each scale of a picture pyramid; arguments in the published names.

    sn: spectral norm. use_kp: see the driving keypoints too. estimate_jacobian is accepted, as one of the published
    common parameters.
    """

    def __init__(
        self,
        num_channels: int = 3,
        block_expansion: int = 64,
        num_blocks: int = 4,
        max_features: int = 512,
        scales: Sequence[float] = (1,),
        sn: bool = False,
        use_kp: bool = False,
        num_kp: int = 10,
        kp_variance: float = 0.01,
        estimate_jacobian: bool = False,
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        seen = num_kp if use_kp else 0
        self.discs = nn.ModuleDict(
            {
                self._key(scale): Discriminator(
                    num_channels, block_expansion, num_blocks, max_features, sn, seen, kp_variance
                )
                for scale in self.scales
            }
        )

    @staticmethod
    def _key(scale: float) -> str:
        return str(scale).replace(".", "-")

    def forward(
        self, pyramid: Mapping[str, Tensor], kp: Mapping[str, Tensor] | None = None
    ) -> dict[str, list[Tensor] | Tensor]:
        """Pyramid {"prediction_1": …} and keypoints {"value": B x K x 2} -> {"feature_maps_1": [...],
        "prediction_map_1": …} a scale.
        """
        points = None if kp is None else kp["value"]
        out: dict[str, list[Tensor] | Tensor] = {}
        for scale in self.scales:
            maps, prediction = self.discs[self._key(scale)](pyramid[f"prediction_{scale}"], points)
            out[f"feature_maps_{scale}"], out[f"prediction_map_{scale}"] = maps, prediction
        return out

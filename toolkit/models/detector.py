"""FOMM's keypoint detector (arXiv 2003.00196), which a small TPSMM may take too: keypoints as means of heatmaps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Hourglass, antialias, both
from .motion import expected_matrix, expected_position, softmax_heatmap


class KPDetector(nn.Module):
    """Pictures B x C x H x W -> keypoints {"value", "jacobian"}, float32."""

    def __init__(
        self,
        num_kp: int,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        temperature: float = 0.1,
        num_channels: int = 3,
        estimate_jacobian: bool = False,
        single_jacobian_map: bool = False,
        scale_factor: float = 1,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.predictor = Hourglass(block_expansion, num_channels, num_blocks, max_features)
        self.kp = nn.Conv2d(self.predictor.out_filters, num_kp, 7, padding=pad)
        self.jacobian = None
        if estimate_jacobian:
            maps = 1 if single_jacobian_map else num_kp
            self.jacobian = nn.Conv2d(self.predictor.out_filters, 4 * maps, 7, padding=pad)
            nn.init.zeros_(self.jacobian.weight)
            with torch.no_grad():
                self.jacobian.bias.copy_(torch.tensor([1.0, 0, 0, 1] * maps))
        self.down = antialias(num_channels, scale_factor)
        self.temperature = temperature

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.predictor(self.down(pictures.to(self.kp.weight.dtype)))
        logits, jacobian = both(features, self.kp, self.jacobian)
        heatmap = softmax_heatmap(logits, self.temperature)  # 6 smaller than the features without padding
        out = {"value": expected_position(heatmap)}
        if jacobian is not None:
            out["jacobian"] = expected_matrix(heatmap, jacobian)
        return out

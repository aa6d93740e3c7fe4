"""What training TPSMM means beside `published.py` and `drawn.py`: splines left out at random, a background that must
come back, and a flow that must lay the source's features on the driver's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..models.motion import RandomTransform
from ..models.tpsmm import POINTS
from . import losses as loss
from .drawn import Drawn
from .parts import per_row, rand
from .published import Found
from .recipe import Stage


class TpsmmTask(Drawn):
    """The task of the recipes with task = "tpsmm". See `task.Task`."""

    family = "tpsmm"

    @property
    def network(self) -> Any:
        return self.animator.inpainting_network

    @property
    def flow(self) -> Any:
        return self.animator.dense_motion_network

    @property
    def count(self) -> int:
        return POINTS * self.animator.config["kp_detector"]["num_tps"]

    @property
    def looks(self) -> bool:
        """The published detector sees the whole picture, and then masks have the sizes of the features."""
        return self.modules["kp_detector"].heatmaps is not None

    def eyes(self) -> list[nn.Module]:
        return [self.modules["kp_detector"].heatmaps, self.flow]

    def encode(self, pictures: Tensor) -> dict[str, Tensor]:
        return {**self.network.encode(pictures), "small": self.flow.down(pictures)}

    def move(self, encoded: Mapping[str, Tensor], found: Found, dropout: float = 0.0) -> dict[str, Any]:
        small = encoded["small"]
        uniform = self.chances(len(small)) if dropout else None
        out = self.flow(small, found["driving"], found["source"], found.get("background"), dropout, uniform)
        like = [mask for mask in out["occlusion_maps"] if mask.shape[2:] == out["contribution"].shape[2:]]
        return {**out, "mask": out["contribution"], "occlusion_map": like[0]}

    def chances(self, rows: int) -> Tensor:
        """The random numbers in 0..1 that decide which motions are left out, rows x (K+1)."""
        return rand(rows, self.flow.maps.out_channels, device=self.device)

    def transform(self, rows: int) -> RandomTransform:
        return per_row(lambda count: RandomTransform.sample(count, device=self.device, euclidean=True), rows)

    def objective(self, out: Mapping[str, Any], found: Found, frames: Tensor, stage: Stage) -> dict[str, Tensor]:
        weights, total = stage.weights, {}
        if "equivariance_value" in weights:
            transform = self.transform(len(frames))
            there = self.find(transform.transform_frame(frames, self.animator.align_corners))
            value = loss.equivariance_value(found["driving"]["value"], transform, there["value"])
            total["equivariance_value"] = weights["equivariance_value"] * value
        if "warp_loss" in weights:
            with torch.no_grad():
                wanted = self.network.encode(frames)
            deformation = self.network.deformation(out)
            total["warp_loss"] = weights["warp_loss"] * loss.warp_loss(out["encoded"], wanted, deformation)
        if "bg" in weights and "background" in found:
            pictures, matrix = out["encoded"]["picture"], found["background"]
            total["bg"] = weights["bg"] * loss.cycle(matrix, self.modules["bg_predictor"](self._laid(frames), pictures))
        return total

    def parted(self, source: Mapping[str, Tensor], driving: Mapping[str, Tensor], factor: Tensor) -> dict[str, Tensor]:
        return {"value": self.modules["avd_network"](source["value"], driving["value"] * factor[:, None])}

    def as_motion(self, places: Tensor, jacobian: Tensor) -> dict[str, Tensor]:
        return {"value": places}

    @staticmethod
    def occlusions(animator: Any) -> list[nn.Module]:
        return list(animator.dense_motion_network.occlusion)

"""VGG-19 as a measure of likeness: the five feature maps of the published perceptual loss (spec/fomm.md, section 10).

The weights are ImageNet's, in torchvision's key names (`features.N.weight`); the toolkit does not ship them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..paths import is_file

_PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M")
_TAKEN = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1


class VGG19(nn.Module):
    """Pictures B x 3 x H x W in 0..1 -> the maps relu1_1 … relu5_1, in the number format of the weights. Frozen: no
    parameter ever learns.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for step in _PLAN:
            if step == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU(inplace=True)]
                width = step
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x, maps = ((pictures - self.mean) / self.std).to(self.features[0].weight.dtype), []
        for index, layer in enumerate(self.features[: _TAKEN[-1] + 1]):
            x = layer(x)
            if index in _TAKEN:
                maps.append(x)
        return maps

    def train(self, mode: bool = True) -> VGG19:
        return super().train(False)

    @staticmethod
    def load(path: str | Path) -> VGG19:
        """Read torchvision's vgg19 weights (.pth or .safetensors); its classifier is not needed."""
        if not is_file(path):
            raise CheckpointError(f"There is no file {path}.", "Give torchvision's vgg19 file.")
        network = VGG19()
        try:
            if str(path).endswith(".safetensors"):
                from safetensors.torch import load_file

                state = load_file(str(path))
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict({key: value for key, value in state.items() if key.startswith("features.")})
        except Exception as error:
            raise CheckpointError(
                f"{path} does not hold the weights of VGG-19: {error}.", "Give torchvision's vgg19 file."
            ) from None
        return network

"""The perception network: a small trained eye for drawn heads, for everything that needs one offline.

It finds the 68 landmarks and knows characters again, and its feature maps measure likeness (a perceptual loss). Trained
on puppets by `python -m toolkit train perception`; it has never seen a person.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError

SIZE = 128  # the side it was trained at; pictures of another size are brought to it


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Eyes(nn.Module):
    """Pictures B x 3 x H x W in 0..1 -> five feature maps at H/1, /2, /4, /8, /16, of widths 12, 24, 48, 96, 160."""

    widths = (12, 24, 48, 96, 160)

    def __init__(self) -> None:
        super().__init__()
        wide = (3, *self.widths)
        self.levels = nn.ModuleList(
            nn.Sequential(
                _Block(wide[i], wide[i + 1], 1 if i == 0 else 2),
                *([_Block(wide[i + 1], wide[i + 1], 1)] if i > 1 else []),
            )
            for i in range(5)
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x, maps = pictures * 4 - 2, []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps


class Perception(nn.Module):
    """Pictures of one head each -> {"landmarks": B x 68 x 2 in -1 … 1 from edge to edge, "sharpness": B values (how
    high the peaks of the landmarks' maps are; near 0 where there is no head), "identity": B x 128, of length 1}.
    """

    def __init__(self) -> None:
        super().__init__()
        self.eyes = Eyes()
        fine, middle, deep = self.eyes.widths[2:]
        self.deep = nn.Conv2d(deep, 64, 1)
        self.middle = nn.Conv2d(middle, 64, 1)
        self.fine = nn.Conv2d(fine, 64, 1)
        self.mix = nn.Sequential(_Block(64, 64, 1), _Block(64, 64, 1))
        self.points = nn.Conv2d(64, 68, 1)
        self.identity = nn.Sequential(nn.Linear(deep + middle, 192), nn.ReLU(), nn.Linear(192, 128))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        if pictures.shape[2:] != (SIZE, SIZE):
            pictures = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
        _, _, fine, middle, deep = self.eyes(pictures)
        x = F.interpolate(self.deep(deep), scale_factor=2, mode="nearest") + self.middle(middle)
        x = F.interpolate(x, scale_factor=2, mode="nearest") + self.fine(fine)
        heat = self.points(self.mix(F.relu(x))).float()
        heat = heat.flatten(2).softmax(-1).view(heat.shape)
        sharpness = heat.amax((2, 3)).mean(1)
        height, width = heat.shape[2:]
        across = (torch.arange(width, device=heat.device) + 0.5) * (2 / width) - 1
        along = (torch.arange(height, device=heat.device) + 0.5) * (2 / height) - 1
        points = torch.stack([(heat.sum(2) * across).sum(-1), (heat.sum(3) * along).sum(-1)], -1)
        pooled = torch.cat([deep.float().mean((2, 3)), middle.float().mean((2, 3))], 1)
        identity = F.normalize(self.identity(pooled).float(), dim=1)
        return {"landmarks": points, "sharpness": sharpness, "identity": identity}

    @staticmethod
    def load(path: str | Path) -> Perception:
        """Read a snapshot (safetensors, half precision) -> the network in float32, in evaluation mode."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        network = Perception()
        try:
            state = load_file(str(path))
            network.load_state_dict(
                {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
            )
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} is no perception network: {error}.", "Make it: python -m toolkit train perception."
            ) from None
        return network.eval()

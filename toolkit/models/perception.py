"""The perception network: a small trained eye for drawn heads, for everything that needs one offline.

Three networks in one file. `Perception` itself looks at pictures of one head each, framed as puppets are: it finds the
68 landmarks and knows characters again, and its feature maps measure likeness (a perceptual loss). Its `detector` finds
faces anywhere in a picture, and its `aligner` their landmarks, in square crops (see `Crops`). Trained on puppets by
`python -m toolkit train perception`; it has never seen a person.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError
from .layers import folded

SIZE = 128  # the side it was trained at; pictures of another size are brought to it
MARGIN = 1.5  # side of the aligner's crop, in longer sides of the face's box
FOREHEAD = 0.3  # from the brows to the forehead's middle, in lengths from the chin to between the eyes


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())

    def fold(self) -> None:
        self[0], self[1] = folded(self[0], self[1])


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


class Detector(nn.Module):
    """Pictures B x 3 x H x W in 0..1, sides multiples of 8 -> faces on a grid of cells of 8 x 8 pixels (a CentreNet):
    B x 5 x H/8 x W/8, the score of a face's middle being there (before the sigmoid), then its box: the middle's x and
    y from the cell's middle, in cells, and log width and height, in cells. It knows boxes of 12 to 150 pixels.
    """

    cell = 8
    reach = (12.0, 150.0)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            _Block(3, 16, 2), _Block(16, 32, 2), _Block(32, 64, 2), _Block(64, 64, 1), _Block(64, 64, 1)
        )
        self.middle = nn.Sequential(_Block(64, 96, 2), _Block(96, 96, 1))
        self.deep = nn.Sequential(_Block(96, 96, 2), _Block(96, 96, 1), _Block(96, 96, 1))
        self.from_middle, self.from_deep = nn.Conv2d(96, 64, 1), nn.Conv2d(96, 64, 1)
        self.mix = _Block(64, 64, 1)
        self.out = nn.Conv2d(64, 5, 1)
        nn.init.zeros_(self.out.bias)
        nn.init.constant_(self.out.bias[:1], -4.0)  # nearly all cells are empty

    def forward(self, pictures: Tensor) -> Tensor:
        fine = self.fine(pictures * 4 - 2)
        middle = self.middle(fine)
        deep = self.from_deep(self.deep(middle))
        x = self.from_middle(middle) + F.interpolate(deep, middle.shape[2:], mode="nearest")
        x = fine + F.interpolate(x, fine.shape[2:], mode="nearest")
        return self.out(self.mix(F.relu(x))).float()


class Aligner(nn.Module):
    """Crops B x 3 x SIZE x SIZE -> (landmarks B x 68 x 2 in -1 … 1 from edge to edge of the crop, B scores, before the
    sigmoid, of there being a face in the crop's middle).
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(_Block(3, 32, 2), _Block(32, 32, 1))
        self.fine = nn.Sequential(_Block(32, 64, 2), _Block(64, 64, 1))
        self.middle = nn.Sequential(_Block(64, 96, 2), _Block(96, 96, 1), _Block(96, 96, 1))
        self.deep = nn.Sequential(_Block(96, 128, 2), _Block(128, 128, 1))
        self.from_middle, self.from_deep = nn.Conv2d(96, 64, 1), nn.Conv2d(128, 64, 1)
        self.mix = _Block(64, 64, 1)
        self.points = nn.Conv2d(64, 68, 1)
        self.face = nn.Linear(128, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        heat, face = self.maps(crops)
        return middles(heat)[0], face

    def maps(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Where the landmarks may be, B x 68 x SIZE/4 x SIZE/4 (before the softmax over a map), and the scores."""
        fine = self.fine(self.first(crops * 4 - 2))
        middle = self.middle(fine)
        deep = self.deep(middle)
        x = self.from_middle(middle) + F.interpolate(self.from_deep(deep), scale_factor=2, mode="nearest")
        x = self.mix(F.relu(fine + F.interpolate(x, scale_factor=2, mode="nearest")))
        return self.points(x).float(), self.face(deep.float().mean((2, 3)))[:, 0]


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
        self.detector = Detector()
        self.aligner = Aligner()

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        if pictures.shape[2:] != (SIZE, SIZE):
            pictures = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
        _, _, fine, middle, deep = self.eyes(pictures)
        x = F.interpolate(self.deep(deep), scale_factor=2, mode="nearest") + self.middle(middle)
        x = F.interpolate(x, scale_factor=2, mode="nearest") + self.fine(fine)
        points, sharpness = middles(self.points(self.mix(F.relu(x))).float())
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


def middles(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Maps B x K x H x W -> where each is highest, softly, B x K x 2 in -1 … 1; and how high they are there, B."""
    heat = heat.flatten(2).softmax(-1).view(heat.shape)
    height, width = heat.shape[2:]
    across = (torch.arange(width, device=heat.device) + 0.5) * (2 / width) - 1
    along = (torch.arange(height, device=heat.device) + 0.5) * (2 / height) - 1
    points = torch.stack([(heat.sum(2) * across).sum(-1), (heat.sum(3) * along).sum(-1)], -1)
    return points, heat.amax((2, 3)).mean(1)


def boxes(landmarks: Tensor) -> Tensor:
    """The boxes of faces, N x 4 (left, upper, right, lower edge), from landmarks N x 68 x 2.

    A box holds all landmarks, so it reaches from ear to ear and down to the chin, and up to the middle of the forehead:
    the brows, moved up (from the chin to between the eyes) by FOREHEAD of that length.
    """
    forehead = landmarks[:, 17:27] + FOREHEAD * (landmarks[:, 27:28] - landmarks[:, 8:9])
    points = torch.cat([landmarks, forehead], 1)
    return torch.cat([points.amin(1), points.amax(1)], 1)


def decoded(found: Tensor, least: float = 0.3, most: int = 100) -> list[tuple[Tensor, Tensor]]:
    """What the detector's maps B x 5 x h x w claim: for each picture scores F (0..1, at least `least`, highest first)
    and boxes F x 4 in its pixels. A face is claimed once in each neighbourhood of cells, but perhaps in several.
    """
    scores = found[:, 0].sigmoid()
    peaks = scores * (F.max_pool2d(scores[:, None], 3, 1, 1)[:, 0] == scores)
    height, width = scores.shape[1:]
    claims = []
    for row, peak in enumerate(peaks.flatten(1)):
        best, where = peak.topk(min(most, len(peak)))
        best, where = best[best >= least], where[best >= least]
        x, y, wide, high = found[row, 1:].flatten(1)[:, where]
        middle = torch.stack([where % width + 0.5 + x, where // width + 0.5 + y], 1)
        half = torch.stack([wide, high], 1).clamp(max=math.log(2 * max(height, width))).exp() / 2
        claims.append((best, torch.cat([middle - half, middle + half], 1) * Detector.cell))
    return claims


def overlaps(some: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes N x 4 with boxes M x 4: N x M."""
    low = torch.maximum(some[:, None, :2], others[None, :, :2])
    high = torch.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (some, others)]
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(min=1e-9)


@dataclasses.dataclass(frozen=True)
class Crops:
    """N square windows of a picture, in its pixels from edge to edge: middle N x 2, side N, roll N (radians,
    clockwise: a face that is rolled so stands upright in the crop).
    """

    middle: Tensor
    side: Tensor
    roll: Tensor

    def __getitem__(self, k: int) -> Crops:
        """One of them; the first axis stays."""
        return Crops(self.middle[k : k + 1], self.side[k : k + 1], self.roll[k : k + 1])

    @staticmethod
    def around(boxes: Tensor) -> Crops:
        """Upright windows about boxes N x 4."""
        low, high = boxes[:, :2], boxes[:, 2:]
        return Crops((low + high) / 2, MARGIN * (high - low).amax(1), torch.zeros_like(boxes[:, 0]))

    @staticmethod
    def aligned(landmarks: Tensor) -> Crops:
        """Windows about faces with landmarks N x 68 x 2, rolled so that their eyes are level."""
        eyes = landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)
        roll = torch.atan2(eyes[:, 1], eyes[:, 0])
        upright = Crops.around(boxes(landmarks @ _turn(roll)))
        return Crops((upright.middle[:, None] @ _turn(roll).mT)[:, 0], upright.side, roll)

    def inside(self, points: Tensor) -> Tensor:
        """Points N x K x 2 of the picture -> in -1 … 1 from edge to edge of each crop."""
        return (points - self.middle[:, None]) @ _turn(self.roll) * (2 / self.side)[:, None, None]

    def outside(self, points: Tensor) -> Tensor:
        """The other way: points of each crop -> points of the picture."""
        return points * (self.side / 2)[:, None, None] @ _turn(self.roll).mT + self.middle[:, None]

    def cut(self, picture: Tensor, size: int = SIZE) -> Tensor:
        """Crops N x 3 x size x size, 0..1, of a picture 3 x H x W (uint8, or float in 0..1); beyond its edges, these go
        on. Large windows are averaged first, so that nothing flickers.
        """
        ticks = (torch.arange(size, device=picture.device) + 0.5) * (2 / size) - 1
        grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).reshape(1, -1, 2)
        grid = self.outside(grid.expand(len(self.side), -1, 2))
        last = torch.tensor([picture.shape[2] - 1, picture.shape[1] - 1])
        low = grid.amin(1).cpu().long().sub(2).clamp(min=torch.zeros(2), max=last).long().tolist()
        high = grid.amax(1).cpu().long().add(3).clamp(min=torch.ones(2), max=last + 1).long().tolist()
        crops = []
        for points, (x0, y0), (x1, y1), side in zip(grid, low, high, self.side.tolist(), strict=True):
            window = picture[None, :, y0:y1, x0:x1]
            window = window.float() / 255 if window.dtype == torch.uint8 else window
            if (shrink := min(int(side / size), *window.shape[2:])) > 1:
                window = F.avg_pool2d(window, shrink, ceil_mode=True)
            shrink = max(1, shrink)
            wide = points.new_tensor([window.shape[3], window.shape[2]]) * shrink / 2
            places = ((points - points.new_tensor([x0, y0])) / wide - 1).view(1, size, size, 2)
            crops.append(F.grid_sample(window, places, padding_mode="border", align_corners=False))
        return torch.cat(crops) if crops else picture.new_zeros(0, 3, size, size, dtype=torch.float32)


def _turn(roll: Tensor) -> Tensor:
    """Matrices N x 2 x 2 that turn row vectors back by roll: v @ _turn(roll) is upright."""
    cos, sin = roll.cos(), roll.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)

"""Who says how good frames are, beyond pixels: a face finder (AKD, MKR), an identity network (AED, CSIM), Inception
(FID).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..faces import finders
from ..faces.face import distinct, ordered
from ..faces.following import WITH_LANDMARKS
from ..landmarks import COUNT
from ..models.inception import Inception
from ..models.perception import Perception
from ..paths import shipped, torch_hub, weights_folder
from ..zoo.checks import digest

IDENTITY = (
    "perception network (it knows drawn heads alone; not the papers' face network, so AED and CSIM are not theirs)"
)
INCEPTION, DIGITS = "pt_inception-2015-12-05-6726825d.pth", "6726825d"  # the file of most published FIDs; its SHA-256


class Landmarks:
    """The landmarks of frames, all by one finder: "auto" (drawn heads, else people; the first that sees a face stays),
    "perception", "face-alignment", or one of your own. Raises ConfigError for a finder without landmarks.
    """

    def __init__(self, backend: str | finders.Finder = "auto") -> None:
        if backend == "cascade":
            raise ConfigError(
                "The cascade finds boxes alone, and AKD compares landmarks.",
                f"Choose one of: auto, {', '.join(WITH_LANDMARKS)}.",
            )
        self._finder = finders.Auto(WITH_LANDMARKS) if backend == "auto" else finders.choose(backend)

    @property
    def name(self) -> str:
        """Who serves."""
        return finders.name_of(self._finder)

    @property
    def tried(self) -> str:
        """What was asked and what came of it, in words."""
        return finders.tried(self._finder)

    def __call__(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 T x H x W x 3 -> landmarks T x 68 x 2 of the largest face of each, in -1 … 1 from edge to edge,
        NaN where there is none. As in the papers each frame is looked at by itself: nobody is followed.
        """
        points, size = np.full((len(frames), COUNT, 2), np.nan), np.array(frames.shape[2:0:-1])
        for row, faces in enumerate(self._finder(frames)):
            if marked := ordered(distinct(face for face in faces if face.landmarks is not None)):
                points[row] = marked[0].landmarks * 2 / size - 1
        return torch.from_numpy(points).float()


class Identity:
    """Pictures B x 3 x H x W in 0..1 -> embeddings B x 128, of length 1."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._network = Perception.load(shipped("checkpoints/mini/perception.safetensors")).to(device)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        return self._network(pictures)["identity"]


def inception(device: torch.device | str = "cpu") -> nn.Module:
    """The network behind FID, from a file that people put there themselves. Raises CheckpointError that says which and
    where.
    """
    places = [folder / INCEPTION for folder in (weights_folder(), torch_hub())]
    path = next(filter(Path.is_file, places), None)
    if path is None:
        raise CheckpointError(
            f"FID needs Inception's weights, and {INCEPTION} is not here.",
            f"Get that file (the project pytorch-fid publishes it, 91 MB) and put it into {places[0].parent}.",
        )
    if not digest(path).startswith(DIGITS):
        raise CheckpointError(
            f"{path} is another file, or cut off: its SHA-256 doesn't begin with {DIGITS}.", "Get it again."
        )
    return Inception.load(path).to(device)

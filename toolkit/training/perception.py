"""What training the perception network means: landmarks are known, and two pictures of one character are closer than
two characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.perception import SIZE, Perception
from .data import HELD_OUT, Puppets, View, distort
from .recipe import Recipe, Stage


class PerceptionTask:
    """The task of the recipes with task = "perception". See `loop.Task`."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.modules: dict[str, nn.Module] = {"perception": Perception()}
        self.data = Puppets(recipe.data, recipe.seed, device)
        self._held: tuple[View, Tensor] | None = None

    def prepare(self, stage: Stage) -> None:
        """Nothing depends on the stage."""

    def batch(self, stage: Stage, step: int) -> tuple[View, Tensor]:
        """Two pictures each of batch / 2 characters, as a camera and a codec might have changed them."""
        view, who = self.data.views(step, stage.size, stage.batch, per_character=2)
        return View(distort(view.picture, self.data.generator(step)), view.points, view.jacobian, view.landmarks), who

    def losses(self, batch: tuple[View, Tensor], stage: Stage) -> dict[str, Tensor]:
        view, who = batch
        out = self.modules["perception"](view.picture.contiguous(memory_format=torch.channels_last))
        error = (out["landmarks"] - view.landmarks).abs()
        return {
            "landmarks": stage.weights.get("landmarks", 1.0) * (error + 2 * error.square()).sum(-1).mean(),
            "identity": stage.weights.get("identity", 0.02) * contrast(out["identity"], who),
        }

    def adversary(self, batch: Any, stage: Stage) -> Tensor | None:
        return None

    def measure(self) -> dict[str, float]:
        """Held out: landmark error in pixels at SIZE, and how often the nearest of 63 other pictures is the same
        character.
        """
        if self._held is None:
            self._held = Puppets(self.recipe.data, HELD_OUT // 1_000_000, self.device).views(
                0, SIZE, 64, per_character=2
            )
        view, who = self._held
        with torch.no_grad():
            out = self.modules["perception"](view.picture)
        near = (out["identity"] @ out["identity"].T).fill_diagonal_(-2).argmax(1)
        pixels = (out["landmarks"] - view.landmarks).norm(dim=-1).mean() * SIZE / 2
        return {"landmark_px": float(pixels), "recognised": float((who[near] == who).float().mean())}

    def sheet(self) -> Any:
        return None

    def export(self, path: Path, facts: Mapping[str, Any]) -> None:
        from safetensors.torch import save_file

        part = path.with_name(path.name + ".part")
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in self.modules["perception"].state_dict().items()
        }
        about = {"kind": "perception", **{key: str(value) for key, value in facts.items()}}
        save_file({key: value.cpu().contiguous() for key, value in state.items()}, part, metadata=about)
        part.replace(path)


def contrast(embeddings: Tensor, who: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss of unit vectors B x D: each should be nearest to the other pictures of its
    character.
    """
    likeness = (embeddings @ embeddings.T / temperature).fill_diagonal_(-1e4)
    same = (who[:, None] == who[None, :]).float().fill_diagonal_(0)
    return -(F.log_softmax(likeness, 1) * same).sum(1).div(same.sum(1).clamp(min=1)).mean()

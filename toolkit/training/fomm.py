"""What training FOMM means beside `published.py` and `drawn.py`: keypoints that keep their Jacobians, and an
adversary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError
from . import losses as loss
from .data import Batch, View
from .drawn import Drawn
from .published import Found
from .recipe import Stage


class FommTask(Drawn):
    """The task of the recipes with task = "fomm". See `task.Task`."""

    family = "fomm"
    _step: dict[str, Any]  # of the last forward pass: what the discriminator's turn needs

    def adversaries(self) -> dict[str, nn.Module]:
        return {"discriminator": self.animator.discriminator} if "discriminator" in self.animator.config else {}

    def check(self, stage: Stage) -> None:
        super().check(stage)
        judged = bool(stage.weights.get("generator_gan"))
        if judged and "discriminator" not in self.modules:
            raise ConfigError(
                f"Stage '{stage.name}' has the loss generator_gan.",
                "Give the model a discriminator ([model.discriminator]), or leave the loss out.",
            )
        if "discriminator" in stage.train and not judged:
            raise ConfigError(
                f"Stage '{stage.name}' trains a discriminator that judges nothing.",
                "Give it the loss generator_gan, or leave it out of train.",
            )

    @property
    def network(self) -> Any:
        return self.animator.generator

    @property
    def flow(self) -> Any:
        return self.animator.generator.flow

    @property
    def count(self) -> int:
        return self.animator.config["kp_detector"]["num_kp"]

    def move(self, encoded: Mapping[str, Tensor], found: Found, dropout: float = 0.0) -> dict[str, Any]:
        return self.network.move(encoded, found["driving"], found["source"])

    def objective(self, out: Mapping[str, Any], found: Found, frames: Tensor, stage: Stage) -> dict[str, Tensor]:
        weights, total, driving = stage.weights, {}, found["driving"]
        prediction, wanted = out["prediction"], out["wanted"]
        if weights.get("generator_gan"):
            kp = {name: tensor.detach() for name, tensor in driving.items()}
            disc = self.modules["discriminator"]
            fake = disc(self.pyramid(prediction), kp)
            total["generator_gan"] = weights["generator_gan"] * loss.generator_gan(fake)
            if weights.get("feature_matching"):
                real = disc(self.pyramid(wanted), kp)
                total["feature_matching"] = loss.feature_matching(real, fake, weights["feature_matching"])
            self._step = {"pair": (prediction.detach(), wanted), "kp": kp}
        if not weights.keys().isdisjoint(("equivariance_value", "equivariance_jacobian")):
            transform = self.transform(len(frames))
            there = self.find(transform.transform_frame(frames, self.animator.align_corners))
            if weight := weights.get("equivariance_value"):
                value = loss.equivariance_value(driving["value"], transform, there["value"])
                total["equivariance_value"] = weight * value
            if weight := weights.get("equivariance_jacobian"):
                turned = loss.equivariance_jacobian(driving["jacobian"], transform, there["value"], there["jacobian"])
                total["equivariance_jacobian"] = weight * turned
        return total

    def adversary(self, batch: Batch, stage: Stage) -> Tensor | None:
        """The discriminator's turn: the picture of the generator's turn against the true one, both detached."""
        pair, kp = self._step["pair"], self._step["kp"]
        disc = self.modules["discriminator"]
        fake = disc(self.pyramid(pair[0].detach()), kp)
        real = disc(self.pyramid(pair[1].detach()), kp)
        return stage.weights.get("discriminator_gan", 1.0) * loss.discriminator_gan(real, fake)

    def as_motion(self, places: Tensor, jacobian: Tensor) -> dict[str, Tensor]:
        return {"value": places, "jacobian": jacobian}

    def lessons(self, found: Mapping[str, Tensor], view: View) -> dict[str, Tensor]:
        terms = super().lessons(found, view)
        return terms | {"jacobians": loss.keypoint_jacobian(found["jacobian"], view.jacobian)}

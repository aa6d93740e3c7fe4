"""What training MRAA means beside `published.py` and `drawn.py`: regions that keep their place and their axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..models.motion import inverse, product
from ..models.mraa import principal_axes, spread, upright
from . import losses as loss
from .data import Batch, View
from .drawn import Drawn
from .published import Found
from .recipe import Stage

# Standard deviations, across and along, of the region that stands for an anchor whose neighbourhood is not turned. Axes
# are found by the longer one, so a region must be clearly longer than wide, also when a head that turns makes it
# narrow: over random poses, axes of round regions are off by more (0.29) than a head ever turns (0.15), these by 0.03.
SPOT = (0.075, 0.192)


class MraaTask(Drawn):
    """The task of the recipes with task = "mraa". See `task.Task`."""

    family = "mraa"
    detector = "region_predictor"
    places = "shift"

    @property
    def network(self) -> Any:
        return self.animator.generator

    @property
    def flow(self) -> Any:
        return self.animator.generator.flow

    @property
    def count(self) -> int:
        return self.animator.config["region_predictor"]["num_regions"]

    def move(self, encoded: Mapping[str, Tensor], found: Found, dropout: float = 0.0) -> dict[str, Any]:
        return self.network.move(encoded, found["driving"], found["source"], found.get("background"))

    def objective(self, out: Mapping[str, Any], found: Found, frames: Tensor, stage: Stage) -> dict[str, Tensor]:
        """Equivariance of centres and, where regions have them, axes. Axes point either way: a half turn is none."""
        weights, total = stage.weights, {}
        if not weights.keys().isdisjoint(("equivariance_shift", "equivariance_affine")):
            transform, driving = self.transform(len(frames)), found["driving"]
            there = self.find(transform.transform_frame(frames, self.animator.align_corners))
            if weight := weights.get("equivariance_shift"):
                shift = loss.equivariance_value(driving["shift"], transform, there["shift"])
                total["equivariance_shift"] = weight * shift
            if "affine" in driving and (weight := weights.get("equivariance_affine")):
                either_way = self.animator.config["generator"]["revert_axis_swap"]
                affine = loss.equivariance_jacobian(
                    driving["affine"], transform, there["shift"], there["affine"], either_way
                )
                total["equivariance_affine"] = weight * affine
        return total

    def parted(self, source: Mapping[str, Tensor], driving: Mapping[str, Tensor], factor: Tensor) -> dict[str, Tensor]:
        factor = factor[:, None]
        pose = {"shift": driving["shift"] * factor, "affine": driving["affine"] * factor[..., None]}
        return self.modules["avd_network"](source, pose)

    def posed(self, batch: Batch, stage: Stage) -> tuple[dict[str, Tensor], ...]:
        """The answer's axes point as the driver's do: either way is right, and nothing tells which is meant."""
        source, driving, truth = super().posed(batch, stage)
        affine = truth["affine"] * upright(product(truth["affine"], inverse(driving["affine"])))
        return source, driving, truth | {"affine": affine}

    def as_motion(self, places: Tensor, jacobian: Tensor) -> dict[str, Tensor]:
        affine = jacobian * jacobian.new_tensor(SPOT)
        covar = spread(affine)
        if self.animator.config["region_predictor"]["pca_based"]:
            affine = principal_axes(covar)
        return {"shift": places, "affine": affine, "covar": covar}

    def lessons(self, found: Mapping[str, Tensor], view: View) -> dict[str, Tensor]:
        terms = super().lessons(found, view)
        if "covar" in found:
            wanted = self.as_motion(view.points, view.jacobian)["covar"]
            terms["covariances"] = (found["covar"] - wanted).abs().mean() / (SPOT[0] * SPOT[1])
        return terms

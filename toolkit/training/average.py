"""Averaged weights: what is shown, measured and exported of a model that learns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of modules' weights and running statistics. Each module's warms up from the moment
    it begins to learn, so that no average is stuck at the start.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.decay, self.modules = decay, modules
        self.state = self._now()
        self.counts = dict.fromkeys(modules, 0)

    def _now(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value.detach().clone()
            for name, m in self.modules.items()
            for key, value in m.state_dict().items()
        }

    @torch.no_grad()
    def update(self, names: Iterable[str]) -> None:
        """Take in the weights of the modules that just learned."""
        for name in names:
            count = self.counts[name] = self.counts[name] + 1
            decay, module = min(self.decay, (1 + count) / (10 + count)), self.modules[name]
            for key, value in module.state_dict().items():
                kept = self.state.get(f"{name}.{key}")
                if kept is None or kept.shape != value.shape or not value.is_floating_point():
                    self.state[f"{name}.{key}"] = value.detach().clone()
                else:
                    kept.lerp_(value, 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the modules hold the averaged weights and are in evaluation mode."""
        own, modes = self._now(), {part: part.training for m in self.modules.values() for part in m.modules()}
        try:
            self._load(self.state)
            for module in self.modules.values():
                module.eval()
            yield
        finally:
            self._load(own)
            for part, mode in modes.items():
                part.training = mode

    def _load(self, state: Mapping[str, Tensor]) -> None:
        for name, module in self.modules.items():
            prefix = name + "."
            module.load_state_dict(
                {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}, strict=False
            )

"""Read a golden case: its manifest, its arrays, and how near ours must come."""

import functools
import json
from pathlib import Path

import numpy as np
import torch

from tests.golden.fill import fill, picture

GOLDEN = Path(__file__).parent / "golden"


class Case:
    """One case of tests/golden/<family>/: `config` and the rest of the manifest as attributes, arrays by key."""

    def __init__(self, family, name):
        self.manifest = json.loads((GOLDEN / family / f"{name}.json").read_text())
        self.arrays = np.load(GOLDEN / family / f"{name}.npz")

    def __getattr__(self, name):
        try:
            return self.manifest[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key):
        return torch.from_numpy(self.arrays[key])

    @property
    def expected(self):
        """The keys of what ours must give; the others are inputs."""
        given = (key for key, output in self.outputs.items() if output.get("what", "").startswith("input:"))
        roles = {key: output.get("role", "expected") for key, output in self.outputs.items()} | dict.fromkeys(given)
        return [key for key, role in roles.items() if role == "expected"]

    def fill(self, name, module):
        """Check a module's keys (order too), shapes and parameter count against the manifest, then fill it."""
        wanted = self.modules[name]
        shapes = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
        assert list(shapes.items()) == list(wanted["state_dict"].items())
        if name in self.params:
            assert sum(parameter.numel() for parameter in module.parameters()) == self.params[name]
        return fill(module, wanted["constant"], wanted["gains"])

    def check(self, key, tensor):
        """Compare one output with what the published implementation gave."""
        output = self.outputs[key]
        if "full_shape" in output:
            assert list(tensor.shape) == output["full_shape"]
        index = output.get("subsampling", output.get("sub_sampling", "all"))
        ours = tensor.detach().numpy()[() if index == "all" else _index(index)]
        tolerance = output.get("tolerance", self.manifest.get("tolerance_by_output", {}).get(key, self.tolerance))
        assert list(ours.shape) == output["shape"]
        difference = np.abs(ours.astype(np.float64) - self.arrays[key]).max()
        assert difference <= tolerance, f"{key}: {difference:.2g} > {tolerance}"


def _index(text):
    """ "[0, ::4]" or "[..., ::4]" as an index."""

    def one(part):
        numbers = [int(number) if number else None for number in part.split(":")]
        return slice(*numbers) if numbers[1:] else numbers[0]

    parts = [part.strip() for part in text.strip("[]").split(",")]
    return tuple(... if part == "..." else one(part) for part in parts)


@functools.lru_cache(maxsize=8)
def case(family, name):
    return Case(family, name)


def pictures(height, width, *phases, channels=3):
    """The inputs of the golden cases: one row a phase."""
    return torch.from_numpy(np.stack([picture(height, width, phase, channels) for phase in phases]))

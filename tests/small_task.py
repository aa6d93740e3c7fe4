"""A training whose steps cost nothing: one weight that learns to be 3, in two stages."""

import numpy as np
import torch
from torch import nn

from toolkit.training import Recipe
from toolkit.training.loop import Trainer

STAGE = {"train": ["line"], "schedule": "constant", "warmup": 1, "lr": 0.1, "batch": 4}


class Line:
    """See `task.Task`. sheets: how often a preview was drawn."""

    def __init__(self):
        self.modules = {"line": nn.Linear(1, 1)}
        self.sheets = 0

    def open(self, stages):
        pass

    def prepare(self, stage):
        pass

    def batch(self, stage, step, part=None):
        return torch.linspace(0.1, 1, stage.batch)[:, None]

    def losses(self, batch, stage):
        error = self.modules["line"](batch) - 3 * batch
        return {"slope": error.square().mean(), "bias": error.mean().square()}

    def adversary(self, batch, stage):
        return None

    def measure(self):
        weight, bias = (float(part.detach()) for part in (self.modules["line"].weight, self.modules["line"].bias))
        return {"off": abs(weight - 3), "off_px": 64 * abs(bias)}

    def sheet(self):
        self.sheets += 1
        return np.full((8, 24, 3), 10 * self.sheets, np.uint8)

    def export(self, path, facts):
        path.write_bytes(b"weights")


def recipe(steps=(3, 4), **settings):
    stages = [{**STAGE, "name": f"stage-{number}", "steps": count} for number, count in enumerate(steps)]
    table = {"name": "line", "task": "fomm", "model": {}, "precision": "fp32", "stages": stages}
    return Recipe.load(table | {"measure": 0, "sheet": 0, "checkpoint": 0, **settings})


def trainer(monkeypatch, folder, listen=None, steps=(3, 4), **settings):
    monkeypatch.setattr("toolkit.training.loop.make_task", lambda *_: Line())
    return Trainer(recipe(steps, **settings), folder, device="cpu", progress=False, listen=listen)

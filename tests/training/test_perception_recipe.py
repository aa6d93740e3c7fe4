"""The recipe of the perception network: each stage trains its own part, and a run that is killed goes on exactly."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from toolkit.models.perception import Perception
from toolkit.training import Recipe
from toolkit.training.loop import Trainer
from toolkit.training.parts import Part
from toolkit.training.perception import NEGATIVE, PerceptionTask

SMALL = {
    "output": "",
    "precision": "fp32",
    "checkpoint": 0,
    "measure": 0,
    "data.characters": 8,
    "data.poses": 2,
}
SMALL |= {f"stages.{k}.steps": 2 for k in range(3)} | {f"stages.{k}.batch": 4 for k in range(3)}
SMALL |= {"stages.0.size": 64, "stages.1.size": 64, "stages.2.size": 64}


@pytest.fixture
def trainer(tmp_path):
    def make(folder):
        return Trainer(Recipe.load("perception", SMALL), tmp_path / folder, device="cpu", progress=False)

    return make


def test_each_stage_trains_its_own_part(trainer):
    run = trainer("run")
    for trained in ({"eyes", "deep", "middle", "fine", "mix", "points", "identity"}, {"detector"}, {"aligner"}):
        before = {name: [p.clone() for p in part.parameters()] for name, part in run.task.modules.items()}
        for _ in range(2):
            assert all(value == value for value in run.advance().values())
        moved = {
            name
            for name, part in run.task.modules.items()
            if not all(map(torch.equal, part.parameters(), before[name]))
        }
        assert moved == trained
    numbers = run.task.measure()
    assert {"landmark_px", "recognised", "recall", "precision", "align_error", "told"} == set(numbers)


def test_a_run_that_is_killed_goes_on_as_if_it_never_was(trainer):
    whole = load_file(str(trainer("whole").run()))
    broken = trainer("broken")
    broken.folder.mkdir()
    for _ in range(3):
        broken.advance()
    broken.save()
    again = load_file(str(trainer("broken").run(resume=True)))
    assert set(whole) == set(again) == set(Perception().state_dict())
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_the_aligner_is_shown_faces_and_none(trainer):
    task: PerceptionTask = trainer("run").task
    stage = dataclasses.replace(task.recipe.stages[2], size=128, batch=16)
    shown = task.batch(stage, 7)["windows"]
    assert 0 < len(shown.landmarks) <= round((1 - NEGATIVE) * stage.batch)
    assert len(shown.crops) > len(shown.landmarks)
    part = task.batch(stage, 7, Part(1, 2))["windows"]
    assert len(shown.crops) > len(part.crops) > len(part.landmarks) > 0, "a part is a batch of its own"

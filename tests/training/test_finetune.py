"""Fine-tuning: what a run begins with, the model it gets from there, and what a fine-tuned model tells of itself."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from tests.training.test_tasks import recipe, whole
from toolkit import puppets, zoo
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.models import FAMILIES, build
from toolkit.training import Recipe, beginning
from toolkit.training.loop import Trainer, make_task
from toolkit.zoo import catalogue

FINE = ["finetune", "finetune-mraa", "finetune-tpsmm", "mini-finetune"]
STAGE = {"name": "generator", "train": ["generator"], "frozen_norms": True, "weights": {"pyramid": 1.0}}


@pytest.fixture
def data(tmp_path):
    """Two clips of one drawn head, folders of pictures."""
    who = puppets.identities(1, 3)
    for part, seed in (("train", 1), ("test", 2)):
        folder = tmp_path / "data" / part / f"she#{seed}"
        folder.mkdir(parents=True)
        drawn = puppets.draw(who.repeat(3), puppets.poses(3, seed), size=64)[:, :3]
        for number, picture in enumerate((drawn * 255).byte().permute(0, 2, 3, 1).numpy()):
            Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def first(tmp_path):
    """A run on puppets, of one step."""
    run = Trainer(Recipe.load(recipe("fomm", [whole("fomm", steps=1)])), tmp_path / "first", "cpu", progress=False)
    run.run()
    return run


def tuning(**more):
    return {**recipe("fomm", [STAGE | {"steps": 1}]), "name": "tuning", "model": {}, **more}


def test_a_run_goes_on_from_another_with_its_model(first, data, tmp_path):
    before = toolkit.load(first.folder)
    file = toolkit.train(tuning(), data=data, init=first.folder, output=tmp_path / "mine", progress=False)
    after = toolkit.load(tmp_path / "mine")
    assert file.parent == tmp_path / "mine" and after.config == before.config
    assert (after.info.crop, after.info.drawn, after.info.size) == ("bust", True, 64)
    same, moved = (
        [torch.equal(a, b) for a, b in zip(getattr(before, part).parameters(), getattr(after, part).parameters())]
        for part in ("kp_detector", "generator")
    )
    assert all(same) and not all(moved)


def test_it_resumes_without_the_first_weights(first, data, tmp_path):
    where = {"data": data, "output": tmp_path / "mine", "progress": False}
    toolkit.train(tuning(), init=first.folder, **where)
    first.folder.rename(tmp_path / "gone")
    longer = tuning(stages=[STAGE | {"steps": 2, "size": 64, "batch": 2}])
    with pytest.warns(UserWarning, match="steps was 1, is 2"):
        toolkit.train(longer, resume=True, **where)
    assert sorted((tmp_path / "mine").glob("step-*.pt"))[-1].name == "step-0000002.pt"
    noted = json.loads((tmp_path / "mine" / "recipe.json").read_text())
    assert noted["model"]["kp_detector"]["num_kp"] == 5 and noted["crop"] == "bust"


@pytest.mark.parametrize("kind", ["own", "published", "without"])
def test_a_discriminator_of_another_kind_begins_at_random(first, tmp_path, kind):
    """As vox-adv goes on from vox: the one sees keypoints, the other doesn't (spec fomm, section 10)."""
    (checkpoint,) = first.checkpoints()
    if kind == "published":
        checkpoint = toolkit.export(first.folder, tmp_path / "cpk.pth.tar", published=True)
    elif kind == "without":
        checkpoint = first.folder / "model.safetensors"
    words, blind = [], {"model.discriminator.use_kp": kind == "without"}
    table = Recipe.load(recipe("fomm", [whole("fomm", steps=1)]), blind)
    run = Trainer(table, tmp_path / "run", "cpu", progress=False, listen=lambda news: words.append(news.text))
    random = {key: value.clone() for key, value in run.task.modules["discriminator"].state_dict().items()}
    run.begin_with(checkpoint)
    ours = run.task.modules["discriminator"].state_dict()
    assert all(ours[key].equal(value) for key, value in random.items())
    kept = torch.load(first.checkpoints()[0], weights_only=True)["average"]
    ours = run.task.modules["generator"].state_dict()["final.weight"]
    torch.testing.assert_close(ours, kept["generator.final.weight"], rtol=1e-3, atol=1e-4)
    run.run(init=checkpoint)
    assert words[0] == f"{checkpoint} has no discriminator that fits: it begins at random."


def test_a_discriminator_that_fits_is_taken(first, tmp_path):
    run = Trainer(Recipe.load(recipe("fomm", [whole("fomm", steps=1)])), tmp_path / "run", "cpu", progress=False)
    run.begin_with(first.checkpoints()[0])
    kept = torch.load(first.checkpoints()[0], weights_only=True)["average"]
    for key, value in run.task.modules["discriminator"].state_dict().items():
        assert value.equal(kept[f"discriminator.{key}"])
    assert not run.learner.notes


def test_a_checkpoint_gives_its_averaged_weights(first):
    (checkpoint,) = first.checkpoints()
    with torch.no_grad():
        for parameter in first.task.modules["generator"].parameters():
            parameter.zero_()
    first.begin_with(checkpoint)
    for key, value in first.task.modules["generator"].state_dict().items():
        torch.testing.assert_close(value, torch.load(checkpoint, weights_only=True)["average"][f"generator.{key}"])


@pytest.mark.parametrize(("family", "name"), [("fomm", "fomm-vox"), ("fomm", "vox-256"), ("mraa", "vox256")])
def test_init_takes_names_of_the_zoo(family, name, tmp_path, monkeypatch):
    """The published file in its place stands for a download."""
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path))
    entry = catalogue.entries()[f"{family}-vox"]
    entry.folder.mkdir(parents=True)
    small = build(family, recipe(family, [])["model"])
    zoo.save(small, entry.folder / f"{entry.name}.safetensors", half=False)
    path = beginning.find(name, family)
    assert path == entry.folder / f"{entry.name}.safetensors"
    detector = {"fomm": "kp_detector", "mraa": "region_predictor"}[family]
    for key, value in beginning.weights(path)[detector].items():
        assert torch.equal(value, getattr(small, detector).state_dict()[key])


def test_the_shipped_mini_is_a_beginning(data):
    begun = beginning.begun(Recipe.load("mini-finetune", {"clips.folder": str(data)}), "mini-fomm")
    mini = toolkit.load("mini-fomm")
    task = make_task(begun, torch.device("cpu"))
    assert task.animator.config == mini.config and task.animator.align_corners == mini.align_corners
    assert (begun.crop, begun.drawn, begun.licence) == (mini.info.crop, True, mini.info.licence)
    task.close()


def test_what_cannot_be_begun_is_said_before_the_first_step(first, data, tmp_path, capsys):
    where = {"output": tmp_path / "mine", "progress": False}
    with pytest.raises(ConfigError, match="no model of its own.*--init"):
        toolkit.train(tuning(), data=data, **where)
    with pytest.raises(InputError, match="'mini-finetune' learns from clips.*--data"):
        toolkit.train("mini-finetune", **where)
    with pytest.raises(ConfigError, match="model of the family fomm; the recipe 'finetune-mraa' trains mraa"):
        toolkit.train("finetune-mraa", data=data, init=first.folder, **where)
    with pytest.raises(CheckpointError, match="no model 'mini-form'.*mini-fomm"):
        toolkit.train(tuning(), data=data, init="mini-form", **where)
    assert main(["train", "finetune", "--data", str(data), "--init", str(tmp_path / "none.pth")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", FINE)
def test_fine_tuning_is_gentle(name):
    """Against the family's own training: lower rates, frozen norms, a detector that keeps still or is held."""
    fine = Recipe.load(name)
    assert fine.init in {**catalogue.entries(), **zoo.SHIPPED} and fine.model == {}
    published = FAMILIES[fine.task].published
    known = set(build(fine.task, next(iter(published))).parts)
    own = 1.5e-3 if name.startswith("mini") else 2e-4
    for stage in fine.stages:
        assert stage.frozen_norms and max(stage.lr.values()) < own / 2 and stage.steps <= 500
        assert set(stage.train) <= known and "avd_network" not in stage.train
        if "kp_detector" in stage.train:
            assert stage.weights["equivariance_value"] and stage.weights["equivariance_jacobian"]
            assert stage.lr["kp_detector"] < stage.lr["generator"]


def test_text_stays_text_on_the_command_line():
    text = Recipe.load(
        recipe("fomm", [whole("fomm", steps=1)]),
        ["stages.0.keypoints=true", "name=2026", "precision='bf16'", "model.kp_detector.pad=2", "clips.flip=false"],
    )
    assert (text.stages[0].keypoints, text.name, text.precision) == ("true", "2026", "bf16")
    assert text.model["kp_detector"]["pad"] == 2 and text.clips.flip is False

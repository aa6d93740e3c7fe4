"""A run animates at once, and goes out as one file, the toolkit's own or in the published layout."""

import json

import pytest
import torch

import toolkit
from tests.golden_case import pictures
from tests.models import test_fomm, test_mraa, test_tpsmm
from tests.training.test_loop import TINY
from toolkit import zoo
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, OutputError
from toolkit.training import Recipe
from toolkit.training.loop import Trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    recipe = Recipe.load(TINY, {"stages.0.steps": 1, "stages.1.steps": 1, "sharpen": 2.0})
    Trainer(recipe, folder, device="cpu", progress=False).run()
    return folder


@torch.no_grad()
def shown(animator, side=64):
    """Frames of a model, driven with absolute motion."""
    source = animator.encode(pictures(side, side, 0.0))
    motion = animator.motion(pictures(side, side, 0.3, 0.6), source=source)
    return animator.render(source, animator.transfer(source, motion, mode="absolute"))


def test_a_run_loads(run):
    animator = toolkit.load(run)
    assert animator.info.config == "tiny" and animator.info.crop == "bust"
    assert shown(animator).shape == (2, 3, 64, 64)


def test_an_unfinished_run_says_so(tmp_path):
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "recipe.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no model yet"):
        toolkit.load(tmp_path / "young")


def test_a_run_is_exported_as_its_trainer_does(run, tmp_path):
    path = toolkit.export(run, tmp_path / "mine.safetensors")
    ours, trainers = zoo.read(path)[0], zoo.read(run / "model.safetensors")[0]
    assert {part: {key: tensor.dtype for key, tensor in state.items()} for part, state in ours.items()} == {
        part: {key: tensor.dtype for key, tensor in state.items()} for part, state in trainers.items()
    }
    assert all(
        torch.equal(tensor, trainers[part][key]) for part, state in ours.items() for key, tensor in state.items()
    )
    meta = zoo.read(path)[1]
    assert meta["recipe"] == "tiny" and meta["steps"] == 2 and meta["config"] == toolkit.load(run).config


def test_a_run_in_the_published_layout(run, tmp_path, capsys):
    path = tmp_path / "mine.pth.tar"
    assert main(["export", str(run), "-o", str(path), "--published"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    content = torch.load(path, weights_only=True)
    assert set(content) == {"generator", "kp_detector", "epoch", "toolkit"}
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in content["generator"].values())
    assert content["generator"].keys() == toolkit.load(run).generator.state_dict().keys()
    assert zoo.verify(path).loads
    loaded = toolkit.load(path)
    full = toolkit.export(run / "step-0000002.pt", tmp_path / "full.safetensors", half=False)
    assert torch.equal(shown(loaded), shown(toolkit.load(full)))
    assert torch.allclose(shown(loaded), shown(toolkit.load(run)), atol=0.02), "but for the half precision of that"
    assert (loaded.info, loaded.config) == (toolkit.load(run).info, toolkit.load(run).config)


@pytest.mark.parametrize("family", ["fomm", "mraa", "tpsmm"])
def test_published_round_trip(tmp_path, family):
    animator = {"fomm": test_fomm, "mraa": test_mraa, "tpsmm": test_tpsmm}[family].small()
    zoo.save(animator, tmp_path / "own.safetensors", half=False)
    path = toolkit.export(tmp_path / "own.safetensors", tmp_path / "out.pth", published=True)
    assert path.read_bytes()[:2] == (b"PK" if family == "tpsmm" else b"\x80\x02"), "as their programs wrote them"
    report = zoo.verify(path)
    assert report.loads and report.model == family and not report.wrong
    loaded = toolkit.load(path)
    assert loaded.config == animator.config and loaded.align_corners == animator.align_corners
    side = 64
    assert torch.equal(shown(loaded, side), shown(animator, side))
    content = torch.load(path, weights_only=True)
    del content["toolkit"]  # what is left is what the authors' programs see
    torch.save(content, tmp_path / "bare.pth")
    parts, meta = zoo.read(tmp_path / "bare.pth")
    assert meta == {} and zoo.recognise(tmp_path / "bare.pth", parts, meta)[0] == family


def test_what_is_refused(run, tmp_path):
    (tmp_path / "there.safetensors").write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="already there"):
        toolkit.export(run, tmp_path / "there.safetensors")
    with pytest.raises(OutputError, match="ending"):
        toolkit.export(run, tmp_path / "model.pth.tar")
    with pytest.raises(OutputError, match="ending"):
        toolkit.export(run, tmp_path / "model.safetensors", published=True)
    with pytest.raises(CheckpointError, match="no model 'mini-fom'"):
        toolkit.export("mini-fom", tmp_path / "x.safetensors")
    lonely = tmp_path / "step-0000002.pt"
    lonely.write_bytes((run / "step-0000002.pt").read_bytes())
    with pytest.raises(CheckpointError, match="model.safetensors, which tells"):
        toolkit.export(lonely, tmp_path / "x.safetensors")
    zoo.save(test_mraa.small(), tmp_path / "model.safetensors")
    (tmp_path / "recipe.json").write_text(json.dumps({"task": "fomm"}))
    with pytest.raises(CheckpointError, match="another model"):
        toolkit.export(lonely, tmp_path / "x.safetensors")
    assert toolkit.export(run, tmp_path / "there.safetensors", overwrite=True).stat().st_size > 100


def test_models_of_several_files_are_not_published_so(tmp_path):
    from tests.models import test_fewshot

    zoo.save(test_fewshot.small("2020"), tmp_path / "few.safetensors")
    with pytest.raises(ConfigError, match="not published in one file"):
        toolkit.export(tmp_path / "few.safetensors", tmp_path / "few.pth", published=True)

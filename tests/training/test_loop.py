"""The loop on a FOMM so small that a step takes a moment: learning, resume, safety."""

import copy
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import toolkit
from tests import small_task
from toolkit.errors import CheckpointError, ConfigError, OutputError
from toolkit.paths import shipped
from toolkit.training import Recipe, checkpoints
from toolkit.training.checkpoints import save_atomically
from toolkit.training.learner import TrainingError, learning_rate
from toolkit.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]
ANCHORS = ["eye_left_upper", "eye_right_upper", "nose", "lip_upper", "chin"]
TINY = {
    "name": "tiny",
    "task": "fomm",
    "seed": 5,
    "anchors": ANCHORS,
    "precision": "fp32",
    "checkpoint": 2,
    "sheet": 0,
    "measure": 0,
    "data": {"characters": 4, "poses": 2, "reuse": 2},
    "model": {
        "align_corners": True,
        "kp_detector": {
            "num_kp": 5, "block_expansion": 4, "max_features": 16, "num_blocks": 2, "estimate_jacobian": True,
            "single_jacobian_map": True, "scale_factor": 0.25, "pad": 3,
        },
        "generator": {
            "num_kp": 5, "block_expansion": 4, "max_features": 8, "num_down_blocks": 2, "num_bottleneck_blocks": 1,
            "estimate_occlusion_map": True,
            "dense_motion_params": {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.25},
        },
    },
    "stages": [
        {
            "name": "keypoints", "steps": 3, "size": 64, "batch": 4, "train": ["kp_detector"], "keypoints": "true",
            "lr": 1e-2, "warmup": 1,
            "weights": {"keypoints": 1.0, "jacobians": 1.0},
        },
        {
            "name": "motion", "steps": 4, "size": 64, "batch": 2, "train": ["generator", "kp_detector"],
            "cross": 0.5, "lr": 1e-3,
            "weights": {"pyramid": 1.0, "gradient": 1.0, "deformed": 1.0, "keypoints": 1.0, "equivariance_value": 1.0},
            "regions": {"head": 3.0},
        },
    ],
}  # fmt: skip


@pytest.fixture
def trainer(tmp_path):
    def make(folder="run", **settings):
        return Trainer(Recipe.load(TINY, settings), tmp_path / folder, device="cpu", progress=False)

    return make


def totals(trainer):
    return [losses["total"] for losses in trainer.history]


def test_training_lowers_the_loss(trainer):
    run = trainer(**{"stages.0.steps": 25})
    run.run()
    first, last = totals(run)[:4], totals(run)[21:25]
    assert sum(last) < 0.8 * sum(first)


KILLED = """
import json, os, signal, sys, torch
from toolkit.training import Recipe
from toolkit.training.loop import Trainer

recipe, folder, moment = json.loads(sys.argv[1]), *sys.argv[2:]
run = Trainer(Recipe.load(recipe), folder, device="cpu", progress=False)
save, move = torch.save, run.learner.move

def half(state, file):
    if state["step"] == 4:
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(state, file)

def last(stage, within):
    move(stage, within)
    if run.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "while it saves":
    torch.save = half
else:
    run.learner.move = last
run.run()
"""


@pytest.mark.parametrize(("moment", "last"), [("while it saves", 2), ("while it learns", 4)])
def test_a_killed_run_goes_on_with_the_same_losses(trainer, moment, last):
    """By kill -9, in a process of its own: writing the checkpoint of step 4, and in step 5, of the second stage."""
    whole, folder = trainer("whole"), trainer("killed").folder
    whole.run()
    command = [sys.executable, "-c", KILLED, json.dumps(TINY), str(folder), moment]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    again = trainer("killed")
    assert again.checkpoints()[-1].name == f"step-{last:07d}.pt"
    again.run(resume=True)
    assert totals(again) == pytest.approx(totals(whole)[last:], rel=1e-5)
    ours, theirs = (torch.load(run.checkpoints()[-1], weights_only=True) for run in (whole, again))
    for key, value in ours["average"].items():
        torch.testing.assert_close(theirs["average"][key], value, rtol=1e-4, atol=1e-5)
    assert not list(folder.glob("*.part"))


def test_the_result_loads_and_animates(trainer):
    file = trainer(**{"stages.0.steps": 1, "stages.1.steps": 1}).run()
    animator = toolkit.load(file)
    assert animator.info.drawn and animator.align_corners
    pictures = torch.rand(2, 3, 256, 256)
    source = animator.encode(pictures[:1])
    moved = animator.transfer(source, animator.motion(pictures), mode="relative")
    assert animator.render(source, moved).shape == (2, 3, 256, 256)


def test_init_begins_with_the_weights_of_a_run(trainer):
    file = trainer("first", **{"stages.0.steps": 1, "stages.1.steps": 1}).run()
    run = trainer("second")
    run.begin_with(file)
    kept = toolkit.load(file).state_dict()
    for name, module in run.task.modules.items():
        for key, value in module.state_dict().items():
            if not key.endswith("down.weight"):
                torch.testing.assert_close(value, kept[f"{name}.{key}"].to(value), rtol=1e-3, atol=1e-4)
    with pytest.raises(CheckpointError, match="no file of weights"):
        run.begin_with(__file__)
    with pytest.raises(CheckpointError, match="perception.safetensors .* no kp_detector"):
        run.begin_with(shipped("checkpoints/mini/perception.safetensors"))


def test_nan_stops_and_names_the_last_good_checkpoint(trainer):
    run = trainer()
    losses, run.task.losses = run.task.losses, None
    run.task.losses = lambda batch, stage: {
        n: v * (float("nan") if run.step == 3 else 1) for n, v in losses(batch, stage).items()
    }
    with pytest.raises(TrainingError, match=r"step 3 .*step-0000002\.pt"):
        run.run()


def test_a_folder_with_a_run_is_not_overwritten(trainer):
    run = trainer(**{"stages.0.steps": 1, "stages.1.steps": 1})
    run.run()
    with pytest.raises(ConfigError, match="already holds a run"):
        trainer().run()


def test_interrupt_saves_and_exports(trainer):
    """A real Ctrl-C in the middle of the third step."""
    run = trainer()
    losses = run.task.losses

    def interrupted(batch, stage):
        if run.step == 2:
            signal.raise_signal(signal.SIGINT)
        return losses(batch, stage)

    run.task.losses = interrupted
    assert run.run().is_file()
    assert run.checkpoints()[-1].name == "step-0000003.pt"


def test_only_what_is_complete_goes_to_the_output(tmp_path, monkeypatch):
    """The file that `toolkit.load` takes for the mini is not that of a training stopped after three steps."""
    output = tmp_path / "shipped" / "mini.safetensors"

    def listen(news):
        if news.step == 3:
            raise KeyboardInterrupt

    small_task.trainer(monkeypatch, tmp_path / "run", listen, output=str(output)).run()
    assert (tmp_path / "run" / "model.safetensors").is_file() and not output.exists()
    small_task.trainer(monkeypatch, tmp_path / "run", output=str(output)).run(resume=True)
    assert output.is_file()


@pytest.mark.parametrize("what", ["weight", "average"])
def test_nothing_is_saved_of_weights_that_are_no_numbers(tmp_path, monkeypatch, what):
    """The losses are, all the time."""
    run = small_task.trainer(monkeypatch, tmp_path / "run", checkpoint=2)
    losses = run.task.losses

    def spoiled(batch, stage):
        found = losses(batch, stage)
        if run.step == 3 and what == "weight":
            run.task.modules["line"].bias.register_hook(lambda slope: slope * float("nan"))
        elif run.step == 3:
            run.average.state["line.bias"].fill_(float("inf"))
        return found

    run.task.losses = spoiled
    with pytest.raises(TrainingError, match=r"no longer numbers after step 4 \(line\)") as error:
        run.run()
    assert "step-0000002.pt" in error.value.remedy
    assert [path.name for path in run.checkpoints()] == ["step-0000002.pt"]


def test_a_finished_run_that_is_resumed_keeps_its_optimisers(tmp_path, monkeypatch):
    run = small_task.trainer(monkeypatch, tmp_path / "run")
    run.run()
    before = run.checkpoints()[-1].read_bytes()
    small_task.trainer(monkeypatch, tmp_path / "run").run(resume=True)
    assert run.checkpoints()[-1].read_bytes() == before
    with pytest.warns(UserWarning, match="steps was 4, is 6"):
        longer = small_task.trainer(monkeypatch, tmp_path / "run", steps=(3, 6))
        longer.run(resume=True)
    whole = small_task.trainer(monkeypatch, tmp_path / "whole", steps=(3, 6))
    whole.run()
    assert longer.history == whole.history[7:]


def test_resume_without_a_checkpoint_says_so(tmp_path, monkeypatch):
    words = []
    run = small_task.trainer(monkeypatch, tmp_path / "run", lambda news: words.append(news.text))
    run.run(resume=True)
    assert run.step == 7 and words[0] == f"There is no checkpoint in {tmp_path / 'run'}: it begins anew."


def test_the_recipe_is_written_whole_and_only_when_it_changes(tmp_path, monkeypatch):
    run = small_task.trainer(monkeypatch, tmp_path / "run")
    run.run()
    file = run.folder / "recipe.json"
    os.utime(file, (1, 1))
    small_task.trainer(monkeypatch, tmp_path / "run").run(resume=True)
    assert file.stat().st_mtime == 1
    before = file.read_text()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"recipe\.json could not be written.*No space left"):
        checkpoints.begin(small_task.recipe(seed=9), run.folder)
    assert file.read_text() == before and not list(run.folder.glob("*.part"))
    blocked = small_task.trainer(monkeypatch, tmp_path / "run" / "recipe.json" / "run")
    with pytest.raises(OutputError, match="can't be made"):
        blocked.run()


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "step-0000001.pt"
    save_atomically({"step": 1}, path)

    def full(state, file):
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        save_atomically({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_last_ones_and_the_best_are_kept(trainer):
    """The best of the last stage: what came before had learned less."""
    run = trainer(**{"measure": 1, "checkpoint": 1, "stages.0.steps": 2, "stages.1.steps": 3})
    values = iter([0.5, 0.1, 0.9, 0.7, 0.8])
    run.task.measure = lambda: {"other": 0.0, "same": next(values)}
    run.run()
    assert [path.name for path in run.checkpoints()] == ["step-0000004.pt", "step-0000005.pt"]
    best = torch.load(run.folder / "best.pt", weights_only=True)
    assert best["step"] == 4 and best["best"] == {"stage": "motion", "number": "same", "value": 0.7}
    assert toolkit.load(run.folder / "best.safetensors").info.drawn
    again = trainer(**{"stages.0.steps": 2, "stages.1.steps": 3})
    again.restore(run.checkpoints()[-1])
    assert again.best == best["best"], "what is worse than that is not kept after a resume either"


def scarce(run, rows):
    """A machine with memory for so many rows at once."""
    losses = run.task.losses

    def limited(batch, stage):
        if len(batch) > rows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return losses(batch, stage)

    run.task.losses = limited


def test_too_little_memory_halves_the_batch_once(trainer, capsys):
    run = trainer(**{"stages.1.steps": 0})
    run.progress = True
    scarce(run, 2)
    run.run()
    assert run.step == 3
    assert "from step 0 on a step takes 2 passes" in capsys.readouterr().out
    again = trainer(**{"stages.0.steps": 4, "stages.1.steps": 0})
    again.restore(run.checkpoints()[-1])
    scarce(again, 1)
    with pytest.raises(TrainingError, match="memory for 2 rows of stage 'keypoints' .*accumulate=4"):
        again.advance()


def test_half_precision_leaves_out_steps_that_overflow(trainer):
    run = trainer(precision="fp16", **{"stages.0.frozen_norms": True})
    weights = run.task.modules["kp_detector"].kp.weight
    run.learner.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before = weights.clone()
    run.advance()
    assert weights.equal(before) and run.learner.scaler.get_scale() == 2.0**119
    run.learner.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    run.advance()
    assert not weights.equal(before)
    run.folder.mkdir()
    run.save()
    again = trainer(precision="fp16")
    again.restore(run.checkpoints()[-1])
    assert again.learner.scaler.get_scale() == 2.0**10


def test_a_cut_off_checkpoint_is_named(trainer, tmp_path):
    run = trainer()
    run.folder.mkdir()
    run.advance()
    path = run.save()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=path.name):
        trainer().run(resume=True)


@pytest.mark.parametrize("part", ["flow", "copy"])
def test_parts_of_the_generator_learn_alone(trainer, part):
    weights = {"selection": 1.0, "deformed": 1.0, "keeping": 1.0, "pyramid": 1.0, "gradient": 1.0}
    stage = {"name": part, "part": part, "crop": 32, "steps": 2, "size": 64, "batch": 2, "train": ["generator"]}
    run = trainer(stages=[stage | {"keypoints": "true", "cross": 0.5, "weights": weights, "frozen_norms": True}])
    dense = run.task.modules["generator"].dense_motion_network
    before = [copy.deepcopy(module.state_dict()) for module in (dense.mask, run.task.modules["generator"].final)]
    statistics = dense.hourglass.encoder.down_blocks[0].norm.running_mean.clone()
    run.run()
    after = (dense.mask.state_dict(), run.task.modules["generator"].final.state_dict())
    moved = [not torch.equal(a["weight"], b["weight"]) for a, b in zip(before, after)]
    assert moved == [part == "flow", part == "copy"]
    assert torch.equal(dense.hourglass.encoder.down_blocks[0].norm.running_mean, statistics)


def test_a_window_is_decoded_alone(trainer):
    weights = {"pyramid": 1.0, "gradient": 1.0, "selection": 1.0, "following": 1.0, "deformed": 1.0}
    stage = {"name": "whole", "steps": 2, "size": 64, "window": 32, "batch": 2, "train": ["generator"]}
    run = trainer(stages=[stage | {"keypoints": "true", "cross": 0.5, "weights": weights}])
    generator = run.task.modules["generator"]
    parts = (generator.first.conv, generator.final, generator.dense_motion_network.mask)
    before = [part.weight.clone() for part in parts]
    losses = run.advance()
    assert set(losses) == {*weights, "total"}
    assert [not torch.equal(a, b.weight) for a, b in zip(before, parts)] == [False, True, True]  # the encoder rests


def test_log_and_sheet(trainer):
    run = trainer(measure=7, sheet=7)
    run.run()
    row = json.loads((run.folder / "log.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 7 and row["same"] > 0 and row["cross_mouth"] > 0
    assert (run.folder / "sheet-0000007.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("setting", "value"), [("stages.0.train", ["nobody"]), ("stages.0.schedule", "sometimes"), ("precision", "int8")]
)
def test_what_does_not_exist_is_refused(trainer, setting, value):
    with pytest.raises(ConfigError, match="Choose"):
        trainer(**{setting: value}).run()


def test_schedules():
    stage = Recipe.load(TINY, {"stages.0.steps": 100, "stages.0.warmup": 10}).stages[0]
    rates = [learning_rate(stage, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01) and max(rates) > 0.95 and rates[-1] < 0.05

"""A batch shared: two processes equal one, passes of accumulation equal one pass; the same command begins them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import toolkit
from tests.training.test_loop import TINY
from tests.training.test_tasks import recipe, whole
from toolkit.training import Recipe
from toolkit.training.checkpoints import listed
from toolkit.training.data import Puppets
from toolkit.training.loop import Trainer
from toolkit.training.parts import Part
from toolkit.training.recipe import Data
from toolkit.training.watch import LOSS, read_log

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = {"pyramid": 1.0, "deformed": 1.0, "equivariance_value": 1.0, "equivariance_jacobian": 1.0}
STAGE = TINY["stages"][1] | {"batch": 4, "steps": 3, "weights": WEIGHTS, "regions": {}}
# Norms learn; half of the rows are across identities.
SHARED = TINY | {"stages": [STAGE], "checkpoint": 0, "measure": 3}


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "toolkit", "train"]
PATIENCE = 300  # seconds: two processes on a machine that has other work


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def surroundings(folder):
    return {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HOME": str(folder)}


def launched(*arguments, folder):
    """Run Python with the toolkit at hand; what it printed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=surroundings(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def written(folder, **settings):
    """A recipe's file."""
    file = folder / "shared.toml"
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in (SHARED | settings).items()))
    return file


def losses(folder):
    return [
        {name: row[name] for name in row if name.startswith(LOSS)} for row in read_log(folder) if LOSS + "total" in row
    ]


def test_two_processes_equal_one(tmp_path):
    file = written(tmp_path)
    said = launched(*TORCHRUN, str(file), "-o", "two", folder=tmp_path)
    Trainer(Recipe.load(file), tmp_path / "one", device="cpu", progress=False).run()
    ours, theirs = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs):
        assert one == pytest.approx(other, rel=1e-4)
    states = [torch.load(tmp_path / name / "step-0000003.pt", weights_only=True)["modules"] for name in ("two", "one")]
    variances = [[v for m in state.values() for k, v in m.items() if k.endswith("running_var")] for state in states]
    torch.testing.assert_close(*variances, rtol=1e-3, atol=1e-5)
    assert said.count("model.safetensors") == said.count("kp_px_face") == 1, "the main process alone speaks"


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_all(times, tmp_path):
    """A terminal's Ctrl-C comes to the launcher's group, in which the processes are not: it hands it on to them. The
    second one it answers by ending them.
    """
    run = tmp_path / "run"
    table = written(tmp_path, checkpoint=1, measure=0, stages=[STAGE | {"steps": 500}])
    patient = surroundings(tmp_path) | {
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(PATIENCE)
    }  # for a step and its checkpoint
    launcher = subprocess.Popen(
        [sys.executable, *TORCHRUN, str(table), "-o", "run"],
        cwd=tmp_path, env=patient, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        begun = time.monotonic()
        while not listed(run) and launcher.poll() is None and time.monotonic() - begun < PATIENCE:
            time.sleep(0.05)
        for _ in range(times):
            os.killpg(launcher.pid, signal.SIGINT)
            time.sleep(0.3)
        said, _ = launcher.communicate(timeout=PATIENCE)  # all of them hold its output open until they end
    finally:
        (run / "stop").touch()  # if it did not end, it does now
        launcher.kill()
    step = torch.load(listed(run)[-1], weights_only=True)["step"]
    assert 1 <= step < 500 and [torch.load(path, weights_only=True) for path in listed(run)]
    if times == 1:
        assert said.count("It stops after this step") == said.count(f"Stopped at step {step}; saving.") == 1
        assert toolkit.load(run).info.drawn and not [*run.glob("*.part")]
    more = ["--resume", "--set", f"stages.0.steps={step + 1}"]
    (run / "stop").unlink()
    said = launched(*TORCHRUN, str(table), "-o", "run", *more, folder=tmp_path)
    assert f"{step + 1}/{step + 1} motion" in said and "begins anew" not in said
    assert torch.load(listed(run)[-1], weights_only=True)["step"] == step + 1
    assert toolkit.load(run).info.drawn and not [*run.glob("*.part")]


@pytest.mark.parametrize("family", ["fomm", "tpsmm"])
def test_passes_equal_one_pass(family, tmp_path):
    """Frozen norms, an adversary, splines left out at random; parts of two rows and of one."""
    own = {"dropout": [0.3, 0.0, 0.3, 1.0]} if family == "tpsmm" else {"cross": 0.5}
    stage = whole(family, steps=2, batch=4, frozen_norms=True, **own)
    del stage["weights"]["perceptual"]
    found = []
    for accumulate in (1, 3):
        table = recipe(family, [stage], accumulate=accumulate)
        run = Trainer(Recipe.load(table), tmp_path / str(accumulate), device="cpu", progress=False)
        found.append([run.advance() for _ in range(2)])
    for one, other in zip(*found):
        assert one == pytest.approx(other, rel=1e-3)


def test_parts_of_a_batch_are_its_rows():
    data = Puppets(Data(characters=4, poses=2, reuse=2), seed=2)
    batch = data.batch(3, 32, 5, cross=0.5)
    joined = torch.empty_like(batch.target.picture)
    for number in range(3):
        part = Part(number, 3)
        some = data.batch(3, 32, 5, cross=0.5, part=part)
        assert len(some.target) == part.count(5) and some.cross.equal(batch.cross[part.rows])
        joined[part.rows] = some.target.picture
    assert joined.equal(batch.target.picture)


def test_a_notebook_begins_several_and_goes_on(tmp_path):
    code = f"""
import accelerate, toolkit
stage = {TINY["stages"][0] | {"steps": 1}!r}
recipe = {TINY | {"stages": [], "checkpoint": 0}!r} | {{"stages": [stage]}}
def work():
    toolkit.train(recipe, output="run")
    toolkit.train(recipe, output="run", resume=True, settings={{"stages.0.steps": 2}})
accelerate.notebook_launcher(work, num_processes=2)
assert toolkit.load("run").info.drawn
"""
    said = launched("-c", code, folder=tmp_path)
    assert said.count("1/1 keypoints") == said.count("2/2 keypoints") == 1

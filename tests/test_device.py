"""Which device, which plan, and what is remembered of it."""

import dataclasses
import json

import pytest
import torch

from toolkit import device, tuning
from toolkit.errors import ConfigError
from toolkit.models import build
from toolkit.tuning import Plan

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))


def test_pick_takes_what_is_asked_for(monkeypatch):
    assert device.pick("cpu") == CPU
    assert device.pick(CPU) == CPU
    monkeypatch.setenv("TOOLKIT_DEVICE", "cpu")
    assert device.pick() == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:7"])
def test_a_device_that_is_not_there_is_a_clear_error(name, monkeypatch):
    with pytest.raises(ConfigError, match="Here: cpu"):
        device.pick(name)
    if name:
        monkeypatch.setenv("TOOLKIT_DEVICE", name)
        with pytest.raises(ConfigError, match="Here: cpu"):
            device.pick()


def test_info_is_for_people_and_programs():
    report = device.info()
    assert report.versions["torch"] == torch.__version__.split("+")[0] or report.versions["torch"] == torch.__version__
    for words in ("torch", "ffmpeg", "device", "precision", "weights", report.python):
        assert words in str(report)


def test_search_keeps_what_is_quicker():
    def seconds(plan):
        if plan.batch == 8:
            raise RuntimeError("out of memory")
        return 1.0 + (plan.dtype == torch.float32) + plan.channels_last + 0.1 * plan.batch - 0.2 * (plan.winograd > 0)

    plan = tuning.search(CPU, (torch.bfloat16, torch.float32), seconds)
    assert plan == Plan(CPU, torch.bfloat16, channels_last=False, batch=2)


def test_search_ends_in_time_and_survives_a_model_that_never_runs():
    tried = []
    tuning.search(CPU, (torch.float32,), lambda plan: tried.append(plan) or 1.0, budget=0.0)
    assert len(tried) == 1

    def never(plan):
        raise MemoryError

    assert tuning.search(CPU, (torch.float32,), never) == Plan(CPU, batch=1)


@pytest.fixture
def animator():
    return build("fomm", "vox-256")


def count_searches(monkeypatch):
    searches = []
    plan = Plan(CPU, torch.bfloat16, channels_last=False, batch=3)
    monkeypatch.setattr(tuning, "search", lambda *_: searches.append(1) or plan)
    monkeypatch.setattr(tuning, "QUIET", -1.0)
    return searches, plan


def test_a_plan_is_remembered(animator, monkeypatch):
    searches, plan = count_searches(monkeypatch)
    for _ in range(3):
        assert tuning.measured(animator, CPU, "bf16", None) == plan
    assert len(searches) == 1
    tuning.measured(animator, CPU, "auto", None)  # another question
    animator.info = dataclasses.replace(animator.info, size=512)
    tuning.measured(animator, CPU, "bf16", None)  # another size
    assert len(searches) == 3


def test_what_a_busy_machine_said_is_not_remembered(animator, monkeypatch):
    searches, plan = count_searches(monkeypatch)
    monkeypatch.setattr(tuning, "QUIET", 2.0)
    assert tuning.measured(animator, CPU, "bf16", None) == plan
    tuning.measured(animator, CPU, "bf16", None)
    assert len(searches) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"KEY": 3}', '{"KEY": {"dtype": "fp7"}}', '{"KEY": {"dtype": "fp32", "batch": 0}}']
)
def test_a_broken_cache_is_no_error(animator, monkeypatch, content):
    searches, plan = count_searches(monkeypatch)
    tuning.measured(animator, CPU, "fp32", None)
    file = device.cache_folder() / "plans.json"
    file.write_text(content.replace("KEY", next(iter(json.loads(file.read_text())))))
    assert tuning.measured(animator, CPU, "fp32", None) == plan
    assert tuning.measured(animator, CPU, "fp32", None) == plan
    assert len(searches) == 2  # searched again, and remembered


def test_a_cache_that_cannot_be_written_is_no_error(animator, monkeypatch, tmp_path):
    searches, plan = count_searches(monkeypatch)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert tuning.measured(animator, CPU, "fp32", None) == plan
    assert tuning.measured(animator, CPU, "fp32", None) == plan
    assert len(searches) == 2

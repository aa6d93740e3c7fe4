"""The Runner gives the animator's numbers, whatever the batch, the precision or the memory."""

import numpy as np
import pytest
import torch

from toolkit import runner as runners
from toolkit import tuning
from toolkit.errors import ConfigError, ToolkitError
from toolkit.models import build
from toolkit.runner import Runner, prepare
from toolkit.tuning import Plan

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))


SMALL = {
    "kp_detector": {
        "num_kp": 5,
        "num_channels": 3,
        "estimate_jacobian": True,
        "temperature": 0.1,
        "block_expansion": 8,
        "max_features": 32,
        "num_blocks": 3,
        "scale_factor": 0.25,
    },
    "generator": {
        "num_kp": 5,
        "num_channels": 3,
        "estimate_jacobian": True,
        "block_expansion": 16,
        "max_features": 32,
        "num_down_blocks": 2,
        "num_bottleneck_blocks": 2,
        "estimate_occlusion_map": True,
        "dense_motion_params": {"block_expansion": 8, "max_features": 32, "num_blocks": 3, "scale_factor": 0.25},
    },
}


@pytest.fixture
def animator():
    torch.manual_seed(0)
    animator = build("fomm", SMALL)
    with torch.no_grad():
        for name, tensor in animator.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("final.weight", "kp.weight")):
                tensor.normal_(0, 0.3)  # pictures with contrast, keypoints that move
    return animator.train()  # the runner takes care of that itself


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
    return frames[0], frames[1:]


def tensor(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def truth(animator, clip):
    """What the animator itself gives in full precision, T x 3 x H x W."""
    picture, frames = clip
    animator.eval()
    source = animator.encode(tensor(picture[None]))
    motion = animator.transfer(source, animator.motion(tensor(frames)), mode="absolute")
    return animator.render(source, motion)


def run(runner, clip):
    picture, frames = clip
    source = runner.encode(picture)
    motion = runner.transfer(source, runner.motion(frames), mode="absolute")
    return runner.render(source, motion)


def plans():
    return [
        Plan(CPU, batch=b, channels_last=c, winograd=w)
        for b, c, w in ((1, True, True), (2, False, True), (8, True, False))
    ]


@pytest.mark.parametrize("plan", plans(), ids=str)
def test_full_precision_gives_the_animators_numbers(animator, clip, plan):
    runner = Runner(animator, plan)
    assert animator.training  # left as it was
    frames = run(runner, clip)
    expected = truth(animator, clip)
    assert frames.dtype == np.uint8 and frames.shape == (5, 64, 64, 3)
    assert expected.std() > 0.05
    exact = (expected * 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(frames - exact).max() < 0.5 + 255 * 1e-4
    assert runner.notes == []


def test_the_steps_between(animator, clip):
    picture, frames = clip
    runner = Runner(animator, Plan(CPU, batch=2))
    source, motion = runner.encode(picture), runner.motion(frames)
    assert len(motion) == 5 and motion["value"].dtype == torch.float32
    assert runner.distance(source, motion).shape == (5,)
    assert runner.check_mode("auto") == "relative" and runner.linear == ("value", "jacobian")
    with pytest.raises(ConfigError):
        runner.check_mode("sideways")
    still = runner.transfer(source, motion, reference=motion[2], mode="relative", adapt_scale=False)
    assert torch.allclose(still["value"][2], source.motion["value"][0], atol=1e-5)
    assert "CPU" in runner.describe() and "fp32" in runner.describe()


def test_half_precision_is_close_and_keypoints_stay_exact(animator, clip):
    full, half = Runner(animator, Plan(CPU)), Runner(animator, Plan(CPU, torch.bfloat16))
    assert torch.equal(half.motion(clip[1])["value"], full.motion(clip[1])["value"])
    a, b = run(full, clip).astype(float), run(half, clip).astype(float)
    assert 0 < np.abs(a - b).mean() < 1.5
    assert half.notes == [] and half.plan.dtype == torch.bfloat16


@pytest.mark.parametrize("harm", ["nan", "flat", "off"])
def test_half_precision_that_fails_is_given_up(animator, clip, harm, monkeypatch):
    expected = run(Runner(animator, Plan(CPU)), clip)
    real = runners.private

    def private(animator, plan):
        net = real(animator, plan)
        if plan.dtype == torch.bfloat16:
            right = net.render
            wrong = {"nan": lambda x: x * float("nan"), "flat": lambda x: x * 0 + x.mean(), "off": lambda x: 1 - x}[
                harm
            ]
            net.render = lambda source, motion: wrong(right(source, motion))
        return net

    monkeypatch.setattr(runners, "private", private)
    runner = Runner(animator, Plan(CPU, torch.bfloat16))
    with pytest.warns(UserWarning, match="full precision"):
        frames = run(runner, clip)
    assert np.array_equal(frames, expected)
    assert runner.plan.dtype == torch.float32 and len(runner.notes) == 1


def test_a_later_overflow_is_given_up_too(animator, clip):
    runner = Runner(animator, Plan(CPU, torch.bfloat16, batch=2))
    source = runner.encode(clip[0])
    motion = runner.motion(clip[1])
    runner.render(source, motion[:2])
    right = runner._net.render
    runner._net.render = lambda *rows: right(*rows) / 0
    with pytest.warns(UserWarning, match="full precision"):
        frames = runner.render(source, motion)
    assert np.array_equal(frames, Runner(animator, Plan(CPU, batch=2)).render(source, motion))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: 9 bytes")]
)
def test_out_of_memory_halves_the_batch_and_says_so_once(animator, clip, error):
    expected = run(Runner(animator, Plan(CPU, batch=1)), clip)
    runner = Runner(animator, Plan(CPU, batch=5))
    render, motion = runner._net.render, runner._net.motion

    def tight(work, rows_of):
        def limited(*inputs):
            if len(rows_of(inputs)) > 1:
                raise error
            return work(*inputs)

        return limited

    runner._net.render = tight(render, lambda inputs: inputs[1])
    runner._net.motion = tight(motion, lambda inputs: inputs[0])
    with pytest.warns(UserWarning, match="Memory ran out"):
        frames = run(runner, clip)
    assert np.abs(frames.astype(int) - expected).max() <= 1
    assert runner.plan.batch == 1 and len(runner.notes) == 1


def test_no_memory_at_all_is_an_error_for_people(animator, clip):
    runner = Runner(animator, Plan(CPU, batch=2))

    def never(*inputs):
        raise MemoryError

    runner._net.motion = never
    with pytest.warns(UserWarning), pytest.raises(ToolkitError, match="not enough memory"):
        runner.motion(clip[1])


def test_other_errors_are_not_swallowed(animator, clip):
    runner = Runner(animator, Plan(CPU))

    def broken(*inputs):
        raise RuntimeError("something else")

    runner._net.motion = broken
    with pytest.raises(RuntimeError, match="something else"):
        runner.motion(clip[1])


def test_prepare_measures_once_and_checks_its_arguments(animator, clip, monkeypatch):
    for wrong in ({"precision": "fp8"}, {"device": "gpu"}, {"batch": 0}):
        with pytest.raises(ConfigError):
            prepare(animator, **wrong)
    object.__setattr__(animator.info, "size", 64)
    monkeypatch.setattr(tuning, "QUIET", -1.0)  # also on a busy machine
    first = prepare(animator, "cpu", precision="fp32")
    assert first.plan.dtype == torch.float32
    monkeypatch.setattr(runners, "seconds_a_frame", lambda *_: pytest.fail("measured again"))
    assert prepare(animator, "cpu", precision="fp32").plan == first.plan
    assert prepare(animator, "cpu", precision="fp32", batch=3).plan.batch == 3
    run(first, clip)

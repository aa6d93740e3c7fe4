"""The minis of MRAA and TPSMM that ship with the toolkit: small, and they move pictures of strangers."""

import functools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import toolkit
from toolkit import metrics
from toolkit.paths import shipped
from toolkit.training import Recipe
from toolkit.training.evaluate import cases, reenact

MINIS = ("mini-mraa", "mini-tpsmm")
loaded = functools.cache(toolkit.load)


@pytest.mark.parametrize("name", MINIS)
def test_a_mini_is_small_and_says_what_it_is(name):
    animator = loaded(name)
    assert shipped(f"checkpoints/mini/{animator.family}.safetensors").stat().st_size < 7e6
    assert animator.info.drawn and animator.info.size == 256 and "puppets" in animator.info.domain
    assert animator.info.modes == ("absolute", "relative", "avd")
    assert len(Recipe.load(name).anchors) == animator.motion(torch.rand(1, 3, 256, 256))[animator.linear[0]].shape[1]


@pytest.mark.parametrize("name", MINIS)
def test_a_frame_costs_little(name):
    animator, frame = loaded(name), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        source = animator.encode(frame)
        with FlopCounterMode(display=False) as counter:
            animator.render(source, animator.motion(frame))
    assert counter.get_total_flops() < 10e9


@pytest.mark.parametrize(("mode", "share"), [("absolute", 0.55), ("relative", 0.6), ("avd", 0.7)])
@pytest.mark.parametrize("name", MINIS)
def test_a_mini_beats_not_moving_on_strangers(name, mode, share):
    """Absolute: the same character drives; else another one."""
    case = next(cases(4, 256, batch=4))
    driver = (case.source, case.truth) if mode == "absolute" else (case.reference, case.driving)
    with torch.inference_mode():
        result = reenact(loaded(name), case.source, *driver, mode)
    assert metrics.l1(result, case.truth).mean() < share * metrics.l1(case.source, case.truth).mean()

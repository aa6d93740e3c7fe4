"""A small random model of each family, ready to run, and a drawn clip whose landmarks are known."""

import dataclasses
import functools

import numpy as np
import torch

from tests.models import test_fewshot, test_fomm, test_mraa, test_tha, test_tpsmm
from toolkit import puppets
from toolkit.runner import Runner
from toolkit.tuning import Plan

FRAMES, SIDE = 10, 64
SIZES = {"fomm": 32, "mraa": 32, "tpsmm": 64, "tha": 32, "fewshot": 64, "mraa without avd": 32, "tpsmm without avd": 64}


@functools.cache
@torch.no_grad()
def animator(name):
    family, _, without = name.partition(" ")
    small = {"fomm": test_fomm, "mraa": test_mraa, "tpsmm": test_tpsmm, "tha": test_tha, "fewshot": test_fewshot}
    made = small[family].small("2020") if family == "fewshot" else small[family].small()
    if without:
        config = {part: section for part, section in made.config.items() if part != "avd_network"}
        made = type(made)(config).eval()
    made.info = dataclasses.replace(made.info, size=SIZES[name])
    return made


@functools.cache
def runner(name):
    return Runner(animator(name), Plan(torch.device("cpu"), batch=4))


@functools.cache
def performance():
    """(frames uint8 10 x 64 x 64 x 3, landmarks 10 x 68 x 2, pose) of a drawn head that turns, tilts and talks."""
    who, wave = puppets.identities(1, seed=5), torch.linspace(0, 2 * torch.pi, FRAMES)
    pose = puppets.Pose.neutral(FRAMES).replace(
        yaw=0.3 * torch.sin(wave), roll=0.2 * torch.cos(wave), mouth_open=0.5 - 0.5 * torch.cos(2 * wave)
    )
    return *drawn(who.repeat(FRAMES), pose), pose


@functools.cache
def character(seed=9):
    """(picture uint8 64 x 64 x 4 on a transparent ground, landmarks 1 x 68 x 2) of another head, at rest."""
    pictures, points = drawn(puppets.identities(1, seed=seed), puppets.Pose.neutral(1), background=False)
    return pictures[0], points


def drawn(who, pose, background=True):
    pictures = puppets.draw(who, pose, SIDE, background=background)
    pixels = (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(pixels[..., : 3 if background else 4]), puppets.landmarks(who, pose)

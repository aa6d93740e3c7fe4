"""What the benchmarks need to know of each family: which configuration, how the published demo makes one frame, and
what its stages are called.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import toolkit
from toolkit import puppets
from toolkit.models import tha
from toolkit.models.base import Animator, Motion, Source
from toolkit.models.spectral import Spectral
from toolkit.runner import Runner

SIDE = 256
MINI = "mini-fomm"


@dataclasses.dataclass(frozen=True)
class Family:
    """configuration: what is built, or None for the trained mini. frame: picture 1 x C x H x W, its encoded self (of
    which only what the published demo keeps may be used) and one row of transferred motion -> 1 x C x H x W, all
    computed anew. stages: submodules, no two within each other; with a full stop at the end: each of its submodules.
    """

    title: str
    configuration: tuple[str, str] | None
    frame: Callable[[Animator, Tensor, Source, Motion], Tensor]
    stages: tuple[str, ...]

    def animator(self) -> Animator:
        if self.configuration is None:
            return toolkit.load(MINI)
        return lively(toolkit.build(*self.configuration))


def _warped(animator: Animator, picture: Tensor, source: Source, motion: Motion) -> Tensor:
    """FOMM and MRAA."""
    return animator.generator(picture, motion.tensors, source.motion.tensors)["prediction"]


def _splined(animator: Animator, picture: Tensor, source: Source, motion: Motion) -> Tensor:
    small = animator.dense_motion_network.down(picture)
    moved = animator.dense_motion_network(small, motion.tensors, source.motion.tensors)
    return animator.inpainting_network(picture, moved)["prediction"]


def _posed(animator: Animator, _: Tensor, source: Source, motion: Motion) -> Tensor:
    head, face = motion["pose"][:, tha.HEAD], motion["pose"][:, tha.FACE]
    morphed = animator.face_morpher(source["picture"], face)[0]
    direct, sampled, *_ = animator.two_algo_face_rotator(morphed, head)
    return tha.to_srgb(animator.combiner(direct, sampled, head)[0])


def _painted(animator: Animator, _: Tensor, source: Source, motion: Motion) -> Tensor:
    return animator.render(source, motion)  # the person's vector is all that the published demo keeps too


_HOURGLASS = ("hourglass.encoder", "hourglass.decoder")
_GENERATOR = ("generator.bottleneck", "generator.up_blocks.", "generator.final")
_FOMM = ("kp_detector", "generator.dense_motion_network", *_GENERATOR)


def _inside(part: str, *stages: str) -> tuple[str, ...]:
    return tuple(f"{part}.{stage}" for stage in stages)


FAMILIES = {
    "fomm": Family("FOMM vox-256", ("fomm", "vox-256"), _warped, _FOMM),
    "mini": Family(MINI, None, _warped, _FOMM),
    "tpsmm": Family(
        "TPSMM vox-256",
        ("tpsmm", "vox-256"),
        _splined,
        (
            "kp_detector",
            *_inside("dense_motion_network", *_HOURGLASS, "maps", "up.", "occlusion."),
            *_inside("inpainting_network", "resblock.", "up_blocks.", "final"),
        ),
    ),
    "mraa": Family(
        "MRAA vox256",
        ("mraa", "vox256"),
        _warped,
        (
            "region_predictor",
            *_inside("generator.pixelwise_flow_predictor", *_HOURGLASS, "mask", "occlusion"),
            *_GENERATOR,
        ),
    ),
    "tha": Family(
        "Talking Head Anime v1-256",
        ("tha", "v1-256"),
        _posed,
        (
            "face_morpher.main_body.module_list.",
            "two_algo_face_rotator.main_body.module_list.",
            *_inside("combiner.main_body", "downward_modules.", "bottleneck_modules.", "upsampling_modules."),
        ),
    ),
    "fewshot": Family("Few-shot heads vox-256-published", ("fewshot", "vox-256-published"), _painted, ("G.",)),
}


@torch.no_grad()
def lively(animator: Animator) -> Animator:
    """Random weights that keep the signal alive from end to end, so that differences mean something."""
    torch.manual_seed(0)
    gains = {
        "final.weight": 0.3,
        "mask.weight": 4.0,
        "occlusion.weight": 6.0,
        "jacobian.weight": 0.5,
        "regions.weight": 4.0,
        "zhou_grid_change.weight": 0.05,
    }
    for name, weight in animator.named_parameters():
        gain = next((gain for ending, gain in gains.items() if name.endswith(ending)), 2**0.5)
        if weight.dim() == 4:
            weight.normal_(0, gain / weight[0].numel() ** 0.5)
        elif name == "G.p":
            weight.mul_(0.5)  # or the adaptive norms would amplify from one to the next
    for part in animator.modules():
        if isinstance(part, Spectral):
            for _ in range(5):
                part.train().weight()  # a step of power iteration each
    return animator.eval()


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A drawn character, 1 x C x SIDE x SIDE, and a clip of another that turns and talks, T x 3 x SIDE x SIDE; with the
    landmarks of each.
    """

    picture: Tensor
    own: Tensor
    frames: Tensor
    points: Tensor

    def first(self, count: int) -> Inputs:
        """The same with the first so many frames alone."""
        return dataclasses.replace(self, frames=self.frames[:count], points=self.points[:count])

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Picture H x W x C and frames T x H x W x 3, uint8, as the runner takes them."""
        picture, frames = ((x * 255).round().byte().permute(0, 2, 3, 1).numpy() for x in (self.picture, self.frames))
        return picture[0], frames


def inputs(animator: Animator | Runner, count: int) -> Inputs:
    wave = torch.linspace(0, 2, count)
    turned = puppets.Pose.neutral(count).replace(
        yaw=0.2 * torch.sin(wave), roll=0.2 * torch.cos(wave), mouth_open=0.2 + 0.3 * wave
    )
    (who, driver), rest = (puppets.identities(1, seed=seed) for seed in (9, 5)), puppets.Pose.neutral(1)
    driver, alpha = driver.repeat(count), animator.info.channels == 4
    picture = puppets.draw(who, rest, SIDE, background=not alpha)[:, : animator.info.channels]
    frames = puppets.draw(driver, turned, SIDE)[:, :3]
    return Inputs(
        (picture * 255).round() / 255,
        puppets.landmarks(who, rest),
        (frames * 255).round() / 255,
        puppets.landmarks(driver, turned),
    )


def seen(animator: Animator | Runner, points: Tensor) -> dict[str, Tensor]:
    """The landmarks as an argument, for a model that sees through them."""
    return {"landmarks": points} if animator.info.needs else {}


def transferred(animator: Animator | Runner, source: Source, motion: Motion, reference: Motion) -> Motion:
    """In relative mode, which every family has: through an AVD network of random weights nothing would move."""
    return animator.transfer(source, motion, reference=reference, mode="relative")


def plain(family: Family, animator: Animator, given: Inputs) -> Callable[[int], Tensor]:
    """What the published demo does for the frame of a number: all of it again each time, nothing fused."""

    with torch.no_grad():
        source = animator.encode(given.picture, **seen(animator, given.own))
        reference = animator.motion(given.frames[:1], **seen(animator, given.points[:1]))

    @torch.no_grad()
    def work(index: int) -> Tensor:
        row = slice(index, index + 1)
        motion = animator.motion(given.frames[row], **seen(animator, given.points[row]))
        return family.frame(animator, given.picture, source, transferred(animator, source, motion, reference))

    return work


def exactly(family: Family, animator: Animator, given: Inputs, index: int = 0) -> Tensor:
    """The same frame as `plain`'s, but in float64: what the rounding of all others is measured by."""
    with _in_float64():
        pixels = [(x.double() * 255).round() / 255 for x in (given.picture, given.frames)]
        wide = Inputs(pixels[0], given.own.double(), pixels[1], given.points.double())
        return plain(family, copy.deepcopy(animator).double(), wide)(index)


@contextmanager
def _in_float64() -> Iterator[None]:
    """Here also what models compute in float32 whatever their weights are (coordinates, flows) is in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(Tensor, "float", Tensor.double):
            yield
    finally:
        torch.set_default_dtype(before)

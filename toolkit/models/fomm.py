"""FOMM: First Order Motion Model for Image Animation (Siarohin, Lathuilière, Tulyakov, Ricci, Sebe, NeurIPS 2019, arXiv
2003.00196).

A detector finds K keypoints and a 2 x 2 Jacobian at each; a dense-motion network turns the K local affine motions into
one backward flow and an occlusion map; a generator warps the picture's features with the flow, blanks what is occluded
and decodes.

Kept for parity with the published weights: coordinates of the detector's logit map although its 7 x 7 head is not
padded; sampling with align_corners=False by default although the grids fit True (the published weights were trained
with True: `toolkit.load` knows); zero padding; Jacobians averaged under the heatmap; the 2 x 2 inverse without a guard.
All names of arguments and keys are published.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import ConfigError
from .base import Animator, Config, Info, Motion, Source
from .config import agreed, checked, count, frame_size, hourglass_of, parts_of, scale_of
from .detector import KPDetector
from .discriminator import MultiScaleDiscriminator
from .layers import DenseMotion, WarpingGenerator
from .motion import (
    Keypoints,
    apply,
    gaussians,
    inverse,
    product,
    shape_distance,
    transfer_keypoints,
)


class DenseMotionNetwork(DenseMotion):
    """FOMM's local motions: the neighbourhood of each keypoint moves affinely, as its Jacobians say."""

    def __init__(
        self,
        num_kp: int,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_channels: int = 3,
        estimate_occlusion_map: bool = False,
        scale_factor: float = 1,
        kp_variance: float = 0.01,
        align_corners: bool = False,
        finer: int = 1,
    ) -> None:
        super().__init__(
            num_kp,
            block_expansion,
            num_blocks,
            max_features,
            num_channels,
            estimate_occlusion_map,
            scale_factor,
            align_corners,
            finer=finer,
        )
        self.kp_variance = kp_variance

    def spots(self, motion: Keypoints, height: int, width: int) -> Tensor:
        """A Gaussian at each keypoint."""
        return gaussians(motion["value"], height, width, self.kp_variance)

    def local_affine(self, driving: Keypoints, source: Keypoints) -> tuple[Tensor | None, Tensor]:
        """J (z - driving) + source for each keypoint."""
        to, origin = driving["value"].float(), source["value"].float()
        if "jacobian" not in driving:
            return None, origin - to
        matrix = product(source["jacobian"].float(), inverse(driving["jacobian"].float()))
        return matrix, origin - apply(matrix, to)


class Generator(WarpingGenerator):
    """The generator with the published arguments: it warps the deepest features alone.

    resize_corners, skips, guided: see WarpingGenerator; all False in all that was published of FOMM. skips is the
    generator of the authors' next model (MRAA): what stands still or merely moves is taken from the picture, the rest
    is painted.
    """

    def __init__(
        self,
        num_kp: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_bottleneck_blocks: int,
        num_channels: int = 3,
        estimate_occlusion_map: bool = False,
        dense_motion_params: Mapping[str, Any] | None = None,
        estimate_jacobian: bool = False,
        align_corners: bool = False,
        resize_corners: bool = False,
        skips: bool = False,
        guided: bool = False,
    ) -> None:
        flow = None
        if dense_motion_params is not None:
            flow = DenseMotionNetwork(
                num_kp=num_kp,
                num_channels=num_channels,
                estimate_occlusion_map=estimate_occlusion_map,
                align_corners=align_corners,
                **dense_motion_params,
            )
        super().__init__(
            flow,
            num_channels,
            block_expansion,
            max_features,
            num_down_blocks,
            num_bottleneck_blocks,
            align_corners,
            skips=skips,
            resize_corners=resize_corners,
            guided=guided,
        )


def _published(**discriminator: Any) -> dict[str, Any]:
    """The sections that all published configurations share, and what their discriminators add."""
    common = {"num_kp": 10, "num_channels": 3, "estimate_jacobian": True}
    hourglass = {"max_features": 1024, "num_blocks": 5, "scale_factor": 0.25}
    return {
        "kp_detector": {**common, "temperature": 0.1, "block_expansion": 32, **hourglass},
        "generator": {
            **common,
            "block_expansion": 64,
            "max_features": 512,
            "num_down_blocks": 2,
            "num_bottleneck_blocks": 6,
            "estimate_occlusion_map": True,
            "dense_motion_params": {"block_expansion": 64, **hourglass},
        },
        "discriminator": {
            **common,
            "scales": [1],
            "block_expansion": 32,
            "max_features": 512,
            "num_blocks": 4,
            **discriminator,
        },
    }


PUBLISHED: dict[str, dict[str, Any]] = {
    "vox-256": _published(sn=True),
    "vox-adv-256": _published(use_kp=True),
    "taichi-256": _published(),
    "taichi-adv-256": _published(use_kp=True),
    "fashion-256": _published(),
    "nemo-256": _published(sn=True),
    "mgif-256": _published(sn=True),
    "bair-256": _published(sn=True),
}
PUBLISHED["mgif-256"]["kp_detector"]["single_jacobian_map"] = True

DOMAINS = {  # by the first part of the name: what the pictures showed, and how they were cut
    "vox": ("talking people (VoxCeleb)", "face"),
    "taichi": ("whole bodies doing tai chi (TaiChi-HD)", "whole"),
    "fashion": ("models turning in front of white (Fashion)", "whole"),
    "nemo": ("smiling faces (UvA-Nemo)", "face"),
    "mgif": ("cartoon animals moving (MGIF)", "whole"),
    "bair": ("a robot arm over a table (BAIR)", "whole"),
}
LICENCE = (
    "The published weights carry no licence of their own; they came out while the authors' code was CC BY-NC 4.0 "
    "(non-commercial), which has been MIT since June 2023."
)
PARTS = {"kp_detector": KPDetector, "generator": Generator, "discriminator": MultiScaleDiscriminator}


def sections(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration in any layout (see `config`) -> the sections of PARTS that it has, each complete and checked.

    Raises ConfigError naming what is unknown, missing, of the wrong type or contradictory.
    """
    out = {name: checked(PARTS[name], part, name) for name, part in parts_of(config, PARTS).items()}
    if "generator" in out:
        generator = out["generator"]
        del generator["align_corners"]  # not of the configuration: the same weights may be sampled either way
        if generator["dense_motion_params"] is not None:
            shared = {name: generator[name] for name in ("num_kp", "num_channels", "estimate_occlusion_map")}
            where = "generator.dense_motion_params"
            dense = checked(DenseMotionNetwork, {**generator["dense_motion_params"], **shared}, where)
            generator["dense_motion_params"] = {k: v for k, v in dense.items() if k not in (*shared, "align_corners")}
    agreed(out, ("num_kp", "num_channels"))
    return out


def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
    """The configuration of published state dicts, read off keys and shapes; None if they are no FOMM's.

    parts: {"kp_detector": state dict, "generator": state dict}. What leaves no trace (temperature, kp_variance, pad) is
    as published.
    """
    detector, generator = parts.get("kp_detector", {}), parts.get("generator", {})
    if "kp.weight" not in detector or "first.conv.weight" not in generator or detector["kp.weight"].dim() != 4:
        return None
    num_kp = len(detector["kp.weight"])
    jacobian = detector.get("jacobian.weight")
    common = {
        "num_kp": num_kp,
        "num_channels": generator["first.conv.weight"].shape[1],
        "estimate_jacobian": jacobian is not None,
    }
    dense = "dense_motion_network."
    has_dense = f"{dense}mask.weight" in generator
    wide = len(generator["first.conv.weight"])
    down = count(generator, "down_blocks.")
    deepest = len(generator[f"down_blocks.{down - 1}.conv.weight"]) if down else wide
    found = {
        "kp_detector": {
            **common,
            **hourglass_of(detector, "predictor.", 1024),
            "scale_factor": scale_of(detector, "down.weight"),
            "single_jacobian_map": jacobian is not None and len(jacobian) == 4 != 4 * num_kp,
        },
        "generator": {
            **common,
            "block_expansion": wide,
            "max_features": deepest if deepest < wide * 2**down else max(deepest, 512),
            "num_down_blocks": down,
            "num_bottleneck_blocks": count(generator, "bottleneck.r"),
            "estimate_occlusion_map": f"{dense}occlusion.weight" in generator,
            "dense_motion_params": {
                **hourglass_of(generator, f"{dense}hourglass.", 1024),
                "scale_factor": scale_of(generator, f"{dense}down.weight"),
            }
            if has_dense
            else None,
        },
    }
    return sections(found)


class FOMM(Animator):
    """The animator. Submodules `kp_detector` and `generator`; `discriminator` is made when it is asked for and is not
    in the state dict.

    config: a published name (`PUBLISHED`) or a mapping (see `sections`). align_corners: how warps sample; None is
    False, which is what the authors' code does today. name: what `info` is to call a mapping. Raises ConfigError.
    """

    family = "fomm"
    published = PUBLISHED
    parts = ("kp_detector", "generator")
    training_parts = ("discriminator",)
    trained_align_corners = True
    linear = ("value", "jacobian")
    exact = ("kp_detector", "generator.first", "generator.down_blocks", "generator.dense_motion_network.down")
    sections = staticmethod(sections)
    recognise = staticmethod(recognise)

    def __init__(self, config: str | Config, align_corners: bool | None = None, name: str | None = None) -> None:
        super().__init__()
        config, name = self.resolve(config, name)
        self.config = sections(config)
        self.align_corners = bool(align_corners)
        self.kp_detector = KPDetector(**self.config["kp_detector"]) if "kp_detector" in self.config else None
        self.generator = None
        if "generator" in self.config:
            self.generator = Generator(**self.config["generator"], align_corners=self.align_corners)
        domain, crop = DOMAINS.get(name.split("-")[0], ("", "face"))
        self.info = Info(
            model=self.family,
            config=name,
            size=frame_size(config) or 64 * max((stride for stride, _ in self._grids()), default=4),
            multiple=self._multiple(),
            channels=next(iter(self.config.values()))["num_channels"],
            modes=("absolute", "relative"),
            mode="relative",
            crop=crop,
            domain=domain,
            licence=LICENCE if domain else "",
        )

    @functools.cached_property
    def discriminator(self) -> MultiScaleDiscriminator:
        """The discriminator of this configuration, for training. Not part of the state dict, nor moved by `.to()`."""
        if "discriminator" not in self.config:
            raise ConfigError("The configuration has no discriminator.", "Add a 'discriminator' section.")
        return MultiScaleDiscriminator(**self.config["discriminator"])

    # ------------------------------------------------------------------ the four steps

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Source:
        """Pictures B x C x H x W in 0..1 -> their keypoints and the generator's features. Raises InputError for sides
        that don't fit.
        """
        pictures = self.fit(pictures)
        encoded = self.generator.encode(pictures)
        return Source(self.family, self._detect(pictures), {"picture": pictures, **encoded}, tuple(pictures.shape[2:]))

    def motion(self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None) -> Motion:
        """Frames T x C x H x W in 0..1 -> keypoints "value" T x K x 2 in -1..1 and "jacobian" T x K x 2 x 2."""
        return self._detect(self.fit(frames))

    def transfer(
        self,
        source: Source,
        motion: Motion,
        *,
        reference: Motion | None = None,
        mode: str = "auto",
        adapt_scale: bool = True,
        strength: float = 1.0,
    ) -> Motion:
        """See `Animator.transfer` and `transfer_keypoints`. Source and reference have one row, or one for each row of
        motion.
        """
        relative = self.check_mode(mode, strength) == "relative"
        initial = motion[:1] if reference is None else reference
        self.check_rows(len(motion), source=source, reference=initial)
        moved = transfer_keypoints(
            source.motion.tensors,
            motion.tensors,
            initial.tensors,
            adapt_scale=adapt_scale,
            relative_movement=relative,
            relative_jacobian=relative,
            strength=strength,
        )
        return motion.replace(**moved)

    def render(self, source: Source, motion: Motion) -> Tensor:
        """Motion on the picture -> T x C x H' x W' in 0..1, float32; H' and W' are H and W cut to multiples of 2 **
        num_down_blocks.
        """
        self.check_rows(len(motion), source=source)
        moved = self.generator.move(source.tensors, motion.tensors, source.motion.tensors)
        if not moved:  # a plain auto-encoder: the same for each row
            return self.generator.decode(source.tensors, moved).expand(len(motion), -1, -1, -1)
        return self.generator.decode(source.tensors, moved)

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """The difference of the keypoints' shape, place and size aside: T values, float64 on the CPU."""
        return shape_distance(source.motion["value"], motion["value"])

    # ------------------------------------------------------------------ what they need

    def _detect(self, pictures: Tensor) -> Motion:
        return Motion(self.family, self.kp_detector(pictures))

    def fit(self, pictures: Tensor) -> Tensor:
        """As `Animator.fit`. Raises ConfigError where a part is missing."""
        if self.kp_detector is None or self.generator is None:
            raise ConfigError(
                "This configuration lacks the detector or the generator.", "Give both sections to animate."
            )
        return super().fit(pictures)

    def fits(self, side: int) -> bool:
        """Any side will do whose small maps suit the hourglasses; the prediction is cut (see `render`)."""
        whole = all(-(-side // stride) % multiple == 0 for stride, multiple in self._grids())
        return whole and side >= self.least()

    def least(self) -> int:
        """The smallest side: the detector's 7 x 7 head must fit on its map."""
        detector = self.config["kp_detector"]
        return max(6 - 2 * detector["pad"], 0) * int(1 / detector["scale_factor"]) + 1

    def _grids(self) -> list[tuple[int, int]]:
        """For each hourglass: how much smaller than the picture its input is, and what that must be a multiple of."""
        dense = self.config.get("generator", {}).get("dense_motion_params")
        parts = [part for part in (self.config.get("kp_detector"), dense) if part]
        return [(int(1 / part["scale_factor"]), 2 ** part["num_blocks"]) for part in parts]

    def _multiple(self) -> int:
        down = 2 ** self.config["generator"]["num_down_blocks"] if "generator" in self.config else 1
        return math.lcm(down, *(stride * multiple for stride, multiple in self._grids()))

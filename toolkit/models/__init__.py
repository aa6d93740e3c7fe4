"""The models: one file each, four steps in common (see `base`). Callers use `build` and `FAMILIES`, never a class by
name.

How the three that warp a picture by learned motion differ:

                   FOMM                        MRAA                          TPSMM
    what it finds  K keypoints, a Jacobian     K regions, their principal    K groups of five keypoints, by a
                   each, by an hourglass       axes, by an hourglass         ResNet-18
    local motion   affine round a keypoint     affine, axes to axes          a thin-plate spline a group
    background     stands still                3 x 3, where asked for        2 x 3, where asked for
    flow network   `layers.DenseMotion`        `layers.DenseMotion`          its own: heat maps, then all copies
    masks          one                         one                           four resolutions
    generator      warps its deepest features  and every level, blended in   every level; paints from coarse to fine
    norms          batch                       batch                         instance (batch in the ResNets)
    align_corners  True (their code: False)    False                         True
    modes          absolute, relative          and avd                       and avd
"""

from __future__ import annotations

from difflib import get_close_matches

from ..errors import ConfigError
from .base import Animator, Config
from .fewshot import FewShot
from .fomm import FOMM
from .mraa import MRAA
from .tha import THA
from .tpsmm import TPSMM

FAMILIES: dict[str, type[Animator]] = {"fomm": FOMM, "mraa": MRAA, "tpsmm": TPSMM, "tha": THA, "fewshot": FewShot}


def build(family: str, config: str | Config, align_corners: bool | None = None) -> Animator:
    """The bare architecture of a family, untrained, with the published keys: build("fomm", "vox-256").

    config: the name of a published configuration, or a mapping in one of the published layouts.
    align_corners: how warps sample; None is the family's own default. Raises ConfigError for what does not exist.
    """
    if family not in FAMILIES:
        near = get_close_matches(str(family), FAMILIES, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"Choose one of: {', '.join(FAMILIES)}."
        raise ConfigError(f"There is no model family '{family}'.", remedy)
    return FAMILIES[family](config, align_corners)

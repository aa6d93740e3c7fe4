"""The models: one file each, four steps in common (see `base`). Callers use `build` and `FAMILIES`, never a class by
name.
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

"""Configurations: mappings with the published parameter names, checked against the constructors they are meant for.

They come in three layouts: a section for each part ({"kp_detector": {…}, "generator": {…}}), the same beneath "model"
or "model_params" as in the published YAML files ({"model_params": {"common_params": {…}, "kp_detector_params": {…}},
"train_params": …}), or read off the shapes in a file of weights.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from torch import Tensor

from ..errors import ConfigError

BESIDE_MODEL = {  # what may stand next to the model in a configuration; the networks don't read it
    "train",
    "dataset_params",
    "train_params",
    "train_avd_params",
    "reconstruction_params",
    "animate_params",
    "visualizer_params",
    "equivariance",
    "avd",
    "note",
}
MAY_BE_ZERO = {"pad", "num_down_blocks", "num_bottleneck_blocks"}


def parts_of(config: Any, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A configuration in any layout -> its parts with the common parameters merged in, unchecked.

    names: the parts there may be; those that the configuration lacks are left out. Raises ConfigError naming an unknown
    section.
    """
    common, found = read(config, {name: name for name in names})
    return {name: {**common, **value} for name, value in found.items()}


def read(
    config: Any, sections: Mapping[str, str], common: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A configuration in any layout -> its common parameters, and the section of each part that has one; unchecked.

    sections: {part: what the published files call its section, less "_params"}. common: the parameters that may stand
    beside the sections as well as in common_params. Raises ConfigError naming what is unknown.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f"The configuration is {_kind(config)}.", "Give a published name or a mapping.")
    wrapper = next((key for key in ("model", "model_params") if key in config), None)
    spelled = {}  # every way to call a part
    for part, section in sections.items():
        spelled |= {key: part for name in (part, section) for key in (name, f"{name}_params")}
    if wrapper:
        _known(config, BESIDE_MODEL | {wrapper}, "The configuration")
    model = config[wrapper] if wrapper else {key: value for key, value in config.items() if key not in BESIDE_MODEL}
    if not isinstance(model, Mapping):
        raise ConfigError(f"'{wrapper}' in the configuration is {_kind(model)}.", "Give a mapping of sections.")
    _known(model, {*spelled, "common_params", *common}, "The configuration")
    found = {spelled[key]: value for key, value in model.items() if key in spelled and value is not None}
    shared = model.get("common_params") or {}
    for name, value in (("common_params", shared), *found.items()):
        if not isinstance(value, Mapping):
            raise ConfigError(f"The section '{name}' of the configuration is {_kind(value)}.", "Give a mapping.")
    if not found:
        raise ConfigError(
            "The configuration describes no network.", f"Give at least one section of: {', '.join(sections)}."
        )
    return {**{name: model[name] for name in common if name in model}, **shared}, {
        part: dict(value) for part, value in found.items()
    }


def agreed(parts: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> None:
    """ConfigError unless the parts that have a parameter of these names have the same number there."""
    for name in names:
        values = {part[name] for part in parts.values() if name in part}
        if len(values) > 1:
            raise ConfigError(f"'{name}' differs between the parts: {sorted(values)}.", "Give the same number in each.")


def frame_size(config: Mapping[str, Any]) -> int | None:
    """The side of the training pictures in pixels, where the configuration tells it (dataset_params.frame_shape)."""
    section = config.get("dataset_params")
    shape = section.get("frame_shape") if isinstance(section, Mapping) else None
    return int(shape[0]) if isinstance(shape, Sequence) and shape and not isinstance(shape, str) else None


def checked(constructor: Callable[..., Any], config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments that `config` gives to `constructor`, completed by its defaults: equal networks, equal
    configurations.

    where: the section's name, for the errors. Raises ConfigError for an unknown, missing, mistyped or negative
    argument.
    """
    parameters = inspect.signature(constructor).parameters
    hints = typing.get_type_hints(constructor.__init__ if inspect.isclass(constructor) else constructor)
    _known(config, parameters, f"The section '{where}' of the configuration")
    arguments = {}
    for name, parameter in parameters.items():
        if name in config:
            arguments[name] = _fit(config[name], hints.get(name, Any), name, f"{where}.{name}")
        elif parameter.default is parameter.empty:
            raise ConfigError(f"The section '{where}' of the configuration lacks '{name}'.", "Add it.")
        else:
            arguments[name] = parameter.default
    return arguments


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` says instead, section by section."""
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if both else value
    return out


# ---------------------------------------------------------------- read off the shapes of weights


def count(state: Iterable[str], prefix: str) -> int:
    """How many numbered modules `prefix`0, `prefix`1, … the keys know."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def hourglass_of(state: Mapping[str, Tensor], prefix: str, max_features: int) -> dict[str, int]:
    """The numbers of the Hourglass whose keys begin with `prefix`; max_features is what to say where the widths stay
    below it.
    """
    blocks = count(state, f"{prefix}encoder.down_blocks.")
    last = state[f"{prefix}decoder.up_blocks.{blocks - 1}.conv.weight"].shape[0]
    deepest = state[f"{prefix}encoder.down_blocks.{blocks - 1}.conv.weight"].shape[0]
    capped = deepest < last * 2**blocks
    return {
        "block_expansion": last,
        "num_blocks": blocks,
        "max_features": deepest if capped else max(deepest, max_features),
    }


def encoder_of(state: Mapping[str, Tensor], prefix: str, max_features: int) -> dict[str, int]:
    """The numbers of the Encoder whose keys begin with `prefix`; max_features as in `hourglass_of`."""
    blocks = count(state, f"{prefix}down_blocks.")
    wide, deepest = (len(state[f"{prefix}down_blocks.{i}.conv.weight"]) for i in (0, blocks - 1))
    capped = deepest < wide * 2 ** (blocks - 1)
    return {
        "block_expansion": wide // 2,
        "num_blocks": blocks,
        "max_features": deepest if capped else max(deepest, max_features),
    }


def scale_of(state: Mapping[str, Tensor], key: str) -> float:
    """The scale_factor that an anti-aliasing kernel of this size belongs to: 5 x 5 is 0.5, 13 x 13 is 0.25; no kernel
    is 1.
    """
    return 1 / ((state[key].shape[-1] - 1) / 4 + 1) if key in state else 1


# ---------------------------------------------------------------- small parts


def _known(section: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    names = sorted(names)
    for key in section:
        if key not in names:
            near = get_close_matches(str(key), names, 1)
            raise ConfigError(
                f"{what} has an unknown entry '{key}'.",
                f"Did you mean '{near[0]}'?" if near else f"It knows: {', '.join(names)}.",
            )


def _fit(value: Any, hint: Any, name: str, where: str) -> Any:
    """`value` as the type that `hint` says, or ConfigError."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    least = 0 if name in MAY_BE_ZERO else 1
    for kind in kinds:
        origin = typing.get_origin(kind) or kind
        if origin is Any or (origin is types.NoneType and value is None):
            return value
        if origin is bool and isinstance(value, bool):
            return value
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
        if origin is float and number and value > 0:
            return value
        if origin is int and number and value == int(value) and value >= least:
            return int(value)
        if origin is Literal and value in typing.get_args(kind):
            return value
        if origin is Mapping and isinstance(value, Mapping):
            return dict(value)
        if origin is Sequence and isinstance(value, Sequence) and value and not isinstance(value, str):
            (item,) = typing.get_args(kind)
            return [_fit(element, item, name, where) for element in value]
    words = {
        int: f"a whole number from {least} on",
        float: "a number above 0",
        bool: "true or false",
        types.NoneType: "null",
    }
    others = {Mapping: "a mapping", Sequence: "a list"}
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            words[kind] = f"one of: {', '.join(typing.get_args(kind))}"
    wanted = " or ".join(words.get(kind) or others[typing.get_origin(kind)] for kind in kinds)
    raise ConfigError(f"'{where}' in the configuration is {_kind(value)}.", f"Give {wanted}.")


def _kind(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"

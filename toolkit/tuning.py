"""How to run a model on this device: the plan, found by trying once and remembered in a small file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import __version__
from .device import cache_folder, describe
from .errors import ToolkitError
from .models.base import Animator

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = {dtype: name for name, dtype in PRECISIONS.items()}
BATCHES = {"cpu": (4, 2, 8), "other": (8, 16, 32)}  # the first is where the search starts
SECONDS = 3.0  # a search stops opening new candidates after this long
QUIET = 0.5  # a CPU that gave the search less than this share of its time was busy: nothing to remember
GAIN = 0.97  # a change must be quicker by 3 % to be taken: below that it is noise


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a model is run. batch: frames at once. winograd: with `models.fast.Winograd` (full precision only)."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    channels_last: bool = True
    batch: int = 4
    winograd: bool = False

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        tiles = ["Winograd tiles"] if self.winograd else []
        return ", ".join([NAMES[self.dtype], layout, *tiles, f"batches of {self.batch}"])


def measured(
    animator: Animator, device: torch.device, precision: str, seconds_a_frame: Callable[[Plan], float]
) -> Plan:
    """The quickest plan for this model on this device: remembered from an earlier search, or searched for now."""
    key = _key(animator, device, precision)
    plan = _recall(key, device)
    if plan is None:
        wall, busy = time.perf_counter(), time.process_time()
        plan = search(device, candidates(device, precision), seconds_a_frame)
        share = (time.process_time() - busy) / (time.perf_counter() - wall) / torch.get_num_threads()
        if device.type != "cpu" or share > QUIET:
            _remember(key, plan)
    return plan


def candidates(device: torch.device, precision: str) -> tuple[torch.dtype, ...]:
    """The number formats worth trying; half precision only where one convolution already gains by it."""
    if precision != "auto":
        return (PRECISIONS[precision],)
    half = torch.bfloat16 if device.type == "cpu" else torch.float16
    gain = _convolution(device, torch.float32) / _convolution(device, half)
    if gain > 1.5:
        return (half,)
    return (half, torch.float32) if gain > 1.1 else (torch.float32,)


def search(
    device: torch.device,
    dtypes: Sequence[torch.dtype],
    seconds_a_frame: Callable[[Plan], float],
    budget: float = SECONDS,
) -> Plan:
    """Try plans on the real work, changing one thing at a time and keeping what is quicker, until nothing is left or
    `budget` seconds are over. seconds_a_frame may raise for a plan that does not work (memory, not implemented).
    """
    begin, best, record = time.perf_counter(), None, float("inf")
    for choices in _steps(device, dtypes):
        for plan in choices(best):
            if plan == best or (best is not None and time.perf_counter() - begin > budget):
                continue
            try:
                seconds = seconds_a_frame(plan)
            except (RuntimeError, MemoryError, ToolkitError):
                continue
            if seconds < record * GAIN or best is None:
                best, record = plan, seconds
    return best or Plan(device, batch=1)


def _steps(device: torch.device, dtypes: Sequence[torch.dtype]) -> Iterator[Callable[[Plan | None], list[Plan]]]:
    """Each step: from the best plan so far to the plans to try next."""
    batches = BATCHES["cpu" if device.type == "cpu" else "other"]

    def change(**fields: Sequence[Any]) -> Callable[[Plan | None], list[Plan]]:
        ((name, values),) = fields.items()
        return lambda best: [dataclasses.replace(best, **{name: value}) for value in values] if best else []

    yield lambda best: [starting(device, dtype) for dtype in dtypes]
    yield change(winograd=(False,))
    yield change(batch=batches[1:])
    yield change(channels_last=(False,))


def starting(device: torch.device, dtype: torch.dtype) -> Plan:
    """The plan that is most often the best; the search begins here."""
    cpu = device.type == "cpu"
    return Plan(device, dtype, batch=BATCHES["cpu" if cpu else "other"][0], winograd=cpu and dtype == torch.float32)


def _convolution(device: torch.device, dtype: torch.dtype) -> float:
    """Seconds of one convolution, the best of a few; infinite where the device does not know the format. On a CPU
    the time of one thread counts, which other programs hardly change.
    """
    cpu, threads = device.type == "cpu", torch.get_num_threads()
    clock = time.thread_time if cpu else time.perf_counter
    try:
        if cpu:
            torch.set_num_threads(1)
        layer = nn.Conv2d(128, 128, 3, padding=1).to(device, dtype, memory_format=torch.channels_last)
        x = torch.ones(2, 128, 32, 32, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return min(timed(lambda: layer(x), device, clock) for _ in range(8))
    except RuntimeError:
        return float("inf")
    finally:
        torch.set_num_threads(threads)


def timed(work: Callable[[], Any], device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that `work` takes, the device's queue included."""
    begin = clock()
    work()
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()
    return clock() - begin


# -- memory -----------------------------------------------------------------------------------------------------------


def _file() -> Path:
    return cache_folder() / "plans.json"


def _key(animator: Animator, device: torch.device, precision: str) -> str:
    """What a plan depends on: the network's shape, the picture's size, the device, and who computes."""
    shapes = {name: list(tensor.shape) for name, tensor in animator.state_dict().items()}
    where = [describe(device), torch.get_num_threads(), torch.__version__, __version__]
    text = json.dumps([shapes, animator.info.size, where, precision])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read() -> dict[str, Any]:
    try:
        plans = json.loads(_file().read_text())
        return plans if isinstance(plans, dict) else {}
    except (OSError, ValueError):
        return {}


def _recall(key: str, device: torch.device) -> Plan | None:
    try:
        kept = dict(_read()[key])
        plan = Plan(device, PRECISIONS[kept.pop("dtype")], **kept)
    except (KeyError, TypeError, ValueError):
        return None
    return plan if isinstance(plan.batch, int) and plan.batch > 0 else None


def _remember(key: str, plan: Plan) -> None:
    """A cache that cannot be written costs a search the next time, nothing else."""
    kept = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan) if field.name != "device"}
    kept["dtype"] = NAMES[plan.dtype]
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        part = _file().with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({**_read(), key: kept}, indent=1))
        part.replace(_file())
    except OSError:
        pass

"""Where a model's time goes: by stage, and by kind of operation."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

KINDS = {  # what the names of torch's operations contain; the first that fits counts
    "convolutions and products": ("conv", "mm", "linear", "attention"),
    "norms": ("norm", "var_mean", "addcmul"),
    "sampling": ("embedding_bag", "grid_sampl", "upsample", "index"),
    "copies and layouts": ("copy", "cat", "clone", "contiguous", "fill", "zero", "pad", "empty"),
}


def chosen(net: nn.Module, stages: Sequence[str]) -> dict[str, nn.Module]:
    """The submodules that stages name (see `families.Family`), by name, in the order of the network."""
    parts = {}
    for stage in stages:
        part = net.get_submodule(stage.removesuffix("."))
        parts |= (
            {stage + name: child for name, child in part.named_children()} if stage.endswith(".") else {stage: part}
        )
    return parts


def by_stage(net: nn.Module, stages: Sequence[str], work: Callable[[], object], frames: int) -> None:
    """Print milliseconds (the best of two runs) and GFLOP a frame of each stage, and of what is between them."""
    parts, counter = chosen(net, stages), FlopCounterMode(display=False)
    times, flops = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0.0)

    def enter(name: str) -> None:
        times[name] -= time.perf_counter()
        flops[name] -= counter.get_total_flops()

    def leave(name: str) -> None:
        times[name] += time.perf_counter()
        flops[name] += counter.get_total_flops()

    hooks = []
    for name, part in parts.items():
        hooks.append(part.register_forward_pre_hook(lambda *_, name=name: enter(name)))
        hooks.append(part.register_forward_hook(lambda *_, name=name: leave(name)))
    with counter:
        work()
    executed, total = {name: flops[name] / frames / 1e9 for name in parts}, counter.get_total_flops() / frames / 1e9
    best, whole = dict.fromkeys(parts, float("inf")), float("inf")
    for _ in range(2):
        times.update(dict.fromkeys(parts, 0.0))
        begin = time.perf_counter()
        work()
        whole = min(whole, (time.perf_counter() - begin) / frames)
        best = {name: min(best[name], times[name] / frames) for name in parts}
    for hook in hooks:
        hook.remove()
    rows = [(name, best[name], executed[name]) for name in parts]
    rows += [("the rest", whole - sum(best.values()), total - sum(executed.values())), ("all", whole, total)]
    for name, took, gflop in rows:
        print(f"  {name:56} {1e3 * took:7.2f} ms a frame  {gflop:6.2f} GFLOP  {gflop / took:5.0f} GFLOP/s")


def by_kind(work: Callable[[], object], frames: int) -> None:
    """Print milliseconds a frame of each kind of operation: what is no convolution holds a model under the ceiling."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    times: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)), "elementwise")
        times[kind] += event.self_cpu_time_total / frames / 1e3
    print("  " + ", ".join(f"{kind} {times[kind]:.1f} ms" for kind in (*KINDS, "elementwise")))

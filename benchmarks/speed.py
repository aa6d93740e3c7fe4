"""How fast the toolkit is on this machine, beside what the machine can do and beside the published way.

python -m benchmarks.speed                        all of it, some minutes; close other programs first
python -m benchmarks.speed --quick                without the clips
python -m benchmarks.speed --models tpsmm mraa    these networks alone
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import toolkit
from toolkit import device
from toolkit.models.base import Animator
from toolkit.runner import Runner, prepare
from toolkit.tuning import BATCHES, NAMES

from . import stages
from .families import FAMILIES, MINI, SIDE, Family, Inputs, exactly, inputs, plain, seen, transferred

FRAMES = 4  # of each timed run, at least; a whole batch
PLAIN = 2  # of the plain loop


def seconds(work: Callable[[], object], runs: int = 2) -> float:
    """The best of some runs after one to warm up."""
    work()
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def gflop(work: Callable[[], object]) -> float:
    """The billions of multiplications and additions that convolutions and matrix products really execute."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


@torch.inference_mode()
def ceiling(dtype: torch.dtype) -> float:
    """GFLOP/s of a 256-channel 3 x 3 convolution on 4 x 256 x 64 x 64, channels last: what this machine can do."""
    layer = nn.Conv2d(256, 256, 3, padding=1).to(dtype, memory_format=torch.channels_last)
    x = torch.randn(4, 256, 64, 64).to(dtype).contiguous(memory_format=torch.channels_last)
    return gflop(lambda: layer(x)) / seconds(lambda: layer(x), runs=10)


def network(runner: Runner, given: Inputs) -> tuple[Callable[[], np.ndarray], np.ndarray]:
    """The work for all frames, and the pictures as floats, T x H x W x C (to compare with)."""
    picture, frames = given.pixels()
    source = runner.encode(picture, **seen(runner, given.own))
    reference = runner.motion(frames[:1], **seen(runner, given.points[:1]))

    def motions():
        return transferred(runner, source, runner.motion(frames, **seen(runner, given.points)), reference)

    def work() -> np.ndarray:
        fresh = dataclasses.replace(source)  # a source may remember what the last run computed
        return runner.render(fresh, motions())

    with torch.inference_mode():
        motion = motions()
        batches = (motion[i : i + runner.plan.batch] for i in range(0, len(motion), runner.plan.batch))
        floats = torch.cat([runner._rendered(source, batch) for batch in batches]).permute(0, 2, 3, 1).numpy()
    return work, floats


def runners(animator: Animator) -> dict[str, Runner]:
    """The animator in full precision, in half, and where tiles were chosen also without."""
    out = {precision: prepare(animator, precision=precision) for precision in ("fp32", "bf16")}
    if out["fp32"].plan.winograd:
        out["untiled"] = Runner(animator, dataclasses.replace(out["fp32"].plan, winograd=False))
    return out


def apart(seen: np.ndarray, expected: np.ndarray) -> str:
    """How far pictures in 0 … 1 are from others, in words."""
    difference = np.abs(seen - expected)
    return f"{difference.max():.1e} ({255 * difference.mean():.4f}/255 on average)"


def against_plain(family: Family, animator: Animator) -> None:
    """Full and half precision beside the plain loop: speed, share of the ceiling, and equality of the numbers, beside
    how far the plain loop itself is from float64; then the stages of each.
    """
    given = inputs(animator, max(BATCHES["cpu"]))
    frame = plain(family, animator, given)
    expected = torch.cat([frame(index) for index in range(PLAIN)]).permute(0, 2, 3, 1).numpy()
    exact = exactly(family, animator, given).permute(0, 2, 3, 1).numpy()
    alone = seconds(lambda: [frame(index) for index in range(PLAIN)]) / PLAIN
    executed = gflop(lambda: frame(0))
    top = {dtype: ceiling(dtype) for dtype in (torch.float32, torch.bfloat16)}

    def row(name: str, took: float, executed: float, dtype: torch.dtype, more: str = "") -> None:
        share = executed / took / top[dtype]
        print(
            f"  {name:10}  {1e3 * took:7.1f} ms a frame  {executed:6.1f} GFLOP  {executed / took:5.0f} GFLOP/s = "
            f"{share:4.2f} of the ceiling ({top[dtype]:.0f})  {more}",
            flush=True,
        )

    print(f"\n{family.title}, {SIDE} x {SIDE}, network only")
    row("plain loop", alone, executed, torch.float32, f"from float64 {apart(expected[:1], exact)}")
    at_work = []
    for name, runner in runners(animator).items():
        count = max(FRAMES, runner.plan.batch)
        work, floats = network(runner, given.first(count))
        took, executed = seconds(work) / count, gflop(work) / count
        more = f"{alone / took:5.2f} x plain  at most {apart(floats[:PLAIN], expected)} from it, "
        more += f"from float64 {apart(floats[:1], exact)}  [{runner.plan}]"
        row(name, took, executed, runner.plan.dtype, more)
        at_work.append((name, runner, work, count))
    for name, runner, work, count in at_work:
        print(f"\nStages, {family.title}, {name} [{runner.plan}]")
        stages.by_stage(runner._net, family.stages, work, count)
        stages.by_kind(work, count)


def file_to_file(model, name: str, trim: float | None) -> None:
    """A whole clip, decoding and encoding included, beside the network alone on the same number of frames."""
    picture, driving = toolkit.sample("picture.png"), toolkit.sample("driving.mp4")
    runner = prepare(toolkit.load(model) if isinstance(model, str) else model)
    trim = (0, trim) if trim else None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        toolkit.animate(picture, driving, model=runner, output=out, trim=(0, 0.2), progress=False, overwrite=True)
        begin = time.perf_counter()
        toolkit.animate(picture, driving, model=runner, output=out, trim=trim, progress=False, overwrite=True)
        whole = time.perf_counter() - begin
        from toolkit import media

        count = sum(1 for _ in media.read_frames(out))
    picture, frames = inputs(runner, runner.plan.batch).pixels()
    source = runner.encode(picture)
    alone = seconds(lambda: runner.render(source, runner.motion(frames))) / len(frames) * count
    print(
        f"  {name:16} {count} frames: {whole:6.2f} s = {count / whole:5.1f} frames a second; "
        f"network alone {alone:6.2f} s = {count / alone:5.1f}; {100 * (whole / alone - 1):+.0f} %  [{runner.plan}]"
    )


def run_all(models: Sequence[str] = (), quick: bool = False) -> None:
    """Print every table (`python -m toolkit bench`). models: the networks of these families alone, and no clips."""
    print(device.describe(device.pick()), f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"ceiling {NAMES[dtype]}: {ceiling(dtype):.0f} GFLOP/s")
    for name in models or FAMILIES:
        try:
            animator = FAMILIES[name].animator()
        except toolkit.ToolkitError as error:  # the mini's file is not here
            print(f"\n{FAMILIES[name].title}: {error}")
            continue
        against_plain(FAMILIES[name], animator)
    if models or quick:
        return
    print("\nFile to file")
    with contextlib.suppress(toolkit.ToolkitError):
        file_to_file(FAMILIES["fomm"].animator(), "FOMM vox-256", trim=2.0)
        file_to_file(MINI, MINI, trim=None)
    from benchmarks import memory, training

    memory.run_all()
    training.run_all()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the clips")
    parser.add_argument(
        "--models", nargs="+", choices=FAMILIES, default=(), help="the networks of these families alone"
    )
    given = parser.parse_args()
    run_all(given.models, given.quick)

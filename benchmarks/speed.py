"""How fast the toolkit is on this machine, beside what the machine can do and beside the published way.

python -m benchmarks.speed            all of it, some minutes; close other programs first
python -m benchmarks.speed --quick    without the clips
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import toolkit
from toolkit import device
from toolkit.models import fomm
from toolkit.runner import Runner, prepare
from toolkit.tuning import NAMES

SIDE = 256
FRAMES = 8  # of the plain loop and of each timed run


def seconds(work, runs: int = 3) -> float:
    """The best of some runs after one to warm up."""
    work()
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def gflop(work) -> float:
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


def lively(animator: nn.Module) -> nn.Module:
    """Random weights that keep the signal alive from end to end, so that differences mean something."""
    torch.manual_seed(0)
    gains = {"final.weight": 0.3, "mask.weight": 4.0, "occlusion.weight": 6.0, "jacobian.weight": 0.5}
    with torch.no_grad():
        for name, weight in animator.named_parameters():
            gain = next((gain for ending, gain in gains.items() if name.endswith(ending)), 2**0.5)
            if weight.dim() == 4:
                weight.normal_(0, gain / weight[0].numel() ** 0.5)
    return animator.eval()


def pictures(count: int) -> np.ndarray:
    """Smooth moving patterns, uint8 count x SIDE x SIDE x 3."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    t = np.arange(count)[:, None, None] * 0.3
    channels = [np.sin(6.3 * ((c + 1) * x + y) + t * (c + 1)) + np.cos(6.3 * (c + 2) * y - t) for c in range(3)]
    return (127.5 + 60 * np.stack(channels, axis=-1)).clip(0, 255).astype(np.uint8)


@torch.no_grad()
def plain_loop(animator: nn.Module, picture: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """What the published demo does: one frame at a time, the picture encoded again each time, nothing fused."""

    def tensor(array):
        return torch.from_numpy(array.transpose(2, 0, 1)[None].copy()).float() / 255

    source = tensor(picture)
    kp_source = animator.kp_detector(source)
    kp_initial = animator.kp_detector(tensor(frames[0]))
    results = []
    for frame in frames:
        kp_driving = animator.kp_detector(tensor(frame))
        kp = fomm.transfer_keypoints(kp_source, kp_driving, kp_initial)
        out = animator.generator(source, kp_driving=kp, kp_source=kp_source)
        results.append(out["prediction"][0].permute(1, 2, 0).numpy())
    return np.stack(results)


def network(runner: Runner, picture: np.ndarray, frames: np.ndarray):
    """The work for each frame, and the pictures as floats (to compare with)."""
    source, reference = runner.encode(picture), runner.motion(frames[:1])

    def work():
        motion = runner.transfer(source, runner.motion(frames), reference=reference)
        return runner.render(source, motion)

    with torch.inference_mode():
        motion = runner.transfer(source, runner.motion(frames), reference=reference)
        batches = (motion[i : i + runner.plan.batch] for i in range(0, len(motion), runner.plan.batch))
        floats = torch.cat([runner._rendered(source, batch) for batch in batches]).permute(0, 2, 3, 1).numpy()
    return work, floats


def against_plain(animator: nn.Module, name: str) -> None:
    """Full and half precision beside the plain loop: speed, share of the ceiling, and equality of the numbers."""
    frames = pictures(FRAMES + 1)
    picture, frames = frames[0], frames[1:]
    expected = plain_loop(animator, picture, frames)
    plain = seconds(lambda: plain_loop(animator, picture, frames[:2]), runs=2) / 2
    plain_gflop = gflop(lambda: plain_loop(animator, picture, frames[:2])) - gflop(
        lambda: plain_loop(animator, picture, frames[:1])
    )
    print(f"\n{name}, {SIDE} x {SIDE}, network only")
    print(f"  plain loop  {1e3 * plain:7.1f} ms a frame  {plain_gflop:6.1f} GFLOP  {plain_gflop / plain:5.0f} GFLOP/s")
    runners = {precision: prepare(animator, precision=precision) for precision in ("fp32", "bf16")}
    if runners["fp32"].plan.winograd:
        runners["untiled"] = Runner(animator, dataclasses.replace(runners["fp32"].plan, winograd=False))
    for precision, runner in runners.items():
        top = ceiling(runner.plan.dtype)
        work, floats = network(runner, picture, frames)
        took = seconds(work) / FRAMES
        executed = gflop(work) / FRAMES
        difference = np.abs(floats - expected)
        print(
            f"  {precision:10}  {1e3 * took:7.1f} ms a frame  {executed:6.1f} GFLOP  "
            f"{executed / took:5.0f} GFLOP/s = {executed / took / top:4.2f} of the ceiling ({top:.0f})  "
            f"{plain / took:5.2f} x plain  differs by {difference.max():.1e} at most, "
            f"{255 * difference.mean():.3f}/255 on average  [{runner.plan}]"
        )


STAGES = (
    "kp_detector",
    "generator.dense_motion_network",
    "generator.bottleneck",
    "generator.up_blocks.",
    "generator.final",
)


def stages(animator: nn.Module, precision: str) -> None:
    """Where the time of a FOMM goes: its submodules, and the rest (warp, occlusion, sigmoid, uint8)."""
    frames = pictures(FRAMES + 1)
    runner = prepare(animator, precision=precision)
    source = runner.encode(frames[0])
    parts = {
        name: part
        for name, part in runner._net.named_modules()
        if name in STAGES or (name.startswith(STAGES) and name.split(".")[-1].isdigit() and name.count(".") == 2)
    }
    counter = FlopCounterMode(display=False)
    times, flops = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0.0)

    def enter(name):
        times[name] -= time.perf_counter()
        flops[name] -= counter.get_total_flops()

    def leave(name):
        times[name] += time.perf_counter()
        flops[name] += counter.get_total_flops()

    hooks = []
    for name, part in parts.items():
        hooks.append(part.register_forward_pre_hook(lambda *_, name=name: enter(name)))
        hooks.append(part.register_forward_hook(lambda *_, name=name: leave(name)))

    def work():
        runner.render(source, runner.motion(frames[1:]))

    work()  # half precision is checked on the first frames
    flops.update(dict.fromkeys(parts, 0.0))
    with counter:
        work()
    executed, total = {name: flops[name] / FRAMES / 1e9 for name in parts}, counter.get_total_flops() / FRAMES / 1e9
    best, whole = dict.fromkeys(parts, float("inf")), float("inf")
    for _ in range(3):
        times.update(dict.fromkeys(parts, 0.0))
        begin = time.perf_counter()
        work()
        whole = min(whole, (time.perf_counter() - begin) / FRAMES)
        best = {name: min(best[name], times[name] / FRAMES) for name in parts}
    for hook in hooks:
        hook.remove()
    print(f"\nStages, {precision} [{runner.plan}]")
    rows = [(name, best[name], executed[name]) for name in parts]
    rows += [("the rest", whole - sum(best.values()), total - sum(executed.values())), ("all", whole, total)]
    for name, took, gflops in rows:
        print(f"  {name:32} {1e3 * took:7.2f} ms a frame  {gflops:6.2f} GFLOP  {gflops / took:5.0f} GFLOP/s")


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
    frames = pictures(runner.plan.batch)
    source = runner.encode(pictures(1)[0])

    def work():
        return runner.render(source, runner.motion(frames))

    alone = seconds(work) / len(frames) * count
    print(
        f"  {name:16} {count} frames: {whole:6.2f} s = {count / whole:5.1f} frames a second; "
        f"network alone {alone:6.2f} s = {count / alone:5.1f}; {100 * (whole / alone - 1):+.0f} %  [{runner.plan}]"
    )


def run_all(quick: bool = False) -> None:
    """Print every table (`python -m toolkit bench`)."""
    print(device.describe(device.pick()), f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"ceiling {NAMES[dtype]}: {ceiling(dtype):.0f} GFLOP/s")
    vox = lively(toolkit.build("fomm", "vox-256"))
    against_plain(vox, "FOMM vox-256")
    for precision in ("fp32", "bf16"):
        stages(vox, precision)
    mini = None
    with contextlib.suppress(toolkit.ToolkitError):
        mini = toolkit.load("mini-fomm")
        against_plain(mini, "mini-fomm")
    if quick:
        return
    print("\nFile to file")
    with contextlib.suppress(toolkit.InputError):
        file_to_file(vox, "FOMM vox-256", trim=2.0)
        if mini is not None:
            file_to_file(mini, "mini-fomm", trim=None)
    from benchmarks import memory

    memory.run_all()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the clips")
    run_all(parser.parse_args().quick)

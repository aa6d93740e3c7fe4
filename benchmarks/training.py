"""Training FOMM vox-256: steps a second beside a plain loop in the published way, and how long steps wait for clips.

python -m benchmarks.training                     all of it, some minutes; close other programs first
python -m benchmarks.training --profile           with what the time of a step goes into
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from toolkit import media, puppets
from toolkit.models.fomm import FOMM
from toolkit.models.layers import ImagePyramid
from toolkit.models.motion import RandomTransform, inverse, product
from toolkit.training import Recipe
from toolkit.training.clips import AHEAD, ClipPairs
from toolkit.training.data import Batch, draw
from toolkit.training.loop import Trainer
from toolkit.training.prepare import Pictures
from toolkit.training.recipe import Clips
from toolkit.training.vgg import VGG19

from .families import SIDE
from .stages import by_kind

RECIPE = "fomm-vox-256"
STEPS = 3  # timed, of each way
FRAMES = 64  # of a chunk: the least that VoxCeleb's have
STEP_SECONDS, ROWS = 0.2, 8  # of the simulated step


# -- what it learns from ---------------------------------------------------------------------------------------------


def chunks(folder: Path, count: int, frames: int = FRAMES, ending: str = "mp4") -> Path:
    """A data set in the published layout: chunks of a puppet who turns and talks, SIDE x SIDE, all alike. ending: "mp4"
    (H.264), or "png" for folders of frames.
    """
    wave = torch.linspace(0, 6, frames)
    pose = puppets.Pose.neutral(frames).replace(
        yaw=0.3 * wave.sin(), roll=0.2 * (1.3 * wave).cos(), mouth_open=0.4 + 0.4 * (7 * wave).sin()
    )
    who = puppets.identities(1, seed=1).repeat(frames)
    drawn = draw(who, pose, SIDE).picture.permute(0, 2, 3, 1).numpy()
    for part in ("test", "train"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    paths = [
        folder / ("train" if number else "test") / f"id{number:05d}#drawn#0#{frames}.mp4" for number in range(count)
    ]
    with Pictures(paths[0]) if ending == "png" else media.Writer(paths[0], 25) as writer:
        writer.write(drawn)
    for path in paths[1:]:
        (shutil.copytree if ending == "png" else shutil.copyfile)(paths[0], path)
    return folder


def vgg_file(path: Path) -> Path:
    """VGG-19 with random weights that keep the signal alive, in torchvision's layout."""
    torch.manual_seed(0)
    network = VGG19()
    for weight in network.parameters():
        torch.nn.init.kaiming_normal_(weight) if weight.dim() == 4 else torch.nn.init.zeros_(weight)
    torch.save(network.state_dict(), path)
    return path


# -- the two ways ----------------------------------------------------------------------------------------------------


class PlainLoop:
    """The published iteration (section 10 of the specification): the same modules in full precision and default memory
    format, three looks of the detector, whole pyramids, the transform's slope by automatic differentiation, Adam.
    """

    def __init__(self, model: FOMM, vgg: Path) -> None:
        self.detector, self.generator = model.kp_detector.train(), model.generator.train()
        self.aligned = model.align_corners
        self.features, self.pyramid = VGG19.load(vgg), ImagePyramid((1, 0.5, 0.25, 0.125))
        self.optimisers = [
            torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999)) for part in (self.detector, self.generator)
        ]

    def step(self, batch: Batch) -> dict[str, float]:
        losses = self.losses(batch.source.picture, batch.driving.picture)
        sum(losses.values()).backward()
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return {name: float(value.detach()) for name, value in losses.items()}

    def losses(self, source: Tensor, driving: Tensor) -> dict[str, Tensor]:
        at_source, at_driving = self.detector(source), self.detector(driving)
        prediction = self.generator(source, at_driving, at_source)["prediction"]
        real, fake = self.pyramid(driving), self.pyramid(prediction)
        perceptual = 0
        for level in real:
            wanted = self.features(real[level])
            for ours, theirs in zip(self.features(fake[level]), wanted):
                perceptual = perceptual + 10 * (ours - theirs.detach()).abs().mean()
        transform = RandomTransform.sample(len(driving))
        moved = self.detector(transform.transform_frame(driving, self.aligned))
        back = transform.warp_coordinates(moved["value"])
        slope = torch.stack(
            [torch.autograd.grad(back[..., i].sum(), moved["value"], create_graph=True)[0] for i in (0, 1)], dim=-2
        )
        turned = product(inverse(at_driving["jacobian"]), product(slope, moved["jacobian"]))
        return {
            "perceptual": perceptual,
            "equivariance_value": 10 * (at_driving["value"] - back).abs().mean(),
            "equivariance_jacobian": 10 * (torch.eye(2) - turned).abs().mean(),
        }


def trainer(folder: Path, vgg: Path, data: Path, rows: int, precision: str, size: int = SIDE) -> Trainer:
    """Ours: the published recipe, of which only what this machine can't do is changed."""
    settings = {"vgg": str(vgg), "precision": precision, "clips.folder": str(data)}
    settings |= {"stages.0.batch": rows, "stages.0.size": size}
    return Trainer(Recipe.load(RECIPE, settings), folder, device="cpu", progress=False)


def ways(folder: Path, rows: int, size: int = SIDE) -> dict[str, Callable[[], dict[str, float]]]:
    """Name of each way -> one step of it, all on the same batch and from the same weights."""
    data, vgg = chunks(folder / "few", 2, frames=4), vgg_file(folder / "vgg19.pth")
    ours = {name: trainer(folder / name, vgg, data, rows, name, size) for name in ("fp32", "bf16")}
    first = ours["fp32"]
    batch = first.task.batch(first.recipe.stages[0], 0)
    model = FOMM("vox-256", first.task.animator.align_corners)
    for made in ours.values():  # what they see is read once, and is no part of the time
        made.task.close()
        made.task.batch = lambda *_: batch
        made.task.animator.load_state_dict(first.task.animator.state_dict())
    model.load_state_dict(first.task.animator.state_dict())
    loop, seeds = PlainLoop(model, vgg), iter(range(1000))

    def plain() -> dict[str, float]:
        torch.manual_seed(first.recipe.seed * 1_000_003 + next(seeds))  # the transform's, as the trainers' are
        return loop.step(batch)

    return {"plain": plain, **{name: made.advance for name, made in ours.items()}}


def against_plain(rows: int, timed: int = STEPS, profile: bool = False) -> None:
    """Seconds a step of each way, in turns, and how far its losses are from the plain loop's on the way. On one thread
    it is processor time: other programs weigh less on it.
    """
    alone = torch.get_num_threads() == 1
    clock, unit = (time.process_time, "s of one thread") if alone else (time.perf_counter, "s")
    print(f"\nTraining {RECIPE}, {SIDE} x {SIDE}, batch {rows}, {torch.get_num_threads()} threads", flush=True)
    with tempfile.TemporaryDirectory() as place:
        steps = ways(Path(place), rows)
        took: dict[str, list[float]] = {name: [] for name in steps}
        losses: dict[str, list[Mapping[str, float]]] = {name: [] for name in steps}
        for _ in range(1 + timed):  # the first of each warms up
            for name, step in steps.items():
                begin = clock()
                losses[name].append(step())
                took[name].append(clock() - begin)
        best = {name: min(times[1:]) for name, times in took.items()}
        for name, seconds in best.items():
            apart = ", ".join(f"{_apart(*pair):.0e}" for pair in zip(losses[name], losses["plain"]))
            print(
                f"  {name:6} {seconds:6.2f} {unit} a step, {rows / seconds:6.3f} pairs a second, "
                f"{best['plain'] / seconds:5.2f} x plain   losses from plain's, step by step: {apart}",
                flush=True,
            )
        for name, step in steps.items() if profile else ():
            print(f"  {name}, a pair:")
            by_kind(step, rows)


def _apart(ours: Mapping[str, float], plain: Mapping[str, float]) -> float:
    """The largest relative difference of a term."""
    return max(abs(ours[name] / value - 1) for name, value in plain.items())


# -- waiting for clips -----------------------------------------------------------------------------------------------


def waiting(count: int = 17, steps: int = 25) -> None:
    """The share of time that simulated steps wait for their batch, and what a batch costs."""
    print(f"\nData wait: steps of {STEP_SECONDS} s, batch {ROWS}, {SIDE} x {SIDE}, chunks of {FRAMES} frames")
    usual = Recipe.load(RECIPE).clips
    with tempfile.TemporaryDirectory() as place:
        data = {ending: chunks(Path(place) / ending, count, ending=ending) for ending in ("mp4", "png")}
        for about, ending, memory in (
            ("clips, kept in memory", "mp4", usual.memory),
            ("clips that memory doesn't hold", "mp4", 0.0),
            ("folders of pictures", "png", usual.memory),
        ):
            clips = dataclasses.replace(usual, folder=str(data[ending]), memory=memory)
            print(f"  {about:32} {_waited(clips, 2 * (count // ROWS) + AHEAD, steps)}", flush=True)


def _waited(clips: Clips, warm: int, steps: int) -> str:
    """Steps that do nothing but last; the first ones, while clips are read for the first time, don't count."""
    pairs, waits, begun = ClipPairs(clips, seed=0), [], 0.0
    try:
        for step in range(warm + steps):
            if step == warm:
                begun = _processor()
            begin = time.perf_counter()
            pairs.batch(step, SIDE, ROWS)
            waits.append(time.perf_counter() - begin)
            time.sleep(STEP_SECONDS)
        work = (_processor() - begun) / steps
    finally:
        pairs.close()
    later = sum(waits[warm:])
    share = later / (later + STEP_SECONDS * steps)
    return f"waits {100 * share:5.1f} % of the time; a batch is {work:5.3f} s of work for one core"


def _processor() -> float:
    """Seconds of processor time of this process and of the ffmpegs that have ended."""
    return sum(os.times()[:4])


def run_all(rows: int = 2, timed: int = STEPS, profile: bool = False) -> None:
    """Print all of it (`python -m toolkit bench`)."""
    against_plain(rows, timed, profile)
    waiting()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2, help="pairs a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="timed of each way (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="also what the time of a step goes into")
    given = parser.parse_args()
    run_all(given.batch, given.steps, given.profile)

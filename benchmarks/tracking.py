"""Two people who cross, and heads that keep still: how steadily drawn faces are followed, and clips cut.

python -m benchmarks.tracking [clips]
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from benchmarks.faces import jitter, pictures, switches
from toolkit import faces, media, puppets
from toolkit.faces import Box, Person
from toolkit.faces.cropping import RECIPES
from toolkit.faces.steady import of_clip
from toolkit.training.data import HELD_OUT

WIDTH, HEIGHT, FPS = 480, 270, 25
SECONDS, STILL = 8, 2  # of a clip of two people, and of one that keeps still
MATCH = 0.5  # intersection over union from which a track holds a face
BESIDE = 0.2  # overlap of the two faces up to which they stand free of each other
NOISE = 0.02  # of a camera, standard deviation as a share of the range


@dataclasses.dataclass
class Crossing:
    """What is counted. crossings: how often one face passed the other; changes: how often a track changed hands; seen,
    held: faces that stood free of each other, and those of them that a track held.
    """

    clips: int = 0
    crossings: int = 0
    changes: int = 0
    tracks: int = 0
    seen: int = 0
    held: int = 0

    def __str__(self) -> str:
        minutes = self.clips * SECONDS / 60
        return (
            f"{self.clips} clips of {SECONDS} s, {self.crossings} crossings: {self.changes / minutes:.2f} switches a "
            f"minute, {self.tracks / self.clips:.2f} tracks a clip (2 are right), "
            f"{self.held / max(1, self.seen):.3f} of the free faces held"
        )


def two(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Clip `number`: two held-out puppets who talk and walk to and fro, one in front of the other. uint8 T x H x W x 3,
    and their boxes T x 2 x 4 pixels, the one behind first.
    """
    random, count = np.random.default_rng(HELD_OUT + number), SECONDS * FPS
    frames = np.repeat(_ground(number)[None], count, axis=0)
    truth = np.empty((count, 2, 4))
    seconds = np.arange(count) / FPS
    for person in (0, 1):
        side = int(random.integers(130, 220))
        drawn, points = _talking(2 * number + person, side)
        there_and_back = np.concatenate([np.arange(len(drawn)), np.arange(len(drawn))[::-1]])
        way, turn = 2 * np.pi * seconds / random.uniform(4, 8), random.uniform(0, 2 * np.pi)
        across = (WIDTH - side) / 2 * (1 + random.uniform(0.6, 0.95) * np.sin(way + turn))
        down = random.uniform(0, HEIGHT - 0.8 * side) + 4 * np.sin(3 * way)
        for row, (x, y) in enumerate(np.stack([across, np.clip(down, 0, None)], 1).round().astype(int)):
            pose = there_and_back[row % len(there_and_back)]
            _paste(frames[row], drawn[pose], x, y)
            truth[row, person] = Box.around(points[pose] + [x, y])
    return _noisy(frames, number), truth


def apart(truth: np.ndarray) -> list[bool]:
    """For each frame whether the two faces hardly overlap, so that it is clear whom a track holds."""
    return [Box(*a).overlap(Box(*b)) <= BESIDE for a, b in truth]


def owners(people: Sequence[Person], truth: np.ndarray) -> list[list[int]]:
    """For each track, frame after frame, whose face it holds; -1 for none, and while the two overlap."""
    held = []
    for person in people:
        track = []
        for box, both, clear in zip(person.boxes, truth, apart(truth), strict=True):
            overlaps = [Box(*box).overlap(Box(*one)) if clear and not np.isnan(box[0]) else 0.0 for one in both]
            track.append(int(np.argmax(overlaps)) if max(overlaps) > MATCH else -1)
        held.append(track)
    return held


def crossing(clips: int) -> Crossing:
    """Follow the people of so many clips."""
    counted = Crossing()
    for number in range(clips):
        frames, truth = two(number)
        people = faces.find(frames, backend="perception")
        held, middles = owners(people, truth), truth[:, :, 0] + truth[:, :, 2] / 2
        counted.clips += 1
        counted.crossings += int((np.diff(np.sign(middles[:, 0] - middles[:, 1])) != 0).sum())
        counted.changes += switches(held)
        counted.tracks += len(people)
        counted.seen += 2 * sum(apart(truth))
        counted.held += sum(owner >= 0 for track in held for owner in track)
    return counted


def still(number: int, talks: bool) -> tuple[float, float]:
    """Pixels a frame by which boxes move in a clip of a head that keeps still, with a camera's noise, through a codec:
    the face's, as found, and that of the crop which follows it (the other kind of crop stands still).
    """
    drawn, _ = _talking(number, HEIGHT, STILL if talks else 1 / FPS, lively=0)
    frames = np.repeat(_ground(number)[None], STILL * FPS, axis=0)
    for row, frame in enumerate(frames):
        _paste(frame, drawn[row % len(drawn)], (WIDTH - HEIGHT) // 2, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "still.mp4"
        with media.Writer(path, Fraction(FPS)) as writer:
            writer.write(_noisy(frames, number))
        person = faces.find(path, backend="perception", pick=0)[0]
        crop = of_clip(path, media.probe(path), RECIPES["face"], follow=1, strict=True)[0]
    return jitter([Box(*box) for box in person.boxes[~person.lost]]), jitter([Box(*box) for box in crop.boxes])


def _talking(number: int, side: int, seconds: float = 1, lively: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A held-out puppet, a frame each: uint8 T x side x side x 4, and its landmarks T x 68 x 2 in pixels."""
    seed = HELD_OUT + number
    pose = puppets.performance(seconds, FPS, seed, lively=lively)
    who = puppets.identities(1, seed=seed)
    drawn = [puppets.draw(who, pose[k : k + 1], side, background=False) for k in range(len(pose))]
    points = (puppets.landmarks(who.repeat(len(pose)), pose).numpy() + 1) * side / 2
    return pictures(torch.cat(drawn)), points


def _ground(number: int) -> np.ndarray:
    who = puppets.identities(1, seed=HELD_OUT + 100_000 + number)
    drawn = pictures(puppets.draw(who, puppets.Pose.neutral(1), WIDTH, parts=("background",))[:, :3])[0]
    return drawn[(WIDTH - HEIGHT) // 2 :][:HEIGHT]


def _paste(frame: np.ndarray, head: np.ndarray, x: int, y: int) -> None:
    """Lay a head over a frame, in place; what hangs over the lower edge is cut off."""
    part = frame[y : y + len(head), x : x + head.shape[1]]
    head = head[: len(part)]
    alpha = head[..., 3:] / 255
    part[...] = (head[..., :3] * alpha + part * (1 - alpha)).round()


def _noisy(frames: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    for frame in frames:
        noise = 255 * NOISE * random.standard_normal(frame.shape, np.float32)
        frame[...] = (frame + noise).round().clip(0, 255)
    return frames


def run_all(clips: int = 8) -> None:
    start = time.perf_counter()
    print(f"Two drawn people, {WIDTH} x {HEIGHT}, {FPS} frames a second: {crossing(clips)}")
    for talks in (False, True):
        found, crop = np.transpose([still(number, talks) for number in range(max(2, clips // 3))])
        print(
            f"A head that keeps still{' and talks' if talks else ''}, pixels a frame: the face as found "
            f"{found.mean():.2f}, the crop that follows it {crop.mean():.3f} (at most {crop.max():.3f})"
        )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    run_all(*map(int, sys.argv[1:]))

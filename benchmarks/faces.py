"""How well drawn faces are found: held-out puppets, several in a scene, as cameras and codecs change them.

python -m benchmarks.faces [scenes]
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from toolkit.faces.drawn import Drawn
from toolkit.faces.face import Box, Face
from toolkit.models.perception import boxes
from toolkit.training.data import HELD_OUT
from toolkit.training.recipe import Data
from toolkit.training.scenes import SEEN, Painter

SIZES = (40, 80, 160, 320, 800)  # pixels of a box's longer side, from class to class
SIDE, SPRITE = 1024, 1024  # of the scenes, and of the puppets as drawn
MAYBE = 0.1  # share of a face that must be seen for a claim of it not to be wrong
MATCH = 0.5  # intersection over union


@dataclasses.dataclass
class Count:
    """What is counted of the faces of one size."""

    wanted: int = 0
    found: int = 0
    claimed: int = 0
    right: int = 0
    errors: list[float] = dataclasses.field(default_factory=list)  # of landmarks, shares of the eye distance

    def __add__(self, other: Count) -> Count:
        return Count(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    def __str__(self) -> str:
        recall, precision = self.found / max(1, self.wanted), self.right / max(1, self.claimed)
        error = f"{np.mean(self.errors):.3f}  {np.quantile(self.errors, 0.95):.3f}" if self.errors else ""
        return f"{self.wanted:5}  {recall:6.3f}  {precision:9.3f}  {error}"


def pictures(picture: torch.Tensor) -> np.ndarray:
    """B x 3 x H x W in 0..1 -> uint8 B x H x W x 3."""
    return np.ascontiguousarray((picture * 255).round().byte().permute(0, 2, 3, 1).numpy())


def size_class(side: float) -> int:
    return int(np.clip(np.searchsorted(SIZES, side) - 1, 0, len(SIZES) - 2))


def count(found: Iterable[Face], landmarks: torch.Tensor, seen: torch.Tensor, least: float = SEEN) -> list[Count]:
    """Compare what was found in one picture with its K true faces, by size. landmarks: K x 68 x 2 pixels; seen: K.

    A face is wanted if at least the share `least` of its landmarks is seen; a claim of a face of which less, but more
    than MAYBE, is seen counts neither way.
    """
    counts = [Count() for _ in SIZES[:-1]]
    truth = [Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes(landmarks).tolist()]
    free = {k for k in range(len(truth)) if seen[k] > MAYBE}
    for face in sorted(found, key=lambda face: -face.score):
        k = max(free, key=lambda k: truth[k].overlap(face.box), default=None)
        hit = k is not None and truth[k].overlap(face.box) > MATCH
        if hit:
            free.discard(k)
        if hit and seen[k] < least:
            continue
        row = counts[size_class(truth[k].side if hit else face.size)]
        row.claimed += 1
        if hit:
            row.right, row.found = row.right + 1, row.found + 1
            points = landmarks[k].numpy()
            eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
            row.errors.append(float(np.linalg.norm(face.landmarks - points, axis=1).mean() / eyes))
    for box, share in zip(truth, seen.tolist(), strict=True):
        counts[size_class(box.side)].wanted += share >= least
    return counts


def scenes(finder: Drawn, total: int = 120) -> list[Count]:
    """Count over so many scenes."""
    painter = Painter(Data(characters=24, poses=1), HELD_OUT // 1_000_000 + 9, SPRITE)
    counts = [Count() for _ in SIZES[:-1]]
    for step in range(total):
        scene = painter.scenes(step, SIDE, 1, faces=(SIZES[0], SIZES[-1]))
        found = finder(pictures(scene.picture))[0]
        counts = [a + b for a, b in zip(counts, count(found, scene.landmarks[0], scene.seen[0]), strict=True)]
    return counts


def jitter(tracked: Sequence[Box]) -> float:
    """Pixels a frame that a box moves: its middle's way and the change of its side, averaged."""
    rows = np.array([(*box.centre, box.side) for box in tracked])
    steps = np.abs(np.diff(rows, axis=0))
    return float((np.hypot(steps[:, 0], steps[:, 1]) + steps[:, 2]).mean())


def switches(owners: Sequence[Sequence[int]]) -> int:
    """How often tracks change hands. owners: for each track, frame after frame, the number of the person whose face it
    holds; -1 where it holds none.
    """
    held = ([owner for owner in track if owner >= 0] for track in owners)
    return sum(int((np.diff(track) != 0).sum()) for track in held)


def still(finder: Drawn, frames: int = 24) -> float:
    """Jitter of the box, as found, of a still head whose frames differ by noise alone (2 % of the range)."""
    painter = Painter(Data(characters=24, poses=1), HELD_OUT // 1_000_000 + 8)
    step = next(k for k in range(99) if (painter.scenes(k, 512, 1, 1, (160, 200), plain=True).seen == 1).any())
    scene = painter.scenes(step, 512, 1, 1, (160, 200), plain=True)
    random = torch.Generator().manual_seed(0)
    noise = (0.02 * torch.randn(frames, 3, 512, 512, generator=random) + scene.picture).clamp(0, 1)
    found = finder(pictures(noise))
    return jitter([faces[0].box for faces in found if faces])


def run_all(total: int = 120) -> None:
    finder = Drawn()
    start = time.perf_counter()
    counts = scenes(finder, total)
    spent = (time.perf_counter() - start) / total
    print(f"Drawn faces in {total} scenes of {SIDE} x {SIDE}, {spent:.2f} s a scene with the drawing")
    print("pixels      faces  recall  precision  error (mean, 95 %)")
    for low, high, row in zip(SIZES, SIZES[1:], counts, strict=False):
        print(f"{low:3} to {high:3}  {row}")
    print(f"over {SIZES[1]}     {sum(counts[2:], counts[1])}")
    print(f"Box of a still head, noise alone: {still(finder):.2f} pixels a frame")


if __name__ == "__main__":
    run_all(*map(int, sys.argv[1:]))

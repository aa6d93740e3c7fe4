"""What training the perception network means: landmarks are known, two pictures of one character are closer than two
characters, and in scenes of several puppets it is known where the faces are.

A stage trains what it names: the parts that look at one head each, the detector, or the aligner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError
from ..models.perception import SIZE, Crops, Perception, boxes, decoded, middles, overlaps
from . import checks
from .data import HELD_OUT, Puppets, View, distort
from .parts import WHOLE, Part
from .recipe import Recipe, Stage
from .scenes import SEEN, Painter, Scenes

GRAIN = 16  # sides of scenes and of half of them are multiples of 8
NEGATIVE = 0.25  # share of the aligner's crops that hold no face


@dataclasses.dataclass(frozen=True)
class Windows:
    """What the aligner learns from. crops: B x 3 x SIZE x SIZE. landmarks: P x 68 x 2 in -1 … 1, of the first P rows;
    the others hold no face.
    """

    crops: Tensor
    landmarks: Tensor


class PerceptionTask:
    """The task of the recipes with task = "perception". See `task.Task`."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.network = Perception()
        self.modules: dict[str, nn.Module] = dict(self.network.named_children())
        self.data = Puppets(recipe.data, recipe.seed, device)
        self.painter = Painter(recipe.data, recipe.seed)
        for stage in recipe.stages:
            checks.check_names("perception", stage, self.modules)
            if stage.steps and stage.size % GRAIN:
                raise ConfigError(
                    f"Stage '{stage.name}' has pictures of {stage.size} pixels, which this model can't take.",
                    f"Give a multiple of {GRAIN}.",
                )
        self._held: tuple[View, Tensor] | None = None
        self._held_scenes: Scenes | None = None

    def open(self, stages: Iterable[Stage]) -> None:
        """No file is needed."""

    def prepare(self, stage: Stage) -> None:
        """Nothing depends on the stage."""

    def batch(self, stage: Stage, step: int, part: Part = WHOLE) -> dict[str, Any]:
        """What the parts that learn are shown. Heads: two pictures each of batch / 2 characters. The detector: scenes,
        at every other step twice as many of half the side, with few and large faces; some are larger than its reach, so
        that it learns that an eye is no face. The aligner: crops of scenes. A part is a smaller batch of its own.
        """
        odd, step, rows = step % 2, step * part.of + part.number, part.count(stage.batch)
        random, shown = self.data.generator(step), {}
        if "detector" in stage.train:
            if odd:
                shown["scenes"] = self.painter.scenes(step, stage.size // 2, 2 * rows, 2, (25, 140))
            else:
                shown["scenes"] = self.painter.scenes(step, stage.size, rows, faces=(11, 320))
        if "aligner" in stage.train:
            scenes = self.painter.scenes(step, stage.size, max(1, rows // 3), faces=(22, 170))
            with torch.no_grad():
                claimed = decoded(self.network.detector(self._laid(scenes.picture)), least=0.05, most=8)
            shown["windows"] = windows(scenes, rows, random, [boxes.cpu() for _, boxes in claimed])
        if "eyes" in stage.train:
            view, who = self.data.views(step, stage.size, rows, per_character=2)
            shown["heads"] = dataclasses.replace(view, picture=distort(view.picture, random)), who
        return shown

    def losses(self, batch: dict[str, Any], stage: Stage) -> dict[str, Tensor]:
        losses, weights = {}, stage.weights
        if "scenes" in batch:
            scenes = batch["scenes"]
            found = self.network.detector(self._laid(scenes.picture))
            heat, box = detection_loss(found, scenes, self.network.detector.cell, self.network.detector.reach)
            losses |= {"heat": weights.get("heat", 1.0) * heat, "box": weights.get("box", 0.5) * box}
        if "windows" in batch:
            heat, face = self.network.aligner.maps(self._laid(batch["windows"].crops))
            truth = batch["windows"].landmarks.to(self.device)
            heat, landmarks = heat[: len(truth)], middles(heat)[0]
            losses["maps"] = weights.get("maps", 0.05) * map_loss(heat, truth)
            is_face = (torch.arange(len(face), device=self.device) < len(truth)).float()
            losses["aligned"] = weights.get("aligned", 1.0) * eye_distances(landmarks[: len(truth)], truth).sum()
            losses["aligned"] = losses["aligned"] / max(1, truth.shape[0] * truth.shape[1])
            losses["face"] = weights.get("face", 0.2) * F.binary_cross_entropy_with_logits(face, is_face)
        if "heads" in batch:
            view, who = batch["heads"]
            out = self.network(self._laid(view.picture))
            error = (out["landmarks"] - view.landmarks).abs()
            error = (error + 2 * error.square()).sum(-1).mean()
            losses["landmarks"] = weights.get("landmarks", 1.0) * error
            losses["identity"] = weights.get("identity", 0.02) * contrast(out["identity"], who)
        return losses

    def adversary(self, batch: Any, stage: Stage) -> Tensor | None:
        return None

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Held out. Heads: landmark error in pixels at SIZE, and how often the nearest of 63 other pictures is the same
        character. Scenes: recall and precision of the detector's boxes at IoU 0.5, the aligner's error in a crop as a
        share of the eye distance, and how often it tells a face from none.
        """
        if self._held is None:
            held = HELD_OUT // 1_000_000
            self._held = Puppets(self.recipe.data, held, self.device).views(0, SIZE, 64, per_character=2)
            self._held_scenes = Painter(self.recipe.data, held).scenes(0, 2 * SIZE, 32)
        (view, who), scenes = self._held, self._held_scenes
        out = self.network(view.picture)
        near = (out["identity"] @ out["identity"].T).fill_diagonal_(-2).argmax(1)
        pixels = (out["landmarks"] - view.landmarks).norm(dim=-1).mean() * SIZE / 2
        numbers = {"landmark_px": float(pixels), "recognised": float((who[near] == who).float().mean())}
        recall, precision = detected(self.network.detector(scenes.picture.to(self.device)), scenes)
        numbers |= {"recall": recall, "precision": precision}
        shown = windows(scenes, 64, torch.Generator().manual_seed(0))
        landmarks, face = self.network.aligner(shown.crops.to(self.device))
        count = len(shown.landmarks)
        right = (face > 0).cpu() == (torch.arange(len(face)) < count)
        error = eye_distances(landmarks[:count].cpu(), shown.landmarks)
        return numbers | {"align_error": float(error.mean()), "told": float(right.float().mean())}

    def sheet(self) -> Any:
        return None

    def export(self, path: Path, facts: Mapping[str, Any]) -> None:
        from safetensors.torch import save_file

        part = path.with_name(path.name + ".part")
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in self.network.state_dict().items()
        }
        about = {"kind": "perception", **{key: str(value) for key, value in facts.items()}}
        save_file({key: value.cpu().contiguous() for key, value in state.items()}, part, metadata=about)
        part.replace(path)

    def _laid(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device).contiguous(memory_format=torch.channels_last)


def contrast(embeddings: Tensor, who: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss of unit vectors B x D: each should be nearest to the other pictures of its
    character.
    """
    likeness = (embeddings @ embeddings.T / temperature).fill_diagonal_(-1e4)
    same = (who[:, None] == who[None, :]).float().fill_diagonal_(0)
    return -(F.log_softmax(likeness, 1) * same).sum(1).div(same.sum(1).clamp(min=1)).mean()


def eye_distances(landmarks: Tensor, truth: Tensor) -> Tensor:
    """Errors of landmarks B x 68 x 2 as shares of the distance between the true eyes' middles: B x 68."""
    eyes = (truth[:, 36:42].mean(1) - truth[:, 42:48].mean(1)).norm(dim=-1, keepdim=True)
    return ((landmarks - truth).square().sum(-1) + 1e-8).sqrt() / eyes


def map_loss(heat: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of maps B x K x h x w (before the softmax) with bumps a cell wide about the true points B x K x 2,
    those outside left out. It teaches where to look far sooner than the error of the maps' middles, which comes on top.
    """
    height, width = heat.shape[2:]
    middle = (truth + 1) / 2 * truth.new_tensor([width, height])
    x = torch.arange(width, device=heat.device) + 0.5 - middle[..., :1]
    y = torch.arange(height, device=heat.device) + 0.5 - middle[..., 1:]
    bump = (-y.square() / 2).exp()[..., :, None] * (-x.square() / 2).exp()[..., None, :]
    bump = bump / bump.sum((2, 3), keepdim=True).clamp(min=1e-6)
    inside = (truth.abs() < 1).all(-1)
    entropy = -(bump * heat.flatten(2).log_softmax(2).view(heat.shape)).sum((2, 3))
    return (entropy * inside).sum() / inside.sum().clamp(min=1)


def detection_loss(found: Tensor, scenes: Scenes, cell: int, reach: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """The losses of the detector's maps B x 5 x h x w: a focal loss of the scores (a peak at each face, nearly right
    beside it; nothing is asked where a face is half hidden, or smaller or larger than `reach`), and L1 of the boxes.
    """
    rows, _, height, width = found.shape
    peaks, asked = torch.zeros(rows, height, width), torch.ones(rows, height, width)
    box, near = torch.zeros(rows, 4, height, width), torch.zeros(rows, height, width)
    x = torch.arange(width)[None] + 0.5
    y = torch.arange(height)[:, None] + 0.5
    count = 0
    for row, k in (scenes.seen > 0.1).nonzero().tolist():
        x0, y0, x1, y1 = (boxes(scenes.landmarks[row, k][None])[0] / cell).tolist()
        wide, high, cx, cy = x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2
        in_reach = reach[0] <= max(wide, high) * cell <= reach[1] and 0 <= cx < width and 0 <= cy < height
        if scenes.seen[row, k] < SEEN or not in_reach:
            asked[row][((x - cx).abs() < wide / 3) & ((y - cy).abs() < high / 3)] = 0
            continue
        count += 1
        bump = (-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (0.35 + 0.08 * max(wide, high)) ** 2)).exp()
        middle = (row, int(cy), int(cx))
        bump[middle[1:]] = 1
        closer = (bump > 0.4) & (bump > near[row])
        near[row][closer] = bump[closer]
        logs = [torch.full((), wide).log().expand_as(bump), torch.full((), high).log().expand_as(bump)]
        truth = torch.stack([(cx - x).expand_as(bump), (cy - y).expand_as(bump), *logs])
        box[row][:, closer] = truth[:, closer]
        peaks[row] = torch.maximum(peaks[row], bump)
        asked[middle] = 1
    peaks, asked, box, near = (t.to(found.device) for t in (peaks, asked, box, near))
    score = found[:, 0]
    right = F.logsigmoid(score) * (1 - score.sigmoid()) ** 2 * (peaks == 1)
    wrong = F.logsigmoid(-score) * score.sigmoid() ** 2 * (1 - peaks) ** 4 * asked
    error = ((found[:, 1:] - box).abs().sum(1) * near).sum() / near.sum().clamp(min=1)
    return -(right + wrong).sum() / max(1, count), error


def detected(found: Tensor, scenes: Scenes) -> tuple[float, float]:
    """Recall and precision at IoU 0.5 of the detector's maps. Half hidden faces count neither way."""
    hits = claims = right = wanted = 0
    for row, (scores, claimed) in enumerate(decoded(found, least=0.5)):
        must, may = (boxes(scenes.faces(row, least)) for least in (SEEN, 0.1))
        hits += int((overlaps(must, claimed).amax(1) > 0.5).sum()) if len(claimed) else 0
        right += int((overlaps(claimed, may).amax(1) > 0.5).sum()) if len(may) else 0
        claims, wanted = claims + len(scores), wanted + len(must)
    return hits / max(1, wanted), right / max(1, claims)


def windows(scenes: Scenes, rows: int, random: torch.Generator, claimed: Sequence[Tensor] = ()) -> Windows:
    """Crops of the scenes' faces as the finder makes them, `rows` in all: half of them about a box that is not quite
    right, half aligned by landmarks that nearly are; then some where no face is, first what a detector takes for one:
    claimed, boxes F x 4 for each scene.
    """
    found = (scenes.seen >= SEEN).nonzero()
    count = round(rows * (1 - NEGATIVE)) if len(found) else 0
    picked = found[torch.randint(max(1, len(found)), (count,), generator=random)] if count else found[:0]
    landmarks = scenes.landmarks[picked[:, 0], picked[:, 1]]
    rough, fine = Crops.around(boxes(landmarks)), Crops.aligned(landmarks)
    exact = torch.arange(count) % 2 == 1
    amount = torch.where(exact, 0.3, 1.0)

    def bell(spread: float, *shape: int) -> Tensor:
        return (spread * torch.randn(count, *shape, generator=random)).clamp(-2 * spread, 2 * spread)

    side = torch.where(exact, fine.side, rough.side)
    crops = Crops(
        torch.where(exact[:, None], fine.middle, rough.middle) + (amount * side)[:, None] * bell(0.05, 2),
        side * (amount * bell(0.13)).exp(),
        torch.where(exact, fine.roll, rough.roll) + amount * bell(0.15),
    )
    where, empty = _empty(scenes, rows - count, random, claimed)
    pictures = [crops[k].cut(scenes.picture[row]) for k, row in enumerate(picked[:, 0].tolist())]
    others = Crops.around(empty)
    pictures += [others[k].cut(scenes.picture[row]) for k, row in enumerate(where)]
    return Windows(torch.cat(pictures), crops.inside(landmarks))


def _empty(scenes: Scenes, count: int, random: torch.Generator, claimed: Sequence[Tensor]) -> tuple[list[int], Tensor]:
    """At most `count` boxes without a face, and the scenes that they are in."""
    tries = 4 * count
    rows = [row for row, some in enumerate(claimed) for _ in some]
    rows += torch.randint(len(scenes.picture), (tries,), generator=random).tolist()
    middle = torch.rand(tries, 2, generator=random) * scenes.picture.shape[-1]
    half = 12 * (7 ** torch.rand(tries, 1, generator=random))
    tried = torch.cat([*claimed, torch.cat([middle - half, middle + half], 1)])
    free = [
        k
        for k, row in enumerate(rows)
        if not len(faces := scenes.faces(row, 0.05)) or float(overlaps(tried[k : k + 1], boxes(faces)).max()) < 0.1
    ][:count]
    return [rows[k] for k in free], tried[free]

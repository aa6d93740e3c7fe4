"""The losses of the perception network by pictures (see `loss_figures.py`), and the heads that all losses are shown
with.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor

from .. import puppets
from ..models.perception import Crops, Perception, boxes, decoded
from ..paths import shipped
from ..training import Recipe, perception
from ..training.data import HELD_OUT, View, draw
from ..training.scenes import Scenes
from . import figures

SIZE = 256
PLACES = ((150, 106, 84), (112, 6, 30), (76, 150, 4))  # of a scene's heads: side, left and upper edge in pixels
EMPTY = ((20.0, 170, 70, 220), (102, 4, 142, 44))  # boxes that hold none
EYES, MOUTH, FACE = slice(36, 48), slice(48, 68), slice(68)  # of the 68 landmarks
FOUND, KNOWN = "red", "black"


def asked(loss: Callable[[Tensor], Tensor], scores: Tensor, shares: Tensor, count: int) -> tuple[float, Tensor]:
    """The value of a cross-entropy, a mean over `count` places, and the shares that it asks for: where its slope on the
    scores, before softmax or sigmoid, would be none. shares: what softmax or sigmoid makes of them.
    """
    scores = scores.detach().requires_grad_()
    value = loss(scores)
    (slope,) = torch.autograd.grad(value, scores)
    return float(value.detach()), shares - count * slope


class Heads:
    """A character that looks ahead (source), and in another pose (target).

    who: its identity (None: one that training never sees). number: of the pose, and of the character.
    """

    def __init__(self, who: puppets.Identity | None = None, number: int = 0) -> None:
        self.number = number
        self.who = puppets.identities(1, HELD_OUT + 556 + number) if who is None else who

    @functools.cached_property
    def anchors(self) -> tuple[str, ...]:
        """The points that the small models' detectors were taught."""
        return tuple(Recipe.load("mini-fomm").anchors)

    @functools.cached_property
    def views(self) -> dict[str, View]:
        poses = {
            "source": puppets.Pose.neutral(1),
            "target": puppets.poses(1, HELD_OUT + 123 + self.number, amount=0.7),
        }
        return {name: draw(self.who, pose, SIZE, self.anchors)[:] for name, pose in poses.items()}

    @property
    def source(self) -> Tensor:
        return self.views["source"].picture

    @property
    def target(self) -> Tensor:
        return self.views["target"].picture

    def closer(self, axis: Axes, view: str, part: slice = FACE, margin: float = 0.1) -> None:
        """Show a part of the face alone."""
        points = self.views[view].landmarks[0, part]
        low, high = points.amin(0), points.amax(0)
        half = float((high - low).max()) / 2 + margin
        x, y = ((low + high) / 2).tolist()
        axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half))


class PerceptionFigures(Heads):
    """A method of the loss's name after "draw_" fills four empty panels and returns the loss's value."""

    @functools.cached_property
    def scene(self) -> Scenes:
        """Three other heads on one ground."""
        who = puppets.identities(len(PLACES), HELD_OUT + 700 + self.number)
        pose = puppets.poses(len(PLACES), HELD_OUT + 700 + self.number, amount=0.6)
        canvas = puppets.draw(self.who, puppets.Pose.neutral(1), SIZE, parts=("background",))[:, :3]
        landmarks = (puppets.landmarks(who, pose) + 1) / 2
        for k, (side, x, y) in enumerate(PLACES):
            head = puppets.draw(who[k : k + 1], pose[k : k + 1], side, background=False)
            canvas[:, :, y : y + side, x : x + side].lerp_(head[:, :3], head[:, 3:])
            landmarks[k] = landmarks[k] * side + torch.tensor([x, y])
        return Scenes(canvas.clamp(0, 1), landmarks[None], torch.ones(1, len(PLACES)))

    def draw_landmarks(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        known = self.views["target"].landmarks
        with torch.no_grad():
            found = _network()(self.target)["landmarks"]
        _landmarks((a, b, c, d), self.target, found, known)
        self.closer(d, "target", MOUTH)
        off = (found - known).abs()
        return float((off + 2 * off.square()).sum(-1).mean())

    def draw_identity(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        who = torch.arange(3).repeat_interleave(3)
        characters = puppets.identities(3, HELD_OUT + 710 + self.number)
        view = draw(characters[who], puppets.poses(9, HELD_OUT + 711 + self.number), 128)[:]
        with torch.no_grad():
            identity = _network()(view.picture)["identity"]
        tiles = view.picture.unflatten(0, (3, 3)).permute(2, 0, 3, 1, 4).reshape(3, 384, 384)
        figures.picture(a, tiles, "a row is a character")
        likeness = {"likeness found": identity @ identity.T, "likeness asked for": (who[:, None] == who).float()}
        figures.pictures((b, c), {title: one[None] for title, one in likeness.items()}, vmin=-1, vmax=1)
        return float(perception.contrast(identity, who))

    @functools.cached_property
    def detected(self) -> Tensor:
        """The detector's maps of the scene, made wrong: all is a cell too far right, and too large."""
        with torch.no_grad():
            found = _network().detector(self.scene.picture).roll(1, 3)
        found[:, 3:] += 0.25
        return found.requires_grad_()

    def detection(self) -> tuple[Tensor, Tensor]:
        """Both losses of these maps."""
        detector = _network().detector
        return perception.detection_loss(self.detected, self.scene, detector.cell, detector.reach)

    def draw_heat(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        value, _ = self.detection()
        (slope,) = torch.autograd.grad(value, self.detected)
        figures.picture(a, self.scene.picture[0], "picture")
        figures.picture(b, self.detected[:, 0].sigmoid(), "scores, a cell too far right", vmin=0, vmax=1)
        pull = -slope[:, 0] / slope[:, 0].abs().max()
        figures.picture(c, pull, "blue: raise, red: lower", cmap="RdBu", vmin=-1, vmax=1)
        figures.picture(d, pull, "closer", cmap="RdBu", vmin=-1, vmax=1)
        x, y = boxes(self.scene.faces(0))[1].unflatten(0, (2, 2)).mean(0).mul(2 / SIZE).sub(1).tolist()
        d.set(xlim=(x - 0.35, x + 0.35), ylim=(y + 0.35, y - 0.35))
        return float(value.detach())

    def draw_box(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        known, ((_, found),) = boxes(self.scene.faces(0)), decoded(self.detected.detach())
        figures.pictures((a, b, c), dict.fromkeys(("found", "known", "off by"), self.scene.picture[0]))
        for axes, some, colour in (((a, c), found, FOUND), ((b, c), known, KNOWN)):
            for x0, y0, x1, y1 in (some * 2 / SIZE - 1).tolist():
                for axis in axes:
                    axis.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=colour, lw=1.5)
        return float(self.detection()[1].detach())

    @functools.cached_property
    def crop(self) -> tuple[Tensor, Tensor]:
        """What the aligner sees of the largest face, and the landmarks there."""
        landmarks = self.scene.landmarks[0, :1]
        crops = Crops.around(boxes(landmarks))
        return crops.cut(self.scene.picture[0]), crops.inside(landmarks)

    def draw_maps(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        crop, truth = self.crop
        with torch.no_grad():
            scores = _network().aligner.maps(crop)[0]
        shares = scores.flatten(2).softmax(2).view(scores.shape)
        value, bumps = asked(lambda scores: perception.map_loss(scores, truth), scores, shares, truth.shape[1])
        figures.picture(a, crop[0], "crop")
        shown = {"68 maps found, as one": shares.amax(1), "68 maps asked for": bumps.amax(1)}
        figures.pictures((b, c), shown, cmap="magma", vmin=0, vmax=0.16)
        return value

    def draw_aligned(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        crop, truth = self.crop
        with torch.no_grad():
            found = _network().aligner(crop)[0]
        _landmarks((a, b, c, d), crop, found, truth)
        d.set(xlim=(-0.4, 0.4), ylim=(0.6, -0.2))
        return float(perception.eye_distances(found, truth).mean())

    def draw_face(self, *panels: Axes) -> float:
        faces = boxes(self.scene.landmarks[0, :2])
        crops = [Crops.around(some).cut(self.scene.picture[0]) for some in (faces, torch.tensor(EMPTY))]
        with torch.no_grad():
            scores = _network().aligner(torch.cat(crops))[1]
        wanted = torch.tensor([1.0, 1, 0, 0])
        for axis, crop, score, right in zip(panels, torch.cat(crops), scores.sigmoid().tolist(), wanted.tolist()):
            figures.picture(axis, crop, f"a face: {score:.2f}, asked {right:.0f}")
        return float(F.binary_cross_entropy_with_logits(scores, wanted))


def _landmarks(panels: tuple[Axes, ...], picture: Tensor, found: Tensor, known: Tensor) -> None:
    figures.pictures(panels, dict.fromkeys(("found", "known", "off by", "closer"), picture[0]))
    for axis, points, colour in zip(panels, (found, known, found, found), (FOUND, KNOWN, FOUND, FOUND)):
        axis.plot(*points[0].T, ".", color=colour, ms=4)
    for axis in panels[2:]:
        figures.lines(axis, found[0], known[0], KNOWN)


@functools.cache
def _network() -> Perception:
    return Perception.load(shipped("checkpoints/mini/perception.safetensors")).requires_grad_(False)

"""Puppets as training data: drawn on the fly, with everything known about them.

The unit is a group: a few characters in the same poses. Any two poses of a character make a same-identity pair
(source, driving); with another character of the group as the driver, they make a cross-identity sample whose true
answer is there too: this character in the driver's pose. A chunk of groups is drawn at once, serves a number of
steps, and is thrown away. What step n sees depends on the seed and n alone, so a run that is resumed goes on exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import puppets
from .checks import check_data
from .parts import WHOLE, Part
from .recipe import Data

HELD_OUT = 900_000_000  # seeds from here on are for evaluation, below it for training


@dataclasses.dataclass(frozen=True)
class View:
    """Pictures of puppets and what is known of them; B rows.

    picture: B x 3 x H x W in 0..1. points, jacobian: B x K x 2 and B x K x 2 x 2, the anchors, in -1 … 1 from edge to
    edge.
    landmarks: B x 68 x 2, likewise. row: B, the pictures' places in their chunk. Of frames of a clip nothing is known
    but the picture.
    """

    picture: Tensor
    points: Tensor | None = None
    jacobian: Tensor | None = None
    landmarks: Tensor | None = None
    row: Tensor | None = None

    def __len__(self) -> int:
        return len(self.picture)

    def __getitem__(self, rows: Tensor | slice) -> View:
        picked = View(*(None if tensor is None else tensor[rows] for tensor in self._tensors()))
        if picked.picture.dtype == torch.uint8:
            picked = dataclasses.replace(picked, picture=picked.picture.float() / 255)
        return picked

    def to(self, device: torch.device | str) -> View:
        return View(*(None if tensor is None else tensor.to(device) for tensor in self._tensors()))

    def _tensors(self) -> list[Tensor | None]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


@dataclasses.dataclass(frozen=True)
class Batch:
    """One training batch: the source picture, the frame that is wanted, and the driver in the reference pose and now.

    In same-identity rows the driver is the wanted frame and the reference the source. cross: bool B. progress: how far
    the stage is, see `Stage.progress`.
    """

    source: View
    target: View
    reference: View
    driving: View
    cross: Tensor
    progress: float = 0.0


@torch.no_grad()
def draw(
    identity: puppets.Identity, pose: puppets.Pose, size: int, anchors: Sequence[str] = (), at_once: int = 16
) -> View:
    """Draw B puppets with background: pictures as uint8, the named anchors (none: all) and landmarks, on the
    identity's device. size 0: pictures of no pixel, where only the rest is looked at.
    """
    pictures = [torch.empty(0 if size else len(pose), 3, size, size, dtype=torch.uint8, device=identity.device)]
    for begin in range(0, len(pose) if size else 0, at_once):
        part = slice(begin, begin + at_once)
        rgb = puppets.draw(identity[part], pose[part], size=size)[:, :3]
        pictures.append((rgb.clamp(0, 1) * 255).round().to(torch.uint8))
    points, jacobian = puppets.anchors(identity, pose)
    if anchors:
        rows = [puppets.ANCHORS.index(name) for name in anchors]
        points, jacobian = points[:, rows], jacobian[:, rows]
    return View(torch.cat(pictures), points, jacobian, puppets.landmarks(identity, pose))


def each_with_all(
    identity: puppets.Identity, pose: puppets.Pose, group: int, poses: int
) -> tuple[puppets.Identity, puppets.Pose]:
    """Pair I characters with their group's poses: rows by character, then pose. pose has I / group * poses rows."""
    count = len(identity)
    characters = torch.arange(count).repeat_interleave(poses)
    rows = (torch.arange(count) // group).repeat_interleave(poses) * poses + torch.arange(poses).repeat(count)
    return identity[characters], pose[rows]


class Puppets:
    """Batches of puppets. `batch(step, …)` is a pure function of the seed and its arguments; the current chunk is
    kept. Raises ConfigError for data or anchors that can't be drawn.
    """

    def __init__(self, data: Data, seed: int, device: torch.device | str = "cpu", anchors: Sequence[str] = ()) -> None:
        check_data(data, anchors)
        self.data, self.seed, self.device, self.anchors = data, seed, torch.device(device), anchors
        self._key: tuple[int, int] | None = None
        self._chunk: View | None = None

    def chunk(self, number: int, size: int) -> View:
        """Chunk `number` of all pictures, characters x poses rows."""
        if self._key != (number, size):
            data, seed = self.data, self.seed * 1_000_000 + number
            style = data.styles[number % len(data.styles)] if data.styles else None
            identity = puppets.identities(data.characters, seed, style, device=self.device)
            pose = puppets.poses(
                data.characters // data.group * data.poses, seed, device=self.device, amount=data.amount
            )
            drawn = draw(*each_with_all(identity, pose, data.group, data.poses), size, self.anchors)
            self._chunk = dataclasses.replace(drawn, row=torch.arange(len(drawn), device=self.device))
            self._key = (number, size)
        return self._chunk

    @property
    def current(self) -> View | None:
        """The chunk of the last batch."""
        return self._chunk

    def _number(self, step: int, rows: int) -> int:
        """The chunk that a step of so many rows uses: each picture is seen about `reuse` times."""
        return step // max(1, self.data.characters * self.data.poses * self.data.reuse // rows)

    def generator(self, step: int) -> torch.Generator:
        """The random numbers of one step."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)

    def batch(self, step: int, size: int, rows: int, cross: float = 0.0, part: Part = WHOLE) -> Batch:
        """`rows` samples, or a part of them, the first round(cross * rows) with another character as the driver."""
        data, random = self.data, self.generator(step)
        view = self.chunk(self._number(step, rows), size)

        def number(below: int) -> Tensor:
            return torch.randint(below, (rows,), generator=random)

        crossed = torch.arange(rows) < round(cross * rows)
        group = number(data.characters // data.group) * data.group
        member = number(data.group)
        other = torch.where(crossed, (member + 1 + number(max(1, data.group - 1))) % data.group, member)
        begin = number(data.poses)
        now = (begin + 1 + number(data.poses - 1)) % data.poses

        def pick(who: Tensor, when: Tensor) -> View:
            return view[((group + who) * data.poses + when)[part.rows].to(self.device)]

        views = (pick(who, when) for who in (member, other) for when in (begin, now))
        return Batch(*views, crossed[part.rows].to(self.device))

    def views(self, step: int, size: int, rows: int, per_character: int = 1) -> tuple[View, Tensor]:
        """`rows` pictures of rows / per_character different characters, and the number of the character of each row."""
        data, random = self.data, self.generator(step)
        view = self.chunk(self._number(step, rows), size)
        order = torch.arange(rows // per_character) % data.characters
        who = torch.randperm(data.characters, generator=random)[order].repeat_interleave(per_character)
        when = torch.stack(
            [torch.randperm(data.poses, generator=random)[:per_character] for _ in range(rows // per_character)]
        )
        return view[(who * data.poses + when.flatten()).to(self.device)], who.to(self.device)

    def crops(self, step: int, size: int, rows: int, side: int) -> Tensor:
        """`rows` random windows of side x side of different characters' pictures: rows x 3 x side x side in 0..1."""
        view, _ = self.views(step, size, rows)
        places = torch.randint(size - side + 1, (rows, 2), generator=self.generator(step + 1)).tolist()
        return torch.stack([picture[:, y : y + side, x : x + side] for picture, (y, x) in zip(view.picture, places)])


def distort(pictures: Tensor, random: torch.Generator) -> Tensor:
    """What happens to a driver's frames on their way: other exposure and tint, a resampling, a little noise. B x 3 x
    H x W -> the same.
    """
    rows, device = len(pictures), pictures.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(rows, *shape, generator=random)).to(device)

    x = pictures * uniform(0.85, 1.15, 3, 1, 1) * uniform(0.85, 1.15, 1, 1, 1) + uniform(-0.06, 0.06, 1, 1, 1)
    side = pictures.shape[-1]
    smaller = int(side * (0.55 + 0.45 * torch.rand((), generator=random)))
    if smaller < side and torch.rand((), generator=random) < 0.5:
        x = torch.nn.functional.interpolate(x, (smaller, smaller), mode="bilinear", antialias=True, align_corners=False)
        x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear", align_corners=False)
    x = x + (0.02 * torch.rand((), generator=random)) * torch.randn(x.shape, generator=random).to(device)
    return x.clamp(0, 1)

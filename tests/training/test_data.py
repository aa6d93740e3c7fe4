"""Puppets as training data: seeded, paired as promised, and weighed where the face is."""

import dataclasses

import pytest
import torch

from toolkit import puppets
from toolkit.training import regions
from toolkit.training.data import Puppets, distort, draw
from toolkit.training.recipe import Data

SMALL = Data(characters=6, poses=3, group=3, reuse=2)


@pytest.fixture(scope="module")
def batch():
    return Puppets(SMALL, seed=2).batch(0, 32, 8, cross=0.5)


def same(a, b):
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))


def test_a_batch_follows_from_seed_and_step(batch):
    again = Puppets(SMALL, seed=2)
    again.batch(5, 32, 8, cross=0.5)  # what came before must not matter
    assert same(again.batch(0, 32, 8, cross=0.5).target, batch.target)
    assert not same(Puppets(SMALL, seed=3).batch(0, 32, 8, cross=0.5).target, batch.target)


def test_rows_are_what_they_say(batch):
    cross = batch.cross
    assert cross.tolist() == [True] * 4 + [False] * 4
    for name in ("picture", "points", "landmarks"):
        source, target, reference, driving = (
            getattr(view, name) for view in (batch.source, batch.target, batch.reference, batch.driving)
        )
        assert torch.equal(reference[~cross], source[~cross]) and torch.equal(driving[~cross], target[~cross])
        for row in cross.nonzero():
            assert not torch.equal(driving[row], target[row]) and not torch.equal(reference[row], source[row])
        assert not torch.equal(source, target)


def test_cross_rows_have_the_true_answer():
    """The driver of a cross row is in the very pose of the picture that is wanted."""
    data = Puppets(dataclasses.replace(SMALL, characters=2, poses=2, group=2), seed=9)
    view = data.chunk(0, 32)
    drawn = puppets.poses(2, 9_000_000)
    wanted = draw(puppets.identities(2, 9_000_000)[torch.tensor([0, 0, 1, 1])], drawn.repeat(2), 32)
    assert torch.equal(view.picture, wanted.picture)


def test_named_anchors_come_in_order():
    who, pose = puppets.identities(1, 4), puppets.poses(1, 5)
    points, _ = puppets.anchors(who, pose)
    names = ("chin", "nose")
    view = draw(who, pose, 32, names)
    assert torch.equal(view.points, points[:, [puppets.ANCHORS.index(name) for name in names]])
    assert view.picture.dtype == torch.uint8 and view.landmarks.shape == (1, 68, 2)


def test_two_pictures_of_each_character():
    view, who = Puppets(SMALL, seed=2).views(0, 32, 6, per_character=2)
    assert who[0::2].equal(who[1::2]) and len(set(who.tolist())) == 3
    assert not torch.equal(view.picture[0], view.picture[1])


def test_distortion_keeps_the_range_and_the_place():
    view, _ = Puppets(SMALL, seed=2).views(0, 64, 6)
    random = torch.Generator().manual_seed(1)
    changed = distort(view.picture, random)
    assert changed.shape == view.picture.shape and changed.min() >= 0 and changed.max() <= 1
    assert 0.001 < (changed - view.picture).abs().mean() < 0.2


def test_boxes_hold_the_features():
    who, pose = puppets.identities(8, 14), puppets.poses(8, 15)
    points = puppets.landmarks(who, pose)
    box = regions.boxes(points)
    for name, part in (
        ("eye_left", regions.EYE_LEFT),
        ("eye_right", regions.EYE_RIGHT),
        ("mouth", regions.MOUTH),
        ("head", slice(0, 68)),
    ):
        left, top, right, bottom = box[name].unbind(1)
        x, y = points[:, part].unbind(-1)
        assert (
            (x >= left[:, None]).all()
            and (x <= right[:, None]).all()
            and (y >= top[:, None]).all()
            and (y <= bottom[:, None]).all()
        )


def test_pixels_weigh_by_their_heaviest_region():
    points = puppets.landmarks(puppets.identities(2, 14), puppets.poses(2, 15))
    weight = regions.weights(points, 64, 64, {"background": 1.0, "head": 4.0, "eyes": 10.0})
    where = regions.masks(points, 64, 64)
    assert (weight[where["background"] & ~where["eyes"]] == 1).all() and (weight[where["eyes"]] == 10).all()
    assert (weight[where["head"] & ~where["eyes"]] == 4).all()
    assert regions.weights(points, 64, 64, {}) is None

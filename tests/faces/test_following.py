"""Landmarks for models that see through them: of one person, whoever else walks by."""

import numpy as np
import pytest
import torch

import toolkit
from tests.faces.walkers import HIGH, WIDE, Walk, straight
from toolkit import landmarks
from toolkit.faces import finders
from toolkit.faces.following import Follower


def batches(frames, size=5):
    return [frames[k : k + size] for k in range(0, len(frames), size)]


def test_one_person_is_followed_and_lost_frames_are_marked():
    """Head 0 stands in the middle; head 1 comes in front of it, and goes on."""
    passing = straight(0, 144, 30)
    walk = Walk([{0: 72} | ({1: passing[row - 5]} if row >= 5 else {}) for row in range(35)], blind=(2, 3))
    follow = Follower(walk)
    points, valid = map(np.concatenate, zip(*map(follow, batches(walk.frames()))))
    truth = walk.faces(0)[0].landmarks * 2 / [WIDE, HIGH] - 1
    assert points.shape == (35, 68, 2) and not valid[[2, 3]].any() and valid[[0, 1, 4, 5, 6, 33, 34]].all()
    assert 2 < (~valid).sum() < 16, "lost while it is hidden"
    assert np.abs(points[valid] - truth).max() < 1e-6 and np.isnan(points[~valid]).all()


def test_whom_the_frame_is_of_is_followed():
    """Not who is a little larger, at its edge."""
    walk = Walk([{1: 4, 0: 72}] * 3)
    points, _ = Follower(walk)(walk.frames())
    assert np.abs(points - (walk.faces(0)[0].landmarks * 2 / [WIDE, HIGH] - 1)).max() < 1e-6


class Eye:
    def __init__(self, name, walk):
        self.name, self.sees, self.walk = name, "who walks", walk

    def __call__(self, frames):
        return self.walk(frames)


@pytest.mark.parametrize(("name", "noted"), [("perception", True), ("face-alignment", False)])
def test_the_toolkits_own_landmarks_say_whose_they_are(monkeypatch, name, noted):
    """Boxes alone are of no use here, so the cascade is never asked."""
    walk = Walk([{0: 72}] * 6)
    nobody = Eye("nobody", Walk([{}] * 6))
    others = {key: (lambda: nobody) for key in ("perception", "face-alignment", "cascade") if key != name}
    monkeypatch.setattr(finders, "BACKENDS", {**others, name: lambda: Eye(name, walk)})
    monkeypatch.setattr(finders, "is_here", lambda entry: True)
    given = landmarks.Landmarks()
    along = given.along(lambda number: (0, 0, WIDE, HIGH), (HIGH, WIDE))
    points = torch.cat([along(batch) for batch in batches(walk.frames())])
    along.finish()
    assert points.shape == (6, 68, 2) and bool(points.isfinite().all())
    assert bool(given.note) is noted
    if noted:
        assert "python -m toolkit fetch face-landmarks" in given.note


def test_a_picture_of_nobody_is_refused_with_what_was_tried(monkeypatch):
    empty = Walk([{}])
    monkeypatch.setattr(
        finders, "BACKENDS", {name: lambda name=name: Eye(name, empty) for name in ("perception", "cascade")}
    )
    monkeypatch.setattr(finders, "is_here", lambda entry: False)
    with pytest.raises(
        toolkit.InputError, match=r"No face was found in the picture: perception saw no face.*face-alignment has no"
    ):
        landmarks.Landmarks().of_pictures(list(empty.frames()), [None], [(HIGH, WIDE)])

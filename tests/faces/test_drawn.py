"""The finder of drawn heads, with the network that ships: faces of several sizes; nothing where nobody is."""

import numpy as np
import pytest
import torch

from toolkit import puppets
from toolkit.errors import InputError
from toolkit.faces.drawn import Drawn
from toolkit.faces.face import Box
from toolkit.models.perception import boxes
from toolkit.training.data import HELD_OUT
from toolkit.training.recipe import Data
from toolkit.training.scenes import Painter

SIDE = 384


@pytest.fixture(scope="module")
def finder():
    return Drawn()


@pytest.fixture(scope="module")
def painter():
    return Painter(Data(characters=12, poses=1), HELD_OUT // 1_000_000 + 3)


def pixels(picture):
    return np.ascontiguousarray((picture * 255).round().byte().permute(0, 2, 3, 1).numpy())


def true_box(landmarks):
    x0, y0, x1, y1 = boxes(landmarks[None])[0].tolist()
    return Box(x0, y0, x1 - x0, y1 - y0)


def test_faces_of_several_sizes_are_found_with_their_landmarks(finder, painter):
    wanted = hits = claims = 0
    errors = []
    for step in range(8):
        scene = painter.scenes(step, SIDE, 1, most=3, faces=(48, 220))
        found = finder(pixels(scene.picture))[0]
        claims += len(found)
        for points in scene.faces(0, least=0.9):
            wanted += 1
            best = max(found, key=lambda face: face.box.overlap(true_box(points)), default=None)  # noqa: B023
            if best is None or best.box.overlap(true_box(points)) < 0.5:
                continue
            hits += 1
            away = np.linalg.norm(best.landmarks - points.numpy(), axis=1).mean()
            errors.append(away / best.eye_distance)
            assert best.score > 0.5 and best.finder == "perception"
    assert wanted >= 8 and hits >= 0.9 * wanted
    assert claims <= 2 * wanted
    assert np.mean(errors) < 0.08


def test_nobody_is_found_on_empty_backdrops(finder):
    empty = puppets.draw(puppets.identities(8, HELD_OUT + 5), puppets.Pose.neutral(8), 256, parts=("background",))
    noise = np.random.default_rng(0).integers(0, 256, (2, 300, 200, 3), dtype=np.uint8)
    assert finder(pixels(empty[:, :3])) == [[]] * 8
    assert finder(noise) == [[], []]
    assert finder(np.zeros((1, 40, 700, 3), np.uint8)) == [[]]


def test_a_large_picture_with_one_small_and_one_large_face(finder):
    """The same puppets at another place and scale are found there: 60 and 500 pixels in 1600 x 900."""
    who, pose = puppets.identities(2, HELD_OUT + 6), puppets.Pose.neutral(2)
    picture, truth = np.full((900, 1600, 3), 150, np.uint8), []
    for k, (side, left, top) in enumerate(((1100, 30, -60), (150, 1300, 600))):
        drawn = puppets.draw(who[[k]], pose[[k]], side, background=False)[0].permute(1, 2, 0).numpy()
        cut = drawn[max(0, -top) : 900 - top]
        place = picture[max(0, top) : top + side, left : left + side]
        place[:] = place * (1 - cut[..., 3:]) + 255 * cut[..., :3] * cut[..., 3:]
        points = (puppets.landmarks(who[[k]], pose[[k]])[0] + 1) / 2 * side + torch.tensor([left, top])
        truth.append(true_box(points))
    found = finder(picture[None])[0]
    assert len(found) == 2
    for box in truth:
        assert max(face.box.overlap(box) for face in found) > 0.75


def test_each_frame_is_looked_at_alone(finder, painter):
    """What a frame shows does not depend on the frames beside it, nor on how many come at once."""
    frames = pixels(painter.scenes(20, 256, 10, most=2, faces=(60, 140)).picture)
    together, alone = finder(frames), [finder(frame[None])[0] for frame in frames]
    assert sum(map(len, alone)) > 5
    assert [len(faces) for faces in together] == [len(faces) for faces in alone]
    for a, b in zip(together, alone, strict=True):
        for one, other in zip(a, b, strict=True):
            assert one.box.overlap(other.box) > 0.98
            assert np.abs(one.landmarks - other.landmarks).max() < 0.5


def test_other_things_than_frames_are_refused(finder):
    with pytest.raises(InputError, match="Give uint8"):
        finder(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="Give uint8"):
        finder(np.zeros((1, 64, 64, 3), np.float32))

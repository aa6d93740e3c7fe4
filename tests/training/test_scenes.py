"""Scenes of puppets: seeded, their landmarks where the faces are; what the detector and the aligner learn from them."""

import dataclasses

import pytest
import torch

from toolkit.models.perception import Crops, Detector, boxes, decoded, overlaps
from toolkit.training.perception import detected, detection_loss, windows
from toolkit.training.recipe import Data
from toolkit.training.scenes import SEEN, Painter, coded

SMALL = Data(characters=6, poses=1)


@pytest.fixture(scope="module")
def painter():
    return Painter(SMALL, seed=2)


@pytest.fixture(scope="module")
def scenes(painter):
    return painter.scenes(0, 192, 12, most=3, faces=(24, 100), plain=True)


def test_scenes_follow_from_seed_and_step(painter, scenes):
    painter.scenes(5, 64, 2)  # what came before must not matter
    again = painter.scenes(0, 192, 12, most=3, faces=(24, 100), plain=True)
    assert all(torch.equal(getattr(again, f.name), getattr(scenes, f.name)) for f in dataclasses.fields(scenes))
    other = Painter(SMALL, seed=3).scenes(0, 192, 12, most=3, faces=(24, 100), plain=True)
    assert not torch.equal(other.picture, scenes.picture)


def test_landmarks_are_where_the_pasted_face_is(painter, scenes):
    """Cut out by its landmarks, a face in a scene looks like the puppet it was pasted from."""
    pool = painter.pool(0)
    level = pool.sprites[1].float() / 255
    sprites = torch.cat(
        [
            Crops.aligned((points[None] + 1) / 2 * level.shape[-1]).cut(picture[:3], 32)
            for picture, points in zip(level, pool.landmarks, strict=False)
        ]
    )[..., 8:24, 8:24]
    tried = 0
    for row in range(12):
        points = scenes.faces(row, least=0.95)
        points = points[(boxes(points)[:, 2] - boxes(points)[:, 0]) > 28]
        for crop in Crops.aligned(points).cut(scenes.picture[row], 32)[..., 8:24, 8:24]:
            tried += 1
            nearest, next_one = (sprites - crop).abs().mean((1, 2, 3)).topk(2, largest=False).values
            assert nearest < 0.06 and nearest < 0.5 * next_one
    assert tried >= 3


def test_what_is_seen_of_a_face(scenes):
    inside = ((scenes.landmarks > 0) & (scenes.landmarks < 192)).all(-1).float().mean(-1)
    assert (scenes.seen <= inside + 1e-6).all()
    assert (scenes.seen == 1).any() and ((scenes.seen > 0) & (scenes.seen < SEEN)).any()


def test_a_codec_keeps_what_is_coarse():
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32).contiguous()
    noisy = (ramp + 0.1 * torch.randn(ramp.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert (coded(noisy, 1e-4) - noisy).abs().max() < 1e-3
    rough = coded(noisy, 0.1)
    assert (rough - ramp).abs().mean() < 0.6 * (noisy - ramp).abs().mean()
    assert 0.01 < (rough - noisy).abs().mean() < 0.1


def test_maps_that_the_loss_likes_are_read_as_the_true_boxes(scenes):
    found = torch.zeros(12, 5, 24, 24)
    found[:, 0] = -4
    found.requires_grad_()
    optimiser = torch.optim.Adam([found], lr=0.3)
    for _ in range(150):
        optimiser.zero_grad()
        sum(detection_loss(found, scenes, Detector.cell, Detector.reach)).backward()
        optimiser.step()
    assert detected(found.detach(), scenes) == (1.0, 1.0)
    for row, (_, claimed) in enumerate(decoded(found.detach(), least=0.5)):
        for box in boxes(scenes.faces(row)):
            assert overlaps(box[None], claimed).max() > 0.75


def test_windows_hold_the_face_or_none(scenes):
    shown = windows(scenes, 24, torch.Generator().manual_seed(3))
    assert shown.crops.shape[1:] == (3, 128, 128) and len(shown.landmarks) == 18
    assert 18 < len(shown.crops) <= 24
    assert shown.landmarks.abs().max() < 1.4
    assert shown.landmarks[:, 27].abs().max() < 0.6  # between the eyes: in the middle
    size = boxes(shown.landmarks)
    sides = (size[:, 2:] - size[:, :2]).amax(1)
    assert sides.min() > 0.8 and sides.max() < 2
    again = windows(scenes, 24, torch.Generator().manual_seed(3))
    assert torch.equal(again.crops, shown.crops)


def test_scenes_without_faces_have_windows_too(scenes):
    empty = dataclasses.replace(scenes, seen=torch.zeros_like(scenes.seen))
    shown = windows(empty, 8, torch.Generator().manual_seed(3))
    assert len(shown.landmarks) == 0 and len(shown.crops) == 8

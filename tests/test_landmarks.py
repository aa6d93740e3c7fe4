"""Where landmarks come from: a finder, points, the network that ships; faces that were lost; mistaken units."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import toolkit
from tests.small_models import FRAMES, character, drawn, performance, runner
from toolkit import driving, landmarks, media, pipeline, puppets
from toolkit.models.base import Motion


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("landmarks") / "driver.mp4"
    with media.Writer(path, Fraction(10), quality=5) as writer:
        writer.write(performance()[0])
    return path


class Finder:
    """Gives the known landmarks of the clip, one batch after the other, and notes what it was shown."""

    def __init__(self, lost=(), say=True):
        self.points, self.shown = performance()[1].clone(), []
        self.valid = torch.tensor([row not in lost for row in range(FRAMES)])
        if not say:
            self.points[~self.valid] = torch.nan
        self.say = say

    def __call__(self, frames):
        begin = sum(map(len, self.shown))
        self.shown.append(frames)
        rows = slice(begin, begin + len(frames))
        return (self.points[rows], self.valid[rows]) if self.say else self.points[rows].numpy()


def prepared(clip, given, model="fewshot", **settings):
    track = pipeline.Track(character()[0], clip, runner(model), landmarks=given, **settings)
    track.prepare(pipeline.Progress(False))
    return track


def test_a_finder_sees_each_frame_once(clip):
    finder = Finder()
    track = prepared(clip, (character()[1], finder))
    assert [len(batch) for batch in finder.shown] == [4, 4, 2]
    assert all(batch.dtype == np.uint8 and batch.shape[1:] == (64, 64, 3) for batch in finder.shown)
    assert np.abs(np.concatenate(finder.shown).astype(int) - performance()[0]).mean() < 3
    assert torch.allclose(track.motion["landmarks"], performance()[1], atol=1e-6)
    assert track.report["lost frames"] == 0 and track.notes == []
    points = prepared(clip, (character()[1], performance()[1].numpy()))
    assert torch.allclose(points.motion["landmarks"], track.motion["landmarks"], atol=1e-6)


def test_a_finder_alone_serves_the_picture_too(clip):
    finder = Finder()
    finder.points = torch.cat([character()[1], finder.points])
    finder.valid = torch.ones(FRAMES + 1)
    track = prepared(clip, finder)
    assert torch.allclose(track.source.motion["landmarks"], character()[1], atol=1e-6)
    assert torch.allclose(track.motion["landmarks"], performance()[1], atol=1e-6)


@pytest.mark.parametrize("say", [True, False])
@pytest.mark.parametrize("model", ["tha", "fewshot"])
def test_lost_frames_hold_the_last_pose(clip, model, say):
    """Over the ends of batches too (four frames), and the first ones take the next; the report counts them."""
    whole = prepared(clip, (character()[1], Finder()), model).motion
    track = prepared(clip, (character()[1], Finder(lost=(0, 1, 3, 4, 5, 9), say=say)), model)
    name = runner(model).linear[0]
    assert torch.allclose(track.motion[name], whole[name][[2, 2, 2, 2, 2, 2, 6, 7, 8, 8]], atol=1e-6)
    assert track.report["lost frames"] == 6
    assert track.notes == ["The face was lost in 6 of 10 frames (first at 0.0 s); there the last pose is held."]
    assert track.motion.valid.tolist() == [row in (2, 6, 7, 8) for row in range(FRAMES)]
    assert np.isfinite(np.stack(list(track.frames()))).all()
    report = toolkit.animate(
        character()[0],
        clip,
        model=runner(model),
        landmarks=(character()[1], Finder(lost=(4,))),
        progress=False,
    ).report
    assert report["lost frames"] == 1
    assert any("lost in 1 of 10" in note for note in report["notes"])


def test_a_clip_without_a_face_is_refused(clip):
    with pytest.raises(toolkit.InputError, match="driver.mp4 shows no face in any of its 10 frames"):
        prepared(clip, (character()[1], Finder(lost=range(FRAMES))), "tha")
    with pytest.raises(toolkit.InputError, match="No face was found in picture 2 of 2"):
        views = [character()[0], np.full((64, 64, 3), 127, np.uint8)]
        pipeline.Track(views, clip, runner("fewshot")).prepare(pipeline.Progress(False))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (torch.zeros(FRAMES - 1, 68, 2), "landmarks for 9 frames"),
        (torch.zeros(FRAMES + 1, 68, 2), "landmarks for 11 frames, but 10"),
        (torch.zeros(FRAMES, 5, 2), "10 x 5 x 2.*rows x 68 x 2"),
        (torch.full((FRAMES, 68, 2), 30.0), "reach 30: they seem to be pixels.*width - 1"),
        (lambda frames: torch.zeros(1, 68, 2), "gave 1 rows for 4 frames"),
        (lambda frames: frames, "andmarks are"),
    ],
)
def test_landmarks_that_do_not_fit(clip, given, told):
    with pytest.raises(toolkit.ToolkitError, match=told):
        prepared(clip, (character()[1], given))
    with pytest.raises(toolkit.ConfigError, match="pair"):
        prepared(clip, (character()[1], None, None))


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_points_follow_the_frame_that_is_cut_or_padded(fit):
    """Edge to edge of the frame as it is becomes edge to edge of the square that the model sees."""
    way = media.Fit(64, fit)
    frame = np.zeros((60, 96, 3), np.uint8)
    frame[20:24, 50:54] = 255  # a dot about (52, 22)
    square = way.apply(frame).astype(float)[..., 0]
    rows, columns = np.mgrid[:64, :64] + 0.5
    seen = np.array([(columns * square).sum(), (rows * square).sum()]) / square.sum() / 32 - 1
    points = landmarks.fitted(torch.tensor([52 / 48 - 1, 22 / 30 - 1]), way.plan(60, 96), (60, 96))
    assert np.abs(points.numpy() - seen).max() < 0.03


def test_the_network_that_ships_finds_drawn_faces_and_no_others():
    who, pose = puppets.identities(24, seed=50), puppets.poses(24, seed=51)
    frames, truth = drawn(who, pose)
    points, valid = landmarks.drawn(frames)
    assert valid.all()
    assert float((points - truth).norm(dim=-1).mean()) < 0.1
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert not landmarks.drawn(np.concatenate([noise, np.zeros_like(noise), noise // 8 + 100]))[1].any()
    found = landmarks.found(None, np.concatenate([frames[:1], noise[:1]]))
    assert found[0].isfinite().all() and found[1].isnan().all()


def test_the_shipped_network_drives_without_being_asked(clip):
    track = prepared(clip, None)
    error = (track.motion["landmarks"] - performance()[1]).norm(dim=-1).mean()
    still = (performance()[1] - performance()[1].mean(0)).norm(dim=-1).mean()
    assert error < 0.1 and error < 0.8 * still
    assert any("drawn heads" in note for note in track.notes)


def test_held_and_smoothed_leave_long_gaps_finite():
    value = torch.arange(40.0)[:, None, None].repeat(1, 1, 2)
    valid = torch.zeros(40, dtype=torch.bool)
    valid[[5, 39]] = True
    motion = driving.held(Motion("fomm", {"value": value}, valid))
    assert motion["value"][:, 0, 0].tolist() == [5.0] * 39 + [39.0]
    calm = driving.smoothed(motion, ("value",), 1.0)["value"][:, 0, 0]
    assert calm[20] == 5 and calm[5] == 5 and calm[39] == 39
    assert calm.isfinite().all()

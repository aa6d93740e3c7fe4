"""Whole figures: seeded, the same in any batch, joints where the limbs really are, and a dance on the beat."""

import dataclasses

import numpy as np
import pytest
import torch

from toolkit import media, paths
from toolkit import puppets as P
from toolkit.puppets import samples
from toolkit.puppets.dance import STEPS
from toolkit.puppets.figure import ANKLE, FLOOR, OUTFITS, planted


@pytest.fixture(scope="module")
def cast():
    """Every outfit once, in stances of all kinds."""
    who = P.figures(len(OUTFITS), seed=3)
    return who.replace(outfit=torch.arange(len(OUTFITS))), P.stances(len(OUTFITS), seed=4, amount=0.7)


@pytest.fixture(scope="module")
def pictures(cast):
    return P.draw_figures(*cast, size=96)


def test_seeded(cast):
    few, many = P.figures(3, seed=3), P.figures(7, seed=3)
    for field in dataclasses.fields(P.Figure):
        if field.name != "identity":
            assert torch.equal(getattr(few, field.name), getattr(many[:3], field.name))
    assert torch.equal(few.identity.skin, P.identities(3, seed=3).skin)
    assert not torch.equal(P.figures(3, seed=4).lower, few.lower)
    assert torch.equal(P.stances(2, seed=5).elbow_left, P.stances(9, seed=5)[:2].elbow_left)
    assert torch.equal(P.draw_figures(few, P.Stance.neutral(1), 48), P.draw_figures(few, P.Stance.neutral(1), 48))


def test_batch(cast, pictures):
    who, how = cast
    assert pictures.shape == (len(who), 4, 96, 96) and pictures.isfinite().all()
    for k in range(0, len(who), 3):
        assert (P.draw_figures(who[k], how[k], 96) - pictures[k]).abs().max() < 1e-4
    order = torch.randperm(len(who))
    assert (P.draw_figures(who[order], how[order], 96) - pictures[order]).abs().max() < 1e-4


def test_figures_differ(pictures):
    apart = (pictures[:, None] - pictures[None]).abs().mean((2, 3, 4))
    assert apart[~torch.eye(len(pictures), dtype=torch.bool)].min() > 0.02


def test_rows(cast):
    who, how = cast
    assert len(who) == len(OUTFITS) and len(who[-1]) == 1 and len(who.repeat(2)) == 2 * len(who)
    joined = P.Figure.cat([who[:2], who[5:]])
    assert torch.equal(joined.identity.skin, torch.cat([who.identity.skin[:2], who.identity.skin[5:]]))
    assert torch.equal(how[torch.tensor([2, 0])].head.yaw, how.head.yaw[[2, 0]])


def test_alpha(cast):
    who, how = cast[0][:2], cast[1][:2]
    full, free = P.draw_figures(who, how, 64), P.draw_figures(who, how, 64, background=False)
    assert (full[:, 3] == 1).all() and (free[:, :3] * (free[:, 3:] == 0)).abs().max() == 0
    solid = (free[:, 3:] > 0.999).expand(-1, 3, -1, -1)
    assert (full[:, :3] - free[:, :3])[solid].abs().max() < 0.01
    assert 0.1 < (free[:, 3] > 0.5).float().mean() < 0.5


def test_joints_are_in_the_limbs(cast):
    who, how = cast
    points = P.joints(who, how)
    assert points.shape == (len(who), len(P.JOINTS), 2)
    alpha = P.draw_figures(who, how, 128, background=False)[:, 3]
    inside = points.abs().amax(-1) < 0.98
    at = ((points + 1) * 64).long().clamp(0, 127)
    seen = torch.stack([alpha[k, at[k, :, 1], at[k, :, 0]] for k in range(len(who))])
    assert (seen[inside] > 0.9).all()


@pytest.mark.parametrize("joint", ["shoulder_left", "elbow_right", "hip_left", "knee_right"])
def test_limbs_move(joint):
    """A joint moves what hangs on it, on its own side, and leaves the rest of the picture as it is."""
    who, rest = P.figures(1, seed=3), P.Stance.neutral(1)
    moved = rest.replace(**{joint: getattr(rest, joint) + 0.9})
    before, after = (P.draw_figures(who, stance, 96)[0] for stance in (rest, moved))
    changed = (before - after).abs().amax(0) > 0.02
    mine = slice(0, 44) if joint.endswith("left") else slice(52, 96)
    other = slice(52, 96) if joint.endswith("left") else slice(0, 44)
    assert changed[:, mine].sum() > 60 and not changed[:, other].any()
    assert not changed[:38].any() or joint.startswith(("shoulder", "elbow"))  # legs leave the head alone
    part, side = joint.split("_")
    end = P.JOINTS.index(("wrist_" if part in ("shoulder", "elbow") else "ankle_") + side)
    there, gone = (P.joints(who, stance)[0, end] for stance in (rest, moved))
    assert (gone - there).norm() > 0.1
    assert (gone - there)[0] * (-1 if side == "left" else 1) > 0  # > 0 is outward


def test_feet_stand_where_they_are_put():
    who = P.figures(4, seed=8)
    feet = torch.tensor([[-0.2, 0.75], [0.25, 0.7]]).expand(4, -1, -1)
    stance = planted(who, P.Stance.neutral(4).replace(x=torch.linspace(-0.05, 0.05, 4), y=torch.full((4,), 0.06)), feet)
    points = P.joints(who, stance)
    for side, foot in (("left", 0), ("right", 1)):
        ankle = points[:, P.JOINTS.index(f"ankle_{side}")]
        assert (ankle - feet[:, foot]).abs().max() < 0.01


@pytest.fixture(scope="module")
def dancing():
    who = P.figures(1, seed=6)
    beats = P.beats(5, seed=1)
    return who, beats, P.dance(who, beats, 5, 25, seed=2)


def test_dance(dancing):
    who, beats, stance = dancing
    assert len(stance.x) == 125
    rest = P.joints(who, P.Stance.neutral(1))
    points = P.joints(who.repeat(125), stance)
    assert (points[0] - rest).abs().max() < 0.01 and (points[-1] - rest).abs().max() < 0.02
    assert points.isfinite().all()
    # everything dances, and nothing jumps: in a quarter of the time it goes about a quarter of the way
    fine = P.joints(who.repeat(500), P.dance(who, beats, 5, 100, seed=2))
    for name in ("wrist_left", "wrist_right", "ankle_left", "knee_right", "neck"):
        path, closer = (some[:, P.JOINTS.index(name)] for some in (points, fine))
        assert path.std(0).max() > 0.02, name
        steps, small = (some.diff(dim=0).norm(dim=1).max() for some in (path, closer))
        assert steps < 0.3 and small < 0.4 * steps, name
    again = P.dance(who, beats, 5, 25, seed=2)
    assert torch.equal(again.elbow_left, stance.elbow_left)
    others = {tuple(P.dance(who, beats, 5, 25, seed=seed).elbow_left.tolist()) for seed in range(8)}
    assert len(others) > 3, "a seed chooses the steps and their order"
    assert len(STEPS) >= 4


def test_dance_keeps_time(dancing):
    """The hips are low on the beats and high between; between steps the feet stand still on the floor."""
    who, beats, stance = dancing
    t = np.arange(125) / 25
    on = np.interp(beats[2:-2], t, stance.y.numpy())
    off = np.interp((beats[2:-2] + beats[1:-3]) / 2, t, stance.y.numpy())
    assert on.mean() > off.mean() + 0.01
    points = P.joints(who.repeat(125), stance)
    soles = points[:, [P.JOINTS.index("ankle_left"), P.JOINTS.index("ankle_right")], 1] + ANKLE * float(who.scale[0])
    assert soles.max() < FLOOR + 0.01
    assert ((soles > FLOOR - 0.01).any(1)).float().mean() > 0.7


def test_song_has_beats():
    wave, syllables = P.song(5, seed=1, rate=16000)
    beats = P.beats(5, seed=1)
    assert (len(beats) - 1) % 4 == 0 and np.allclose(np.diff(beats), np.diff(beats)[0])
    assert min(abs(beats - syllables[0].start)) < 1e-6 and beats[-1] < 5
    loud, _ = P.song(5, seed=1, rate=16000, drums=0.8)
    assert loud.shape == wave.shape and np.abs(loud).max() <= 1
    drums = loud / np.abs(loud).max() - wave / np.abs(wave).max()
    energy = [np.square(drums[round(b * 16000) :][:800]).mean() for b in beats[:-1]]
    between = [np.square(drums[round((b + np.diff(beats)[0] * 0.8) * 16000) :][:800]).mean() for b in beats[:-1]]
    assert np.mean(energy) > 3 * np.mean(between)


def test_shipped_picture():
    """The file that ships is what the documented command draws."""
    shipped = media.read_picture(paths.sample("figure.png"))
    drawn = samples.to_bytes(samples.figure()[None])[0]
    assert shipped.shape == (384, 384, 3)
    difference = np.abs(shipped.astype(int) - drawn)
    assert difference.mean() < 0.05 and difference.max() <= 8  # another processor may round another way


def test_shipped_dance():
    path = paths.sample("dance.mp4")
    about = media.probe(path)
    assert about.size == (384, 384) and about.fps == 25 and abs(about.duration - 6) < 0.1
    assert about.has_sound and path.stat().st_size < 1e6
    who, stance, wave = samples.dancing()
    assert len(stance.x) == 150 and len(wave) == 6 * 44100
    with media.read_frames(path) as frames:
        shown = [frame for number, frame in enumerate(frames) if number in (0, 70)]
    drawn = samples.to_bytes(P.draw_figures(who, stance[[0, 70]], 384)[:, :3])
    for frame, truth, other in zip(shown, drawn, drawn[::-1]):
        error = np.abs(frame.astype(int) - truth).mean()
        assert error < 4 and error < np.abs(frame.astype(int) - other).mean() / 2  # what is left is the coding
    assert not torch.equal(who.identity.skin, samples.someone(*samples.FIGURE).identity.skin)

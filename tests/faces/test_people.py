"""People through a clip: kept apart where they cross, known again after gaps and cuts; what is lost is marked."""

import weakref
from fractions import Fraction

import numpy as np
import pytest

import toolkit
from tests.faces.walkers import Walk, straight
from toolkit import media
from toolkit.faces import people as tracking
from toolkit.faces.finding import BATCH

COUNT = 60


def crossing():
    return [{0: a, 1: b} for a, b in zip(straight(0, 140, COUNT), straight(144, 4, COUNT))]


def found(walk, **settings):
    return toolkit.faces.find(walk.frames(), backend=walk, **settings)


def whose(person, walk):
    """The head that a person is in each frame where it was seen; -1 for none of them."""
    heads = []
    for row in np.flatnonzero(~person.lost):
        overlaps = {number: face.box.overlap(person.face(row).box) for number, face in walk.faces(row).items()}
        number = max(overlaps, key=overlaps.get)
        heads.append(number if overlaps[number] > 0.9 else -1)
    return heads


@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize("who", [(5, 9), (5, 5)])
def test_two_who_cross_are_kept_apart(landmarks, who):
    """Also twins, by how they move. Who is hidden is lost, and is there again afterwards."""
    walk = Walk(crossing(), landmarks=landmarks, who=who)
    both = found(walk)
    assert len(both) == 2 and both.cuts == [] and both.finder == "walk"
    assert sorted(sorted(set(whose(person, walk))) for person in both) == [[0], [1]]
    front, behind = sorted(both, key=lambda person: person.lost.sum())
    assert not front.lost.any() and 2 < behind.lost.sum() < 16
    assert np.isnan(behind.boxes[behind.lost]).all() and (behind.scores[behind.lost] == 0).all()
    assert not behind.lost[[0, -1]].any() and behind.face(int(behind.lost.argmax())) is None
    if landmarks:
        assert behind.landmarks.shape == (COUNT, 68, 2) and (np.isnan(behind.landmarks[:, 0, 0]) == behind.lost).all()
        truth = [walk.faces(row)[whose(front, walk)[0]].landmarks for row in range(COUNT)]
        assert np.abs(front.landmarks - truth).max() < 1e-4, "raw, not smoothed"
    else:
        assert behind.landmarks is None


def test_a_cut_begins_a_scene_and_people_are_known_again():
    """They have changed places, so that places alone would confuse them; a third is new."""
    places = [{0: 4, 1: 140}] * 12 + [{0: 140, 1: 4}] * 12 + [{2: 60}] * 12
    walk = Walk(places, [(90, 120, 150)] * 12 + [(30, 60, 20)] * 12 + [(220, 200, 60)] * 12, who=(5, 9, 1))
    three = found(walk)
    assert three.cuts == [12, 24] and len(three) == 3
    assert sorted(sorted(set(whose(person, walk))) for person in three) == [[0], [1], [2]]
    assert "A new scene begins at 0.48 s, 0.96 s." in repr(three)


@pytest.mark.parametrize("gone", [4, 40])
def test_who_was_lost_is_known_again(gone):
    """After a moment in the same place, after longer wherever they are; the frames between are marked."""
    places = [{0: 4}] * 10 + [{}] * gone + [{0: 4 if gone < 25 else 130}] * 10
    (person,) = found(Walk(places))
    assert person.lost.tolist() == [False] * 10 + [True] * gone + [False] * 10


def test_somebody_else_in_the_same_place_is_not_the_same():
    walk = Walk([{0: 60}] * 12 + [{}] * 3 + [{1: 60}] * 12)
    assert sorted(sorted(set(whose(person, walk))) for person in found(walk)) == [[0], [1]]


def test_what_is_seen_in_a_frame_or_two_is_nobody():
    walk = Walk([{0: 4} | ({1: 140} if row in (7, 8) else {}) for row in range(20)])
    (person,) = found(walk)
    assert set(whose(person, walk)) == {0}


def test_a_movement_or_a_fade_is_no_cut():
    scenes = tracking.Scenes()
    noise = np.random.default_rng(0).integers(0, 200, (60, 90, 3), dtype=np.uint8)
    pan = [np.roll(noise, 9 * k, axis=1) for k in range(8)]
    fade = [(pan[-1] * (1 - k / 20)).astype(np.uint8) for k in range(20)]
    assert not any(scenes(frame) for frame in pan + fade)
    assert scenes(np.full_like(noise, 230))


def test_samples_look_at_so_many_frames_and_watch_all():
    walk = Walk([{0: 4}] * 30 + [{0: 4}] * 30, [(90, 120, 150)] * 30 + [(20, 40, 20)] * 30)
    seen = []

    def finder(frames):
        seen.extend(frames)
        return walk(frames)

    (person,) = one = toolkit.faces.find(walk.frames(), backend=finder, samples=5)
    assert len(seen) == 5 and person.frames.tolist() == [6, 18, 30, 42, 54] and one.cuts == [30]


def test_memory_does_not_grow_with_the_clip(tmp_path, monkeypatch):
    """Counted: the decoded frames that somebody still holds."""
    walk = Walk([{0: x} for x in straight(0, 100, 120)])
    with media.Writer(tmp_path / "long.mp4", Fraction(25), quality=30) as writer:
        writer.write(walk.frames())
    alive, most = weakref.WeakSet(), []

    class Held(np.ndarray):
        __hash__ = object.__hash__

    def counted(clip, **settings):
        frames = read(clip, **settings)
        inner = frames._frames

        def noted():
            for frame in inner:
                held = frame.view(Held)
                del frame
                alive.add(held)
                most.append(len(alive))
                yield held
                del held

        frames._frames = noted()
        return frames

    read = media.read_frames
    monkeypatch.setattr(media, "read_frames", counted)
    (person,) = toolkit.faces.find(tmp_path / "long.mp4", backend=walk)
    assert len(person) == 120 and len(most) == 120
    assert max(most) <= 2 * BATCH + 2


@pytest.mark.parametrize("pick", [1, (200, 50)])
def test_one_of_them_can_be_picked(pick):
    walk = Walk([{0: 4, 1: 140}] * 10)
    both = found(walk)
    (one,) = found(Walk([{0: 4, 1: 140}] * 10), pick=pick)
    number = 1 if pick == 1 else [person.box.x > 100 for person in both].index(True)
    assert one.box == both[number].box
    with pytest.raises(toolkit.ConfigError, match="no face number 2: 2 were found"):
        found(Walk([{0: 4, 1: 140}] * 10), pick=2)


def test_people_show_themselves():
    both = found(Walk([{0: 4, 1: 140}] * 10, blind=(0, 4)))
    assert repr(both).startswith("2 people, found by walk\n0: ") and "lost in 2 of 10 frames" in repr(both)
    assert both._repr_png_()[:4] == b"\x89PNG"
    changed = (both.drawn() != both.picture).any(-1)
    assert both.row == 1 and changed[:, :120].any() and changed[:, 120:].any()

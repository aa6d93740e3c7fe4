"""Clips in the published layouts as training data: what is read, drawn, augmented and left out."""

import shutil
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from toolkit import media
from toolkit.errors import InputError
from toolkit.training import Recipe
from toolkit.training.augment import augmented, resized, windows
from toolkit.training.clips import ClipPairs, counted, split
from toolkit.training.pairs import listed_pairs
from toolkit.training.parts import Part
from toolkit.training.recipe import Clips

SIDE, COUNT = 32, 6
STILL = {"flip_time": False, "flip": False, "workers": 2}


def frames(level, count=COUNT, side=SIDE):
    """Grey frames that tell their clip and their number: level, level + 3, …"""
    return [np.full((side, side, 3), level + 3 * number, np.uint8) for number in range(count)]


def as_folder(path, pictures):
    path.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{number:07d}.png")


def as_clip(path, pictures):
    path.parent.mkdir(parents=True, exist_ok=True)
    with media.Writer(path, 10, quality=1) as writer:
        for picture in pictures:
            writer.write(picture)


def levels(view):
    return (view.picture.mean((1, 2, 3)) * 255).round().int().tolist()


@pytest.fixture
def folder(tmp_path):
    """A small set of frame folders: two identities for training, one for testing."""
    for number, name in enumerate(("id1#a#0#9.mp4", "id1#b#0#9.mp4", "id1#c#0#9.mp4", "id2#d#0#9.mp4")):
        as_folder(tmp_path / "set" / "train" / name, frames(20 + 50 * number))
    as_folder(tmp_path / "set" / "test" / "id3#e#0#9.mp4", frames(220))
    return tmp_path / "set"


def pairs(folder, seed=1, **settings):
    return ClipPairs(Clips(folder=str(folder), **{**STILL, **settings}), seed)


def test_every_layout_is_read(tmp_path):
    train = tmp_path / "train"
    as_folder(train / "frames.mp4", frames(10))
    as_clip(train / "clip.mp4", frames(60))
    as_clip(train / "clip.gif", frames(110))
    Image.fromarray(np.concatenate(frames(160), 1)).save(tmp_path / "train" / "stacked.png")
    (train / "notes.txt").write_text("no clip")
    as_folder(tmp_path / "test" / "one", frames(210))
    data = pairs(tmp_path)
    source, driving = (
        sum((levels(getattr(data.batch(step, SIDE, 4), name)) for step in range(12)), [])
        for name in ("source", "driving")
    )
    for begin in (10, 60, 110, 160):  # twelve passes over four entries; a codec may be off by a level or two
        mine = [(a, b) for a, b in zip(source, driving) if begin - 3 < a < begin + 25]
        assert len(mine) == 12
        assert all(a <= b + 2 for a, b in mine) and any(a < b for a, b in mine), "sorted in time"
        assert len({round((a - begin) / 3) for a, b in mine}) > 2, "frames from everywhere"
    held = data.held_out(2, SIDE)
    assert levels(held.source) == [210, 210] and min(levels(held.driving)) > 210


def test_a_batch_follows_from_seed_and_step(folder):
    settings = {"flip_time": True, "flip": True, "brightness": 0.1, "hue": 0.1, "resize": [0.9, 1.1]}
    one, other = pairs(folder, workers=1, **settings), pairs(folder, workers=3, **settings)
    for step in range(5):
        one.batch(step, SIDE, 4)
    for name in ("source", "driving"):
        ours, theirs = (getattr(data.batch(5, SIDE, 4), name).picture for data in (one, other))
        assert ours.equal(theirs)
    assert levels(pairs(folder, seed=2).batch(5, SIDE, 4).source) != levels(pairs(folder).batch(5, SIDE, 4).source)
    batch, shared = pairs(folder).batch(5, SIDE, 5), pairs(folder)
    for step in (4, 5):  # parts of it, one after the other
        parts = [shared.batch(step, SIDE, 5, part=Part(number, 2)) for number in (0, 1)]
    assert [levels(part.driving) for part in parts] == [levels(batch.driving)[number::2] for number in (0, 1)]


def test_id_sampling_passes_over_identities(folder):
    data = pairs(folder, id_sampling=True)
    seen = [sorted(data.batch(step, SIDE, 2).source.picture.mean((1, 2, 3)) * 255) for step in range(20)]
    assert all(first < 170 <= second for first, second in seen), "each pass has both"
    assert {round((float(first) - 20) // 50) for first, _ in seen} == {0, 1, 2}, "all clips of the first"


@pytest.mark.parametrize(("memory", "format"), [(1e-6, "clip"), (1.0, "clip"), (1e-6, "folder")])
def test_more_clips_than_fit_into_memory_are_said(tmp_path, caplog, memory, format):
    for number, part in enumerate(("train", "train", "test")):
        (as_clip if format == "clip" else as_folder)(tmp_path / part / f"{number}.mp4", frames(10))
    pairs(tmp_path, memory=memory).weigh(SIDE)
    said = (memory < 1) and format == "clip"
    assert ("--format png" in caplog.text and "clips.memory is 1e-06" in caplog.text) == said


def test_a_fifth_is_for_testing_where_nothing_is_split(tmp_path):
    for number in range(10):
        as_folder(tmp_path / f"clip{number}", frames(10 * number, 2))
    train, test = split(tmp_path)
    assert len(train) == 8 and len(test) == 2 and not set(train) & set(test)
    # numpy's RandomState(0) puts 2 and 8 first; this is the authors' (scikit-learn's) split
    assert [path.name for path in test] == ["clip2", "clip8"]


def test_what_cannot_be_used_is_left_out_and_named(folder, caplog):
    train = folder / "train"
    (train / "page.mp4").write_text("<!DOCTYPE html><html></html>")
    as_folder(train / "short", frames(0, 1))
    (train / "hollow").mkdir()
    Image.fromarray(np.zeros((32, 50, 3), np.uint8)).save(train / "odd.png")
    data = pairs(folder)
    batches = [data.batch(step, SIDE, 8) for step in range(6)]
    assert all(min(levels(batch.source)) >= 20 for batch in batches)
    for name in ("page.mp4", "short has 1 frame", "hollow", "odd.png is 50 x 32"):
        assert caplog.text.count(name) == 1
    again = pairs(folder)  # what a step sees does not depend on what was found out before
    assert levels(again.batch(5, SIDE, 8).source) == levels(batches[5].source)


def test_no_clip_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        split(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no clip in"):
        split(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="no folder test"):
        split(tmp_path)
    (tmp_path / "test").mkdir()
    as_folder(tmp_path / "test" / "fine", frames(0))
    with pytest.raises(InputError, match="no clip in .*train"):
        split(tmp_path)
    as_folder(tmp_path / "train" / "short", frames(0, 1))
    with pytest.raises(InputError, match="None of the 1 clips.*short has 1 frame"):
        pairs(tmp_path).batch(0, SIDE, 2)


def test_one_clip_trains_and_tests(tmp_path, caplog):
    as_folder(tmp_path / "set" / "only", frames(40))
    data = pairs(tmp_path / "set")
    assert "only is the only clip" in caplog.text
    assert min(levels(data.batch(0, SIDE, 4).source)) >= 40 <= min(levels(data.held_out(2, SIDE).source))


def test_other_sizes_are_brought_to_the_stages(folder, caplog):
    as_folder(folder / "train" / "large", [frame[:, :48] for frame in frames(200, side=64)])
    data = pairs(folder)
    assert data.batch(0, SIDE, 5).source.picture.shape == (5, 3, SIDE, SIDE)
    assert "large is 48 x 64 pixels" in caplog.text


@pytest.mark.parametrize("late", [0, 0.5])  # seconds from the sound's beginning to the picture's
def test_of_long_clips_single_frames_are_read(tmp_path, late):
    path = tmp_path / "long.mkv"
    as_clip(tmp_path / "plain" / "plain.mp4", frames(40, 12))
    tone = ["-f", "lavfi", "-i", "sine=duration=2"]
    delayed = ["-itsoffset", str(late), "-i", str(tmp_path / "plain" / "plain.mp4")]
    kept = ["-map", "1:v", "-map", "0:a", "-c:v", "copy", str(path)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *tone, *delayed, *kept], check=True)
    shutil.rmtree(tmp_path / "plain")
    whole, single = (pairs(tmp_path, memory=memory) for memory in (1.0, 1e-7))
    ours, theirs = (data.batch(0, SIDE, 3) for data in (whole, single))
    assert not single.reader._kept
    for name in ("source", "driving"):
        assert np.allclose(levels(getattr(ours, name)), levels(getattr(theirs, name)), atol=1)


# ---------------------------------------------------------------- augmentation


def slope(seed=0):
    """Two frames in which each pixel is different."""
    first = np.random.default_rng(seed).integers(0, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    return [first, first + np.uint8(40)]


def test_flips_are_either_of_time_or_of_the_picture():
    one, two = slope()
    seen = {"kept": 0, "turned": 0, "mirrored": 0}
    for seed in range(400):
        first, second = augmented([one, two], Clips(), np.random.default_rng(seed))
        kind = {one[0, 0, 0]: "kept", two[0, 0, 0]: "turned", one[0, -1, 0]: "mirrored"}[first[0, 0, 0]]
        seen[kind] += 1
        wanted = {"kept": (one, two), "turned": (two, one), "mirrored": (one[:, ::-1], two[:, ::-1])}[kind]
        assert np.array_equal(first, wanted[0]) and np.array_equal(second, wanted[1])
    assert 160 < seen["turned"] < 240 and 65 < seen["mirrored"] < 135


def test_both_frames_are_changed_alike():
    still = Clips(flip_time=False, flip=False, rotation=20.0, resize=(0.7, 1.4), brightness=0.3, contrast=0.3, hue=0.2)
    one, _ = slope()
    for seed in range(20):
        first, second = augmented([one, one], still, np.random.default_rng(seed))
        assert first.shape == one.shape and np.array_equal(first, second) and not np.array_equal(first, one)


def test_resize_takes_the_nearest_pixel_and_windows_continue_edges():
    picture = np.arange(SIDE, dtype=np.uint8)[None, :, None].repeat(SIDE, 0).repeat(3, 2)
    smaller = resized(picture, 0.93)
    assert smaller.shape == (29, 29, 3) and set(np.unique(smaller)) <= set(range(SIDE))
    (out,) = windows([smaller], SIDE, np.random.default_rng(0))
    assert out.shape == picture.shape
    assert (out[:, 0] == smaller[0, 0]).all() and (out[:, -2:] == smaller[0, -1]).all()  # 1 before, 2 behind


# ---------------------------------------------------------------- how long, and which with which


def test_epochs_are_counted_in_passes(folder):
    stage = {"name": "one", "epochs": 10, "repeats": 30, "batch": 8, "train": ["generator"], "milestones": [6, 9]}
    table = {"name": "x", "task": "fomm", "model": {}, "stages": [stage, {**stage, "name": "two", "steps": 7}]}
    recipe = counted(Recipe.load(table, {"clips.folder": str(folder), "clips.id_sampling": True}))
    assert [stage.steps for stage in recipe.stages] == [10 * (2 * 30 // 8), 7]
    one = recipe.stages[0]
    assert [one.progress(step) for step in (0, 6, 7, 69)] == [0, 0, 1, 9]
    with pytest.raises(InputError, match="--data"):
        counted(Recipe.load(table))


def test_listed_pairs(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "distance,source,driving\n0.1,a.mp4,b.mp4\n0.2,a.mp4,gone.mp4\n0.3,c.mp4,a.mp4\n"
    )
    assert listed_pairs(tmp_path / "pairs.csv", ["a.mp4", "b.mp4", "c.mp4"], 50) == [
        ("a.mp4", "b.mp4"),
        ("c.mp4", "a.mp4"),
    ]
    assert len(listed_pairs(tmp_path / "pairs.csv", ["a.mp4", "b.mp4", "c.mp4"], 1)) == 1
    (tmp_path / "other.csv").write_text("video,start\nx,1\n")
    with pytest.raises(InputError, match="other.csv.*source"):
        listed_pairs(tmp_path / "other.csv", [], 1)

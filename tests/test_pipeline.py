"""A picture that moves: the whole way from files to a file, with the model that ships."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

import toolkit
from toolkit import driving, media, pipeline, puppets
from toolkit.faces import cropping, finders
from toolkit.faces.face import Box, Face
from toolkit.models.base import Motion
from toolkit.models.perception import boxes as boxes_of

SIZE = 256


def drawn(identity, pose, size=SIZE):
    rgb = puppets.draw(identity, pose, size)[:, :3]
    return (rgb * 255).round().byte().permute(0, 2, 3, 1).numpy()


def opened(pose, **changes):
    return dataclasses.replace(pose, **{name: torch.as_tensor(value).float() for name, value in changes.items()})


@pytest.fixture(scope="module")
def people():
    """The picture of a character, and a performance of another and of the same one; in frame 5 they have its pose."""
    a, b = puppets.identities(2, seed=77)[0], puppets.identities(2, seed=77)[1]
    frames = 10
    wave = torch.linspace(0, 2 * torch.pi, frames)
    pose = opened(
        puppets.Pose.neutral(frames),
        yaw=0.35 * torch.sin(wave + 0.4).abs() + 0.1,
        mouth_open=0.5 + 0.5 * torch.sin(2 * wave),
        roll=0.15 * torch.cos(wave),
    )
    neutral = puppets.Pose.neutral(1)
    for field in dataclasses.fields(pose):
        getattr(pose, field.name)[5] = getattr(neutral, field.name)[0]
    return drawn(a, neutral)[0], drawn(b.repeat(frames), pose), drawn(a.repeat(frames), pose)


@pytest.fixture(scope="module")
def files(people, tmp_path_factory, ffmpeg):
    """picture.png, driver.mp4 (25 fps, 10 frames, a tone), silent.mp4, and own.mp4 of the picture's own character."""
    folder = tmp_path_factory.mktemp("files")
    picture, other, own = people
    media.write_picture(folder / "picture.png", picture)
    for name, frames in (("silent", other), ("own", own)):
        with media.Writer(folder / f"{name}.mp4", Fraction(25)) as writer:
            writer.write(frames)
    tone = ("-f", "lavfi", "-i", "sine=440:d=1", "-shortest")
    # Without the mark in its metadata it is a file of the user's own.
    ffmpeg("-i", folder / "silent.mp4", *tone, "-c:v", "copy", "-map_metadata", "-1", folder / "driver.mp4")
    return folder


def read(path):
    return np.stack(list(media.read_frames(path)))


def moved(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


def test_three_lines_give_a_clip_with_sound(files, tmp_path):
    clip = toolkit.animate(files / "picture.png", files / "driver.mp4", output=tmp_path / "out.mp4", progress=False)
    frames = read(clip.path)
    assert clip.path == tmp_path / "out.mp4"
    assert frames.shape == (10, SIZE, SIZE, 3)
    assert media.probe(clip.path).has_sound
    assert media.probe(clip.path).fps == 25
    assert moved(frames[0], frames[3]) > 2, "the picture does not move"
    assert list(tmp_path.glob("*.part*")) == []


def test_the_mark_is_seen_in_every_frame_and_nowhere_else(files, tmp_path):
    def made(name, **how):
        out = tmp_path / f"{name}.mp4"
        toolkit.animate(files / "picture.png", files / "driver.mp4", output=out, trim=(0, 0.2), progress=False, **how)
        return read(out).astype(int)

    plain, usual, own = made("plain"), made("usual", mark=True), made("own", mark="a machine made this", size=384)
    changed = np.abs(usual - plain).max(-1)
    rows, columns = np.nonzero(changed.min(0) > 60)  # in each frame; the letters
    assert len(rows) > 50
    assert rows.max() < 0.15 * SIZE, "above the face"
    assert columns.min() > 0.5 * SIZE
    assert changed[:, SIZE // 4 :].mean() < 6, "but for the coding"
    assert own.shape == (5, 384, 384, 3)
    assert own[:, :60, 192:].max() > 230

    with pytest.raises(toolkit.ConfigError, match="The mark is"):
        made("never", mark="x" * 100)
    assert not (tmp_path / "never.mp4").exists()


def test_the_usual_mark_is_chinese_where_chinese_is_spoken(files, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    monkeypatch.setattr("toolkit.media.stamp.can_write", lambda text: True)
    monkeypatch.setattr("toolkit.pipeline.stamp.Stamp", lambda text, *_: seen.append(text) or (lambda frame: frame))
    how = {"output": tmp_path / "x.mp4", "trim": (0, 0.1), "progress": False}
    toolkit.animate(files / "picture.png", files / "driver.mp4", mark=True, **how)
    assert seen == ["AI 生成"]


def test_the_best_reference_is_the_frame_in_the_pictures_pose(files):
    track = pipeline.Track(files / "picture.png", files / "own.mp4")
    track.prepare(pipeline.Progress(False))
    assert track.report["reference"]["frame"] == 5
    assert moved(track.reference_picture(), read(files / "own.mp4")[5]) < 3
    # Where both agree the result is the picture.
    still = track.still
    frames = list(track.frames())
    others = [moved(frame, still) for index, frame in enumerate(frames) if index != 5]
    assert moved(frames[5], still) < min(others)


@pytest.mark.parametrize(("reference", "row"), [("first", 0), (7, 7), (0.24, 6)])
def test_the_reference_can_be_chosen(files, reference, row):
    track = pipeline.Track(files / "picture.png", files / "driver.mp4", reference=reference)
    track.prepare(pipeline.Progress(False))
    assert track.report["reference"]["frame"] == row


@pytest.mark.parametrize("reference", [10, -1, "middle", float("nan"), 3.0])
def test_a_reference_outside_the_clip_is_refused(files, reference):
    with pytest.raises(toolkit.ConfigError, match="reference"):
        toolkit.animate(files / "picture.png", files / "driver.mp4", reference=reference, progress=False)


def test_strength_calms_and_exaggerates(files):
    def spread(strength):
        track = pipeline.Track(files / "picture.png", files / "driver.mp4", strength=strength, reference=5)
        track.prepare(pipeline.Progress(False))
        value = track.motion["value"]
        return float((value - value[5]).abs().mean())

    still, half, one, more = spread(0.0), spread(0.5), spread(1.0), spread(1.5)
    assert still < 1e-6
    assert half == pytest.approx(one / 2, rel=1e-3)
    assert more == pytest.approx(one * 1.5, rel=1e-3)


def test_smoothing_has_no_lag_and_zero_touches_nothing(files):
    impulse = torch.zeros(21, 1, 2)
    impulse[10] = 1
    motion = Motion("fomm", {"value": impulse, "jacobian": torch.eye(2).repeat(21, 1, 1, 1)})
    out = driving.smoothed(motion, ("value",), 1.5)["value"][:, 0, 0]
    assert int(out.argmax()) == 10
    assert torch.allclose(out, out.flip(0), atol=1e-6)
    assert float(out.sum()) == pytest.approx(1, abs=1e-5)
    flat = Motion("fomm", {"value": torch.full((7, 1, 2), 0.3)})
    assert torch.allclose(driving.smoothed(flat, ("value",), 2.0)["value"], flat["value"], atol=1e-6)

    rows = []
    for amount in (0.0, 1.0):
        track = pipeline.Track(files / "picture.png", files / "driver.mp4", smooth=amount, reference="first")
        track.prepare(pipeline.Progress(False))
        rows.append(track.motion["value"])
    step = [float((row[1:] - row[:-1]).abs().mean()) for row in rows]
    assert step[1] < step[0]


def test_lost_rows_do_not_pull_their_neighbours():
    value = torch.zeros(9, 1, 2)
    value[4] = 1000
    valid = torch.ones(9, dtype=torch.bool)
    valid[4] = False
    out = driving.smoothed(Motion("fomm", {"value": value}, valid), ("value",), 1.0)
    assert float(out["value"].abs().max()) == 0


def test_a_motion_is_recorded_once_and_used_again(files, tmp_path):
    track = pipeline.Track(files / "picture.png", files / "driver.mp4")
    track.prepare(pipeline.Progress(False))
    motion = track.runner.motion(read(files / "driver.mp4"))
    motion.save(tmp_path / "smile.safetensors")
    clip = toolkit.animate(files / "picture.png", tmp_path / "smile.safetensors", progress=False)
    assert clip.frames == 10
    assert not media.probe(clip.path).has_sound
    again = np.stack(list(track.frames()))
    assert moved(read(clip.path), again) < 3


def test_trim_and_sound(files, tmp_path):
    clip = toolkit.animate(files / "picture.png", files / "driver.mp4", trim=(0.08, 0.28), progress=False)
    assert clip.frames == 5
    silent = toolkit.animate(files / "picture.png", files / "driver.mp4", sound=None, trim=(0, 0.12), progress=False)
    assert not media.probe(silent.path).has_sound
    other = toolkit.animate(
        files / "picture.png", files / "silent.mp4", sound=files / "driver.mp4", trim=(0, 0.2), progress=False
    )
    assert media.probe(other.path).has_sound
    none = toolkit.animate(files / "picture.png", files / "silent.mp4", trim=(0, 0.12), progress=False)
    assert any("no sound" in note for note in none.report["notes"])
    with pytest.raises(toolkit.InputError, match="driver.mp4"):
        toolkit.animate(files / "picture.png", files / "driver.mp4", trim=(50, 60), progress=False)


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_stickers(files, tmp_path, ending):
    clip = toolkit.animate(
        files / "picture.png",
        files / "driver.mp4",
        trim=(0, 0.2),
        size=96,
        output=tmp_path / f"out{ending}",
        progress=False,
    )
    assert clip.path.suffix == ending
    from PIL import Image

    with Image.open(clip.path) as picture:
        assert picture.size == (96, 96)
        assert picture.n_frames == 5


def test_nothing_is_squashed(people, files, tmp_path):
    """A disk in a tall picture stays round, cropped or padded; padded, the result has the picture's shape."""
    tall = np.full((360, 240, 3), 90, np.uint8)
    tall[60:300, :] = people[0][8:248, 8:248]
    media.write_picture(tmp_path / "tall.png", tall)
    shapes = {}
    for fit in ("crop", "pad"):
        track = pipeline.Track(tmp_path / "tall.png", files / "driver.mp4", fit=fit, trim=(0, 0.08))
        track.prepare(pipeline.Progress(False))
        shapes[fit] = next(track.frames()).shape
        assert track.still.shape == shapes[fit]
    assert shapes["crop"] == (SIZE, SIZE, 3)
    height, width = shapes["pad"][:2]
    assert height == SIZE
    assert abs(width / height - 240 / 360) < 0.01


def test_side_by_side_shows_picture_driver_and_result(files):
    clip = toolkit.animate(
        files / "picture.png", files / "driver.mp4", side_by_side=True, trim=(0, 0.2), progress=False
    )
    frames = read(clip.path)
    assert frames.shape[1:3] == (SIZE, 3 * SIZE)
    assert moved(frames[:, :, :SIZE], media.read_picture(files / "picture.png")[None]) < 4
    assert moved(frames[:, :, SIZE : 2 * SIZE], read(files / "driver.mp4")[:5]) < 4


def test_stopping_leaves_nothing_behind(files, tmp_path):
    def stop(label, done, total):
        if label == "animating" and done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toolkit.animate(files / "picture.png", files / "driver.mp4", output=tmp_path / "out.mp4", progress=stop)
    assert list(tmp_path.glob("out*")) == []


def test_what_the_user_made_is_not_overwritten(files, tmp_path):
    mine = tmp_path / "mine.mp4"
    mine.write_bytes((files / "driver.mp4").read_bytes())
    before = mine.read_bytes()
    with pytest.raises(toolkit.OutputError, match="mine.mp4"):
        toolkit.animate(files / "picture.png", files / "driver.mp4", output=mine, progress=False)
    assert mine.read_bytes() == before
    ours = toolkit.animate(
        files / "picture.png", files / "driver.mp4", output=tmp_path / "a.mp4", trim=(0, 0.1), progress=False
    )
    again = toolkit.animate(
        files / "picture.png", files / "driver.mp4", output=ours.path, trim=(0, 0.2), progress=False
    )
    assert again.frames == 5


def test_a_free_name_is_found_each_time(files):
    paths = {
        toolkit.animate(files / "picture.png", files / "driver.mp4", trim=(0, 0.08), progress=False).path
        for _ in range(2)
    }
    assert len(paths) == 2
    assert all(path.parent.name == "results" for path in paths)


def test_a_result_goes_where_it_is_kept(files, tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    drive = tmp_path / "mounts" / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    clip = toolkit.animate(files / "picture.png", files / "driver.mp4", trim=(0, 0.08), progress=False)
    assert clip.path.parent == drive / "living-pictures" / "results"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mode", "avd"),
        ("strength", -1),
        ("strength", float("nan")),
        ("smooth", -2),
        ("fit", "squash"),
        ("size", 5),
        ("precision", "int8"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(files, argument, value):
    with pytest.raises(toolkit.ConfigError, match=str(argument) if argument != "mode" else "avd"):
        toolkit.animate(files / "picture.png", files / "driver.mp4", progress=False, **{argument: value})


def test_the_result_says_that_the_mini_knows_drawn_heads_only(files):
    clip = toolkit.animate(files / "picture.png", files / "driver.mp4", trim=(0, 0.08), progress=False)
    assert any("drawn heads" in note and "vox-adv-cpk.pth.tar" in note for note in clip.report["notes"])


# ---------------------------------------------------------------- crops


class Knowing:
    """A finder that knows where the head is in the scenes below: the picture is 700 wide, the clip 480."""

    name, sees = "knowing", "the heads of these tests"

    def __call__(self, frames):
        box = self.boxes.get(frames.shape[2])
        return [[Face(box, 0.9, None, self.name)] if box else [] for _ in frames]


@pytest.fixture(scope="module")
def scenes(people, tmp_path_factory):
    """wide.png and wide.mp4: the picture and the driver's first five frames at half their size or less, off the middle
    of larger ones; tight.png and tight.mp4: what the recipe cuts out of them. And where the faces are.
    """
    folder, boxes = tmp_path_factory.mktemp("scenes"), {}
    who = puppets.identities(2, seed=77)
    for number, width, side, left, top in ((0, 700, 200, 430, 120), (1, 480, 160, 24, 80)):
        points = puppets.landmarks(who[number], puppets.Pose.neutral(1))
        x0, y0, x1, y1 = ((boxes_of(points)[0] + 1) / 2 * side).tolist()
        boxes[width] = Box(left + x0, top + y0, x1 - x0, y1 - y0)
        cut = media.Fit(256, "crop", cropping.snapped(cropping.RECIPES["bust"].frame(boxes[width])))
        frames = people[0][None] if number == 0 else people[1][:5]
        wide = np.full((len(frames), 360, width, 3), 120, np.uint8)
        wide[:, top : top + side, left : left + side] = [media.resize(frame, (side, side)) for frame in frames]
        if number == 0:
            media.write_picture(folder / "wide.png", wide[0])
            media.write_picture(folder / "tight.png", cut.apply(wide[0]))
            continue
        for name, shown in (("wide", wide), ("tight", [cut.apply(frame) for frame in wide])):
            with media.Writer(folder / f"{name}.mp4", Fraction(25), quality=5) as writer:
                for frame in shown:
                    writer.write(frame)
    return folder, boxes


@pytest.fixture
def knowing(scenes, monkeypatch):
    finder = Knowing()
    finder.boxes = scenes[1]
    monkeypatch.setattr(finders, "choose", lambda backend="auto": finder)
    return finder


def rendered(picture, driving, **settings):
    track = pipeline.Track(picture, driving, reference="first", precision="fp32", **settings)
    track.prepare(pipeline.Progress(False))
    return track, np.stack(list(track.frames()))


def test_a_small_head_off_the_middle_moves_as_if_it_were_framed(scenes, knowing):
    folder, boxes = scenes
    track, frames = rendered(folder / "wide.png", folder / "wide.mp4")
    tight, expected = rendered(folder / "tight.png", folder / "tight.mp4", crop=None)
    assert moved(track.still, tight.still) < 0.1
    assert moved(track.reference_picture(), tight.reference_picture()) < 6
    assert moved(frames, expected) < 3
    _, loose = rendered(folder / "wide.png", folder / "wide.mp4", crop=None)
    assert moved(frames, loose) > 15
    assert sum("cut to the head and shoulders" in note and "crop=None" in note for note in track.notes) == 2
    assert track.report["crop"]["picture"] == pytest.approx(list(track.box))
    assert track.report["crop"]["clip"][2] == pytest.approx(2.33 * boxes[480].side, abs=4)
    x, y, side, _ = map(int, track.box)
    assert np.array_equal(media.resize(track.original[y : y + side, x : x + side, :3], (256, 256)), track.still)


def test_a_crop_may_be_given_or_refused(scenes, knowing):
    folder, _ = scenes
    knowing.boxes = {}
    track, frames = rendered(folder / "wide.png", folder / "wide.mp4", crop=((430, 120, 200, 200), (-20, 80, 160, 160)))
    assert track.box == (430, 120, 200, 200) and track.notes == []
    assert frames.shape[1:] == (SIZE, SIZE, 3), "square, also where the box leaves the frame"
    alone, _ = rendered(folder / "wide.png", folder / "wide.mp4", crop=(560, 300, 200, 200))
    assert alone.still.shape == (SIZE, SIZE, 3)
    assert any("wide.mp4" in note and "no face" in note.lower() for note in alone.notes), "the clip's is still auto"
    whole, _ = rendered(folder / "wide.png", folder / "wide.mp4", crop="auto")
    assert len([note for note in whole.notes if "no face" in note.lower() and "crop=" in note]) == 2
    assert whole.report["crop"] == {"picture": None, "clip": None}
    with pytest.raises(toolkit.ConfigError, match="outside"):
        rendered(folder / "wide.png", folder / "wide.mp4", crop=(900, 0, 50, 50))
    with pytest.raises(toolkit.ConfigError, match="outside"):
        rendered(folder / "wide.png", folder / "wide.mp4", crop=(None, (0, 500, 50, 50)))
    with pytest.raises(toolkit.InputError, match="No face was found"):
        rendered(folder / "wide.png", folder / "wide.mp4", pick=0)


@pytest.mark.parametrize(("argument", "value"), [("crop", "middle"), ("pick", "left"), ("follow", 2)])
def test_a_crop_that_does_not_exist_is_refused(files, argument, value):
    with pytest.raises(toolkit.ConfigError, match=argument):
        pipeline.Track(files / "picture.png", files / "driver.mp4", **{argument: value})


def test_each_crop_of_a_driver_is_read_once(scenes, knowing):
    """Tracks that share a driver share what is read of it, unless they cut it differently."""
    folder, _ = scenes
    recorded, motions = {}, []
    for settings in ({}, {}, {"crop": None}, {"crop": (None, (0, 0, 360, 360))}, {"follow": 1.0}):
        track = pipeline.Track(folder / "wide.png", folder / "wide.mp4", reference="first", **settings)
        track.prepare(pipeline.Progress(False), recorded)
        motions.append([key for key in recorded if key[0] != "crop"])
    assert [len(keys) for keys in motions] == [1, 1, 2, 3, 4]


def test_side_by_side_shows_what_the_model_saw(scenes, knowing):
    folder, _ = scenes
    clip = toolkit.animate(folder / "wide.png", folder / "wide.mp4", side_by_side=True, progress=False)
    frames = read(clip.path)
    assert moved(frames[:, :, :SIZE], media.read_picture(folder / "tight.png")[None]) < 4
    assert moved(frames[:, :, SIZE : 2 * SIZE], read(folder / "tight.mp4")) < 5
    assert any("wide.mp4 was cut" in note for note in clip.report["notes"])


def test_a_padded_picture_is_kept_whole(scenes, knowing):
    folder, _ = scenes
    track, frames = rendered(folder / "wide.png", folder / "wide.mp4", fit="pad")
    assert track.notes == [] and abs(frames.shape[2] / frames.shape[1] - 700 / 360) < 0.02

"""Faces pasted back into their picture, one or all of them: what moves, what stays, and who follows whom."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

import toolkit
from tests.small_models import FRAMES, SIDE, animator, drawn, performance, runner
from toolkit import media, puppets, whole
from toolkit.__main__ import main
from toolkit.faces.face import Box, Face
from toolkit.models.base import Motion
from toolkit.runner import Runner
from toolkit.tuning import Plan

HEIGHT, WIDTH = 120, 300
BOXES = [(10, 20, 90, 90), (105, 20, 90, 90), (200, 20, 90, 90)]


class Lively(Runner):
    """A random model hardly moves a pixel; here a bar across the face gets brighter the farther the motion goes."""

    def render(self, source, motion):
        frames = super().render(source, motion)
        far = (motion["value"] - source.motion["value"]).abs().mean((1, 2))
        for frame, more in zip(frames, (400 * far).tolist()):
            frame[20:44, 16:48] = np.minimum(frame[20:44, 16:48].astype(int) + round(more), 255)
        return frames


@pytest.fixture(scope="module")
def small():
    model = animator("fomm")
    made = Lively(model, Plan(torch.device("cpu"), batch=4))
    made.info = dataclasses.replace(model.info, size=SIDE, crop="face")
    return made


@pytest.fixture(scope="module")
def scene():
    """Three puppets in a row on a ramp, RGB."""
    x = np.linspace(60, 180, WIDTH)[None, :, None]
    picture = np.broadcast_to(x, (HEIGHT, WIDTH, 3)).round().astype(np.uint8).copy()
    for number, (x, y, width, height) in enumerate(BOXES):
        head = drawn(puppets.identities(1, seed=20 + number), puppets.Pose.neutral(1), background=False)[0][0]
        head = media.resize(head, (height, width)).astype(float)
        part, alpha = picture[y : y + height, x : x + width], head[..., 3:] / 255
        part[...] = (head[..., :3] * alpha + part * (1 - alpha)).round()
    return picture


@pytest.fixture(scope="module")
def files(tmp_path_factory, ffmpeg, scene):
    """driver.mp4 (ten frames, one second, a tone), still.mp4 (one pose, silent), scene.png."""
    folder = tmp_path_factory.mktemp("group")
    frames = performance()[0]
    for name, poses in (("silent", frames), ("still", frames[:1].repeat(FRAMES, 0))):
        with media.Writer(folder / f"{name}.mp4", Fraction(10), quality=5) as writer:
            writer.write(poses)
    tone = ("-f", "lavfi", "-i", "sine=440:d=1", "-shortest")
    ffmpeg("-i", folder / "silent.mp4", *tone, "-c:v", "copy", folder / "driver.mp4")
    media.write_picture(folder / "scene.png", scene)
    return folder


def recorded(monkeypatch):
    """The frames that are given to the encoder."""
    frames, write = [], media.Writer.write
    monkeypatch.setattr(media.Writer, "write", lambda self, frame: (frames.append(frame.copy()), write(self, frame))[1])
    return frames


def moving(frames):
    """Where a pixel changes over time."""
    return np.ptp(np.stack(frames).astype(int), axis=0).max(2) > 0


def changed(frames, picture):
    return (np.stack(frames) != picture).any((0, 3))


def inside(box):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y, width, height = box
    mask[y : y + height, x : x + width] = True
    return mask


# ---------------------------------------------------------------- one face


def test_a_face_goes_back_into_its_picture(files, scene, small, monkeypatch):
    frames = recorded(monkeypatch)
    clip = toolkit.animate(
        files / "scene.png", files / "driver.mp4", model=small, crop=(BOXES[1], None), paste=True, progress=False
    )
    assert (clip.size, clip.frames, clip.has_sound) == ((HEIGHT, WIDTH), FRAMES, True)
    assert moving(frames)[inside(BOXES[1])].mean() > 0.1
    assert not changed(frames, scene)[~inside(BOXES[1])].any()


def test_the_size_of_the_whole_is_bounded_and_sides_are_even(files, scene, small, monkeypatch):
    """Odd numbers too: the writer adds a column; what is outside is the smaller picture, untouched."""
    frames = recorded(monkeypatch)
    paste = {"crop": (BOXES[0], None), "paste": True, "progress": False, "trim": (0, 0.3)}
    clip = toolkit.animate(scene[:119], files / "driver.mp4", model=small, size=151, **paste)
    assert frames[0].shape == (60, 151, 3)
    assert clip.size == (60, 152)
    assert not changed(frames, media.resize(scene[:119], (60, 151)))[:, 52:].any()
    clip = toolkit.animate(scene, files / "driver.mp4", model=small, size=4000, **paste)
    assert clip.size == (HEIGHT, WIDTH)


def test_pasted_beside_picture_and_driver(files, small):
    clip = toolkit.animate(
        files / "scene.png",
        files / "driver.mp4",
        model=small,
        crop=(BOXES[0], None),
        paste=True,
        side_by_side=True,
        progress=False,
    )
    assert clip.size == (HEIGHT, WIDTH + HEIGHT + WIDTH)


def test_a_picture_kept_whole_is_pasted_whole(files, scene, small, monkeypatch):
    """fit="pad": the model saw all of it, with its edges continued; no rim stays behind at the picture's own edges."""
    frames = recorded(monkeypatch)
    part = scene[:, :160]
    toolkit.animate(part, files / "driver.mp4", model=small, crop=None, fit="pad", paste=True, progress=False)
    assert frames[0].shape == part.shape
    assert changed(frames, part).any()


def test_a_character_stays_cut_out(files, tmp_path, monkeypatch):
    """Talking Head Anime: a transparent picture, larger than the model's, keeps its transparency."""
    frames = recorded(monkeypatch)
    head = drawn(puppets.identities(1, seed=9), puppets.Pose.neutral(1), background=False)[0][0]
    picture = np.zeros((128, 100, 4), np.uint8)
    picture[20:84, 18:82] = head
    model = runner("tha")
    poses = torch.zeros(4, 6)
    poses[:, 3:] = torch.linspace(0, 1, 4)[:, None]
    toolkit.animate(
        picture,
        Motion("tha", {"pose": poses}),
        model=model,
        crop=((18, 20, 64, 64), None),
        paste=True,
        output=tmp_path / "sticker.webp",
        progress=False,
    )
    assert frames[0].shape == picture.shape
    outside = np.ones((128, 100), bool)
    outside[20:84, 18:82] = False
    assert not changed(frames, picture)[outside].any()
    assert changed(frames, picture)[~outside].any()


def test_an_encoded_picture_has_no_surroundings(files, small):
    source = small.encode(media.fit(media.read_picture(files / "scene.png"), SIDE))
    with pytest.raises(toolkit.ConfigError, match="surroundings"):
        toolkit.animate(source, files / "driver.mp4", model=small, paste=True, progress=False)


def test_the_poses_that_tell_what_moves_are_far_apart():
    value = torch.zeros(50, 2, 2)
    value[7, 0, 0], value[31, 1, 1], value[32, 1, 1] = 3, 2, 1.9
    rows = whole.spread(Motion("fomm", {"value": value}), ("value", "jacobian"), 3)
    assert rows.tolist() == [0, 7, 31]
    assert whole.spread(Motion("fomm", {"value": value[:1]}), ("value",)).tolist() == [0]


# ---------------------------------------------------------------- all of them


def test_a_group_sings(files, scene, small, monkeypatch):
    """Each face moves, nothing between them does, with one sound; driver and model are read once."""
    frames, stages = recorded(monkeypatch), []
    clip = toolkit.animate_all(
        files / "scene.png",
        files / "driver.mp4",
        faces=BOXES,
        model=small,
        crop=None,
        progress=lambda label, done, total: stages.append((label, done)),
    )
    assert stages.count(("reading the motion", 0)) == 1
    assert clip.path.name.startswith("group--scene--driver")
    assert (clip.size, clip.frames, clip.has_sound) == ((HEIGHT, WIDTH), FRAMES, True)
    assert [track["box"] for track in clip.report["tracks"]] == BOXES
    moves, anywhere = moving(frames), changed(frames, scene)
    for box in BOXES:
        assert moves[inside(box)].mean() > 0.1
        anywhere &= ~inside(box)
    assert not anywhere.any()


def test_two_drivers_one_each(files, scene, small, monkeypatch):
    """The first face follows a clip that stands still, the last one the other; the one between has no clip."""
    frames = recorded(monkeypatch)
    clips = [files / "still.mp4", files / "silent.mp4"]
    clip = toolkit.animate_all(scene, clips, faces=[BOXES[0], BOXES[2]], model=small, crop=None, progress=False)
    moves = moving(frames)
    assert not clip.has_sound
    told = " ".join(clip.report["notes"])
    assert "Hardly anything moves" in told and told.count("Hardly") == 1
    assert moves[inside(BOXES[0])].mean() < 0.02 < 0.1 < moves[inside(BOXES[2])].mean()
    assert not moves[inside(BOXES[1])].any()


def test_faces_are_found_numbered_and_pointed_at(files, scene, small):
    """A finder of the test's own sees three faces, the last one largest; each way to name them cuts the same."""
    faces = [Face(Box(x + 25, y + 30, 30 + number, 40 + number), 0.9) for number, (x, y, _, _) in enumerate(BOXES)]

    def finder(frames):
        return [faces for _ in frames]

    def boxes(wanted):
        quick = {"trim": (0, 0.2), "size": 64, "crop": None, "progress": False}
        clip = toolkit.animate_all(scene, files / "driver.mp4", faces=wanted, backend=finder, model=small, **quick)
        return [track["box"] for track in clip.report["tracks"]]

    everyone = boxes(None)
    assert len(everyone) == 3
    for box, face in zip(everyone, reversed(faces)):  # largest first
        centre = box[0] + box[2] / 2, box[1] + box[3] / 2
        assert np.hypot(centre[0] - face.box.centre[0], centre[1] - face.box.centre[1]) < 0.15 * box[2]
        assert box[2] > 1.2 * face.size
    assert boxes([2, 0]) == [everyone[2], everyone[0]]
    assert boxes([faces[1].box.centre]) == [everyone[1]]
    assert boxes([faces[0], BOXES[2]]) == [everyone[2], BOXES[2]]


@pytest.mark.parametrize(
    ("drivers", "faces", "told"),
    [
        (2, BOXES, "2 clips for 3 faces"),
        (1, [0, 3], "no face number 3: 2 were found"),
        (1, [0, 0], "chosen twice"),
        (1, [], "No face was chosen"),
        (1, [(500, 20, 60, 60)], "outside"),
        (1, [(1, 2, 3)], "No face is"),
        (1, ["left"], "No face is"),
    ],
)
def test_a_group_that_cannot_be(files, scene, small, drivers, faces, told, tmp_path):
    seen = [Face(Box(30, 40, 40, 50), 0.9), Face(Box(120, 40, 40, 50), 0.9)]
    clips = [files / "driver.mp4"] * drivers
    with pytest.raises(toolkit.ToolkitError, match=told):
        toolkit.animate_all(
            scene, clips, faces=faces, backend=lambda frames: [seen], model=small, crop=None, progress=False
        )
    assert list(tmp_path.rglob("*.mp4")) == []


def test_no_face_and_no_model_of_faces(files, scene, small):
    with pytest.raises(toolkit.InputError, match="No face was found") as told:
        toolkit.animate_all(scene, files / "driver.mp4", backend=lambda frames: [[]], model=small, progress=False)
    assert "faces=[(x, y, width, height)" in told.value.remedy
    body = Runner(animator("fomm"), Plan(torch.device("cpu"), batch=4))
    body.info = dataclasses.replace(small.info, crop="whole")
    with pytest.raises(toolkit.ConfigError, match="not trained on faces"):
        toolkit.animate_all(scene, files / "driver.mp4", model=body, progress=False)


def test_the_command_line(files, capsys):
    picture, driver, quick = str(files / "scene.png"), str(files / "silent.mp4"), ["--trim", "0:0.2", "-q"]
    boxes = [",".join(map(str, box)) for box in BOXES[:2]]
    assert main(["group", picture, driver, driver, "--faces", *boxes, "--size", "160", "-o", "group.mp4", *quick]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == "group.mp4"
    assert media.probe("group.mp4").size == (64, 160)
    assert main(["animate", picture, driver, "--paste", "-o", "paste.mp4", *quick]) == 0
    assert media.probe("paste.mp4").size == (HEIGHT, WIDTH)
    assert main(["group", picture, driver, driver, "--faces", boxes[0], *quick]) == 2
    assert "2 clips for 1 faces" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["group", picture, driver, "--faces", "left"])
    assert "'left' is no face" in capsys.readouterr().err

"""Every family through the pipeline, from files to a file: modes, recorded motions, pictures of all kinds."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from tests.small_models import FRAMES, SIZES, animator, character, performance, runner
from toolkit import media, pipeline, zoo
from toolkit.__main__ import main
from toolkit.models import tha
from toolkit.models.base import Motion

LEARNED = ("fomm", "mraa", "tpsmm", "mraa without avd", "tpsmm without avd")
MODES = [(name, mode) for name in SIZES for mode in ("absolute", "relative", "avd", "auto")]


@pytest.fixture(scope="module")
def files(tmp_path_factory, ffmpeg):
    """driver.mp4 (10 frames a second, one second, a tone), picture.png (RGBA) and flat.png (RGB)."""
    folder = tmp_path_factory.mktemp("families")
    with media.Writer(folder / "plain.mp4", Fraction(10), quality=5) as writer:
        writer.write(performance()[0])
    tone = ("-f", "lavfi", "-i", "sine=440:d=1", "-shortest")
    ffmpeg("-i", folder / "plain.mp4", *tone, "-c:v", "copy", folder / "driver.mp4")
    media.write_picture(folder / "picture.png", character()[0])
    media.write_picture(folder / "flat.png", media.flatten(character()[0]))
    return folder


def known():
    """The landmarks of picture and clip."""
    return character()[1], performance()[1]


def prepared(files, name, picture="picture.png", driving="driver.mp4", **settings):
    settings = {"landmarks": known(), "model": runner(name), **settings}
    picture = files / picture if isinstance(picture, str) else picture
    track = pipeline.Track(picture, files / driving if isinstance(driving, str) else driving, **settings)
    track.prepare(pipeline.Progress(False))
    return track


def animated(files, name, picture="picture.png", driving="driver.mp4", output=None, **settings):
    settings = {"landmarks": known(), "model": runner(name), **settings}
    driving = files / driving if isinstance(driving, str) else driving
    return toolkit.animate(files / picture, driving, output=output, progress=False, **settings)


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_modes(files, name, mode):
    """Absolute takes the driver's pose; relative leaves the picture's own where both are taken to agree; avd is
    neither; auto is the model's default; what a model lacks is refused with what it has.
    """
    info = runner(name).info
    assert ("avd" in info.modes) == (name in ("mraa", "tpsmm"))
    if mode == "avd" and mode not in info.modes:
        with pytest.raises(toolkit.ConfigError, match="no mode 'avd'.*auto, absolute, relative"):
            animated(files, name, mode=mode)
        return
    track = prepared(files, name, mode=mode, reference=3, adapt_scale=False)
    assert track.report["mode"] == (info.mode if mode == "auto" else mode)
    place = {"mraa": "shift", "tha": "pose", "fewshot": "landmarks"}.get(info.model, "value")
    own, moved = track.source.motion[place], track.motion[place]
    seen = prepared(files, name, mode="absolute", reference=3).motion[place]
    part = tha.HEAD if name == "tha" else slice(None)
    assert moved.isfinite().all()
    assert float((moved[1:, part] - moved[:-1, part]).abs().max()) > 1e-4, "nothing moves"
    if track.report["mode"] == "absolute":
        assert torch.equal(moved, seen)
    elif track.report["mode"] == "relative":
        assert torch.allclose(moved[3, part], own[0, part], atol=1e-5)
    else:
        assert not torch.allclose(moved, seen, atol=1e-3)
    frames = list(track.frames())
    assert len(frames) == FRAMES
    assert frames[0].shape == (info.size, info.size, info.channels)


@pytest.mark.parametrize("name", ["mraa", "tpsmm"])
def test_avd_knows_no_strength_and_says_so_before_the_work(files, name):
    begun = []
    with pytest.raises(toolkit.ConfigError, match="absolute or relative"):
        toolkit.animate(
            files / "flat.png",
            files / "driver.mp4",
            model=runner(name),
            mode="avd",
            strength=1.5,
            progress=lambda *told: begun.append(told),
        )
    assert begun == []


def test_auto_with_a_strength_is_relative_where_avd_knows_none(files):
    assert prepared(files, "mraa").report["mode"] == "avd"
    track, asked = (prepared(files, "mraa", mode=mode, strength=0.5) for mode in ("auto", "relative"))
    assert track.report["mode"] == "relative"
    assert [note for note in track.notes if "mode is relative: avd" in note]
    assert not [note for note in asked.notes if "mode is relative" in note]
    assert torch.equal(track.motion["shift"], asked.motion["shift"])


def test_a_mode_on_the_command_line(files, tmp_path, capsys):
    weights = zoo.save(animator("mraa"), tmp_path / "mraa.safetensors", size=32)
    command = ["animate", str(files / "flat.png"), str(files / "driver.mp4"), "-o", "out.mp4", "-q"]
    assert main([*command, "--model", str(weights), "--mode", "avd", "--precision", "fp32"]) == 0
    assert "avd motion" in capsys.readouterr().err
    assert main([*command, "--model", str(weights), "--mode", "sideways"]) == 2
    assert "auto, absolute, relative, avd" in capsys.readouterr().err


# ---------------------------------------------------------------- recorded motions


@pytest.mark.parametrize("name", ["mraa", "tpsmm", "tha", "fewshot"])
def test_a_recorded_motion_gives_the_same_frames(files, tmp_path, name):
    track = prepared(files, name)
    points = known()[1] if runner(name).info.needs else None
    with media.read_frames(files / "driver.mp4", fit=media.Fit(track.side)) as frames:
        motion = runner(name).motion(np.stack(list(frames)), points)
    motion.save(tmp_path / "song.safetensors")
    expected = np.stack(list(track.frames()))
    for driving in (motion, tmp_path / "song.safetensors"):
        again = np.stack(list(prepared(files, name, driving=driving).frames()))
        assert np.abs(again.astype(int) - expected).max() <= 1
    clip = animated(files, name, driving=motion)
    assert (clip.frames, clip.has_sound) == (FRAMES, False)
    assert any("no sound" in note for note in clip.report["notes"])


def test_a_part_of_a_recorded_motion(files):
    pose = torch.linspace(0, 1, 50)[:, None].repeat(1, 6)
    track = prepared(files, "tha", driving=Motion("tha", {"pose": pose}), trim=(0.4, 1.2))
    assert torch.allclose(track.motion["pose"], pose[10:30], atol=1e-6)  # at 25 frames a second
    with pytest.raises(toolkit.InputError, match="motion has no frames between 3 s and its end"):
        prepared(files, "tha", driving=Motion("tha", {"pose": pose}), trim=(3, None))


def test_a_motion_that_does_not_fit_is_refused(files):
    poses = torch.zeros(4, 6)
    for motion, error, told in (
        (Motion("fomm", {"value": torch.zeros(4, 4, 2)}), toolkit.ConfigError, "recorded with fomm.*model is tha"),
        (Motion("tha", {"pose": poses[:, :5]}), toolkit.ConfigError, "4 x 5 as 'pose'.*rows x 6"),
        (Motion("tha", {"value": poses}), toolkit.ConfigError, "lacks 'pose'"),
        (Motion("tha", {"pose": poses[:0]}), toolkit.InputError, "no rows"),
        (Motion("tha", {"pose": poses.index_fill(0, torch.tensor([2]), torch.nan)}), toolkit.InputError, "row 2"),
    ):
        with pytest.raises(error, match=told):
            animated(files, "tha", driving=motion)


def test_an_encoded_picture_of_another_model_is_refused(files):
    source = prepared(files, "fomm").source
    with pytest.raises(toolkit.ConfigError, match="encoded with fomm.*model is mraa"):
        prepared(files, "mraa", picture=source)
    assert len(list(prepared(files, "fomm", picture=source).frames())) == FRAMES


# ---------------------------------------------------------------- Talking Head Anime


def test_the_anime_character_does_what_the_driver_does(files):
    """From files, by the landmarks of the clip: head and mouth follow, the result keeps its transparent ground."""
    clip = animated(files, "tha", output="anime.webp")
    pose, wanted = prepared(files, "tha").motion["pose"], performance()[2]
    # A puppet's yaw and roll count to the viewer's right, those of the pose to the left.
    for number, truth in ((1, -wanted.yaw), (2, -wanted.roll), (5, wanted.mouth_open)):
        assert np.corrcoef(pose[:, number], truth)[0, 1] > 0.85
    with Image.open(clip.path) as picture:
        assert picture.n_frames == FRAMES
        assert np.asarray(picture.convert("RGBA"))[..., 3].min() < 128
    over_white = animated(files, "tha", output="anime.mp4")
    assert over_white.has_sound
    assert over_white.size == (32, 32)


def rewritten(folder, kind):
    """The character's picture in another format."""
    path, rgba = folder / f"{kind}.png", Image.fromarray(character()[0])
    if kind == "rgb":
        rgba.convert("RGB").save(path)
    elif kind == "palette":
        rgba.convert("RGB").quantize(64).save(path)
    elif kind == "grey16":
        Image.fromarray(np.asarray(rgba.convert("L")).astype(np.uint16) * 257).save(path)
    elif kind == "invisible":
        rgba.putalpha(0)
        rgba.save(path)
    elif kind == "palette with alpha":
        rgba.quantize(64).save(path)
    elif kind == "rgba16":
        rgba16(path, character()[0])
    return path


def rgba16(path, pixels):
    """Write a PNG with 16 bits a channel, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in (pixels.astype(np.uint16) * 257).astype(">u2"))
    head = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("kind", ["rgb", "palette", "grey16", "invisible"])
def test_a_picture_without_its_alpha_is_refused(tmp_path, kind):
    told = "transparent everywhere.*visible" if kind == "invisible" else "Cut the character out"
    with pytest.raises(toolkit.InputError, match=told) as refusal:
        prepared(tmp_path, "tha", picture=rewritten(tmp_path, kind), driving=Motion("tha", {"pose": torch.zeros(1, 6)}))
    assert f"{kind}.png" in refusal.value.what


@pytest.mark.parametrize("kind", ["palette with alpha", "rgba16"])
def test_any_format_with_alpha_will_do(tmp_path, kind):
    still = Motion("tha", {"pose": tha.REST[None]})
    track = prepared(tmp_path, "tha", picture=rewritten(tmp_path, kind), driving=still)
    assert np.abs(track.still.astype(int) - prepared(tmp_path, "tha", character()[0], still).still).mean() < 8


def test_a_pose_beyond_its_range_is_said_once_in_the_report(files):
    wild = Motion("tha", {"pose": torch.tensor([[2.0, 0, 0, 0, 0, 1]] * 9)})
    for _ in range(2):  # of each clip anew
        notes = animated(files, "tha", driving=wild).report["notes"]
        assert len([note for note in notes if "head_x is 2.00" in note]) == 1
    tame = Motion("tha", {"pose": torch.zeros(2, 6)})
    assert not any("head_x" in note for note in animated(files, "tha", driving=tame).report["notes"])


# ---------------------------------------------------------------- few-shot heads


def test_several_pictures_of_one_person(files):
    views = [character(seed)[0] for seed in (9, 10, 11)]
    points = torch.cat([character(seed)[1] for seed in (9, 10, 11)])
    settings = {"landmarks": (points, known()[1])}
    track = prepared(files, "fewshot", picture=views, **settings)
    alone = [prepared(files, "fewshot", picture=view, landmarks=(p, known()[1])) for view, p in zip(views, points)]
    mean = torch.cat([each.source["e_hat"] for each in alone]).mean(0)
    assert torch.allclose(track.source["e_hat"][0], mean, atol=1e-5)
    assert torch.allclose(track.source.motion["landmarks"], points[:1], atol=1e-6)
    assert len(list(track.frames())) == FRAMES


def test_pictures_that_do_not_make_one_person(files):
    view = character()[0]
    with pytest.raises(toolkit.InputError, match="no picture"):
        prepared(files, "fewshot", picture=[])
    with pytest.raises(toolkit.InputError, match="2 pictures, and landmarks of 1"):
        prepared(files, "fewshot", picture=[view, view])
    with pytest.raises(toolkit.ConfigError, match="2 pictures were given, but fomm takes one.*chorus"):
        prepared(files, "fomm", picture=[view, view])
    assert len(prepared(files, "fomm", picture=[view]).motion) == FRAMES


def test_a_few_shot_file_goes_through(files, tmp_path):
    """With the network that ships as its eye, as the command line does it; the note says so."""
    weights = zoo.save(animator("fewshot"), tmp_path / "heads.safetensors")
    source, clip = str(files / "flat.png"), str(files / "driver.mp4")
    assert main(["animate", source, clip, "-o", "out.mp4", "-q", "--model", str(weights), "--precision", "fp32"]) == 0
    assert media.probe("out.mp4").size == (64, 64)
    notes = animated(files, "fewshot", landmarks=None).report["notes"]
    assert len([note for note in notes if "only ever seen drawn heads" in note and "landmarks=" in note]) == 1


def test_several_pictures_and_landmarks_on_the_command_line(files, tmp_path, capsys):
    """Points in files drive as the same points do from Python; a face that was lost is null."""
    import json

    weights, given = zoo.save(animator("fewshot"), tmp_path / "heads.safetensors"), known()
    rows = given[1].tolist()
    rows[4] = None
    (tmp_path / "clip.json").write_text(json.dumps(rows))
    np.save(tmp_path / "picture.npy", given[0].repeat(2, 1, 1).numpy())
    views, clip = [str(files / "flat.png"), str(files / "picture.png")], str(files / "driver.mp4")
    command = ["animate", *views, clip, "--model", str(weights), "--precision", "fp32", "--reference", "first", "-q"]
    command += ["--picture-landmarks", "picture.npy"]
    assert main([*command, "--landmarks", "clip.json", "-o", "out.mp4"]) == 0
    said = capsys.readouterr().err
    assert "lost in 1 of 10 frames" in said
    assert "small network" not in said
    points = (tmp_path / "picture.npy", tmp_path / "clip.json")
    track = prepared(files, "fewshot", picture=[files / "flat.png", files / "picture.png"], landmarks=points)
    wanted = prepared(files, "fewshot", landmarks=given)
    assert torch.allclose(track.motion["landmarks"][3], wanted.motion["landmarks"][3], atol=1e-5)
    assert torch.allclose(track.motion["landmarks"][4], wanted.motion["landmarks"][3], atol=1e-5)
    assert main([*command, "--landmarks", "nowhere.json"]) == 2
    assert "no file of landmarks nowhere.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.csv", "1,2", "x.csv is no file of landmarks.*npy"),
        ("x.json", "{", "x.json can't be read.*rows x 68 x 2"),
        ("x.json", "[[1, 2], [3]]", "x.json can't be read"),
        ("x.json", "[1, 2]", "x.json are 2.*rows x 68 x 2"),
        ("x.npy", "not numpy", "x.npy can't be read"),
    ],
)
def test_a_file_that_holds_no_landmarks(files, tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    with pytest.raises(toolkit.InputError, match=f"(?s){told}"):
        prepared(files, "fewshot", landmarks=tmp_path / name)


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("name", ["fomm", "mraa", "tpsmm", "fewshot"])
def test_somebody_s_own_file_of_a_published_layout(files, tmp_path, name, legacy):
    """As training wrote it, optimiser and all, from a GPU's data parallel: recognised, and it drives."""
    model = animator(name)
    ending = "_state_dict" if name == "fewshot" else ""
    content = {
        part + ending: {f"module.{key}": tensor for key, tensor in getattr(model, part).state_dict().items()}
        for part in model.parts
    }
    path = tmp_path / "00000099-checkpoint.pth.tar"
    content |= {"optimizer": {"state": {}, "param_groups": [{"lr": 2e-4, "params": [0]}]}, "epoch": 99}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    motion = runner(name).motion(performance()[0][:2], known()[1][:2] if runner(name).info.needs else None)
    config = zoo.load(path).config
    assert {part: config[part] for part in model.parts if part in config}.keys() == set(model.parts)
    clip = animated(files, name, model=path, driving=motion, precision="fp32")
    assert clip.frames == 2
    assert clip.report["model"].startswith(name)


def test_smoothing_works_for_all(files):
    for name in SIZES:
        name_of = runner(name).linear[0]
        rough, calm = (prepared(files, name, smooth=s, reference="first").motion[name_of] for s in (0.0, 2.0))
        step = [float((row[1:] - row[:-1]).abs().mean()) for row in (rough, calm)]
        assert step[1] < step[0], name


def test_infos_say_what_is_needed():
    needs = {name: set(runner(name).info.needs) for name in SIZES}
    assert needs["fewshot"] == {"landmarks", "picture landmarks"}
    assert needs["tha"] == {"landmarks"}
    assert all(needs[name] == set() for name in LEARNED)
    assert [name for name in SIZES if runner(name).info.views] == ["fewshot"]

"""A chorus and a comparison, read back from their files: who is where, in step, with one sound."""

import dataclasses
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch

import toolkit
from tests.small_models import FRAMES, animator, character, performance, runner
from toolkit import ensemble, media, pipeline
from toolkit.__main__ import main
from toolkit.models.base import Motion
from toolkit.runner import Runner
from toolkit.tuning import Plan

SIDE = 64  # of a cell


@pytest.fixture(scope="module")
def files(tmp_path_factory, ffmpeg):
    """driver.mp4 (10 frames a second, one second, a tone), fast.mp4 (the same at 20, silent), five pictures."""
    folder = tmp_path_factory.mktemp("ensemble")
    for name, fps in (("slow", 10), ("fast", 20)):
        with media.Writer(folder / f"{name}.mp4", Fraction(fps), quality=5) as writer:
            writer.write(performance()[0])
    tone = ("-f", "lavfi", "-i", "sine=440:d=1", "-shortest")
    ffmpeg("-i", folder / "slow.mp4", *tone, "-c:v", "copy", folder / "driver.mp4")
    for number in range(5):
        picture = media.flatten(character(20 + number)[0])
        picture = media.resize(picture, (64 + 16 * number,) * 2)  # of all sizes
        media.write_picture(folder / f"{number}.png", picture[:, 12:-12] if number == 3 else picture)
    return folder


@pytest.fixture(scope="module")
def small():
    """FOMM at 64 pixels: large enough to tell pictures apart."""
    model = animator("fomm")
    sized = dataclasses.replace(model.info, size=SIDE)
    made = Runner(model, Plan(torch.device("cpu"), batch=4))
    made.info = sized
    return made


def read(path):
    return np.stack(list(media.read_frames(path)))


def cells(frames, grid):
    return [frames[:, top : top + grid.shape[0], left : left + grid.shape[1]] for top, left in grid.corners]


def alone(picture, files, model, **settings):
    track = pipeline.Track(picture, files / "driver.mp4", model, **settings)
    track.prepare(pipeline.Progress(False))
    return np.stack([media.flatten(frame) for frame in track.frames()])


def difference(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


# ---------------------------------------------------------------- chorus


def test_a_chorus_sings_one_clip(files, small, tmp_path):
    """Each cell shows what its picture alone would have done, at the same time; one sound; the driver is read once."""
    pictures, stages = [files / f"{number}.png" for number in range(5)], []
    clip = toolkit.chorus(
        pictures,
        files / "driver.mp4",
        model=small,
        output=tmp_path / "chorus.mp4",
        progress=lambda label, done, total: stages.append((label, done)),
    )
    assert stages.count(("reading the motion", 0)) == 1
    assert stages[-1] == ("animating", FRAMES)
    grid, frames = media.Grid(5, (SIDE, SIDE)), read(clip.path)
    assert frames.shape == (FRAMES, *grid.size, 3)
    assert (clip.has_sound, clip.fps) == (True, 10)
    assert np.abs(media.read_sound(clip.path)[0]).max() > 0.01
    expected = [alone(picture, files, small) for picture in pictures]
    for number, seen in enumerate(cells(frames, grid)):
        near = [difference(seen, frames) for frames in expected]
        assert int(np.argmin(near)) == number
        assert near[number] < 8
    assert [track["picture"] for track in clip.report["tracks"]] == [str(picture) for picture in pictures]


def test_a_chorus_squashes_nobody(files, small, tmp_path):
    clip = toolkit.chorus(
        [files / "0.png", files / "3.png"],
        files / "driver.mp4",
        model=small,
        fit="pad",
        labels=["Ann", "Bo"],
        size=100,
        output=tmp_path / "two.mp4",
        progress=False,
    )
    grid = media.Grid(2, (100, 100), ["Ann", "Bo"])
    assert clip.size == grid.size
    wide, narrow = cells(read(clip.path), grid)
    paper = (narrow[0] > 250).all(2).all(0)
    assert abs((~paper).sum() - 100 * 88 / 112) <= 6  # colours bleed a little in a clip
    assert paper[:5].all() and paper[-5:].all() and not (wide[0] > 250).all(2).all(0).any()


def test_a_chorus_of_people_by_landmarks_and_by_a_motion(files, tmp_path):
    """A list inside the list is one person; a recorded motion drives all, without sound."""
    rows, own = performance()[1], character()[1]
    motion = Motion("fewshot", {"landmarks": rows})
    pictures = [character()[0], [character(5)[0], character(6)[0]]]
    clip = toolkit.chorus(
        pictures,
        motion,
        model=animator("fewshot"),
        precision="fp32",
        landmarks=lambda frames: own.repeat(len(frames), 1, 1),
        progress=False,
    )
    assert (clip.frames, clip.has_sound) == (FRAMES, False)
    assert clip.path.parent.name == "results" and clip.path.name.startswith("chorus--")


@pytest.mark.parametrize(
    ("pictures", "settings", "told"),
    [
        ([], {}, "no picture"),
        (["nobody.png"], {}, "nobody.png"),
        (["0.png", "1.png"], {"size": 3}, "size is 3"),
        (["0.png", "1.png"], {"size": 4000}, "smaller size"),
        (["0.png", "1.png"], {"labels": ["one"]}, "1 labels"),
        (["0.png"], {"mode": "avd"}, "auto, absolute, relative"),
        (["0.png"], {"output": "chorus.txt"}, "chorus.txt"),
    ],
)
def test_a_chorus_that_cannot_be(files, small, tmp_path, pictures, settings, told):
    with pytest.raises(toolkit.ToolkitError, match=told):
        pictures = [files / picture for picture in pictures]
        toolkit.chorus(pictures, files / "driver.mp4", model=small, progress=False, **settings)
    assert list(tmp_path.rglob("*.mp4")) == []


# ---------------------------------------------------------------- tracks of different drivers


def test_drivers_of_other_rates_and_lengths_are_said_and_keep_step(files, small, tmp_path):
    """The second runs at twice the rate: in the result, at the first one's, it goes by in half the time."""
    tracks = [pipeline.Track(files / "0.png", files / name, small) for name in ("driver.mp4", "fast.mp4")]
    clip = pipeline.render(tracks, tmp_path / "both.mp4", progress=False)
    assert (clip.frames, clip.fps) == (FRAMES // 2, 10)
    notes = " ".join(clip.report["notes"])
    assert "10, 20 frames a second; the result has 10" in notes
    assert "last 1, 0.5 seconds; the result ends with the shortest" in notes
    seen, whole = read(clip.path)[:, :, SIDE:], alone(files / "0.png", files, small)
    reference = tracks[1].report["reference"]["frame"]
    assert difference(seen[reference], whole[2 * reference]) < 8


# ---------------------------------------------------------------- comparison


def test_a_comparison_shows_each_model_under_its_name(files, small, tmp_path, capsys):
    """Picture, driver, and two models of different sizes, one of them through landmarks."""
    landmarks = (character()[1], performance()[1])
    models = [small, runner("fewshot"), runner("mraa")]
    clip = toolkit.compare(
        files / "0.png",
        files / "driver.mp4",
        models=models,
        landmarks=landmarks,
        output=tmp_path / "compare.mp4",
        progress=True,
    )
    names = ["fomm custom", "fewshot custom", "mraa custom"]
    grid, frames = media.Grid(5, (SIDE, SIDE), ["picture", "driver", *names]), read(clip.path)
    assert clip.has_sound and frames.shape == (FRAMES, *grid.size, 3)
    picture, driver, *results = cells(frames, grid)
    assert difference(picture, media.read_picture(files / "0.png")[None]) < 6
    assert difference(driver, performance()[0]) < 6
    for model, seen in zip(models, results):
        expected = alone(files / "0.png", files, model, landmarks=landmarks)
        expected = np.stack([media.resize(frame, (SIDE, SIDE)) for frame in expected])
        assert difference(seen, expected) < 10
    tracks = clip.report["tracks"]
    assert [track["name"] for track in tracks] == names
    assert [track["side"] for track in tracks] == [SIDE, 64, 32]
    assert [track["parameters"] for track in tracks] == [model.parameters for model in models]
    assert all(track["motion"] > 0 and track["rendering"] > 0 for track in tracks)
    told = capsys.readouterr().out
    assert clip.report["table"] in told and all(name in told for name in names)


def test_a_comparison_of_results_alone(files, small):
    clip = toolkit.compare(
        files / "1.png",
        small.motion(performance()[0]),
        models=[small, small],
        labels=["calm", "calmer"],
        inputs=False,
        strength=0.5,
        progress=False,
    )
    assert clip.size == media.Grid(2, (SIDE, SIDE), ["calm", "calmer"]).size
    assert [track["motion"] for track in clip.report["tracks"]] == [None, None]
    with pytest.raises(toolkit.ConfigError, match="no model"):
        toolkit.compare(files / "1.png", files / "driver.mp4", models=[])
    with pytest.raises(toolkit.ConfigError, match="1 models and 2 labels"):
        toolkit.compare(files / "1.png", files / "driver.mp4", models=[small], labels=["a", "b"])
    with pytest.raises(toolkit.InputError, match="1.png can't be used with tha.*transparent"):
        toolkit.compare(files / "1.png", files / "driver.mp4", models=[small, runner("tha")], progress=False)


@pytest.mark.parametrize(
    ("model", "label"),
    [("mini-fomm", "mini-fomm"), ("a/vox-cpk.pth.tar", "vox-cpk"), ("b/own.safetensors", "own"), (None, "mini-fomm")],
)
def test_what_a_model_is_called(model, label):
    assert ensemble._called(model) == label


# ---------------------------------------------------------------- memory, command line


def test_memory_does_not_grow_with_the_clip(small, tmp_path):
    """Ten times the frames, the same peak of arrays (frames are what would grow)."""
    motion = small.motion(performance()[0])
    pictures = [media.flatten(character(seed)[0]) for seed in (20, 21)]

    def peak(times):
        long = Motion.cat([motion] * times)
        toolkit.chorus(pictures, long, model=small, output=tmp_path / "warm.mp4", progress=False)  # imports, caches
        tracemalloc.start()
        try:
            toolkit.chorus(pictures, long, model=small, output=tmp_path / f"{times}.mp4", progress=False)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short, long = peak(1), peak(10)
    frame = np.prod((*media.Grid(2, (SIDE, SIDE)).size, 3))
    assert long - short < 60 * frame, "most of ninety more frames are held"


def test_the_command_line(files, tmp_path, capsys):
    pictures = [str(files / f"{number}.png") for number in (0, 1)]
    driver, quick = str(files / "driver.mp4"), ["--trim", "0:0.3", "--size", "64", "-q"]
    assert main(["chorus", *pictures, driver, "-o", "chorus.mp4", *quick]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == "chorus.mp4"
    assert media.probe("chorus.mp4").size == media.Grid(2, (64, 64)).size
    assert media.probe("chorus.mp4").has_sound
    command = ["compare", pictures[0], driver, "--models", "mini-fomm", "mini-fomm", "-o", "compare.mp4", *quick]
    assert main(command) == 0
    told = capsys.readouterr().out.strip().splitlines()
    assert told[-1] == "compare.mp4"
    assert len([line for line in told if line.startswith("mini-fomm")]) == 2
    assert media.probe("compare.mp4").size == media.Grid(4, (64, 64), ["mini-fomm"] * 4).size
    assert main([*command, "--results-only", "--mode", "avd"]) == 2
    assert "auto, absolute, relative" in capsys.readouterr().err

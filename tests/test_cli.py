"""The command line as a person meets it: help, results on the last line, one clear sentence for what is wrong."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.__main__ import main
from toolkit.training import Recipe

ROOT = Path(__file__).resolve().parent.parent
PICTURE, CLIP = ROOT / "samples" / "picture.png", ROOT / "samples" / "driving.mp4"


def run(*arguments, cwd, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, **kwargs)


def test_animate_prints_the_path_last(tmp_path):
    out = run("animate", PICTURE, CLIP, "-o", "out.mp4", "--trim", "0:0.4", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().splitlines()[-1] == "out.mp4"
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    assert "reference" in out.stderr
    assert "fps" in out.stderr or "frames/s" in out.stderr


def test_a_strange_picture_is_warned_about(tmp_path, capsys):
    import shutil

    shutil.copy(PICTURE, tmp_path / "friend.png")
    assert main(["animate", "friend.png", str(CLIP), "-o", "out.gif", "--trim", "0:0.1", "-q"]) == 0
    assert "drawn heads" in capsys.readouterr().err


def test_demo_prints_the_path_last(tmp_path):
    out = run("demo", "--trim", "0:0.4", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    path = tmp_path / out.stdout.strip().splitlines()[-1]
    assert path.is_file()
    assert path.suffix == ".mp4"


def test_help_and_info(tmp_path):
    helped = run("--help", cwd=tmp_path).stdout
    assert all(command in helped for command in ("animate", "demo", "info", "train", "evaluate", "bench"))
    told = run("info", cwd=tmp_path).stdout
    assert all(word in told for word in ("torch", "ffmpeg", "mini", "precision"))


@pytest.mark.parametrize("command", ["animate", "chorus", "group", "compare"])
def test_the_mark_is_told_as_it_is(command, capsys):
    """The option is a switch; its words may be Chinese, and Python takes others."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--mark write 'made with AI' (in Chinese where" in said and "for your own, mark=TEXT in Python" in said


def checkpoint(folder, kind):
    path = folder / f"{kind}.pth.tar"
    if kind == "html":
        path.write_bytes(b"<!DOCTYPE html><html><body>Quota exceeded</body></html>" * 20)
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 750926934\n")
    elif kind == "truncated":
        import torch

        torch.save({"generator": {"a": torch.zeros(1000)}, "kp_detector": {}}, path)
        path.write_bytes(path.read_bytes()[:-900])
    elif kind == "other":
        import torch

        torch.save({"some_net": {"layer.weight": torch.zeros(3)}}, path)
    elif kind == "code":
        import torch

        torch.save({"generator": print}, path)
    elif kind == "empty":
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize("kind", ["html", "pointer", "truncated", "other", "code", "empty"])
def test_a_wrong_checkpoint_is_named(tmp_path, kind, capsys):
    path = checkpoint(tmp_path, kind)
    assert main(["animate", str(PICTURE), str(CLIP), "-o", "out.mp4", "--model", str(path), "-q"]) == 2
    said = capsys.readouterr().err
    assert path.name in said
    assert "Traceback" not in said
    assert not Path("out.mp4").exists()


def bad_picture(folder, kind):
    path = folder / f"{kind}.png"
    if kind == "text":
        path.write_text("not a picture at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(PICTURE.read_bytes()[:2000])
    elif kind == "tiny":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "huge":
        Image.new("1", (20000, 20000)).save(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "clip":
        path.write_bytes(CLIP.read_bytes())
    return path  # "missing" is simply not there


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "tiny", "huge", "folder", "clip", "missing"])
def test_a_wrong_picture_is_named(tmp_path, kind, capsys):
    path = bad_picture(tmp_path, kind)
    assert main(["animate", str(path), str(CLIP), "-o", "out.mp4", "-q"]) == 2
    said = capsys.readouterr().err
    assert path.name in said
    assert "Traceback" not in said
    assert not Path("out.mp4").exists()


def bad_clip(folder, kind, ffmpeg):
    path = folder / f"{kind}.mp4"
    if kind == "text":
        path.write_text("not a clip at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(CLIP.read_bytes()[:500])
    elif kind == "sound":
        ffmpeg("-f", "lavfi", "-i", "sine=d=1", path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "a")
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "sound", "folder", "zip", "missing"])
def test_a_wrong_clip_is_named(tmp_path, kind, capsys, ffmpeg):
    path = bad_clip(tmp_path, kind, ffmpeg)
    assert main(["animate", str(PICTURE), str(path), "-o", "out.mp4", "-q"]) == 2
    said = capsys.readouterr().err
    assert path.name in said
    assert "Traceback" not in said
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize("output", ["folder", "out.xyz", "file.txt/out.mp4"])
def test_an_output_that_cannot_be_written_is_said_before_the_work(tmp_path, output, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("mine")
    assert main(["animate", str(PICTURE), str(CLIP), "-o", output, "-q"]) == 2
    assert Path(output).name in capsys.readouterr().err
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_wrong_words_are_explained(tmp_path):
    out = run("animate", PICTURE, CLIP, "--trim", "soon", cwd=tmp_path)
    assert out.returncode == 2
    assert "2:5.5" in out.stderr
    assert run("train", "no-such-recipe", cwd=tmp_path).returncode == 2
    assert run("animate", PICTURE, CLIP, "--model", "fom", cwd=tmp_path).returncode == 2


def test_an_error_is_no_traceback(tmp_path):
    out = run("animate", tmp_path / "nobody.png", CLIP, cwd=tmp_path)
    assert out.returncode == 2
    assert out.stderr.startswith("error: ")
    assert "Traceback" not in out.stderr
    assert len(out.stderr.strip().splitlines()) <= 3


def test_interrupted_from_the_keyboard(tmp_path):
    """A real Ctrl-C in the middle of rendering: exit code 130, no half file."""
    import signal
    import time

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "toolkit", "animate", str(PICTURE), str(CLIP), "-o", "out.mp4"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Started from a background job, the tests would hand down an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    seen = b""
    deadline = time.time() + 300
    while b"animating" not in seen and time.time() < deadline:
        seen += process.stderr.read1(4096)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert b"Traceback" not in rest
    assert list(tmp_path.glob("*out*")) == []


def test_the_sample_picture_is_one(tmp_path):
    with Image.open(PICTURE) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (512, 512, 3)
    assert pixels.std() > 20


def test_training_takes_a_device(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("toolkit.training.loop.Trainer.__init__", lambda *_, device=None, **__: seen.append(device))
    monkeypatch.setattr("toolkit.training.loop.Trainer.run", lambda *_, **__: tmp_path / "model.safetensors")
    for words in ([], ["--device", "cuda:1"]):
        assert main(["train", "mini-fomm", "-o", str(tmp_path / "run"), *words]) == 0
    assert seen == [None, "cuda:1"] and "model.safetensors" in capsys.readouterr().out


def test_settings_of_a_recipe_are_numbers(tmp_path, capsys):
    """A run of no steps at all: it begins, ends and writes its file."""
    stages = [f"stages.{k}.steps=0" for k in range(len(Recipe.load("mini-fomm").stages))]
    words = [word for setting in (*stages, f"output={tmp_path}/out.safetensors") for word in ("--set", setting)]
    assert main(["train", "mini-fomm", "-o", str(tmp_path / "run"), *words]) == 0
    assert (tmp_path / "out.safetensors").is_file()
    assert main(["train", "mini-fomm", "-o", str(tmp_path / "other"), "--set", "stages.0.steps=few"]) == 2
    assert "must be a whole number" in capsys.readouterr().err

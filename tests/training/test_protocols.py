"""Reconstruction and animation on clips: what is compared with what, how it is averaged, and what is refused."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.test_fomm import small
from tests.training.test_clips import as_clip, as_folder, frames
from tests.training.test_evaluate import Still
from toolkit import zoo
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.faces.face import Box, Face
from toolkit.models.base import Animator, Info, Motion, Source
from toolkit.training import held_out, protocols
from toolkit.training.protocols import Measured, measure

SIDE = 32
HEAD = np.stack(np.meshgrid(np.arange(17), np.arange(4)), -1).reshape(68, 2) + 6.0


class Stays(Still):
    """Shows the picture as it is, a row a frame."""

    def render(self, source, motion):
        return source["picture"].expand(len(motion), -1, -1, -1)


class Perfect(Still):
    """Shows the driver's own frame, but for the last of each batch, which it darkens if asked to."""

    def __init__(self, size=SIDE, dark=False, least=0.0):
        Animator.__init__(self)
        self.info, self.dark, self.least = Info("perfect", "custom", size=size), dark, least

    def motion(self, frames, source=None, landmarks=None):
        assert (source is None) == (self.least > 0)
        return Motion("perfect", {"frames": frames})

    def transfer(self, source, motion, **how):
        assert ("mode" in how) == (self.least == 0), "absolute in reconstruction, the model's own in animation"
        return motion

    def render(self, source, motion):
        shown = motion["frames"].clamp(min=self.least).clone()
        if self.dark:
            shown[-1] = 0
        return shown


def eye(pictures):
    """Sees a face in all but dark frames, further right in brighter ones."""
    return [
        [Face(Box(4, 4, 24, 24), 0.9, HEAD + [level / 50, 0], "eye")] if (level := float(picture.mean())) > 5 else []
        for picture in pictures
    ]


def blind(pictures):
    return [[] for _ in pictures]


@pytest.fixture
def folder(tmp_path):
    """Two test clips: 6 and 3 frames, each 3 levels brighter than the one before."""
    as_folder(tmp_path / "set" / "test" / "a.mp4", frames(40))
    as_folder(tmp_path / "set" / "test" / "b.mp4", frames(90, 3))
    return tmp_path / "set"


def test_every_frame_of_every_clip_counts_the_same(folder):
    found = measure(Stays(SIDE), folder, finder=eye)
    assert (found.clips, found.frames, found.size) == (2, 9, SIDE)
    steps = [0, 1, 2, 3, 4, 5, 0, 1, 2]
    for column in ("model", "not moving"):
        assert found.figures["L1"][column] == pytest.approx(np.mean(steps) * 3 / 255)
        # 3 levels are 3 / 50 of a pixel of 32, to the right: half of the coordinates
        assert found.figures["AKD"][column] == pytest.approx(np.mean(steps) * 3 / 50 * 256 / SIDE / 2, rel=1e-4)
        assert found.figures["MKR"][column] == 0
    assert found.floor is None and "not known here" in str(found) and "perception network" in str(found)


def test_a_perfect_model_has_perfect_figures_in_every_layout(tmp_path):
    test = tmp_path / "set" / "test"
    as_folder(test / "frames.mp4", frames(40))
    as_clip(test / "clip.mp4", frames(60, 10))
    Image.fromarray(np.concatenate(frames(90, 4), 1)).save(test / "stacked.png")
    found = measure(Perfect(), tmp_path / "set", finder=eye)
    assert found.frames == 6 + 10 + 4
    figures = {metric: values["model"] for metric, values in found.figures.items()}
    wanted = {"L1": 0, "SSIM": 1, "AKD": 0, "MKR": 0, "AED": 0, "CSIM": 1}
    assert figures == pytest.approx(wanted, abs=1e-3)
    assert found.figures["L1"]["not moving"] > 0.02 and found.figures["SSIM"]["not moving"] < 1


def test_frames_whose_face_is_lost_count_for_mkr_and_not_for_akd(folder):
    found = measure(Perfect(dark=True), folder, finder=eye)
    assert found.figures["MKR"]["model"] == pytest.approx(2 / 9)
    assert found.figures["AKD"]["model"] == 0 and found.figures["L1"]["model"] > 0.05


def test_no_face_in_any_frame_is_said(folder):
    found = measure(Perfect(), folder, finder=blind)
    assert found.figures["L1"]["model"] == 0
    assert all(found.figures[metric]["model"] is None for metric in ("AKD", "MKR", "AED", "CSIM"))
    assert "No face was found in any of 9 true frames" in str(
        found
    ) and "| AKD, pixels at 256 (less is better) | –" in str(found)


def test_animation_follows_the_list(folder, tmp_path):
    as_folder(folder / "test" / "c.mp4", frames(180, 2))
    listed = tmp_path / "pairs.csv"
    listed.write_text("source,driving\nc.mp4,a.mp4\ngone.mp4,a.mp4\n")
    model = Perfect(least=0.25)  # what it shows is no whole number of levels
    found = measure(model, folder, "animation", pairs=listed, finder=eye, frames=tmp_path / "kept")
    assert (found.clips, found.frames) == (1, 6) and set(found.figures) == {"MKR", "AED", "CSIM"}
    kept = sorted((tmp_path / "kept" / "a.mp4-c.mp4").iterdir())
    assert [path.name for path in kept] == [f"{number:07d}.png" for number in range(6)]
    assert np.array(Image.open(kept[0])).max() == int(0.25 * 255), "cut off, not rounded"
    still = measure(Stays(SIDE), folder, "animation", pairs=listed, finder=eye)
    assert still.figures["CSIM"]["model"] == pytest.approx(1, abs=1e-5)
    assert found.figures["CSIM"]["model"] < 0.9999


def test_without_a_list_pairs_are_drawn(folder):
    found = measure(Stays(SIDE), folder, "animation", finder=eye)
    assert (found.clips, found.frames) == (4, 2 * (6 + 3))  # all of two clips with two clips
    assert measure(Stays(SIDE), folder, "animation", finder=eye, clips=1).clips == 1


def test_the_finders_own_error_is_the_floor_on_drawn_heads(monkeypatch):
    monkeypatch.setattr(held_out, "SECONDS", 0.24)
    found = measure(Perfect(128), "puppets", clips=1)
    assert found.frames == 3 and found.finder == "perception" and not found.notes
    assert found.figures["AKD"]["model"] == pytest.approx(0, abs=1e-3)
    assert 0.05 < found.floor < 6
    assert f"its own error on the true frames is {found.floor:.4f}" in str(found)


def test_what_cannot_be_used_is_named(folder, tmp_path):
    (folder / "test" / "page.mp4").write_text("<!DOCTYPE html><html></html>")
    found = measure(Stays(SIDE), folder, finder=eye)
    assert found.clips == 2 and any("page.mp4" in note for note in found.notes)
    (tmp_path / "bad" / "test").mkdir(parents=True)
    with pytest.raises(InputError, match="no clip in .*test"):
        measure(Stays(SIDE), tmp_path / "bad")
    (tmp_path / "bad" / "test" / "page.mp4").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(InputError, match="None of the 1 clips.*page.mp4"):
        measure(Stays(SIDE), tmp_path / "bad", finder=eye)


def test_clips_of_another_size_are_brought_to_the_models(folder):
    found = measure(Perfect(48), folder, finder=eye)
    assert found.size == 48 and found.figures["L1"]["model"] == 0
    assert [note for note in found.notes if "a.mp4 is 32 x 32 pixels" in note and "48 x 48" in note]


def test_what_does_not_go_together(folder, tmp_path):
    (tmp_path / "pairs.csv").write_text("source,driving\nx.mp4,y.mp4\n")
    with pytest.raises(InputError, match="No pair of .*pairs.csv"):
        measure(Stays(SIDE), folder, "animation", pairs=tmp_path / "pairs.csv")
    with pytest.raises(ConfigError, match="protocol 'swap'"):
        measure(Stays(SIDE), folder, "swap")
    with pytest.raises(ConfigError, match="Pairs are for"):
        measure(Stays(SIDE), folder, pairs=tmp_path / "pairs.csv")
    with pytest.raises(ConfigError, match="cascade"):
        measure(Stays(SIDE), folder, finder="cascade")
    alpha = Stays(SIDE)
    alpha.info = Info("anime", "custom", size=SIDE, channels=4)
    with pytest.raises(ConfigError, match="transparency"):
        measure(alpha, folder)


def test_fid_says_what_it_needs(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(InputError, match="FID of 9 frames.*1600"):
        measure(Stays(SIDE), folder, finder=eye, fid=True)
    monkeypatch.setattr(protocols.metrics, "LEAST", 5)
    with pytest.raises(CheckpointError, match="pt_inception-2015-12-05-6726825d.pth.*into .*weights"):
        measure(Stays(SIDE), folder, finder=eye, fid=True)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "pt_inception-2015-12-05-6726825d.pth").write_bytes(b"another file")
    with pytest.raises(CheckpointError, match="another file"):
        measure(Stays(SIDE), folder, finder=eye, fid=True)
    monkeypatch.setattr(protocols, "inception", lambda device: lambda pictures: pictures.mean((2, 3)))
    found = measure(Stays(SIDE), folder, finder=eye, fid=True)
    assert found.figures["FID"]["model"] > 0 and found.figures["FID"]["not moving"] is None


def test_figures_go_where_the_platform_keeps_results(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    drive = tmp_path / "mounts" / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    empty = {"figures": {}, "finder": "", "floor": None, "identity": "", "notes": []}
    path = Measured("tiny.safetensors", "clips", "animation", clips=0, frames=0, size=64, **empty).save()
    assert path == drive / "living-pictures" / "results" / "tiny--clips--animation.json" and path.is_file()


def test_the_command_saves_the_figures_with_the_models_hash(folder, tmp_path, capsys):
    zoo.save(small(), tmp_path / "tiny.safetensors", size=64)
    assert main(["evaluate", "tiny.safetensors", "--data", str(folder), "--clips", "1", "-q"]) == 0
    out = capsys.readouterr().out.strip().splitlines()
    told = json.loads((tmp_path / out[-1]).read_text())
    assert told["sha256"] == hashlib.sha256((tmp_path / "tiny.safetensors").read_bytes()).hexdigest()
    assert told["clips"] == 1 and told["size"] == 64 and told["figures"]["L1"]["model"] > 0
    assert any(line.startswith("| L1, 0 … 1 (less is better)") for line in out)
    assert main(["evaluate", "tiny.safetensors", "--protocol", "animation"]) == 2
    assert "goes with data" in capsys.readouterr().err


def test_landmarks_go_to_models_that_see_through_them(folder):
    class Through(Perfect):
        def encode(self, pictures, landmarks=None):
            assert landmarks.shape == (1, 68, 2)
            return Source("perfect", Motion("perfect", {"row": torch.zeros(1)}), {"picture": pictures}, (SIDE, SIDE))

        def motion(self, frames, source=None, landmarks=None):
            assert landmarks.shape == (len(frames), 68, 2)
            return Motion("perfect", {"frames": frames})

    model = Through()
    model.info = Info("through", "custom", size=SIDE, needs=frozenset({"landmarks", "picture landmarks"}))
    assert measure(model, folder, finder=eye).figures["L1"]["model"] == 0
    with pytest.raises(InputError, match="first frame shows no face"):
        measure(model, folder, finder=blind)

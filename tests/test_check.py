"""The input doctor: what is odd is said with what mends it, what is well is left in peace."""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import toolkit
from tests.media import coded
from tests.small_models import animator
from toolkit import media, puppets
from toolkit.__main__ import main
from toolkit.doctor.picture import SMOOTH, is_drawn, smoothness
from toolkit.doctor.pose import FAR, apart, mouth, tilt
from toolkit.errors import CheckpointError, InputError
from toolkit.faces import Box, Face
from toolkit.puppets.samples import to_bytes

SIDE = 256
PEOPLE = {"crop": "face", "domain": "talking faces", "size": 128, "mode": "relative"}
DRAWINGS = {**PEOPLE, "crop": "bust", "domain": "drawn heads", "drawn": True}


def model(**info):
    """A small network of random weights that says of itself what is asked for."""
    made = copy.copy(animator("fomm"))
    made.info = dataclasses.replace(made.info, **{**PEOPLE, "size": 32, **info})
    return made


class Script:
    """A finder that sees what it is told, one list of faces a picture; the last one for ever."""

    name, sees = "script", "what it is told"

    def __init__(self, *lists):
        self.lists, self.asked = list(lists), 0

    def __call__(self, frames):
        found = [self.lists[min(self.asked + k, len(self.lists) - 1)] for k in range(len(frames))]
        self.asked += len(frames)
        return found


def face(finder="face-alignment", box=None, seed=1, size=SIDE, **pose):
    """A puppet's landmarks in a picture of that size, and the box about them."""
    neutral = puppets.Pose.neutral(1).replace(**{k: torch.tensor([float(v)]) for k, v in pose.items()})
    points = ((puppets.landmarks(puppets.identities(1, seed), neutral)[0] + 1) * size / 2).double().numpy()
    return Face(box or Box.around(points), 0.9, points, finder)


def grain(height=SIDE, width=SIDE):
    """A picture as noisy as a photograph."""
    return np.random.default_rng(0).integers(60, 190, (height, width, 3), np.uint8)


def says(report, words, level=None):
    """The findings that hold these words, of that level."""
    return [
        one
        for one in report.findings
        if re.search(words, f"{one.what} {one.why} {one.mend}") and level in (None, one.level)
    ]


@pytest.fixture(scope="module")
def clips(tmp_path_factory, ffmpeg):
    folder = tmp_path_factory.mktemp("check")
    frames = np.stack([grain(96, 96)] * 30)
    tone = ("-f", "lavfi", "-i", "sine=440:sample_rate=44100:d=1.2")
    silent, good = folder / "silent.mp4", folder / "good.mp4"
    coded.encode(silent, frames, 25, *coded.H264)
    ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", good)
    ffmpeg("-display_rotation", 90, "-i", good, "-c", "copy", folder / "turned.mp4")
    uneven = "setpts='(N+gt(N,9)*N*0.9+2*mod(N,3))/25/TB'"
    ffmpeg("-i", silent, "-vf", uneven, "-fps_mode", "vfr", *coded.H264, folder / "uneven.mp4")
    # a long one: two pictures, each shown for minutes
    coded.encode(folder / "long.mp4", frames[:3], "1/60", *coded.H264)
    (folder / "words.mp4").write_text("no clip")
    return folder


# -- the picture -----------------------------------------------------------------------------------------------------


def test_all_is_well(clips):
    report = toolkit.check(grain(), clips / "good.mp4", model(crop="bust"), backend=Script([face()]))
    assert report.ok and {one.level for one in report.findings} == {"ok"}
    assert {one.about for one in report.findings} == {"picture", "clip", "time"}
    assert report.minutes > 0 and not any(one.mend or one.why for one in report.findings)


def test_a_photograph_for_a_model_of_drawings():
    report = toolkit.check(data.astronaut(), model=model(**DRAWINGS), backend="cascade")
    (found,) = says(report, "photograph", "warning")
    assert 'model="tpsmm-vox"' in found.mend and not report.ok
    assert report.findings[0] == found, "the most pressing comes first"
    assert not says(toolkit.check(data.astronaut(), model=model(), backend="cascade"), "photograph|drawing")


def test_a_drawing_is_known():
    picture = to_bytes(puppets.draw(puppets.identities(1, 3), puppets.Pose.neutral(1), SIDE)[:, :3])[0]
    own = toolkit.check(picture, model=model(**DRAWINGS), backend=Script([face("perception")]))
    assert own.ok and not says(own, "photograph")
    other = toolkit.check(picture, model=model(), backend=Script([face("perception")]))
    assert says(other, "drawing.*trained on people", "hint")


def test_smoothness_parts_puppets_from_photographs():
    drawn = to_bytes(puppets.draw(puppets.identities(8, 9), puppets.poses(8, 8), SIDE)[:, :3])
    assert min(map(smoothness, drawn)) > SMOOTH - 0.02
    for photograph in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket()):
        assert smoothness(photograph) < SMOOTH - 0.1
        assert is_drawn(photograph, "cascade") is False and is_drawn(photograph, "") is None
    assert is_drawn(data.astronaut(), "perception") is None, "a person takes two to be sure"
    assert is_drawn(grain(), "perception") is True
    assert is_drawn(drawn[0], "") and smoothness(np.zeros((1, 1, 3), np.uint8)) == 1


def test_no_face():
    report = toolkit.check(grain(), model=model(), backend=Script([]))
    (found,) = says(report, "No face", "warning")
    assert "crop=(x, y, width, height)" in found.mend
    assert not says(toolkit.check(grain(), model=model(crop="whole"), backend=Script([])), "No face")


def test_lying_on_its_side():
    report = toolkit.check(grain(), model=model(), backend=Script([], [face()]))
    (found,) = says(report, "lie on their side", "warning")
    assert "90 degrees" in found.mend and not says(report, "No face")


def test_a_turned_picture_is_turned_the_right_way():
    """The finder is asked about the picture as it would be after the turn that is advised."""
    shown = []

    def finder(frames):
        shown.append(frames[0])
        return [[face()] if frames[0][0, 0, 0] == 255 else []]

    picture = np.zeros((40, 60, 3), np.uint8)
    picture[-1, 0] = 255  # after a turn to the right its lower left corner is the upper left one
    assert "90 degrees clockwise" in says(toolkit.check(picture, model=model(), backend=finder), "side")[0].mend
    assert shown[-1].shape == (60, 40, 3)


def test_several_faces():
    report = toolkit.check(grain(), model=model(), backend=Script([face(), face(box=Box(10, 10, 30, 30))]))
    (found,) = says(report, "2 faces", "hint")
    assert "pick=1" in found.mend and "animate_all" in found.mend


def test_small_and_off_centre():
    little = face(box=Box(300, 40, 40, 44))
    report = toolkit.check(grain(400, 400), model=model(size=256), backend=Script([little]))
    assert "256 x 256" in says(report, "soft", "warning")[0].what
    assert "paste=True" in says(report, "off centre", "hint")[0].mend
    centred = toolkit.check(grain(400, 400), model=model(), backend=Script([face(box=Box(150, 150, 100, 100))]))
    assert says(centred, "6% of the picture") and not says(centred, "off centre|soft")


def test_turned_and_tilted():
    report = toolkit.check(grain(), model=model(), backend=Script([face(yaw=0.6)]))
    assert 'reference="best"' in says(report, "turned aside", "warning")[0].mend
    report = toolkit.check(grain(), model=model(), backend=Script([face(roll=0.5)]))
    assert says(report, "leans by 29 degrees", "hint")
    only_box = dataclasses.replace(face(), landmarks=None)
    assert toolkit.check(grain(), model=model(), backend=Script([only_box])).ok


def test_a_picture_used_whole():
    report = toolkit.check(grain(100, 100), model=model(crop="whole", size=256), backend=Script([]))
    assert says(report, "100 x 100 pixels.*256 x 256", "warning")
    assert toolkit.check(grain(300, 300), model=model(crop="whole", size=256), backend=Script([])).ok


def test_cut_out_characters():
    cut = np.zeros((64, 64, 4), np.uint8)
    cut[20:50, 20:50] = 255
    anime = model(channels=4, crop="head")
    assert says(toolkit.check(grain(), model=anime, backend=Script([face()])), "transparent", "warning")
    assert not says(toolkit.check(cut, model=anime, backend=Script([face(size=64)])), "[Tt]ransparent")


def test_several_pictures():
    report = toolkit.check([grain(), grain(20, 20)], model=model(), backend=Script([face()], []))
    assert says(report, "No face", "warning") and not report.ok


# -- the clip --------------------------------------------------------------------------------------------------------


def clip_report(path, *seen, own=None, **options):
    info = options.pop("info", {})
    script = Script([own or face()], *(seen or ([face()],)))
    return toolkit.check(grain(), path, model(**info), backend=script, **options), script


def test_silent(clips):
    report, _ = clip_report(clips / "silent.mp4")
    assert 'sound="song.mp3"' in says(report, "no sound", "hint")[0].mend


def test_rotated(clips):
    report, _ = clip_report(clips / "turned.mp4")
    assert media.probe(clips / "turned.mp4").rotation
    assert says(report, "turned by (90|270) degrees", "hint") and report.ok


def test_variable_rate(clips):
    assert media.probe(clips / "uneven.mp4").is_variable
    report, _ = clip_report(clips / "uneven.mp4")
    assert says(report, "frame rate varies", "hint") and report.ok


def test_long(clips):
    report, script = clip_report(clips / "long.mp4")
    assert "trim=(0, 30)" in says(report, r"3\.0 minutes", "hint")[0].mend
    assert script.asked <= 6, "only a few frames are looked at"
    short, _ = clip_report(clips / "long.mp4", trim=(0, 20))
    assert not says(short, "It is long")


def test_no_face_in_the_clip(clips):
    report, _ = clip_report(clips / "good.mp4", [])
    (found,) = says(report, "No face was found in 5 frames", "warning")
    assert "crop=" in found.mend
    report, _ = clip_report(clips / "good.mp4", *[[]] * 6, [face()])
    assert says(report, "lie on their side", "warning")


def test_lost_for_a_while_and_several_people(clips):
    two = [face(), face(box=Box(0, 0, 20, 20))]
    report, _ = clip_report(clips / "good.mp4", two, two, [], two)
    assert "trim=" in says(report, r"No face is seen at 0\.5 s", "hint")[0].mend
    assert 'pick={"clip": 1}' in says(report, "2 people", "hint")[0].mend


def test_far_away(clips):
    report, _ = clip_report(clips / "good.mp4", [face(box=Box(5, 5, 12, 14))], info={"size": 128})
    assert says(report, "The face has 14 pixels", "hint")


@pytest.mark.parametrize(("odd", "words"), [({"mouth_open": 1}, "mouth is open"), ({"yaw": 0.6}, "turned")])
def test_first_frame(clips, odd, words):
    """A later frame that is like the picture is named; without one it is a warning."""
    report, _ = clip_report(clips / "good.mp4", [face(**odd)], [face(**odd)], [face(seed=2)])
    (found,) = says(report, f"first frame is not neutral.*{words}", "hint")
    assert 'reference="best"' in found.mend and "0.5 s" in found.why
    if "yaw" in odd:
        report, _ = clip_report(clips / "good.mp4", [face(**odd)])
        assert says(report, "not neutral.*none of the frames", "warning")
    likewise, _ = clip_report(clips / "good.mp4", [face(seed=2)])
    assert not says(likewise, "neutral")


def test_what_landmarks_tell():
    at_rest = [face(seed=seed).landmarks for seed in range(8)]
    assert max(apart(a, b) for a in at_rest for b in at_rest) < FAR < apart(face(yaw=0.3).landmarks, at_rest[2])
    assert apart(face(roll=-0.3).landmarks, at_rest[3]) > FAR
    assert mouth(at_rest[0]) < 0.02 < 0.2 < mouth(face(mouth_open=1).landmarks)
    assert tilt(face(roll=0.2).landmarks) == pytest.approx(np.degrees(0.2), abs=2)


def test_a_motion_in_place_of_a_clip():
    made = model()
    frames = torch.rand(3, 3, 32, 32)
    report = toolkit.check(grain(), made.motion(frames), made, backend=Script([face()]))
    assert says(report, "recorded motion of 3 frames", "ok") and says(report, "3 frames", "ok")


# -- the model, the time, and how it is told -------------------------------------------------------------------------


def test_weights_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path))
    toolkit.faces.finders._is_mounted.cache_clear()
    report = toolkit.check(grain(300, 300), model="tpsmm-vox", backend=Script([face(size=300)]))
    assert "fetch tpsmm-vox" in says(report, "not here yet", "hint")[0].mend
    with pytest.raises(CheckpointError, match="tpsm-vox"):
        toolkit.check(grain(), model="tpsm-vox")


def test_time(clips, monkeypatch):
    monkeypatch.setattr("toolkit.runner.seconds_a_frame", lambda *_: 30.0)
    report, _ = clip_report(clips / "good.mp4")
    assert report.minutes == pytest.approx(15, rel=0.1)
    assert "trim=" in says(report, "About 15.* minutes", "hint")[0].mend
    monkeypatch.setattr("toolkit.runner.seconds_a_frame", lambda *_: 0.1)
    report, _ = clip_report(clips / "good.mp4")
    assert says(report, "About 3 seconds", "ok")

    def fails(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("toolkit.runner.seconds_a_frame", fails)
    report, _ = clip_report(clips / "good.mp4")
    assert report.minutes is None and says(report, "can't be told", "hint") and report.ok


def test_files_that_cannot_be_read(clips, tmp_path):
    with pytest.raises(InputError, match="nowhere.png"):
        toolkit.check(tmp_path / "nowhere.png", model=model())
    with pytest.raises(InputError, match="words.mp4"):
        toolkit.check(grain(), clips / "words.mp4", model(), backend=Script([face()]))


def test_told_to_people(clips):
    report, _ = clip_report(clips / "silent.mp4")
    text = repr(report)
    assert text.startswith("hint") and '-> sound="song.mp3"' in text
    page = report._repr_html_()
    assert page.startswith("<table>") and "sound=&quot;song.mp3&quot;" in page


def test_command_line(clips, tmp_path, capsys):
    Image.fromarray(to_bytes(puppets.draw(puppets.identities(1, 3), puppets.Pose.neutral(1), 300)[:, :3])[0]).save(
        tmp_path / "own.png"
    )
    assert main(["check", "own.png", str(clips / "silent.mp4"), "--device", "cpu"]) == 0
    assert '-> sound="song.mp3"' in capsys.readouterr().out
    assert main(["check", "nobody.png"]) == 2

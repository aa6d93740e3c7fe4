"""The studio without a browser: settings, widgets and buttons driven from Python."""

import datetime
import io
import json
import re
import shutil
import socket
import string
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from toolkit import Clip, errors, sample
from toolkit.media.files import SAVED
from toolkit.ui import State, Studio, advice, model, words
from toolkit.ui.clip import ClipPanel
from toolkit.ui.crop import CropPanel
from toolkit.ui.look import Look
from toolkit.ui.model import ModelPanel
from toolkit.ui.motion import MotionPanel
from toolkit.ui.output import OutputPanel
from toolkit.ui.picture import PHOTOGRAPH, PicturePanel
from toolkit.ui.result import ResultPanel
from toolkit.ui.sound import SoundPanel
from toolkit.ui.work import Later

ROOT = Path(__file__).resolve().parent.parent
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def clip(tmp_path_factory, ffmpeg):
    """A second of the sample, small, so that looking at it costs nothing."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    ffmpeg("-i", sample("driving.mp4"), "-t", 1, "-s", "128x128", path)
    return path


@pytest.fixture
def state(clip):
    return State(picture=str(sample("picture.png")), driving=str(clip), end=0.2)


def inside(widget):
    """A widget and all that it holds."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


# -- words -----------------------------------------------------------------------------------------------------------


def test_every_word_is_there_in_both_languages():
    def holes(text):
        return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)

    for key, (english, chinese) in words.TEXTS.items():
        assert english.strip(), key
        assert not CHINESE.search(english), key
        assert holes(english) == holes(chinese), key
        assert CHINESE.search(chinese), key


def test_every_word_is_used_and_none_is_made_up():
    folder = ROOT / "toolkit" / "ui"
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.name != "words.py")
    begun = tuple(text.partition("{")[0] for text in re.findall(r'f"([a-z]+ \{[^"\n]+)"', code))
    for key in words.TEXTS:
        named = f'"{key}"' in code or f"'{key}'" in code
        assert named or key.startswith((*begun, "stage ")), f"{key} is used nowhere"
    for key in re.findall(r'words\("([^"]+)"', code):
        assert key in words.TEXTS, key


def test_the_switch_changes_every_label(state):
    studio = Studio(state.picture, state.driving, language="en")
    studio.language.value = "zh"
    studio.wait(60)
    told = [text for widget in inside(studio) if (text := getattr(widget, "description", ""))]
    assert len(told) > 30
    assert [text for text in told if not CHINESE.search(text)] == []
    assert CHINESE.search(studio.driving.said.value)
    assert studio.state.mode == "auto", "a choice is not lost by its new name"
    studio.words.language = "en"
    assert studio.result.button.description == "Animate"


def test_the_studio_is_made_of_core_widgets_alone(state):
    """Others need JavaScript of their own, and on Colab take tabs and accordions away."""
    studio = Studio(state.picture, state.driving)
    assert {widget._model_module for widget in inside(studio)} <= {"@jupyter-widgets/controls", "@jupyter-widgets/base"}
    studio.wait(60)


def test_the_language_is_the_environments(monkeypatch):
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    assert OutputPanel().size.description == "边长（像素）"


def test_a_mark_of_ones_own_is_offered_too():
    panel = OutputPanel()
    assert panel.mark.options[:2] == (("none", ""), ("made with AI", "made with AI"))
    panel.state.mark = "a film by Anna and a machine"
    assert panel.mark.value == "a film by Anna and a machine"
    panel.mark.value = ""
    assert panel.state.arguments()["mark"] is False


def test_in_chinese_the_mark_is_chinese_where_a_font_has_it(monkeypatch):
    for module in ("toolkit.media.stamp", "toolkit.ui.output"):
        monkeypatch.setattr(f"{module}.can_write", lambda text: True)
    panel = OutputPanel(words=words.Words("zh"))
    assert panel.mark.options[1] == ("AI 生成", "AI 生成")
    panel.mark.value = "AI 生成"
    panel.words.language = "en"
    assert panel.mark.options[1] == ("made with AI", "made with AI")
    assert panel.state.mark == panel.mark.value == "AI 生成"


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "widget", "name", "chosen", "setting"),
    [
        (PicturePanel, "path", "picture", "my friend.png", "my friend.png"),
        (ClipPanel, "path", "driving", ' "我的 🎤.mp4" ', "我的 🎤.mp4"),
        (ModelPanel, "list", "model", "fomm-vox", "fomm-vox"),
        (ModelPanel, "file", "model", "own.pth.tar", "own.pth.tar"),
        (MotionPanel, "mode", "mode", "absolute", "absolute"),
        (MotionPanel, "strength", "strength", 1.4, 1.4),
        (MotionPanel, "smooth", "smooth", 2.5, 2.5),
        (MotionPanel, "reference", "reference", "first", "first"),
        (SoundPanel, "kind", "sound", "", ""),
        (OutputPanel, "size", "size", 1080, 1080),
        (OutputPanel, "beside", "side_by_side", False, False),
        (OutputPanel, "paste", "paste", True, True),
        (OutputPanel, "mark", "mark", "made with AI", "made with AI"),
    ],
)
def test_a_panel_alone_shows_its_setting_and_changes_it(kind, widget, name, chosen, setting):
    panel = kind()
    getattr(panel, widget).value = chosen
    assert getattr(panel.state, name) == setting
    shown = kind()
    setattr(shown.state, name, setting)
    assert getattr(shown, widget).value == setting


def test_more_than_a_slider_offers_may_be_asked_for_from_python():
    panel = MotionPanel()
    panel.state.strength = 3.5
    assert (panel.strength.value, panel.state.strength) == (3.5, 3.5)


def test_a_reference_at_a_time_and_a_sound_from_a_file():
    motion, sound = MotionPanel(), SoundPanel()
    motion.reference.value = "time"
    motion.second.value = 1.5
    assert motion.state.reference == 1.5
    sound.kind.value = "file"
    assert sound.state.sound == "driving", "as long as no file is named"
    sound.file.value = "song.wav"
    assert sound.state.sound == "song.wav"
    sound.kind.value = "driving"
    assert sound.state.sound == "driving"


def test_settings_are_kept_in_a_file_and_taken_from_it(tmp_path, state):
    state.take({"crop_picture": (1, 2, 30, 40), "crop_clip": None, "reference": 0.5, "size": 720, "paste": True})
    path = state.write(tmp_path / "歌 🎤.mp4")
    assert path == tmp_path / "歌 🎤.json"
    again = State()
    again.read(path)
    assert again == state
    assert state.write(tmp_path / "歌 🎤.mp4") != path, "what lies there is kept"


@pytest.mark.parametrize(
    "content",
    [b"", b"[1, 2]", b"\xff\xfe", b'{"settings": {"nobody": 1}}', b'{"settings": {"size": 720, "mode": "loud"}}'],
)
def test_a_file_that_holds_no_settings_changes_nothing(tmp_path, state, content):
    before = state.settings()
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(errors.InputError, match="holds no settings"):
        state.read(tmp_path / "x.json")
    assert state.settings() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("strength", -1), ("strength", "much"), ("end", float("nan")), ("size", 5), ("mode", "x"), ("crop_clip", (1, 2))],
)
def test_a_setting_that_cannot_be_meant_is_refused(state, name, value):
    before = state.settings()
    with pytest.raises(errors.ConfigError, match=f"setting {name}"):
        setattr(state, name, value)
    assert state.settings() == before


def test_a_misspelt_setting_is_refused(state):
    with pytest.raises(AttributeError, match="strenght"):
        state.strenght = 2


# -- picture and clip ------------------------------------------------------------------------------------------------


def upload(panel, name, content):
    """As a browser does it; version 7 of ipywidgets has another form."""
    about = {"name": name, "type": "", "size": len(content), "last_modified": datetime.datetime.now(datetime.UTC)}
    if ipywidgets.__version__.startswith("7"):
        panel.upload.set_trait("value", {name: {"metadata": about, "content": content}})
    else:
        panel.upload.value = ({**about, "content": memoryview(content)},)
    panel.wait(60)


def test_a_sample_is_chosen_by_its_button():
    panel = PicturePanel()
    panel.gallery["anime.png"].click()
    panel.wait(60)
    assert Path(panel.state.picture).samefile(sample("anime.png"))
    assert "256 x 256" in panel.view.children[1].value
    pictures = [widget for widget in inside(panel) if isinstance(widget, ipywidgets.Image)]
    assert len(pictures) == len(panel.samples) + 1, "the gallery, and the one that is chosen"
    assert all(picture.value[:4] == b"\x89PNG" for picture in pictures)


def test_the_photograph_of_the_gallery(monkeypatch):
    from skimage.data import astronaut

    monkeypatch.setattr(socket, "getaddrinfo", None)  # nothing is downloaded
    monkeypatch.setattr(socket.socket, "connect", None)
    panel = PicturePanel()
    panel.wait(60)
    assert not Path("uploads").exists(), "not before it is chosen"
    credits = [widget for widget in inside(panel) if "NASA, public domain" in str(getattr(widget, "value", ""))]
    assert len(credits) == 1
    panel.gallery[PHOTOGRAPH].click()
    panel.wait(60)
    assert panel.state.picture == panel.path.value == str(Path("uploads") / "nasa-astronaut.png")
    assert np.array_equal(np.asarray(Image.open(panel.state.picture)), astronaut())
    assert SAVED in Image.open(panel.state.picture).text["Comment"], "no machine made it"
    assert panel.message.value == panel.trouble.value == ""
    panel.gallery[PHOTOGRAPH].click()
    panel.wait(60)
    assert [path.name for path in Path("uploads").iterdir()] == ["nasa-astronaut.png"]
    panel.words.language = "zh"
    assert "NASA，公有领域" in credits[0].value
    told = advice.Advice(ModelPanel(panel.state))
    told.wait(120)
    assert "The shipped model only knows drawn heads" in told.said.value
    assert "tpsmm-vox" in told.work.button.description


@pytest.mark.parametrize("lacks", ["the library", "its file"])
def test_where_the_photograph_is_not_one_card_says_so(lacks, tmp_path, monkeypatch):
    if lacks == "the library":
        monkeypatch.setitem(sys.modules, "skimage.data", None)
    else:
        monkeypatch.setattr("skimage.data.data_dir", str(tmp_path))
    panel = PicturePanel()
    panel.wait(60)
    assert panel.message.value == "", "nobody has asked for it"
    pictures = [widget for widget in inside(panel) if isinstance(widget, ipywidgets.Image)]
    assert [picture.layout.visibility for picture in pictures] == [None] * 4 + ["hidden"]
    panel.gallery[PHOTOGRAPH].click()
    panel.wait(60)
    assert panel.message.value.count('role="alert"') == 1
    assert "scikit-image" in panel.message.value
    assert "<details>" not in panel.message.value
    assert (panel.state.picture, Path("uploads").exists()) == ("", False)
    panel.gallery["picture.png"].click()
    assert panel.message.value == ""


def test_an_upload_is_kept_under_its_name():
    panel = PicturePanel()
    upload(panel, "我 的 🎤.png", sample("picture.png").read_bytes())
    assert panel.state.picture == str(Path("uploads") / "我 的 🎤.png")
    assert panel.view.layout.display is None
    assert panel.message.value == panel.trouble.value == ""


def test_on_colab_uploads_are_small_and_lie_in_the_drive(tmp_path, monkeypatch):
    assert "10 MB" in PicturePanel().upload.description
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    (drive := tmp_path / "mounts" / "content" / "drive" / "MyDrive").mkdir(parents=True)
    panel = PicturePanel()
    assert "1 MB" in panel.upload.description
    upload(panel, "x.png", sample("picture.png").read_bytes())
    assert Path(panel.state.picture).samefile(drive / "living-pictures" / "uploads" / "x.png")
    panel.work.button.click()
    panel.wait(60)
    assert Path(panel.state.picture).parent == drive / "living-pictures" / "results" / "characters"


def test_an_empty_file_is_a_card_and_not_kept(state):
    panel, before = PicturePanel(state), state.picture
    upload(panel, "x.png", b"")
    assert 'role="alert"' in panel.message.value
    assert "x.png is empty." in panel.message.value
    assert state.picture == before
    assert not Path("uploads").exists()


def test_a_full_disk_is_a_card_and_nothing_is_kept(state, monkeypatch):
    panel, before = PicturePanel(state), state.picture
    monkeypatch.setattr("toolkit.ui.receive.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    upload(panel, "x.png", sample("picture.png").read_bytes())
    assert "There is no room for x.png" in panel.message.value
    assert state.picture == before
    assert list(Path("uploads").iterdir()) == []


def test_a_file_that_is_no_picture_is_a_card():
    panel = PicturePanel()
    upload(panel, "../x.png", b"no picture at all")
    assert panel.state.picture == str(Path("uploads") / "x.png"), "in its folder, whatever it is called"
    assert 'role="alert"' in panel.trouble.value
    panel.gallery["picture.png"].click()
    panel.wait(60)
    assert panel.trouble.value == ""


def test_a_character_is_drawn_from_its_number():
    panel = PicturePanel()
    panel.seed.value, panel.style_of.value = 7, "anime"
    panel.work.button.click()
    panel.wait(120)
    drawn = Image.open(panel.state.picture)
    assert (Path(panel.state.picture).name, drawn.size, drawn.mode) == ("anime-7.png", (512, 512), "RGBA")
    assert np.asarray(drawn)[..., 3].min() == 0, "cut out"


def test_a_singer_is_drawn_from_its_number(monkeypatch):
    monkeypatch.setattr("toolkit.ui.clip.DRAWN_SECONDS", 0.4)
    panel = ClipPanel()
    panel.work.button.click()
    panel.wait(120)
    made = Clip.open(panel.state.driving)
    assert (made.frames, made.size, made.has_sound) == (10, (256, 256), True)


def test_the_handles_trim_and_follow(state, clip):
    panel = ClipPanel(state)
    panel.wait(60)
    assert panel.part.value == (0, 0.2)
    assert panel.part.max == pytest.approx(1, abs=0.05)
    assert Image.open(io.BytesIO(panel.strip.value)).size == (8 * 72, 72)
    panel.part.value = (0.2, 0.6)
    assert (state.begin, state.end) == (0.2, 0.6)
    panel.part.value = (0.4, panel.part.max)
    assert (state.begin, state.end) == (0.4, None), "the end is the clip's own"
    state.take({"begin": 5.0, "end": 6.0})
    assert (state.begin, state.end) == (0, None), "a part that this clip has not"


def test_a_strip_of_a_long_clip_is_looked_up_frame_by_frame(state, monkeypatch):
    panel = ClipPanel(state)
    panel.wait(60)
    read = panel.strip.value
    monkeypatch.setattr("toolkit.ui.clip.LONG", 0)
    other = ClipPanel(state)
    other.wait(60)
    one, two = (np.asarray(Image.open(io.BytesIO(strip))).astype(float) for strip in (read, other.strip.value))
    assert one.shape == two.shape
    assert np.abs(one - two).mean() < 6, "the same frames, but for a tick"


def test_what_fails_in_the_background_does_not_end_it():
    later, done = Later(), []
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        later(lambda: 1 / 0)
        later.wait(60)
        later(lambda: done.append(1))
        later.wait(60)
    finally:
        threading.excepthook = hook
    assert done == [1]


def test_what_is_asked_for_while_something_fails_is_done(monkeypatch):
    later, begun, go_on, done, told = Later(), threading.Event(), threading.Event(), [], []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    def fails():
        begun.set()
        go_on.wait(60)
        raise RuntimeError

    later(fails)
    assert begun.wait(60)
    later(lambda: done.append(1))
    go_on.set()
    later.wait(60)
    assert (done, told) == ([1], [RuntimeError])


# -- crop, model, advice ---------------------------------------------------------------------------------------------


def test_a_box_by_hand(state):
    panel = CropPanel(state)
    panel.wait(60)
    assert "not been looked for" in panel.picture.said.value
    panel.picture.kind.value = "hand"
    assert state.crop_picture == (0, 0, 512, 512)
    panel.wait(60)
    panel.picture.side.value = 50
    panel.picture.x.value = 25
    assert state.crop_picture == (0, 128, 256, 256)
    panel.wait(60)
    assert "256 x 256 pixels from (0, 128)" in panel.picture.said.value
    panel.picture.kind.value = "none"
    assert state.crop_picture is None
    state.crop_clip = (10, 10, 64, 64)
    panel.wait(60)
    assert panel.clip.kind.value == "hand"


def test_every_model_is_listed_with_size_and_licence():
    panel = ModelPanel()
    assert "mini-fomm" in panel.names
    assert "drawn heads" in panel.about.value
    panel.list.value = "tpsmm-vox"
    assert "MB" in panel.about.value
    assert "Licence of the code" in panel.about.value
    panel.state.model = "fomm-vox"
    assert panel.list.value == "fomm-vox"
    assert any("MB" in label for label, name in panel.list.options if name == "fomm-vox")


def test_fetching_tells_how_far_it_is_and_chooses_the_model(monkeypatch):
    seen = []

    def fetch(name, progress):
        progress("vox.pth.tar", 30_000_000, 60_000_000)
        seen.append(panel.work.bar.value)

    panel = ModelPanel()
    monkeypatch.setattr(model.zoo, "fetch", fetch)
    panel.fetch("tpsmm-vox")
    panel.wait(60)
    assert seen == [50]
    assert panel.state.model == "tpsmm-vox"

    def refuses(name, progress):
        raise errors.FetchError("No mirror answers.", "Put it there yourself.")

    monkeypatch.setattr(model.zoo, "fetch", refuses)
    panel.work.button.click()
    panel.wait(60)
    assert "Put it there yourself." in panel.work.message.value
    assert not panel.work.button.disabled


def test_a_photograph_is_told_before_animate_and_the_way_out_is_one_click(tmp_path, monkeypatch):
    from skimage.data import astronaut

    Image.fromarray(astronaut()[:300, 60:360]).save(tmp_path / "friend.png")
    panel = ModelPanel(State(picture=str(sample("picture.png"))))
    told = advice.Advice(panel)
    told.wait(120)
    assert told.said.value == ""
    panel.state.picture = "friend.png"
    told.wait(120)
    assert "only knows drawn heads" in told.said.value
    assert "Licence" in told.said.value
    assert "tpsmm-vox" in told.work.button.description
    assert "MB" in told.work.button.description
    monkeypatch.setattr(model.zoo, "fetch", lambda name, progress: None)
    told.work.button.click()
    told.wait(120)
    assert panel.state.model == "tpsmm-vox"


# -- the result ------------------------------------------------------------------------------------------------------


def test_the_preview_shows_one_frame_and_follows_the_settings(state):
    panel = MotionPanel(state)
    panel.at.value = 0.12
    panel.work.button.click()
    panel.wait(200)
    assert panel.work.message.value.endswith("picture, clip, result at 0.12 s</div>")
    first = panel.image.value
    assert Image.open(io.BytesIO(first)).size == (768, 256)
    state.strength = 0.0
    panel.wait(200)
    assert panel.image.value != first


def test_the_slider_of_the_preview_is_as_long_as_the_clip(state, clip):
    state.end = None
    panel = MotionPanel(state)
    panel.wait(60)
    assert panel.at.max == pytest.approx(0.96), "its last frame"
    state.begin = 0.4
    assert (panel.at.min, panel.at.value) == (0.4, 0.4)
    state.driving = str(sample("driving.mp4"))
    panel.wait(60)
    assert panel.at.max == pytest.approx(9.96)
    state.end = 2.0
    assert panel.at.max == pytest.approx(1.96)
    state.take({"driving": "nobody.mp4", "end": None})
    panel.wait(60)
    assert panel.at.max == pytest.approx(10.4)


def test_beyond_a_minute_there_is_a_preview_too(monkeypatch, state):
    long = Clip(Path(state.driving), Fraction(25), 25 * 200, (128, 128))
    monkeypatch.setattr("toolkit.ui.motion.Clip.open", lambda path: long)
    state.end = None
    panel = MotionPanel(state)
    panel.wait(60)
    assert panel.at.max == pytest.approx(199.96)


class Looks:
    """In place of `Look`: a frame at once; `meanwhile` is called while the clip is read for it."""

    def __init__(self, meanwhile=lambda: None):
        self.meanwhile, self.times, self.ended = meanwhile, [], 0

    def frame(self, seconds, report):
        self.times.append(seconds)
        report("reading the motion", 1, 2)
        self.meanwhile()
        report("reading the motion", 2, 2)
        self.ended += 1
        return [np.zeros((8, 8, 3), np.uint8)] * 3


@pytest.mark.parametrize(
    "changes",
    [{"picture": "other.png"}, {"model": "mini-mraa"}, {"crop_picture": None}, {"begin": 0.04}, {"driving": "x.mp4"}],
)
def test_a_preview_of_what_was_chosen_before_is_taken_away(state, changes):
    panel = MotionPanel(state, look=(looks := Looks()))
    panel.preview()
    panel.wait(60)
    assert panel.image.layout.display is None
    state.take(changes)
    panel.wait(60)
    assert panel.image.layout.display == "none"
    assert "was of other settings" in panel.work.message.value
    assert len(looks.times) == 1, "what may take long is not begun by itself"
    panel.preview()
    panel.wait(60)
    assert panel.image.layout.display is None
    assert "picture, clip, result" in panel.work.message.value


def test_an_error_goes_with_its_cause(state):
    crop, motion = CropPanel(state), MotionPanel(state)
    state.picture, right = "nobody.png", state.picture
    for panel, begin in ((crop, crop.work.button.click), (motion, motion.preview)):
        begin()
        panel.wait(60)
        assert "nobody.png" in panel.work.message.value
    state.picture = right
    assert crop.work.message.value == motion.work.message.value == ""
    crop.words.language = "zh"
    assert crop.work.message.value == ""


def test_a_preview_that_is_overtaken_is_not_shown(state):
    left = ["one.png"]
    looks = Looks(lambda: setattr(state, "picture", left.pop()) if left else None)
    panel = MotionPanel(state, look=looks)
    panel.live.value = False
    panel.preview()
    panel.wait(60)
    assert panel.image.layout.display == "none"
    assert "was of other settings" in panel.work.message.value
    assert looks.ended == 0, "reading for it does not go on"
    left.append("two.png")
    panel.live.value = True
    panel.preview()
    panel.wait(60)
    assert len(looks.times) == 2, "what may take long is not begun by itself"
    panel.preview()
    panel.wait(60)
    assert panel.image.layout.display is None
    panel.live.value = False
    state.strength = 1.5
    assert panel.image.layout.display is None, "it is kept, as nobody asked for another"
    assert "was of other settings" in panel.work.message.value
    state.strength = 1.0
    assert "picture, clip, result" in panel.work.message.value


def test_a_picture_that_changes_under_its_name_is_seen(state, tmp_path):
    state.picture = str(tmp_path / "me.png")
    shutil.copy(sample("picture.png"), state.picture)
    look, said = Look(state, words.Words("en")), []
    first = look.track(lambda *report: said.append(report[0]))
    assert look.track(lambda *_: None) is first
    shutil.copy(sample("group.png"), state.picture)
    assert look.of != look.framing()
    read = said.count("reading the motion")
    second = look.track(lambda *report: said.append(report[0]))
    assert second is not first
    assert np.abs(second.still.astype(int) - first.still).mean() > 5
    assert said.count("reading the motion") == read, "the clip was read once"


def test_animate_makes_what_is_chosen_and_its_settings_make_it_again(state):
    panel = ResultPanel(state)
    state.take({"size": 384, "strength": 1.3, "crop_picture": (0, 0, 400, 400)})
    panel.button.click()
    made = panel.wait(200)
    assert (made.frames, made.size, made.has_sound) == (5, (384, 1152), True)
    assert made.report["crop"]["picture"] == [0, 0, 400, 400]
    assert "<video" in panel.screen.value
    assert 'download="' in panel.screen.value
    assert str(made.path) in panel.screen.value
    assert panel.settings == made.path.with_suffix(".json")
    assert json.loads(panel.settings.read_text())["settings"]["strength"] == 1.3

    other = ResultPanel()
    other.file.value = str(panel.settings)
    other.again.click()
    assert other.state == state
    assert "are taken" in other.message.value


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (None, "right-click it in the file list"),
        ("content", "files.download(&#x27;results/long.mp4&#x27;)"),
        ("kaggle/working", "under Output"),
    ],
)
def test_how_a_large_result_is_taken_home_is_said(folder, said, state, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    for name in ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    if folder:
        (tmp_path / "mounts" / folder).mkdir(parents=True)
    if folder == "content":
        monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    Path("results").mkdir()
    shutil.copy(clip, "results/long.mp4")
    monkeypatch.setattr("toolkit.ui.result.LINKED", 1000)
    monkeypatch.setattr("toolkit.ui.result.animate", lambda **_: Clip.open("results/long.mp4", {"notes": []}))
    panel = ResultPanel(state)
    panel.start()
    panel.wait(60)
    assert "download=" not in panel.screen.value
    assert "The result is results/long.mp4 (0 MB)." in panel.screen.value
    assert said in panel.screen.value
    panel.words.language = "zh"
    assert "下载方法" in panel.screen.value


def test_a_switch_of_the_language_makes_no_preview_anew(state, clip, monkeypatch):
    made, small = [], Clip._small
    monkeypatch.setattr(Clip, "_small", lambda self: made.append(self.path) or small(self))
    monkeypatch.setattr("toolkit.clip.EMBEDDED", 1000)
    monkeypatch.setattr("toolkit.ui.result.animate", lambda **_: Clip.open("long.mp4", {"notes": []}))
    shutil.copy(clip, "long.mp4")
    panel = ResultPanel(state)
    panel.start()
    panel.wait(60)
    assert "A small preview" in panel.screen.value
    panel.words.language = "zh"
    assert CHINESE.search(panel.screen.value)
    panel.words.language = "en"
    assert len(made) == 1
    shutil.copy(sample("driving.mp4"), "long.mp4")
    panel.words.language = "zh"
    assert len(made) == 2, "another file under that name"


def test_a_mistake_is_a_card_nothing_is_lost_and_the_next_press_works(state):
    panel = ResultPanel(state)
    state.take({"picture": "nobody.png", "strength": 1.7})
    panel.button.click()
    assert panel.wait(200) is None
    assert "There is no file nobody.png." in panel.work.message.value
    assert (state.picture, state.strength, panel.button.disabled) == ("nobody.png", 1.7, False)
    panel.words.language = "zh"
    assert CHINESE.search(panel.work.message.value), "the card speaks the other language too"
    panel.words.language = "en"
    state.picture = ""
    panel.button.click()
    panel.wait(200)
    assert "No picture is named." in panel.work.message.value
    panel.file.value = "nobody.json"
    panel.again.click()
    assert "There is no file nobody.json." in panel.message.value
    shutil.copy(sample("picture.png"), "nobody.png")
    state.picture = "nobody.png"
    panel.button.click()
    assert panel.wait(200) is not None
    assert "alert" not in panel.work.message.value


def test_cancel_ends_the_run_and_leaves_no_file(state, tmp_path):
    state.end = None
    panel = ResultPanel(state)
    panel.work.stage.observe(lambda change: panel.stop.click() if "animating" in change["new"] else None, "value")
    panel.button.click()
    assert panel.wait(200) is None
    assert "Stopped" in panel.work.message.value
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["studio.json"], "what was chosen, no more"


def test_the_studio_joins_its_panels_and_needs_no_torch_to_appear():
    code = """if True:
        import sys
        from toolkit.ui import Studio
        studio = Studio(strength=1.2)
        for panel in (studio.picture, studio.driving, studio.crop, studio.advice):
            panel.wait(60)
        print(studio.motion.strength.value, studio.driving.part.value, "torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "1.2 (0.0, 2.0) False"

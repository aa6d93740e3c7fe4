"""The studio when things go wrong: Cancel at every stage, two clicks, a full disk, a kernel that is restarted."""

import errno
import hashlib
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.bad_server import Server
from toolkit import Clip, sample
from toolkit.media import writer
from toolkit.paths import shipped
from toolkit.ui import State, Studio, model
from toolkit.ui.animate import AnimatePanel
from toolkit.ui.clip import ClipPanel
from toolkit.ui.crop import CropPanel
from toolkit.ui.look import Look
from toolkit.ui.model import ModelPanel
from toolkit.ui.motion import MotionPanel
from toolkit.ui.picture import PicturePanel
from toolkit.ui.result import LAST, ResultPanel
from toolkit.ui.words import Words
from toolkit.ui.work import DOWNLOADS, MODELS, Work
from toolkit.zoo import catalogue, transfer

ROOT = Path(__file__).resolve().parent.parent
STOPPED = "Stopped. There is no new result."


@pytest.fixture(scope="module")
def clip(tmp_path_factory, ffmpeg):
    """A second of the sample that crosses a larger picture, so that the face is looked for and followed."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    ground = ("-f", "lavfi", "-i", "color=gray:s=640x160:r=25:d=1")
    crossing = "[1]scale=128:128[head];[0][head]overlay=x=1000*t:y=16:shortest=1[out]"
    ffmpeg(*ground, "-i", sample("driving.mp4"), "-filter_complex", crossing, "-map", "[out]", "-map", "1:a", path)
    return path


@pytest.fixture
def state(clip):
    return State(picture=str(sample("picture.png")), driving=str(clip), end=0.4)


def results():
    folder = Path("results")
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def stop_at(work, stage):
    """Press Stop (once) when that is said."""
    pressed = []

    def press(change):
        if re.search(stage, change["new"]) and not pressed:
            pressed.append(change["new"])
            work.stop.click()

    work.stage.observe(press, "value")
    return pressed


# -- Cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["getting ready", "following the face", "reading the motion", "animating: 0", "9"])
def test_cancel_at_every_stage_of_a_run(state, stage):
    panel = ResultPanel(state)
    pressed = stop_at(panel.work, stage)
    panel.button.click()
    assert panel.wait(300) is None
    assert pressed, "it came so far"
    assert STOPPED in panel.work.message.value
    assert (panel.button.disabled, panel.stop.disabled, panel.work.stage.value) == (False, True, "")
    assert set(results()) <= {LAST.name}, "nothing half-written"


def test_after_a_cancel_the_next_run_is_whole(state):
    panel = ResultPanel(state)
    pressed = stop_at(panel.work, "animating")
    panel.button.click()
    panel.wait(300)
    panel.button.click()
    made = panel.wait(300)
    assert len(pressed) == 1
    assert (made.frames, made.has_sound) == (10, True)
    assert panel.work.message.value.count(STOPPED) == 0


def test_a_press_on_cancel_is_answered_at_once(state, monkeypatch):
    panel = ResultPanel(state)
    seen = []

    def animate(*_, progress, **__):
        progress("animating", 1, 10)
        panel.stop.click()
        seen.append(panel.work.stage.value)
        progress("animating", 2, 10)

    monkeypatch.setattr("toolkit.ui.result.animate", animate)
    panel.button.click()
    panel.wait(60)
    assert seen == ["stopping …"]
    assert STOPPED in panel.work.message.value


@pytest.mark.parametrize("kind", [MotionPanel, CropPanel])
def test_cancel_ends_a_look(state, kind):
    panel = kind(state)
    pressed = stop_at(panel.work, "following the face|reading the motion")
    panel.work.button.click()
    panel.wait(300)
    assert pressed
    assert STOPPED in panel.work.message.value
    panel.work.button.click()
    panel.wait(300)
    assert STOPPED not in panel.work.message.value
    assert "alert" not in panel.work.message.value


def test_where_the_clip_is_cut_is_found_without_reading_its_motion(state):
    look, said, told = Look(state, Words("en")), [], []
    look.watch(lambda: told.append(look.boxes))
    look.find(lambda *report: said.append(report[0]))
    assert "following the face" in said and "reading the motion" not in said
    assert look.of == look.framing() and len(told) == 1
    look.find(lambda *report: said.append("again"))
    assert "again" not in said and len(told) == 2
    found, count = look.boxes, said.count("following the face")
    look.track(lambda *report: said.append(report[0]))
    assert look.boxes == found
    assert said.count("following the face") == count, "what was found once is not looked for again"
    assert "reading the motion" in said


def test_cancel_ends_a_singer_who_is_drawn(monkeypatch):
    monkeypatch.setattr("toolkit.ui.clip.DRAWN_SECONDS", 0.4)
    panel = ClipPanel()
    pressed = stop_at(panel.work, "drawing: 0 %")
    panel.work.button.click()
    panel.wait(120)
    assert pressed
    assert STOPPED in panel.work.message.value
    assert panel.state.driving == ""
    assert results() == []


# -- downloads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def zoo_of_one(tmp_path, monkeypatch):
    """A function: a zoo with this entry in this group, at a server that behaves so; gives the server and the final
    path.
    """
    for name, place in {"WEIGHTS": "weights", "MOUNTS": "mounts"}.items():
        monkeypatch.setenv(f"TOOLKIT_{name}", str(tmp_path / place))
    monkeypatch.delenv("TOOLKIT_MIRROR", raising=False)
    with Server() as server:

        def at(way, entry, file, content):
            server.files[file] = content
            path = tmp_path / "own.toml"
            path.write_text(
                f'[{entry}]\nfor = "tests"\ncode = "MIT"\nweights = "MIT"\n'
                f'files = [{{ name = "{file}", size = {len(content)}, '
                f'sha256 = "{hashlib.sha256(content).hexdigest()}" }}]\n'
                f'mirrors = [{{ https = "{server.url}/{way}/{{file}}" }}]\n'
            )
            monkeypatch.setenv("TOOLKIT_ZOO", str(path))
            catalogue._read.cache_clear()
            return server, tmp_path / "weights" / entry.removeprefix("helper.").replace(".", "-") / file

        yield at
    catalogue._read.cache_clear()


@pytest.fixture
def thing(zoo_of_one):
    """A function: a zoo with one entry, "thing", at a server that behaves so; gives the server and the final path."""
    buffer = io.BytesIO()
    torch.save({"layer.weight": torch.rand(200_000)}, buffer)
    return lambda way: zoo_of_one(way, "helper.thing", "thing.pth", buffer.getvalue())


@pytest.fixture
def far(zoo_of_one, monkeypatch):
    """The same of a model that can be used, "fomm-far": the one that ships."""
    monkeypatch.setattr("toolkit.track._loaded", {})
    content = shipped("checkpoints/mini/fomm.safetensors").read_bytes()
    return lambda way: zoo_of_one(way, "fomm.far", "far.safetensors", content)


def test_cancel_ends_a_download_and_the_next_press_goes_on_where_it_stopped(thing):
    server, final = thing("trickle")
    panel = ModelPanel(State(model="mini-fomm"))
    pressed = stop_at(panel.work, r"thing\.pth.*: [1-9]\d %")
    panel.fetch("thing")
    panel.wait(60)
    assert pressed
    assert STOPPED in panel.work.message.value
    assert panel.state.model == "mini-fomm", "what is not here is not chosen"
    assert not final.exists()
    (part,) = final.parent.glob("*.part")
    had = part.stat().st_size
    assert had > 0

    panel.fetch("thing")
    panel.wait(60)
    assert "thing is here now." in panel.work.message.value
    assert panel.state.model == "thing"
    assert final.read_bytes() == server.files["thing.pth"]
    assert server.asked[-1][1]["Range"] == f"bytes={had}-"


def test_a_second_click_while_it_is_fetched_asks_nobody(thing):
    server, final = thing("trickle")
    panel = ModelPanel()
    panel.fetch("thing")
    panel.fetch("thing")
    panel.work.button.click()
    panel.wait(60)
    assert final.is_file()
    assert len(server.asked) == 1


def test_a_disk_that_is_full_while_it_is_fetched(thing, monkeypatch):
    _, final = thing("good")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    panel = ModelPanel(State(model="mini-fomm"))
    monkeypatch.setattr(transfer, "_chunk", full)
    panel.fetch("thing")
    panel.wait(60)
    assert "No space left" in panel.work.message.value
    assert "Make room" in panel.work.message.value
    assert panel.state.model == "mini-fomm"
    assert not final.exists()
    monkeypatch.undo()
    assert not panel.work.button.disabled


# -- a model that is not here yet ------------------------------------------------------------------------------------

FAR = r"far\.safetensors .*: [1-9]\d? %"  # what is said while it comes


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(params=[ResultPanel, MotionPanel, CropPanel, AnimatePanel])
def panel_and_button(request, state):
    """Each panel whose button loads a model, with "fomm-far" chosen."""
    state.model = "fomm-far"
    if request.param is AnimatePanel:
        panel = AnimatePanel(state.picture, state.driving, model=state.model, seconds=state.end)
    else:
        panel = request.param(state)
    return panel, panel.work.button


def test_a_model_that_is_not_here_is_fetched_and_the_work_goes_on(panel_and_button, far, monkeypatch):
    server, final = far("good")
    panel, button = panel_and_button
    read = transfer._chunk
    monkeypatch.setattr(transfer, "_chunk", lambda *arguments: time.sleep(0.05) or read(*arguments))
    said = []
    panel.work.stage.observe(lambda change: said.append((change["new"], panel.work.bar.value)), "value")
    button.click()
    panel.wait(300)
    assert "alert" not in panel.work.message.value
    assert final.read_bytes() == server.files["far.safetensors"]
    told = [text for text, _ in said]
    fetched = [number for number, text in enumerate(told) if re.search(FAR, text)]
    assert re.search(r"\d\.\d MB a second, \d+ s left", " ".join(told[number] for number in fetched))
    assert any(value > 50 for _, value in (said[number] for number in fetched)), "in the bar, too"
    assert any(re.search("the face|the motion", text) for text in told[max(fetched) :]), "then what was asked for"
    if isinstance(panel, (ResultPanel, AnimatePanel)):
        assert panel.clip.frames == 10
    assert len(server.asked) == 1
    button.click()
    panel.wait(300)
    assert len(server.asked) == 1, "now it is here"


def test_cancel_ends_the_download_and_the_next_press_goes_on_where_it_stopped(panel_and_button, far):
    server, final = far("trickle")
    panel, button = panel_and_button
    pressed = stop_at(panel.work, FAR)
    button.click()
    panel.wait(60)
    assert pressed
    assert STOPPED in panel.work.message.value
    assert not final.exists()
    assert [name for name in results() if name != LAST.name] == []
    (part,) = final.parent.glob("*.part")
    had = part.stat().st_size
    assert 0 < had < len(server.files["far.safetensors"]), "it did not wait for all of it"
    assert not MODELS.lock.locked() and not DOWNLOADS.lock.locked()
    button.click()
    panel.wait(300)
    assert "alert" not in panel.work.message.value and STOPPED not in panel.work.message.value
    assert server.asked[-1][1]["Range"] == f"bytes={had}-"
    assert final.is_file()


def test_what_goes_on_later_is_not_taken_for_slow(monkeypatch):
    """A download that is taken up again: the time since it was stopped does not count."""
    work, now, said = Work(Words("en"), "fetch", fetching=True), [0.0], []
    monkeypatch.setattr("toolkit.ui.work.time.monotonic", lambda: now[0])
    work.stage.observe(lambda change: said.append(change["new"]), "value")

    def from_to(begin, end):
        def fetching(report):
            report("x.pth", begin, 30_000_000)
            now[0] += 1
            report("x.pth", end, 30_000_000)

        work.begin(fetching)
        work.wait(60)

    from_to(0, 10_000_000)
    now[0] += 1000
    from_to(10_000_000, 20_000_000)
    assert [text for text in said if "MB" in text] == [
        "x.pth: 33 %, 10.0 MB a second, 2 s left",
        "x.pth: 66 %, 10.0 MB a second, 1 s left",
    ]


def test_while_a_model_comes_others_work(state, far):
    server, _ = far("stall")
    panel, other = ResultPanel(State(**state.settings() | {"model": "fomm-far"})), CropPanel(state)
    panel.button.click()
    wait_until(lambda: re.search(FAR, panel.work.stage.value))
    other.work.button.click()
    other.wait(300)
    assert other.seen.of == other.seen.framing()
    assert re.search(FAR, panel.work.stage.value), "it is still under way"
    models = ModelPanel(State(model="fomm-far"))
    models.work.button.click()
    wait_until(lambda: models.work.before.layout.display is None)
    assert re.search(FAR, models.work.stage.value), "another download waits, and shows how far it is"
    models.work.stop.click()
    models.wait(60)
    panel.work.stop.click()
    server.quiet.set()
    panel.wait(60)
    assert STOPPED in panel.work.message.value
    assert not MODELS.lock.locked() and not DOWNLOADS.lock.locked()


def test_cancel_ends_the_waiting_after_a_download(state, far, monkeypatch):
    """Somebody else has begun to use a model meanwhile."""
    _, final = far("good")
    state.model = "fomm-far"
    panel = ResultPanel(state)
    fetch = model.zoo.fetch

    def fetched(*arguments, **more):
        MODELS.lock.acquire()
        return fetch(*arguments, **more)

    monkeypatch.setattr(model.zoo, "fetch", fetched)
    panel.button.click()
    wait_until(lambda: "waiting for the run" in panel.work.stage.value)
    assert final.is_file()
    panel.stop.click()
    panel.wait(60)
    assert STOPPED in panel.work.message.value
    assert MODELS.lock.locked(), "it is the other's turn"
    MODELS.lock.release()


def test_a_download_that_fails_is_a_card_and_the_next_press_works(panel_and_button, far):
    far("404")
    panel, button = panel_and_button
    button.click()
    panel.wait(60)
    assert 'role="alert"' in panel.work.message.value
    assert "the file is not there (404)" in panel.work.message.value
    assert not MODELS.lock.locked()
    far("good")
    button.click()
    panel.wait(300)
    assert "alert" not in panel.work.message.value


@pytest.mark.parametrize("wrong", [{"picture": "nobody.png"}, {"driving": ""}, {"crop_picture": (900, 900, 50, 50)}])
@pytest.mark.parametrize("kind", [ResultPanel, MotionPanel, CropPanel])
def test_what_is_wrong_is_said_before_a_download(kind, wrong, state, far):
    server, _ = far("good")
    state.take({"model": "fomm-far", **wrong})
    panel = kind(state)
    panel.work.button.click()
    panel.wait(60)
    assert 'role="alert"' in panel.work.message.value
    assert "<details>" not in panel.work.message.value
    assert server.asked == []


def test_a_model_that_was_converted_needs_its_published_file_no_more(state, far, monkeypatch):
    server, final = far("good")
    state.model = "fomm-far"
    panel = CropPanel(state)
    panel.work.button.click()
    panel.wait(300)
    final.unlink()
    monkeypatch.setattr("toolkit.track._loaded", {})
    panel.work.button.click()
    panel.wait(300)
    assert "alert" not in panel.work.message.value
    assert len(server.asked) == 1


def test_a_preview_that_is_overtaken_ends_its_download(state, far):
    server, final = far("trickle")
    state.model = "fomm-far"
    panel = MotionPanel(state)
    chosen = []

    def choose(change):
        if re.search(FAR, change["new"]) and not chosen:
            chosen.append(setattr(state, "model", "mini-fomm"))

    panel.work.stage.observe(choose, "value")
    panel.preview()
    panel.wait(60)
    assert chosen
    assert "was of other settings" in panel.work.message.value
    assert not final.exists()
    assert not MODELS.lock.locked() and not DOWNLOADS.lock.locked()


@pytest.mark.parametrize("kind", [ResultPanel, MotionPanel, CropPanel])
def test_the_panel_of_the_model_hears_that_it_came(kind, state, far):
    far("good")
    state.model = "fomm-far"
    models, panel = ModelPanel(state), kind(state)
    assert "It is not here yet." in models.about.value
    panel.work.button.click()
    panel.wait(300)
    assert "It is here." in models.about.value


# -- files by their address ------------------------------------------------------------------------------------------


@pytest.fixture
def site(monkeypatch):
    """A server with a picture, a clip and a text."""
    monkeypatch.setattr("toolkit.zoo.download.PAUSES", (0.01, 0.01))
    with Server() as server:
        server.files |= {"me.png": sample("picture.png").read_bytes(), "a.txt": b"nothing to see"}
        yield server


def given(panel, address):
    panel.path.value = address
    panel.wait(60)


def test_a_picture_is_fetched_from_its_address(site):
    panel = PicturePanel()
    given(panel, f' "{site.url}/hop/me.png?size=large#top" ')
    assert panel.state.picture == panel.path.value == str(Path("uploads") / "me.png")
    assert Path(panel.state.picture).read_bytes() == site.files["me.png"]
    assert "is here" in panel.fetching.message.value
    assert "512 x 512" in panel.view.children[1].value
    assert panel.fetching.button.layout.display == "none"
    assert panel.message.value == panel.trouble.value == ""
    given(panel, f"{site.url}/good/me.png")
    assert panel.state.picture == str(Path("uploads") / "me-2.png"), "what is there stays"
    assert sorted(path.name for path in Path("uploads").iterdir()) == ["me-2.png", "me.png"]
    panel.gallery["anime.png"].click()
    panel.wait(60)
    assert panel.fetching.message.value == ""


def test_a_clip_is_fetched_from_its_address(site, clip):
    panel = ClipPanel()
    site.files["%E6%88%91%E7%9A%84%20%E6%AD%8C.mp4"] = clip.read_bytes()
    given(panel, f"{site.url}/cut-1/我的 歌.mp4")
    assert panel.state.driving == str(Path("uploads") / "我的 歌.mp4")
    assert Path(panel.state.driving).read_bytes() == clip.read_bytes(), "it broke off once"
    assert site.asked[-1][1]["Range"].startswith("bytes=")
    assert "640 x 160" in panel.said.value


def test_an_address_may_come_from_python(site):
    panel = PicturePanel(State(picture=f"{site.url}/good/me.png"))
    panel.wait(60)
    panel.wait(60)
    assert panel.state.picture == str(Path("uploads") / "me.png")
    assert panel.trouble.value == ""


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("page/me.png", "page/me.png is a web page, not a picture."),
        ("good/a.txt", "good/a.txt"),
        ("404/me.png", "the file is not there (404)"),
        ("good/none.png", "the file is not there (404)"),
        ("503/me.png", "it has trouble (503)"),
        ("cut-always/me.png", "it broke off"),
    ],
)
def test_what_is_no_picture_there_is_a_card_and_leaves_nothing(site, where, said):
    panel = PicturePanel(State(picture=str(sample("anime.png"))))
    address = f"{site.url}/{where}"
    given(panel, address)
    assert 'role="alert"' in panel.fetching.message.value
    assert said in panel.fetching.message.value
    assert "<details>" not in panel.fetching.message.value
    assert ".part" not in panel.fetching.message.value, "not by its hidden name"
    panel.words.language = "zh"
    assert re.search("[\u4e00-\u9fff]", panel.fetching.message.value)
    assert panel.state.picture == str(sample("anime.png"))
    assert panel.path.value == address, "to be mended"
    assert list(Path("uploads").iterdir()) == []
    site.files |= {name: sample("picture.png").read_bytes() for name in ("a.txt", "none.png")}
    if where.startswith("good"):  # the same address once more, by the button
        assert panel.fetching.button.layout.display is None
        panel.fetching.button.click()
        panel.wait(60)
        assert panel.state.picture.startswith("uploads")


def test_a_sound_is_no_clip(site, ffmpeg, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", tmp_path / "song.wav")
    site.files["song.wav"] = (tmp_path / "song.wav").read_bytes()
    panel = ClipPanel()
    given(panel, f"{site.url}/good/song.wav")
    assert 'role="alert"' in panel.fetching.message.value
    assert panel.state.driving == ""
    assert list(Path("uploads").iterdir()) == []


@pytest.mark.parametrize("way", ["good", "no-length"])
def test_what_is_too_large_is_not_fetched(site, way, monkeypatch):
    monkeypatch.setattr("toolkit.ui.address.LIMIT", 1_000_000)
    site.files["large.png"] = bytes(1_500_000)
    panel = PicturePanel()
    given(panel, f"{site.url}/{way}/large.png")
    assert "larger than 1 MB" in panel.fetching.message.value
    assert panel.state.picture == ""
    assert list(Path("uploads").iterdir()) == []


def test_no_room_for_what_is_fetched(site, monkeypatch):
    monkeypatch.setattr("toolkit.ui.address.MARGIN", 10**18)
    panel = PicturePanel()
    given(panel, f"{site.url}/good/me.png")
    assert "There is no room for me.png" in panel.fetching.message.value
    assert list(Path("uploads").iterdir()) == []


def test_cancel_ends_what_is_fetched(site):
    panel = PicturePanel()
    pressed = stop_at(panel.fetching, r"me\.png: [1-9]\d %")
    given(panel, f"{site.url}/trickle/me.png")
    assert pressed
    assert STOPPED in panel.fetching.message.value
    assert panel.state.picture == ""
    assert list(Path("uploads").iterdir()) == []


def test_who_chooses_another_file_meanwhile_keeps_it(site):
    panel = PicturePanel()
    panel.path.value = f"{site.url}/trickle/me.png"
    panel.gallery["anime.png"].click()
    panel.wait(60)
    assert Path(panel.state.picture).samefile(sample("anime.png"))
    assert "is here" in panel.fetching.message.value


@pytest.mark.parametrize("address", ["http://[::1/x.png", "http://", "https://user@/x.png"])
def test_an_address_that_is_none(address):
    panel = PicturePanel()
    given(panel, address)
    assert 'role="alert"' in panel.fetching.message.value
    assert "<details>" not in panel.fetching.message.value


# -- what nobody has words for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reader", "field", "name"),
    [
        (PicturePanel, "toolkit.ui.picture.media.read_picture", "picture", "picture.png"),
        (ClipPanel, "toolkit.ui.clip.Clip.open", "driving", "driving.mp4"),
    ],
)
def test_a_look_that_fails_unexpectedly_is_a_card(kind, reader, field, name, monkeypatch):
    panel = kind(State())
    panel.wait(60)

    def breaks(*_, **__):
        raise RuntimeError("a <b>bad</b> day")

    with monkeypatch.context() as patch:
        patch.setattr(reader, breaks)
        setattr(panel.state, field, str(sample(name)))
        panel.wait(60)
    assert 'role="alert"' in panel.trouble.value
    assert "RuntimeError: a &lt;b&gt;bad&lt;/b&gt; day" in panel.trouble.value
    assert "<details>" in panel.trouble.value
    assert panel.view.layout.display == "none"
    panel.look()
    panel.wait(60)
    assert panel.trouble.value == ""
    assert panel.view.layout.display is None


def test_a_setting_that_somebody_cannot_bear_is_a_card():
    panel = MotionPanel()
    panel.state.watch(lambda: 1 / 0, "strength")
    panel.strength.value = 1.5
    assert "ZeroDivisionError" in panel.message.value
    assert "<details>" in panel.message.value


# -- two clicks, a full disk -----------------------------------------------------------------------------------------


def test_two_clicks_are_one_run(state):
    panel = ResultPanel(state)
    panel.button.click()
    panel.button.click()
    made = panel.wait(300)
    panel.stop.click()  # too late: nothing is under way
    assert results() == sorted([made.path.name, made.path.with_suffix(".json").name, LAST.name])


def test_two_clicks_draw_one_character():
    panel = PicturePanel()
    panel.work.button.click()
    panel.work.button.click()
    panel.gallery["anime.png"].click()
    panel.gallery["anime.png"].click()
    panel.wait(120)
    assert results() == ["cartoon-1.png"]
    assert panel.message.value == panel.trouble.value == ""


def test_a_full_disk_is_a_card_and_nothing_chosen_is_lost(state, monkeypatch):
    panel = ResultPanel(state)
    state.strength = 1.7
    replace = os.replace

    def full(source, target):
        if str(target).endswith(".mp4"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(writer.os, "replace", full)
        panel.button.click()
        assert panel.wait(300) is None
    assert 'role="alert"' in panel.work.message.value
    assert "No space left" in panel.work.message.value
    assert "Is the disk full?" in panel.work.message.value
    assert (state.strength, panel.button.disabled) == (1.7, False)
    assert results() == [LAST.name]
    panel.button.click()
    assert panel.wait(300) is not None


def test_settings_that_cannot_be_kept_do_not_cost_the_result(state, monkeypatch):
    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    panel = ResultPanel(state)
    monkeypatch.setattr(Path, "write_text", full)
    panel.button.click()
    made = panel.wait(300)
    assert made.path.is_file()
    assert results() == [made.path.name], "no empty .json either"
    assert panel.settings is None
    assert "could not be kept" in panel.work.message.value
    assert "<video" in panel.screen.value


# -- a kernel that is restarted --------------------------------------------------------------------------------------

RUN = """if True:
    import os, sys
    sys.path.insert(0, {root!r})
    from toolkit.ui import Studio
    studio = Studio({picture!r}, {clip!r}, end=0.2, strength=1.3)
    studio.result.start()
    print(studio.result.wait(300).path, flush=True)
    studio.state.take({{"end": None, "mode": "absolute"}})
    def ends(change):
        if "animating" in change["new"] and ": 0 %" not in change["new"]:
            print("under way", flush=True)
            {end}
    studio.result.work.stage.observe(ends, "value")
    studio.result.start()
    {wait}
"""
KILLED = {"end": "os._exit(1)", "wait": "studio.result.wait(300)"}
RESTARTED = {"end": "over.set()", "wait": "over.wait(300)"}


@pytest.mark.parametrize("how", [KILLED, RESTARTED], ids=["killed", "restarted"])
def test_a_kernel_that_ends_in_the_middle(clip, how):
    code = RUN.format(root=str(ROOT), picture=str(sample("picture.png")), clip=str(clip), **how)
    code = "import threading; over = threading.Event()\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    path, under_way, *_ = done.stdout.splitlines()
    assert under_way == "under way", done.stderr

    seen = [name for name in results() if not name.startswith(".")]
    assert seen == sorted([Path(path).name, Path(path).with_suffix(".json").name, LAST.name])
    assert Clip.open(path).frames == 5, "what was done stays"
    if how is RESTARTED:
        assert seen == results(), "and what was not leaves nothing"

    studio = Studio()
    assert studio.result.file.value == str(Path("results") / LAST), "offered at once"
    studio.result.again.click()
    assert (studio.state.mode, studio.state.strength, studio.state.end) == ("absolute", 1.3, None)
    assert Path(studio.state.driving).samefile(clip)
    studio.result.file.value = str(Path(path).with_suffix(".json"))
    studio.result.again.click()
    assert (studio.state.mode, studio.state.end) == ("auto", 0.2)
    studio.wait(60)

"""The studio when things go wrong: Cancel at every stage, two clicks, a full disk, a kernel that is restarted."""

import errno
import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.bad_server import Server
from toolkit import Clip, sample
from toolkit.media import writer
from toolkit.ui import State, Studio
from toolkit.ui.clip import ClipPanel
from toolkit.ui.crop import CropPanel
from toolkit.ui.model import ModelPanel
from toolkit.ui.motion import MotionPanel
from toolkit.ui.picture import PicturePanel
from toolkit.ui.result import LAST, ResultPanel
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
def thing(tmp_path, monkeypatch):
    """A function: a zoo with one entry, "thing", at a server that behaves so; gives the server and the final path."""
    buffer = io.BytesIO()
    torch.save({"layer.weight": torch.rand(200_000)}, buffer)
    content = buffer.getvalue()
    for name, place in {"WEIGHTS": "weights", "MOUNTS": "mounts"}.items():
        monkeypatch.setenv(f"TOOLKIT_{name}", str(tmp_path / place))
    monkeypatch.delenv("TOOLKIT_MIRROR", raising=False)
    with Server() as server:
        server.files["thing.pth"] = content

        def at(way):
            path = tmp_path / "own.toml"
            path.write_text(
                '[helper.thing]\nfor = "tests"\ncode = "MIT"\nweights = "MIT"\n'
                f'files = [{{ name = "thing.pth", size = {len(content)}, '
                f'sha256 = "{hashlib.sha256(content).hexdigest()}" }}]\n'
                f'mirrors = [{{ https = "{server.url}/{way}/{{file}}" }}]\n'
            )
            monkeypatch.setenv("TOOLKIT_ZOO", str(path))
            catalogue._read.cache_clear()
            return server, tmp_path / "weights" / "thing" / "thing.pth"

        yield at
    catalogue._read.cache_clear()


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

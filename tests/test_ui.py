"""The panels without a browser: fields and buttons set from Python."""

import threading
import time

import pytest

from toolkit import sample
from toolkit.ui import AnimatePanel
from toolkit.ui.words import Words
from toolkit.ui.work import Work

ANIMATE = "toolkit.ui.animate.animate"


@pytest.fixture
def panel():
    return AnimatePanel(sample("picture.png"), sample("driving.mp4"), begin=2, seconds=0.2)


def press(panel):
    panel.button.click()
    return panel.wait(300)


class Waiting:
    """In place of `animate`: counts its calls, reports progress until it is let go, then fails with `error`."""

    def __init__(self, error):
        self.error, self.calls, self.began, self.go_on = error, 0, threading.Event(), threading.Event()

    def __call__(self, *_, progress, **__):
        self.calls += 1
        self.began.set()
        while not self.go_on.wait(0.01):
            progress("animating", 1, 4)
        raise self.error


def test_a_press_makes_the_clip_that_the_fields_describe(panel):
    panel.strength.value = 1.4
    clip = press(panel)
    assert (clip.frames, clip.size, clip.has_sound) == (5, (256, 768), True)
    assert clip.path.is_file()
    assert "<video" in panel.screen.value
    panel.beside.value = False
    assert press(panel).size == (256, 256)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("picture", "nobody.png", "There is no file nobody.png."),
        ("picture", "", "No picture is named."),
        ("driving", " ", "No clip is named."),
        ("driving", "nobody.mp4", "nobody.mp4"),
        ("model", "nobody.pth.tar", "nobody.pth.tar"),
        ("begin", 60.0, "10.00 s long"),
    ],
)
def test_a_mistake_is_a_card_and_the_next_press_works(panel, field, value, said):
    widget = getattr(panel, field)
    right, widget.value = widget.value, value
    assert press(panel) is None
    assert 'role="alert"' in panel.message.value
    assert said in panel.message.value
    assert "Traceback" not in panel.message.value
    assert (widget.value, panel.button.disabled) == (value, False), "nothing chosen is lost"
    widget.value = right
    assert press(panel) is not None
    assert "alert" not in panel.message.value


def test_an_unexpected_error_is_told_with_its_details(panel, monkeypatch):
    def breaks(*_, **__):
        raise RuntimeError("a <b>bad</b> day")

    monkeypatch.setattr(ANIMATE, breaks)
    press(panel)
    assert "RuntimeError: a &lt;b&gt;bad&lt;/b&gt; day" in panel.message.value
    assert "<details>" in panel.message.value
    assert not panel.button.disabled


def test_quotation_marks_around_a_path_do_no_harm(panel):
    panel.picture.value = f' "{sample("picture.png")}" '
    assert press(panel) is not None


def test_stop_ends_the_run_and_leaves_no_file(panel, tmp_path):
    panel.seconds.value = 8
    panel.stage.observe(lambda change: panel.stop.click() if "%" in change["new"] else None, "value")
    assert press(panel) is None
    assert "Stopped" in panel.message.value
    assert not panel.button.disabled
    assert not list(tmp_path.rglob("*.mp4"))


def test_one_run_at_a_time(panel, monkeypatch):
    animate = Waiting(error=RuntimeError("over"))
    monkeypatch.setattr(ANIMATE, animate)
    second = AnimatePanel(sample("picture.png"), sample("driving.mp4"))
    waiting = threading.Event()
    second.stage.observe(lambda change: waiting.set() if "waiting" in change["new"] else None, "value")
    panel.button.click()
    assert animate.began.wait(60)
    panel.button.click()  # a second click on the same button is no second run
    second.button.click()
    assert waiting.wait(60)
    second.stop.click()  # one that waits can be stopped too
    second.wait(60)
    assert "Stopped" in second.message.value
    animate.go_on.set()
    panel.wait(60)
    assert animate.calls == 1
    assert "over" in panel.message.value


def test_the_run_before_can_be_seen_and_stopped_from_a_new_panel(panel, monkeypatch):
    animate = Waiting(error=RuntimeError("over"))
    monkeypatch.setattr(ANIMATE, animate)
    panel.button.click()
    assert animate.began.wait(60)
    again = AnimatePanel(sample("picture.png"), sample("driving.mp4"))  # as when the cell is run again
    seen, waiting = [], threading.Event()

    def stage(change):
        if "animating" in change["new"] and not waiting.is_set():
            seen.append((change["new"], again.work.bar.value, again.work.before.layout.display))
            waiting.set()

    again.stage.observe(stage, "value")
    assert again.work.before.layout.display == "none"
    again.button.click()
    assert waiting.wait(60)
    assert seen == [("waiting for the run before this one … animating: 25 %", 25, None)]
    assert again.work.before.description == "Stop the run before"
    again.work.before.click()
    panel.wait(60)
    assert "Stopped" in panel.message.value
    while animate.calls < 2:
        time.sleep(0.01)
    assert again.work.before.layout.display == "none", "this one is under way now"
    animate.go_on.set()
    again.wait(60)
    assert "over" in again.message.value


def test_a_download_keeps_no_model_waiting_nor_is_kept_waiting():
    words = Words("en")
    fetching, other = Work(words, "fetch", fetching=True), Work(words, "preview")
    go_on, seen = threading.Event(), []

    def fetches(report):
        report("vox.pth.tar", 100_000, 400_000)
        time.sleep(0.6)
        report("vox.pth.tar", 200_000, 400_000)
        seen.append(fetching.stage.value)
        report("own.bin", 3_000_000, None)
        seen.append(fetching.stage.value)
        assert go_on.wait(60)

    fetching.begin(fetches)
    other.begin(lambda report: "looked")
    other.wait(60)
    assert (other.message.value, fetching.button.disabled) == ("looked", True)
    second = Work(words, "fetch", fetching=True)
    second.begin(lambda report: "fetched")
    second.wait(0.5)
    assert "waiting" in second.stage.value, "downloads go one at a time"
    go_on.set()
    second.wait(60)
    fetching.wait(60)
    assert second.message.value == "fetched"
    assert "50 %" in seen[0] and " MB a second" in seen[0]
    assert seen[1].startswith("own.bin: 3 MB")


@pytest.mark.parametrize(("language", "said"), [("en", " frames a second"), ("zh", " 帧")])
def test_a_speed_has_its_unit(language, said):
    work, seen = Work(Words(language), "animate"), []

    def runs(report):
        report("animating", 0, 10)
        time.sleep(0.6)
        report("animating", 5, 10)
        seen.append(work.stage.value)

    work.begin(runs)
    work.wait(60)
    assert said in seen[0]

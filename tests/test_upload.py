"""The sliced upload without a browser: what the page sends, and what becomes of it."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import errors, sample, ui
from toolkit.ui import receive
from toolkit.ui.receive import Receiver, tame

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("uploads")
CONTENT = bytes(range(256)) * 100
SLICE = 10_000


@pytest.fixture
def upload():
    return ui.Upload(language="en")


class Page:
    """What upload.js does: one slice after the other, the next when the kernel has answered."""

    def __init__(self, upload, monkeypatch):
        self.upload, self.heard = upload, []
        monkeypatch.setattr(upload, "send", lambda content, buffers=None: self.heard.append(content))

    def say(self, kind, run=1, content=None, **more):
        """Send a message as the browser does, and return the answer (None where there is none)."""
        before = len(self.heard)
        buffers = [] if content is None else [memoryview(content)]
        self.upload._handle_custom_msg({"kind": kind, "run": run, **more}, buffers)
        return self.heard[-1] if len(self.heard) > before else None

    def send(self, name, content=CONTENT, run=1, until=None):
        """All of a file, or its first `until` bytes; the last answer."""
        answer = self.say("begin", run, name=name, size=len(content))
        while answer["kind"] == "go" and answer["at"] < (until or len(content)):
            at = answer["at"]
            answer = self.say("slice", run, content[at : at + SLICE], at=at)
        return answer


@pytest.fixture
def page(upload, monkeypatch):
    return Page(upload, monkeypatch)


def left():
    return sorted(path.name for path in FOLDER.rglob("*")) if FOLDER.exists() else []


def test_a_file_comes_in_slices_and_is_there_when_it_is_whole(upload, page):
    seen = []
    upload.observe(lambda change: seen.append(Path(change["new"]).read_bytes()), "path")
    answer = page.say("begin", name="song.mp4", size=len(CONTENT))
    assert answer == {"kind": "go", "run": 1, "at": 0, "ping": 0}
    for at in range(0, len(CONTENT), SLICE):
        assert not (FOLDER / "song.mp4").exists()
        answer = page.say("slice", content=CONTENT[at : at + SLICE], at=at)
    assert answer["kind"] == "done"
    assert "song.mp4 is here" in answer["said"]
    assert upload.path == str(FOLDER / "song.mp4")
    assert seen == [CONTENT], "whole when it is told"
    assert left() == ["song.mp4"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("my song (final).mp4", "my song (final).mp4"),
        ("我 的 歌 🎤.mp4", "我 的 歌 🎤.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\clip.mov", "clip.mov"),
        (".hidden.mp4", "hidden.mp4"),
        ("a\nb\0c<>.mp4", "abc.mp4"),
        ("...", "upload"),
        ("", "upload"),
        ("歌" * 150 + ".mp4", "歌" * 65 + ".mp4"),
    ],
)
def test_names(page, name, kept):
    assert page.send(name)["kind"] == "done"
    assert left() == [kept]
    assert (FOLDER / kept).read_bytes() == CONTENT


def test_on_colab_files_lie_in_the_drive(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    (drive := tmp_path / "mounts" / "content" / "drive" / "MyDrive").mkdir(parents=True)
    upload = ui.Upload(language="en")
    Page(upload, monkeypatch).send("song.mp4")
    assert Path(upload.path) == drive / "living-pictures" / "uploads" / "song.mp4"


def test_two_files_of_one_name_are_both_kept(upload, page):
    page.send("song.mp4", b"first", run=1)
    assert page.send("song.mp4", b"second", run=2)["kind"] == "done"
    assert upload.path == str(FOLDER / "song-2.mp4")
    assert [path.read_bytes() for path in sorted(FOLDER.iterdir())] == [b"second", b"first"]


def test_two_uploads_at_once_keep_apart(upload, page, monkeypatch):
    other = ui.Upload(language="en")
    second = Page(other, monkeypatch)
    page.send("song.mp4", until=SLICE)
    assert second.send("song.mp4", CONTENT[::-1])["kind"] == "done"
    for at in range(SLICE, len(CONTENT), SLICE):
        answer = page.say("slice", content=CONTENT[at : at + SLICE], at=at)
    assert answer["kind"] == "done"
    assert Path(upload.path).read_bytes() == CONTENT
    assert Path(other.path).read_bytes() == CONTENT[::-1]


def test_a_second_file_in_the_same_widget_ends_the_first(upload, page):
    page.send("first.mp4", until=SLICE, run=1)
    assert page.send("second.mp4", run=2)["kind"] == "done"
    late = page.say("slice", run=1, content=CONTENT[SLICE : 2 * SLICE], at=SLICE)
    assert (late["kind"], late["run"]) == ("failed", 1)
    assert left() == ["second.mp4"]


def test_cancel_leaves_nothing_and_the_next_one_works(upload, page):
    page.send("song.mp4", until=2 * SLICE)
    assert len(left()) == 1
    assert left()[0] != "song.mp4"
    assert page.say("cancel") is None
    assert left() == []
    page.say("cancel")  # twice does no harm
    assert page.send("song.mp4", run=2)["kind"] == "done"
    page.say("cancel", run=2)  # too late: it is whole
    assert left() == ["song.mp4"]


def test_one_that_broke_off_leaves_nothing(upload, page):
    page.send("song.mp4", until=2 * SLICE)
    upload.close()
    assert left() == []
    page.send("song.mp4", until=2 * SLICE)
    page.upload = upload = None
    receiver = Receiver("other.mp4", 100, FOLDER)
    receiver.take(0, b"x" * 50)
    del receiver
    gc.collect()
    assert "other.mp4" not in "".join(left())


def test_a_kernel_that_ends_in_the_middle_leaves_nothing(tmp_path):
    code = """if True:
        from toolkit.ui.receive import Receiver
        receiver = Receiver("song.mp4", 100, "uploads")
        receiver.take(0, b"x" * 50)
        import os; print(len(os.listdir("uploads")))
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert left() == []


def test_what_is_sent_twice_or_asked_again_does_no_harm(upload, page):
    page.say("begin", name="song.mp4", size=len(CONTENT))
    first = page.say("slice", content=CONTENT[:SLICE], at=0)
    assert page.say("slice", content=CONTENT[:SLICE], at=0) == first
    assert page.say("ask", ping=3) == {"kind": "go", "run": 1, "at": SLICE, "ping": 3}
    for at in range(SLICE, len(CONTENT), SLICE):
        answer = page.say("slice", content=CONTENT[at : at + SLICE], at=at)
    assert page.say("ask", ping=4) == answer, "the last answer was lost"
    assert Path(upload.path).read_bytes() == CONTENT
    assert left() == ["song.mp4"]


def test_a_file_that_grows_while_it_is_sent_is_refused(page):
    page.say("begin", name="song.mp4", size=SLICE + 1)
    page.say("slice", content=CONTENT[:SLICE], at=0)
    answer = page.say("slice", content=CONTENT[:SLICE], at=SLICE)
    assert answer["kind"] == "failed"
    assert "has not the size that was announced" in answer["said"]
    assert left() == []


def test_an_empty_file_is_refused(page):
    answer = page.say("begin", name="song.mp4", size=0)
    assert answer["kind"] == "failed"
    assert "song.mp4 is empty." in answer["said"]
    assert left() == []


def test_no_room_is_said_before_anything_is_sent(page, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(receive.shutil, "disk_usage", lambda folder: usage)
    answer = page.say("begin", name="song.mp4", size=len(CONTENT))
    assert answer["kind"] == "failed"
    assert "There is no room for song.mp4" in answer["said"]
    assert left() == []


def test_a_disk_that_is_full_in_the_middle(upload, page):
    page.send("song.mp4", until=SLICE)

    class Full:
        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            pass

    upload._receiver._file.close()
    upload._receiver._file = Full()
    answer = page.say("slice", content=CONTENT[SLICE : 2 * SLICE], at=SLICE)
    assert answer["kind"] == "failed"
    assert 'role="alert"' in answer["said"]
    assert "No space left" in answer["said"]
    assert left() == []
    assert upload.path == ""
    assert page.send("song.mp4", run=2)["kind"] == "done", "it works again"


def test_a_folder_that_cannot_be_is_a_card(page):
    FOLDER.write_text("a file")
    answer = page.say("begin", name="song.mp4", size=10)
    assert answer["kind"] == "failed"
    assert "song.mp4 can&#x27;t be kept" in answer["said"]


def test_it_becomes_the_clip_or_the_picture_of_a_studio(monkeypatch):
    panel = ui.Studio()
    page = Page(ui.Upload(panel), monkeypatch)
    page.send("me.mp4", sample("driving.mp4").read_bytes(), run=1)
    assert panel.state.driving == str(FOLDER / "me.mp4")
    page.send("friend.PNG", sample("picture.png").read_bytes(), run=2)
    assert panel.state.picture == str(FOLDER / "friend.PNG")
    panel.wait(60)
    assert panel.picture.trouble.value == panel.driving.trouble.value == ""


def test_it_speaks_the_chosen_language():
    assert ui.Upload(language="zh")._texts["cancel"] == "取消"
    panel = ui.Studio(language="zh")
    upload = ui.Upload(panel)
    assert "大小不限" in upload._texts["choose"]
    panel.words.language = "en"
    assert upload._texts["cancel"] == "Cancel"
    panel.wait(60)


def test_it_is_imported_when_it_is_asked_for():
    code = "import sys, toolkit.ui as ui; say = lambda: print('anywidget' in sys.modules); say(); ui.Upload; say()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"


def test_a_page_that_cannot_know_it_yet_is_to_be_reloaded(monkeypatch, capsys):
    needed = []
    monkeypatch.setattr(ui.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("toolkit.platform.need", needed.append)
    assert ui.Upload is not None
    assert needed == ["anywidget"]
    assert "reload this page" in capsys.readouterr().out


def test_a_receiver_refuses_what_does_not_fit():
    with pytest.raises(errors.OutputError, match="empty"):
        Receiver("x.mp4", 0, FOLDER)
    assert tame("x" * 300 + ".mp4") == "x" * 196 + ".mp4"

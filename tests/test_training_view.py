"""The view of a training run, without a browser: listening, in a thread, and following a folder."""

import _thread
import threading
import time

import numpy as np
import pytest

from tests.small_task import recipe, trainer
from toolkit import errors
from toolkit.training.watch import News, Watch
from toolkit.ui import TrainingView


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("toolkit.ui.training.OFTEN", 0.0)
    monkeypatch.setattr("toolkit.ui.training.LOOK", 0.02)
    monkeypatch.setattr("toolkit.training.watch.LOOKED", 0.0)


def news(folder, step, **more):
    return News(folder, step, 100, "flow", {"pyramid": 0.25, "total": 1.5}, 0.5, 2.0 * (100 - step), **more)


def shown(widget):
    return widget.layout.display != "none"


def test_listening_in_the_cell(tmp_path):
    view = TrainingView("en")
    view(news(tmp_path, 30))
    assert (view.bar.value, view.bar.max) == (30, 100)
    assert view.stage.value == "step 30 of 100, stage flow, 0.50 steps a second, 2:20 left"
    assert "total 1.5 · pyramid 0.25" in view.losses.value
    assert "interrupt the kernel" in view.message.value and not shown(view.stop)
    view(news(tmp_path, 100))
    assert not view.message.value and view.bar.value == 100


def test_pictures_come_as_they_are_written(tmp_path):
    Watch(tmp_path, recipe(), listen=(view := TrainingView("en")), show=False).pictured(np.zeros((8, 300, 3), np.uint8))
    assert shown(view.sheet) and view.sheet.layout.width == "300px" and view.sheet.value[:4] == b"\x89PNG"
    assert not shown(view.curves)
    view(news(tmp_path, 2, file=tmp_path / "sheet-0000001.png"))  # gone meanwhile
    assert shown(view.sheet)


def test_a_run_in_a_thread(tmp_path, monkeypatch):
    view = TrainingView("en")
    run = trainer(monkeypatch, tmp_path / "run", view, sheet=7)
    assert view.start(run.run) is view
    assert view.wait(60) == run.folder / "model.safetensors"
    assert view.news.step == 7 and view.error is None and view.bar.bar_style == "success"
    assert "model.safetensors" in view.message.value and "step 7" in view.caption.value
    assert shown(view.curves) and shown(view.sheet) and not shown(view.stop)


def test_stop_ends_the_run_with_a_checkpoint(tmp_path, monkeypatch):
    view = TrainingView("en")

    def listen(news):
        if news.step == 4 and not news.file and not news.text:
            view.stop.click()
        view(news)

    run = trainer(monkeypatch, tmp_path / "run", listen)
    view.start(run.run)
    assert view.wait(60).is_file()
    assert [path.name for path in run.checkpoints()] == ["step-0000004.pt"]
    assert "Stopped at step 4 of 7" in view.message.value and not shown(view.stop)
    more = trainer(monkeypatch, tmp_path / "run", view)
    view.start(lambda: more.run(resume=True)).wait(60)
    assert more.step == 7 and view.bar.bar_style == "success", "the view serves again"


def interrupted(monkeypatch, times):
    """Interrupt whoever waits for a thread, so often: by the real way once, by what it raises after that."""
    join, left = threading.Thread.join, [True] * times

    def joins(self, timeout=None):
        if left and self is not threading.main_thread():
            left.pop()
            _thread.interrupt_main()
            time.sleep(1)  # where the interrupt arrives
        return join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", joins)


def test_an_interrupt_while_waiting_is_stop(tmp_path, monkeypatch):
    view, seen = TrainingView("en"), []
    reached = threading.Event()
    view.hint.observe(lambda change: seen.append(change["new"]), "value")

    def listen(news):
        if news.step == 2 and not news.file and not news.text:
            reached.set()
            while not view._stopping.is_set():
                time.sleep(0.01)
        view(news)

    run = trainer(monkeypatch, tmp_path / "run", listen)
    view.start(run.run)
    assert reached.wait(60)
    interrupted(monkeypatch, 1)
    assert view.wait(60) == run.folder / "model.safetensors", "no traceback: it is waited for, and whole"
    assert "Stopped at step 2 of 7" in view.message.value
    assert "interrupt the kernel" in seen[0] and view.hint.value == ""


def test_a_second_interrupt_leaves_the_run_to_end_by_itself(tmp_path, monkeypatch):
    view, go_on = TrainingView("en"), threading.Event()
    view.start(lambda: go_on.wait(60) and tmp_path)
    with monkeypatch.context() as patch:
        interrupted(patch, 2)
        assert view.wait(60) is None
    assert "Stopping after this step" in view.message.value
    go_on.set()
    assert view.wait(60) == tmp_path


def test_an_interrupt_does_not_end_a_run_elsewhere(tmp_path, monkeypatch):
    view, seen = TrainingView("en").follow(tmp_path / "run"), []
    view.hint.observe(lambda change: seen.append(change["new"]), "value")
    with monkeypatch.context() as patch:
        interrupted(patch, 1)
        assert view.wait(60) is None
    assert "the run goes on" in seen[0] and not view.stop.disabled and view._thread.is_alive()
    assert not (tmp_path / "run").exists(), "nobody was told to stop"
    view.close()


def test_a_wait_can_be_bounded():
    view, go_on = TrainingView("en"), threading.Event()
    view.start(lambda: go_on.wait(60) and None)
    began = time.monotonic()
    assert view.wait(0.3) is None and 0.25 < time.monotonic() - began < 20 and view._thread.is_alive()
    go_on.set()
    view.wait(60)


def test_an_error_is_a_card(tmp_path):
    view, error = TrainingView("en"), errors.ConfigError("The recipe is odd.", "Mend it.")
    view.start(lambda: (_ for _ in ()).throw(error)).wait(60)
    assert "The recipe is odd." in view.message.value and "Mend it." in view.message.value
    assert view.error is error and view.result is None and not shown(view.stop)


def test_one_run_at_a_time():
    view, go_on = TrainingView("en"), threading.Event()
    view.start(lambda: go_on.wait(60) and None)
    with pytest.raises(errors.ConfigError, match="under way"):
        view.start(lambda: None)
    with pytest.raises(errors.ConfigError, match="under way"):
        view.follow("elsewhere")
    go_on.set()
    view.wait(60)


def test_train_calls_the_verb(tmp_path, monkeypatch):
    called = {}

    def train(*args, **more):
        called.update(more, args=args)
        return tmp_path / "model.safetensors"

    monkeypatch.setattr("toolkit.training.train", train)
    view = TrainingView("en").train("mini-fomm", output=tmp_path, settings=["seed=1"])
    assert view.wait(60) == tmp_path / "model.safetensors"
    assert called["args"] == ("mini-fomm",) and called["listen"] is view and called["progress"] is False
    assert called["settings"] == ["seed=1"]


# ---------------------------------------------------------------- a run elsewhere


def test_following_a_run_elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    view = TrainingView("en").follow(folder)  # before it begins
    run = trainer(monkeypatch, folder, sheet=3)
    run.run()
    assert view.wait(60) == folder / "model.safetensors"
    assert view.news.step == 7 and view.news.losses["total"] == pytest.approx(run.history[-1]["total"])
    assert shown(view.curves) and shown(view.sheet) and "step 7" in view.caption.value
    assert view.bar.bar_style == "success" and not shown(view.stop)


def test_stopping_a_run_elsewhere(tmp_path, monkeypatch):
    folder, stopped = tmp_path / "run", threading.Event()
    view = TrainingView("en").follow(folder)

    def listen(news):
        if news.step == 2 and not news.file and not news.text:
            view.stop.click()
            stopped.set()

    run = trainer(monkeypatch, folder, listen)
    run.run()
    assert stopped.is_set() and run.step == 2
    assert view.wait(60) == folder / "model.safetensors"
    assert "Stopped at step 2 of 7" in view.message.value


def test_a_silent_run_and_none_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.ui.training.SILENT", -1.0)
    monkeypatch.setattr("toolkit.ui.training.FORGOTTEN", -1.0)
    view = TrainingView("en").follow(tmp_path / "none")
    view.wait(60)
    assert "There is no run in" in view.message.value and view.news is None
    (tmp_path / "recipe.json").write_text('{"stages": [{"steps": 7}]}')
    (tmp_path / "log.jsonl").write_text('{"step": 3, "stage": "one", "seconds": 60.0, "loss/total": 2.0}\n')
    view.follow(tmp_path).wait(60)
    assert "No news for" in view.message.value and view.bar.value == 3


def test_it_speaks_chinese(tmp_path):
    view = TrainingView("zh")
    view(news(tmp_path, 30))
    assert (
        view.stage.value == "第 30 步，共 100 步，阶段 flow，每秒 0.50 步，还需 2:20"
        and view.stop.description == "停止"
    )
    view.words.language = "en"
    assert view.stage.value.startswith("step 30 of 100") and view.stop.description == "Stop"


def test_a_view_that_is_closed_follows_no_more(tmp_path):
    view = TrainingView("en").follow(tmp_path / "run")
    view.close()
    view.wait(60)
    assert not view._thread.is_alive()

"""What a run says of itself: the log, curves, previews, TensorBoard, listeners, the time left."""

import itertools
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.small_task import recipe, trainer
from toolkit.training.curves import curves, smoothed
from toolkit.training.loop import TrainingError
from toolkit.training.sheets import drawn, motions, preview, rainbow
from toolkit.training.watch import News, Speed, Watch, clock, line, read_log


def watched(folder, steps, begin=0, total=(3, 4), **more):
    """A watch that was told of so many steps, whose loss is 10 x the step."""
    folder.mkdir(exist_ok=True)
    watch = Watch(folder, recipe(total), begin, show=False, **more)
    for step in range(begin + 1, begin + steps + 1):
        watch.step(step, f"stage-{int(step > total[0])}", {"total": 10.0 * step})
    return watch


# ---------------------------------------------------------------- the log


def test_a_row_is_the_mean_since_the_last_one(tmp_path):
    watch = watched(tmp_path, 5, total=(400, 400))  # a row every four steps
    watch.measured({"same": 0.5})
    watch.close()
    first, measured, rest = read_log(tmp_path)
    assert (first["step"], first["stage"], first["loss/total"]) == (4, "stage-0", 25.0)
    assert (measured["step"], measured["same"]) == (5, 0.5)
    assert (rest["step"], rest["loss/total"]) == (5, 50.0)


def test_steps_that_are_run_again_are_logged_once(tmp_path):
    watch = watched(tmp_path, 6)
    watch.pictured(np.zeros((4, 4, 3), np.uint8))
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 7, "sta')  # killed
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 4, 5, 6]
    again = watched(tmp_path, 3, begin=4)  # from the checkpoint of step 4
    again.close()
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    assert not list(tmp_path.glob("sheet-*.png")), "of a step that will come again"


def test_a_run_writes_it_all(tmp_path, monkeypatch):
    run = trainer(monkeypatch, tmp_path / "run", measure=3, sheet=3)
    run.run()
    rows = read_log(run.folder)
    assert [row["loss/total"] for row in rows if "loss/total" in row] == [losses["total"] for losses in run.history]
    assert [row["step"] for row in rows if "off" in row] == [3, 6, 7]
    assert [path.name for path in sorted(run.folder.glob("*.png"))] == [
        "curves.png",
        *(f"sheet-000000{step}.png" for step in (3, 6, 7)),
    ]
    assert Image.open(run.folder / "sheet-0000007.png").size == (24, 8)
    assert not list(run.folder.glob("*.part"))


def test_a_loss_that_is_no_number_is_in_the_log(tmp_path, monkeypatch):
    run = trainer(monkeypatch, tmp_path / "run", checkpoint=2)
    losses = run.task.losses
    run.task.losses = lambda *args: {k: v * (1 if run.step < 2 else float("nan")) for k, v in losses(*args).items()}
    with pytest.raises(TrainingError, match=r"step-0000002\.pt"):
        run.run()
    assert [row["step"] for row in read_log(run.folder)] == [1, 2]


def test_a_full_disk_costs_a_picture_and_not_the_run(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    watch = watched(tmp_path, 1)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.warns(UserWarning, match="No space left on device.* goes on"):
        watch.pictured(np.zeros((4, 4, 3), np.uint8))
        watch.close()
    assert not list(tmp_path.glob("*.png*")) and len(read_log(tmp_path)) == 1


def test_only_the_main_process_writes(tmp_path, capsys):
    watch = Watch(tmp_path, recipe(), main=False, listen=lambda news: pytest.fail("told"))
    watch.step(7, "stage-1", {"total": 1.0})
    watch.measured({"same": 1.0})
    watch.pictured(np.zeros((4, 4, 3), np.uint8))
    watch.say("a word")
    watch.close()
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


# ---------------------------------------------------------------- TensorBoard


def test_tensorboard_reads_it_back_without_what_was_run_again(tmp_path):
    watch = watched(tmp_path, 6)
    watch.close()
    again = watched(tmp_path, 3, begin=4)
    again.measured({"same": 0.25})
    again.pictured(np.full((4, 8, 3), 7, np.uint8))
    again.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/total")] == [(n, 10.0 * n) for n in range(1, 8)]
    assert [(event.step, event.value) for event in events.Scalars("held_out/same")] == [(7, 0.25)]
    (image,) = events.Images("sheet")
    assert (image.step, image.width, image.height) == (7, 8, 4)


@pytest.mark.parametrize(
    ("missing", "left"), [("torch.utils.tensorboard", "curves.png"), ("toolkit.training.curves", "tensorboard")]
)
def test_a_bare_machine_does_without(tmp_path, monkeypatch, missing, left):
    monkeypatch.setitem(sys.modules, missing, None)  # as where tensorboard or matplotlib is not installed
    watched(tmp_path, 7).close()
    assert len(read_log(tmp_path)) == 7
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", left}


# ---------------------------------------------------------------- time


def test_time_left_is_at_the_speed_of_now():
    speed = Speed(100)
    assert speed.at(0, "a", 0.0) == (None, None)
    assert speed.at(10, "a", 5.0) == (2.0, 45.0)
    assert speed.at(20, "b", 55.0) == (0.2, 400.0), "the stage that begins is five times as slow"
    for step in range(21, 61):
        now = speed.at(step, "b", 55.0 + 10 * (step - 20))
    assert now == pytest.approx((0.1, 400.0)), "what was two minutes ago no longer counts"


def test_the_line_says_how_far_and_how_long_still(tmp_path):
    news = News(tmp_path, 30, 100, "flow", {"pyramid": 0.5, "total": 1.5}, 0.02, 7265.0)
    assert line(news) == "30/100 flow  pyramid 0.5000 total 1.5000  50 s a step  2:01:05 left"
    assert [clock(seconds) for seconds in (7, 187, 90000)] == ["0:07", "3:07", "25:00:00"]


def test_lines_come_now_and_then_and_at_the_end(tmp_path, monkeypatch, capsys):
    now = itertools.count(step=3.0)
    monkeypatch.setattr("toolkit.training.watch.time.monotonic", lambda: next(now))
    watch = Watch(tmp_path, recipe((50, 50)))
    for step in range(1, 101):
        watch.step(step, "stage-0", {"total": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert 10 < len(lines) < 60 and lines[-1].startswith("100/100 stage-0  total 1.0000")
    watch.close()


# ---------------------------------------------------------------- listeners and stopping


def test_a_listener_hears_steps_pictures_and_words(tmp_path, monkeypatch):
    heard = []
    trainer(monkeypatch, tmp_path / "run", heard.append, sheet=7).run()
    steps = [news for news in heard if news.file is None]
    assert [news.step for news in steps] == list(range(1, 8)) and {news.steps for news in heard} == {7}
    assert steps[-1].stage == "stage-1" and set(steps[0].losses) == {"slope", "bias", "total"} and steps[-1].left == 0
    assert {news.file.name for news in heard if news.file} == {"sheet-0000007.png", "curves.png"}


def test_a_listener_stops_the_run_as_ctrl_c_does(tmp_path, monkeypatch):
    words = []

    def listen(news):
        words.append(news.text)
        if news.step == 5 and not news.text:
            raise KeyboardInterrupt

    run = trainer(monkeypatch, tmp_path / "run", listen)
    assert run.run().is_file()
    assert run.checkpoints()[-1].name == "step-0000005.pt" and words[-1].startswith("Stopped at step 5")


def test_a_listener_that_stops_a_run_costs_nothing_of_the_step(tmp_path, monkeypatch):
    def listen(news):
        if news.step == 5:
            raise KeyboardInterrupt

    run = trainer(monkeypatch, tmp_path / "run", listen, measure=5)
    run.run()
    assert [row["step"] for row in read_log(run.folder) if "off" in row] == [5]


def test_a_listener_that_fails_is_told_no_more(tmp_path, monkeypatch):
    told = []

    def listen(news):
        told.append(news)
        raise RuntimeError("no such widget")

    run = trainer(monkeypatch, tmp_path / "run", listen)
    with pytest.warns(UserWarning, match="no such widget"):
        run.run()
    assert run.step == 7 and len(told) == 1


def test_a_file_named_stop_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.training.watch.LOOKED", 0.0)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "stop").touch()  # of another run: forgotten

    def listen(news):
        if news.step == 4 and not news.file and not news.text:
            (folder / "stop").touch()

    run = trainer(monkeypatch, folder, listen)
    run.run()
    assert run.step == 4 and [path.name for path in run.checkpoints()] == ["step-0000004.pt"]
    assert not (folder / "stop").exists()


# ---------------------------------------------------------------- curves


def rows(count=50):
    out = []
    for step in range(1, count + 1):
        stage = f"stage-{int(step > 30)}"
        out.append({"step": step, "stage": stage, "seconds": step, "loss/total": 100 / step, "loss/slope": 0.1})
        if step % 10 == 0:
            out.append({"step": step, "stage": stage, "seconds": step, "same": 1 / step, "kp_px": 3.0})
    return out


def test_curves_have_losses_shares_and_pixels_apart():
    axes = curves(rows(), recipe((30, 40))).axes
    names = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in axes]
    assert names == [["slope", "total"], ["same"], ["kp_px"]]
    assert [axis.get_yscale() for axis in axes] == ["log", "linear", "linear"], "1000 times is shown on a log scale"
    assert [text.get_text() for text in axes[0].texts] == ["stage-0", "stage-1"]
    steps = np.concatenate(
        [line.get_xdata() for line in axes[1].lines if len(line.get_xdata()) > 2 or line.get_marker() == "o"]
    )
    assert steps.tolist() == [10, 20, 30, 40, 50]


def test_a_loss_of_zero_leaves_the_others_on_their_scale():
    axis = curves([row | {"loss/slope": 0.0} for row in rows() if "loss/slope" in row]).axes[0]
    assert axis.get_yscale() == "log" and axis.get_ylim() == pytest.approx((2 / 1.2, 120))


def test_curves_of_nothing_and_of_one_step():
    assert len(curves([]).axes) == 1
    (axis,) = curves(rows(1)).axes
    assert {line.get_marker() for line in axis.lines} == {"o"}, "one point has no line"


def test_smoothing_keeps_the_ends():
    values = np.arange(10.0)
    assert smoothed(values, 2).tolist() == [1.0, 1.5, *range(2, 8), 7.5, 8.0]
    assert smoothed(np.ones(4), 3).tolist() == [1.0] * 4


# ---------------------------------------------------------------- previews


def colour(picture, k, count):
    return np.allclose(picture, (255 * np.array(rainbow(k / count))).astype(np.uint8), atol=1)


@pytest.mark.parametrize("kind", ["value", "jacobian", "affine"])
def test_a_preview_draws_the_motion_on_source_and_driver(kind):
    motion = {"value": torch.tensor([[[0.0, 0.0], [0.5, 0.5]]])}
    if kind != "value":
        motion[kind] = 0.25 * torch.eye(2).expand(1, 2, 2, 2) / (0.16 if kind == "jacobian" else 1)
    grey = torch.full((1, 3, 64, 64), 0.5)
    sheet = preview((grey, motion), (grey, motion), grey, grey, truth=grey, occlusion=torch.ones(1, 1, 8, 8))
    band = len(sheet) - 64
    assert sheet.shape[1] == 6 * 64 and sheet[:band].min() < 128, "words above"
    columns = [sheet[band:, 64 * n : 64 * (n + 1)] for n in range(6)]
    for number, column in enumerate(columns):
        marks = [colour(column[32, 32], 0, 2), colour(column[48, 48], 1, 2)]
        assert marks == [number < 2] * 2
        assert colour(column[32, 40], 0, 2) == (number < 2 and kind != "value"), "the axis that points right"
    assert colour(columns[0][24, 32], 0, 2) == (kind == "affine"), "MRAA's region, an ellipse"
    assert columns[5].min() == 255, "all is kept"


def test_what_a_detector_finds_is_beside_what_is_known():
    grey = torch.full((4, 3, 64, 64), 0.5)
    found, known = {"value": torch.zeros(4, 1, 2)}, {"value": torch.full((4, 1, 2), 0.5)}
    sheet = motions(grey, {"found": found, "known": known})[-128:]
    assert sheet.shape == (128, 4 * 64, 3)
    for row in (0, 64):
        marks = [[colour(sheet[row + y, 64 * n + y], 0, 1) for y in (32, 48)] for n in range(4)]
        assert marks == 2 * [[True, False], [False, True]]


def test_a_motion_is_drawn_into_a_copy():
    picture = torch.zeros(1, 3, 16, 16)
    out = drawn(picture, {"value": torch.zeros(1, 1, 2), "jacobian": torch.eye(2)[None, None]})
    assert out.max() > 0.9 and picture.max() == 0

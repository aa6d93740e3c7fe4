"""The evaluation tells good from bad, and the shipped mini is good: its faces talk and blink."""

import dataclasses
import json

import pytest
import torch

import toolkit
from toolkit import metrics, puppets
from toolkit.__main__ import main
from toolkit.models.base import Animator, Info, Motion, Source
from toolkit.models.perception import Perception
from toolkit.paths import shipped
from toolkit.training import regions
from toolkit.training.data import HELD_OUT, draw
from toolkit.training.evaluate import REGIONS, Evaluation, cases, evaluate, openness, reenact

MINI = shipped("checkpoints/mini/fomm.safetensors")


class Still(Animator):
    """Shows the picture as it is."""

    def __init__(self, size):
        super().__init__()
        self.info = Info("still", "custom", size=size)

    def encode(self, pictures, landmarks=None):
        return Source(
            "still",
            Motion("still", {"row": torch.zeros(len(pictures))}),
            {"picture": pictures},
            tuple(pictures.shape[2:]),
        )

    def motion(self, frames, source=None, landmarks=None):
        return Motion("still", {"row": torch.zeros(len(frames))})

    def transfer(self, source, motion, **_):
        return motion

    def render(self, source, motion):
        return source["picture"]


def test_not_moving_is_one():
    result = evaluate(Still(48), characters=3, batch=2)
    for kind in ("same", "cross"):
        for region in ("whole", "head", "mouth"):
            assert result.ratio(kind, region) == pytest.approx(1)
        assert result.l1[kind]["whole"]["nearest"] < result.l1[kind]["whole"]["still"]
    assert "3 held-out" in str(result) and "| same identity, eyes |" in str(result) and "AVD" not in str(result)


def test_avd_is_measured_where_there_is_one():
    result = evaluate("mini-mraa", characters=2, batch=2)
    assert set(result.l1) == set(result.openness) == {"same", "cross", "avd"}
    assert "| cross identity (AVD), eyes |" in str(result) and result.ratio("avd") != result.ratio("cross")


def test_openness_is_seen_in_true_drawings():
    case = next(cases(3, 128, batch=3))
    found = openness(case, {"truth": case.truth, "still": case.source})
    for part, least in (("mouth", 0.99), ("eyes", 0.9)):
        assert metrics.correlation(found[part]["truth"], found[part]["wanted"]) > least
    assert (found["mouth"]["truth"] - found["mouth"]["wanted"]).abs().max() < 0.06


def test_held_out_characters_are_always_the_same():
    first, again = next(cases(4, 32, batch=2)), next(cases(2, 32, batch=2))
    for field in ("source", "driving", "truth", "nearest"):
        assert torch.equal(getattr(first, field), getattr(again, field))


def test_metrics():
    truth = torch.zeros(2, 3, 4, 4)
    result = truth.clone()
    result[0, :, :2] = 1
    where = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    where[..., :2, :] = True
    assert metrics.l1(result, truth).tolist() == [0.5, 0] and metrics.l1(result, truth, where).tolist() == [1, 0]
    assert metrics.correlation(torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4, 6])) == pytest.approx(1)
    assert metrics.nearest(result[0], torch.stack([truth[0], result[0]]), where[0]) == 1


def test_the_mini_is_small_and_says_what_it_is():
    assert MINI.stat().st_size < 7e6
    animator = toolkit.load("mini-fomm")
    assert animator.info.drawn and animator.info.size == 256 and "puppets" in animator.info.domain
    from torch.utils.flop_counter import FlopCounterMode

    frame = torch.rand(1, 3, 256, 256)
    source = animator.encode(frame)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        animator.render(source, animator.motion(frame))
    assert counter.get_total_flops() < 10e9


def test_the_mini_beats_not_moving_on_strangers():
    result = evaluate("mini-fomm", characters=4, batch=4)
    assert result.ratio("same") < 0.45 and result.ratio("cross") < 0.5
    assert result.ratio("same", "mouth") < 0.5 and result.ratio("cross", "mouth") < 0.6
    assert result.openness["same"]["mouth"] > 0.8 and result.openness["same"]["eyes"] > 0.8


def test_the_mini_opens_mouths_and_shuts_eyes():
    """One character talks and blinks; another must do as it does."""
    who = puppets.identities(2, HELD_OUT + 77)
    still = puppets.Pose.neutral(1)
    poses = puppets.Pose.cat(
        [
            still,
            still.replace(mouth_open=torch.ones(1)),
            still.replace(eye_left=torch.zeros(1), eye_right=torch.zeros(1)),
        ]
    )
    size = 256

    def seen(row, pose):
        return draw(who[[row] * len(pose)], pose, size).picture.float() / 255

    animator = toolkit.load("mini-fomm")
    with torch.inference_mode():
        frames = seen(1, poses)
        result = reenact(
            animator, seen(0, still).expand(3, -1, -1, -1), frames[:1].expand(3, -1, -1, -1), frames, "relative"
        )
    truth = seen(0, poses)
    box = regions.boxes(puppets.landmarks(who[[0]], poses[1]))
    for row, names in ((1, ("mouth",)), (2, ("eye_left", "eye_right"))):
        for name in names:
            where = regions.inside(box[name], size, size)
            moved, unmoved = (metrics.l1(result[[row]], truth[[other]], where) for other in (row, 0))
            assert moved < 0.9 * unmoved, name


def test_the_perception_network_finds_landmarks_and_knows_characters_again():
    network = Perception.load(shipped("checkpoints/mini/perception.safetensors"))
    who, pose = puppets.identities(8, HELD_OUT + 31), puppets.poses(16, HELD_OUT + 32)
    both = who.repeat(2)
    view = draw(both, pose, 128)
    with torch.no_grad():
        out = network(view.picture.float() / 255)
    assert (out["landmarks"] - view.landmarks).norm(dim=-1).mean() * 64 < 4  # pixels at 128
    likeness = (out["identity"] @ out["identity"].T).fill_diagonal_(-2)
    assert (likeness.argmax(1) % 8 == torch.arange(16) % 8).float().mean() > 0.8


def test_the_command_writes_the_figures_of_drawn_characters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kinds, row = ("same", "cross"), {"model": 1.0, "still": 2.0, "nearest": 3.0}
    figures = {kind: dict.fromkeys(REGIONS, row) for kind in kinds}
    result = Evaluation("tiny", 3, figures, {kind: {"eyes": 0.5, "mouth": 0.5} for kind in kinds})
    monkeypatch.setattr(toolkit, "evaluate", lambda *_, **__: result)
    for _ in range(2):  # its own file it replaces
        assert main(["evaluate", "tiny", "-o", "found/x.json"]) == 0
    assert capsys.readouterr().out.strip().endswith("x.json")
    assert json.loads((tmp_path / "found" / "x.json").read_text())["l1"] == figures
    (tmp_path / "mine.json").write_text("mine")
    monkeypatch.setattr(toolkit, "evaluate", lambda *_, **__: pytest.fail("it was measured first"))
    assert main(["evaluate", "tiny", "-o", "mine.json"]) == 2
    assert (tmp_path / "mine.json").read_text() == "mine"


def test_a_case_has_matching_rows():
    case = next(cases(2, 32, batch=2))
    assert {len(getattr(case, field.name)) for field in dataclasses.fields(case)} == {2}

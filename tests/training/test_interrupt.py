"""Ctrl-C while a model learns: the run ends after its step; pressed twice, it ends at once and saves nothing."""

import signal
import threading

import pytest
import torch

from tests.small_task import trainer
from toolkit.training.interrupt import Interrupt


def pressed(run, step, times=1):
    """Press Ctrl-C between the optimisers of a step and what follows it."""
    move = run.learner.move

    def moving(stage, within):
        move(stage, within)
        for _ in range(times if run.step == step else 0):
            signal.raise_signal(signal.SIGINT)

    run.learner.move = moving


def test_the_step_is_made_and_a_resume_is_exact(tmp_path, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGINT)
    whole = trainer(monkeypatch, tmp_path / "whole")
    whole.run()
    run = trainer(monkeypatch, tmp_path / "run")
    run.progress = True
    pressed(run, 4)
    assert run.run().is_file()
    assert run.step == 5 and [path.name for path in run.checkpoints()] == ["step-0000005.pt"]
    assert "after this step" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    again = trainer(monkeypatch, tmp_path / "run")
    again.run(resume=True)
    assert run.history + again.history == whole.history
    for one, other in zip(again.task.modules["line"].parameters(), whole.task.modules["line"].parameters()):
        assert one.equal(other)


def test_pressed_twice_it_ends_at_once_and_saves_nothing(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    run = trainer(monkeypatch, tmp_path / "run", checkpoint=2)
    pressed(run, 4, times=2)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert [path.name for path in run.checkpoints()] == ["step-0000002.pt", "step-0000004.pt"]
    state = torch.load(run.checkpoints()[-1], weights_only=True)
    assert not state["modules"]["line"]["weight"].equal(run.task.modules["line"].weight), "step 4 was half made"
    assert signal.getsignal(signal.SIGINT) is before


def test_all_processes_hear_of_it(tmp_path, monkeypatch):
    """Ctrl-C comes to one that is not the main one: what it says goes through `any`."""
    run, said = trainer(monkeypatch, tmp_path / "run"), []
    run.processes.number = 1
    monkeypatch.setattr(run.processes, "any", lambda flag: said.append(flag) or flag)
    pressed(run, 2)
    run.run()
    assert run.step == 3 and said == [False] * 3 + [True] and not run.checkpoints()


def test_outside_the_main_thread_and_in_the_background_it_does_nothing(monkeypatch):
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupt() as interrupt:
            seen.append((interrupt.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work()
        assert seen[-1] == (False, signal.SIG_IGN) and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

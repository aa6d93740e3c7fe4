"""The pictures of the losses: each is drawn, with the loss's name and value."""

import math

import pytest
import torch
from matplotlib.figure import Figure

from toolkit.training import losses
from toolkit.ui import loss_figures
from toolkit.ui.perception_figures import asked


@pytest.fixture(scope="module")
def shown():
    return loss_figures.LossFigures()


@pytest.mark.parametrize("name", loss_figures.NAMES)
def test_each_loss_has_a_picture(name, shown):
    figure = Figure(figsize=(9, 2.5))
    shown.draw(figure, name)
    assert len(figure.axes) == loss_figures.PANELS
    told, value = figure.axes[0].get_ylabel().split("\n")
    assert told == name
    assert math.isfinite(float(value)) and float(value) > 0
    full = [axis for axis in figure.axes if axis.axison]
    assert len(full) >= 3 and all(axis.get_title() and axis.has_data() for axis in full)


def test_a_sheet_has_a_row_for_each_loss(shown):
    sheet = shown.sheet("kept")
    labels = [axis.get_ylabel().split("\n")[0] for axis in sheet.axes if axis.get_ylabel()]
    assert labels == ["keeping", "painting", "choosing"]


def test_an_answer_that_is_stretched_is_further_off_than_what_the_network_makes_of_it(shown):
    """Else the picture would teach the contrary."""
    for name in ("shift", "affine"):
        off = {
            who: (shown.parted[who][name] - shown.parted["truth"][name]).abs().mean() for who in ("driver", "answer")
        }
        assert off["answer"] < off["driver"], name


def test_what_a_loss_asks_for_is_where_it_pulls_no_more():
    random = torch.Generator().manual_seed(0)
    wanted, made = (torch.rand(1, 3, 12, 12, generator=random) for _ in range(2))
    scores = torch.randn(1, 1, 12, 12, generator=random)

    def loss(scores):
        return losses.keeping(scores.sigmoid(), made, wanted, None, 0.3)

    value, shares = asked(loss, scores, scores.sigmoid(), 144)
    assert value == pytest.approx(float(loss(scores)))
    assert shares.min() > 0 and shares.max() < 1
    best = shares.logit().requires_grad_()
    (slope,) = torch.autograd.grad(loss(best), best)
    assert slope.abs().max() < 1e-6

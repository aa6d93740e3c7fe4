"""Pictures for the notebooks: sliders that redraw, and what is drawn."""

import io

import numpy as np
import pytest
import torch
from ipywidgets import IntSlider
from PIL import Image

import toolkit
from toolkit.models.motion import coordinate_grid
from toolkit.ui import card, carded, figures


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image.value)).convert("RGB"), np.int16)


def test_a_slider_redraws_the_picture():
    seen = []

    def draw(figure, shade):
        seen.append(shade)
        figures.picture(figure.subplots(), torch.full((3, 8, 8), shade / 10))

    panel = figures.explore(draw, size=(2, 2), shade=IntSlider(2, 0, 10))
    slider, image = panel.children
    before = pixels(image)
    slider.value = 9
    assert seen == [2, 9]
    assert before.shape == (200, 200, 3)
    assert pixels(image)[100, 100] - before[100, 100] == pytest.approx(0.7 * 255, abs=2)


def test_points_and_arms_lie_where_they_are():
    def draw(figure, turned):
        axis = figures.picture(figure.subplots(), torch.ones(3, 8, 8))
        arms = torch.tensor([[[0.0, -1], [1, 0]]]) if turned else None
        figures.points(axis, torch.tensor([[0.5, -0.5]]), arms, length=0.3)

    panel = figures.explore(draw, size=(3, 3), turned=IntSlider(0, 0, 1))
    without = pixels(panel.children[1])
    rows, columns = np.nonzero(without.max(2) - without.min(2) > 60)
    assert columns.mean() == pytest.approx(0.75 * 300, abs=12)
    assert rows.mean() == pytest.approx(0.25 * 300, abs=25), "y goes down; the title takes some room"
    panel.children[0].value = 1
    coloured = pixels(panel.children[1])
    assert (coloured.max(2) - coloured.min(2) > 60).sum() > 1.5 * len(rows)


def test_shares_are_mixed_colours():
    mask = torch.zeros(3, 1, 3)
    mask[0, 0, 0] = mask[1, 0, 1] = 1
    mask[1:, 0, 2] = 0.5
    shown = figures.who_rules(mask)
    np.testing.assert_allclose(shown[0, 0], 0.85)
    np.testing.assert_allclose(shown[0, 1], figures.COLOURS[0][:3])
    np.testing.assert_allclose(shown[0, 2], np.mean([colour[:3] for colour in figures.COLOURS[:2]], 0))


def test_lines_regions_and_differences():
    from matplotlib.figure import Figure

    one, two, three = Figure().subplots(1, 3)
    figures.lines(one, torch.zeros(2, 2), torch.tensor([[0.5, 0], [0, 0.5]]))
    assert len(one.collections[0].get_segments()) == 2
    figures.ellipses(two, torch.tensor([[0.1, 0.2]]), torch.tensor([[[0.04, 0.0], [0, 0.01]]]))
    (region,) = two.patches
    assert (region.width, region.height) == pytest.approx((0.4, 0.2)) and region.angle % 180 == pytest.approx(0)
    figures.difference(three, torch.ones(3, 4, 4), torch.full((3, 4, 4), 0.75))
    assert three.get_title() == "difference: 0.250"
    figures.pictures((one, two), {"first": torch.ones(3, 4, 4), "second": torch.ones(1, 4, 4)})
    assert (one.get_title(), two.get_title()) == ("first", "second")


def test_a_net_and_a_wave():
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    figures.grid(axis, coordinate_grid(16, 16), lines=5)
    assert len(axis.lines) == 10
    axis = Figure().subplots()
    figures.wave(axis, np.sin(np.arange(5000))[:, None] * 0.5, 1000)
    assert axis.dataLim.x1 == pytest.approx(5, abs=0.1)
    assert (axis.dataLim.y0, axis.dataLim.y1) == pytest.approx((-0.5, 0.5), abs=0.01)


def test_a_sound_stands_under_its_frames():
    shown = figures.under_frames(toolkit.Clip.open(toolkit.sample("driving.mp4")), frames=3)
    top, bottom = shown.axes
    assert top.get_xlim() == bottom.get_xlim() == (0, 10)


def test_an_error_is_a_card(capsys):
    said = card.card("<b> is wrong", "Do this.", "deep & down")
    assert "&lt;b&gt; is wrong" in said and "Do this." in said and "<details>" in said and "deep &amp; down" in said
    assert "<details>" not in card.card("what")
    with carded():
        toolkit.sample("nothing.png")
    with pytest.raises(ZeroDivisionError), carded():
        1 / 0  # noqa: B018

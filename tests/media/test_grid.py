"""Cells in a grid: where they go, that none is squashed, that words can be read and fit."""

import numpy as np
import pytest

from toolkit import media
from toolkit.errors import ConfigError


def cell(value, height=40, width=40):
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4)]
)
def test_a_near_square_of_cells_that_do_not_meet(count, rows, columns):
    grid = media.Grid(count, (40, 40))
    assert (grid.rows, grid.columns) == (rows, columns)
    whole = grid.compose([cell(10 * index) for index in range(count)])
    assert whole.shape == (*grid.size, 3)
    assert all(side % 2 == 0 for side in grid.size)
    for index in range(count):
        assert (whole == 10 * index).all(2).sum() == 40 * 40
    assert (whole[0] == 255).all() and (whole[:, 0] == 255).all() and (whole[-1] == 255).all()


def test_the_last_row_stands_in_the_middle():
    whole = media.Grid(5, (40, 40)).compose([cell(index) for index in range(5)])
    columns = np.nonzero((whole < 10).all(2)[-20])[0]
    assert abs(columns[0] - (whole.shape[1] - 1 - columns[-1])) <= 2


def test_no_picture_is_squashed():
    """A disk stays round in a cell of any shape, and the paper shows beside it."""
    y, x = np.mgrid[:50, :100]
    disk = np.where((y - 25) ** 2 + (x - 50) ** 2 < 400, 0, 128).astype(np.uint8)[..., None].repeat(3, 2)
    whole = media.Grid(1, (80, 60), gap=0).compose([disk])
    rows, columns = np.nonzero(whole[..., 0] < 60)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    assert abs(np.ptp(columns) - 0.6 * 40) <= 2
    assert (whole[:20] == 255).all() and (whole[-20:] == 255).all()


def test_transparent_parts_become_paper():
    clear = np.zeros((40, 40, 4), np.uint8)
    assert (media.Grid(1, (40, 40)).compose([clear]) == 255).all()


@pytest.mark.parametrize("side", [32, 256])
def test_words_stand_under_their_cells_and_fit(side):
    words = ["a", "a name that is much too long for the width of any cell in the world, whatever its size"]
    grid = media.Grid(2, (side, side), words)
    whole = grid.compose([cell(128, side, side)] * 2)
    for top, left in grid.corners:
        strip = whole[top + side : grid.size[0], left : left + side]
        ink = np.nonzero((strip < 128).all(2))
        assert np.ptp(ink[0]) >= 4, "no letters"
        assert ink[0].max() < len(strip) - 1 and ink[1].max() < side
        outside = np.delete(whole[top + side :], np.s_[left : left + side], axis=1)
        assert (outside[:, : left or 1] == 255).all() or left > side
    first, second = ((whole[top + side :, left : left + side] < 128).all(2).sum() for top, left in grid.corners)
    assert second > 2 * first


def test_what_cannot_be_a_grid():
    with pytest.raises(ConfigError, match="4 cells and 1 labels"):
        media.Grid(4, (40, 40), ["one"])
    with pytest.raises(ConfigError, match="100 pictures of 512 x 512.*smaller size"):
        media.Grid(100, (512, 512))

"""A window of a decoded picture is that window of the picture decoded whole."""

import pytest
import torch

from toolkit import puppets
from toolkit.errors import ConfigError
from toolkit.models.motion import Deformation
from toolkit.training.window import WindowedDeformation, Windows


@pytest.mark.parametrize("side", [128, 64])
def test_the_window_is_cut_from_the_whole(side):
    torch.manual_seed(0)
    flow, points = torch.rand(2, 32, 32, 2) * 2 - 1, torch.rand(2, 5, 2) - 0.5
    whole = Deformation(flow, [torch.rand(2, 1, 32, 32)], True, True, points)
    windows = Windows([(8, 16), (32, 40)], 64, 128)
    maps = torch.rand(2, 3, side, side)
    part = WindowedDeformation(whole, windows)
    warped = part.warped(maps)
    torch.testing.assert_close(warped, windows.crop(whole.warped(maps)))
    torch.testing.assert_close(part.blended(warped), windows.crop(whole.blended(whole.warped(maps))))
    torch.testing.assert_close(part.spots(side // 2, side // 2), windows.crop(whole.spots(side, side)))


def test_windows_lie_inside_and_mostly_about_the_face():
    torch.manual_seed(0)
    landmarks = puppets.landmarks(puppets.identities(32, 1), puppets.poses(32, 1))
    windows = Windows.sample(landmarks, 64, 128)
    corners = torch.tensor(windows.corners)
    assert (corners >= 0).all() and (corners <= 64).all() and (corners % 8 == 0).all()
    assert windows.crop(torch.zeros(32, 3, 128, 128)).shape == (32, 3, 64, 64)
    nose = (landmarks[:, 30].flip(-1) + 1) * 64
    inside = ((nose >= corners) & (nose < corners + 64)).all(1)
    assert inside.float().mean() > 0.7


def test_a_window_must_go_into_the_picture():
    with pytest.raises(ConfigError, match="96 does not go into pictures of 128"):
        Windows.sample(torch.zeros(1, 68, 2), 96, 128)

"""Quickened parts give the numbers of the parts they stand for, at any size."""

import copy

import pytest
import torch
from torch import nn

from toolkit.models.fast import MapNorm, PatchConv, PhasedConv, PhasedUp, Winograd, quicken
from toolkit.models.layers import ResBlock, UpBlock, instance_norm, map_moments
from toolkit.models.motion import warp


def trained(module):
    """Norms with statistics that matter, in float64: what is left is algebra, not rounding."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
        if isinstance(part, nn.InstanceNorm2d):
            part.weight.normal_(generator=generator)
            part.bias.normal_(generator=generator)
    return module.double().eval()


PARTS = {
    "up": (lambda: UpBlock(5, 7), PhasedUp),
    "up with instance norm": (lambda: UpBlock(5, 7, norm=instance_norm), PhasedUp),
    "instance norm": (lambda: instance_norm(5), MapNorm),
    "head": (lambda: nn.Conv2d(5, 3, 7, padding=3), PhasedConv),
    "single": (lambda: nn.Conv2d(5, 1, 7), PhasedConv),
    "residual": (lambda: ResBlock(5), ResBlock),
    "deep": (lambda: nn.Conv2d(5, 1024, 3, padding=1), PatchConv),
    "plain": (lambda: nn.Conv2d(5, 16, 7, padding=3), nn.Conv2d),
}


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize("name", PARTS)
@torch.no_grad()
def test_equal_numbers(name, winograd, monkeypatch):
    monkeypatch.setattr(PatchConv, "RATIO", 200)
    make, kind = PARTS[name]
    torch.manual_seed(0)
    plain = trained(nn.Sequential(make()))
    quick = quicken(copy.deepcopy(plain), winograd)
    assert isinstance(quick[0], kind)
    if name == "residual":
        assert isinstance(quick[0].conv1, Winograd if winograd else nn.Conv2d)
    for size in ((8, 8), (7, 10), (13, 9), (16, 20)):
        for layout in (torch.channels_last, torch.contiguous_format):
            x = torch.randn(2, 5, *size, dtype=torch.float64).contiguous(memory_format=layout)
            assert torch.allclose(quick(x), plain(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_norm_of_maps_far_from_zero():
    """Where a map's mean is many times its spread, sums of squares would lose all digits."""
    torch.manual_seed(0)
    plain = instance_norm(3)
    x = (torch.randn(2, 3, 128, 128) + 50).contiguous(memory_format=torch.channels_last)
    assert (MapNorm(plain)(x) - plain.double()(x.double())).abs().max() < 1e-3


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_warp_by_pixels_is_grid_sample(rows, align_corners):
    """Without gradients many channels go another way; flows reach well outside, and a place may be no number."""
    torch.manual_seed(0)
    picture, flow = torch.randn(rows, 20, 9, 13), torch.rand(3, 7, 8, 2) * 3 - 1.5
    expected = warp(picture, flow, align_corners)
    with torch.no_grad():
        seen = warp(picture, flow, align_corners)
        assert (seen - expected).abs().max() < 1e-5
        flow[0, 0, 0], flow[0, 0, 1], flow[0, 0, 2] = float("nan"), float("inf"), 1e30
        assert (warp(picture, flow, align_corners)[0, :, 0, :3] == 0).all()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-5)])
def test_moments_of_large_maps_keep_their_digits(dtype, error):
    """In channels_last, where the sums are plain ones, and for maps in half precision: within float32's rounding."""
    generator = torch.Generator().manual_seed(2)
    maps = (torch.randn(2, 8, 250, 256, generator=generator) + 3).to(dtype, memory_format=torch.channels_last)
    variance, mean = torch.var_mean(maps.double(), (2, 3), correction=0, keepdim=True)
    with torch.no_grad():
        found = map_moments(maps)
    assert [each.dtype for each in found] == [torch.float32] * 2
    assert float((found[0] - mean).abs().max()) < error
    assert float((found[1] - variance).abs().max()) < error

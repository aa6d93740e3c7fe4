"""The perception network's geometry: boxes from landmarks, square crops, and back."""

import math

import pytest
import torch

from toolkit import puppets
from toolkit.models.layers import fold_norms
from toolkit.models.perception import SIZE, Crops, Perception, boxes, decoded, overlaps


@pytest.fixture(scope="module")
def points():
    return (puppets.landmarks(puppets.identities(5, 1), puppets.poses(5, 2)) + 1) * 100


def test_a_box_reaches_from_the_forehead_to_the_chin_and_from_ear_to_ear(points):
    edges = boxes(points)
    assert (points >= edges[:, None, :2]).all() and (points <= edges[:, None, 2:]).all()
    upright = (puppets.landmarks(puppets.identities(5, 1), puppets.Pose.neutral(5)) + 1) * 100
    x0, y0, x1, y1 = boxes(upright).unbind(1)
    assert torch.equal(x0, upright[:, 0:17, 0].amin(1)) and torch.equal(x1, upright[:, 0:17, 0].amax(1))
    assert torch.equal(y1, upright[:, 8, 1])
    brows, between_eyes = upright[:, 17:27, 1].amin(1), upright[:, 27, 1]
    assert torch.allclose(brows - y0, 0.3 * (y1 - between_eyes), atol=1e-3)


def test_crops_lead_there_and_back(points):
    crops = Crops.aligned(points)
    inside = crops.inside(points)
    assert torch.allclose(crops.outside(inside), points, atol=1e-3)
    eyes = inside[:, 42:48].mean(1) - inside[:, 36:42].mean(1)
    assert eyes[:, 1].abs().max() < 1e-5 and (eyes[:, 0] > 0.2).all()
    assert torch.allclose(inside.abs().amax((1, 2)), torch.full((5,), 2 / 3), atol=0.12)


@pytest.mark.parametrize("side", [90.0, 128.0, 520.0])
def test_a_crop_shows_what_is_there(side):
    """A picture that tells its own coordinates; large crops are averaged, so a ramp stays a ramp."""
    ramp = torch.linspace(0.5, 799.5, 800) / 800
    picture = torch.stack([ramp.expand(800, 800), ramp[:, None].expand(800, 800), torch.zeros(800, 800)])
    crops = Crops(torch.tensor([[420.0, 390.0]]), torch.tensor([side]), torch.tensor([0.2]))
    ticks = (torch.arange(SIZE) + 0.5) * 2 / SIZE - 1
    grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).reshape(1, -1, 2)
    wanted = crops.outside(grid).view(SIZE, SIZE, 2) / 800
    shown = crops.cut(picture)[0]
    assert (shown[0] - wanted[..., 0]).abs().max() < 2e-3 and (shown[1] - wanted[..., 1]).abs().max() < 2e-3
    bytes_too = crops.cut((picture * 255).round().byte())[0]
    assert (bytes_too - shown).abs().max() < 3e-3


def test_a_crop_beyond_the_picture_goes_on_with_its_edge():
    picture = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(0))
    crops = Crops(torch.tensor([[-300.0, 20.0], [15.0, 500.0]]), torch.tensor([50.0, 50.0]), torch.zeros(2))
    left, below = crops.cut(picture)
    assert torch.allclose(left[:, 64], left[:, 64, :1].expand(3, SIZE), atol=1e-6)
    assert torch.allclose(below[:, :, 64], below[:, :1, 64].expand(3, SIZE), atol=1e-6)


def test_maps_are_read_as_boxes():
    maps = torch.full((2, 5, 6, 8), -9.0)
    maps[1, :, 2, 5] = torch.tensor([3.0, 0.25, -0.5, math.log(4), math.log(6)])
    (none, _), (scores, found) = decoded(maps)
    assert len(none) == 0 and scores.tolist() == pytest.approx([1 / (1 + math.exp(-3))])
    assert found.tolist() == [pytest.approx([8 * 3.75, -8 * 1.0, 8 * 7.75, 8 * 5.0])]
    assert overlaps(found, found).item() == pytest.approx(1)
    assert overlaps(found, found + 32).item() == pytest.approx(0)


def test_folded_norms_change_nothing():
    torch.manual_seed(1)
    network = Perception().eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    pictures = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        before = network.detector(pictures), *network.aligner(pictures), network(pictures)["landmarks"]
        fold_norms(network)
        after = network.detector(pictures), *network.aligner(pictures), network(pictures)["landmarks"]
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(before, after, strict=True))

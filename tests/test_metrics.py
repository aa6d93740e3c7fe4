"""Metrics: units and what is left out, sums over batches, and a Fréchet distance that is not taken of a handful."""

import pytest
import torch

from toolkit import metrics
from toolkit.errors import InputError
from toolkit.models.inception import FEATURES, Inception

NAN = float("nan")


def test_keypoint_distance_is_a_mean_of_coordinates_in_pixels_at_256():
    truth = torch.zeros(3, 68, 2)
    points = truth.clone()
    points[0, :, 0] = 2 / 128  # two pixels to the right
    points[1] = NAN
    values = metrics.akd(points, truth)
    assert values[0] == pytest.approx(1) and values[1].isnan() and values[2] == 0


def test_missing_points_are_counted_where_the_truth_has_some():
    truth, points = torch.zeros(3, 4, 2), torch.zeros(3, 4, 2)
    points[0, :1], points[1] = NAN, NAN
    truth[1, :2], truth[2] = NAN, NAN
    values = metrics.missing(points, truth)
    assert values[:2].tolist() == [0.25, 1] and values[2].isnan()


def test_embeddings():
    a, b = torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[1.0, 0], [0, 1]])
    assert metrics.squared_distance(a, b).tolist() == [0, 2]
    assert metrics.cosine(a, b).tolist() == pytest.approx([1, 0])


def test_structural_similarity():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 24, 24)
    noisy = picture.clone()
    noisy[1] = (noisy[1] + 0.3 * torch.randn(3, 24, 24)).clamp(0, 1)
    values = metrics.ssim(noisy, picture)
    assert values.shape == (2,) and values[0] == pytest.approx(1) and values[1] < 0.8
    assert metrics.ssim(noisy[1:], picture[1:])[0] == pytest.approx(float(values[1]), abs=1e-5)


def test_a_mean_takes_batches_and_leaves_out_what_tells_nothing():
    mean = metrics.Mean()
    assert mean.value is None
    mean.add(torch.tensor([1.0, NAN]))
    mean.add(torch.tensor([4.0, 4, 3]))
    assert mean.value == 3 and mean.count == 4 and mean.left_out == 1


def test_frechet_distance_of_known_gaussians(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(metrics, "LEAST", 200)
    rows = torch.randn(300, 5)
    shift = torch.tensor([1.0, 0, 2, 0, 0])
    moved, wider = metrics.Frechet(), metrics.Frechet()
    for part in rows.split(70):
        moved.add(part, part + shift)
        wider.add(part, 3 * part)
    assert moved.distance() == pytest.approx(5, abs=1e-6)
    mean, spread = rows.double().mean(0), rows.double().T.cov()
    assert wider.distance() == pytest.approx(float(4 * mean.square().sum() + 4 * spread.trace()), rel=1e-6)


def test_a_handful_of_frames_is_refused():
    few = metrics.Frechet()
    few.add(torch.rand(20, 3), torch.rand(20, 3))
    with pytest.raises(InputError, match="20 frames.*1600"):
        few.distance()


def test_inception_gives_a_row_of_features_for_each_picture():
    torch.manual_seed(0)
    network = Inception().eval()
    pictures = torch.rand(2, 3, 40, 56)
    features = network(pictures)
    assert features.shape == (2, FEATURES) and not torch.allclose(features[0], features[1])
    assert torch.allclose(network(pictures[1:]), features[1:], atol=1e-5)

"""Shapes change, proportions never do."""

import coded
import numpy as np
import pytest

from toolkit import media
from toolkit.errors import ConfigError


def disk(height, width, radius):
    """A bright disk in the middle of a dark frame."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2
    return np.repeat(np.where(inside, 250, 20).astype(np.uint8)[..., None], 3, axis=2)


def extents(frame):
    """Height, width and centre of the disk."""
    bright = frame[..., 0] > 128
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return np.ptp(rows) + 1, np.ptp(columns) + 1, (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2


@pytest.mark.parametrize("how", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (100, 100), (101, 57)])
@pytest.mark.parametrize("size", [(64, 64), (256, 256), (120, 80), (33, 77)])
def test_a_disk_stays_round_and_centred(how, shape, size):
    fitted = media.fit(disk(*shape, 10), size, how)
    assert fitted.shape == (*size, 3)
    height, width, y, x = extents(fitted)
    scale = (max if how == "crop" else min)(size[0] / shape[0], size[1] / shape[1])
    assert abs(height - 20 * scale) <= 1 + scale and abs(width - 20 * scale) <= 1 + scale
    assert abs(y - size[0] / 2) <= 1.5 and abs(x - size[1] / 2) <= 1.5


def test_padding_continues_the_edges_softly():
    frame = np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8)
    padded = media.fit(frame, 64, "pad")
    rows, columns = media.Fit(64, "pad").plan(64, 32).visible
    assert np.array_equal(padded[rows, columns], frame)
    left = padded[:, : columns.start].astype(float)
    assert np.abs(left[:, -1] - frame[:, 0]).mean() < np.abs(left[:, 0] - frame[:, 0]).mean() / 2
    assert np.diff(left[:, 0], axis=0).std() < np.diff(frame[:, 0].astype(float), axis=0).std() / 10
    assert abs(left[:, 0].mean() - frame[:, 0].mean()) < 15


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_a_box_is_cut_out(how):
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[30:70, 120:160] = disk(40, 40, 15)
    exact = media.fit(frame, 80, how, box=(120, 30, 40, 40))
    assert np.allclose(extents(exact), (60, 60, 40, 40), atol=2)
    wide = media.fit(frame, 80, how, box=(100, 30, 80, 40))  # not square: shrunk to 40, or grown to 80
    assert np.allclose(extents(wide)[:2], 60 if how == "crop" else 30, atol=2)


def test_a_box_may_reach_beyond_the_frame():
    frame = disk(100, 100, 30)
    fitted = media.fit(frame, 60, box=(-40, -40, 120, 120))
    assert np.allclose(extents(fitted), (30, 30, 45, 45), atol=1.5)
    assert abs(int(fitted[0, 0, 0]) - 20) < 5
    plan = media.Fit(60, box=(-40, -40, 120, 120)).plan(100, 100)
    assert plan.crop == (0, 0, 80, 80) and plan.corner == (20, 20) and plan.inner == (40, 40)


def test_bad_fits_are_named():
    for size, how, box in ((0, "crop", None), ((4, 4, 4), "crop", None), (8, "squash", None), (8, "pad", (0, 0, 0, 5))):
        with pytest.raises(ConfigError):
            media.Fit(size, how, box)
    with pytest.raises(ConfigError, match="outside"):
        media.fit(disk(50, 50, 9), 8, box=(60, 60, 10, 10))


def test_transparent_pixels_lend_no_colour():
    frame = np.zeros((64, 64, 4), np.uint8)
    frame[..., 1] = 255  # invisible green …
    frame[16:48, 16:48] = (255, 0, 0, 255)  # … around red
    small = media.fit(frame, 16)
    assert small[small[..., 3] > 60][:, 1].max() < 8


@pytest.mark.parametrize(
    "how, box", [("crop", None), ("pad", None), ("crop", (11, 7, 40, 30)), ("pad", (-8, 4, 40, 60))]
)
def test_ffmpeg_fits_as_python_does(clips, how, box):
    way = media.Fit((40, 36), how, box)
    with (
        media.read_frames(clips / "good.mp4", trim=(1, 1.4)) as whole,
        media.read_frames(clips / "good.mp4", trim=(1, 1.4), fit=way) as fitted,
    ):
        assert fitted.size == (40, 36)
        for a, b in zip(whole, fitted, strict=True):
            assert b.shape == (40, 36, 3)
            assert np.abs(way.apply(a).astype(int) - b).mean() < 4


def test_a_batch_is_fitted_frame_by_frame():
    batch = np.stack([coded.frame(n) for n in (3, 1000)])
    assert np.array_equal(media.fit(batch, 24)[1], media.fit(batch[1], 24))


def test_beside():
    one, two = disk(60, 60, 20), np.dstack([disk(30, 45, 9), np.full((30, 45), 255, np.uint8)])
    assert media.beside([one, two]).shape == (30, 75, 3)
    joined = media.beside([one, two], 60)
    assert joined.shape == (60, 150, 3)
    assert np.array_equal(joined[:, :60], one)

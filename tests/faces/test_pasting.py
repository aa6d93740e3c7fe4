"""Pasting back: what is outside the mask, the seam, colours and grain, measured on pictures whose truth is known."""

import numpy as np
import pytest

from toolkit import media
from toolkit.errors import ConfigError
from toolkit.faces import grain
from toolkit.faces.face import Box
from toolkit.faces.pasting import Paster, pasted, share_out

SIDE = 64
BOX = (60, 40, 120, 120)


def photograph(height=240, width=320, noise=4.0, seed=0):
    """A smooth picture with grain, nowhere clipped."""
    y, x = np.mgrid[0:height, 0:width] / 50
    light = np.stack([110 + 40 * np.sin(x + k) * np.cos(y - k) for k in range(3)], 2)
    grainy = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    return np.clip(np.rint(grainy), 3, 252).astype(np.uint8)


def cropped(picture, box=BOX):
    way = media.Fit(SIDE, "crop", box)
    return way.plan(*picture.shape[:2]), way.apply(picture)


def tinted(frame, by):
    return np.clip(frame.astype(int) + by, 0, 255).astype(np.uint8)


def whole_mask(paster, picture):
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[paster.region] = paster.mask
    return mask


@pytest.mark.parametrize("box", [BOX, (-30, -20, 150, 150), (250, 190, 100, 100), (-10, -10, 400, 400), (3, 5, 33, 33)])
@pytest.mark.parametrize("channels", [3, 4])
def test_outside_the_mask_every_bit_stays(box, channels):
    picture = photograph()
    if channels == 4:  # transparent in parts, with colours under what is transparent
        picture = np.concatenate([picture, np.random.default_rng(1).integers(0, 256, (240, 320, 1), np.uint8)], 2)
    plan, square = cropped(picture, box)
    paster, before = Paster(picture, plan), picture.copy()
    frame = 255 - square
    full = paster(frame, picture)
    mask = whole_mask(paster, picture)
    assert full.shape == picture.shape
    np.testing.assert_array_equal(full[mask == 0], picture[mask == 0])
    np.testing.assert_array_equal(picture, before)
    assert np.abs(full[mask > 200].astype(int) - picture[mask > 200]).mean() > 20
    x, y, width, height = plan.crop
    assert mask[: max(y, 0)].max(initial=0) == 0 == mask[:, : max(x, 0)].max(initial=0)
    assert 0.5 < (mask > 0).sum() / (width * height) <= 1


def test_a_crop_that_ends_with_the_picture_has_no_seam_there():
    picture = photograph()
    plan, _ = cropped(picture, (-30, 60, 150, 150))
    mask = whole_mask(Paster(picture, plan), picture)
    assert mask[135, 0] == 255
    assert mask[135, plan.crop[2] - 1] == 0
    assert mask[60, 40] == 0


def test_the_seam_is_softer_than_a_hard_paste():
    """A frame of quite another brightness, taken for exact: it comes in slowly."""
    picture = photograph(noise=0)
    plan, square = cropped(picture)
    soft = Paster(picture, plan)(tinted(square, 60), picture)
    hard = picture.copy()
    x, y, width, height = plan.crop
    hard[y : y + height, x : x + width] = media.resize(tinted(square, 60), (height, width))

    def steps(full):
        change = full.astype(int) - picture
        return max(np.abs(np.diff(change, axis=axis)).max() for axis in (0, 1))

    assert steps(hard) > 50
    assert steps(soft) < 14


def test_a_shift_of_colour_is_learned_from_the_still_picture_and_taken_back():
    picture = photograph(noise=0)
    plan, square = cropped(picture)
    by = np.linspace(-25, 25, SIDE)[None, :, None] * np.array([1, 0.5, -1]) + np.array([10, -15, 5])
    tint = np.rint(by).astype(int)
    paster = Paster(picture, plan, still=tinted(square, tint))
    error = np.abs(paster(tinted(square, tint), picture).astype(int) - picture)
    unmended = np.abs(Paster(picture, plan)(tinted(square, tint), picture).astype(int) - picture)
    assert error.max() <= 6
    assert error.mean() < 0.15 * unmended.mean()
    moved = np.roll(square, 6, 1)
    with_tint, without = paster(tinted(moved, tint), picture), Paster(picture, plan)(moved, picture)
    assert np.abs(with_tint.astype(int) - without).mean() < 0.15 * unmended.mean()


@pytest.mark.parametrize(("level", "correlation"), [(3, 0.0), (6, 0.0), (6, 0.45)])
def test_grain_is_measured_and_made(level, correlation):
    colours = level**2 * np.array([[1, 0.6, 0.4], [0.6, 1.2, 0.5], [0.4, 0.5, 1.5]])
    light = photograph(480, 480, noise=0)
    picture = np.clip(np.rint(light + grain.noise(light.shape[:2], colours, correlation, 3)), 0, 255).astype(np.uint8)
    picture[100:250, 100:250] = np.random.default_rng(0).integers(0, 256, (150, 150, 3))  # texture is no grain
    covariance, close = grain.measured(picture, grain.flat_blocks(picture))
    np.testing.assert_allclose(covariance, colours, rtol=0.2, atol=0.1 * level**2)
    assert close == pytest.approx(correlation, abs=0.12)


def test_the_pasted_part_has_the_grain_of_the_photograph_and_keeps_it():
    """The frames are small and smooth; inside, on the seam and outside the noise is the same, and it stands still."""
    picture = photograph(480, 480, noise=5)
    plan, square = cropped(picture, (80, 80, 320, 320))
    smooth = cropped(photograph(480, 480, noise=0), (80, 80, 320, 320))[1]
    paster = Paster(picture, plan, still=smooth, seed=7)
    frames = [full.copy() for full in pasted(picture, [paster], [iter([smooth, tinted(smooth, 5), smooth])])]
    mask = whole_mask(paster, picture)

    def level(full, where):
        rough = full.astype(float) - photograph(480, 480, noise=0)
        return rough[where].std()

    outside = level(frames[0], mask == 0)
    assert level(frames[0], mask == 255) == pytest.approx(outside, rel=0.2)
    assert level(frames[0], (mask > 60) & (mask < 195)) == pytest.approx(outside, rel=0.2)
    np.testing.assert_array_equal(frames[0], frames[2])
    change = frames[1].astype(int) - frames[0]
    assert change[mask == 255].mean() == pytest.approx(5, abs=1)
    assert change[mask == 255].std() < 1.5, "the grain flickers"
    np.testing.assert_array_equal(frames[0], Paster(picture, plan, still=smooth, seed=7)(smooth, picture))


def test_a_drawing_without_grain_gets_none():
    picture = photograph(noise=0)
    plan, square = cropped(picture)
    full = Paster(picture, plan)(square, picture)
    assert np.abs(full.astype(int) - picture).max() <= 3


def test_only_what_moves_is_touched():
    """A mouth opens: hair and background keep the photograph's own pixels."""
    picture = photograph()
    plan, square = cropped(picture)
    opened = square.copy()
    opened[40:48, 24:40] = 30
    paster = Paster(picture, plan, still=square, poses=np.stack([square, opened]))
    mask = whole_mask(paster, picture)
    rows, columns = slice(40 + 75, 40 + 90), slice(60 + 45, 60 + 75)  # 120 pixels to 64
    assert mask[rows, columns].min() > 240
    assert (mask > 0).sum() < 0.25 * 120 * 120
    assert paster(opened, picture)[rows, columns].mean() < 60
    unmoved = Paster(picture, plan, still=square, poses=square[None])
    np.testing.assert_array_equal(unmoved(opened, picture), picture)


def test_transparent_pictures_stay_transparent():
    """A cut-out: where it is clear it stays clear, what moves into the clear part is there, and no dark rim appears."""
    picture = np.zeros((200, 200, 4), np.uint8)
    picture[60:140, 60:140] = (200, 120, 80, 255)
    plan, square = cropped(picture, (20, 20, 160, 160))
    frame = np.zeros_like(square)
    frame[20:52, 20:52] = (200, 120, 80, 255)  # 4 of 64 to the right and down of where it was
    full = Paster(picture, plan)(frame, picture)
    assert full[:30].max() == 0 and full[:, :30].max() == 0
    assert full[100, 145, 3] > 250 and full[100, 63, 3] < 5
    seen = full[..., 3] > 30
    assert np.abs(full[seen][:, :3].astype(int) - (200, 120, 80)).max() < 40


def test_crops_that_overlap_share_the_picture():
    """Two faces side by side: neither crop paints over the other's face, and the middle is no hole."""
    picture = photograph(200, 300, noise=0)
    boxes, faces = [(20, 30, 140, 140), (110, 30, 140, 140)], [Box(70, 70, 50, 60), Box(160, 70, 50, 60)]
    plans = [media.Fit(SIDE, "crop", box).plan(200, 300) for box in boxes]
    pasters = [Paster(picture, plan) for plan in plans]
    share_out(pasters, faces)
    masks = [whole_mask(paster, picture) for paster in pasters]
    assert masks[0][100, 95] == 255 == masks[1][100, 185]
    assert masks[0][100, 175] == 0 == masks[1][100, 105]
    assert masks[0][100, 140] == pytest.approx(masks[1][100, 139], abs=12)
    black, white = (np.full((SIDE, SIDE, 3), level, np.uint8) for level in (0, 255))
    full = next(pasted(picture, pasters, [iter([black]), iter([white])]))
    assert full[100, 95].max() < 8 and full[100, 185].min() > 247
    assert np.abs(np.diff(full[100, 90:190].astype(int), axis=0)).max() < 40


def test_frames_are_streamed_through_one_array():
    picture = photograph()
    plan, square = cropped(picture)
    paster = Paster(picture, plan)
    seen, arrays = [], set()
    for full in pasted(picture, [paster], [iter([square, 255 - square, square])]):
        arrays.add(id(full))
        seen.append(full.copy())
    assert len(seen) == 3 and len(arrays) == 1
    np.testing.assert_array_equal(seen[0], seen[2])
    assert (seen[0] != seen[1]).any()


def test_a_frame_of_another_shape_is_refused():
    picture = photograph()
    paster = Paster(picture, cropped(picture)[0])
    with pytest.raises(ConfigError, match="64 x 64 x 3"):
        paster(np.zeros((32, 32, 3), np.uint8), picture)
    with pytest.raises(ConfigError, match="64 x 64 x 3"):
        paster(np.zeros((64, 64, 3)), picture)

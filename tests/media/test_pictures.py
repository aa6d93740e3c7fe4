"""Pictures in every shape people have them, and the errors for what is none."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from toolkit import media
from toolkit.errors import ConfigError, InputError, OutputError, ToolkitError

QUARTERS = np.array([[[220, 30, 40], [30, 200, 60]], [[40, 60, 210], [240, 220, 50]]], np.uint8)


@pytest.fixture
def plate():
    """40 high, 60 wide; a colour in each quarter, so that every turn and flip shows."""
    return np.repeat(np.repeat(QUARTERS, 20, axis=0), 30, axis=1)


def close(a, b, within=6):
    """Whether the colours in the middle of the quarters are the same."""
    assert a.shape == b.shape
    if not within:
        return np.array_equal(a, b)
    return all(
        np.abs(a[y : y + 8, x : x + 8].mean((0, 1)) - b[y : y + 8, x : x + 8].mean((0, 1))).max() <= within
        for y in (6, 26)
        for x in (11, 41)
    )


def grey(array):
    return np.asarray(Image.fromarray(array).convert("L").convert("RGB"))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tiff"])
def test_formats(plate, tmp_path, ending):
    Image.fromarray(plate).save(tmp_path / f"a.{ending}", quality=95)
    picture = media.read_picture(tmp_path / f"a.{ending}")
    assert picture.dtype == np.uint8
    assert close(picture, plate)


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "RGBA", "PA"])
def test_modes(plate, tmp_path, mode):
    image = Image.fromarray(plate).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    image.save(tmp_path / ("a.tiff" if mode == "PA" else "a.png"))
    assert close(media.read_picture(tmp_path / ("a.tiff" if mode == "PA" else "a.png")), expected, 0)


def test_cmyk_jpeg(plate, tmp_path):
    Image.fromarray(plate).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert close(media.read_picture(tmp_path / "a.jpg"), plate, 12)


def test_sixteen_bits_keep_their_brightness(plate, tmp_path):
    deep = (grey(plate)[..., 0].astype(np.uint16)) * 257
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert close(media.read_picture(tmp_path / "a.png"), grey(plate), 0)
    Image.fromarray((deep / 65535).astype(np.float32)).save(tmp_path / "a.tiff")
    assert close(media.read_picture(tmp_path / "a.tiff"), grey(plate), 1)


@pytest.mark.parametrize("turn", range(1, 9))
def test_photos_stand_upright(plate, tmp_path, turn):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera did: the inverse of what Pillow must do
    image = Image.fromarray(plate)
    stored = image.transpose(Image.Transpose(undo[turn])) if turn > 1 else image
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert close(media.read_picture(tmp_path / "a.jpg"), plate)


def test_colour_profile_is_applied(plate, tmp_path):
    """A profile with red and green exchanged must exchange them."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    for text in (b"sRGB", "sRGB".encode("utf-16-be")):
        swapped = swapped.replace(text, text[::-1] if len(text) == 4 else "BGRs".encode("utf-16-be"))
    Image.fromarray(plate).save(tmp_path / "own.png", icc_profile=profile)
    Image.fromarray(plate).save(tmp_path / "swapped.png", icc_profile=swapped)
    Image.fromarray(plate).save(tmp_path / "broken.png", icc_profile=b"nonsense")
    assert close(media.read_picture(tmp_path / "own.png"), plate, 0)
    assert close(media.read_picture(tmp_path / "swapped.png"), plate[..., [1, 0, 2]], 3)
    assert close(media.read_picture(tmp_path / "broken.png"), plate, 0)


def test_transparency_lies_over_white_or_is_kept(plate, tmp_path):
    alpha = np.zeros(plate.shape[:2], np.uint8)
    alpha[:20], alpha[20:, :30] = 255, 128
    rgba = np.dstack([plate, alpha])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert np.array_equal(media.read_picture(tmp_path / "a.png", channels=4), rgba)
    flat = media.read_picture(tmp_path / "a.png")
    assert np.array_equal(flat[:20], plate[:20])
    assert np.abs(flat[30, 10].astype(float) - (plate[30, 10].astype(float) * 128 + 255 * 127) / 255).max() <= 1
    assert (flat[20:, 30:] == 255).all()
    opaque = media.read_picture(plate, channels=4)
    assert (opaque[..., 3] == 255).all() and np.array_equal(opaque[..., :3], plate)


def test_palette_with_a_transparent_colour(plate, tmp_path):
    image = Image.fromarray(plate).quantize(8)
    image.save(tmp_path / "a.png", transparency=image.getpixel((5, 5)))
    assert (media.read_picture(tmp_path / "a.png")[:18, :28] == 255).all()


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(plate, tmp_path, ending):
    frames = [Image.fromarray(plate), Image.fromarray(255 - plate)]
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], duration=100, quality=95)
    assert close(media.read_picture(tmp_path / f"a.{ending}"), plate, 8)


def test_arrays_images_and_bytes(plate):
    data = io.BytesIO()
    Image.fromarray(plate).save(data, "PNG")
    for same in (plate, Image.fromarray(plate), data.getvalue(), plate.astype(np.uint16) * 257, plate / 255.0):
        assert np.array_equal(media.read_picture(same), plate)
    assert np.array_equal(media.read_picture(plate[..., 0]), np.repeat(plate[..., :1], 3, axis=2))
    assert media.read_picture(np.ones((20, 20), bool)).min() == 255


def png_header(width, height):
    """A PNG that claims a size and has no pixels: whoever decodes it fails in another way."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"nothing")


def test_what_is_no_picture(plate, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    Image.fromarray(plate).resize((400, 300)).save(tmp_path / "whole.jpg")
    files = {
        "empty.png": b"",
        "words.png": b"these are words, not a picture",
        "page.png": b"\n<!doctype HTML><html>Sign in to Drive</html>",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\n",
        "cut.png": (tmp_path / "whole.png").read_bytes()[:6000],
        "cut.jpg": (tmp_path / "whole.jpg").read_bytes()[:2000],
        "wide.png": png_header(20000, 100),
        "high.png": png_header(100, 20000),
        "bomb.png": png_header(60000, 60000),
        "dot.png": png_header(1, 1),
    }
    expected = {
        "empty.png": "empty",
        "words.png": "not a picture",
        "page.png": "web page",
        "pointer.png": "git lfs pull",
        "cut.png": "cut off",
        "cut.jpg": "cut off",
        "wide.png": "20000 x 100",
        "high.png": "100 x 20000",
        "bomb.png": "too many pixels",
        "dot.png": "1 x 1",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            media.read_picture(tmp_path / name)
        assert str(tmp_path / name) in caught.value.what and expected[name] in str(caught.value)
        assert caught.value.remedy
    with pytest.raises(InputError, match="folder"):
        media.read_picture(tmp_path)
    with pytest.raises(InputError, match=r"no file .*missing\.png"):
        media.read_picture(tmp_path / "missing.png")
    for thing in (np.zeros((4, 4, 3), np.uint8), np.zeros((20, 20, 2), np.uint8), np.zeros((20, 20), int), 7):
        with pytest.raises(InputError):
            media.read_picture(thing)
    with pytest.raises(ConfigError):
        media.read_picture(plate, channels=1)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_written_pictures(plate, tmp_path, ending):
    path = tmp_path / "new" / f"a.{ending}"
    assert media.write_picture(path, plate) == path
    assert close(media.read_picture(path), plate)
    assert media.MARK.encode() in path.read_bytes()
    media.write_picture(path, 255 - plate, generated=False)  # its own: replaced
    assert close(media.read_picture(path), 255 - plate)
    assert b"Made by a machine" not in path.read_bytes()
    assert os.listdir(path.parent) == [path.name]


def test_transparency_is_written_where_there_is_room(plate, tmp_path):
    rgba = np.dstack([plate, np.full(plate.shape[:2], 100, np.uint8)])
    assert media.read_picture(media.write_picture(tmp_path / "a.png", rgba), channels=4)[0, 0, 3] == 100
    flat = media.read_picture(media.write_picture(tmp_path / "a.jpg", rgba), channels=4)
    assert close(flat[..., :3], media.flatten(rgba)) and flat[0, 0, 3] == 255


def test_nothing_foreign_is_overwritten(plate, tmp_path):
    Image.fromarray(plate).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    with pytest.raises(OutputError, match="overwrite=True"):
        media.write_picture(tmp_path / "mine.png", 255 - plate)
    assert (tmp_path / "mine.png").read_bytes() == before
    media.write_picture(tmp_path / "mine.png", 255 - plate, overwrite=True)
    assert np.array_equal(media.read_picture(tmp_path / "mine.png"), 255 - plate)


def test_a_failure_leaves_nothing(plate, tmp_path, monkeypatch):
    def full(self, path, **_):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        media.write_picture(tmp_path / "a.png", plate)
    assert not os.listdir(tmp_path)


def test_outputs_that_cannot_be(plate, tmp_path):
    (tmp_path / "file").touch()
    for bad in ("a.xyz", "a", "file/a.png"):
        with pytest.raises(OutputError):
            media.write_picture(tmp_path / bad, plate)
    with pytest.raises(OutputError, match="folder"):
        (tmp_path / "b.png").mkdir()
        media.write_picture(tmp_path / "b.png", plate)


def test_free_names(tmp_path):
    assert media.free_name(tmp_path / "a.mp4") == tmp_path / "a.mp4"
    for name in ("a.mp4", "a-2.mp4"):
        (tmp_path / name).touch()
    assert media.free_name(tmp_path / "a.mp4") == tmp_path / "a-3.mp4"


def test_an_error_is_of_the_family():
    assert issubclass(InputError, ToolkitError) and issubclass(OutputError, ToolkitError)

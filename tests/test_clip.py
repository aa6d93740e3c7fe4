"""The finished clip: what it says of itself, how it shows itself, and where it goes."""

import base64
import re
from fractions import Fraction

import numpy as np
import pytest

import toolkit.clip
from toolkit import media
from toolkit.clip import Clip
from toolkit.errors import InputError, OutputError

SHADES = [20 + 4 * number for number in range(50)]
TONE = np.sin(np.arange(2 * 16000) / 5).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    """50 frames of 48 x 64, each a shade brighter than the one before, with two seconds of sound."""
    frames = np.array(SHADES, np.uint8)[:, None, None, None] * np.ones((1, 48, 64, 3), np.uint8)
    with media.Writer(tmp_path / "a.mp4", 25, sound=(TONE, 16000)) as writer:
        writer.write(frames)
    return writer.path


def embedded(bundle):
    """Kind and content of what a cell would show."""
    kind, data = re.search(r'src="data:([\w/]+);base64,([^"]+)"', bundle["text/html"]).groups()
    return kind, base64.b64decode(data)


def test_what_it_says(path):
    clip = Clip.open(path, report={"mode": "relative"})
    assert clip.path == path and clip.fps == Fraction(25) and clip.frames == 50 and clip.size == (48, 64)
    assert clip.seconds == 2.0 and clip.has_sound and clip.report == {"mode": "relative"}
    assert str(path) in str(clip) and "64 x 48" in str(clip) and "2.0 s" in str(clip)
    with pytest.raises(InputError):
        Clip.open(path.with_name("missing.mp4"))


def test_it_plays_in_a_cell(path):
    clip = Clip.open(path)
    bundle = clip._repr_mimebundle_()
    assert bundle["text/plain"] == str(clip)
    assert embedded(bundle) == ("video/mp4", path.read_bytes())
    assert "<video" in bundle["text/html"] and "controls" in bundle["text/html"] and "loop" in bundle["text/html"]
    assert path.name in bundle["text/html"]


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_stickers_are_shown_as_pictures(path, ending):
    sticker = Clip.open(path).save(path.with_suffix(f".{ending}"))
    bundle = sticker._repr_mimebundle_()
    assert embedded(bundle) == (f"image/{ending}", sticker.path.read_bytes())
    assert "<img" in bundle["text/html"] and not sticker.has_sound
    assert (sticker.frames, sticker.fps, sticker.size) == (50, 25, (48, 64))


def test_a_large_clip_is_shown_small_with_sound(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (10, 720, 720, 3), np.uint8)
    with media.Writer(tmp_path / "big.mp4", 10, sound=(TONE, 16000)) as writer:
        writer.write(noise)
    monkeypatch.setattr(toolkit.clip, "EMBEDDED", 500_000)
    monkeypatch.setattr(toolkit.clip, "PREVIEW", 0.5)
    assert writer.path.stat().st_size > 500_000
    bundle = Clip.open(writer.path)._repr_mimebundle_()
    kind, content = embedded(bundle)
    (tmp_path / "shown.mp4").write_bytes(content)
    shown = media.probe(tmp_path / "shown.mp4")
    assert kind == "video/mp4" and len(content) < 500_000
    assert shown.has_sound and shown.duration == pytest.approx(0.5) and max(shown.size) <= 480
    assert "big.mp4" in bundle["text/html"] and "preview" in bundle["text/html"]


def test_a_long_clip_is_shown_shortened_and_fits(tmp_path, monkeypatch):
    """Noise is the worst that there is: it does not fit at the smallest size either. Shown twice, it is made once."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 240, 240, 3), np.uint8)
    tone = np.repeat(np.sin(np.arange(6 * 16000) / 5).astype(np.float32)[:, None], 2, 1)
    with media.Writer(tmp_path / "long.mp4", 10, sound=(tone, 16000)) as writer:
        writer.write(noise)
    clip, tried, write = Clip.open(writer.path), [], Clip._write
    monkeypatch.setattr(toolkit.clip, "EMBEDDED", 300_000)
    monkeypatch.setattr(Clip, "_write", lambda *args, **options: tried.append(options) or write(*args, **options))
    page = clip._repr_mimebundle_()["text/html"]
    (tmp_path / "shown.mp4").write_bytes(embedded({"text/html": page})[1])
    shown = media.probe(tmp_path / "shown.mp4")
    assert (tmp_path / "shown.mp4").stat().st_size <= 300_000 and len(tried) <= 3
    assert shown.has_sound and 1 <= shown.duration < 5 and min(shown.size) == 200
    said = float(re.search(r"A small preview of the first ([\d.]+) s of", page)[1])
    assert said == pytest.approx(shown.duration, abs=0.11)
    assert clip._repr_mimebundle_()["text/html"] == page
    assert len(tried) <= 3, "not made again"


def test_what_browsers_do_not_play_is_converted(path, ffmpeg):
    ffmpeg("-i", path, "-c:v", "mpeg4", path.with_suffix(".avi"))
    kind, content = embedded(Clip.open(path.with_suffix(".avi"))._repr_mimebundle_())
    assert kind == "video/mp4" and b"avc1" in content


def test_a_name_cannot_break_the_page(path):
    evil = path.rename(path.with_name("<script>alert('a')<script>.mp4"))
    page = Clip.open(evil)._repr_mimebundle_()["text/html"]
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_clip_that_is_gone_does_not_break_the_cell(path):
    clip = Clip.open(path)
    path.unlink()
    assert list(clip._repr_mimebundle_()) == ["text/plain"]


def test_show_without_a_notebook(path, capsys):
    Clip.open(path).show()
    assert str(path) in capsys.readouterr().out


def test_single_pictures(path):
    clip = Clip.open(path)
    for second, number in ((0, 0), (0.5, 12), (1.0, 25), (1.98, 49), (2.0, 49)):
        picture = clip.picture(second)
        assert picture.shape == (48, 64, 3) and abs(picture.mean() - SHADES[number]) < 3
    for second in (-0.1, 2.1):
        with pytest.raises(InputError, match="2.00 s long"):
            clip.picture(second)


def test_copies_and_conversions(path, tmp_path):
    clip = Clip.open(path, report={"mode": "relative"})
    copy = clip.save(tmp_path / "new" / "b.mp4")
    assert copy.path.read_bytes() == path.read_bytes() and copy.report == clip.report
    assert clip.save(path) == clip and path.exists()
    (tmp_path / "foreign.gif").write_text("not ours")
    with pytest.raises(OutputError):
        clip.save(tmp_path / "foreign.gif")
    back = clip.save(tmp_path / "c.webp").save(tmp_path / "d.mp4")
    assert back.codec == "h264" and back.frames == 50
    assert abs(back.picture(1.0).mean() - SHADES[25]) < 4

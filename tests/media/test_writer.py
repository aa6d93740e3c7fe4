"""Clips as they are written: what is in the file, and that it is whole or not there."""

import os
import re
import resource
import signal
import subprocess
import time
from fractions import Fraction

import coded
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from toolkit import media
from toolkit.errors import ConfigError, InputError, OutputError

FRAMES = np.stack([coded.frame(number) for number in range(50)])


def about(path):
    return subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True).stderr


def write(path, frames=FRAMES, fps=25, **options):
    with media.Writer(path, fps, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "120000/1001", "25", "2503/100"])
def test_the_rate_in_the_file_is_exact(tmp_path, clips, rate):
    for sound in (None, clips / "good.mp4"):
        writer = write(tmp_path / "a.mp4", fps=Fraction(rate), sound=sound)
        info = media.probe(tmp_path / "a.mp4")
        assert info.fps == writer.fps == Fraction(rate)
        assert info.has_sound == writer.has_sound == (sound is not None)
        assert abs(info.duration - 50 / Fraction(rate)) < 1e-4
        with media.read_frames(info) as frames:
            assert coded.numbers(frames) == list(range(50))


def test_an_mp4_plays_everywhere(tmp_path, clips):
    for sound in (None, clips / "good.mp4"):
        write(tmp_path / "a.mp4", sound=sound)
        said = about(tmp_path / "a.mp4")
        assert re.search(r"Video: h264 .*yuv420p\(tv, bt709, progressive\)", said)
        assert ("Audio: aac" in said) == (sound is not None)
        assert re.search(rf"comment +: {media.MARK}", said)
        content = (tmp_path / "a.mp4").read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")
        assert os.listdir(tmp_path) == ["a.mp4"]


def test_odd_sizes_are_padded_not_scaled(tmp_path):
    noise = np.random.default_rng(0).integers(20, 230, (1, 34, 34, 1), np.uint8)
    frames = np.tile(np.repeat(np.repeat(noise, 3, axis=1), 3, axis=2)[:, :99, :101], (3, 1, 1, 3))
    writer = write(tmp_path / "a.mp4", frames, quality=4)
    assert writer.size == (100, 102) == media.probe(tmp_path / "a.mp4").size
    got = next(media.read_frames(tmp_path / "a.mp4")).astype(int)
    assert np.abs(got - np.pad(frames[0], ((0, 1), (0, 1), (0, 0)), mode="edge")).mean() < 3


def test_batches_and_frames_are_the_same(tmp_path):
    with media.Writer(tmp_path / "a.mp4", 25, (48, 64)) as writer:
        writer.write(FRAMES[:7])
        writer.write(FRAMES[7])
        buffer = FRAMES[8:30].copy()
        writer.write(buffer)
        buffer[:] = 0  # the writer has taken what it needs
        writer.write(np.asfortranarray(FRAMES[30:40]))
        writer.write(np.flip(np.flip(FRAMES[40:], 2).copy(), 2))
    assert writer.frames == 50
    with media.read_frames(tmp_path / "a.mp4") as frames:
        assert coded.numbers(frames) == list(range(50))


def test_transparency_lies_over_white_in_mp4(tmp_path):
    clear = np.zeros((4, 64, 64, 4), np.uint8)
    clear[:, 16:48, 16:48] = (200, 30, 30, 255)
    write(tmp_path / "a.mp4", clear)
    got = next(media.read_frames(tmp_path / "a.mp4"))
    assert got[4, 4].min() > 250 and abs(int(got[32, 32, 0]) - 200) < 6


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_stickers(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    colours = np.random.default_rng(0).integers(0, 255, (20, 4, 4, 3), np.uint8)
    frames = np.repeat(np.repeat(colours[:1] // 2 + colours // 4, 16, axis=1), 16, axis=2)
    frames[:, :16, :16] = np.array([0, 40, 80, 120, 160] * 4, np.uint8)[:, None, None, None]
    writer = write(path, frames, fps=Fraction(25))
    assert (writer.frames, writer.fps, writer.size, writer.has_sound) == (20, 25, (64, 64), False)
    assert media.MARK.encode() in path.read_bytes()
    with Image.open(path) as image:
        assert image.n_frames == 20 and image.info["loop"] == 0 and image.size == (64, 64)
        for number in (0, 7, 19):
            image.seek(number)
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frames[number]).mean() < 5
    assert media.probe(path).fps == 25 and media.probe(path).duration == pytest.approx(0.8, abs=0.011)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_stickers_keep_transparency(tmp_path, ending):
    clear = np.zeros((4, 64, 64, 4), np.uint8)
    for number in range(4):
        clear[number, 16:48, 16 : 40 + number] = (200, 30, 30, 255)
    write(tmp_path / f"a.{ending}", clear)
    with media.read_frames(tmp_path / f"a.{ending}", channels=4) as frames:
        for number, frame in enumerate(frames):
            assert frame[4, 4, 3] == 0 and frame[32, 39 + number, 3] == 255 and frame[32, 41 + number, 3] == 0
            assert np.abs(frame[32, 24].astype(int) - (200, 30, 30, 255)).max() < 12


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_fast_stickers_are_thinned_evenly(tmp_path, ending):
    writer = write(tmp_path / f"a.{ending}", fps=Fraction(60000, 1001))
    assert writer.fps == Fraction(30000, 1001) and writer.frames == 25
    with media.read_frames(tmp_path / f"a.{ending}") as frames:
        assert coded.numbers(frames) == list(range(0, 50, 2))
    with media.Writer(tmp_path / f"b.{ending}", 60) as batches:
        for at in range(0, 50, 7):
            batches.write(FRAMES[at : at + 7])
    assert batches.frames == 25


def test_a_single_frame(tmp_path):
    for ending in ("mp4", "gif", "webp"):
        write(tmp_path / f"a.{ending}", FRAMES[5:6])
        assert coded.number(media.read_picture(tmp_path / f"a.{ending}") if ending != "mp4" else FRAMES[5]) == 5
    assert coded.numbers(media.read_frames(tmp_path / "a.mp4")) == [5]


# -- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mp4", "gif", "webp"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_nothing(tmp_path, clips, ending, failure):
    with pytest.raises(failure), media.Writer(tmp_path / f"a.{ending}", 25, sound=clips / "good.mp4") as writer:
        writer.write(FRAMES)
        raise failure
    assert os.listdir(tmp_path) == []


def test_nothing_foreign_is_overwritten(tmp_path):
    foreign = coded.encode(tmp_path / "a.mp4", FRAMES, 25, *coded.H264)
    before = foreign.read_bytes()
    with pytest.raises(OutputError, match="overwrite=True"):
        media.Writer(foreign, 25)
    assert foreign.read_bytes() == before
    write(foreign, FRAMES[:5], overwrite=True)
    assert media.probe(foreign).duration == pytest.approx(0.2)
    write(foreign, FRAMES[:10])  # now it is the toolkit's own
    assert media.probe(foreign).duration == pytest.approx(0.4)
    for ending in ("gif", "webp"):
        write(tmp_path / f"b.{ending}", FRAMES[:5])
        write(tmp_path / f"b.{ending}", FRAMES[:6])
        (tmp_path / f"c.{ending}").write_bytes(b"foreign")
        with pytest.raises(OutputError):
            media.Writer(tmp_path / f"c.{ending}", 25)


def test_a_file_that_comes_meanwhile_is_kept(tmp_path):
    with media.Writer(tmp_path / "a.mp4", 25) as writer:
        writer.write(FRAMES)
        (tmp_path / "a.mp4").write_text("somebody else's")
    assert writer.path == tmp_path / "a-2.mp4" and writer.path.exists()
    assert (tmp_path / "a.mp4").read_text() == "somebody else's"


def test_the_old_result_stays_until_the_new_one_is_whole(tmp_path):
    write(tmp_path / "a.mp4")
    before = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(ValueError), media.Writer(tmp_path / "a.mp4", 25) as writer:
        writer.write(FRAMES[:3])
        raise ValueError
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_what_cannot_be_written_is_said_at_once(tmp_path, clips):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    bad = {"a.avi": ".mp4, .gif, .webp", "a": "no ending", "file/a.mp4": "cannot be written", "folder.mp4": "folder"}
    for name, reason in bad.items():
        with pytest.raises(OutputError) as caught:
            media.Writer(tmp_path / name, 25)
        assert name in caught.value.what and reason in str(caught.value) and caught.value.remedy
    if os.path.isdir("/proc/self"):
        with pytest.raises(OutputError, match="cannot be written"):
            media.Writer("/proc/a.mp4", 25)
    media.Writer(tmp_path / "new" / "folders" / "a.mp4", 25).abort()
    assert (tmp_path / "new" / "folders").is_dir() and not os.listdir(tmp_path / "new" / "folders")
    for sound in (clips / "silent.mp4", clips / "missing.wav", clips / "words.txt", clips / "page.mp4"):
        with pytest.raises(InputError, match=sound.name):
            media.Writer(tmp_path / "a.mp4", 25, sound=sound)


def test_frames_that_do_not_fit_are_refused(tmp_path):
    with media.Writer(tmp_path / "a.mp4", 25) as writer:
        writer.write(FRAMES[0])
        for wrong in (FRAMES[0, :40], FRAMES[0].astype(float), FRAMES[0, ..., :2], FRAMES[0, 0]):
            with pytest.raises(ConfigError):
                writer.write(wrong)
    with pytest.raises(ConfigError), media.Writer(tmp_path / "b.mp4", 25, (64, 48)) as writer:
        writer.write(FRAMES[0])
    with pytest.raises(ConfigError):
        media.Writer(tmp_path / "b.mp4", 0)
    with pytest.raises(OutputError, match="No frame"), media.Writer(tmp_path / "b.mp4", 25):
        pass
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_the_death_of_ffmpeg_is_noticed(tmp_path):
    with pytest.raises(OutputError, match="could not be written"), media.Writer(tmp_path / "a.mp4", 25) as writer:
        writer.write(FRAMES)
        os.kill(writer._process.pid, signal.SIGKILL)
        for _ in range(100):
            writer.write(FRAMES)
            time.sleep(0.01)
        pytest.fail("it was not noticed while writing")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["mp4", "gif", "webp"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, ending):
    """A limit on the size of files stands for a disk without room."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 128, 128, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(OutputError, match="could not be written") as caught:
            write(tmp_path / f"a.{ending}", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "disk full" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_names_that_look_like_something_else(tmp_path, clips):
    for name in ("-y.mp4", "a:b.mp4", "a %d 'b' \"c\" [d].mp4", "视频 ü.mp4"):
        write(tmp_path / name, sound=clips / "good.mp4")
        with media.read_frames(tmp_path / name) as frames:
            assert coded.numbers(frames) == list(range(50))

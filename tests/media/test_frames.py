"""Clips of every kind people have: each frame once, in order, upright, at its time."""

import math
import os
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import coded
import numpy as np
import pytest
from PIL import Image

from toolkit import media
from toolkit.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]


def read(path, **options):
    with media.read_frames(path, **options) as frames:
        return coded.numbers(frames)


# -- rates ------------------------------------------------------------------------------------------------------------

NTSC = ["24000/1001", "30000/1001", "60000/1001", "120000/1001"]
CASES = [("mp4", rate) for rate in (*NTSC, "25", "12", "2503/100")] + [("mkv", rate) for rate in (*NTSC, "24", "30")]
CASES += [("webm", "30000/1001"), ("avi", "24000/1001"), ("mov", "60000/1001"), ("gif", "25"), ("gif", "24000/1001")]


@pytest.mark.parametrize("kind, rate", CASES)
def test_rates_are_exact_and_frames_come_once(tmp_path, kind, rate):
    """Also where ffmpeg prints two decimals and the container rounds to milliseconds or hundredths."""
    frames = [coded.frame(number) for number in range(120)]
    path = coded.encode(tmp_path / f"a.{kind}", frames, rate, *coded.CODECS[kind])
    info, rate = media.probe(path), Fraction(rate)
    assert info.fps == rate
    assert not info.is_variable
    assert abs(info.duration - 120 / rate) < 0.011
    with media.read_frames(info) as reader:
        assert coded.numbers(reader) == list(range(120))
        assert reader.fps == rate and reader.count == reader.expected == 120
    begin = Fraction(7, 5) if rate < 60 else Fraction(3, 5)
    first = math.floor(begin * rate + Fraction(1, 2))
    assert read(info, trim=(float(begin), float(begin) + 0.2)) == list(
        range(first, first + math.ceil(rate / 5 - Fraction(1, 100)))
    )
    assert read(info, trim=(float(begin), None)) == list(range(first, 120))


def test_an_unusual_rate_in_milliseconds(tmp_path):
    """120 stamps in whole milliseconds do not tell 25.03 from 25, but each frame still comes once."""
    path = coded.encode(tmp_path / "a.mkv", [coded.frame(n) for n in range(120)], "2503/100", *coded.H264)
    assert abs(media.probe(path).fps / 25 - 1) < 2e-3
    assert read(path) == list(range(120))


def test_printed_rates_become_fractions():
    expected = {23.976: "24000/1001", 29.97: "30000/1001", 59.94: "60000/1001", 119.88: "120000/1001", 25.0: "25"}
    for printed, exact in expected.items():
        assert media.as_rate(printed) == Fraction(exact)
    assert media.as_rate(25.03) == Fraction(2503, 100)
    assert media.as_rate("30000/1001") == Fraction(30000, 1001)


def test_another_rate_keeps_the_time(clips):
    for rate in (Fraction(10), Fraction(30000, 1001), 50):
        got = read(clips / "good.mp4", fps=rate)
        assert len(got) == round(2 * rate)
        assert all(abs(number / 25 - i / rate) <= 0.5 / 25 + 0.5 / rate for i, number in enumerate(got))


# -- variable rates ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def uneven(tmp_path_factory):
    """Frames at 30 a second, but as a phone in the dark records: now and then some are missing. And when each shows."""
    shown = [n for n in range(150) if not 40 <= n < 52 and not 90 <= n < 120 and n % 7]
    kept = "+".join(f"eq(n,{n})" for n in shown)
    frames = [coded.frame(number) for number in range(150)]
    folder = tmp_path_factory.mktemp("uneven")
    for kind in ("mp4", "mkv"):
        path, codec = folder / f"uneven.{kind}", coded.CODECS["mkv"]
        coded.encode(path, frames, 30, "-vf", f"select='{kept}'", "-fps_mode", "vfr", *codec)
    return folder, shown


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_variable_rates_are_resampled_by_time(uneven, kind):
    folder, shown = uneven
    info = media.probe(folder / f"uneven.{kind}")
    assert info.is_variable and info.fps == 30
    start = shown[0]  # the clip's time zero is its first frame
    got = read(info)
    expected = [max(n for n in shown if n <= i + start) for i in range(150 - start)]
    assert got[:140] == expected[:140] and abs(len(got) - len(expected)) <= 1
    assert read(info, trim=(2, 3)) == expected[60:90]  # 3.07 s in: what is seen is older than the cut


def test_frames_missing_now_and_then_leave_the_rate(tmp_path):
    """Every seventh frame missing is 30 a second with gaps, not 25.7 a second; so do encoders drop still frames."""
    frames = [coded.frame(number) for number in range(140)]
    drop = ("-vf", "select='mod(n,7)'", "-fps_mode", "vfr")
    path = coded.encode(tmp_path / "a.mkv", frames, 30, *drop, *coded.H264)
    info = media.probe(path)
    assert info.fps == 30 and info.is_variable
    assert read(info)[:20] == [1, 2, 3, 4, 5, 6, 6, 8, 9, 10, 11, 12, 13, 13, 15, 16, 17, 18, 19, 20]


def test_jitter_is_not_variable(tmp_path, ffmpeg):
    """A phone's clock: 25.03 frames a second, each up to 8 ms off."""
    frames = [coded.frame(number) for number in range(200)]
    shake = "setpts='(N/25.03+0.008*sin(N*12.9898))/TB'"
    path = coded.encode(
        tmp_path / "a.mp4", frames, 25, "-vf", f"settb=1/90000,{shake}", "-fps_mode", "vfr", "-video_track_timescale",
        "90000", *coded.H264,
    )  # fmt: skip
    info = media.probe(path)
    assert not info.is_variable
    assert abs(float(info.fps) - 25.03) < 0.05 and info.fps.denominator <= 1001
    assert read(path) == list(range(200))


# -- shapes and containers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_clips_come_upright(clips, turn):
    path = clips / f"turned{turn}.mp4"
    info = media.probe(path)
    assert info.rotation == turn
    with media.read_frames(path) as frames:
        for number, frame in enumerate(frames):
            assert frame.shape == (info.height, info.width, 3)
            assert coded.number(np.rot90(frame, -turn // 90)) == number
    assert number == 49
    assert info.size == ((64, 48) if turn != 180 else (48, 64))


def test_a_fitted_turned_clip_is_cropped_upright(clips):
    way = media.Fit((20, 48))
    with (
        media.read_frames(clips / "turned90.mp4", fit=way) as small,
        media.read_frames(clips / "turned90.mp4") as whole,
    ):
        for a, b in zip(small, whole):
            assert np.abs(a.astype(int) - way.apply(b)).mean() < 4


def test_odd_sizes(clips):
    with media.read_frames(clips / "odd.mp4") as frames:
        assert frames.size == (47, 63)
        assert coded.numbers(frames) == list(range(50))


def test_a_size_that_changes_on_the_way(tmp_path, ffmpeg):
    """As calls over the network record it: the frames keep their number and their time."""
    small = [coded.frame(number) for number in range(30)]
    large = [coded.frame(number).repeat(2, axis=0).repeat(2, axis=1) for number in range(30, 60)]
    one = coded.encode(tmp_path / "1.h264", small, 25, *coded.H264)
    two = coded.encode(tmp_path / "2.h264", large, 25, *coded.H264)
    (tmp_path / "both.h264").write_bytes(one.read_bytes() + two.read_bytes())
    ffmpeg("-framerate", 25, "-i", tmp_path / "both.h264", "-c", "copy", tmp_path / "both.mkv")
    for fit in (None, (30, 60)):
        with media.read_frames(tmp_path / "both.mkv", fit=fit) as frames:
            assert coded.numbers(frames) == list(range(60))


def test_pixels_that_are_not_square_are_made_so(clips):
    info = media.probe(clips / "wide.mp4")
    assert info.size == (48, 128)
    with media.read_frames(info) as frames:
        assert coded.numbers(frames) == list(range(50))


@pytest.mark.parametrize("name", ["piped.mkv", "cover.mp4", "silent.mp4"])
def test_containers(clips, name):
    late = round(media.probe(clips / name).origin * 25)  # some ffmpegs begin a piped .mkv with the sound coder's run-up
    assert read(clips / name) == [0] * late + list(range(50))
    assert read(clips / name, trim=(1.52, None)) == list(range(38 - late, 50))


def test_a_fragmented_clip_keeps_its_frames(clips):
    got = read(clips / "pieces.mp4")
    assert sorted(set(got)) == list(range(50)) and len(got) <= 53


def test_a_copied_cut_shows_what_a_player_shows(clips):
    """`-c copy` stores frames from the key frame on and marks those before the cut as not to be shown."""
    got = read(clips / "copied.mp4")
    assert abs(got[0] - 12.5) < 1 and sorted(set(got)) == list(range(got[0], 50)) and len(got) <= 39


def test_what_is_known_of_a_clip(clips):
    info = media.probe(clips / "good.mp4")
    assert (info.width, info.height, info.fps, info.codec) == (64, 48, 25, "h264")
    assert info.duration == pytest.approx(2.0, abs=0.01)
    assert info.has_sound and info.sound_rate == 44100 and info.sound_channels == 1
    assert not media.probe(clips / "silent.mp4").has_sound
    assert media.probe(clips / "cover.mp4").size == (48, 64)
    assert media.expected_frames(info) == 50 and media.expected_frames(info, (0.5, 1)) == 13


def test_a_folder_of_frames(clips):
    folder = clips / "pictures"  # frame0.png … frame11.png, so that 10 comes after 9 only in natural order
    assert media.probe(folder).fps == 25
    assert read(folder) == list(range(12))
    with media.read_frames(folder, fps=10, trim=(0.2, 0.6)) as frames:
        assert frames.fps == 10
        assert coded.numbers(frames) == [2, 3, 4, 5]


def test_an_array_is_a_clip():
    frames = np.stack([coded.frame(number) for number in range(8)])
    assert read(frames, trim=(0.08, None)) == [2, 3, 4, 5, 6, 7]
    with pytest.raises(InputError):
        media.read_frames(frames[0])


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animated_pictures_with_their_own_times(tmp_path, kind):
    """Frames shown for 40, 80 and 200 ms; transparent corners."""
    pictures = [Image.fromarray(np.dstack([coded.frame(n), np.full((48, 64), 255, np.uint8)])) for n in (5, 6, 7)]
    hole = Image.new("RGBA", (8, 8), (255, 0, 255, 0))
    for picture in pictures:
        picture.paste(hole, (0, 0))
    path = tmp_path / f"a.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 80, 200], disposal=2, lossless=True)
    with media.read_frames(path, fps=25) as frames:
        frames = list(frames)
    assert coded.numbers(frames) == [5, 6, 6, 7, 7, 7, 7, 7]
    assert all((frame[1:7, 1:7] == 255).all() for frame in frames)
    clear = next(media.read_frames(path, channels=4))
    assert clear.shape == (48, 64, 4) and clear[3, 3, 3] == 0 and clear[40, 40, 3] == 255
    assert next(media.read_frames(path, fit=(24, 24))).shape == (24, 24, 3)


def test_batches(clips):
    with media.read_frames(clips / "good.mp4", batch=16, channels=4) as frames:
        batches = list(frames)
    assert [batch.shape for batch in batches] == [(16, 48, 64, 4)] * 3 + [(2, 48, 64, 4)]
    assert coded.numbers(np.concatenate(batches)) == list(range(50)) and (batches[0][..., 3] == 255).all()


def test_colours_are_true(tmp_path):
    """Flat colours come back within two levels, in the mean without bias: no wrong matrix, range or rounding."""
    colours = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    frame = np.repeat(np.repeat(colours, 32, axis=0), 32, axis=1)
    with media.Writer(tmp_path / "a.mp4", 25, quality=4) as writer:
        writer.write(np.stack([frame] * 3))
    got = next(media.read_frames(tmp_path / "a.mp4")).astype(int)
    difference = (got - frame).reshape(8, 32, 8, 32, 3)[:, 8:24, :, 8:24]
    assert np.abs(difference.mean((1, 3))).max() < 2.5
    assert np.abs(difference.mean((0, 1, 2, 3))).max() < 0.5


# -- what can be wrong ------------------------------------------------------------------------------------------------

BAD = {
    "missing.mp4": "no file",
    "nothing": "no pictures",
    "empty.mp4": "empty",
    "page.mp4": "web page",
    "pointer.mp4": "git lfs pull",
    "words.txt": "not a clip",
    "noise.mp4": "not a clip",
    "cover.png": "still picture",
    "song.mp3": "no moving picture",
    "half-index-last.mp4": "cut off",
    "header-only.mp4": "cut off",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_clip(clips, name):
    with pytest.raises(InputError) as caught:
        media.read_frames(clips / name)
    assert str(clips / name) in caught.value.what and BAD[name] in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("name", ["half-good.mp4", "half-piped.mkv", "half-pieces.mp4"])
def test_a_cut_off_clip_gives_what_it_has(clips, name):
    with media.read_frames(clips / name) as frames, pytest.warns(UserWarning, match="cut off"):
        got = coded.numbers(frames)
    assert 10 < len(got) < 48
    assert [a for a, b in zip(got, got[1:]) if b > a] == list(range(len(set(got)) - 1))
    assert len(frames.warnings) == 1 and name in frames.warnings[0]


def test_a_whole_clip_gives_no_warning(clips):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("good.mp4", "piped.mkv", "pieces.mp4", "copied.mp4", "cover.mp4"):
            with media.read_frames(clips / name) as frames:
                assert coded.numbers(frames), name
            assert frames.warnings == []


def test_frames_of_a_folder_must_agree(tmp_path):
    media.write_picture(tmp_path / "1.png", coded.frame(1))
    media.write_picture(tmp_path / "2.png", coded.frame(1)[:40])
    with media.read_frames(tmp_path) as frames, pytest.raises(InputError, match=r"2\.png"):
        list(frames)


def test_bad_arguments_are_named(clips):
    good = clips / "good.mp4"
    for options in ({"trim": (1, 1)}, {"trim": (-1, 2)}, {"fps": 0}, {"batch": 0}, {"channels": 2}):
        with pytest.raises(ConfigError):
            media.read_frames(good, **options)
    with pytest.raises(InputError, match="2.00 s long"):
        media.read_frames(good, trim=(5, 6))
    assert read(good, trim=(1.9, 9)) == [48, 49]


def children():
    return {int(p) for p in os.listdir("/proc") if p.isdigit() and f"PPid:\t{os.getpid()}\n" in status(p)}


def status(process):
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc to see processes")
def test_stopping_early_ends_the_decoder(tmp_path):
    path = coded.encode(tmp_path / "long.mp4", np.zeros((300, 256, 256, 3), np.uint8), 25, *coded.H264)
    before = children()
    frames = media.read_frames(path)
    next(frames)
    assert len(children() - before) == 1
    frames.close()
    assert children() == before
    with media.read_frames(path, batch=8) as frames:
        next(frames)
    assert children() == before
    reader = media.read_frames(path)
    next(reader)
    del reader
    assert children() == before


MEMORY = """
import resource, sys
sys.path.insert(0, {root!r})
from toolkit import media
clip = media.probe({path!r})
with media.read_frames(clip, batch=8) as frames, media.Writer({out!r}, clip.fps, sound={path!r}) as writer:
    for batch in frames:
        writer.write(batch)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_memory_does_not_grow_with_the_clip(tmp_path, ffmpeg):
    peaks = []
    for seconds in (2, 16):
        path = tmp_path / f"{seconds}.mp4"
        picture, sound = f"testsrc2=s=320x240:r=25:d={seconds}", f"sine=440:d={seconds}"
        ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *coded.H264, path)
        code = MEMORY.format(root=str(ROOT), path=str(path), out=str(tmp_path / f"out{seconds}.mp4"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append([int(kilobytes) for kilobytes in done.stdout.split()])
    growth = np.subtract(peaks[1], peaks[0])  # of this process and of ffmpeg, while 80 MB more of frames go through
    assert growth.max() < 20_000


def test_importing_is_quick_and_without_torch():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import toolkit.media; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "PIL", "imageio_ffmpeg", "imageio", "scipy"} & set(loaded)

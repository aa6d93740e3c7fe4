"""Sound and picture belong together: to the sample at the ends, to less than a frame after ten minutes."""

import re
import subprocess
from fractions import Fraction

import coded
import imageio_ffmpeg
import numpy as np
import pytest

from toolkit import media
from toolkit.errors import InputError

RATE = 16000
FRAMES = np.stack([coded.frame(number) for number in range(50)])


def clicks(seconds, rate, length):
    """A waveform with a loud 20 ms tone beginning at each of the given seconds."""
    wave = np.zeros(round(length * rate), np.float32)
    for second in seconds:
        at = round(second * rate)
        wave[at : at + rate // 50] = 0.7 * np.cos(2 * np.pi * 1000 * np.arange(rate // 50) / rate)[: len(wave) - at]
    return wave


def onsets(wave, rate):
    """Seconds at which it becomes loud after at least 50 ms of silence."""
    mono = wave.reshape(len(wave), -1)[:, 0]
    loud = np.flatnonzero(np.abs(mono) > 0.2)
    return [at / rate for at, before in zip(loud, [-rate, *loud[:-1]]) if at - before > rate / 20]


def encode_sound(path, wave, rate, *options):
    raw = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0", *options, str(path)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *raw]
    subprocess.run(command, input=wave.tobytes(), check=True)
    return path


def near(a, b, within=0.003):
    return len(a) == len(b) and np.allclose(a, b, atol=within)


def sound_end(path):
    """The second at which the sound ends, by the packets in the file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a", "-c", "copy"]
    listed = subprocess.run([*command, "-f", "framecrc", "-"], capture_output=True, text=True, check=True).stdout
    tick = Fraction(re.search(r"#tb 0: (\S+)", listed)[1])
    _, _, stamp, length = map(int, listed.splitlines()[-1].split(",")[:4])
    return (stamp + length) * tick


FORMATS = {"wav": 0.001, "flac": 0.001, "mp3": 0.003, "m4a": 0.003, "ogg": 0.003, "opus": 0.003}


@pytest.mark.parametrize("kind", FORMATS)
def test_sound_files_begin_where_they_should(tmp_path, kind):
    """Whatever run-up the coder needs is not heard."""
    path = encode_sound(tmp_path / f"a.{kind}", clicks([0.5, 1.2], 48000, 2), 48000)
    wave, rate = media.read_sound(path)
    assert wave.dtype == np.float32 and wave.shape[1] == 1 and rate == 48000
    assert abs(len(wave) / rate - 2) < 0.05
    assert near(onsets(wave, rate), [0.5, 1.2], FORMATS[kind])
    part, rate = media.read_sound(path, 16000, trim=(1.1, 1.6))
    assert rate == 16000 and near(onsets(part, rate), [0.1], FORMATS[kind])
    assert abs(len(part) / rate - 0.5) < 0.002


def test_channels(tmp_path, ffmpeg):
    pair = "sine=440:d=1[a];sine=880:d=1[b];[a][b]amerge"
    ffmpeg("-filter_complex", pair, tmp_path / "two.wav")
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=1,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", tmp_path / "six.wav")
    assert media.read_sound(tmp_path / "two.wav")[0].shape[1] == 2
    assert media.read_sound(tmp_path / "six.wav")[0].shape[1] == 2
    assert media.probe_sound(tmp_path / "six.wav").channels == 6


def test_what_has_no_sound(clips):
    for name in ("silent.mp4", "cover.png", "words.txt", "missing.mp3", "empty.mp4"):
        with pytest.raises(InputError, match=name):
            media.read_sound(clips / name)
    assert media.probe_sound(clips / "silent.mp4") is None
    assert media.read_sound(clips / "song.mp3")[0].shape[1] == 1


def write(path, frames=FRAMES, fps=25, **options):
    with media.Writer(path, fps, **options) as writer:
        writer.write(frames)
    return media.read_sound(path)


@pytest.mark.parametrize("length", [0.7, 2.0, 3.5])
def test_sound_and_picture_end_together(tmp_path, length):
    """Longer sound is cut, shorter is followed by silence, in the container as well as when decoded."""
    wave, rate = write(tmp_path / "a.mp4", sound=(clicks([0.5], RATE, length), RATE))
    assert sound_end(tmp_path / "a.mp4") == 2
    assert 0 <= len(wave) - 2 * rate < 1024  # older ffmpegs decode the last packet whole
    assert near(onsets(wave, rate), [0.5])
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "a.mp4")], capture_output=True, text=True
    )
    assert "Duration: 00:00:02.00, start: 0.000000" in said.stderr


@pytest.mark.parametrize("as_file", [True, False])
def test_trim_and_offset(tmp_path, as_file):
    wave = clicks([0.5, 1.0, 1.5, 2.5], RATE, 3)
    sound = encode_sound(tmp_path / "a.wav", wave, RATE) if as_file else (wave, RATE)
    for trim, offset, expected in (
        ((0.4, None), 0, [0.1, 0.6, 1.1]),
        ((0.4, 1.2), 0, [0.1, 0.6]),
        (None, 0.3, [0.8, 1.3, 1.8]),
        (None, -0.7, [0.3, 0.8, 1.8]),
        ((0.9, 1.6), 1.0, [1.1, 1.6]),
        ((0.4, 1.2), -0.3, [0.3]),
    ):
        got, rate = write(tmp_path / "a.mp4", sound=sound, sound_trim=trim, sound_offset=offset)
        assert near(onsets(got, rate), expected), (trim, offset)
        assert sound_end(tmp_path / "a.mp4") == 2


def test_rates_and_kinds_of_waveforms(tmp_path):
    for wave, rate in (
        (clicks([0.5], 11025, 2), 11025),
        (clicks([0.5], 44100, 2).astype(np.float64), 44100),
        (np.stack([clicks([0.5], 48000, 2)] * 2).T, 48000),  # not contiguous
        ((clicks([0.5], 37000, 2) * 32767).astype(np.int16), 37000),  # a rate that AAC does not have
    ):
        got, _ = write(tmp_path / "a.mp4", sound=(wave, rate))
        assert got.shape[1] == (wave.shape[1] if wave.ndim == 2 else 1)
        assert near(onsets(got, media.probe(tmp_path / "a.mp4").sound_rate), [0.5])
    for wave in (np.zeros((5, 6)), np.zeros((2, 2, 2))):
        with pytest.raises(InputError):
            media.Writer(tmp_path / "b.mp4", 25, sound=(wave, 44100))


def test_sound_takes_as_much_as_it_may(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.2, (2 * 48000, 2)).astype(np.float32)
    sizes = []
    for name, options in {"usual.mp4": {}, "small.mp4": {"sound_quality": 48}}.items():
        with media.Writer(tmp_path / name, 25, sound=(noise, 48000), **options) as writer:
            writer.write(np.zeros((50, 64, 64, 3), np.uint8))
        sizes.append(writer.path.stat().st_size)
    assert 1.6 < sizes[0] / sizes[1] < 2.2


def test_a_stickers_sound_is_left_out(tmp_path, clips):
    with media.Writer(tmp_path / "a.gif", 25, sound=clips / "good.mp4") as writer:
        writer.write(FRAMES[:5])
    assert not writer.has_sound


def flashes_and_beeps(path, around):
    """When ffmpeg itself, as a player would, sees light and hears sound begin, looked for near the given seconds."""
    watch = ["-vf", "blackdetect=d=0.05:pix_th=0.5", "-af", "silencedetect=n=-20dB:d=0.05", "-f", "null", "-"]
    found = [], []
    for second in around:
        part = ["-copyts", "-ss", str(max(0, second - 1)), "-t", "1.6", "-i", str(path)]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", *part, *watch]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        for times, kind in zip(found, ("black", "silence")):
            times.append(float(re.search(rf"{kind}_end: ?([\d.]+)", said)[1]))
    return found


def flashing(path, fps, seconds, flashes, *container, shift=0.0):
    """A clip, black and silent but for 0.2 s of light and sound at the frames `flashes`."""
    count, rate = round(seconds * fps), 8000
    wave = np.zeros(round(count / fps * rate), np.float32)
    frames = np.zeros((count, 16, 16, 3), np.uint8)
    for first in flashes:
        lit = round(0.2 * fps)
        frames[first : first + lit] = 255
        a, b = round(first / fps * rate), round((first + lit) / fps * rate)
        wave[a:b] = 0.5 * np.sin(2 * np.pi * 500 * np.arange(b - a) / rate + 1)
    sound = encode_sound(path.with_suffix(".wav"), wave, rate)
    delayed = ["-itsoffset", str(shift)] if shift else []
    return coded.encode(path, frames, fps, *delayed, "-i", str(sound), *coded.H264, "-c:a", "aac", *container)


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60000/1001"])
def test_no_drift_in_ten_minutes(tmp_path, rate):
    fps = Fraction(rate)
    count = round(600 * fps)
    flashes = [round(1.5 * fps), count // 2, count - round(1.5 * fps)]
    path = flashing(tmp_path / "driver.mp4", fps, 600, flashes)
    with (
        media.read_frames(path, batch=64) as frames,
        media.Writer(tmp_path / "result.mp4", frames.fps, sound=path) as writer,
    ):
        for batch in frames:
            writer.write(batch)
    assert writer.fps == fps and writer.frames == count
    wanted = [float(first / fps) for first in flashes]
    seen, heard = flashes_and_beeps(tmp_path / "result.mp4", wanted)
    assert np.allclose(seen, wanted, atol=0.001)
    assert np.allclose(heard, wanted, atol=0.002)
    info = media.probe(tmp_path / "result.mp4")
    assert info.fps == fps and abs(sound_end(tmp_path / "result.mp4") - count / fps) < 0.001


@pytest.mark.parametrize("kind", ["mp4", "mkv", "trimmed", "copied", "late"])
def test_sound_stays_with_the_picture(tmp_path, ffmpeg, kind):
    """In containers with their own ideas of time zero, and in a part of a clip."""
    flashes, fps, trim = [30, 75], Fraction(25), None
    path = flashing(tmp_path / ("a.mkv" if kind == "mkv" else "a.mp4"), fps, 5, flashes, "-g", "10")
    if kind == "trimmed":
        trim, flashes = (1.0, 4.2), [5, 50]
    if kind == "copied":  # begins with frames before the cut that are not shown
        ffmpeg("-ss", "0.9", "-i", path, "-c", "copy", tmp_path / "b.mp4")
        path = tmp_path / "b.mp4"
    if kind == "late":  # the picture begins 0.3 s after the sound
        ffmpeg(
            "-itsoffset", "0.3", "-i", path, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "b.mkv"
        )
        path = tmp_path / "b.mkv"
    with (
        media.read_frames(path, trim=trim) as frames,
        media.Writer(tmp_path / "result.mp4", frames.fps, sound=path, sound_trim=trim) as writer,
    ):
        for frame in frames:
            writer.write(frame)
    wanted = np.array(flashes) / 25 - (0.9 if kind == "copied" else 0)
    seen, heard = flashes_and_beeps(tmp_path / "result.mp4", wanted)
    if kind == "late":  # a copy into .mkv may begin with the sound coder's run-up, which shifts both
        wanted = np.array(heard)
    assert np.allclose(heard, wanted, atol=0.01 if kind == "copied" else 0.003)
    assert np.allclose(seen, wanted + (0.3 if kind == "late" else 0), atol=0.021)  # half a frame: between two of ours


def test_a_gap_in_the_sound_does_not_shift_what_follows(tmp_path, ffmpeg):
    wave = clicks([0.2, 1.0, 1.8], RATE, 2)
    encode_sound(tmp_path / "a.wav", wave, RATE)
    gap = "aselect='not(between(t,0.4,0.8))'"
    ffmpeg("-i", tmp_path / "a.wav", "-af", f"asetnsamples=160,{gap}", "-c:a", "pcm_s16le", tmp_path / "gap.mkv")
    got, rate = media.read_sound(tmp_path / "gap.mkv")
    assert near(onsets(got, rate), [0.2, 1.0, 1.8], 0.01)

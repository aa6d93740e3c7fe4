"""Sound, edited: each edit is heard where and as it should be, whichever moviepy is there."""

from fractions import Fraction

import numpy as np
import pytest

import toolkit
from toolkit import media, sound
from toolkit.errors import ConfigError, InputError, ToolkitError

RATE = 16000
NOISE = np.random.default_rng(0).uniform(-0.4, 0.4, (2 * RATE, 1)).astype(np.float32)
SONG = NOISE, RATE


class OldNames:
    """A clip of moviepy 2 that answers to the names of 1.0.3 alone."""

    def __init__(self, clip):
        self.clip, self.duration, self.get_frame = clip, clip.duration, clip.get_frame

    def subclip(self, begin, end):
        return OldNames(self.clip.subclipped(begin, end))

    def fx(self, function, *arguments):
        return OldNames(function(self.clip, *arguments))


@pytest.fixture(params=["installed", "old names"])
def moviepy(request, monkeypatch):
    """The moviepy that is here, and one whose clips and effects are called as in 1.0.3."""
    if request.param == "installed":
        return
    import sys
    import types

    import moviepy.audio.fx as effects
    from moviepy.audio.AudioClip import AudioClip

    monkeypatch.setattr("moviepy.audio.AudioClip.AudioClip", lambda *given: OldNames(AudioClip(*given)))
    names = {"audio_fadein": "AudioFadeIn", "audio_fadeout": "AudioFadeOut", "volumex": "MultiplyVolume"}
    for old, new in names.items():
        module, effect = types.ModuleType(f"moviepy.audio.fx.{old}"), getattr(effects, new)
        setattr(module, old, lambda clip, *given, effect=effect: clip.with_effects([effect(*given)]))
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_a_trim_is_exact_to_the_sample(moviepy):
    samples, rate = sound.trim(SONG, 0.5, 1.25)
    assert rate == RATE
    np.testing.assert_array_equal(samples, NOISE[RATE // 2 : RATE * 5 // 4])
    np.testing.assert_array_equal(sound.trim(SONG, 1.5, 99)[0], NOISE[RATE * 3 // 2 :])


def test_a_fade_begins_and_ends_in_silence(moviepy):
    faded = sound.fade(SONG, 0.5, 1.0)[0]
    loud = np.abs(faded / NOISE)[:, 0]
    assert loud[0] < 0.001 and loud[-1] < 0.001
    assert loud[RATE // 4] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(loud[RATE // 2 : RATE], 1, atol=1e-5)
    assert loud[RATE * 3 // 2] == pytest.approx(0.5, abs=0.01)


def test_volume(moviepy):
    np.testing.assert_allclose(sound.volume(SONG, 0.25)[0], NOISE / 4, atol=1e-6)


def test_a_mix_is_the_sum_and_a_shift_is_exact():
    low = sound.volume(SONG, 0.5)
    samples, rate = sound.mix(SONG, (low, 0.25))
    late = round(0.25 * rate)
    assert len(samples) == 2 * RATE + late
    np.testing.assert_allclose(samples[:late], NOISE[:late], atol=1e-6)
    np.testing.assert_allclose(samples[late : 2 * RATE], NOISE[late:] + NOISE[:-late] / 2, atol=1e-6)
    moved = sound.shift(SONG, 0.1)[0]
    assert not moved[: RATE // 10].any()
    np.testing.assert_array_equal(moved[RATE // 10 :], NOISE)
    np.testing.assert_array_equal(sound.shift(SONG, -0.1)[0], NOISE[RATE // 10 :])


def test_mono_and_stereo_files_of_other_rates_mix(tmp_path):
    stereo = sound.write((np.repeat(NOISE, 2, 1), RATE), tmp_path / "stereo.wav")
    other = sound.write((NOISE[::2], RATE // 2), tmp_path / "other.wav")
    samples, rate = sound.mix(stereo, (other, 0.5))
    assert rate == RATE and samples.shape == (RATE * 5 // 2, 2)


def test_nothing_is_overwritten(tmp_path):
    first = sound.write(SONG, tmp_path / "song.wav")
    assert sound.write(SONG, tmp_path / "song.wav") != first
    np.testing.assert_allclose(sound.read(first)[0], NOISE, atol=1e-4)


def clip(path, waveform=None, seconds=2, fps=Fraction(30000, 1001)):
    with media.Writer(path, fps, sound=waveform) as writer:
        for k in range(round(seconds * fps)):
            writer.write(np.full((32, 32, 3), 4 * k, np.uint8))
    return toolkit.Clip.open(path)


def test_a_finished_clip_gets_another_sound(tmp_path):
    mute = clip(tmp_path / "mute.mp4")
    loud = sound.put(mute, sound.trim(SONG, 0, 1))
    assert loud.path != mute.path and loud.has_sound and not mute.has_sound
    assert (loud.frames, loud.fps, loud.size) == (mute.frames, mute.fps, mute.size)
    heard, rate = sound.read(loud.path)
    assert len(heard) / rate == pytest.approx(loud.seconds, abs=0.03), "silence up to the end of the picture"
    assert np.abs(heard[: RATE * 9 // 10]).max() > 0.1 and np.abs(heard[RATE * 11 // 10 :]).max() < 0.02
    assert not sound.put(loud, None, tmp_path / "quiet.mp4").has_sound


def test_lag_is_measured_to_the_sample(tmp_path):
    assert sound.lag(sound.shift(SONG, 0.01), SONG, at=0.5, window=0.5) == pytest.approx(0.01, abs=1e-9)
    assert sound.lag(sound.shift(SONG, -0.02), SONG, at=0.5, window=0.5) == pytest.approx(-0.02, abs=1e-9)
    coded = clip(tmp_path / "coded.mp4", SONG)
    assert [sound.lag(coded.path, SONG, at, window=0.4) for at in (0, 0.7, 1.5)] == [0, 0, 0]
    with pytest.raises(InputError, match="nothing to hear at 1"):
        sound.lag(SONG, (np.zeros((2 * RATE, 1), np.float32), RATE), at=1)


def test_animate_takes_an_edited_sound(tmp_path):
    song = sound.fade(sound.volume(toolkit.sample("driving.mp4"), 0.5), 0.1)
    made = toolkit.animate(
        toolkit.sample("picture.png"), toolkit.sample("driving.mp4"), trim=(0, 0.2), sound=song, progress=False
    )
    assert made.has_sound


def test_mistakes_are_explained(monkeypatch):
    with pytest.raises(ConfigError, match="from 3 to 2 s"):
        sound.trim(SONG, 3)
    with pytest.raises(ConfigError, match="fade of 3 and 0 s does not fit into 2.00 s"):
        sound.fade(SONG, 3, 0)
    with pytest.raises(ConfigError, match="volume"):
        sound.volume(SONG, -1)
    with pytest.raises(ConfigError, match="samples a second"):
        sound.mix(SONG, (NOISE, 8000))
    with pytest.raises(InputError, match="no sound to mix"):
        sound.mix()
    monkeypatch.setitem(__import__("sys").modules, "moviepy.audio.AudioClip", None)
    with pytest.raises(ToolkitError, match="moviepy.*pip install moviepy"):
        sound.trim(SONG, 0, 1)

"""Songs and performances: the mouth follows the sound, the head moves and the eyes blink."""

import numpy as np
import pytest
import torch

from toolkit import puppets as P
from toolkit.puppets.performance import envelope
from toolkit.puppets.song import RATE


@pytest.fixture(scope="module")
def tune():
    return P.song(6, seed=3, rate=16000)


def alike(a, b):
    return np.corrcoef(np.asarray(a), np.asarray(b))[0, 1]


def test_song(tune):
    wave, syllables = tune
    assert wave.shape == (96000,) and wave.dtype == np.float32 and 0.5 < np.abs(wave).max() <= 1
    again, _ = P.song(6, seed=3, rate=16000)
    assert np.array_equal(wave, again)
    assert len(syllables) >= 6 and all(a.end <= b.start + 1e-6 for a, b in zip(syllables, syllables[1:]))
    # it is voiced at the pitch that it says
    s = max(syllables, key=lambda s: s.end - s.start)
    piece = wave[int((s.start + 0.15) * 16000) : int((s.end - 0.1) * 16000)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 16))
    f = np.fft.rfftfreq(1 << 16, 1 / 16000)
    on = sum(spectrum[(f > k * s.pitch * 0.97) & (f < k * s.pitch * 1.03)].max() for k in (1, 2, 3))
    off = sum(spectrum[(f > k * s.pitch * 1.3) & (f < k * s.pitch * 1.4)].max() for k in (1, 2, 3))
    assert on > 3 * off


@pytest.mark.parametrize("known", [True, False])
def test_mouth_follows_the_sound(tune, known):
    wave, syllables = tune
    pose = P.performance(6, 25, 1, torch.from_numpy(wave), rate=16000, syllables=syllables if known else None)
    assert len(pose) == 150
    assert alike(pose.mouth_open, envelope(wave, 16000, 150, 25)) > 0.6
    assert pose.mouth_open.max() > 0.6 and pose.mouth_open[:4].max() < 0.1


def test_vowels_are_heard():
    """From the bare waveform the mouth is about as wide and as open as the vowels sung."""
    wave, syllables = P.song(10, seed=8, rate=16000)
    told, heard = (P.performance(10, 25, 1, wave, rate=16000, syllables=s) for s in (syllables, None))
    assert alike(told.mouth_wide, heard.mouth_wide) > 0.4 and alike(told.mouth_open, heard.mouth_open) > 0.6


def test_silence():
    pose = P.performance(2, 25, 1, np.zeros(2 * RATE, np.float32))
    assert pose.mouth_open.max() == 0 and pose.mouth_wide.abs().max() < 1e-6


def test_it_lives():
    pose = P.performance(12, 30, seed=4)
    assert len(pose) == 360 and all(getattr(pose, f).isfinite().all() for f in ("yaw", "eye_left", "mouth_open"))
    assert (pose.eye_left < 0.1).any() and (pose.eye_left > 0.85).float().mean() > 0.7
    assert pose.yaw.std() > 0.03 and pose.gaze_x.std() > 0.1 and pose.brow_left.std() > 0.05
    # eased: no jumps of the head, and it begins near neutral
    assert pose.yaw.diff().abs().max() < 0.05 and pose.roll.diff().abs().max() < 0.03
    first = pose[0]
    assert max(abs(float(getattr(first, f))) for f in ("yaw", "pitch", "roll", "x", "y", "brow_left", "gaze_x")) < 0.02
    assert torch.equal(P.performance(12, 30, seed=4).yaw, pose.yaw)
    assert len(P.performance(1.5, 24000 / 1001, 1)) == 36

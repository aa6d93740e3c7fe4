"""A pose for every frame: sway, blinks, glances, brows, and a mouth that follows a sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .pose import Pose
from .song import CONSONANTS, RATE, VOWELS, Syllable


def envelope(sound: np.ndarray, rate: int, frames: int, fps: float) -> np.ndarray:
    """Loudness of every frame, 0 … 1: root mean square of a window of 1.5 frames, above the sound's own floor."""
    sound = np.asarray(sound, np.float64).reshape(-1)
    half = 0.75 * rate / fps
    total = np.concatenate([[0.0], np.cumsum(sound**2)])
    middle = (np.arange(frames) + 0.5) * rate / fps
    a, b = (np.clip(middle + d, 0, len(sound)).astype(int) for d in (-half, half))
    level = np.sqrt((total[b] - total[a]) / np.maximum(b - a, 1))
    floor, top = (np.percentile(level, q) for q in (8, 97)) if frames else (0, 1)
    return np.clip((level - floor) / max(top - floor, 1e-6), 0, 1)


def _mouth_of_sound(sound: np.ndarray, rate: int, frames: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Open and wide from a bare waveform: its loudness, and where the energy of its spectrum lies (crude formants)."""
    loud = envelope(sound, rate, frames, fps)
    sound = np.asarray(sound, np.float64).reshape(-1)
    n = max(256, int(rate * 0.05))
    pad = np.pad(sound, n)
    window = np.hanning(n)
    f = np.fft.rfftfreq(n, 1 / rate)
    bands = [(f >= a) & (f < b) for a, b in ((200, 700), (700, 1150), (1150, 1700), (1700, 3300))]
    power = np.zeros((frames, 4))
    for k in range(frames):
        a = int((k + 0.5) * rate / fps + n / 2)
        piece = pad[a : a + n]
        spectrum = np.abs(np.fft.rfft(np.pad(piece, (0, n - len(piece))) * window)) ** 2
        power[k] = [spectrum[band].sum() for band in bands]
    _, m, n_, h = np.sqrt(power / (power.sum(1, keepdims=True) + 1e-12)).T
    bright = np.clip((h / (m + 1e-6) - 0.6) / 0.5, 0, 1)  # e and i: a high second formant, a hole under it
    dark = (1 - bright) * np.clip((0.25 - n_) / 0.1, 0, 1)  # o and u: little above the first two
    opening = 0.3 + 0.7 * np.clip((m + n_ - 0.25) / 0.6, 0, 1)  # a: a high first formant
    return loud**0.7 * opening, (0.85 * bright - 0.8 * dark) * np.clip(loud * 3, 0, 1)


def _mouth_of_syllables(syllables: Sequence[Syllable], t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Open and wide from what is sung; the mouth is a little ahead of the sound, as mouths are."""
    opening, wide = np.zeros_like(t), np.zeros_like(t)
    t = t + 0.04
    for s in syllables:
        gap, _, ajar = CONSONANTS[s.consonant]
        o, w = VOWELS[s.vowel][1]
        rise = _ease((t - s.start - 0.5 * gap) / 0.10)
        fall = _ease((s.end + 0.02 - t) / 0.12)
        opening = np.maximum(opening, (ajar + (o - ajar) * rise) * fall * (t >= s.start - 0.05))
        near = _ease((t - s.start + 0.10) / 0.12) * _ease((s.end + 0.10 - t) / 0.15)
        wide = wide * (1 - near) + w * near
    return opening, wide


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _wander(t: np.ndarray, rng: np.random.Generator, hold: float, reach: float, move: float) -> np.ndarray:
    """Holds a place for about `hold` seconds, then goes to another in `move` seconds, eased; starts at 0."""
    out, at, now = np.zeros_like(t), 0.6 * hold, 0.0
    while len(t) and at < t[-1]:
        aim = rng.uniform(-reach, reach) if abs(now) < 0.5 * reach or rng.random() < 0.4 else -0.5 * now
        out += (aim - now) * _ease((t - at) / move)
        now, at = aim, at + hold * rng.uniform(0.6, 1.4)
    return out


def _smooth(x: np.ndarray, width: float) -> np.ndarray:
    """Gaussian, width in frames."""
    if width <= 0 or len(x) < 2:
        return x
    k = np.arange(-int(3 * width) - 1, int(3 * width) + 2)
    kernel = np.exp(-0.5 * (k / width) ** 2)
    return np.convolve(np.pad(x, len(k) // 2, mode="edge"), kernel / kernel.sum(), "valid")


def performance(
    seconds: float,
    fps: float,
    seed: int,
    sound: np.ndarray | torch.Tensor | None = None,
    *,
    rate: int = RATE,
    syllables: Sequence[Syllable] | None = None,
    lively: float = 1.0,
) -> Pose:
    """round(seconds * fps) poses that begin near neutral.

    sound: a mono waveform of `rate` samples a second; the mouth follows its loudness and, from its spectrum, its
    vowels. With `syllables` (as `song` returns them) the vowels are known. Without a sound the mouth babbles a little.
    lively: how far head and brows move.
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * fps)
    t = np.arange(n) / fps
    start = _ease(t / 0.8)

    def sway(reach: float, period: float) -> np.ndarray:
        a, b = rng.uniform(0, 2 * np.pi, 2)
        return (
            reach * start * (0.6 * np.sin(2 * np.pi * t / period + a) + 0.4 * np.sin(2 * np.pi * t / period / 1.9 + b))
        )

    if sound is not None:
        wave = np.asarray(sound.cpu() if isinstance(sound, torch.Tensor) else sound).reshape(-1)
        loud = envelope(wave, rate, n, fps)
        opening, wide = _mouth_of_sound(wave, rate, n, fps)
        if syllables is not None:
            opening, wide = _mouth_of_syllables(syllables, t)
            opening = opening * (0.55 + 0.45 * _smooth(loud, 0.6))
        else:
            opening, wide = _smooth(opening, 0.018 * fps), _smooth(wide, 0.05 * fps)
    else:
        loud = np.clip(np.abs(sway(1.0, 0.9)) * (_wander(t, rng, 1.5, 1.0, 0.3) > -0.2), 0, 1)
        opening, wide = 0.6 * loud, sway(0.7, 1.3)

    # blinks: shut in 80 ms, open again in 160 ms
    lids, at = np.ones(n), rng.uniform(1.2, 2.2)
    while at < seconds:
        lids = np.minimum(lids, 1 - _ease((t - at) / 0.08) * _ease((at + 0.26 - t) / 0.16))
        at += rng.uniform(0.3, 0.5) if rng.random() < 0.12 else rng.uniform(1.8, 4.2)
    squint = 1 - 0.12 * np.clip(_smooth(wide, 0.1 * fps), 0, 1)
    gaze_x, gaze_y = _wander(t, rng, 1.3, 0.75, 0.06), _wander(t, rng, 1.9, 0.45, 0.06)
    yaw = lively * (_wander(t, rng, 1.9, 0.30, 0.8) + sway(0.05, 2.7))
    pitch = lively * (_wander(t, rng, 2.1, 0.12, 0.7) + sway(0.03, 2.1) + 0.05 * start * _smooth(loud, 0.2 * fps))
    roll = lively * (_wander(t, rng, 2.3, 0.14, 0.9) + sway(0.06, 3.1))
    lift = lively * (0.45 * _smooth(loud, 0.12 * fps) * start + _wander(t, rng, 1.7, 0.5, 0.2))
    odd = lively * _wander(t, rng, 3.0, 0.25, 0.25)
    rows = {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "eye_left": lids * squint,
        "eye_right": lids * squint,
        "gaze_x": gaze_x - 0.5 * yaw,
        "gaze_y": gaze_y,
        "brow_left": np.clip(lift + odd, -1, 1),
        "brow_right": np.clip(lift - odd, -1, 1),
        "mouth_open": np.clip(opening, 0, 1),
        "mouth_wide": np.clip(wide, -1, 1),
        "x": 0.12 * yaw + lively * sway(0.02, 3.7),
        "y": -0.06 * pitch + lively * sway(0.012, 1.7),
        "scale": 1 + lively * sway(0.02, 4.1),
    }
    return Pose(**{k: torch.from_numpy(np.ascontiguousarray(v)).float() for k, v in rows.items()})

"""A short tune of our own making, sung by a formant synthesiser (source and filter), with a soft accompaniment."""

from __future__ import annotations

import dataclasses

import numpy as np

RATE = 44100
# The first three formants (Hz) of a light voice, and how the mouth stands: open, wide (as in Pose).
VOWELS = {
    "a": ((860, 1350, 2800), (0.95, 0.10)),
    "e": ((520, 2050, 2850), (0.55, 0.60)),
    "i": ((330, 2500, 3200), (0.30, 0.95)),
    "o": ((500, 900, 2700), (0.62, -0.60)),
    "u": ((370, 800, 2500), (0.30, -1.00)),
}
CONSONANTS = {
    "l": (0.05, 0.35, 0.18),
    "m": (0.09, 0.22, 0.0),
    "d": (0.05, 0.0, 0.12),
    "b": (0.06, 0.0, 0.0),
    "n": (0.07, 0.25, 0.12),
}
"""Seconds of the gap, loudness in it, and how far the mouth stays open."""


@dataclasses.dataclass(frozen=True)
class Syllable:
    """One sung note: times in seconds, pitch in Hz, a key of CONSONANTS that begins it and one of VOWELS."""

    start: float
    end: float
    pitch: float
    consonant: str
    vowel: str


_SCALE = (0, 2, 4, 5, 7, 9, 11)
_ROUNDS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (5, 3, 0, 4))  # chords, as degrees of the scale
_RHYTHMS = ((1, 1, 2), (2, 1, 1), (1, 1, 1, 1), (1.5, 0.5, 2), (2, 2), (1, 0.5, 0.5, 2))  # beats


def _hertz(key: float, degree: int) -> float:
    return key * 2 ** ((12 * (degree // 7) + _SCALE[degree % 7]) / 12)


def _tempo(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """When the beats are, in seconds, the end of the last one included: whole bars of four."""
    count = max(4, int(seconds * rng.uniform(2.4, 2.7) // 4) * 4)
    lead, tail = 0.35, min(0.8, 0.1 * seconds)
    return lead + (seconds - lead - tail) / count * np.arange(count + 1)


def beats(seconds: float, seed: int) -> np.ndarray:
    """When the beats of `song(seconds, seed)` are, in seconds, the end of the last one included: whole bars of four."""
    return _tempo(seconds, np.random.default_rng(seed))


def _compose(
    seconds: float, rng: np.random.Generator
) -> tuple[list[Syllable], list[tuple[float, float, float, float]]]:
    """The melody, and the accompaniment's notes (start, length, Hz, loudness)."""
    times = _tempo(seconds, rng)
    lead, bars = times[0], len(times) // 4
    beat = (times[-1] - lead) / (4 * bars)
    key = 196 * 2 ** (rng.integers(0, 5) / 12)
    chords = _ROUNDS[rng.integers(len(_ROUNDS))]
    melody, plucks = [], []
    degree = int(rng.choice([2, 4, 7]))
    rhythms = [_RHYTHMS[k] for k in rng.integers(len(_RHYTHMS), size=2)]
    for bar in range(bars):
        root = chords[bar % 4] if bar < bars - 1 else 0
        tones = [root + k for k in (0, 2, 4)]
        at = lead + bar * 4 * beat
        for k in range(8):  # a rolling accompaniment under a bass
            plucks.append(
                (
                    at + k * beat / 2,
                    2.2 * beat,
                    _hertz(key / 2, tones[(0, 1, 2, 1)[k % 4]] + 7 * (k % 4 == 3)),
                    0.5 if k % 2 else 0.7,
                )
            )
        plucks.append((at, 4 * beat, _hertz(key / 4, root), 1.0))
        lengths = (4,) if bar == bars - 1 else rhythms[bar % 2]
        for j, length in enumerate(lengths):
            if j == 0:  # strong beats take the nearest tone of the chord
                wish = degree + int(rng.integers(-2, 3))
                near = [t + 7 * o for t in tones for o in (-1, 0, 1) if 0 <= t + 7 * o <= 8]
                degree = min(near, key=lambda d: (abs(d - wish), d))
            else:
                degree += int(rng.choice([-2, -1, -1, 1, 1, 2]))
            degree = int(np.clip(degree, 0, 8))
            if bar == bars - 1:
                degree = 7 if degree > 4 else 0
            rest = 0.10 * beat if j < len(lengths) - 1 else 0.3 * beat
            vowel = "a" if bar == bars - 1 else str(rng.choice(list("aaeiou")))
            melody.append(
                Syllable(at, at + length * beat - rest, _hertz(key, degree), str(rng.choice(list("llmdbn"))), vowel)
            )
            at += length * beat
    return melody, plucks


def _voice(melody: list[Syllable], samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The singer alone."""
    step = 200  # control values a second
    t = np.arange(int(np.ceil(samples / rate * step)) + 2) / step
    loud, pitch = np.zeros_like(t), np.full_like(t, melody[0].pitch)
    formants = np.tile(np.array(VOWELS[melody[0].vowel][0], float), (len(t), 1))
    for s in melody:
        gap, murmur, _ = CONSONANTS[s.consonant]
        inside = (t >= s.start) & (t < s.end)
        into = t - s.start
        level = (
            np.clip((into - gap) / 0.05, 0, 1)
            * np.clip((s.end - t) / 0.09, 0, 1)
            * (1 - 0.25 * np.clip(into - 0.3, 0, 1))
        )
        level = np.maximum(level, murmur * 0.5 * np.clip(into / 0.02, 0, 1) * (into < gap))
        loud = np.where(inside, level, loud)
        pitch[t >= s.start] = s.pitch
        formants[t >= s.start] = VOWELS[s.vowel][0]

    def ease(x: np.ndarray, seconds: float) -> np.ndarray:
        width = max(1, int(seconds * step)) | 1
        kernel = np.hanning(width + 2)[1:-1]
        pad = np.pad(x, [(width // 2, width // 2)] + [(0, 0)] * (x.ndim - 1), mode="edge")
        columns = pad.reshape(len(pad), -1).T
        return np.stack([np.convolve(c, kernel / kernel.sum(), "valid") for c in columns], 1).reshape(x.shape)

    pitch, formants, loud = np.exp(ease(np.log(pitch), 0.07)), ease(formants, 0.08), ease(loud, 0.025)
    held = ease((loud > 0.5).astype(float), 0.4)
    pitch = pitch * (1 + 0.011 * held * np.sin(2 * np.pi * 5.4 * t) + 0.002 * ease(rng.standard_normal(len(t)), 0.1))
    at = np.arange(samples) / rate
    phase = 2 * np.pi * np.cumsum(np.interp(at, t, pitch)) / rate
    out = np.zeros(samples)
    for k in range(1, int(min(5500, rate / 2.2) / pitch.min()) + 1):
        f = k * pitch
        gain = np.zeros_like(f)
        for formant, strength, width in zip(formants.T, (1.0, 0.55, 0.28), (95, 120, 190)):
            gain += strength / np.sqrt(((f - formant) / width) ** 2 + 1)
        gain = (gain + 0.06) / k**0.75 * (f < 5500)
        out += np.interp(at, t, gain * loud) * np.sin(k * phase + k * k * 0.3)
    breath = rng.standard_normal(samples) * np.interp(at, t, loud) * 0.012
    return out + breath


def _accompaniment(plucks: list[tuple[float, float, float, float]], samples: int, rate: int) -> np.ndarray:
    """Soft plucked strings."""
    out = np.zeros(samples)
    for start, length, hertz, loud in plucks:
        a, n = int(start * rate), int(length * 1.3 * rate)
        n = min(n, samples - a)
        if n <= 0:
            continue
        t = np.arange(n) / rate
        tone = sum(np.sin(2 * np.pi * hertz * k * t) * np.exp(-t * (1.6 + 1.5 * k)) / k**1.7 for k in range(1, 7))
        out[a : a + n] += loud * tone * np.clip(t / 0.004, 0, 1) * np.clip((n - np.arange(n)) / (0.05 * rate), 0, 1)
    return out


def _drums(times: np.ndarray, samples: int, rate: int) -> np.ndarray:
    """A drum on the beat, a clap on every second one, a shaker between."""
    rng, out = np.random.default_rng(0), np.zeros(samples)
    t = np.arange(int(0.3 * rate)) / rate
    hiss = np.diff(rng.standard_normal(len(t)), prepend=0.0)
    drum = np.sin(2 * np.pi * (50 * t + 6 * (1 - np.exp(-18 * t)))) * np.exp(-13 * t)
    clap = 0.45 * hiss * np.exp(-32 * t) * (1 + (t % 0.012 < 0.004))
    shaker = 0.16 * hiss * np.exp(-60 * t)
    half = np.diff(times).mean() / 2 if len(times) > 1 else 0
    for k, at in enumerate(times):
        for hit, start in ((drum, at), *([(clap, at)] if k % 2 else []), (shaker, at + half)):
            piece = out[round(start * rate) :][: len(t)]
            piece += hit[: len(piece)]
    return out


def song(seconds: float, seed: int, rate: int = RATE, drums: float = 0.0) -> tuple[np.ndarray, list[Syllable]]:
    """A tune `seconds` long: (mono float32 waveform in -1 … 1, round(seconds * rate) samples; the syllables sung).

    drums: how loud drums beat time with it, 0 … 1.
    """
    rng = np.random.default_rng(seed)
    samples = round(seconds * rate)
    melody, plucks = _compose(seconds, rng)
    voice = _voice(melody, samples, rate, rng)
    voice /= np.abs(voice).max() + 1e-9
    strings = _accompaniment(plucks, samples, rate)
    strings /= np.abs(strings).max() + 1e-9
    mixed = 0.8 * voice + 0.24 * strings
    # a small room
    n = min(samples, int(0.9 * rate))
    room = rng.standard_normal(n) * np.exp(-np.arange(n) / rate * 7.5)
    room = np.convolve(room, np.ones(12) / 12, "same")
    size = 1 << (samples + n - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(mixed, size) * np.fft.rfft(room / np.sqrt((room**2).sum()), size), size)[:samples]
    mixed = mixed + 0.16 * wet * np.abs(mixed).max() / (np.abs(wet).max() + 1e-9) * 2
    if drums:
        mixed = mixed + drums * np.abs(mixed).max() * _drums(beats(seconds, seed), samples, rate)
    fade = np.clip(np.minimum(np.arange(samples), samples - 1 - np.arange(samples)) / (0.05 * rate), 0, 1)
    mixed *= fade
    return (0.85 * mixed / (np.abs(mixed).max() + 1e-9)).astype(np.float32), melody

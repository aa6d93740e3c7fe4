"""Sounds, edited: trimmed, faded, made louder, shifted, mixed; and put under a clip that is finished.

Every function takes a sound as `toolkit.animate(sound=…)` does, a file or (samples, samples a second), and returns
(samples, samples a second), float32 samples x channels. The edits are moviepy's, whose names changed between
1.0.3 (Colab's) and 2; this is the one place that knows both. Reading is the toolkit's own, so that sample n is heard
n / rate seconds after the first picture, to the sample.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from . import media
from .clip import Clip
from .errors import ConfigError, InputError, ToolkitError
from .media import Writer
from .media.sound import Sound

Waveform = tuple[np.ndarray, int]
PIECE = 1 << 18  # samples rendered at a time


def read(sound: Sound, rate: int | None = None) -> Waveform:
    """A sound as (samples x channels, samples a second). rate: another number of samples a second."""
    if not isinstance(sound, tuple):
        return media.read_sound(sound, rate)
    media.check_sound(sound)
    samples = np.asarray(sound[0])
    samples = samples[:, None] if samples.ndim == 1 else samples
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / (np.iinfo(samples.dtype).max + 1.0)
    if rate and rate != sound[1]:
        raise ConfigError(f"The samples are {sound[1]} a second, not {rate}.", "Read them from a file at that rate.")
    return samples.astype(np.float32), sound[1]


def seconds(sound: Sound) -> float:
    """How long a sound is."""
    samples, rate = read(sound)
    return len(samples) / rate


def trim(sound: Sound, begin: float = 0.0, end: float | None = None) -> Waveform:
    """The part from begin to end, in seconds."""
    samples, rate = read(sound)
    end = len(samples) / rate if end is None else min(end, len(samples) / rate)
    if not 0 <= begin < end:
        raise ConfigError(f"A trim from {begin:g} to {end:g} s has nothing in it.", "Give begin and end in seconds.")
    begin, end = round(begin * rate) / rate, round(end * rate) / rate
    return _edited(samples, rate, lambda clip: _call(clip, "subclip", "subclipped", begin, end))


def fade(sound: Sound, begin: float = 0.0, end: float = 0.0) -> Waveform:
    """Louder and louder in the first `begin` seconds, softer and softer in the last `end`."""
    samples, rate = read(sound)
    if min(begin, end) < 0 or max(begin, end) > len(samples) / rate:
        raise ConfigError(f"A fade of {begin} and {end} s does not fit into {len(samples) / rate:.2f} s.")

    def edit(clip: Any) -> Any:
        clip = _effect(clip, "audio_fadein", "AudioFadeIn", begin) if begin else clip
        return _effect(clip, "audio_fadeout", "AudioFadeOut", end) if end else clip

    return _edited(samples, rate, edit)


def volume(sound: Sound, factor: float) -> Waveform:
    """Louder (above 1) or softer; beyond full scale it is cut off when it is written."""
    if factor < 0:
        raise ConfigError(f"A volume is 0 (silence), 1 (as it is) or more, not {factor}.")
    return _edited(*read(sound), lambda clip: _effect(clip, "volumex", "MultiplyVolume", factor))


def shift(sound: Sound, by: float) -> Waveform:
    """Heard `by` seconds later, after silence; or earlier when negative: then the first seconds are cut off."""
    if by < 0:
        return trim(sound, -by)
    return mix((sound, by))


def mix(*sounds: Sound | tuple[Sound, float]) -> Waveform:
    """Several sounds at once, at the first one's rate; (sound, 0.5) begins half a second later. As long as the longest.

    Mono and stereo mix to stereo. Nothing is made softer: sum to at most 1 (`volume`), or the peaks are cut off.
    """
    from moviepy.audio.AudioClip import CompositeAudioClip

    placed = [sound if _is_placed(sound) else (sound, 0.0) for sound in sounds]
    if not placed:
        raise InputError("There is no sound to mix.", "Give at least one.")
    if any(by < 0 for _, by in placed):
        raise ConfigError("A sound of a mix begins at 0 s or later.", "Cut its beginning off with trim.")
    rate = read(placed[0][0])[1]
    parts = [read(sound) if isinstance(sound, tuple) else read(sound, rate) for sound, _ in placed]
    if any(other != rate for _, other in parts):
        raise ConfigError(f"The sounds have {sorted({other for _, other in parts})} samples a second.", "Give files.")
    channels = max(samples.shape[1] for samples, _ in parts)
    parts = [np.broadcast_to(samples, (len(samples), channels)) for samples, _ in parts]
    begins = [round(by * rate) for _, by in placed]  # to the sample
    clips = [_call(_clip(part, rate), "set_start", "with_start", at / rate) for part, at in zip(parts, begins)]
    length = max(len(part) + at for part, at in zip(parts, begins))
    return _rendered(CompositeAudioClip(clips), length, rate, channels), rate


def write(sound: Sound, path: str | os.PathLike) -> Path:
    """A sound as a .wav file, 16 bits a sample. What is beyond full scale is cut off. Overwrites nothing."""
    import wave

    samples, rate = read(sound)
    path = media.free_name(Path(path).with_suffix(".wav"))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return path


def put(clip: Clip | str | os.PathLike, sound: Sound | None, output: str | os.PathLike | None = None) -> Clip:
    """The clip with another sound, or none: cut, or followed by silence, to the length of the picture.

    output: a path; None finds a free name beside the clip. The pictures are encoded anew. Raises as `media.Writer`.
    """
    clip = clip if isinstance(clip, Clip) else Clip.open(clip)
    output = media.free_name(clip.path) if output is None else output
    with media.read_frames(clip.path, fps=clip.fps) as frames, Writer(output, clip.fps, sound=sound) as writer:
        for frame in frames:
            writer.write(frame)
    return Clip.open(writer.path, clip.report)


def lag(sound: Sound, of: Sound, at: float, window: float = 1.0, most: float = 0.1) -> float:
    """How much later the one is heard than the other round the time `at`, in seconds: where they agree best.

    window: seconds compared. most: the largest lag that is looked for. Raises InputError where nothing is heard.
    """
    one, rate = read(sound)
    other, _ = read(of) if isinstance(of, tuple) else read(of, rate)
    one, other = one.mean(1), other.mean(1)
    first, count, reach = round(at * rate), round(window * rate), round(most * rate)
    begin = max(0, first - reach)
    pattern, area = other[first : first + count], one[begin : first + count + reach]
    if len(pattern) < rate // 100 or not np.abs(pattern).max(initial=0) > 1e-4:
        raise InputError(f"There is nothing to hear at {at} s.", "Choose another time.")
    size = 1 << (len(area) + len(pattern)).bit_length()
    match = np.fft.irfft(np.fft.rfft(area, size) * np.fft.rfft(pattern, size).conj(), size)
    return float(Fraction(begin + int(match[: max(1, len(area) - len(pattern) + 1)].argmax()) - first, rate))


# ---------------------------------------------------------------- moviepy, 1 and 2


def _edited(samples: np.ndarray, rate: int, edit: Any) -> Waveform:
    clip = edit(_clip(samples, rate))
    return _rendered(clip, round(clip.duration * rate), rate, samples.shape[1]), rate


def _clip(samples: np.ndarray, rate: int) -> Any:
    """Samples as a moviepy clip of two channels (its effects take one for half of two). Not its AudioArrayClip, which
    in version 1 has no first sample.
    """
    try:
        from moviepy.audio.AudioClip import AudioClip
    except ImportError:
        raise ToolkitError("moviepy, which edits sound, is not here.", "Run: pip install moviepy") from None
    if not len(samples):
        raise InputError("The sound is empty.")
    stereo = np.broadcast_to(samples, (len(samples), 2))

    def heard(times: float | np.ndarray) -> np.ndarray:
        at = np.rint(np.asarray(times) * rate).astype(int)
        return np.where(((at >= 0) & (at < len(stereo)))[..., None], stereo[at.clip(0, len(stereo) - 1)], 0)

    return AudioClip(heard, len(samples) / rate, rate)


def _call(clip: Any, old: str, new: str, *arguments: Any) -> Any:
    return getattr(clip, new if hasattr(clip, new) else old)(*arguments)


def _effect(clip: Any, old: str, new: str, *arguments: Any) -> Any:
    if hasattr(clip, "with_effects"):
        import moviepy.audio.fx as effects

        return clip.with_effects([getattr(effects, new)(*arguments)])
    from importlib import import_module

    return clip.fx(getattr(import_module(f"moviepy.audio.fx.{old}"), old), *arguments)


def _rendered(clip: Any, length: int, rate: int, channels: int) -> np.ndarray:
    """A moviepy clip as samples x channels."""
    pieces = [np.zeros((0, channels), np.float32)]
    for begin in range(0, length, PIECE):
        times = np.arange(begin, min(begin + PIECE, length)) / rate
        pieces.append(np.asarray(clip.get_frame(times), np.float32)[:, :channels])
    return np.concatenate(pieces)


def _is_placed(sound: Any) -> bool:
    """Whether it is (sound, seconds), not (samples, rate) or a file."""
    return isinstance(sound, tuple) and not isinstance(sound[0], np.ndarray | list)

"""The exact frame rate behind time stamps that a container has rounded and behind the two decimals that are printed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

USUAL = Fraction(25)  # where nothing is known
FASTEST = Fraction(60)  # the most that is made of a variable rate
_NTSC = [Fraction(n * 1000, 1001) for n in (12, 15, 24, 30, 48, 60, 72, 90, 120, 240)]


class Rate(NamedTuple):
    """Frames per second, whether they come unevenly, and the seconds at which the even grid nearest to all begins."""

    fps: Fraction
    is_variable: bool
    begin: float


def as_rate(fps: float | int | str | Fraction) -> Fraction:
    """A rate as a fraction: 29.97 is 30000/1001, "24000/1001" and 12.5 are themselves."""
    if isinstance(fps, float):
        return standard(fps) or Fraction(fps).limit_denominator(1001)
    return Fraction(fps)


def standard(printed: float) -> Fraction | None:
    """The whole or NTSC rate that is printed like this with two decimals."""
    if round(printed) and abs(printed - round(printed)) < 0.005:
        return Fraction(round(printed))
    return next((rate for rate in _NTSC if abs(printed - rate) < 0.006), None)


def rate_of(stamps: np.ndarray, tick: Fraction, printed: list[float]) -> Rate:
    """Work out the rate of frames shown at `stamps` (sorted integers, in units of `tick` seconds).

    printed: rates that ffmpeg printed, tried first.
    """
    known = [rate for rate in map(standard, printed) if rate]
    times = stamps * float(tick)
    gaps, span = len(stamps) - 1, (int(stamps[-1]) - int(stamps[0])) * tick if len(stamps) else Fraction(0)
    if not span:
        return Rate(known[0] if known else USUAL, False, float(times[0]) if len(times) else 0.0)
    steps = np.diff(stamps)

    # A rate that explains every stamp as rounded to the container's tick …
    low, high = gaps / (span + tick), gaps / max(span - tick, tick)
    even = [gaps / span] if steps.min() == steps.max() else []
    for fps in [*known, *even, *_sensible(low, gaps / span, high)]:
        spread, begin = _spread(times, fps)
        if low <= fps <= high and spread <= min(1.01 * float(tick), 0.9 / fps):
            return Rate(fps, False, begin)
    # … or the rate at which most frames come, when all are on its grid and only some are missing …
    usual = min(1 / (Fraction(float(np.median(steps))) * tick or Fraction(1)), FASTEST)
    least, most = usual * Fraction(98, 100), usual * Fraction(102, 100)
    likely = [fps for fps in known if least <= fps <= most] + list(_sensible(least, usual, most))
    for fps in likely:
        slots = np.round((times - times[0]) * float(fps))
        if np.diff(slots).min() > 0 and np.ptp(times - slots / float(fps)) <= 1.01 * float(tick):
            return Rate(fps, True, float(times[0]))
    # … or one from which no frame strays by half a frame, as in clips of phones …
    slope = Fraction(1 / np.polyfit(np.arange(len(times)), times, 1)[0])
    slack = slope / (4 * gaps)
    for fps in _sensible(slope - slack, slope, slope + slack):
        spread, begin = _spread(times, fps)
        if spread * fps < 0.9:
            return Rate(fps, False, begin)
    # … or the one that most of it has.
    return Rate(likely[0], True, float(times[0]))


def _sensible(low: Fraction, middle: Fraction, high: Fraction) -> Iterator[Fraction]:
    """Rates from low to high, likely ones first: whole, NTSC, then the simplest fraction."""
    if low <= round(middle) <= high:
        yield Fraction(round(middle))
    yield from (rate for rate in _NTSC if low <= rate <= high)
    yield _simplest(low, high)


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the smallest denominator in [low, high]."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    return whole - 1 + 1 / _simplest(1 / (high - whole + 1), 1 / (low - whole + 1))


def _spread(times: np.ndarray, fps: Fraction) -> tuple[float, float]:
    """How far apart the deviations from an even rate are, and where the grid in the middle between them begins."""
    errors = times - np.arange(len(times)) / float(fps)
    return float(errors.max() - errors.min()), float(errors.max() + errors.min()) / 2

"""Which clip drives which picture in the published evaluation."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..errors import InputError


def random_pairs(videos: int, num_pairs: int) -> list[tuple[int, int]]:
    """The published draw where no list says so: (driving, source) indices of clips, always the same.

    Of all pairs of the first min(videos, num_pairs) clips, num_pairs are drawn without replacement.
    """
    count = min(videos, num_pairs)
    drawn = np.random.RandomState(0).choice(count * count, min(count * count, num_pairs), replace=False)
    return [(int(index) // count, int(index) % count) for index in drawn]


def listed_pairs(path: str | Path, names: Collection[str], num_pairs: int) -> list[tuple[str, str]]:
    """The (source, driving) names that a csv file with these columns lists: the first num_pairs of those whose clips
    are there. Raises InputError.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [(row["source"], row["driving"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path} lists no pairs: {error}.", "Give a csv file with columns source, driving.") from None
    return [pair for pair in rows if set(pair) <= set(names)][:num_pairs]

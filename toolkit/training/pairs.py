"""Which clip drives which picture in the published evaluation, where no list says so."""

from __future__ import annotations

import numpy as np


def random_pairs(videos: int, num_pairs: int) -> list[tuple[int, int]]:
    """The published draw: (driving, source) indices of clips, always the same.

    Of all pairs of the first min(videos, num_pairs) clips, num_pairs are drawn without replacement.
    """
    count = min(videos, num_pairs)
    drawn = np.random.RandomState(0).choice(count * count, min(count * count, num_pairs), replace=False)
    return [(int(index) // count, int(index) % count) for index in drawn]

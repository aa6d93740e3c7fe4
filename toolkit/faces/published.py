"""The cropper of clips that FOMM was published with (`crop-video.py`), exactly: per-frame detections -> boxes and the
ffmpeg commands it prints. Use it to repeat published material; `toolkit.crop` makes steadier boxes that keep their
shape near the picture's border.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

Corners = tuple[float, ...]  # left, top, right, bottom in pixels; a score may follow
DETECTED = 640  # the longer side, in pixels, of the frames that the detector saw


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """One face that stays about where it was first seen. box: left, top, width, height in whole pixels, inside the
    frame, a square unless it was clipped there. first, last: frames.
    """

    box: tuple[int, int, int, int]
    first: int
    last: int

    def command(self, fps: float, clip: str = "clip.mp4", size: Sequence[int] = (256, 256)) -> str:
        """The ffmpeg command that cuts it out of a clip, as printed; size: (width, height)."""
        left, top, width, height = self.box
        start, length = self.first / fps, (self.last - self.first) / fps
        crop = f"crop={width}:{height}:{left}:{top}, scale={size[0]}:{size[1]}"
        return f'ffmpeg -i {clip} -ss {start} -t {length} -filter:v "{crop}" crop.mp4'


def trajectories(
    detections: Sequence[Sequence[Corners]],
    size: Sequence[int],
    *,
    increase: float = 0.1,
    overlap: float = 0.25,
    min_frames: int = 150,
) -> list[Trajectory]:
    """The faces of a clip that stay, in the order in which they end.

    detections: of each frame, the boxes found in it scaled down to DETECTED (never up). size: (height, width) of the
    clip. increase: growth on each side. overlap: least intersection over union with a trajectory's first box.
    min_frames: a trajectory must be longer.
    """
    scale = max(1.0, max(size) / DETECTED)
    alive: list[list] = []  # first box, tube, first frame, last frame
    ended: list[list] = []
    for number, found in enumerate(detections):
        here = [tuple(scale * value for value in box[:4]) for box in found]
        stays = [any(overlap_of(track[0], box) > overlap for box in here) for track in alive]
        ended += [track for track, stay in zip(alive, stays, strict=True) if not stay]
        alive = [track for track, stay in zip(alive, stays, strict=True) if stay]
        for box in here:
            best = max(alive, key=lambda track: overlap_of(track[0], box), default=None)
            if best is None or overlap_of(best[0], box) <= overlap:
                alive.append([box, box, number, number])
            else:
                tube = best[1]
                best[1] = union(tube, box)
                best[3] = number
    kept = [track for track in ended + alive if track[3] - track[2] > min_frames]
    return [Trajectory(_clipped(tube, increase, size), first, last) for _, tube, first, last in kept]


def union(a: Corners, b: Corners) -> Corners:
    """The smallest box that holds both."""
    return (*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:]))


def overlap_of(a: Corners, b: Corners) -> float:
    """Intersection over union, of pixels that belong to both ends."""
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(0.0, wide) * max(0.0, high)
    areas = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return shared / (areas - shared)


def increased(tube: Corners, increase: float) -> tuple[int, int, int, int]:
    """Grown by at least that share of each side on both of its ends, to a square, and cut to whole pixels."""
    left, top, right, bottom = tube
    width, height = right - left, bottom - top
    across = max(increase, ((1 + 2 * increase) * height - width) / (2 * width))
    down = max(increase, ((1 + 2 * increase) * width - height) / (2 * height))
    return (
        int(left - across * width),
        int(top - down * height),
        int(right + across * width),
        int(bottom + down * height),
    )


def _clipped(tube: Corners, increase: float, size: Sequence[int]) -> tuple[int, int, int, int]:
    """Increased, and clipped to the frame: left, top, width, height."""
    left, top, right, bottom = increased(tube, increase)
    left, top, right, bottom = max(0, left), max(0, top), min(size[1], right), min(size[0], bottom)
    return left, top, right - left, bottom - top

"""The finder of last resort for photographs: scikit-image's frontal-face cascade. Boxes only, and no download."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import InputError
from ..media.fit import resize
from .face import Box, Face

STILL, MOVING = 400, 280  # the longer side, in pixels, at which a picture and the frames of a clip are searched
SMALLEST = 24  # the window that the cascade was trained with
TURNS = (0, -14, 14)  # degrees by which a picture is turned for another look
LOOKS = 0.6  # share of the looks in which a face must be seen
SAME = 0.3  # overlap from which two finds are the same face
# The cascade's square is a little narrower than the head and begins too high. Measured by eye on two frontal
# photographs, as shares of it: where the face's box (the forehead's middle to the chin, ear to ear) begins, and how
# wide and high that is.
LEFT, TOP, WIDTH, HEIGHT = -0.06, 0.17, 1.12, 1.02


class Cascade:
    """A Finder. A face is seen again when the picture is mirrored or turned a little, a chance pattern mostly isn't:
    only what most looks agree on counts, and the share of looks is the score.
    """

    name = "cascade"
    sees = "people who face the camera, boxes only"

    def __init__(self) -> None:
        self._cascade = _cascade()

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """uint8 T x H x W x 3 -> faces without landmarks. A clip's frames are looked at less closely than a picture."""
        side = STILL if len(frames) == 1 else MOVING
        return [self._find(frame, side) for frame in frames]

    def _find(self, frame: np.ndarray, side: int) -> list[Face]:
        scale = min(1.0, side / max(frame.shape[:2]))
        small = resize(frame, tuple(max(SMALLEST, round(length * scale)) for length in frame.shape[:2]))
        looks = [self._look(small, turn, flip) for turn in TURNS for flip in (False, True)]
        faces = []
        for boxes in _clusters(looks):
            score = len({look for look, _ in boxes}) / len(looks)
            if score >= LOOKS:
                x, y, square, _ = np.median([box for _, box in boxes], axis=0) / scale
                box = Box(x + LEFT * square, y + TOP * square, WIDTH * square, HEIGHT * square)
                faces.append(Face(Box(*map(float, box)), score, None, self.name))
        return faces

    def _look(self, picture: np.ndarray, turn: float, flip: bool) -> list[Box]:
        """What is seen in a picture that is turned (counterclockwise) and then mirrored, where it is in the picture."""
        from PIL import Image

        view = Image.fromarray(picture).convert("L").rotate(turn, Image.Resampling.BICUBIC, fillcolor=128)
        grey = np.ascontiguousarray(np.asarray(view)[:, :: -1 if flip else 1])
        height, width = grey.shape
        cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        boxes = []
        for found in self._cascade.detect_multi_scale(grey, 1.15, 1, (SMALLEST,) * 2, (min(grey.shape),) * 2, 3):
            x, y = found["c"] + found["width"] / 2, found["r"] + found["height"] / 2
            x, y = (width - x if flip else x) - width / 2, y - height / 2
            x, y = x * cos - y * sin + width / 2, x * sin + y * cos + height / 2
            boxes.append(Box(x - found["width"] / 2, y - found["height"] / 2, found["width"], found["height"]))
        return boxes


def _clusters(looks: list[list[Box]]) -> list[list[tuple[int, Box]]]:
    """The finds of all looks (number of the look, box), those of one face together: the most agreed on first."""
    rest = [(number, box) for number, boxes in enumerate(looks) for box in boxes]
    clusters = []
    while rest:
        near = [[other for other in rest if box.overlap(other[1]) > SAME] for _, box in rest]
        clusters.append(max(near, key=lambda finds: len({look for look, _ in finds})))
        rest = [find for find in rest if find not in clusters[-1]]
    return clusters


@functools.cache
def _cascade() -> Any:
    try:
        from skimage import data, feature
    except ImportError:
        raise InputError(
            "scikit-image, whose cascade finds people's faces, is not installed.", "pip install scikit-image"
        ) from None
    return feature.Cascade(data.lbp_frontal_face_cascade_filename())

"""The finder of people: the library face-alignment, with weights of the zoo put where it looks for them.

It wants a box before it finds landmarks. The boxes come from its own detector (S3FD) where that file is here too, else
from the cascade, so that one file is enough.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import shutil
import warnings
from typing import Any

import numpy as np

from .. import device, zoo
from ..errors import CheckpointError, InputError, OutputError
from ..media.fit import resize
from ..paths import torch_hub
from .cascade import Cascade
from .face import Box, Face, distinct
from .finders import DETECTOR, LANDMARKS, is_here

LARGEST = 640  # the longer side, in pixels, at which S3FD searches; the datasets of heads were cut at that
CENTRE = 0.5  # the library counts pixels from their centres, we count from the picture's edge


class Alignment:
    """A Finder. Raises InputError where the library is not installed, CheckpointError for weights that it can't load,
    FetchError for landmark weights that are not here and can't be fetched.
    """

    name = "face-alignment"
    sees = "people"

    def __init__(self) -> None:
        place(LANDMARKS)
        own = is_here(DETECTOR)
        if own:
            place(DETECTOR)
        self._network = _network("sfd" if own else "folder")  # "folder" detects nothing, and downloads nothing
        self._boxes = self._detected if own else Cascade()

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """uint8 T x H x W x 3 -> the faces of each frame, with landmarks."""
        return [
            [self._marked(frame, face) for face in faces]
            for frame, faces in zip(frames, self._boxes(frames), strict=True)
        ]

    def _detected(self, frames: np.ndarray) -> list[list[Face]]:
        """What S3FD finds, boxes alone."""
        faces = []
        for frame in frames:
            scale = min(1.0, LARGEST / max(frame.shape[:2]))
            small = resize(frame, tuple(max(1, round(length * scale)) for length in frame.shape[:2]))
            with _quiet():
                found = self._network.face_detector.detect_from_image(small)
            rows = np.asarray(found, float).reshape(-1, 5).tolist()  # left, top, right, bottom, score
            faces.append(
                distinct(
                    Face(Box(x, y, right - x, bottom - y), score, None, self.name).moved(0, 0, 1 / scale)
                    for x, y, right, bottom, score in rows
                    if right > x and bottom > y
                )
            )
        return faces

    def _marked(self, frame: np.ndarray, face: Face) -> Face:
        """The face with its landmarks."""
        x, y, wide, high = face.box
        with _quiet():
            found = self._network.get_landmarks_from_image(frame, detected_faces=[[x, y, x + wide, y + high]])
        points = found[0].astype(float) + CENTRE if found is not None and len(found) else None
        return Face(face.box, face.score, points, self.name)


def place(name: str) -> None:
    """Put the zoo's file where torch.hub, and with it the library, looks for it: checked, and fetched if need be."""
    path, wanted = zoo.fetch(name), torch_hub() / zoo.entry(name).files[0].name
    if path == wanted:
        return
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        part = wanted.with_name(f"{wanted.name}.{os.getpid()}.part")
        try:
            part.symlink_to(path.resolve())
        except OSError:  # a file system, or a Windows, without links
            shutil.copyfile(path, part)
        part.replace(wanted)
    except OSError as error:
        raise OutputError(
            f"{wanted}, where face-alignment looks for its weights, can't be written ({error.strerror}).",
            "Set TORCH_HOME to a folder that can be.",
        ) from None


def _network(detector: str) -> Any:
    try:
        import face_alignment
    except ImportError as error:
        raise InputError(
            f"The library face-alignment, which finds people's landmarks, can't be imported ({error}).",
            "pip install face-alignment",
        ) from None
    settings = {"device": str(device.pick()), "face_detector": detector, "flip_input": False}
    if "compile" in inspect.signature(face_alignment.FaceAlignment).parameters:
        settings["compile"] = False  # its default takes a minute at the first face
    kind = face_alignment.LandmarksType
    try:
        return face_alignment.FaceAlignment(getattr(kind, "TWO_D", None) or kind._2D, **settings)
    except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
        raise CheckpointError(
            f"face-alignment can't load its weights ({str(error).splitlines()[0]}).",
            f"Delete them from {torch_hub()}, and fetch them again: python -m toolkit fetch {LANDMARKS}.",
        ) from None


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the library's warning that there is no face: that is an answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

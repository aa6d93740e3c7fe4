"""The panel of the picture: who shall move."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets
import numpy as np

from .. import media
from ..errors import InputError
from ..paths import uploads_folder
from ..progress import Report
from .panel import shown, small
from .source import SourcePanel, drawn_folder

SHOWN = 200  # pixels
DRAWN_SIDE = 512
PHOTOGRAPH = "nasa-astronaut.png"  # Eileen Collins; it comes with scikit-image


class PicturePanel(SourcePanel):
    """Choose a picture: a sample, a drawn character, an upload, or a file by its path or address (`state.picture`)."""

    field = "picture"
    samples = ("picture.png", "anime.png", "group.png", "figure.png", PHOTOGRAPH)
    credits = {PHOTOGRAPH: "by nasa"}
    accept = "image/*"
    draw_key = "draw"

    def found(self, name: str) -> Path:
        return _photograph() if name == PHOTOGRAPH else super().found(name)

    def taken(self, name: str) -> Path:
        """A copy of the photograph among the uploads; what is the toolkit's own where it lies."""
        path = self.found(name)
        if name != PHOTOGRAPH:
            return path
        return media.write_picture(uploads_folder() / name, media.read_picture(path), generated=False)

    def thumbnail(self, path: Path) -> np.ndarray:
        return media.read_picture(path)

    def check(self, path: Path) -> None:
        media.read_picture(path)

    def show(self, path: str) -> None:
        picture = media.read_picture(path)
        height, width = picture.shape[:2]
        self.view.children = [
            shown(small(picture, SHOWN)),
            widgets.Label(self.words("size said", width=width, height=height)),
        ]

    def drawn(self, seed: int, style: str, report: Report) -> Path:
        from ..puppets import Pose, draw, identities
        from ..puppets.samples import to_bytes

        path = drawn_folder() / f"{style}-{seed}.png"
        # An anime character is cut out, as Talking Head Anime wants it.
        square = draw(identities(1, seed, style), Pose.neutral(1), DRAWN_SIDE, background=style != "anime")
        return media.write_picture(path, to_bytes(square)[0], overwrite=True)


def _photograph() -> Path:
    """Where scikit-image has it. (Its `astronaut()` would download what is not there.)"""
    try:
        from skimage.data import data_dir

        path = Path(data_dir) / "astronaut.png"
    except ImportError:
        path = None
    if path is None or not path.is_file():
        raise InputError(
            "The photograph is not here: scikit-image, which brings it, is not installed, or not all of it.",
            "Run: pip install scikit-image. Or upload a photograph of your own.",
        )
    return path

"""Clips of two drawn heads that walk about, and a finder that knows where they are: two pictures, moved and pasted."""

import functools

import numpy as np

from toolkit import puppets
from toolkit.faces import Box, Face, distinct

SIDE, WIDE, HIGH = 96, 240, 96


@functools.cache
def heads(*seeds):
    """(pictures uint8 96 x 96 x 4, landmarks 68 x 2 pixels) of a head a seed, at rest."""
    made = []
    for seed in seeds:
        who, pose = puppets.identities(1, seed=seed), puppets.Pose.neutral(1)
        picture = (puppets.draw(who, pose, SIDE, background=False)[0].permute(1, 2, 0) * 255).round().byte().numpy()
        made.append((picture, (puppets.landmarks(who, pose)[0].numpy() + 1) * SIDE / 2))
    return made


class Walk:
    """Called as a finder with the frames in order. places: for each frame {number of the head: x of its left edge};
    the last one is in front, and hides who is behind it. grounds: the colour behind each frame. blind: frames in which
    the finder sees nobody.
    """

    name, sees = "walk", "who walks"

    def __init__(self, places, grounds=None, blind=(), landmarks=True, who=(5, 9)):
        self.places, self.blind, self.landmarks, self.heads = places, blind, landmarks, heads(*who)
        self.grounds = grounds or [(90, 120, 150)] * len(places)
        self.shown = 0

    def frames(self):
        frames = []
        for places, ground in zip(self.places, self.grounds):
            frame = np.empty((HIGH, WIDE, 3), np.uint8)
            frame[:] = ground
            for number, x in places.items():
                picture = self.heads[number][0]
                part = frame[:, x : x + SIDE]
                alpha = picture[..., 3:] / 255.0
                part[:] = (picture[..., :3] * alpha + part * (1 - alpha)).round()
            frames.append(frame)
        return np.stack(frames)

    def faces(self, row):
        """The faces of a frame, {number of the head: face}, hidden ones too."""
        return {
            number: Face(Box.around(points := self.heads[number][1] + [x, 0]), 0.9, points, self.name)
            for number, x in self.places[row].items()
        }

    def __call__(self, frames):
        rows, self.shown = range(self.shown, self.shown + len(frames)), self.shown + len(frames)
        found = []
        for row in rows:
            in_front = list(self.faces(row).values())[::-1]
            seen = [] if row in self.blind else distinct(in_front)
            found.append(seen if self.landmarks else [Face(face.box, face.score, None, self.name) for face in seen])
        return found


def straight(begin, end, count):
    """Whole places from begin to end."""
    return [round(x) for x in np.linspace(begin, end, count)]

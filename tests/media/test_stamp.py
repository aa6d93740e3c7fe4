"""The visible mark: legible at every size, in a corner without a face, and only there."""

import numpy as np
import pytest

from toolkit import errors, media
from toolkit.media import letters
from toolkit.media.stamp import WORDS, Stamp, usual

GREY = 128


def plain(height, width, channels=3):
    return np.full((height, width, channels), GREY, np.uint8)


@pytest.mark.parametrize("size", [(128, 128), (256, 768), (720, 405), (1080, 1080)])
@pytest.mark.parametrize("text", [WORDS[0], "Anna's film, made with AI by the Living Pictures toolkit"])
def test_it_is_inside_and_can_be_read(size, text):
    stamp = Stamp(text, size)
    x, y, wide, high = stamp.box
    assert x >= 0 <= y
    assert x + wide <= size[1]
    assert y + high <= size[0] / 2
    marked = stamp(plain(*size))
    inside = marked[y : y + high, x : x + wide].astype(int)
    assert inside.max() > 180, "light letters"
    assert inside.min() < 90, "on a dark ground"
    light = inside[..., 0] > GREY
    assert 0.03 < light.mean() < 0.5
    assert np.ptp(np.flatnonzero(light.any(0))) > 0.75 * wide, "over its whole width, not cut off"
    assert not light[0].any(), "a rim above the letters"
    assert not light[-1].any(), "and below"
    marked[y : y + high, x : x + wide] = GREY
    assert (marked == GREY).all(), "nothing else is touched"


def test_the_usual_words_are_small():
    for side in (256, 512, 1080):
        _, _, wide, high = Stamp(WORDS[0], (side, side)).box
        assert wide * high < 0.03 * side * side
        assert high >= 0.05 * side


def test_it_keeps_clear_of_faces():
    size = (200, 300)
    corners = [(300, 0), (300, 200), (0, 0), (0, 200)]  # x, y, in the order in which they are tried
    faces = []
    for corner in corners:
        x, y, wide, high = Stamp(WORDS[0], size, faces).box
        near = abs(x + wide / 2 - corner[0]) < 150 and abs(y + high / 2 - corner[1]) < 50
        assert near, corner
        assert not any(fx < x + wide and x < fx + fw and fy < y + high and y < fy + fh for fx, fy, fw, fh in faces)
        faces.append((corner[0] - 100, corner[1] - 60, 200, 120))
    least = [(190, 0, 110, 60), (190, 150, 110, 50), (0, 0, 110, 60), (0, 190, 20, 10)]
    assert Stamp(WORDS[0], size, least).box[0] < 100, "no corner is free: where least is covered"
    assert Stamp(WORDS[0], size, least).box[1] > 100


def test_the_frame_it_is_given_stays_as_it_is():
    frame = plain(100, 100)
    Stamp(WORDS[0], (100, 100))(frame)
    assert (frame == GREY).all()


def test_on_a_transparent_ground_it_is_seen_too():
    clear = np.zeros((128, 128, 4), np.uint8)
    stamp = Stamp(WORDS[0], (128, 128))
    x, y, wide, high = stamp.box
    marked = stamp(clear)
    assert marked[y : y + high, x : x + wide, 3].max() > 250
    assert marked[..., 3].sum() == marked[y : y + high, x : x + wide, 3].sum()
    solid = np.dstack([plain(128, 128), np.full((128, 128), 255, np.uint8)])
    assert np.abs(media.flatten(stamp(solid)).astype(int) - stamp(plain(128, 128))).max() <= 1, "as without alpha"


@pytest.mark.parametrize("text", ["", "  ", "x" * 61, "two\nlines", 5])
def test_what_is_no_mark_is_refused(text):
    with pytest.raises(errors.ConfigError, match="The mark is"):
        Stamp(text, (64, 64))


def test_letters_that_no_font_has_are_refused():
    assert letters.can_write("made with AI: Zoë")
    with pytest.raises(errors.ConfigError, match="No font here has all letters"):
        Stamp("\U00013000", (64, 64))


@pytest.mark.parametrize(
    ("language", "fonts", "said"), [("en", True, WORDS[0]), ("zh", True, WORDS[1]), ("zh", False, WORDS[0])]
)
def test_the_usual_mark_is_of_the_language_as_far_as_there_are_letters(language, fonts, said, monkeypatch):
    monkeypatch.setattr("toolkit.media.stamp.can_write", lambda text: fonts or text.isascii())
    monkeypatch.setenv("TOOLKIT_LANG", language)
    assert usual() == said
    monkeypatch.setenv("TOOLKIT_LANG", "en")
    assert usual(language) == said

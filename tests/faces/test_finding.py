"""Finding faces: the order, the pick, who is asked, what is said where there is nobody; bad input."""

import numpy as np
import pytest

import toolkit
from tests.faces.walkers import Walk
from toolkit import media
from toolkit.__main__ import main
from toolkit.faces import Box, Face, finders

PICTURE = np.full((100, 200, 3), 128, np.uint8)


class Fake:
    """Sees the same in every frame."""

    def __init__(self, *boxes, name="fake"):
        self.name, self.sees = name, f"{name}s"
        self.faces = [Face(Box(*box), 0.9 - 0.1 * k, finder=name) for k, box in enumerate(boxes)]
        self.asked = 0

    def __call__(self, frames):
        self.asked += len(frames)
        return [list(self.faces) for _ in frames]


def only(monkeypatch, *fakes, weights=False):
    """These are the backends."""
    monkeypatch.setattr(finders, "BACKENDS", {fake.name: lambda fake=fake: fake for fake in fakes})
    monkeypatch.setattr(finders, "is_here", lambda name: weights)


def test_faces_come_largest_first_and_once():
    three = [(10, 10, 20, 20), (60, 20, 50, 50), (62, 22, 50, 50), (150, 5, 20, 20)]
    faces = toolkit.faces.find(PICTURE, backend=Fake(*three))
    assert [face.box for face in faces] == [three[1], three[0], three[3]]
    assert faces.finder == "fake" and faces.notes == [] and faces[0].size == 50
    assert repr(faces).splitlines()[:2] == [
        "3 faces, found by fake",
        "0: 50 x 50 pixels at (60, 20), score 0.80, box only",
    ]
    assert (faces.drawn() != PICTURE).any() and faces._repr_png_()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("pick", "x"), [(0, 60), (2, 150), ((20, 15), 10), ((199, 0), 150)])
def test_a_face_is_picked_by_number_or_by_point(pick, x):
    fake = Fake((10, 10, 20, 20), (60, 20, 50, 50), (150, 5, 20, 20))
    (face,) = toolkit.faces.find(PICTURE, backend=fake, pick=pick)
    assert face.box.x == x


def test_the_first_that_sees_a_face_serves_and_stays(monkeypatch):
    blind, sharp, last = Fake(name="blind"), Fake((10, 10, 20, 20), name="sharp"), Fake((0, 0, 9, 9), name="last")
    only(monkeypatch, blind, sharp, last)
    assert toolkit.faces.find(PICTURE).finder == "sharp"
    auto = finders.choose("auto")
    auto(PICTURE[None])
    auto(PICTURE[None])
    assert (blind.asked, sharp.asked, last.asked) == (2, 3, 0) and auto.serving is sharp


def test_who_is_not_sure_serves_only_if_nobody_is(monkeypatch):
    """As the network for drawn heads is of a photograph."""
    doubtful, sure, blind = Fake((5, 5, 9, 9)), Fake((10, 10, 20, 20), name="sure"), Fake(name="blind")
    doubtful.faces = [Face(Box(5, 5, 9, 9), 0.6)]
    only(monkeypatch, doubtful, sure)
    assert toolkit.faces.find(PICTURE).finder == "sure"
    only(monkeypatch, doubtful, blind)
    assert toolkit.faces.find(PICTURE).finder == "fake"


def test_people_are_left_to_the_cascade_without_weights_and_that_is_said(monkeypatch):
    people, boxes = Fake((0, 0, 30, 30), name="face-alignment"), Fake((10, 10, 20, 20), name="cascade")
    only(monkeypatch, Fake(name="perception"), people, boxes)
    faces = toolkit.faces.find(PICTURE)
    assert faces.finder == "cascade" and people.asked == 0
    assert len(faces.notes) == 1 and "python -m toolkit fetch face-landmarks" in faces.notes[0]
    only(monkeypatch, Fake(name="perception"), people, boxes, weights=True)
    faces = toolkit.faces.find(PICTURE)
    assert faces.finder == "face-alignment" and faces.notes == []


def test_nobody_is_an_error_that_says_what_was_tried(monkeypatch, tmp_path):
    only(monkeypatch, Fake(name="perception"), Fake(name="face-alignment"), Fake(name="cascade"))
    media.write_picture(tmp_path / "empty.png", PICTURE)
    told = (
        r"empty.png: perception saw no face \(it knows perceptions\); face-alignment has no weights here "
        r"\(python -m toolkit fetch face-landmarks\); cascade saw no face.*crop=None.*crop=\(x, y, width, height\)"
    )
    with pytest.raises(toolkit.InputError, match=told):
        toolkit.faces.find(tmp_path / "empty.png")
    with pytest.raises(toolkit.InputError, match="in the clip, in any of 9 frames: perception saw no face"):
        toolkit.faces.find(np.stack([PICTURE] * 9))


def test_a_backend_that_fails_leaves_it_to_the_next(monkeypatch):
    only(monkeypatch, Fake(name="perception"), Fake((10, 10, 20, 20), name="cascade"))

    def broken():
        raise toolkit.InputError("The network is not here.", "Make it.")

    monkeypatch.setitem(finders.BACKENDS, "perception", broken)
    auto = finders.choose("auto")
    assert len(auto(PICTURE[None])[0]) == 1
    assert finders.tried(auto).startswith("perception can't serve: The network is not here.; ")


def test_a_clip_is_a_clip_and_a_picture_a_picture(tmp_path):
    walk = Walk([{0: 4}] * 5)
    for name in ("clip.mp4", "clip.gif"):
        with media.Writer(tmp_path / name, media.as_rate(25)) as writer:
            writer.write(walk.frames())
        assert isinstance(toolkit.faces.find(tmp_path / name, backend=Walk([{0: 4}] * 5)), toolkit.faces.People)
    media.write_picture(tmp_path / "picture.webp", PICTURE)
    for picture in (tmp_path / "picture.webp", str(tmp_path / "picture.webp"), PICTURE[..., :1], PICTURE / 255):
        assert isinstance(toolkit.faces.find(picture, backend=Fake((1, 1, 9, 9))), toolkit.faces.Faces)


def test_what_is_neither_is_refused(tmp_path):
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><html>")
    (tmp_path / "words.txt").write_text("words " * 100)
    fake = Fake((1, 1, 9, 9))
    with pytest.raises(toolkit.InputError, match="page.mp4 is a web page"):
        toolkit.faces.find(tmp_path / "page.mp4", backend=fake)
    for wrong in (tmp_path / "words.txt", tmp_path / "none.png", 7, np.zeros((4, 4))):
        with pytest.raises(toolkit.InputError):
            toolkit.faces.find(wrong, backend=fake)
    with pytest.raises(toolkit.ConfigError, match="no face finder 'opencv'.*auto, perception"):
        toolkit.faces.find(PICTURE, backend="opencv")
    with pytest.raises(toolkit.ConfigError, match="trim and samples are for clips"):
        toolkit.faces.find(PICTURE, backend=fake, trim=(0, 1))
    with pytest.raises(toolkit.ConfigError, match="samples is 0"):
        toolkit.faces.find(PICTURE[None], backend=fake, samples=0)
    with pytest.raises(toolkit.ConfigError, match="no face number 3: 1 were found"):
        toolkit.faces.find(PICTURE, backend=fake, pick=3)


def test_the_command_lists_and_draws(tmp_path, capsys, monkeypatch):
    only(monkeypatch, Fake((10, 10, 20, 20), (60, 20, 50, 50), name="perception"))
    media.write_picture(tmp_path / "two.png", PICTURE)
    assert main(["faces", str(tmp_path / "two.png"), "--save", str(tmp_path / "drawn.png")]) == 0
    assert capsys.readouterr().out.startswith("2 faces, found by perception\n0: 50 x 50 pixels at (60, 20)")
    assert (media.read_picture(tmp_path / "drawn.png") != PICTURE).any()
    assert main(["faces", str(tmp_path / "two.png"), "--pick", "15,15"]) == 0
    assert "0: 20 x 20" in capsys.readouterr().out
    assert main(["faces", str(tmp_path / "two.png"), "--pick", "4"]) == 2
    assert "no face number 4" in capsys.readouterr().err

"""The backends for people: the cascade on photographs, face-alignment with random weights of the right shape."""

import numpy as np
import pytest
import torch

import toolkit
from toolkit import paths
from toolkit.faces import Box, Face, finders
from toolkit.faces.alignment import Alignment, place
from toolkit.faces.cascade import Cascade

FILE, DETECTOR = "2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth"
CATALOGUE = "".join(
    f"""[helper.{name}]
for = "{name}"
code = "none"
weights = "none"
files = [{{ name = "{file}" }}]
mirrors = []
place = "torch"
"""
    for name, file in (("face-landmarks", FILE), ("face-detector", DETECTOR))
)


def photograph(name):
    from skimage import data

    return np.ascontiguousarray(getattr(data, name)()[::2, ::2])


def test_the_cascade_finds_the_astronaut():
    """The box runs from the forehead's middle (row 42) to the chin (89), from ear to ear (columns 86 … 139)."""
    ((face,),) = Cascade()(photograph("astronaut")[None])
    assert face.box.overlap(Box(86, 42, 53, 47)) > 0.75
    assert face.score > 0.6 and face.landmarks is None and face.finder == "cascade"


@pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea"])
def test_the_cascade_sees_nobody_where_nobody_is(name):
    assert Cascade()(photograph(name)[None]) == [[]]


@pytest.fixture(scope="module")
def random_weights():
    """The landmark network's file, as the library saves it, with random numbers."""
    from face_alignment.models import FAN

    torch.manual_seed(0)
    return FAN(4).state_dict()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A torch.hub folder of the test's own, and a catalogue whose landmark file has no hash."""
    (tmp_path / "zoo.toml").write_text(CATALOGUE)
    for name, value in {"TORCH_HOME": "torch", "TOOLKIT_ZOO": "zoo.toml", "TOOLKIT_WEIGHTS": "weights"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    finders._is_mounted.cache_clear()
    yield paths.torch_hub()
    finders._is_mounted.cache_clear()


def test_face_alignment_needs_one_file(hub, random_weights, monkeypatch):
    """Placed where the library looks for it, whatever folder it lies in; boxes from the cascade; pixels from edge to
    edge.
    """
    assert not finders.is_here("face-landmarks")
    weights = paths.weights_folder()
    weights.mkdir()
    torch.save(random_weights, weights / FILE)
    finders._is_mounted.cache_clear()
    assert finders.is_here("face-landmarks")
    box = Box(40.0, 20.0, 60.0, 60.0)
    monkeypatch.setattr(Cascade, "__call__", lambda self, frames: [[Face(box, 0.8, None, "cascade")], []])
    found = Alignment()(np.random.default_rng(0).integers(0, 255, (2, 120, 160, 3), dtype=np.uint8))
    assert (hub / FILE).is_file()
    assert [len(faces) for faces in found] == [1, 0]
    (face,) = found[0]
    assert (face.box, face.score, face.finder) == (box, 0.8, "face-alignment")
    assert face.landmarks.shape == (68, 2) and np.isfinite(face.landmarks).all()
    middle = np.array(box.centre)
    assert (np.abs(face.landmarks - middle) < 120).all(), "in pixels, about the box"


def test_its_own_detector_serves_where_that_file_is_here_too(hub, random_weights, monkeypatch):
    """What it sees comes once and in the picture's own pixels, however large that is."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    hub.mkdir(parents=True)
    torch.save(random_weights, hub / FILE)
    torch.save(s3fd().state_dict(), hub / DETECTOR)
    finder, picture = Alignment(), np.zeros((1, 640, 1280, 3), np.uint8)
    assert all(0.5 < face.score < 1 for face in finder._detected(picture[:, :96, :96])[0])
    seen = [np.array([30.0, 10, 50, 40, 0.9]), np.array([31.0, 11, 50, 40, 0.8]), np.array([200.0, 10, 220, 40, 0.7])]
    monkeypatch.setattr(finder._network.face_detector, "detect_from_image", lambda small: seen)
    assert [(face.box, face.score) for face in finder._detected(picture)[0]] == [
        ((60, 20, 40, 60), 0.9),
        ((400, 20, 40, 60), 0.7),
    ]


def test_a_file_of_something_else_is_no_network(hub):
    hub.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3)}, hub / FILE)
    with pytest.raises(toolkit.CheckpointError, match="face-alignment can't load its weights"):
        Alignment()


def test_without_weights_and_network_the_error_says_where_they_belong(hub):
    with pytest.raises(toolkit.FetchError, match=FILE):
        place("face-landmarks")

"""Where things are: in a clone, in an installation, and when nothing can be written."""

import pytest

from toolkit import paths
from toolkit.errors import InputError


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """A place for the package that is no clone."""
    monkeypatch.delenv("TOOLKIT_WEIGHTS", raising=False)
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths.sys, "platform", "linux")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site" / "toolkit")
    paths.PACKAGE.mkdir(parents=True)
    return paths.PACKAGE


def test_clone(layout):
    root = layout.parent
    (root / "pyproject.toml").touch()
    assert paths.shipped("samples") == root / "samples"
    assert paths.weights_folder() == root / "checkpoints"


def test_installed(layout, tmp_path):
    inside = layout / "shipped" / "checkpoints" / "mini"
    inside.mkdir(parents=True)
    assert paths.shipped("checkpoints/mini") == inside
    assert paths.shipped("samples") == layout / "shipped" / "samples"
    assert paths.weights_folder() == tmp_path / "home" / "living-pictures"


def test_read_only_clone(layout, tmp_path, monkeypatch):
    (layout.parent / "pyproject.toml").touch()
    monkeypatch.setattr(paths.os, "access", lambda *_: False)
    assert paths.weights_folder() == tmp_path / "home" / "living-pictures"


def test_chosen_folder(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path / "mine"))
    assert paths.weights_folder() == tmp_path / "mine"


def test_samples(layout):
    folder = layout / "shipped" / "samples"
    folder.mkdir(parents=True)
    (folder / "picture.png").touch()
    assert paths.sample("picture.png") == folder / "picture.png"
    assert paths.is_sample(folder / "picture.png")
    assert not paths.is_sample(layout / "picture.png")
    with pytest.raises(InputError, match="no sample 'face.png'.*picture.png"):
        paths.sample("face.png")

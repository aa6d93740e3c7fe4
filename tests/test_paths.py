"""Where things are: in a clone, in an installation, and when nothing can be written."""

from pathlib import Path

import pytest

from toolkit import paths
from toolkit.errors import InputError


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """A place for the package that is no clone."""
    for name in ("TOOLKIT_WEIGHTS", "COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
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


def test_results_stay_beside_the_notebook(layout, tmp_path, monkeypatch):
    """Also where the platform keeps that folder anyway, and where it has nothing to keep them in."""
    assert (paths.results_folder(), paths.uploads_folder()) == (Path("results"), Path("uploads"))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert paths.results_folder() == Path("results"), "no Drive yet"
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    working = tmp_path / "mounts" / "kaggle" / "working" / "lesson"
    working.mkdir(parents=True)
    monkeypatch.chdir(working)
    assert (paths.results_folder(), paths.uploads_folder()) == (Path("results"), Path("uploads"))
    for folder in ("kaggle/working/lesson", "kaggle/working", "kaggle"):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mounts" / folder).rmdir()
    (tmp_path / "mounts" / "root" / "autodl-tmp").mkdir(parents=True)
    assert paths.results_folder() == Path("results"), "this one forgets nothing"


def test_results_go_where_they_are_kept(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    drive = tmp_path / "mounts" / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    assert paths.results_folder() == drive / "living-pictures" / "results"
    assert paths.uploads_folder() == drive / "living-pictures" / "uploads"
    (tmp_path / "link").symlink_to(drive)
    monkeypatch.chdir(tmp_path / "link")
    assert paths.results_folder() == Path("results"), "the working folder is in the Drive"


def test_samples(layout):
    folder = layout / "shipped" / "samples"
    folder.mkdir(parents=True)
    (folder / "picture.png").touch()
    assert paths.sample("picture.png") == folder / "picture.png"
    assert paths.is_sample(folder / "picture.png")
    assert not paths.is_sample(layout / "picture.png")
    with pytest.raises(InputError, match="no sample 'face.png'.*picture.png"):
        paths.sample("face.png")

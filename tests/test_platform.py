"""Which platform this is, told by faked folders and variables, and what a notebook's first cell makes of it."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from toolkit import paths, platform
from toolkit.errors import ConfigError, ToolkitError

ROOT = Path(__file__).resolve().parent.parent
TELLING = ("COLAB_", "KAGGLE_", "MODELSCOPE_")


@pytest.fixture(autouse=True)
def mounts(tmp_path, monkeypatch):
    """A machine without any platform; what is made below the returned folder is found as if it were below /."""
    for name in [name for name in os.environ if name.startswith(TELLING)]:
        monkeypatch.delenv(name)
    for name in ("TOOLKIT_LANG", "TOOLKIT_WEIGHTS", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOOLKIT_MOUNTS", str(tmp_path / "mounts"))
    return tmp_path / "mounts"


CASES = {  # name: folders, variable, home, inputs, language
    "jupyter": ([], None, None, [], "en"),
    "colab": (["content/sample_data"], "COLAB_RELEASE_TAG", None, ["content"], "en"),
    "kaggle": (["kaggle/input/faces", "kaggle/working"], "COLAB_RELEASE_TAG", "kaggle/working", ["kaggle/input"], "en"),
    "openbayes": (
        ["openbayes/home", "openbayes/input/input0"],
        None,
        "openbayes/home",
        ["openbayes/input/input0"],
        "zh",
    ),
    "hyperai": (["hyperai/home"], None, "hyperai/home", [], "en"),
    "autodl": (["root/autodl-tmp", "root/autodl-pub"], None, "root/autodl-tmp", ["root/autodl-pub"], "zh"),
    "modelscope": (["mnt/workspace"], "MODELSCOPE_ENVIRONMENT", "mnt/workspace", [], "zh"),
}


@pytest.mark.parametrize("name", CASES)
def test_platforms_are_told_apart(name, mounts, monkeypatch):
    folders, variable, home, inputs, language = CASES[name]
    for folder in folders:
        (mounts / folder).mkdir(parents=True)
    if variable:
        monkeypatch.setenv(variable, "1")
    found = platform.here()
    assert found.name == name
    assert found.home == (mounts / home if home else None)
    assert found.inputs == tuple(mounts / place for place in inputs)
    assert found.language == language == platform.language()
    assert found.mainland == (language == "zh")
    assert found.upload("en") != found.upload("zh")
    assert found.upload() == found.upload(language)


def test_a_drive_is_seen_when_it_is_mounted(mounts, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    (mounts / "content").mkdir(parents=True)
    assert platform.here().home is None
    drive = mounts / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    assert platform.here().home == drive


def test_a_link_to_the_same_folder_is_listed_once(mounts):
    (mounts / "openbayes" / "input" / "input0").mkdir(parents=True)
    (mounts / "input0").symlink_to(mounts / "openbayes" / "input" / "input0")
    assert platform.here().inputs == (mounts / "openbayes" / "input" / "input0",)


@pytest.mark.parametrize("name", CASES)
def test_what_an_upload_button_takes(name, mounts, monkeypatch):
    folders, variable, *_ = CASES[name]
    for folder in folders:
        (mounts / folder).mkdir(parents=True)
    if variable:
        monkeypatch.setenv(variable, "1")
    assert platform.here().upload_limit == (1_000_000 if name == "colab" else 10_000_000)


def test_folders_that_may_not_be_looked_into_are_none(mounts, monkeypatch):
    """Such as /root/autodl-tmp, for anybody but root."""
    stat = os.stat

    def guarded(path, *args, **options):
        if str(path).startswith(str(mounts / "root")):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", guarded)
    assert platform.here().name == "jupyter" and platform.places() == []
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert platform.here().home is None


def test_model_scope_is_not_told_by_what_its_library_sets(mounts, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_CACHE", "cache")
    assert platform.here().name == "jupyter"
    (mounts / "mnt" / "workspace").mkdir(parents=True)
    assert platform.here().name == "modelscope"
    (mounts / "mnt" / "workspace").rmdir()
    monkeypatch.setenv("MODELSCOPE_ENVIRONMENT", "dsw")
    assert platform.here().name == "modelscope"


def test_language(mounts, monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert platform.language() == "zh"
    monkeypatch.setenv("TOOLKIT_LANG", "en_GB")
    assert platform.language() == "en"
    monkeypatch.setenv("TOOLKIT_LANG", "tlh")
    with pytest.raises(ConfigError, match="TOOLKIT_LANG is 'tlh'.*en, zh"):
        platform.language()


def test_weights_go_where_they_are_kept(mounts, monkeypatch):
    home = mounts / "openbayes" / "home"
    home.mkdir(parents=True)
    assert paths.weights_folder() == home / "living-pictures" / "checkpoints"
    clone = home / "clone"
    (clone / "toolkit").mkdir(parents=True)
    (clone / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", (clone / "toolkit").resolve())
    assert paths.weights_folder() == (clone / "checkpoints").resolve(), "a clone that is kept keeps them itself"


def test_the_first_cell_says_what_is_kept(mounts, monkeypatch, capsys):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    platform.prepare()
    said = capsys.readouterr().out
    assert "Colab" in said and str(paths.weights_folder()) in said and "gone" in said and "drive.mount" in said
    assert f"Results go to {Path.cwd() / 'results'}" in said and said.strip().endswith("then run this cell again.")
    drive = mounts / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    platform.prepare()
    said = capsys.readouterr().out
    assert "are kept in" in said and "MyDrive" in said and "drive.mount" not in said and "gone" not in said
    kept = drive / "living-pictures"
    assert f"Results are kept in {kept / 'results'}, uploads in {kept / 'uploads'}." in said
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    platform.prepare()
    said = capsys.readouterr().out
    assert said.count("保存在") == 3 and "kept" not in said


def test_what_is_not_kept_is_said_of_each(mounts, monkeypatch, capsys):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    (mounts / "content" / "drive" / "MyDrive").mkdir(parents=True)
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(mounts / "elsewhere"))
    platform.prepare()
    said = capsys.readouterr().out
    assert "elsewhere, which is gone" in said and "Results are kept in" in said


def test_only_what_is_missing_is_installed(monkeypatch):
    calls = []

    def run(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(platform.subprocess, "run", run)
    platform.need("PIL", "safetensors")
    assert calls == []
    monkeypatch.setitem(platform.PACKAGES, "not_there_yet", "not-there-yet>=1")
    platform.need("PIL", "not_there_yet")
    assert calls[0][1:4] == ["-m", "pip", "install"] and calls[0][-1] == "not-there-yet>=1"
    assert not [part for part in calls[0] if part.startswith("pillow")]


def test_what_is_here_is_held(monkeypatch):
    """What pip is given: a line for each of HELD that is here, as pip can read it, and none for what is not."""
    here = {
        "torch": "2.13.0+cpu",
        "torchvision": "0.28.0a0+1f2",
        "numpy": "1.26.4",
        "pillow": "11.3.0.post1",
        "pandas": "1.1build1",
        "scipy": None,
    }

    def version(name):
        if name not in here:
            raise metadata.PackageNotFoundError(name)
        return here[name]

    given = []

    def run(command, **_):
        assert command[-3] == "-c" and "--upgrade" not in command
        given.extend(Path(command[-2]).read_text().splitlines())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(platform.importlib.metadata, "version", version)
    monkeypatch.setattr(platform.subprocess, "run", run)
    monkeypatch.setitem(platform.PACKAGES, "not_there_yet", "not-there-yet>=1")
    platform.need("not_there_yet")
    assert given == ["torch==2.13.0", "torchvision==0.28.0a0", "numpy==1.26.4", "pillow==11.3.0.post1"]
    assert {"ipywidgets", "jupyterlab", "torchaudio", "scipy", *platform.GIVEN} <= set(platform.HELD)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A function that offers pip a package, and nothing else; pip only says what it would install."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "DRY_RUN": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)

    def offer(name, version, *needs):
        about = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
            wheel.writestr(f"{about}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {one}" for one in needs), ""]))
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")

    return offer


def test_pip_leaves_what_is_here_as_it_is(shop, monkeypatch):
    """The real pip: a package that goes with what is here is taken; of two, the older one that goes; else none."""
    torch = metadata.version("torch").partition("+")[0]
    shop("not_there_yet", "1.0", f"torch=={torch}", "numpy")
    shop("numpy", "99.0")
    monkeypatch.setitem(platform.PACKAGES, "not_there_yet", "not-there-yet>=1")
    platform.need("not_there_yet")
    shop("not_there_yet", "2.0", "numpy>=99")
    platform.need("not_there_yet")
    monkeypatch.setitem(platform.PACKAGES, "not_there_yet", "not-there-yet>=2")
    with pytest.raises(ToolkitError, match="not-there-yet>=2 can't be installed beside .*restart the kernel"):
        platform.need("not_there_yet")


def test_what_can_not_be_installed_is_said(monkeypatch):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "ERROR: noise\nERROR: No matching distribution found\n")

    monkeypatch.setattr(platform.subprocess, "run", run)
    monkeypatch.setitem(platform.PACKAGES, "not_there_yet", "not-there-yet>=1")
    with pytest.raises(ToolkitError, match="not-there-yet.*No matching distribution found.*pip install not-there-yet"):
        platform.need("not_there_yet")
    monkeypatch.setattr(platform, "GIVEN", ("torch", "not_there_at_all"))
    with pytest.raises(ToolkitError, match="not_there_at_all can't be imported.*environment with PyTorch"):
        platform.prepare()


def test_bounds_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["lab"]}
    assert set(platform.PACKAGES.values()) <= declared
    assert set(platform.EVERYWHERE) <= set(platform.PACKAGES)
    named = {re.split("[<>=]", package)[0] for package in platform.PACKAGES.values()}
    assert not named & {"torch", "numpy", "ipywidgets", "jupyterlab"}, "the platform's own are never replaced"


def test_the_standard_module_is_not_hidden():
    code = "import toolkit.platform, platform, toolkit.device; print(platform.system(), toolkit.platform.here().name)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.split()[0] == __import__("platform").system()

"""The panels with ipywidgets 7.7.1, which is Colab's: the same tests, with that version in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VERSION = "7.7.1"
PACKAGES = (f"ipywidgets=={VERSION}", "ipython_genutils")  # what else it needs serves both versions
TESTS = tuple(f"tests/test_{name}.py" for name in ("ui", "studio", "studio_trouble", "training_view", "upload"))


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """The environment of a Python whose ipywidgets are that version."""
    folder = tmp_path_factory.mktemp("widgets7")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--target", folder, *PACKAGES], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        pytest.fail(
            f"NOT TESTED: ipywidgets {VERSION} can't be installed, so the panels were not tried with it ({said}). "
            "This test needs pip's registry, or pip's cache.",
            pytrace=False,
        )
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.long
def test_the_panels_with_the_widgets_of_colab(seven):
    command = [sys.executable, "-c", "import ipywidgets; print(ipywidgets.__version__)"]
    version = subprocess.run(command, env=seven, capture_output=True, text=True, check=True)
    assert version.stdout.strip() == VERSION
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=seven, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]

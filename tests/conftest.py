"""What several tests share: the samples, small clips made with ffmpeg, and a folder of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def ffmpeg():
    """Run the ffmpeg that imageio-ffmpeg brings."""
    import imageio_ffmpeg

    def run(*arguments):
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
        subprocess.run([*command, *map(str, arguments)], check=True)

    return run


@pytest.fixture(scope="session")
def measurements(tmp_path_factory):
    """Where the plans measured in this run of the tests are remembered."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, measurements, monkeypatch):
    """Results of a test stay in its own folder, remembered measurements in this run's; messages are English."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TOOLKIT_CACHE", str(measurements))

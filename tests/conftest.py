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


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """Results and remembered measurements of a test stay in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

"""Peak memory of a long clip beside a short one: it must not grow with the clip.

python -m benchmarks.memory
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LENGTHS = (10, 60)  # seconds of 25 frames each
CHILD = """
import resource, sys
import toolkit
picture, driving, out, model = sys.argv[1:]
toolkit.animate(picture, driving, output=out, model=model, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(picture: Path, driving: Path, out: Path, model: str) -> tuple[float, float]:
    """MiB of the process itself and of all its children (ffmpeg) together at their peaks."""
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", CHILD, str(picture), str(driving), str(out), model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    children = 0.0
    while process.poll() is None:
        children = max(children, sum(map(_resident, _children(process.pid))))
        time.sleep(0.1)
    own = process.communicate()[0]
    if process.returncode:
        raise SystemExit("the clip was not made")
    return int(own.split()[-1]) / (2**20 if sys.platform == "darwin" else 2**10), children


def _children(pid: int) -> list[int]:
    """The processes that one started (Linux; elsewhere none is seen)."""
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    except OSError:
        return []


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _resident(pid: int) -> float:
    """MiB in memory at an ffmpeg's peak so far; 0 for a child that is not yet one but still its parent's copy."""
    words = _words(Path(f"/proc/{pid}/status"))
    is_ffmpeg = words[1:2] and words[1].startswith("ffmpeg")
    return int(words[words.index("VmHWM:") + 1]) / 2**10 if is_ffmpeg and "VmHWM:" in words else 0.0


def run_all(model: str = "mini-fomm") -> None:
    import imageio_ffmpeg

    import toolkit

    try:
        picture, driving = toolkit.sample("picture.png"), toolkit.sample("driving.mp4")
        toolkit.load(model)
    except toolkit.ToolkitError as error:
        print(f"\nMemory: not measured ({error.what})")
        return
    print("\nPeak memory, MiB")
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS:
            clip = Path(folder) / f"{length}.mp4"
            loop = ["-stream_loop", "-1", "-i", str(driving), "-t", str(length), "-c", "copy", str(clip)]
            subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *loop], check=True)
            peaks.append(peak(picture, clip, Path(folder) / f"{length}-out.mp4", model))
            print(f"  {length:3} s: {peaks[-1][0]:7.0f}   ffmpeg {peaks[-1][1]:6.0f}")
    print(f"  ratio: {peaks[1][0] / peaks[0][0]:.3f}   ffmpeg {peaks[1][1] / max(1, peaks[0][1]):.3f}")


if __name__ == "__main__":
    run_all(*sys.argv[1:])

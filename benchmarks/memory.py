"""Peak memory of a long clip beside a short one: it must not grow with the clip.

python -m benchmarks.memory                 a process of its own, 10 s beside 60 s
python -m benchmarks.memory --kernel        the studio in a notebook's kernel: 10 s twice, then 10 minutes
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

KERNEL = (10, 10, 600)  # the second has what a kernel keeps after its first run
STUDIO = """if True:
    import pathlib
    from toolkit.ui import Studio
    studio = Studio({picture!r}, {driving!r}, end=None)
    studio.result.start()
    clip = studio.wait()
    assert clip is not None, studio.result.work.message.value
    print(clip.seconds)
"""
PEAK = """if True:
    status = pathlib.Path("/proc/self/status").read_text().split()
    print(int(status[status.index("VmHWM:") + 1]) / 2**10)
"""


def peak(picture: Path, driving: Path, out: Path, model: str) -> tuple[float, float]:
    """MiB of the process itself and of all its children (ffmpeg) together at their peaks."""
    command = [sys.executable, "-c", CHILD, str(picture), str(driving), str(out), model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
    children = 0.0
    while process.poll() is None:
        children = max(children, sum(map(_resident, _children(process.pid))))
        time.sleep(0.1)
    own = process.communicate()[0]
    if process.returncode:
        raise SystemExit("the clip was not made")
    return int(own.split()[-1]) / (2**20 if sys.platform == "darwin" else 2**10), children


def _environment() -> dict[str, str]:
    """With the toolkit at hand."""
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


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


def looped(driving: Path, seconds: int, folder: Path) -> Path:
    """The clip over and over, for so long."""
    import imageio_ffmpeg

    clip = folder / f"{seconds}.mp4"
    loop = ["-stream_loop", "-1", "-i", str(driving), "-t", str(seconds), "-c", "copy", "-y", str(clip)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *loop], check=True)
    return clip


def kernel() -> None:
    """Peak memory of one kernel, after short clips and after a long one (Linux), and the notebook's size."""
    import nbformat
    from nbclient import NotebookClient

    import toolkit

    picture, driving = toolkit.sample("picture.png"), toolkit.sample("driving.mp4")
    with tempfile.TemporaryDirectory() as folder:
        cells = []
        for length in KERNEL:
            names = {"picture": str(picture), "driving": str(looped(driving, length, Path(folder)))}
            cells += map(nbformat.v4.new_code_cell, (STUDIO.format(**names), "clip", PEAK))
        notebook = nbformat.v4.new_notebook(cells=cells)
        client = NotebookClient(
            notebook, timeout=3600, store_widget_state=False, resources={"metadata": {"path": folder}}
        )
        client.execute(env=_environment())
    print("\nPeak memory of a kernel, MiB")
    peaks = [float(cell.outputs[-1].text) for cell in notebook.cells[2::3]]
    for length, found in zip(KERNEL, peaks):
        print(f"  {length:3} s: {found:7.0f}")
    print(f"  ratio: {peaks[2] / peaks[1]:.3f}   the notebook: {len(nbformat.writes(notebook)) / 1e6:.2f} MB")


def run_all(model: str = "mini-fomm") -> None:
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
            clip = looped(driving, length, Path(folder))
            peaks.append(peak(picture, clip, Path(folder) / f"{length}-out.mp4", model))
            print(f"  {length:3} s: {peaks[-1][0]:7.0f}   ffmpeg {peaks[-1][1]:6.0f}")
    print(f"  ratio: {peaks[1][0] / peaks[0][0]:.3f}   ffmpeg {peaks[1][1] / max(1, peaks[0][1]):.3f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--kernel"]:
        kernel()
    else:
        run_all(*sys.argv[1:])

"""Peak memory of a long clip beside a short one: it must not grow with the clip.

python -m benchmarks.memory
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

LENGTHS = (10, 60)  # seconds of 25 frames each
CHILD = """
import resource, sys
import toolkit
picture, driving, out, model = sys.argv[1:]
toolkit.animate(picture, driving, output=out, model=model, progress=False)
for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    print(resource.getrusage(who).ru_maxrss / 1024)
"""


def peak(picture: Path, driving: Path, out: Path, model: str) -> tuple[float, float]:
    """MiB of the process itself and of its largest child (ffmpeg) at their peaks."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", CHILD, str(picture), str(driving), str(out), model]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path})
    own, child = map(float, done.stdout.split()[-2:])
    return own, child


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
    print(f"  ratio: {peaks[1][0] / peaks[0][0]:.3f}   ffmpeg {peaks[1][1] / peaks[0][1]:.3f}")


if __name__ == "__main__":
    run_all(*sys.argv[1:])

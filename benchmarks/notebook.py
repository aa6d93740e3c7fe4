"""How long a person waits: until the studio is there, until a preview, until the first clip plays.

python -m benchmarks.notebook                 all of it; the last needs Chromium. Close other programs first
python -m benchmarks.notebook --no-browser    without JupyterLab

The aims are those of a warm machine: the weights are on the disk, the model's plan has been measured. So everything is
done once before it is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
APPEARS, PREVIEW, PLAYS = 2.0, 0.5, 20.0  # seconds: the aims
RESULT = "the first result plays"
PLAYING = """number => {
    const video = document.querySelectorAll('.jp-NotebookPanel video')[number];
    if (!video || video.readyState < 2) return false;
    if (video.paused && !video.currentTime) { video.muted = true; video.play(); }
    return video.currentTime > 0;
}"""
STUDIO = """if True:
    import time
    begin = time.perf_counter()
    from toolkit.ui import Studio
    studio = Studio()
    print(time.perf_counter() - begin)
    for panel in (studio.picture, studio.driving, studio.crop):
        panel.wait(60)
    print(time.perf_counter() - begin)
"""


def studio() -> tuple[float, float]:
    """Seconds in a fresh Python until the studio can be shown (imports included), and until its pictures are there."""
    done = subprocess.run([sys.executable, "-c", STUDIO], capture_output=True, text=True, check=True)
    shown, filled = map(float, done.stdout.split())
    return shown, filled


def previews() -> tuple[float, list[float]]:
    """Seconds of the first preview, which loads the model and reads two seconds of the clip, and of those that follow
    a slider.
    """
    from toolkit import sample
    from toolkit.ui import State
    from toolkit.ui.motion import MotionPanel

    panel = MotionPanel(State(picture=str(sample("picture.png")), driving=str(sample("driving.mp4")), end=2.0))

    def timed(press) -> float:
        begin, before = time.perf_counter(), panel.image.value
        press()
        panel.wait()
        took = time.perf_counter() - begin
        assert panel.image.value != before, panel.work.message.value
        return took

    first = timed(panel.work.button.click)

    def strength(value: float):
        return lambda: setattr(panel.state, "strength", value)

    def at(seconds: float):
        return lambda: setattr(panel.at, "value", seconds)

    return first, [
        timed(press) for k in range(1, RUNS + 1) for press in (at(k / 2), strength(1 + k / 10))
    ]  # strength last: it changes nothing in the reference frame


def notebook(folder: Path) -> dict[str, float]:
    """Seconds from the address of 03_animate.ipynb in the browser until its clips play: page, kernel and all cells."""
    from tests.browser.lab import PATIENCE, chromium, opened, serving

    with serving(folder) as lab, chromium() as browser:
        opened(browser, lab, "00_setup.ipynb").page.close()  # the first time Lab itself is cold
        begin = time.perf_counter()
        shown = opened(browser, lab, "03_animate.ipynb")
        times = {"notebook and kernel are there": time.perf_counter() - begin}
        shown.begin()
        for number, what in enumerate(("the driver plays", RESULT)):
            shown.page.wait_for_function(PLAYING, arg=number, timeout=PATIENCE)
            times[what] = time.perf_counter() - begin
    return times


def told(what: str, seconds: float, aim: float | None = None) -> None:
    share = "" if aim is None else f"  {seconds / aim:5.2f} of the {aim:g} s that it may take"
    print(f"  {what:45} {seconds:6.2f} s{share}", flush=True)


def run_all(browser: bool = True) -> None:
    """Print the table."""
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{os.cpu_count()} cores, {load} (of other programs: the times are only good where it is near 0)")
    studio()
    shown, filled = zip(*(studio() for _ in range(RUNS)))
    print("The studio, in a fresh Python")
    told("it can be shown", statistics.median(shown), APPEARS)
    told("its pictures are there", statistics.median(filled))
    previews()
    first, later = previews()
    print("One frame of preview, mini-fomm")
    told("the first: model, clip and all", first)
    told("each one after it", statistics.median(later), PREVIEW)
    if browser:
        print("03_animate.ipynb in JupyterLab, all of its clip (10 s), from opening it")
        with tempfile.TemporaryDirectory() as folder:
            times = notebook(Path(folder))
        for what, seconds in times.items():
            told(what, seconds, PLAYS if what == RESULT else None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-browser", action="store_true", help="without JupyterLab")
    run_all(not parser.parse_args().no_browser)

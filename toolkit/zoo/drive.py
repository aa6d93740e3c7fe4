"""Google Drive, by gdown, in a process of its own: it can be ended when it stalls, whatever gdown does meanwhile.

gdown 5.2 (Colab's) waits for ever, 6 has a `timeout`; both take id, output, quiet and resume.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .transfer import Failed, Tell

GRACE = 5.0  # seconds for Python and gdown to start
_QUOTA = re.compile(r"too many users|quota|have had many accesses", re.IGNORECASE)
_UNREACHABLE = re.compile(r"NameResolution|Name or service|name resolution|getaddrinfo|Network is unreachable")
_MISSING = re.compile(r"not found|404|does not exist|Cannot retrieve", re.IGNORECASE)


def receive(drive_id: str, part: Path, timeout: float, member: str = "", tell: Tell | None = None) -> None:
    """Bring a Drive file (or the file `member` of a Drive folder) to `part`. timeout: seconds without a byte. Raises
    Failed.
    """
    if importlib.util.find_spec("gdown") is None:
        raise Failed("gdown isn't installed: pip install gdown")
    work = part.with_name(f"{part.name}.gdown")  # gdown keeps its own partial file in here, and goes on with it
    work.mkdir(exist_ok=True)
    here = work / "file"
    command = [sys.executable, "-m", __name__, drive_id, str(here), f"{timeout:g}", member]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (work / "said").open("w+") as said:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)
        try:
            stalled = _watch(child, work, timeout, tell)
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        words = said.read()
    (work / "said").unlink()
    if child.returncode == 0 and here.is_file():
        here.replace(part)
        shutil.rmtree(work)
        return
    if not any(work.iterdir()):
        work.rmdir()
    if stalled:
        raise Failed(f"no answer for {timeout:g} s", again=True)
    if _QUOTA.search(words):
        raise Failed("its quota is used up: too many people fetched it lately")
    if _UNREACHABLE.search(words):
        raise Failed("it can't be reached from here", unreachable=True)
    if _MISSING.search(words):
        raise Failed("the file is not there, or not public any more")
    raise Failed(f"gdown says: {(words.strip().splitlines() or ['nothing'])[-1]}", again=True)


def _watch(child: subprocess.Popen, work: Path, timeout: float, tell: Tell | None) -> bool:
    """Wait for gdown, and tell how far it is; True if nothing came for too long."""
    size, since = -1, time.monotonic()
    while child.poll() is None:
        now = _bytes_in(work)
        if now != size:
            size, since = now, time.monotonic()
            if tell:
                tell(size, None)
        elif time.monotonic() - since > timeout + GRACE:  # gdown's own time limit goes first
            return True
        time.sleep(0.05)
    return False


def _bytes_in(work: Path) -> int:
    total = 0
    for file in work.iterdir():
        with contextlib.suppress(FileNotFoundError):  # gdown renames its partial file
            total += file.stat().st_size
    return total


def main(drive_id: str, target: str, timeout: str, member: str) -> None:
    """What the child process does."""
    import gdown

    known = inspect.signature(gdown.download).parameters
    limit = {"timeout": float(timeout)} if "timeout" in known else {}
    if member:
        listed = gdown.download_folder(id=drive_id, quiet=True, skip_download=True) or []
        found = [file.id for file in listed if os.path.basename(file.path) == member]
        if not found:
            sys.exit(f"{member} not found in the folder")
        drive_id = found[0]
    if gdown.download(id=drive_id, output=target, quiet=True, resume=True, **limit) is None:
        sys.exit("Cannot retrieve the file")


if __name__ == "__main__":
    main(*sys.argv[1:])

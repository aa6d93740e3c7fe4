"""The ffmpeg binary that imageio-ffmpeg brings: found, started, fed and listened to. There is no ffprobe beside it."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import ToolkitError

PIPE_BYTES = 1 << 20  # the most that Linux grants to anybody; its default, 64 KiB, is a third of a 256 x 256 frame


@functools.cache
def executable() -> str:
    """Path of the ffmpeg program. Raises ToolkitError where there is none."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise ToolkitError(
            "There is no ffmpeg, which reads and writes clips.", "Run: pip install imageio-ffmpeg"
        ) from error


def source(path: str | os.PathLike) -> list[str]:
    """Arguments that open a file as input.

    The "file:" keeps names with colons or a leading dash from being taken for something else, and the whitelist keeps
    a play list that calls itself a clip from reaching for other files or the network.
    """
    return ["-protocol_whitelist", "file,pipe", "-i", f"file:{Path(path).resolve()}"]


def target(path: str | os.PathLike) -> str:
    return f"file:{Path(path).resolve()}"


class Process:
    """An ffmpeg at work, with pipes to its input and from its output where they are asked for.

    Its messages go to a temporary file: a pipe that nobody reads would fill and stop it. It gets a session of its own,
    so that Ctrl-C reaches Python alone, which then ends it in order.
    """

    def __init__(
        self, arguments: Sequence[str], *, feed: bool = False, fetch: bool = False, verbose: bool = False
    ) -> None:
        level = ["-nostats"] if verbose else ["-v", "error"]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        self._popen = subprocess.Popen(
            [executable(), "-hide_banner", "-y", *level, *([] if feed else ["-nostdin"]), *arguments],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE if fetch else subprocess.DEVNULL,
            stderr=self._log,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self.input, self.output = self._popen.stdin, self._popen.stdout
        for pipe in filter(None, (self.input, self.output)):
            _enlarge(pipe)

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer from the output and return the number of bytes; fewer than asked for only at the end."""
        filled = 0
        while filled < len(buffer):
            count = self.output.readinto(buffer[filled:])
            if not count:
                break
            filled += count
        return filled

    def write(self, data: memoryview | bytes) -> None:
        """Write everything to the input. Raises BrokenPipeError when the process is gone."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.input.write(rest) :]

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def finish(self) -> int:
        """Close the input, wait for the end and return the exit status."""
        if self.input and not self.input.closed:
            self.input.close()
        return self._popen.wait()

    def kill(self) -> None:
        """End it now, if it has not ended, and let go of everything but its messages. Harmless when repeated."""
        if not self.ended:
            self._popen.kill()
        self._popen.wait()
        for pipe in filter(None, (self.input, self.output)):
            pipe.close()
        self._said = self.messages
        self._log.close()

    @property
    def messages(self) -> str:
        """All it has said so far."""
        if self._log.closed:
            return self._said
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """The last thing it said, for an error message."""
        lines = [line.strip() for line in self.messages.splitlines() if line.strip()]
        return lines[-1] if lines else "ffmpeg ended without a word"


def run(arguments: Sequence[str], *, verbose: bool = False) -> tuple[int, str, str]:
    """Run ffmpeg to its end; return exit status, what it wrote to its output, and its messages."""
    process = Process(arguments, fetch=True, verbose=verbose)
    try:
        output = process.output.read()
        return process.finish(), output.decode("utf-8", "replace"), process.messages
    finally:
        process.kill()


def _enlarge(pipe: IO[bytes]) -> None:
    try:
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass  # not Linux, or the share of this user is used up: slower, not wrong

"""One transfer over HTTP: resumed after a cut, ended when it stalls, and said in words why it failed."""

from __future__ import annotations

import errno
import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

CHUNK = 1 << 18
AGENT = "living-pictures"
BUSY = (408, 429, 500, 502, 503, 504)  # worth another try a moment later
REASONS = {
    401: "it wants a login",
    403: "it refuses",
    404: "the file is not there",
    410: "the file is gone",
    429: "too many asked at once, or its quota is used up",
    451: "it may not give the file here",
    509: "its quota is used up",
}
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)

Tell = Callable[[int, int | None], None]  # bytes here, bytes in all if known


class Failed(Exception):
    """Why a mirror didn't give a file.

    again: it may a moment later. unreachable: there is no way to its machine. code, range: of an HTTP answer, its
    status and Content-Range.
    """

    def __init__(
        self, reason: str, again: bool = False, unreachable: bool = False, code: int = 0, range: str = ""
    ) -> None:
        super().__init__(reason)
        self.again, self.unreachable, self.code, self.range = again, unreachable, code, range


def answer(request: Request, timeout: float) -> http.client.HTTPResponse:
    """Open an address, redirects followed. timeout: seconds without a byte. Raises Failed."""
    request.add_header("User-Agent", AGENT)
    try:
        return urlopen(request, timeout=timeout)
    except HTTPError as error:
        with error:
            code = error.code
            if 300 <= code < 400:
                raise Failed("it redirects without end") from None
            reason = f"{REASONS.get(code, 'it has trouble')} ({code})"
            raise Failed(reason, code in BUSY, code=code, range=error.headers.get("Content-Range", "")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise failure(error, timeout) from None


def failure(error: Exception, timeout: float) -> Failed:
    """What broke a transfer, in words."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLError):
        return Failed(f"no safe connection ({reason.reason or reason})")
    if isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in UNREACHABLE:
        return Failed("it can't be reached from here", unreachable=True)
    if isinstance(reason, ConnectionRefusedError):
        return Failed("its machine refuses connections")
    if isinstance(reason, TimeoutError):
        met = not isinstance(error, URLError)  # else it may be blocked here: another try would wait as long
        return Failed(f"no answer for {timeout:g} s", again=met)
    if isinstance(reason, ValueError):
        return Failed(f"its address is wrong ({reason})")
    return Failed(f"the connection broke off ({reason or type(reason).__name__})", again=True)


def receive(
    url: str, part: Path, timeout: float, headers: Mapping[str, str] | None = None, tell: Tell | None = None
) -> None:
    """Bring a file to `part`, going on after what is there already.

    Beside it lies a note of what the server calls this version of the file: another version, or a server that can't
    continue, starts anew. Raises Failed when the file isn't whole afterwards, OSError when it can't be written.
    """
    note = part.with_name(f"{part.name}.json")
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Accept-Encoding": "identity", **(headers or {})})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if mark := _noted(note):
            request.add_header("If-Range", mark)
    try:
        response = answer(request, timeout)
    except Failed as failed:
        if have and failed.code == 416:  # nothing after what is here
            if failed.range == f"bytes */{have}":
                return
            part.unlink()
            raise Failed("the file there has changed", again=True) from None
        raise
    with response:
        begin = have if _continues(response, have) else 0
        length = response.headers.get("Content-Length")
        total = begin + int(length) if length and length.isdecimal() else None
        note.write_text(json.dumps({"mark": _mark(response)}))
        with part.open("ab" if begin else "wb") as file:
            here = begin
            while chunk := _chunk(response, timeout):
                file.write(chunk)
                here += len(chunk)
                if tell:
                    tell(here, total)
    if total is not None and here < total:
        raise Failed(f"it broke off after {here:,} of {total:,} bytes", again=True)


def _chunk(response: http.client.HTTPResponse, timeout: float) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise failure(error, timeout) from None


def _continues(response: http.client.HTTPResponse, have: int) -> bool:
    return bool(
        have and response.status == 206 and re.match(rf"bytes {have}-", response.headers.get("Content-Range", ""))
    )


def _mark(response: http.client.HTTPResponse) -> str:
    """What If-Range takes: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _noted(note: Path) -> str:
    try:
        return json.loads(note.read_text())["mark"]
    except (OSError, ValueError, KeyError):
        return ""

"""A local HTTP server that behaves badly on purpose, a way for each path, and remembers what it was asked."""

import contextlib
import json
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please log in first.</body></html>"
QUOTA = b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title><body>Sorry.</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 291747542\n"


class Server:
    """`files`: path -> bytes, what an honest server would send; a path's first part, /WAY/…, says how it misbehaves.

    Ways: good, json, no-length, cut-N (the first N answers break off in the middle), cut-always, cut-no-range (breaks
    off once and ignores Range), no-range, a code (/429/ always, /503x2/ twice), page, quota, pointer, stall, trickle
    (slow but steady), loop (redirects for ever), hop (redirects once), gone (closes at once), old (an ETag that
    changes).
    """

    def __init__(self):
        self.files, self.asked, self.times = {}, [], {}
        self.lock = threading.Lock()
        self.quiet = threading.Event()  # set: stalled answers end
        outer = self

        class Handler(_Handler):
            server_state = outer

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.quiet.set()
        self.http.shutdown()
        self.http.server_close()

    def ways(self):
        """The ways that were asked, in order, the same one after the other counted once."""
        seen = []
        for way, _ in self.asked:
            if not seen or seen[-1] != way:
                seen.append(way)
        return seen


class _Handler(BaseHTTPRequestHandler):
    server_state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        state = self.server_state
        way, _, name = self.path.lstrip("/").partition("/")
        name = name.partition("?")[0]
        with state.lock:
            state.asked.append((way, dict(self.headers)))
            count = state.times[self.path] = state.times.get(self.path, 0) + 1
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.misbehave(way, state.files.get(name), count)

    def misbehave(self, way, content, count):
        if way == "loop":
            return self.redirect(self.path + "x" if len(self.path) < 9999 else self.path)
        if way == "hop":
            return self.redirect(self.path.replace("/hop/", "/good/"))
        if way == "gone":
            return self.connection.shutdown(socket.SHUT_RDWR)
        if failing := re.fullmatch(r"(\d{3})(?:x(\d+))?", way):
            if count <= int(failing[2] or 999):
                return self.send(int(failing[1]), b"no")
            way = "good"
        if wrong := {"page": PAGE, "quota": QUOTA, "pointer": POINTER}.get(way):
            return self.send(200, wrong, {"Content-Type": "text/html"})
        if content is None:
            return self.send(404, b"not here")
        if way.startswith("json"):
            return self.send(200, content, {"Content-Type": "application/json"})
        return self.give(way, content, count)

    def give(self, way, content, count):
        begin, headers = 0, {"ETag": f'"{count if way == "old" else 1}"'}
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range") in (None, headers["ETag"])
        if asked and fresh and way not in ("no-range", "cut-no-range"):
            begin = int(asked[1])
            if begin >= len(content):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        rest = content[begin:]
        if way != "no-length":
            headers["Content-Length"] = str(len(rest))
        self.send_response(206 if begin else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        cuts = {"cut-always": 999, "cut-no-range": 1, "old": 1}.get(way, 0)
        cuts = int(way[4:]) if re.fullmatch(r"cut-\d+", way) else cuts
        if way == "stall":
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            return self.server_state.quiet.wait(30)
        if way == "trickle":
            for start in range(0, len(rest), len(rest) // 8 + 1):
                self.wfile.write(rest[start : start + len(rest) // 8 + 1])
                self.wfile.flush()
                time.sleep(0.05)
            return None
        return self.wfile.write(rest[: len(rest) // 2] if count <= cuts else rest)

    def redirect(self, to):
        return self.send(302, b"", {"Location": to})

    def send(self, code, body, headers=None):
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def batch(url, header=None):
    """What Git LFS answers."""
    return json.dumps({"objects": [{"actions": {"download": {"href": url, "header": header or {}}}}]}).encode()

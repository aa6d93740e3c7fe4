"""An upload for files of any size: sent in slices, each answered before the next is sent, so that nothing overflows.

The usual upload button sends all in one message, and what is larger than a server's limit vanishes without a word.
This one is a widget of its own kind (anywidget), to be used alone in a cell: on some platforms such widgets don't go
together with tabs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..paths import uploads_folder
from .panel import Panel
from .receive import Receiver
from .words import Words
from .work import failure, line

SLICE = 4_000_000  # bytes; servers and proxies let 10 MB through
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class Upload(anywidget.AnyWidget):
    """A button that brings a file of any size here, in a cell of its own; `path` is where it is ("" until it is here).

        upload = toolkit.ui.Upload()
        upload                              # and in a later cell:
        toolkit.animate("picture.png", upload.path)

    to: a studio (or another panel), whose clip the file becomes; its picture, where the name ends like one. folder:
    where files are kept, each under its own name; None for uploads/. accept: the kinds that the browser offers, such
    as "video/*". language: "en" or "zh"; None for TOOLKIT_LANG or the platform's.
    """

    _esm = (Path(__file__).parent / "upload.js").read_text(encoding="utf-8")
    _css = (Path(__file__).parent / "upload.css").read_text(encoding="utf-8")
    path = traitlets.Unicode()
    _texts = traitlets.Dict().tag(sync=True)
    _said = traitlets.Unicode().tag(sync=True)  # the last thing said, for a page that is opened again
    _slice = traitlets.Int(SLICE).tag(sync=True)
    _accept = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        to: Panel | None = None,
        *,
        folder: str | os.PathLike | None = None,
        accept: str = "",
        language: str | None = None,
    ) -> None:
        self._words = to.words if to is not None and language is None else Words(language)
        self._to, self._folder = to, uploads_folder() if folder is None else folder
        self._run: int | None = None
        self._receiver: Receiver | None = None
        super().__init__(_accept=accept)
        self._words.each(self._tell)
        self.on_msg(self._heard)

    def close(self) -> None:
        self._drop()
        super().close()

    def _tell(self) -> None:
        texts = {"choose": self._words("upload any"), "cancel": self._words("cancel")}
        texts |= {"waiting": self._words("upload waiting"), "broken": self._words("upload broken")}
        self._texts = {**texts, "stopped": self._words("upload stopped")}

    def _heard(self, _: Any, message: dict[str, Any], buffers: list[Any]) -> None:
        """A message of the page: begin, slice, ask (how much is here?) or cancel."""
        kind, run = message["kind"], message["run"]
        if kind == "begin":
            self._drop()  # of a page that was closed in the middle
            self._run = run
        if run != self._run:  # another one has been begun since
            self.send({"kind": "failed", "run": run, "said": line(self._words("upload stopped"))})
        elif kind == "cancel":
            self._drop()
        else:
            self._go_on(message, buffers)

    def _go_on(self, message: dict[str, Any], buffers: list[Any]) -> None:
        """The next step of the upload that is under way."""
        kind, run = message["kind"], message["run"]
        try:
            if kind == "begin":
                self._receiver = Receiver(message["name"], message["size"], self._folder, self._words)
            if self._receiver is None:  # it is whole, and the page has not heard of it
                self._answer("done", run, self._said)
            elif kind == "slice" and self._receiver.take(message["at"], buffers[0]):
                self._arrived(run)
            else:
                self.send({"kind": "go", "run": run, "at": self._receiver.here, "ping": message.get("ping", 0)})
        except Exception as error:  # the page would wait for an answer for ever
            self._drop()
            self._answer("failed", run, failure(error, self._words))

    def _arrived(self, run: int) -> None:
        path, self._receiver = str(self._receiver.path), None
        size = f"{os.path.getsize(path) / 1e6:.1f}"
        self._answer("done", run, line(self._words("uploaded", path=path, size=size)))
        self.path = path
        if self._to is not None:
            setattr(self._to.state, "picture" if path.lower().endswith(PICTURES) else "driving", path)

    def _answer(self, kind: str, run: int, said: str) -> None:
        self._said = said
        self.send({"kind": kind, "run": run, "said": said})

    def _drop(self) -> None:
        if self._receiver is not None:
            self._receiver.cancel()
        self._receiver = self._run = None

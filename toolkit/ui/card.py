"""An error as a card: what happened, what to do, details folded; in place of a traceback."""

from __future__ import annotations

import contextlib
import html
import traceback
from collections.abc import Iterator

from ..errors import ToolkitError
from ..translations import translate

STYLE = "border-left: 4px solid #c62828; padding: 4px 12px; line-height: 1.5; white-space: pre-line"


def card(what: str, remedy: str = "", details: str = "", language: str | None = None) -> str:
    """The card as HTML. details: shown when somebody unfolds them. language: None for TOOLKIT_LANG's."""
    what, remedy, more = (translate(text, language) for text in (what, remedy, "details"))
    folded = f"<details><summary>{more}</summary><pre>{html.escape(details)}</pre></details>" if details else ""
    return f'<div role="alert" style="{STYLE}"><b>{html.escape(what)}</b><br>{html.escape(remedy)}{folded}</div>'


@contextlib.contextmanager
def carded() -> Iterator[None]:
    """In a notebook's cell: an error that the toolkit raises inside is shown as a card, and the notebook goes on.

    with carded():
        toolkit.fetch("tpsmm-vox")
    """
    from IPython.display import HTML, display

    try:
        yield
    except ToolkitError as error:
        display(HTML(card(error.what, error.remedy, traceback.format_exc())))

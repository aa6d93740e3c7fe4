"""The zoo: every published checkpoint by name; fetching, checking, recognising, loading and saving weights.

    toolkit.zoo.table()              # what there is, and what of it is here
    toolkit.fetch("tpsmm-vox")       # the published file, checked
    toolkit.load("tpsmm-vox")        # the model; fetched if need be
    toolkit.zoo.verify("file.pth")   # what a file is

What is listed is in `toolkit/zoo.toml`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {  # torch is imported with what needs it
    "load": "weights",
    "save": "weights",
    "find": "weights",
    "is_converted": "weights",
    "read": "weights",
    "SHIPPED": "weights",
    "recognise": "recognition",
    "name_of": "recognition",
    "verify": "verification",
    "fetch": "download",
    "entry": "catalogue",
    "entries": "catalogue",
    "table": "listing",
}

__all__ = [*_WHERE]

if TYPE_CHECKING:
    from .catalogue import entries, entry
    from .download import fetch
    from .listing import table
    from .recognition import name_of, recognise
    from .verification import verify
    from .weights import SHIPPED, find, is_converted, load, read, save


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'toolkit.zoo' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

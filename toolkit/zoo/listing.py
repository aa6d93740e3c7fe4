"""The zoo as a table: in a terminal, in a notebook, in the README."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from ..translations import columns, padded, translate
from . import catalogue, search
from .catalogue import Entry

COLUMNS = ("name", "model", "for", "picture", "download", "licence of the code", "licence of the weights", "here")


@dataclass(frozen=True)
class Table:
    """Rows of text under COLUMNS. Prints as plain text, shows as HTML in a notebook, in the language of TOOLKIT_LANG
    or the platform.
    """

    rows: tuple[tuple[str, ...], ...]

    def _translated(self) -> list[tuple[str, ...]]:
        return [tuple(map(translate, row)) for row in (COLUMNS, *self.rows)]

    def __str__(self) -> str:
        shown = [tuple(row[i] for i in (0, 1, 3, 4, 7, 2)) for row in self._translated()]
        widths = [max(map(columns, column)) for column in zip(*shown)]
        lines = ["  ".join(padded(cell, width) for cell, width in zip(row, widths)).rstrip() for row in shown]
        licences = dict.fromkeys((row[0] if row[1] == "helper" else row[1].split()[0], *row[5:7]) for row in self.rows)
        told = [translate(f"{model}: code {code}; weights {weights}") for model, code, weights in licences]
        return "\n".join([lines[0], "-" * max(map(columns, lines)), *lines[1:], "", translate("Licences"), *told])

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"  # notebooks align to the right
        names, *rows = self._translated()
        head = "".join(f"<th {left}>{cell}</th>" for cell in names)
        cells = ("".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def markdown(self) -> str:
        """For the README of that language: without what is here on this machine."""
        head, *cells = self._translated()
        rows = [[f"`{row[0]}`", *row[1:7]] for row in cells]
        return "\n".join("| " + " | ".join(row) + " |" for row in (head[:7], ["---"] * 7, *rows)) + "\n"


def table() -> Table:
    """Every checkpoint of the zoo: what it is, what for, how large, whose licence, and whether it is here."""
    entries = catalogue.entries().values()
    copies = search.copies({file.name for entry in entries for file in entry.files})
    return Table(tuple(_row(entry, copies) for entry in entries))


def _row(entry: Entry, copies: dict[str, list[Path]]) -> tuple[str, ...]:
    return (
        entry.name,
        f"{entry.model} {entry.config}".strip() or "helper",
        entry.purpose,
        f"{entry.pixels}" if entry.pixels else "any",
        catalogue.amount(entry.size),
        entry.code,
        entry.weights,
        "yes" if _is_here(entry, copies) else "",
    )


def _is_here(entry: Entry, copies: dict[str, list[Path]]) -> bool:
    """By names and sizes alone: hashes are looked at when it is used."""
    if (entry.folder / f"{entry.name}.safetensors").is_file():
        return True

    return all(
        any(file.fits(path.stat().st_size) for path in [entry.folder / file.name, *copies[file.name]] if path.is_file())
        for file in entry.files
    )

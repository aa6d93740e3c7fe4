"""Cuts one strip out of several runs' preview sheets, to show how a model came to be.

    python notebooks/strip.py OUT.webp SHEET.png … --rows 0 2 6

A sheet of a run on drawn heads (`sheet-*.png`, see `toolkit/training/sheets.py`) has a band of titles, then 8 rows of
square pictures: source, driver, moved, result, truth, kept, motions. The strip has driver, source and truth of the last
sheet, then the result of each sheet, for the rows named.

notebooks/pictures/from-nothing.webp is such a strip. The one that is there was cut when sheets had neither titles nor
marks, from two runs that are not in git: one from nothing by the first recipe (steps 1000, 2000, 2800), and the last
stage of a later one (steps 200, 2400); rows 1, 4 and 6. This makes a new one, of one run of today's recipe; its sheets
show pairs from the stage "copy" on:

    python -m toolkit train mini-fomm -o runs/mini-fomm
    cd runs/mini-fomm && python ../../notebooks/strip.py ../../notebooks/pictures/from-nothing.webp \\
        sheet-000{3200,5200,6800,7200,9600}.png --rows 1 4 6
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROWS = 8
COLUMNS = ("source", "driver", "moved", "result", "truth", "kept", "motions")


def strip(sheets: Sequence[Path], rows: Sequence[int], side: int = 128, gap: int = 4) -> Image.Image:
    """The pictures of one row each beside each other, `side` pixels large."""
    read = [Image.open(sheet).convert("RGB") for sheet in sheets]
    shown = [(read[-1], name) for name in ("driver", "source", "truth")] + [(sheet, "result") for sheet in read]
    out = Image.new("RGB", (len(shown) * (side + gap) - gap, len(rows) * (side + gap) - gap), "white")
    for y, row in enumerate(rows):
        for x, (sheet, column) in enumerate(shown):
            out.paste(_cell(sheet, row, column, side), (x * (side + gap), y * (side + gap)))
    return out


def _cell(sheet: Image.Image, row: int, column: str, side: int) -> Image.Image:
    large = sheet.width // len(COLUMNS)
    band = sheet.height - ROWS * large
    if sheet.width % len(COLUMNS) or not 0 < band < large:
        raise SystemExit(f"A sheet of {sheet.width} x {sheet.height} pixels has not {ROWS} rows of {len(COLUMNS)}.")
    left, top = COLUMNS.index(column) * large, band + row * large
    return sheet.crop((left, top, left + large, top + large)).resize((side, side), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut one strip out of several preview sheets.")
    parser.add_argument("output", type=Path)
    parser.add_argument("sheets", type=Path, nargs="+")
    parser.add_argument("--rows", type=int, nargs="+", default=[0], choices=range(ROWS))
    given = parser.parse_args()
    strip(given.sheets, given.rows).save(given.output, quality=85)


if __name__ == "__main__":
    main()

"""Cuts one strip out of several runs' preview sheets, to show how a model came to be.

    python notebooks/strip.py OUT.webp SHEET.png … --rows 0 2 6

Each sheet has 8 rows and 6 columns of square pictures: picture, driver, truth, moved, kept, result (see
`toolkit/training/drawn.py`). The strip has driver, picture and truth of the last sheet, then the result of each sheet,
for the rows named. notebooks/pictures/from-nothing.webp was made with

    mini/sheet-0001000.png mini/sheet-0002000.png mini1/sheet-0002800.png deep1/sheet-0000200.png
    deep1/sheet-0002400.png --rows 1 4 6

of the author's run folders, which are not in git: mini and mini1 are one run from nothing by the first recipe, deep1 is
the last stage of a later one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROWS, COLUMNS = 8, 6
PICTURE, DRIVER, TRUTH, RESULT = 0, 1, 2, 5


def strip(sheets: Sequence[Path], rows: Sequence[int], side: int = 128, gap: int = 4) -> Image.Image:
    """The pictures of one row each beside each other, `side` pixels large."""
    read = [Image.open(sheet).convert("RGB") for sheet in sheets]
    shown = [(read[-1], DRIVER), (read[-1], PICTURE), (read[-1], TRUTH), *((sheet, RESULT) for sheet in read)]
    out = Image.new("RGB", (len(shown) * (side + gap) - gap, len(rows) * (side + gap) - gap), "white")
    for y, row in enumerate(rows):
        for x, (sheet, column) in enumerate(shown):
            out.paste(_cell(sheet, row, column, side), (x * (side + gap), y * (side + gap)))
    return out


def _cell(sheet: Image.Image, row: int, column: int, side: int) -> Image.Image:
    gap = 4  # as in sheets.grid
    large = (sheet.width - gap) // COLUMNS - gap
    left, top = gap + column * (large + gap), gap + row * (large + gap)
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

"""notebooks/strip.py, which cuts the picture of notebook 06 out of a run's preview sheets."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toolkit.training.sheets import preview

SIDE = 64
PATH = Path(__file__).resolve().parents[2] / "notebooks" / "strip.py"


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("strip", PATH)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def sheet(path, result):
    """Eight rows of plain greys, darker from row to row; sources, drivers, truths and results differ."""
    rows = torch.linspace(0, 0.07, 8).view(8, 1, 1, 1).expand(8, 3, SIDE, SIDE)
    motion = {"value": torch.full((8, 1, 2), 0.99)}  # its dot is in a corner
    shares = torch.full((8, 2, 8, 8), 0.5)
    more = {"truth": 0.8 - rows, "occlusion": shares[:, :1], "shares": shares}
    made = preview((0.2 - rows, motion), (0.4 - rows, motion), 0.1 - rows.clamp(max=0.05), result - rows, **more)
    Image.fromarray(made).save(path)
    return path


def test_a_strip_has_driver_source_truth_and_the_results(tmp_path, module):
    sheets = [sheet(tmp_path / f"sheet-{number}.png", result) for number, result in enumerate((0.6, 0.9))]
    strip = np.asarray(module.strip(sheets, [0, 7], side=32, gap=4)).astype(float)[..., 0] / 255
    assert strip.shape == (68, 5 * 36 - 4)
    for y, darker in ((16, 0.0), (52, 0.07)):
        seen = [strip[y, 16 + 36 * number] + darker for number in range(5)]
        assert seen == pytest.approx([0.4, 0.2, 0.8, 0.6, 0.9], abs=0.01)


def test_what_is_no_sheet_is_refused(tmp_path, module):
    Image.new("RGB", (70, 90)).save(tmp_path / "no.png")
    Image.new("RGB", (64, 90)).save(tmp_path / "nor.png")
    for name in ("no.png", "nor.png"):
        with pytest.raises(SystemExit, match="has not 8 rows of 7"):
            module.strip([tmp_path / name], [0])

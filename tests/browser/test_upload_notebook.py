"""The sliced upload as a person uses it: a file far over the limit of a message, one that is cancelled, odd names."""

import random
import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.lab import photographed

LARGE = 30_000_000  # bytes; the upload button of ipywidgets loses what is over 10 MB
CELLS = (
    "import os, sys\nsys.path.insert(0, os.environ['TOOLKIT_ROOT'])\nfrom toolkit.ui import Upload",
    "first = Upload()\nfirst",
    "second = Upload()\nsecond._slice = 20_000  # many small slices leave the time to press Cancel\nsecond",
)


@pytest.fixture(scope="module")
def notebook(lab, open_notebook):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, lab.root / "notebooks" / "upload.ipynb")
    notebook = open_notebook("upload.ipynb")
    assert notebook.run_all(), notebook.page.locator(".jp-OutputArea").all_inner_texts()
    return notebook


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of bytes that nobody can guess, under a name that people give."""
    path = tmp_path_factory.mktemp("mine") / "我的 歌 (final) 🎤.mp4"
    path.write_bytes(random.Random(1).randbytes(LARGE))
    return path


def uploads(notebook):
    folder = notebook.folder / "uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_large_file_arrives_whole(notebook, large):
    upload = notebook.page.locator(".lp-upload").first
    expect(upload.get_by_text("Upload a file of any size")).to_be_visible()
    expect(upload.get_by_role("button", name="Cancel")).to_be_hidden()
    upload.locator("input[type=file]").set_input_files(large)
    expect(upload.get_by_role("status")).to_contain_text("is here (30.0 MB)")
    assert (notebook.folder / "uploads" / large.name).read_bytes() == large.read_bytes()
    assert uploads(notebook) == [large.name]
    photographed(upload, "upload-done")


def test_cancel_leaves_nothing_and_the_next_one_arrives(notebook, large, tmp_path):
    before = uploads(notebook)
    upload = notebook.page.locator(".lp-upload").nth(1)
    field, said = upload.locator("input[type=file]"), upload.get_by_role("status")
    field.set_input_files(large)
    expect(said).to_contain_text(re.compile(r"[1-9]\d* / 30.0 MB|0\.[1-9] / 30.0 MB"))
    photographed(upload, "upload-under-way")
    upload.get_by_role("button", name="Cancel").click()
    expect(said).to_have_text("Stopped. Nothing was kept.")
    expect(field).to_be_enabled()
    small = tmp_path / large.name
    small.write_bytes(b"another file of the same name")
    field.set_input_files(small)
    expect(said).to_contain_text("is here")
    second = large.stem + "-2.mp4"
    assert uploads(notebook) == sorted([*before, second])
    assert (notebook.folder / "uploads" / second).read_bytes() == small.read_bytes()


def test_an_empty_file_is_a_card(notebook, tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    upload = notebook.page.locator(".lp-upload").first
    upload.locator("input[type=file]").set_input_files(empty)
    expect(upload.get_by_role("alert")).to_contain_text("empty.mp4 is empty.")
    photographed(upload, "upload-error")
    assert "empty.mp4" not in uploads(notebook)


def test_the_console_has_no_errors(notebook):
    assert notebook.errors == []

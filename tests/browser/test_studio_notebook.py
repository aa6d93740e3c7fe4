"""The studio on the start page as a person uses it: choose, Animate, watch; err and recover; another language."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import ROOT, photographed
from tests.browser.playing import check_plays

WIDTH = 1000


@pytest.fixture(scope="module")
def notebook(lab, open_notebook):
    shutil.copy(ROOT / "index.ipynb", lab.root / "notebooks" / "index.ipynb")
    shutil.copytree(ROOT / "docs", lab.root / "notebooks" / "docs")  # its picture
    notebook = open_notebook("index.ipynb")
    notebook.page.set_viewport_size({"width": WIDTH, "height": 2400})
    assert notebook.run_all(), notebook.page.locator(".jp-OutputArea").all_inner_texts()
    return notebook


@pytest.fixture
def studio(notebook):
    found = notebook.page.locator(".jp-OutputArea-output").filter(
        has=notebook.page.locator(".widget-tab, .jupyter-widget-tab")
    )
    expect(found).to_be_visible()
    return found


def pushed(studio, handle, low, high):
    """Push the end of the part with the arrow keys until it lies between low and high seconds; returns it. Each press
    is seen through before the next: now and then the slider takes one for two, or none.
    """
    part = studio.get_by_text(re.compile(r"0\.00 s to [\d.]+ s of 10\.00 s"))
    for _ in range(60):
        expect(part).to_be_visible()
        shown = part.inner_text()
        end = float(re.search(r"to ([\d.]+) s", shown)[1])
        if low <= end <= high:
            return end
        handle.focus()
        handle.press("ArrowRight" if end < low else "ArrowLeft")
        with contextlib.suppress(AssertionError):
            expect(part).not_to_have_text(shown, timeout=3000)
    raise AssertionError(f"the slider stays at {shown}")


def settled(studio):
    """Wait until no panel is at work: on a slow machine a preview or a look outlasts the test that asked for it."""
    for name in ("Preview", "Show what the model sees", "Animate"):
        expect(studio.locator("button", has_text=name)).to_be_enabled()


def test_a_sample_is_chosen_and_the_result_plays(notebook, studio):
    studio.get_by_role("button", name="Figure").click()
    expect(studio.get_by_text("384 x 384 pixels").first).to_be_visible()
    studio.get_by_role("button", name="Cartoon").click()
    expect(studio.get_by_text("512 x 512 pixels", exact=True)).to_be_visible()
    expect(studio.get_by_text("0.00 s to 0.40 s of 10.00 s")).to_be_visible()
    photographed(studio, "studio-begun")
    button = studio.get_by_role("button", name="Animate")
    button.click()
    expect(studio.locator("video")).to_be_visible()
    expect(button).to_be_enabled()
    expect(studio.get_by_role("alert")).to_have_count(0)
    check_plays(studio.locator("video"), 0.4, (768, 256))
    result = re.search(r"results/\S+?\.mp4", studio.inner_text()).group()
    assert (notebook.folder / result).is_file(), "the path under the clip is where it is"
    assert (notebook.folder / result).with_suffix(".json").is_file(), "its settings lie beside it"
    with notebook.page.expect_download() as download:
        studio.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == Path(result).name
    photographed(studio, "studio-result")


def test_nothing_is_cut_off_in_a_narrow_window(studio):
    wide = studio.evaluate(
        "studio => [...studio.querySelectorAll('button, img, video')].map("
        "part => part.getBoundingClientRect().right - studio.getBoundingClientRect().right)"
    )
    assert max(wide) <= 1
    cut = studio.evaluate(
        "studio => [...studio.querySelectorAll('button, label')].filter("
        "part => part.scrollWidth > part.clientWidth + 1).map(part => part.innerText)"
    )
    assert [text for text in cut if text] == []


def test_a_slider_of_the_motion_changes_the_preview(notebook, studio):
    studio.get_by_role("tab", name="Motion").click()
    sliders = studio.get_by_role("slider").locator("visible=true")  # the clip's two handles, strength, smooth, preview
    sliders.nth(4).focus()
    sliders.nth(4).press("End")  # not the reference frame, which looks the same at any strength
    studio.get_by_role("button", name="Preview").click()
    expect(studio.get_by_text("picture, clip, result at")).to_be_visible()
    image = studio.locator(".widget-tab img, .jupyter-widget-tab img").locator("visible=true").first
    before = image.get_attribute("src")
    strength = sliders.nth(2)
    strength.focus()
    for _ in range(6):
        strength.press("ArrowRight")
    expect(image).not_to_have_attribute("src", before)
    photographed(studio, "studio-motion")


def test_the_crop_is_shown(notebook, studio):
    studio.get_by_role("tab", name="Crop").click()
    studio.get_by_role("button", name="Show what the model sees").click()
    expect(studio.get_by_text("all of it is used").locator("visible=true")).to_have_count(2)
    studio.get_by_label("picture", exact=True).locator("visible=true").select_option("by hand")
    expect(studio.get_by_text("512 x 512 pixels from (0, 0)")).to_be_visible()
    photographed(studio, "studio-crop")
    studio.get_by_label("picture", exact=True).locator("visible=true").select_option("none: all of it")


def test_cancel_ends_a_long_run_and_the_next_one_is_whole(notebook, studio):
    settled(studio)
    before = sorted((notebook.folder / "results").iterdir())
    handle = studio.get_by_role("slider").nth(1)
    handle.focus()
    handle.press("End")
    expect(studio.get_by_text("to 10.00 s of 10.00 s")).to_be_visible()
    studio.get_by_role("button", name="Animate").click()
    expect(studio.get_by_text(re.compile("(reading the motion|animating): [1-9]")).first).to_be_attached()
    studio.get_by_role("button", name="Cancel").click()
    expect(studio.get_by_text("Stopped.")).to_be_visible()
    expect(studio.get_by_role("button", name="Animate")).to_be_enabled()
    assert sorted((notebook.folder / "results").iterdir()) == before

    handle.press("Home")
    expect(studio.get_by_text("0.00 s to 0.04 s of 10.00 s")).to_be_visible()  # a part is never empty
    until = pushed(studio, handle, 0.3, 0.5)
    studio.get_by_role("tab", name="Output").click()
    studio.get_by_label("side in pixels").select_option("384")
    studio.get_by_label("visible mark").select_option("made with AI")
    photographed(studio, "studio-output")
    button = studio.get_by_role("button", name="Animate")
    button.click()
    expect(studio.get_by_text("mini-fomm-2.mp4")).to_be_visible()  # beside the first, which is kept
    expect(button).to_be_enabled()
    expect(studio.get_by_text("Stopped.")).to_have_count(0)
    check_plays(studio.locator("video"), until, (1152, 384))
    photographed(studio, "studio-marked")


def test_a_wrong_name_is_a_card_and_the_button_works_again(notebook, studio):
    settled(studio)
    field = studio.get_by_label("file", exact=True).locator("visible=true").first
    right = field.input_value()
    field.fill("nobody.png")
    field.press("Enter")
    card = studio.get_by_role("alert")
    expect(card.first).to_contain_text("There is no file nobody.png.")
    button = studio.get_by_role("button", name="Animate")
    button.click()
    expect(card).to_have_count(2)  # where it was chosen, and under the button
    expect(button).to_be_enabled()
    photographed(studio, "studio-error")
    field.fill(right)
    field.press("Enter")
    expect(card).to_have_count(1)
    expect(studio.get_by_text("512 x 512 pixels", exact=True)).to_be_visible()  # which moves the button
    button.click()
    expect(card).to_have_count(0)
    expect(button).to_be_enabled()
    expect(card).to_have_count(0)
    assert "Traceback" not in notebook.page.locator(".jp-NotebookPanel").inner_text()


def test_the_switch_changes_the_language_and_loses_nothing(notebook, studio):
    settled(studio)
    studio.get_by_role("button", name="中文").click()
    expect(studio.get_by_role("button", name="生成动画")).to_be_visible()
    expect(studio.get_by_role("tab", name="动作")).to_be_visible()
    expect(studio.get_by_text("512 x 512 像素", exact=True)).to_be_visible()
    field = studio.get_by_label("文件", exact=True).locator("visible=true").first
    right = field.input_value()
    field.fill("nobody.png")
    field.press("Enter")
    expect(studio.get_by_role("alert").first).to_contain_text("nobody.png")
    expect(studio.get_by_role("alert").first).to_contain_text(re.compile("[\u4e00-\u9fff]"))
    photographed(studio, "studio-chinese")
    field.fill(right)
    field.press("Enter")
    expect(studio.get_by_role("alert")).to_have_count(0)
    page = notebook.page
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    studio.get_by_role("tab", name="模型").click()
    photographed(studio, "studio-dark")
    page.set_viewport_size({"width": 1600, "height": 2000})
    photographed(studio, "studio-wide")
    studio.get_by_role("button", name="English").click()
    expect(studio.get_by_role("button", name="Animate")).to_be_visible()


def test_the_console_has_no_errors(notebook):
    assert notebook.errors == []

"""03_animate as a person uses it: run all cells, move a slider, press Animate, watch; make a mistake and recover."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from tests.browser.playing import check_plays
from toolkit import sample


@pytest.fixture(scope="module")
def notebook(open_notebook):
    notebook = open_notebook("03_animate.ipynb")
    assert notebook.run_all(), notebook.page.locator(".jp-OutputArea").all_inner_texts()
    return notebook


@pytest.fixture
def panel(notebook):
    """The output of the cell with the Animate button."""
    found = notebook.page.locator(".jp-OutputArea-output").filter(
        has=notebook.page.get_by_role("button", name="Animate")
    )
    expect(found).to_be_visible()
    return found


def test_every_cell_ran_and_its_clips_play(notebook):
    page = notebook.page
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr'] >> text=Error").count() == 0
    videos = page.locator(".jp-NotebookPanel video")
    expect(videos).to_have_count(5)  # the driver, three results, all side by side
    check_plays(videos.nth(0), 10, (512, 512))
    check_plays(videos.nth(1), 1, (256, 256))
    check_plays(videos.last, 0.4, (768, 256))


def test_a_slider_and_the_button_make_a_clip(notebook, panel):
    thumb = panel.get_by_role("slider").first
    thumb.focus()
    thumb.press("ArrowRight")
    thumb.press("ArrowRight")
    expect(panel.locator(".widget-readout").first).to_have_text("1.2")
    button = panel.get_by_role("button", name="Animate")
    button.click()
    video = panel.locator("video")
    expect(video).to_be_visible()
    expect(button).to_be_enabled()
    expect(panel.get_by_role("alert")).to_have_count(0)
    check_plays(video, 0.4, (768, 256))  # picture, driver and result
    name = re.search(r"results/\S+\.mp4", panel.inner_text()).group()
    assert (notebook.folder / name).is_file(), "the path under the clip is where it is"


def test_a_wrong_name_is_a_card_and_the_button_works_again(notebook, panel):
    field = panel.get_by_label("picture", exact=True)
    field.fill("nobody.png")
    button = panel.get_by_role("button", name="Animate")
    button.click()
    card = panel.get_by_role("alert")
    expect(card).to_contain_text("There is no file nobody.png.")
    expect(button).to_be_enabled()
    assert "Traceback" not in notebook.page.locator(".jp-NotebookPanel").inner_text()

    shutil.copy(sample("picture.png"), notebook.folder / "friend.png")
    field.fill("friend.png")
    button.click()
    expect(card).to_have_count(0)
    expect(panel.get_by_text("friend--driving")).to_be_visible()  # the file beside the notebook was taken
    check_plays(panel.locator("video"), 0.4, (768, 256))


def test_stop_ends_a_long_run(notebook, panel):
    before = sorted((notebook.folder / "results").iterdir())
    length = panel.get_by_label("seconds", exact=True)
    length.fill("8")
    length.press("Tab")
    panel.get_by_role("button", name="Animate").click()
    expect(panel.get_by_text(re.compile("animating: [1-9]"))).to_be_attached()
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped.")).to_be_visible()
    expect(panel.get_by_role("button", name="Animate")).to_be_enabled()
    assert sorted((notebook.folder / "results").iterdir()) == before


def test_the_console_has_no_errors(notebook):
    assert notebook.errors == []

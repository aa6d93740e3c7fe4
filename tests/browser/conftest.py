"""One server for each module of tests, one browser, and a page for each notebook."""

import contextlib

import pytest

from tests.browser.lab import chromium, opened, serving


@pytest.fixture(scope="module")
def lab(tmp_path_factory, measurements):
    """JupyterLab with notebooks that run less of everything."""
    with serving(tmp_path_factory.mktemp("lab"), TOOLKIT_QUICK="1", TOOLKIT_CACHE=str(measurements)) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as browser:
            yield browser
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def open_notebook(browser, lab):
    """A function: open one of the notebooks and wait until its kernel is there."""
    with contextlib.ExitStack() as pages:

        def open_one(name):
            notebook = opened(browser, lab, name)
            pages.callback(notebook.page.close)
            return notebook

        yield open_one

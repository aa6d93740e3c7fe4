"""A real JupyterLab in a real browser: the server, the browser, and one notebook in a page."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 200_000  # ms; nothing takes that long on a machine that has time
FLAGS = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
QUIET = '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}'


@dataclass
class Lab:
    """A server with nothing of the user's. root: its folder, with notebooks/ in it."""

    address: str
    token: str
    root: Path


@contextlib.contextmanager
def serving(home, **variables):
    """Start JupyterLab over a copy of the notebooks in an empty folder. variables: more of its environment."""
    root = home / "root"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns("results", ".ipynb_*"))
    quiet = home / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(QUIET)  # no question about news over the page
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    own = {
        **{f"JUPYTER_{name}": f"{home}/{folder}" for name, folder in folders.items()},
        "JUPYTERLAB_SETTINGS_DIR": f"{home}/settings",
        "JUPYTERLAB_WORKSPACES_DIR": f"{home}/workspaces",
        "IPYTHONDIR": f"{home}/ipython",
        "TOOLKIT_ROOT": str(ROOT),
        **variables,
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": root,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": token,
        "LabApp.open_browser": False,
        "LabApp.expose_app_in_browser": True,  # window.jupyterapp: the tests run Lab's commands by name
        "LabApp.extension_manager": "readonly",  # no look-ups of a list of extensions
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, f"{address}/api/status?token={token}", home / "lab.log")
        yield Lab(address, token, root)
    finally:
        server.terminate()  # Lab ends its kernels on that; one that is left over ends with its parent
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(server, address, log):
    end = time.monotonic() + PATIENCE / 1000
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        assert server.poll() is None and time.monotonic() < end, f"JupyterLab did not start:\n{log.read_text()[-3000:]}"
        time.sleep(0.2)


@contextlib.contextmanager
def chromium():
    """Debian's Chromium, headless. Raises FileNotFoundError where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise FileNotFoundError("This needs Chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Notebook:
    """An open notebook. page: where it is; errors: what the page's console complained about; folder: beside it."""

    page: Page
    errors: list[str]
    folder: Path

    def run_all(self) -> bool:
        """Run all cells by Lab's own command; False when one of them raised."""
        self.begin()
        self.page.wait_for_function("() => window.ran !== undefined", timeout=PATIENCE)
        self.wait_until_idle()
        return self.page.evaluate("() => window.ran")

    def begin(self):
        """Run all cells, and don't wait for them."""
        self.page.evaluate(
            """() => { window.ran = undefined;
                window.jupyterapp.commands.execute('notebook:run-all-cells').then(ok => { window.ran = Boolean(ok); },
                                                                                  () => { window.ran = false; }) }"""
        )

    def wait_until_idle(self):
        self.page.wait_for_function(
            """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'""",
            timeout=PATIENCE,
        )


def opened(browser, lab, name):
    """Open a notebook of notebooks/ in a page of its own, and wait until its kernel is there."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab.address}/lab/tree/notebooks/{name}?token={lab.token}&reset")
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
    notebook = Notebook(page, errors, lab.root / "notebooks")
    notebook.wait_until_idle()
    return notebook


def photographed(part, name):
    """A screenshot of a part of a page, where TOOLKIT_SCREENSHOTS names a folder for them."""
    if folder := os.environ.get("TOOLKIT_SCREENSHOTS"):
        part.screenshot(path=Path(folder) / f"{name}.png")

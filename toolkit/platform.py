"""Where a notebook runs, and what follows: Colab, Kaggle, OpenBayes, HyperAI, AutoDL, ModelScope, or any Jupyter.

Each platform keeps one folder, mounts data in others, has its own way for a large clip to get in, and a language that
most of its people read. TOOLKIT_MOUNTS is the root that the folders are looked for under, "/" unless set.
(Inside the package this module hides nothing: `import platform` is the standard library's.)
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError, ToolkitError
from .translations import translate

LANGUAGES = ("en", "zh")
INLINE = 500_000  # bytes of a clip in a page: a notebook with half a dozen of them stays below 2 MB
UPLOAD = 10_000_000  # bytes of a file in an upload button; larger ones vanish before the kernel hears of them


@dataclass(frozen=True)
class _Kind:
    """How a platform is told, by folders or by the beginning of a variable's name, and what is known of it."""

    title: str
    folders: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()  # what survives the session, the best first
    inputs: tuple[str, ...] = ()  # mounted or uploaded data, every spelling that was in use
    forgets: bool = False  # what lies elsewhere is gone when the session ends
    mainland: bool = False
    upload: str = ""  # how a large file gets there
    limit: int = UPLOAD


_FILE_LIST = "drag the file into the file list beside the notebook (it is sent in pieces) and write its name."
_KINDS = {
    "kaggle": _Kind(  # before Colab, whose image it is built from
        "Kaggle",
        ("kaggle/input", "kaggle/working"),
        ("KAGGLE_KERNEL_RUN_TYPE",),
        ("kaggle/working",),
        ("kaggle/input",),
        forgets=True,
        upload="Add Input → Upload makes a data set of it; its path is then below /kaggle/input.",
    ),
    "colab": _Kind(
        "Colab",
        variables=("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION"),
        homes=("content/drive/MyDrive", "content/drive/My Drive", "content/gdrive/MyDrive", "content/gdrive/My Drive"),
        inputs=("content/drive/Shareddrives", "content"),
        forgets=True,
        upload="run `from google.colab import files; files.upload()`; a very large one goes through your Drive: "
        "`from google.colab import drive; drive.mount('/content/drive')`.",
        limit=1_000_000,
    ),
    "openbayes": _Kind(
        "OpenBayes",
        ("openbayes",),
        homes=("openbayes/home", "output"),
        inputs=(
            *(f"openbayes/{inputs}/input{n}" for inputs in ("input", "inputs") for n in range(5)),
            *(f"input{n}" for n in range(5)),
        ),
        forgets=True,
        mainland=True,
        upload=f"upload it as a data set and bind that to the container (/openbayes/input/input0), or {_FILE_LIST}",
    ),
    "hyperai": _Kind(
        "HyperAI",
        ("hyperai",),
        homes=("hyperai/home", "output"),
        inputs=tuple(f"hyperai/{inputs}/input{n}" for inputs in ("input", "inputs") for n in range(5)),
        forgets=True,
        upload=f"upload it as a data set and bind that to the container (/hyperai/input/input0), or {_FILE_LIST}",
    ),
    "autodl": _Kind(
        "AutoDL",
        ("root/autodl-tmp", "root/autodl-pub", "root/autodl-fs"),
        homes=("root/autodl-tmp", "root/autodl-fs"),
        inputs=("root/autodl-pub",),
        mainland=True,
        upload=f"put it into /root/autodl-tmp: {_FILE_LIST}",
    ),
    "modelscope": _Kind(  # its library has variables of its own (MODELSCOPE_CACHE), which people set anywhere
        "ModelScope",
        ("mnt/workspace",),
        ("MODELSCOPE_ENVIRONMENT",),
        homes=("mnt/workspace",),
        mainland=True,
    ),
    "jupyter": _Kind("Jupyter"),
}
PLACES = tuple(dict.fromkeys(place for kind in _KINDS.values() for place in (*kind.inputs, *kind.homes)))


@dataclass(frozen=True)
class Platform:
    """name: "colab", "kaggle", "openbayes", "hyperai", "autodl", "modelscope" or "jupyter". title: as people call it.

    home: the folder to keep things in, where the platform has one that is here and can be written. forgets: what lies
    elsewhere is gone when the session ends. inputs: the folders of mounted or uploaded data that are here. mainland:
    in mainland China. language: "en" or "zh", what most people read there. upload_limit: bytes that an upload button
    takes; more is lost on the way.
    """

    name: str
    title: str
    home: Path | None
    forgets: bool
    inputs: tuple[Path, ...]
    mainland: bool
    language: str
    upload_limit: int = UPLOAD

    def upload(self, language: str | None = None) -> str:
        """How a clip larger than `upload_limit` gets here, in words."""
        return translate(_KINDS[self.name].upload or _FILE_LIST, language or self.language)


def here() -> Platform:
    """The platform that this is, as it is now (a Drive may be mounted at any time)."""
    root = _root()
    name, kind = next((name, kind) for name, kind in _KINDS.items() if _is(kind, root) or name == "jupyter")
    homes = [root / home for home in kind.homes if _is_folder(root / home) and os.access(root / home, os.W_OK)]
    inputs = _distinct(root / place for place in kind.inputs)
    local = (os.environ.get("LC_ALL") or os.environ.get("LANG") or "").startswith("zh")
    speaks = "zh" if kind.mainland or local else "en"
    home = homes[0] if homes else None
    return Platform(name, kind.title, home, kind.forgets, inputs, kind.mainland, speaks, kind.limit)


def language() -> str:
    """The language to use, "en" or "zh": TOOLKIT_LANG, else the platform's. Raises ConfigError for another one."""
    chosen = os.environ.get("TOOLKIT_LANG", "")
    if chosen and chosen.lower()[:2] not in LANGUAGES:
        raise ConfigError(f"TOOLKIT_LANG is '{chosen}'.", f"Set it to one of: {', '.join(LANGUAGES)}.")
    return chosen.lower()[:2] or here().language


def places(root: str | Path | None = None) -> list[Path]:
    """The folders of all platforms that are here, each once. root: instead of TOOLKIT_MOUNTS."""
    root = Path(root) if root else _root()
    return list(_distinct(root / place for place in PLACES))


def _root() -> Path:
    return Path(os.environ.get("TOOLKIT_MOUNTS") or "/")


def _is(kind: _Kind, root: Path) -> bool:
    told = any(name.startswith(start) for start in kind.variables for name in os.environ)
    return told or any(_is_folder(root / folder) for folder in kind.folders)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder. One in a folder that this user may not look into (/root) is none; Path.is_dir raises."""
    return os.path.isdir(path)


def _distinct(folders: object) -> tuple[Path, ...]:
    """Those that are there; some are links to others."""
    seen: dict[Path, Path] = {}
    for folder in folders:
        if _is_folder(folder):
            seen.setdefault(folder.resolve(), folder)
    return tuple(seen.values())


# ---------------------------------------------------------------- the first cell of a notebook

PACKAGES = {  # module -> what pip calls it
    "safetensors": "safetensors>=0.4",
    "imageio_ffmpeg": "imageio-ffmpeg>=0.5",
    "PIL": "pillow>=10.1",
    "tqdm": "tqdm>=4.60",
    "filelock": "filelock>=3.12",
    "scipy": "scipy>=1.11",
    "matplotlib": "matplotlib>=3.7",
    "moviepy": "moviepy>=1.0.3",
    "gdown": "gdown>=5.1",
    "face_alignment": "face-alignment>=1.4",
    "skimage": "scikit-image>=0.22",
    "accelerate": "accelerate>=1.0",
    "anywidget": "anywidget>=0.9",
    "torchmetrics": "torchmetrics>=1.2",
}
EVERYWHERE = (
    "safetensors",
    "imageio_ffmpeg",
    "PIL",
    "tqdm",
    "filelock",
    "scipy",
    "matplotlib",
)  # in each notebook
GIVEN = ("torch", "numpy", "ipywidgets")  # the platform's own: another version than its own breaks it
HELD = (  # what pip may not change while it installs something else: the running kernel has loaded it, or needs it
    *("torch", "torchvision", "torchaudio", "triton", "numpy", "scipy", "pillow", "matplotlib", "scikit-image"),
    *("numba", "llvmlite", "opencv-python", "opencv-python-headless", "opencv-contrib-python", "pandas", "protobuf"),
    *("ipywidgets", "widgetsnbextension", "jupyterlab-widgets", "jupyterlab", "notebook", "jupyter-server"),
    *("jupyter-client", "ipykernel", "ipython", "traitlets", "tornado", "pyzmq", "safetensors", "accelerate"),
)
_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")  # what pip reads as one
_KEPT = "{title}. Downloaded weights are kept in {folder}."
_LOST = "{title}. Downloaded weights go to {folder}, which is gone when the session ends."
_RESULTS_KEPT = "Results are kept in {folder}, uploads in {folder2}."
_RESULTS_LOST = "Results go to {folder}, uploads to {folder2}; both are gone when the session ends."
_DRIVE = (
    "To keep them, mount your Drive: from google.colab import drive; drive.mount('/content/drive'); "
    "then run this cell again."
)


def prepare() -> Platform:
    """What a notebook's first cell does: install what is missing, and say where things are kept. Returns the platform.

    Raises ToolkitError for what can't be installed.
    """
    need(*EVERYWHERE)
    from .paths import results_folder, uploads_folder, weights_folder

    found, chosen = here(), language()
    weights, results, uploads = (folder().absolute() for folder in (weights_folder, results_folder, uploads_folder))
    kept, results_kept = _stays(weights, found), _stays(results, found)
    print(translate((_KEPT if kept else _LOST).format(title=found.title, folder=weights), chosen))
    said = _RESULTS_KEPT if results_kept else _RESULTS_LOST
    print(translate(said.format(folder=results, folder2=uploads), chosen))
    if found.name == "colab" and not (kept and results_kept):
        print(translate(_DRIVE, chosen))
    return found


def _stays(folder: Path, found: Platform) -> bool:
    """Whether what lies there is still there when the session is over."""
    return not found.forgets or (found.home is not None and folder.resolve().is_relative_to(found.home.resolve()))


def need(*modules: str) -> None:
    """Install those of PACKAGES that can't be imported; of HELD nothing that is here is changed.

    Raises ToolkitError where one of GIVEN is missing, or pip fails.
    """
    lacking = [module for module in GIVEN if importlib.util.find_spec(module) is None]
    if lacking:
        raise ToolkitError(
            f"{', '.join(lacking)} can't be imported.",
            f"Choose an environment with PyTorch, or run: pip install {' '.join(lacking)}",
        )
    wanted = [PACKAGES[module] for module in modules if importlib.util.find_spec(module) is None]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in _pins()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*command, "-c", str(constraints), *wanted], capture_output=True, text=True)
    if done.returncode:
        named = ", ".join(wanted)
        remedy = f"Run in a terminal: pip install {' '.join(wanted)}"
        if "ResolutionImpossible" in done.stderr:
            raise ToolkitError(
                f"{named} can't be installed beside the versions that this kernel runs with.",
                f"{remedy} (it may change them), then restart the kernel.",
            )
        said = (done.stderr.strip() or done.stdout.strip() or "pip said nothing").splitlines()[-1]
        raise ToolkitError(f"{named} could not be installed: {said}", remedy)
    importlib.invalidate_caches()


def _pins() -> list[str]:
    """What pip is to leave as it is, as constraints. Builds of one version ("+cpu", "+cu128") are one: an index has not
    all of them, and pip takes the one that is here for it.
    """
    pins = []
    for name in HELD:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        version = (version or "").partition("+")[0]  # a broken installation has none
        if _VERSION.fullmatch(version):  # pip stops at a line that it can't read
            pins.append(f"{name}=={version}")
    return pins

"""Which device computes, and what is installed here."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError
from .paths import _user_cache, shipped, weights_folder
from .platform import here
from .translations import padded, translate

if TYPE_CHECKING:
    import torch

LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "pillow",
    "safetensors",
    "accelerate",
    "imageio",
    "imageio-ffmpeg",
    "moviepy",
    "face-alignment",
    "gdown",
    "ipywidgets",
    "jupyterlab",
)
WEIGHTS = (".safetensors", ".tar", ".pth", ".pt", ".ckpt")


def pick(name: str | torch.device | None = None) -> torch.device:
    """The device to compute on: `name`, else the environment's TOOLKIT_DEVICE, else cuda, mps or cpu, what there is.

    Raises ConfigError for a device that is not here.
    """
    import torch

    wish = name if name is not None else os.environ.get("TOOLKIT_DEVICE") or None
    here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        here.append("mps")
    if wish is None or str(wish) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else here[-1])
    try:
        device = torch.device(wish)
    except RuntimeError:
        raise ConfigError(f"There is no device '{wish}'.", f"Here: {', '.join(here)}.") from None
    full = f"cuda:{device.index or 0}" if device.type == "cuda" else str(device)
    if full not in here:
        raise ConfigError(f"The device '{wish}' is not here.", f"Here: {', '.join(here)}.")
    return device


def describe(device: torch.device) -> str:
    """The device in words, e.g. "CPU (AMD EPYC, 2 cores)" or "NVIDIA H200"."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU ({_processor()}, {cores()} cores)"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of main memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no memory left."""
    import torch

    text = str(error).lower()
    known = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in known)


@functools.cache
def keep_memory() -> None:
    """Let this process keep up to 1 GiB of freed memory for its next tensors (Linux with glibc; elsewhere nothing).

    Otherwise each large tensor is fetched from the system anew, zeroed page by page: a tenth of the time on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for option in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
        mallopt(option, 1 << 30)


def cache_folder() -> Path:
    """Where small things are remembered: TOOLKIT_CACHE, or the user's own cache folder."""
    chosen = os.environ.get("TOOLKIT_CACHE")
    return Path(chosen).expanduser() if chosen else _user_cache() / "living-pictures"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclasses.dataclass(frozen=True)
class Report:
    """What is here, for people (`print`) and programs (the fields). None for a library that is not installed."""

    toolkit: str
    python: str
    system: str
    where: str
    versions: dict[str, str | None]
    ffmpeg: str
    device: str
    memory: int
    precision: str
    weights: dict[str, int]
    weights_folder: str
    cache_folder: str

    def __str__(self) -> str:
        rows = [
            ("Living Pictures", self.toolkit),
            ("Python", self.python),
            ("system", self.system),
            ("platform", self.where),
            *((name, version or translate("not installed")) for name, version in self.versions.items()),
            ("ffmpeg", self.ffmpeg),
            ("device", translate(self.device)),
            ("memory", f"{self.memory / 2**30:.0f} GiB" if self.memory else translate("unknown")),
            ("precision", translate(self.precision)),
            ("weights", self.weights_folder),
            *(("", f"{size / 1e6:8.1f} MB  {name}") for name, size in self.weights.items()),
            *([] if self.weights else [("", translate("none yet"))]),
            ("cache", self.cache_folder),
        ]
        return "\n".join(f"{padded(translate(name), 16)}  {value}" for name, value in rows)


def info() -> Report:
    """Versions, device, memory, the precision that "auto" means here, ffmpeg, and which weights are here."""
    from . import __version__
    from .tuning import NAMES, candidates

    device = pick()
    dtypes = candidates(device, "auto")
    precision = f"{NAMES[dtypes[0]]} ({'as a convolution gains by it' if len(dtypes) == 1 else 'or fp32, by model'})"
    return Report(
        toolkit=__version__,
        python=sys.version.split()[0],
        system=platform.platform(),
        where=here().title,
        versions={name: _version(name) for name in LIBRARIES},
        ffmpeg=_ffmpeg(),
        device=describe(device),
        memory=memory(),
        precision=precision,
        weights=_weights(),
        weights_folder=str(weights_folder()),
        cache_folder=str(cache_folder()),
    )


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return f"{imageio_ffmpeg.get_ffmpeg_version()}  {imageio_ffmpeg.get_ffmpeg_exe()}"
    except (ImportError, RuntimeError) as error:
        return f"not found ({error})"


def _weights() -> dict[str, int]:
    """Files of weights that ship and that were downloaded: name -> bytes."""
    found = {}
    for folder in (shipped("checkpoints/mini"), weights_folder()):
        for file in sorted([*folder.glob("*"), *folder.glob("*/*")]):
            if file.suffix in WEIGHTS and file.is_file():
                found[f"{file.parent.name}/{file.name}"] = file.stat().st_size
    return found

"""Files of weights: what a file is, by its first bytes, and the tensors in it. Code in a pickle is refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

Parts = dict[str, dict[str, "Tensor"]]

AGAIN = "Download it again, in a browser if need be, and compare its size with what the page says."
UNPACK = "Unpack it and give the file of weights inside."
WRONG = {  # kind of file -> what to say of it, what to do
    "empty": ("is empty", AGAIN),
    "web page": ("is a web page, not the weights: the download was refused or needs a click", AGAIN),
    "quota notice": ("is a web page, not the weights: it says that the host's download quota is used up", AGAIN),
    "lfs pointer": ("is a Git LFS pointer, not the weights", "Run `git lfs pull`, or download the file itself."),
    "cut off": ("is cut off or damaged", AGAIN),
    "zip archive": ("is an archive", UNPACK),
    "archive": ("is an archive", UNPACK),
    "unknown": ("is no file of weights", "Give a .pth.tar or .safetensors file of a model."),
}
_QUOTA = re.compile(rb"quota|too many users|download limit|bandwidth limit", re.IGNORECASE)


def kind(path: Path) -> str:
    """What a file is: "safetensors", "torch" (what torch.save writes), or one of WRONG. Raises CheckpointError where it
    can't be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            rest = file.read(1 << 16) if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else None
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}).", "Check the path and its permissions."
        ) from None
    if not head:
        return "empty"
    if head.startswith(b"version https://git-lfs"):
        return "lfs pointer"
    if rest is not None:
        return "quota notice" if _QUOTA.search(head + rest) else "web page"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "safetensors"
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return "torch"
    if head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        return "archive"
    return "cut off" if path.suffix == ".safetensors" else "unknown"


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            written = any(entry.endswith("data.pkl") for entry in archive.namelist())
            return "torch" if written else "zip archive"
    except (zipfile.BadZipFile, OSError, ValueError):
        return "cut off"


def is_safetensors(path: Path) -> bool:
    """True for safetensors, False for what torch.save writes. Raises CheckpointError that says what it is instead."""
    found = kind(path)
    if found in WRONG:
        what, remedy = WRONG[found]
        raise CheckpointError(f"{path} {what}.", remedy)
    return found == "safetensors"


def read_torch(path: Path) -> Any:
    """What torch.save wrote, tensors on the CPU. Raises CheckpointError for code and for what is cut off."""
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():  # on foreign pickles, which are refused below
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\w[\w.]*)", str(error))
        raise CheckpointError(
            f"{path} holds more than weights{f' ({code[1]})' if code else ''}: opening it could run a program.",
            "Get the weights from the authors' own page, or have them saved as safetensors.",
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises nearly anything on a file that ends too early
        raise CheckpointError(
            f"{path} is cut off or damaged ({str(error).splitlines()[0] if str(error) else type(error).__name__}).",
            "Download it again and compare its size with what the page says.",
        ) from None


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file, {} where another program wrote it. Raises CheckpointError."""
    return _read_safetensors(path, tensors=False)[1]


def read_safetensors(path: Path) -> tuple[Parts, dict[str, Any]]:
    """The state dicts {part: …} and metadata of a safetensors file. Raises CheckpointError."""
    tensors, meta = _read_safetensors(path)
    if (held := meta.get("kind", "model")) != "model":
        raise CheckpointError(f"{path} holds a {held}, not a model.", f"Give it where a {held} belongs.")
    return parts_of(tensors), meta


def _read_safetensors(path: Path, tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import json

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            meta = file.metadata() or {}
            content = {key: file.get_tensor(key) for key in file.keys()} if tensors else {}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is cut off or damaged ({error}).", "Download or make it again.") from None
    try:
        return content, {key: json.loads(value) for key, value in meta.items()}
    except ValueError:
        return content, {}  # another program's notes


def parts_of(content: Mapping[str, Any]) -> Parts:
    """The state dicts in a file: nested ({"generator": {…}}, {"G_state_dict": {…}}) or flat ("generator.first…"),
    `module.` prefixes taken off.
    """
    from torch import Tensor

    parts: Parts = {}
    for key, value in content.items():
        key = str(key).removeprefix("module.").removesuffix("_state_dict")
        if isinstance(value, Tensor):
            part, _, rest = key.partition(".")
            parts.setdefault(part, {})[rest.removeprefix("module.")] = value
        elif isinstance(value, Mapping) and all(isinstance(tensor, Tensor) for tensor in value.values()):
            parts[key] = {str(name).removeprefix("module."): tensor for name, tensor in value.items()}
    return parts

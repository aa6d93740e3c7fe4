"""Mirrors: the kinds of hosts that weights lie on, how each gives a direct link, and which come first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request

from ..errors import ConfigError
from ..platform import here
from .transfer import Failed, answer, failure

HOSTS = {
    "yandex": "https://cloud-api.yandex.net",
    "hf": "https://huggingface.co",
    "hf-mirror": "https://hf-mirror.com",  # the same files, in mainland China
    "dropbox": "https://www.dropbox.com",
    "seafile": "https://cloud.tsinghua.edu.cn",
    "lfs": "https://github.com",
}
KINDS = {  # kind -> what people call it
    "https": "",
    "gdrive": "Google Drive",
    "gdrive_folder": "Google Drive folder",
    "yandex": "Yandex Disk",
    "hf": "Hugging Face",
    "hf-mirror": "hf-mirror",
    "dropbox": "Dropbox",
    "seafile": "Tsinghua cloud",
    "lfs": "Git LFS",
}
BLOCKED = ("gdrive", "gdrive_folder", "dropbox", "hf")  # in mainland China
SLOW = ("lfs", "//github.com")  # there


@dataclass(frozen=True)
class Mirror:
    """One place of one file.

    kind: one of KINDS. at: its id or address there. path: of the file in a folder or repository that holds several.
    """

    kind: str
    at: str
    path: str

    @staticmethod
    def of(given: Mapping[str, str], file: str) -> Mirror:
        """{"yandex": "id", "path": "/{file}"} -> the mirror of that file."""
        kind = next(key for key in given if key != "path")
        if kind not in KINDS:
            raise ValueError(f"no mirror is of the kind '{kind}'")
        return Mirror(kind, given[kind].format(file=file), given.get("path", file).format(file=file))

    def __str__(self) -> str:
        return KINDS[self.kind] or urlsplit(self.at).hostname or self.at

    @property
    def page(self) -> str:
        """The address that a person opens in a browser."""
        pages = {
            "https": self.at,
            "gdrive": f"https://drive.google.com/file/d/{self.at}",
            "gdrive_folder": f"https://drive.google.com/drive/folders/{self.at}",
            "yandex": f"https://disk.yandex.com/d/{self.at}",
            "hf": f"https://huggingface.co/{self.at}",
            "hf-mirror": f"https://hf-mirror.com/{self.at}",
            "dropbox": f"https://www.dropbox.com/{self.at}",
            "seafile": f"https://cloud.tsinghua.edu.cn/f/{self.at}/",
            "lfs": f"https://github.com/{self.at}",
        }
        return pages[self.kind]

    def link(self, timeout: float, sha256: str = "", size: int | None = None) -> tuple[str, dict[str, str]]:
        """A direct link and the headers that it wants; some hosts are asked for it. sha256, size: what Git LFS knows a
        file by. Raises Failed.
        """
        host = HOSTS.get(self.kind, "")
        if self.kind in ("hf", "hf-mirror"):
            if self.kind == "hf":
                host = os.environ.get("HF_ENDPOINT", host).rstrip("/")
            return f"{host}/{self.at}/resolve/main/{quote(self.path)}", {}
        if self.kind == "dropbox":
            return f"{host}/{self.at}?dl=1", {}
        if self.kind == "seafile":
            return f"{host}/f/{self.at}/?dl=1", {}
        if self.kind == "yandex":
            asked = {"public_key": f"https://yadi.sk/d/{self.at}"}
            if self.path.startswith("/"):  # a file of a folder
                asked["path"] = self.path
            address = f"{host}/v1/disk/public/resources/download?{urlencode(asked)}"
            return _ask(Request(address), timeout, "href")["href"], {}
        if self.kind == "lfs":
            wanted = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": sha256, "size": size}]}
            header = dict.fromkeys(("Accept", "Content-Type"), "application/vnd.git-lfs+json")
            address = f"{host}/{self.at}.git/info/lfs/objects/batch"
            told = _ask(Request(address, json.dumps(wanted).encode(), header), timeout, "objects")["objects"][0]
            if "actions" not in told:
                raise Failed(told.get("error", {}).get("message", "it has no such object"))
            action = told["actions"]["download"]
            return action["href"], action.get("header", {})
        return self.at, {}


def _ask(request: Request, timeout: float, wanted: str) -> dict:
    """A host's JSON answer, which must have a key."""
    with answer(request, timeout) as response:
        try:
            text = response.read(1 << 20)
        except (OSError, HTTPException) as error:
            raise failure(error, timeout) from None
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not told.get(wanted):
        raise Failed("it gave no link")
    return told


# ---------------------------------------------------------------- which come first


def in_order(mirrors: Iterable[Mirror], entry: str, file: str) -> list[Mirror]:
    """The mirrors of an entry's file, those that are likely to answer here first.

    TOOLKIT_MIRROR=cn takes this place for mainland China (as OpenBayes, AutoDL and ModelScope are by themselves);
    TOOLKIT_MIRROR=https://… is a copy of somebody's weights folder, asked before all others: ENTRY/FILE below it.
    Raises ConfigError for anything else.
    """
    mirrors, chosen = list(mirrors), os.environ.get("TOOLKIT_MIRROR", "")
    if chosen not in ("", "cn") and not chosen.startswith(("http://", "https://")):
        raise ConfigError(f"TOOLKIT_MIRROR is '{chosen}'.", "Set it to cn, or to an address https://….")
    if chosen == "cn" or not chosen and here().mainland:
        copies = [replace(mirror, kind="hf-mirror") for mirror in mirrors if mirror.kind == "hf"]
        mirrors = sorted(mirrors + copies, key=_hard_to_reach)
    if chosen.startswith("http"):
        mirrors.insert(0, Mirror("https", f"{chosen.rstrip('/')}/{quote(entry)}/{quote(file)}", file))
    return mirrors


def _hard_to_reach(mirror: Mirror) -> int:
    """From mainland China: 0 not, 1 slow, 2 blocked."""
    if mirror.kind in BLOCKED:
        return 2
    return int(any(word in f"{mirror.kind} {mirror.at}" for word in SLOW))


def part_name(mirror: Mirror, file: str) -> str:
    """The temporary name of what comes from a mirror: what another one sent is not continued."""
    place = hashlib.sha256(f"{mirror.kind} {mirror.at} {mirror.path}".encode()).hexdigest()
    return f"{file}.{place[:8]}.part"

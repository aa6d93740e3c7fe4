"""Fetching weights from servers that behave badly on purpose; what is found, resumed, refused and recorded."""

import errno
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

import toolkit
from tests.bad_server import Server, batch
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, FetchError, OutputError
from toolkit.zoo import catalogue, checks, download, drive, mirrors, search, transfer

ROOT = Path(__file__).resolve().parent.parent


def weights(seed=0, numbers=50_000):
    """A file of weights, 200 kB."""
    buffer = io.BytesIO()
    torch.save({"layer.weight": torch.rand(numbers, generator=torch.Generator().manual_seed(seed))}, buffer)
    return buffer.getvalue()


WHOLE, OTHER = weights(), weights(1)
HASH, SIZE = hashlib.sha256(WHOLE).hexdigest(), len(WHOLE)


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    """Nothing of this machine is found, nothing waits long."""
    for name, place in {"WEIGHTS": "weights", "MOUNTS": "mounts"}.items():
        monkeypatch.setenv(f"TOOLKIT_{name}", str(tmp_path / place))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("TOOLKIT_MIRROR", "TOOLKIT_LOCK", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSES", (0.01, 0.01))


@pytest.fixture
def server():
    with Server() as here:
        here.files["thing.pth"] = WHOLE
        yield here


@pytest.fixture
def zoo(tmp_path, monkeypatch, server):
    """Write a catalogue with one entry, "thing", whose mirrors are these ways of the server (or mappings)."""

    def write(*ways, sha256=HASH, size=SIZE, files=None, **more):
        listed = [way if isinstance(way, dict) else {"https": f"{server.url}/{way}/{{file}}"} for way in ways]
        facts = {"size": size, "sha256": sha256}
        files = files or [{"name": "thing.pth", **{key: value for key, value in facts.items() if value}}]
        entry = {"for": "tests", "code": "MIT", "weights": "MIT", "files": files, "mirrors": listed, **more}
        lines = [f"{key} = {_toml(value)}" for key, value in entry.items()]
        path = tmp_path / "own.toml"
        path.write_text("[helper.thing]\n" + "\n".join(lines) + "\n")
        monkeypatch.setenv("TOOLKIT_ZOO", str(path))
        catalogue._read.cache_clear()
        return tmp_path / "weights" / "thing" / "thing.pth"

    return write


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def fetch(name="thing", **settings):
    return toolkit.fetch(name, **{"progress": False, "timeout": 0.4, **settings})


def left(folder):
    """What lies in a folder, locks apart."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".busy") if folder.is_dir() else []


# ---------------------------------------------------------------- servers


def test_plainly(server, zoo):
    final = zoo("good")
    told = []
    assert fetch(progress=lambda *now: told.append(now)) == final
    assert final.read_bytes() == WHOLE
    assert left(final.parent) == ["thing.pth"]
    assert told[0] == ("thing.pth (127.0.0.1)", 0, len(WHOLE))
    assert told[-1][1:] == (len(WHOLE), len(WHOLE))
    assert fetch() == final
    assert len(server.asked) == 1, "what is here is not fetched again"


@pytest.mark.parametrize(
    "way", ["no-length", "cut-1", "cut-2", "cut-no-range", "no-range", "hop", "trickle", "old", "429x2", "503x1"]
)
def test_one_mirror_is_enough(way, server, zoo):
    final = zoo(way)
    assert fetch().read_bytes() == WHOLE
    assert left(final.parent) == ["thing.pth"]
    assert len(server.asked) < 6


NO = {
    "cut-always": "broke off after .* of",
    "403": r"refuses \(403\)",
    "404": r"not there \(404\)",
    "429": r"quota is used up \(429\)",
    "500": r"trouble \(500\)",
    "page": "is a web page, not the weights",
    "quota": "web page.*quota is used up",
    "pointer": "Git LFS pointer",
    "stall": "no answer for 0.4 s",
    "loop": "redirects without end",
    "gone": "broke off",
}


@pytest.mark.parametrize(("way", "words"), NO.items(), ids=NO)
def test_next_mirror(way, words, server, zoo, capsys):
    final = zoo(way, "good")
    assert fetch(progress=True).read_bytes() == WHOLE
    assert left(final.parent) == ["thing.pth"], "what the first mirror left is gone"
    assert server.ways()[-2:] == [way, "good"]
    assert "Trying the next mirror" in capsys.readouterr().out


@pytest.mark.parametrize(("way", "words"), NO.items(), ids=NO)
def test_no_other_mirror(way, words, server, zoo):
    final = zoo(way, pages=["https://example.org/look"])
    begin = time.monotonic()
    with pytest.raises(FetchError, match=f"(?s)'thing' can't be fetched: no mirror gave thing.pth.*{words}") as error:
        fetch()
    assert time.monotonic() - begin < 20
    assert not final.exists()
    assert len(server.asked) <= 12
    for word in ("thing.pth (202 kB)", str(final.parent), server.url, "https://example.org/look"):
        assert word in error.value.remedy


WRONG = {
    "another file": (OTHER, "SHA-256 is .*, not"),
    "too short": (WHOLE[:-1000], "cut off or damaged .* bytes instead of"),
    "another, shorter": (weights(2, 40_000), "cut off: it has .* bytes, not"),
    "too long": (WHOLE + b"x", "another file: it has .* bytes, not"),
    "empty": (b"", "is empty"),
    "text": (b'{"error": "expired"}', "no file of weights"),
}


@pytest.mark.parametrize("way", ["good", "no-length"])
@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
def test_wrong_file(content, words, way, server, zoo):
    server.files["thing.pth"] = content
    final = zoo(way)
    with pytest.raises(FetchError, match=f"(?s)no mirror gave.*what came .*{words}"):
        fetch()
    assert left(final.parent) == [], "nothing wrong is kept"


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
def test_cut_off_where_nothing_is_known(legacy, server, zoo):
    """No length, no size, no hash: the file is opened."""
    buffer = io.BytesIO()
    torch.save({"layer.weight": torch.ones(9999)}, buffer, _use_new_zipfile_serialization=not legacy)
    server.files["thing.pth"] = buffer.getvalue()[:-5000]
    final = zoo("no-length", size=None, sha256="")
    with pytest.raises(FetchError, match="is cut off or damaged"):
        fetch()
    assert not final.exists()


def test_first_digits_of_a_hash(server, zoo):
    digits = hashlib.sha256(WHOLE).hexdigest()[:10]
    final = zoo("good", sha256=digits)
    assert fetch() == final
    final.unlink()
    zoo("good", sha256="0" * 10)
    with pytest.raises(FetchError, match="not 0000000000…"):
        fetch()


def test_md5(server, zoo):
    file = {"name": "thing.pth", "md5": hashlib.md5(WHOLE).hexdigest()}
    final = zoo("good", files=[file])
    assert fetch() == final
    final.unlink()
    zoo("good", files=[{**file, "md5": "0" * 32}])
    with pytest.raises(FetchError, match="MD5 is not 0000"):
        fetch()


# ---------------------------------------------------------------- going on


def test_the_next_run_goes_on(server, zoo):
    final = zoo("good")

    def stop(label, done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=stop)
    assert not final.exists()
    (part,) = final.parent.glob("*.part")
    part.write_bytes(WHOLE[:1234])  # as if stopped there
    assert fetch().read_bytes() == WHOLE
    assert server.asked[-1][1]["Range"] == "bytes=1234-"
    assert server.asked[-1][1]["If-Range"] == '"1"'
    assert left(final.parent) == ["thing.pth"]


@pytest.mark.parametrize("length", [len(WHOLE), len(WHOLE) + 9])
def test_a_part_as_long_as_the_file_or_longer(length, server, zoo):
    """Stopped between the last byte and the check; or left by a longer file."""
    final = zoo("good")
    (mirror,) = catalogue.entry("thing").files[0].mirrors
    final.parent.mkdir(parents=True)
    (final.parent / mirrors.part_name(mirror, "thing.pth")).write_bytes((WHOLE + bytes(9))[:length])
    assert fetch().read_bytes() == WHOLE


def test_another_version_there_starts_anew(server, zoo):
    final = zoo("old")
    fetch()
    assert final.read_bytes() == WHOLE
    assert server.asked[1][1]["If-Range"] == '"1"'
    assert "Content-Range" not in server.asked[1][1]


def test_a_half_of_one_mirror_is_not_continued_from_another(server, zoo):
    server.files["thing.pth"] = OTHER
    final = zoo("cut-always", "good")
    with pytest.raises(FetchError):
        fetch()
    server.files["thing.pth"] = WHOLE
    zoo("404", "good")
    assert fetch().read_bytes() == WHOLE
    assert left(final.parent) == ["thing.pth"]


# ---------------------------------------------------------------- no network, no room


def test_no_network_is_said_at_once(zoo, monkeypatch):
    asked = []

    def nobody(request, timeout):
        asked.append(request.full_url)
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(transfer, "urlopen", nobody)
    monkeypatch.setattr(download, "PAUSES", (60.0,))
    final = zoo(*({"https": f"https://host{n}.invalid/{{file}}"} for n in range(5)))
    with pytest.raises(FetchError, match="no network, or .* host0.invalid, host1.invalid") as error:
        fetch()
    assert len(asked) == 2
    assert "https://host4.invalid/thing.pth" in error.value.remedy
    assert str(final.parent) in error.value.remedy


def test_blocked_hosts_are_not_the_network(server, zoo, monkeypatch):
    """Where packets are dropped, as behind some borders, the mirrors that answer still get their turn."""
    open_really = transfer.urlopen

    def blocked(request, timeout):
        if "blocked" in request.full_url:
            raise URLError(TimeoutError("timed out"))
        return open_really(request, timeout=timeout)

    monkeypatch.setattr(transfer, "urlopen", blocked)
    zoo(*({"https": f"https://blocked{n}.example/{{file}}"} for n in range(3)), "good")
    assert fetch().read_bytes() == WHOLE


def test_one_dead_host_is_not_the_network(server, zoo, monkeypatch):
    open_really = transfer.urlopen

    def one_dead(request, timeout):
        if "invalid" in request.full_url:
            raise URLError(socket.gaierror(-2, "Name or service not known"))
        return open_really(request, timeout=timeout)

    monkeypatch.setattr(transfer, "urlopen", one_dead)
    zoo({"https": "https://dead.invalid/{file}"}, "good")
    assert fetch().read_bytes() == WHOLE


def test_no_room(server, zoo, monkeypatch):
    zoo("good", sha256="", size="800 MB")
    usage = namedtuple("usage", "total used free")(10**9, 6 * 10**8, 4 * 10**8)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="thing.pth needs 820 MB, and .* has 400 MB left"):
        fetch()
    assert server.asked == []


def test_the_disk_fills_up(server, zoo, monkeypatch):
    final = zoo("good", "good")

    def fill(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "receive", fill)
    with pytest.raises(OutputError, match="No space left.*goes on where it stopped"):
        fetch()
    assert not final.exists()


def test_no_permission(tmp_path, server, zoo, monkeypatch):
    zoo("good")
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path / "own.toml" / "below a file"))
    with pytest.raises(OutputError, match="can't be written .*TOOLKIT_WEIGHTS"):
        fetch()
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path / "read only"))
    monkeypatch.setattr(download.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="Permission denied"):
        fetch()
    assert server.asked == []


# ---------------------------------------------------------------- several processes


def start(*arguments):
    code = f"import toolkit; print(toolkit.fetch('thing', progress=False, timeout=20.0{''.join(arguments)}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes(server, zoo):
    final = zoo("trickle")
    both = [start(), start()]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [str(final)] * 2
    assert final.read_bytes() == WHOLE
    assert len(server.asked) == 1, "the second one waited and took what was there"


def test_a_process_that_died(server, zoo):
    """Its lock doesn't hold, and its half is continued."""
    final = zoo("stall", size=len(WHOLE))
    process = start()
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in final.parent.glob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    server.quiet.set()
    begin = time.monotonic()
    with pytest.raises(FetchError):
        fetch()
    assert time.monotonic() - begin < 10, "no waiting for the dead"
    assert "Range" in server.asked[-1][1]


# ---------------------------------------------------------------- zoo.lock


def test_the_first_hash_is_kept(tmp_path, server, zoo):
    final = zoo("good", sha256="", size=None)
    fetch()
    lock = tmp_path / "weights" / "zoo.lock"
    assert lock.read_text() == f"{hashlib.sha256(WHOLE).hexdigest()}  thing/thing.pth\n"
    if os.name == "posix":
        subprocess.run(["sha256sum", "-c", "zoo.lock"], cwd=lock.parent, check=True, capture_output=True)
    fetch()
    final.write_bytes(OTHER)
    with pytest.raises(FetchError, match="has changed since it was first used.*zoo.lock"):
        fetch()
    final.unlink()
    server.files["thing.pth"] = OTHER
    with pytest.raises(FetchError, match="has changed since"):
        fetch()
    assert not final.exists()
    lock.unlink()
    assert fetch().read_bytes() == OTHER
    assert checks.pins() == {"thing/thing.pth": hashlib.sha256(OTHER).hexdigest()}


def test_a_lock_file_of_ones_own(tmp_path, server, zoo, monkeypatch):
    monkeypatch.setenv("TOOLKIT_LOCK", str(tmp_path / "course" / "zoo.lock"))
    zoo("good", sha256="", size=None)
    fetch()
    assert checks.lock_file().parent == tmp_path / "course"
    assert list(checks.pins()) == ["thing/thing.pth"]


def test_stated_hashes_need_no_record(server, zoo):
    zoo("good")
    fetch()
    assert not checks.lock_file().exists()


# ---------------------------------------------------------------- what people put or mounted

SPELLINGS = [
    "content/drive/MyDrive/models",
    "content/drive/My Drive",
    "kaggle/input/some-data-set/a/b",
    "kaggle/input/models/owner/model/pytorch/default/1",
    "content",
    "openbayes/input/input0",
    "openbayes/input/input4/weights",
    "openbayes/inputs/input2",
    "hyperai/input/input1",
    "input0",
    "input3/x",
    "openbayes/home",
    "output",
    "hyperai/home",
    "root/autodl-tmp/x",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_mounted_files_are_found(spelling, tmp_path, server, zoo):
    zoo("good")
    there = tmp_path / "mounts" / spelling / "thing.pth"
    there.parent.mkdir(parents=True)
    there.write_bytes(WHOLE)
    assert fetch() == there
    assert server.asked == []


def test_a_root_for_the_mounts(tmp_path):
    (tmp_path / "elsewhere" / "kaggle" / "input").mkdir(parents=True)
    assert search.places(tmp_path / "elsewhere") == [tmp_path / "elsewhere" / "kaggle" / "input"]
    assert search.places() == []


@pytest.mark.parametrize("place", ["weights/thing.pth", "weights/thing/thing.pth", "torch/hub/checkpoints/thing.pth"])
def test_files_put_by_hand_are_found(place, tmp_path, server, zoo):
    zoo("good")
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(WHOLE)
    assert fetch() == tmp_path / place
    assert server.asked == []


def test_a_mounted_file_of_the_same_name_that_is_another(tmp_path, server, zoo, capsys):
    final = zoo("good")
    there = tmp_path / "mounts" / "kaggle" / "input" / "thing.pth"
    there.parent.mkdir(parents=True)
    there.write_bytes(OTHER)
    assert fetch(progress=True) == final
    assert f"{there} is another file" in capsys.readouterr().out
    assert there.read_bytes() == OTHER


def test_a_wrong_file_put_by_hand(server, zoo):
    final = zoo("good")
    final.parent.mkdir(parents=True)
    final.write_bytes(b"<html>Quota exceeded</html>")
    with pytest.raises(FetchError, match="thing.pth is a web page.*quota.*Delete it"):
        fetch()
    assert server.asked == []


# ---------------------------------------------------------------- entries of several files


@pytest.fixture
def three(server, zoo):
    server.files |= {f"{name}.pt": weights(seed) for seed, name in enumerate("abc")}
    return lambda *ways, **more: zoo(*ways, files=[{"name": f"{name}.pt"} for name in "abc"], **more).parent


def test_several_files(three, server):
    folder = three("404", "good")
    assert fetch() == folder
    assert [(folder / f"{name}.pt").read_bytes() for name in "abc"] == [weights(seed) for seed in range(3)]
    assert len(checks.pins()) == 3


def test_one_of_several_is_missing(three, server):
    folder = three("good")
    del server.files["b.pt"]
    with pytest.raises(FetchError, match="no mirror gave b.pt"):
        fetch()
    assert left(folder) == ["a.pt"]
    server.files["b.pt"] = weights(1)
    assert fetch() == folder


def test_several_files_in_several_places(three, tmp_path, server):
    folder = three("good")
    for name, place in {"a": "mounts/kaggle/input/x", "b": "weights"}.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f"{name}.pt").write_bytes(server.files[f"{name}.pt"])
    assert fetch() == folder
    assert left(folder) == ["a.pt", "b.pt", "c.pt"]
    assert len(server.asked) == 1


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"folder/{name}.pt", content)
    return buffer.getvalue()


def test_a_zip_that_a_drive_made(three, server):
    server.files |= {"all.zip": zipped(**{name: server.files[f"{name}.pt"] for name in "abc"}, readme=b"hello")}
    folder = three({"https": f"{server.url}/good/all.zip"})
    assert fetch() == folder
    assert left(folder) == ["a.pt", "b.pt", "c.pt"]
    assert len(server.asked) == 1, "one download gave all three"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped(other=b"x"), "zip made by the drive, without the file"),
        (zipped(thing=b"<html>no</html>"), "zip, and the file in it is a web page"),
        (zipped(thing=b"weights" * 99).replace(b"weights", b"WEIGHTS", 1), "damaged zip"),
    ],
)
def test_a_zip_without_the_file(content, words, server, zoo):
    server.files["thing.pt"] = content
    final = zoo("good", files=[{"name": "thing.pt"}])
    with pytest.raises(FetchError, match=words):
        fetch()
    assert left(final.parent) == []


# ---------------------------------------------------------------- the kinds of hosts


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ({"hf": "owner/model"}, "owner/model/resolve/main/thing.pth", "good"),
        ({"hf": "spaces/o/m", "path": "w/{file}"}, "spaces/o/m/resolve/main/w/thing.pth", "good"),
        ({"dropbox": "s/abc/thing.pth"}, "s/abc/thing.pth", "good"),
        ({"seafile": "abc"}, "f/abc/", "good"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_direct_links(kind, path, asked, server, zoo, monkeypatch):
    monkeypatch.setitem(mirrors.HOSTS, next(iter(kind)), f"{server.url}/{asked}")
    server.files = {path: WHOLE}
    zoo(kind)
    assert fetch().read_bytes() == WHOLE


@pytest.mark.parametrize("more", [{}, {"path": "/folder/{file}"}], ids=["file", "folder"])
def test_yandex(more, server, zoo, monkeypatch):
    monkeypatch.setitem(mirrors.HOSTS, "yandex", f"{server.url}/json")
    server.files["v1/disk/public/resources/download"] = json.dumps({"href": f"{server.url}/good/thing.pth"}).encode()
    zoo({"yandex": "abc", **more})
    assert fetch().read_bytes() == WHOLE
    (address,) = (path for path in server.times if "json" in path)
    assert "public_key=https%3A%2F%2Fyadi.sk%2Fd%2Fabc" in address
    assert ("path=%2Ffolder%2Fthing.pth" in address) == bool(more)


@pytest.mark.parametrize("way", ["json", "stall", "page", "429", "gone"])
def test_yandex_gives_no_link(way, server, zoo, monkeypatch):
    monkeypatch.setitem(mirrors.HOSTS, "yandex", f"{server.url}/{way}")
    server.files["v1/disk/public/resources/download"] = b'{"error": "limit"}'
    zoo({"yandex": "abc"}, "good")
    assert fetch().read_bytes() == WHOLE


def test_git_lfs(server, zoo, monkeypatch):
    monkeypatch.setitem(mirrors.HOSTS, "lfs", f"{server.url}/json")
    place = "owner/repository.git/info/lfs/objects/batch"
    server.files[place] = batch(f"{server.url}/good/thing.pth", {"X-Token": "t"})
    final = zoo({"lfs": "owner/repository"})
    assert fetch().read_bytes() == WHOLE
    assert server.asked[-1][1]["X-Token"] == "t"
    final.unlink()
    server.files[place] = b'{"objects": [{"error": {"code": 404, "message": "Object does not exist"}}]}'
    with pytest.raises(FetchError, match="Object does not exist"):
        fetch()


def test_order_of_mirrors(zoo, tmp_path, monkeypatch):
    four = ({"gdrive": "g"}, {"hf": "o/m"}, {"https": "https://github.com/o/r/{file}"}, {"yandex": "y"})
    zoo(*four)
    listed = catalogue.entry("thing").files[0].mirrors

    def kinds():
        return [mirror.kind for mirror in mirrors.in_order(listed, "thing", "thing.pth")]

    assert kinds() == ["gdrive", "hf", "https", "yandex"]
    monkeypatch.setenv("TOOLKIT_MIRROR", "cn")
    assert kinds() == ["yandex", "hf-mirror", "https", "gdrive", "hf"]
    monkeypatch.delenv("TOOLKIT_MIRROR")
    monkeypatch.setenv("MODELSCOPE_ENVIRONMENT", "dsw")
    assert kinds()[:2] == ["yandex", "hf-mirror"]
    monkeypatch.delenv("MODELSCOPE_ENVIRONMENT")
    (tmp_path / "mounts" / "openbayes").mkdir(parents=True)
    assert kinds()[0] == "yandex"
    monkeypatch.setenv("TOOLKIT_MIRROR", "mars")
    monkeypatch.setenv("TOOLKIT_LANG", "en")  # OpenBayes speaks Chinese
    with pytest.raises(ConfigError, match="TOOLKIT_MIRROR is 'mars'.*cn.*https"):
        fetch()


def test_a_mirror_of_ones_own(server, zoo, monkeypatch):
    """A weights folder that somebody serves, for a class."""
    monkeypatch.setenv("TOOLKIT_MIRROR", f"{server.url}/good/")
    server.files = {"thing/thing.pth": WHOLE}
    zoo("404")
    assert fetch().read_bytes() == WHOLE
    assert server.ways() == ["good"]


# ---------------------------------------------------------------- gdown

COMMON = "proxy=None, speed=None, use_cookies=True, verify=True, id=None, "
STYLES = {
    "5.2": f"url=None, output=None, quiet=False, {COMMON}fuzzy=False, resume=False, format=None, user_agent=None, "
    "log_messages=None",
    "6.5": f"url=None, output=None, quiet=False, {COMMON}resume=False, format=None, user_agent=None, "
    "log_messages=None, progress=None, skip_download=False, cookies_file=None, hasher=None, timeout=None, retries=0, "
    "cancel=None",
}
GDOWN = """
import collections, os, urllib.request

def download({signature}):
    assert url is None and output and quiet
    assert {limit}
    if id == "quota":
        raise RuntimeError("Too many users have viewed or downloaded this file recently.")
    if id == "broken":
        raise ValueError("something odd")
    with urllib.request.urlopen(os.environ["FAKE_DRIVE"] + id) as got, open(output, "wb") as file:
        while chunk := got.read1(65536):
            file.write(chunk)
            file.flush()
    return output

def download_folder(url=None, id=None, output=None, quiet=False, skip_download=False, resume=False):
    assert skip_download
    File = collections.namedtuple("File", "id path local_path")
    return [File("other", "x/readme.txt", ""), File("thing.pth", "x/" + id + ".pth", "")]
"""


@pytest.fixture(params=STYLES)
def gdown(request, tmp_path, monkeypatch, server):
    """A gdown with that version's way to be called, whose Drive is the local server."""
    limit = "timeout > 0" if request.param == "6.5" else "True"
    package = tmp_path / "libraries" / "gdown"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(GDOWN.format(signature=STYLES[request.param], limit=limit))
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("FAKE_DRIVE", f"{server.url}/good/")
    return request.param


def test_drive(gdown, server, zoo):
    final = zoo({"gdrive": "thing.pth"})
    assert fetch(timeout=20.0) == final
    assert final.read_bytes() == WHOLE
    assert left(final.parent) == ["thing.pth"]


def test_drive_folder(gdown, server, zoo):
    zoo({"gdrive_folder": "thing"})
    assert fetch(timeout=20.0).read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ({"gdrive": "quota"}, "quota is used up"),
        ({"gdrive": "nothing"}, "not there"),
        ({"gdrive": "broken"}, "gdown says: ValueError: something odd"),
        ({"gdrive_folder": "elsewhere"}, "not there"),
    ],
)
def test_drive_refuses(mirror, words, gdown, server, zoo, capsys):
    final = zoo(mirror, "good")
    assert fetch(progress=True, timeout=20.0).read_bytes() == WHOLE
    assert words in capsys.readouterr().out
    assert left(final.parent) == ["thing.pth"]


def test_drive_sends_a_page(gdown, server, zoo, monkeypatch):
    monkeypatch.setenv("FAKE_DRIVE", f"{server.url}/quota/")
    final = zoo({"gdrive": "thing.pth"})
    with pytest.raises(FetchError, match="web page.*quota"):
        fetch(timeout=20.0)
    assert left(final.parent) == []


def test_drive_stalls(gdown, server, zoo, monkeypatch):
    monkeypatch.setenv("FAKE_DRIVE", f"{server.url}/stall/")
    monkeypatch.setattr(drive, "GRACE", 1.0)
    monkeypatch.setattr(download, "PAUSES", ())
    zoo({"gdrive": "thing.pth"}, "good")
    assert fetch().read_bytes() == WHOLE


def test_without_gdown(server, zoo, monkeypatch, capsys):
    monkeypatch.setattr(drive.importlib.util, "find_spec", lambda name: None)
    zoo({"gdrive": "thing.pth"}, "good")
    assert fetch(progress=True).read_bytes() == WHOLE
    assert "pip install gdown" in capsys.readouterr().out


def test_the_real_gdown_takes_these_arguments():
    """What the child process calls exists in the installed version."""
    import inspect

    import gdown

    assert {"id", "output", "quiet", "resume"} <= set(inspect.signature(gdown.download).parameters)
    assert {"id", "quiet", "skip_download"} <= set(inspect.signature(gdown.download_folder).parameters)


# ---------------------------------------------------------------- names, command line


def test_unknown_names():
    with pytest.raises(CheckpointError, match="no 'tpsm-vox'. Did you mean 'tpsmm-vox'"):
        fetch("tpsm-vox")
    with pytest.raises(CheckpointError, match="no 'zzz'. It has: fomm-vox"):
        fetch("zzz")


@pytest.mark.parametrize(
    "text",
    ["not toml [", "[helper.x]\nfor = 'y'", "[helper.x]\nfor='y'\ncode=''\nweights=''\nfiles=[{name='a', size='1'}]"],
)
def test_a_catalogue_that_is_none(text, tmp_path, monkeypatch):
    (tmp_path / "bad.toml").write_text(text)
    monkeypatch.setenv("TOOLKIT_ZOO", str(tmp_path / "bad.toml"))
    with pytest.raises(ConfigError, match="bad.toml is no catalogue"):
        fetch("x")


def test_command_line(server, zoo, capsys):
    final = zoo("404", "good")
    assert main(["fetch", "thing", "-q"]) == 0
    assert capsys.readouterr().out.strip() == str(final)
    final.unlink()
    zoo("404")
    assert main(["fetch", "thing", "-q"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: 'thing' can't be fetched")
    assert "Traceback" not in said
    assert main(["fetch", "thin"]) == 2
    assert "Did you mean 'thing'" in capsys.readouterr().err

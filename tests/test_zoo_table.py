"""The catalogue, its table, what `verify` says of files, and models by name."""

import json
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

import toolkit
from tests.bad_server import Server
from tests.models.test_fomm import small
from tests.models.test_tha import SMALL as TINY_THA
from tests.test_zoo import checkpoint, same, saved, write
from toolkit import zoo
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, FetchError
from toolkit.models import FAMILIES, build
from toolkit.zoo import catalogue, checks, download

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = catalogue._read(ROOT / "toolkit" / "zoo.toml")
MODELS = [name for name, entry in ENTRIES.items() if entry.model]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    for name, place in {"WEIGHTS": "weights", "MOUNTS": "mounts"}.items():
        monkeypatch.setenv(f"TOOLKIT_{name}", str(tmp_path / place))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("TOOLKIT_ZOO", "TOOLKIT_MIRROR", "TOOLKIT_LOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSES", ())


# ---------------------------------------------------------------- the catalogue


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_are_complete(name):
    entry = ENTRIES[name]
    if entry.model:
        assert entry.config in FAMILIES[entry.model].published
        assert entry.pixels in (224, 256, 384)
        assert {file.name for file in entry.files} >= set(FAMILIES[entry.model].files.values())
    assert entry.purpose
    assert entry.code
    assert entry.weights
    for file in entry.files:
        assert file.mirrors or entry.pages, "nothing to say when it is missing"
        assert re.fullmatch(r"([0-9a-f]{64}|[0-9a-f]{8,10})?", file.sha256)
        assert re.fullmatch(r"([0-9a-f]{32})?", file.md5)
        assert all(mirror.page.startswith("https://") for mirror in file.mirrors)
        if 0 < len(file.sha256) < 64:
            assert file.sha256 in file.name, "torch.hub's way: the name ends in the first digits"


def test_every_family_and_configuration_is_listed():
    listed = {(entry.model, entry.config) for entry in ENTRIES.values()}
    unpublished = {("fewshot", config) for config in ("vox-224", "vox-256", "fsth-256", "vox-256-published")}
    wanted = {(family, config) for family, kind in FAMILIES.items() for config in kind.published}
    assert wanted - listed == unpublished


@pytest.mark.parametrize("name", MODELS)
def test_sizes_hold_the_weights(name):
    """A stated size is that of the networks in float32, and whatever training left beside them."""
    entry = ENTRIES[name]
    with torch.device("meta"):
        animator = build(entry.model, entry.config)
    needed = sum(tensor.numel() * tensor.element_size() for tensor in animator.state_dict().values())
    if entry.size:
        assert entry.size > 0.99 * needed
        if entry.model in ("mraa", "tpsmm", "tha") or name.endswith("small"):
            assert entry.size < 1.1 * needed


def test_files_of_one_name_are_told_apart():
    full, stripped = (ENTRIES[name].files[0] for name in ("fomm-vox-adv", "fomm-vox-adv-small"))
    assert full.name == stripped.name
    assert not full.fits(stripped.size)
    assert not stripped.fits(full.size)
    assert not {mirror.at for mirror in full.mirrors} & {mirror.at for mirror in stripped.mirrors}


# ---------------------------------------------------------------- the table


def test_table(tmp_path):
    there = tmp_path / "mounts" / "kaggle" / "input" / "x" / "vox256.pth"
    there.parent.mkdir(parents=True)
    with there.open("wb") as file:
        file.truncate(ENTRIES["mraa-vox"].size)  # sparse: no bytes on the disk
    (there.parent / "taichi256.pth").write_bytes(b"another")
    rows = {row[0]: row for row in zoo.table().rows}
    assert set(rows) == set(ENTRIES)
    assert [name for name, row in rows.items() if row[-1]] == ["mraa-vox"]
    text = str(zoo.table())
    assert re.search(r"^tpsmm-ted +tpsmm ted-384 +384 +351 MB +upper bodies", text, re.MULTILINE)
    assert "mraa: code none granted" in text
    html = toolkit.zoo.table()._repr_html_()
    assert html.count("<tr>") == len(ENTRIES) + 1
    assert "few-shot heads&#x27; paper" in html


@pytest.mark.parametrize(("language", "page"), [("en", "README.md"), ("zh", "README.zh-CN.md")])
def test_readme_has_the_table(language, page, monkeypatch):
    """`python -m toolkit zoo --markdown` prints it, in the language of TOOLKIT_LANG."""
    monkeypatch.setenv("TOOLKIT_LANG", language)
    assert zoo.table().markdown() in (ROOT / page).read_text(encoding="utf-8")


def test_table_on_the_command_line(capsys):
    assert main(["zoo"]) == 0
    assert "fomm-vox-adv" in capsys.readouterr().out
    assert main(["zoo", "--markdown"]) == 0
    assert capsys.readouterr().out == zoo.table().markdown()


# ---------------------------------------------------------------- files in the published layouts


def manifest(family, case):
    """{part: state dict} in a golden manifest's keys and shapes, in a few kilobytes: each tensor is one number."""
    modules = json.loads((ROOT / "tests" / "golden" / family / f"{case}.json").read_text())["modules"]

    def tensor(key, shape):
        whole = key.endswith("num_batches_tracked")
        return torch.full((), 7 if whole else 0.5, dtype=torch.int64 if whole else torch.float32).expand(shape)

    return {
        part: OrderedDict((key, tensor(key, shape)) for key, shape in facts["state_dict"].items())
        for part, facts in modules.items()
    }


ADAM = {"state": {0: {"step": 9, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}


def layout(family):
    """What the authors' training wrote into one file: {file name: content}."""
    case = {"fomm": "vox-256", "mraa": "vox256", "tpsmm": "vox-256", "tha": "v1-256", "fewshot": "vox-224-published"}
    parts = manifest(family, case[family])
    if family == "fomm":
        adam = {f"optimizer_{part}": ADAM for part in (*parts, "discriminator")}
        return {"vox-cpk.pth.tar": {**parts, "discriminator": OrderedDict(), **adam, "epoch": 99}}
    if family == "mraa":
        return {"vox256.pth": {**parts, "optimizer_reconstruction": ADAM, "epoch_reconstruction": 99}}
    if family == "tpsmm":
        adam = {"optimizer": ADAM, "optimizer_bg_predictor": ADAM}
        return {"vox.pth.tar": {**parts, **adam, "epoch": 99}}
    if family == "tha":
        return {f"{part}.pt": state for part, state in parts.items()}
    networks = {f"{part}_state_dict": parts[part] for part in "EGD"}
    counts = {"epoch": 5, "i_batch": 10, "lossesG": [0.5], "lossesD": [0.1], "num_vid": 32}
    return {"model_weights.tar": {**networks, **counts, "optimizerG_state_dict": ADAM, "optimizerD_state_dict": ADAM}}


@pytest.mark.parametrize("cuda", [False, True], ids=["cpu", "cuda"])
@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("family", FAMILIES)
def test_published_layouts_are_known(family, legacy, cuda, tmp_path, monkeypatch):
    if cuda:
        monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    for file, content in layout(family).items():
        path = write(content, tmp_path / file, legacy)
    report = zoo.verify(path)
    assert (report.model, report.loads, bool(report.wrong)) == (family, True, False), report
    assert report.config in [entry.config for entry in ENTRIES.values() if path.name in {f.name for f in entry.files}]
    assert report.licence


# ---------------------------------------------------------------- verify


def test_verify_names_what_does_not_fit(tmp_path, capsys):
    """Missing, unexpected and other shapes, against the published model that is nearest."""
    parts = manifest("fomm", "vox-256")
    del parts["generator"]["final.bias"], parts["kp_detector"]["kp.weight"]
    parts["generator"]["extra.weight"] = torch.zeros(3)
    parts["generator"]["final.weight"] = torch.zeros(4, 64, 7, 7)
    path = write(parts, tmp_path / "vox-cpk.pth.tar")
    assert main(["verify", str(path)]) == 2
    said = capsys.readouterr().out
    for words in (
        r"model +fomm vox-256 \(the nearest\)",
        "2 missing, 1 unexpected, 1 of another shape",
        r"missing +kp_detector.kp.weight",
        r"missing +generator.final.bias",
        r"unexpected +generator.extra.weight",
        r"other shape +generator.final.weight +4 x 64 x 7 x 7, not 3 x 64 x 7 x 7",
        "loads   no: ",
    ):
        assert re.search(words, said), words


def test_verify_says_what_load_would_say(tmp_path):
    content = checkpoint(small())
    del content["generator"]["final.bias"]
    report = zoo.verify(write(content, tmp_path / "x.pth.tar"))
    assert not report.loads
    assert report.wrong.missing == ["generator.final.bias"]
    with pytest.raises(CheckpointError, match="1 missing: generator.final.bias"):
        zoo.load(tmp_path / "x.pth.tar")


def test_verify_knows_published_bytes(course, tmp_path, monkeypatch):
    """Whatever the file is called."""
    _, server, _ = course
    path = tmp_path / "renamed.bin"
    path.write_bytes(server.files["tiny.pth.tar"])
    assert zoo.verify(path).zoo == ""
    own = tmp_path / "own.toml"
    stated = f"name = 'tiny.pth.tar', sha256 = '{checks.digest(path)}'"
    own.write_text(own.read_text().replace("name = 'tiny.pth.tar'", stated))
    catalogue._read.cache_clear()
    report = zoo.verify(path)
    assert (report.zoo, report.loads) == ("fomm-tiny", True)


def test_verify_own_files(tmp_path, capsys):
    path = zoo.save(small(), tmp_path / "own.safetensors", licence="MIT")
    assert main(["verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"model +fomm custom", said)
    assert re.search(r"licence +MIT", said)
    assert re.search(r"loads +yes", said)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>quota exceeded</html>", "web page"),
        (saved({"features.0.weight": torch.ones(2, 2)}), "no model that the toolkit knows"),
        (saved({"a": print}), "more than weights"),
    ],
)
def test_verify_what_is_no_model(content, words, tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(content)
    assert main(["verify", str(tmp_path / "x.pth")]) == 2
    said = capsys.readouterr()
    assert words in said.out
    assert "Traceback" not in said.err
    for name, words in (
        (str(tmp_path / "nothing.pth"), "There is no file"),
        (str(tmp_path), "is a folder"),
        ("tpsmm-vox", "name of the zoo.*fetch tpsmm-vox"),
    ):
        assert main(["verify", name]) == 2
        assert re.search(f"(?s){words}", capsys.readouterr().err)


def test_verify_a_helpers_file(tmp_path):
    path = tmp_path / "s3fd-619a316812.pth"
    path.write_bytes(saved({"conv.weight": torch.ones(3)}))
    report = zoo.verify(path)
    assert not report.loads
    assert report.model.startswith("helper: face-alignment")


# ---------------------------------------------------------------- models by name


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A catalogue with a small FOMM, on a local server: (its model, the server, where it goes)."""
    animator = small()
    with Server() as server:
        server.files["tiny.pth.tar"] = write(checkpoint(animator), tmp_path / "made.pth.tar").read_bytes()
        (tmp_path / "own.toml").write_text(
            "[fomm.tiny]\nfor = 'tests'\ncode = 'MIT'\nweights = 'MIT'\nfiles = [{ name = 'tiny.pth.tar' }]\n"
            f"mirrors = [{{ https = '{server.url}/good/{{file}}' }}]\n"
        )
        monkeypatch.setenv("TOOLKIT_ZOO", str(tmp_path / "own.toml"))
        catalogue._read.cache_clear()
        yield animator, server, tmp_path / "weights" / "fomm-tiny"


def test_load_by_name(course):
    animator, server, folder = course
    loaded = toolkit.load("fomm-tiny")
    assert same(animator, loaded), "full precision"
    assert loaded.align_corners
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["fomm-tiny.safetensors", "tiny.pth.tar"]
    parts, meta = zoo.read(folder / "fomm-tiny.safetensors")
    assert set(parts) == {"kp_detector", "generator"}, "no optimiser, no discriminator"
    assert meta["zoo"] == "fomm-tiny"
    made = (folder / "fomm-tiny.safetensors").stat().st_mtime_ns
    assert same(animator, toolkit.load("fomm-tiny"))
    assert (folder / "fomm-tiny.safetensors").stat().st_mtime_ns == made, "converted once"
    assert len(server.asked) == 1
    (folder / "tiny.pth.tar").unlink()
    server.files.clear()
    assert same(animator, toolkit.load("fomm-tiny")), "the converted file is enough"


def test_a_converted_file_is_made_again(course):
    """When the original was exchanged, or the conversion is broken."""
    animator, server, folder = course
    toolkit.load("fomm-tiny")
    own = folder / "fomm-tiny.safetensors"
    own.write_bytes(own.read_bytes()[:2000])
    assert same(animator, toolkit.load("fomm-tiny"))
    with torch.no_grad():
        animator.generator.final.bias += 1
    write(checkpoint(animator), folder / "tiny.pth.tar")
    with pytest.raises(FetchError, match="has changed since it was first used"):
        toolkit.load("fomm-tiny")
    checks.lock_file().unlink()
    assert same(animator, toolkit.load("fomm-tiny"))


def test_a_mounted_original_is_converted_beside_the_weights(course, tmp_path):
    animator, server, folder = course
    there = tmp_path / "mounts" / "kaggle" / "input" / "set" / "tiny.pth.tar"
    there.parent.mkdir(parents=True)
    there.write_bytes(server.files["tiny.pth.tar"])
    assert same(animator, toolkit.load("fomm-tiny"))
    assert server.asked == []
    assert (folder / "fomm-tiny.safetensors").is_file()
    assert [path.name for path in there.parent.iterdir()] == ["tiny.pth.tar"]


@pytest.mark.parametrize("missing", ["", "combiner.pt"])
def test_a_model_in_three_files(missing, course, tmp_path):
    """As Talking Head Anime was published."""
    _, server, folder = course
    animator = build("tha", {**TINY_THA, "image_size": 256, "bottleneck_image_size": 32, "bottleneck_block_count": 1})
    for part, module in animator.named_children():
        server.files[f"{part}.pt"] = write(module.state_dict(), tmp_path / "made.pt").read_bytes()
    server.files.pop(missing, None)
    names = ", ".join(f"{{ name = '{part}.pt' }}" for part, _ in animator.named_children())
    (tmp_path / "own.toml").write_text(
        f"[tha.tiny]\nfor = 'tests'\ncode = 'MIT'\nweights = 'MIT'\nfiles = [{names}]\n"
        f"mirrors = [{{ https = '{server.url}/good/{{file}}' }}]\n"
    )
    catalogue._read.cache_clear()
    if missing:
        with pytest.raises(FetchError, match="no mirror gave combiner.pt"):
            toolkit.load("tha-tiny")
        return
    assert same(animator, toolkit.load("tha-tiny"))
    assert same(animator, toolkit.load("tha-tiny"))
    assert len(server.asked) == 3


def test_a_wrong_download_never_loads(course):
    _, server, folder = course
    server.files["tiny.pth.tar"] = server.files["tiny.pth.tar"][:-3000]
    with pytest.raises(FetchError, match="cut off"):
        toolkit.load("fomm-tiny")
    assert not list(folder.glob("*.tar"))


def test_names_of_the_zoo():
    with pytest.raises(CheckpointError, match="no model 'tpsm-vox'. Did you mean 'tpsmm-vox'"):
        toolkit.load("tpsm-vox")
    with pytest.raises(CheckpointError, match="'vgg19' is no model but a helper's weights.*toolkit.fetch"):
        toolkit.load("vgg19")


def test_info_lists_what_was_fetched(course):
    toolkit.load("fomm-tiny")
    assert {"fomm-tiny/tiny.pth.tar", "fomm-tiny/fomm-tiny.safetensors"} <= set(toolkit.info().weights)


def test_helpers_go_where_torch_hub_looks(tmp_path):
    assert ENTRIES["face-landmarks"].folder == tmp_path / "torch" / "hub" / "checkpoints"
    assert ENTRIES["tpsmm-vox"].folder == tmp_path / "weights" / "tpsmm-vox"

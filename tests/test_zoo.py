"""Loading and saving weights: published layouts, the toolkit's own files, and everything that isn't one."""

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch

from tests.golden_case import pictures
from tests.models.test_fomm import SMALL, small
from toolkit import zoo
from toolkit.errors import CheckpointError, ConfigError, OutputError
from toolkit.models import FAMILIES, build
from toolkit.models.base import Motion
from toolkit.models.fomm import PUBLISHED
from toolkit.zoo import weights


@pytest.fixture(autouse=True)
def _weights_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_WEIGHTS", str(tmp_path / "weights"))


def checkpoint(animator, prefix=""):
    """What the authors' training writes."""
    parts = {
        part: OrderedDict((prefix + key, tensor) for key, tensor in getattr(animator, part).state_dict().items())
        for part in ("generator", "kp_detector")
    }
    discriminator = OrderedDict({"discs.1.conv.weight": torch.zeros(1, 512, 1, 1)})
    adam = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    return {**parts, "discriminator": discriminator, "optimizer_generator": adam, "epoch": 99}


def write(content, path, legacy=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def published_size(name):
    """A file of a published configuration's keys and shapes in a few kilobytes: each tensor is one number, repeated."""
    with torch.device("meta"):
        animator = build("fomm", name)
    parts = {
        part: {
            key: torch.full((), 0.5, dtype=tensor.dtype).expand(tensor.shape)
            for key, tensor in getattr(animator, part).state_dict().items()
        }
        for part in ("generator", "kp_detector")
    }
    return {**parts, "epoch": 149}


def same(first, second):
    theirs = second.state_dict()
    return all(torch.equal(tensor, theirs[key]) for key, tensor in first.state_dict().items())


# ---------------------------------------------------------------- published files


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("prefix", ["", "module."], ids=["bare", "data parallel"])
def test_published_layout(tmp_path, legacy, prefix):
    animator = small()
    loaded = zoo.load(write(checkpoint(animator, prefix), tmp_path / "00000099-checkpoint.pth.tar", legacy))
    assert same(animator, loaded)
    assert not loaded.training
    assert loaded.align_corners  # as the published weights were trained
    assert loaded.generator.dense_motion_network.align_corners
    assert loaded.info.config == "custom"
    picture = pictures(64, 64, 0.0)
    with torch.no_grad():
        assert torch.equal(loaded.motion(picture)["value"], animator.motion(picture)["value"])
    assert not zoo.load(tmp_path / "00000099-checkpoint.pth.tar", align_corners=False).align_corners


@pytest.mark.parametrize(
    ("file", "built", "name"),
    [
        ("vox-cpk.pth.tar", "vox-256", "vox-256"),
        ("vox-adv-cpk.pth.tar", "vox-256", "vox-adv-256"),
        ("taichi-adv-cpk.pth.tar", "vox-256", "taichi-adv-256"),
        ("fashion.pth.tar", "vox-256", "fashion-256"),
        ("mgif-cpk.pth.tar", "mgif-256", "mgif-256"),
        ("vox-cpk.pth.tar", "mgif-256", "mgif-256"),  # a wrong name does not deceive
        ("face.pth.tar", "vox-256", "vox-256"),
    ],
)
def test_recognises_published_files(tmp_path, file, built, name):
    path = write(published_size(built), tmp_path / file)
    parts, _ = zoo.read(path)
    family, found = zoo.recognise(path, parts, {})
    assert family == "fomm"
    assert {part: build_sections(built)[part] for part in found} == found
    known, note = zoo.name_of(FAMILIES[family], found, path)
    assert known == name
    assert ("vox-256, vox-adv-256" in note) == (file == "face.pth.tar")


def build_sections(name):
    return FAMILIES["fomm"].sections(PUBLISHED[name])


def test_loads_a_file_of_published_size(tmp_path):
    loaded = zoo.load(str(write(published_size("vox-256"), tmp_path / "vox-adv-cpk.pth.tar")))
    assert loaded.info.config == "vox-adv-256"
    assert "VoxCeleb" in loaded.info.domain
    assert "CC BY-NC" in loaded.info.licence
    assert not loaded.info.drawn
    assert loaded.generator.final.weight.unique().tolist() == [0.5]
    assert "use_kp" in str(loaded.config["discriminator"])
    write(published_size("vox-256"), tmp_path / "weights" / "face.pth.tar")
    loaded = zoo.load("face.pth.tar", config="nemo-256")  # found in the weights folder
    assert loaded.info.config == "nemo-256"


def test_stripped_and_half_and_from_a_gpu(tmp_path, monkeypatch):
    animator = small()
    full = checkpoint(animator)
    bare = {
        part: {key: tensor for key, tensor in full[part].items() if not key.endswith("num_batches_tracked")}
        for part in ("generator", "kp_detector")
    }
    assert same(animator, zoo.load(write(bare, tmp_path / "stripped.pth")))
    assert same(animator, zoo.load(write(animator.state_dict(), tmp_path / "flat.pt")))
    half = {part: {key: tensor.half() for key, tensor in bare[part].items()} for part in bare}
    loaded = zoo.load(write(half, tmp_path / "half.pth"))
    assert loaded.generator.final.weight.dtype == torch.float32
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    for legacy in (True, False):
        assert same(animator, zoo.load(write(full, tmp_path / "cuda.pth.tar", legacy)))


@pytest.mark.parametrize(
    "change",
    [
        {"kp_detector": {"single_jacobian_map": True}},
        {"kp_detector": {"estimate_jacobian": False}},
        {"kp_detector": {"scale_factor": 0.5, "num_blocks": 3}, "dense": {"scale_factor": 0.125, "num_blocks": 1}},
        {"kp_detector": {"scale_factor": 1}, "dense": {"scale_factor": 1}},
        {"kp_detector": {"num_kp": 1}, "generator": {"num_kp": 1}},
        {"kp_detector": {"num_channels": 4}, "generator": {"num_channels": 4}},
        {"generator": {"num_down_blocks": 0, "num_bottleneck_blocks": 5, "estimate_occlusion_map": False}},
        {"generator": {"num_down_blocks": 3, "max_features": 10, "num_bottleneck_blocks": 0}},
        {"generator": {"dense_motion_params": None}},
    ],
    ids=str,
)
def test_any_architecture_is_recognised(tmp_path, change):
    animator = small(**change)
    loaded = zoo.load(write(checkpoint(animator), tmp_path / "x.pth.tar"))
    assert same(animator, loaded)
    scales = [part["scale_factor"] for part in (animator.config["kp_detector"], loaded.config["kp_detector"])]
    assert scales[0] == scales[1]
    frame = pictures(64, 64, 0.0, channels=animator.info.channels)
    with torch.no_grad():
        assert torch.equal(animator.motion(frame)["value"], loaded.motion(frame)["value"])


def test_config_overrides(tmp_path):
    animator = small()
    path = write(checkpoint(animator), tmp_path / "x.pth.tar")
    scales = {"scale_factor": 0.125}
    large = zoo.load(path, config={"kp_detector": scales, "generator": {"dense_motion_params": scales}})
    assert large.kp_detector.down.weight.shape[-1] == 29
    assert large.generator.dense_motion_network.down.weight.shape[-1] == 29
    assert torch.equal(large.generator.final.weight, animator.generator.final.weight)
    assert large.info.size == 512
    assert zoo.load(path, config={"kp_detector": {"temperature": 0.2}}).kp_detector.temperature == 0.2
    assert zoo.load(path, config=SMALL).config["kp_detector"] == animator.config["kp_detector"]
    with pytest.raises(CheckpointError, match="doesn't fit fomm vox-256 .*missing.*of another shape"):
        zoo.load(path, config="vox-256")
    with pytest.raises(CheckpointError, match="doesn't fit.*kp.weight is 4 x"):
        zoo.load(path, config={"kp_detector": {"num_kp": 5}, "generator": {"num_kp": 5}})
    with pytest.raises(ConfigError, match="scale_facto"):
        zoo.load(path, config={"kp_detector": {"scale_facto": 1}})
    with pytest.raises(ConfigError, match="vox-512"):
        zoo.load(path, config="vox-512")


# ---------------------------------------------------------------- own files


def test_save_and_load(tmp_path):
    animator = small(align_corners=True)
    path = zoo.save(animator, tmp_path / "own.safetensors", drawn=True, domain="drawn heads", licence="MIT", steps=500)
    loaded = zoo.load(path)
    assert loaded.align_corners
    assert loaded.config == animator.config
    assert (loaded.info.drawn, loaded.info.domain, loaded.info.licence) == (True, "drawn heads", "MIT")
    assert zoo.read(path)[1]["steps"] == 500
    assert path.stat().st_size < 0.6 * sum(4 * tensor.numel() for tensor in animator.state_dict().values())
    for key, tensor in animator.state_dict().items():
        assert torch.allclose(loaded.state_dict()[key], tensor, rtol=1e-3, atol=1e-6), key
    zoo.save(small(), path, half=False)  # written over its own
    assert same(small(), zoo.load(path))
    assert not zoo.load(path).align_corners
    assert zoo.load(path, align_corners=True).align_corners
    assert os.listdir(tmp_path) == ["own.safetensors"]


def test_save_keeps_what_half_precision_cannot(tmp_path):
    animator = small()
    with torch.no_grad():
        animator.generator.final.weight[0, 0, 0, 0] = 1e6
    loaded = zoo.load(zoo.save(animator, tmp_path / "own.safetensors"))
    assert torch.equal(loaded.generator.final.weight, animator.generator.final.weight)


def test_save_where_nothing_can_be_written(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        zoo.save(small(), tmp_path / "nowhere" / "own.safetensors")


def test_safetensors_of_others(tmp_path):
    from safetensors.torch import save_file

    animator = small()
    state = {key: tensor.contiguous() for key, tensor in animator.state_dict().items()}
    save_file(state, tmp_path / "other.safetensors", metadata={"format": "pt"})
    assert same(animator, zoo.load(tmp_path / "other.safetensors"))


# ---------------------------------------------------------------- names


def test_names(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="no model 'mini-fom'.*Did you mean 'mini-fomm'"):
        zoo.load("mini-fom")
    with pytest.raises(CheckpointError, match="no model 'somebody'.*mini-fomm"):
        zoo.load("somebody")
    write({}, tmp_path / "vox-cpk.pth.tar")
    with pytest.raises(CheckpointError, match="no file.*Did you mean .*vox-cpk.pth.tar"):
        zoo.load(tmp_path / "vox-cp.pth.tar")
    with pytest.raises(CheckpointError, match="no file.*put it into"):
        zoo.load("other.safetensors")
    with pytest.raises(CheckpointError, match="folder"):
        zoo.load(tmp_path)
    monkeypatch.setattr(weights, "shipped", lambda relative: tmp_path / relative)
    with pytest.raises(CheckpointError, match="mini-fomm.*missing.*train mini-fomm"):
        zoo.load("mini-fomm")
    (tmp_path / "checkpoints" / "mini").mkdir(parents=True)
    zoo.save(small(), tmp_path / "checkpoints" / "mini" / "fomm.safetensors", half=False)
    assert same(small(), zoo.load("mini-fomm"))


# ---------------------------------------------------------------- files that aren't


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def saved(content, legacy=False):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def archived(kind):
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("vox-cpk.pth"))
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("vox-cpk.pth", b"weights")
    return buffer.getvalue()


WHOLE = {"generator": {"first.conv.weight": torch.ones(64, 3, 7, 7)}, "kp_detector": {"x": torch.ones(99)}}
BAD = {
    "empty": (b"", "is empty.*Download it again"),
    "web page": (b"\n<!DOCTYPE html><html>Quota exceeded</html>", "web page.*Download it again"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS pointer.*git lfs pull"),
    "text": (b"not found", "no file of weights"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(600), "no file of weights"),
    "tar": (archived("tar"), "archive.*Unpack"),
    "zip": (archived("zip"), "archive.*Unpack"),
    "zip cut off": (saved(WHOLE)[:5000], "cut off"),
    "zip cut off early": (saved(WHOLE)[:5], "cut off"),
    **{f"legacy cut off at {n}": (saved(WHOLE, legacy=True)[:n], "cut off") for n in (1, 3, 30, 150, 400, 9000)},
    "code": (saved({"generator": Bomb()}), "more than weights.*system.*run a program"),
    "code, legacy": (saved({"generator": Bomb()}, legacy=True), "more than weights.*system.*run a program"),
    "code, pickle": (pickle.dumps({"generator": Bomb()}, protocol=4), "more than weights"),
    "a whole module": (saved(torch.nn.Linear(2, 2)), "more than weights"),
    "a tensor": (saved(torch.ones(3)), "holds no weights but Tensor"),
    "nothing": (saved({}), "no model that the toolkit knows.*no weights at all"),
    "vgg": (saved({"features.0.weight": torch.ones(2, 2)}), "no model that the toolkit knows.*features"),
    "tpsmm": (saved({"inpainting_network": {}, "kp_detector": {}}), "TPSMM.*lacks dense_motion_network"),
    "mraa": (saved({"region_predictor": {}, "generator": {}}), "MRAA.*networks in it are others"),
    "monkey-net": (saved({"generator": {}, "kp_detector": {"w": torch.ones(1, 1, 1, 3, 3)}}), "Monkey-Net.*yet"),
    "half of it": (saved({"generator": WHOLE["generator"]}), "FOMM.*lacks kp_detector"),
    "other networks": (saved(WHOLE), "FOMM.*networks in it are others"),
    "incomplete": (
        saved({"generator": WHOLE["generator"], "kp_detector": {"kp.weight": torch.ones(10, 35, 7, 7)}}),
        "FOMM.*incomplete",
    ),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_bad_file(tmp_path, content, words):
    path = tmp_path / "vox-cpk.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"(?s){words}") as error:
        zoo.load(path)
    assert str(path) in str(error.value)
    assert error.value.remedy
    assert not (tmp_path / "exploded").exists()


def test_missing_and_unexpected_keys(tmp_path):
    content = checkpoint(small())
    del content["generator"]["final.bias"]
    content["generator"]["extra.bias"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="1 missing: generator.final.bias; 1 unexpected: generator.extra.bias"):
        zoo.load(write(content, tmp_path / "x.pth.tar"))


def test_bad_safetensors(tmp_path):
    whole = zoo.save(small(), tmp_path / "own.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in (4, 500, 20_000, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cut.safetensors is cut off"):
            zoo.load(path)
    Motion("fomm", {"value": torch.zeros(2, 4, 2)}).save(path)
    with pytest.raises(CheckpointError, match="holds a motion, not a model"):
        zoo.load(path)
    animator = small()
    animator.family = "later"
    zoo.save(animator, path)
    with pytest.raises(CheckpointError, match="'later' model.*Update"):
        zoo.load(path)


def test_unreadable(tmp_path, monkeypatch):
    path = tmp_path / "x.pth.tar"
    path.write_bytes(b"x")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(CheckpointError, match="can't be read .Permission denied"):
        zoo.load(path)

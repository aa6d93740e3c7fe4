"""TPSMM against the numbers of its published implementation, and what must hold in any configuration."""

import copy
import dataclasses
import functools
import json

import pytest
import torch
from torch import nn

from tests.golden.fill import fill
from tests.golden_case import case, pictures
from toolkit import zoo
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.models import build, motion
from toolkit.models.base import Motion, Source
from toolkit.models.layers import AntiAlias, antialias_kernel, fold_norms
from toolkit.models.tpsmm import PUBLISHED, TPSMM, BGMotionPredictor, dropped_softmax, fit_splines, spline_grid

CASES = ("vox-256", "small-64-single-mask", "small-64")


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


# ---------------------------------------------------------------- golden: the whole model


@functools.lru_cache(maxsize=1)
def filled(name):
    golden = case("tpsmm", name)
    animator = build("tpsmm", golden.config)
    for part in golden.modules:
        golden.fill(part, getattr(animator, part))
    return animator.eval()


class Taps:
    """What comes out of modules while they run, by name."""

    def __init__(self, **modules):
        self.seen = {}
        self.handles = [module.register_forward_hook(self._keep(name)) for name, module in modules.items()]

    def _keep(self, name):
        return lambda _, __, output: self.seen.__setitem__(name, output)

    def __enter__(self):
        return self.seen

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def statistics(maps):
    """Mean and population standard deviation of each channel of one map C x H x W."""
    return torch.stack([maps.mean((1, 2)), maps.std((1, 2), correction=0)])


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def whole(name):
    """All outputs of a case, by key: through the four steps, and per stage what they don't show."""
    golden, animator = case("tpsmm", name), filled(name)
    detector, dense, inpainting = animator.kp_detector, animator.dense_motion_network, animator.inpainting_network
    size, phases = (golden.inputs["height"], golden.inputs["width"]), golden.inputs["driving_phases"]
    picture, frames = pictures(*size, golden.inputs["source_phase"]), pictures(*size, *phases)

    downs = {f"down{i}": block for i, block in enumerate(inpainting.down_blocks)}
    with Taps(first=inpainting.first, **downs) as once:
        source = animator.encode(picture)
    driving, beside = animator.motion(frames), animator.motion(frames, source=source)
    own, last = source.motion["value"], len(frames) - 1
    out = {
        "kp_logits_source": detector.fg_encoder(picture)[0],
        "kp_source": own[0],
        "kp_driving": driving["value"],
        "bg_param": beside["background"],
        "bg_param_reverse": animator.bg_predictor(frames[last:], picture)[0],
        "source_down": source["small"][0],
    }

    def add(mode, source, motion_, rows):
        moved = dense(source["small"], motion_.tensors, source.motion.tensors, motion_.tensors.get("background"))
        out[f"{mode}_flow"] = moved["deformation"][rows]
        out[f"{mode}_contribution"] = moved["contribution"][rows]
        out.update({f"{mode}_occlusion_{i}": mask[rows, 0] for i, mask in enumerate(moved["occlusion_maps"])})
        frames = out[f"{mode}_prediction"] = animator.render(source, motion_)
        flat = frames.flatten(1)
        values = (flat.mean(1), flat.std(1, correction=0), flat.amin(1), flat.amax(1))
        out[f"{mode}_prediction_stats"] = torch.stack(values, dim=1)
        return moved

    ups = {f"up{i}": block for i, block in enumerate(inpainting.up_blocks)}
    with Taps(hourglass=dense.hourglass.decoder, maps=dense.maps, final=inpainting.final, **ups) as seen:
        absolute = animator.transfer(source, driving, mode="absolute")
        moved = add("standard", source, absolute, slice(None))
    out["standard_prediction_crop"] = out["standard_prediction"][last]
    out["standard_deformed"] = inpainting.deformation(moved).warped(picture)[last]
    still = animator.transfer(source, beside[-1], mode="absolute")
    add("background", source, still, slice(None))
    relative = animator.transfer(source, driving)
    add("relative", source, relative, slice(last, None))
    avd = animator.transfer(source, driving, mode="avd")
    add("avd", source, avd, slice(last, None))
    given = dataclasses.replace(source, motion=Motion("tpsmm", {"value": golden["explicit_kp_source"][None]}))
    add("explicit", given, Motion("tpsmm", {"value": golden["explicit_kp_driving"][None]}), slice(None))

    area = [motion.hull_area(points) for points in (own, driving[0]["value"])]
    out["relative_scale"] = torch.cat([*area, motion.movement_scale(own, driving[0]["value"])])
    out["relative_kp"], out["avd_kp"] = relative["value"], avd["value"]
    out["avd_id_embedding"] = animator.avd_network.id_encoder(own.flatten(1))[0]
    out["avd_pose_embedding"] = animator.avd_network.pose_encoder(driving["value"].flatten(1))

    height, width = source["small"].shape[2:]
    kp = driving[last].tensors
    theta, weights = fit_splines(kp["value"][0].unflatten(0, (-1, 5)), own[0].unflatten(0, (-1, 5)))
    out |= {
        "stage_heatmap": dense.heatmap(kp, source.motion.tensors, height, width)[0],
        "stage_transformations": dense.motions(kp, source.motion.tensors, height, width)[0],
        "stage_tps_theta": theta,
        "stage_tps_weights": weights,
        "stage_deformed_source": moved["sparse_deformed"][last],
        "stage_map_logits": seen["maps"][last],
        "stage_inpaint_final": seen["final"][last],
    }
    out |= {f"stage_hourglass_{i}": statistics(maps[last]) for i, maps in enumerate(seen["hourglass"])}
    out |= {f"stage_inpaint_{key}": statistics(maps[0]) for key, maps in once.items()}
    out |= {f"stage_inpaint_{key}": statistics(seen[key][last]) for key in ups}
    return out


KEYS = [(name, key) for name in CASES for key in case("tpsmm", name).expected if not key.startswith("op_")]


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_golden(name, key):
    case("tpsmm", name).check(key, whole(name)[key])


def test_forward_is_the_four_steps():
    """The published whole, rows of pictures and all, gives what the cached source gives."""
    golden, animator = case("tpsmm", "small-64"), filled("small-64")
    picture, frames = pictures(64, 64, 0.0), pictures(64, 64, *golden.inputs["driving_phases"])
    source, driving = animator.encode(picture), animator.motion(frames)
    small, own = animator.dense_motion_network.down(picture), source.motion.tensors
    moved = animator.dense_motion_network(small, driving.tensors, own)
    detailed = animator.inpainting_network(picture.expand(2, -1, -1, -1), moved)
    rendered = animator.render(source, animator.transfer(source, driving, mode="absolute"))
    assert (detailed["prediction"] - rendered).abs().max() < 1e-5
    assert detailed["deformed"].shape == frames.shape


# ---------------------------------------------------------------- golden: the operators


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def operators():
    golden = case("tpsmm", "vox-256")
    out = {
        "op_grid": motion.coordinate_grid(3, 5),
        "op_gaussian": motion.gaussians(golden["op_gaussian_kp"], 12, 16),
    }
    for scale, name in ((0.5, "0_5"), (0.25, "0_25"), (0.125, "0_125")):
        out[f"op_antialias_kernel_{name}"] = antialias_kernel(scale)
        out[f"op_antialias_{name}"] = AntiAlias(3, scale)(pictures(48, 80, 0.7))[0]
    theta, weights = fit_splines(golden["op_tps_kp_1"], golden["op_tps_kp_2"])
    out["op_tps_theta"], out["op_tps_weights"] = theta, weights
    out["op_tps_grid"] = spline_grid(golden["op_tps_kp_1"], theta, weights, 6, 7)

    transform = motion.RandomTransform(golden["op_equi_theta"], golden["op_equi_weights"], euclidean=True)
    out["op_equi_control_points"] = motion.coordinate_grid(5, 5)
    out["op_equi_grid"] = transform.grid(6, 7)
    out["op_equi_warped_points"] = transform.warp_coordinates(golden["op_equi_points"])
    out["op_equi_image"] = transform.transform_frame(pictures(32, 32, 0.4, 1.1), align_corners=True)

    keep = golden["op_dropout_uniform"] < 1 - 0.3
    keep[:, 0] = True
    out["op_dropout_softmax"] = dropped_softmax(golden["op_dropout_logits"], keep)

    source, initial, driving = ({"value": golden[f"op_relative_{what}"][None]} for what in SETS)
    out["op_relative_kp"] = motion.transfer_keypoints(source, driving, initial)["value"][0]
    out["op_relative_scale"] = motion.movement_scale(source["value"], initial["value"])

    return out


SETS = ("source", "initial", "driving")
OPERATORS = [key for key in case("tpsmm", "vox-256").expected if key.startswith("op_") and "best" not in key]


@pytest.mark.parametrize("key", OPERATORS)
def test_golden_operator(key):
    case("tpsmm", "vox-256").check(key, operators()[key])


def test_golden_best_frame():
    golden = case("tpsmm", "vox-256")
    driving = golden["op_best_landmarks_driving"]
    found = driving.isfinite().all(-1).all(-1)  # a face
    distance = motion.shape_distance(golden["op_best_landmarks_source"][None], driving[found])
    assert (distance - golden["op_best_distance"][found]).abs().max() < golden.outputs["op_best_distance"]["tolerance"]
    assert found.nonzero()[distance.argmin()].item() == golden["op_best_frame"].item()
    assert golden["op_best_distance"][~found].isnan().all()


def test_random_transform_jacobian_is_the_derivative():
    transform = motion.RandomTransform.sample(2, generator=torch.Generator().manual_seed(1), euclidean=True)
    assert transform.euclidean
    points = torch.rand(2, 7, 2).requires_grad_()
    with torch.enable_grad():
        warped = transform.warp_coordinates(points)
        rows = [torch.autograd.grad(warped[..., i].sum(), points, retain_graph=True)[0] for i in (0, 1)]
    assert torch.allclose(transform.jacobian(points), torch.stack(rows, dim=-2), atol=1e-6)


# ---------------------------------------------------------------- configurations

SMALL = case("tpsmm", "small-64").config
COUNTS = {
    "kp_detector": 11_227_812,
    "bg_predictor": 11_188_998,
    "dense_motion_network": 37_941_397,
    "inpainting_network": 24_737_283,
    "avd_network": 2_583_652,
}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    with torch.device("meta"):
        animator = build("tpsmm", name)
    counts = COUNTS if name != "mgif-256" else {key: n for key, n in COUNTS.items() if key != "bg_predictor"}
    assert {part: parameters(module) for part, module in animator.named_children()} == counts
    info = animator.info
    assert (info.config, info.size, info.multiple) == (name, int(name[-3:]), 128)
    assert (info.modes, info.mode) == (("absolute", "relative", "avd"), "relative")
    assert info.crop == ("face" if name == "vox-256" else "whole")
    assert "MIT" in info.licence
    assert info.domain
    assert animator.align_corners


def test_layouts_agree():
    """The manifests' layout, the published YAML's and our own sections give the same network."""
    yaml = {"model_params": SMALL, "train_params": {}, "train_avd_params": {}, "visualizer_params": {}}
    expected = build("tpsmm", SMALL).config
    for layout in (yaml, {"model": SMALL}, expected, json.loads(json.dumps(expected))):
        assert TPSMM.sections(layout) == expected
    assert set(expected) == set(COUNTS)
    assert TPSMM.sections(case("tpsmm", "small-64-single-mask").config) != expected
    training = {"train_params": {}, "equivariance": {}, "avd": {}}
    assert TPSMM.sections({**SMALL, **training}) == expected
    sized = {**yaml, "dataset_params": {"frame_shape": [128, 128, 3]}}
    assert build("tpsmm", sized).info.size == 128


def changed(**sections_):
    config = copy.deepcopy(SMALL)
    for section, values in sections_.items():
        config[f"{section}_params"].update(values)
    return config


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("vox-512", "vox-512.*vox-256"),
        ({}, "no network"),
        (7, "mapping"),
        (changed(common={"num_kp": 10}), "num_kp"),
        (changed(common={"num_tps": 0}), "num_tps.*whole"),
        (changed(common={"multi_mask": 1}), "multi_mask.*true or false"),
        (changed(dense_motion={"blocks": 5}), "dense_motion_network.*blocks"),
        (changed(dense_motion={"scale_factor": 2}), "scale_factor"),
        (changed(dense_motion={"scale_factor": 0.3}), "multi_mask.*scale_factor 0.3"),
        (changed(dense_motion={"num_blocks": 1}), "multi_mask.*1 blocks"),
        (changed(generator={"num_down_blocks": 2}), "num_down_blocks 2"),
        (changed(generator={"guided": True}), "one mask, not four"),
        (changed(generator={"num_bottleneck_blocks": 1}), "no bottleneck blocks"),
        ({key: part for key, part in SMALL.items() if key != "generator_params"}, "inpainting_network.*lacks"),
        ({**TPSMM.sections(SMALL), "avd_network": {"num_tps": 5}}, "num_tps.*differs"),
        ({**SMALL, "inpaint_params": {}}, "inpaint_params"),
    ],
)
def test_wrong_configurations(config, words):
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        build("tpsmm", config)


@pytest.mark.parametrize("name", [*PUBLISHED, "small-64", "small-64-single-mask"])
def test_recognised(name):
    config = PUBLISHED.get(name) or case("tpsmm", name).config
    with torch.device("meta"):
        animator = build("tpsmm", config)
    parts = {part: module.state_dict() for part, module in animator.named_children()}
    expected = copy.deepcopy(animator.config)
    assert TPSMM.recognise(parts) == expected
    bare = {part: state for part, state in parts.items() if part not in TPSMM.optional_parts}
    found = TPSMM.recognise(bare)
    assert set(found) == {"kp_detector", "dense_motion_network", "inpainting_network"}
    with torch.device("meta"):
        assert build("tpsmm", found).info.modes == ("absolute", "relative")
    assert TPSMM.recognise({**parts, "dense_motion_network": {}}) is None
    assert TPSMM.recognise({"kp_detector": {}, "generator": {}}) is None


def published_file(path, name):
    """A file of a configuration's keys and shapes in a few kilobytes: each tensor is one number, repeated."""
    with torch.device("meta"):
        animator = build("tpsmm", PUBLISHED.get(name) or case("tpsmm", name).config)
    parts = {
        part: {key: torch.full((), 0.5, dtype=tensor.dtype).expand(tensor.shape) for key, tensor in state.items()}
        for part, state in ((part, module.state_dict()) for part, module in animator.named_children())
    }
    torch.save({**parts, "optimizer_avd": {"state": {}}, "epoch": 99}, path)
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_known(tmp_path, name):
    for file in (f"{name[:-4]}.pth.tar", "00000099-checkpoint.pth.tar"):
        path = published_file(tmp_path / file, name)
        parts, _ = zoo.read(path)
        family, found = zoo.recognise(path, parts, {})
        known, note = zoo.name_of(TPSMM, found, path)
        assert family == "tpsmm"
        assert known == (name if name in ("vox-256", "mgif-256") or "0" not in file else "vox-256")
        assert ("ted-384" in note) == ("0" in file and name != "mgif-256")


def test_loads_without_what_is_optional(tmp_path):
    path = published_file(tmp_path / "x.pth.tar", "small-64")
    parts, _ = zoo.read(path)
    loaded = zoo.load(path)
    assert loaded.config == TPSMM.sections(SMALL)
    assert loaded.align_corners
    assert loaded.info.modes == ("absolute", "relative", "avd")
    assert loaded.bg_predictor.bg_encoder.fc.bias.unique().tolist() == [0.5]
    torch.save({part: state for part, state in parts.items() if part not in TPSMM.optional_parts}, path)
    for config in (None, TPSMM.sections(SMALL)):
        loaded = zoo.load(path, config)
        assert loaded.info.modes == ("absolute", "relative")
        assert loaded.avd_network is None
        assert loaded.bg_predictor is None
    torch.save({part: state for part, state in parts.items() if part != "dense_motion_network"}, path)
    with pytest.raises(CheckpointError, match="TPSMM file, but it lacks dense_motion_network"):
        zoo.load(path)


# ---------------------------------------------------------------- what holds in any configuration


def without(config, part):
    return {key: section for key, section in config.items() if key != part}


VARIANTS = {
    "": (SMALL, {}),
    "not aligned": (SMALL, {"align_corners": False}),
    "full scale": (changed(dense_motion={"scale_factor": 1, "num_blocks": 4}), {}),
    "eighth": (changed(dense_motion={"scale_factor": 0.125, "num_blocks": 2}), {}),
    "sixteenth": (changed(dense_motion={"scale_factor": 0.0625, "num_blocks": 1}), {}),
    "single mask, no background": (
        changed(
            common={"multi_mask": False, "bg": False},
            generator={"num_down_blocks": 2},
            dense_motion={"num_blocks": 1},
        ),
        {},
    ),
    "as the mini": (
        changed(
            common={"multi_mask": False, "bg": False},
            generator={"num_down_blocks": 3, "guided": True, "num_bottleneck_blocks": 2},
            dense_motion={"finer": 2},
        )
        | {
            "kp_detector": {
                "heatmaps": {"block_expansion": 4, "num_blocks": 1, "max_features": 8, "scale_factor": 0.25}
            }
        },
        {},
    ),
    "RGBA, one spline, no avd": (
        without(changed(common={"num_channels": 4, "num_tps": 1, "bg": False}), "avd_network_params"),
        {},
    ),
}


@functools.lru_cache(maxsize=2)
def small(variant=""):
    """A small model with every tensor filled; parts that are alike are shared."""
    config, arguments = VARIANTS[variant]
    animator = build("tpsmm", config, **arguments).eval()
    golden = case("tpsmm", "small-64")
    for part, module in animator.named_children():
        if variant and "network" not in part and animator.config[part] == small().config[part]:
            setattr(animator, part, getattr(small(), part))
        else:
            fill(module, golden.modules[part]["constant"], golden.modules[part]["gains"])
    return animator


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant(variant):
    """One source row = many, batch 1 = batch N, folded = unfolded, gradients everywhere."""
    animator = small(variant)
    channels, multiple = animator.info.channels, animator.info.multiple
    size = (multiple * -(-32 // multiple), multiple * -(-48 // multiple))
    picture = pictures(*size, 0.0, channels=channels)
    frames = pictures(*size, 0.3, 0.9, channels=channels)
    source, driving = animator.encode(picture), animator.motion(frames)
    beside = animator.motion(frames, source=source)
    assert torch.equal(beside["value"], driving["value"])
    assert beside["background"].shape == (2, 3, 3)
    if animator.bg_predictor is None:
        assert torch.equal(beside["background"], torch.eye(3).expand(2, 3, 3))
    for moved in (animator.transfer(source, driving), animator.transfer(source, beside, mode="absolute")):
        rendered = animator.render(source, moved)
        assert rendered.shape == frames.shape
        assert rendered.dtype == torch.float32
        assert 0 <= rendered.min() <= rendered.max() <= 1
        rows = animator.encode(picture.expand(2, -1, -1, -1))
        assert (animator.render(rows, moved) - rendered).abs().max() < 5e-4
        one_by_one = torch.cat([animator.render(source, moved[i]) for i in range(2)])
        assert (one_by_one - rendered).abs().max() < 5e-4
    single = torch.cat([animator.motion(frames[i : i + 1])["value"] for i in range(2)])
    assert (single - driving["value"]).abs().max() < 1e-5

    folded = fold_norms(copy.deepcopy(animator))
    norms = [name for name, part in folded.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert all(name.startswith("inpainting_network.bottleneck") and name.endswith("norm1") for name in norms)
    assert (folded.motion(frames)["value"] - driving["value"]).abs().max() < 1e-4
    assert (folded.motion(frames, source=source)["background"] - beside["background"]).abs().max() < 1e-4
    assert (folded.render(folded.encode(picture), moved) - rendered).abs().max() < 2e-3


def test_a_guided_generator_stands_in():
    """It is told of the driver's keypoints, and its whole is the same as its parts."""
    animator = small("as the mini")
    picture, frame = pictures(64, 64, 0.0, 0.6).split(1)
    source, network = animator.encode(picture), animator.inpainting_network
    found = {"value": animator.motion(frame)["value"]}
    moved = animator.dense_motion_network(source["small"], found, source.motion.tensors)
    prediction = network.decode(source.tensors, moved)
    assert torch.equal(network(picture, moved)["prediction"], prediction)
    elsewhere = network.decode(source.tensors, {**moved, "points": moved["points"] + 0.2})
    assert (elsewhere - prediction).abs().max() > 1e-3


def test_gradients_and_dropout():
    """Training reaches every parameter; splines left out leave no share in the flow."""
    animator = copy.deepcopy(small()).train()
    frames = pictures(64, 64, 0.0, 0.5, 1.0, 1.5)
    with torch.enable_grad():
        kp = animator.kp_detector(frames)
        source, driving = ({"value": kp["value"][rows]} for rows in (slice(0, 2), slice(2, 4)))
        background = animator.bg_predictor(frames[:2], frames[2:])
        dense, inpainting = animator.dense_motion_network, animator.inpainting_network
        uniform = torch.tensor([[0.9, 0.1, 0.9, 0.1], [0.9, 0.9, 0.1, 0.1]])
        moved = dense(dense.down(frames[:2]), driving, source, background, dropout=0.5, uniform=uniform)
        avd = animator.avd_network(source["value"], driving["value"])
        (inpainting(frames[:2], moved)["prediction"].mean() + avd.mean()).backward()
    left = moved["contribution"].sum((2, 3)) > 0
    assert left.tolist() == [[True, True, False, True], [True, False, True, True]]
    assert (moved["contribution"].sum(1) - 1).abs().max() < 1e-4
    assert [key for key, parameter in animator.named_parameters() if parameter.grad is None] == []
    assert dense(dense.down(frames[:1]), driving, source, dropout=0.3)["contribution"][:, 0].min() > 0


def test_untrained_background_stands_still():
    frames = pictures(64, 64, 0.0, 0.5)
    assert torch.allclose(BGMotionPredictor().eval()(frames, frames.flip(0)), torch.eye(3).expand(2, 3, 3))


def test_sizes():
    animator = small()
    assert animator.info.multiple == 32
    assert animator.motion(pictures(32, 96, 0.2))["value"].shape == (1, 15, 2)
    for height, width in ((64, 60), (48, 64), (1, 1), (0, 64)):
        with pytest.raises(InputError, match=f"{width} x {height}.*multiples of 32"):
            animator.encode(torch.zeros(1, 3, height, width))
    with pytest.raises(InputError, match="3 x height x width"):
        animator.motion(torch.zeros(2, 1, 64, 64))
    with pytest.raises(InputError, match="3 x 64 x 64"):
        animator.motion(torch.zeros(3, 64, 64))
    with pytest.raises(InputError, match="32 x 32 is too small.*64"):
        animator.encode(torch.zeros(1, 3, 32, 32))
    source = animator.encode(pictures(64, 64, 0.0))
    with pytest.raises(InputError, match="64 x 64, the frames are 96 x 32"):
        animator.motion(pictures(32, 96, 0.2), source=source)


# ---------------------------------------------------------------- transfer


@pytest.fixture
def scene():
    animator = small()
    source = animator.encode(pictures(64, 64, 0.0))
    return animator, source, animator.motion(pictures(64, 64, 0.3, 0.6, 0.9), source=source)


def test_strength(scene):
    animator, source, driving = scene
    own = source.motion["value"]
    for mode in ("absolute", "relative"):
        still = animator.transfer(source, driving, mode=mode, strength=0)
        published = animator.transfer(source, driving, mode=mode)
        double = animator.transfer(source, driving, mode=mode, strength=2)
        assert torch.allclose(still["value"], own.expand(3, -1, -1), atol=1e-6)
        assert torch.allclose(double["value"], 2 * published["value"] - own, atol=1e-5)
    absolute = animator.transfer(source, driving, mode="absolute")
    assert torch.equal(absolute["value"], driving["value"])
    assert torch.equal(absolute["background"], driving["background"])
    still = animator.transfer(source, driving, mode="absolute", strength=0)["background"]
    assert torch.equal(still, torch.eye(3).expand(3, 3, 3))
    with pytest.raises(ConfigError, match="avd.*0.5"):
        animator.transfer(source, driving, mode="avd", strength=0.5)


def test_modes(scene):
    animator, source, driving = scene
    auto, relative = animator.transfer(source, driving), animator.transfer(source, driving, mode="relative")
    assert torch.equal(auto["value"], relative["value"])
    assert torch.allclose(relative[0]["value"], source.motion["value"], atol=1e-6)
    assert "background" not in relative.tensors
    avd = animator.transfer(source, driving, mode="avd")
    assert set(avd.tensors) == {"value"}
    alone = torch.cat([animator.transfer(source, driving[i], mode="avd")["value"] for i in range(3)])
    assert torch.allclose(avd["value"], alone, atol=1e-5)
    with pytest.raises(ConfigError, match="auto, absolute, relative, avd"):
        animator.transfer(source, driving, mode="standard")
    sources = animator.encode(pictures(64, 64, 0.0, 0.1))
    with pytest.raises(InputError, match="source has 2 rows, the motion 3"):
        animator.transfer(sources, driving)
    with pytest.raises(InputError, match="source has 2 rows, the motion 3"):
        animator.render(sources, driving)
    with pytest.raises(InputError, match="reference has 2 rows, the motion 3"):
        animator.transfer(source, driving, reference=driving[:2])


def test_without_avd():
    animator = small("RGBA, one spline, no avd")
    picture = pictures(64, 64, 0.0, channels=4)
    with pytest.raises(ConfigError, match="no mode 'avd'.*auto, absolute, relative"):
        animator.transfer(animator.encode(picture), animator.motion(picture), mode="avd")


def test_distance_and_settle(scene):
    animator, source, driving = scene
    value = driving["value"].clone()
    value[1] = 0.5 * source.motion["value"][0] + 0.1
    moved = driving.replace(value=value)
    assert animator.distance(source, moved).argmin() == 1
    assert animator.settle(moved) is moved
    assert animator.linear == ("value",)


def test_saved_and_loaded(scene, tmp_path):
    animator, source, driving = scene
    source.save(tmp_path / "source.safetensors")
    driving.save(tmp_path / "motion.safetensors")
    there, moved = Source.load(tmp_path / "source.safetensors"), Motion.load(tmp_path / "motion.safetensors")
    expected = animator.render(source, animator.transfer(source, driving, mode="absolute"))
    assert torch.equal(animator.render(there, animator.transfer(there, moved, mode="absolute")), expected)


def test_bfloat16_keeps_coordinates_in_float32(scene):
    """At half precision keypoints, flows and pictures are float32, and stay near."""
    animator, source, driving = scene
    absolute = animator.transfer(source, driving, mode="absolute")
    expected = animator.render(source, absolute)
    half = copy.deepcopy(animator).bfloat16()
    for part in animator.exact:
        half.get_submodule(part).float()
    there = half.encode(pictures(64, 64, 0.0))
    tensors = {name: tensor.bfloat16() if tensor.dim() == 4 else tensor for name, tensor in there.tensors.items()}
    rendered = half.render(dataclasses.replace(there, tensors=tensors), absolute)
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.02
    whole_ = copy.deepcopy(animator).bfloat16()
    moved = whole_.motion(pictures(64, 64, 0.3), source=whole_.encode(pictures(64, 64, 0.0)))
    assert {tensor.dtype for tensor in moved.tensors.values()} == {torch.float32}
    assert whole_.transfer(source, moved, mode="avd")["value"].dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        there = animator.encode(pictures(64, 64, 0.0))
        rendered = animator.render(there, absolute)
        fitted = fit_splines(absolute["value"][:, :5], absolute["value"][:, 5:10])
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.02
    exact = fit_splines(absolute["value"][:, :5], absolute["value"][:, 5:10])
    assert all(torch.equal(a, b) for a, b in zip(fitted, exact, strict=True))

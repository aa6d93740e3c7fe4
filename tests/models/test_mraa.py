"""MRAA against the numbers of its published implementation, and what must hold in any configuration."""

import copy
import dataclasses
import functools
import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden.fill import fill
from tests.golden_case import case, pictures
from toolkit import zoo
from toolkit.errors import ConfigError, InputError
from toolkit.models import build, motion
from toolkit.models.base import Motion, Source
from toolkit.models.layers import ImagePyramid, fold_norms
from toolkit.models.mraa import MRAA, PUBLISHED, elliptic_gaussians, expected_covariance, principal_axes, spread

CASES = ("variant_points", "variant_regressed", "vox256")


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


# ---------------------------------------------------------------- golden: the whole model


@functools.lru_cache(maxsize=1)
def filled(name):
    golden = case("mraa", name)
    animator = build("mraa", golden.config)
    for part in golden.modules:
        if part != "vgg":
            golden.fill(part, getattr(animator, part))
    return animator.eval()


def tapped(module, run):
    """What goes in and comes out of a module while `run` runs."""
    seen = {}
    handle = module.register_forward_hook(lambda _, given, output: seen.update(input=given[0], output=output))
    run()
    handle.remove()
    return seen


def frames_of(name):
    golden = case("mraa", name)
    size = (48, 64) if name == "variant_points" else (64, 64) if name == "variant_regressed" else (256, 256)
    return pictures(*size, golden.inputs["source_phase"]), pictures(*size, *golden.inputs["driving_phases"])


def with_regions(source, **tensors):
    return dataclasses.replace(source, motion=Motion("mraa", {**source.motion.tensors, **tensors}))


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def whole(name):
    """All outputs of a case, by key: through the four steps, and per stage what they don't show."""
    golden, animator = case("mraa", name), filled(name)
    predictor, flow = animator.region_predictor, animator.generator.flow
    picture, frames = frames_of(name)
    source, driving = animator.encode(picture), animator.motion(frames)
    beside = animator.motion(frames, source=source)

    features = predictor.predictor(predictor.down(picture))
    out = {f"src_{key}": tensor for key, tensor in source.motion.tensors.items()}
    out["src_heatmap"] = predictor.heatmap(features)
    heatmaps = predictor.heatmap(predictor.predictor(predictor.down(frames)))
    for i in range(len(frames)):
        out |= {f"drv{i + 1}_{key}": tensor for key, tensor in driving[i].tensors.items()}
        out[f"drv{i + 1}_heatmap"] = heatmaps[i : i + 1]
        out[f"bg{i + 1}"] = beside[i]["background"]

    def add(key, motion_, source=source):
        out.update({f"{key}_{name}": tensor for name, tensor in motion_.tensors.items()})
        if f"{key}_prediction" in golden.outputs:
            background = motion_.tensors.get("background")
            moved = animator.generator.move(source.tensors, motion_.tensors, source.motion.tensors, background)
            out[f"{key}_flow"], out[f"{key}_occlusion"] = moved["deformation"], moved.get("occlusion_map")
            out[f"{key}_prediction"] = animator.render(source, motion_)

    modes = {"std": ("absolute", driving), "rec": ("absolute", beside), "rel": ("relative", driving)}
    if "avd1_shift" in golden.outputs:
        modes["avd"] = ("avd", driving)
    for mode, (called, motion_) in modes.items():
        moved = animator.transfer(source, motion_, mode=called)
        for i in range(len(frames)):
            add(f"{mode}{i + 1}", moved[i])
    if name != "vox256":
        return out

    out["src_down"], out["src_features"] = predictor.down(picture), features
    out["src_logits"] = predictor.regions(features)
    own, last, height, width = source.motion.tensors, driving[-1].tensors, 64, 64
    out["flow_gaussians"] = flow.heatmap(last, own, height, width)[:, :, None]
    out["flow_motions"] = flow.motions(last, own, height, width)
    out["flow_motions_bg"] = flow.motions(last, own, height, width, beside[-1]["background"])
    seen = tapped(flow.hourglass, lambda: out.update(moved=animator.generator.move(source.tensors, last, own)))
    moved = out.pop("moved")
    out["flow_warped"], out["std4_masks"] = moved["sparse_deformed"], moved["mask"]
    out["std4_flow_features"], out["std4_deformed"] = seen["output"], animator.generator.deform(picture, moved)
    tail = {}
    handle = animator.generator.final.register_forward_hook(lambda _, __, output: tail.update(final=output))
    seen = tapped(animator.generator.bottleneck, lambda: animator.generator.decode(source.tensors, moved))
    handle.remove()
    out["std4_bottleneck_in"], out["std4_bottleneck_out"] = seen["input"], seen["output"]
    out["std4_rgb"] = tail["final"].sigmoid()

    avd, scale = animator.avd_network, motion.movement_scale(own["shift"], driving[0]["shift"])
    out["rel_scale"] = scale
    out["avd_id_code"] = avd.id_encoder(avd.embedded(own["shift"], own["affine"]))
    out["avd_pose_code"] = avd.pose_encoder(avd.embedded(driving[0]["shift"], driving[0]["affine"]))

    covars = {what: golden[f"axis_{what}_covar"] for what in ("src", "drv")}
    turned = {what: {"covar": covar, "affine": principal_axes(covar)} for what, covar in covars.items()}
    out |= {f"axis_{what}_affine": regions["affine"] for what, regions in turned.items()}
    there, moving = with_regions(source, **turned["src"]), driving[-1].replace(**turned["drv"])
    out["axis_motions"] = flow.motions(moving.tensors, there.motion.tensors, height, width)
    add("axis", moving, there)
    found = animator.transfer(there, moving, mode="avd")
    out["axis_avd_shift"], out["axis_avd_affine"] = found["shift"], found["affine"]
    return out


TRAINING = ("loss_", "grad_norm:")  # the training issue's
OPERATORS = ("svd_", "pyramid_", "tps_", "bn_", "avdtrain_")
KEYS = [
    (name, key) for name in CASES for key in case("mraa", name).expected if not key.startswith(TRAINING + OPERATORS)
]


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_golden(name, key):
    case("mraa", name).check(key, whole(name)[key])


# ---------------------------------------------------------------- golden: the operators


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def operators():
    golden, animator = case("mraa", "vox256"), filled("vox256")
    picture, frames = frames_of("vox256")
    out = {}
    with torch.enable_grad():
        covar = golden["svd_covar"].requires_grad_()
        out["svd_affine"] = principal_axes(covar)
        (grad,) = torch.autograd.grad((golden["svd_weight"] * out["svd_affine"]).sum(), covar)
    grad = (grad + grad.transpose(1, 2)) / 2
    assert grad.isfinite().all()  # the round ones too
    out["svd_grad_sym"] = grad.where(golden["svd_grad_sym"] != 0, 0.0)

    pyramid = ImagePyramid([1, 0.5, 0.25, 0.125])(frames[:1])
    out |= {f"pyramid_{scale}": pyramid[f"prediction_{scale}"] for scale in (0.5, 0.25, 0.125)}

    transform = motion.RandomTransform(golden["tps_theta"], golden["tps_control"])
    out["tps_frame"] = transform.transform_frame(frames[[0, 3]], align_corners=False)
    out["tps_points"] = transform.warp_coordinates(motion.coordinate_grid(9, 9).view(1, -1, 2))
    regions = animator.region_predictor(out["tps_frame"])
    out["tps_shift"], out["tps_affine"] = regions["shift"], regions["affine"]
    out["tps_warped_shift"] = transform.warp_coordinates(regions["shift"])
    out["tps_jacobian"] = transform.jacobian(regions["shift"])

    block = copy.deepcopy(animator.region_predictor.predictor.encoder.down_blocks[0]).train()
    for batch in (torch.cat([picture, frames[:1]]), frames[[1, 3]], transform.transform_frame(frames[[1, 3]], False)):
        block(animator.region_predictor.down(batch))
    out["bn_after"] = torch.stack([block.norm.running_mean, block.norm.running_var])

    found = animator.region_predictor(torch.cat([picture, frames]))
    target = {name: tensor.roll(-2, 0) for name, tensor in found.items()}
    factor = golden["avdtrain_theta"][:, None]  # 5 x 1 x 2
    pose = {"shift": target["shift"] * factor, "affine": target["affine"] * factor[..., None]}
    for mode in ("eval", "train"):
        avd = copy.deepcopy(animator.avd_network).train(mode == "train")(found, pose)
        out[f"avdtrain_{mode}_shift"] = avd["shift"]
        for name in ("shift", "affine"):
            out[f"avdtrain_{mode}_rec_{name}"] = (target[name] - avd[name]).abs().mean()[None]
    return out


@pytest.mark.parametrize("key", [key for key in case("mraa", "vox256").expected if key.startswith(OPERATORS)])
def test_golden_operator(key):
    case("mraa", "vox256").check(key, operators()[key])


def test_principal_axes_are_lapacks():
    """Signs as numpy's SVD has them; the product is the covariance; what has no axes or no extent stays finite."""
    g = np.random.RandomState(3).standard_normal((2000, 2, 2))
    covar = 0.05 * g @ g.transpose(0, 2, 1)
    u, s, _ = np.linalg.svd(covar)
    ours = principal_axes(torch.from_numpy(covar)).double().numpy()
    assert np.abs(ours - u * np.sqrt(s)[:, None]).max() < 1e-5
    special = torch.tensor([[[0.2, 0], [0, 0.1]], [[0.1, 0], [0, 0.2]], [[0.1, 0], [0, 0.1]]])
    right = torch.tensor([[[0.2, 0], [0, 0.1]], [[0, 0.1], [0.2, 0]], [[0.1, 0], [0, 0.1]]]).sqrt()
    assert torch.allclose(principal_axes(special), right, atol=1e-6)
    flat = torch.tensor([[[0.0, 0], [0, 0]], [[0.04, 0.04], [0.04, 0.04]], [[0.1, 0], [0, 0]]], requires_grad=True)
    with torch.enable_grad():
        found = principal_axes(flat)
        found.sum().backward()
    assert torch.allclose(spread(found), flat, atol=1e-6)
    assert found.isfinite().all()
    assert flat.grad.isfinite().all()
    assert motion.inverse(found).isfinite().all()
    assert elliptic_gaussians(torch.zeros(1, 3, 2), flat[None], 5, 5).isfinite().all()


def test_covariance_is_the_heatmaps():
    torch.manual_seed(0)
    heatmap = motion.softmax_heatmap(torch.randn(2, 3, 5, 7), 0.5)
    grid, mean = motion.coordinate_grid(5, 7), motion.expected_position(heatmap)
    away = grid - mean[:, :, None, None]
    expected = (heatmap[..., None, None] * away[..., :, None] * away[..., None, :]).sum((2, 3))
    covar = expected_covariance(heatmap, mean)
    assert torch.allclose(covar, expected, atol=1e-6)
    ours, away = elliptic_gaussians(mean, covar, 5, 7), away[..., None]
    plain = torch.exp(-0.5 * (away.transpose(-1, -2) @ torch.linalg.inv(covar)[:, :, None, None] @ away))[..., 0, 0]
    assert torch.allclose(ours, plain, atol=1e-5)


# ---------------------------------------------------------------- configurations


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    with torch.device("meta"):
        animator = build("mraa", name)
    wide = name == "ted-youtube384"
    assert {part: parameters(module) for part, module in animator.named_children()} == {
        "region_predictor": 14_163_888 if wide else 14_146_728,
        "bg_predictor": 0 if name == "mgif256" else 6_282_438,
        "generator": 45_717_521 if wide else 45_575_391,
        "avd_network": 2_336_760 if wide else 2_290_620,
    }
    entries = {part: len(module.state_dict()) for part, module in animator.named_children()}
    background = 0 if name == "mgif256" else 37
    assert entries == {"generator": 196, "region_predictor": 73, "bg_predictor": background, "avd_network": 69}
    info = animator.info
    assert (info.config, info.size, info.multiple) == (name, int(name[-3:]), 128)
    assert (info.modes, info.mode) == (("absolute", "relative", "avd"), "avd")
    assert info.crop == ("face" if name == "vox256" else "whole")
    assert animator.region_predictor.regions.padding == ((3, 3) if name == "vox256" else (0, 0))
    assert info.domain
    assert "None is stated" in info.licence
    assert not animator.align_corners


def test_layouts_agree():
    """The published YAML's layout, the manifests' and our own sections give the same network."""
    yaml = case("mraa", "vox256").config
    assert MRAA.sections(yaml) == PUBLISHED["vox256"]
    assert MRAA.sections({**yaml, "train_params": {}, "reconstruction_params": {}}) == PUBLISHED["vox256"]
    assert MRAA.sections(json.loads(json.dumps(PUBLISHED["vox256"]))) == PUBLISHED["vox256"]
    assert MRAA.sections(yaml["model_params"]) == PUBLISHED["vox256"]
    with torch.device("meta"):
        sized = build("mraa", {**yaml, "dataset_params": {"frame_shape": [512, 512, 3]}})
    assert sized.info.size == 512


SMALL = {
    **case("mraa", "variant_regressed").config,
    "estimate_affine": True,
    "avd_network": {"id_bottle_size": 8, "pose_bottle_size": 12},
}


def changed(region_predictor=None, bg_predictor=None, generator=None, flow=None, **common):
    """A small configuration with measured regions and skips, as the published ones, and what differs."""
    config = copy.deepcopy(SMALL) | common
    config["region_predictor"] |= {"pca_based": True, **(region_predictor or {})}
    config["bg_predictor"] |= {"bg_type": "affine", **(bg_predictor or {})}
    config["generator"] |= {"skips": True, "revert_axis_swap": True, **(generator or {})}
    if flow:
        config["generator"]["pixelwise_flow_predictor_params"].update(flow)
    return config


def without(config, part):
    return {key: section for key, section in config.items() if key != part}


POINTS = {"pca_based": False, "estimate_affine": False}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("vox-256", "vox-256.*vox256"),
        ({}, "no network"),
        (7, "mapping"),
        (changed(num_kp=10), "num_kp"),
        (changed(num_regions=0), "num_regions.*whole"),
        (changed(bg_predictor={"bg_type": "rotation"}), "bg_type.*rotation.*zero, shift, affine, perspective"),
        (changed(region_predictor={"temperature": 0}), "temperature.*above 0"),
        (changed(region_predictor={"pca_based": 1}), "pca_based.*true or false"),
        (changed(flow={"blocks": 5}), "pixelwise_flow_predictor_params.*blocks"),
        (changed(flow={"scale_factor": 2}), "scale_factor"),
        (without(changed(), "generator"), "generator.*lacks"),
        (changed(region_predictor={"num_regions": 5}), "num_regions.*differs"),
        (without(changed(region_predictor=POINTS), "avd_network"), "use_covar_heatmap"),
        (changed(region_predictor=POINTS, flow={"use_covar_heatmap": False}), "avd_network"),
    ],
)
def test_wrong_configurations(config, words):
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        build("mraa", config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recognised(name):
    with torch.device("meta"):
        animator = build("mraa", name)
    parts = {part: module.state_dict() for part, module in animator.named_children()}
    expected = copy.deepcopy(animator.config)
    del expected["region_predictor"]["pad"]  # it leaves no trace
    assert MRAA.recognise(parts) == expected
    bare = {part: state for part, state in parts.items() if part not in MRAA.optional_parts}
    assert set(MRAA.recognise(bare)) == {"region_predictor", "generator"}
    assert MRAA.recognise({**parts, "generator": {}}) is None
    assert MRAA.recognise({"kp_detector": {}, "generator": parts["generator"]}) is None


@pytest.mark.parametrize("name", ["variant_regressed", "variant_points"])
def test_recognised_variants(name):
    """What leaves a trace is read off the file."""
    animator = build("mraa", case("mraa", name).config)
    found = MRAA.recognise({part: module.state_dict() for part, module in animator.named_children()})
    silent = {"estimate_affine", "pca_based", "pad", "skips", "revert_axis_swap", "use_covar_heatmap", "max_features"}

    def told(section):
        plain = {key: told(value) if isinstance(value, dict) else value for key, value in section.items()}
        return {key: value for key, value in plain.items() if key not in silent}

    assert told(found) == told(animator.config)
    if name == "variant_regressed":
        assert found["region_predictor"]["estimate_affine"]
        assert not found["region_predictor"]["pca_based"]


def state_dicts(animator):
    return {part: module.state_dict() for part, module in animator.named_children()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_known(tmp_path, name):
    """By shapes, and where those don't tell, by the file's name: `pad` depends on it."""
    with torch.device("meta"):
        parts = state_dicts(build("mraa", name))
    alike = name in ("vox256", "taichi256", "ted384")
    for file in (f"{name}.pth", "00000029-checkpoint.pth"):
        path = tmp_path / file
        found = MRAA.recognise(parts)
        known, note = zoo.name_of(MRAA, found, path)
        assert known == (name if file.startswith(name) or not alike else "vox256")
        assert ("vox256, taichi256, ted384" in note) == (alike and not file.startswith(name))


def test_saved_and_loaded_weights(tmp_path):
    """The authors' layout and our own give the same model back."""
    animator = small()
    picture, frames = pictures(48, 64, 0.0), pictures(48, 64, 0.3, 0.6)
    expected = animator.transfer(animator.encode(picture), animator.motion(frames))
    torch.save({**state_dicts(animator), "optimizer_avd": {"state": {}}, "epoch_avd": 29}, tmp_path / "x.pth")
    zoo.save(animator, tmp_path / "x.safetensors", half=False)
    for file in ("x.pth", "x.safetensors"):
        loaded = zoo.load(tmp_path / file)
        assert loaded.config["avd_network"] == animator.config["avd_network"]
        assert not loaded.align_corners
        moved = loaded.transfer(loaded.encode(picture), loaded.motion(frames))
        assert all(torch.equal(moved[key], expected[key]) for key in expected.tensors)
    bare = {part: state for part, state in state_dicts(animator).items() if part not in MRAA.optional_parts}
    torch.save(bare, tmp_path / "stage-1.pth")
    loaded = zoo.load(tmp_path / "stage-1.pth")
    assert (loaded.info.modes, loaded.info.mode) == (("absolute", "relative"), "relative")
    assert loaded.bg_predictor is None


# ---------------------------------------------------------------- what holds in any configuration

NO_AFFINE = without(
    changed(region_predictor=POINTS, flow={"use_covar_heatmap": False, "use_deformed_source": False}), "avd_network"
)
VARIANTS = {
    "": (changed(), {}),
    "aligned": (changed(), {"align_corners": True}),
    "regressed": (changed(region_predictor={"pca_based": False}, bg_predictor={"bg_type": "perspective"}), {}),
    "points": (NO_AFFINE, {}),
    "no skips": (changed(generator={"skips": False}, bg_predictor={"bg_type": "shift"}), {}),
    "no occlusion": (changed(flow={"estimate_occlusion_map": False}, bg_predictor={"bg_type": "zero"}), {}),
    "fixed Gaussians, no head padding": (changed(region_predictor={"pad": 0}, flow={"use_covar_heatmap": False}), {}),
    "signs as they come": (changed(generator={"revert_axis_swap": False}), {}),
    "no down blocks": (changed(generator={"num_down_blocks": 0, "num_bottleneck_blocks": 0}), {}),
    "full scale": (changed(region_predictor={"scale_factor": 1}, flow={"scale_factor": 0.25}), {}),
    "nothing moves": (changed(generator={"pixelwise_flow_predictor_params": None, "skips": False}), {}),
    "as the mini": (
        changed(generator={"resize_corners": True}, flow={"finer": 2}, bg_predictor={"bg_type": "zero"})
        | {"avd_network": {"width": 16}},
        {"align_corners": True},
    ),
    "RGBA, no background": (without(changed(num_channels=4), "bg_predictor"), {}),
}


@functools.lru_cache(maxsize=2)
def small(variant=""):
    """A small model with every tensor filled."""
    config, arguments = VARIANTS[variant]
    animator = build("mraa", config, **arguments).eval()
    gains = {"regions.weight": 0.6, "jacobian.weight": 2.0, "mask.weight": 3.0, "occlusion.weight": 3.0}
    gains |= {"fc.weight": 0.3, "decoder.9.weight": 0.3}
    return fill(animator, ("down.weight", "jacobian.bias", "fc.bias"), gains)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant(variant):
    """Cached = uncached, batch 1 = batch N, folded = unfolded, gradients everywhere."""
    animator = small(variant)
    channels = animator.info.channels
    picture = pictures(48, 64, 0.0, channels=channels)
    frames = pictures(48, 64, 0.3, 0.6, 0.9, channels=channels)
    source, driving = animator.encode(picture), animator.motion(frames)
    beside = animator.motion(frames, source=source)
    assert beside["background"].shape == (3, 3, 3)
    if variant in ("no occlusion", "RGBA, no background"):
        assert torch.equal(beside["background"], torch.eye(3).expand(3, 3, 3))
    for name in animator.linear:
        assert torch.equal(beside[name], driving[name])
    for moved in (animator.transfer(source, driving), animator.transfer(source, beside, mode="absolute")):
        rendered = animator.render(source, moved)
        assert rendered.shape == frames.shape
        assert rendered.dtype == torch.float32
        assert 0 <= rendered.min() <= rendered.max() <= 1
        rows = animator.encode(picture.expand(3, -1, -1, -1))
        assert (animator.render(rows, moved) - rendered).abs().max() < 1e-4
        one_by_one = torch.cat([animator.render(source, moved[i]) for i in range(3)])
        assert (one_by_one - rendered).abs().max() < 1e-4
    own = source.motion.tensors
    detailed = animator.generator(picture.expand(3, -1, -1, -1), moved.tensors, own, moved["background"])
    assert (detailed["prediction"] - rendered).abs().max() < 1e-4
    for name, tensor in driving.tensors.items():
        single = torch.cat([animator.motion(frames[i : i + 1])[name] for i in range(3)])
        assert (single - tensor).abs().max() < 1e-4

    folded = fold_norms(copy.deepcopy(animator))
    assert sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules()) == len(folded.generator.bottleneck)
    assert (folded.motion(frames)["shift"] - driving["shift"]).abs().max() < 1e-4
    assert (folded.render(folded.encode(picture), moved) - rendered).abs().max() < 1e-3

    if "nothing" in variant:
        return
    animator = copy.deepcopy(animator).train()
    with torch.enable_grad():
        found = animator.region_predictor(frames)
        first, second = ({name: tensor[i : i + 2] for name, tensor in found.items()} for i in (0, 1))
        background = animator.bg_predictor(frames[:2], frames[1:]) if animator.bg_predictor else None
        out = animator.generator(frames[:2], kp_driving=second, kp_source=first, background=background)
        total = out["prediction"].mean()
        if animator.avd_network:
            total = total + sum(tensor.mean() for tensor in animator.avd_network(first, second).values())
        total.backward()
    idle = [key for key, parameter in animator.named_parameters() if parameter.grad is None]
    assert [key for key in idle if variant != "no occlusion" or not key.startswith("generator.")] == []


def test_untrained_background_stands_still():
    frames = pictures(48, 64, 0.0, 0.5)
    for bg_type in ("zero", "shift", "affine", "perspective"):
        animator = build("mraa", changed(bg_predictor={"bg_type": bg_type})).eval()
        assert torch.allclose(animator.bg_predictor(frames, frames.flip(0)), torch.eye(3).expand(2, 3, 3))


def test_perspective_background():
    """The flow of a 3 x 3 matrix is the homogeneous map of the grid."""
    matrix = torch.tensor([[[1.1, 0.1, 0.2], [-0.1, 0.9, -0.3], [0.2, -0.1, 1.0]]])
    grid = motion.coordinate_grid(4, 5)
    mapped = torch.cat([grid, torch.ones(4, 5, 1)], dim=-1) @ matrix[0].T
    ours = motion.background_grid(matrix, 1, 4, 5, grid.device)
    assert ours.shape == (1, 1, 4, 5, 2)
    assert torch.allclose(ours[0, 0], mapped[..., :2] / mapped[..., 2:], atol=1e-5)
    assert torch.equal(motion.background_grid(None, 3, 4, 5, grid.device), grid.expand(3, 1, 4, 5, 2))


def test_sizes():
    animator = small()
    assert animator.info.multiple == 8
    assert animator.motion(pictures(32, 96, 0.2))["shift"].shape == (1, 4, 2)
    for height, width in ((64, 60), (49, 64), (1, 1), (0, 64)):
        with pytest.raises(InputError, match=f"{width} x {height}.*multiples of 8"):
            animator.encode(torch.zeros(1, 3, height, width))
    with pytest.raises(InputError, match="3 x height x width"):
        animator.motion(torch.zeros(2, 1, 64, 64))
    source = animator.encode(pictures(48, 64, 0.0))
    with pytest.raises(InputError, match="64 x 48, the frames are 96 x 32"):
        animator.motion(pictures(32, 96, 0.2), source=source)
    with pytest.raises(InputError, match="8 x 8.*at least 16"):
        small("fixed Gaussians, no head padding").encode(torch.zeros(1, 3, 8, 8))


# ---------------------------------------------------------------- transfer


@pytest.fixture
def scene():
    animator = small()
    source = animator.encode(pictures(48, 64, 0.0))
    return animator, source, animator.motion(pictures(48, 64, 0.3, 0.6, 0.9), source=source)


def test_strength(scene):
    animator, source, driving = scene
    own = source.motion
    for mode in ("absolute", "relative"):
        still = animator.transfer(source, driving, mode=mode, strength=0)
        published = animator.transfer(source, driving, mode=mode)
        nearly = animator.transfer(source, driving, mode=mode, strength=0.9999)
        for name in ("shift", "affine", "covar"):
            assert torch.allclose(still[name], own[name].expand_as(still[name]), atol=1e-5)
        assert torch.allclose(nearly["shift"], published["shift"], atol=1e-3)
        assert torch.allclose(nearly["covar"], published["covar"], atol=1e-3)
        assert torch.allclose(spread(nearly["affine"]), spread(published["affine"]), atol=2e-3)
        frames = [animator.render(source, moved) for moved in (nearly, published)]
        assert (frames[0] - frames[1]).abs().max() < 0.02
        double = animator.transfer(source, driving, mode=mode, strength=2)
        assert torch.allclose(double["shift"], 2 * published["shift"] - own["shift"], atol=1e-5)
        assert torch.linalg.eigvalsh(double["covar"]).min() > -1e-6
    absolute = animator.transfer(source, driving, mode="absolute")
    assert all(torch.equal(absolute[name], driving[name]) for name in driving.tensors)
    still = animator.transfer(source, driving, mode="absolute", strength=0)["background"]
    assert torch.equal(still, torch.eye(3).expand(3, 3, 3))
    with pytest.raises(ConfigError, match="avd.*0.5"):
        animator.transfer(source, driving, mode="avd", strength=0.5)
    calmed = animator.transfer(source, driving, strength=0.5)  # "auto" is avd, but for a strength that avd lacks
    assert torch.equal(calmed["shift"], animator.transfer(source, driving, mode="relative", strength=0.5)["shift"])


def test_relative(scene):
    """Starts at the source; the covariance stays the driver's; a smaller driver is scaled up."""
    animator, source, driving = scene
    relative = animator.transfer(source, driving, mode="relative")
    assert set(relative.tensors) == {"shift", "affine", "covar"}
    assert torch.allclose(relative[0]["shift"], source.motion["shift"], atol=1e-6)
    assert torch.allclose(relative[0]["affine"], source.motion["affine"], atol=1e-4)
    assert torch.equal(relative["covar"], driving["covar"])
    middle = animator.transfer(source, driving, reference=driving[1], mode="relative")[1]
    assert torch.allclose(middle["shift"], source.motion["shift"], atol=1e-6)
    reference = driving[0].replace(shift=source.motion["shift"] / 2)
    scaled, plain = (
        animator.transfer(source, driving, reference=reference, mode="relative", adapt_scale=adapt)["shift"]
        for adapt in (True, False)
    )
    own = source.motion["shift"]
    assert torch.allclose(scaled - own, 2 * (plain - own), atol=1e-5)


def test_flow_knows_no_overall_sign(scene):
    """Axes that point the other way are the same region (but not to AVD)."""
    animator, source, driving = scene
    flipped = driving.replace(affine=-driving["affine"])
    for mode, strength in (("absolute", 1), ("absolute", 0.5), ("relative", 1), ("relative", 0.5)):
        frames = [
            animator.render(
                source, animator.transfer(source, moved, reference=driving[:1], mode=mode, strength=strength)
            )
            for moved in (driving, flipped)
        ]
        assert (frames[0] - frames[1]).abs().max() < 1e-3


def test_modes(scene):
    animator, source, driving = scene
    avd = animator.transfer(source, driving)
    assert torch.equal(avd["shift"], animator.transfer(source, driving, mode="avd")["shift"])
    assert set(avd.tensors) == {"shift", "affine", "covar"}
    alone = torch.cat([animator.transfer(source, driving[i], mode="avd")["shift"] for i in range(3)])
    assert torch.allclose(avd["shift"], alone, atol=1e-5)
    rows = animator.encode(pictures(48, 64, 0.0).expand(3, -1, -1, -1))
    assert torch.allclose(animator.transfer(rows, driving)["affine"], avd["affine"], atol=1e-5)
    with pytest.raises(ConfigError, match="auto, absolute, relative, avd"):
        animator.transfer(source, driving, mode="standard")
    sources = animator.encode(pictures(48, 64, 0.0, 0.1))
    with pytest.raises(InputError, match="source has 2 rows, the motion 3"):
        animator.transfer(sources, driving)
    with pytest.raises(InputError, match="source has 2 rows, the motion 3"):
        animator.render(sources, driving)


def test_without_avd():
    animator, picture = small("points"), pictures(48, 64, 0.0)
    source, driving = animator.encode(picture), animator.motion(picture)
    assert animator.info.mode == "relative"
    assert set(animator.transfer(source, driving, strength=0.5).tensors) == {"shift"}
    with pytest.raises(ConfigError, match="no mode 'avd'.*auto, absolute, relative"):
        animator.transfer(source, driving, mode="avd")


def test_settle():
    """After smoothing what is linear, the rest belongs to it again."""
    for variant, linear in (("", ("shift", "covar")), ("regressed", ("shift", "affine")), ("points", ("shift",))):
        animator = small(variant)
        driving = animator.motion(pictures(48, 64, 0.3, 0.6, 0.9))
        assert animator.linear == linear
        settled = animator.settle(driving)
        assert all(torch.allclose(settled[name], driving[name], atol=1e-6) for name in driving.tensors)
        mean = {name: driving[name].mean(0, keepdim=True).expand_as(driving[name]) for name in linear}
        settled = animator.settle(driving.replace(**mean))
        if "affine" in settled.tensors:
            assert torch.allclose(spread(settled["affine"]), settled["covar"], atol=1e-6)
    assert tuple(MRAA.linear) == ("shift", "covar")


def test_distance(scene):
    animator, source, driving = scene
    shift = driving["shift"].clone()
    shift[1] = 0.5 * source.motion["shift"][0] + 0.1
    assert animator.distance(source, driving.replace(shift=shift)).argmin() == 1


def test_saved_and_loaded(scene, tmp_path):
    animator, source, driving = scene
    source.save(tmp_path / "source.safetensors")
    driving.save(tmp_path / "motion.safetensors")
    there, moved = Source.load(tmp_path / "source.safetensors"), Motion.load(tmp_path / "motion.safetensors")
    for mode in ("absolute", "avd"):
        expected = animator.render(source, animator.transfer(source, driving, mode=mode))
        assert torch.equal(animator.render(there, animator.transfer(there, moved, mode=mode)), expected)


def test_bfloat16_keeps_coordinates_in_float32(scene):
    """At half precision regions, flows and pictures are float32, and stay near."""
    animator, source, driving = scene
    absolute = animator.transfer(source, driving, mode="absolute")
    expected = animator.render(source, absolute)
    half = copy.deepcopy(animator).bfloat16()
    for part in animator.exact:
        half.get_submodule(part).float()
    there = half.encode(pictures(48, 64, 0.0))
    tensors = {name: tensor.bfloat16() if tensor.dim() == 4 else tensor for name, tensor in there.tensors.items()}
    rendered = half.render(dataclasses.replace(there, tensors=tensors), absolute)
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.03
    rounded = copy.deepcopy(animator).bfloat16()
    moved = rounded.motion(pictures(48, 64, 0.3), source=rounded.encode(pictures(48, 64, 0.0)))
    assert {tensor.dtype for tensor in moved.tensors.values()} == {torch.float32}
    assert {tensor.dtype for tensor in rounded.transfer(source, moved).tensors.values()} == {torch.float32}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        there = animator.encode(pictures(48, 64, 0.0))
        rendered = animator.render(there, absolute)
        axes = principal_axes(driving["covar"])
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.03
    assert torch.equal(axes, driving["affine"])

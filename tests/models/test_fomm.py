"""FOMM against the numbers of its published implementation, and what must hold in any configuration."""

import contextlib
import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden_case import case, pictures
from toolkit.errors import ConfigError, InputError
from toolkit.models import build, motion
from toolkit.models.discriminator import _convolution
from toolkit.models.fomm import PUBLISHED
from toolkit.models.layers import AntiAlias, Hourglass, ImagePyramid, antialias_kernel, fold_norms
from toolkit.training.pairs import random_pairs

SMALL = {
    "kp_detector": {
        "num_kp": 4,
        "num_channels": 3,
        "estimate_jacobian": True,
        "temperature": 0.1,
        "block_expansion": 8,
        "max_features": 32,
        "scale_factor": 0.25,
        "num_blocks": 2,
    },
    "generator": {
        "num_kp": 4,
        "num_channels": 3,
        "estimate_jacobian": True,
        "block_expansion": 8,
        "max_features": 24,
        "num_down_blocks": 2,
        "num_bottleneck_blocks": 2,
        "estimate_occlusion_map": True,
        "dense_motion_params": {"block_expansion": 8, "max_features": 32, "num_blocks": 2, "scale_factor": 0.25},
    },
}


def small(kp_detector=None, generator=None, dense=None, **arguments):
    """A small model with every norm, bias and kernel away from its initial value."""
    config = copy.deepcopy(SMALL)
    config["kp_detector"].update(kp_detector or {})
    config["generator"].update(generator or {})
    if dense:
        config["generator"]["dense_motion_params"].update(dense)
    torch.manual_seed(0)
    animator = build("fomm", config, **arguments).eval()
    for key, tensor in animator.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif key.endswith("kp.weight"):
            tensor.mul_(10)
        elif not key.endswith(("down.weight", "num_batches_tracked")):
            tensor.add_(0.05 * torch.randn_like(tensor))
    return animator


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


# ---------------------------------------------------------------- golden: the whole model

WHOLE = ("vox-256", "vox-256-aligned")


@functools.lru_cache(maxsize=1)
def filled():
    """vox-256 with the weights that both cases share."""
    golden = case("fomm", "vox-256")
    animator = build("fomm", golden.config)
    for name in golden.modules:
        golden.fill(name, getattr(animator, name))
    return animator


@contextlib.contextmanager
def tapped(**parts):
    """What goes into and comes out of modules meanwhile, {name: (input, output)}."""
    seen = {}
    handles = [
        part.register_forward_hook(lambda _, given, output, name=name: seen.update({name: (given[0], output)}))
        for name, part in parts.items()
    ]
    yield seen
    for handle in handles:
        handle.remove()


@functools.lru_cache(maxsize=2)
@torch.no_grad()
def whole(name):
    """All outputs of a vox-256 case, by key: through the four steps, and per stage what they don't show."""
    golden = case("fomm", name)
    if name == "vox-256":
        animator = filled()
    else:
        animator = build("fomm", golden.config, align_corners=golden.grid_sample_align_corners)
        animator.load_state_dict(filled().state_dict())
    animator.eval().to(memory_format=torch.channels_last)  # several times as fast on a CPU
    detector, generator = animator.kp_detector, animator.generator
    picture, frames = pictures(256, 256, 0.0), pictures(256, 256, *golden.inputs["driving"]["phases"])

    source, driving = animator.encode(picture), animator.motion(frames)
    absolute = animator.transfer(source, driving, mode="absolute")
    relative = animator.transfer(source, driving, reference=driving[:1], mode="relative", adapt_scale=False)
    adapted = animator.transfer(source, driving)
    moved = generator.move(source.tensors, absolute.tensors, source.motion.tensors)
    initial = driving[:1]["value"]
    scale = motion.movement_scale(source.motion["value"], initial)
    out = {
        "kp_source_value": source.motion["value"],
        "kp_source_jacobian": source.motion["jacobian"],
        "kp_driving_value": driving["value"],
        "kp_driving_jacobian": driving["jacobian"],
        "abs_prediction": animator.render(source, absolute),
        "abs_deformed": generator.deform(picture, moved),
        **{f"abs_{key}": tensor for key, tensor in moved.items()},
        "rel_kp_value": relative["value"],
        "rel_kp_jacobian": relative["jacobian"],
        "rel_prediction": animator.render(source, relative),
        "reladapt_kp_value": adapted["value"],
        "reladapt_kp_jacobian": adapted["jacobian"],
        "reladapt_prediction": animator.render(source, adapted),
        "adapt_scale": torch.cat([scale, motion.hull_area(source.motion["value"]), motion.hull_area(initial)]),
    }
    if name == "vox-256":
        for what, rows in (("source", picture), ("driving", frames)):
            logits = detector.kp(detector.predictor(detector.down(rows)))
            out[f"kp_{what}_heatmap"] = motion.softmax_heatmap(logits, detector.temperature)
        out["kp_source_down"] = detector.down(picture)
        out["kp_source_feature"] = detector.predictor(detector.down(picture))
        out["frame2_gen_first"] = generator.first(picture)
        parts = {"hourglass": generator.dense_motion_network.hourglass, "bottleneck": generator.bottleneck}
        with tapped(**parts) as seen:  # the published whole, uncached, on one frame
            whole = generator(picture, kp_driving=absolute[2].tensors, kp_source=source.motion.tensors)
        out["frame2_hourglass_input"], out["frame2_hourglass_output"] = seen["hourglass"]
        out["frame2_gen_warped_masked"], out["frame2_gen_bottleneck"] = seen["bottleneck"]
        for key, tensor in whole.items():
            assert (tensor - out[f"abs_{key}"][2:3]).abs().max() < 1e-4, key
    return out


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in WHOLE for key in case("fomm", name).expected])
def test_golden(name, key):
    case("fomm", name).check(key, whole(name)[key])


# ---------------------------------------------------------------- golden: the discriminator


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def discriminated():
    golden = case("fomm", "vox-adv-256-discriminator")
    discriminator = golden.fill("discriminator", build("fomm", golden.config).discriminator)
    pyramid = ImagePyramid(golden.config["discriminator"]["scales"])
    out = {}
    for what in ("generated", "real"):
        picture = pictures(256, 256, golden.inputs[what]["phase"])
        seen = discriminator(pyramid(picture), kp={"value": golden["kp_value"]})
        out[f"{what}_map_1"] = seen["prediction_map_1"]
        out |= {f"{what}_feature{i}_1": feature for i, feature in enumerate(seen["feature_maps_1"])}
    return out


LOSSES = {"loss_gen_gan", "loss_feature_matching", "loss_disc_gan"}  # tests/training checks them
DISCRIMINATOR = [key for key in case("fomm", "vox-adv-256-discriminator").expected if key not in LOSSES]


@pytest.mark.parametrize("key", DISCRIMINATOR)
def test_golden_discriminator(key):
    case("fomm", "vox-adv-256-discriminator").check(key, discriminated()[key])


# ---------------------------------------------------------------- golden: the arithmetic

OTHERS = {  # tests/training checks them
    "eq_value_loss",
    "eq_jacobian_loss",
    "loss_gen_gan",
    "loss_disc_gan",
    "loss_feature",
    *(f"vgg_{i}" for i in range(1, 6)),
}
MATHS = [key for key in case("fomm", "vox-256-maths").expected if key not in OTHERS]


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def arithmetic():
    golden = case("fomm", "vox-256-maths")
    out = {}

    transform = motion.RandomTransform(golden["tps_theta"], golden["tps_control_params"])
    points = golden["tps_points"]
    frames = pictures(64, 80, 0.0, 0.7)
    out["tps_grid"] = transform.grid(24, 32)
    out["tps_points_warped"] = transform.warp_coordinates(points)
    out["tps_jacobian"] = transform.jacobian(points)
    out["tps_frame"] = transform.transform_frame(frames, align_corners=False)
    out["tps_frame_aligned"] = transform.transform_frame(frames, align_corners=True)
    out["affine_points_warped"] = motion.RandomTransform(golden["tps_theta"]).warp_coordinates(points)

    for scale, name in ((0.5, "0-5"), (0.25, "0-25"), (0.125, "0-125")):
        out[f"antialias_{name}_kernel"] = antialias_kernel(scale)
        out[f"antialias_{name}"] = AntiAlias(3, scale)(pictures(96, 128, 0.4))
        out[f"pyramid_{name}"] = ImagePyramid([1, scale])(pictures(64, 80, 0.5))[f"prediction_{scale}"]
    out["antialias_odd_0-25"] = AntiAlias(3, 0.25)(pictures(61, 83, 0.4))

    heatmap, maps = golden["kp_heatmap"], golden["kp_jacobian_map"]
    out["kp_from_heatmap"] = motion.expected_position(heatmap)
    out["kp_jacobian"] = motion.expected_matrix(heatmap, maps)
    out["kp_jacobian_single"] = motion.expected_matrix(heatmap, maps[:, :4])
    out["gauss_map"] = motion.gaussians(golden["gauss_kp"], 16, 24, golden.config["kp_variance"])

    hourglass = golden.fill("hourglass", Hourglass(**golden.config["hourglass"]))
    frames = pictures(32, 48, 0.2, 1.0)
    out["hourglass_eval"] = hourglass(frames)
    out["hourglass_train"] = hourglass.train()(frames)
    norm = hourglass.encoder.down_blocks[0].norm
    out["hourglass_running_mean"], out["hourglass_running_var"] = norm.running_mean, norm.running_var

    source, initial, driving = (
        {name: golden[f"norm_{what}_{name}"] for name in ("value", "jacobian")}
        for what in ("source", "initial", "driving")
    )
    for name, adapt, relative, jacobian in (
        ("abs", False, False, False),
        ("abs_adapt", True, False, False),
        ("move", False, True, False),
        ("move_jac", False, True, True),
        ("adapt_move_jac", True, True, True),
        ("jac_only", False, False, True),
    ):
        moved = motion.transfer_keypoints(
            source, driving, initial, adapt_scale=adapt, relative_movement=relative, relative_jacobian=jacobian
        )
        out |= {f"norm_out_{name}_{what}": tensor for what, tensor in moved.items()}

    conv = _convolution(3, 6, 4, spectral=True)
    state = {name: golden[f"sn_{name}"] for name in ("bias", "weight_orig", "weight_u", "weight_v")}
    assert list(conv.state_dict()) == list(state)
    conv.load_state_dict(state)
    picture = pictures(12, 14, 0.1)
    out["sn_eval"] = conv.eval()(picture)
    out["sn_train"] = conv.train()(picture)
    out["sn_train_u"], out["sn_train_v"] = conv.weight_u, conv.weight_v
    return out


@pytest.mark.parametrize("key", MATHS)
def test_golden_arithmetic(key):
    case("fomm", "vox-256-maths").check(key, arithmetic()[key])


def test_random_transform_jacobian_is_the_derivative():
    golden = case("fomm", "vox-256-maths")
    transform = motion.RandomTransform(golden["tps_theta"], golden["tps_control_params"])
    points = golden["tps_points"].clone().requires_grad_()
    with torch.enable_grad():
        warped = transform.warp_coordinates(points)
        rows = [torch.autograd.grad(warped[..., i].sum(), points, retain_graph=True)[0] for i in (0, 1)]
    assert torch.allclose(transform.jacobian(points), torch.stack(rows, dim=-2), atol=1e-6)


def test_random_transform_is_seeded():
    first, again = (motion.RandomTransform.sample(3, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.theta, again.theta)
    assert torch.equal(first.control, again.control)
    assert motion.RandomTransform.sample(2, sigma_tps=None).control is None


# ---------------------------------------------------------------- golden: the tools


def test_golden_best_frame():
    golden = case("fomm", "tools")
    distances = motion.shape_distance(golden["best_source"][None], golden["best_driving"])
    assert np.allclose(distances, golden.best_frame["distances"], rtol=1e-6)
    assert distances.argmin() == golden.best_frame["index"]


@pytest.mark.parametrize("wanted", case("fomm", "tools").pairs, ids=lambda wanted: f"{wanted['videos']} videos")
def test_golden_pairs(wanted):
    assert [list(pair) for pair in random_pairs(wanted["videos"], wanted["num_pairs"])] == wanted[
        "pairs_driving_source"
    ]


# ---------------------------------------------------------------- configurations


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters(name):
    with torch.device("meta"):
        animator = build("fomm", name)
        discriminator = animator.discriminator
    assert _parameters(animator.generator) == 45_575_391
    assert _parameters(animator.kp_detector) == (14_153_592 if name == "mgif-256" else 14_215_368)
    assert _parameters(discriminator) == (2_769_089 if "adv" in name else 2_758_849)
    spectral = any(key.endswith("weight_orig") for key in discriminator.state_dict())
    assert spectral == (name.split("-")[0] in ("vox", "nemo", "mgif", "bair") and "adv" not in name)
    assert animator.info.config == name
    assert animator.info.size == 256
    assert animator.info.multiple == 128
    assert "NC" in animator.info.licence


def _parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_layouts_agree():
    """The sections, the manifests' "model" and the YAML layout give the same network."""
    model = {
        "common_params": {"num_kp": 4, "num_channels": 3, "estimate_jacobian": True},
        **{f"{part}_params": {k: v for k, v in SMALL[part].items() if k != "num_kp"} for part in SMALL},
        "discriminator_params": {"scales": [1, 0.5], "block_expansion": 4, "use_kp": True},
    }
    layouts = [{"model": model, "train": {}}, {"model_params": model, "train_params": {}, "dataset_params": {}}]
    for layout in layouts:
        animator = build("fomm", layout)
        assert animator.config["generator"] == build("fomm", SMALL).config["generator"]
        assert animator.config["kp_detector"] == build("fomm", SMALL).config["kp_detector"]
        assert sorted({key.split(".")[1] for key in animator.discriminator.state_dict()}) == ["0-5", "1"]
        assert not any(key.startswith("discriminator") for key in animator.state_dict())
    sized = {**layouts[1], "dataset_params": {"frame_shape": [128, 128, 3]}}
    assert build("fomm", sized).info.size == 128


def test_golden_train_config_builds():
    shape = {"model": {"common_params": {"num_kp": 4}, "kp_detector_params": SMALL["kp_detector"]}, "train": {"x": 1}}
    assert build("fomm", shape).kp_detector is not None
    with pytest.raises(ConfigError, match="lacks the detector or the generator"):
        build("fomm", shape).encode(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("vox-512", "vox-512.*vox-256"),
        ({}, "no network"),
        ([1], "mapping"),
        ({"kp_detector": SMALL["kp_detector"], "keypoints": {}}, "keypoints"),
        ({"kp_detector": {**SMALL["kp_detector"], "num_pk": 3}}, "num_pk.*num_kp"),
        ({"kp_detector": {**SMALL["kp_detector"], "num_kp": "ten"}}, "kp_detector.num_kp.*'ten'"),
        ({"kp_detector": {**SMALL["kp_detector"], "num_kp": 2.5}}, "kp_detector.num_kp.*whole"),
        ({"kp_detector": {**SMALL["kp_detector"], "num_kp": 0}}, "kp_detector.num_kp.*whole"),
        ({"kp_detector": {**SMALL["kp_detector"], "estimate_jacobian": 1}}, "estimate_jacobian.*true or false"),
        ({"kp_detector": {**SMALL["kp_detector"], "scale_factor": 2}}, "scale_factor"),
        ({"kp_detector": {**SMALL["kp_detector"], "temperature": -1}}, "temperature"),
        ({"kp_detector": {"num_kp": 4}}, "lacks 'block_expansion'"),
        ({"kp_detector": 7}, "kp_detector"),
        ({"generator": {**SMALL["generator"], "dense_motion_params": {"blocks": 1}}}, "dense_motion_params.*blocks"),
        ({**SMALL, "generator": {**SMALL["generator"], "num_kp": 5}}, "num_kp.*differs"),
        ({"model": {"kp_params": {}}}, "kp_params"),
        ({"model_params": 3}, "model_params"),
        ({"discriminator": {"scales": []}}, "discriminator.scales"),
    ],
)
def test_wrong_configurations(config, words):
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        build("fomm", config)


def test_unknown_family():
    with pytest.raises(ConfigError, match="Did you mean 'fomm'"):
        build("fom", "vox-256")


# ---------------------------------------------------------------- what holds in any configuration

VARIANTS = {
    "plain": {},
    "aligned": {"align_corners": True},
    "one jacobian map": {"kp_detector": {"single_jacobian_map": True}},
    "no jacobians": {"kp_detector": {"estimate_jacobian": False}},
    "no occlusion": {"generator": {"estimate_occlusion_map": False}},
    "padded head": {"kp_detector": {"pad": 3}},
    "no down-sampling": {"kp_detector": {"scale_factor": 1}, "dense": {"scale_factor": 1}},
    "no down blocks": {"generator": {"num_down_blocks": 0, "num_bottleneck_blocks": 0}},
    "one block, odd scale": {"kp_detector": {"num_blocks": 1}, "dense": {"num_blocks": 1, "scale_factor": 0.5}},
    "auto-encoder": {"generator": {"dense_motion_params": None}},
    "RGBA": {"kp_detector": {"num_channels": 4}, "generator": {"num_channels": 4}},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_variant(variant):
    """Cached = uncached, batch 1 = batch N, folded = unfolded, gradients everywhere."""
    animator = small(**variant)
    channels = animator.info.channels
    picture = pictures(64, 80, 0.0, channels=channels)
    frames = pictures(64, 80, 0.3, 0.6, 0.9, channels=channels)
    source, driving = animator.encode(picture), animator.motion(frames)
    moved = animator.transfer(source, driving)
    rendered = animator.render(source, moved)
    assert rendered.shape == frames.shape
    assert rendered.dtype == torch.float32
    assert 0 <= rendered.min() <= rendered.max() <= 1

    rows = animator.encode(picture.expand(3, -1, -1, -1))
    detailed = animator.generator(picture.expand(3, -1, -1, -1), moved.tensors, rows.motion.tensors)
    assert (detailed["prediction"] - rendered).abs().max() < 1e-5
    assert (animator.render(rows, moved) - rendered).abs().max() < 1e-5
    one_by_one = torch.cat([animator.render(source, moved[i]) for i in range(3)])
    assert (one_by_one - rendered).abs().max() < 1e-5
    single = torch.cat([animator.motion(frames[i : i + 1])["value"] for i in range(3)])
    assert (single - driving["value"]).abs().max() < 1e-5
    sections = animator.config["generator"]
    moving = sections["dense_motion_params"] is not None
    assert ("occlusion_map" in detailed) == (moving and sections["estimate_occlusion_map"])
    assert ("deformed" in detailed) == moving

    folded = fold_norms(copy.deepcopy(animator))
    assert sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules()) == len(folded.generator.bottleneck)
    there = folded.encode(picture)
    assert (folded.motion(frames)["value"] - driving["value"]).abs().max() < 1e-4
    assert (folded.render(there, moved) - rendered).abs().max() < 1e-4

    animator.train()
    with torch.enable_grad():
        kp_source, kp_driving = animator.kp_detector(frames[:1]), animator.kp_detector(frames[1:2])
        animator.generator(frames[:1], kp_driving=kp_driving, kp_source=kp_source)["prediction"].mean().backward()
    for key, parameter in animator.named_parameters():
        assert parameter.grad is not None or not moving, key


def test_sizes():
    """Any size whose small map fits the hourglasses; the prediction is cut to what the generator's blocks give."""
    animator = small()
    assert animator.info.multiple == 16
    for height, width, out in ((61, 96, (60, 96)), (62, 125, (60, 124)), (64, 32, (64, 32))):
        picture = pictures(height, width, 0.0)
        source = animator.encode(picture)
        motion_ = animator.motion(pictures(height, width, 0.5))
        rendered = animator.render(source, animator.transfer(source, motion_, mode="absolute"))
        assert rendered.shape == (1, 3, *out)
        detailed = animator.generator(picture, motion_.tensors, source.motion.tensors)
        assert detailed["deformed"].shape == picture.shape
        assert (detailed["prediction"] - rendered).abs().max() < 1e-5
    for height, width in ((64, 60), (1, 1), (66, 64), (16, 64)):
        with pytest.raises(InputError, match=f"{width} x {height}.*multiples of 16, at least 25"):
            animator.encode(torch.zeros(1, 3, height, width))
    with pytest.raises(InputError, match="3 x height x width"):
        animator.motion(torch.zeros(2, 1, 64, 64))
    with pytest.raises(InputError, match="3 x 64 x 64"):
        animator.motion(torch.zeros(3, 64, 64))


def test_published_size_that_is_no_multiple():
    """254 x 381 -> 252 x 380, through the real network's sizes."""
    animator = filled()
    source = animator.encode(pictures(254, 381, 0.0))
    moved = animator.transfer(source, animator.motion(pictures(254, 381, 0.3)), mode="absolute")
    assert animator.render(source, moved).shape == (1, 3, 252, 380)


def test_another_resolution_loads_the_same_weights():
    """Twice the size at half the scale: the kernel of `down` is derived, so the state dict loads all the same."""
    animator = small()
    large = small(kp_detector={"scale_factor": 0.125}, dense={"scale_factor": 0.125})
    state = animator.state_dict()
    assert large.load_state_dict(state).missing_keys == []
    assert large.kp_detector.down.weight.shape[-1] == 29
    assert large.info.multiple == 32
    large.load_state_dict({key: tensor for key, tensor in state.items() if not key.endswith("down.weight")})
    coarse, fine = animator.motion(pictures(64, 64, 0.4))["value"], large.motion(pictures(128, 128, 0.4))["value"]
    assert (coarse - fine).abs().max() < 0.1


# ---------------------------------------------------------------- transfer


@pytest.fixture
def scene():
    animator = small()
    source = animator.encode(pictures(64, 64, 0.0))
    return animator, source, animator.motion(pictures(64, 64, 0.3, 0.6, 0.9))


def test_strength(scene):
    animator, source, driving = scene
    own = source.motion
    for mode in ("absolute", "relative"):
        still = animator.transfer(source, driving, mode=mode, strength=0)
        published = animator.transfer(source, driving, mode=mode, strength=1)
        assert torch.equal(published["value"], animator.transfer(source, driving, mode=mode)["value"])
        double = animator.transfer(source, driving, mode=mode, strength=2)
        for name in ("value", "jacobian"):
            assert torch.allclose(still[name], own[name].expand_as(still[name]), atol=1e-6)
            assert torch.allclose(double[name], 2 * published[name] - own[name], atol=1e-5)
    assert torch.equal(animator.transfer(source, driving, mode="absolute")["value"], driving["value"])


def test_relative_starts_at_the_source(scene):
    animator, source, driving = scene
    first = animator.transfer(source, driving)[0]
    assert torch.allclose(first["value"], source.motion["value"], atol=1e-6)
    assert torch.allclose(first["jacobian"], source.motion["jacobian"], atol=1e-6)
    middle = animator.transfer(source, driving, reference=driving[1])[1]
    assert torch.allclose(middle["value"], source.motion["value"], atol=1e-6)


def test_adapt_scale(scene):
    """A driver half as large: the movement is doubled; points on a line have no size, so nothing is."""
    animator, source, driving = scene
    reference = driving[0].replace(value=source.motion["value"] / 2)
    shift = animator.transfer(source, driving, reference=reference)["value"] - source.motion["value"]
    plain = animator.transfer(source, driving, reference=reference, adapt_scale=False)["value"] - source.motion["value"]
    assert torch.allclose(shift, 2 * plain, atol=1e-5)
    flat = driving[0].replace(value=torch.linspace(0, 1, 4)[None, :, None].expand(1, 4, 2))
    same = animator.transfer(source, driving, reference=flat)["value"]
    assert torch.equal(same, animator.transfer(source, driving, reference=flat, adapt_scale=False)["value"])


def test_rows_are_independent(scene):
    animator, _, driving = scene
    sources = animator.encode(pictures(64, 64, 0.0, 0.1, 0.2))
    together = animator.transfer(sources, driving, reference=driving)
    for i in range(3):
        alone = animator.transfer(animator.encode(pictures(64, 64, 0.1 * i)), driving[i], reference=driving[i])
        assert torch.allclose(together["value"][i : i + 1], alone["value"], atol=1e-5)
    with pytest.raises(InputError, match="source has 3 rows, the motion 2"):
        animator.transfer(sources, driving[:2])
    with pytest.raises(InputError, match="source has 3 rows, the motion 2"):
        animator.render(sources, driving[:2])


def test_modes(scene):
    animator, source, driving = scene
    assert torch.equal(
        animator.transfer(source, driving)["value"], animator.transfer(source, driving, mode="relative")["value"]
    )
    with pytest.raises(ConfigError, match="absolute, relative"):
        animator.transfer(source, driving, mode="avd")


def test_distance_finds_the_nearest_pose(scene):
    animator, source, driving = scene
    moved = driving.replace(
        value=torch.stack([driving["value"][0], 0.5 * source.motion["value"][0] + 0.1, driving["value"][2]])
    )
    distances = animator.distance(source, moved)
    assert distances.shape == (3,)
    assert distances.argmin() == 1
    assert distances[1] < 1e-10


def test_bfloat16_keeps_coordinates_in_float32(scene):
    """At half precision keypoints and pictures stay near: softmax, grids and flow are float32."""
    animator, source, driving = scene
    expected = animator.render(source, animator.transfer(source, driving))
    half = copy.deepcopy(animator).bfloat16()
    there, moved = half.encode(pictures(64, 64, 0.0)), half.motion(pictures(64, 64, 0.3, 0.6, 0.9))
    assert moved["value"].dtype == moved["jacobian"].dtype == torch.float32
    rendered = half.render(there, half.transfer(there, moved))
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.02
    with torch.autocast("cpu", dtype=torch.bfloat16):
        there, moved = animator.encode(pictures(64, 64, 0.0)), animator.motion(pictures(64, 64, 0.3, 0.6, 0.9))
        rendered = animator.render(there, animator.transfer(there, moved))
    assert moved["value"].dtype == rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.02


def test_nothing_is_left_on_another_device():
    """Every tensor that the networks make is made where their inputs are (seen on the device that computes nothing)."""
    animator = small().to("meta")
    picture = torch.rand(2, 3, 64, 64, device="meta")
    source, driving = animator.encode(picture), animator.motion(picture)
    assert animator.render(source, driving).device.type == "meta"
    assert animator.generator(picture, driving.tensors, source.motion.tensors)["deformed"].device.type == "meta"


# ---------------------------------------------------------------- arithmetic


def test_two_by_two():
    torch.manual_seed(0)
    a, b, point = torch.randn(5, 2, 2), torch.randn(5, 2, 2), torch.randn(5, 2)
    assert torch.allclose(motion.inverse(a), torch.linalg.inv(a), rtol=1e-4, atol=1e-5)
    assert torch.allclose(motion.product(a, b), a @ b, atol=1e-6)
    assert torch.allclose(motion.apply(a, point), (a @ point[..., None])[..., 0], atol=1e-6)
    grid = motion.coordinate_grid(4, 6)
    assert grid[0, 0].tolist() == [-1, -1]
    assert grid[0, -1].tolist() == [1, -1]
    assert torch.allclose(motion.affine_grid(a, point, 4, 6)[2], motion.apply(a[2], grid) + point[2], atol=1e-6)
    picture = torch.rand(2, 3, 4, 6)
    assert torch.allclose(motion.warp(picture, grid.expand(2, -1, -1, -1), align_corners=True), picture, atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_warp_is_grid_sample(align_corners, rows):
    """Also for many channels, beyond the border, and where the flow is no number."""
    torch.manual_seed(0)
    picture, flow = torch.rand(rows, 24, 7, 9), 1.5 * torch.randn(3, 5, 6, 2)
    ours = motion.warp(picture, flow, align_corners)
    theirs = torch.nn.functional.grid_sample(picture.expand(3, -1, -1, -1), flow, align_corners=align_corners)
    assert torch.allclose(ours, theirs, atol=1e-5)
    flow[0, 0, 0, 0], flow[0, 0, 1, 1] = torch.nan, torch.inf
    assert motion.warp(picture, flow, align_corners).isfinite().all()


def test_hull_area():
    square = torch.tensor([[0.0, 0], [2, 0], [2, 2], [0, 2], [1, 1], [1, 0], [0, 0]])
    line = torch.arange(7.0)[:, None].expand(7, 2)
    assert motion.hull_area(torch.stack([square, square.flip(0), line, 0 * square])).tolist() == [4, 4, 0, 0]
    assert motion.hull_area(square[None, :2]).tolist() == [0]
    scale = motion.movement_scale(torch.stack([square, square]), torch.stack([square / 3, line]))
    assert torch.allclose(scale, torch.tensor([3.0, 1], dtype=torch.float64))
    spatial = pytest.importorskip("scipy.spatial")
    cloud = np.random.RandomState(0).standard_normal((20, 68, 2))
    theirs = [spatial.ConvexHull(points).volume for points in cloud]
    assert np.allclose(motion.hull_area(torch.from_numpy(cloud)), theirs)


# ---------------------------------------------------------------- borders finer than the hourglass (our minis)


@pytest.mark.parametrize("jacobian", [True, False])
def test_finer_masks_mix_the_same_motions(jacobian):
    """Scores are brought to the finer size before one motion wins; the flow is the mixture of motions there."""
    sections = {"estimate_jacobian": jacobian}
    model = small(sections, sections, dense={"finer": 2})
    source, frame = pictures(64, 64, 0.0), pictures(64, 64, 0.7)
    encoded, kp = model.generator.encode(source), [model.kp_detector(x) for x in (source, frame)]
    out = model.generator.move(encoded, kp[1], kp[0])
    assert out["mask"].shape[2:] == out["occlusion_map"].shape[2:] == (32, 32)
    assert out["sparse_deformed"].shape[-2:] == (16, 16)
    motions = model.generator.flow.motions(kp[1], kp[0], 32, 32)
    assert torch.allclose(out["deformation"], (out["mask"][..., None] * motions).sum(1), atol=1e-5)
    model.generator.flow.finer = 1
    coarse = model.generator.move(encoded, kp[1], kp[0])["mask"].log()
    blended = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear", align_corners=True)
    assert torch.allclose(out["mask"], blended.softmax(1), atol=1e-5)  # sharper than masks made larger


# ---------------------------------------------------------------- a decoder that knows where the driver's keypoints are


GUIDED = {"skips": True, "guided": True, "estimate_occlusion_map": True}


def test_a_guided_decoder_sees_what_is_hidden_and_where_keypoints_are():
    model = small(generator=GUIDED)
    source, frames = pictures(64, 64, 0.0), torch.cat([pictures(64, 64, phase) for phase in (0.4, 0.9)])
    generator = model.generator
    encoded, own, driving = generator.encode(source), model.kp_detector(source), model.kp_detector(frames)
    moved = generator.move(encoded, driving, own)
    painted, stays = generator.paint(encoded, generator.deformation(moved))
    hidden = {**moved, "occlusion_map": torch.zeros_like(moved["occlusion_map"])}
    assert torch.equal(generator.paint(encoded, generator.deformation(hidden))[0], painted)  # seen though it is hidden
    warped = generator.deform(source.expand(2, -1, -1, -1), moved)
    assert torch.allclose(generator.decode(encoded, moved), torch.lerp(painted, warped, stays), atol=1e-6)
    assert (generator.paint(encoded, generator.deformation(hidden))[1] < stays).all()
    elsewhere = generator.deformation({**moved, "points": moved["points"] + 0.2})
    assert (generator.paint(encoded, elsewhere)[0] - painted).abs().max() > 1e-3
    one = generator.decode(encoded, generator.move(encoded, {k: v[1:] for k, v in driving.items()}, own))
    assert torch.allclose(one, generator.decode(encoded, moved)[1:], atol=1e-5)  # a batch of one


def test_a_guided_generator_needs_skips():
    with pytest.raises(ConfigError, match="needs skips"):
        small(generator=GUIDED | {"skips": False})
    with pytest.raises(ConfigError, match="estimates occlusion"):
        small(generator=GUIDED | {"estimate_occlusion_map": False})
    assert not any("guides" in key for key in build("fomm", "vox-256").state_dict())

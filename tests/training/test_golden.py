"""A training step of MRAA and of TPSMM, the published grids and the colour jitter against the published numbers."""

import functools

import numpy as np
import pytest
import torch

from tests.golden.fill import values
from tests.golden_case import case, pictures
from toolkit.models.discriminator import MultiScaleDiscriminator
from toolkit.models.motion import RandomTransform
from toolkit.training import Recipe
from toolkit.training import losses as loss
from toolkit.training.augment import jittered
from toolkit.training.data import Batch, View
from toolkit.training.loop import make_task
from toolkit.training.sheets import reenactment
from toolkit.training.vgg import VGG19

TERMS = {
    "mraa": ("perceptual", "equivariance_shift", "equivariance_affine"),
    "tpsmm": ("perceptual", "equivariance_value", "warp_loss", "bg"),
}


def task_of(family, model, **stage):
    """(task, stage) with all weights 10, the weights filled, the perceptual network of the case."""
    weights = dict.fromkeys(TERMS[family], 10.0)
    stage = {
        "name": "whole",
        "steps": 100,
        "epochs": 100,
        "train": [{"mraa": "region_predictor"}.get(family, "kp_detector")],
        "weights": weights,
        **stage,
    }
    recipe = Recipe.load({"name": "golden", "task": family, "model": model, "stages": [stage], "channels_last": False})
    return make_task(recipe, torch.device("cpu")), recipe.stages[0]


def frames(source, driving, progress=0.0):
    source, driving = View(source), View(driving)
    return Batch(source, driving, source, driving, torch.zeros(len(source), dtype=torch.bool), progress)


def recorded(task, name):
    """What a method of the task returns, call by call."""
    method, seen = getattr(task, name), []
    setattr(task, name, lambda *arguments, **more: seen.append(method(*arguments, **more)) or seen[-1])
    return seen


def vgg(golden, name, prefix):
    """VGG-19 filled by the case's own keys, which end in a layer's number and what of it."""
    shapes = golden.modules[name]["state_dict"].items()
    state = {key: torch.from_numpy(values(key, tuple(shape))) for key, shape in shapes if key.startswith(prefix)}
    network = VGG19()
    ours = {"features." + ".".join(key.split(".")[-2:]): value for key, value in state.items()}
    assert set(ours) <= set(network.state_dict()) and len(ours) == 26  # 13 convolutions, up to relu5_1
    network.load_state_dict(ours, strict=False)
    return network


# ---------------------------------------------------------------- TPSMM


@functools.lru_cache(maxsize=2)
def tpsmm(epoch):
    """A step of the case's epoch: {output: tensor}."""
    golden = case("tpsmm", "train-small-128")
    model = {key: golden.config[key] for key in golden.config if key not in ("train_params", "equivariance", "avd")}
    task, stage = task_of("tpsmm", model, size=128, dropout=[0.1, 0.03, 0.3, 35], background_from=10)
    for name, module in task.modules.items():
        golden.fill(name, module).train()
    task._features = vgg(golden, "vgg19", "features.")
    task.transform = lambda rows: RandomTransform(golden["transform_theta"], golden["transform_weights"], True)
    task.chances = lambda rows: golden["dropout_uniform"]
    find, shown = task.find, []
    task.find = lambda pictures: shown.append(pictures) or find(pictures)
    found, out = recorded(task, "find"), recorded(task, "generated")
    losses = task.losses(frames(pictures(128, 128, 0.0, 1.5), pictures(128, 128, 0.9, 2.4), epoch), stage)

    names = ("kp_detector", "bg_predictor", "dense_motion_network", "inpainting_network")
    table = torch.zeros(4, 4)
    for row, term in enumerate(TERMS["tpsmm"]):
        if term in losses:
            for column, name in enumerate(names):
                parameters = list(task.modules[name].parameters())
                slopes = torch.autograd.grad(losses[term], parameters, retain_graph=True, allow_unused=True)
                table[row, column] = sum(slope.square().sum() for slope in slopes if slope is not None) ** 0.5
    sum(losses.values()).backward()
    biases = {
        "kp_detector": "fg_encoder.fc.bias",
        "bg_predictor": "bg_encoder.fc.bias",
        "dense_motion_network": "maps.bias",
        "inpainting_network": "final.bias",
    }
    results = {
        "kp_source": found[0]["value"],
        "kp_driving": found[1]["value"],
        "transformed_kp": found[2]["value"],
        "transformed_frame": shown[2],
        "bn1_running_mean": task.modules["kp_detector"].fg_encoder.bn1.running_mean,
        f"epoch{epoch}_losses": torch.stack([losses.get(term, torch.tensor(torch.nan)) for term in TERMS["tpsmm"]]),
        f"epoch{epoch}_grad_norms": table,
        f"epoch{epoch}_prediction": out[0]["prediction"],
    }
    slopes = {name: task.modules[name].get_parameter(bias).grad for name, bias in biases.items()}
    return results | {f"epoch{epoch}_grad_{name}": slope for name, slope in slopes.items() if slope is not None}


@pytest.mark.parametrize("epoch", [50, 5])  # plain softmax and background; dropped softmax, no background yet
def test_tpsmm_step(epoch):
    golden, ours = case("tpsmm", "train-small-128"), tpsmm(epoch)
    assert {key for key in golden.expected if key.startswith(f"epoch{epoch}_")} <= set(ours)
    for key, tensor in ours.items():
        if key.endswith(("losses", "grad_norms")):
            wanted = golden[key]
            assert torch.equal(wanted.isnan(), tensor.isnan()) and torch.equal(wanted == 0, tensor == 0)
            relative = golden.outputs[key].get("relative_tolerance", 0)
            absolute = golden.outputs[key]["tolerance"] or 0
            torch.testing.assert_close(tensor.detach(), wanted, rtol=relative, atol=absolute, equal_nan=True)
        else:
            golden.check(key, tensor)


def test_tpsmm_avd_step(monkeypatch):
    golden = case("tpsmm", "train-small-128")
    config = {key: golden.config[key] for key in golden.config if key not in ("train_params", "equivariance", "avd")}
    task, stage = task_of("tpsmm", config, part="avd", weights={"shift": 1.0})
    golden.fill("avd_network", task.modules["avd_network"]).train()
    given = iter([golden["avd_kp_source"], golden["avd_kp_driving"]])
    task.find = lambda _: {"value": next(given)}
    monkeypatch.setattr(torch, "rand", lambda *_, **__: golden["avd_uniform"])
    seen, answer = [], recorded(task, "parted")
    task.modules["avd_network"].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    losses = task.losses(frames(*torch.zeros(2, 4, 3, 64, 64)), stage)
    losses["shift"].backward()
    golden.check("avd_kp_scaled", seen[0])
    golden.check("avd_rec", answer[0]["value"])
    golden.check("avd_loss", losses["shift"][None])
    golden.check("avd_grad", task.modules["avd_network"].decoder[9].bias.grad)


# ---------------------------------------------------------------- MRAA


@functools.lru_cache(maxsize=1)
def mraa():
    golden = case("mraa", "vox256")
    task, stage = task_of("mraa", {"published": "vox256"}, size=256)
    for name, module in task.modules.items():
        golden.fill(name, module)
    task._features = vgg(golden, "vgg", "slice")
    task.transform = lambda rows: RandomTransform(golden["tps_theta"], golden["tps_control"])
    return golden, task, stage


def missed(golden, ours):
    near = {
        key: abs(float(value) - float(golden[key])) <= golden.outputs[key]["tolerance"] for key, value in ours.items()
    }
    return {key: (float(ours[key]), float(golden[key])) for key in ours if not near[key]}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_mraa_step(mode):
    """Losses and slopes with running statistics; losses, and what becomes of the statistics, with the batch's own."""
    golden, task, stage = mraa()
    for name, module in task.modules.items():
        golden.fill(name, module).train(mode == "train").zero_grad()
    batch = frames(pictures(256, 256, 0.0, 0.3), pictures(256, 256, 0.6, 1.2))
    network, maps = task._features, recorded(task, "_features")  # of the driving frame, of the prediction, size by size
    with torch.set_grad_enabled(mode == "eval"):
        losses = task.losses(batch, stage)
    task._features = network
    ours = {f"loss_{mode}_{term}": value.detach() for term, value in losses.items()}
    if mode == "eval":
        sizes = zip(maps[::2], maps[1::2], strict=True)
        terms = torch.tensor(
            [[float((a - b).detach().abs().mean()) for a, b in zip(*size, strict=True)] for size in sizes]
        )
        golden.check("loss_eval_vgg_terms", terms)
        sum(losses.values()).backward()
        for key in (key for key in golden.expected if key.startswith("grad_norm:")):
            part, _, name = key.removeprefix("grad_norm:").partition(".")
            ours[key] = task.modules[part].get_parameter(name).grad.norm()
    else:
        norm = task.modules["region_predictor"].predictor.encoder.down_blocks[0].norm
        golden.check("bn_after", torch.stack([norm.running_mean, norm.running_var]))
    assert set(ours) == {
        key for key in golden.expected if key.startswith((f"loss_{mode}_", "grad_norm:" if mode == "eval" else "none"))
    } - {"loss_eval_vgg_terms"}
    assert not missed(golden, ours)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_mraa_avd_step(mode):
    golden, task, _ = mraa()
    stage = Recipe.load(
        {"name": "a", "task": "mraa", "model": {}, "stages": [{"name": "avd", "weights": {"shift": 1, "affine": 1}}]},
        ["stages.0.part=avd"],
    ).stages[0]
    for name, module in task.modules.items():
        golden.fill(name, module).train(name == "avd_network" and mode == "train")
    every = pictures(256, 256, 0.0, 0.3, 0.6, 0.9, 1.2)
    task.stretch = lambda rows, most: golden["avdtrain_theta"]
    answer = recorded(task, "parted")
    with torch.no_grad():
        losses = task.losses(frames(every, every.roll(-2, 0)), stage)
    golden.check(f"avdtrain_{mode}_shift", answer[0]["shift"])
    assert not missed(golden, {f"avdtrain_{mode}_rec_{term}": value for term, value in losses.items()})


# ---------------------------------------------------------------- FOMM's discriminator, grids, jitter


@torch.no_grad()
def test_discriminator_losses():
    golden = case("fomm", "vox-adv-256-discriminator")
    network = golden.fill("discriminator", MultiScaleDiscriminator(**golden.config["discriminator"]))
    kp = {"value": golden["kp_value"]}
    fake, real = (
        network({"prediction_1": pictures(256, 256, golden.inputs[name]["phase"])}, kp)
        for name in ("generated", "real")
    )
    golden.check("loss_gen_gan", loss.generator_gan(fake)[None])
    golden.check("loss_feature_matching", loss.feature_matching(real, fake, 10.0)[None])
    golden.check("loss_disc_gan", loss.discriminator_gan(real, fake)[None])


@pytest.mark.parametrize("name", ["reconstruction", "animation", "training"])
def test_grids(name):
    golden, rows = case("fomm", "tools"), 2 if name == "training" else 1
    source, driving, deformed, prediction, transformed = (
        pictures(64, 64, *phases)[:rows] for phases in ((0.0, 0.1), (0.4, 0.5), (0.8, 0.9), (1.2, 1.3), (0.6, 0.7))
    )
    points = {key: golden[f"vis_kp_{key}"][:rows] for key in ("source", "driving", "norm", "transformed")}
    more = {"occlusion": golden["vis_occlusion"][:rows]}
    if name == "animation":
        more["normalised"] = points["norm"]
    if name == "training":
        more |= {"transformed": (transformed, points["transformed"]), "radius": 2, "border": False}
        more["motions"] = golden["vis_sparse"], golden["vis_mask"]
    ours = reenactment((source, points["source"]), (driving, points["driving"]), deformed, prediction, **more)
    wanted = golden[f"vis_{name}"].numpy()
    assert ours.shape == wanted.shape
    difference = np.abs(ours.astype(int) - wanted)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_jitter():
    golden = case("fomm", "tools")
    picture = (pictures(48, 64, 0.5)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    ours = jittered(picture, golden.jitter["order"], golden.jitter["factors"])
    assert np.abs(ours.astype(int) - golden["jitter"].numpy()).max() <= 1

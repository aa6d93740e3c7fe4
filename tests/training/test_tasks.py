"""FOMM, MRAA and TPSMM, very small, learning from clips and from puppets in every kind of stage."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.models.motion import inverse, product
from toolkit.models.mraa import upright
from toolkit.training import Recipe
from toolkit.training.data import View
from toolkit.training.drawn import to_grid
from toolkit.training.loop import Trainer
from toolkit.training.vgg import VGG19
from toolkit.training.watch import read_log

HOURGLASS = {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.25}
DECODER = {"block_expansion": 4, "max_features": 8, "num_down_blocks": 2, "num_bottleneck_blocks": 1}
AVD = {"id_bottle_size": 8, "pose_bottle_size": 8}
MODELS = {
    "fomm": {
        "common_params": {"num_kp": 5, "num_channels": 3, "estimate_jacobian": True},
        "kp_detector": {**HOURGLASS, "pad": 3},
        "generator": {**DECODER, "estimate_occlusion_map": True, "dense_motion_params": HOURGLASS},
        "discriminator": {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "use_kp": True},
    },
    "mraa": {
        "num_regions": 5,
        "num_channels": 3,
        "estimate_affine": True,
        "bg_predictor": {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "bg_type": "affine"},
        "region_predictor": {**HOURGLASS, "temperature": 0.1, "pca_based": True},
        "generator": {
            **DECODER,
            "skips": True,
            "pixelwise_flow_predictor_params": {**HOURGLASS, "use_covar_heatmap": True, "estimate_occlusion_map": True},
        },
        "avd_network": AVD,
    },
    "tpsmm": {
        "common_params": {"num_tps": 1, "num_channels": 3, "bg": True, "multi_mask": True},
        "generator_params": {"block_expansion": 4, "max_features": 8, "num_down_blocks": 3},
        "dense_motion_params": {**HOURGLASS, "num_blocks": 3},
        "avd_network_params": AVD,
    },
}
PARTS = {
    "fomm": ["kp_detector", "generator", "discriminator"],
    "mraa": ["region_predictor", "generator", "bg_predictor"],
    "tpsmm": ["kp_detector", "dense_motion_network", "inpainting_network", "bg_predictor"],
}
PUBLISHED = {
    "fomm": {"equivariance_value": 1.0, "equivariance_jacobian": 1.0, "generator_gan": 1.0, "feature_matching": 1.0},
    "mraa": {"equivariance_shift": 1.0, "equivariance_affine": 1.0},
    "tpsmm": {"equivariance_value": 1.0, "warp_loss": 1.0, "bg": 1.0},
}
ANCHORS = ["eye_left_upper", "eye_right_upper", "nose", "lip_upper", "chin"]


def recipe(family, stages, **more):
    table = {
        "name": "tiny",
        "task": family,
        "model": MODELS[family],
        "precision": "fp32",
        "seed": 3,
        "checkpoint": 0,
        "sheet": 0,
        "measure": 0,
        "anchors": ANCHORS,
        "data": {"characters": 4, "poses": 2, "reuse": 2},
        "stages": [{"size": 64, "batch": 2, "lr": 1e-3, "warmup": 0, **stage} for stage in stages],
    }
    return table | more


def whole(family, **more):
    weights = {"perceptual": 1.0, **PUBLISHED[family], **more.pop("weights", {})}
    return {"name": "whole", "train": PARTS[family], "levels": ["1", "0.5"], "weights": weights} | more


def avd(**more):
    return {"name": "avd", "part": "avd", "train": ["avd_network"], "weights": {"shift": 1.0, "affine": 1.0}} | more


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four clips for training and one for testing, of blots that move."""
    root, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for name in ("train/a#0.mp4", "train/a#1.mp4", "train/b#2.mp4", "train/c#3.mp4", "test/d#4.mp4"):
        picture = random.integers(0, 255, (8, 12, 3), dtype=np.uint8)
        (root / name).mkdir(parents=True)
        for number in range(4):
            shown = Image.fromarray(picture[:, number : number + 8]).resize((64, 64), Image.Resampling.BICUBIC)
            shown.save(root / name / f"{number}.png")
    return root


def trainer(table, folder, **settings):
    return Trainer(Recipe.load(table, settings), folder, device="cpu", progress=False)


def trained(table, folder, steps=None):
    """Run to the end, or so many steps and a checkpoint."""
    run = trainer(table, folder)
    if steps is None:
        run.run()
    else:
        run.folder.mkdir()
        run.history = [run.advance() for _ in range(steps)]
        run.save()
    return run


@pytest.mark.parametrize("family", MODELS)
def test_learning_from_clips(family, clips, tmp_path):
    """All losses are there and move what they should; a run that was killed goes on as if it had not been; the result
    loads.
    """
    more = {"dropout": [0.1, 0.1, 0.5, 1], "background_from": 1, "clip": {PARTS[family][0]: 1.0}, "decay": 1e-4}
    stages = [whole(family, epochs=2, repeats=2, **more)]  # two epochs of two steps
    stages += [avd(steps=2)] if family != "fomm" else []
    settings = {"folder": str(clips), "id_sampling": True, "brightness": 0.1, "workers": 2}
    table = recipe(family, stages, clips=settings, checkpoint=3, measure=3, sheet=3)
    run = trained(table, tmp_path / "whole")
    assert run.recipe.stages[0].steps == 2 * (3 * 2 // 2)
    first, later = run.history[0], run.history[5]
    expected = {"perceptual", "total", *PUBLISHED[family]} | ({"discriminator"} if family == "fomm" else set())
    assert set(later) == expected and set(first) == expected - {"bg"}, "the background joins at epoch 1"
    assert all(math.isfinite(value) for losses in run.history for value in losses.values())
    if family != "fomm":
        assert set(run.history[-1]) == {"shift", "total"} | ({"affine"} if family == "mraa" else set())
    broken = trained(table, tmp_path / "broken", steps=4)
    broken.advance()  # work that the kill loses
    again = trainer(table, tmp_path / "broken")
    again.run(resume=True)
    ours, theirs = ([losses["total"] for losses in history] for history in (again.history, run.history[4:]))
    assert ours == pytest.approx(theirs, rel=1e-5)
    row = read_log(run.folder)[-1]
    assert 0 < row["l1"] < 1 and 0 < row["l1_still"] < 1
    assert list(run.folder.glob("sheet-*.png"))
    animator = toolkit.load(run.folder / "model.safetensors")
    assert not animator.info.drawn and animator.info.size == 64
    assert ("avd" in animator.info.modes) == (family != "fomm")


@pytest.mark.parametrize("family", ["mraa", "tpsmm"])
def test_learning_from_puppets(family, tmp_path):
    detector, generator = PARTS[family][0], PARTS[family][1:]
    drawn = {"pyramid": 1.0, "deformed": 1.0, "selection": 1.0, "following": 1.0, "keeping": 1.0, "keypoints": 1.0}
    stages = [
        {"name": "points", "train": [detector], "keypoints": "true", "weights": {"keypoints": 1.0}},
        {"name": "copy", "part": "copy", "crop": 32, "train": generator, "weights": {"pyramid": 1.0}},
        {"name": "flow", "part": "flow", "train": generator, "keypoints": "true", "noise": 0.01, "weights": drawn},
        whole(family, weights=drawn, regions={"head": 3.0}),
        avd(),
    ]
    table = recipe(family, [{**stage, "steps": 1, "cross": 0.5} for stage in stages], measure=4, sheet=4)
    run = trained(table, tmp_path / "run")
    assert all(math.isfinite(value) for losses in run.history for value in losses.values())
    points, copy, flow, both, _ = (set(losses) - {"total"} for losses in run.history)
    assert "keypoints" in points and copy == {"pyramid"}
    assert flow == {"deformed", "selection", "following", "keeping"}
    assert set(drawn) | set(PUBLISHED[family]) <= both
    row = next(row for row in read_log(run.folder) if "same" in row)
    assert row["kp_px"] > 0 and row["same"] > 0 and row["cross_mouth"] > 0
    assert toolkit.load(run.folder / "model.safetensors").info.drawn


GUIDED = {
    "fomm": MODELS["fomm"] | {"generator": MODELS["fomm"]["generator"] | {"skips": True, "guided": True}},
    "mraa": MODELS["mraa"] | {"generator": MODELS["mraa"]["generator"] | {"guided": True}},
    "tpsmm": {
        "common_params": {"num_tps": 1, "num_channels": 3},
        "kp_detector": {"heatmaps": HOURGLASS},
        "generator_params": {**DECODER, "guided": True},
        "dense_motion_params": HOURGLASS,
    },
}


@pytest.mark.parametrize("family", ["fomm", "mraa", "tpsmm"])
def test_the_decoder_alone_learns_to_paint(family, tmp_path):
    """Encoder and flow stay, norms and all; the occlusion head learns to choose; then the whole goes on."""
    weights = {"pyramid": 1.0, "painting": 1.0, "choosing": 1.0, "perceptual": 1.0}
    learning = ["dense_motion_network", "inpainting_network"] if family == "tpsmm" else ["generator"]
    stage = {"train": learning, "window": 32, "cross": 0.5, "levels": ["0.5"], "weights": weights, "steps": 1}
    stages = [{**stage, "name": "paint", "part": "paint"}, {**stage, "name": "whole"}]
    run = trainer(recipe(family, stages, model=GUIDED[family]), tmp_path / "run")
    networks = {"": run.task.network, "flow.": run.task.flow}

    def now():
        weights = {before + name: x for before, part in networks.items() for name, x in part.state_dict().items()}
        return {
            name: tensor.clone() for name, tensor in weights.items() if "down.weight" not in name and name not in inside
        }  # that one follows from the size

    def changed(before):
        return {name for name, tensor in now().items() if not tensor.equal(before[name])}

    own = f"{getattr(run.task.network, 'flow_network', '')}."  # fomm's and mraa's is within the generator
    inside = {name for name in run.task.network.state_dict() if name.startswith(own)}
    before = now()
    losses = run.advance()
    assert set(losses) == {*weights, "total"} and all(math.isfinite(value) for value in losses.values())
    learned = {name.removeprefix("flow.").split(".")[0] for name in changed(before)}
    assert learned == {"occlusion", "bottleneck", "up_blocks", "final", "guides"}
    before = now()
    run.advance()
    assert any(name.startswith("flow.hourglass") for name in changed(before))
    with pytest.raises(ConfigError, match="'paint' looks at what is painted"):
        trainer(recipe(family, [{**stages[0], "window": 0}]), tmp_path / "whole")


@pytest.mark.parametrize("family", ["mraa", "tpsmm"])
def test_avd_from_true_anchors(family, tmp_path):
    """No picture is looked at, or even drawn; another character's row has the first one's own anchors as its answer."""
    run = trainer(recipe(family, [avd(steps=1, cross=0.5, keypoints="true")]), tmp_path / "run")
    stage, task = run.recipe.stages[0], run.task
    task.find = None
    losses = run.advance()
    assert losses["shift"] > 0 and math.isfinite(losses["total"])
    batch = task.batch(stage, 0)
    assert len(batch.source) == 2 and batch.source.picture.numel() == 0
    _, driving, truth = task.posed(batch, stage)
    assert batch.cross.tolist() == [True, False]
    assert torch.equal(truth[task.places][1], driving[task.places][1])
    assert torch.equal(truth[task.places], to_grid(batch.target.points)) and not truth[task.places][0].equal(
        driving[task.places][0]
    )
    if family == "mraa":
        assert (product(truth["affine"], inverse(driving["affine"]))[..., 0, 0] >= 0).all()


def test_avd_looks_at_each_picture_once(tmp_path):
    """Though each is in many rows; a row's motion is what the detector finds in its picture."""
    run = trainer(recipe("tpsmm", [avd(steps=2, cross=0.5)], data={"characters": 4, "poses": 2, "reuse": 8}), tmp_path)
    stage, task, looked = run.recipe.stages[0], run.task, []
    find = task.find
    task.find = lambda pictures: looked.append(len(pictures)) or find(pictures)
    run.advance()
    run.advance()
    assert sum(looked) == 8
    batch = task.batch(stage, 1)
    for view, motion in zip((batch.source, batch.driving, batch.target), task.posed(batch, stage), strict=True):
        assert torch.allclose(motion["value"], find(view.picture)["value"], atol=1e-5)


def test_known_regions_turn_as_their_anchors_do(tmp_path):
    """Axes read off a covariance say how a head rolls and grows; and the detector learns just these covariances."""
    task = trainer(recipe("mraa", [avd(steps=1)]), tmp_path / "run").task
    angle = torch.tensor([0.0, 0.4])
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(2, 1, 2, 2)
    jacobian = turn * torch.tensor([0.5, 0.6]).view(2, 1, 1, 1)
    known = task.as_motion(torch.zeros(2, 1, 2), jacobian)
    moved = product(known["affine"][1], inverse(known["affine"][0]))
    assert torch.allclose(moved * upright(moved), 1.2 * turn[1], atol=1e-4)
    view = View(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 2), jacobian)
    assert task.lessons(known, view)["covariances"] < 1e-5


def test_the_avd_stage_moves_statistics_as_published(clips, tmp_path):
    """Only the AVD network learns; the detector's norms go on, and what is exported has them."""
    run = trainer(recipe("mraa", [avd(steps=1)], clips={"folder": str(clips)}, ema=0.0), tmp_path / "run")
    detector = run.task.modules["region_predictor"]
    weight = detector.regions.weight.clone()
    norm = detector.predictor.encoder.down_blocks[0].norm
    mean = norm.running_mean.clone()
    run.advance()
    assert detector.regions.weight.equal(weight) and not norm.running_mean.equal(mean)
    key = "region_predictor.predictor.encoder.down_blocks.0.norm.running_mean"
    assert run.average.state[key].equal(norm.running_mean)


def test_gradients_are_scaled_down_to_their_largest_entry(clips, tmp_path):
    stage = whole("tpsmm", steps=1, clip={"kp_detector": 1e-3, "dense_motion_network": 1e9})
    run = trainer(recipe("tpsmm", [stage], clips={"folder": str(clips)}), tmp_path / "run")
    run.advance()
    largest = {
        name: max(float(p.grad.abs().max()) for p in run.task.modules[name].parameters() if p.grad is not None)
        for name in ("kp_detector", "dense_motion_network")
    }
    assert largest["kp_detector"] == pytest.approx(1e-3, rel=1e-2)
    assert largest["dense_motion_network"] > 1e-3


def test_only_losses_that_weigh_are_computed(tmp_path, monkeypatch):
    stage = {"name": "held", "steps": 1, "train": ["kp_detector"], "weights": {"equivariance_value": 1.0}}
    run = trainer(recipe("fomm", [stage]), tmp_path / "run")
    monkeypatch.setattr("toolkit.training.losses.equivariance_jacobian", None)
    assert set(run.advance()) == {"equivariance_value", "total"}


def test_vgg_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []
    monkeypatch.setattr("toolkit.training.published.VGG19.load", lambda path: seen.append(path) or VGG19())
    task = trainer(recipe("mraa", [whole("mraa", steps=1, levels=["1"])], vgg="~/vgg.pth"), tmp_path / "run").task
    assert isinstance(task.features, VGG19) and seen == [tmp_path / "vgg.pth"]


def test_resume_with_other_settings(clips, tmp_path):
    table = recipe("mraa", [avd(steps=2)], clips={"folder": str(clips)})
    trained(table, tmp_path / "run", steps=1)
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(Recipe.load(table).to_dict()))
    run = trainer(table, tmp_path / "run", **{"stages.0.lr": 0.5})
    with pytest.warns(UserWarning, match=r"recipe\.json has other settings: stages\.0\.lr was 0\.001, is 0\.5"):
        run.run(resume=True)
    other = trainer(table, tmp_path / "run", **{"model.num_regions": 4})
    with pytest.raises(CheckpointError, match=r"recipe\.json is of another model: model\.num_regions was 5, is 4"):
        other.run(resume=True)


def test_what_cannot_be_learned_is_refused_at_once(clips, tmp_path):
    stage = {"name": "points", "steps": 1, "train": ["region_predictor"], "keypoints": "true"}
    with pytest.raises(ConfigError, match="'points' learns from what only drawn heads know"):
        trainer(recipe("mraa", [avd(steps=1), stage], clips={"folder": str(clips)}), tmp_path / "run")
    with pytest.raises(InputError, match="--data FOLDER"):
        toolkit.train("tpsmm-vox-256", output=tmp_path / "none", progress=False)
    with pytest.raises(ConfigError, match="'avd' trains an AVD network"):
        trainer(recipe("fomm", [avd(steps=1, train=["generator"])], clips={"folder": str(clips)}), tmp_path / "avd")


def test_the_command_takes_a_folder_of_clips(clips, tmp_path, capsys):
    path = tmp_path / "tiny.toml"
    path.write_text('base = "base"\n[[stages]]\nsteps = 1\n')
    lines = ['name = "tiny"', 'task = "mraa"', 'precision = "fp32"', "sheet = 0", "measure = 0", "checkpoint = 0"]
    lines += ["[model]", "num_regions = 5", "num_channels = 3", "estimate_affine = true"]
    for part in ("region_predictor", "bg_predictor", "avd_network"):
        lines += [f"[model.{part}]", *(f"{key} = {json.dumps(value)}" for key, value in MODELS["mraa"][part].items())]
    flat = {key: value for key, value in MODELS["mraa"]["generator"].items() if not isinstance(value, dict)}
    lines += ["[model.generator]", *(f"{key} = {json.dumps(value)}" for key, value in flat.items())]
    lines += ["[[stages]]", 'name = "avd"', 'part = "avd"', "epochs = 9", "size = 64", "batch = 2"]
    lines += ['train = ["avd_network"]', "[stages.weights]", "shift = 1.0"]
    (tmp_path / "base.toml").write_text("\n".join(lines))
    assert main(["train", str(path), "--data", str(clips), "-o", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.strip().endswith("model.safetensors")
    stored = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert stored["clips"]["folder"] == str(clips) and stored["stages"][0]["steps"] == 1

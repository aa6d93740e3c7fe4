"""Recipes: what comes with the toolkit is sound, and mistakes are refused before they cost a night."""

import json

import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.training import Recipe, names
from toolkit.training.loop import make_task
from toolkit.training.recipe import differences, filled

TINY = {"name": "tiny", "task": "fomm", "model": {}, "stages": [{"name": "one", "steps": 3, "train": ["generator"]}]}


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_load(name):
    recipe = Recipe.load(name)
    assert recipe.name == name and all(stage.train for stage in recipe.stages)
    assert all(stage.steps or stage.epochs for stage in recipe.stages)


def test_settings_change_a_recipe():
    recipe = Recipe.load(
        TINY, ["stages.0.steps=7", "seed=3", "stages.0.weights.pyramid=2", "precision=fp32", "data.styles=['anime']"]
    )
    assert (recipe.steps, recipe.seed, recipe.precision) == (7, 3, "fp32")
    assert recipe.stages[0].weights == {"pyramid": 2.0} and recipe.data.styles == ("anime",)
    assert Recipe.load(TINY, {"stages.0.steps": 9}).steps == 9


def test_settings_leave_the_given_mapping_alone():
    Recipe.load(TINY, ["stages.0.steps=7"])
    assert TINY["stages"][0]["steps"] == 3


def test_one_learning_rate_or_one_a_module():
    assert Recipe.load(TINY, ["stages.0.lr=0.1"]).stages[0].lr == {"": 0.1}
    assert Recipe.load(TINY, ["stages.0.lr.generator=0.1"]).stages[0].lr["generator"] == 0.1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("stages.0.stpes=7", "unknown key 'stpes'"),
        ("stages.0.steps=many", "must be a whole number"),
        ("stages.0.steps=1.5", "must be a whole number"),
        ("stages.4.steps=1", "no place"),
        ("channels_last=1", "true or false"),
        ("ema=fast", "must be a number"),
        ("data=3", "must be a table"),
        ("stages.0.train=generator", "must be a list"),
        ("steps", "no '='"),
    ],
)
def test_mistakes_are_refused(setting, words):
    with pytest.raises(ConfigError, match=words):
        Recipe.load(TINY, [setting])


def test_no_such_recipe(tmp_path):
    with pytest.raises(ConfigError, match="mini-fomm"):
        Recipe.load("mini-form")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(ConfigError, match="broken.toml"):
        Recipe.load(broken)


def test_differences_are_those_of_settings_that_only_one_has_too():
    """A recipe stored by an older version lacks what is new and has what is gone: neither is a change."""
    now = Recipe.load(TINY, {"stages.0.weights.pyramid": 1.0, "model.width": 3}).to_dict()
    stored = json.loads(json.dumps(now))
    del stored["stages"][0]["scaling"], stored["accumulate"], stored["clips"]
    stored["gone"] = stored["stages"][0]["gone"] = 1
    assert list(differences(filled(stored), filled(now))) == []
    stored["accumulate"] = 2
    stored["stages"][0]["weights"] = {"gradient": 2.0}
    del stored["model"]["width"]
    stored["stages"].append({"name": "more"})
    assert list(differences(filled(stored), filled(now))) == [
        "model.width was not set, is 3",
        "stages.0.weights.gradient was 2.0, is not set",
        "stages.0.weights.pyramid was not set, is 1.0",
        "stages.1 was more, is not set",
        "accumulate was 2, is 1",
    ]


def test_stage_of_a_step():
    recipe = Recipe.load(
        {**TINY, "stages": [{"name": "a", "steps": 2, "train": ["x"]}, {"name": "b", "steps": 3, "train": ["x"]}]}
    )
    assert [(recipe.at(step)[0].name, recipe.at(step)[1]) for step in range(5)] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 1),
        ("b", 2),
    ]


SPECS = {  # size; per stage epochs, repeats, batch, milestones: the tables of the specifications
    "fomm-vox-256": (256, (100, 75, 40, 60, 90)),
    "fomm-vox-adv-256": (256, (100, 75, 40, 60, 90), (50, 75, 36)),
    "fomm-taichi-256": (256, (100, 150, 30, 60, 90)),
    "fomm-taichi-adv-256": (256, (100, 150, 30, 60, 90), (50, 150, 27)),
    "fomm-fashion-256": (256, (100, 50, 27, 60, 90)),
    "fomm-nemo-256": (256, (100, 8, 36, 60, 90)),
    "fomm-mgif-256": (256, (100, 25, 36, 60, 90)),
    "fomm-bair-256": (256, (20, 1, 36, 12, 18)),
    "mraa-vox256": (256, (100, 75, 14, 60, 90), (30, 2000, 256, 21, 26)),
    "mraa-taichi256": (256, (100, 150, 14, 60, 90), (30, 150, 256, 21, 26)),
    "mraa-mgif256": (256, (100, 50, 14, 60, 90), (30, 50, 256, 61, 91)),
    "mraa-ted384": (384, (100, 150, 6, 60, 90), (30, 150, 256, 21, 26)),
    "mraa-ted-youtube384": (384, (100, 150, 20, 60, 90), (30, 500, 256, 21, 26)),
    "tpsmm-vox-256": (256, (100, 75, 28, 70, 90), (200, 300, 256, 141, 181)),
    "tpsmm-taichi-256": (256, (100, 150, 28, 70, 90), (100, 150, 256, 71, 91)),
    "tpsmm-ted-384": (384, (100, 150, 12, 70, 90), (30, 500, 256, 21, 26)),
    "tpsmm-mgif-256": (256, (100, 50, 28, 70, 90), (100, 50, 256, 71, 91)),
}


LOSSES = {  # all weights of the specifications, of the first stage
    "fomm": {"perceptual": 10, "equivariance_value": 10, "equivariance_jacobian": 10},
    "mraa": {"perceptual": 10, "equivariance_shift": 10, "equivariance_affine": 10},
    "tpsmm": {"perceptual": 10, "equivariance_value": 10, "warp_loss": 10, "bg": 10},
}
ADVERSARY = {"generator_gan": 1, "feature_matching": 10, "discriminator_gan": 1}
AVD = {"mraa": {"shift": 1, "affine": 1}, "tpsmm": {"shift": 1}}
CLIPPED = {"kp_detector": 10, "dense_motion_network": 10, "bg_predictor": 10}
DROPPED = {  # start, rise an epoch, most, until; and the epoch from which the background moves
    "tpsmm-vox-256": ((0.1, 0.03, 0.3, 35), 10),
    "tpsmm-taichi-256": ((0.0, 0.07, 0.7, 35), 0),
    "tpsmm-ted-384": ((0.0, 0.05, 0.5, 35), 0),
    "tpsmm-mgif-256": ((0.2, 0.05, 0.5, 35), None),  # it has no background predictor
}


@pytest.mark.parametrize("name", SPECS)
def test_published_numbers(name):
    """Losses, learning rates, dropout, the background's beginning, clipped gradients, stretching."""
    recipe = Recipe.load(name)
    first, *later = recipe.stages
    judged = recipe.task == "fomm" and any(what in name for what in ("fashion", "nemo", "mgif", "bair"))
    assert first.weights == LOSSES[recipe.task] | (ADVERSARY if judged else {})
    assert first.lr == {"": 2e-4} and first.schedule == "milestones" and first.warmup == 0
    assert first.clip == (CLIPPED if recipe.task == "tpsmm" else {})
    dropout, background = DROPPED.get(name, ((), 0))
    assert first.dropout == pytest.approx(dropout)
    assert background is None or first.background_from == background
    for stage in later:
        assert not (stage.clip or stage.dropout or stage.decay or stage.warmup)
        if recipe.task == "fomm":  # the adversary's: at one rate to the end; of tai chi the detector stands still
            assert stage.weights == LOSSES["fomm"] | ADVERSARY and stage.schedule == "constant"
            frozen = {"generator": 2e-4, "discriminator": 2e-4, "kp_detector": 0.0}
            assert stage.lr == (frozen if "taichi" in name else {"": 2e-4})
        else:
            assert stage.part == "avd" and stage.weights == AVD[recipe.task]
            assert stage.lr == {"": 1e-3} and stage.schedule == "milestones" and stage.scaling == 0.25
    assert all(stage.levels == ("1", "0.5", "0.25", "0.125") and not stage.cross for stage in recipe.stages)
    assert (recipe.optimiser, recipe.precision, recipe.clip, recipe.accumulate) == ("adam", "fp32", 0, 1)


@pytest.mark.parametrize("name", SPECS)
def test_published_trainings(name):
    """The numbers of each data set, and modules that are there and have something to learn."""
    recipe, (size, *stages) = Recipe.load(name), SPECS[name]
    ours = [(stage.epochs, stage.repeats, stage.batch, *stage.milestones) for stage in recipe.stages]
    assert ours == stages and {stage.size for stage in recipe.stages} == {size}
    assert recipe.clips.id_sampling == (not any(what in name for what in ("fashion", "nemo", "mgif", "bair")))
    assert recipe.clips.resize == ((0.9, 1.1) if "mgif" in name else ())
    jitter = [getattr(recipe.clips, colour) for colour in ("brightness", "contrast", "saturation", "hue")]
    only_hue = next((hue for what, hue in (("fashion", 0.1), ("nemo", 0.0), ("mgif", 0.5)) if what in name), None)
    assert jitter == ([0.1] * 4 if only_hue is None else [0.0, 0.0, 0.0, only_hue])
    with torch.device("meta"):  # shapes without numbers
        modules = make_task(recipe, torch.device("meta")).modules
    for stage in recipe.stages:
        assert all(any(True for _ in modules[part].parameters()) for part in stage.train)
        assert set(stage.lr) <= {"", *stage.train} and set(stage.clip) <= {"bg_predictor", *stage.train}
        assert ("discriminator" in stage.train) == ("generator_gan" in stage.weights)
    assert recipe.stages[0].decay == (1e-4 if recipe.task == "tpsmm" else 0)
    assert recipe.vgg == "vgg19" and recipe.ema == 0 and recipe.betas == (0.5, 0.999)


def test_a_recipe_says_what_differs_from_its_base(tmp_path):
    (tmp_path / "one.toml").write_text(
        'name = "one"\ntask = "fomm"\nmodel = { a = 1, b = 2 }\n[[stages]]\nname = "x"\nsteps = 3\nbatch = 4\n'
    )
    (tmp_path / "two.toml").write_text(
        'base = "one"\nname = "two"\nmodel = { b = 3 }\n[[stages]]\nbatch = 5\n[[stages]]\nname = "y"\nsteps = 1\n'
    )
    recipe = Recipe.load(tmp_path / "two.toml")
    assert (recipe.name, recipe.task, recipe.model) == ("two", "fomm", {"a": 1, "b": 3})
    assert [(stage.name, stage.steps, stage.batch) for stage in recipe.stages] == [("x", 3, 5), ("y", 1, 8)]

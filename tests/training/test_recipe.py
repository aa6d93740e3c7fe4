"""Recipes: what comes with the toolkit is sound, and mistakes are refused before they cost a night."""

import pytest

from toolkit.errors import ConfigError
from toolkit.training import Recipe, names

TINY = {"name": "tiny", "task": "fomm", "model": {}, "stages": [{"name": "one", "steps": 3, "train": ["generator"]}]}


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_load(name):
    recipe = Recipe.load(name)
    assert recipe.name == name and recipe.steps > 0 and all(stage.train for stage in recipe.stages)


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

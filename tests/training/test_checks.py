"""Mistakes in any stage of a recipe: one error that names the key and what is known, before the first step."""

from contextlib import nullcontext

import pytest
import torch

from tests.training.test_loop import TINY
from tests.training.test_tasks import MODELS, recipe, whole
from toolkit.errors import CheckpointError, ConfigError
from toolkit.puppets import ANCHORS
from toolkit.training import Recipe, checks, names
from toolkit.training.clips import ClipPairs
from toolkit.training.data import Puppets
from toolkit.training.loop import Trainer
from toolkit.training.recipe import Clips, Data
from toolkit.training.task import make_task


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [  # all in the second stage, or in none
        ("stages.1.part", "hole", "Stage 'motion': part can't be 'hole'.*whole, flow, copy, paint, avd"),
        ("stages.1.keypoints", "tru", "Stage 'motion': keypoints can't be 'tru'.*Choose one of: detector, true"),
        ("stages.1.schedule", "cosin", "schedule can't be 'cosin'.*milestones"),
        ("stages.1.regions.haed", 3.0, "Stage 'motion': regions knows no 'haed'.*background, head, eyes"),
        ("stages.1.levels", ["0.3"], "Stage 'motion': levels knows no '0.3'.*0.125"),
        ("stages.1.steps", -5, "Stage 'motion': steps can't be -5.*0 or more"),
        ("stages.1.batch", 0, "batch can't be 0.*1 or more"),
        ("stages.1.cross", 1.5, "cross can't be 1.5.*from 0 to 1"),
        ("stages.1.dropout", [0.1, 0.2], "Stage 'motion': dropout can't be .0.1, 0.2..*start, rise, most, until"),
        ("stages.1.lr", {"generator": -1e-3}, "Stage 'motion': lr.generator can't be -0.001"),
        ("stages.1.window", 24, "Stage 'motion' has a window of 24 in pictures of 64.*divisor"),
        ("stages.1.name", "keypoints", "Two stages are called 'keypoints'"),
        ("stages", [], "The recipe has no stage"),
        ("betas", [0.5], r"the recipe: betas can't be \[0.5\].*two numbers"),
        ("best", ["recall"], "the recipe: best knows no 'recall'.*l1"),
        ("ema", 1.0, "the recipe: ema can't be 1.0"),
        ("optimiser", "madam", "the recipe: optimiser can't be 'madam'.*adam, muon"),
        ("precision", "fp8", "the recipe: precision can't be 'fp8'.*bf16, fp16, fp32"),
        ("accumulate", 0, "the recipe: accumulate can't be 0.*1 or more"),
        ("clips.workers", -1, "clips: workers can't be -1.*0 or more"),
        ("clips.resize", [1.1], r"clips: resize can't be \[1.1\].*largest factor"),
    ],
)
def test_what_no_task_knows_is_refused_when_read(setting, value, words):
    with pytest.raises(ConfigError, match=words):
        Recipe.load(TINY, {setting: value})


def test_crops_and_levels_of_a_later_stage():
    copies = {"name": "copy", "part": "copy", "steps": 1, "size": 64, "crop": 128}
    with pytest.raises(ConfigError, match="'copy' cuts crops of 128 from pictures of 64"):
        Recipe.load(TINY, {"stages": [TINY["stages"][0], copies]})
    with pytest.raises(ConfigError, match="'whole' has a perceptual loss, but no levels"):
        Recipe.load(recipe("fomm", [whole("fomm", steps=1, levels=[])]))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("stages.1.weights.piramid", 1.0, "Stage 'motion': weights knows no 'piramid'.*pyramid.*jacobians"),
        ("stages.1.weights.warp_loss", 1.0, "knows no 'warp_loss'"),  # another family's
        ("stages.1.lr", {"generatr": 1e-3}, "Stage 'motion': lr knows no 'generatr'.*kp_detector, generator"),
        ("stages.1.clip.detector", 1.0, "Stage 'motion': clip knows no 'detector'.*kp_detector"),
        ("stages.1.train", ["generatr"], "Stage 'motion' trains 'generatr'.*kp_detector, generator"),
        ("stages.1.train", [], "Stage 'motion' trains nothing"),
        ("stages.1.size", 96, "Stage 'motion' has pictures of 96 pixels.*multiple of 64"),
        ("stages.1.window", 2, "Stage 'motion': window can't be 2.*multiple of 4"),
        ("anchors", ["nose", "knee"], "the recipe: anchors knows no 'knee'.*lip_upper"),
        ("data.styles", ["manga"], "data: styles knows no 'manga'.*cartoon, anime"),
        ("data.poses", 1, "data: poses can't be 1.*2 or more"),
        ("data.characters", 5, "data: 5 characters make no groups of 2"),
        ("stages.1.weights.generator_gan", 1.0, "Stage 'motion' has the loss generator_gan.*model.discriminator"),
    ],
)
def test_what_this_task_does_not_know_is_refused_before_the_first_step(tmp_path, setting, value, words):
    with pytest.raises(ConfigError, match=words):
        Trainer(Recipe.load(TINY, {setting: value}), tmp_path / "run", device="cpu", progress=False)


@pytest.mark.parametrize("family", MODELS)
def test_sizes_that_the_hourglass_can_take(family, tmp_path):
    """Of clips: those that the model takes; with puppets detector and dense motion see 64 x 64 whatever the size."""
    for part in ("train", "test"):
        (tmp_path / part / "clip").mkdir(parents=True)
    for size in (64, 96, 72):
        table = recipe(family, [whole(family, steps=1), {**whole(family, steps=1, size=size), "name": "later"}])
        made = Recipe.load(table, {"clips.folder": str(tmp_path)})
        with pytest.raises(ConfigError, match="'later' has pictures of 72") if size == 72 else nullcontext():
            make_task(made, torch.device("cpu")).close()
    if family != "tpsmm":  # as published it sees the whole picture
        with pytest.raises(ConfigError, match="'later' has pictures of 96 pixels.*multiple of 64"):
            make_task(Recipe.load(table, {"stages.1.size": 96}), torch.device("cpu"))


@pytest.mark.parametrize(
    ("family", "change", "count"),
    [("fomm", {"num_kp": 6}, 6), ("mraa", {"num_regions": 6}, 6), ("tpsmm", {"num_tps": 2}, 10)],
)
def test_as_many_anchors_as_keypoints(family, change, count):
    """Where a stage learns from anchors; one that looks at pictures alone may have any number."""
    common = "model" if family == "mraa" else "model.common_params"
    table = recipe(family, [whole(family, steps=1), {**whole(family, steps=1), "name": "later"}])
    settings = {f"{common}.{name}": value for name, value in change.items()}
    make_task(Recipe.load(table, settings), torch.device("cpu"))
    lessons = {"stages.1.weights.keypoints": 1.0, **settings}
    for taught in ({"stages.1.keypoints": "true", **settings}, lessons):
        with pytest.raises(ConfigError, match=f"'later' learns from 5 anchors, but the model has {count} keypoints"):
            make_task(Recipe.load(table, taught), torch.device("cpu"))
    with pytest.raises(ConfigError, match=f"from {len(ANCHORS)} anchors, but the model has {count}"):
        make_task(Recipe.load(table, {**lessons, "anchors": []}), torch.device("cpu"))


@pytest.mark.parametrize("weights", ["vgg19.pth", "vgg"])
def test_weights_that_a_later_stage_needs_are_missed_before_the_first_step(tmp_path, weights):
    """A file, and a name that the zoo hasn't. A run that is past that stage, or leaves it out, needs none."""
    perceptual = {**TINY["stages"][1], "name": "later", "weights": {"perceptual": 1.0}, "levels": ["1"]}
    table = {**TINY, "vgg": weights, "stages": [TINY["stages"][0], perceptual, {**TINY["stages"][1], "steps": 1}]}

    def run(**settings):
        return Trainer(Recipe.load(table, settings), tmp_path / "run", device="cpu", progress=False)

    late = run()
    with pytest.raises(CheckpointError, match=f"There is no file {weights}|The zoo has no '{weights}'"):
        late.run()
    assert late.step == 0 and not [*late.folder.iterdir()]
    run(**{"stages.1.steps": 0, "stages.0.steps": 1}).run()
    made = run().recipe
    assert [stage.name for stage in made.ahead(6)] == ["later", "motion"]
    assert [stage.name for stage in made.ahead(7)] == ["motion"] and made.ahead(made.steps) == ()


def test_an_adversary_needs_something_to_judge():
    stage = whole("fomm", steps=1)
    del stage["weights"]["generator_gan"]
    with pytest.raises(ConfigError, match="'whole' trains a discriminator that judges nothing"):
        make_task(Recipe.load(recipe("fomm", [stage])), torch.device("cpu"))


def test_a_perceptual_loss_of_pictures_that_vgg_can_take():
    table = recipe("mraa", [whole("mraa", steps=1, levels=["1", "0.125"])], vgg="vgg19")
    with pytest.raises(ConfigError, match="perceptual loss of pictures of 8 pixels"):
        make_task(Recipe.load(table), torch.device("cpu"))


def test_the_perception_recipe_too():
    table = {"name": "p", "task": "perception", "model": {}, "stages": [{"name": "heads", "steps": 1}]}
    for setting, words in (({"stages.0.weights.heatt": 1.0}, "'heatt'.*heat, box"), ({"stages.0.size": 100}, "of 16")):
        with pytest.raises(ConfigError, match=words):
            make_task(Recipe.load(table, setting), torch.device("cpu"))


@pytest.mark.parametrize("name", [name for name in names() if Recipe.load(name).model or name == "perception"])
def test_shipped_recipes_can_begin(name):
    """Every stage, as it is; what learns is there."""
    made = Recipe.load(name)
    with torch.device("meta"):  # shapes without numbers
        modules = make_task(made, torch.device("meta")).modules
    for stage in made.stages:
        checks.check_trained(stage, modules)


def test_a_stage_that_is_left_out_may_be_what_it_likes(tmp_path):
    settings = {"stages.1.steps": 0, "stages.1.weights.piramid": 1.0, "stages.1.train": ["nobody"]}
    run = Trainer(Recipe.load(TINY, settings), tmp_path / "run", device="cpu", progress=False)
    assert run.advance()["total"] > 0 and run.stage_name == run.recipe.stages[0].name


def test_what_is_measured_is_what_can_be_best(tmp_path):
    run = Trainer(Recipe.load(TINY), tmp_path / "run", device="cpu", progress=False)
    assert set(run.task.measure()) <= set(checks.BEST)


def test_puppets_and_clips_by_themselves():
    with pytest.raises(ConfigError, match="data: group can't be 0"):
        Puppets(Data(group=0), 0)
    with pytest.raises(ConfigError, match="clips: memory can't be -1"):
        ClipPairs(Clips("here", memory=-1.0), 0)

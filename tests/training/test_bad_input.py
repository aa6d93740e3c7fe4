"""What people give a training by mistake: one clear error or warning that names the file, before the first step.

More of the kind is in `test_clips.py`, `test_recipe.py`, `test_tasks.py` (--resume) and `test_prepare.py`.
"""

import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.training.test_tasks import recipe, trainer, whole
from toolkit import media
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.training import Recipe

SIDE = 64


def pictures(count=3, side=SIDE, seed=0):
    """A blot that moves."""
    random = np.random.default_rng(seed)
    blot = Image.fromarray(random.integers(0, 255, (8, 16, 3), dtype=np.uint8)).resize((2 * side, side))
    return [np.asarray(blot)[:, 2 * number : 2 * number + side] for number in range(count)]


def as_folder(path, frames):
    path.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{number}.png")


def as_clip(path, frames):
    with media.Writer(path, 25) as writer:
        writer.write(np.stack(frames))


@pytest.fixture
def data(tmp_path):
    """Two good clips for training and one for testing."""
    for number, name in enumerate(("train/a#0", "train/b#1", "test/c#2")):
        as_folder(tmp_path / "data" / name, pictures(seed=number))
    return tmp_path / "data"


def table(family="fomm", **more):
    """A recipe of two steps, measured once."""
    return recipe(family, [whole(family, steps=2)], measure=2, **more)


def train(data, tmp_path, **more):
    return toolkit.train(table(**more), data=data, output=tmp_path / "run", device="cpu", progress=False)


def test_a_folder_without_clips(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["train", "fomm-vox-256", "--data", str(tmp_path / "empty"), "-o", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert f"no clip in {tmp_path / 'empty'}" in told and "toolkit prepare" in told and "Traceback" not in told


def test_bad_clips_among_good_ones_are_named_and_left_out(data, tmp_path, caplog):
    """A web page, a film cut off, one of a single frame, a folder of which one is no picture; other sizes are used."""
    (data / "train" / "page.mp4").write_text("<!DOCTYPE html><html></html>")
    as_clip(data / "train" / "single.mp4", pictures(1))
    as_clip(data / "train" / "whole.mp4", pictures(12))
    film = (data / "train" / "whole.mp4").read_bytes()
    (data / "train" / "whole.mp4").unlink()
    (data / "train" / "cut.mp4").write_bytes(film[: len(film) // 8])
    as_folder(data / "train" / "large", pictures(side=96))
    as_folder(data / "train" / "hollow", [])
    (data / "train" / "hollow" / "0.png").write_bytes(b"no picture")
    (data / "train" / "hollow" / "1.png").write_bytes(b"no picture")
    assert train(data, tmp_path).is_file()
    for name in ("page.mp4 is a web page", "single.mp4 has 1 frame", "cut.mp4", "hollow", "large is 96 x 96 pixels"):
        assert caplog.text.count(name) >= 1, name


def test_that_no_test_clip_can_be_read_is_said_at_once(data, tmp_path):
    """And not when the model is measured for the first time, hours later."""
    (data / "test" / "c#2" / "0.png").unlink()
    (data / "test" / "c#2" / "1.png").unlink()
    run = trainer(table(clips={"folder": str(data)}), tmp_path / "run")
    with pytest.raises(InputError, match=r"clips in .*test can be used: .*c#2 has 1 frame"):
        run.run()
    assert run.step == 0


def test_one_clip_alone(tmp_path, caplog):
    as_folder(tmp_path / "set" / "only", pictures())
    assert train(tmp_path / "set", tmp_path).is_file()
    assert f"{tmp_path / 'set' / 'only'} is the only clip" in caplog.text


def test_a_recipe_with_a_wrong_type_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntask = "fomm"\n[model]\n[[stages]]\nname = "one"\nsteps = "many"\n')
    with pytest.raises(ConfigError, match=r"mine\.toml, stages\.0, steps must be a whole number, not 'many'"):
        Recipe.load(path)
    path.write_text('name = "mine"\ntask = "fomm"\n[model]\nnum_kp = "ten"\n[[stages]]\nname = "one"\nsteps = 1\n')
    with pytest.raises(ConfigError, match="num_kp"):
        toolkit.train(path, output=tmp_path / "run", progress=False)


@pytest.mark.parametrize("other", ["family", "size"])
def test_weights_of_another_model(data, tmp_path, other):
    """Another family's, or the same family's of another width."""
    model = {"model.common_params.num_kp": 4} if other == "size" else {}
    settings = {"clips.folder": str(data), **model}
    first = trainer(table("mraa" if other == "family" else "fomm"), tmp_path / "first", **settings)
    first.folder.mkdir()
    checkpoint = first.save()
    run = trainer(table(), tmp_path / "run", **{"clips.folder": str(data)})
    with pytest.raises(CheckpointError, match=rf"{checkpoint.name} cannot be begun with") as error:
        run.run(init=checkpoint)
    assert "same model" in error.value.remedy and run.step == 0
    first.task.close()

"""Names of files that can't be any: what was meant is said, whoever asks."""

import pytest

import toolkit
from toolkit import media, zoo
from toolkit.__main__ import main
from toolkit.errors import CheckpointError, InputError, OutputError, ToolkitError
from toolkit.media.files import LONGEST, check_input
from toolkit.paths import is_folder

SAMPLES = toolkit.sample("picture.png"), toolkit.sample("driving.mp4")
PASTED = "data:image/png;base64," + "iVBORw0KGgo/" * 600
WRONG = {  # what was given for a file -> what is said of it
    PASTED: r"^data:image/png.{20,50}… is an address, not a file\. Download it",
    "https://example.com/me.png": "^https://example.com/me.png is an address, not a file",
    "a" * 300 + ".mp4": r"^a{60}… is too long for a file's name\. Give the path",
    "~nobody-at-all/me.png": "There is no file ~nobody-at-all",
    "me\0.png": "There is no file me\0.png",
}
MODELS = {  # the same of what was given for a model
    "x" * 5000: "There is no model 'x{300}…'. There is: mini-fomm",
    "x" * 5000 + ".pth": r"There is no file x{300}…\. Check the path",
    "me\0": "There is no model 'me\0'",
    "me\0.pth": "There is no file me\0.pth",
    "~nobody-at-all/me.pth": "There is no file ~nobody-at-all/me.pth",
}


@pytest.mark.parametrize("name", WRONG, ids=["data", "https", "long", "home", "zero byte"])
@pytest.mark.parametrize(
    "read",
    [
        lambda name: check_input(name, "picture"),
        media.read_picture,
        media.probe,
        media.probe_sound,
        media.check_sound,
        toolkit.Clip.open,
        toolkit.faces.find,
        lambda name: toolkit.animate(name, toolkit.sample("driving.mp4"), progress=False),
        lambda name: toolkit.animate(toolkit.sample("picture.png"), name, progress=False),
    ],
    ids=["check", "picture", "clip", "sound", "given sound", "Clip", "find", "animate picture", "animate clip"],
)
def test_what_is_no_file_is_said(name, read):
    with pytest.raises(InputError, match=WRONG[name]):
        read(name)


@pytest.mark.parametrize("name", MODELS, ids=["long", "long file", "zero byte", "zero byte file", "home"])
@pytest.mark.parametrize(
    "read",
    [
        toolkit.load,
        lambda name: toolkit.animate(*SAMPLES, model=name, progress=False),
        lambda name: toolkit.compare(*SAMPLES, models=[name], progress=False),
        lambda name: toolkit.crop(SAMPLES[0], model=name),
        lambda name: toolkit.evaluate(name),
        lambda name: toolkit.evaluate(name, data="puppets", clips=1),
        lambda name: toolkit.export(name, "me.safetensors"),
        lambda name: toolkit.train("mini-fomm", init=name, progress=False),
    ],
    ids=["load", "animate", "compare", "crop", "evaluate", "evaluate clips", "export", "train"],
)
def test_what_is_no_model_is_said(name, read):
    with pytest.raises(CheckpointError, match=MODELS[name]):
        read(name)


def test_the_command_says_it_too(capsys):
    assert main(["evaluate", "x" * 5000]) == 2
    said = capsys.readouterr().err
    assert f"error: There is no model '{'x' * 300}…'." in said and len(said) < 1200


@pytest.mark.parametrize(
    "name", ["x" * 5000, "x/" * 4000, "me\0", "~nobody-at-all"], ids=["long", "deep", "zero", "home"]
)
@pytest.mark.parametrize(
    "read",
    [
        zoo.verify,
        toolkit.fetch,
        toolkit.sample,
        toolkit.train,
        lambda name: toolkit.train(f"{name}.toml"),
        lambda name: toolkit.train("fomm-vox-256", data=name),
        lambda name: toolkit.prepare(name, progress=False),
        lambda name: toolkit.evaluate("mini-fomm", data=name),
        lambda name: toolkit.animate(*SAMPLES, landmarks=name, progress=False),
        lambda name: toolkit.animate(SAMPLES[0], f"{name}.safetensors", progress=False),
    ],
    ids=["verify", "fetch", "sample", "recipe", "toml", "data", "prepare", "clips", "landmarks", "motion"],
)
def test_nobody_is_taken_by_surprise(name, read):
    with pytest.raises(ToolkitError) as told:
        read(name)
    assert len(str(told.value)) < 1200


def test_it_is_said_in_chinese(monkeypatch):
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    for name, said in zip(
        WRONG, ("是网址，不是文件。请先下载", "是网址", "太长，不能作文件名。请给出图片的路径", "没有文件")
    ):
        with pytest.raises(InputError) as told:
            check_input(name, "picture")
        assert said in str(told.value).replace(" ", "")


def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_dir", forbidden)
    assert not is_folder(tmp_path)
    with pytest.raises(InputError, match="cannot be opened: Permission denied"):
        check_input(tmp_path / "me.png", "picture")


def test_results_that_can_have_no_such_name(tmp_path):
    with pytest.raises(OutputError, match=r"… is too long for a file's name\. Choose a shorter one"):
        media.check_output(tmp_path / ("a" * 300 + ".mp4"))
    with pytest.raises(OutputError, match="nobody has that home folder"):
        media.check_output("~nobody-at-all/me.mp4")
    with pytest.raises(OutputError, match="cannot be written: embedded null.* Choose another name"):
        media.check_output(tmp_path / "me\0.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_free_name_is_one_that_a_file_can_have(tmp_path):
    """Of a picture, a clip and a model with long names each, in letters of three bytes."""
    path = media.free_name(tmp_path / ("唱" * 150 + ".mp4"))
    assert len(path.name.encode()) <= LONGEST and path.name.startswith("唱唱") and path.suffix == ".mp4"
    path.touch()
    other = media.free_name(tmp_path / ("唱" * 150 + ".mp4"))
    assert other.stem == path.stem + "-2"
    for name in ("short.mp4", "not\udcffin UTF-8.mp4"):  # as Python reads such a name
        assert media.free_name(tmp_path / name) == tmp_path / name

"""Names of files that can't be any: what was meant is said, whoever asks."""

import pytest

import toolkit
from toolkit import media
from toolkit.errors import InputError, OutputError
from toolkit.media.files import LONGEST, check_input, is_folder

PASTED = "data:image/png;base64," + "iVBORw0KGgo/" * 600
WRONG = {  # what was given for a file -> what is said of it
    PASTED: r"^data:image/png.{20,50}… is an address, not a file\. Download it",
    "https://example.com/me.png": "^https://example.com/me.png is an address, not a file",
    "a" * 300 + ".mp4": r"^a{60}… is too long for a file's name\. Give the path",
    "~nobody-at-all/me.png": "There is no file ~nobody-at-all",
}


@pytest.mark.parametrize("name", WRONG, ids=["data", "https", "long", "home"])
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
    assert list(tmp_path.iterdir()) == []


def test_a_free_name_is_one_that_a_file_can_have(tmp_path):
    """Of a picture, a clip and a model with long names each, in letters of three bytes."""
    path = media.free_name(tmp_path / ("唱" * 150 + ".mp4"))
    assert len(path.name.encode()) <= LONGEST and path.name.startswith("唱唱") and path.suffix == ".mp4"
    path.touch()
    other = media.free_name(tmp_path / ("唱" * 150 + ".mp4"))
    assert other.stem == path.stem + "-2"
    assert media.free_name(tmp_path / "short.mp4") == tmp_path / "short.mp4"

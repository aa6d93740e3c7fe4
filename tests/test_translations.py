"""Messages in Chinese: every one there is, the parts of which one is made, and everywhere that people read them."""

import ast
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from toolkit import errors, platform
from toolkit.__main__ import main
from toolkit.clip import Clip
from toolkit.doctor.report import Finding, Report
from toolkit.errors import ConfigError, InputError
from toolkit.progress import Progress
from toolkit.translations import HOLE, JOINTS, catalogue, columns, padded, parse, translate
from toolkit.translations.__main__ import differences
from toolkit.translations.gather import bare, messages, of_code
from toolkit.translations.silent import SILENT
from toolkit.zoo import table

ROOT = Path(__file__).resolve().parent.parent
ERRORS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
LANGUAGES = pytest.mark.parametrize("language", JOINTS)


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("TOOLKIT_LANG", "zh")


# -- the catalogue ----------------------------------------------------------------------------------------------------


@LANGUAGES
def test_every_message_is_translated(language):
    wrong = differences(catalogue(language), messages())
    assert not wrong, f"\n{language}.po:\n{wrong}"


def test_every_language_of_the_panels_has_a_catalogue():
    assert {"en", *JOINTS} == set(platform.LANGUAGES)


@LANGUAGES
def test_translations_say_the_same(language):
    for message, said in catalogue(language).items():
        assert sorted(HOLE.findall(said)) == sorted(HOLE.findall(message)), f"{said}: not the placeholders of {message}"
        assert said.strip() == said != message, f"{message} is not translated"
        assert "}{" not in message, f"nobody can tell where the one ends and the other begins: {message}"


def test_one_word_for_one_thing():
    """你, not 您; a licence is 许可证, in messages, panels, notebooks and the README."""
    files = [*(ROOT / "notebooks" / "source").glob("*.md"), ROOT / "README.zh-CN.md", ROOT / "toolkit/ui/words.py"]
    for path in [*files, ROOT / "toolkit" / "translations" / "zh.po"]:
        text = path.read_text(encoding="utf-8")
        assert "您" not in text, path.name
        assert not re.search("(?<!任何)许可(?!证)", text), path.name


@LANGUAGES
def test_no_message_is_taken_for_another(language):
    for message, said in catalogue(language).items():
        text = translate(HOLE.sub(r"x.\1", message), language)  # with a dot, as names have: see the next test
        assert text.replace(" ", "") == HOLE.sub(r"x.\1", said).replace(" ", "")


@pytest.mark.parametrize(
    "text", ["Connection is closed.", "Access is denied.", "the kernel is dead.", "Wi-Fi is off.", "Red, not blue"]
)
def test_a_message_of_the_system_is_not_taken_for_ours(text):
    """Where little stands between placeholders, the first is a setting's name, a file's or a number."""
    assert translate(text, "zh") == text
    assert translate(f"It has no sound. {text}", "zh") == f"它没有声音。{text}"


@pytest.mark.parametrize("name", ["stages.0.lr", "test_share", "--size", "strength", "smooth"])
def test_a_setting_is_known_by_its_name(name):
    assert translate(f"{name} is 'abc'.", "zh") == f"{name} 的值是 'abc'。"


def test_messages_are_found_wherever_they_are_written():
    code = """
\"\"\"A docstring is no message.\"\"\"
KINDS = {"a key of it": "is no clip of ours"}

def check(path: "no type is one", size, strict):
    \"\"\"Nor is this.\"\"\"
    what = f"The {'clip' if path.is_clip else 'picture'} {path.name} has {size:.1f} of {path.size} bytes."
    if size == "what is compared":
        raise InputError(what + " It is cut off.", ", ".join(f"get {one} again" for one in size) or "Gone")
    words("a key of the panels"); re.match("a pattern of it", path); note = f"{path}: {size}"
"""
    assert list(of_code(code)) == [
        "is no clip of ours",
        "The clip {name} has {size} of {size2} bytes.",
        "The picture {name} has {size} of {size2} bytes.",
        "{what} It is cut off.",
        "get {one} again",
        "Gone",
    ]


def test_every_plain_word_of_an_error_is_among_them():
    known = {bare(message) for message in messages()} | SILENT
    raised = 0
    for path in (ROOT / "toolkit").rglob("*.py"):
        for call in (part for part in ast.walk(ast.parse(path.read_text())) if isinstance(part, ast.Call)):
            if getattr(call.func, "id", "") in ERRORS:
                plain = [part.value for part in call.args if isinstance(part, ast.Constant)]
                assert {text.strip() for text in plain} <= known, f"{path}, line {call.lineno}"
                raised += len(plain)
    assert raised > 100


def test_what_to_add_and_to_remove_is_said():
    said = differences(
        {"It is {size}.": "…", "An old one.": "旧的。"}, {"It is {side}.": "a.py", 'A "new" one.': "b.py"}
    )
    assert '#: b.py\nmsgid "A \\"new\\" one."\nmsgstr ""' in said and 'msgid "An old one."' in said
    assert "It is" not in said, "what a placeholder is called makes no difference"
    assert not differences({"It is {size}.": "…"}, {"It is {side}.": "a.py"})
    assert "It is" in differences({"It is {size}.": ""}, {"It is {side}.": "a.py"})
    assert bare("{a} of {b}") == "{} of {}"


def test_catalogues_are_gettexts():
    head, entry = '# a note\nmsgid ""\nmsgstr "Language: zh\\n"\n\n', '#: a.py\nmsgid "a \\"b\\""\nmsgstr "甲"\n\n'
    assert parse(f'{head}{entry}msgid "c"\nmsgstr ""\n') == {'a "b"': "甲", "c": ""}


# -- messages of several parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message, said",
    [
        ("a b.mp4 is a folder, not a clip. Name the clip in it.",
         "a b.mp4 是文件夹，不是视频。请写出其中视频的文件名。"),
        ("No face was found in a.png: p saw no face (it knows drawn heads); c saw no face (it knows drawn heads).",
         "在 a.png 中没有找到人脸：p 没有看到人脸（它认识画出来的头像）；c 没有看到人脸（它认识画出来的头像）。"),
        ("x.pth is cut off: it has 1,000 bytes, not about 2,000.", "x.pth 不完整：它有 1,000 字节，而不是约 2,000。"),
        ("Its first frame is not neutral: the mouth is open and the face is turned.",
         "它的第一帧不是中性姿势：嘴是张开的、脸是侧着的。"),
        ("'x.y' in the configuration is 'a' (str). Give a whole number from 1 on or true or false.",
         "配置中的“x.y”是 'a' (str)。请给出不小于 1 的整数或 true 或 false。"),
        ("It has no sound.\n  - Google Drive 1Py: it refuses (403)",
         "它没有声音。\n  - Google Drive 1Py: 被拒绝 (403)"),
        ("The disk says no. It has no sound.", "The disk says no. 它没有声音。"),
            ("a.mp4 is 10.00 s long. A trim cannot begin at 90 s.", "a.mp4 长 10.00 秒。trim 不能从 90 秒开始。"),
    ],
)  # fmt: skip
def test_parts_of_a_message_are_translated_too(message, said):
    assert translate(message, "zh") == said


@pytest.mark.parametrize(
    "text", ["", " ", "Something else entirely.", "has, or has not; and so on: no", "x" * 5000, "a. b; " * 5000]
)
def test_what_is_no_message_stays(text):
    assert translate(text, "zh") == text


@pytest.mark.parametrize("name", ["/data/picture and clip/it is empty.mp4", "face (1).mp4", "我的 视频.mp4"])
def test_names_of_files_stay_as_they_are(name):
    assert name in translate(f"{name} has no sound. Choose another file, or none.", "zh")


def test_english_stays():
    assert translate("It has no sound.", "en") == "It has no sound."


# -- where people read them -------------------------------------------------------------------------------------------


def test_an_error_speaks_the_language_of_the_environment(monkeypatch):
    error = InputError("a.mp4 is not a clip.", "Give a clip of somebody moving.")
    assert str(error) == "a.mp4 is not a clip. Give a clip of somebody moving."
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    assert str(error) == "a.mp4 不是视频。请给出有人在动的视频。"
    assert f"{error}" == "a.mp4 is not a clip. Give a clip of somebody moving.", "for messages that hold it"
    assert error.what == "a.mp4 is not a clip."
    assert str(InputError("a.mp4 is not a clip.")) == "a.mp4 不是视频。"


def test_a_language_that_is_none_is_said_in_english(monkeypatch):
    monkeypatch.setenv("TOOLKIT_LANG", "tlh")
    with pytest.raises(ConfigError, match="TOOLKIT_LANG is 'tlh'. Set it to one of: en, zh."):
        platform.language()


def test_the_command_line(chinese, capsys):
    assert main(["fetch", "tpsmm-vo"]) == 2
    assert capsys.readouterr().err == "错误：模型库中没有“tpsmm-vo”。\n       你是想说“tpsmm-vox”吗？\n"


def test_the_doctors_report(chinese):
    report = Report((Finding("warning", "clip", "It shows 3 people.", "", 'pick={"clip": 1} for the next'),))
    assert repr(report) == '警告     视频: 画面中有 3 个人。\n         -> 用 pick={"clip": 1} 选下一个人'
    assert "画面中有 3 个人。" in report._repr_html_() and "#c0392b" in report._repr_html_()
    assert report.findings[0].what == "It shows 3 people."


def test_the_zoo(chinese):
    shown, page = str(table()), table()._repr_html_()
    assert "说话的脸" in shown and "权重许可证" in page and "talking faces" not in shown + page
    head, *_, row = [line for line in shown.splitlines() if line.startswith(("名称", "tpsmm-vox"))]
    assert columns(head[: head.index("用途")]) == columns(row[: row.index("说话的脸")]), (
        "columns stand below each other"
    )
    assert "说话的脸" in table().markdown() and "talking faces" not in table().markdown(), "for README.zh-CN.md"


def test_progress(chinese, capsys):
    with Progress(True) as bar:
        bar.start("reading the motion", 2)
        bar.say("It has no sound.")
        bar.step(2)
    out = capsys.readouterr()
    assert "正在读取动作" in out.err and "它没有声音。" in out.out
    told = []
    Progress(lambda *report: told.append(report)).start("reading the motion", 2)
    assert told == [("reading the motion", 0, 2)], "a function gets what the code says"


def test_warnings_are_translated():
    for path in (ROOT / "toolkit").rglob("*.py"):
        for call in (part for part in ast.walk(ast.parse(path.read_text())) if isinstance(part, ast.Call)):
            if ast.unparse(call.func) in ("warnings.warn", "LOG.warning"):
                assert ast.unparse(call.args[0]).startswith("translate("), f"{path}, line {call.lineno}"


def test_a_clip(chinese):
    clip = Clip(Path("a.mp4"), Fraction(25), 50, (64, 48), has_sound=True)
    assert str(clip) == "a.mp4（48 x 64，2.0 秒，每秒 25 帧，有声音）"


def test_a_panel_speaks_its_own_language(monkeypatch):
    from toolkit.ui.card import card
    from toolkit.ui.words import Words
    from toolkit.ui.work import failure

    error = InputError("a.mp4 is not a clip.", "Give a clip of somebody moving.")
    assert "a.mp4 不是视频。" in failure(error, Words("zh")) and "a.mp4 is not a clip." in failure(error, Words("en"))
    assert Words("zh").told("animating") == "正在生成"
    monkeypatch.setenv("TOOLKIT_LANG", "zh")
    assert "a.mp4 不是视频。" in card(error.what) and "a.mp4 is not a clip." in failure(error, Words("en"))


def test_columns():
    assert columns("ab 中文") == 7 and padded("中文", 6) == "中文  " and padded("long", 2) == "long"


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from toolkit.translations import translate; print(translate('It has no sound.', 'zh')); "
        "print(sorted({'torch', 'numpy', 'ipywidgets', 'IPython'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", env=UTF8, check=True
    )
    assert run.stdout.split() == ["它没有声音。", "[]"]


UTF8 = {"PYTHONIOENCODING": "utf-8"}

"""The notebooks are what their sources say; each runs from top to bottom, offline, and shows what it promises."""

import ast
import fnmatch
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from toolkit.training import Recipe, names
from toolkit.training.checks import TERMS
from toolkit.translations import catalogue
from toolkit.ui import loss_figures, words

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [ROOT / "index.ipynb", *sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
CHINESE = sorted((ROOT / "notebooks" / "zh").glob("*.ipynb"))
MIME = {"video": "data:video/mp4;base64,", "png": "image/png", "sliders": "widget-view", "card": 'role="alert"'}
SMALL = ("index", "00_setup", "03_animate")  # what people begin with, and send around: below 2 MB when it has run
PROMISED = {  # what must be seen, and how often at least
    "index": {"sliders": 1},
    "00_setup": {"video": 1, "png": 1},
    "01_weights": {"png": 1, "card": 1, "<table>": 1, "drawn heads": 1, "is a web page": 1, "cut off": 1},
    "02_crop_and_align": {"video": 6, "png": 11, "FloatSlider": 1, "68 landmarks": 6, "was lost": 1, "<table>": 2},
    "03_animate": {"video": 5, "png": 1, "sliders": 1},
    "04_sound": {"video": 3, "png": 4, "0.000 ms": 3},
    "05_how_it_works": {"sliders": 10, "fomm: ": 1, "tpsmm: ": 1},
    "06_train_on_your_data": {
        "video": 2,
        "png": 13,
        "sliders": 3,
        ", after 0.": 1,
        "test/verdi": 1,
        "model.safetensors": 2,
    },
    "07_compare_models": {"video": 1, "png": 4, "sliders": 1, "<table>": 3, "copyist": 1, "± ": 2, "held-out": 1},
}


def load_builder():
    spec = importlib.util.spec_from_file_location("notebooks_build", ROOT / "notebooks" / "build.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_QUICK", "1")
    check(executed(path, tmp_path, monkeypatch), PROMISED[path.stem])


@pytest.mark.long
@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_it_runs_in_chinese(path, tmp_path, monkeypatch):
    """What is promised in words is promised in English words; pictures, clips and controls are the same."""
    monkeypatch.setenv("TOOLKIT_QUICK", "1")
    promised = {what: times for what, times in PROMISED[path.stem].items() if what in MIME or what.startswith("<")}
    check(executed(path, tmp_path, monkeypatch), promised)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_at_full_length(path, tmp_path, monkeypatch):
    monkeypatch.delenv("TOOLKIT_QUICK", raising=False)
    check(executed(path, tmp_path, monkeypatch), PROMISED[path.stem])


def executed(path, folder, monkeypatch):
    """Run a notebook in a folder -> all that its cells show, as one text. Raises what a cell raises. As a file, with
    what its controls hold, it stays small.
    """
    monkeypatch.setenv("TOOLKIT_ROOT", str(ROOT))
    monkeypatch.delenv("TOOLKIT_LANG", raising=False)  # the notebook says which
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in code_of(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    if path.stem in SMALL:
        assert len(nbformat.writes(notebook).encode()) < 2_000_000
    return "\n".join(map(_text, outputs))


def check(shown, promised):
    assert "Traceback" not in re.sub(r"<details>.*?</details>", "", shown, flags=re.DOTALL)
    for what, times in promised.items():
        assert shown.count(MIME.get(what, what)) >= times, what


def _text(output):
    if output.output_type == "stream":
        return output.text
    data = output.get("data", {})
    return "\n".join([*data, data.get("text/html", ""), data.get("text/plain", "")])


@pytest.mark.parametrize("path", [*NOTEBOOKS, *CHINESE], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_is_clean_in_git(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = code_of(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert max(len(cell.source.splitlines()) for cell in code[1:]) <= 16, "short cells"


def test_they_are_what_their_sources_say():
    built = load_builder().build()
    assert set(built) == {*NOTEBOOKS, *CHINESE}, "run: python notebooks/build.py"
    differing = [path.name for path, content in built.items() if path.read_text(encoding="utf-8") != content]
    assert differing == [], "run: python notebooks/build.py"


def test_both_languages_run_the_same():
    """The same code but for words: comments and texts in quotation marks."""

    def shape(cell):
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        return ast.dump(tree)

    for path in CHINESE:
        english = nbformat.read(ROOT / "notebooks" / path.name, as_version=4)
        chinese = nbformat.read(path, as_version=4)
        assert [shape(cell) for cell in code_of(english)] == [shape(cell) for cell in code_of(chinese)]
        texts = [cell.source for cell in chinese.cells if cell.cell_type == "markdown"]
        assert all(re.search("[\u4e00-\u9fff]", text) for text in texts), "a text without a word of Chinese"


def test_emphasis_begins_and_ends():
    """A closing ** after a Chinese stop and before a letter closes nothing: Markdown would show the stars."""

    def solid(before, after):  # whether stars between these two characters hold on to `before`
        sign = [bool(re.match(r"[^\w\s]", character)) for character in (before, after)]
        return not before.isspace() and (not sign[0] or sign[1] or after.isspace())

    read = [nbformat.read(path, as_version=4).cells for path in CHINESE]
    texts = [cell.source for cells in read for cell in cells if cell.cell_type == "markdown"]
    readme = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    for source in [*texts, re.sub(r"^```.*?^```$", "", readme, flags=re.DOTALL | re.MULTILINE)]:
        text = re.sub(r"`[^`]*`|^    .*$|\$.*?\$", "x", source, flags=re.MULTILINE)
        stars = list(re.finditer(r"\*+", text))
        assert len(stars) % 2 == 0, text
        for number, star in enumerate(stars):
            before, after = f" {text} "[star.start()], f" {text} "[star.end() + 1]
            assert solid(after, before) if number % 2 == 0 else solid(before, after), text[star.start() - 20 :][:40]


def quoted_in_english(text):
    """What a Chinese text emphasises or quotes in English although the screen says it in Chinese."""
    plain = re.sub(r"`[^`]*`|^    .*$|\]\([^)]*\)", "", text, flags=re.MULTILINE)
    said = re.findall(r"\*{1,2}([^*\n]+)\*{1,2}|\"([^\"\n]+)\"|“([^”\n]+)”", plain)
    labels = {english.lower() for english, _ in words.TEXTS.values()} | {one.lower() for one in catalogue("zh")}
    found = []
    for one in map("".join, said):
        pieces = [re.escape(piece.strip().lower()) for piece in one.split("…")]
        several = len(one.replace("…", " ").split()) > 1 and not re.search("[\u4e00-\u9fff]", one)
        within = several and any(re.search(".*".join(pieces), label) for label in labels)
        found += [one] * (within or one.strip(" .").lower() in labels)
    return found


def test_chinese_texts_quote_what_stands_on_the_screen():
    """The first cell chooses Chinese: who looks for an English label or message would look in vain."""
    builder = load_builder()
    for source in [*builder.sources(), builder.read(builder.SOURCES / "index.md")]:
        for kind, said in source.cells:
            assert kind == "code" or not quoted_in_english(said.get("zh", "")), source.name
    seen = '按 **Animate**，*from second*，"… is a web page"，“none stated”，*here* 一列'
    assert quoted_in_english(seen) == ["Animate", "from second", "… is a web page", "none stated", "here"]
    assert not quoted_in_english('`model` 和 *Run → Run All Cells*，"relative" 和**生成动画**，“没有文件……”')


def test_sliders_speak_chinese_and_figures_say_why_they_do_not():
    """Matplotlib has no Chinese letters on most machines: the words in figures are English, and the text says so."""
    for path in CHINESE:
        notebook = nbformat.read(path, as_version=4)
        code = "\n".join(cell.source for cell in code_of(notebook))
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func).endswith("Slider"):
                named = [one.value for one in call.keywords if one.arg in ("description", None)]
                assert named, ast.unparse(call)
                assert not any(ast.unparse(one).isascii() for one in named if isinstance(one, ast.Constant))
        if re.search(r"set_title|figures\.picture|[xy]label|row\(", code):
            told = "图中的文字保持英文" in "".join(cell.source for cell in notebook.cells)
            assert told or path.stem == "01_weights", path.name  # its figure has nothing but names and MB


def test_every_notebook_has_what_a_lesson_has():
    for path in NOTEBOOKS[1:]:
        texts = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        for part in ("**Goal.**", "**Time.**", "Open in Colab", "## What went wrong?", "## Exercises", "Answers"):
            assert part in texts, (path.name, part)


def test_every_loss_is_explained_by_a_picture():
    """A row of a table and a picture for each loss that a recipe may name; the recipes that the row names have it."""
    known = {term for terms in TERMS.values() for term in terms}
    weighed = {name: {term for stage in Recipe.load(name).stages for term in stage.weights} for name in names()}
    for path in (ROOT / "notebooks", ROOT / "notebooks" / "zh"):
        notebook = nbformat.read(path / "06_train_on_your_data.ipynb", as_version=4)
        texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        code = "\n".join(cell.source for cell in code_of(notebook))
        rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", texts, re.MULTILINE)
        assert sorted(name for name, _, _ in rows) == sorted(known), path
        for name, _, told in rows:
            patterns = re.findall(r"`([^`]+)`", told)
            meant = {recipe for recipe in weighed for one in patterns if fnmatch.fnmatchcase(recipe, one)}
            assert all(fnmatch.filter(weighed, one) for one in patterns), (name, told)
            assert patterns and [recipe for recipe in meant if name not in weighed[recipe]] == [], (name, told)
        drawn = [
            name for group in re.findall(r"explained\.sheet\(\"(\w+)\"\)", code) for name in loss_figures.GROUPS[group]
        ]
        assert sorted(drawn) == sorted(loss_figures.NAMES)
        for name in known - {*drawn}:
            assert re.search(rf"\blosses\.{name}|\"{name}\"", code), f"{name} has no picture"


def test_links_lead_somewhere():
    for path in [*NOTEBOOKS, *CHINESE]:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for link in re.findall(r"\]\(([^)#\s]+)\)", "".join(cell["source"])):
                    if not link.startswith(("https://", "data:")):
                        assert (path.parent / link).is_file(), (path.name, link)


def test_what_colab_opens_is_in_the_repository():
    """Colab knows nothing beside the notebook: the badge has its picture in it, the last line whole addresses."""
    builder = load_builder()
    for path in [*NOTEBOOKS, *CHINESE]:
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
        links = re.findall(r"\]\((https://[^)]+)\)", "\n".join(cells))
        there = [ROOT / link.removeprefix(f"{builder.COLAB}/") for link in links if link.startswith(builder.COLAB)]
        assert path in there and all(file.is_file() for file in there), path.name
        assert re.search(r"\[!\[[^]]+\]\(data:image/png;base64,[\w+/=]+\)\]\(https://colab", cells[0])
        if path.stem == "index":
            assert {*NOTEBOOKS, *CHINESE} <= {*there}
        else:
            local = re.findall(r"\]\(([^)]+)\)", cells[-1].split("In Colab:")[0].split("在 Colab 中：")[0])
            assert local and {(path.parent / link).resolve() for link in local} <= {*there}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_git_the_first_cell_says_what_to_do(language, tmp_path):
    builder = load_builder()
    code = builder.FIRST.replace("{repository}", "https://nowhere.invalid/x")
    (tmp_path / "first.py").write_text(builder._one(code, language), encoding="utf-8")
    environment = {"PATH": str(tmp_path), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "first.py"], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8"
    )
    said = {"en": "The toolkit can't be fetched: upload it", "zh": "无法下载工具包：请上传它"}[language]
    assert done.returncode == 1 and done.stderr.startswith(said), done.stderr


def test_the_repository_is_named_in_one_place():
    builder = load_builder()
    owner = builder.REPOSITORY.removeprefix("https://github.com/")
    assert owner.count("/") == 1
    for file in [*(ROOT / "notebooks" / "source").iterdir(), ROOT / "notebooks" / "build.py"]:
        assert owner not in file.read_text(encoding="utf-8"), file.name
    for path in [*NOTEBOOKS, *CHINESE]:
        assert builder.REPOSITORY in path.read_text(encoding="utf-8")


def test_a_source_that_lacks_a_language_is_refused(tmp_path):
    builder = load_builder()
    head = "---\ntitle: A ‖ 甲\ngoal: B ‖ 乙\ntime: C ‖ 丙\n---\n"
    (tmp_path / "09_x.md").write_text(head + "<!-- en -->\nOnly English.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="09_x.md: not in en and zh: text Only English"):
        builder.read(tmp_path / "09_x.md")
    (tmp_path / "09_x.md").write_text(head + "```python\nx = 1  # ⟦one‖一⟧\n```\n", encoding="utf-8")
    assert builder.read(tmp_path / "09_x.md").cells == [("code", {"en": "x = 1  # one", "zh": "x = 1  # 一"})]

"""Makes the notebooks from their sources, in English and Chinese: `python notebooks/build.py` (or `make notebooks`).

One source, `notebooks/source/NAME.md`, gives `notebooks/NAME.ipynb` and `notebooks/zh/NAME.ipynb`, so that the two
can't drift apart: the code is shared, and every text stands there in both languages, one below the other. A source is
Markdown that reads well as it is:

    ---                                        what the heading, the start page and the links are made of
    title: Sound ‖ 声音
    goal: … ‖ …
    time: a minute ‖ 一分钟
    ---
    <!-- en -->                                a text cell: English, then Chinese
    <!-- zh -->
    ```python                                  a code cell; ⟦English‖中文⟧ anywhere in it becomes one of the two
    ```

The heading with the badge, the first code cell and the links to the next notebook are the same everywhere and are added
here. Links lead to the files beside the notebook, so that they work offline; Colab, which opens one file of the
repository and knows no others, has its own line of links at the end, and the badge's picture is in the notebook. A
source whose title has no "‖" is English alone. `index.md` gives the start page `index.ipynb` at the root, both
languages on one page. The repository's address is that of pyproject.toml. Notebooks are written without outputs; a test
compares them with their sources.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
import sys
import tomllib
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "notebooks" / "source"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
COLAB = REPOSITORY.replace("https://github.com/", "https://colab.research.google.com/github/") + "/blob/main"
BADGE = base64.b64encode((ROOT / "notebooks" / "pictures" / "colab.png").read_bytes()).decode()
LANGUAGES = ("en", "zh")
EITHER = re.compile(r"⟦(.*?)‖(.*?)⟧", re.DOTALL)
PART = re.compile(r"^(?:<!-- (en|zh) -->|```python)\n", re.MULTILINE)

FIRST = """\
# ⟦Find the toolkit, or fetch it; install only what can't be imported; say where things are kept.‖\
找到或下载工具包；只安装缺少的库；说明文件保存在哪里。⟧
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TOOLKIT_LANG", "⟦en‖zh⟧")
REPOSITORY = os.environ.get("TOOLKIT_REPOSITORY", "{repository}")
near = [Path(os.environ.get("TOOLKIT_ROOT", ".")), Path.cwd(), *Path.cwd().parents]
near = [*near, Path("living-pictures")]
root = next((place for place in near if (place / "toolkit" / "__init__.py").exists()), None)
if root is None and importlib.util.find_spec("toolkit") is None:
    git = shutil.which("git")
    if not git or subprocess.run([git, "clone", "--depth", "1", REPOSITORY, "living-pictures"]).returncode:
        raise SystemExit("⟦The toolkit can't be fetched: upload it, and set TOOLKIT_ROOT.‖\
无法下载工具包：请上传它，并设置 TOOLKIT_ROOT。⟧")
    root = Path("living-pictures")
if root is not None:
    sys.path.insert(0, str(root.resolve()))

from toolkit import platform

here = platform.prepare()
QUICK = bool(os.environ.get("TOOLKIT_QUICK"))  # ⟦the tests run less of everything‖测试时只运行一小部分⟧"""

WORDS = {
    "en": {
        "badge": "Open in Colab",
        "other": ("中文", "zh/{name}.ipynb"),
        "goal": "**Goal.** {}",
        "time": "**Time.** {}",
        "next": "Next: ",
        "contents": "Contents",
        "colab": "In Colab: ",
    },
    "zh": {
        "badge": "在 Colab 中打开",
        "other": ("English", "../{name}.ipynb"),
        "goal": "**目标**：{}",
        "time": "**用时**：{}",
        "next": "下一篇：",
        "contents": "目录",
        "colab": "在 Colab 中：",
    },
}


@dataclass(frozen=True)
class Source:
    """name: of the notebook ("04_sound"). head: title, goal and time, {language: words} each. cells: ("text" or "code",
    {language: content}).
    """

    name: str
    head: dict[str, dict[str, str]]
    cells: list[tuple[str, dict[str, str]]]

    @property
    def number(self) -> str:
        return self.name.partition("_")[0]

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.head["title"])

    def title(self, language: str) -> str:
        return f"{self.number} · {self.head['title'][language]}"


def read(path: Path) -> Source:
    """Read a source. Raises ValueError for one that lacks a language somewhere."""
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    pairs = dict(line.split(": ", 1) for line in front.strip().splitlines())
    languages = LANGUAGES if "‖" in pairs["title"] else LANGUAGES[:1]
    head = {key: dict(zip(languages, map(str.strip, value.split("‖")), strict=True)) for key, value in pairs.items()}
    cells: list[tuple[str, dict[str, str]]] = []
    parts = PART.split(body)
    if parts[0].strip():
        raise ValueError(f"{path}: text before the first mark: {parts[0].strip()[:60]}")
    for mark, content in zip(parts[1::2], parts[2::2], strict=True):
        if mark is None:
            code, end, after = content.partition("\n```\n")
            if not end or after.strip():
                raise ValueError(f"{path}: a code cell that doesn't end well: {content.strip()[:60]}")
            cells.append(("code", {language: _one(code, language) for language in languages}))
        elif mark == "en":
            cells.append(("text", {"en": content.strip()}))
        else:
            cells[-1][1]["zh"] = content.strip()
    for kind, said in cells:
        if set(said) != set(languages):
            raise ValueError(f"{path}: not in {' and '.join(languages)}: {kind} {next(iter(said.values()))[:60]}")
    return Source(path.stem, head, cells)


def sources() -> list[Source]:
    """The guided notebooks, in order."""
    return [read(path) for path in sorted(SOURCES.glob("[0-9]*.md"))]


def build() -> dict[Path, str]:
    """Every notebook, as path -> content."""
    made, every = {}, sources()
    for source, after in zip(every, [*every[1:], None]):
        for language in source.languages:
            folder = ROOT / "notebooks" / ("" if language == "en" else language)
            made[folder / f"{source.name}.ipynb"] = _notebook(_guided(source, after, language))
    made[ROOT / "index.ipynb"] = _notebook(_index(read(SOURCES / "index.md"), every))
    return made


def _guided(source: Source, after: Source | None, language: str) -> list[tuple[str, str]]:
    words, place = WORDS[language], _place(language)
    contents = words["contents"], "../" * len(place.split("/")) + "index.ipynb"
    links = [contents]
    if len(source.languages) > 1:
        links.append((words["other"][0], words["other"][1].format(name=source.name)))
    head = [f"# {source.title(language)}"]
    head.append(" · ".join([_badge(f"{place}/{source.name}.ipynb", language), *starmap(_link, links)]))
    head += [words[key].format(source.head[key][language]) for key in ("goal", "time")]
    cells = [(kind, said[language]) for kind, said in source.cells]
    if cells[0][0] == "text":
        head.append(cells.pop(0)[1])
    first = _one(FIRST, language).replace("{repository}", REPOSITORY)
    said = ""
    if after is not None:
        known = language if language in after.languages else "en"
        path = after.name if known == language else f"../{after.name}"
        said = words["next"]
        links.insert(0, (after.title(known), f"{path}.ipynb"))
    online = [(name, f"{COLAB}/{posixpath.normpath(f'{place}/{path}')}") for name, path in links]
    foot = ["---", said + " · ".join(starmap(_link, links[:-1] if len(source.languages) > 1 else links))]
    foot.append(words["colab"] + " · ".join(starmap(_link, online)))
    return [("text", "\n\n".join(head)), ("code", first), *cells, ("text", "\n\n".join(foot))]


def _place(language: str) -> str:
    return "notebooks" if language == "en" else f"notebooks/{language}"


def _link(name: str, path: str) -> str:
    return f"[{name}]({path})"


def _badge(path: str, language: str) -> str:
    """The button that opens a notebook in Colab."""
    return f"[![{WORDS[language]['badge']}](data:image/png;base64,{BADGE})]({COLAB}/{path})"


def _index(page: Source, every: list[Source]) -> list[tuple[str, str]]:
    """The start page: each text in English, then in Chinese; {contents} is the table of the notebooks, {badge} opens it
    in Colab.
    """
    cells = []
    for kind, said in page.cells:
        texts = [
            text.replace("{contents}", _contents(every, language)).replace("{badge}", _badge("index.ipynb", language))
            for language, text in said.items()
        ]
        cells.append((kind, texts[0] if kind == "code" else "\n\n".join(texts)))
    first = _one(FIRST, "en").replace("{repository}", REPOSITORY)
    at = next(i for i, (kind, _) in enumerate(cells) if kind == "code")
    return [*cells[:at], ("code", first.replace('os.environ.setdefault("TOOLKIT_LANG", "en")\n', "")), *cells[at:]]


def _contents(every: list[Source], language: str) -> str:
    lines = ["| | | | |", "|---|---|---|---|"]
    for source in every:
        if language in source.languages:
            path = f"{_place(language)}/{source.name}.ipynb"
            about = [_link(source.title(language), path), source.head["goal"][language], source.head["time"][language]]
            lines.append(f"| {' | '.join([*about, _link('Colab', f'{COLAB}/{path}')])} |")
    return "\n".join(lines)


def _one(text: str, language: str) -> str:
    return EITHER.sub(lambda found: found[1 + LANGUAGES.index(language)], text)


def _notebook(cells: list[tuple[str, str]]) -> str:
    """Cells as the text of a notebook without outputs. A cell's id is made from what it says, so that a new cell
    changes no other one.
    """
    made, ids = [], set()
    for kind, content in cells:
        name = hashlib.sha256(f"{kind} {content}".encode()).hexdigest()[:8]
        while name in ids:
            name = hashlib.sha256(name.encode()).hexdigest()[:8]
        ids.add(name)
        cell = {"cell_type": "markdown", "id": name, "metadata": {}, "source": content.splitlines(keepends=True)}
        if kind == "code":
            cell = {**cell, "cell_type": "code", "execution_count": None, "outputs": []}
        made.append(dict(sorted(cell.items())))
    about = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    whole = {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write what differs."""
    for path, content in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())

"""README.md and README.zh-CN.md say the same: section by section the same commands, names, links, figures, tables."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
FENCED = re.compile(r"^```(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")


def sections(page):
    """[(level of the heading, heading, text below it)]"""
    text = FENCED.sub(lambda block: block[0].replace("\n#", "\n\0"), page.read_text(encoding="utf-8"))
    parts = re.split(r"^(#+) (.+)$", text, flags=re.MULTILINE)
    assert not parts[0].strip()
    return [(len(level), title, body.replace("\n\0", "\n#")) for level, title, body in zip(*[iter(parts[1:])] * 3)]


def commands(body):
    """Fenced blocks without what is said in comments."""
    return [(kind, re.sub(r" *# .*", "", code).split("\n")) for kind, code in FENCED.findall(body)]


def links(body):
    """Where links and pictures lead, in order; a Chinese notebook or screenshot counts as its English twin."""
    twins = (
        (kind, to.replace("notebooks/zh/", "notebooks/").replace("-zh.webp", ".webp"))
        for kind, to in LINK.findall(body)
    )
    found = list(twins)
    return [(kind, "" if to.startswith("#") or to in ("README.md", "README.zh-CN.md") else to) for kind, to in found]


def names(body):
    """What stands in code letters, in any order within a section: Chinese has another one."""
    found = CODE.findall(FENCED.sub("", body))
    return Counter(" ".join(name.split()).replace("notebooks/zh/", "notebooks/") for name in found)


def figures(body):
    """Every number that is no part of a word, a name or a link."""
    plain = LINK.sub("", CODE.sub("", FENCED.sub("", body)))
    return Counter(re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])", re.sub("[\u4e00-\u9fff]", " ", plain)))


def tables(body):
    """For each row of a table the number of its cells and, where it is code, its first one."""
    rows = [line.strip().strip("|").split("|") for line in body.splitlines() if line.startswith("|")]
    return [(len(row), row[0].strip() if row[0].strip().startswith("`") else "") for row in rows]


def lists(body):
    return [re.match(r" *", line)[0] for line in FENCED.sub("", body).splitlines() if re.match(r" *- ", line)]


@pytest.mark.parametrize("what", [commands, links, names, figures, tables, lists])
def test_both_pages_have_the_same(what):
    english, chinese = map(sections, PAGES)
    assert [level for level, *_ in english] == [level for level, *_ in chinese], "the same headings, in the same order"
    for (_, title, body), (_, translated, other) in zip(english, chinese, strict=True):
        assert what(body) == what(other), f"{title} · {translated}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    other = next(path.name for path in PAGES if path != page)
    assert f"]({other})" in page.read_text(encoding="utf-8").split("\n\n")[1], "the other language, at the top"
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for _, title, _ in sections(page)}
    for _, to in LINK.findall(page.read_text(encoding="utf-8")):
        if to.startswith("#"):
            assert to[1:] in anchors, to
        elif not to.startswith("https://"):
            assert (ROOT / to).is_file(), to


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_start_page_opens_in_colab_from_the_repository(page):
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    owner = table["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{owner}/blob/main/index.ipynb"
    assert f"]({address})" in page.read_text(encoding="utf-8")


def test_what_is_looked_at_is_found(tmp_path):
    """The comparison sees a figure, a command, a name and a link that differ."""
    page, seen = tmp_path / "page.md", "# A\n\nOf 64, `x` [b](c.md).\n\n```\nmake demo  # so\n```\n"
    for what, before, after in (
        (figures, "64", "65"),
        (commands, "make demo", "make test"),
        (names, "`x`", "`y`"),
        (links, "c.md", "d.md"),
    ):
        page.write_text(seen, encoding="utf-8")
        first = what(sections(page)[0][2])
        page.write_text(seen.replace(before, after), encoding="utf-8")
        assert first and what(sections(page)[0][2]) != first, what.__name__
    page.write_text(seen.replace("# so", "# 如此").replace("Of 64, ", "共64个，"), encoding="utf-8")
    assert figures(sections(page)[0][2]) == {"64": 1}

"""The messages that stand in the code, found in its syntax: every text that reads as words and that people may see.

Rather too much than too little: whatever string with a word and a space in it is no docstring, no key and no help of
the command line counts as a message. silent.py names the few that nobody reads.
"""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from . import HOLE
from .silent import SILENT, SPOKEN, UNREAD

PACKAGE = Path(__file__).parent.parent
WORD = re.compile(r"[A-Za-z]{2,}")
MARKUP = re.compile(r"</?[a-z]+|\\[dws]|\(\?|%\(|^[\w-]+: [^.]+; [\w-]+: ")  # HTML, patterns, styles
SAYING = {  # a single word is a message too, as an argument of these calls
    *("ToolkitError", "InputError", "OutputError", "CheckpointError", "FetchError", "ConfigError", "Failed"),
    *("Finding", "warn", "say", "start", "report", "translate"),
}
HELP = "_parser"  # the function that makes the command line
SKIPPED = {  # what these calls are given is a key, a pattern, an option; or it is said to programmers
    *("words", "label", "each", "text", "Work", "hasattr", "cast", "TypeVar"),
    *("compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "startswith", "endswith"),
    *("add_argument", "add_parser", "add_argument_group", "ArgumentParser", "ArgumentTypeError"),
    *("NotImplementedError", "AttributeError", "TypeError", "MemoryError", "AssertionError"),
}


def messages() -> dict[str, str]:
    """Every message of the package, and the file (relative to the package) that has it first. Two that differ only in
    what their placeholders are called are one.
    """
    found: dict[str, tuple[str, str]] = {}
    keys = _keys()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(UNREAD):
            for message in of_code(path.read_text(encoding="utf-8")):
                if message not in SILENT and not (name.startswith("ui/") and message in keys):
                    found.setdefault(bare(message), (message, name))
    for message in _of_zoo():
        found.setdefault(bare(message), (message, "zoo.toml"))
    for message in sorted(SPOKEN):
        found.setdefault(message, (message, "tables"))
    return dict(found.values())


def bare(message: str) -> str:
    """A message without the names of its placeholders."""
    return HOLE.sub("{}", message)


def of_code(code: str) -> Iterator[str]:
    """The messages of a module's source, in its order; an f-string's with {placeholders}, a choice's each by itself."""
    yield from _within(ast.parse(code), False)


def _of_zoo() -> Iterator[str]:
    """What the catalogue of weights says of each."""

    def walk(table: dict) -> Iterator[str]:
        yield from (table[key] for key in ("for", "code", "weights") if " " in table.get(key, ""))
        for value in table.values():
            if isinstance(value, dict):
                yield from walk(value)

    yield from walk(tomllib.loads((PACKAGE / "zoo.toml").read_text(encoding="utf-8")))


def _keys() -> set[str]:
    """What names the words of the panels."""
    code = ast.parse((PACKAGE / "ui" / "words.py").read_text(encoding="utf-8"))
    (table,) = (part.value for part in code.body if isinstance(part, ast.AnnAssign) and part.target.id == "TEXTS")
    return set(ast.literal_eval(table))


def _within(node: ast.AST, spoken: bool) -> Iterator[str]:
    """spoken: whether a single word here is a message too."""
    if _is_text(node):
        yield from (_numbered(message) for message in _texts(node) if _reads(message, spoken))
        for part in _filled(node):
            yield from _within(part, False)
        return
    skipped, inside = _silent(node), spoken
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        inside = called in SAYING
        if called in SKIPPED:
            return
    elif not isinstance(node, (ast.IfExp, ast.BoolOp, ast.Tuple, ast.Starred)):
        inside = False
    for child in ast.iter_child_nodes(node):
        if id(child) not in skipped:
            yield from _within(child, inside)


def _silent(node: ast.AST) -> set[int]:
    """The children that are no messages: docstrings, keys, what is compared."""
    children: list[ast.AST | None] = []
    if isinstance(node, ast.FunctionDef) and node.name == HELP:
        return set(map(id, ast.iter_child_nodes(node)))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        children += [part for part in node.body[:1] if isinstance(part, ast.Expr) and _is_text(part.value)]
        children += [getattr(node, "returns", None)]
    elif isinstance(node, ast.Subscript):
        children += [node.slice]
    elif isinstance(node, ast.Dict):
        children += node.keys
    elif isinstance(node, ast.Compare):
        children += [node.left, *node.comparators]
    elif isinstance(node, (ast.AnnAssign, ast.arg)):
        children += [node.annotation]
    elif isinstance(node, ast.match_case):
        children += [node.pattern]
    return {id(child) for child in children}


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right) or _is_choice(node.left) or _is_choice(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_choice(node: ast.AST) -> bool:
    return isinstance(node, ast.IfExp) and (_is_text(node.body) or _is_text(node.orelse))


def _texts(node: ast.AST) -> list[str]:
    """Every message that an expression can make."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in itertools.product(*map(_texts, node.values))]
    if isinstance(node, ast.FormattedValue):
        return _texts(node.value)
    if isinstance(node, ast.BinOp) and _is_text(node):
        return [left + right for left in _texts(node.left) for right in _texts(node.right)]
    if _is_choice(node):
        return _texts(node.body) + _texts(node.orelse)
    return [f"{{{_name(node)}}}"]


def _filled(node: ast.AST) -> Iterator[ast.AST]:
    """The code that fills the placeholders of an expression."""
    if isinstance(node, (ast.JoinedStr, ast.FormattedValue, ast.BinOp)) or _is_choice(node):
        for part in ast.iter_child_nodes(node):
            yield from _filled(part)
    elif not isinstance(node, ast.Constant):
        yield node


def _name(node: ast.AST) -> str:
    """What a placeholder is called: after what fills it in."""
    names = [part.attr if isinstance(part, ast.Attribute) else part.id for part in _named(node)]
    return names[0] if names else "value"


def _named(node: ast.AST) -> Iterator[ast.Attribute | ast.Name]:
    """The names in an expression, what is called and what a join is made with after what it is called with."""
    if isinstance(node, (ast.Attribute, ast.Name)):
        yield node
    elif isinstance(node, ast.Call):
        for argument in node.args:
            yield from _named(argument)
        yield from _named(node.func)
    elif isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        yield from _named(node.generators[0].iter)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _named(child)


def _numbered(message: str) -> str:
    """Placeholders of one name told apart: {size}, {size2}."""
    seen: Counter[str] = Counter()

    def name(hole: re.Match) -> str:
        seen[hole[1]] += 1
        return f"{{{hole[1]}{seen[hole[1]] if seen[hole[1]] > 1 else ''}}}"

    return HOLE.sub(name, message.strip())


def _reads(message: str, spoken: bool) -> bool:
    words = bare(message).strip()
    if MARKUP.search(words):
        return False
    return bool(WORD.search(words)) and (spoken or " " in words)

"""What errors, notes, findings and tables say, in another language than the English that stands in the code.

A message is written in English where it arises, as in gettext. `<language>.po` gives for each its translation, with
{placeholders} where the code fills something in; a finished message is recognised by what stands between them. What is
filled in may be a message again. `python -m toolkit.translations` keeps the catalogue in step with the code.
(The words of the panels, which have keys of their own, are in toolkit/ui/words.py.)
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import NamedTuple
from unicodedata import east_asian_width

FOLDER = Path(__file__).parent
HOLE = re.compile(r"\{(\w+)\}")  # a placeholder
SENTENCE = re.compile(r"(?<=[.?!:…]) +")  # between two messages of which one is made
SEVERAL = re.compile(r"[.?!] +[A-Z]")  # more than one sentence
LONG = 1500  # letters: a longer line is none of ours
LONGEST = 6  # sentences, or halves before a colon, of one message
JOINTS = {"zh": (("; ", "；"), (" and ", "、"), (" or ", "或"), (", ", "、"))}  # in lists of messages
PATH = re.compile(r"[/\\]\w")  # in names of files any word may stand
STOPS = {"zh": "。"}  # at the end of a sentence
FILLERS = ("picture", "clip", "sound", "face", "head", "motion", "source", "lacks", "text")  # see `_filler`
VERBS = ("is ", "has ", "was ", "saw ", "can't ", "ends ", "names ")  # of predicates
WEAK = 6  # letters: a message of fewer, after a placeholder, fits too much ("Connection is closed.", of the system)
SETTINGS = ("strength", "smooth")  # the plain words among the names that stand before such a message
NAME = re.compile(r"\S*[\d._/\\\[]\S*|--\S+")  # stages.0.lr, test_share, --size, a/b.mp4, 12: no word of a sentence
HAN, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z0-9]")  # with a space between
STOP, WIDE = re.compile("[，；：。？）]"), re.compile(r"[\u4e00-\u9fff，；：。？（）]")  # without one


def translate(text: str, language: str | None = None) -> str:
    """A message of the toolkit in a language ("en" or "zh"; None: TOOLKIT_LANG, else the platform's).

    What is in no catalogue (a message of the system, say) stays as it is.
    """
    chosen = _default() if language is None else language
    if chosen not in JOINTS:
        return str(text)
    return "\n".join(line.replace(line.strip(), _said(line.strip(), chosen)) for line in str(text).split("\n"))


def columns(text: str) -> int:
    """How wide a text is in a terminal: Chinese characters take two columns."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def padded(text: str, width: int) -> str:
    """A text with spaces after it, up to so many columns."""
    return text + " " * (width - columns(text))


def beside(first: str, second: str) -> str:
    """Two texts after each other: Chinese characters without a space between them, Latin beside Chinese with one."""
    left, right = first.rstrip(" "), second.lstrip(" ")
    spaces = len(first) - len(left) + len(second) - len(right)
    if spaces < 2 and (STOP.match(left[-1:]) or WIDE.match(left[-1:]) and WIDE.match(right[:1])):
        return left + right
    apart = HAN.match(first[-1:]) and LATIN.match(second[:1]) or LATIN.match(first[-1:]) and HAN.match(second[:1])
    return f"{first} {second}" if apart else first + second


def catalogue(language: str) -> dict[str, str]:
    """English message -> its translation, "" where there is none yet; in the order of the file."""
    return parse((FOLDER / f"{language}.po").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, str]:
    """The messages of a .po file: each one `msgid "…"` and `msgstr "…"`, of one line each."""
    entries, message = {}, ""
    for row in text.splitlines():
        word, _, quoted = row.partition(" ")
        if word == "msgid":
            message = json.loads(quoted)
        elif word == "msgstr" and message:
            entries[message] = json.loads(quoted)
    return entries


def _default() -> str:
    from ..errors import ConfigError
    from ..platform import language

    try:
        return language()
    except ConfigError:  # TOOLKIT_LANG is none: this may be the very error that says so
        return "en"


class _Template(NamedTuple):
    """A message with placeholders: the texts between, their names, and the translation."""

    texts: list[str]
    names: list[str]
    said: str

    @property
    def letters(self) -> int:
        return sum(len(re.findall("[A-Za-z]", text)) for text in self.texts)


@functools.cache
def _templates(language: str) -> tuple[dict[str, str], list[_Template]]:
    """Messages without placeholders, and the others. Those that say most come first, as one that says less may fit the
    same text.
    """
    entries = {message: said for message, said in catalogue(language).items() if said}
    for message, said in list(entries.items()):  # a predicate stands after a name: "model.pth is empty."
        if message.startswith(VERBS):
            entries[f"{{_}} {message}"] = f"{{_}} {said}"
            entries[f"{{_}} {message}."] = f"{{_}} {said}{STOPS[language]}"
    pieces = [(HOLE.split(message), said) for message, said in entries.items()]
    holed = [_Template(parts[::2], parts[1::2], said) for parts, said in pieces if len(parts) > 1]
    plain = {parts[0]: said for parts, said in pieces if len(parts) == 1}
    return plain, sorted(holed, key=lambda template: (-template.letters, -sum(map(len, template.texts))))


def _said(text: str, language: str) -> str:
    """A message, or several after each other, or a list of them; what is none stays as it is."""
    if len(text) > LONG or not text:
        return text
    whole = _whole(text, language)
    if whole is not None:
        return whole
    ends = [found.span() for found in SENTENCE.finditer(text) if found.end() < len(text)]
    for begin, end in reversed(ends[:LONGEST]):  # as many sentences at a time as make one message
        if (head := _whole(text[:begin], language)) is not None:
            return beside(head, _said(text[end:], language))
    listed, *others = JOINTS[language] if not PATH.search(text) else JOINTS[language][:1]
    if (said := _list(text, language, *listed)) or (said := _whole(text, language, several=True)):
        return said
    if ends:  # the first is none of ours
        end = ends[0][1]
        return text[:end] + _said(text[end:], language)
    if (said := next(filter(None, (_list(text, language, *joint) for joint in others)), "")) or not text.endswith(")"):
        return said or text
    head, _, bracketed = text.partition(" (")
    return f"{_said(head, language)} ({bracketed}" if bracketed else text


def _list(text: str, language: str, joint: str, joined: str) -> str:
    """A list of messages, "" where it is none."""
    pieces: list[str] = []
    for piece in text.split(joint):  # but not within brackets
        inside = pieces and pieces[-1].count("(") > pieces[-1].count(")")
        pieces[-1:] = [pieces[-1] + joint + piece] if inside else [*pieces[-1:], piece]
    if len(pieces) < 2:
        return ""
    said = [_said(piece, language) if " " in piece.strip() else piece for piece in pieces]
    if said == pieces:
        return ""
    return functools.reduce(lambda first, second: beside(beside(first, joined), second), said)


def _whole(text: str, language: str, several: bool = False) -> str | None:
    """The translation of one message; None where it is none. several: a placeholder may hold several sentences."""
    plain, templates = _templates(language)
    if text in plain:
        return plain[text]
    if " " not in text.strip():
        return None
    for template in templates:
        values = _values(template.texts, text)
        if values is None or (not several and any(map(SEVERAL.search, values))):
            continue
        if not several and not template.texts[0] and any("; " in value for value in values):
            continue  # the next of a list
        if not template.texts[0] and not _is_name(values[0], template, language):
            continue
        filled, stop = [_filler(value, language) for value in values], ""
        if not template.texts[-1] and filled[-1] == values[-1] and values[-1].endswith("."):  # it is the message's own
            filled[-1], stop = filled[-1][:-1], STOPS[language]
        return _set(template.said, dict(zip(template.names, filled))) + stop
    return None


def _is_name(first: str, template: _Template, language: str) -> bool:
    """Whether what a text begins with can be the placeholder that a template begins with."""
    if ": " in first or "; " in first or SEVERAL.search(first):
        return False
    if template.letters >= WEAK or first in SETTINGS or NAME.fullmatch(first):
        return True
    return not SENTENCE.search(first) and _filler(first, language) != first


def _values(texts: list[str], text: str) -> list[str] | None:
    """What stands between the texts, each found as early as it can be; None where they are not all there."""
    first, *middle, last = texts
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        return None
    at, end, values = len(first), len(text) - len(last), []
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(piece)
    return [*values, text[at:end]]


def _filler(text: str, language: str) -> str:
    """What fills a placeholder. A single word is mostly a name (of a file, a setting), which stays; but for FILLERS."""
    bare = text.strip()
    return text.replace(bare, _said(bare, language)) if " " in bare or bare in FILLERS else text


def _set(said: str, values: dict[str, str]) -> str:
    """A translation with its placeholders filled."""
    text, *rest = HOLE.split(said)
    for name, between in zip(rest[::2], rest[1::2]):
        text = beside(beside(text, values.get(name, f"{{{name}}}")), between)
    return text

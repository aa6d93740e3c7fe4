"""Keep the catalogues in step with the code: `python -m toolkit.translations` says what lacks and what is left over;
with --write it puts the new messages into the files, to be translated there, and takes out what is left over.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from . import FOLDER, JOINTS, catalogue
from .gather import bare, messages


def main(arguments: Sequence[str]) -> int:
    """The exit code is 1 where something lacks or is left over."""
    found, lacking = messages(), False
    for language in JOINTS:
        if arguments == ["--write"]:
            write(language, found)
        report = differences(catalogue(language), found)
        lacking = lacking or bool(report)
        print(f"{language}.po: {len(found)} messages" + ("." if not report else "\n\n" + report))
    return int(lacking)


def differences(entries: dict[str, str], found: dict[str, str]) -> str:
    """What to do to a catalogue, in words; "" where it has every message and no other."""
    known = {bare(message): said for message, said in entries.items()}
    lacking = [message for message in found if not known.get(bare(message))]
    spare = known.keys() - set(map(bare, found))
    said = []
    if lacking:
        said += ["These have no translation. Run `python -m toolkit.translations --write`, and fill in each msgstr"]
        said += ["(or add to silent.py what nobody reads):", "", *(_entry(found[one], one, "") for one in lacking)]
    if spare:
        said += ["These are no longer in the code; the same command takes them out:", ""]
        said += [f"msgid {json.dumps(message, ensure_ascii=False)}" for message in entries if bare(message) in spare]
    return "\n".join(said)


def write(language: str, found: dict[str, str]) -> None:
    """The catalogue anew: the messages as the code has them, in its order, with the translations that are there."""
    entries = catalogue(language)
    known = {bare(message): (message, said) for message, said in entries.items()}
    blocks = [HEADER.format(language=language)]
    for message, name in found.items():
        blocks.append(_entry(name, *known.get(bare(message), (message, ""))))
    (FOLDER / f"{language}.po").write_text("\n".join(blocks), encoding="utf-8")


def _entry(name: str, message: str, said: str) -> str:
    told = [json.dumps(text, ensure_ascii=False) for text in (message, said)]
    return f"#: {name}\nmsgid {told[0]}\nmsgstr {told[1]}\n"


HEADER = """\
# What the toolkit says, in another language: see toolkit/translations/__init__.py.
msgid ""
msgstr "Language: {language}\\nContent-Type: text/plain; charset=UTF-8\\n"
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

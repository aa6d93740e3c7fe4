"""What the doctor says, and how it looks in a terminal and in a notebook."""

from __future__ import annotations

import dataclasses
import html

from ..translations import padded, translate

LEVELS = ("warning", "hint", "ok")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was seen. level: one of LEVELS. about: "picture", "clip", "model" or "time". what: what was seen;
    why: why it matters; mend: the setting or the step that mends it. The latter two are "" where all is well.
    """

    level: str
    about: str
    what: str
    why: str = ""
    mend: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found, the most pressing first. minutes: how long animating will take here, about; None where that
    can't be told.
    """

    findings: tuple[Finding, ...]
    minutes: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no warning."""
        return not any(finding.level == "warning" for finding in self.findings)

    def _translated(self) -> list[Finding]:
        return [Finding(*map(translate, dataclasses.astuple(one))) for one in self.findings]

    def __repr__(self) -> str:
        lines = []
        for one in self._translated():
            lines.append(f"{padded(one.level, 7)}  {one.about}: {one.what}")
            lines += [f"         {text}" for text in (one.why, one.mend and f"-> {one.mend}") if text]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colours = {"warning": "#c0392b", "hint": "#b9770e", "ok": "#1e8449"}
        rows = []
        for said, one in zip(self.findings, self._translated()):
            mend = f"<br><code>{html.escape(one.mend)}</code>" if one.mend else ""
            why = f"<br><span style='opacity:.75'>{html.escape(one.why)}</span>" if one.why else ""
            rows.append(
                f"<tr><td style='color:{colours[said.level]};font-weight:bold;vertical-align:top'>{one.level}</td>"
                f"<td style='vertical-align:top'>{one.about}</td>"
                f"<td style='text-align:left'>{html.escape(one.what)}{why}{mend}</td></tr>"
            )
        return f"<table>{''.join(rows)}</table>"

"""Write docs/rules.md from the catalogue: ``python docs/make_rules.py``."""

from __future__ import annotations

from pathlib import Path

from rtqc.cardiac import CARDIAC_RULES
from rtqc.dicom import READING_RULES
from rtqc.qc import RULES, UNDONE_RULES, list_protocols, load_protocol

_TARGET = Path(__file__).with_name("rules.md")


def catalogue() -> str:
    """The page."""
    lines = [
        "# Rules",
        "",
        "Made by `python docs/make_rules.py` from the code. Severity: **fail** (the plan must not go on like this), **warning** (somebody must look),",
        "**info** (good to know). Certainty: a *fact* follows from the files, an *estimate* rests on the draft. A fail or a warning flags the plan.",
        "A protocol changes severities (`[severity]`), thresholds and spellings; see [protocols.md](protocols.md).",
        "",
        "## While reading",
        "",
        "| rule | severity | what |",
        "| --- | --- | --- |",
        *(f"| `{rule}` | {severity} | {about} |" for rule, (severity, about) in READING_RULES.items()),
        "",
        "## Where nothing could be assessed",
        "",
        "| rule | what |",
        "| --- | --- |",
        *(f"| `{rule}` | {about} |" for rule, about in UNDONE_RULES.items()),
        "",
        "## While measuring the heart itself (volume, epicardial fat, calcium; see [cardiac.md](cardiac.md))",
        "",
        "All are of severity info: they do not decide about a plan.",
        "",
        "| rule | certainty | what |",
        "| --- | --- | --- |",
        *(f"| `{rule}` | {certainty} | {about} |" for rule, (certainty, about) in CARDIAC_RULES.items()),
        "",
        "## On the contour, the agreement with the draft, dose, plan and image",
        "",
        "| rule | severity | certainty | what | needs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule in RULES.values():
        needs = "a trusted draft" if rule.needs == "trusted_draft" else ""
        lines.append(f"| `{rule.id}` | {rule.severity} | {rule.certainty} | {rule.about} | {needs} |")
    lines += [
        "",
        "## Thresholds (`heart`, which the other protocols extend)",
        "",
        "| limit | value | source |",
        "| --- | --- | --- |",
    ]
    protocol = load_protocol("heart")
    for key, limit in protocol.limits.model_dump().items():
        lines.append(f"| `{key}` | {limit['value']:g} {limit['unit']} | {limit['source']} |")
    lines += ["", "## Constraints", "", "| protocol | what | limit | source |", "| --- | --- | --- | --- |"]
    for name in list_protocols():
        for c in load_protocol(name).constraints:
            lines.append(f"| `{name}` | {c.description} (`{c.metric}`) | {c.limit:g} {c.unit} | {c.source} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    _TARGET.write_text(catalogue(), encoding="utf-8")

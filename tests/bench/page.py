"""The page of benchmarks: a table a section, each made by its own command."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
#: Section -> heading and the command that makes it.
SECTIONS = {
    "all": ("Benchmarks", "make bench"),
    "nightly": ("A night", "python -m tests.bench.nightly"),
    "year": ("A simulated year", "python -m tests.bench.year"),
    "kills": ("Killed again and again", "python -m tests.bench.kills"),
}


@dataclass(frozen=True)
class Row:
    """A measurement: medians of both sides, and what was aimed at."""

    what: str
    value: str
    reference: str
    ratio: str
    target: str


def write_section(name: str, rows: list[Row], more: str = "") -> str:
    """Write a section's table, with the machine, and leave the others as they are."""
    heading, command = SECTIONS[name]
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, no GPU, {datetime.now(UTC).date()}"
    )
    lines = [
        f"{'#' if name == 'all' else '##'} {heading}",
        "",
        f"Made by `{command}`. Ratios come from one run on one machine. Not asserted in tests.",
        "",
        f"Machine: {machine}.",
        "",
        "| what | rtqc | reference | ratio | target |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {r.what} | {r.value} | {r.reference} | {r.ratio} | {r.target} |" for r in rows),
    ]
    if more:
        lines += ["", more]
    text = "\n".join(lines) + "\n"
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    parts = {_name_of(p): p for p in re.split(r"(?m)^(?=#{1,2} )", old) if p.strip()}
    parts[name] = text
    PAGE.write_text("\n".join(parts[key].strip() + "\n" for key in SECTIONS if key in parts), encoding="utf-8")
    print(text)
    return text


def _name_of(part: str) -> str:
    heading = part.splitlines()[0].lstrip("# ").strip()
    return next(name for name, (known, _) in SECTIONS.items() if known == heading)

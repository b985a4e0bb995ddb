"""What was learned, as the files that ``rtqc check --protocol`` takes: a protocol, and the clinic's hearts beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rtqc.core.whole_file import whole_file
from rtqc.nightly.commissioning.limits import Rules
from rtqc.nightly.commissioning.result import CommissioningReport
from rtqc.qc import Population
from rtqc.qc.commissioned import Commissioned, Habit

PROTOCOL_FILE, POPULATION_FILE = "protocol.toml", "population.toml"


def write_protocol(report: CommissioningReport, rules: Rules, population: Population | None, base: str, folder: Path) -> None:
    """Write ``protocol.toml``, and ``population.toml`` where there is one.

    Args:
        report: of the commissioning.
        rules: limits and habits.
        population: the clinic's hearts.
        base: name or file of the protocol that is extended.
        folder: both go here.

    Raises:
        OSError: they cannot be written; no file is left half-written.
    """
    # The protocol names its hearts: they are there before it.
    if population is not None:
        _write(folder / POPULATION_FILE, population_toml(population))
    else:
        (folder / POPULATION_FILE).unlink(missing_ok=True)
    _write(folder / PROTOCOL_FILE, protocol_toml(report, rules, population is not None, base, folder))


def protocol_toml(report: CommissioningReport, rules: Rules, has_population: bool, base: str, folder: Path) -> str:
    """The text of the protocol."""
    extended = os.path.relpath(base, folder) if Path(base).is_file() else base
    told = Commissioned(
        date=report.date, rtqc_version=report.rtqc_version, model=report.model, model_hash=report.model_hash, cases=len(report.cases),
        upper_end_mm=rules.upper_end, lower_end_mm=rules.lower_end, volume_percent=rules.volume,
        population_file=POPULATION_FILE if has_population else "",
    )  # fmt: skip
    state = (
        "Its criteria of acceptance were met."
        if report.accepted
        else "Its criteria of acceptance were NOT met: see commissioning.html."
    )
    lines = [
        "# Written by rtqc commission. " + state,
        "# It holds for the model below only. After every update: rtqc commission --compare, and rtqc commission --constancy before each use.",
        f"extends = {_text(extended)}",
        f"name = {_text(report.base_protocol if report.base_protocol.endswith('-commissioned') else report.base_protocol + '-commissioned')}",
        f"description = {_text(f'{report.base_protocol}, commissioned {report.date} on {len(report.cases)} contours')}",
        "",
        "[commissioned]",
    ]
    keys = ("date", "rtqc_version", "model", "model_hash", "population_file")
    lines += [f"{key} = {_text(value)}" for key in keys if (value := getattr(told, key))]
    lines.append(f"cases = {told.cases}")
    for key in ("upper_end_mm", "lower_end_mm", "volume_percent"):
        habit: Habit | None = getattr(told, key)
        if habit is not None:
            lines += ["", f"[commissioned.{key}]", *(f"{k} = {v}" for k, v in habit.model_dump().items())]
    units = {"agreement_hausdorff95": "mm", "agreement_surface_distance": "mm"}
    for name, value in rules.limits.items():
        lines += [
            "", f"[limits.{name}]", f"value = {value}", f"unit = {_text(units.get(name, ''))}",
            f"source = {_text(f'rtqc commission, {report.date}: prediction limit of {len(report.cases)} contours, between the ends that contour and draft have')}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def population_toml(population: Population) -> str:
    """The text of the clinic's hearts."""
    lines = [
        "# Written by rtqc commission.",
        f"name = {_text(population.name)}",
        f"count = {population.count}",
        f"source = {_text(population.source)}",
    ]
    for name, usual in population.features.items():
        lines += ["", f"[features.{name}]", f"centre = {usual.centre}", f"sigma = {usual.sigma}"]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A string of JSON is one of TOML, but for the one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))

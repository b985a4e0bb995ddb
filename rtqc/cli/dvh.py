"""``rtqc dvh``: dose to structures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import (
    PathArgument,
    console,
    findings_table,
    json_option,
    only_case,
    pick_structure,
    plain,
    stop,
    with_structures_and_dose,
)

if TYPE_CHECKING:
    from rtqc.core import Case, Finding, Structure
    from rtqc.dosimetry import DVH, RequestedMetric
    from rtqc.qc import Protocol

#: Metrics of a table of several structures where none is asked for.
_USUAL = ("mean", "max", "D2%", "D50%", "D98%", "D0.03cc")
#: The volume by trapezoids is worth a word where it differs by more than this share: smaller differences are a contour's own.
_CONVENTIONS_DIFFER = 0.01
#: How rtqc counts a volume.
VOLUME_CONVENTION = "contours extended by half a slice beyond the first and the last"


@dataclass(frozen=True)
class _Line:
    """What is said of one structure.

    Attributes:
        name: as the structure set's list has it.
        dose_type: Dose Type of the plan's dose; of an ``EFFECTIVE`` one all Gy are Gy (RBE).
        prescription_gy: that percents are of; None where the plan has none, or several.
    """

    name: str
    dose_type: str
    structure: Structure
    histogram: DVH
    findings: tuple[Finding, ...]
    trapezoid_ml: float
    prescription_gy: float | None
    eqd2: tuple[int, float, DVH] | None

    def unit_of(self, metric: RequestedMetric) -> str:
        """The unit of a metric: that of an effective dose is no other program's Gy."""
        from rtqc.core.assessment import dose_unit

        return dose_unit(self.dose_type) if metric.unit == "Gy" else metric.unit

    @property
    def conventions_differ(self) -> bool:
        """Whether planning systems that count trapezoids get another volume."""
        return abs(self.trapezoid_ml - self.histogram.volume_ml) > _CONVENTIONS_DIFFER * self.histogram.volume_ml


@click.command("dvh")
@click.argument("path", type=PathArgument())
@click.option(
    "--roi", "rois", multiple=True, metavar="NAME", help="Structure; may be given several times. [default: the heart]"
)
@click.option("--all", "every", is_flag=True, help="Every structure of the plan.")
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="D95%, D2cc, V20Gy (of the volume, in %), V20Gy[cc], V95% (of the prescription), mean, max, min, median; may be given several times.",
)
@click.option(
    "--prescription",
    "prescription_gy",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GY",
    help="What V95% is a part of. [default: the plan's, where it has one]",
)
@click.option(
    "--fractions",
    type=click.IntRange(min=1),
    metavar="N",
    help="For doses in fractions of 2 Gy (EQD2). [default: the plan's]",
)
@click.option(
    "--alpha-beta",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GY",
    help="For EQD2, of the structure. [default: the protocol's, for the heart only]",
)
@click.option("--csv", "as_csv", is_flag=True, help="A row a structure on stdout, with commas and decimal points.")
@json_option
def command(
    path: Path,
    rois: tuple[str, ...],
    every: bool,
    names: tuple[str, ...],
    prescription_gy: float | None,
    fractions: int | None,
    alpha_beta: float | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Dose metrics and cumulative DVH of structures of the plan below PATH, in Gy and in fractions of 2 Gy.

    Volumes are those of the contours extended by half a slice beyond the first and the last; where planning systems that join planes by trapezoids
    get another volume by more than 1 %, it stands beside.
    """
    from rtqc.dosimetry import MetricNameError, requested_metric
    from rtqc.qc import choose_protocol

    if as_csv and as_json:
        stop("--csv and --json both want stdout: give one of them")
    if every and rois:
        stop("--all takes every structure: give it or --roi")
    try:
        wanted = list({m.name: m for m in map(requested_metric, names)}.values())
    except MetricNameError as error:
        stop(str(error))
    case = only_case(path, with_structures_and_dose)
    chosen = _structures(case, rois, every)
    if case.dose is None:
        reasons = [f.message for f in case.findings if f.rule.startswith(("dose.", "reference.dose", "reference.patient"))]
        stop(" ".join(reasons) or f"there is no RTDOSE below {path}: export the dose of the plan too")
    protocol = choose_protocol(case).protocol
    prescription = prescription_gy or _prescription(case, wanted)
    several = every or len(chosen) > 1
    lines = [_line(case, name, s, protocol, prescription, fractions, alpha_beta) for name, s in chosen.items()]
    if not several and lines[0].histogram.is_empty:
        if lines[0].structure.is_empty:
            why = [f.message for f in lines[0].findings if f.rule.startswith(("contour.", "structure_set."))]
            stop(" ".join([f"{lines[0].name} has no contour that can be used.", *why]))
        stop(f"{lines[0].name} is empty or lies wholly outside the dose grid: there is no dose to tell")
    if as_json:
        documents = [_document(line, wanted) for line in lines]
        told = {"structures": documents} if several else documents[0]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif as_csv:
        _print_csv(lines, wanted or [requested_metric(name) for name in _USUAL])
    elif several:
        _print_lines(lines, wanted or [requested_metric(name) for name in _USUAL])
    else:
        _print_one(lines[0], wanted)


def _structures(case: Case, rois: tuple[str, ...], every: bool) -> dict[str, Structure]:
    """The structures that are asked for, by the names of the structure set's list."""
    if not case.has_structure_set:
        reasons = [f.message for f in case.findings if f.severity == "fail"]
        stop(" ".join(reasons) or "there is no structure set: export the RTSTRUCT too")
    listed = case.structures
    if every:
        if not listed:
            stop("the structure set has no structure: contour one")
        return listed
    picked = [pick_structure(listed, name, "the structure set") for name in rois or (None,)]
    return {name: s for structure in picked for name, s in listed.items() if s is structure}


def _prescription(case: Case, wanted: list[RequestedMetric]) -> float | None:
    """The plan's one prescription, in Gy; a message and exit status 2 where a metric needs it and there is none, or there are several."""
    doses = sorted({p.dose_gy for p in case.plan.prescriptions}) if case.plan is not None else []
    needing = [m.name for m in wanted if m.needs_prescription]
    if needing and len(doses) != 1:
        why = f"has several ({', '.join(f'{d:g} Gy' for d in doses)})" if doses else "has none"
        parts = "is a part" if len(needing) == 1 else "are parts"
        stop(
            f"{', '.join(needing)} {parts} of the prescription, and the plan {why}: give the one that is meant with --prescription"
        )
    return doses[0] if len(doses) == 1 else None


def _line(
    case: Case,
    name: str,
    structure: Structure,
    protocol: Protocol,
    prescription_gy: float | None,
    fractions: int | None,
    alpha_beta: float | None,
) -> _Line:
    from rtqc.core.assessment import DoseComparison
    from rtqc.dosimetry import dose_type_of, dvh, metrics_of, trapezoid_volume_ml
    from rtqc.qc import structure_findings

    assert case.dose is not None
    histogram = dvh(structure, case.dose)
    findings = structure_findings(case, structure, protocol, DoseComparison(contoured=metrics_of(histogram)))
    trapezoid = trapezoid_volume_ml(structure)
    in_twos = None if histogram.is_empty else _eqd2(case, histogram, fractions, alpha_beta or _of_heart(structure, protocol))
    return _Line(name, dose_type_of(case), structure, histogram, tuple(findings), trapezoid, prescription_gy, in_twos)


def _document(line: _Line, wanted: list[RequestedMetric]) -> dict[str, Any]:
    """A structure as JSON."""
    from rtqc.dosimetry import metrics_of

    histogram = line.histogram
    document = metrics_of(histogram).model_dump(mode="json") | {
        "structure": line.name,
        "dose_type": line.dose_type,
        "volume_ml": round(histogram.volume_ml, 3),
        "volume_convention": VOLUME_CONVENTION,
        "trapezoid_volume_ml": round(line.trapezoid_ml, 3),
        "prescription_gy": line.prescription_gy,
        "metrics": {m.name: {"value": m.of_dvh(histogram, line.prescription_gy), "unit": line.unit_of(m)} for m in wanted},
        "curve": None if histogram.is_empty else histogram.curve().model_dump(mode="json"),
        "eqd2": None,
        "findings": [f.model_dump(mode="json") for f in line.findings],
    }
    if line.eqd2 is not None:
        fractions, alpha_beta, converted = line.eqd2
        document["eqd2"] = {"fractions": fractions, "alpha_beta_gy": alpha_beta} | metrics_of(converted).model_dump(mode="json")
    return document


def _print_csv(lines: list[_Line], wanted: list[RequestedMetric]) -> None:
    from rtqc.nightly.spreadsheet import spreadsheet_text

    columns = [
        "structure",
        "volume (ml)",
        "volume by trapezoids (ml)",
        *(f"{m.name.split('[')[0]} ({lines[0].unit_of(m)})" for m in wanted),
    ]
    rows = [
        [
            line.name, round(line.histogram.volume_ml, 3), round(line.trapezoid_ml, 3),
            *(m.of_dvh(line.histogram, line.prescription_gy) for m in wanted),
        ]
        for line in lines
    ]  # fmt: skip
    click.echo(spreadsheet_text(columns, rows), nl=False)
    for line in lines:
        for finding in line.findings:
            click.echo(f"rtqc: {finding.severity}: {finding.message}", err=True)


def _print_lines(lines: list[_Line], wanted: list[RequestedMetric]) -> None:
    """A table with a row a structure."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("structure")
    table.add_column("ml", justify="right")
    for m in wanted:
        table.add_column(f"{plain(m.name.split('[')[0])} ({lines[0].unit_of(m)})", justify="right")
    for line in lines:
        values = [m.of_dvh(line.histogram, line.prescription_gy) for m in wanted]
        table.add_row(plain(line.name), f"{line.histogram.volume_ml:.1f}", *("-" if v is None else f"{v:.2f}" for v in values))
    out = console()
    out.print(table)
    for line in lines:
        _print_convention(line)
    findings = tuple(dict.fromkeys(f for line in lines for f in line.findings))
    if findings:
        out.print(findings_table(findings))


def _print_one(line: _Line, wanted: list[RequestedMetric]) -> None:
    """A table with a row a metric."""
    from rich import box
    from rich.table import Table

    from rtqc.dosimetry import metrics_of

    title = f"{plain(line.name)}, {line.histogram.volume_ml:.1f} ml"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value" if line.dose_type != "EFFECTIVE" else "value, doses in Gy (RBE)", justify="right")
    if wanted:
        for m in wanted:
            value = m.of_dvh(line.histogram, line.prescription_gy)
            table.add_row(plain(m.name.split("[")[0]), "-" if value is None else f"{value:.3f} {line.unit_of(m)}")
    else:
        columns = [metrics_of(line.histogram).model_dump()]
        if line.eqd2 is not None:
            fractions, alpha_beta, converted = line.eqd2
            table.add_column(
                f"EQD2, {fractions} fraction{'' if fractions == 1 else 's'}, alpha/beta {alpha_beta:g} Gy", justify="right"
            )
            columns.append(metrics_of(converted).model_dump())
        for key in columns[0]:
            table.add_row(key, *("-" if c[key] is None else f"{c[key]:.3f}" for c in columns))
    out = console()
    out.print(table)
    _print_convention(line)
    if line.findings:
        out.print(findings_table(line.findings))


def _print_convention(line: _Line) -> None:
    if line.conventions_differ:
        console().print(
            f"{plain(line.name)}: {line.histogram.volume_ml:.2f} ml with {VOLUME_CONVENTION}; planning systems that join planes by trapezoids get {line.trapezoid_ml:.2f} ml."
        )


def _eqd2(case: Case, histogram: DVH, fractions: int | None, alpha_beta: float | None) -> tuple[int, float, DVH] | None:
    """Fractions, alpha/beta and the DVH in fractions of 2 Gy; None where either is unknown."""
    from rtqc.dosimetry import eqd2_fractions, why_no_linear_quadratic

    # The user's number replaces the plan's where that is unknown; the model must be one for this dose all the same.
    if fractions is not None and why_no_linear_quadratic(case):
        return None
    fractions = fractions or eqd2_fractions(case)
    if not fractions or alpha_beta is None:
        return None
    return fractions, alpha_beta, histogram.eqd2(fractions, alpha_beta)


def _of_heart(structure: Structure, protocol: Protocol) -> float | None:
    """The protocol's alpha/beta, which is that of a heart and of nothing else."""
    from rtqc.core.names import heart_score

    return protocol.alpha_beta.value if heart_score(structure.name, protocol.name_table) > 0 else None

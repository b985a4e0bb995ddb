"""``rtqc dvh``: dose to a structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, findings_table, json_option, only_case, pick_structure, plain, stop

if TYPE_CHECKING:
    from rtqc.core import Case, Finding, Structure
    from rtqc.dosimetry import DVH
    from rtqc.qc import Protocol

#: Rules that speak of a structure and a dose whatever the structure is.
_RULES = frozenset(
    {
        "contour.single_plane", "contour.degenerate", "dose.outside_grid", "dose.outside_grid_edge", "dose.small_structure", "plan.absent", "plan.fractions_missing",
        "plan.fraction_groups", "plan.prescription_missing", "plan.prescription_per_beam", "plan.several_prescriptions",
    }
)  # fmt: skip


@click.command("dvh")
@click.argument("path", type=PathArgument())
@click.option("--roi", metavar="NAME", help="Structure. [default: the heart]")
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
@json_option
def command(path: Path, roi: str | None, fractions: int | None, alpha_beta: float | None, as_json: bool) -> None:
    """Dose metrics and cumulative DVH of a structure of the plan below PATH, in Gy and in fractions of 2 Gy."""
    from rtqc.dosimetry import dvh, metrics_of
    from rtqc.qc import choose_protocol

    case = only_case(path)
    structure = _structure(case, roi)
    if case.dose is None:
        reasons = [f.message for f in case.findings if f.rule.startswith(("dose.", "reference.dose", "reference.patient"))]
        stop(" ".join(reasons) or f"there is no RTDOSE below {path}: export the dose of the plan too")
    histogram = dvh(structure, case.dose)
    if histogram.is_empty:
        stop(f"{structure.name} is empty or lies wholly outside the dose grid: there is no dose to tell")
    protocol = choose_protocol(case).protocol
    findings = _findings(case, structure, histogram, protocol)
    in_twos = _eqd2(case, histogram, fractions, alpha_beta or _of_heart(structure, protocol))
    metrics = metrics_of(histogram)
    if as_json:
        document = metrics.model_dump(mode="json") | {
            "structure": structure.name,
            "volume_ml": round(histogram.volume_ml, 3),
            "curve": histogram.curve().model_dump(mode="json"),
            "eqd2": None,
            "findings": [f.model_dump(mode="json") for f in findings],
        }
        if in_twos is not None:
            fractions, alpha_beta, converted = in_twos
            document["eqd2"] = {"fractions": fractions, "alpha_beta_gy": alpha_beta} | metrics_of(converted).model_dump(
                mode="json"
            )
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"{plain(structure.name)}, {histogram.volume_ml:.1f} ml", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    columns = [metrics.model_dump()]
    if in_twos is not None:
        table.add_column(f"EQD2, {in_twos[0]} fractions, alpha/beta {in_twos[1]:g} Gy", justify="right")
        columns.append(metrics_of(in_twos[2]).model_dump())
    for key in metrics.model_dump():
        table.add_row(key, *("-" if c[key] is None else f"{c[key]:.3f}" for c in columns))
    console().print(table)
    if findings:
        console().print(findings_table(tuple(findings)))


def _eqd2(case: Case, histogram: DVH, fractions: int | None, alpha_beta: float | None) -> tuple[int, float, DVH] | None:
    """Fractions, alpha/beta and the DVH in fractions of 2 Gy; None where either is unknown."""
    fractions = fractions or (case.plan.alike_fractions if case.plan is not None else None)
    if not fractions or alpha_beta is None:
        return None
    return fractions, alpha_beta, histogram.eqd2(fractions, alpha_beta)


def _of_heart(structure: Structure, protocol: Protocol) -> float | None:
    """The protocol's alpha/beta, which is that of a heart and of nothing else."""
    from rtqc.core.names import heart_score

    return protocol.alpha_beta.value if heart_score(structure.name, protocol.name_table) > 0 else None


def _findings(case: Case, structure: Structure, histogram: DVH, protocol: Protocol) -> list[Finding]:
    """What somebody who relies on these numbers must know."""
    from rtqc.core.assessment import DoseComparison
    from rtqc.core.finding import worst_first
    from rtqc.dosimetry import metrics_of
    from rtqc.qc import Measurements, run_rules

    roi = next((r for r in case.rois if r.structure is structure), None)
    measurements = Measurements(case, roi, dose=DoseComparison(contoured=metrics_of(histogram)))
    about_files = [f for f in case.findings if f.rule.startswith(("dose.", "plan.", "reference.", "structure_set.", "file."))]
    return worst_first([*about_files, *run_rules(measurements, protocol, _RULES)])


def _structure(case: Case, name: str | None) -> Structure:
    if not case.has_structure_set:
        reasons = [f.message for f in case.findings if f.severity == "fail"]
        stop(" ".join(reasons) or "there is no structure set: export the RTSTRUCT too")
    return pick_structure(case.structures, name, "the structure set")

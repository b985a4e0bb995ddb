"""``rtqc check``: every plan of a folder, assessed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import (
    EXIT_STATUS,
    PathArgument,
    case_folders,
    case_limits,
    console,
    findings_table,
    json_option,
    limit_options,
    model_options,
    plain,
    progress,
    say_strays,
    scope_option,
    stop,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from rtqc.core import Assessment
    from rtqc.core.assessment import Scope
    from rtqc.guard import Guard
    from rtqc.heart import Device
    from rtqc.pipeline import Options

#: As ``rtqc.report.FILES``; importing that takes longer than ``--help`` may.
_OBJECTS = ("Heart_rtqc.dcm", "Heart_rtqc_seg.dcm", "report_sr.dcm", "report_pdf.dcm")
_FILES = ("report.html", "assessment.json", *_OBJECTS)
_COLOURS = {"pass": "green", "flag": "red", "error": "magenta"}


@click.command("check")
@click.argument("path", type=PathArgument())
@click.option(
    "--protocol",
    metavar="NAME|FILE",
    help="Thresholds and constraints (TOML). [default: the shipped one that fits the plan's site and fractionation]",
)
@scope_option
@model_options
@click.option("--out", type=PathArgument(exists=False), metavar="DIR", help="Write report.html and assessment.json there.")
@click.option(
    "--dicom",
    is_flag=True,
    help="Write the draft (RTSTRUCT, SEG) and the report (SR, and PDF where there is a Chromium) there too.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@limit_options
@json_option
def command(
    path: Path,
    protocol: str | None,
    scope: Scope,
    model: str,
    device: Device,
    threads: int,
    out: Path | None,
    dicom: bool,
    force: bool,
    time_limit: float,
    memory_limit: float,
    as_json: bool,
) -> None:
    """Check every plan below PATH and flag what a physicist must look at.

    A pass covers contour, dose, plan and image: a plan without RTDOSE or RTPLAN is flagged. With --scope contour it covers contour and image
    only, and says so.

    Each plan is read and checked in a process beside this one. A plan that takes it down, or takes more time or memory than it may, has no
    verdict and says why, and the others go on.

    Exit status: 0 all pass (in the scope asked for), 1 something is flagged, 2 something could not be assessed, 130 interrupted.
    """
    from rtqc.guard import Guard
    from rtqc.heart import DeviceError, ModelError, load_model
    from rtqc.pipeline import Options
    from rtqc.qc import ProtocolError, load_protocol, rule_ids

    if dicom and out is None:
        stop("--dicom needs --out DIR to write to")
    try:
        named = load_protocol(protocol, rule_ids()) if protocol else None
        options = Options(named, model, device, threads, scope=scope)
        load_model(model)
        with Guard(case_limits(time_limit, memory_limit)) as guard:
            assessments, unread = _check_all(guard, path, options, out, force, as_json, dicom)
    except (ProtocolError, ModelError, DeviceError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out or path}: {error.strerror or error}. Nothing half-written was left there.")
    if as_json:
        click.echo(json_document(assessments))
    sys.exit(max(*(EXIT_STATUS[a.verdict] for a in assessments), EXIT_STATUS["flag" if unread else "pass"]))


def json_document(assessments: list[Assessment]) -> str:
    """One case: its assessment. Several: the worst verdict and all of them."""
    if len(assessments) == 1:
        return assessments[0].model_dump_json(indent=2)
    worst = max(assessments, key=lambda a: EXIT_STATUS[a.verdict])
    cases = [a.model_dump(mode="json") for a in assessments]
    return json.dumps(
        {"schema_version": worst.schema_version, "verdict": worst.verdict, "cases": cases}, indent=2, ensure_ascii=False
    )


def _check_all(
    guard: Guard, path: Path, options: Options, out: Path | None, force: bool, quiet: bool, dicom: bool = False
) -> tuple[list[Assessment], int]:
    """Every case's assessment, and how many files belong to none because nobody could read them."""
    from dataclasses import replace

    from rtqc.report import FILES

    if not path.exists():
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path))
    results = []
    # Before the progress bar and its thread.
    guard.start()
    with progress(quiet) as bar:
        task = bar.add_task("reading headers", total=None)
        index, found = guard.survey(path, lambda n: bar.update(task, description=f"reading headers ({n} files)"))
        cases = [c.parts for c in found]
        # A file that nobody could read may be any patient's: that is no pass.
        unread = say_strays(index, cases)
        folders = case_folders(out, [c.patient_id for c in cases], _FILES, force)
        for number, parts in enumerate(cases):
            label = plain(parts.patient_id or "case") + (f" ({number + 1} of {len(cases)})" if len(cases) > 1 else "")
            bar.update(task, description=f"{label}: reading", total=len(cases), completed=number)
            steps = replace(options, progress=_announce(bar, task, label))
            target = folders[number]
            written = guard.assess(parts, index, steps, folder=target, kinds=FILES if dicom else ())
            for kind, why in written.left_out.items():
                click.echo(f"rtqc: no {kind.upper()} was written: {why}", err=True)
            if not quiet:
                bar.stop()
                show(written.assessment, target)
                bar.start()
            results.append(written.assessment)
    return results, unread


def _announce(bar: Progress, task: TaskID, label: str) -> Callable[[str], None]:
    return lambda step: bar.update(task, description=f"{label}: {step}")


def show(assessment: Assessment, folder: Path | None) -> None:
    """Print one case's verdict, findings and where its report is."""
    from rtqc.core.finding import Finding
    from rtqc.qc import coverage_words, verdict_words

    out = console()
    case = assessment.case
    name = " · ".join(plain(v) for v in (case.patient_id, case.patient_name, case.plan_label) if v) or "unknown patient"
    covers = coverage_words(assessment.verdict, assessment.checked, assessment.scope)
    word, *rest = verdict_words(assessment.verdict, assessment.scope).partition(",")
    verdict = word.upper() + "".join(rest)
    # Green is the colour of a whole pass.
    colour = "cyan" if any(rest) else _COLOURS[assessment.verdict]
    out.print(f"[bold {colour}]{verdict}[/]  {name}  [dim]({covers})[/dim]")
    out.print(plain(assessment.headline))
    findings: tuple[Finding, ...] = assessment.findings
    if findings:
        out.print(findings_table(findings))
    out.print(_numbers(assessment))
    if folder is not None:
        out.print(f"Report: {plain(str(folder / 'report.html'))}", soft_wrap=True)


def _numbers(assessment: Assessment) -> str:
    parts = []
    heart, agreement, dose = assessment.heart, assessment.agreement, assessment.dose
    if heart.contoured:
        parts.append(f"{plain(heart.contoured.name)} {heart.contoured.volume_ml:.0f} ml")
    if heart.draft:
        parts.append(f"draft {heart.draft.volume_ml:.0f} ml ({plain(heart.draft.model)} on {assessment.run.device})")
    if agreement:
        parts.append(f"Dice {agreement.dice:.3f}")
        if agreement.hausdorff95_mm is not None:
            parts.append(f"HD95 {agreement.hausdorff95_mm:.1f} mm")
    if dose and dose.contoured and dose.contoured.mean_gy is not None:
        against = f" (draft {dose.draft.mean_gy:.2f} {dose.unit})" if dose.draft and dose.draft.mean_gy is not None else ""
        parts.append(f"mean heart dose {dose.contoured.mean_gy:.2f} {dose.unit}{against}")
    return "[dim]" + " · ".join(parts) + "[/dim]" if parts else ""

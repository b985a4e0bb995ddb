"""``rtqc demo``: a synthetic plan with a planted error, checked as a clinic's would be."""

from __future__ import annotations

from pathlib import Path

import click

from rtqc.cli.console import PathArgument, console, plain, progress, stop

#: The error of the demo: the headline needs contour, dose and limit.
DEMO_ERROR = "dose_hidden_by_contour"


@click.command("demo")
@click.option(
    "--out",
    type=PathArgument(exists=False),
    default=Path("rtqc-demo"),
    show_default=True,
    metavar="DIR",
    help="Where to write.",
)
@click.option(
    "--error",
    default=DEMO_ERROR,
    show_default=True,
    metavar="NAME",
    help="Planted error; 'list' shows all, 'none' plants none.",
)
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
def command(out: Path, error: str, force: bool) -> None:
    """Make a synthetic breast plan with a planted error and check it.

    Writes the plan's DICOM files, the report, the JSON and the draft. Exit status 0: the demo worked, its patient is flagged.
    """
    from rtqc.cli.check import show
    from rtqc.dicom import read_cases
    from rtqc.heart import ModelError
    from rtqc.phantom import PLANTED, Anatomy, plant, synthetic_plan, write_plan
    from rtqc.pipeline import Options, assess_fully, write_rtstruct
    from rtqc.report import write_results

    if error == "list":
        for entry in PLANTED.values():
            console().print(f"[bold]{entry.name}[/]: {entry.about} ({entry.magnitude:g} {entry.unit}; {entry.rule})")
        return
    if error != "none" and error not in PLANTED:
        stop(f"there is no planted error '{error}': 'rtqc demo --error list' shows all")
    if out.exists() and any(out.iterdir()) and not force:
        stop(f"{out} is not empty: give another --out, or --force to replace an earlier demo")
    try:
        with progress() as bar:
            task = bar.add_task("making a synthetic patient", total=None)
            plan = synthetic_plan(Anatomy(), key="demo")
            plan = plan if error == "none" else plant(plan, error)
            folder = _emptied(out / "patient")
            write_plan(plan, folder, lambda n, total: bar.update(task, description="writing DICOM", completed=n, total=total))
            bar.update(task, description="reading", total=None)
            steps = Options(progress=lambda step: bar.update(task, description=step))
            assessed = assess_fully(read_cases(folder)[0], steps)
            bar.update(task, description="report")
            write_results(assessed, out)
            if assessed.draft is not None and not assessed.draft.structure.is_empty:
                write_rtstruct(assessed.draft, assessed.case, out / "Heart_rtqc.dcm", replace=True)
    except ModelError as problem:
        stop(str(problem))
    except OSError as problem:
        stop(f"{problem.filename or out}: {problem.strerror or problem}. Nothing half-written was left there.")
    planted = "nothing" if error == "none" else PLANTED[error].about
    console().print(f"A synthetic breast plan; planted in it: {planted}.")
    show(assessed.assessment, out)
    console().print(
        f"Also there: {plain(str(out / 'assessment.json'))}, the draft {plain(str(out / 'Heart_rtqc.dcm'))}, the plan {plain(str(out / 'patient'))}",
        soft_wrap=True,
    )


def _emptied(folder: Path) -> Path:
    """The folder without an earlier demo's files, and only those."""
    for file in folder.glob("*.dcm"):
        file.unlink()
    return folder

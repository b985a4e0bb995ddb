"""What the commands share: options, the console, and files that are never half-written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from rtqc.cli.streams import json_on_stdout
from rtqc.core.file_names import text_name
from rtqc.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from rtqc.core import Case, Finding, Structure
    from rtqc.dicom import Index, Parts
    from rtqc.guard import CaseLimits

Function = TypeVar("Function", bound=Callable[..., Any])

#: Exit status of each verdict; of several cases the worst counts.
EXIT_STATUS = {"pass": 0, "flag": 1, "error": 2}
_STYLES = {"fail": "bold red", "warning": "yellow", "info": "cyan"}
_MARKS = {"fail": "✕ fail", "warning": "! warning", "info": "i info"}


class PathArgument(click.Path):
    """An existing file or folder."""

    name = "path"

    def __init__(self, exists: bool = True) -> None:
        super().__init__(exists=exists, path_type=Path)


#: As ``rtqc.heart.engine.DEVICES``; written here because importing that takes longer than ``--help`` may.
DEVICES = ("auto", "cpu", "cuda", "tensorrt", "directml", "coreml")


def device_options(function: Function) -> Function:
    """``--device`` and ``--threads``."""
    device = click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="auto takes a GPU where there is one and says so; any other that is not there is an error.",
    )
    threads = click.option(
        "--threads",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="CPU threads of the model; other numbers may change a result's last digit. [default: 8, on every machine]",
    )
    return device(threads(function))


def model_options(function: Function) -> Function:
    """``--model``, ``--device`` and ``--threads``."""
    model = click.option("--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|DIR", help="Heart model.")
    return model(device_options(function))


def scope_option(function: Function) -> Function:
    """``--scope``."""
    return click.option(
        "--scope",
        type=click.Choice(["plan", "contour"]),
        default="plan",
        show_default=True,
        help="What a pass must cover: contour, dose, plan and image, or contour and image only.",
    )(function)


def limit_options(function: Function) -> Function:
    """``--time-limit`` and ``--memory-limit``."""
    seconds = click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        help="A plan that takes longer has no verdict.",
    )
    memory = click.option(
        "--memory-limit",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="GIB",
        help="A plan that takes more memory has no verdict. [default: 8, or 80 % of the machine's]",
    )
    return seconds(memory(function))


def case_limits(seconds: float, memory_gib: float) -> CaseLimits:
    """Limits of a case as options say them."""
    from rtqc.guard import CaseLimits

    return CaseLimits(seconds, int(memory_gib * (1 << 30)))


def json_option(function: Function) -> Function:
    """``--json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=lambda ctx, param, value: json_on_stdout(value),
        help="One JSON document on stdout, nothing else there.",
    )(function)


def console(stderr: bool = False) -> Console:
    """A console that colours on a terminal only and breaks lines at 80 columns elsewhere."""
    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A progress display on stderr, only on a terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = not quiet and sys.stderr.isatty()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not shown, redirect_stdout=False) as bar:
        yield bar


def stop(message: str) -> NoReturn:
    """Say on stderr why nothing could be assessed, and exit with 2."""
    click.echo(f"rtqc: {message}", err=True)
    sys.exit(2)


def plain(text: str) -> str:
    """Text from a file, made harmless for a terminal: no control characters, no markup."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: str) -> str:
    """Text from a file for a plain line: a question mark for what cannot be printed, such as a newline."""
    return "".join(c if c.isprintable() else "?" for c in text)


def findings_table(findings: tuple[Finding, ...]) -> Any:
    """A table of findings, worst first."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("severity", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    table.add_column("what")
    for f in findings:
        note = "" if f.certainty == "fact" else " [dim](estimate)[/dim]"
        table.add_row(f"[{_STYLES[f.severity]}]{_MARKS[f.severity]}[/]", f.rule, plain(f.message) + note)
    return table


def case_folders(out: Path | None, patients: list[str], names: Iterable[str], force: bool) -> list[Path | None]:
    """Where each case's files go: DIR itself for one case, a folder each for several; a message and exit status 2 where one of the files is there."""
    if out is None:
        return [None] * len(patients)
    folders: list[Path] = []
    for number, patient in enumerate(patients, 1):
        name = text_name(patient, "case")
        taken = (out / name) in folders
        folders.append(out if len(patients) == 1 else out / (f"{name}-{number}" if taken else name))
    there = [path for f in folders for path in (f / name for name in names) if path.exists()]
    if there and not force:
        stop(f"{there[0]} exists already: give another --out, or --force to replace it")
    return [*folders]


def with_structures_and_dose(parts: Parts) -> bool:
    """Whether a case has what a DVH is made of."""
    return parts.structure_set is not None and bool(parts.doses)


def with_images_and_more(parts: Parts) -> bool:
    """Whether a case has a CT and belongs to a plan or a structure set."""
    return bool(parts.series) and (parts.structure_set is not None or parts.plan is not None)


def only_case(path: Path, suits: Callable[[Parts], bool] = with_images_and_more) -> Case:
    """The one case of a folder; several are a message that lists their files, and exit status 2.

    Args:
        path: a folder of any shape, or one file.
        suits: what a case must have. Where one alone has it, that one is meant; where several have it, the one that alone is complete, so that
            every command means the same: single files of other patients that lie in the folder are said on stderr, without their names.
    """
    from rtqc.core.wording import listed
    from rtqc.dicom import index_folder, load_case, plan_cases

    index = index_folder(path)
    parts = plan_cases(index)
    fitting = [p for p in parts if suits(p)] if len(parts) > 1 else parts
    if len(fitting) > 1:
        complete = [p for p in fitting if with_structures_and_dose(p) and p.series]
        fitting = complete if len(complete) == 1 else fitting
    if len(fitting) != 1:
        # Files, not Patient IDs: whoever asks for one patient need not learn of another.
        folders = listed((p.headers[0].name for p in parts if p.headers), 8)
        patients = len({p.patient for p in parts})
        of_patients = f" of {patients} patients" if patients > 1 else ""
        stop(f"{path} holds {len(parts)} cases{of_patients} ({folders}): give the folder of one")
    chosen = fitting[0]
    others = sum(p.patient != chosen.patient for p in parts)
    if others:
        files = sum(len(p.headers) for p in parts if p.patient != chosen.patient)
        click.echo(
            f"rtqc: {_counted(files, 'file')} of {_counted(others, 'other case')} in this folder {'was' if files == 1 else 'were'} left aside",
            err=True,
        )
    own = sum(p.patient == chosen.patient for p in parts) - 1
    if own:
        left = [p.headers[0].name for p in parts if p.patient == chosen.patient and p is not chosen]
        click.echo(
            f"rtqc: {_counted(own, 'further case')} of this patient ({listed(left, 4)}) {'has' if own == 1 else 'have'} not what this needs and {'was' if own == 1 else 'were'} left aside",
            err=True,
        )
    say_strays(index, parts)
    return load_case(chosen, index)


def say_strays(index: Index, cases: list[Parts]) -> int:
    """Say on stderr what lies in a folder and is no case's: files that nobody could read among several patients', and doses of patients who have nothing else here.

    Returns:
        How many files could not be read.
    """
    from rtqc.dicom import stray_doses

    doses = stray_doses(index, cases)
    if doses:
        whose = "of another patient was" if len(doses) == 1 else "of other patients were"
        click.echo(f"rtqc: {_counted(len(doses), 'dose')} {whose} found in this folder and not used", err=True)
    return say_unread(index)


def say_unread(index: Index) -> int:
    """Say on stderr which files of a folder of several patients could not be read; returns how many."""
    from rtqc.dicom import findings_of_nobody

    unread = findings_of_nobody(index)
    for finding in unread[:8]:
        click.echo(f"rtqc: {finding.message} It lies among the files of several patients and belongs to no case.", err=True)
    if len(unread) > 8:
        click.echo(f"rtqc: and {len(unread) - 8} more files that could not be read and belong to no case", err=True)
    return len(unread)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def print_findings(findings: Iterable[Finding], stderr: bool = True) -> None:
    """A table of findings, worst first, on stderr: what a command writes to a file must not be all that it says."""
    from rtqc.core.finding import worst_first

    ordered = worst_first(findings)
    if ordered:
        console(stderr).print(findings_table(tuple(ordered)))


def pick_structure(structures: dict[str, Structure], name: str | None, where: str) -> Structure:
    """The structure of a name, else the surest heart; a message that lists what there is, and exit status 2, if neither.

    Args:
        structures: by name.
        name: as the user gave it; case does not matter where that is unambiguous.
        where: what the message calls their home.
    """
    from rtqc.core.names import find_hearts

    known = printable(", ".join(structures)) or "none"
    if name is None:
        hearts = find_hearts(structures)
        if not hearts:
            stop(f"{where} has no heart (its structures: {known}): name one with --roi")
        return structures[next((n for n in hearts if not structures[n].is_empty), hearts[0])]
    found = structures.get(name) or next((s for n, s in structures.items() if n.casefold() == name.casefold()), None)
    if found is None:
        stop(f"{where} has no structure '{name}' (its structures: {known})")
    if found.is_empty:
        # Of several ROIs of one name the one that has contours is meant, whatever their order.
        drawn = [s for s in structures.values() if s.name == found.name and not s.is_empty]
        return drawn[0] if drawn else found
    return found

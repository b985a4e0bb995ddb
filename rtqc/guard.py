"""Cases read, assessed and written in a child process, with a limit of time and memory: what one file does to it, it does to nobody else.

``rtqc check``, the node and ``rtqc watch`` ask here. What a night does in its workers, a child does for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rtqc.core.assessment import Assessment, CaseSummary
from rtqc.core.case import Case
from rtqc.core.child_process import ChildDiedError, free_memory_share
from rtqc.core.walk import shown_name
from rtqc.core.worker import Worker
from rtqc.dicom import (
    Index,
    Parts,
    byte_digest,
    content_digest,
    findings_beside,
    index_folder,
    is_complete,
    note,
    patient_key,
    plan_cases,
)
from rtqc.pipeline import Assessed, Options
from rtqc.qc import undone, undone_finding
from rtqc.report import Kind, write_results

#: A case may take so long, in s, as in a night.
CASE_SECONDS = 600.0
#: Bytes of memory of a case: a CT of 512 x 512 x 400 with dose has 4 GiB; and no more than this share of what the machine has.
CASE_MEMORY, _MEMORY_SHARE = 8 << 30, 0.8
#: Names of files that brought the reading of headers down: of so many the folder is given up.
_MOST_CULPRITS = 20
#: Loaded at once by a child that is started.
_PRELOAD = ("rtqc.guard",)


@dataclass(frozen=True)
class CaseLimits:
    """What one case may take.

    Attributes:
        seconds: of time, for reading, assessing and writing together.
        memory: bytes resident; 0: :data:`CASE_MEMORY`, or less where the machine has less.
    """

    seconds: float = CASE_SECONDS
    memory: int = 0

    @property
    def memory_bytes(self) -> int:
        """The limit that holds."""
        return self.memory or min(CASE_MEMORY, free_memory_share(_MEMORY_SHARE))


@dataclass(frozen=True)
class FoundCase:
    """A case of a folder.

    Attributes:
        parts: its files.
        complete: whether everything that it refers to is here, where that was asked for.
    """

    parts: Parts
    complete: bool = False


@dataclass(frozen=True)
class Written:
    """A case that was assessed.

    Attributes:
        assessment: the result.
        left_out: DICOM objects that were asked for and not written, by kind, and why.
        has_report: whether report and JSON were written.
    """

    assessment: Assessment
    left_out: dict[str, str] = field(default_factory=dict)
    has_report: bool = False


class Guard:
    """The child that cases are given to; a context manager that ends it."""

    def __init__(self, limits: CaseLimits = CaseLimits()) -> None:
        self.limits = limits
        self._worker = Worker(limits.seconds, limits.memory_bytes, _PRELOAD)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start the child now, so that it is ready when it is needed."""
        self._worker.start()

    def close(self) -> None:
        """End the child."""
        self._worker.close()

    def survey(
        self, path: Path, progress: Callable[[int], None] | None = None, *, complete: bool = False
    ) -> tuple[Index, list[FoundCase]]:
        """What lies at a path.

        Args:
            path: a folder of any shape, or one file.
            progress: called with the number of files read so far.
            complete: whether it is asked if cases are complete.

        Returns:
            Its index, and its cases. A file whose header takes the child down is a finding.

        Raises:
            FileNotFoundError: the path does not exist.
        """
        skipped: dict[str, str] = {}
        while True:
            at = [""]

            def told(what: tuple[int, str], at: list[str] = at) -> None:
                at[0] = what[1]
                if progress is not None:
                    progress(what[0])

            try:
                return self._worker.call(_survey, path, skipped, complete, told=told, renewed=True)
            except FileNotFoundError:
                raise
            except ChildDiedError as error:
                if at[0] in skipped or len(skipped) >= _MOST_CULPRITS:
                    return _given_up(path, at[0], error)
                skipped[at[0]] = error.how
            except Exception as error:  # whatever is wrong with one folder, the others go on
                return _given_up(
                    path, at[0], ChildDiedError("died", f"met what nobody foresaw ({type(error).__name__}: {error})")
                )

    def digest(self, path: Path) -> str:
        """Hash of what an object holds (:func:`rtqc.dicom.content_digest`); of its bytes where that takes the child down."""
        try:
            return self._worker.call(content_digest, path)
        except ChildDiedError:
            return byte_digest(path)

    def assess(
        self,
        parts: Parts,
        index: Index,
        options: Options,
        *,
        folder: Path | None = None,
        kinds: Iterable[Kind] = (),
        replace_objects: bool = True,
    ) -> Written:
        """Read a case, assess it, and write its results.

        Args:
            parts: of :meth:`survey`.
            index: that they are of.
            options: how it is assessed; ``progress`` is called here.
            folder: for report, JSON and objects; None: nothing is written.
            kinds: DICOM objects that are written.
            replace_objects: whether they may replace files that are there.

        Returns:
            The result. A case that took the child down, took too long or too much memory, or met an error that nobody foresaw, has no verdict and says why.

        Raises:
            OSError: results cannot be written.
            DeviceError, ModelError: the device is not there, or the model cannot be used: no case can be assessed.
        """
        written = self._assessed(parts, index, options, folder, tuple(kinds), replace_objects)
        if folder is not None and not written.has_report:
            write_results(Assessed(written.assessment, Case()), folder)
            return replace(written, has_report=True)
        return written

    def set_aside(self, parts: Parts, message: str, folder: Path) -> Written:
        """The results of a case that is not to be checked again, because it was ended with whoever checked it.

        Args:
            parts: its files.
            message: a sentence.
            folder: where report and JSON are written.

        Raises:
            OSError: they cannot be written.
        """
        assessment = undone_of(parts, "run.killed", message)
        write_results(Assessed(assessment, Case()), folder)
        return Written(assessment, has_report=True)

    def _assessed(
        self, parts: Parts, index: Index, options: Options, folder: Path | None, kinds: tuple[Kind, ...], replace_objects: bool
    ) -> Written:
        from rtqc.heart import DeviceError, ModelError

        progress = options.progress
        job = (parts, _index_for(parts, index), replace(options, progress=None), folder, kinds, replace_objects)
        try:
            try:
                return self._worker.call(_assess, *job, told=progress or _nobody)
            except ChildDiedError as error:
                if error.cause != "died":
                    raise
                # Once more, so that nobody is blamed for what happened beside him.
                return self._worker.call(_assess, *job, told=progress or _nobody)
        except ChildDiedError as error:
            return Written(undone_of(parts, *self._words(error)))
        except (DeviceError, ModelError, OSError):
            raise
        except MemoryError:
            return Written(undone_of(parts, *self._words(ChildDiedError("memory", "ran out of memory"))))
        except Exception as error:  # whatever is wrong with one case, the others go on
            return Written(
                undone_of(
                    parts,
                    "run.failed",
                    f"The check could not go on ({type(error).__name__}: {error}): look at the plan by hand.",
                )
            )

    def _words(self, error: ChildDiedError) -> tuple[str, str]:
        """Rule and sentence."""
        if error.cause == "time":
            return (
                "run.time_limit",
                f"The check took longer than {self.limits.seconds:g} s: look at the plan by hand, or give it more time.",
            )
        if error.cause == "memory":
            gib = self.limits.memory_bytes / (1 << 30)
            return (
                "run.memory_limit",
                f"The check took more than {gib:.1f} GiB of memory: look at the plan by hand, or give it more memory.",
            )
        return (
            "run.killed",
            f"The process that checked it {error.how}, twice, over one of its files: look at the plan by hand.",
        )


def undone_of(parts: Parts, rule: str, message: str) -> Assessment:
    """The assessment of a case that could not be assessed.

    Args:
        parts: its files.
        rule: one of :data:`rtqc.qc.undone.UNDONE_RULES`.
        message: a sentence.
    """
    named = [h.name for h in (parts.plan, parts.structure_set, *parts.doses[:1], *parts.series[:1]) if h is not None]
    listed = f" ({', '.join(named)})" if named else ""
    sentence = f"{message.removesuffix('.')}{listed}."
    return undone(summary_of(parts), undone_finding(rule, sentence, tuple(named)))


def summary_of(parts: Parts) -> CaseSummary:
    """What the headers alone say of a case that was not read."""
    first = next(iter(parts.headers), None)
    return CaseSummary(
        patient_id=parts.patient_id,
        patient_name=first.patient_name if first else "",
        plan_label=parts.plan.label if parts.plan else "",
        rtplan_uid=parts.plan.uid if parts.plan else "",
        rtstruct_uid=parts.structure_set.uid if parts.structure_set else "",
    )


def _nobody(_: Any) -> None:
    """Who listens to nothing."""


def _index_for(parts: Parts, index: Index) -> Index:
    """Of an index what a case's reading asks for: in an archive it is not sent along with each case."""
    if not (parts.plan or parts.structure_set or parts.series):
        return index  # the sentence on what is missing counts what else is here
    whose = parts.patient or next((patient_key(h) for h in parts.headers), "")
    return Index(
        index.root,
        findings=findings_beside(index, whose),
        others=index.others,
        not_judged=[h for h in index.not_judged if patient_key(h) == whose],
    )


def _survey(path: Path, skipped: dict[str, str], complete: bool, tell: Callable[[Any], None]) -> tuple[Index, list[FoundCase]]:
    """In the child."""

    def about_to_read(number: int, name: str) -> None:
        tell((number, name))

    index = index_folder(path, skipped=skipped, before=about_to_read)
    tell((-1, ""))
    cases = plan_cases(index)
    return index, [FoundCase(parts, complete and is_complete(parts)) for parts in cases]


def _given_up(path: Path, name: str, error: ChildDiedError) -> tuple[Index, list[FoundCase]]:
    """A folder that cannot be looked at."""
    index = Index(path)
    over = f" over {name}" if name else ""
    message = f"The folder {path.name} could not be read: the process that read it {error.how}{over}. Remove what is no export of a planning system."
    index.findings.append(note("file.beyond_limits", message, files=[name or path.name]))
    return index, [FoundCase(Parts())]


def _assess(
    parts: Parts,
    index: Index,
    options: Options,
    folder: Path | None,
    kinds: tuple[Kind, ...],
    replace_objects: bool,
    tell: Callable[[Any], None],
) -> Written:
    """In the child."""
    from rtqc.dicom import load_case
    from rtqc.pipeline import assess_fully
    from rtqc.report import write_objects, write_results

    tell("reading")
    try:
        assessed = assess_fully(load_case(parts, index), replace(options, progress=tell))
    except OSError as error:  # of reading; one of writing is another matter
        why = f"{shown_name(str(error.filename or 'a file'))}: {error.strerror or error}"
        return Written(
            undone_of(parts, "run.failed", f"The check could not go on ({why}): look whether the files are still there.")
        )
    left_out: dict[str, str] = {}
    if folder is not None:
        tell("report")
        write_results(assessed, folder)
        if kinds:
            tell("DICOM objects")
            _, absent = write_objects(assessed, folder, kinds, replace=replace_objects)
            left_out = {str(kind): why for kind, why in absent.items()}
    return Written(assessed.assessment, left_out, folder is not None)

"""What a worker does with one order: read, assess, paint. No database, and nothing is written."""

from __future__ import annotations

import faulthandler
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtqc.core.case import Case
from rtqc.dicom import load_case
from rtqc.guard import summary_of
from rtqc.nightly.orders import Order, Outcome, Settings
from rtqc.pipeline import Assessed, Options, assess_fully
from rtqc.qc import undone, undone_finding
from rtqc.report import render_report, thumbnail

#: Read at a time while hashing.
_BLOCK = 1 << 20


def work(order: Order, settings: Settings) -> Outcome:
    """Check one plan, or find that its content is that of a result which is there.

    A check that takes too long ends the process: nothing else ends a decoder that never returns.
    """
    with time_limit(settings.seconds):
        began = time.perf_counter()
        digests = digests_of(order)
        key = order.key(settings, {**order.digests, **digests})
        seconds = {"hash": time.perf_counter() - began}
        if key in order.known:
            return Outcome(key, None, digests, seconds=seconds)
        try:
            return _assessed(order, settings, Outcome(key, None, digests, seconds=seconds))
        except Exception as error:  # whatever is wrong with one plan, the night goes on
            return given_up(order, key, digests, "run.failed", f"The check could not go on ({type(error).__name__}: {error}).")


def given_up(order: Order, key: str, digests: dict[str, str], rule: str, message: str) -> Outcome:
    """The outcome of a plan that could not be checked."""
    parts = order.parts
    first = next(iter(parts.headers), None)
    finding = undone_finding(rule, message, tuple(h.name for h in (parts.plan, parts.structure_set) if h is not None))
    date = first.created[:8] if first else ""
    return Outcome(key, undone(summary_of(parts), finding), digests, why=message, plan_date=date)


def digests_of(order: Order) -> dict[str, str]:
    """Content of the files that is not known yet, by name; a file that has gone or cannot be read has none."""
    found = {}
    for header in order.headers:
        if header.name not in order.digests:
            digest = _digest(header.path)
            if digest:
                found[header.name] = digest
    return found


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=20)
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def _assessed(order: Order, settings: Settings, outcome: Outcome) -> Outcome:
    began = time.perf_counter()
    case = load_case(order.parts, order.index)
    outcome.seconds["read"] = time.perf_counter() - began
    assessed = assess_fully(case, _options(settings))
    assessment = assessed.assessment
    outcome.seconds |= assessment.run.seconds
    began = time.perf_counter()
    outcome.assessment = assessment
    if assessment.verdict == "error":
        outcome.why = assessment.headline.removeprefix("No verdict is possible. ")
    _picture(assessed, settings, outcome)
    outcome.seconds["report"] = time.perf_counter() - began
    _facts(case, outcome)
    return outcome


def _options(settings: Settings) -> Options:
    return Options(
        settings.protocol,
        settings.model,
        settings.device,
        settings.threads,
        populations=settings.populations,
        scope=settings.scope,
    )


def _picture(assessed: Assessed, settings: Settings, outcome: Outcome) -> None:
    if assessed.assessment.verdict != "pass" or settings.all_reports:
        outcome.report = render_report(assessed).encode("utf-8")
        outcome.thumbnail = thumbnail(assessed)


def _facts(case: Case, outcome: Outcome) -> None:
    plan, provenance = case.plan, case.provenance
    labels = provenance.labels
    outcome.plan_date = ((plan.date if plan else "") or labels.get("structure_set_date", "") or provenance.study_date)[:8]
    if plan is not None:
        outcome.planner, outcome.reviewer, outcome.planning_system = plan.operator, plan.reviewer, plan.planning_system
    outcome.scanner = labels.get("scanner", "")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process where the block takes longer, in s: nothing else ends a decoder that never returns."""
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

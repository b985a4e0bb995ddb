"""Which plans may teach: a case whose contour is wrong would teach the mistake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtqc.core import Case, Structure
from rtqc.dicom import index_folder, load_case, plan_cases
from rtqc.pipeline import choose_heart
from rtqc.qc import Measurements, Protocol, load_protocol, run_rules

#: Warnings that make a contour unfit to learn from, although a plan may live with them: the contour of the previous
#: patient, of a sub-volume, of a margin, or one of two that could be meant.
_UNFIT_WARNINGS = frozenset(
    {"contour.contains_lung", "contour.overlaps_lung", "contour.volume", "contour.two_hearts", "contour.off_plane"}
)
#: What is said about dose and plan does not matter for learning a contour.
_TOPICS = ("contour.", "lungs.", "ct.", "structure_set.", "reference.structure_set_ct")


@dataclass(frozen=True)
class Patient:
    """A case that may teach.

    Attributes:
        id: patient ID; cases of one patient are never parted between training and test.
        name: what the case is called in tables.
        case, heart: as read.
    """

    id: str
    name: str
    case: Case
    heart: Structure


@dataclass(frozen=True)
class SetAside:
    """A case that may not, and why, one sentence each."""

    name: str
    reasons: tuple[str, ...]


def curate(folders: Sequence[Path], protocol: Protocol | None = None) -> tuple[list[Patient], list[SetAside]]:
    """Sort every case below the folders.

    Args:
        folders: plans as a planning system exports them.
        protocol: names and limits; None: the breast protocol.

    Raises:
        FileNotFoundError: a folder does not exist.
    """
    protocol = protocol or load_protocol()
    kept: list[Patient] = []
    aside: list[SetAside] = []
    for folder in folders:
        index = index_folder(folder)
        for parts in plan_cases(index):
            case = load_case(parts, index)
            name = _unused(parts.patient_id or folder.name, [p.name for p in kept] + [s.name for s in aside])
            candidates, roi = choose_heart(case, protocol)
            reasons = _reasons(case, Measurements(case, roi, tuple(candidates)), protocol)
            if reasons or roi is None:
                aside.append(SetAside(name, tuple(reasons or ["There is no heart."])))
            else:
                kept.append(Patient(parts.patient_id or name, name, case, roi.structure))
    return kept, aside


def _reasons(case: Case, measurements: Measurements, protocol: Protocol) -> list[str]:
    found = [*case.findings, *run_rules(measurements, protocol)]
    reasons = [f.message for f in found if f.rule.startswith(_TOPICS) and (f.severity == "fail" or f.rule in _UNFIT_WARNINGS)]
    if not reasons and case.image is None:
        reasons.append("There is no CT.")
    if not reasons and not measurements.candidates:
        reasons.append("There is no heart contour.")
    return reasons


def _unused(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, 10_000))) if n not in used)

"""What goes into the store and comes out of it, as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from rtqc.core.assessment import Assessment
from rtqc.core.version import rtqc_version
from rtqc.nightly.store.tables import ResultRow
from rtqc.qc import numbers_of_assessment


@dataclass(frozen=True)
class NewResult:
    """A plan's result on its way into the store.

    Attributes:
        key, identity, subject, folder: see :class:`~rtqc.nightly.store.tables.ResultRow`.
        assessment: the public result.
        reason: why there is no verdict; empty where there is one.
        plan_date, planner, reviewer, planning_system, scanner: of the files, as they stand there.
        seconds: that it took.
        digests: content of files that were not known before, by name.
        has_report, has_thumbnail: what was written beside it.
    """

    key: str
    identity: str
    subject: str
    folder: str
    assessment: Assessment
    reason: str = ""
    plan_date: str = ""
    planner: str = ""
    reviewer: str = ""
    planning_system: str = ""
    scanner: str = ""
    seconds: float = 0.0
    digests: dict[str, str] = field(default_factory=dict)
    has_report: bool = False
    has_thumbnail: bool = False


@dataclass(frozen=True)
class Acknowledgement:
    """That somebody has looked at a flagged plan."""

    result_key: str
    made: datetime
    by: str
    outcome: str
    note: str


@dataclass(frozen=True, slots=True)
class Row:
    """A result without its assessment: what lists, charts and tables are made of. Names are those of the columns."""

    id: int
    key: str
    subject: str
    run_id: int
    folder: str
    created: datetime
    verdict: str
    headline: str
    reason: str
    patient_id: str
    patient_name: str
    plan_label: str
    plan_date: str
    protocol: str
    planner: str
    reviewer: str
    planning_system: str
    scanner: str
    model: str
    dice: float | None
    hausdorff95_mm: float | None
    mean_surface_distance_mm: float | None
    volume_ml: float | None
    size_difference_percent: float | None
    mean_dose_gy: float | None
    mean_dose_difference_gy: float | None
    flips: int
    trusted: bool | None
    confidence: float | None
    predicted_dice: float | None
    slice_spacing_mm: float | None
    noise_hu: float | None
    heart_hu: float | None
    has_table: bool | None
    seconds: float
    has_report: bool
    has_thumbnail: bool
    repeats: bool


#: Names of the columns of a :class:`Row`.
ROW_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Row))
#: Lengths of text columns; what a file says may be longer.
_LENGTHS: dict[str, int] = {
    c.name: length for c in ResultRow.__table__.columns if (length := getattr(c.type, "length", None)) is not None
}


def columns_of(result: NewResult) -> dict[str, Any]:
    """A result as the columns of its row."""
    a = result.assessment
    contoured, draft, agreement, dose = a.heart.contoured, a.heart.draft, a.agreement, a.dose
    volume = contoured.volume_ml if contoured else None
    columns: dict[str, Any] = {
        "identity": result.identity,
        "subject": result.subject,
        "folder": result.folder,
        "verdict": a.verdict,
        "headline": a.headline,
        "reason": result.reason,
        "patient_id": a.case.patient_id,
        "patient_name": a.case.patient_name,
        "plan_label": a.case.plan_label,
        "plan_date": result.plan_date,
        "protocol": a.protocol,
        "planner": result.planner,
        "reviewer": result.reviewer,
        "planning_system": result.planning_system,
        "scanner": result.scanner,
        "model": f"{draft.model} {draft.model_hash[:12]}".strip() if draft else "",
        "version": a.run.versions.get("rtqc", rtqc_version()),
        "dice": agreement.dice if agreement else None,
        "hausdorff95_mm": agreement.hausdorff95_mm if agreement else None,
        "mean_surface_distance_mm": agreement.mean_surface_distance_mm if agreement else None,
        "volume_ml": volume,
        "size_difference_percent": 100 * agreement.volume_difference_ml / volume if agreement and volume else None,
        "mean_dose_gy": dose.contoured.mean_gy if dose and dose.contoured else None,
        "mean_dose_difference_gy": dose.difference.mean_gy if dose and dose.difference else None,
        "flips": sum(c.outcome_flips for c in a.constraints),
        "trusted": draft.trusted if draft else None,
        "confidence": draft.confidence if draft else None,
        "predicted_dice": draft.predicted_dice if draft else None,
        "slice_spacing_mm": a.case.voxel_spacing_mm[0] if a.case.voxel_spacing_mm else None,
        "noise_hu": a.image.noise_hu if a.image else None,
        "heart_hu": a.image.heart_hu if a.image else None,
        "has_table": a.image.table if a.image else None,
        "seconds": result.seconds,
        "has_report": result.has_report,
        "has_thumbnail": result.has_thumbnail,
        "numbers": numbers_of_assessment(a) or None,
        "assessment": json.dumps(a.model_dump(mode="json"), ensure_ascii=True, separators=(",", ":")),
    }
    return {k: _storable(v, _LENGTHS.get(k)) if isinstance(v, str) else v for k, v in columns.items()}


def _storable(value: str, length: int | None) -> str:
    """Text that both databases take: NUL is text to DICOM and an error to PostgreSQL, half a surrogate comes of file names that are not UTF-8."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:length]

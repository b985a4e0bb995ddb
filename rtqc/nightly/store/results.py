"""What goes into the store and comes out of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime

from rtqc.core.assessment import Assessment


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

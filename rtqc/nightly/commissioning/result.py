"""The JSON of a commissioning: everything that stands in its report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rtqc.qc.commissioned import Habit

SCHEMA_VERSION = "1.0"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaseMeasured(_Model):
    """One accepted contour against the draft.

    ``dice``, ``hausdorff95_mm``, ``mean_surface_distance_mm``, ``volume_percent`` (contour over draft, less one): between the ends that both have;
    ``whole_dice``: of the whole. ``upper_end_mm``, ``lower_end_mm``: contour minus draft, positive upward. ``sides_mm``: how far the contour lies
    outside the draft (positive), by side. ``flagged_by``: of the proposed limits, those that this contour would not keep although it was left
    out when they were made. ``report``: path of its own report.
    """

    key: str
    patient_id: str
    plan_label: str = ""
    plan_date: str = ""
    planner: str = ""
    protocol: str = ""
    rtstruct_uid: str = ""
    heart: str = ""
    dice: float
    whole_dice: float
    hausdorff95_mm: float | None = None
    mean_surface_distance_mm: float | None = None
    volume_percent: float
    upper_end_mm: float
    lower_end_mm: float
    sides_mm: dict[str, float] = Field(default_factory=dict)
    contoured_mean_gy: float | None = None
    draft_mean_gy: float | None = None
    predicted_dice: float
    slice_spacing_mm: float
    upper_end_definition: str | None = None
    verdict: str
    rules: tuple[str, ...] = ()
    flagged_by: tuple[str, ...] = ()
    report: str = ""


class CaseLeftOut(_Model):
    """A plan that nothing was learned from. ``kind``: ``untrusted``: the draft was not; ``own_draft``: the contour is rtqc's own."""

    key: str
    patient_id: str
    plan_label: str = ""
    kind: Literal["untrusted", "own_draft", "cut_off", "contour", "no_comparison", "repeated", "unwanted"]
    why: str
    report: str = ""


class Distribution(_Model):
    """A number over all contours. ``low``, ``high``: 95 % interval of the median; ``deviation``: robust (Qn)."""

    name: str
    unit: str
    count: int
    median: float
    low: float
    high: float
    deviation: float
    quartiles: tuple[float, float]
    least: float
    greatest: float


class Rate(_Model):
    """A share of contours with its 95 % interval (Wilson), in percent."""

    found: int
    count: int
    percent: float
    low_percent: float
    high_percent: float


class ProposedLimit(_Model):
    """A limit from the clinic's own contours, beside the one that it takes the place of, with the contours that each flags.

    ``proposed_rate``: each contour was left out of the limits that it was held against.
    """

    name: str
    unit: str
    shipped: float
    shipped_rate: Rate
    proposed: float
    proposed_rate: Rate
    source: str


class Agreement(_Model):
    """Draft minus contour after Bland and Altman, with 95 % intervals; ``lower``, ``upper``: limits of agreement."""

    count: int
    bias: float
    bias_low: float
    bias_high: float
    lower: float
    lower_low: float
    lower_high: float
    upper: float
    upper_low: float
    upper_high: float


class TwoHabits(_Model):
    """An end that is drawn in two ways. ``lower_mm``, ``upper_mm``: medians; ``lower_keys``: contours of the lower one."""

    end: Literal["upper", "lower"]
    lower_mm: float
    upper_mm: float
    chance: float
    lower_keys: tuple[str, ...]
    upper_keys: tuple[str, ...]


class Precision(_Model):
    """What so many cases would tell: half 95 % intervals of the ends' medians, and the interval of a share of false flags of 5 %."""

    cases: int
    upper_end_mm: float | None
    lower_end_mm: float | None
    false_flags_low_percent: float
    false_flags_high_percent: float


class Criterion(_Model):
    """A condition of acceptance; ``met``: null where it cannot be told."""

    id: str
    about: str
    measured: str
    wanted: str
    met: bool | None
    source: str


class Changed(_Model):
    """A number of the same contours in both commissionings: this one minus the earlier one, mean with its 95 % interval (Student's t)."""

    name: str
    unit: str
    cases: int
    before: float
    now: float
    difference: float
    low: float | None
    high: float | None


class Comparison(_Model):
    """This commissioning against an earlier one."""

    earlier: str
    date: str
    model: str
    model_hash: str
    rtqc_version: str
    same_cases: int
    changed: tuple[Changed, ...] = ()
    newly_flagged: tuple[str, ...] = ()
    no_longer_flagged: tuple[str, ...] = ()
    newly_untrusted: tuple[str, ...] = ()
    no_longer_untrusted: tuple[str, ...] = ()


class CommissioningReport(_Model):
    """The whole of it."""

    schema_version: str = SCHEMA_VERSION
    accepted: bool
    headline: str
    date: str
    archive: str
    plans: int
    base_protocol: str
    other_protocols: dict[str, int] = Field(default_factory=dict)
    upper_end: str | None = None
    drawn_to: dict[str, int] = Field(default_factory=dict)
    model: str
    model_hash: str
    rtqc_version: str
    device: str = ""
    host: str = ""
    cases: tuple[CaseMeasured, ...] = ()
    left_out: tuple[CaseLeftOut, ...] = ()
    untrusted: Rate
    flagged_now: Rate
    flagged_with_proposal: Rate
    distributions: tuple[Distribution, ...] = ()
    mean_dose: Agreement | None = None
    upper_end_habit: Habit | None = None
    lower_end_habit: Habit | None = None
    volume_habit: Habit | None = None
    two_habits: tuple[TwoHabits, ...] = ()
    limits: tuple[ProposedLimit, ...] = ()
    precision: tuple[Precision, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    comparison: Comparison | None = None
    notes: tuple[str, ...] = ()
    guidance: tuple[str, ...] = ()

"""Everything that was measured on a case, the findings and the verdict: the public JSON.

The keys are a contract (``docs/json.md``); values that could not be computed are null, with a finding that says why.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rtqc.core.cardiac import Cardiac
from rtqc.core.finding import Finding

SCHEMA_VERSION = "1.0"
Verdict = Literal["pass", "flag", "error"]
#: What a verdict is asked to cover: the whole plan, or the contour on its image only.
Scope = Literal["plan", "contour"]
#: What was there and usable, so that it could be checked.
CheckedPart = Literal["contour", "dose", "plan", "image"]
#: Which of a constraint's two limits it is: above ``ideal`` somebody must look, above ``acceptable`` the plan must not go on.
Tier = Literal["ideal", "acceptable"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def dose_unit(dose_type: str) -> str:
    """The unit that doses of a Dose Type are written with: ``Gy``, or ``Gy (RBE)`` of an ``EFFECTIVE`` one (ICRU 78, from knowledge)."""
    return "Gy (RBE)" if dose_type == "EFFECTIVE" else "Gy"


class PrescribedDose(_Model):
    """A prescription of the plan: total dose, to what, and where the plan says it (``target``, ``point`` or ``beams``)."""

    dose_gy: float
    target: str = ""
    stated_for: Literal["target", "point", "beams"] = "target"


class CaseSummary(_Model):
    """Which plan it is. Text comes from the files as it stands there. ``prescription_gy`` is the first of ``prescriptions``."""

    patient_id: str = ""
    patient_name: str = ""
    plan_label: str = ""
    structure_set_label: str = ""
    study_uid: str = ""
    ct_series_uid: str = ""
    rtstruct_uid: str = ""
    rtplan_uid: str = ""
    rtdose_uids: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    voxel_spacing_mm: tuple[float, float, float] | None = None
    structures: tuple[str, ...] = ()
    prescription_gy: float | None = None
    prescriptions: tuple[PrescribedDose, ...] = ()
    fractions: int | None = None
    files: dict[str, int] = Field(default_factory=dict)


class HeartShape(_Model):
    """A contoured heart in numbers that hearts of one clinic share; ``docs/metrics.md`` defines each.

    Lengths along slice normal, to the left and to the back, in mm; surface over volume per cm; place as percent of the lungs' box (from its right,
    front and lower side); height of the heart's upper end below the carina; median and 5th percentile of the CT numbers inside; areas at ten equal parts of the length, of their mean.
    Null where lungs or carina are not in view.
    """

    volume_ml: float
    length_mm: float
    width_mm: float
    depth_mm: float
    surface_to_volume_per_cm: float
    leftward_percent: float | None = None
    backward_percent: float | None = None
    upward_percent: float | None = None
    below_carina_mm: float | None = None
    median_hu: float | None = None
    low_hu: float | None = None
    profile: tuple[float, ...] = ()


class Outlier(_Model):
    """How unusual a number of the heart's shape is: robust z-score against a population (median and median absolute deviation)."""

    feature: str
    value: float
    usual: float
    z: float


class PopulationComparison(_Model):
    """Against which hearts a contour was held, how many there were, and what is unusual, most unusual first."""

    name: str
    count: int
    outliers: tuple[Outlier, ...] = ()


class ContouredHeart(_Model):
    """The heart that the dosimetrist drew. ``extent_mm``: first and last plane along the slice normal; ``from_draft``: it began as rtqc's draft."""

    name: str
    volume_ml: float
    extent_mm: tuple[float, float] | None = None
    shape: HeartShape | None = None
    population: PopulationComparison | None = None
    from_draft: bool = False


class DraftEnd(_Model):
    """One end of the draft.

    ``z_mm``: height in patient coordinates; ``deviation_mm``: its standard deviation; ``moved_mm``: how far the levels of the chest moved it from
    where the network ended, positive upward.
    """

    z_mm: float
    deviation_mm: float
    moved_mm: float = 0.0


class DraftHeart(_Model):
    """The heart that rtqc drew. ``confidence`` and ``predicted_dice`` are 0 to 1, estimates.

    ``surface_uncertainty_mm``: one standard deviation of the outline's position, median along it;
    ``unsure_surface_percent``: part of the outline where it is more than 5 mm; null where the model cannot tell.
    ``upper_end``, ``lower_end``: null where the image cuts the heart off or the model cannot tell; ``upper_end_definition``: ``feng2011``
    (just below the left pulmonary artery), or ``model``: where the model's teachers ended.
    """

    volume_ml: float
    model: str
    model_hash: str = ""
    confidence: float
    predicted_dice: float
    trusted: bool
    doubts: tuple[str, ...] = ()
    surface_uncertainty_mm: float | None = None
    unsure_surface_percent: float | None = None
    upper_end: DraftEnd | None = None
    lower_end: DraftEnd | None = None
    upper_end_definition: str | None = None
    extent_mm: tuple[float, float] | None = None


class Hearts(_Model):
    """Both hearts."""

    contoured: ContouredHeart | None = None
    draft: DraftHeart | None = None


class ImageSummary(_Model):
    """What the CT is like where the heart is: numbers that drift when a scanner or its protocol changes.

    ``heart_hu``: median CT number inside the contoured heart (else the draft), which contrast agent raises; ``noise_hu``: standard
    deviation of the noise there (docs/metrics.md); ``table``: whether there is something dense outside the body.
    """

    heart_hu: float | None = None
    noise_hu: float | None = None
    table: bool | None = None


class SliceAgreement(_Model):
    """Two structures on one plane; areas in mm², distances in mm; ``missing``: where nothing is drawn."""

    position_mm: float
    dice: float
    hausdorff_mm: float | None
    area_a_mm2: float
    area_b_mm2: float
    only_a_mm2: float
    only_b_mm2: float
    missing: Literal["a", "b"] | None = None


class SurfaceDice(_Model):
    """Share of both surfaces within a tolerance of the other."""

    tolerance_mm: float
    value: float


class SurfaceRegion(_Model):
    """A part of A's surface, by side or octant of B's centroid: how far it lies outside (positive) or inside B's surface."""

    name: str
    area_mm2: float
    signed_distance_mm: float
    furthest_outside_mm: float
    furthest_inside_mm: float


class BetweenEnds(_Model):
    """How two structures agree between the two ends that both have: where schools differ about the ends, the rest can still be compared.

    ``from_mm``, ``to_mm``: the lowest and the highest plane that both have; everything else is of the parts on these planes and between them.
    ``volume_difference_percent`` is B minus A, in percent of A. Distances are null where a part is too thin to have an inside.
    """

    from_mm: float
    to_mm: float
    dice: float
    hausdorff95_mm: float | None = None
    mean_surface_distance_mm: float | None = None
    volume_difference_percent: float


class Agreement(_Model):
    """How two structures A (contoured) and B (draft) agree; ``docs/metrics.md`` defines each number.

    ``volume_difference_ml`` and ``centroid_shift_mm`` (left, posterior, superior) are B minus A; ``centroid_shift`` is the latter
    in words. ``between_ends``: the same without the ends; null where they are not apart, or share no two planes. ``hausdorff_at_mm`` are patient coordinates. ``signed_surface_distance_mm`` and ``regions`` say where A lies outside B
    (positive) or inside. Distances are null where one of the two is empty.
    """

    dice: float
    jaccard: float
    surface_dice_3mm: float | None = None
    surface_dice: tuple[SurfaceDice, ...] = ()
    hausdorff_mm: float | None = None
    hausdorff_at_mm: tuple[float, float, float] | None = None
    hausdorff95_mm: float | None = None
    mean_surface_distance_mm: float | None = None
    signed_surface_distance_mm: float | None = None
    regions: tuple[SurfaceRegion, ...] = ()
    volume_difference_ml: float
    centroid_shift_mm: tuple[float, float, float] | None = None
    centroid_shift: str | None = None
    added_path_length_mm: float
    editing_minutes: float = 0.0
    between_ends: BetweenEnds | None = None
    slices: tuple[SliceAgreement, ...] = ()


class DoseMetrics(_Model):
    """Dose to a structure, in Gy and percent of its volume; names after TG-263 and ICRU 83.

    ``covered_percent``: share of the volume that lies inside the dose grid; all else is for that share.
    """

    mean_gy: float | None = None
    max_gy: float | None = None
    d0_03cc_gy: float | None = None
    d2_percent_gy: float | None = None
    v5_gy_percent: float | None = None
    v10_gy_percent: float | None = None
    v15_gy_percent: float | None = None
    v20_gy_percent: float | None = None
    v25_gy_percent: float | None = None
    v30_gy_percent: float | None = None
    v35_gy_percent: float | None = None
    v40_gy_percent: float | None = None
    min_gy: float | None = None
    d50_percent_gy: float | None = None
    d98_percent_gy: float | None = None
    covered_percent: float | None = None


class Curve(_Model):
    """A cumulative DVH: volume in ml that receives at least each dose in Gy."""

    dose_gy: tuple[float, ...]
    volume_ml: tuple[float, ...]


class Eqd2(_Model):
    """Heart dose in fractions of 2 Gy, point by point, with the plan's fractions and the protocol's alpha/beta."""

    fractions: int
    alpha_beta_gy: float
    source: str
    contoured: DoseMetrics | None = None
    draft: DoseMetrics | None = None
    difference: DoseMetrics | None = None


class GrownMean(_Model):
    """Mean dose and volume of the contour with its surface moved outward (positive) or inward everywhere."""

    growth_mm: float
    mean_gy: float
    volume_ml: float


class SliceDose(_Model):
    """What a slice adds to the difference of the mean heart dose, draft minus contour."""

    position_mm: float
    mean_difference_gy: float


class RelativeRisk(_Model):
    """Risk with the draft's mean heart dose over that with the contour's, less one, in percent, with its 95 % interval.

    ``percent``, ``low_percent``, ``high_percent``, ``source``: of a major coronary event, in the decades after treatment.
    ``acute_percent`` and so on: of an acute coronary event within 9 years. ``population``: of whom both are known; null for all other plans.
    """

    percent: float
    low_percent: float
    high_percent: float
    source: str
    acute_percent: float | None = None
    acute_low_percent: float | None = None
    acute_high_percent: float | None = None
    acute_source: str = ""
    population: str = ""


class DoseComparison(_Model):
    """Heart dose with the contour, with the draft, and draft minus contour; what that means; curves for the plot.

    ``draft_error``: how far off each of the draft's numbers may be (95 % level) because its surface is uncertain, in this plan's dose.

    ``dose_type``: ``PHYSICAL``, or ``EFFECTIVE`` where all doses are corrected for a biological effect: then Gy means Gy (RBE).
    """

    dose_type: str = "PHYSICAL"
    contoured: DoseMetrics | None = None
    draft: DoseMetrics | None = None
    difference: DoseMetrics | None = None
    draft_error: DoseMetrics | None = None
    second_calculation: DoseMetrics | None = None
    planning_system: DoseMetrics | None = None
    eqd2: Eqd2 | None = None
    sensitivity: tuple[GrownMean, ...] = ()
    relative_risk: RelativeRisk | None = None
    slices: tuple[SliceDose, ...] = ()
    contoured_curve: Curve | None = None
    draft_curve: Curve | None = None

    @property
    def unit(self) -> str:
        """What Gy means here: ``Gy``, or ``Gy (RBE)``."""
        return dose_unit(self.dose_type)


class ConstraintResult(_Model):
    """A dose constraint with both hearts. ``limit`` in ``unit``; a value above it is exceeded.

    ``structure``: what it limits, as the protocol names it; empty: the heart. ``metric``: as in the dose object, with any dose or volume
    (docs/protocols.md); ``eqd2``: whether in fractions of 2 Gy. ``tier``: which limit it is. ``contoured_met`` and ``draft_met`` are null
    where it is not known, because a part of the structure has no dose that could decide. ``draft_error``: how far the draft's value may be off
    (same unit) because its surface is uncertain; an outcome flips only where the difference of both values is larger.
    ``converted_from``: where the protocol's limit is for another number of fractions, that limit; metric and limit are then those of the
    plan's fractions with the same EQD2. Empty: the limit is as its source has it.
    """

    id: str
    description: str
    structure: str = ""
    metric: str
    eqd2: bool = False
    tier: Tier = "acceptable"
    limit: float
    unit: str
    source: str
    converted_from: str = ""
    contoured: float | None = None
    draft: float | None = None
    draft_error: float | None = None
    contoured_met: bool | None = None
    draft_met: bool | None = None
    outcome_flips: bool = False


#: Why a plan of the patient's was not added to a course.
LeftOutReason = Literal[
    "unreadable", "not_treated", "not_approved", "earlier_course", "later_course", "superseded", "alternative", "other_frame",
    "brachytherapy", "no_dose", "doubtful_dose", "remote",
]  # fmt: skip


class CoursePlan(_Model):
    """A plan of a course. ``mean_gy``, ``covered_percent``: of its own dose to the contoured heart, else to the draft.

    They are null where the plan's dose is only known within that of several plans.
    """

    label: str
    rtplan_uid: str = ""
    date: str = ""
    approval: str = ""
    prescription_gy: float | None = None
    fractions: int | None = None
    mean_gy: float | None = None
    covered_percent: float | None = None


class LeftOutPlan(_Model):
    """Another plan of the patient that was not added, and why: a sentence's end."""

    label: str
    rtplan_uid: str = ""
    file: str = ""
    reason: LeftOutReason
    why: str


class CourseDose(_Model):
    """Heart dose of a course with either heart."""

    contoured: DoseMetrics | None = None
    draft: DoseMetrics | None = None


class CourseEqd2(_Model):
    """Heart dose of a course in fractions of 2 Gy, each plan's part with its own fractions, point by point."""

    alpha_beta_gy: float
    source: str
    contoured: DoseMetrics | None = None
    draft: DoseMetrics | None = None


class SumOfPlans(_Model):
    """A dose that the planning system exported for several plans together, beside the sum of their own doses.

    ``file``: of the former. ``plans``: labels. ``mean_gy``: the mean heart dose by it; ``summed_mean_gy``: that by the plans' own doses.
    """

    file: str
    plans: tuple[str, ...]
    mean_gy: float
    summed_mean_gy: float


class Course(_Model):
    """The plans that make one course of treatment, and the heart dose that they give together.

    ``summation``: ``sum`` of the plans' doses, ``multi_plan`` where the planning system exported one dose of several plans, ``none`` where
    nothing was or could be added. ``complete``: whether everything that belongs to the course is in the sum; if not, values are at least
    that high, and a limit that they meet is not known to be met (null). ``doubts``: what cannot be told about it. ``upper_estimate``: whether
    a plan was added that may have been replaced; ``least``: the constraints without such plans, where several are left. ``structure_set``: whose
    contours were used. ``judged_in``: ``physical`` doses, or ``isoeffective`` ones in ``judged_fractions`` fractions, for which the
    protocol's limits were made (docs/courses.md). ``prospective``: the constraints as they would be with this plan, which is not approved.
    ``planning_sums``: doses of several plans that were not used, because each of these plans has a dose of its own.
    """

    plans: tuple[CoursePlan, ...] = ()
    left_out: tuple[LeftOutPlan, ...] = ()
    summation: Literal["sum", "multi_plan", "none"] = "none"
    complete: bool = True
    doubts: tuple[str, ...] = ()
    upper_estimate: bool = False
    structure_set: str = ""
    other_structure_set: bool = False
    protocol: str = ""
    judged_in: Literal["physical", "isoeffective"] = "physical"
    judged_fractions: int | None = None
    dose: CourseDose | None = None
    eqd2: CourseEqd2 | None = None
    constraints: tuple[ConstraintResult, ...] = ()
    least: tuple[ConstraintResult, ...] = ()
    prospective: tuple[ConstraintResult, ...] = ()
    planning_sums: tuple[SumOfPlans, ...] = ()


class HabitUsed(_Model):
    """What a commissioning has learned of the clinic, and the ends and the volume were judged by: medians, contour against draft.

    Ends in mm, positive upward; volume in percent of the draft's, between the ends that both have. ``definition``: of the upper end, as the protocol
    names it. Null where it was not known.
    """

    source: str = ""
    definition: str | None = None
    upper_end_mm: float | None = None
    lower_end_mm: float | None = None
    volume_percent: float | None = None


class LimitUsed(_Model):
    """A threshold of the protocol that the case was judged by."""

    value: float
    unit: str = ""
    source: str


class Run(_Model):
    """How it ran: the one block that differs between two runs on the same input."""

    started: str
    seconds: dict[str, float] = Field(default_factory=dict)
    host: str = ""
    device: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class Assessment(_Model):
    """A case, assessed. ``protocol_reason``: why the case was judged by that protocol.

    ``scope``: what the verdict was asked to cover; ``checked``: what was there and was checked. What was not checked is not passed.
    ``habit``: the clinic's own, by which ends and volume were judged; null without a commissioning or a named definition.
    ``course``: the plans that are given together with this one, judged as a whole; null for a patient with one plan.
    """

    schema_version: str = SCHEMA_VERSION
    verdict: Verdict
    scope: Scope = "plan"
    checked: tuple[CheckedPart, ...] = ()
    headline: str
    protocol: str = ""
    protocol_reason: str = ""
    case: CaseSummary
    image: ImageSummary | None = None
    heart: Hearts = Hearts()
    agreement: Agreement | None = None
    dose: DoseComparison | None = None
    cardiac: Cardiac | None = None
    constraints: tuple[ConstraintResult, ...] = ()
    course: Course | None = None
    habit: HabitUsed | None = None
    limits: dict[str, LimitUsed] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    run: Run

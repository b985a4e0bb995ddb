"""What a row of the table of rules says, and how it is held against the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtqc.core import Finding
from rtqc.core.finding import Certainty, Severity
from rtqc.qc import Measurements, load_protocol, run_rules

Given = Callable[[], Measurements]


@dataclass(frozen=True)
class Fires:
    """A plan that fires a rule.

    Attributes:
        rule: its id.
        when: what the plan is, in words.
        given: makes it.
        says: parts of the sentence, which hold the number with its unit, the place and the direction.
        never: words that would be wrong in it.
        measured, limit, unit, positions_mm, structures, files: the whole evidence; numbers to the digits that evidence has.
        hits: findings that the rule makes.
        nth: which of them the row is about.
    """

    rule: str
    when: str
    given: Given
    says: tuple[str, ...]
    never: tuple[str, ...] = ()
    measured: float | str | None = None
    limit: float | None = None
    unit: str = ""
    positions_mm: tuple[float, ...] = ()
    structures: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    hits: int = 1
    nth: int = 0


@dataclass(frozen=True)
class Silent:
    """A plan that a rule is silent about: the one just inside the limit, or one that the rule is not for."""

    rule: str
    when: str
    given: Given


def findings_of(rule: str, measurements: Measurements) -> list[Finding]:
    """What one rule says, with the limits of the protocol ``heart``, whose values stand in the rows as numbers."""
    return run_rules(measurements, load_protocol("heart"), only=frozenset({rule}))


#: Severity and certainty of each rule, written down here a second time: changing one is a change of what clinics see.
GRADES: dict[str, tuple[Severity, Certainty]] = {
    "draft.no_heart": ("warning", "estimate"),
    "draft.cut_off": ("warning", "estimate"),
    "draft.untrusted": ("warning", "estimate"),
    "agreement.upper_end": ("warning", "estimate"),
    "agreement.upper_end_definition": ("info", "estimate"),
    "agreement.lower_end": ("warning", "estimate"),
    "agreement.dice": ("fail", "estimate"),
    "agreement.hausdorff95": ("warning", "estimate"),
    "agreement.mean_surface_distance": ("warning", "estimate"),
    "agreement.volume": ("warning", "estimate"),
    "anatomy.overlap": ("warning", "fact"),
    "anatomy.heart_in_target": ("info", "fact"),
    "anatomy.lung_gap": ("warning", "fact"),
    "approval.contours_after_dose": ("warning", "fact"),
    "approval.contours_after_approval": ("warning", "fact"),
    "approval.contours_unapproved": ("info", "fact"),
    "approval.rejected": ("fail", "fact"),
    "cardiac.calcium_and_dose": ("info", "estimate"),
    "constraint.flips": ("fail", "estimate"),
    "constraint.flips_ideal": ("warning", "estimate"),
    "constraint.near_limit": ("info", "estimate"),
    "constraint.exceeded": ("fail", "fact"),
    "constraint.above_ideal": ("warning", "fact"),
    "constraint.not_assessed": ("warning", "fact"),
    "contour.missing": ("fail", "fact"),
    "contour.empty": ("fail", "fact"),
    "contour.single_plane": ("fail", "fact"),
    "contour.unedited_draft": ("warning", "fact"),
    "contour.two_hearts": ("warning", "fact"),
    "contour.degenerate": ("warning", "fact"),
    "contour.repeated": ("warning", "fact"),
    "contour.hole_or_piece": ("warning", "fact"),
    "contour.off_plane": ("warning", "fact"),
    "contour.outside_image": ("fail", "fact"),
    "contour.outside_body": ("fail", "fact"),
    "contour.frame_of_reference": ("fail", "fact"),
    "contour.slice_missing": ("fail", "fact"),
    "contour.stray_island": ("warning", "fact"),
    "contour.hole": ("warning", "fact"),
    "contour.copied": ("warning", "fact"),
    "contour.area_jump": ("warning", "fact"),
    "course.constraint_exceeded": ("fail", "fact"),
    "course.constraint_above_ideal": ("warning", "fact"),
    "course.may_exceed": ("warning", "estimate"),
    "course.unapproved_would_exceed": ("warning", "fact"),
    "course.not_summed": ("warning", "fact"),
    "course.uncertain": ("warning", "estimate"),
    "course.summed": ("info", "fact"),
    "course.sum_differs": ("warning", "fact"),
    "course.superseded": ("info", "fact"),
    "course.left_out": ("info", "fact"),
    "dose.grid_spacing": ("warning", "fact"),
    "dose.heterogeneity": ("warning", "fact"),
    "dose.level": ("fail", "fact"),
    "dose.level_unusual": ("warning", "fact"),
    "dose.level_not_checked": ("warning", "fact"),
    "dose.target_coverage": ("warning", "estimate"),
    "dose.mean_difference": ("warning", "estimate"),
    "dose.outside_grid": ("fail", "fact"),
    "dose.outside_grid_edge": ("warning", "fact"),
    "dose.small_structure": ("warning", "fact"),
    "dose.second_calculation": ("warning", "fact"),
    "dose.planning_system": ("warning", "fact"),
    "dose.absent": ("warning", "fact"),
    "dose.effective": ("warning", "fact"),
    "dose.rbe_weighted": ("info", "fact"),
    "dose.ion_physical": ("warning", "fact"),
    "plan.brachytherapy": ("warning", "fact"),
    "dose.planning_system_volume": ("warning", "fact"),
    "contour.volume": ("warning", "fact"),
    "contour.contains_lung": ("warning", "fact"),
    "contour.overlaps_lung": ("warning", "fact"),
    "lungs.swapped": ("fail", "fact"),
    "plan.absent": ("warning", "fact"),
    "plan.prescription_missing": ("warning", "fact"),
    "plan.prescription_per_beam": ("info", "fact"),
    "plan.several_prescriptions": ("info", "fact"),
    "plan.prescription_to_point": ("info", "fact"),
    "plan.target_is_organ": ("warning", "fact"),
    "plan.fractions_missing": ("warning", "fact"),
    "plan.fraction_groups": ("info", "fact"),
    "plan.prescription_implausible": ("fail", "fact"),
    "protocol.other_model": ("warning", "fact"),
    "protocol.assumed": ("warning", "estimate"),
    "protocol.other_fractionation": ("warning", "fact"),
    "protocol.converted": ("info", "fact"),
    "ct.spacing": ("warning", "fact"),
    "population.size": ("warning", "estimate"),
    "population.place": ("warning", "estimate"),
    "population.form": ("warning", "estimate"),
    "population.density": ("warning", "estimate"),
    "population.agreement": ("warning", "estimate"),
    "respiration.projection": ("warning", "fact"),
    "respiration.state": ("info", "fact"),
    "respiration.contradiction": ("warning", "fact"),
    "respiration.other_series": ("warning", "fact"),
    "side.contradiction": ("fail", "fact"),
    "side.one_side_of_both": ("warning", "fact"),
    "substructure.place": ("warning", "fact"),
}
#: Rules that rest on the draft, and are silent where it is not trusted.
OF_THE_DRAFT = frozenset(
    {
        "agreement.upper_end", "agreement.upper_end_definition", "agreement.lower_end", "agreement.dice", "agreement.hausdorff95", "agreement.mean_surface_distance",
        "agreement.volume", "cardiac.calcium_and_dose", "constraint.flips", "constraint.flips_ideal", "constraint.near_limit",
        "dose.mean_difference", "population.agreement",
    }
)  # fmt: skip

"""What must be known of one structure before its volume, its dose or its outline is used: the same for every command and for the library."""

from __future__ import annotations

from rtqc.core.assessment import DoseComparison
from rtqc.core.case import Case, Roi
from rtqc.core.finding import Finding, worst_first
from rtqc.core.names import heart_score
from rtqc.core.structure import Structure
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Protocol, load_protocol
from rtqc.qc.rule import RULES, run_rules, with_severities

#: Rules of the contour that judge a heart, and say nothing of a lung, a target or a marker.
_OF_HEARTS_ONLY = frozenset(
    {
        "contour.missing", "contour.two_hearts", "contour.outside_body", "contour.volume", "contour.contains_lung",
        "contour.overlaps_lung", "contour.stray_island", "contour.hole", "contour.copied", "contour.area_jump", "contour.slice_missing",
    }
)  # fmt: skip
#: Of these, what changes a heart's numbers.
_OF_ITS_NUMBERS = frozenset({"contour.slice_missing"})
#: Rules of dose and plan that speak of any structure's dose.
_OF_DOSES = frozenset(
    {
        "dose.outside_grid", "dose.outside_grid_edge", "dose.small_structure", "plan.absent", "plan.fractions_missing", "plan.fraction_groups", "plan.prescription_missing",
        "plan.prescription_per_beam", "plan.several_prescriptions", "plan.brachytherapy", "dose.effective", "dose.rbe_weighted",
        "dose.ion_physical",
    }
)  # fmt: skip
#: Findings of reading that somebody who asks for one structure need not know: what he sees, and what the contour's own rules say better.
_SEEN_ANYWAY = frozenset({"structure_set.absent", "structure_set.contours_left_out", "ct.absent"})


def structure_findings(
    case: Case,
    structure: Structure,
    protocol: Protocol | None = None,
    dose: DoseComparison | None = None,
    *,
    of_files: bool = True,
) -> list[Finding]:
    """Findings of reading, and of the rules about a contour as it was drawn; with a dose, of the rules about that too.

    Args:
        case: that the structure is of.
        structure: one of its structures.
        protocol: severities and limits; None: the shipped one's.
        dose: the structure's dose; None where it does not matter.
        of_files: whether findings of reading are wanted, not only those about the contour and the dose.

    Returns:
        Worst first.
    """
    protocol = protocol or load_protocol()
    roi: Roi | None = next((r for r in case.rois if r.structure is structure), None)
    heart = heart_score(structure.name, protocol.name_table) > 0
    rules = {r for r in RULES if r.startswith("contour.")} - _OF_HEARTS_ONLY
    rules |= _OF_ITS_NUMBERS if heart else set()
    rules |= _OF_DOSES if dose is not None else set()
    found = run_rules(Measurements(case, roi, dose=dose), protocol, frozenset(rules))
    files = with_severities((f for f in case.findings if f.rule not in _SEEN_ANYWAY), protocol) if of_files else []
    return worst_first([*files, *found])

"""What can be wrong with files: the findings that reading makes, in one table.

The severity is the catalogue's; a protocol may change it like that of any other rule.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.finding import Evidence, Finding, Severity

#: Rule id -> severity and what it means; ``docs/rules.md`` is made from this table.
READING_RULES: dict[str, tuple[Severity, str]] = {
    "file.unreadable": ("warning", "A file could not be read: empty, cut off, not DICOM, or no permission."),
    "file.beyond_limits": (
        "fail",
        "A file holds what no file of a patient does (size, place or number of pixels, elements or slices); it was refused unread.",
    ),
    "file.decoder_died": ("fail", "Compressed pixels brought the process down that decodes them; they were left out."),
    "structure_set.contours_beyond_limits": (
        "fail",
        "Contours reach further than any patient, or cross themselves a thousand times; they were left out.",
    ),
    "ct.absent": ("fail", "There is no CT that belongs to the plan, so nothing can be drafted or compared."),
    "ct.unusable": ("fail", "The CT cannot be used: a single slice, or pixels that cannot be decoded."),
    "ct.slice_missing": ("warning", "A gap between slices is wider than the series' usual spacing."),
    "ct.slice_duplicated": ("warning", "Two different slices lie at the same position; one of them was used."),
    "ct.exported_twice": ("info", "The same object is there more than once."),
    "ct.mixed": ("warning", "Slices of other size, spacing or direction lie in the series; they were left out."),
    "ct.gantry_tilt": ("warning", "The gantry was tilted: slices were shifted to make a rectangular image."),
    "ct.rescale_absent": ("warning", "RescaleSlope or RescaleIntercept is absent; 1 and 0 were assumed."),
    "structure_set.absent": ("fail", "There is no structure set, so there is no contour to check."),
    "structure_set.unusable": ("fail", "The structure set cannot be read."),
    "reference.structure_set_ct": ("fail", "The structure set was drawn on another CT series than the one at hand."),
    "reference.plan_structure_set": ("fail", "The plan refers to another structure set than the one at hand."),
    "reference.dose_plan": ("fail", "The dose refers to another plan than the one at hand."),
    "reference.patient": ("fail", "Files of different patients refer to each other or lie together."),
    "reference.same_uid": ("fail", "Files of one SOP Instance UID hold different content, so one of them is wrong."),
    "structure_set.contours_left_out": ("info", "Contours of some structures are open or damaged and were left out."),
    "dose.unusable": ("fail", "The dose cannot be used: relative units, a damaged grid, or a type that is not a dose."),
    "dose.summation": ("fail", "The dose objects do not add up to the plan's dose."),
    "dose.summation_absent": ("info", "A dose does not say what it is the dose of; it was taken as that of the whole plan."),
    "dose.frame_of_reference": ("fail", "The dose has another frame of reference than the CT."),
    "structure_set.roi_number": (
        "fail",
        "Several ROIs have one ROI number: their contours cannot be told apart and were not used.",
    ),
    "structure_set.contours_without_roi": (
        "warning",
        "Contours belong to an ROI number that the structure set does not name; they were left out.",
    ),
    "structure_set.thickness_uncertain": (
        "warning",
        "Without its CT, the thickness of a structure's slices is assumed, or taken from heights that vary.",
    ),
    "structure_set.numbers_merged": (
        "warning",
        "Several entries of one ROI number and one name have contours of their own; they were read as one ROI.",
    ),
    "structure_set.geometric_type": (
        "warning",
        "Contours have no Contour Geometric Type, or an unknown one; they were taken as closed.",
    ),
    "reference.series_chosen": (
        "warning",
        "The structure set does not say on which of several CT series it was drawn; the one on whose slices its contours lie was taken.",
    ),
    "ct.frames_unusable": (
        "fail",
        "An Enhanced (multi-frame) CT does not say where its frames lie, or a part of it is absent.",
    ),
    "dose.zero": ("fail", "The dose of the plan is zero everywhere."),
    "dose.zero_part": ("warning", "The dose of a beam that has a meterset is zero everywhere."),
    "dose.of_several_plans": ("warning", "The only dose is the sum of several plans (DoseSummationType MULTI_PLAN)."),
    "file.not_judged": ("info", "A radiotherapy object that is not judged, such as a treatment record, lies beside the plan."),
    "dose.planning_dvh": ("info", "A DVH of the planning system in the RTDOSE contradicts itself or cannot be understood."),
    "plan.unusable": ("warning", "The plan cannot be read."),
    "plan.prescription_unusable": ("warning", "A prescription of the plan is zero, negative or no number; it was left out."),
    "plan.several": (
        "info",
        "The patient has several plans here; each was assessed by itself, and with the others of its course as their sum.",
    ),
}


def note(
    rule: str,
    message: str,
    *,
    files: Iterable[str] = (),
    positions_mm: Iterable[float] = (),
    structures: Iterable[str] = (),
    measured: float | str | None = None,
    limit: float | str | None = None,
    unit: str = "",
    source: str = "",
) -> Finding:
    """A finding of reading; always a fact, since it follows from the files."""
    severity, _ = READING_RULES[rule]
    evidence = Evidence(
        positions_mm=tuple(round(float(p), 2) for p in positions_mm),
        measured=measured,
        limit=limit,
        unit=unit,
        source=source,
        structures=tuple(structures),
        files=tuple(files),
    )
    return Finding(rule=rule, severity=severity, certainty="fact", message=message, evidence=evidence)

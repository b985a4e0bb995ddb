"""A night's results -> contours that something can be learned from, and why nothing can be from the others."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Literal

from rtqc.core.assessment import Agreement, Assessment
from rtqc.nightly.commissioning.result import CaseLeftOut, CaseMeasured
from rtqc.nightly.places import report_path
from rtqc.nightly.store import Row
from rtqc.report import REPORT_FILE

Kind = Literal["untrusted", "own_draft", "cut_off", "contour", "no_comparison", "repeated", "unwanted"]
#: No human draws a draft again as nearly as this: two observers' Dice is about 0.94 (README), and the outline is half a voxel wide.
_OWN_DICE, _OWN_DISTANCE_MM = 0.985, 0.5
#: Rules that say of the contour what no habit explains.
_CONTOUR_FAULTS = ("contour.", "lungs.", "reference.")
_SIDES = ("right", "left", "anterior", "posterior", "inferior", "superior")
#: Folder of the cases' reports, from that of the commissioning.
CASES = "cases"


def sorted_cases(
    results: Iterable[tuple[Row, Assessment]], without: tuple[str, ...] = ()
) -> tuple[list[CaseMeasured], list[CaseLeftOut], list[Assessment]]:
    """Contours that were measured, plans that were left out, and the assessments of the former.

    Args:
        results: of a night, with reports of all plans.
        without: patterns of Patient IDs that are left out.
    """
    measured, left, kept = [], [], []
    seen: set[tuple[str, str, str]] = set()
    for row, a in results:
        why = _why_not(row, a, without)
        name = a.heart.contoured.name if a.heart.contoured else ""
        drawn = (a.case.rtstruct_uid, name, row.patient_id)
        if why is None and a.case.rtstruct_uid and drawn in seen:
            why = ("repeated", "another plan has the same contour, which counts once")
        report = f"{CASES}/{report_path(row.key)}/{REPORT_FILE}" if row.has_report else ""
        if why is not None:
            left.append(
                CaseLeftOut(
                    key=row.key, patient_id=row.patient_id, plan_label=row.plan_label, kind=why[0], why=why[1], report=report
                )
            )
            continue
        seen.add(drawn)
        measured.append(_measured(row, a, report))
        kept.append(a)
    return measured, left, kept


def _why_not(row: Row, a: Assessment, without: tuple[str, ...]) -> tuple[Kind, str] | None:
    """The first reason to leave a plan out; None where it counts."""
    contoured, draft, agreement = a.heart.contoured, a.heart.draft, a.agreement
    fired = {f.rule: f for f in a.findings}
    if any(fnmatch.fnmatchcase(row.patient_id, pattern) for pattern in without):
        return "unwanted", "left out with --without"
    if row.repeats:
        return "repeated", "the patient has another plan with the very same heart and dose"
    if contoured is None or draft is None or agreement is None or contoured.extent_mm is None or draft.extent_mm is None:
        return "no_comparison", row.reason or "there is no contour, or no draft, to compare"
    if "contour.unedited_draft" in fired:
        return "own_draft", "the contour is rtqc's own draft, unedited: it agrees with itself"
    if contoured.from_draft:
        return (
            "own_draft",
            "the contour began as rtqc's draft and was edited: it says little about what the clinic draws by itself",
        )
    near = agreement.mean_surface_distance_mm
    if agreement.dice > _OWN_DICE and near is not None and near < _OWN_DISTANCE_MM:
        return (
            "own_draft",
            f"the contour is the draft but for its points (Dice {agreement.dice:.3f}): nobody draws so near to it by hand",
        )
    if "draft.cut_off" in fired:
        return "cut_off", "the image does not show the whole heart"
    faults = [
        f.rule for f in a.findings if f.severity == "fail" and f.certainty == "fact" and f.rule.startswith(_CONTOUR_FAULTS)
    ]
    if faults or agreement.between_ends is None:
        return (
            "contour",
            f"the contour has a fault of its own ({', '.join(faults) or 'it shares no two planes with the draft'})",
        )
    if not draft.trusted:
        return "untrusted", "; ".join(draft.doubts) or "the draft is not trusted"
    return None


def _measured(row: Row, a: Assessment, report: str) -> CaseMeasured:
    contoured, draft, agreement = a.heart.contoured, a.heart.draft, a.agreement
    assert contoured is not None
    assert contoured.extent_mm is not None
    assert draft is not None
    assert draft.extent_mm is not None
    assert agreement is not None
    assert agreement.between_ends is not None
    part = agreement.between_ends
    dose = a.dose
    spacing = a.case.voxel_spacing_mm
    return CaseMeasured(
        key=row.key,
        patient_id=row.patient_id,
        plan_label=row.plan_label,
        plan_date=row.plan_date,
        planner=row.planner,
        protocol=a.protocol,
        rtstruct_uid=a.case.rtstruct_uid,
        heart=contoured.name,
        dice=part.dice,
        whole_dice=agreement.dice,
        hausdorff95_mm=part.hausdorff95_mm,
        mean_surface_distance_mm=part.mean_surface_distance_mm,
        volume_percent=round(100 * (1 / (1 + part.volume_difference_percent / 100) - 1), 2),
        upper_end_mm=round(contoured.extent_mm[1] - draft.extent_mm[1], 2),
        lower_end_mm=round(contoured.extent_mm[0] - draft.extent_mm[0], 2),
        sides_mm=_sides(agreement),
        contoured_mean_gy=dose.contoured.mean_gy if dose and dose.contoured else None,
        draft_mean_gy=dose.draft.mean_gy if dose and dose.draft else None,
        predicted_dice=draft.predicted_dice,
        slice_spacing_mm=spacing[0] if spacing else 3.0,
        upper_end_definition=draft.upper_end_definition,
        verdict=a.verdict,
        rules=tuple(dict.fromkeys(f.rule for f in a.findings if f.severity != "info")),
        report=report,
    )


def _sides(agreement: Agreement) -> dict[str, float]:
    return {r.name: r.signed_distance_mm for r in agreement.regions if r.name in _SIDES}

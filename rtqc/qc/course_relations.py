"""Whether two plans of a patient add up or one replaces the other, from what they say of themselves.

A replan replaces, a boost adds. What decides, in this order: the relationship that a plan states; boost against no boost; the other side;
versions of one label; another target or another place; phases; the same prescription; a part of a prescription. Where none of it
decides, the answer is ``unknown``: nobody may choose silently. Of two approved plans neither replaces the other for its label, prescription
or beams alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtqc.core.case import Case, Plan
from rtqc.core.patient_plan import PatientPlan
from rtqc.qc.course_labels import Label, is_boost, target_words
from rtqc.qc.laterality import laterality_of

#: RT Plan Relationships (PS3.3 C.8.8.9) of plans that are both given.
_ADDS = frozenset({"PRIOR", "CONCURRENT"})
#: Total dose in Gy and number of fractions.
ScheduleOf = tuple[float, int]
#: Prescribed doses and doses a fraction this close are the same (40 Gy is written as 39.9, 40 or 40.05).
DOSE_TOLERANCE = 0.02
#: Isocentres of two plans this far apart treat two places: wider than any shift between whole organ and boost or between versions, in mm.
OTHER_PLACE_MM = 60.0
#: Isocentres this close are one place, and gantry angles one beam, in mm and degrees.
_SAME_PLACE_MM, _SAME_ANGLE_DEG = 10.0, 1.0
#: A plan of at most this part of another's dose, in fewer fractions, is a boost in all but name.
_BOOST_SHARE = 0.5
#: A plan of at least this part of another's dose, in other fractions, is a whole treatment of its own.
_WHOLE_SHARE = 0.8

RelationKind = Literal["adds", "replaces", "alternative", "unknown"]


@dataclass(frozen=True)
class Relation:
    """How the later of two plans stands to the earlier one, and why, for a sentence."""

    kind: RelationKind
    why: str


@dataclass(frozen=True)
class _Prescribed:
    gy: float
    fractions: int

    @classmethod
    def of(cls, plan: Plan) -> _Prescribed | None:
        if not plan.prescriptions or not plan.fractions:
            return None
        return cls(plan.prescriptions[0].dose_gy, plan.fractions)

    def is_like(self, gy: float, fractions: int) -> bool:
        return fractions == self.fractions and abs(gy - self.gy) <= DOSE_TOLERANCE * self.gy

    @property
    def a_fraction(self) -> float:
        return self.gy / self.fractions


def made_at(plan: PatientPlan) -> str:
    """When a plan was made (YYYYMMDDHHMMSS): RT Plan Date and Time, else the creation of its file."""
    stated = plan.plan.date + plan.plan.time if plan.plan is not None else ""
    return stated or plan.created_at


def order_key(plan: PatientPlan) -> tuple[str, str, int, str]:
    """Sorts plans by when they were made; of equal dates the version in the label and the file's creation decide."""
    label = Label.of(plan.plan.label) if plan.plan is not None else Label(())
    version = label.version if label.version is not None else int(label.marked)
    return (made_at(plan), plan.plan.approved_at if plan.plan is not None else "", version, plan.created_at)


def relation(earlier: PatientPlan, later: PatientPlan, schedules: Collection[ScheduleOf]) -> Relation:
    """How two plans of one patient stand to each other.

    Args:
        earlier, later: both could be read; in the order of :func:`order_key`.
        schedules: prescriptions that are whole treatments, those of the protocols.
    """
    assert earlier.plan is not None
    assert later.plan is not None
    stated = _stated(later.plan, earlier.uid) or _stated(earlier.plan, later.uid)
    if len(stated) > 1:
        return Relation("unknown", f"one refers to the other as {' and as '.join(sorted(stated))}")
    if "ALTERNATIVE" in stated:
        return Relation("alternative", "it says to be an alternative")
    if stated & _ADDS:
        return Relation("adds", f"one refers to the other as {min(stated)}")
    derived = "PREDECESSOR" in stated
    ordered = derived or order_key(earlier) != order_key(later)
    found = _compared(earlier, later, derived, schedules)
    if found.kind == "replaces" and _both_approved(earlier.plan, later.plan) and not (derived or _says_version(earlier, later)):
        return Relation("unknown", f"{found.why}, but both are approved")
    if found.kind == "replaces" and not ordered:
        return Relation("unknown", f"{found.why}, but which of them is the later cannot be told")
    return found


def _both_approved(a: Plan, b: Plan) -> bool:
    """Whether both may be treated: whoever replaces a plan withdraws its approval, or gives the new one a version or a relationship."""
    return all(plan.approval.upper() == "APPROVED" for plan in (a, b))


def _says_version(a: PatientPlan, b: PatientPlan) -> bool:
    """Whether labels call one plan a version of the other (``Breast_L:1``, ``Breast_L_replan``); the same label twice does not."""
    if a.label.strip().casefold() == b.label.strip().casefold():
        return False
    labels = Label.of(a.label), Label.of(b.label)
    return _are_versions(*labels) or (_same_base(*labels) and (labels[0].continues or labels[1].continues))


def _stated(plan: Plan, uid: str) -> frozenset[str]:
    """What a plan calls another one (RT Plan Relationship)."""
    return frozenset(relationship for other, relationship in plan.relations if other == uid and relationship)


def _compared(earlier: PatientPlan, later: PatientPlan, derived: bool, schedules: Collection[ScheduleOf]) -> Relation:
    a, b = earlier.plan, later.plan
    assert a is not None
    assert b is not None
    if is_boost(a) != is_boost(b):
        return Relation("adds", "one of them is a boost")
    if {laterality_of(Case(plan=plan)) for plan in (a, b)} == {"left", "right"}:
        return Relation("adds", "they treat two sides")
    labels = Label.of(a.label), Label.of(b.label)
    distance = _distance_mm(earlier, later)
    prescribed = _Prescribed.of(a), _Prescribed.of(b)
    if derived or _are_versions(*labels):
        if distance is not None and distance > OTHER_PLACE_MM:
            return Relation("unknown", "it says to be a later version, but treats another place")
        return _newer(*prescribed, schedules, "it was derived from the earlier one" if derived else "it is a later version")
    if _other_place(a, b, distance):
        return Relation("adds", "they treat two places")
    if None not in (labels[0].phase, labels[1].phase) and labels[0].phase != labels[1].phase:
        return Relation("adds", "they are phases")
    if a.label.strip() and a.label.strip().casefold() == b.label.strip().casefold():
        return _newer(*prescribed, schedules, "it has the same label")
    if prescribed[0] is None or prescribed[1] is None:
        return Relation("unknown", "a prescription is missing")
    continues = labels[0].continues or labels[1].continues or _same_base(*labels)
    if prescribed[0].is_like(prescribed[1].gy, prescribed[1].fractions):
        near = labels[0].trailing == labels[1].trailing or (distance is not None and distance < _SAME_PLACE_MM)
        return _of_same_prescription(_same_beams(a, b), continues and near)
    if continues:
        return _newer(*prescribed, schedules, "its label continues the earlier one's")
    return _of_other_prescription(prescribed[0], prescribed[1], schedules)


def _same_base(a: Label, b: Label) -> bool:
    return bool(a.base) and a.base == b.base


def _are_versions(a: Label, b: Label) -> bool:
    return _same_base(a, b) and (a.marked or b.marked) and a.trailing == b.trailing


def _of_same_prescription(same_beams: bool, same_label: bool) -> Relation:
    """Two plans of one prescription to one target; Lung_1 and Lung_2 have the same label only at one place: else they may be two lesions."""
    if same_beams:
        return Relation("replaces", "it has the same prescription and beams")
    if same_label:
        return Relation("replaces", "it has the same prescription, and its label continues the earlier one's")
    return Relation("unknown", "they have the same prescription and target, but other labels and beams")


def _of_other_prescription(first: _Prescribed, second: _Prescribed, schedules: Collection[ScheduleOf]) -> Relation:
    small, large = sorted((first, second), key=lambda p: p.gy)
    if small.fractions < large.fractions and small.gy <= _BOOST_SHARE * large.gy:
        return Relation("adds", "one of them is a part of the treatment only")
    if _is_schedule(first.gy + second.gy, first.fractions + second.fractions, schedules):
        return Relation("adds", "together they are a usual prescription")
    return Relation("unknown", "their prescriptions differ, and neither label nor target says why")


def _newer(first: _Prescribed | None, second: _Prescribed | None, schedules: Collection[ScheduleOf], why: str) -> Relation:
    """A plan that comes from another one: in its place, or for the fractions that remained?"""
    if first is None or second is None:
        return Relation("unknown", f"{why}, but a prescription is missing")
    if first.is_like(second.gy, second.fractions):
        return Relation("replaces", f"{why}, and the prescription is the same")
    alike = abs(first.a_fraction - second.a_fraction) <= DOSE_TOLERANCE * first.a_fraction
    together = first.gy + second.gy, first.fractions + second.fractions
    if alike and _is_schedule(*together, schedules) and not _is_schedule(first.gy, first.fractions, schedules):
        return Relation("adds", "it is for the fractions that remained")
    if alike and second.fractions <= first.fractions:
        return Relation("unknown", f"{why}, but how many fractions of the earlier one were given is not said")
    if second.gy >= _WHOLE_SHARE * first.gy:
        return Relation("replaces", f"{why}, with another prescription")
    return Relation("unknown", f"{why}, but has a part of its dose only")


def _is_schedule(gy: float, fractions: int, schedules: Collection[ScheduleOf]) -> bool:
    return any(fractions == n and abs(gy - dose) <= DOSE_TOLERANCE * dose for dose, n in schedules)


def _other_place(a: Plan, b: Plan, distance: float | None) -> bool:
    if distance is not None and distance > OTHER_PLACE_MM:
        return True
    targets = target_words(a), target_words(b)
    if not all(targets) or targets[0] <= targets[1] or targets[1] <= targets[0]:
        return False
    numbers_only = all(w.isdigit() for w in targets[0] ^ targets[1])
    # PTV_1 and PTV_2 are two lesions, or one that was drawn anew: then the beams stay where they are.
    return not (numbers_only and distance is not None and distance < _SAME_PLACE_MM)


def _distance_mm(a: PatientPlan, b: PatientPlan) -> float | None:
    """Between the nearest isocentres of two plans; None where unknown or in two frames of reference."""
    assert a.plan is not None
    assert b.plan is not None
    points = [[beam.isocentre_mm for beam in p.treatment_beams if beam.isocentre_mm is not None] for p in (a.plan, b.plan)]
    if not all(points) or not a.shares_frame_with(b):
        return None
    first, second = (np.asarray(p, float) for p in points)
    return float(np.linalg.norm(first[:, None] - second[None], axis=2).min())


def _same_beams(a: Plan, b: Plan) -> bool:
    """Whether two plans have as many beams, with the same gantry angles and isocentres."""
    if not a.treatment_beams or len(a.treatment_beams) != len(b.treatment_beams):
        return False
    for one, other in zip(a.treatment_beams, b.treatment_beams, strict=True):
        if one.gantry_deg is None or other.gantry_deg is None or one.isocentre_mm is None or other.isocentre_mm is None:
            return False
        turn = abs((one.gantry_deg - other.gantry_deg + 180) % 360 - 180)
        shift = float(np.linalg.norm(np.subtract(one.isocentre_mm, other.isocentre_mm)))
        if turn > _SAME_ANGLE_DEG or shift > _SAME_PLACE_MM:
            return False
    return True

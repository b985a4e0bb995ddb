"""The patient's other plans, as far as a course needs them: RTPLAN now, RTDOSE and contours when they are asked for, never their CT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rtqc.core.case import Plan, StructureSetAttributes
from rtqc.core.orientation import Orientation
from rtqc.core.patient_plan import DoseOfSeveralPlans, PatientPlan, PlannedDose, PlannedStructures
from rtqc.core.wording import listed
from rtqc.dicom.belonging import patient_key
from rtqc.dicom.index import Header
from rtqc.dicom.parts import Parts, frame_uid_of
from rtqc.dicom.read_dose import read_doses
from rtqc.dicom.read_plan import read_plan
from rtqc.dicom.read_structures import StructureSet, read_structure_set

#: How a structure set is read: the orientation of its planes, their spacing where it has one plane only (mm), and the CT's slice positions (mm).
Planes = tuple[Orientation, float, NDArray[np.float64] | None]


def plan_uids_of(headers: tuple[Header, ...]) -> tuple[str, ...]:
    """SOP Instance UIDs of the plans that dose objects refer to, each once."""
    return tuple(dict.fromkeys(uid for header in headers for uid in header.refers_to))


def read_companions(
    parts: Parts,
    structure_set: StructureSet | None,
    planes: Planes,
    attributes_of: Callable[[StructureSet], StructureSetAttributes],
) -> tuple[PatientPlan, ...]:
    """The plans beside a case's.

    Args:
        parts: of the case.
        structure_set: the case's; a companion's targets are named by it where it is the same.
        planes: how other structure sets are read.
        attributes_of: what a structure set says of itself.
    """
    names = {roi.number: roi.structure.name for roi in structure_set.rois} if structure_set is not None else {}
    frame = frame_uid_of(parts)
    return tuple(_companion(s, parts, names, frame, planes, attributes_of) for s in parts.siblings)


def _companion(
    sibling: Parts,
    parts: Parts,
    names: Mapping[int, str],
    frame: str,
    planes: Planes,
    attributes_of: Callable[[StructureSet], StructureSetAttributes],
) -> PatientPlan:
    assert sibling.plan is not None
    own_set = parts.structure_set is not None and sibling.structure_set is not None
    same_set = own_set and parts.structure_set.uid == sibling.structure_set.uid  # type: ignore[union-attr]
    plan = _plan(sibling.plan, names if same_set else {})
    return PatientPlan(
        uid=sibling.plan.uid,
        file=sibling.plan.name,
        plan=plan,
        created_at=sibling.plan.created,
        frame_of_reference_uid=frame_uid_of(sibling),
        structure_set_uid=sibling.structure_set.uid if sibling.structure_set is not None else "",
        read_dose=partial(_dose, sibling, plan, frame),
        read_structures=partial(_structures, sibling.structure_set, planes, attributes_of),
    )


def _plan(header: Header, names: Mapping[int, str]) -> Plan | None:
    try:
        plan = read_plan(header.path)
    except Exception:  # a damaged plan makes pydicom raise nearly anything; its own case says what is wrong
        return None
    targets = tuple(p if p.target else replace(p, target=names.get(p.roi_number or -1, "")) for p in plan.prescriptions)
    return replace(plan, prescriptions=targets)


def doses_of_several_plans(parts: Parts) -> tuple[DoseOfSeveralPlans, ...]:
    """The patient's doses of several plans together, decoded when they are asked for."""
    frame = frame_uid_of(parts)
    return tuple(DoseOfSeveralPlans(h.name, plan_uids_of((h,)), partial(_read, [h], None, frame)) for h in parts.sums)


def _dose(sibling: Parts, plan: Plan | None, frame: str) -> PlannedDose:
    own = [h for h in sibling.doses if patient_key(h) == sibling.patient]
    return _read(own, plan, frame) if own else PlannedDose(why_not="there is no RTDOSE of it here")


def _read(own: list[Header], plan: Plan | None, frame: str) -> PlannedDose:
    found = read_doses(own, plan)
    elsewhere = [h.name for h in found.headers if frame and h.frame_uid and h.frame_uid != frame]
    if found.dose is None or elsewhere:
        if elsewhere:
            why = f"its dose ({listed(elsewhere)}) has another frame of reference (another CT)"
            return PlannedDose(why_not=why, reason="other_frame")
        return PlannedDose(why_not=f"its dose ({listed(h.name for h in own)}) cannot be used", reason="unreadable")
    uids = tuple(h.uid for h in found.headers)
    return PlannedDose(found.dose, found.attributes, uids, plan_uids_of(found.headers), findings=tuple(found.findings))


def _structures(
    header: Header | None, planes: Planes, attributes_of: Callable[[StructureSet], StructureSetAttributes]
) -> PlannedStructures:
    if header is None:
        return PlannedStructures()
    try:
        read = read_structure_set(header.path, *planes)
        return PlannedStructures(read.rois, attributes_of(read), read.label)
    except Exception:  # as above
        return PlannedStructures(label=header.label)

"""RTPLAN -> prescription, fractions and beams."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from rtqc.core.case import Plan, Prescription
from rtqc.dicom.elements import is_cut_off, items, number, text

#: Dose Reference Structure Types (PS3.3 C.8.8.10) that are points; a SITE or VOLUME says more about the target.
_POINTS = {"POINT", "COORDINATES"}
#: What made the plan.
_EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")


def read_plan(path: Path) -> Plan:
    """Read what checks need of a plan.

    Raises:
        EOFError: the file is cut off.
        Exception: whatever pydicom raises on a damaged file.
    """
    dataset = pydicom.dcmread(path, force=True)
    if is_cut_off(dataset):
        raise EOFError("the file is cut off")
    groups = [(g, number(g, "NumberOfFractionsPlanned") or 0.0) for g in items(dataset, "FractionGroupSequence")]
    used = [(g, n) for g, n in groups if n >= 1]
    beams = [b for b in items(dataset, "BeamSequence") if text(b, "TreatmentDeliveryType") in ("", "TREATMENT")]
    about = (text(dataset, k) for k in ("RTPlanName", "RTPlanDescription", "PrescriptionDescription"))
    return Plan(
        label=text(dataset, "RTPlanLabel"),
        description=" ".join(a for a in about if a),
        prescriptions=_prescriptions(dataset) or _of_beams(used),
        fractions=int(sum(n for _, n in used)) or None,
        fraction_groups=len(used),
        beams=len(beams),
        approval=text(dataset, "ApprovalStatus"),
        operator=text(dataset, "OperatorsName"),
        reviewer=text(dataset, "ReviewerName"),
        date=text(dataset, "RTPlanDate"),
        planning_system=" ".join(v for v in map(partial(text, dataset), _EQUIPMENT) if v),
    )


def _prescriptions(dataset: Dataset) -> tuple[Prescription, ...]:
    """Of the dose references, targets before points, highest first."""
    found = []
    for reference in items(dataset, "DoseReferenceSequence"):
        dose = number(reference, "TargetPrescriptionDose")
        if dose is not None and dose > 0 and text(reference, "DoseReferenceType").upper() in ("TARGET", ""):
            point = text(reference, "DoseReferenceStructureType").upper() in _POINTS
            roi = number(reference, "ReferencedROINumber")
            target = text(reference, "DoseReferenceDescription")
            found.append(Prescription(dose, target, "point" if point else "target", None if roi is None else int(roi)))
    return tuple(sorted(found, key=lambda p: (p.stated_for == "point", -p.dose_gy)))


def _of_beams(groups: list[tuple[Dataset, float]]) -> tuple[Prescription, ...]:
    """What the beams give to their dose specification points together (Beam Dose is that of one fraction)."""
    total = 0.0
    for group, fractions in groups:
        total += fractions * sum(number(b, "BeamDose") or 0.0 for b in items(group, "ReferencedBeamSequence"))
    return (Prescription(round(total, 6), "", "beams"),) if total > 0 else ()

"""RTPLAN -> prescription, fractions and beams."""

from __future__ import annotations

from pathlib import Path

import pydicom

from rtqc.core.case import Plan, Prescription
from rtqc.dicom.elements import is_cut_off, items, number, text


def read_plan(path: Path) -> Plan:
    """Read what checks need of a plan.

    Raises:
        EOFError: the file is cut off.
        Exception: whatever pydicom raises on a damaged file.
    """
    dataset = pydicom.dcmread(path, force=True)
    if is_cut_off(dataset):
        raise EOFError("the file is cut off")
    prescriptions = []
    for reference in items(dataset, "DoseReferenceSequence"):
        dose = number(reference, "TargetPrescriptionDose")
        if dose is not None and dose > 0 and text(reference, "DoseReferenceType") in ("TARGET", ""):
            prescriptions.append(Prescription(dose, text(reference, "DoseReferenceDescription")))
    groups = items(dataset, "FractionGroupSequence")
    fractions = [n for n in (number(g, "NumberOfFractionsPlanned") for g in groups) if n is not None]
    beams = [b for b in items(dataset, "BeamSequence") if text(b, "TreatmentDeliveryType") in ("", "TREATMENT")]
    return Plan(
        label=text(dataset, "RTPlanLabel"),
        prescriptions=tuple(sorted(prescriptions, key=lambda p: -p.dose_gy)),
        fractions=int(sum(fractions)) if fractions else None,
        beams=len(beams),
        approval=text(dataset, "ApprovalStatus"),
        operator=text(dataset, "OperatorsName"),
    )

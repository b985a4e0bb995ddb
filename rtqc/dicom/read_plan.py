"""RTPLAN and RT Ion Plan -> prescription, fractions and beams.

An RT Ion Plan (PS3.3 A.49) differs from an RTPLAN in the names of two sequences only, as far as rtqc reads it: Ion Beam Sequence and
Ion Control Point Sequence. A brachytherapy plan has application setups in place of beams, and its dose stands in the fraction group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import RTIonPlanStorage

from rtqc.core.case import ApplicationSetup, Beam, FractionGroup, Plan, Prescription, UnusablePrescription
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import is_cut_off, items, number, numbers, text

#: Dose Reference Structure Types (PS3.3 C.8.8.10) that are points; a SITE or VOLUME says more about the target.
_POINTS = {"POINT", "COORDINATES"}
#: What made the plan.
_EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
#: Treatment Delivery Types (PS3.3 C.8.8.14) that treat; absent means TREATMENT.
_TREATS = {"", "TREATMENT", "CONTINUATION"}
#: Review Date and Time count as an approval's only with these Approval Statuses (PS3.3 C.8.8.16).
REVIEWED = {"APPROVED", "REJECTED"}

PlanKind = Literal["photon", "ion", "brachy"]


@dataclass(frozen=True)
class _FractionGroup:
    """A fraction group: its item, number and Number of Fractions Planned (0 where absent)."""

    item: Dataset
    number: int
    fractions: float


def read_plan(path: Path) -> Plan:
    """Read what checks need of a plan.

    Args:
        path: an RTPLAN or RT Ion Plan file.

    Raises:
        EOFError: the file is cut off.
        Exception: whatever pydicom raises on a damaged file.
    """
    dataset = read_object(path)
    if is_cut_off(dataset):
        raise EOFError("the file is cut off")
    every_group = _groups(dataset)
    groups = [g for g in every_group if g.fractions >= 1]
    # A plan that states no fractions still says by metersets which of its fields treat.
    beams = _beams(dataset, groups or every_group)
    setups = _application_setups(groups)
    about = [text(dataset, k) for k in ("RTPlanName", "RTPlanDescription", "PrescriptionDescription")]
    approval = text(dataset, "ApprovalStatus")
    prescriptions, unusable = _prescriptions(dataset)
    return Plan(
        label=text(dataset, "RTPlanLabel"),
        description=" ".join(a for a in about if a),
        description_parts=tuple(a for a in about if a),
        prescriptions=prescriptions or _of_beams(groups),
        unusable_prescriptions=unusable,
        fractions=int(sum(g.fractions for g in groups)) or None,
        fraction_groups=len(groups),
        groups=tuple(FractionGroup(g.number, int(g.fractions), _gy_a_fraction(g, beams, dataset)) for g in groups),
        beams=len({beam.number for beam in beams}),
        treatment_beams=beams,
        application_setups=setups,
        brachy_type=text(dataset, "BrachyTreatmentType").upper(),
        kind=_kind(dataset, has_beams=bool(beams), has_setups=bool(setups)),
        approval=approval,
        approved_at=date_time(dataset, "ReviewDate", "ReviewTime") if approval.upper() in REVIEWED else "",
        operator=text(dataset, "OperatorsName"),
        reviewer=text(dataset, "ReviewerName"),
        date=text(dataset, "RTPlanDate"),
        time=date_time(dataset, "RTPlanDate", "RTPlanTime")[8:],
        intent=text(dataset, "PlanIntent").upper(),
        geometry=text(dataset, "RTPlanGeometry").upper(),
        relations=tuple(
            (text(reference, "ReferencedSOPInstanceUID"), text(reference, "RTPlanRelationship").upper())
            for reference in items(dataset, "ReferencedRTPlanSequence")
        ),
        planning_system=" ".join(v for v in map(partial(text, dataset), _EQUIPMENT) if v),
    )


def date_time(dataset: Dataset, date: str, time: str) -> str:
    """A DA and a TM attribute as YYYYMMDDHHMMSS, which sorts and compares as text.

    Seconds that are not there are 00; without a date the answer is empty, without a time the date alone.
    """
    day = text(dataset, date).replace(".", "")  # ACR-NEMA wrote dots
    if len(day) != 8 or not day.isdigit():
        return ""
    clock = text(dataset, time).partition(".")[0].replace(":", "")
    return day + clock.ljust(6, "0")[:6] if clock.isdigit() else day


def _kind(dataset: Dataset, *, has_beams: bool, has_setups: bool) -> PlanKind:
    if text(dataset, "SOPClassUID") == RTIonPlanStorage or items(dataset, "IonBeamSequence"):
        return "ion"
    if not has_beams and (has_setups or items(dataset, "ApplicationSetupSequence")):
        return "brachy"
    return "photon"


def _groups(dataset: Dataset) -> list[_FractionGroup]:
    """Every fraction group; one whose number is absent or another's gets one of its own, so that no dose of the other can be taken for its."""
    found: dict[int, _FractionGroup] = {}
    for position, item in enumerate(items(dataset, "FractionGroupSequence"), 1):
        own = int(number(item, "FractionGroupNumber") or position)
        own = max(found) + 1 if own in found else own
        found[own] = _FractionGroup(item, own, number(item, "NumberOfFractionsPlanned") or 0.0)
    return list(found.values())


def _application_setups(groups: list[_FractionGroup]) -> tuple[ApplicationSetup, ...]:
    return tuple(
        ApplicationSetup(
            int(number(reference, "ReferencedBrachyApplicationSetupNumber") or 0),
            group.number,
            number(reference, "BrachyApplicationSetupDose"),
        )
        for group in groups
        for reference in items(group.item, "ReferencedBrachyApplicationSetupSequence")
    )


def _beams(dataset: Dataset, groups: list[_FractionGroup]) -> tuple[Beam, ...]:
    """The beams that treat, once for each fraction group that uses them, in file order.

    A beam without meterset gives no dose: planning systems export fields for set-up images as ``TREATMENT``, and portal images that the
    patient gets dose from with a meterset. Only of a plan that states no meterset at all the delivery type is all there is to go by.
    """
    sequence = items(dataset, "BeamSequence") or items(dataset, "IonBeamSequence")
    references: dict[int, list[tuple[_FractionGroup, Dataset]]] = {}
    for group in groups:
        for reference in items(group.item, "ReferencedBeamSequence"):
            references.setdefault(int(number(reference, "ReferencedBeamNumber") or 0), []).append((group, reference))
    used = [reference for referring in references.values() for _, reference in referring]
    metersets = any(_states_meterset(reference) for reference in used)
    found = []
    for item in sequence:
        referring = references.get(int(number(item, "BeamNumber") or 0), [])
        if metersets:
            found += [_beam(item, g, r) for g, r in referring if _has_meterset(r)]
        elif text(item, "TreatmentDeliveryType").upper() in _TREATS:
            found += [_beam(item, g, r) for g, r in referring] or ([] if references else [_beam(item, None, Dataset())])
    return tuple(found)


def _has_meterset(reference: Dataset) -> bool:
    """Whether a beam gives dose; a meterset that cannot be read is one all the same."""
    meterset = number(reference, "BeamMeterset")
    return meterset > 0 if meterset is not None else _states_meterset(reference)


def _states_meterset(reference: Dataset) -> bool:
    """Whether Beam Meterset is there and not empty, whatever stands in it."""
    return bool(_stated(reference, "BeamMeterset"))


def _stated(dataset: Dataset, keyword: str) -> str:
    """A number as it stands in the file, whether it is one or not; empty where absent or empty."""
    raw = dataset.get_item(keyword)
    value = None if raw is None else raw.value
    return "" if value is None else str(value.decode("latin-1") if isinstance(value, bytes) else value).strip("\0 ")


def _beam(item: Dataset, group: _FractionGroup | None, reference: Dataset) -> Beam:
    points = items(item, "ControlPointSequence") or items(item, "IonControlPointSequence")
    first = points[0] if points else Dataset()
    isocentre = numbers(first, "IsocenterPosition", 3)
    return Beam(
        number=int(number(item, "BeamNumber") or 0),
        name=text(item, "BeamName"),
        radiation_type=text(item, "RadiationType").upper(),
        isocentre_mm=None if isocentre is None else (isocentre[0], isocentre[1], isocentre[2]),
        gantry_deg=number(first, "GantryAngle"),
        meterset=number(reference, "BeamMeterset"),
        dose_gy=number(reference, "BeamDose"),
        fraction_group=group.number if group is not None else None,
    )


def _prescriptions(dataset: Dataset) -> tuple[tuple[Prescription, ...], tuple[UnusablePrescription, ...]]:
    """Of the dose references, targets before points, highest first; and those that are no dose, in file order."""
    found, unusable = [], []
    for reference in items(dataset, "DoseReferenceSequence"):
        stated = _stated(reference, "TargetPrescriptionDose")
        if not stated or text(reference, "DoseReferenceType").upper() not in ("TARGET", ""):
            continue
        dose, roi = number(reference, "TargetPrescriptionDose"), number(reference, "ReferencedROINumber")
        target, roi_number = text(reference, "DoseReferenceDescription"), None if roi is None else int(roi)
        if dose is None or dose <= 0:
            unusable.append(UnusablePrescription(stated if dose is None else f"{dose:g}", target, roi_number))
            continue
        point = text(reference, "DoseReferenceStructureType").upper() in _POINTS
        found.append(Prescription(dose, target, "point" if point else "target", roi_number))
    return tuple(sorted(found, key=lambda p: (p.stated_for == "point", -p.dose_gy))), tuple(unusable)


def _gy_a_fraction(group: _FractionGroup, beams: tuple[Beam, ...], dataset: Dataset) -> float | None:
    """What a fraction group gives in one fraction: its beams to their dose specification points, else the prescription that it refers to.

    Referenced Dose Reference Sequence of the group (PS3.3 C.8.8.13) states the dose itself, or the number of a dose reference of the plan.
    """
    doses = [beam.dose_gy for beam in beams if beam.fraction_group == group.number]
    known = [gy for gy in doses if gy is not None]
    if doses and len(known) == len(doses):
        return round(sum(known), 6)
    prescribed = {
        int(number(r, "DoseReferenceNumber") or 0): number(r, "TargetPrescriptionDose") for r in items(dataset, "DoseReferenceSequence")
    }  # fmt: skip
    totals = [
        number(r, "TargetPrescriptionDose") or prescribed.get(int(number(r, "ReferencedDoseReferenceNumber") or 0))
        for r in items(group.item, "ReferencedDoseReferenceSequence")
    ]
    highest = max((gy for gy in totals if gy is not None), default=0.0)
    return highest / group.fractions if highest > 0 else None


def _of_beams(groups: list[_FractionGroup]) -> tuple[Prescription, ...]:
    """What beams and application setups give to their dose specification points together.

    Beam Dose and Brachy Application Setup Dose are those of one fraction (PS3.3 C.8.8.13).
    """
    total = 0.0
    for group in groups:
        beams = (number(b, "BeamDose") for b in items(group.item, "ReferencedBeamSequence"))
        setups = (
            number(s, "BrachyApplicationSetupDose") for s in items(group.item, "ReferencedBrachyApplicationSetupSequence")
        )
        total += group.fractions * sum(dose or 0.0 for dose in (*beams, *setups))
    return (Prescription(round(total, 6), "", "beams"),) if total > 0 else ()

"""One case's files -> a :class:`~rtqc.core.Case`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtqc.core.acquisition import Acquisition
from rtqc.core.case import Case, DoseAttributes, Plan, PlanningDvh, Provenance, StructureSetAttributes, UnusablePrescription
from rtqc.core.finding import Finding
from rtqc.core.orientation import AXIAL, Orientation
from rtqc.core.volumes import Dose
from rtqc.core.wording import listed
from rtqc.dicom.belonging import findings_beside, name_for, patient_key
from rtqc.dicom.bounded import read_object
from rtqc.dicom.contradictions import contradicting_copies
from rtqc.dicom.elements import number, text
from rtqc.dicom.index import Header, Index, index_folder
from rtqc.dicom.left_out import contours_left_out
from rtqc.dicom.not_judged import NOT_JUDGED
from rtqc.dicom.notes import note
from rtqc.dicom.parts import Parts, plan_cases
from rtqc.dicom.read_acquisition import read_acquisition
from rtqc.dicom.read_companions import doses_of_several_plans, plan_uids_of, read_companions
from rtqc.dicom.read_ct import Series, read_series
from rtqc.dicom.read_dose import read_doses
from rtqc.dicom.read_dvh import read_planning_dvhs
from rtqc.dicom.read_plan import REVIEWED, date_time, read_plan
from rtqc.dicom.read_respiration import contours_on_other_images
from rtqc.dicom.read_structures import StructureSet, read_structure_set
from rtqc.dicom.series_choice import referenced_images

#: Thickness of an ROI on a single plane where no CT says it: the usual planning slice.
DEFAULT_SLICE_MM = 3.0
#: A finding names so many files at most.
_MOST_FILES = 20
#: So many characters of what is no number are shown.
_MOST_CHARACTERS = 40


def read_case(path: str | Path) -> Case:
    """The one case of a folder.

    Args:
        path: a folder of any shape, or one file.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: the folder holds several cases (use :func:`read_cases`).
    """
    cases = read_cases(path)
    if len(cases) > 1:
        raise ValueError(f"{path} holds {len(cases)} cases: use read_cases, or name one case's folder")
    return cases[0]


def read_cases(path: str | Path) -> list[Case]:
    """Every case of a folder, all decoded; see :func:`plan_cases` to decode them one by one.

    Raises:
        FileNotFoundError: the path does not exist.
    """
    index = index_folder(Path(path))
    return [load_case(parts, index) for parts in plan_cases(index)]


def load_case(parts: Parts, index: Index) -> Case:
    """Decode one case's files."""
    findings = [
        *parts.findings,
        *contradicting_copies(parts),
        *findings_beside(index, _whose(parts)),
        *_not_judged(_whose(parts), index),
    ]
    series = read_series(parts.series, lambda: _referenced(parts)) if parts.series else Series(None, (), None, ())
    findings += series.findings
    if not parts.series:
        findings.append(
            note("ct.absent", _why_no_ct(parts, index), files=[parts.structure_set.name] if parts.structure_set else [])
        )
    structure_set = _load_structures(parts, series, findings)
    structure_set_name = name_for(_whose(parts), parts.structure_set) if parts.structure_set else ""
    findings += contours_left_out(structure_set.rois, structure_set_name) if structure_set else []
    plan = _load_plan(parts, structure_set, findings)
    plan_dose = read_doses(parts.doses, plan)
    findings += plan_dose.findings
    used_doses = plan_dose.headers
    dose = _in_frame(plan_dose.dose, used_doses, parts, findings) if plan_dose.dose is not None else None
    planning_dvhs = _load_planning_dvhs(used_doses, structure_set, parts, findings) if dose is not None else {}
    return Case(
        provenance=_provenance(parts, series, structure_set, plan, used_doses),
        image=series.image,
        rois=structure_set.rois if structure_set else (),
        plan=plan,
        dose=dose,
        findings=tuple(findings),
        has_structure_set=structure_set is not None,
        acquisition=read_acquisition(series.first) if series.first is not None else Acquisition(),
        dose_attributes=plan_dose.attributes if dose is not None else DoseAttributes(),
        structure_set_attributes=_structure_set_attributes(structure_set) if structure_set else StructureSetAttributes(),
        planning_dvhs=planning_dvhs,
        dose_plan_uids=plan_uids_of(used_doses) if dose is not None else (),
        companions=read_companions(parts, structure_set, _planes_of(series), _structure_set_attributes),
        companions_left_out=parts.siblings_left_out,
        doses_of_several_plans=doses_of_several_plans(parts) if parts.siblings else (),
        contours_on_other_images=_on_other_images(structure_set, series),
    )


def _on_other_images(structure_set: StructureSet | None, series: Series) -> dict[int, float]:
    if structure_set is None or not series.slices:
        return {}
    return contours_on_other_images(structure_set.dataset, frozenset(h.uid for h in series.slices))


def _load_planning_dvhs(
    used: tuple[Header, ...], structure_set: StructureSet | None, parts: Parts, findings: list[Finding]
) -> dict[int, PlanningDvh]:
    """Of a dose that is one object: that of a part of a plan is not the plan's."""
    if len(used) != 1:
        return {}
    names = {roi.number: roi.structure.name for roi in structure_set.rois} if structure_set else {}
    found, doubts = read_planning_dvhs(used[0].path, names, parts.structure_set.uid if parts.structure_set else "")
    findings += doubts
    return found


def _not_judged(patient: str, index: Index) -> list[Finding]:
    """The patient's radiotherapy objects of kinds that are not judged."""
    objects = [h for h in index.not_judged if patient_key(h) == patient]
    if not objects:
        return []
    count = Counter(NOT_JUDGED[h.sop_class] for h in objects)
    told = listed([f"{number} {kind}" for kind, number in count.items()])
    message = f"Not judged, because rtqc reads plans, doses and structure sets only: {told}."
    return [note("file.not_judged", message, files=[h.name for h in objects[:_MOST_FILES]], measured=float(len(objects)))]


def _whose(parts: Parts) -> str:
    """The patient of a case that somebody may have put together without saying whose it is."""
    return parts.patient or next((patient_key(h) for h in parts.headers), "")


def _why_no_ct(parts: Parts, index: Index) -> str:
    if parts.structure_set is not None:
        return f"The CT series that {parts.structure_set.name} was drawn on is not here: export the planning CT with the plan."
    if parts.plan is not None:
        return f"There is neither a structure set nor a CT for the plan {parts.plan.name}: export them together."
    if index.findings and not parts.headers:
        files = [name for f in index.findings for name in f.evidence.files]
        return f"Nothing could be read in {index.root.name or index.root} ({listed(files)}): export the plan again."
    if index.doses or index.others:
        return f"There is no CT in {index.root.name} ({len(index.doses)} dose and {index.others} other DICOM objects): export the planning CT, structure set, plan and dose together."
    return f"There is no DICOM file in {index.root.name or index.root}: give the folder that the planning system exported to."


def _referenced(parts: Parts) -> frozenset[str]:
    """The slices that the structure set refers to; none where it cannot be read, which its own reading says."""
    try:
        return referenced_images(read_object(parts.structure_set.path)) if parts.structure_set else frozenset()
    except Exception:  # a damaged structure set makes pydicom raise nearly anything
        return frozenset()


def _load_structures(parts: Parts, series: Series, findings: list[Finding]) -> StructureSet | None:
    if parts.structure_set is None:
        if parts.series or parts.plan:
            findings.append(
                note(
                    "structure_set.absent",
                    "There is no structure set for this CT, so there is no contour to check: export the RTSTRUCT too, or use 'rtqc draft'.",
                )
            )
        return None
    try:
        structure_set = read_structure_set(parts.structure_set.path, *_planes_of(series))
        findings += structure_set.findings
        return structure_set
    except Exception as error:  # a damaged structure set makes pydicom raise nearly anything
        why = error if isinstance(error, EOFError) else type(error).__name__
        message = f"The structure set {parts.structure_set.name} could not be read ({why}): export it again."
        findings.append(note("structure_set.unusable", message, files=[parts.structure_set.name]))
        return None


def _planes_of(series: Series) -> tuple[Orientation, float, NDArray[np.float64] | None]:
    """Orientation, spacing (mm) and positions (mm, along the canonical normal) of the planes that contours of this CT lie on."""
    orientation = series.image.grid.orientation if series.image else AXIAL
    spacing = series.image.grid.slice_spacing_mm if series.image else None
    if spacing is None and series.first is not None:
        spacing = number(series.first, "SliceThickness")
    slices = series.image.grid.canonical_positions_mm if series.image else None
    return orientation, spacing or DEFAULT_SLICE_MM, slices


def _load_plan(parts: Parts, structure_set: StructureSet | None, findings: list[Finding]) -> Plan | None:
    if parts.plan is None:
        return None
    try:
        plan = read_plan(parts.plan.path)
        names = {roi.number: roi.structure.name for roi in structure_set.rois} if structure_set else {}
        named_targets = (p if p.target else replace(p, target=names.get(p.roi_number or -1, "")) for p in plan.prescriptions)
        findings += [_no_dose(p, names, parts.plan.name) for p in plan.unusable_prescriptions]
        return replace(plan, prescriptions=tuple(named_targets))
    except Exception as error:  # as above
        why = error if isinstance(error, EOFError) else type(error).__name__
        message = f"The plan {parts.plan.name} could not be read ({why}): export it again."
        findings.append(note("plan.unusable", message, files=[parts.plan.name]))
        return None


def _no_dose(prescription: UnusablePrescription, names: Mapping[int, str], file: str) -> Finding:
    """That a prescription is no dose."""
    target = prescription.target or names.get(prescription.roi_number or -1, "") or "an unnamed target"
    stated = prescription.stated[:_MOST_CHARACTERS]
    message = f"{file} states a prescription of {stated} Gy to {target}, which is no dose, so it was left out: correct it in the planning system and export again."
    return note("plan.prescription_unusable", message, files=[file], measured=stated, unit="Gy")


def _structure_set_attributes(structure_set: StructureSet) -> StructureSetAttributes:
    dataset = structure_set.dataset
    approval = text(dataset, "ApprovalStatus")
    return StructureSetAttributes(
        approval=approval,
        approved_at=date_time(dataset, "ReviewDate", "ReviewTime") if approval.upper() in REVIEWED else "",
        drawn_at=date_time(dataset, "StructureSetDate", "StructureSetTime"),
        created_at=date_time(dataset, "InstanceCreationDate", "InstanceCreationTime"),
    )


def _in_frame(dose: Dose, used: tuple[Header, ...], parts: Parts, findings: list[Finding]) -> Dose | None:
    frame = parts.series[0].frame_uid if parts.series else (parts.structure_set.frame_uid if parts.structure_set else "")
    others = [h.name for h in used if frame and h.frame_uid and h.frame_uid != frame]
    if not others:
        return dose
    message = f"The dose {listed(others)} has another frame of reference than the CT, so it cannot be placed on the heart and was not used."
    findings.append(note("dose.frame_of_reference", message, files=others))
    return None


def _provenance(
    parts: Parts, series: Series, structure_set: StructureSet | None, plan: Plan | None, doses: tuple[Header, ...]
) -> Provenance:
    # An object of another patient that this one's refers to gives the case neither name nor date of birth.
    sources = ((parts.series[:1], series.first), ([parts.structure_set], structure_set.dataset if structure_set else None))
    source = next((d for h, d in sources if d is not None and h and h[0] and h[0].patient_id == parts.patient_id), None)
    headers = [h for h in (parts.structure_set, parts.plan, *parts.series[:1], *parts.doses[:1]) if h]
    header = next((h for h in headers if h.patient_id == parts.patient_id), headers[0] if headers else None)

    def tag(keyword: str) -> str:
        return text(source, keyword) if source is not None else ""

    labels = {
        "structure_set": structure_set.label if structure_set else "",
        "plan": plan.label if plan else "",
        "plan_file": parts.plan.name if parts.plan else "",
        "plan_created": parts.plan.created if parts.plan else "",
        "structure_set_date": text(structure_set.dataset, "StructureSetDate") if structure_set else "",
        "ct": tag("SeriesDescription"),
        "scanner": " ".join(v for v in (tag("Manufacturer"), tag("ManufacturerModelName")) if v),
    }
    files = {
        "ct": len(series.slices), "rtstruct": int(structure_set is not None), "rtplan": int(plan is not None), "rtdose": len(doses),
    }  # fmt: skip
    return Provenance(
        patient_id=header.patient_id if header else tag("PatientID"),
        patient_name=header.patient_name if header else tag("PatientName"),
        patient_sex=tag("PatientSex"),
        patient_birth_date=tag("PatientBirthDate"),
        study_uid=series.slices[0].study_uid if series.slices else (header.study_uid if header else ""),
        study_date=tag("StudyDate"),
        study_time=tag("StudyTime"),
        study_id=tag("StudyID"),
        accession_number=tag("AccessionNumber"),
        referring_physician=tag("ReferringPhysicianName"),
        position_reference=tag("PositionReferenceIndicator"),
        ct_series_uid=parts.series[0].series_uid if parts.series else "",
        frame_of_reference_uid=parts.series[0].frame_uid
        if parts.series
        else (parts.structure_set.frame_uid if parts.structure_set else ""),
        rtstruct_uid=parts.structure_set.uid if parts.structure_set else "",
        rtplan_uid=parts.plan.uid if parts.plan else "",
        rtdose_uids=tuple(h.uid for h in doses),
        labels=labels,
        files=files,
        structure_set_file=name_for(_whose(parts), parts.structure_set) if parts.structure_set else "",
        slice_uids=tuple((h.sop_class, h.uid) for h in series.slices),
        slice_frames=series.frames,
        slice_paths=tuple(h.path for h in series.slices),
        structure_set_path=parts.structure_set.path if parts.structure_set else None,
        dose_paths=tuple(h.path for h in doses),
    )

"""A folder -> cases: RTDOSE -> RTPLAN -> RTSTRUCT -> CT, by the references that the files hold.

One case a plan. A patient without a plan has one case a structure set; one without either, one a CT series.
A broken reference is a finding; an object that no plan uses is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from rtqc.core.case import Case, Plan, Provenance
from rtqc.core.finding import Finding
from rtqc.core.orientation import AXIAL
from rtqc.core.volumes import Dose
from rtqc.dicom.elements import number, text
from rtqc.dicom.index import Header, Index, index_folder
from rtqc.dicom.notes import named, note
from rtqc.dicom.read_ct import Series, read_series
from rtqc.dicom.read_dose import read_doses
from rtqc.dicom.read_dvh import read_planning_dvhs
from rtqc.dicom.read_plan import read_plan
from rtqc.dicom.read_structures import StructureSet, read_structure_set

#: Thickness of an ROI on a single plane where no CT says it: the usual planning slice.
DEFAULT_SLICE_MM = 3.0


@dataclass
class Parts:
    """The files of one case, before any of them is decoded.

    Attributes:
        structure_set, plan: headers; None where absent.
        series: headers of the CT series; empty where absent.
        doses: headers of the dose objects.
        findings: broken references.
    """

    patient_id: str = ""
    structure_set: Header | None = None
    plan: Header | None = None
    series: list[Header] = field(default_factory=list)
    doses: list[Header] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


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
        plans = ", ".join(c.provenance.patient_id or "?" for c in cases)
        raise ValueError(f"{path} holds {len(cases)} cases ({plans}): use read_cases, or name one case's folder")
    return cases[0]


def read_cases(path: str | Path) -> list[Case]:
    """Every case of a folder, all decoded; see :func:`plan_cases` to decode them one by one.

    Raises:
        FileNotFoundError: the path does not exist.
    """
    index = index_folder(Path(path))
    return [load_case(parts, index) for parts in plan_cases(index)]


def plan_cases(index: Index) -> list[Parts]:
    """Sort headers into cases. A folder without any DICOM file gives one case with nothing but findings."""
    cases: list[Parts] = []
    # Files that nobody can attribute speak for every case: each may lack just that slice.
    used_patients: set[str] = set()
    for plan in _latest(index.plans):
        cases.append(_case_of_plan(plan, index))
        used_patients.add(plan.patient_id)
    for structure_set in _latest(index.structure_sets):
        taken = any(c.structure_set is structure_set for c in cases)
        if not taken and structure_set.patient_id not in used_patients:
            parts = Parts(structure_set.patient_id, structure_set=structure_set)
            parts.series = _series_of(structure_set, index, parts.findings)
            parts.doses = _doses_without_plan(structure_set.patient_id, index)
            cases.append(parts)
    used_patients |= {s.patient_id for s in index.structure_sets}
    taken_series = {h.series_uid for c in cases for h in c.series}
    for uid, series in index.ct.items():
        if uid not in taken_series and series[0].patient_id not in used_patients:
            cases.append(Parts(series[0].patient_id, series=series, doses=_doses_without_plan(series[0].patient_id, index)))
    _note_orphan_doses(index, cases)
    return cases or [Parts()]


def _latest(headers: list[Header]) -> list[Header]:
    """Copies of one object (same UID) once."""
    return list({h.uid: h for h in headers}.values())


def _case_of_plan(plan: Header, index: Index) -> Parts:
    parts = Parts(plan.patient_id, plan=plan)
    plans = [p for p in _latest(index.plans) if p.patient_id == plan.patient_id]
    if len(plans) > 1:
        names = [p.name for p in plans]
        message = f"The patient has {len(plans)} plans here ({named(names)}): each was assessed by itself, and the heart's doses of several phases were not added."
        parts.findings.append(note("plan.several", message, files=names, measured=float(len(plans))))
    by_uid = {h.uid: h for h in index.structure_sets}
    parts.structure_set = next((by_uid[uid] for uid in plan.refers_to if uid in by_uid), None)
    if parts.structure_set is None:
        own = [h for h in _latest(index.structure_sets) if h.patient_id == plan.patient_id]
        if own:
            parts.structure_set = own[-1]
            message = f"The plan {plan.name} refers to a structure set that is not here; {own[-1].name} of the same patient was taken: export the plan's own structure set."
            parts.findings.append(note("reference.plan_structure_set", message, files=[plan.name, own[-1].name]))
    if parts.structure_set is not None:
        _check_patient(plan, parts.structure_set, "The plan", "structure set", parts.findings)
        parts.series = _series_of(parts.structure_set, index, parts.findings)
    else:
        own_series = [s for s in index.ct.values() if s[0].patient_id == plan.patient_id]
        parts.series = _by_frame(own_series, plan.frame_uid) or (max(own_series, key=len) if own_series else [])
    parts.doses = _doses_of(plan, plans, index, parts)
    return parts


def _check_patient(a: Header, b: Header, first: str, second: str, findings: list[Finding]) -> None:
    if a.patient_id != b.patient_id:
        message = f"{first} ({a.name}) is of patient {a.patient_id or '(no ID)'}, but its {second} ({b.name}) is of patient {b.patient_id or '(no ID)'}: export them again."
        findings.append(note("reference.patient", message, files=[a.name, b.name], measured=b.patient_id, limit=a.patient_id))


def _by_frame(series: list[list[Header]], frame_uid: str) -> list[Header]:
    same = [s for s in series if frame_uid and s[0].frame_uid == frame_uid]
    return max(same, key=len) if same else []


def _series_of(structure_set: Header, index: Index, findings: list[Finding]) -> list[Header]:
    for uid in structure_set.refers_to:
        if uid in index.ct:
            series = index.ct[uid]
            _check_patient(structure_set, series[0], "The structure set", "CT", findings)
            return series
    own = [s for s in index.ct.values() if s[0].patient_id == structure_set.patient_id]
    in_frame = _by_frame(list(index.ct.values()), structure_set.frame_uid)
    chosen = in_frame or (max(own, key=len) if own else [])
    if not chosen:
        return []
    if not structure_set.refers_to and (in_frame or len(own) == 1):
        return chosen
    message = f"The structure set {structure_set.name} was drawn on a CT series that is not here; the series of {chosen[0].name} was taken: export the structure set's own CT."
    findings.append(note("reference.structure_set_ct", message, files=[structure_set.name, chosen[0].name]))
    return chosen


def _doses_of(plan: Header, plans: list[Header], index: Index, parts: Parts) -> list[Header]:
    doses = _latest(index.doses)
    referring = [d for d in doses if plan.uid in d.refers_to]
    for dose in referring:
        _check_patient(plan, dose, "The plan", "dose", parts.findings)
    if referring:
        return referring
    plan_uids = {p.uid for p in index.plans}
    loose = [d for d in doses if d.patient_id == plan.patient_id and not plan_uids & set(d.refers_to)]
    if not loose:
        return []
    if any(d.refers_to for d in loose):
        message = f"The dose {named([d.name for d in loose])} refers to another plan than {plan.name}, so it was not used: export the dose of this plan."
        parts.findings.append(note("reference.dose_plan", message, files=[plan.name, *(d.name for d in loose)]))
        return []
    if len(plans) > 1:
        message = f"The dose {named([d.name for d in loose])} does not say to which of the {len(plans)} plans here it belongs ({named([p.name for p in plans])}), so it was not used: export each plan with its dose."
        parts.findings.append(note("reference.dose_plan", message, files=[plan.name, *(d.name for d in loose)]))
        return []
    return loose


def _doses_without_plan(patient_id: str, index: Index) -> list[Header]:
    return [d for d in _latest(index.doses) if d.patient_id == patient_id]


def _note_orphan_doses(index: Index, cases: list[Parts]) -> None:
    """A dose of a patient who has nothing else here: it was laid into the wrong folder."""
    if not cases:
        return
    patients = {c.patient_id for c in cases}
    for dose in _latest(index.doses):
        used = any(dose in c.doses for c in cases)
        if not used and dose.patient_id not in patients:
            message = f"The dose {dose.name} is of patient {dose.patient_id or '(no ID)'}, who has no plan here, so it was not used: export the dose of this patient."
            for case in cases:
                case.findings.append(
                    note("reference.patient", message, files=[dose.name], measured=dose.patient_id, limit=case.patient_id)
                )


def load_case(parts: Parts, index: Index) -> Case:
    """Decode one case's files."""
    findings = [*parts.findings, *index.findings]
    series = read_series(parts.series) if parts.series else Series(None, (), None, ())
    findings += series.findings
    if not parts.series:
        findings.append(
            note("ct.absent", _why_no_ct(parts, index), files=[parts.structure_set.name] if parts.structure_set else [])
        )
    structure_set = _load_structures(parts, series, findings)
    plan = _load_plan(parts, structure_set, findings)
    dose, used_doses, dose_findings = read_doses(parts.doses, plan.beams if plan else 0)
    findings += dose_findings
    if dose is not None:
        dose = _in_frame(dose, used_doses, parts, findings)
    return Case(
        provenance=_provenance(parts, series, structure_set, plan, used_doses),
        image=series.image,
        rois=structure_set.rois if structure_set else (),
        plan=plan,
        dose=dose,
        findings=tuple(findings),
        has_structure_set=structure_set is not None,
        planning_dvhs=read_planning_dvhs(used_doses[0].path) if dose is not None and len(used_doses) == 1 else {},
    )


def _why_no_ct(parts: Parts, index: Index) -> str:
    if parts.structure_set is not None:
        return f"The CT series that {parts.structure_set.name} was drawn on is not here: export the planning CT with the plan."
    if parts.plan is not None:
        return f"There is neither a structure set nor a CT for the plan {parts.plan.name}: export them together."
    if index.doses or index.others:
        return f"There is no CT in {index.root.name} ({len(index.doses)} dose and {index.others} other DICOM objects): export the planning CT, structure set, plan and dose together."
    return f"There is no DICOM file in {index.root.name or index.root}: give the folder that the planning system exported to."


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
    orientation = series.image.grid.orientation if series.image else AXIAL
    spacing = series.image.grid.slice_spacing_mm if series.image else None
    if spacing is None and series.first is not None:
        spacing = number(series.first, "SliceThickness")
    try:
        return read_structure_set(parts.structure_set.path, orientation, spacing or DEFAULT_SLICE_MM)
    except Exception as error:  # a damaged structure set makes pydicom raise nearly anything
        why = error if isinstance(error, EOFError) else type(error).__name__
        message = f"The structure set {parts.structure_set.name} could not be read ({why}): export it again."
        findings.append(note("structure_set.unusable", message, files=[parts.structure_set.name]))
        return None


def _load_plan(parts: Parts, structure_set: StructureSet | None, findings: list[Finding]) -> Plan | None:
    if parts.plan is None:
        return None
    try:
        plan = read_plan(parts.plan.path)
        names = {roi.number: roi.structure.name for roi in structure_set.rois} if structure_set else {}
        named_targets = (p if p.target else replace(p, target=names.get(p.roi_number or -1, "")) for p in plan.prescriptions)
        return replace(plan, prescriptions=tuple(named_targets))
    except Exception as error:  # as above
        why = error if isinstance(error, EOFError) else type(error).__name__
        message = f"The plan {parts.plan.name} could not be read ({why}): export it again."
        findings.append(note("plan.unusable", message, files=[parts.plan.name]))
        return None


def _in_frame(dose: Dose, used: tuple[Header, ...], parts: Parts, findings: list[Finding]) -> Dose | None:
    frame = parts.series[0].frame_uid if parts.series else (parts.structure_set.frame_uid if parts.structure_set else "")
    others = [h.name for h in used if frame and h.frame_uid and h.frame_uid != frame]
    if not others:
        return dose
    message = f"The dose {named(others)} has another frame of reference than the CT, so it cannot be placed on the heart and was not used."
    findings.append(note("dose.frame_of_reference", message, files=others))
    return None


def _provenance(
    parts: Parts, series: Series, structure_set: StructureSet | None, plan: Plan | None, doses: tuple[Header, ...]
) -> Provenance:
    source = series.first if series.first is not None else (structure_set.dataset if structure_set else None)
    header = next((h for h in (parts.structure_set, parts.plan, *parts.series[:1]) if h), None)

    def tag(keyword: str) -> str:
        return text(source, keyword) if source is not None else ""

    labels = {
        "structure_set": structure_set.label if structure_set else "",
        "plan": plan.label if plan else "",
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
        structure_set_file=parts.structure_set.name if parts.structure_set else "",
        slice_uids=tuple((h.sop_class, h.uid) for h in series.slices),
        slice_paths=tuple(h.path for h in series.slices),
        structure_set_path=parts.structure_set.path if parts.structure_set else None,
        dose_paths=tuple(h.path for h in doses),
    )

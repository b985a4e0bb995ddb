"""Headers -> cases: RTDOSE -> RTPLAN -> RTSTRUCT -> CT, by the references that the files hold.

One case a plan. A patient without a plan has one case a structure set; one without either, one a CT series.
A broken reference is a finding; an object that no plan uses is not. Nothing here walks over all cases once a case: an archive
may hold ten thousand plans, and all of them may be of one patient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from rtqc.core.finding import Finding
from rtqc.dicom.index import Header, Index
from rtqc.dicom.notes import named, note

#: A finding names so many files of its own kind at most.
_MOST_FILES = 20
#: So many other plans of a patient are looked at for those of one course; treatments have a few, archives of test patients thousands.
MOST_SIBLINGS = 24


@dataclass
class Parts:
    """The files of one case, before any of them is decoded.

    Attributes:
        structure_set, plan: headers; None where absent.
        series: headers of the CT series; empty where absent.
        doses: headers of the dose objects.
        findings: broken references.
        siblings: the patient's other plans, each without its own siblings and with one slice of its CT at most.
        siblings_left_out: number of further plans of the patient, where there are more than :data:`MOST_SIBLINGS`.
    """

    patient_id: str = ""
    structure_set: Header | None = None
    plan: Header | None = None
    series: list[Header] = field(default_factory=list)
    doses: list[Header] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    siblings: list[Parts] = field(default_factory=list)
    siblings_left_out: int = 0

    @property
    def headers(self) -> list[Header]:
        """All of its files."""
        return [h for h in (self.plan, self.structure_set, *self.doses, *self.series) if h is not None]

    @property
    def sibling_headers(self) -> list[Header]:
        """Files of the patient's other plans that its course may need, each once: plans, structure sets and doses."""
        found = {h.name: h for s in self.siblings for h in (s.plan, s.structure_set, *s.doses) if h is not None}
        own = {h.name for h in self.headers}
        return [h for name, h in found.items() if name not in own]


def frame_uid_of(parts: Parts) -> str:
    """Frame of Reference UID of a case: its CT's, else its structure set's, else its plan's."""
    headers = (*parts.series[:1], parts.structure_set, parts.plan)
    return next((h.frame_uid for h in headers if h is not None and h.frame_uid), "")


class _Tables:
    """An index, by what is asked of it."""

    def __init__(self, index: Index) -> None:
        """Copies of one object (same UID) count once."""
        self.index = index
        self.plans = _latest(index.plans)
        self.structure_sets = _latest(index.structure_sets)
        self.doses = _latest(index.doses)
        self.structure_set_by_uid = {h.uid: h for h in self.structure_sets}
        self.plan_uids = {h.uid for h in self.plans}
        self.plans_of = _by_patient(self.plans)
        self.structure_sets_of = _by_patient(self.structure_sets)
        self.doses_of = _by_patient(self.doses)
        self.doses_for: dict[str, list[Header]] = defaultdict(list)
        for dose in self.doses:
            for uid in dict.fromkeys(dose.refers_to):
                self.doses_for[uid].append(dose)
        self.series_of: dict[str, list[list[Header]]] = defaultdict(list)
        self.series_in: dict[str, list[list[Header]]] = defaultdict(list)
        for series in index.ct.values():
            self.series_of[series[0].patient_id].append(series)
            self.series_in[series[0].frame_uid].append(series)


def plan_cases(index: Index) -> list[Parts]:
    """Sort headers into cases. A folder without any DICOM file gives one case with nothing but findings."""
    tables = _Tables(index)
    cases = [_case_of_plan(plan, tables) for plan in tables.plans]
    _join_siblings(cases)
    taken_sets = {id(c.structure_set) for c in cases}
    for structure_set in tables.structure_sets:
        if id(structure_set) not in taken_sets and structure_set.patient_id not in tables.plans_of:
            parts = Parts(structure_set.patient_id, structure_set=structure_set)
            parts.series = _series_of(structure_set, tables, parts.findings)
            parts.doses = list(tables.doses_of.get(structure_set.patient_id, ()))
            cases.append(parts)
    used_patients = set(tables.plans_of) | set(tables.structure_sets_of)
    taken_series = {c.series[0].series_uid for c in cases if c.series}
    for uid, series in index.ct.items():
        patient = series[0].patient_id
        if uid not in taken_series and patient not in used_patients:
            cases.append(Parts(patient, series=series, doses=list(tables.doses_of.get(patient, ()))))
    _note_orphan_doses(tables, cases)
    return cases or [Parts()]


def _join_siblings(cases: list[Parts]) -> None:
    """Tell each plan of a patient of the others; of very many, of those in its own frame of reference."""
    groups: dict[tuple[str, str], list[Parts]] = {}
    for parts in cases:
        assert parts.plan is not None
        # Anonymous plans are of one patient only if they are of one study.
        key = (parts.patient_id, "" if parts.patient_id else parts.plan.study_uid)
        groups.setdefault(key, []).append(parts)
    for group in groups.values():
        if len(group) - 1 <= MOST_SIBLINGS:
            _join(group, len(group))
            continue
        in_frame: dict[str, list[Parts]] = {}
        for parts in group:
            in_frame.setdefault(frame_uid_of(parts), []).append(parts)
        for same in in_frame.values():
            _join(same if len(same) - 1 <= MOST_SIBLINGS else same[:1], len(group))
            for parts in same:
                parts.siblings_left_out = len(group) - 1 - len(parts.siblings)


def _join(group: list[Parts], total: int) -> None:
    alone = [replace(parts, series=parts.series[:1], findings=[], siblings=[]) for parts in group]
    for own, parts in enumerate(group):
        parts.siblings = [other for number, other in enumerate(alone) if number != own]
        parts.siblings_left_out = total - len(group)


def _latest(headers: Iterable[Header]) -> list[Header]:
    """Copies of one object (same UID) once."""
    return list({h.uid: h for h in headers}.values())


def _by_patient(headers: Iterable[Header]) -> dict[str, list[Header]]:
    found: dict[str, list[Header]] = {}
    for header in headers:
        found.setdefault(header.patient_id, []).append(header)
    return found


def _case_of_plan(plan: Header, tables: _Tables) -> Parts:
    parts = Parts(plan.patient_id, plan=plan)
    plans = tables.plans_of[plan.patient_id]
    if len(plans) > 1:
        names = [p.name for p in plans[: _MOST_FILES + 1]]
        message = f"The patient has {len(plans)} plans here ({named(names, total=len(plans))}): each was assessed by itself, and with the others of its course as their sum."
        parts.findings.append(note("plan.several", message, files=names[:_MOST_FILES], measured=float(len(plans))))
    parts.structure_set = next(
        (tables.structure_set_by_uid[uid] for uid in plan.refers_to if uid in tables.structure_set_by_uid), None
    )
    if parts.structure_set is None:
        own = tables.structure_sets_of.get(plan.patient_id)
        if own:
            parts.structure_set = own[-1]
            message = f"The plan {plan.name} refers to a structure set that is not here; {own[-1].name} of the same patient was taken: export the plan's own structure set."
            parts.findings.append(note("reference.plan_structure_set", message, files=[plan.name, own[-1].name]))
    if parts.structure_set is not None:
        _check_patient(plan, parts.structure_set, "The plan", "structure set", parts.findings)
        parts.series = _series_of(parts.structure_set, tables, parts.findings)
    else:
        own_series = tables.series_of.get(plan.patient_id, [])
        parts.series = _by_frame(own_series, plan.frame_uid) or (max(own_series, key=len) if own_series else [])
    parts.doses = _doses_of(plan, plans, tables, parts.findings)
    return parts


def _check_patient(a: Header, b: Header, first: str, second: str, findings: list[Finding]) -> None:
    if a.patient_id != b.patient_id:
        message = f"{first} ({a.name}) is of patient {a.patient_id or '(no ID)'}, but its {second} ({b.name}) is of patient {b.patient_id or '(no ID)'}: export them again."
        findings.append(note("reference.patient", message, files=[a.name, b.name], measured=b.patient_id, limit=a.patient_id))


def _by_frame(series: Sequence[list[Header]], frame_uid: str) -> list[Header]:
    same = [s for s in series if frame_uid and s[0].frame_uid == frame_uid]
    return max(same, key=len) if same else []


def _series_of(structure_set: Header, tables: _Tables, findings: list[Finding]) -> list[Header]:
    for uid in structure_set.refers_to:
        if uid in tables.index.ct:
            series = tables.index.ct[uid]
            _check_patient(structure_set, series[0], "The structure set", "CT", findings)
            return series
    own = tables.series_of.get(structure_set.patient_id, [])
    in_frame = _by_frame(tables.series_in.get(structure_set.frame_uid, []), structure_set.frame_uid)
    chosen = in_frame or (max(own, key=len) if own else [])
    if not chosen:
        return []
    if not structure_set.refers_to and (in_frame or len(own) == 1):
        return chosen
    message = f"The structure set {structure_set.name} was drawn on a CT series that is not here; the series of {chosen[0].name} was taken: export the structure set's own CT."
    findings.append(note("reference.structure_set_ct", message, files=[structure_set.name, chosen[0].name]))
    return chosen


def _doses_of(plan: Header, plans: list[Header], tables: _Tables, findings: list[Finding]) -> list[Header]:
    referring = tables.doses_for.get(plan.uid, [])
    # A dose that refers to several plans is their sum (MULTI_PLAN): it is a plan's own only where the plan has no other.
    referring = [d for d in referring if len(set(d.refers_to)) == 1] or referring
    for dose in referring:
        _check_patient(plan, dose, "The plan", "dose", findings)
    if referring:
        return list(referring)
    loose = [d for d in tables.doses_of.get(plan.patient_id, []) if not tables.plan_uids.intersection(d.refers_to)]
    if not loose:
        return []
    names = [d.name for d in loose]
    if any(d.refers_to for d in loose):
        message = f"The dose {named(names)} refers to another plan than {plan.name}, so it was not used: export the dose of this plan."
        findings.append(note("reference.dose_plan", message, files=[plan.name, *names[:_MOST_FILES]]))
        return []
    if len(plans) > 1:
        message = f"The dose {named(names)} does not say to which of the {len(plans)} plans here it belongs ({named([p.name for p in plans])}), so it was not used: export each plan with its dose."
        findings.append(note("reference.dose_plan", message, files=[plan.name, *names[:_MOST_FILES]]))
        return []
    return loose


def _note_orphan_doses(tables: _Tables, cases: list[Parts]) -> None:
    """A dose of a patient who has nothing else here: it was laid into the wrong folder."""
    patients = {c.patient_id for c in cases}
    used = {id(dose) for c in cases for dose in c.doses}
    for dose in tables.doses:
        if id(dose) not in used and dose.patient_id not in patients:
            message = f"The dose {dose.name} is of patient {dose.patient_id or '(no ID)'}, who has no plan here, so it was not used: export the dose of this patient."
            for case in cases:
                case.findings.append(
                    note("reference.patient", message, files=[dose.name], measured=dose.patient_id, limit=case.patient_id)
                )

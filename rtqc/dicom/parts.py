"""Headers -> cases: RTDOSE -> RTPLAN -> RTSTRUCT -> CT, by the references that the files hold.

One case a plan. A patient without a plan has one case a structure set; one without either, one a CT series.
A broken reference is a finding; an object that no plan uses is not. Another patient's files change nothing, and nothing that is
said of one patient names another. Nothing here walks over all cases once a case: an archive
may hold ten thousand plans, and all of them may be of one patient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from rtqc.core.finding import Finding
from rtqc.core.wording import listed
from rtqc.dicom.belonging import name_for, patient_key, series_by_patient
from rtqc.dicom.content import damaged_copies
from rtqc.dicom.index import Header, Index
from rtqc.dicom.notes import note
from rtqc.dicom.series_choice import SeriesChoice, series_under_contours

_Key = TypeVar("_Key", bound=Hashable)

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
        patient: whose it is (:func:`~rtqc.dicom.belonging.patient_key`).
        copies: further files that carry the SOP Instance UID of the plan, the structure set or a dose of this case.
        sums: headers of the patient's doses of several plans, whether they are among ``doses`` or not.
        siblings: the patient's other plans, each without its own siblings and with one slice of its CT at most.
        siblings_left_out: number of further plans of the patient, where there are more than :data:`MOST_SIBLINGS`.
    """

    patient_id: str = ""
    structure_set: Header | None = None
    plan: Header | None = None
    series: list[Header] = field(default_factory=list)
    doses: list[Header] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    patient: str = ""
    copies: list[Header] = field(default_factory=list)
    sums: list[Header] = field(default_factory=list)
    siblings: list[Parts] = field(default_factory=list)
    siblings_left_out: int = 0

    @property
    def headers(self) -> list[Header]:
        """All of its files; of copies the one that is used."""
        return [h for h in (self.plan, self.structure_set, *self.doses, *self.series) if h is not None]

    @property
    def files(self) -> list[Header]:
        """All of its files, copies among them: what its result follows from."""
        return [*self.headers, *self.copies]

    @property
    def sibling_headers(self) -> list[Header]:
        """Files of the patient's other plans that its course may need, each once: plans, structure sets and doses, those of several plans too."""
        found = {h.name: h for s in self.siblings for h in (s.plan, s.structure_set, *s.doses, *self.sums) if h is not None}
        own = {h.name for h in self.files}
        return [h for name, h in found.items() if name not in own]


def frame_uid_of(parts: Parts) -> str:
    """Frame of Reference UID of a case: its CT's, else its structure set's, else its plan's.

    Of a plan whose structure set is not here, and another one was taken, its own comes first.
    """
    plan, structure_set = parts.plan, parts.structure_set
    headers = [*parts.series[:1], structure_set, plan]
    if plan is not None and structure_set is not None and structure_set.uid not in plan.refers_to:
        headers.insert(0, plan)
    return next((h.frame_uid for h in headers if h is not None and h.frame_uid), "")


class _Tables:
    """An index, by what is asked of it."""

    def __init__(self, index: Index) -> None:
        """Copies of one object (same UID) of a patient count once; the one that was created last is taken."""
        self.copies: dict[int, list[Header]] = {}
        self._loose: dict[str, list[Header]] = {}
        self.plans = self._latest(index.plans)
        self.structure_sets = self._latest(index.structure_sets)
        self.doses = self._latest(index.doses)
        self.structure_set_by_uid = _by(self.structure_sets, lambda h: h.uid)
        self.plan_uids = {h.uid for h in self.plans}
        self.plans_of = _by(self.plans, patient_key)
        self.structure_sets_of = _by(self.structure_sets, patient_key)
        self.doses_of = _by(self.doses, patient_key)
        self.doses_for: dict[str, list[Header]] = defaultdict(list)
        for dose in self.doses:
            for uid in dict.fromkeys(dose.refers_to):
                self.doses_for[uid].append(dose)
        self.series = series_by_patient(index)
        self.series_by_uid: dict[str, list[list[Header]]] = defaultdict(list)
        self.series_of: dict[str, list[list[Header]]] = defaultdict(list)
        for (patient, uid), series in self.series.items():
            self.series_by_uid[uid].append(series)
            self.series_of[patient].append(series)

    def loose_doses(self, patient: str) -> list[Header]:
        """A patient's doses that refer to none of the plans; worked out once a patient."""
        if patient not in self._loose:
            doses = self.doses_of.get(patient, ())
            self._loose[patient] = [d for d in doses if not self.plan_uids.intersection(d.refers_to)]
        return self._loose[patient]

    def _latest(self, headers: Iterable[Header]) -> list[Header]:
        """One of the copies of each object, one that is not damaged where there is one; the others are kept beside it."""
        groups = _by(headers, lambda h: (patient_key(h), h.uid or h.name))
        latest = []
        for group in groups.values():
            damaged = damaged_copies(h.path for h in group) if len(group) > 1 else frozenset()
            chosen = [h for h in group if h.path not in damaged][-1]
            if len(group) > 1:
                self.copies[id(chosen)] = [h for h in group if h is not chosen]
            latest.append(chosen)
        return latest

    def structure_set(self, plan: Header) -> Header | None:
        """The structure set that a plan refers to: the patient's own, else another's of that UID."""
        for uid in plan.refers_to:
            own = _own_first(self.structure_set_by_uid.get(uid, ()), plan)
            if own is not None:
                return own
        return None

    def doses_of_plan(self, plan: Header) -> list[Header]:
        """The doses that refer to a plan; another patient's only where there are none of its own, or no other plan is meant."""
        referring = self.doses_for.get(plan.uid, [])
        own = [d for d in referring if patient_key(d) == patient_key(plan)]
        return own or [d for d in referring if not any(p.uid == plan.uid for p in self.plans_of.get(patient_key(d), ()))]


def plan_cases(index: Index) -> list[Parts]:
    """Sort headers into cases. A folder without any DICOM file gives one case with nothing but findings; one of nothing but doses, one case a patient."""
    tables = _Tables(index)
    cases = [_case_of_plan(plan, tables) for plan in tables.plans]
    _join_siblings(cases)
    taken_sets = {id(c.structure_set) for c in cases}
    for structure_set in tables.structure_sets:
        patient = patient_key(structure_set)
        if id(structure_set) not in taken_sets and patient not in tables.plans_of:
            parts = Parts(structure_set.patient_id, structure_set=structure_set, patient=patient)
            parts.series = _series_of(structure_set, tables, parts.findings)
            parts.doses = list(tables.doses_of.get(patient, ()))
            cases.append(parts)
    used_patients = set(tables.plans_of) | set(tables.structure_sets_of)
    taken_series = {id(c.series[0]) for c in cases if c.series}
    for (patient, _), series in tables.series.items():
        if id(series[0]) not in taken_series and patient not in used_patients:
            doses = list(tables.doses_of.get(patient, ()))
            cases.append(Parts(series[0].patient_id, series=series, doses=doses, patient=patient))
    if not cases:
        # A dose by itself is nobody's plan, but it can be converted; beside other cases it lies in the wrong folder.
        cases = [Parts(doses[0].patient_id, doses=doses, patient=patient) for patient, doses in tables.doses_of.items()]
    _note_orphan_doses(tables, cases)
    for case in cases:
        case.copies = [copy for h in case.headers for copy in tables.copies.get(id(h), ())]
    return cases or [Parts()]


def _join_siblings(cases: list[Parts]) -> None:
    """Tell each plan of a patient of the others; of very many, of those in its own frame of reference."""
    groups: dict[str, list[Parts]] = {}
    for parts in cases:
        groups.setdefault(parts.patient, []).append(parts)
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


def stray_doses(index: Index, cases: Iterable[Parts]) -> list[Header]:
    """Doses of patients who have nothing else in a folder: no case uses them, and no case speaks of them."""
    patients = {c.patient for c in cases}
    return [dose for dose in index.doses if patient_key(dose) not in patients]


def _by(headers: Iterable[Header], key: Callable[[Header], _Key]) -> dict[_Key, list[Header]]:
    found: dict[_Key, list[Header]] = {}
    for header in headers:
        found.setdefault(key(header), []).append(header)
    return found


def _own_first(headers: Iterable[Header], of: Header) -> Header | None:
    """The one of the same patient, else the first."""
    known = list(headers)
    return next((h for h in known if patient_key(h) == patient_key(of)), known[0] if known else None)


def _case_of_plan(plan: Header, tables: _Tables) -> Parts:
    parts = Parts(plan.patient_id, plan=plan, patient=patient_key(plan))
    plans = tables.plans_of[parts.patient]
    if len(plans) > 1:
        names = [p.name for p in plans[: _MOST_FILES + 1]]
        message = f"The patient has {len(plans)} plans here ({listed(names, total=len(plans))}): each was assessed by itself, and with the others of its course as their sum."
        parts.findings.append(note("plan.several", message, files=names[:_MOST_FILES], measured=float(len(plans))))
    parts.structure_set = tables.structure_set(plan)
    if parts.structure_set is None:
        own = tables.structure_sets_of.get(parts.patient)
        if own:
            parts.structure_set = own[-1]
            message = f"The plan {plan.name} refers to a structure set that is not here; {own[-1].name} of the same patient was taken: export the plan's own structure set."
            parts.findings.append(note("reference.plan_structure_set", message, files=[plan.name, own[-1].name]))
    if parts.structure_set is not None:
        _check_patient(plan, parts.structure_set, "plan", "structure set", parts.findings)
        parts.series = _series_of(parts.structure_set, tables, parts.findings)
    else:
        own_series = tables.series_of.get(parts.patient, [])
        parts.series = _by_frame(own_series, plan.frame_uid) or (max(own_series, key=len) if own_series else [])
    parts.doses = _doses_of(plan, plans, tables, parts.findings)
    parts.sums = [d for d in tables.doses_of.get(parts.patient, ()) if len(set(d.refers_to)) > 1]
    return parts


def _check_patient(a: Header, b: Header, first: str, second: str, findings: list[Finding]) -> None:
    """Two objects that refer to each other are of one patient; whose the other is, is not said in this one's results."""
    if a.patient_id != b.patient_id:
        other = name_for(patient_key(a), b)
        message = f"The {first} ({a.name}) and its {second} ({other}) have different Patient IDs: export them again."
        findings.append(note("reference.patient", message, files=[a.name, other]))


def _by_frame(series: Sequence[list[Header]], frame_uid: str) -> list[Header]:
    same = [s for s in series if frame_uid and s[0].frame_uid == frame_uid]
    return max(same, key=len) if same else []


def _series_of(structure_set: Header, tables: _Tables, findings: list[Finding]) -> list[Header]:
    for uid in structure_set.refers_to:
        first = _own_first((s[0] for s in tables.series_by_uid.get(uid, ())), structure_set)
        if first is not None:
            _check_patient(structure_set, first, "structure set", "CT", findings)
            return tables.series[patient_key(first), uid]
    own = tables.series_of.get(patient_key(structure_set), [])
    framed = [s for s in own if s[0].frame_uid == structure_set.frame_uid] if structure_set.frame_uid else []
    candidates = framed or own
    if not candidates:
        return []
    if len(candidates) == 1:
        chosen = candidates[0]
        if not structure_set.refers_to:
            return chosen
        choice = None
    else:
        choice = series_under_contours(structure_set, candidates)
        chosen = choice.series
    if choice is not None and not structure_set.refers_to:
        findings.append(_chosen(structure_set, choice, len(candidates)))
        return chosen
    message = f"The structure set {structure_set.name} names another CT series than that of {chosen[0].name}, which was taken because the named one was not exported: export the structure set's own CT."
    findings.append(note("reference.structure_set_ct", message, files=[structure_set.name, chosen[0].name]))
    return chosen


def _chosen(structure_set: Header, choice: SeriesChoice, count: int) -> Finding:
    fit = (
        "none of its contours says which"
        if choice.on_slices is None
        else f"{100 * choice.on_slices:.0f} % of its contours lie on its slices"
    )
    sure = "" if choice.clear else ", as they do on another's"
    message = f"{structure_set.name} does not say on which of {count} CT series it was drawn: that of {choice.series[0].name} was taken, {fit}{sure}. Export it with its reference."
    return note("reference.series_chosen", message, files=[structure_set.name, choice.series[0].name], measured=float(count))


def _doses_of(plan: Header, plans: list[Header], tables: _Tables, findings: list[Finding]) -> list[Header]:
    referring = tables.doses_of_plan(plan)
    # A dose that refers to several plans is their sum (MULTI_PLAN): it is a plan's own only where the plan has no other.
    referring = [d for d in referring if len(set(d.refers_to)) == 1] or referring
    for dose in referring:
        _check_patient(plan, dose, "plan", "dose", findings)
    if referring:
        return list(referring)
    loose = tables.loose_doses(patient_key(plan))
    if not loose:
        return []
    names = [d.name for d in loose[: _MOST_FILES + 1]]
    one = len(loose) == 1
    doses = f"The {'dose' if one else 'doses'} {listed(names, total=len(loose))}"
    left = "so it was not used" if one else "so they were not used"
    if any(d.refers_to for d in loose):
        message = (
            f"{doses} {'refers' if one else 'refer'} to another plan than {plan.name}, {left}: export the dose of this plan."
        )
        findings.append(note("reference.dose_plan", message, files=[plan.name, *names[:_MOST_FILES]]))
        return []
    if len(plans) > 1:
        shown = listed((p.name for p in plans[: _MOST_FILES + 1]), total=len(plans))
        message = f"{doses} {'does not say to which of the' if one else 'do not say to which of the'} {len(plans)} plans here {'it belongs' if one else 'they belong'} ({shown}), {left}: export each plan with its dose."
        findings.append(note("reference.dose_plan", message, files=[plan.name, *names[:_MOST_FILES]]))
        return []
    return loose


def _note_orphan_doses(tables: _Tables, cases: list[Parts]) -> None:
    """A dose of a patient who has nothing else here explains why a plan has none; a plan that has its own dose is not touched by it."""
    patients = {c.patient for c in cases}
    strays = [dose for dose in tables.doses if patient_key(dose) not in patients]
    if not strays:
        return
    for case in cases:
        if case.plan is None or case.doses or case.patient in tables.doses_of:
            continue
        names = list(dict.fromkeys(name_for(case.patient, dose) for dose in strays[:_MOST_FILES]))
        message = f"The plan has no dose of its own here; {listed(names)} has another Patient ID and was not used: export the dose of this patient."
        case.findings.append(note("reference.patient", message, files=names))

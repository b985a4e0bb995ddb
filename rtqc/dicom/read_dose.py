"""Dose objects of a plan -> the plan's dose, or a sentence that says what is missing.

PS3.3 C.8.8.3 says what each Dose Summation Type holds: ``PLAN`` the entire delivery of all fraction groups; ``FRACTION`` that of a single
fraction group; ``BEAM`` and ``BRACHY`` that of beams and application setups; ``MULTI_PLAN`` that of two or more plans. So parts are
added without weights, but only where together they are every part of the plan that gives dose, each of them once. ``FRACTION_SESSION``,
``BEAM_SESSION``, ``BRACHY_SESSION`` and ``CONTROL_POINT`` are doses of one fraction, ``RECORD`` is that of a treatment record: none of
them is the dose of a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtqc.core.case import DoseAttributes, Plan
from rtqc.core.finding import Finding
from rtqc.core.grid import EVEN_STEP_TOLERANCE_MM, Grid
from rtqc.core.volumes import Dose
from rtqc.dicom.dose_object import DoseError, DoseObject, read_dose_object
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note

#: Doses of parts of a plan.
_PARTS = {"FRACTION", "BEAM", "BRACHY"}
#: Doses of all of a plan.
_WHOLE = {"PLAN", "PLAN_OVERVIEW"}
#: Direction cosines that differ by less are those of one orientation.
_SAME_DIRECTION = 1e-4

#: A part of a plan: its fraction group, ``beam`` or ``setup``, and its number.
Part = tuple[int, str, int]


@dataclass(frozen=True)
class PlanDose:
    """The dose of one plan as its dose objects hold it.

    Attributes:
        dose: in Gy; None where there is none that can be used.
        headers: the objects used.
        attributes: what they say of themselves.
        findings: what was wrong with them.
    """

    dose: Dose | None
    headers: tuple[Header, ...]
    attributes: DoseAttributes
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Read:
    """A dose object that could be decoded, and its file."""

    header: Header
    object: DoseObject

    @property
    def summation(self) -> str:
        """Dose Summation Type."""
        return self.object.attributes.summation_type


class _SummationError(Exception):
    """Dose objects that are not the plan's dose; says why and names the files and numbers that it is about."""

    def __init__(self, message: str, read: Iterable[_Read], measured: float | None = None, limit: float | None = None) -> None:
        super().__init__(message)
        self.finding = note(
            "dose.summation",
            message,
            files=[r.header.name for r in read],
            measured=measured,
            limit=limit,
            unit="" if measured is None else "parts",
        )


def read_doses(headers: list[Header], plan: Plan | None) -> PlanDose:
    """The plan's dose from its dose objects.

    Args:
        headers: dose objects that belong to one plan, in the order of their creation.
        plan: its beams, application setups and fraction groups are the parts that must be there; None: unknown.
    """
    findings: list[Finding] = []
    read: list[_Read] = []
    for header in headers:
        try:
            read.append(_Read(header, read_dose_object(header.path)))
        except DoseError as error:
            findings.append(note("dose.unusable", f"{header.name}: {error}", files=[header.name]))
        except Exception as error:  # a damaged dose makes pydicom and numpy raise nearly anything
            message = f"{header.name} could not be read as a dose grid ({error}): export it again."
            findings.append(note("dose.unusable", message, files=[header.name]))
    try:
        used = _chosen(read, plan, unread=len(read) < len(headers), findings=findings)
        dose = _sum(used) if used else None
    except _SummationError as error:
        findings.append(error.finding)
        used, dose = [], None
    if dose is None:
        return PlanDose(None, (), DoseAttributes(), tuple(findings))
    findings += _notes_of_zero(used, dose, plan)
    return PlanDose(dose, tuple(r.header for r in used), _together(used), tuple(findings))


def _chosen(read: list[_Read], plan: Plan | None, *, unread: bool, findings: list[Finding]) -> list[_Read]:
    """The objects whose sum is the plan's dose: the plan's own, else all of its parts, else that of several plans.

    Raises:
        _SummationError: there are objects, but they are not the dose of the plan.
    """
    whole = [r for r in read if r.summation in _WHOLE or (not r.summation and not _named_parts(r))]
    if whole:
        return [_latest(whole, plan, findings)]
    parts = [r for r in read if r.summation in _PARTS]
    several = [r for r in read if r.summation == "MULTI_PLAN"]
    if parts:
        return _whole_of_parts(parts, plan, unread)
    if several:
        chosen = several[-1]
        if len(several) > 1:
            names = named(r.header.name for r in several)
            raise _SummationError(f"{len(several)} dose objects are sums of several plans ({names}): export the plan's own dose (PLAN), or only one of them.", several)  # fmt: skip
        count = len(chosen.object.plans)
        what = f"the sum of {count} plans" if count > 1 else "a sum of several plans"
        message = f"{chosen.header.name} is {what} (DoseSummationType MULTI_PLAN): all doses here are those of the sum, not of this plan alone. To judge the plan alone, export its own dose (PLAN)."
        findings.append(note("dose.of_several_plans", message, files=[chosen.header.name], measured=float(count)))
        return [chosen]
    if read:
        kind = read[0].summation or "absent"
        names = named(r.header.name for r in read)
        raise _SummationError(
            f"{names}: DoseSummationType {kind} is not the dose of a plan: export the plan's dose (PLAN).", read
        )
    return []


def _latest(whole: list[_Read], plan: Plan | None, findings: list[Finding]) -> _Read:
    """Of the doses of the whole plan the last one; several are said.

    Raises:
        _SummationError: it contradicts itself: of two plans, or of a part of the plan only.
    """
    names = [r.header.name for r in whole]
    if len(whole) > 1:
        message = f"{len(whole)} dose objects claim to be the whole plan's dose ({named(names)}); the last one by creation time, {names[-1]}, was used."
        findings.append(note("dose.summation", message, files=names))
    chosen = whole[-1]
    kind = chosen.summation or "PLAN"
    if len(chosen.object.plans) > 1:
        message = f"{names[-1]} calls itself the dose of one plan (DoseSummationType {kind}) but refers to {len(chosen.object.plans)} plans: export the dose of this plan."
        raise _SummationError(message, [chosen])
    expected, stated = _parts_of(plan), _named_parts(chosen)
    missing = expected - _covered(stated, expected)
    if stated and missing:
        message = f"{names[-1]} calls itself the dose of the plan but refers to a part of it only, without {_listed(missing)}: export the plan's dose again."
        raise _SummationError(message, [chosen], float(len(expected) - len(missing)), float(len(expected)))
    fractions, planned = chosen.object.fractions_included, plan.fractions if plan is not None else None
    if kind == "PLAN_OVERVIEW" and fractions is not None and planned is not None and fractions != planned:
        message = f"{names[-1]} is the dose of {fractions} of the plan's {planned} fractions: export the dose of the whole plan (PLAN)."
        raise _SummationError(message, [chosen], float(fractions), float(planned))
    return chosen


def _parts_of(plan: Plan | None) -> set[Part]:
    """Every part of the plan that gives dose."""
    if plan is None:
        return set()
    beams = {(b.fraction_group or 0, "beam", b.number) for b in plan.treatment_beams}
    return beams | {(s.fraction_group, "setup", s.number) for s in plan.application_setups}


def _named_parts(read: _Read) -> set[Part]:
    return {part for plan in read.object.plans for part in plan.parts}


def _covered(stated: set[Part], expected: set[Part]) -> set[Part]:
    """Those of the plan's parts that a dose object's references name; a group is all that belongs to it."""
    groups = {group for group, kind, _ in stated if kind == "group"}
    return {part for part in expected if part[0] in groups or part in stated}


def _whole_of_parts(parts: list[_Read], plan: Plan | None, unread: bool) -> list[_Read]:
    """The parts whose sum is the plan's dose: those of fraction groups, of beams, or of both where neither is whole.

    Raises:
        _SummationError: a part is missing, is there twice, or does not say which it is.
    """
    names = named(r.header.name for r in parts)
    expected = _parts_of(plan)
    if plan is None:
        raise _SummationError(f"{names}: doses of single beams or fraction groups, and the plan that says how many there are is not here: export the RTPLAN too, or the plan's dose (PLAN).", parts)  # fmt: skip
    if not expected:
        raise _SummationError(f"{names}: doses of single beams or fraction groups, but the plan names none that give dose: export the plan's dose (PLAN).", parts)  # fmt: skip
    by_kind = [[r for r in parts if (r.summation == "FRACTION") == fraction] for fraction in (True, False)]
    candidates = [c for c in (*by_kind, parts) if c]
    reasons = []
    for chosen in candidates:
        covered = [_part_of(r, expected, plan, chosen) for r in chosen]
        count = Counter(part for c in covered for part in c or ())
        twice = {part for part, times in count.items() if times > 1}
        missing = expected - set(count)
        unnamed = [r for r, c in zip(chosen, covered, strict=True) if c is None]
        _refuse_dose_of_no_beam([r for r, c in zip(chosen, covered, strict=True) if c is not None and not c])
        if not twice and not missing and not unnamed:
            return [r for r, c in zip(chosen, covered, strict=True) if c]
        reasons.append((chosen, unnamed, twice, missing, len(set(count))))
    chosen, unnamed, twice, missing, there = reasons[0]
    names = named(r.header.name for r in chosen)
    if unnamed:
        what = "fraction group" if unnamed[0].summation == "FRACTION" else "beam"
        raise _SummationError(f"{named(r.header.name for r in unnamed)} does not say of which {what} it is the dose: export the plan's dose (PLAN).", unnamed)  # fmt: skip
    if chosen[0].summation == "FRACTION":
        twice, missing = ({(group, "group", 0) for group, _, _ in parts} for parts in (twice, missing))
    said = []
    if twice:
        said.append(f"{_listed(twice)} {'has' if len(twice) == 1 else 'have'} a dose more than once")
    if missing:
        said.append(
            f"{_listed(missing)} {'has' if len(missing) == 1 else 'have'} no dose{' that could be read' if unread else ''}"
        )
    message = f"The doses of single {'fraction groups' if chosen[0].summation == 'FRACTION' else 'beams'} ({names}) do not make the plan's dose: {' and '.join(said)}. Export all of them once, or the plan's dose (PLAN)."
    raise _SummationError(message, chosen, float(there), float(len(expected)))


def _refuse_dose_of_no_beam(fields: list[_Read]) -> None:
    """Fields without meterset have no dose; one that has contradicts the plan.

    Raises:
        _SummationError: a dose of such a field is not zero.
    """
    for read in fields:
        if float(read.object.dose.gy.max()) > 0:
            what = _listed(_named_parts(read))
            message = f"{read.header.name} is the dose of {what}, which the plan has not or gives no meterset: export the plan's dose (PLAN)."
            raise _SummationError(message, [read])


def _part_of(read: _Read, expected: set[Part], plan: Plan, chosen: Sequence[_Read]) -> set[Part] | None:
    """The plan's parts that a dose object is the dose of; empty for a field that gives none, None where it does not say."""
    stated = _named_parts(read)
    if read.summation == "FRACTION":
        # The group is what counts; that some systems list its beams as well changes nothing.
        stated = {(group, "group", 0) for group, _, _ in stated}
    elif any(kind == "group" for _, kind, _ in stated):
        stated = {part for part in stated if part[1] != "group"}
    if not stated:
        # With a single part there is nothing that could be mistaken.
        alone = plan.fraction_groups == 1 if read.summation == "FRACTION" else len(expected) == 1
        return expected if alone and len(chosen) == 1 else None
    # A beam of one fraction group only is told by its number, whatever group the dose names.
    numbers = Counter((kind, number) for _, kind, number in expected)
    loose = {(kind, number) for _, kind, number in stated if numbers[kind, number] == 1}
    return _covered(stated, expected) | {part for part in expected if part[1:] in loose}


def _listed(parts: Iterable[Part], most: int = 4) -> str:
    """``beam 2``; ``beam 2 and beam 3``; with fraction groups where there are several."""
    every = sorted(parts)
    groups = {group for group, _, _ in every}
    words = []
    for group, kind, number in every:
        what = f"{'application setup' if kind == 'setup' else kind} {number}"
        what = f"{what} of fraction group {group}" if len(groups) > 1 else what
        words.append(f"fraction group {group}" if kind == "group" else what)
    shown = words[:most] + ([f"{len(words) - most} more"] if len(words) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _sum(used: list[_Read]) -> Dose:
    """The sum of doses on one grid.

    Raises:
        _SummationError: they lie on different grids, or are of different types.
    """
    first = used[0].object.dose
    names = named(r.header.name for r in used)
    if any(not _same_grid(first.grid, r.object.dose.grid) for r in used[1:]):
        raise _SummationError(f"The doses of single beams or fraction groups ({names}) lie on different grids and were not added: export the plan's dose (PLAN).", used)  # fmt: skip
    kinds = {r.object.attributes.dose_type or "PHYSICAL" for r in used}
    if len(kinds) > 1:
        raise _SummationError(f"The doses of single beams or fraction groups ({names}) are of different DoseTypes ({', '.join(sorted(kinds))}) and were not added: export the plan's dose (PLAN).", used)  # fmt: skip
    if len(used) == 1:
        return first
    total = np.zeros_like(first.gy)
    for r in used:
        total += r.object.dose.gy
    return replace(first, gy=total)


def _together(used: list[_Read]) -> DoseAttributes:
    """What several objects of one plan say together."""
    every = [r.object.attributes for r in used]
    return DoseAttributes(
        dose_type=next((a.dose_type for a in every if a.dose_type not in ("", "PHYSICAL")), every[0].dose_type),
        summation_type=every[0].summation_type,
        heterogeneity="\\".join(dict.fromkeys(a.heterogeneity for a in every if a.heterogeneity)),
        created_at=max(a.created_at for a in every),
    )


def _notes_of_zero(used: list[_Read], dose: Dose, plan: Plan | None) -> list[Finding]:
    if not float(dose.gy.max()) > 0:
        names = [r.header.name for r in used]
        message = f"The dose {named(names)} is zero everywhere: calculate the plan's dose and export it again."
        return [note("dose.zero", message, files=names, measured=0.0, unit="Gy")]
    zero = [r for r in used if not float(r.object.dose.gy.max()) > 0]
    if not zero:
        return []
    expected = _parts_of(plan)
    parts = {part for r in zero for part in _covered(_named_parts(r), expected)}
    what = _listed(parts) if parts else "a beam"
    names = [r.header.name for r in zero]
    message = f"The dose of {what} ({named(names)}) is zero everywhere, though the plan gives it a meterset; it was added as such. Check that the beam was calculated."
    return [note("dose.zero_part", message, files=names, measured=0.0, unit="Gy")]


def _same_grid(a: Grid, b: Grid) -> bool:
    if a.shape != b.shape:
        return False
    directions = ((a.orientation.row, b.orientation.row), (a.orientation.column, b.orientation.column))
    places = ((a.origin_mm, b.origin_mm), (a.spacing_mm, b.spacing_mm), (a.slice_positions_mm, b.slice_positions_mm))
    return all(np.allclose(x, y, rtol=0, atol=_SAME_DIRECTION) for x, y in directions) and all(
        np.allclose(x, y, rtol=0, atol=EVEN_STEP_TOLERANCE_MM) for x, y in places
    )

"""Dose objects of a plan -> the plan's dose, or a sentence that says what is missing.

PS3.3 C.8.8.3 says what each Dose Summation Type holds: ``PLAN`` the entire delivery of all fraction groups; ``FRACTION`` that of a single
fraction group; ``BEAM`` and ``BRACHY`` that of beams and application setups; ``MULTI_PLAN`` that of two or more plans. So parts are
added without weights, but only where together they are every part of the plan that gives dose, each of them once. ``FRACTION_SESSION``,
``BEAM_SESSION``, ``BRACHY_SESSION`` and ``CONTROL_POINT`` are doses of one fraction, ``RECORD`` is that of a treatment record: none of
them is the dose of a plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rtqc.core.case import DoseAttributes, Plan
from rtqc.core.finding import Finding
from rtqc.core.grid import EVEN_STEP_TOLERANCE_MM, Grid
from rtqc.core.volumes import Dose
from rtqc.core.wording import counted, listed
from rtqc.dicom.dose_object import DoseError, NoGridError, read_dose_object
from rtqc.dicom.dose_parts import ReadDose, SummationError, covered_parts, named_parts, parts_in_words, parts_of, whole_of_parts
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note

#: Doses of parts of a plan.
_PARTS = {"FRACTION", "BEAM", "BRACHY"}
#: Doses of all of a plan.
_WHOLE = {"PLAN", "PLAN_OVERVIEW"}
#: Direction cosines that differ by less are those of one orientation.
_SAME_DIRECTION = 1e-4


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


def read_doses(headers: list[Header], plan: Plan | None) -> PlanDose:
    """The plan's dose from its dose objects.

    Args:
        headers: dose objects that belong to one plan, in the order of their creation.
        plan: its beams, application setups and fraction groups are the parts that must be there; None: unknown.
    """
    findings: list[Finding] = []
    read: list[ReadDose] = []
    without_grid: list[Finding] = []
    for header in headers:
        try:
            read.append(ReadDose(header, read_dose_object(header.path)))
        except NoGridError as error:
            without_grid.append(note("dose.unusable", f"{header.name}: {error}", files=[header.name]))
        except DoseError as error:
            findings.append(note("dose.unusable", f"{header.name}: {error}", files=[header.name]))
        except Exception as error:  # a damaged dose makes pydicom and numpy raise nearly anything
            message = f"{header.name} could not be read as a dose grid ({error}): export it again."
            findings.append(note("dose.unusable", message, files=[header.name]))
    # Beside a dose grid, an object of DVHs only is none that was missed.
    findings += [] if read else without_grid
    try:
        used = _chosen(read, plan, unread=len(read) + len(without_grid) < len(headers), findings=findings)
        dose = _sum(used) if used else None
    except SummationError as error:
        findings.append(error.finding)
        used, dose = [], None
    if dose is None:
        return PlanDose(None, (), DoseAttributes(), tuple(findings))
    findings += _notes_of_zero(used, dose, plan)
    return PlanDose(dose, tuple(r.header for r in used), _together(used), tuple(findings))


def _chosen(read: list[ReadDose], plan: Plan | None, *, unread: bool, findings: list[Finding]) -> list[ReadDose]:
    """The objects whose sum is the plan's dose: the plan's own, else all of its parts, else that of several plans.

    Raises:
        SummationError: there are objects, but they are not the dose of the plan.
    """
    whole = [r for r in read if r.summation in _WHOLE or (not r.summation and not named_parts(r))]
    if whole:
        return [_latest(whole, plan, findings)]
    parts = [r for r in read if r.summation in _PARTS]
    several = [r for r in read if r.summation == "MULTI_PLAN"]
    if parts:
        return whole_of_parts(parts, plan, unread)
    if several:
        chosen = several[-1]
        if len(several) > 1:
            names = listed(r.header.name for r in several)
            raise SummationError(f"{len(several)} dose objects are sums of several plans ({names}): export the plan's own dose (PLAN), or only one of them.", several)  # fmt: skip
        count = len(chosen.object.plans)
        if count == 1:
            message = f"{chosen.header.name} calls itself a dose of several plans (DoseSummationType MULTI_PLAN) but refers to one plan only: what else is in it cannot be told. Export the plan's own dose (PLAN)."
        else:
            what = f"the sum of {count} plans" if count else "a sum of several plans"
            message = f"{chosen.header.name} is {what} (DoseSummationType MULTI_PLAN): all doses here are those of the sum, not of this plan alone. To judge the plan alone, export its own dose (PLAN)."
        findings.append(note("dose.of_several_plans", message, files=[chosen.header.name], measured=float(count)))
        return [chosen]
    if read:
        kind = read[0].summation or "absent"
        names = listed(r.header.name for r in read)
        raise SummationError(
            f"{names}: DoseSummationType {kind} is not the dose of a plan: export the plan's dose (PLAN).", read
        )
    return []


def _latest(whole: list[ReadDose], plan: Plan | None, findings: list[Finding]) -> ReadDose:
    """Of the doses of the whole plan the last one; several are said.

    Raises:
        SummationError: it contradicts itself: of two plans, or of a part of the plan only.
    """
    names = [r.header.name for r in whole]
    of_type = _of_the_limits_type(whole, plan)
    if len(whole) > 1:
        used = f"the last one by creation time, {names[-1]}, was used"
        if len(of_type) < len(whole):
            used = f"{of_type[-1].header.name} was used, because it is {of_type[-1].object.attributes.dose_type or 'PHYSICAL'} (DoseType)"
        message = f"{len(whole)} dose objects claim to be the whole plan's dose ({listed(names)}); {used}."
        findings.append(note("dose.summation", message, files=names))
    chosen = of_type[-1]
    kind = chosen.summation or "PLAN"
    if not chosen.summation:
        message = f"{chosen.header.name} does not say what it is the dose of (DoseSummationType is absent): it was taken as that of the whole plan. Check it, and export it again."
        findings.append(note("dose.summation_absent", message, files=[chosen.header.name]))
    if len(chosen.object.plans) > 1:
        message = f"{chosen.header.name} calls itself the dose of one plan (DoseSummationType {kind}) but refers to {len(chosen.object.plans)} plans: export the dose of this plan."
        raise SummationError(message, [chosen])
    expected, stated = parts_of(plan), named_parts(chosen)
    missing = expected - covered_parts(stated, expected)
    if stated and missing:
        message = f"{chosen.header.name} calls itself the dose of the plan but refers to a part of it only, without {parts_in_words(missing)}: export the plan's dose again."
        raise SummationError(message, [chosen], float(len(expected) - len(missing)), float(len(expected)))
    fractions, planned = chosen.object.fractions_included, plan.fractions if plan is not None else None
    if kind == "PLAN_OVERVIEW" and fractions is not None and planned is not None and fractions != planned:
        message = f"{chosen.header.name} is the dose of {fractions} of the plan's {counted(planned, 'fraction')}: export the dose of the whole plan (PLAN)."
        raise SummationError(message, [chosen], float(fractions), float(planned))
    return chosen


def _of_the_limits_type(whole: list[ReadDose], plan: Plan | None) -> list[ReadDose]:
    """Of doses of several types those that limits are for: physical, of ions the effective ones."""
    wanted = {"EFFECTIVE"} if plan is not None and plan.kind == "ion" else {"", "PHYSICAL"}
    return [r for r in whole if r.object.attributes.dose_type in wanted] or whole


def _sum(used: list[ReadDose]) -> Dose:
    """The sum of doses on one grid.

    Raises:
        SummationError: they lie on different grids, or are of different types.
    """
    first = used[0].object.dose
    names = listed(r.header.name for r in used)
    if any(not _same_grid(first.grid, r.object.dose.grid) for r in used[1:]):
        raise SummationError(f"The doses of single beams or fraction groups ({names}) lie on different grids and were not added: export the plan's dose (PLAN).", used)  # fmt: skip
    kinds = {r.object.attributes.dose_type or "PHYSICAL" for r in used}
    if len(kinds) > 1:
        raise SummationError(f"The doses of single beams or fraction groups ({names}) are of different DoseTypes ({', '.join(sorted(kinds))}) and were not added: export the plan's dose (PLAN).", used)  # fmt: skip
    if len(used) == 1:
        return first
    total = np.zeros_like(first.gy)
    for r in used:
        total += r.object.dose.gy
    return replace(first, gy=total)


def _together(used: list[ReadDose]) -> DoseAttributes:
    """What several objects of one plan say together."""
    every = [r.object.attributes for r in used]
    return DoseAttributes(
        dose_type=next((a.dose_type for a in every if a.dose_type not in ("", "PHYSICAL")), every[0].dose_type),
        summation_type=every[0].summation_type,
        heterogeneity="\\".join(dict.fromkeys(a.heterogeneity for a in every if a.heterogeneity)),
        created_at=max(a.created_at for a in every),
    )


def _notes_of_zero(used: list[ReadDose], dose: Dose, plan: Plan | None) -> list[Finding]:
    if not float(dose.gy.max()) > 0:
        names = [r.header.name for r in used]
        message = f"The dose {listed(names)} is zero everywhere: calculate the plan's dose and export it again."
        return [note("dose.zero", message, files=names, measured=0.0, unit="Gy")]
    zero = [r for r in used if not float(r.object.dose.gy.max()) > 0]
    if not zero:
        return []
    expected = parts_of(plan)
    parts = {part for r in zero for part in covered_parts(named_parts(r), expected)}
    what = parts_in_words(parts) if parts else "a beam"
    names = [r.header.name for r in zero]
    message = f"The dose of {what} ({listed(names)}) is zero everywhere, though the plan gives it a meterset; it was added as such. Check that the beam was calculated."
    return [note("dose.zero_part", message, files=names, measured=0.0, unit="Gy")]


def _same_grid(a: Grid, b: Grid) -> bool:
    if a.shape != b.shape:
        return False
    directions = ((a.orientation.row, b.orientation.row), (a.orientation.column, b.orientation.column))
    places = ((a.origin_mm, b.origin_mm), (a.spacing_mm, b.spacing_mm), (a.slice_positions_mm, b.slice_positions_mm))
    return all(np.allclose(x, y, rtol=0, atol=_SAME_DIRECTION) for x, y in directions) and all(
        np.allclose(x, y, rtol=0, atol=EVEN_STEP_TOLERANCE_MM) for x, y in places
    )

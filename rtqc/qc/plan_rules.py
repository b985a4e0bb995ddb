"""Rules about plan and image as the ground of everything else, and about the protocol that they ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rtqc.core.case import Plan
from rtqc.core.names import heart_score
from rtqc.core.organ_names import organ_of
from rtqc.core.substructures import substructure_of
from rtqc.core.wording import counted
from rtqc.qc.applicable import LARGEST_CONVERTED_GY, refuses_conversion
from rtqc.qc.conventional import CONVENTIONAL_GY, holds_for_conventional_groups
from rtqc.qc.dose_level import is_implausible
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule


@rule("plan.absent", "warning", "fact", "There is no plan, so prescription and fractions are unknown and were not checked.")
def plan_absent(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """No plan object."""
    if m.scope == "plan" and m.case.plan is None and not any(f.rule == "plan.unusable" for f in m.case.findings):
        yield Hit(
            f"There is no plan in the folder: prescription and fractions are unknown{_judged_by(m)}. Export the RTPLAN too, or ask for the contour only (--scope contour)."
        )


@rule("plan.prescription_missing", "warning", "fact", "The plan has no prescription.")
def prescription_missing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Neither a target prescription dose nor doses of beams."""
    plan = m.case.plan
    # One that is no dose was said when the plan was read.
    if plan is not None and not plan.prescriptions and not plan.unusable_prescriptions:
        yield Hit(
            f"The plan has neither a target prescription dose nor doses of its beams{_judged_by(m)}. Add the prescription to the plan."
        )


def _judged_by(m: Measurements) -> str:
    if m.choice is None or m.choice.fit == "named":
        return ""
    return f", so the constraints of protocol '{m.choice.protocol.name}' were used for want of a better"


@rule("plan.prescription_per_beam", "info", "fact", "The plan prescribes to no target: the beams' doses were added up.")
def prescription_per_beam(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Beam Dose times fractions."""
    prescriptions = m.case.plan.prescriptions if m.case.plan is not None else ()
    if prescriptions and prescriptions[0].stated_for == "beams":
        dose = prescriptions[0].dose_gy
        parts = _parts_that_give_dose(m)
        yield Hit(
            f"The plan has no target prescription dose; its {parts} give {dose:.2f} Gy to their dose specification points together, which was taken as the prescription.",
            measured=dose,
        )


def _parts_that_give_dose(m: Measurements) -> str:
    plan = m.case.plan
    if plan is None or not plan.application_setups:
        return "beams"
    return "beams and application setups" if plan.treatment_beams else "application setups"


@rule("plan.several_prescriptions", "info", "fact", "The plan has several prescriptions.")
def several_prescriptions(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """More than one target prescription dose."""
    prescriptions = m.case.plan.prescriptions if m.case.plan is not None else ()
    if len(prescriptions) > 1:
        listed = ", ".join(f"{p.dose_gy:g} Gy to {p.target or 'an unnamed target'}" for p in prescriptions[:6])
        yield Hit(
            f"The plan has {len(prescriptions)} prescriptions: {listed}. The first counts as the plan's; any of them may choose the protocol.",
            measured=float(len(prescriptions)),
        )


@rule("plan.prescription_to_point", "info", "fact", "The plan prescribes to a point.")
def prescription_to_point(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """No target is prescribed to: the first prescription is that of a point (targets come first)."""
    prescriptions = m.case.plan.prescriptions if m.case.plan is not None else ()
    if prescriptions and prescriptions[0].stated_for == "point":
        dose, point = prescriptions[0].dose_gy, prescriptions[0].target or "without a name"
        yield Hit(
            f"The plan prescribes {dose:g} Gy to a point ({point}), not to a target: no target's dose was held against it.",
            measured=dose,
        )


@rule("plan.target_is_organ", "warning", "fact", "A prescription's target is named like an organ at risk.")
def target_is_organ(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The heart, a part of it, spinal cord or spinal canal; other organs are treated as a whole at times."""
    for prescription in m.case.plan.prescriptions if m.case.plan is not None else ():
        name = prescription.target
        if _is_organ_at_risk(name):
            yield Hit(
                f"The plan prescribes {prescription.dose_gy:g} Gy to {name}, which is named like an organ at risk: check what is treated, and name the target.",
                measured=prescription.dose_gy,
                structures=(name,),
            )


def _is_organ_at_risk(name: str) -> bool:
    return heart_score(name) > 0 or substructure_of(name) is not None or organ_of(name) in ("cord", "canal")


@rule("plan.fractions_missing", "warning", "fact", "The plan has no fractions.")
def fractions_missing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Number of Fractions Planned is absent or 0."""
    if m.case.plan is not None and not m.case.plan.fractions:
        yield Hit(
            "The plan has no fractions (NumberOfFractionsPlanned is absent or 0), so there are no doses in fractions of 2 Gy. Add them to the plan."
        )


@rule("plan.fraction_groups", "info", "fact", "Doses in fractions of 2 Gy cannot be told for several fraction groups.")
def fraction_groups(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Each group has its own dose a fraction, and the dose holds only their sum."""
    plan = m.case.plan
    if plan is not None and plan.fraction_groups > 1 and m.case.dose is not None:
        judged = _judged_as_they_are(m)
        limits_hold = (
            f" Each fraction gives at most {CONVENTIONAL_GY:g} Gy, so the physical limits of protocol '{judged}' were held against the sum."
            if judged
            else ""
        )
        yield Hit(
            f"The plan has {plan.fraction_groups} fraction groups whose doses lie in one sum, so there are no doses in fractions of 2 Gy.{limits_hold}",
            measured=float(plan.fraction_groups),
        )


def _judged_as_they_are(m: Measurements) -> str:
    """The protocol whose limits are held against the sum of several fraction groups; empty where none is."""
    if m.choice is None or not m.constraints or not holds_for_conventional_groups(m.choice.protocol, m.case.plan):
        return ""
    return m.choice.protocol.name


@rule("plan.prescription_implausible", "fail", "fact", "The prescription is no dose in Gy.")
def prescription_implausible(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Target Prescription Dose is in Gy (PS3.3 C.8.8.10); in cGy it is a hundred times as large. Implanted sources do give more."""
    limit, plan = limits.prescription_total, m.case.plan
    if plan is None or plan.kind == "brachy":
        return
    dose = max((p.dose_gy for p in plan.prescriptions), default=0.0)
    beams = _beams_gy_a_fraction(plan)
    if dose <= limit.value < beams:
        yield Hit(
            f"The plan's beams give {beams:g} Gy in one fraction together, more than any treatment ({limit.value:g} Gy): their doses may be meant in cGy ({beams / 100:g} Gy). Correct them in the planning system and export again.",
            measured=beams,
            limit=limit,
        )
    if is_implausible(plan, limits):
        yield Hit(
            f"The plan prescribes {dose:g} Gy, more than any treatment ({limit.value:g} Gy): it may be meant in cGy ({dose / 100:g} Gy). Correct it in the planning system and export again.",
            measured=dose,
            limit=limit,
        )


def _beams_gy_a_fraction(plan: Plan) -> float:
    """The sum of Beam Doses (PS3.3 C.8.8.13: in Gy, of one fraction) of the fraction group where it is largest; 0 where none is stated."""
    totals: defaultdict[int | None, float] = defaultdict(float)
    for beam in plan.treatment_beams:
        totals[beam.fraction_group] += beam.dose_gy or 0.0
    return round(max(totals.values(), default=0.0), 6)


@rule(
    "protocol.assumed",
    "warning",
    "estimate",
    "Nothing in the plan supports the protocol: its constraints are those of another treatment.",
)
def protocol_assumed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The plan's words do not say which protocol is meant, or mean a site that none is for."""
    if m.choice is None or m.choice.fit != "assumed" or m.case.dose is None or _is_brachytherapy(m):
        return
    name, reason = m.choice.protocol.name, m.choice.reason
    if m.constraints:
        said = f"The dose constraints are those of protocol '{name}' for want of a better: {reason}. Whether they are met says little here"
    else:
        said = f"No dose constraint was checked: {reason}"
    yield Hit(f"{said}: name the right protocol with --protocol.", measured=name)


@rule(
    "protocol.other_fractionation",
    "warning",
    "fact",
    "The protocol's constraints were made for another fractionation of the site; they are converted, or there is no verdict on dose.",
)
def protocol_of_other_fractionation(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The site is known, its fractionation is not a protocol's; or limits cannot be converted, whoever chose them."""
    if m.choice is None or m.case.dose is None or _is_brachytherapy(m):
        return  # plan.brachytherapy says that none was judged
    name, reason = m.choice.protocol.name, m.choice.reason
    plan = m.case.plan
    if plan is not None and refuses_conversion(m.choice.protocol, m.case) and not m.constraints:
        gy = plan.prescriptions[0].dose_gy
        yield Hit(
            f"No dose constraint was checked: protocol '{name}' has none for {gy:g} Gy in {counted(plan.fractions or 0, 'fraction')}, and limits are not converted from or to {LARGEST_CONVERTED_GY:g} Gy a fraction or more. Name one with limits for it (--protocol).",
            measured=name,
        )
        return
    if m.choice.fit != "other_fractionation" or _judged_as_they_are(m):
        return  # plan.fraction_groups says what the limits of conventional groups are worth
    if m.constraints:
        said = f"The dose constraints are those of protocol '{name}' ({reason}){_conversion(m)}"
    else:
        said = f"No dose constraint was checked ({reason}), because the plan does not tell one number of fractions to convert them to"
    yield Hit(f"{said}. Name one with limits for it (--protocol).", measured=name)


def _is_brachytherapy(m: Measurements) -> bool:
    """Whether no limit was judged because they are for external beams; ``plan.brachytherapy`` says so, and another protocol changes nothing."""
    return m.case.plan is not None and bool(m.case.plan.application_setups) and not m.constraints


@rule("protocol.converted", "info", "fact", "Dose constraints were converted from another number of fractions.")
def protocol_converted(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """For a protocol that was asked for, or that is for this fractionation by conversion; else other findings say so."""
    if m.choice is not None and m.choice.fit in ("named", "fits", "no_prescription") and _conversion(m):
        yield Hit(f"The dose constraints are those of protocol '{m.choice.protocol.name}'{_conversion(m)}.")


def _conversion(m: Measurements) -> str:
    """That limits were converted, from what to what; empty where none was."""
    protocol = m.choice.protocol if m.choice is not None else None
    plan = m.case.plan
    if (
        protocol is None
        or protocol.reference_schedule is None
        or plan is None
        or plan.fractions is None
        or not any(c.converted_from for c in m.constraints)
    ):
        return ""
    return f", converted from {protocol.reference_schedule.fractions} to {counted(plan.fractions or 0, 'fraction')} with alpha/beta {protocol.alpha_beta.value:g} Gy"


@rule("ct.spacing", "warning", "fact", "Slices are further apart than the limit.")
def ct_spacing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Usual slice spacing of the CT."""
    limit = limits.ct_spacing
    if m.case.image is not None and m.case.image.grid.slice_spacing_mm > limit.value + 1e-3:
        spacing = m.case.image.grid.slice_spacing_mm
        yield Hit(
            f"CT slices are {spacing:g} mm apart, more than {limit.value:g} mm: the ends of the heart are uncertain.",
            measured=spacing,
            limit=limit,
        )

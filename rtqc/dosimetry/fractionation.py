"""Doses in other fractions: with how many fractions a dose may be converted to fractions of 2 Gy, or why it may not, and limits in another number of them."""

from __future__ import annotations

from rtqc.core.assessment import dose_unit
from rtqc.core.case import Case
from rtqc.core.patient_plan import MULTI_PLAN
from rtqc.dosimetry.linear_quadratic import eqd2_gy, in_fractions_gy

#: Brachy Treatment Type of sources that give their dose in fractions of minutes, as the linear-quadratic model without repair needs it.
_HIGH_DOSE_RATE = "HDR"


def dose_type_of(case: Case) -> str:
    """Dose Type of the case's dose: ``PHYSICAL``, which is also meant where none is stated, or ``EFFECTIVE``; empty without a dose."""
    return (case.dose_attributes.dose_type or "PHYSICAL") if case.dose is not None else ""


def dose_unit_of(case: Case) -> str:
    """The unit of every dose of the case: ``Gy``, or ``Gy (RBE)`` of an effective dose."""
    return dose_unit(dose_type_of(case))


def eqd2_fractions(case: Case) -> int | None:
    """Number of fractions, all alike, with which the dose is converted to fractions of 2 Gy; None where it is not."""
    if case.plan is None or why_no_eqd2(case):
        return None
    return case.plan.alike_fractions


def why_no_eqd2(case: Case) -> str:
    """Why a dose is not converted to fractions of 2 Gy, to follow "because"; empty where it is."""
    plan = case.plan
    if plan is None:
        return "the fractions are unknown without a plan"
    if case.dose_attributes.summation_type == MULTI_PLAN:
        return "the dose is a sum of several plans"
    no_model = why_no_linear_quadratic(case)
    if no_model:
        return no_model
    if not plan.fractions:
        return "the plan has no fractions"
    if plan.alike_fractions is None:
        return f"the doses of {plan.fraction_groups} fraction groups lie in one sum"
    return ""


def why_no_linear_quadratic(case: Case) -> str:
    """Why the linear-quadratic model is not applied to a dose whatever its number of fractions, to follow "because"; empty where it may be.

    An effective dose has a biological model in it already. That of an ion plan is the physical dose times a relative biological
    effectiveness, to which the linear-quadratic model is applied as to a photon dose (usual practice, from knowledge); of any other plan it is unknown what the
    model did, and it is never applied a second time. A physical dose of ions lacks the effectiveness.
    """
    plan, dose_type = case.plan, case.dose_attributes.dose_type
    ion = plan is not None and plan.kind == "ion"
    if dose_type == "EFFECTIVE" and not ion:
        return "the dose is EFFECTIVE, so that a biological model has been applied to it already"
    if ion and case.dose is not None and dose_type != "EFFECTIVE":
        return "the dose of the ion plan is physical, without a relative biological effectiveness"
    if plan is not None and plan.application_setups and plan.treatment_beams:
        return "beams and brachytherapy lie in one dose"
    if plan is not None and plan.application_setups and plan.brachy_type != _HIGH_DOSE_RATE:
        return f"brachytherapy of type {plan.brachy_type or 'unknown'} does not give its dose in short fractions"
    return ""


def converted_dose_gy(dose_gy: float, fractions: int, to_fractions: int, alpha_beta_gy: float) -> float:
    """The dose in another number of fractions with the same EQD2 (:mod:`rtqc.dosimetry.linear_quadratic`).

    Args:
        dose_gy: total dose in ``fractions``, in Gy.
        fractions, to_fractions: numbers of fractions, at least 1.
        alpha_beta_gy: of the tissue, in Gy, positive.

    Returns:
        The dose in ``to_fractions``, in Gy.

    Raises:
        ValueError: fewer than one fraction, a negative dose, or an alpha/beta that is not positive.

    >>> round(converted_dose_gy(50.0, 25, 25, 3.0), 6), round(converted_dose_gy(50.0, 25, 5, 3.0), 2)
    (50.0, 28.64)
    """
    if fractions < 1 or to_fractions < 1 or dose_gy < 0 or not alpha_beta_gy > 0:
        raise ValueError(
            f"a dose is converted between at least one fraction each with a positive alpha/beta, not {dose_gy} Gy in {fractions} to {to_fractions} with {alpha_beta_gy} Gy"
        )
    return float(in_fractions_gy(eqd2_gy(dose_gy, fractions, alpha_beta_gy), to_fractions, alpha_beta_gy))

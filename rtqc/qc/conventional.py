"""Whether a plan is given in conventional fractions, for which limits of about 2 Gy a fraction hold as they are."""

from __future__ import annotations

from rtqc.core.case import Plan
from rtqc.qc.protocol import Protocol

#: Up to this dose a fraction (Gy) limits of about 2 Gy a fraction hold as they are: the usual meaning of conventional
#: fractionation (1.8 to 2.2 Gy; from knowledge).
CONVENTIONAL_GY = 2.2
#: Part of the highest prescription that the doses of several fraction groups must amount to, to be believed: dose specification points lie
#: at 95 to 107 % of it (ICRU Report 50, from knowledge), and a beam's may lie outside another beam.
_BELIEVED_SHARE = 0.9


def in_conventional_fractions(plan: Plan | None) -> bool:
    """Whether each of a plan's fractions gives at most 2.2 Gy; not where that is not known.

    Of one fraction group the prescription says it. Of several groups each must say it for itself, and together they must amount to what is
    prescribed.
    """
    if plan is None or not plan.prescriptions or not plan.fractions:
        return False
    prescribed = plan.prescriptions[0].dose_gy
    if plan.fraction_groups == 1:
        return prescribed / plan.fractions <= CONVENTIONAL_GY
    doses = [group.dose_gy for group in plan.groups]
    if not doses or not all(gy is not None and 0 < gy <= CONVENTIONAL_GY for gy in doses):
        return False
    return sum(group.fractions * (group.dose_gy or 0.0) for group in plan.groups) >= _BELIEVED_SHARE * prescribed


def holds_for_conventional_groups(protocol: Protocol, plan: Plan | None) -> bool:
    """Whether a protocol's physical limits hold for the sum of several fraction groups as they are: both are conventional."""
    if plan is None or plan.fraction_groups < 2:
        return False
    return has_conventional_limits(protocol) and in_conventional_fractions(plan)


def has_conventional_limits(protocol: Protocol) -> bool:
    """Whether a protocol's physical limits were made for conventional fractions."""
    reference = protocol.reference_schedule
    return reference is not None and reference.dose_gy / reference.fractions <= CONVENTIONAL_GY

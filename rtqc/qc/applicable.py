"""Which constraints of a protocol a plan is held against: those for its side and its contours, in its own fractionation.

A limit for the left or right side is for plans of that side. Where the plan does not say its side, or has both or neither, the limits for
the left hold: the heart lies there. An optional limit of a structure that is not contoured is left out.

A physical limit holds for the number of fractions that it was made for. In a plan of another number it is converted: a dose to the
dose with the same EQD2 at the protocol's alpha/beta, a mean as if the whole heart had it. A converted limit is called so wherever it stands.
From :data:`LARGEST_CONVERTED_GY` a fraction on nothing is converted, from or to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtqc.core.case import Case
from rtqc.core.substructures import SUBSTRUCTURE_WORDS, resolved, substructure_of
from rtqc.core.wording import counted
from rtqc.dosimetry import Metric, converted_dose_gy
from rtqc.qc.choice import Choice, fits
from rtqc.qc.conventional import has_conventional_limits, holds_for_conventional_groups
from rtqc.qc.laterality import Laterality, laterality_of
from rtqc.qc.protocol import Constraint, Protocol

#: From this dose a fraction on, in Gy, the linear-quadratic model is not relied on: it is not shown to hold above about 8 to 10 Gy a fraction
#: (Kirkpatrick, Meyer and Marks, Semin Radiat Oncol 18:240, 2008; from knowledge).
LARGEST_CONVERTED_GY = 8.0


class ConvertedConstraint(Constraint):
    """A constraint in another number of fractions than its source's.

    Attributes:
        published: the limit that it was made from, in words.
    """

    published: str

    @property
    def converted_from(self) -> str:
        """The limit that it was made from."""
        return self.published


@dataclass(frozen=True)
class Conversion:
    """From one number of fractions to another, for a tissue.

    Attributes:
        fractions, to_fractions: of the limits, and of the plan.
        alpha_beta_gy: of the heart, in Gy.
    """

    fractions: int
    to_fractions: int
    alpha_beta_gy: float

    def gy(self, dose_gy: float) -> float:
        """A dose, to 0.01 Gy."""
        return round(converted_dose_gy(dose_gy, self.fractions, self.to_fractions, self.alpha_beta_gy), 2)


def applicable_constraints(choice: Choice, case: Case) -> tuple[Constraint, ...]:
    """The constraints that a plan is held against, in its fractionation.

    Args:
        choice: the protocol, and how well it fits.
        case: as read.

    Returns:
        None of them where the limits were made for another number of fractions and the plan's doses a fraction are not known or differ, but for
        several groups of conventional fractions, for whose sum limits of about 2 Gy a fraction hold as for a course; nor where either has fractions too large
        to be converted (:func:`refuses_conversion`); nor for brachytherapy, since the protocols' limits are for external beams: then there is no verdict on dose.
    """
    protocol = choice.protocol
    kept = published_constraints(choice, case)
    if not _needs_conversion(protocol, case) or (choice.part_of_course and has_conventional_limits(protocol)):
        return kept
    reference, fractions = protocol.reference_schedule, case.plan.alike_fractions if case.plan is not None else None
    if holds_for_conventional_groups(protocol, case.plan):
        return kept
    if reference is None or not fractions or refuses_conversion(protocol, case):
        return ()
    conversion = Conversion(reference.fractions, fractions, protocol.alpha_beta.value)
    return tuple(_converted(c, conversion) for c in kept)


def published_constraints(choice: Choice, case: Case) -> tuple[Constraint, ...]:
    """The constraints of a protocol for a plan's side and contours, as they stand; none for brachytherapy.

    Args:
        choice: the protocol.
        case: as read.
    """
    if case.plan is not None and case.plan.has_brachytherapy:
        return ()
    laterality = laterality_of(case)
    return tuple(c for c in choice.protocol.constraints if _is_for(c, laterality) and _is_there(c, case))


def _is_for(constraint: Constraint, laterality: Laterality) -> bool:
    side = laterality if laterality in ("left", "right") else "left"
    return constraint.side is None or constraint.side == side


def _is_there(constraint: Constraint, case: Case) -> bool:
    return not constraint.optional or not constraint.structure or resolved(constraint.structure, case.structures) is not None


def _needs_conversion(protocol: Protocol, case: Case) -> bool:
    """Whether the limits were made for another number of fractions than the plan's; unknown numbers are others' findings."""
    reference, plan = protocol.reference_schedule, case.plan
    if reference is None or plan is None or not plan.fractions:
        return False
    if fits(plan, protocol) and not (protocol.applies is not None and protocol.applies.converted):
        return False
    return plan.alike_fractions != reference.fractions


def refuses_conversion(protocol: Protocol, case: Case) -> bool:
    """Whether limits would have to be converted and may not, because plan or limits have too large fractions."""
    reference, plan = protocol.reference_schedule, case.plan
    if reference is None or plan is None or not plan.prescriptions or not _needs_conversion(protocol, case):
        return False
    planned_gy = plan.prescriptions[0].dose_gy / (plan.alike_fractions or float("inf"))
    return max(planned_gy, reference.dose_gy / reference.fractions) >= LARGEST_CONVERTED_GY


def _converted(constraint: Constraint, conversion: Conversion) -> Constraint:
    """A physical limit in another number of fractions; one in fractions of 2 Gy holds for any."""
    if constraint.eqd2:
        return constraint
    metric = Metric.named(constraint.metric)
    changes: dict[str, object] = {}
    what = constraint.description
    if metric.unit == "Gy":
        changes["limit"] = conversion.gy(constraint.limit)
    elif metric.at is not None:
        gy = conversion.gy(metric.at)
        changes["metric"] = f"v{gy:g}_gy_{'percent' if metric.unit == '%' else 'ml'}".replace(".", "_")
        what = f"{_of(constraint)} receiving {gy:g} Gy"
    published = f"{metric.label} ≤ {constraint.limit:g} {constraint.unit} in {counted(conversion.fractions, 'fraction')}"
    changes |= {
        "description": f"{what} (limit converted to {counted(conversion.to_fractions, 'fraction')})",
        "source": f"{constraint.source}; converted from {counted(conversion.fractions, 'fraction')} with alpha/beta {conversion.alpha_beta_gy:g} Gy",
        "published": published,
    }
    return ConvertedConstraint.model_validate(constraint.model_dump() | changes)


def _of(constraint: Constraint) -> str:
    """The limited volume, in words."""
    if not constraint.structure:
        return "Heart volume"
    meant = substructure_of(constraint.structure)
    return f"Volume of the {SUBSTRUCTURE_WORDS[meant]}" if meant is not None else f"Volume of {constraint.structure}"

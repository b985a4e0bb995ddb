"""The unit of an effective dose in the sentences of rules, so that no number of it can be taken for a physical one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rtqc.core.finding import Finding

#: Rules whose sentences hold doses of the case.
_SPEAK_OF_DOSE = (
    "constraint.",
    "dose.grid_spacing",
    "dose.level",
    "dose.mean_difference",
    "dose.second_calculation",
    "dose.planning_system",
    "dose.target_coverage",
    "course.",
    "cardiac.",
)
#: A number of grays that is not a limit's: limits are in the protocol's unit.
_GRAYS = re.compile(r"(?<!limit of )(?<!exceeds )(?<![\d.])([+\-]?\d+(?:\.\d+)?) Gy(?! ?\(RBE\))\b")


def with_dose_unit(findings: Iterable[Finding], unit: str) -> list[Finding]:
    """Findings with the unit of the case's dose in their sentences.

    Args:
        findings: of rules.
        unit: ``Gy``, which changes nothing, or ``Gy (RBE)``.
    """
    if unit == "Gy":
        return list(findings)
    return [
        finding.model_copy(update={"message": _GRAYS.sub(rf"\1 {unit}", finding.message)})
        if finding.rule.startswith(_SPEAK_OF_DOSE)
        else finding
        for finding in findings
    ]

"""One thing that somebody must know about a case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from rtqc.core.walk import shown_name
from rtqc.core.wording import sentence

Severity = Literal["info", "warning", "fail"]
Certainty = Literal["fact", "estimate"]

#: Text that may hold a file's name: bytes that are no text are shown as such, or no JSON could be written.
Text = Annotated[str, BeforeValidator(lambda value: shown_name(value) if isinstance(value, str) else value)]

#: Worst first.
SEVERITY_ORDER: dict[str, int] = {"fail": 0, "warning": 1, "info": 2}


class Evidence(BaseModel):
    """What a finding rests on, so that a reviewer can check it by hand.

    Attributes:
        positions_mm: slice positions that it is about (axial: patient z), in mm, ascending.
        measured: the measured value.
        limit: the threshold that it was held against.
        unit: unit of both.
        source: where the limit comes from.
        structures: names of the structures that it is about.
        files: names of the files that it is about, relative to the folder that was read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    positions_mm: tuple[float, ...] = ()
    measured: float | str | None = None
    limit: float | str | None = None
    unit: str = ""
    source: str = ""
    structures: tuple[str, ...] = ()
    files: tuple[Text, ...] = ()


class Finding(BaseModel):
    """A rule that fired.

    Attributes:
        rule: id of the rule, stable; the catalogue in ``docs/rules.md`` lists all.
        severity: ``fail``: the plan must not go on like this; ``warning``: somebody must look; ``info``: good to know.
        certainty: ``fact`` when it follows from the files, ``estimate`` when it rests on the draft or a heuristic.
        message: one sentence that a physicist understands.
        evidence: what it rests on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    severity: Severity
    certainty: Certainty
    message: Text
    evidence: Evidence = Evidence()

    @field_validator("message")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return sentence(value)


#: Rules that say that files, prescription or dose are not to be believed, cause before consequence. Every number of the heart's dose follows
#: from these, so that what they say comes before the limits that it exceeds.
CAUSES_FIRST = (
    "reference.patient", "reference.same_uid", "reference.structure_set_ct", "reference.plan_structure_set", "reference.dose_plan",
    "dose.unusable", "dose.zero", "dose.frame_of_reference", "dose.summation", "plan.prescription_implausible", "dose.level",
    "side.contradiction",
)  # fmt: skip
_CAUSE_RANK = {rule: n for n, rule in enumerate(CAUSES_FIRST)}
#: A limit that is met with one heart and exceeded with the other decides about the plan: of its severity only a cause comes before it.
_FLIPS = "constraint.flips"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by severity, then causes, then flipped constraints, facts before estimates, else in the order given."""
    return sorted(
        findings,
        key=lambda f: (
            SEVERITY_ORDER[f.severity],
            _CAUSE_RANK.get(f.rule, len(CAUSES_FIRST)),
            f.rule != _FLIPS,
            f.certainty != "fact",
        ),
    )

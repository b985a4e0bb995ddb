"""Parts of a plan and the dose objects that are theirs: whether together they are the plan's dose, and what is missing or twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rtqc.core.case import Plan
from rtqc.core.wording import listed
from rtqc.dicom.dose_object import DoseObject
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note

#: A part of a plan: its fraction group, ``beam`` or ``setup``, and its number; a whole group is ``group`` and 0.
Part = tuple[int, str, int]


@dataclass(frozen=True)
class ReadDose:
    """A dose object that could be decoded, and its file."""

    header: Header
    object: DoseObject

    @property
    def summation(self) -> str:
        """Dose Summation Type."""
        return self.object.attributes.summation_type


class SummationError(Exception):
    """Dose objects that are not the plan's dose; says why and names the files and numbers that it is about."""

    def __init__(
        self, message: str, read: Iterable[ReadDose], measured: float | None = None, limit: float | None = None
    ) -> None:
        super().__init__(message)
        self.finding = note(
            "dose.summation",
            message,
            files=[r.header.name for r in read],
            measured=measured,
            limit=limit,
            unit="" if measured is None else "parts",
        )


def parts_of(plan: Plan | None) -> set[Part]:
    """Every part of the plan that gives dose."""
    if plan is None:
        return set()
    beams = {(b.fraction_group or 0, "beam", b.number) for b in plan.treatment_beams}
    return beams | {(s.fraction_group, "setup", s.number) for s in plan.application_setups}


def named_parts(read: ReadDose) -> set[Part]:
    """Parts that a dose object says that it is the dose of."""
    return {part for plan in read.object.plans for part in plan.parts}


def covered_parts(stated: set[Part], expected: set[Part]) -> set[Part]:
    """Those of the plan's parts that a dose object's references name; a group is all that belongs to it."""
    groups = {group for group, kind, _ in stated if kind == "group"}
    return {part for part in expected if part[0] in groups or part in stated}


def whole_of_parts(parts: list[ReadDose], plan: Plan | None, unread: bool) -> list[ReadDose]:
    """The parts whose sum is the plan's dose: those of fraction groups, of beams, or of both where neither is whole.

    Raises:
        SummationError: a part is missing, is there twice, or does not say which it is.
    """
    names = listed(r.header.name for r in parts)
    expected = parts_of(plan)
    if plan is None:
        raise SummationError(f"{names}: doses of single beams or fraction groups, and the plan that says how many there are is not here: export the RTPLAN too, or the plan's dose (PLAN).", parts)  # fmt: skip
    if not expected:
        raise SummationError(f"{names}: doses of single beams or fraction groups, but the plan names none that give dose: export the plan's dose (PLAN).", parts)  # fmt: skip
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
    names = listed(r.header.name for r in chosen)
    if unnamed:
        what = "fraction group" if unnamed[0].summation == "FRACTION" else "beam"
        raise SummationError(f"The dose {listed(r.header.name for r in unnamed)} names no {what} of the plan (Referenced Fraction Group Sequence), so nobody knows what it is the dose of: export the plan's dose (PLAN).", unnamed)  # fmt: skip
    if chosen[0].summation == "FRACTION":
        twice, missing = ({(group, "group", 0) for group, _, _ in parts} for parts in (twice, missing))
    said = []
    if twice:
        said.append(f"{parts_in_words(twice)} {'has' if len(twice) == 1 else 'have'} a dose more than once")
    if missing:
        said.append(
            f"{parts_in_words(missing)} {'has' if len(missing) == 1 else 'have'} no dose{' that could be read' if unread else ''}"
        )
    message = f"The doses of single {'fraction groups' if chosen[0].summation == 'FRACTION' else 'beams'} ({names}) do not make the plan's dose: {' and '.join(said)}. Export all of them once, or the plan's dose (PLAN)."
    raise SummationError(message, chosen, float(there), float(len(expected)))


def _refuse_dose_of_no_beam(fields: list[ReadDose]) -> None:
    """Fields without meterset have no dose; one that has contradicts the plan.

    Raises:
        SummationError: a dose of such a field is not zero.
    """
    for read in fields:
        if float(read.object.dose.gy.max()) > 0:
            what = parts_in_words(named_parts(read))
            message = f"{read.header.name} is the dose of {what}, which the plan has not or gives no meterset: export the plan's dose (PLAN)."
            raise SummationError(message, [read])


def _part_of(read: ReadDose, expected: set[Part], plan: Plan, chosen: Sequence[ReadDose]) -> set[Part] | None:
    """The plan's parts that a dose object is the dose of; empty for a field that gives none, None where it does not say."""
    stated = named_parts(read)
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
    return covered_parts(stated, expected) | {part for part in expected if part[1:] in loose}


def parts_in_words(parts: Iterable[Part], most: int = 4) -> str:
    """``beam 2``; ``beam 2 and beam 3``; with fraction groups where there are several."""
    every = sorted(parts)
    groups = {group for group, _, _ in every}
    words = []
    for group, kind, number in every:
        what = f"{'application setup' if kind == 'setup' else kind} {number}"
        what = f"{what} of fraction group {group}" if len(groups) > 1 else what
        words.append(f"fraction group {group}" if kind == "group" else what)
    return listed(words, most, last=" and ")

"""Which protocol a plan is judged by, where nobody named one: what is treated, and in which fractionation.

The site is looked for in the plan's label and description and in the names of its targets, as whole words; the fractionation is
that of any of its prescriptions. Where both fit a protocol it is taken. A known site in another fractionation is judged by
the site's general protocol; a fractionation that belongs to one site only stands for the site. Everything else is judged by the
default, and a finding says so: constraints of another treatment are worse than none if nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rtqc.core.case import Case, Plan
from rtqc.core.names import words
from rtqc.qc.protocol import DEFAULT_PROTOCOL, Applies, Protocol, Schedule, list_protocols, load_protocol

#: How far a prescribed dose may be off a protocol's and still be that fractionation (40 Gy is written as 39.9, 40 or 40.05).
_DOSE_TOLERANCE = 0.02
#: Interpreted types (PS3.3 C.8.8.8.1) and first words of names (TG-263) of targets.
_TARGET_TYPES = {"GTV", "CTV", "PTV", "TREATED_VOLUME", "IRRAD_VOLUME"}
_TARGET_WORDS = {"gtv", "ctv", "ptv", "itv", "igtv", "ptveval"}

Fit = Literal["named", "fits", "other_fractionation", "assumed", "no_prescription"]


@dataclass(frozen=True)
class Choice:
    """A protocol and why it was taken.

    Attributes:
        protocol: the one taken.
        fit: how well it fits; ``named``: the user asked for it.
        reason: for people.
    """

    protocol: Protocol
    fit: Fit
    reason: str


def choose_protocol(case: Case, known_rules: frozenset[str] = frozenset()) -> Choice:
    """The shipped protocol for a case; see the module for how.

    Args:
        case: as read.
        known_rules: as for :func:`rtqc.qc.protocol.load_protocol`.
    """
    protocols = {p.name: p for p in (load_protocol(name, known_rules) for name in list_protocols()) if p.applies}
    site = _site(case, protocols.values())
    plan = case.plan
    if plan is None or not plan.prescriptions or not plan.fractions:
        taken = _general(site, protocols.values()) or protocols[DEFAULT_PROTOCOL]
        return Choice(taken, "no_prescription", "the plan does not tell prescription and fractions")
    treated = f"{plan.prescriptions[0].dose_gy:g} Gy in {plan.fractions} fractions"
    fitting = [p for p in protocols.values() if _fits(plan, p)]
    if site:
        of_site = [p for p in fitting if p.applies and p.applies.site == site]
        if of_site:
            return Choice(of_site[0], "fits", f"{site}, {treated}")
        taken = _general(site, protocols.values()) or protocols[DEFAULT_PROTOCOL]
        return Choice(taken, "other_fractionation", f"{site}, {treated}: no protocol is for that fractionation")
    sites = {p.applies.site for p in fitting if p.applies}
    if len(sites) == 1:
        return Choice(fitting[0], "fits", treated)
    default = next((p for p in fitting if p.applies and p.applies.site == DEFAULT_PROTOCOL), protocols[DEFAULT_PROTOCOL])
    why = f"{treated} could be {' or '.join(sorted(sites))}" if sites else f"no protocol is for {treated}"
    return Choice(default, "assumed", f"nothing in the plan says what is treated, and {why}")


def _fits(plan: Plan, protocol: Protocol) -> bool:
    schedules = protocol.applies.schedules if protocol.applies else ()
    return any(_is_schedule(s, p.dose_gy, plan.fractions) for s in schedules for p in plan.prescriptions)


def _is_schedule(schedule: Schedule, dose_gy: float, fractions: int | None) -> bool:
    return fractions == schedule.fractions and abs(dose_gy - schedule.dose_gy) <= _DOSE_TOLERANCE * schedule.dose_gy


def _general(site: str, protocols: Iterable[Protocol]) -> Protocol | None:
    return next((p for p in protocols if p.applies and p.applies.general and p.applies.site == site), None)


def _site(case: Case, protocols: Iterable[Protocol]) -> str:
    """The site that most of the plan's texts name; empty where none or two do alike."""
    vocabulary: dict[str, set[str]] = {}
    for applies in (p.applies for p in protocols):
        if isinstance(applies, Applies):
            vocabulary.setdefault(applies.site, set()).update(applies.words)
    votes = Counter(site for text in _texts(case) for site, known in vocabulary.items() if known & _words(text))
    ranked = votes.most_common(2)
    tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return "" if not ranked or tied else ranked[0][0]


def _words(text: str) -> set[str]:
    """Words of a text, and each two neighbours as one: ``Chest wall``, ``PTVbreast``."""
    parts = [w.removeprefix("ptv").removeprefix("ctv").removeprefix("gtv") for w in words(text)]
    return set(parts) | {a + b for a, b in zip(parts, parts[1:], strict=False)}


def _texts(case: Case) -> Iterator[str]:
    """What may say what is treated: an organ at risk that is only contoured does not."""
    if case.plan is not None:
        yield f"{case.plan.label} {case.plan.description}"
        yield from (p.target for p in case.plan.prescriptions)
    for roi in case.rois:
        first = words(roi.structure.name)[:1]
        if roi.structure.kind.upper() in _TARGET_TYPES or any(w in _TARGET_WORDS for w in first):
            yield roi.structure.name

"""Which protocol a plan is judged by, where nobody named one: what is treated, and in which fractionation.

The site is looked for in the plan's label and description and in the names of its targets, as whole words; the fractionation is
that of any of its prescriptions. Where both fit a protocol it is taken. A known site in another fractionation is judged by
the site's general protocol, whose limits are converted (:mod:`rtqc.qc.applicable`). A fractionation alone never says the site: without a word that speaks
for it, its protocol is an assumption, and a finding says what its constraints are worth. A site that no protocol is for has no constraints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from rtqc.core.case import Case, Plan
from rtqc.core.names import without_digraphs, words
from rtqc.core.wording import counted
from rtqc.qc.protocol import DEFAULT_PROTOCOL, Protocol, Schedule, list_protocols, load_protocol
from rtqc.qc.targets import is_target

#: How far a prescribed dose may be off a protocol's and still be that fractionation (40 Gy is written as 39.9, 40 or 40.05).
_DOSE_TOLERANCE = 0.02
#: How sides are written to a word.
_SIDES = ("lt", "rt", "l", "r")
#: The protocol without dose constraints.
_WITHOUT_CONSTRAINTS = "heart"
#: Sites that no shipped protocol is for -> words for them: their plans are not judged by another site's limits.
_OTHER_SITES: Mapping[str, frozenset[str]] = {
    "head and neck": frozenset(
        "tongue tonsil larynx laryngeal glottis glottic pharynx oropharynx nasopharynx hypopharynx parotid oral mouth lip mandible sinus head hn hnscc kehlkopf mundhohle zunge".split()
    ),
    "brain": frozenset(
        "brain brainstem cerebellum gbm glioma glioblastoma meningioma wbrt whb hirn gehirn cerveau hjerne".split()
    ),
    "prostate": frozenset("prostate prostata prostatic seminal".split()),
    "pelvis": frozenset(
        "pelvis pelvic rectum rectal anus anal cervix cervical endometrium uterus vagina vulva bladder becken rektum blase".split()
    ),
    "abdomen": frozenset("liver hepatic hcc pancreas stomach gastric kidney adrenal spleen leber magen pankreas foie".split()),
    "bone": frozenset("spine vertebra vertebral bone femur sacrum humerus wirbel wirbelsaule knochen rachis".split()),
}

Fit = Literal["named", "fits", "other_fractionation", "assumed", "no_prescription"]


@dataclass(frozen=True)
class Choice:
    """A protocol and why it was taken.

    Attributes:
        protocol: the one taken.
        fit: how well it fits; ``named``: the user asked for it.
        reason: for people.
        site: what the plan's words say is treated; empty where they say nothing.
        part_of_course: whether the protocol is for the whole course in conventional fractions that the plan is a part of.
    """

    protocol: Protocol
    fit: Fit
    reason: str
    site: str = ""
    part_of_course: bool = False


def named_choice(protocol: Protocol, case: Case) -> Choice:
    """A protocol that the user asked for.

    Args:
        protocol: the one asked for.
        case: as read.
    """
    of_protocol = protocol.applies.site if protocol.applies is not None else ""
    return Choice(protocol, "named", "as asked for", _site(case, _shipped()) or of_protocol)


def choose_protocol(case: Case, known_rules: frozenset[str] = frozenset()) -> Choice:
    """The shipped protocol for a case; see the module for how.

    Args:
        case: as read.
        known_rules: as for :func:`rtqc.qc.protocol.load_protocol`.
    """
    protocols = _shipped(known_rules)
    site = _site(case, protocols)
    if site in _OTHER_SITES:
        reason = f"the plan names {site}, and no protocol ships for that"
        return Choice(load_protocol(_WITHOUT_CONSTRAINTS, known_rules), "assumed", reason, site)
    general = _general(site, protocols) or protocols[DEFAULT_PROTOCOL]
    plan = case.plan
    if plan is None or not plan.prescriptions or not plan.fractions:
        return Choice(general, "no_prescription", "the plan does not tell prescription and fractions", site)
    treated = f"{plan.prescriptions[0].dose_gy:g} Gy in {counted(plan.fractions, 'fraction')}"
    if plan.prescriptions[0].dose_gy > protocols[DEFAULT_PROTOCOL].limits.prescription_total.value:
        return Choice(general, "no_prescription", f"{treated} is no prescription in Gy", site)
    fitting = [p for p in protocols.values() if fits(plan, p)]
    if site:
        of_site = [p for p in fitting if _site_of(p) == site]
        if of_site:
            return Choice(of_site[0], "fits", f"{site}, {treated}", site)
        return Choice(general, "other_fractionation", f"{site}, {treated}: no protocol is for that fractionation", site)
    return _by_fractionation(case, fitting, protocols, treated)


def fits(plan: Plan, protocol: Protocol) -> bool:
    """Whether any of a plan's prescriptions has a fractionation that a protocol is for."""
    schedules = protocol.applies.schedules if protocol.applies else ()
    return any(_is_schedule(s, p.dose_gy, plan.fractions) for s in schedules for p in plan.prescriptions)


def _by_fractionation(case: Case, fitting: list[Protocol], protocols: Mapping[str, Protocol], treated: str) -> Choice:
    """Of a plan whose words name no site: the one that other words speak for, else an assumption."""
    spoken = {word for text in _texts(case) for word in _words(text)}
    supported = [p for p in fitting if spoken & _supporting(_site_of(p), protocols)]
    sites = {_site_of(p) for p in supported}
    if len(sites) == 1:
        site = sites.pop()
        word = min(spoken & _supporting(site, protocols))
        return Choice(supported[0], "fits", f"{treated} to what the plan calls '{word}' is {site}", site)
    sites = {_site_of(p) for p in fitting}
    if len(sites) == 1:
        return Choice(fitting[0], "assumed", f"nothing in the plan says what is treated; {treated} is usual for {sites.pop()}")
    default = next((p for p in fitting if _site_of(p) == DEFAULT_PROTOCOL), protocols[DEFAULT_PROTOCOL])
    why = f"{treated} could be {' or '.join(sorted(sites))}" if sites else f"no protocol is for {treated}"
    return Choice(default, "assumed", f"nothing in the plan says what is treated, and {why}")


@lru_cache(maxsize=4)
def _shipped(known_rules: frozenset[str] = frozenset()) -> Mapping[str, Protocol]:
    """The protocols that ship and are for certain plans, by name."""
    return MappingProxyType({p.name: p for p in (load_protocol(name, known_rules) for name in list_protocols()) if p.applies})


def _is_schedule(schedule: Schedule, dose_gy: float, fractions: int | None) -> bool:
    return fractions == schedule.fractions and abs(dose_gy - schedule.dose_gy) <= _DOSE_TOLERANCE * schedule.dose_gy


def _site_of(protocol: Protocol) -> str:
    return protocol.applies.site if protocol.applies else ""


def _general(site: str, protocols: Mapping[str, Protocol]) -> Protocol | None:
    return next((p for p in protocols.values() if p.applies and p.applies.general and p.applies.site == site), None)


def _supporting(site: str, protocols: Mapping[str, Protocol]) -> set[str]:
    """Words that speak for a site beside its fractionation."""
    return {w for p in protocols.values() if p.applies and p.applies.site == site for w in p.applies.supporting_words}


def _site(case: Case, protocols: Mapping[str, Protocol]) -> str:
    """The site that most of the plan's texts name; empty where none or two do alike."""
    vocabulary: dict[str, set[str]] = {site: set(known) for site, known in _OTHER_SITES.items()}
    for applies in (p.applies for p in protocols.values() if p.applies):
        vocabulary.setdefault(applies.site, set()).update(applies.words)
    votes = Counter(site for text in _texts(case) for site, known in vocabulary.items() if known & _words(text))
    ranked = votes.most_common(2)
    tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return "" if not ranked or tied else ranked[0][0]


def _words(text: str) -> set[str]:
    """Words of a text, each two neighbours as one, and without a side written to them: ``Chest wall``, ``PTVbreast``, ``LBreast``.

    >>> sorted(_words("LBreast"))
    ['breast', 'lbreast']
    """
    parts = [w.removeprefix("ptv").removeprefix("ctv").removeprefix("gtv") for w in words(text)]
    found = set(parts) | {a + b for a, b in zip(parts, parts[1:], strict=False)}
    for side in _SIDES:
        found |= {w.removeprefix(side) for w in parts} | {w.removesuffix(side) for w in parts}
    found |= {without_digraphs(w) for w in found}
    return {w for w in found if w}


def _texts(case: Case) -> Iterator[str]:
    """What may say what is treated: an organ at risk that is only contoured does not."""
    if case.plan is not None:
        yield f"{case.plan.label} {case.plan.description}"
        yield from (p.target for p in case.plan.prescriptions)
    yield from (roi.structure.name for roi in case.rois if is_target(roi))

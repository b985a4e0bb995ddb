"""What plan labels and targets say about a course: versions, phases, boosts, continuations. Conventions of clinics and planning systems, from knowledge."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rtqc.core.case import Plan
from rtqc.core.names import words

#: Words that mark a plan as a version of another one of the same label; a number after them counts the versions.
VERSION_WORDS = frozenset(
    {"rev", "revision", "revised", "rv", "version", "vers", "ver", "v", "copy", "kopie", "copie", "korr", "corr", "mod", "modified",
     "new", "neu", "final", "reopt", "renorm", "edit", "edited"}
)  # fmt: skip
#: Words of a plan that goes on with what another one has begun.
CONTINUATION_WORDS = frozenset(
    {"adapt", "adaptive", "adapted", "adaptation", "art", "oart", "replan", "replanning", "replanned", "rest", "remaining", "remainder",
     "resume", "cont", "continued", "continuation", "umplanung"}
)  # fmt: skip
#: Words before the number of a phase: phases follow each other, versions replace each other.
PHASE_WORDS = frozenset({"phase", "ph", "phas", "part", "teil", "serie", "series", "stage", "step", "p"})
BOOST_WORDS = frozenset(
    {"boost", "bst", "boosting", "tumorbed", "tumourbed", "surimpression", "aufsattigung", "sobreimpresion"}
)
#: A boost within the plan itself: simultaneous, integrated.
SIMULTANEOUS_WORDS = frozenset({"sib", "simultaneous", "integrated", "simultan", "integrierter", "integriert", "concomitant"})
#: Sites whose treatment gives the heart no dose that a dose grid would hold (field edges over 15 cm away).
REMOTE_WORDS = frozenset(
    {"brain", "hirn", "gehirn", "cerebral", "cerebrum", "wbrt", "skull", "pituitary", "larynx", "tongue", "tonsil", "parotid", "prostate",
     "prostata", "pelvis", "pelvic", "becken", "rectum", "rektum", "anus", "bladder", "blase", "cervix", "uterus", "vulva", "vagina",
     "femur", "hip", "knee", "hand", "foot", "leg"}
)  # fmt: skip
#: A treatment of brain or pelvis with the spine passes behind the heart.
_SPINAL_WORDS = frozenset({"spine", "spinal", "csi", "craniospinal", "neuraxis", "tbi", "tmi", "thorax", "chest"})
#: Words of a target that say nothing about which it is.
_GENERIC_WORDS = frozenset(
    {"ptv", "ctv", "gtv", "itv", "igtv", "eval", "opt", "target", "tv", "gy", "cgy", "dose", "the", "all"}
)
_SIDE_WORDS = frozenset({"l", "lt", "left", "li", "links", "r", "rt", "right", "re", "rechts"})
#: ``Breast_L:1`` and ``Breast_L (2)``, as planning systems count versions themselves.
_COUNTED = re.compile(r"^(?P<base>.+?)\s*(?::\s*(?P<colon>\d{1,3})|\((?P<bracket>\d{1,3})\))\s*$")


@dataclass(frozen=True)
class Label:
    """A plan label taken apart.

    Attributes:
        base: its words without those of versions and continuations, and without a number at the end.
        version: number of the version; None where there is none.
        marked: whether a word or a planning system's own count says that it is a version.
        trailing: a bare number at its end, which may count versions, phases or sites.
        phase: number of the phase; None where no phase is named.
        continues: whether it says that it goes on with another plan.
    """

    base: tuple[str, ...]
    version: int | None = None
    marked: bool = False
    trailing: int | None = None
    phase: int | None = None
    continues: bool = False

    @classmethod
    def of(cls, text: str) -> Label:
        """A label's parts.

        >>> Label.of("Breast_L:1").version, Label.of("Breast_L_rev2").base, Label.of("Phase 2 Boost").phase
        (1, ('breast', 'l'), 2)
        >>> Label.of("Lung_R_2").trailing, Label.of("Lung_R_2").marked
        (2, False)
        """
        version, marked = None, False
        counted = _COUNTED.match(text)
        if counted:
            text, version, marked = counted["base"], int(counted["colon"] or counted["bracket"]), True
        base: list[str] = []
        phase, continues, before = None, False, ""
        for word in words(text):
            number = int(word) if word.isdigit() and len(word) <= 3 else None
            if word in VERSION_WORDS:
                marked = True
            elif word in CONTINUATION_WORDS:
                continues = True
            elif number is not None and before in VERSION_WORDS | CONTINUATION_WORDS:
                version = number
            elif number is not None and before in PHASE_WORDS:
                phase = number
                base.append(word)
            else:
                base.append(word)
            before = word
        trailing = int(base[-1]) if phase is None and len(base) > 1 and base[-1].isdigit() and len(base[-1]) <= 2 else None
        return cls(tuple(base[:-1] if trailing is not None else base), version, marked, trailing, phase, continues)


def is_boost(plan: Plan) -> bool:
    """Whether a plan is a boost that follows another plan: a simultaneous integrated boost is no plan of its own."""
    label = _with_pairs(words(f"{plan.label} {plan.description}"))
    if label & SIMULTANEOUS_WORDS:
        return False
    if _with_pairs(words(plan.label)) & BOOST_WORDS:
        return True
    targets = [p.target for p in plan.prescriptions if p.stated_for == "target" and p.target]
    return bool(targets) and all(_with_pairs(words(t)) & BOOST_WORDS for t in targets)


def is_remote(plan: Plan) -> bool:
    """Whether its label or its targets name a site far from the heart."""
    texts = (plan.label, *(p.target for p in plan.prescriptions))
    named = {word for text in texts for word in words(text)}
    return bool(named & REMOTE_WORDS) and not named & _SPINAL_WORDS


def target_words(plan: Plan) -> frozenset[str]:
    """What tells the highest target of a plan from others; empty where the plan does not name it."""
    target = next((p.target for p in plan.prescriptions if p.stated_for == "target" and p.target), "")
    parts = (w.removeprefix("ptv").removeprefix("ctv").removeprefix("gtv") for w in words(target))
    return frozenset(w for w in parts if w) - _GENERIC_WORDS - _SIDE_WORDS


def _with_pairs(parts: Iterable[str]) -> set[str]:
    """Words, and each two neighbours as one: ``Tumor Bed``."""
    found = list(parts)
    return set(found) | {a + b for a, b in zip(found, found[1:], strict=False)}

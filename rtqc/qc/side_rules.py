"""Rules about the side: what the plan calls it, what is contoured, and where the dose is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtqc.core.wording import listed
from rtqc.qc.laterality import Laterality, SideEvidence, side_evidence
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule


@rule("side.contradiction", "fail", "fact", "Names, contoured targets, isocentre and dose of the plan are of different sides.")
def side_contradiction(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What says left against what says right; both sides, the middle and what says nothing contradict neither."""
    evidence = side_evidence(m.case, limits.side_offset.value, limits.side_share.value / 100)
    evidence_of_a_side = _one_sided(evidence)
    left = [e for e in evidence_of_a_side if e.side == "left"]
    right = [e for e in evidence_of_a_side if e.side == "right"]
    if not left or not right:
        return
    said, placed = (left, right) if all(map(_is_text, left)) or not all(map(_is_text, right)) else (right, left)
    offset = next((e.offset_mm for e in placed + said if e.offset_mm is not None), None)
    yield Hit(
        f"{_capital(_what_says_it(said))} {_verb(said)} {said[0].side}, but {_what_says_it(placed)} {_lie(placed)} {placed[0].side}: check which side is to be treated.",
        measured=offset,
        limit=limits.side_offset if offset is not None else None,
        structures=tuple(dict.fromkeys(e.what for e in evidence if e.kind in ("target", "target_name"))),
    )


@rule("side.one_side_of_both", "warning", "fact", "The plan's names are of both sides, its dose is on one.")
def one_side_of_both(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Every text that names a side says both, and the dose lies on one of them alone."""
    evidence = side_evidence(m.case, limits.side_offset.value, limits.side_share.value / 100)
    texts = [e for e in evidence if _is_text(e)]
    dose = next((e for e in evidence if e.kind == "dose" and e.side in ("left", "right")), None)
    if dose is None or not texts or any(e.side != "both" for e in texts):
        return
    other = "right" if dose.side == "left" else "left"
    yield Hit(
        f"{_capital(_what_says_it(texts))} {_verb(texts)} both sides, but the dose ({_where(dose)}) lies on the {dose.side} alone: check that the {other} side has a plan of its own.",
        measured=dose.offset_mm,
        limit=limits.side_offset,
        structures=tuple(dict.fromkeys(e.what for e in texts if e.kind == "target_name")),
    )


def _one_sided(evidence: Iterable[SideEvidence]) -> list[SideEvidence]:
    """What speaks for one side; nothing of treatments of both.

    A treatment is of both sides where one text says so, or where its targets are on both and its dose is not on one of them. Each text of the
    plan and each prescription is evidence by itself. Contoured targets on both sides are none where the dose is on one: a structure set may be
    shared by the plans of either side.
    """
    groups: dict[str, list[SideEvidence]] = {}
    for e in evidence:
        groups.setdefault(e.kind, []).append(e)
    dose = {e.side for e in groups.get("dose", [])}
    of_both = any(e.side == "both" for kind in ("plan", "prescription") for e in groups.get(kind, []))
    if of_both and not dose & {"left", "right"}:
        return []
    targets = {e.side for kind in ("prescription", "target_name", "target") for e in groups.get(kind, [])}
    if {"left", "right"} <= targets and not dose & {"left", "right"} and _targets_agree(groups):
        return []
    shared = [
        kind for kind in ("target_name", "target", "isocentre", "dose") if _of_both({e.side for e in groups.get(kind, [])})
    ]
    return [e for kind, group in groups.items() if kind not in shared for e in group]


def _targets_agree(groups: Mapping[str, list[SideEvidence]]) -> bool:
    """Whether targets are on both sides by one kind of evidence: a name of one side and a contour on the other are no treatment of both."""
    return any(_of_both({e.side for e in groups.get(kind, [])}) for kind in ("prescription", "target_name", "target"))


def _of_both(sides: set[Laterality]) -> bool:
    return "both" in sides or {"left", "right"} <= sides


def _is_text(e: SideEvidence) -> bool:
    return e.offset_mm is None


def _what_says_it(evidence: list[SideEvidence], most: int = 3) -> str:
    """What says it, each thing once."""
    things = []
    for e in evidence:
        if e.kind == "plan":
            things.append(f"the plan '{e.what}'")
        elif e.kind in ("prescription", "target_name"):
            things.append(f"the target '{e.what}'")
        elif e.kind == "target":
            things.append(f"the contours of {e.what} ({_where(e)})")
        else:
            things.append(f"the {e.kind} ({_where(e)})")
    return listed(list(dict.fromkeys(things))[:most], None, last=" and ")


def _where(e: SideEvidence) -> str:
    assert e.offset_mm is not None
    return f"{abs(e.offset_mm):.0f} mm off the midline"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lie(evidence: list[SideEvidence]) -> str:
    """Places lie on a side, texts say it."""
    if any(_is_text(e) for e in evidence):
        return _verb(evidence)
    return "lie on the" if len({(e.kind, e.what) for e in evidence}) > 1 else "lies on the"


def _verb(evidence: list[SideEvidence]) -> str:
    return "say" if len({(e.kind, e.what) for e in evidence}) > 1 else "says"

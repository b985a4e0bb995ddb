"""Rules about the side: what the plan calls it, what is contoured, and where the dose is."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.qc.laterality import Laterality, SideEvidence, side_evidence
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule


@rule("side.contradiction", "fail", "fact", "Names, contoured targets, isocentre and dose of the plan are of different sides.")
def side_contradiction(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What says left against what says right; both sides, the middle and what says nothing contradict neither."""
    evidence = side_evidence(m.case, limits.side_offset.value, limits.side_share.value / 100)
    by_kind = _by_kind(evidence)
    left = [e for group in by_kind.values() for e in group if e.side == "left"]
    right = [e for group in by_kind.values() for e in group if e.side == "right"]
    if not left or not right:
        return
    said, placed = (left, right) if _is_text(left[0]) else (right, left)
    offset = next((e.offset_mm for e in placed + said if e.offset_mm is not None), None)
    yield Hit(
        f"{_capital(_listed(said))} {_verb(said)} {said[0].side}, but {_listed(placed)} {_lie(placed)} {placed[0].side}: check which side is to be treated.",
        measured=offset,
        limit=limits.side_offset if offset is not None else None,
        structures=tuple(dict.fromkeys(e.what for e in evidence if e.kind in ("target", "target_name"))),
    )


def _by_kind(evidence: Iterable[SideEvidence]) -> dict[str, list[SideEvidence]]:
    """Evidence by kind, without the kinds that are of both sides: bilateral plans name and draw targets on either."""
    groups: dict[str, list[SideEvidence]] = {}
    for e in evidence:
        groups.setdefault(e.kind, []).append(e)
    if any(e.side == "both" for kind in ("plan", "prescription") for e in groups.get(kind, [])):
        return {}
    return {kind: group for kind, group in groups.items() if not _of_both({e.side for e in group})}


def _of_both(sides: set[Laterality]) -> bool:
    return "both" in sides or {"left", "right"} <= sides


def _is_text(e: SideEvidence) -> bool:
    return e.offset_mm is None


def _listed(evidence: list[SideEvidence], most: int = 3) -> str:
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
    unique = list(dict.fromkeys(things))[:most]
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}"


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

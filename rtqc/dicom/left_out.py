"""Contours that could not be used, of every structure: whoever asks for a structure's volume or dose must know that some of it is not there."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.case import Roi
from rtqc.core.finding import Finding
from rtqc.core.limits import MOST_CROSSINGS
from rtqc.core.wording import listed
from rtqc.dicom.notes import note

#: Structures that the sentence names; the evidence names all.
_MOST_NAMED = 6
#: Defects of contours that were refused for what no patient has.
_REFUSED = frozenset({"beyond_limits", "scribble"})
#: Defects whose contours are left out without any loss: the area of a repeated contour is there already.
_WITHOUT_LOSS = frozenset({"repeated"})


def contours_left_out(rois: Iterable[Roi], file: str = "") -> list[Finding]:
    """One finding of all structures that lack contours that were left out; none where all were used, or only copies were left out.

    Args:
        rois: of one structure set.
        file: its name, for contours that no patient has.
    """
    rois = list(rois)
    beyond = _beyond_limits(rois, file)
    counts = [(roi.structure.name, sum(d.dropped and d.kind not in _WITHOUT_LOSS for d in roi.defects)) for roi in rois]
    counts = [(name, count) for name, count in counts if count]
    if not counts:
        return beyond
    total = sum(count for _, count in counts)
    told = listed((f"{name} {count}" for name, count in counts), most=_MOST_NAMED)
    what = "contours that are open or damaged were" if total > 1 else "contour that is open or damaged was"
    message = f"{total} {what} left out ({told}): volumes and doses lack what they enclose; redraw them."
    finding = note(
        "structure_set.contours_left_out",
        message,
        structures=[name for name, _ in counts],
        measured=float(total),
        unit="contours",
    )
    return [finding, *beyond]


def _beyond_limits(rois: list[Roi], file: str) -> list[Finding]:
    """That contours were refused, with the first reason."""
    found = [(roi.structure.name, d) for roi in rois for d in roi.defects if d.kind in _REFUSED]
    if not found:
        return []
    names = list(dict.fromkeys(name for name, _ in found))
    _, first = found[0]
    why = first.detail or f"ContourData crosses itself more than {MOST_CROSSINGS} times"
    what = "1 contour was" if len(found) == 1 else f"{len(found)} contours were"
    message = f"{file or 'The structure set'}: {what} left out ({listed(names, most=_MOST_NAMED)}), because {why}, which no patient has: export the structure set again."
    return [
        note(
            "structure_set.contours_beyond_limits",
            message,
            files=[file] if file else [],
            structures=names,
            measured=float(len(found)),
            unit="contours",
        )
    ]

"""Which contours belong to which ROI, by the numbers that tie a structure set's sequences together.

A number is a key only if it is one. Files exist in which two ROIs have one number, or all have number 0, and in which one ROI's contours are spread over
several items. Contours whose owner nobody can name are refused, by name: PS3.3 C.8.8.5 wants ROI Number to be unique within the structure set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from rtqc.core.finding import Finding
from rtqc.dicom.elements import items, number, text
from rtqc.dicom.notes import named, note

#: A sentence names so many ROIs at most.
_MOST_NAMES = 6


@dataclass(frozen=True)
class RoiItem:
    """An ROI as its items in the three sequences say.

    Attributes:
        entry: its item of the Structure Set ROI Sequence.
        number: ROI Number; -1 where it has none.
        contours: its contours, of all its items of the ROI Contour Sequence; empty where the number is not its alone.
        kind: RT ROI Interpreted Type; empty where unknown.
        contour_count: number of contours of its number, of which none may be its.
    """

    entry: Dataset
    number: int
    contours: tuple[Dataset, ...]
    kind: str
    contour_count: int


def roi_items(dataset: Dataset) -> tuple[list[RoiItem], list[Finding]]:
    """The ROIs of a structure set in file order, and what could not be attributed.

    Two entries of one number and one name are one ROI.
    """
    entries: dict[int, list[Dataset]] = defaultdict(list)
    for entry in items(dataset, "StructureSetROISequence"):
        entries[_key(entry, "ROINumber")].append(entry)
    contours: dict[int, list[Dataset]] = defaultdict(list)
    for item in items(dataset, "ROIContourSequence"):
        contours[_key(item, "ReferencedROINumber")] += items(item, "ContourSequence")
    kinds = {
        _key(i, "ReferencedROINumber"): text(i, "RTROIInterpretedType") for i in items(dataset, "RTROIObservationsSequence")
    }
    findings: list[Finding] = []
    result = []
    for key, same in entries.items():
        names = list(dict.fromkeys(text(e, "ROIName") for e in same))
        drawn = contours.pop(key, [])
        if len(names) == 1:
            result.append(RoiItem(same[0], key, tuple(drawn), kinds.get(key, ""), len(drawn)))
            continue
        if drawn:
            findings.append(_refused(key, names))
        result += [RoiItem(e, key, (), "", len(drawn)) for e in same]
    findings += [_ownerless(key, drawn) for key, drawn in contours.items() if drawn]
    order = {id(entry): k for k, entry in enumerate(items(dataset, "StructureSetROISequence"))}
    return sorted(result, key=lambda r: order[id(r.entry)]), findings


def _key(item: Dataset, keyword: str) -> int:
    value = number(item, keyword)
    return -1 if value is None else int(value)


def _refused(key: int, names: Sequence[str]) -> Finding:
    which = "no ROI number" if key < 0 else f"ROI number {key}"
    shown = [n or "(no name)" for n in names]
    message = f"{named(shown, _MOST_NAMES)} have {which} together, so nobody can say whose the contours of that number are: none was used. Give each ROI its own number and export again."
    return note("structure_set.roi_number", message, structures=shown, measured=float(key))


def _ownerless(key: int, drawn: Sequence[Dataset]) -> Finding:
    whose = "no ROI number" if key < 0 else f"ROI number {key}, which the structure set does not name"
    message = f"{len(drawn)} {'contour refers' if len(drawn) == 1 else 'contours refer'} to {whose}; left out. Export the structure set again."
    return note("structure_set.contours_without_roi", message, measured=float(len(drawn)))

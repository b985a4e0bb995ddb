"""Which contours belong to which ROI, by the numbers that tie a structure set's sequences together.

A number is a key only if it is one. Files exist in which two ROIs have one number, or all have number 0, and in which one ROI's contours are spread over
several items. Contours whose owner nobody can name are refused, by name: PS3.3 C.8.8.5 wants ROI Number to be unique within the structure set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from rtqc.core.finding import Finding
from rtqc.core.wording import listed
from rtqc.dicom.elements import as_written, items, text
from rtqc.dicom.notes import note

#: A whole number as PS3.5 6.2 writes one (IS).
_INTEGER = re.compile(r"[+-]?[0-9]+$")
#: Floating-point numbers above this are not whole numbers any more.
_EXACT = 2.0**53
#: A sentence names so many ROIs at most.
_MOST_NAMES = 6


@dataclass(frozen=True)
class RoiItem:
    """An ROI as its items in the three sequences say.

    Attributes:
        entry: its item of the Structure Set ROI Sequence.
        number: ROI Number; -1 where it has none, or one that is no whole number.
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
    entries: dict[int | str, list[Dataset]] = defaultdict(list)
    for entry in items(dataset, "StructureSetROISequence"):
        entries[_key(entry, "ROINumber")].append(entry)
    parts: dict[int | str, int] = defaultdict(int)
    contours: dict[int | str, list[Dataset]] = defaultdict(list)
    for item in items(dataset, "ROIContourSequence"):
        drawn_here = items(item, "ContourSequence")
        contours[_key(item, "ReferencedROINumber")] += drawn_here
        parts[_key(item, "ReferencedROINumber")] += bool(drawn_here)
    kinds = {
        _key(i, "ReferencedROINumber"): text(i, "RTROIInterpretedType") for i in items(dataset, "RTROIObservationsSequence")
    }
    findings: list[Finding] = []
    result = []
    for key, same in entries.items():
        names = list(dict.fromkeys(text(e, "ROIName") for e in same))
        drawn = contours.pop(key, [])
        if len(names) == 1:
            if len(same) > 1 and parts[key] > 1:
                findings.append(_merged(key, names[0], parts[key]))
            result.append(RoiItem(same[0], key if isinstance(key, int) else -1, tuple(drawn), kinds.get(key, ""), len(drawn)))
            continue
        if drawn:
            findings.append(_refused(key, names))
        result += [RoiItem(e, key if isinstance(key, int) else -1, (), "", len(drawn)) for e in same]
    findings += [_ownerless(key, drawn) for key, drawn in contours.items() if drawn]
    order = {id(entry): k for k, entry in enumerate(items(dataset, "StructureSetROISequence"))}
    return sorted(result, key=lambda r: order[id(r.entry)]), findings


def _key(item: Dataset, keyword: str) -> int | str:
    """The number as a key: exactly, whatever its digits; as it stands there where it is no whole number; -1 where there is none."""
    written = as_written(item, keyword)
    try:
        return int(written) if _INTEGER.match(written) else _of_float(written)
    except (ValueError, OverflowError):
        return written or -1


def _of_float(written: str) -> int | str:
    value = float(written)
    return int(value) if value.is_integer() and abs(value) < _EXACT else written


def _refused(key: int | str, names: Sequence[str]) -> Finding:
    which = "no ROI number" if key == -1 else f"ROI number {key}"
    shown = [n or "(no name)" for n in names]
    message = f"{listed(shown, _MOST_NAMES)} have {which} together, so nobody can say whose the contours of that number are: none was used. Give each ROI its own number and export again."
    return note("structure_set.roi_number", message, structures=shown, measured=key if isinstance(key, str) else float(key))


def _merged(key: int | str, name: str, count: int) -> Finding:
    which = "no ROI number" if key == -1 else f"ROI number {key}"
    message = f"{name or '(no name)'} stands in the structure set several times with {which}, and {count} sets of contours have that number: they were read as one ROI. Delete what is not meant."
    return note("structure_set.numbers_merged", message, structures=[name], measured=float(count))


def _ownerless(key: int | str, drawn: Sequence[Dataset]) -> Finding:
    whose = "no ROI number" if key == -1 else f"ROI number {key}, which the structure set does not name"
    message = f"{len(drawn)} {'contour refers' if len(drawn) == 1 else 'contours refer'} to {whose}; left out. Export the structure set again."
    return note("structure_set.contours_without_roi", message, measured=float(len(drawn)))

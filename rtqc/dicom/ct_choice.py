"""Which slices of a series are of the image: copies, slices of another geometry, and slices that compete for one place.

What the structure set was drawn on stays: a second acquisition, bolus slices or a re-export in the same series never displace it, and whatever is left out is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rtqc.core.finding import Finding
from rtqc.core.orientation import PARALLEL_TOLERANCE, Orientation
from rtqc.core.slabs import local_spacings_mm
from rtqc.core.wording import listed
from rtqc.dicom.content import have_one_content
from rtqc.dicom.contradictions import damaged_finding, without_damaged
from rtqc.dicom.ct_slices import Slice
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note

#: Slices nearer than this are at one position: coordinates are written to 0.01 mm.
SAME_POSITION_MM = 0.02
#: Rank of slices that belong to another acquisition than the one that is used.
_OTHER_ACQUISITION = 2
#: Slices whose far corners differ by less than this many pixels are of one geometry: headers are rounded differently from file to file.
SAME_PIXELS = 0.1
#: A step this many times the usual one is a missing slice.
GAP_STEPS = 1.5


def without_copies(headers: list[Header], findings: list[Finding]) -> list[Header]:
    """Each object once; contents that differ under one SOP Instance UID are said, and the first by name is read; damaged copies are left out."""
    groups: dict[str, list[Header]] = {}
    for header in sorted(headers, key=lambda h: h.name):
        groups.setdefault(header.uid or header.name, []).append(header)
    damaged: list[Header] = []
    instead: list[Header] = []
    for uid, group in groups.items():
        groups[uid], broken = without_damaged(group)
        damaged += broken
        instead += groups[uid][:1] if broken else []
    if damaged:
        findings.append(damaged_finding(damaged, instead))
    several = [group for group in groups.values() if len(group) > 1]
    differing = [group for group in several if not have_one_content(h.path for h in group)]
    copies = [h.name for group in several if group not in differing for h in group[1:]]
    if copies:
        stand = (
            "1 CT slice is there more than once" if len(copies) == 1 else f"{len(copies)} CT slices are there more than once"
        )
        findings.append(note("ct.exported_twice", f"{stand} ({listed(copies)}); each was used once.", files=copies))
    if differing:
        names = [h.name for group in differing for h in group]
        used = [group[0].name for group in differing]
        stand = "1 SOP Instance UID of the CT stands" if len(used) == 1 else f"{len(used)} SOP Instance UIDs of the CT stand"
        message = f"{stand} for slices of different content ({listed(names, most=12)}); {listed(used)} {'was' if len(used) == 1 else 'were'} used: export the series again into an empty folder."
        findings.append(note("reference.same_uid", message, files=names, measured=float(len(used))))
    kept = {id(group[0]) for group in groups.values()}
    return [h for h in headers if id(h) in kept]


def of_one_geometry(slices: list[Slice], referenced: Callable[[], frozenset[str]], findings: list[Finding]) -> list[Slice]:
    """Slices of one size, spacing and direction, within tolerances: the group that the structure set refers to most, else the largest."""
    groups: list[list[Slice]] = []
    for s in slices:
        home = next((g for g in groups if _alike(s, g[0])), None)
        if home is None:
            groups.append([s])
        else:
            home.append(s)
    if len(groups) < 2:
        return slices
    uids = referenced()
    kept = max(groups, key=lambda g: (sum(s.header.uid in uids for s in g), len(g)))
    left = [s.name for group in groups if group is not kept for s in group]
    lie = "1 slice of another size, spacing or direction lies in the CT series and was"
    if len(left) > 1:
        lie = f"{len(left)} slices of another size, spacing or direction lie in the CT series and were"
    message = f"{lie} left out ({listed(left)})."
    findings.append(note("ct.mixed", message, files=left))
    return kept


def _alike(a: Slice, b: Slice) -> bool:
    """Whether two slices fit into one stack: what differs is under a tenth of a pixel over the whole image."""
    if a.pixels.shape != b.pixels.shape:
        return False
    spacing = np.array(b.spacing)
    if (np.abs(np.array(a.spacing) - spacing) * max(a.pixels.shape) > SAME_PIXELS * spacing).any():
        return False
    return bool(np.abs(a.orientation.matrix - b.orientation.matrix).max() < PARALLEL_TOLERANCE)


def one_a_position(slices: list[Slice], referenced: Callable[[], frozenset[str]], findings: list[Finding]) -> list[Slice]:
    """Ascending along the normal, one slice a position.

    Slices that the structure set refers to come before others of their acquisition, and these before those of another acquisition. Of the latter none stays
    between two neighbours of the former either.
    """
    if not slices:
        return []
    placed = [(_height(s, slices[0].orientation), s) for s in slices]
    placed.sort(key=lambda p: (p[0], p[1].name))
    uids = referenced()
    ranks = {id(s): rank for s, rank in zip(slices, _ranks(slices, uids), strict=True)}
    if len(set(ranks.values())) == 1 and all(b[0] - a[0] >= SAME_POSITION_MM for a, b in pairwise(placed)):
        return [s for _, s in placed]
    stack = np.unique([h for h, s in placed if ranks[id(s)] < _OTHER_ACQUISITION])
    kept: list[tuple[float, Slice]] = []
    doubled: list[Slice] = []
    for h, s in sorted(placed, key=lambda p: ranks[id(p[1])]):
        there = any(abs(h - other) < SAME_POSITION_MM for other, _ in kept)
        if there or (ranks[id(s)] == _OTHER_ACQUISITION and _lies_between(h, stack)):
            doubled.append(s)
        else:
            kept.append((h, s))
    if doubled:
        findings.append(_doubled(doubled, len(kept), any(s.header.uid in uids for _, s in kept)))
    return [s for _, s in sorted(kept, key=lambda p: p[0])]


def _ranks(slices: list[Slice], uids: frozenset[str]) -> list[int]:
    """0 for slices that are meant, 1 for others of their acquisition, :data:`_OTHER_ACQUISITION` for those of another.

    Meant is what the structure set refers to. Where it refers to nothing, all slices are of one rank unless acquisitions overlap: then the one with the
    most positions is meant.
    """
    meant = [s for s in slices if s.header.uid in uids]
    if not meant:
        main = _main_acquisition(slices)
        return [0 if main is None or s.acquisition == main else _OTHER_ACQUISITION for s in slices]
    acquisitions = {s.acquisition for s in meant}
    instances = {s.instance for s in meant} - {None}
    return [
        0
        if s.header.uid in uids
        else 1
        if s.acquisition in acquisitions and s.instance not in instances
        else _OTHER_ACQUISITION
        for s in slices
    ]


def _main_acquisition(slices: list[Slice]) -> str | None:
    """The acquisition with the most positions; None where acquisitions only follow each other, as those of an axial scan do."""
    heights: dict[str, set[float]] = defaultdict(set)
    for s in slices:
        heights[s.acquisition].add(round(_height(s, slices[0].orientation), 1))
    extents = sorted((min(h), max(h)) for h in heights.values())
    if all(b[0] > a[1] for a, b in pairwise(extents)):
        return None
    return max(heights, key=lambda a: len(heights[a]))


def _lies_between(height: float, stack: NDArray[np.float64]) -> bool:
    """Whether a height lies between two neighbouring slices of a stack that lacks none there."""
    above = int(np.searchsorted(stack, height))
    if stack.size < 3 or not 0 < above < stack.size:
        return False
    step = stack[above] - stack[above - 1]
    return bool(step <= GAP_STEPS * local_spacings_mm(stack)[above - 1])


def _doubled(doubled: list[Slice], kept: int, meant: bool) -> Finding:
    names = [s.name for s in doubled]
    # Half of the slices doubled means that two series carry one UID; a few mean that slices were exported again.
    rule = "ct.mixed" if len(doubled) > kept / 2 else "ct.slice_duplicated"
    used = (
        "those that the structure set refers to were used"
        if meant
        else "the first by name, of the acquisition with most slices, was used"
    )
    lie = "1 CT slice lies" if len(doubled) == 1 else f"{len(doubled)} CT slices lie"
    message = (
        f"{lie} at or between positions that other slices already have ({listed(names)}); {used}: export the series again."
    )
    return note(rule, message, files=names, positions_mm=sorted(_patient_height(s) for s in doubled)[:20])


def _height(s: Slice, orientation: Orientation) -> float:
    return float(orientation.to_frame(np.array([s.corner]))[0, 2])


def _patient_height(s: Slice) -> float:
    """Position along the canonical normal, as findings give it (axial: z)."""
    return float(s.orientation.canonical().to_frame(np.array([s.corner]))[0, 2])

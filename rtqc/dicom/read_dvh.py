"""DVH Sequence of an RTDOSE -> the planning system's own DVHs.

PS3.3 C.8.8.4: DVH Data are pairs of a dose bin's width and its volume; DVH Dose Scaling turns widths into Dose Units and nothing else, so
the stated minimum, mean and maximum are not scaled. Real exports state them in percent under Dose Units GY, and end their curves at
-2e-12 ml. The curve is what was calculated: what it contradicts is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rtqc.core.case import PlanningDvh
from rtqc.core.finding import Finding
from rtqc.core.wording import listed
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import decimals, items, number, text
from rtqc.dicom.notes import note

Floats = NDArray[np.float64]

#: Volumes below zero or rising by less than this share of the whole are rounding.
_ROUNDING = 1e-6
#: Bins whose widths differ by less than this share are as wide as each other.
_EVEN = 1e-3
#: Values that rise at this share of the steps, and fall at none, are doses and no widths.
_RISING = 0.5
#: A stated mean is believed where the curve has it, within the width of its bins and this share of it: means and curves of clinical
#: systems are not always sampled alike.
_MEAN_SHARE = 0.02
#: A stated minimum or maximum, by share of the curve's end: one voxel decides them.
_EXTREME_SHARE = 0.05
#: Doses are printed in steps of this size, in Gy.
_PRINTED_GY = 0.01


class _UnusableError(ValueError):
    """A DVH that is not used; the message says why."""


def read_planning_dvhs(
    path: Path, names: Mapping[int, str] | None = None, structure_set_uid: str = ""
) -> tuple[dict[int, PlanningDvh], tuple[Finding, ...]]:
    """The planning system's DVHs of single ROIs.

    Args:
        path: an RTDOSE.
        names: ROI Names by ROI Number, for messages.
        structure_set_uid: SOP Instance UID of the structure set that these numbers are of; empty: unknown.

    Returns:
        DVHs by ROI Number, and a finding about those that contradict themselves or cannot be understood: they are a third opinion only.
    """
    try:
        dataset = read_object(path, header=True)
        entries = items(dataset, "DVHSequence")
    except Exception:  # a damaged file has been reported where its dose was read
        return {}, ()
    of_sets = {text(i, "ReferencedSOPInstanceUID") for i in items(dataset, "ReferencedStructureSetSequence")} - {""}
    if entries and structure_set_uid and of_sets and structure_set_uid not in of_sets:
        # Their ROI Numbers are those of that structure set, and need not be the same organs here.
        message = f"The planning system's DVHs in {path.name} were calculated with another structure set than the one at hand and were not used: export them again."
        return {}, (note("dose.planning_dvh", message, files=[path.name]),)
    dose_type = text(dataset, "DoseType").upper()
    found: dict[int, PlanningDvh] = {}
    unusable: dict[str, list[str]] = {}
    contradictions: dict[str, str] = {}
    for entry in entries:
        rois = items(entry, "DVHReferencedROISequence")
        # Several ROIs are a combination, and one that is taken away is its complement: neither is the organ.
        if len(rois) != 1 or text(rois[0], "DVHROIContributionType").upper() == "EXCLUDED":
            continue
        roi = number(rois[0], "ReferencedROINumber")
        if roi is None or int(roi) in found:
            continue
        name = (names or {}).get(int(roi)) or f"ROI {int(roi)}"
        try:
            found[int(roi)], contradicted = _curve(entry, dose_type)
        except _UnusableError as error:
            unusable.setdefault(str(error), []).append(name)
            continue
        if contradicted:
            contradictions[name] = contradicted
    return found, _findings(path, unusable, contradictions)


def _findings(path: Path, unusable: Mapping[str, list[str]], contradictions: Mapping[str, str]) -> tuple[Finding, ...]:
    """One for each reason."""
    found = [
        (rois, f"The planning system's DVH of {listed(rois)} in {path.name} was not used: {why}.")
        for why, rois in unusable.items()
    ]
    if contradictions:
        told = listed([f"{name} ({what})" for name, what in contradictions.items()])
        message = f"DVHs of the planning system in {path.name} state doses that their own curves contradict, so the curves were used: {told}."
        found.append((list(contradictions), message))
    return tuple(note("dose.planning_dvh", message, files=[path.name], structures=rois) for rois, message in found)


def _curve(entry: Dataset, dose_type: str) -> tuple[PlanningDvh, str]:
    """A DVH, and in words what it states but its curve contradicts.

    Raises:
        _UnusableError: it cannot be understood.
    """
    kind, unit, dose_units = (text(entry, k).upper() for k in ("DVHType", "DVHVolumeUnits", "DoseUnits"))
    own_type = text(entry, "DoseType").upper()
    if own_type and dose_type and own_type != dose_type:
        raise _UnusableError(f"its DoseType is {own_type}, that of the dose {dose_type}")
    if dose_units != "GY":
        raise _UnusableError(f"its DoseUnits are {dose_units or 'absent'}, not GY")
    if kind not in ("CUMULATIVE", "DIFFERENTIAL"):
        raise _UnusableError(f"its DVHType is {kind or 'absent'}, neither CUMULATIVE nor DIFFERENTIAL")
    if unit not in ("CM3", "PERCENT"):
        raise _UnusableError(f"its DVHVolumeUnits are {unit or 'absent'}, neither CM3 nor PERCENT")
    widths, volumes = _bins(entry)
    if kind == "DIFFERENTIAL":
        volumes = np.cumsum(volumes[::-1])[::-1]
    whole = float(volumes[0])
    if whole <= 0:
        raise _UnusableError("its volume is zero")
    if (np.diff(volumes) > _ROUNDING * whole).any():
        raise _UnusableError("its cumulative volume rises with the dose")
    share = np.minimum.accumulate(volumes) / whole
    gy, mean, error = _points(widths, share, kind)
    stated = {k: number(entry, f"DVH{k}Dose") for k in ("Minimum", "Mean", "Maximum")}
    bounds = _bounds(widths, share, mean, error)
    contradicted = [k.lower() for k, v in stated.items() if v is not None and not _agrees(v, *bounds[k])]
    believed = {k: None if k.lower() in contradicted else v for k, v in stated.items()}
    uneven = gy.size > widths.size
    curve = PlanningDvh(
        gy=tuple(gy.tolist()),
        share=tuple((np.r_[1.0, share] if uneven else share).tolist()),
        volume_ml=whole if unit == "CM3" else None,
        mean_gy=believed["Mean"] if believed["Mean"] is not None else round(mean, 6),
        min_gy=believed["Minimum"],
        max_gy=believed["Maximum"],
        mean_error_gy=0.0 if believed["Mean"] is not None else error,
    )
    if "mean" in contradicted:
        return curve, f"mean {stated['Mean']:.2f} instead of {mean:.2f} Gy"
    return curve, ", ".join(f"{k} {stated[k.capitalize()]:.2f} Gy" for k in contradicted)


def _bins(entry: Dataset) -> tuple[Floats, Floats]:
    """Widths in Gy and volumes of the bins.

    Raises:
        _UnusableError: they are not pairs of numbers, or negative by more than rounding, or doses stand where widths belong.
    """
    values, bad = decimals(entry, "DVHData")
    scaling = number(entry, "DVHDoseScaling")
    if bad or values.size < 4 or values.size % 2 or not np.isfinite(values).all():
        raise _UnusableError("its DVHData are not pairs of numbers")
    widths, volumes = values[::2] * (1.0 if scaling is None else scaling), values[1::2]
    if (widths < 0).any() or not widths.sum() > 0:
        raise _UnusableError("its dose bins have no width")
    if (volumes < -_ROUNDING * float(np.abs(volumes).max())).any():
        raise _UnusableError("it holds negative volumes")
    if _are_doses(widths):
        raise _UnusableError("its DVHData hold the doses of the bins instead of their widths")
    return widths, np.maximum(volumes, 0.0)


def _are_doses(widths: Floats) -> bool:
    """Whether the bins' doses stand where their widths belong: 0.1, 0.2, 0.3 ... for 0.1, 0.1, 0.1 ..., in even steps or others.

    Doses never fall and rise nearly everywhere; widths are alike, or alike in a few runs.
    """
    steps = np.diff(widths)
    rises = int((steps > _EVEN * float(widths.max()) / widths.size).sum())
    return widths.size > 3 and bool((steps >= 0).all()) and rises >= _RISING * steps.size


def _points(widths: Floats, share: Floats, kind: str) -> tuple[Floats, float, float]:
    """Doses of the curve's points, its mean, and how far that may be off; in Gy.

    The standard leaves open at which end of its bin a cumulative volume lies. For bins of one width it hardly matters, and the lower end is
    taken, so that the curve begins at zero dose. A first bin of another width (0, or up to the minimum dose) says that doses count from
    zero by their sum: then the volume lies at the upper end, and a point of the whole volume is put before it at zero dose.
    """
    edges = np.cumsum(widths)
    lower = np.abs(np.diff(widths)).max(initial=0.0) <= _EVEN * float(widths.max()) or kind == "DIFFERENTIAL"
    later = np.r_[share[1:], 0.0]
    smallest = float(widths @ later)
    if lower:
        largest = float(widths @ share)
        points = edges - widths
        return points, (smallest + largest) / 2, (largest - smallest) / 2
    largest = float(widths[0] + widths[1:] @ share[:-1])
    # The area below bars of these widths; both readings of the ends lie around it.
    mean = float(widths @ share)
    return np.r_[0.0, edges], mean, max(largest - mean, mean - smallest)


def _bounds(widths: Floats, share: Floats, mean: float, error: float) -> dict[str, tuple[float, float, float]]:
    """Between which doses the curve has the structure's minimum, mean and maximum, and how far beyond they may lie; in Gy."""
    edges = np.r_[0.0, np.cumsum(widths)]
    edges = np.r_[edges, edges[-1] + widths[-1]]
    below = np.flatnonzero(share < 1 - _ROUNDING)
    first = int(below[0]) if below.size else share.size
    last = int(np.flatnonzero(share > _ROUNDING)[-1])
    slack = max(_PRINTED_GY, _EXTREME_SHARE * float(edges[last + 1]))
    return {
        "Minimum": (float(edges[max(first - 1, 0)]), float(edges[first + 1]) if below.size else float(edges[-1]), slack),
        "Mean": (mean - error, mean + error, max(_PRINTED_GY, _MEAN_SHARE * mean)),
        "Maximum": (float(edges[last]), float(edges[min(last + 2, edges.size - 1)]), slack),
    }


def _agrees(stated: float, low: float, high: float, slack: float) -> bool:
    return low - slack <= stated <= high + slack

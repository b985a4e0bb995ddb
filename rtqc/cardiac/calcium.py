"""Coronary calcium: candidates at or above the threshold, what each is taken for, and the score of those that are coronary."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtqc.cardiac.agatston import (
    CALCIUM_HU,
    KVP_RANGE,
    cac_drs,
    calcium_class,
    calcium_volume,
    voltage_factor,
)
from rtqc.cardiac.blood import Blood
from rtqc.cardiac.boxes import box_of, marked, wider
from rtqc.cardiac.candidates import METAL_HU, Candidate, Search
from rtqc.cardiac.notes import cardiac_note
from rtqc.cardiac.quiet import QUIET_HU, Quiet, quieted
from rtqc.cardiac.region import Region
from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import Calcification, Calcium
from rtqc.core.finding import Finding
from rtqc.core.grid import Grid

#: The tube voltage of the definition, taken where the file says none.
USUAL_KVP = 120.0
#: Noise that is left at which no score is made, in HU: three standard deviations above blood are at the threshold.
_LOUDEST_HU = 28.0
#: Slices further apart than this blend a vessel with what is around it, in mm: coronaries are 2 to 5 mm wide.
THICKEST_MM = 7.0
#: Pixels wider than this lie less than twice across such a vessel, in mm: areas of single pixels, and their largest CT number too low.
_COARSE_MM = 1.5


@dataclass(frozen=True, eq=False)
class Lesion:
    """A calcification with its voxels: ``index`` (n, 3) on the region's image."""

    told: Calcification
    index: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Score:
    """The public result, every candidate with its voxels, and what must be said."""

    calcium: Calcium | None
    lesions: tuple[Lesion, ...]
    findings: tuple[Finding, ...]


def score_calcium(
    region: Region, blood: Blood, acquisition: Acquisition, excluded: Collection[int] = (), included: Collection[int] = ()
) -> Score:
    """Find and score coronary calcium.

    Args:
        region: heart and image, without contrast agent.
        blood: of the same scan.
        acquisition: of the series.
        excluded, included: numbers of calcifications that a reader takes out or puts in.
    """
    findings: list[Finding] = []
    grid = region.image.grid
    kvp = acquisition.kvp or USUAL_KVP
    if not KVP_RANGE[0] <= kvp <= KVP_RANGE[1]:
        note = cardiac_note("cardiac.kvp_unusual", f"The tube voltage is {kvp:g} kV: calcium is scored at {KVP_RANGE[0]:g} to {KVP_RANGE[1]:g} kV.", measured=kvp, unit="kV")  # fmt: skip
        return Score(None, (), (note,))
    if grid.slice_spacing_mm > THICKEST_MM:
        note = cardiac_note("cardiac.thick_slices", f"Slices are {grid.slice_spacing_mm:.1f} mm apart: too thick to score calcium.", measured=round(grid.slice_spacing_mm, 2), limit=THICKEST_MM, unit="mm")  # fmt: skip
        return Score(None, (), (note,))
    factor = voltage_factor(kvp)
    findings += _about_voltage(acquisition, factor)
    findings += _about_gaps(grid, acquisition)
    quiet = quieted(region, blood)
    if quiet.noise_hu > _LOUDEST_HU:
        message = f"Noise in the heart is {blood.noise_hu:.0f} HU, and {quiet.noise_hu:.0f} HU when smoothed: calcium cannot be told from it."
        findings.append(cardiac_note("cardiac.noise_too_high", message, measured=quiet.noise_hu, limit=_LOUDEST_HU, unit="HU"))
        return Score(None, (), tuple(findings))
    if quiet.smoothed_mm or quiet.averaged > 1:
        how = [f"{quiet.averaged} slices were averaged" if quiet.averaged > 1 else "", f"the image was smoothed by {quiet.smoothed_mm:g} mm" if quiet.smoothed_mm else ""]  # fmt: skip
        message = f"Noise in the heart is {blood.noise_hu:.0f} HU, which reaches the calcium threshold: {' and '.join(h for h in how if h)} before calcium was looked for ({quiet.noise_hu:.0f} HU left)."
        findings.append(cardiac_note("cardiac.noise", message, measured=blood.noise_hu, limit=QUIET_HU, unit="HU"))
    readers: dict[int, Literal["excluded", "included"]] = {
        **dict.fromkeys(included, "included"),
        **dict.fromkeys(excluded, "excluded"),
    }
    found = Search(region, blood, quiet, factor).candidates()
    lesions = [_told(f, number, readers.get(number), quiet, grid, factor) for number, f in enumerate(found, 1)]
    metal = [x for x in lesions if x.told.kind == "metal"]
    if metal:
        message = f"There is metal in or near the heart ({len(metal)} piece(s), up to {max(x.told.max_hu for x in metal):.0f} HU): it and what glows around it are not counted."
        findings.append(
            cardiac_note("cardiac.metal", message, measured=max(x.told.max_hu for x in metal), limit=METAL_HU, unit="HU")
        )
    pixel = max(grid.spacing_mm)
    if pixel > _COARSE_MM and any(x.told.counted for x in lesions):
        findings.append(cardiac_note("cardiac.coarse_pixels", f"Pixels are {pixel:.1f} mm wide and coronaries 2 to 5 mm: the score is rough.", measured=round(pixel, 2), limit=_COARSE_MM, unit="mm", source="Dodge et al., Circulation 86:232, 1992"))  # fmt: skip
    decided = [x.told.number for x in lesions if x.told.reader]
    if decided:
        findings.append(cardiac_note("cardiac.reader", f"A reader decided about calcification {', '.join(map(str, decided))}."))
    return Score(_summed(lesions, factor, acquisition, blood, quiet), tuple(lesions), tuple(findings))


def _about_voltage(acquisition: Acquisition, factor: float) -> list[Finding]:
    if acquisition.kvp is None:
        return [cardiac_note("cardiac.kvp_absent", f"The file does not say the tube voltage: {USUAL_KVP:g} kV was assumed.")]
    if abs(factor - 1) < 0.005:
        return []
    message = f"The tube voltage is {acquisition.kvp:g} kV, so calcium was scored from {CALCIUM_HU * factor:.0f} HU instead of {CALCIUM_HU:.0f} HU on."
    return [cardiac_note("cardiac.kvp_adapted", message, measured=acquisition.kvp, limit=USUAL_KVP, unit="kV")]


def _about_gaps(grid: Grid, acquisition: Acquisition) -> list[Finding]:
    spacing, thickness = grid.slice_spacing_mm, acquisition.slice_thickness_mm
    if not grid.is_even:
        return [
            cardiac_note("cardiac.slice_gaps", "Slices are missing: the score was scaled by each slice's share of the stack.")
        ]
    if thickness is not None and 0 < thickness < 0.9 * spacing:
        message = (
            f"Slices are {thickness:g} mm thick and {spacing:.2f} mm apart: the score was scaled for what lies between them."
        )
        return [cardiac_note("cardiac.slice_gaps", message, measured=thickness, limit=round(spacing, 2), unit="mm")]
    return []


def _told(
    found: Candidate, number: int, reader: Literal["excluded", "included"] | None, quiet: Quiet, grid: Grid, factor: float
) -> Lesion:
    index, guess = found.index, found.guess
    box = wider(box_of(index), grid.shape, (1, 1, 1))
    x, y, z = found.middle_mm
    sign = float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])
    coronary = guess.kind == "coronary"
    told = Calcification(
        number=number,
        kind=guess.kind,
        vessel=guess.vessel if coronary or reader == "included" else None,
        probability=round(guess.coronary, 3),
        vessel_probability=round(guess.vessels[guess.vessel], 3) if coronary else None,
        agatston=round(found.agatston, 1),
        volume_mm3=round(calcium_volume(quiet.scored_hu[box], marked(index, box), grid.crop(*box), factor), 1),
        max_hu=round(found.max_hu, 0),
        position_mm=(round(float(x), 1), round(float(y), 1), round(float(z), 1)),
        slices_mm=tuple(sorted(round(float(sign * grid.positions_mm[k]), 2) for k in np.unique(index[:, 0]))),
        depth_mm=round(found.depth_mm, 1),
        counted=reader == "included" or (coronary and reader is None),
        reader=reader,
    )
    return Lesion(told, index)


def _summed(lesions: list[Lesion], factor: float, acquisition: Acquisition, blood: Blood, quiet: Quiet) -> Calcium:
    counted = tuple(x.told for x in lesions if x.told.counted)
    total = sum(x.agatston for x in counted)
    by_vessel = {
        v: round(sum(x.agatston for x in counted if x.vessel == v), 1)
        for v in dict.fromkeys(x.vessel for x in counted if x.vessel)
    }
    return Calcium(
        agatston=round(total, 1),
        volume_mm3=round(sum(x.volume_mm3 for x in counted), 1),
        calcium_class=calcium_class(total),
        cac_drs=cac_drs(total, len(by_vessel)),
        by_vessel=by_vessel,
        threshold_hu=round(CALCIUM_HU * factor, 1),
        kvp=acquisition.kvp,
        noise_hu=blood.noise_hu,
        smoothed_mm=quiet.smoothed_mm,
        averaged_slices=quiet.averaged,
        lesions=counted,
        others=tuple(x.told for x in lesions if not x.told.counted),
    )

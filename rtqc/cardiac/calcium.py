"""Coronary calcium: candidates at or above the threshold, what each is taken for, and the score of those that are coronary."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter, label, uniform_filter1d

from rtqc.cardiac.agatston import (
    CALCIUM_HU,
    KVP_RANGE,
    LEAST_MM2,
    agatston,
    cac_drs,
    calcium_class,
    calcium_volume,
    voltage_factor,
)
from rtqc.cardiac.blood import Blood, noise_of
from rtqc.cardiac.coronaries import Guess, Look, Places
from rtqc.cardiac.notes import cardiac_note
from rtqc.cardiac.region import Region
from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import Calcification, Calcium
from rtqc.core.finding import Finding
from rtqc.core.grid import Grid

Volume = NDArray[np.float32]

#: The tube voltage of the definition, taken where the file says none.
USUAL_KVP = 120.0
#: Noise at which an image is scored as it is, in HU: limit for calcium scoring of medium-sized patients (SCCT guidelines, Voros et al., J Cardiovasc Comput
#: Tomogr 5:75, 2011, and CAC-DRS: 20 HU, 23 HU for large ones). Above, the image is smoothed until it is there.
QUIET_HU = 20.0
#: Gaussians that are tried, standard deviations in mm; beyond the last a vessel is not seen any more.
_GAUSSIANS_MM = (0.6, 0.9, 1.2, 1.6, 2.0)
#: Noise that is left at which no score is made, in HU: three standard deviations above blood are at the threshold.
_LOUDEST_HU = 28.0
#: A lesion's largest CT number is so many standard deviations above blood, or noise may have made it.
_ABOVE_NOISE = 5.0
#: Slices further apart than this blend a vessel with what is around it, in mm: coronaries are 2 to 5 mm wide.
THICKEST_MM = 7.0
#: What lies so far outside the outline may still be a coronary that the outline was drawn through, in mm.
_OUTSIDE_MM = 3.5
#: Of a candidate so much lies within reach of the heart; ribs, sternum, spine and descending aorta do not.
_LEAST_INSIDE = 0.6
#: Denser than calcium in a coronary is on CT, in HU at 120 kV: leads, clips, valves of metal (stents: 200 to 1,500). Its glow reaches so far, in mm.
METAL_HU, _GLOW_MM = 1800.0, 4.0
#: Inner and outer radius of the shell in which fat is looked for, in mm, and what counts as fat there, mixed with its neighbours, in HU.
_SHELL_MM, _FATTY_HU, _LUNG_HU = (1.5, 5.5), -15.0, -350.0
#: Voxels of a lesion whose places are looked at.
_MOST_POINTS = 60
#: More candidates than this are noise or bone, and the largest are looked at.
_MOST_CANDIDATES = 400


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
    quiet = _quiet(region, blood)
    if quiet.noise_hu > _LOUDEST_HU:
        message = f"Noise in the heart is {blood.noise_hu:.0f} HU, and {quiet.noise_hu:.0f} HU when smoothed: calcium cannot be told from it."
        findings.append(cardiac_note("cardiac.noise_too_high", message, measured=quiet.noise_hu, limit=_LOUDEST_HU, unit="HU"))
        return Score(None, (), tuple(findings))
    if quiet.smoothed_mm or quiet.averaged > 1:
        how = [f"{quiet.averaged} slices were averaged" if quiet.averaged > 1 else "", f"it was smoothed by {quiet.smoothed_mm:g} mm" if quiet.smoothed_mm else ""]  # fmt: skip
        message = f"Noise in the heart is {blood.noise_hu:.0f} HU, which reaches the calcium threshold: {' and '.join(h for h in how if h)} before the image was scored ({quiet.noise_hu:.0f} HU left)."
        findings.append(cardiac_note("cardiac.noise", message, measured=blood.noise_hu, limit=QUIET_HU, unit="HU"))
    lesions = _lesions(region, blood, quiet, factor, set(excluded), set(included))
    metal = [x for x in lesions if x.told.kind == "metal"]
    if metal:
        message = f"There is metal in or near the heart ({len(metal)} piece(s), up to {max(x.told.max_hu for x in metal):.0f} HU): it and what glows around it are not counted."
        findings.append(
            cardiac_note("cardiac.metal", message, measured=max(x.told.max_hu for x in metal), limit=METAL_HU, unit="HU")
        )
    decided = [x.told.number for x in lesions if x.told.reader]
    if decided:
        findings.append(cardiac_note("cardiac.reader", f"A reader decided about calcification {', '.join(map(str, decided))}."))
    return Score(_summed(lesions, factor, acquisition, blood, quiet), tuple(lesions), tuple(findings))


@dataclass(frozen=True, eq=False)
class _Quiet:
    """The image that is scored, and what was done to it."""

    hu: Volume
    noise_hu: float
    smoothed_mm: float
    averaged: int


def _quiet(region: Region, blood: Blood) -> _Quiet:
    """As little smoothing as noise allows: thin slices first make slices of 3 mm, as the score's definition has them."""
    hu, grid = region.image.hu, region.image.grid
    noise, averaged, smoothed = blood.noise_hu, 1, 0.0
    if noise > QUIET_HU:
        averaged = max(int(3.0 / grid.slice_spacing_mm + 1e-6), 1)
        core = region.within(region.core_mm)
        core = core if core.any() else region.within(0.0)
        if averaged > 1:
            hu = uniform_filter1d(hu, averaged, axis=0, mode="nearest")
            noise = noise_of(hu, core, grid.spacing_mm[1]) or 0.0
        thick = hu
        for sigma in _GAUSSIANS_MM:
            if noise <= QUIET_HU:
                break
            smoothed = sigma
            hu = gaussian_filter(thick, (0, sigma / grid.spacing_mm[0], sigma / grid.spacing_mm[1]))
            noise = noise_of(hu, core, grid.spacing_mm[1]) or 0.0
    return _Quiet(hu, round(noise, 1), smoothed, averaged)


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


def _lesions(
    region: Region, blood: Blood, quiet: _Quiet, factor: float, excluded: set[int], included: set[int]
) -> list[Lesion]:
    """Every candidate, numbered from above downward."""
    grid, threshold = region.image.grid, CALCIUM_HU * factor
    labels, count = label(quiet.hu >= threshold, np.ones((3, 3, 3)))
    if count == 0:
        return []
    pixel = grid.spacing_mm[0] * grid.spacing_mm[1]
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = find_objects(labels)
    large = [n for n in range(1, count + 1) if sizes[n] * pixel >= LEAST_MM2]
    near = region.within(-_OUTSIDE_MM)
    touching = [n for n in large if (near[boxes[n - 1]] & (labels[boxes[n - 1]] == n)).any()]
    touching = sorted(sorted(touching, key=lambda n: -sizes[n])[:_MOST_CANDIDATES])
    places = Places(*region.box_mm)
    found: list[_Candidate] = []
    metal = region.image.hu > METAL_HU * factor
    glow = _around(metal, grid, _GLOW_MM) if metal.any() else None
    for n in touching:
        box = boxes[n - 1]
        own = labels[box] == n
        index = np.argwhere(own) + [s.start for s in box]
        depth = region.depth_at(index)
        score = agatston(quiet.hu[box], own, grid.crop(*box), factor)
        if score == 0 or (depth > -_OUTSIDE_MM).mean() < _LEAST_INSIDE:
            continue
        points = grid.patient_mm(index[:: max(len(index) // _MOST_POINTS, 1)])
        look = Look(points, float(depth.mean()), _fat_around(region.image.hu, grid, box, own), _thickness(own, grid))
        guess = places.guess(look)
        peak = float(quiet.hu[box][own].max())
        if _goes_on(box, quiet.hu.shape):
            guess = Guess("outside the heart", 0.0, guess.vessel, guess.vessel_probability)
        elif glow is not None and glow[tuple(index.T)].mean() > 0.3:
            guess = Guess("metal", 0.0, guess.vessel, guess.vessel_probability)
        elif peak < blood.hu + _ABOVE_NOISE * quiet.noise_hu:
            guess = Guess("noise", 0.0, guess.vessel, guess.vessel_probability)
        middle = grid.patient_mm([index.mean(axis=0)])[0]
        found.append(_Candidate(index, guess, score, peak, look.depth_mm, middle))
    found.sort(key=lambda f: tuple(-f.middle_mm[[2, 1, 0]]))
    readers: dict[int, Literal["excluded", "included"]] = {
        **dict.fromkeys(included, "included"),
        **dict.fromkeys(excluded, "excluded"),
    }
    return [_told(f, number, readers.get(number), quiet, grid, factor) for number, f in enumerate(found, 1)]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A calcification before it has a number: voxels (n, 3) on the region's image, and what was found out about it."""

    index: NDArray[np.intp]
    guess: Guess
    agatston: float
    max_hu: float
    depth_mm: float
    middle_mm: NDArray[np.float64]


def _told(
    found: _Candidate, number: int, reader: Literal["excluded", "included"] | None, quiet: _Quiet, grid: Grid, factor: float
) -> Lesion:
    index, guess = found.index, found.guess
    low, high = index.min(axis=0), index.max(axis=0) + 1
    around = tuple(slice(max(a - 1, 0), min(b + 1, n)) for a, b, n in zip(low, high, grid.shape, strict=True))
    own = np.zeros([s.stop - s.start for s in around], bool)
    own[tuple((index - [s.start for s in around]).T)] = True
    x, y, z = found.middle_mm
    sign = float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])
    coronary = guess.kind == "coronary"
    told = Calcification(
        number=number,
        kind=guess.kind,
        vessel=guess.vessel if coronary or reader == "included" else None,
        probability=round(guess.coronary, 3),
        vessel_probability=round(guess.vessel_probability, 3) if coronary else None,
        agatston=round(found.agatston, 1),
        volume_mm3=round(calcium_volume(quiet.hu[around], own, grid.crop(*around), factor), 1),
        max_hu=round(found.max_hu, 0),
        position_mm=(round(float(x), 1), round(float(y), 1), round(float(z), 1)),
        slices_mm=tuple(sorted(round(float(sign * grid.positions_mm[k]), 2) for k in np.unique(index[:, 0]))),
        depth_mm=round(found.depth_mm, 1),
        counted=reader == "included" or (coronary and reader is None),
        reader=reader,
    )
    return Lesion(told, index)


def _summed(lesions: list[Lesion], factor: float, acquisition: Acquisition, blood: Blood, quiet: _Quiet) -> Calcium:
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


def _goes_on(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a candidate reaches the rim of what was cut out around the heart: bone does."""
    return any(s.start == 0 or s.stop == n for s, n in zip(box[1:], shape[1:], strict=True))


def _thickness(own: NDArray[np.bool_], grid: Grid) -> float:
    """Diameter of the largest ball within, in mm."""
    inside = distance_transform_edt(np.pad(own, 1), sampling=(grid.slice_spacing_mm, *grid.spacing_mm))
    return float(2 * inside.max())


def _fat_around(hu: Volume, grid: Grid, box: tuple[slice, ...], own: NDArray[np.bool_]) -> float | None:
    """Part of the shell around a lesion that is fat, of what is neither lung nor dense."""
    steps = (grid.slice_spacing_mm, *grid.spacing_mm)
    reach = [int(np.ceil(_SHELL_MM[1] / s)) for s in steps]
    wide = tuple(slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in zip(box, reach, hu.shape, strict=True))
    inner = np.zeros([s.stop - s.start for s in wide], bool)
    inner[tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))] = own
    away = distance_transform_edt(~inner, sampling=steps)
    near = hu[wide]
    shell = (away > _SHELL_MM[0]) & (away <= _SHELL_MM[1]) & (near > _LUNG_HU) & (near < CALCIUM_HU)
    return float((near[shell] < _FATTY_HU).mean()) if shell.sum() >= 10 else None


def _around(voxels: NDArray[np.bool_], grid: Grid, reach_mm: float) -> NDArray[np.bool_]:
    """What is near marked voxels; worked out in their box only."""
    where = np.argwhere(voxels)
    steps = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    reach = np.ceil(reach_mm / steps).astype(int)
    low, high = np.maximum(where.min(axis=0) - reach, 0), np.minimum(where.max(axis=0) + reach + 1, voxels.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = np.zeros(voxels.shape, bool)
    near[box] = distance_transform_edt(~voxels[box], sampling=steps) <= reach_mm
    return near

"""What is as dense as calcium in and around the heart, piece by piece, and what each piece is taken for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, label

from rtqc.cardiac.agatston import CALCIUM_HU, LEAST_MM2, agatston
from rtqc.cardiac.blood import Blood
from rtqc.cardiac.coronaries import Guess, Look, Places, is_bulky
from rtqc.cardiac.quiet import Quiet
from rtqc.cardiac.region import Region
from rtqc.core.grid import Grid

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]
Box = tuple[slice, ...]

#: A lesion's largest CT number is so many standard deviations above blood, or noise may have made it.
_ABOVE_NOISE = 5.0
#: What lies so far outside the outline may still be a coronary that the outline was drawn through, in mm.
_OUTSIDE_MM = 7.0
#: Of a candidate so much lies within reach of the heart; ribs, sternum, spine and descending aorta do not.
_LEAST_INSIDE = 0.6
#: Denser than calcium in a coronary is on CT, in HU at 120 kV: leads, clips, valves of metal (stents: 200 to 1,500). Its glow reaches so far, in mm.
METAL_HU, _GLOW_MM = 1800.0, 4.0
#: Of a candidate so much lies in the glow where it is metal.
_GLOWING = 0.3
#: Inner and outer radius of the shell in which fat and lung are looked for, in mm, and what counts as fat there, mixed with its neighbours, and as lung, in HU.
_SHELL_MM, _FATTY_HU, _LUNG_HU = (1.5, 5.5), -15.0, -350.0
#: Voxels of that shell at least, or it tells nothing.
_FEWEST_AROUND = 10
#: What is smaller is no piece of its own, in mm³: half of a calcification of 3 mm.
_LEAST_PIECE_MM3 = 15.0
#: Voxels of a lesion whose places are looked at.
_MOST_POINTS = 60
#: More candidates than this are noise or bone, and the largest are looked at.
_MOST_CANDIDATES = 400
_ALL_AROUND = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something dense.

    Attributes:
        index: its voxels (n, 3) on the region's image.
        guess: what it is taken for.
        agatston: its score, should it count.
        max_hu: its largest CT number.
        depth_mm: mean depth below the heart's surface, negative outside.
        middle_mm: in patient coordinates.
    """

    index: NDArray[np.intp]
    guess: Guess
    agatston: float
    max_hu: float
    depth_mm: float
    middle_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Search:
    """Where candidates are looked for.

    Attributes:
        region: heart and image.
        blood: of the scan.
        quiet: the image that is scored.
        factor: of the tube voltage, :func:`~rtqc.cardiac.agatston.voltage_factor`.
    """

    region: Region
    blood: Blood
    quiet: Quiet
    factor: float

    def candidates(self) -> list[Candidate]:
        """All of them, from above downward."""
        grid = self._grid
        labels, count = label(self.quiet.hu >= CALCIUM_HU * self.factor, _ALL_AROUND)
        if count == 0:
            return []
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        boxes = find_objects(labels)
        large = [n for n in range(1, count + 1) if sizes[n] * grid.spacing_mm[0] * grid.spacing_mm[1] >= LEAST_MM2]
        near = self.region.within(-_OUTSIDE_MM)
        touching = [n for n in large if (near[boxes[n - 1]] & (labels[boxes[n - 1]] == n)).any()]
        found = []
        for n in sorted(sorted(touching, key=lambda n: -sizes[n])[:_MOST_CANDIDATES]):
            box = boxes[n - 1]
            whole = labels[box] == n
            if not self._is_near(box, whole):
                continue
            for piece in [whole] if self._goes_on(box) else self._pieces(box, whole):
                candidate = self._looked_at(box, piece)
                if candidate.agatston > 0:
                    found.append(candidate)
        return sorted(found, key=lambda f: tuple(-f.middle_mm[[2, 1, 0]]))

    @property
    def _grid(self) -> Grid:
        return self.region.image.grid

    @cached_property
    def _places(self) -> Places:
        return Places(*self.region.box_mm)

    @cached_property
    def _glow(self) -> Voxels | None:
        """Metal and what glows around it."""
        metal = self.region.image.hu > METAL_HU * self.factor
        return _around(metal, self._grid, _GLOW_MM) if metal.any() else None

    def _is_near(self, box: Box, own: Voxels) -> bool:
        index = np.argwhere(own) + [s.start for s in box]
        return bool((self.region.depth_at(index) > -_OUTSIDE_MM).mean() >= _LEAST_INSIDE)

    def _goes_on(self, box: Box) -> bool:
        """Whether a candidate reaches the rim of what was cut out around the heart: bone does."""
        return any(s.start == 0 or s.stop == n for s, n in zip(box[1:], self.quiet.hu.shape[1:], strict=True))

    def _pieces(self, box: Box, own: Voxels) -> list[Voxels]:
        """A calcification, or what it is made of where several structures have grown together: each piece is judged by itself."""
        part = self._grid.crop(*box)
        index = np.argwhere(own)
        if not is_bulky(part.patient_mm(_some(index)), _thickness(own, part)):
            return [own]
        structure = np.full(own.shape, -1)
        structure[own] = self._places.parts(part.patient_mm(index))
        pieces = []
        for which in np.unique(structure[own]):
            labels, count = label(structure == which, _ALL_AROUND)
            pieces += [labels == n for n in range(1, count + 1)]
        pieces.sort(key=lambda p: -int(p.sum()))
        least = _LEAST_PIECE_MM3 / (part.slice_spacing_mm * part.spacing_mm[0] * part.spacing_mm[1])
        kept = [p for p in pieces if p.sum() >= least] or pieces[:1]
        for crumb in pieces[len(kept) :]:
            beside = binary_dilation(crumb, _ALL_AROUND)
            near = max(kept, key=lambda p: int((beside & p).sum()))
            near |= crumb
        return kept

    def _looked_at(self, box: Box, own: Voxels) -> Candidate:
        """What a calcification is taken for."""
        grid, quiet = self._grid, self.quiet
        index = np.argwhere(own) + [s.start for s in box]
        depth = float(self.region.depth_at(index).mean())
        fat, lung = _surroundings(self.region.image.hu, grid, box, own)
        guess = self._places.guess(Look(grid.patient_mm(_some(index)), depth, fat, lung, _thickness(own, grid)))
        peak = float(quiet.hu[box][own].max())
        if self._goes_on(box):
            guess = guess.but("outside the heart")
        elif self._glow is not None and self._glow[tuple(index.T)].mean() > _GLOWING:
            guess = guess.but("metal")
        elif peak < self.blood.hu + _ABOVE_NOISE * quiet.noise_hu:
            guess = guess.but("noise")
        score = agatston(quiet.hu[box], own, grid.crop(*box), self.factor)
        return Candidate(index, guess, score, peak, depth, grid.patient_mm([index.mean(axis=0)])[0])


def _some(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of many voxels as many as are needed to see where they lie."""
    return index[:: max(len(index) // _MOST_POINTS, 1)]


def _thickness(own: Voxels, grid: Grid) -> float:
    """Diameter of the largest ball within, in mm."""
    inside = distance_transform_edt(np.pad(own, 1), sampling=(grid.slice_spacing_mm, *grid.spacing_mm))
    return float(2 * inside.max())


def _surroundings(hu: Volume, grid: Grid, box: Box, own: Voxels) -> tuple[float | None, float | None]:
    """Of the shell around a lesion, but for what is dense: the part that is fat, of what is not lung, and the part that is lung."""
    steps = (grid.slice_spacing_mm, *grid.spacing_mm)
    reach = [int(np.ceil(_SHELL_MM[1] / s)) for s in steps]
    wide = tuple(slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in zip(box, reach, hu.shape, strict=True))
    inner = np.zeros([s.stop - s.start for s in wide], bool)
    inner[tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))] = own
    away = distance_transform_edt(~inner, sampling=steps)
    near = hu[wide]
    shell = near[(away > _SHELL_MM[0]) & (away <= _SHELL_MM[1]) & (near < CALCIUM_HU)]
    tissue = shell[shell > _LUNG_HU]
    fat = float((tissue < _FATTY_HU).mean()) if tissue.size >= _FEWEST_AROUND else None
    return fat, 1 - tissue.size / shell.size if shell.size >= _FEWEST_AROUND else None


def _around(voxels: Voxels, grid: Grid, reach_mm: float) -> Voxels:
    """What is near marked voxels; worked out in their box only."""
    where = np.argwhere(voxels)
    steps = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    reach = np.ceil(reach_mm / steps).astype(int)
    low, high = np.maximum(where.min(axis=0) - reach, 0), np.minimum(where.max(axis=0) + reach + 1, voxels.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = np.zeros(voxels.shape, bool)
    near[box] = distance_transform_edt(~voxels[box], sampling=steps) <= reach_mm
    return near

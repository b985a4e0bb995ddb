"""What is as dense as calcium in and around the heart, piece by piece, and what each piece is taken for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, label
from scipy.spatial.distance import pdist

from rtqc.cardiac.agatston import CALCIUM_HU, LEAST_MM2, agatston
from rtqc.cardiac.blood import Blood
from rtqc.cardiac.boxes import Box, box_of, marked, wider
from rtqc.cardiac.coronaries import RIGHT, Guess, Look, Places, is_bulky
from rtqc.cardiac.quiet import Quiet
from rtqc.cardiac.region import Region
from rtqc.core.grid import Grid

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]

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
#: Beside what is seen in the smooth image calcium is scored as far as this, in mm: smoothing takes that much off a vessel.
_BESIDE_MM = 1.5
#: A piece that is less surely coronary follows the rest of its calcification where the most of that is not.
_SURE = 0.8
_ALL_AROUND = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something dense.

    Attributes:
        index: the voxels (n, 3) on the region's image that it scores with.
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
class _Piece:
    """Voxels ``own`` of a box of the region's image."""

    box: Box
    own: Voxels
    grid: Grid

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """Its voxels (n, 3) on the region's image."""
        return np.asarray(np.argwhere(self.own) + [s.start for s in self.box], np.intp)

    @cached_property
    def some_mm(self) -> NDArray[np.float64]:
        """Of its voxels as many as are needed to see where they lie, patient coordinates (n, 3)."""
        return self.grid.patient_mm(self.index[:: max(len(self.index) // _MOST_POINTS, 1)])

    @cached_property
    def thick_mm(self) -> float:
        """Diameter of the largest ball within."""
        return float(2 * distance_transform_edt(np.pad(self.own, 1), sampling=_steps(self.grid)).max())

    @property
    def wide_mm(self) -> float:
        """Volume over length and thickness."""
        length = self.thick_mm + (float(pdist(self.some_mm).max()) if len(self.some_mm) > 1 else 0.0)
        return len(self.index) * float(np.prod(_steps(self.grid))) / (length * self.thick_mm)


@dataclass(frozen=True, eq=False)
class Search:
    """Where candidates are looked for.

    Attributes:
        region: heart and image.
        blood: of the scan.
        quiet: the images that are looked at and scored.
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
        largest = sorted(touching, key=lambda n: -sizes[n])[:_MOST_CANDIDATES]
        whole = [_Piece(boxes[n - 1], labels[boxes[n - 1]] == n, grid) for n in sorted(largest)]
        calcifications = [self._pieces(w) for w in whole if self._is_near(w)]
        scored = iter(self._scored([piece for pieces in calcifications for piece in pieces]))
        found = [[self._looked_at(piece, next(scored)) for piece in pieces] for pieces in calcifications]
        whole_vessels = [c for pieces in found for c in self._joined(_of_one_origin(pieces))]
        return sorted((f for f in whole_vessels if f.agatston > 0), key=lambda f: tuple(-f.middle_mm[[2, 1, 0]]))

    def _scored(self, pieces: list[_Piece]) -> list[NDArray[np.intp]]:
        """The voxels (n, 3) that each scores with: those of the image that was not smoothed, in and right beside it, each for one only."""
        found = [piece.index for piece in pieces]
        if not self.quiet.smoothed_mm:
            return found
        dense = self.quiet.scored_hu >= CALCIUM_HU * self.factor
        owner = np.zeros(dense.shape, np.int32)
        for number, index in enumerate(found, 1):
            owner[tuple(index.T)] = number
        scored = []
        for number, index in enumerate(found, 1):
            around = wider(box_of(index), dense.shape, _reach(self._grid, _BESIDE_MM))
            mine = owner[around]
            reach = distance_transform_edt(mine != number, sampling=_steps(self._grid)) <= _BESIDE_MM
            labels, _ = label(dense[around] & reach & ((mine == number) | (mine == 0)), _ALL_AROUND)
            own = np.isin(labels, np.unique(labels[(mine == number) & (labels > 0)])) & (labels > 0)
            mine[own] = number
            scored.append(np.argwhere(own) + [s.start for s in around])
        return scored

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

    def _is_near(self, piece: _Piece) -> bool:
        return bool((self.region.depth_at(piece.index) > -_OUTSIDE_MM).mean() >= _LEAST_INSIDE)

    def _goes_on(self, piece: _Piece) -> bool:
        """Whether a candidate reaches the rim of what was cut out around the heart: bone does."""
        return any(s.start == 0 or s.stop == n for s, n in zip(piece.box[1:], self.quiet.hu.shape[1:], strict=True))

    def _pieces(self, whole: _Piece) -> list[_Piece]:
        """A calcification, or what it is made of where several structures have grown together: each piece is judged by itself."""
        if self._goes_on(whole) or not is_bulky(whole.some_mm, whole.thick_mm):
            return [whole]
        grid, own = self._grid, whole.own
        structure = np.full(own.shape, -1)
        structure[own] = self._places.parts(grid.patient_mm(whole.index))
        pieces = []
        for which in np.unique(structure[own]):
            labels, count = label(structure == which, _ALL_AROUND)
            pieces += [labels == n for n in range(1, count + 1)]
        pieces.sort(key=lambda p: -int(p.sum()))
        least = _LEAST_PIECE_MM3 / float(np.prod(_steps(grid)))
        kept = [p for p in pieces if p.sum() >= least] or pieces[:1]
        for crumb in pieces[len(kept) :]:
            beside = binary_dilation(crumb, _ALL_AROUND)
            near = max(kept, key=lambda p: int((beside & p).sum()))
            near |= crumb
        return [_Piece(whole.box, p, grid) for p in kept]

    def _looked_at(self, piece: _Piece, scored: NDArray[np.intp]) -> Candidate:
        """What a calcification is taken for, and its score."""
        quiet, index = self.quiet, piece.index
        depth = float(self.region.depth_at(index).mean())
        fat, lung = _surroundings(quiet.hu, piece)
        guess = self._places.guess(Look(piece.some_mm, depth, fat, lung, piece.thick_mm, piece.wide_mm))
        if self._goes_on(piece):
            guess = guess.but("outside the heart")
        elif self._glow is not None and self._glow[tuple(index.T)].mean() > _GLOWING:
            guess = guess.but("metal")
        elif quiet.hu[tuple(index.T)].max() < self.blood.hu + _ABOVE_NOISE * quiet.noise_hu:
            guess = guess.but("noise")
        return self._candidate(scored, guess, depth, index)

    def _candidate(self, scored: NDArray[np.intp], guess: Guess, depth: float, index: NDArray[np.intp]) -> Candidate:
        """With the score of these voxels, in the middle of the others."""
        grid, hu = self._grid, self.quiet.scored_hu
        middle = grid.patient_mm([index.mean(axis=0)])[0]
        if not len(scored):
            return Candidate(scored, guess, 0.0, 0.0, depth, middle)
        box = box_of(scored)
        score = agatston(hu[box], marked(scored, box), grid.crop(*box), self.factor)
        return Candidate(scored, guess, score, float(hu[tuple(scored.T)].max()), depth, middle)

    def _joined(self, pieces: list[Candidate]) -> list[Candidate]:
        """Pieces of one calcification, with those of one vessel put together again: they are one lesion."""
        kept = [p for p in pieces if p.guess.kind != "coronary" or not len(p.index)]
        vessels = [p for p in pieces if p.guess.kind == "coronary" and len(p.index)]
        for name in dict.fromkeys(p.guess.vessel for p in vessels):
            same = [p for p in vessels if p.guess.vessel == name]
            largest = max(same, key=lambda p: len(p.index))
            if len(same) > 1:
                index = np.concatenate([p.index for p in same])
                depth = float(np.average([p.depth_mm for p in same], weights=[len(p.index) for p in same]))
                largest = self._candidate(index, largest.guess, depth, index)
            kept.append(largest)
        return kept


def _of_one_origin(pieces: list[Candidate]) -> list[Candidate]:
    """What pieces of one calcification tell about each other.

    A doubtful piece goes with the most of it. The coronaries leave the aorta from two sides, so that what grew together is of one, unless the aorta is between.
    """
    others = [p for p in pieces if p.guess.kind != "coronary"]
    most = max(others, key=lambda p: p.agatston, default=None)
    if most is not None and sum(p.agatston for p in others) > sum(p.agatston for p in pieces) / 2:
        pieces = [
            replace(p, guess=p.guess.but(most.guess.kind)) if p.guess.kind == "coronary" and p.guess.coronary < _SURE else p
            for p in pieces
        ]
    coronary = [p for p in pieces if p.guess.kind == "coronary"]
    if len(coronary) < 2 or any(p.guess.kind == "aortic root or valve" for p in pieces):
        return pieces
    right = sum(p.agatston * (2 * p.guess.vessels[RIGHT] - 1) for p in coronary) > 0
    return [replace(p, guess=p.guess.of_side(right)) if p.guess.kind == "coronary" else p for p in pieces]


def _steps(grid: Grid) -> tuple[float, float, float]:
    return (grid.slice_spacing_mm, *grid.spacing_mm)


def _reach(grid: Grid, mm: float) -> list[int]:
    """Voxels that reach so far, in each direction."""
    return [int(np.ceil(mm / s)) for s in _steps(grid)]


def _surroundings(hu: Volume, piece: _Piece) -> tuple[float | None, float | None]:
    """Of the shell around a lesion, but for what is dense: the part that is fat, of what is not lung, and the part that is lung."""
    wide = wider(piece.box, hu.shape, _reach(piece.grid, _SHELL_MM[1]))
    away = distance_transform_edt(~marked(piece.index, wide), sampling=_steps(piece.grid))
    near = hu[wide]
    shell = near[(away > _SHELL_MM[0]) & (away <= _SHELL_MM[1]) & (near < CALCIUM_HU)]
    tissue = shell[shell > _LUNG_HU]
    fat = float((tissue < _FATTY_HU).mean()) if tissue.size >= _FEWEST_AROUND else None
    return fat, 1 - tissue.size / shell.size if shell.size >= _FEWEST_AROUND else None


def _around(voxels: Voxels, grid: Grid, reach_mm: float) -> Voxels:
    """What is near marked voxels; worked out in their box only."""
    box = wider(box_of(np.argwhere(voxels)), voxels.shape, _reach(grid, reach_mm))
    near = np.zeros(voxels.shape, bool)
    near[box] = distance_transform_edt(~voxels[box], sampling=_steps(grid)) <= reach_mm
    return near

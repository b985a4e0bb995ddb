"""Where a draft ends: drawn to a definition by the levels of the chest that its model sees, and how sure that is.

A network ends a heart where its teachers did, give or take two slices, and now and then leaks along the great vessels or into the liver. A level of
the chest is told by tens of thousands of voxels, most of them far from the end itself: where the two contradict each other, the level decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtqc.core.grid import Grid
from rtqc.heart.landmarks import Landmarks
from rtqc.heart.levels import Level, level_of
from rtqc.heart.looks import Found, largest_piece
from rtqc.heart.manifest import LevelName
from rtqc.heart.uncertainty import LOWER_END_SD_MM, UPPER_END_SD_MM

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]

#: Where a draft ends above: ``feng2011``, just below the left pulmonary artery (Feng et al., IJROBP 79, 10, 2011), or ``model``, where the model's
#: teachers ended.
UpperEnd = Literal["feng2011", "model"]

#: "Just inferior to the left pulmonary artery", in mm below its lower border: a slice of 5 mm. The four hearts that radiologists drew end 1 to 13 mm below it.
_BELOW_ARTERY_MM = 5.0
#: The model's own ends stand within so many mm of what the levels say, at the upper end and below the lower one: nine CTs whose levels were read
#: by eye, four of them unseen, needed 5.1 and 11.4 mm.
_UPPER_TOLERANCE_MM, _LOWER_TOLERANCE_MM = 6.0, 10.0
#: A level with a larger spread, in mm, is not used: of the nine CTs one was told 11 mm wrong, with a spread of 9.7 mm, the others with 2.8 to 5.5 mm.
_MOST_SPREAD_MM = 9.0
#: A heart's end lies at least so far below the carina, in mm, and its lower end at least so far below its upper one.
_LEAST_HEIGHT_MM = 40.0
#: No end is moved outward by more than this, in mm: what is drawn there is the part below it, stretched over twice as many mm and more.
_MOST_ADDED_MM, _STRETCHED_MM = 12.0, 28.0
#: A heart is broad where the great vessels leave it: an uppermost slice with less than this part of the next one's cross-section is a sliver of them.
_SLIVER_SHARE = 0.25
#: The last slice of a heart has this cross-section at least, in mm².
_LEAST_AREA_MM2 = 200.0
#: Standard deviation of an end that looks and level agree on, in mm, upper and lower: four radiologists' hearts, drafted unseen, were missed by
#: -3, 0, 3, 9 and 3, 6, -9, 0 mm, a slice of 3 mm and their own scatter included. Without a level it is what other hospitals' patients showed.
LEAST_DEVIATION_MM = (5.0, 6.0)
#: An end that the levels moved by more than this, in mm, was no end: a leak, or another organ.
_LEAKED_MM = 15.0
#: A heart may reach above the carina by this, in mm, because heights are known to a slice, and beyond the lungs' box by so much to a side and downward:
#: an effusion or a collapsed lobe makes a lung smaller.
_ABOVE_CARINA_MM, _ASIDE_MM, _BELOW_LUNGS_MM = 6.0, 20.0, 40.0
#: Steepness of the logits where an end is cut, in 1/mm.
_STEEP = 1.0


@dataclass(frozen=True)
class End:
    """One end of a draft.

    Attributes:
        z_mm: height in patient coordinates (LPS), in mm.
        deviation_mm: its standard deviation, in mm.
        moved_mm: how far the level moved it from where the network ended, in mm, positive upward; 0 where the two agree or no level was used.
    """

    z_mm: float
    deviation_mm: float
    moved_mm: float = 0.0


@dataclass(frozen=True)
class Ends:
    """Both ends of a draft.

    Attributes:
        upper, lower: None where the image cuts the heart off.
        definition: of the upper end; ``model`` too where the level that the definition needs was not seen.
        levels: heights in patient coordinates (LPS), in mm, of the levels of the chest that the model is sure of.
    """

    upper: End | None
    lower: End | None
    definition: UpperEnd = "model"
    levels: Mapping[LevelName, Level] | None = None

    @property
    def contradiction_mm(self) -> float:
        """How far the network's own ends lie from where the levels allow them, in mm; the larger of both."""
        return max((abs(end.moved_mm) for end in (self.upper, self.lower) if end is not None), default=0.0)


def levels_of(found: Found, piece: Voxels) -> dict[LevelName, Level]:
    """The levels of the chest that a model is sure of and that do not contradict each other.

    Args:
        found: what the model saw.
        piece: the heart's voxels, shape ``found.grid.shape``: columns through it are asked.
    """
    columns = np.broadcast_to(piece.any(axis=0), piece.shape)
    told = {name: level_of(heights, found.grid, columns) for name, heights in found.heights.items()}
    sure = {name: level for name, level in told.items() if level is not None and level.spread_mm <= _MOST_SPREAD_MM}
    carina, artery, low = (sure.get(name) for name in ("carina", "left_pulmonary_artery", "lower_end"))
    above_artery = carina is None or artery is None or carina.z_mm > artery.z_mm
    above_low = artery is None or low is None or artery.z_mm - low.z_mm > _LEAST_HEIGHT_MM
    return sure if above_artery and above_low else {}


def drawn_to_definition(found: Found, piece: Voxels, definition: UpperEnd = "feng2011") -> tuple[Found, Ends]:
    """The same heart, ended where definition and levels say.

    Args:
        found: what the model saw.
        piece: the heart's voxels, shape ``found.grid.shape``.
        definition: of the upper end.

    Returns:
        Logits and looks that end there, and the ends.
    """
    levels = levels_of(found, piece)
    grid = found.grid
    half = grid.slice_spacing_mm / 2
    inside = np.flatnonzero(_areas_mm2(piece, grid) >= _LEAST_AREA_MM2)
    if not inside.size:
        return found, Ends(None, None, levels=levels)
    low, high = float(grid.positions_mm[inside[0]]) - half, float(grid.positions_mm[inside[-1]]) + half
    scatter = _scatter_mm(found)
    artery, bottom = levels.get("left_pulmonary_artery"), levels.get("lower_end")
    areas = _areas_mm2(piece, grid)[inside]
    sliver = artery is not None and inside.size > 1 and areas[-1] < _SLIVER_SHARE * areas[-2]
    high -= grid.slice_spacing_mm if sliver else 0.0
    upper = lower = None
    if not piece[-1].any():
        aim = artery.z_mm - _BELOW_ARTERY_MM if artery is not None and definition == "feng2011" else None
        upper = _end(high, aim, (_UPPER_TOLERANCE_MM, _UPPER_TOLERANCE_MM), 0, scatter[1])
        upper = replace(upper, z_mm=min(upper.z_mm, high + _MOST_ADDED_MM), moved_mm=min(upper.moved_mm, _MOST_ADDED_MM))
    if not piece[0].any():
        aim = bottom.z_mm if bottom is not None else None
        lower = _end(low, aim, (_LOWER_TOLERANCE_MM, np.inf), 1, scatter[0])
    used: UpperEnd = definition if artery is not None and upper is not None else "model"
    return _moved(found, upper, lower, high, sliver), Ends(upper, lower, used, levels)


def _areas_mm2(piece: Voxels, grid: Grid) -> NDArray[np.float64]:
    return np.asarray(piece.sum(axis=(1, 2)) * (grid.spacing_mm[0] * grid.spacing_mm[1]), np.float64)


def _scatter_mm(found: Found) -> tuple[float, float]:
    """Standard deviation of the lower and the upper end between the looks, in mm."""
    ends = []
    for one in found.looks:
        inside = np.flatnonzero(_areas_mm2(largest_piece(one), found.grid) >= _LEAST_AREA_MM2)
        if inside.size:
            ends.append(found.grid.positions_mm[inside[[0, -1]]])
    low, high = np.std(ends, axis=0, ddof=1) if len(ends) > 1 else (0.0, 0.0)
    return float(low), float(high)


def _end(own: float, aim: float | None, tolerance: tuple[float, float], side: int, scatter: float) -> End:
    """The network's end, moved to the nearest one that the level allows (``tolerance`` below and above it); ``side`` 0 upper, 1 lower."""
    least, unconfirmed = LEAST_DEVIATION_MM[side], (UPPER_END_SD_MM, LOWER_END_SD_MM)[side]
    if aim is None:
        return End(own, float(np.hypot(unconfirmed, scatter)))
    z = float(np.clip(own, aim - tolerance[0], aim + tolerance[1]))
    return End(z, float(np.sqrt(least**2 + scatter**2 + ((own - aim) / 2) ** 2)), z - own)


def _moved(found: Found, upper: End | None, lower: End | None, high: float, sliver: bool) -> Found:
    cut = upper is not None and (sliver or bool(upper.moved_mm))
    if not cut and (lower is None or not lower.moved_mm):
        return found
    volumes = [found.logits, *found.looks]
    grid = found.grid
    if upper is not None and upper.moved_mm > 0:
        volumes = [_stretched(v, grid, high, upper.z_mm) for v in volumes]
    above = upper.z_mm if upper is not None and cut else np.inf
    below = lower.z_mm if lower is not None and lower.moved_mm else -np.inf
    room = np.minimum(above - grid.positions_mm, grid.positions_mm - below) * _STEEP
    logits, *looks = (np.minimum(v, room[:, None, None]).astype(np.float32) for v in volumes)
    return replace(found, logits=logits, looks=tuple(looks))


def _stretched(values: Volume, grid: Grid, high: float, aim: float) -> Volume:
    """The same with its uppermost part pulled up, so that what ended at ``high`` ends at ``aim``."""
    fixed = high - _STRETCHED_MM
    z = grid.positions_mm
    source = np.where(z > fixed, fixed + (z - fixed) * (high - fixed) / (aim - fixed), z)
    index = np.interp(source, z, np.arange(z.size))
    below = np.floor(index).astype(int)
    share = (index - below).astype(np.float32)[:, None, None]
    return np.asarray(values[below] * (1 - share) + values[np.minimum(below + 1, z.size - 1)] * share, np.float32)


def scaled_ends(ends: Ends, factor: tuple[float, float]) -> Ends:
    """The same with the deviations of upper and lower end times a factor."""
    upper, lower = (
        replace(end, deviation_mm=round(end.deviation_mm * f, 1)) if end is not None else None
        for end, f in zip((ends.upper, ends.lower), factor, strict=True)
    )
    return replace(ends, upper=upper, lower=lower)


def contradictions(piece: Voxels, grid: Grid, ends: Ends | None, landmarks: Landmarks | None) -> tuple[str, ...]:
    """What the anatomy around a draft speaks against it, one sentence's part each.

    Args:
        piece: the heart's voxels as the network drew them.
        grid: where.
        ends: of the draft.
        landmarks: of the chest.
    """
    where = grid.patient_mm(np.argwhere(piece))
    if not len(where):
        return ()
    doubts = []
    levels = ends.levels if ends is not None and ends.levels else {}
    if ends is not None:
        for name, end in (("upper", ends.upper), ("lower", ends.lower)):
            if end is not None and abs(end.moved_mm) > _LEAKED_MM:
                side = "above" if end.moved_mm < 0 else "below"
                doubts.append(
                    f"the network drew its {name} end {abs(end.moved_mm):.0f} mm {side} where the levels of the chest allow it"
                )
    if landmarks is None:
        return tuple(doubts)
    carinas = [landmarks.carina_mm, levels["carina"].z_mm if "carina" in levels else None]
    seen = [mm for mm in carinas if mm is not None]
    # The higher of both: one of them may be wrong.
    over = float(where[:, 2].max()) - max(seen) if seen else 0.0
    if over > _ABOVE_CARINA_MM:
        doubts.append(f"it reaches {over:.0f} mm above the carina, where there is no heart")
    aside = max(landmarks.low[0] - float(where[:, 0].min()), float(where[:, 0].max()) - landmarks.high[0])
    if aside > _ASIDE_MM:
        doubts.append(f"it reaches {aside:.0f} mm beyond the lungs to a side")
    under = landmarks.low[2] - float(where[:, 2].min())
    if under > _BELOW_LUNGS_MM:
        doubts.append(f"it reaches {under:.0f} mm below the lungs")
    return tuple(doubts)

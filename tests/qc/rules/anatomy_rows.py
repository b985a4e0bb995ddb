"""Neighbours, size and side: too small and too large, left and right, in front and behind."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rtqc.core import Image, Orientation
from rtqc.qc import Measurements
from tests.qc.rules.build import BOX, GRID, HEIGHTS, block, measured
from tests.qc.rules.table import Fires, Silent

_X0, _Y0, _X1, _Y1 = BOX
_SAGITTAL = Orientation((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_ML, _OF_HEART = "ml", "% of the heart's volume"


def _beside(name: str, overlap_mm: float, heights: tuple[float, ...] = HEIGHTS, kind: str = "ORGAN") -> Measurements:
    """A box of 20 mm behind the heart, along its whole width of 80 mm, that reaches so far into it."""
    return measured(block(), block(name, heights, (_X0, _Y1 - overlap_mm, _X1, _Y1 + 20.0), kind))


def _lungs(left_x: float, right_x: float) -> Measurements:
    """Lungs of 20 mm whose inner borders are at these x; the heart reaches from -20 to 60 mm."""
    return measured(
        block(),
        block("Lung_L", corners=(left_x, -40, left_x + 20, 20)),
        block("Lung_R", corners=(right_x - 20, -40, right_x, 20)),
    )


def _swapped(left_x: float, right_x: float) -> Measurements:
    return measured(
        block(),
        block("Lung_L", corners=(left_x - 10, 0, left_x + 10, 20)),
        block("Lung_R", corners=(right_x - 10, 0, right_x + 10, 20)),
    )


def _volume(ml: float) -> Measurements:
    return measured(block(corners=(0.0, 0.0, 100.0, ml * 1000 / 63 / 100)))


def _lung_tissue(columns: int, slices: slice) -> Measurements:
    """So many of the heart's 27 columns are lung, on some slices of the CT."""
    hu = np.full(GRID.shape, 40.0, np.float32)
    first = int(np.searchsorted(GRID.columns_mm, _X0))
    hu[slices, :, first : first + columns] = -800.0
    return measured(image=Image(GRID, hu))


def _artery(x0: float, heights: tuple[float, ...] = HEIGHTS, orientation: Orientation | None = None) -> Measurements:
    """A vessel of 4 x 4 mm at an x, in the heart's middle from front to back."""
    more: dict[str, Any] = {"orientation": orientation} if orientation is not None else {}
    return measured(block(), block("A_LAD", heights, (x0, -10.0, x0 + 4.0, -6.0), **more))


_ON_TWO = (6.0, 9.0)

ROWS: tuple[Fires | Silent, ...] = (
    # 80 mm wide, 3 mm a plane: 1 mm of overlap on a plane is 0.24 ml.
    *(
        row
        for name, limit, above, within in (
            ("SpinalCord", 0.2, 1.0, 0.8), ("Spinal Canal", 0.2, 1.0, 0.8), ("VB_T5", 1.0, 4.2, 4.1), ("Esophagus", 2.0, 8.4, 8.3),
        )
        for row in (
            Fires(
                "anatomy.overlap", name, partial(_beside, name, above, (6.0,)),
                (f"{above * 0.24:.1f} ml of Heart lie in {name}, at 6.0 mm: one of the two is drawn too large",), (), above * 0.24, limit, _ML, (6.0,), ("Heart", name),
            ),
            Silent("anatomy.overlap", f"{name}, just within", partial(_beside, name, within, (6.0,))),
        )
    ),
    Silent("anatomy.overlap", "an organ that may overlap", lambda: _beside("Stomach", 20.0)),
    Silent("anatomy.overlap", "a margin around the cord", lambda: _beside("SpinalCord_PRV05", 20.0)),
    Silent("anatomy.overlap", "on other planes", lambda: _beside("SpinalCord", 20.0, (33.0, 36.0))),
    Fires(
        "anatomy.heart_in_target", "9.6 of 38.4 ml of a target", lambda: _beside("PTV", 20.0, _ON_TWO, "PTV"),
        ("9.6 ml of PTV are heart (50 % of the target, 3.2 % of Heart)",), (), 9.6, 1.0, _ML, _ON_TWO, ("Heart", "PTV"),
    ),
    Silent("anatomy.heart_in_target", "just within 1 ml", lambda: _beside("PTV", 4.1, (6.0,), "PTV")),
    Silent("anatomy.heart_in_target", "an organ", lambda: _beside("Liver", 20.0)),
    Fires(
        "anatomy.lung_gap", "12 mm from the left lung", lambda: _lungs(72.0, -20.0),
        ("Heart and Lung_L are 12 mm apart where they are nearest",), ("Lung_R",), 12.0, 10.0, "mm", structures=("Heart", "Lung_L"),
    ),
    Fires(
        "anatomy.lung_gap", "14 mm from the right lung", lambda: _lungs(60.0, -34.0),
        ("Heart and Lung_R are 14 mm apart where they are nearest",), ("Lung_L",), 14.0, 10.0, "mm", structures=("Heart", "Lung_R"),
    ),
    Fires(
        "anatomy.lung_gap", "no common slice", lambda: measured(block(), block("Lung_L", (60.0, 63.0), (60.0, -40.0, 80.0, 20.0))),
        ("Heart and Lung_L share no slice",), (), "no common slice with the left lung", structures=("Heart", "Lung_L"),
    ),
    Silent("anatomy.lung_gap", "10 mm from either", lambda: _lungs(70.0, -30.0)),
    Silent("anatomy.lung_gap", "both overlap the heart", lambda: _lungs(50.0, -10.0)),
    Fires(
        "contour.volume", "249 ml", lambda: _volume(249.0),
        ("Heart has 249 ml, implausibly small for an adult's heart (limit 250 ml)",), ("large",), 249.0, 250.0, _ML, structures=("Heart",),
    ),
    Fires(
        "contour.volume", "1401 ml", lambda: _volume(1401.0),
        ("Heart has 1401 ml, implausibly large for an adult's heart (limit 1400 ml)",), ("small",), 1401.0, 1400.0, _ML, structures=("Heart",),
    ),
    Silent("contour.volume", "251 ml", lambda: _volume(251.0)),
    Silent("contour.volume", "1399 ml", lambda: _volume(1399.0)),
    # 27 columns of voxels on 21 slices; slice 10 of the CT is the heart's first.
    Fires(
        "contour.contains_lung", "14 of 27 columns on 3 of 21 slices", lambda: _lung_tissue(14, slice(0, 13)),
        ("7 % of Heart is lung or air on the CT", "most at -30.0, -27.0, -24.0 mm"), (), 100 * 14 / 27 * 3 / 21, 5.0, "% of the heart's voxels under -400 HU", (-30.0, -27.0, -24.0), ("Heart",),
    ),
    Silent("contour.contains_lung", "7 of 27 columns on 4 of 21 slices", lambda: _lung_tissue(7, slice(0, 14))),
    Silent("contour.contains_lung", "lung above the heart", lambda: _lung_tissue(27, slice(31, None))),
    Fires(
        "contour.overlaps_lung", "4 of 80 mm of the left lung", lambda: _lungs(56.0, -20.0),
        ("5 % of Heart (15 ml) overlaps Lung_L, at -30.0",), ("Lung_R",), 5.0, 3.0, _OF_HEART, HEIGHTS, ("Heart", "Lung_L"),
    ),
    Fires(
        "contour.overlaps_lung", "8 of 80 mm of the right lung", lambda: _lungs(60.0, -12.0),
        ("10 % of Heart (30 ml) overlaps Lung_R",), ("Lung_L",), 10.0, 3.0, _OF_HEART, HEIGHTS, ("Heart", "Lung_R"),
    ),
    Silent("contour.overlaps_lung", "2.3 of 80 mm of either", lambda: _lungs(57.7, -17.7)),
    Fires(
        "lungs.swapped", "the left one on the right", lambda: _swapped(-70.0, 50.0),
        ("Lung_L lies on the patient's right and Lung_R on the left: the names are swapped",), (), -120.0, structures=("Lung_L", "Lung_R"),
    ),
    Silent("lungs.swapped", "each on its side", lambda: _swapped(70.0, -50.0)),
    Silent("lungs.swapped", "each on its side of a patient who lies far to the right", lambda: _swapped(-150.0, -250.0)),
    Silent("lungs.swapped", "one lung", lambda: measured(block(), block("Lung_L", corners=(-100.0, 0.0, -80.0, 20.0)))),
    *(
        Fires(
            "substructure.place", where, partial(_artery, x0),
            ("100 % of A_LAD (left anterior descending artery) lies more than 10 mm from Heart",), (), 100.0, 10.0, "mm", HEIGHTS, ("A_LAD", "Heart"),
        )
        for where, x0 in (("to the left", 70.5), ("to the right", -34.5))
    ),
    Fires(
        "substructure.place", "above the heart's end", lambda: _artery(20.0, (45.0, 48.0)),
        ("100 % of A_LAD",), (), 100.0, 10.0, "mm", (45.0, 48.0), ("A_LAD", "Heart"),
    ),
    Fires(
        "substructure.place", "below the heart's end", lambda: _artery(20.0, (-48.0, -45.0)),
        ("100 % of A_LAD",), (), 100.0, 10.0, "mm", (-48.0, -45.0), ("A_LAD", "Heart"),
    ),
    Silent("substructure.place", "10 mm beside, to the left", lambda: _artery(66.0)),
    Silent("substructure.place", "10 mm beside, to the right", lambda: _artery(-30.0)),
    Silent("substructure.place", "a slice and 10 mm above", lambda: _artery(20.0, (42.0,))),
    Silent("substructure.place", "inside", lambda: _artery(20.0)),
    Silent("substructure.place", "on other planes than the heart", lambda: _artery(200.0, orientation=_SAGITTAL)),
)  # fmt: skip

"""A heart held against others: more or less than usual, and by how much."""

from __future__ import annotations

from rtqc.core.assessment import SurfaceRegion
from rtqc.heart.landmarks import Landmarks
from rtqc.qc import Measurements, Population
from rtqc.qc.population import Usual
from tests.qc.rules.build import HEART_ML, HEIGHTS, IMAGE, agreement, block, draft, measured
from tests.qc.rules.table import Fires, Silent

#: The box of 80 x 60 x 63 mm has its middle at (20, -10, 0); lungs reach from -100 to 150, from -90 to 60 and from -80 to 120 mm.
_LANDMARKS = Landmarks((-100.0, -90.0, -80.0), (150.0, 60.0, 120.0), carina_mm=61.5)
_LEFTWARD, _BACKWARD, _UPWARD = 100 * 120 / 250, 100 * 80 / 150, 100 * 80 / 200
_SD = "standard deviations (robust)"
_HU = 40.0


def _against(feature: str, usual: float, sigma: float, synthetic: int = 0) -> Measurements:
    """The box against a population that knows one number, with a draft that lies 4 mm to the right of, before and below it."""
    found = Population(name="ours", count=77, synthetic=synthetic, features={feature: Usual(centre=usual, sigma=sigma)})
    regions = tuple(
        SurfaceRegion(name=name, area_mm2=1.0, signed_distance_mm=mm, furthest_outside_mm=0.0, furthest_inside_mm=0.0)
        for name, mm in (
            ("right", 1.0),
            ("left", 2.0),
            ("anterior", 3.0),
            ("posterior", 4.0),
            ("inferior", 5.0),
            ("superior", 6.0),
        )
    )
    held = agreement(
        centroid_shift_mm=(-4.0, -5.0, -6.0), mean_surface_distance_mm=2.5, signed_surface_distance_mm=1.5, hausdorff95_mm=7.0, regions=regions,
    )  # fmt: skip
    # The draft's ends lie 9 mm above and 6 mm below the contour's.
    drawn = block("Heart_rtqc", (*HEIGHTS, 33.0, 36.0, 39.0, -33.0, -36.0))
    return measured(image=IMAGE, population=found, agreement=held, draft=draft(drawn, landmarks=_LANDMARKS))


def _rows(rule: str, feature: str, value: float, sigma: float, words: str) -> tuple[Fires | Silent, ...]:
    """Six standard deviations above and below fire, five do not."""

    def given(deviations: float) -> Measurements:
        return _against(feature, value - deviations * sigma, sigma)

    def row(deviations: float, side: str, other: str) -> Fires:
        usual = f"{side} than the usual {value - deviations * sigma:.4g} by 6.0 standard deviations"
        return Fires(
            rule, f"{feature}, {side}", lambda: given(deviations),
            ("Heart is unlike the 77 hearts of ours", f"its {words} is {value:.4g}", usual), (f"{other} than", "synthetic"), 6.0, 5.5, _SD, structures=("Heart",),
        )  # fmt: skip

    return (
        row(6.0, "more", "less"),
        row(-6.0, "less", "more"),
        Silent(rule, f"{feature}, 5 more", lambda: given(5.0)),
        Silent(rule, f"{feature}, 5 less", lambda: given(-5.0)),
    )


#: Of a box, outer walls and ends: 2 x (80 + 60) x 63 + 2 x 80 x 60 mm², with the ends' slabs inclined (docs/metrics.md): see the formula in words there.
_WALL = 280 * 3.0
_SURFACE = (19 * _WALL + 2 * (_WALL**2 + 4800.0**2) ** 0.5) / HEART_ML / 100

ROWS: tuple[Fires | Silent, ...] = (
    *_rows("population.size", "volume_ml", HEART_ML, 10.0, "volume"),
    *_rows("population.size", "length_mm", 63.0, 2.0, "length from the lower to the upper end"),
    *_rows("population.size", "width_mm", 80.0, 2.0, "width"),
    *_rows("population.size", "depth_mm", 60.0, 2.0, "depth from front to back"),
    *_rows("population.place", "leftward_percent", _LEFTWARD, 2.0, "place from right to left between the lungs"),
    *_rows("population.place", "backward_percent", round(_BACKWARD, 2), 2.0, "place from front to back between the lungs"),
    *_rows("population.place", "upward_percent", _UPWARD, 2.0, "height within the lungs"),
    *_rows("population.place", "below_carina_mm", 30.0, 2.0, "upper end below the carina"),
    *_rows("population.form", "surface_to_volume_per_cm", round(_SURFACE, 4), 0.01, "surface for its volume"),
    *_rows("population.form", "profile_3", 1.0, 0.02, "cross-section in tenth 3 of its length, counted from below, of the mean one"),
    *_rows("population.agreement", "agreement_shift_left_mm", 4.0, 1.0, "place to the left of the draft's"),
    *_rows("population.agreement", "agreement_shift_back_mm", 5.0, 1.0, "place behind the draft's"),
    *_rows("population.agreement", "agreement_shift_up_mm", 6.0, 1.0, "place above the draft's"),
    *_rows("population.agreement", "agreement_mean_mm", 2.5, 1.0, "mean surface distance to the draft"),
    *_rows("population.agreement", "agreement_signed_mm", 1.5, 1.0, "surface outside the draft's on average"),
    *_rows("population.agreement", "agreement_hd95_mm", 7.0, 1.0, "95th percentile of the distance to the draft"),
    *_rows("population.agreement", "agreement_right_mm", 1.0, 1.0, "right side outside the draft"),
    *_rows("population.agreement", "agreement_left_mm", 2.0, 1.0, "left side outside the draft"),
    *_rows("population.agreement", "agreement_anterior_mm", 3.0, 1.0, "front outside the draft"),
    *_rows("population.agreement", "agreement_posterior_mm", 4.0, 1.0, "back outside the draft"),
    *_rows("population.agreement", "agreement_inferior_mm", 5.0, 1.0, "lower side outside the draft"),
    *_rows("population.agreement", "agreement_superior_mm", 6.0, 1.0, "upper side outside the draft"),
    *_rows("population.agreement", "agreement_lower_end_mm", 6.0, 1.0, "lower end above the draft's"),
    *_rows("population.agreement", "agreement_upper_end_mm", -9.0, 1.0, "upper end above the draft's"),
    Fires(
        "population.size", "of synthetic patients", lambda: _against("volume_ml", HEART_ML - 60, 10.0, 12),
        ("unlike the 77 hearts (12 of them synthetic) of ours",), (), 6.0, 5.5, _SD, structures=("Heart",),
    ),
    # More fat or lung than usual only: few have less.
    Fires(
        "population.density", "less dense", lambda: _against("low_hu", _HU + 60, 10.0),
        ("its 5th percentile of the CT numbers inside is 40 HU, less than the usual 100 by 6.0 standard deviations",), ("more",), 6.0, 5.5, _SD, structures=("Heart",),
    ),
    Silent("population.density", "denser", lambda: _against("low_hu", _HU - 60, 10.0)),
    Silent("population.density", "5 less dense", lambda: _against("low_hu", _HU + 50, 10.0)),
)  # fmt: skip

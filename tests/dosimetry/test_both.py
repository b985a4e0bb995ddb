"""What the report says of dose: which number is whose, with which sign, and what is left out when something is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtqc.core import Case, Dose, Grid, Orientation, Structure
from rtqc.core.assessment import DoseComparison, DoseMetrics
from rtqc.core.case import ContourDefect, DoseAttributes, Plan, PlanningDvh, Provenance, Roi
from rtqc.dicom import read_case
from rtqc.dosimetry import AlphaBeta, BothHearts, SurfaceBand, dvh, organ_dose, organ_doses, second_calculation
from rtqc.dosimetry import both as module
from rtqc.qc.protocol import Constraint
from tests.dicom.boxes import HEART_SLICES, heart, write_ct, write_structures
from tests.shapes import boot, field_dose, prism
from tests.truth.files import write_dose

#: Rises by 0.1, 0.2 and 0.3 Gy a mm to the left, the back and the head; 20 Gy at the origin.
GRADIENT = np.array([0.1, 0.2, 0.3])
GRID = Grid.regular((31, 36, 41), (4.0, 3.0, 2.0), (-40, -52, -60))
DOSE = field_dose(GRID, lambda xyz: 20 + xyz @ GRADIENT)
PLANES = np.arange(-4.5, 5, 3)
#: Contour and draft: the same boot, 8 mm further to the left, 4 mm to the front and 6 mm down: 0.8 - 0.8 - 1.8 = -1.8 Gy.
HEART = prism(boot(-15, -20), PLANES, "Heart", slice_spacing_mm=3.0)
DRAFT = prism(boot(-7, -24), PLANES - 6, "Draft", slice_spacing_mm=3.0)
#: The same on one plane each, where only what is there matters.
FLAT, FLAT_DRAFT = (
    prism(boot(-15, -20), (0.0,), "Heart", slice_spacing_mm=3.0),
    prism(boot(-7, -24), (-3.0,), "Draft", slice_spacing_mm=3.0),
)
TISSUE = AlphaBeta(2.5, "a source")
#: Two ROIs; the first is not the heart.
ROI = Roi(7, HEART)
CASE = Case(
    rois=(Roi(3, prism(boot(5, 10), PLANES, "Liver")), ROI), dose=DOSE, plan=Plan(fractions=15), dose_attributes=DoseAttributes("PHYSICAL"),
)  # fmt: skip


def mean_of(structure: Structure) -> float:
    return float(20 + structure.centroid_mm @ GRADIENT)


def told(
    case: Case = CASE,
    heart: Structure | None = FLAT,
    draft: Structure | None = FLAT_DRAFT,
    roi: Roi | None = ROI,
    **more: object,
) -> DoseComparison:
    found = BothHearts.of(case, roi, heart, draft, TISSUE).comparison(**more)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.fixture(scope="module")
def comparison() -> DoseComparison:
    return told(CASE, HEART, DRAFT, breast_of_a_woman=True)


def test_each_heart_has_its_own_dose_and_the_difference_is_draft_minus_contour(comparison: DoseComparison) -> None:
    assert comparison.contoured is not None
    assert comparison.draft is not None
    assert comparison.difference is not None
    # In a linear dose a mean is that of the middle; edges that samples round take 0.05 Gy.
    assert comparison.contoured.mean_gy == pytest.approx(mean_of(HEART), abs=0.05)
    assert comparison.draft.mean_gy == pytest.approx(mean_of(DRAFT), abs=0.05)
    assert mean_of(DRAFT) - mean_of(HEART) == pytest.approx(-1.8)
    for key, value in comparison.difference.model_dump().items():
        a, b = getattr(comparison.draft, key), getattr(comparison.contoured, key)
        assert value == pytest.approx(a - b, abs=1e-9), key
    assert comparison.difference.mean_gy == pytest.approx(-1.8, abs=0.05)
    assert comparison.difference.max_gy == pytest.approx(-1.8, abs=0.2)
    assert (comparison.contoured.covered_percent, comparison.difference.covered_percent) == (100, 0)
    assert comparison.draft_error is None


def test_less_dose_with_the_draft_is_less_risk(comparison: DoseComparison) -> None:
    """(1 + 0.074 draft) / (1 + 0.074 contour) - 1, and 1.165 to the power of the difference."""
    risk = comparison.relative_risk
    assert risk is not None
    contour, draft = comparison.contoured.mean_gy, comparison.draft.mean_gy  # type: ignore[union-attr]
    assert risk.percent == pytest.approx(100 * ((1 + 0.074 * draft) / (1 + 0.074 * contour) - 1), abs=0.006)
    assert risk.acute_percent == pytest.approx(100 * (1.165 ** (draft - contour) - 1), abs=0.006)
    assert risk.percent < 0
    assert told().relative_risk is None


def test_eqd2_has_the_plans_fractions_and_the_tissues_alpha_beta_for_both(comparison: DoseComparison) -> None:
    """Point by point; the variance of a dose adds to its mean: EQD2 = (mean² + variance) / 15 + 2.5 mean, over 4.5."""
    eqd2 = comparison.eqd2
    assert eqd2 is not None
    assert (eqd2.fractions, eqd2.alpha_beta_gy, eqd2.source) == (15, 2.5, "a source")
    for found, structure in ((eqd2.contoured, HEART), (eqd2.draft, DRAFT)):
        h = organ_dose(CASE, structure, TISSUE).physical
        assert h is not None
        assert found is not None
        square = float(h.gy**2 @ h.ml / h.ml.sum())
        assert found.mean_gy == pytest.approx((square / 15 + 2.5 * h.mean_gy) / 4.5, abs=1e-3)
    assert eqd2.difference is not None
    assert eqd2.difference.mean_gy == pytest.approx(eqd2.draft.mean_gy - eqd2.contoured.mean_gy, abs=1e-9)  # type: ignore[union-attr, operator]
    assert eqd2.difference.mean_gy < -1


def test_curves_slices_and_sensitivity_are_of_the_right_heart(comparison: DoseComparison) -> None:
    for curve, structure in ((comparison.contoured_curve, HEART), (comparison.draft_curve, DRAFT)):
        assert curve is not None
        half = float(np.interp(-structure.volume_ml / 2, -np.array(curve.volume_ml), curve.dose_gy))
        assert half == pytest.approx(mean_of(structure), abs=0.7)
    # Together the slices are the difference; the draft's lowest adds, the contour's highest takes.
    parts = {s.position_mm: s.mean_difference_gy for s in comparison.slices}
    assert sum(parts.values()) == pytest.approx(comparison.difference.mean_gy, abs=2e-3)  # type: ignore[union-attr]
    assert parts[-10.5] > 1
    assert parts[4.5] < -1
    grown = {g.growth_mm: g for g in comparison.sensitivity}
    assert list(grown) == [-2, -1, 1, 2]
    # The boot's outline is 140 mm long and 12 mm high, its faces 668 mm² each.
    layer = (140 * 12 + 2 * 668) / 1000
    assert grown[1.0].volume_ml - HEART.volume_ml == pytest.approx(layer, rel=0.06)
    assert grown[-2.0].volume_ml - HEART.volume_ml == pytest.approx(-2 * layer, rel=0.12)
    assert grown[2.0].mean_gy == pytest.approx(mean_of(HEART), abs=0.4)


def test_one_heart_alone_has_no_difference() -> None:
    contour, draft = told(draft=None, breast_of_a_woman=True), told(heart=None, roi=None, breast_of_a_woman=True)
    assert contour.contoured is not None
    assert draft.draft is not None
    assert contour.draft is draft.contoured is None
    for one in (contour, draft):
        assert (one.difference, one.relative_risk, one.slices) == (None, None, ())
    assert (contour.draft_curve, draft.contoured_curve, draft.sensitivity) == (None, None, ())
    assert contour.eqd2 is not None
    assert draft.eqd2 is not None
    assert (contour.eqd2.draft, contour.eqd2.difference, draft.eqd2.contoured, draft.eqd2.difference) == (None,) * 4
    assert contour.eqd2.contoured is not None
    assert draft.eqd2.draft is not None
    assert BothHearts.of(CASE, None, None, None, TISSUE).comparison() is None
    assert BothHearts.of(replace(CASE, dose=None), ROI, HEART, DRAFT, TISSUE).comparison() is None


def test_a_plan_without_known_fractions_has_no_eqd2() -> None:
    for plan in (None, Plan(), Plan(fractions=15, fraction_groups=2)):
        assert told(replace(CASE, plan=plan)).eqd2 is None
    effective = replace(CASE, dose_attributes=DoseAttributes("EFFECTIVE"))
    found = told(effective)
    assert (found.eqd2, found.dose_type, found.unit) == (None, "EFFECTIVE", "Gy (RBE)")
    assert told().dose_type == "PHYSICAL"


def test_no_risk_is_told_where_a_part_of_either_heart_has_no_dose() -> None:
    """Points at multiples of 4 mm: the contour reaches from -6 to 6, the draft from -12 to 0."""
    upper, lower = (DOSE.grid.crop(part, slice(None), slice(None)) for part in (slice(13, None), slice(0, 16)))
    for grid, gy in ((upper, DOSE.gy[13:]), (lower, DOSE.gy[:16])):
        found = told(replace(CASE, dose=Dose(grid, gy)), HEART, DRAFT, breast_of_a_woman=True)
        assert found.relative_risk is None
        assert min(found.contoured.covered_percent, found.draft.covered_percent) < 90  # type: ignore[union-attr, type-var]
        assert max(found.contoured.covered_percent, found.draft.covered_percent) > 99.9  # type: ignore[union-attr, type-var]


def test_slices_need_one_orientation() -> None:
    turned = Structure("Draft", DRAFT.planes, Orientation((0, 1, 0), (0, 0, -1)), slice_spacing_mm=3.0)
    assert told(draft=turned).slices == ()
    assert told(draft=turned).difference is not None


# --- The second and the third opinion ---

FILES = Provenance(structure_set_path=Path("structures.dcm"), dose_paths=(Path("dose.dcm"),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the second calculation is asked for."""
    calls: list[tuple[object, ...]] = []

    def second(*arguments: object) -> DoseMetrics:
        calls.append(arguments)
        return DoseMetrics(mean_gy=1.25)

    monkeypatch.setattr(module, "second_calculation", second)
    return calls


def test_the_second_calculation_gets_the_hearts_number_and_the_files(asked: list[tuple[object, ...]]) -> None:
    found = told(replace(CASE, provenance=FILES))
    assert asked == [(Path("structures.dcm"), Path("dose.dcm"), 7)]
    assert found.second_calculation == DoseMetrics(mean_gy=1.25)


@pytest.mark.parametrize("files", [
    replace(FILES, dose_paths=(Path("beam1.dcm"), Path("beam2.dcm"))), replace(FILES, dose_paths=()), replace(FILES, structure_set_path=None),
])  # fmt: skip
def test_the_second_calculation_is_of_one_whole_dose_or_of_none(files: Provenance, asked: list[tuple[object, ...]]) -> None:
    assert told(replace(CASE, provenance=files)).second_calculation is None
    assert asked == []


def test_the_second_calculation_is_left_out_where_nothing_was_drawn_or_nobody_asks(asked: list[tuple[object, ...]]) -> None:
    case = replace(CASE, provenance=FILES)
    assert told(case, second_check=False).second_calculation is None
    assert told(case, heart=None, roi=ROI).second_calculation is None
    assert told(case, roi=None).second_calculation is None
    assert asked == []


@pytest.mark.parametrize(("last", "asks"), [(3.0, True), (3.1, True), (5.0, False)])
def test_the_second_calculation_is_not_asked_of_slices_of_two_spacings(
    last: float, asks: bool, asked: list[tuple[object, ...]]
) -> None:
    """dicompyler-core takes every plane as thick as the thinnest: its mean is right only where they are alike, to 0.1 mm."""
    image = (-6.0, -3.0, 0.0, 3.0, 3.0 + last, 3.0 + 2 * last)
    heart = replace(prism(boot(-15, -20), (-3.0, 0.0, 3.0, 3.0 + last), "Heart"), slices_mm=image)
    assert told(replace(CASE, provenance=FILES), heart=heart, roi=Roi(7, heart)).contoured is not None
    assert bool(asked) is asks


@pytest.mark.parametrize(
    ("defect", "asks"),
    [
        (ContourDefect("open", 0.0, dropped=True), False), (ContourDefect("few_points", 0.0, dropped=True), False), (ContourDefect("repeated", 0.0, dropped=True), False),
        (ContourDefect("across", 0.0, dropped=False), False), (ContourDefect("moved_to_slice", 0.0, dropped=False, offset_mm=0.4), False),
        (ContourDefect("moved_to_slice", 0.0, dropped=False, offset_mm=0.05), True), (ContourDefect("self_intersecting", 0.0, dropped=False), True),
    ],
)  # fmt: skip
def test_the_second_calculation_is_not_asked_of_contours_that_it_takes_otherwise(
    defect: ContourDefect, asks: bool, asked: list[tuple[object, ...]]
) -> None:
    told(replace(CASE, provenance=FILES), roi=replace(ROI, defects=(defect,)))
    assert bool(asked) is asks


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "CLOSED_PLANAR"])
def test_dicompyler_core_counts_open_contours_and_takes_copies_for_holes(tmp_path: Path, kind: str) -> None:
    """Why it is not asked: half of a box drawn as open contours, or twice, in a dose that rises towards it."""
    write_ct(tmp_path)
    more = [(kind, points) for _, points in heart([z for z in HEART_SLICES if z > 0])]
    closed = heart([z for z in HEART_SLICES if z <= 0]) if kind == "OPEN_PLANAR" else heart()
    write_structures(tmp_path, [(1, "Heart", [*closed, *more])])
    roi = read_case(tmp_path).rois[0]
    rising = field_dose(Grid.regular((41, 36, 36), (3.0, 4.0, 4.0), (-70, -70, -60)), lambda xyz: 20 + xyz[..., 2] / 3)
    write_dose(rising, tmp_path / "d.dcm")
    theirs = second_calculation(tmp_path / "RS.dcm", tmp_path / "d.dcm", 1)
    ours = dvh(roi.structure, rising).mean_gy
    assert theirs is not None
    assert theirs.mean_gy is not None
    assert abs(theirs.mean_gy - ours) > 1.0
    assert any(d.kind in ("open", "repeated") for d in roi.defects)


def test_the_planning_systems_own_dvh_is_that_of_the_heart() -> None:
    curves = {3: PlanningDvh((0.0, 9.0), (1.0, 0.0), 5.0, 4.5), 7: PlanningDvh((0.0, 30.0), (1.0, 0.0), 14.0, 15.5)}
    found = told(replace(CASE, planning_dvhs=curves)).planning_system
    assert found is not None
    assert found.mean_gy == 15.5
    assert found.d50_percent_gy == 15.0
    assert told(replace(CASE, planning_dvhs={3: curves[3]})).planning_system is None
    assert told(replace(CASE, planning_dvhs=curves), heart=None).planning_system is None
    assert told(replace(CASE, planning_dvhs=curves), roi=None).planning_system is None


# --- Other organs, and the draft's own error ---


def test_organs_are_found_by_the_names_that_protocols_have_for_them() -> None:
    lad = prism(boot(-30, -40, 0.5), PLANES, "LAD_PRV")
    case = replace(CASE, rois=(*CASE.rois, Roi(9, replace(lad, name="A LAD"))))
    doses = organ_doses(case, ["Liver", "A_LAD", "Lung_L", "", "Liver"], TISSUE)
    assert set(doses) == {"Liver", "A_LAD"}
    assert doses["Liver"].physical is not None
    assert doses["Liver"].physical.mean_gy == pytest.approx(mean_of(CASE.structures["Liver"]), abs=0.05)
    assert doses["A_LAD"].physical is not None
    assert doses["A_LAD"].physical.structure == "A LAD"
    assert doses["Liver"].eqd2 is not None
    assert doses["Liver"].eqd2.gy == pytest.approx(doses["Liver"].physical.eqd2(15, 2.5).gy)
    nothing = organ_dose(replace(CASE, dose=None), HEART, TISSUE)
    assert (nothing.physical, nothing.eqd2) == (None, None)
    assert organ_dose(CASE, None, TISSUE).physical is None


def constraint(name: str, **more: object) -> Constraint:
    return Constraint.model_validate(
        {"id": name, "description": name, "metric": "mean_gy", "limit": 4.0, "unit": "Gy", "source": "test"} | more
    )


def test_the_drafts_error_is_known_for_the_hearts_limits_and_grows_with_eqd2() -> None:
    band = SurfaceBand(lambda points: np.full(len(points), 2.0))
    hearts = BothHearts.of(CASE, ROI, HEART, DRAFT, TISSUE, band)
    wanted = (constraint("mean"), constraint("eqd2", eqd2=True), constraint("lung", structure="Lung_L"))
    errors = hearts.draft_errors(wanted)
    assert list(errors) == ["mean", "eqd2"]
    found = hearts.comparison()
    assert found is not None
    assert found.draft_error is not None
    assert errors["mean"] == found.draft_error.mean_gy
    assert errors["mean"] > 0
    # EQD2 grows by (2 D / 15 + 2.5) / 4.5 Gy for each Gy.
    slope = (2 * mean_of(DRAFT) / 15 + 2.5) / 4.5
    assert errors["eqd2"] == pytest.approx(errors["mean"] * slope, rel=0.1)
    unknown = BothHearts.of(replace(CASE, plan=None), ROI, HEART, DRAFT, TISSUE, band)
    assert list(unknown.draft_errors(wanted)) == ["mean"]
    for without in (
        BothHearts.of(CASE, ROI, HEART, DRAFT, TISSUE),
        BothHearts.of(CASE, ROI, HEART, None, TISSUE, band),
        BothHearts.of(replace(CASE, dose=None), ROI, HEART, DRAFT, TISSUE, band),
    ):
        assert without.moved is None
        assert without.draft_errors(wanted) == {}

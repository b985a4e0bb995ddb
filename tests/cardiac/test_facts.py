"""Classes at their borders, vessels that are counted once, and fat and calcium on blocks of whole voxels that are alike in no direction."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.cardiac import Heart, agatston, cac_drs, calcium_class, measure
from rtqc.cardiac.blood import Blood, noise_of
from rtqc.cardiac.boxes import box_of, marked, wider
from rtqc.cardiac.calcium import Lesion, _summed
from rtqc.cardiac.doses import region_doses
from rtqc.cardiac.epicardial_fat import _averaged, epicardial_fat
from rtqc.cardiac.notes import CARDIAC_RULES
from rtqc.cardiac.quiet import Quiet
from rtqc.cardiac.region import Region, region_of
from rtqc.cardiac.volume import heart_volume
from rtqc.core import Dose, Grid, Image, Structure
from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import Calcification, Kind, Vessel

AT_120 = Acquisition(kvp=120.0)

# --- Classes ---


@pytest.mark.parametrize(
    ("score", "drs", "deepcac"),
    [
        (0.0, "A0", "0"), (0.4, "A0", "0"), (0.6, "A1/N2", "1-100"), (1.0, "A1/N2", "1-100"), (99.0, "A1/N2", "1-100"), (99.4, "A1/N2", "1-100"),
        (99.6, "A2/N2", "1-100"), (100.0, "A2/N2", "1-100"), (100.4, "A2/N2", "1-100"), (101.0, "A2/N2", "101-300"), (299.0, "A2/N2", "101-300"),
        (300.0, "A3/N2", "101-300"), (300.6, "A3/N2", ">300"), (301.0, "A3/N2", ">300"), (5000.0, "A3/N2", ">300"),
    ],
)  # fmt: skip
def test_classes_begin_where_their_papers_say(score: float, drs: str, deepcac: str) -> None:
    """CAC-DRS (Hecht 2018): 0, 1 to 99, 100 to 299, 300 and more; DeepCAC (Zeleznik 2021): 0, 1 to 100, 101 to 300, more."""
    assert cac_drs(score, 2) == drs
    assert calcium_class(score) == deepcac


def test_calcium_without_a_vessel_is_of_one() -> None:
    assert [cac_drs(50.0, n) for n in (0, 1, 2, 3)] == ["A1/N1", "A1/N1", "A1/N2", "A1/N3"]


def _lesion(number: int, vessel: Vessel | None, score: float, counted: bool = True, kind: Kind = "coronary") -> Lesion:
    told = Calcification(
        number=number, kind=kind, vessel=vessel, probability=0.9, agatston=score, volume_mm3=2 * score, max_hu=500.0, position_mm=(0.0, 0.0, 0.0),
        slices_mm=(0.0,), depth_mm=4.0, counted=counted,
    )  # fmt: skip
    return Lesion(told, np.zeros((1, 3), np.intp))


def test_vessels_are_counted_once_however_many_lesions_they_have() -> None:
    lesions = [
        _lesion(1, "LM/LAD", 40.0), _lesion(2, "RCA", 25.5), _lesion(3, "LM/LAD", 34.5), _lesion(4, None, 900.0, False, "mitral annulus"), _lesion(5, "LM/LAD", 1.0),
    ]  # fmt: skip
    blood, quiet = (
        Blood(40.0, 12.0, False, 0.0),
        Quiet(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32), 12.0, 0.0, 1),
    )
    told = _summed(lesions, 1.0, AT_120, blood, quiet)
    assert told.agatston == 101.0
    assert told.volume_mm3 == 202.0
    assert told.cac_drs == "A2/N2"
    assert told.calcium_class == "101-300"
    assert told.by_vessel == {"LM/LAD": 75.5, "RCA": 25.5}
    assert [x.number for x in told.lesions] == [1, 2, 3, 5]
    assert [x.number for x in told.others] == [4]
    assert (told.threshold_hu, told.kvp, told.noise_hu) == (130.0, 120.0, 12.0)


def test_pixels_that_are_longer_than_wide_count_with_their_area() -> None:
    grid = Grid.regular((4, 20, 20), (3.0, 2.0, 0.5))
    hu = np.full(grid.shape, 40.0, np.float32)
    hu[1, 4:6, 5:10] = 250
    assert agatston(hu, np.ones(grid.shape, bool), grid) == pytest.approx(2 * 5 * 1.0 * 2)


# --- Fat in blocks of pixels ---

#: Pixels of 0.36 mm, of which two make one of 0.72 mm, in a grid that is longer than wide and lies off the origin.
FINE = Grid.regular((6, 120, 160), (3.0, 0.36, 0.36), (-10.0, 25.0, -40.0))
HEART = Structure("Heart", dict.fromkeys((-40.0, -37.0, -34.0, -31.0, -28.0, -25.0), MultiPolygon([box(-4.0, 30.0, 40.0, 60.0)])), slice_spacing_mm=3.0)  # fmt: skip


def _region(hu: np.ndarray, grid: Grid = FINE) -> Region:
    region = region_of(Image(grid, hu.astype(np.float32)), HEART)
    assert region is not None
    return region


def test_blocks_of_pixels_lie_in_the_middle_of_what_they_are_made_of() -> None:
    """CT numbers that rise along each axis by another step: a block's is that of its middle."""
    x, y = FINE.columns_mm[None, None, :], FINE.rows_mm[None, :, None]
    region = _region(3.0 * x - 7.0 * y + 11.0 * FINE.positions_mm[:, None, None])
    grid, hu = _averaged(region)
    assert grid.spacing_mm == pytest.approx((0.72, 0.72))
    expected = (
        3.0 * grid.columns_mm[None, None, :] - 7.0 * grid.rows_mm[None, :, None] + 11.0 * grid.positions_mm[:, None, None]
    )
    np.testing.assert_allclose(hu, expected, atol=2e-3)


@pytest.mark.parametrize("side", ["left", "right", "front", "back"])
def test_fat_on_one_side_of_the_heart_has_the_volume_of_its_layer(side: str) -> None:
    """6 mm of fat inside the outline on one side; the outline is 44 x 30 mm on 18 mm. Half a block at the outline and half a pixel at the fat's edge are 9 %."""
    x, y = np.broadcast_arrays(FINE.columns_mm[None, None, :], FINE.rows_mm[None, :, None])
    fat = {"left": x > 34.0, "right": x < 2.0, "front": y < 36.0, "back": y > 54.0}[side]
    hu = np.where(fat, -98.0, 45.0) * np.ones(FINE.shape)
    found = epicardial_fat(_region(hu), Blood(45.0, 0.0, False, 0.0))
    truth = 6.0 * (30.0 if side in ("left", "right") else 44.0) * 18.0 / 1000
    assert found.volume_ml == pytest.approx(truth, rel=0.09)
    assert found.threshold_volume_ml == pytest.approx(truth, rel=0.09)
    assert found.mean_hu == pytest.approx(-98.0, abs=0.5)
    assert found.share_percent == pytest.approx(100 * truth / (44 * 30 * 18 / 1000), rel=0.09)


@pytest.mark.parametrize(("hu", "fat"), [(-191.0, False), (-189.0, True), (-31.0, True), (-29.0, False)])
def test_fat_has_its_range_of_ct_numbers(hu: float, fat: bool) -> None:
    image = np.where(FINE.columns_mm[None, None, :] > 30.0, hu, 45.0) * np.ones(FINE.shape)
    found = epicardial_fat(_region(image), Blood(45.0, 0.0, False, 0.0))
    assert (found.volume_ml > 0.5) is fat
    assert (found.mean_hu is not None) is fat


# --- Region, noise, boxes ---


def test_depth_is_positive_inside_negative_outside_and_that_of_the_nearest_side() -> None:
    region = _region(np.zeros(FINE.shape))
    index = region.image.grid.index_of_patient(
        [(0.0, 45.0, -34.0), (36.0, 45.0, -34.0), (-9.0, 45.0, -34.0), (18.0, 33.0, -34.0)]
    )
    # To the nearest pixel of 1.5 mm.
    np.testing.assert_allclose(region.depth_at(np.rint(index).astype(np.intp)), [4.0, 4.0, -5.0, 3.0], atol=1.6)
    low, high = region.box_mm
    np.testing.assert_allclose(low, [-4.0, 30.0, -40.0], atol=1.6)
    np.testing.assert_allclose(high, [40.0, 60.0, -25.0], atol=1.6)


def test_noise_is_its_standard_deviation_and_an_edge_is_none() -> None:
    rng = np.random.default_rng(5)
    hu = rng.normal(0.0, 15.0, (12, 60, 80)).astype(np.float32)
    hu[:, :, 40:] += 80.0
    found = noise_of(hu, np.ones(hu.shape, bool), 1.0)
    # 50,000 pairs: the median's own error is under 1 %; the edge is in 4 % of the pairs.
    assert found == pytest.approx(15.0, rel=0.06)
    assert noise_of(hu, np.zeros(hu.shape, bool), 1.0) is None


def test_a_box_goes_as_far_as_its_voxels_and_no_further_than_the_image() -> None:
    index = np.array([(1, 2, 3), (2, 5, 4)])
    found = box_of(index)
    assert found == (slice(1, 3), slice(2, 6), slice(3, 5))
    assert wider(found, (4, 6, 9), (2, 1, 3)) == (slice(0, 4), slice(1, 6), slice(0, 8))
    assert np.argwhere(marked(index, found)).tolist() == [[0, 0, 0], [1, 3, 1]]


# --- Doses to what nobody drew ---


@pytest.mark.parametrize("slope", [(0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1)])
def test_the_mean_dose_around_a_lesion_is_that_of_its_place(slope: tuple[float, float, float]) -> None:
    """A dose that rises along one axis has, in the mean over what is alike on all sides of a lesion, the lesion's own."""
    region = _region(np.zeros(FINE.shape))
    place = np.array([18.0, 45.0, -31.0])
    index = np.rint(region.image.grid.index_of_patient(place[None])).astype(np.intp)
    points = Grid.regular((30, 40, 50), (3.0, 3.0, 3.0), (-60.0, -20.0, -80.0))
    at = np.stack(np.meshgrid(*map(np.arange, points.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    gy = (20 + points.patient_mm(at) @ np.array(slope)).reshape(points.shape).astype(np.float32)
    found = region_doses(region, [Lesion(_lesion(1, "RCA", 10.0).told, index)], Dose(points, gy))
    lesion = next(d for d in found if d.name == "Calcified RCA")
    # Within 5 mm on slices of 3 mm and pixels of 1.5 mm: half a pixel off the lesion's middle at most.
    assert lesion.mean_gy == pytest.approx(20 + place @ np.array(slope), abs=0.1)
    wall = next(d for d in found if d.name.startswith("Left ventricle"))
    # Left, lower and back: beyond the middle at (18, 45, -32.5) on each axis.
    middle = 20 + np.array([18.0, 45.0, -32.5]) @ np.array(slope)
    assert bool(wall.mean_gy > middle) is (slope[2] == 0)
    uncovered = region_doses(region, [], Dose(points.crop(slice(0, 17), slice(0, 40), slice(0, 50)), gy[:17]))
    assert uncovered == ()


# --- Why not, and how sure ---


@pytest.mark.parametrize(
    ("acquisition", "rule", "words"),
    [
        (Acquisition(kvp=120.0, image_type=("DERIVED", "SECONDARY", "MIP")), "cardiac.derived_image", "is a MIP"),
        (Acquisition(kvp=120.0, rescale_type="OD"), "cardiac.derived_image", "values are OD, not HU"),
    ],
)
def test_an_image_that_is_no_stack_of_slices_is_refused(acquisition: Acquisition, rule: str, words: str) -> None:
    found = measure(Image(FINE, np.full(FINE.shape, 40.0, np.float32)), Heart(HEART), acquisition)
    assert found.cardiac.heart is None
    (finding,) = found.findings
    assert (finding.rule, finding.severity, finding.certainty) == (rule, "info", CARDIAC_RULES[rule][0])
    assert words in finding.message


def _measured(acquisition: Acquisition = AT_120, hu: float = 40.0, **heart: object) -> dict[str, str]:
    found = measure(Image(FINE, np.full(FINE.shape, hu, np.float32)), Heart(HEART, **heart), acquisition)  # type: ignore[arg-type]
    return {f.rule: f.message for f in found.findings}


@pytest.mark.parametrize(
    ("acquisition", "rule", "words"),
    [
        (Acquisition(), "cardiac.kvp_absent", "120 kV was assumed"),
        (
            Acquisition(kvp=100.0),
            "cardiac.kvp_adapted",
            "The tube voltage is 100 kV, so calcium was scored from 148 HU instead of 130 HU on",
        ),
        (Acquisition(kvp=140.0), "cardiac.kvp_adapted", "from 117 HU instead of 130 HU on"),
        (Acquisition(kvp=69.0), "cardiac.kvp_unusual", "69 kV: calcium is scored at 70 to 150 kV"),
        (Acquisition(kvp=151.0), "cardiac.kvp_unusual", "151 kV"),
        (Acquisition(kvp=120.0, slice_thickness_mm=2.5), "cardiac.slice_gaps", "Slices are 2.5 mm thick and 3.00 mm apart"),
    ],
)
def test_what_the_header_says_changes_the_score_or_its_words(acquisition: Acquisition, rule: str, words: str) -> None:
    assert words in _measured(acquisition)[rule]


@pytest.mark.parametrize(
    "acquisition", [AT_120, Acquisition(kvp=120.0, slice_thickness_mm=2.8), Acquisition(kvp=120.0, slice_thickness_mm=5.0)]
)
def test_a_usual_header_needs_no_word(acquisition: Acquisition) -> None:
    assert _measured(acquisition) == {}


def test_contrast_agent_a_doubtful_draft_and_a_heart_cut_off_are_said() -> None:
    assert "blood 200 HU" in _measured(hu=200.0)["cardiac.contrast"]
    assert _measured(hu=90.0) == {}
    assert "(it is small)" in _measured(trusted=False, doubts=("it is small",))["cardiac.untrusted_heart"]
    assert "(left, inferior)" in _measured(cut_off=("left", "inferior"))["cardiac.heart_cut_off"]


@pytest.mark.parametrize(("spacing", "scored"), [(7.0, True), (7.1, False)])
def test_slices_that_are_too_far_apart_are_not_scored(spacing: float, scored: bool) -> None:
    grid = Grid.regular((6, 120, 160), (spacing, 0.36, 0.36), (-10.0, 25.0, -40.0))
    heart = Structure("Heart", {float(w): MultiPolygon([box(-4.0, 30.0, 40.0, 60.0)]) for w in grid.positions_mm})
    found = measure(Image(grid, np.full(grid.shape, 40.0, np.float32)), Heart(heart), AT_120)
    assert (found.cardiac.calcium is not None) is scored
    assert ("cardiac.thick_slices" in {f.rule for f in found.findings}) is not scored


def test_the_interval_of_a_volume_is_larger_upward_and_an_index_needs_all_of_the_heart() -> None:
    told = heart_volume(600.0, 0.9, (), Acquisition(height_m=1.7, weight_kg=70.0))
    assert (told.low_ml, told.high_ml) == (round(600 * 0.9 / 1.1, 1), round(600 * 1.1 / 0.9, 1))
    assert told.indexed_ml_per_m2 == pytest.approx(600 / 1.81, rel=0.001)
    assert heart_volume(600.0, 0.9, ("left",), Acquisition(height_m=1.7, weight_kg=70.0)).indexed_ml_per_m2 is None

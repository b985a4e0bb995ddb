"""Structure sets as planning systems, converters and scripts write them: the right volume, or a refusal by name.

The heart is a box of 60 x 60 mm on 21 slices of 3 mm: 226.8 ml, whatever way its contours are written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag

from rtqc.comparison import compare
from rtqc.core import AXIAL, Case, Grid, Structure
from rtqc.core.names import heart_score
from rtqc.dicom import read_case, read_structure_set, structure_set_of_file, structures_by_name
from rtqc.geometry import rasterize
from rtqc.qc import Measurements, choose_protocol, run_rules
from tests.conftest import real
from tests.dicom.boxes import HEART_SLICES, SLICES, Contour, contours_of, heart, square, write_ct, write_structures

BOX_ML = 226.8


def _read(folder: Path, contours: list[Contour], slices: tuple[float, ...] = SLICES, name: str = "Heart") -> Case:
    write_structures(folder, [(1, name, contours)], write_ct(folder, slices))
    return read_case(folder)


def _heart(case: Case) -> Structure:
    return case.structures["Heart"]


def _findings(case: Case, only: str) -> list[str]:
    """Messages of a rule about the case's heart."""
    found = run_rules(Measurements(case, case.rois[0]), choose_protocol(case).protocol, frozenset({only}))
    return [f.message for f in found]


def _without_ct(folder: Path, name: str = "Heart") -> Structure:
    return structures_by_name(structure_set_of_file(folder / "RS.dcm", None, 3.0).rois)[name]


def _volumes(folder: Path, case: Case) -> list[float]:
    """The volume with the CT, without it, and of the mask on the CT."""
    assert case.image is not None
    return [_heart(case).volume_ml, _without_ct(folder).volume_ml, rasterize(_heart(case), case.image.grid).volume_ml]


# --- Numbers used as keys ---


@pytest.mark.parametrize("number", [5, 0])
def test_two_rois_of_one_number_are_refused_and_both_are_named(tmp_path: Path, number: int) -> None:
    liver = [square(50, 70, z) for z in HEART_SLICES]
    write_structures(tmp_path, [(number, "Heart", heart()), (number, "Liver", liver)], write_ct(tmp_path))
    case = read_case(tmp_path)
    assert all(s.is_empty for s in case.structures.values())
    (finding,) = [f for f in case.findings if f.rule == "structure_set.roi_number"]
    assert finding.severity == "fail"
    assert "Heart" in finding.message
    assert "Liver" in finding.message


def test_an_roi_of_its_own_number_is_read_beside_two_that_share_one(tmp_path: Path) -> None:
    rois = [(1, "Heart", heart()), (5, "PTV", heart()), (5, "CTV", [square(-10, 10, 0)])]
    write_structures(tmp_path, rois, write_ct(tmp_path))
    case = read_case(tmp_path)
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-6)
    assert [f.evidence.structures for f in case.findings] == [("PTV", "CTV")]


def test_two_entries_of_one_number_and_one_name_are_one_roi(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", heart()), (1, "Heart", [])], write_ct(tmp_path))
    case = read_case(tmp_path)
    assert {name: round(s.volume_ml, 1) for name, s in case.structures.items()} == {"Heart": BOX_ML}
    assert case.findings == ()


def test_two_entries_of_one_number_and_name_with_contours_each_are_said_to_be_merged(tmp_path: Path) -> None:
    rois = [(1, "Heart", heart()), (1, "Heart", [square(50, 70, z) for z in HEART_SLICES])]
    write_structures(tmp_path, rois, write_ct(tmp_path))
    case = read_case(tmp_path)
    assert _heart(case).volume_ml == pytest.approx(BOX_ML + 0.4 * 63, rel=1e-6)
    assert [f.rule for f in case.findings] == ["structure_set.numbers_merged"]


@pytest.mark.parametrize(
    "numbers", [("1.4", "1.6"), ("A", "B"), ("9007199254740993", "9007199254740992")], ids=["decimals", "letters", "long"]
)
def test_numbers_that_are_no_small_whole_numbers_are_still_keys(tmp_path: Path, numbers: tuple[str, str]) -> None:
    def rename(dataset: FileDataset) -> None:
        for keyword, sequence in (("ROINumber", "StructureSetROISequence"), ("ReferencedROINumber", "ROIContourSequence")):
            for item, value in zip(dataset[sequence].value, numbers, strict=True):
                raw = value.encode() + b" " * (len(value) % 2)
                item._dict[Tag(keyword)] = RawDataElement(Tag(keyword), "IS", len(raw), raw, 0, False, True, True)

    liver = [square(50, 70, z) for z in HEART_SLICES]
    write_structures(tmp_path, [(1, "Heart", heart()), (2, "Liver", liver)], write_ct(tmp_path), edit=rename)
    case = read_case(tmp_path)
    assert {name: round(s.volume_ml, 1) for name, s in case.structures.items()} == {"Heart": BOX_ML, "Liver": 25.2}
    assert case.findings == ()


@pytest.mark.parametrize("kind", ["", "INTERPOLATED_PLANAR"])
def test_contours_of_no_known_type_are_closed_and_said(tmp_path: Path, kind: str) -> None:
    case = _read(tmp_path, [(kind, points) for _, points in heart()])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-6)
    (finding,) = case.findings
    assert (finding.rule, finding.evidence.measured) == ("structure_set.geometric_type", 21.0)


@pytest.mark.parametrize("at", [0, 1, 10, 21])
def test_contours_of_one_roi_in_two_items_are_merged(tmp_path: Path, at: int) -> None:
    def split(dataset: FileDataset) -> None:
        dataset.ROIContourSequence = [contours_of(1, heart()[:at]), contours_of(1, heart()[at:])]

    write_structures(tmp_path, [(1, "Heart", [])], write_ct(tmp_path), edit=split)
    assert _heart(read_case(tmp_path)).volume_ml == pytest.approx(BOX_ML, rel=1e-6)


def test_contours_of_a_number_that_no_roi_has_are_said(tmp_path: Path) -> None:
    def add(dataset: FileDataset) -> None:
        dataset.ROIContourSequence.append(contours_of(9, heart()))

    write_structures(tmp_path, [(1, "Heart", heart())], write_ct(tmp_path), edit=add)
    (finding,) = read_case(tmp_path).findings
    assert finding.rule == "structure_set.contours_without_roi"
    assert "21 contours refer to ROI number 9" in finding.message


# --- Heights ---


@pytest.mark.parametrize("off", [0.02, 0.08, 0.4, -0.4, 0.9, 1.4, -1.4])
def test_a_hole_off_its_slice_is_that_slices_hole(tmp_path: Path, off: float) -> None:
    contours = [c for z in HEART_SLICES for c in (square(-30, 30, z), square(-10, 10, z + off))]
    case = _read(tmp_path, contours)
    assert _heart(case).volume_ml == pytest.approx(201.6, rel=1e-6)
    assert _without_ct(tmp_path).volume_ml == pytest.approx(201.6, rel=2e-3 if abs(off) < 0.5 else 0.02)
    assert bool(_findings(case, "contour.off_plane")) == (abs(off) > 0.5)


def test_one_hole_off_its_slice_does_not_become_an_island(tmp_path: Path) -> None:
    case = _read(tmp_path, [*heart(), square(-10, 10, 9.4)])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML - 1.2, rel=1e-6)
    assert _without_ct(tmp_path).volume_ml == pytest.approx(BOX_ML - 1.2, rel=1e-3)


@pytest.mark.parametrize("thin", [0.6, 1.0])
def test_slices_of_a_thin_ct_stay_apart(tmp_path: Path, thin: float) -> None:
    slices = tuple(round(-12 + thin * k, 2) for k in range(int(24 / thin) + 1))
    case = _read(tmp_path, heart(slices[5:-5]), slices)
    assert len(_heart(case).planes) == len(slices) - 10
    expected = 3.6 * thin * (len(slices) - 10)
    assert _volumes(tmp_path, case)[:2] == pytest.approx([expected] * 2, rel=1e-3)


@pytest.mark.parametrize("offset", [1.2, 0.3, -0.9])
def test_contours_that_all_lie_off_the_slices_stay_where_they_are(tmp_path: Path, offset: float) -> None:
    case = _read(tmp_path, heart([z + offset for z in HEART_SLICES]))
    assert _heart(case).positions_mm == pytest.approx(np.array(HEART_SLICES) + offset, abs=0.01)
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-3)
    assert bool(_findings(case, "contour.off_plane")) == (abs(offset) > 0.5)


@pytest.mark.parametrize("step", [1.0, 1.5])
def test_contours_on_a_finer_grid_than_the_cts_are_slices_of_their_own(tmp_path: Path, step: float) -> None:
    """A cone whose outlines lie inside each other: united slice by slice they would be holes."""
    heights = np.arange(-30, 30 + 1e-6, step)
    case = _read(tmp_path, [square(-30 + 0.3 * abs(z), 30 - 0.3 * abs(z), float(z)) for z in heights])
    assert len(_heart(case).planes) == heights.size
    expected = sum((60 - 0.6 * abs(z)) ** 2 for z in heights) * step / 1000
    assert _heart(case).volume_ml == pytest.approx(expected, rel=1e-6)
    assert _without_ct(tmp_path).volume_ml == pytest.approx(expected, rel=1e-6)


def _cone(heights: Iterable[float]) -> tuple[list[Contour], float]:
    """Squares of half width 30 - 0.4 z, and the sum of their areas in mm²."""
    sides = [(float(z), 30 - 0.4 * float(z)) for z in heights]
    return [square(-r, r, z) for z, r in sides], sum(4 * r * r for _, r in sides)


@pytest.mark.parametrize(("step", "ct"), [(1.0, 1.25), (2.0, 2.5), (2.5, 3.0), (3.0, 3.75), (4.0, 5.0), (3.0, 2.5), (2.9, 3.0)])
def test_a_tapering_organ_on_a_grid_near_the_cts_keeps_every_outline(tmp_path: Path, step: float, ct: float) -> None:
    contours, area = _cone(np.arange(-30, 30 + 1e-6, step).round(3))
    case = _read(tmp_path, contours, tuple(np.arange(-60, 60 + 1e-6, ct).tolist()))
    assert _heart(case).volume_ml == pytest.approx(area * step / 1000, rel=1e-4)
    assert _without_ct(tmp_path).volume_ml == pytest.approx(area * step / 1000, rel=1e-4)
    assert "between CT slices" in _findings(case, "contour.off_plane")[0]


@pytest.mark.parametrize(("step", "ct", "count"), [(1.5, 3, 2), (1.5, 3, 3), (1, 3, 3), (1, 5, 3)])
def test_a_few_outlines_finer_than_the_ct_are_slices_of_their_own(tmp_path: Path, step: float, ct: float, count: int) -> None:
    contours, area = _cone(step * k for k in range(count))
    case = _read(tmp_path, contours, tuple(np.arange(-60, 61, ct).tolist()))
    assert _heart(case).volume_ml == pytest.approx(area * step / 1000, rel=1e-4)


@pytest.mark.parametrize(("ct", "missing"), [(3.0, (0,)), (3.0, (-3, 9)), (1.25, (0, 1.25)), (1.0, (0, 1, 2)), (5.0, (0,))])
def test_a_contour_whose_ct_slice_is_not_there_keeps_its_height(tmp_path: Path, ct: float, missing: tuple[float, ...]) -> None:
    slices = np.arange(-60, 60 + 1e-6, ct)
    contours, area = _cone(slices[np.abs(slices) <= 30])
    case = _read(tmp_path, contours, tuple(z for z in slices.tolist() if z not in missing))
    assert _heart(case).volume_ml == pytest.approx(area * ct / 1000, rel=1e-4)
    assert set(missing) <= set(_heart(case).planes)
    assert _findings(case, "contour.repeated") == []


@pytest.mark.parametrize("off", [0.3, 1.2, 1.5, -1.4])
def test_holes_that_leave_a_thin_wall_are_holes_beside_their_outlines_too(tmp_path: Path, off: float) -> None:
    contours = [c for z in HEART_SLICES for c in (square(-30, 30, z), square(-27, 27, z + off))]
    assert _heart(_read(tmp_path, contours)).volume_ml == pytest.approx((3600 - 54**2) * 63 / 1000, rel=1e-6)


@pytest.mark.parametrize(("fine", "coarse"), [(2, 6), (1, 3), (2, 5), (1.25, 4)])
def test_each_slice_is_as_thick_as_the_ct_says_there(tmp_path: Path, fine: float, coarse: float) -> None:
    lower = [-20 * fine + fine * k for k in range(21)]
    slices = tuple(lower + [coarse * k for k in range(1, 13)])
    drawn = [z for z in slices if -15 * fine <= z <= 7 * coarse]
    case = _read(tmp_path, heart(drawn), slices)
    expected = 3.6 * (15.5 * fine + 7.5 * coarse)
    assert _volumes(tmp_path, case) == pytest.approx([expected] * 3, rel=1e-3)
    assert case.findings == ()
    assert _findings(case, "contour.slice_missing") == []


def test_the_case_of_two_spacings_has_309_ml(tmp_path: Path) -> None:
    slices = tuple([-60.0 + 2 * k for k in range(31)] + [6.0 * k for k in range(1, 13)])
    case = _read(tmp_path, heart([z for z in slices if -40 <= z <= 42]), slices)
    assert _heart(case).volume_ml == pytest.approx(309.6, rel=1e-6)


@pytest.mark.parametrize(("thin", "every"), [(1.0, 3), (1.0, 2), (1.0, 5), (0.5, 6), (2.0, 4), (3.0, 3), (1.5, 3)])
def test_contours_on_every_nth_slice_have_one_volume_and_a_finding(tmp_path: Path, thin: float, every: int) -> None:
    count = int(80 / thin)
    slices = tuple(thin * (k - count // 2) for k in range(count))
    drawn = [z for k, z in enumerate(slices) if k % every == 0 and -30 <= z <= 30]
    case = _read(tmp_path, heart(drawn), slices)
    expected = 3.6 * thin * every * len(drawn)
    assert _volumes(tmp_path, case) == pytest.approx([expected] * 3, rel=0.02)
    assert _volumes(tmp_path, case)[:2] == pytest.approx([expected] * 2, rel=1e-6)
    agreement = compare(_heart(case), _without_ct(tmp_path))
    assert (agreement.dice, agreement.volume_difference_ml) == (1.0, 0.0)
    (message,) = _findings(case, "contour.slice_missing")
    assert "CT slices that it spans" in message or "no contour" in message


def test_one_forgotten_slice_is_interpolated_and_more_are_not(tmp_path: Path) -> None:
    one = _read(tmp_path / "one", heart([z for z in HEART_SLICES if z != 0]))
    three = _read(tmp_path / "three", heart([z for z in HEART_SLICES if abs(z) > 3]))
    assert _heart(one).volume_ml == pytest.approx(BOX_ML, rel=1e-6)
    assert _heart(three).volume_ml == pytest.approx(BOX_ML - 3 * 10.8, rel=1e-6)
    assert "1 CT slice has no contour" in _findings(one, "contour.slice_missing")[0]
    assert "3 CT slices have no contour" in _findings(three, "contour.slice_missing")[0]


@pytest.mark.parametrize("noise", [0.15, 0.4])
def test_a_contour_whose_heights_are_noisy_or_tilted_is_kept(tmp_path: Path, noise: float) -> None:
    def tilted(z: float) -> Contour:
        kind, points = square(-30, 30, z)
        return kind, [(x, y, z + noise * (1 if x > 0 else -1)) for x, y, z in points]

    case = _read(tmp_path, [tilted(z) for z in HEART_SLICES])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-3)
    assert case.rois[0].defects == ()


def _noisy(noise: float, seed: int = 5) -> list[Contour]:
    """Octagons of 1000 mm² and more in the box's slices, whose points' heights are off by up to the noise."""
    rng = np.random.default_rng(seed)
    angles = np.arange(8) * np.pi / 4
    return [
        ("CLOSED_PLANAR", [(30 * np.cos(a), 30 * np.sin(a), z + rng.uniform(-noise, noise)) for a in angles])
        for z in HEART_SLICES
    ]


@pytest.mark.parametrize("noise", [0.49, 0.8])
def test_a_contour_with_noise_of_every_point_is_of_its_mean_height(tmp_path: Path, noise: float) -> None:
    octagon = 2 * np.sqrt(2) * 30**2
    assert _heart(_read(tmp_path, _noisy(noise))).volume_ml == pytest.approx(octagon * 63 / 1000, rel=1e-6)


def test_an_organ_most_of_whose_contours_cannot_be_placed_has_no_volume(tmp_path: Path) -> None:
    flat = heart(HEART_SLICES[:8])
    steep = [(kind, [(x, y, z + 1.4 * (1 if x > 0 else -1)) for x, y, z in points]) for kind, points in heart(HEART_SLICES[8:])]
    case = _read(tmp_path, flat + steep)
    assert _heart(case).is_empty
    assert "13 contours with points that do not lie on one image plane" in _findings(case, "contour.degenerate")[0]
    assert len(_findings(case, "contour.empty")) == 1


def test_a_contour_that_leaves_its_slice_is_not_planar(tmp_path: Path) -> None:
    kind, points = square(-30, 30, 0)
    case = _read(tmp_path, [*heart([z for z in HEART_SLICES if z != 0]), (kind, [(x, y, x / 10) for x, y, _ in points])])
    assert [d.kind for d in case.rois[0].defects] == ["not_planar"]


def test_a_hole_in_contours_on_every_third_slice_is_as_thick_as_they_are(tmp_path: Path) -> None:
    slices = tuple(float(z) for z in range(-60, 61))
    drawn = [c for z in range(-30, 31, 3) for c in (square(-30, 30, z), square(-10, 10, z))]
    assert _heart(_read(tmp_path, drawn, slices)).volume_ml == pytest.approx(201.6, rel=1e-6)


# --- Rings ---


def test_pieces_that_overlap_are_united(tmp_path: Path) -> None:
    contours = heart() + [square(-30, 30, z, x=30) for z in HEART_SLICES]
    assert _heart(_read(tmp_path, contours)).volume_ml == pytest.approx(340.2, rel=1e-6)


def test_three_pieces_in_a_chain_are_united_in_any_order(tmp_path: Path) -> None:
    for k, order in enumerate(((0, 60, 30), (30, 0, 60), (60, 30, 0))):
        contours = [square(-20, 20, z, x) for z in HEART_SLICES for x in order]
        assert _heart(_read(tmp_path / str(k), contours)).volume_ml == pytest.approx(100 * 40 * 63 / 1000, rel=1e-6)


def test_what_lies_inside_is_a_hole_and_what_lies_in_the_hole_an_island(tmp_path: Path) -> None:
    contours = [c for z in HEART_SLICES for c in (square(-5, 5, z), square(-30, 30, z), square(-20, 20, z))]
    assert _heart(_read(tmp_path, contours)).volume_ml == pytest.approx((3600 - 1600 + 100) * 63 / 1000, rel=1e-6)


def test_a_hole_inside_two_pieces_that_overlap_is_a_hole(tmp_path: Path) -> None:
    contours = [c for z in HEART_SLICES for c in (square(-30, 30, z), square(-30, 30, z, 30), square(-5, 5, z, 15))]
    assert _heart(_read(tmp_path, contours)).volume_ml == pytest.approx(340.2 - 6.3, rel=1e-6)


def test_exclusive_contours_are_combined_by_exclusive_or(tmp_path: Path) -> None:
    contours = [
        ("CLOSEDPLANAR_XOR", points) for z in HEART_SLICES for _, points in (square(-30, 30, z), square(-30, 30, z, 30))
    ]
    assert _heart(_read(tmp_path, contours)).volume_ml == pytest.approx(2 * 30 * 60 * 63 / 1000, rel=1e-6)


def _moved(x0: float, x1: float, z: float, half: float = 30.0) -> tuple[str, np.ndarray]:
    """A rectangle from ``x0`` to ``x1``."""
    return ("CLOSED_PLANAR", np.array([(x0, -half, z), (x1, -half, z), (x1, half, z), (x0, half, z)]))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_ring_across_the_overlap_of_two_pieces_may_be_a_hole_and_is_said(tmp_path: Path, order: tuple[int, ...]) -> None:
    rings = [[_moved(-40, 5, z), _moved(-5, 40, z), _moved(-15, 15, z, 10)] for z in HEART_SLICES]
    case = _read(tmp_path, [slice_[k] for slice_ in rings for k in order])
    assert _heart(case).volume_ml == pytest.approx(80 * 60 * 63 / 1000, rel=1e-6)
    (message,) = _findings(case, "contour.hole_or_piece")
    assert message.startswith("21 contours of Heart lie across the overlap of other pieces")


def test_a_hole_in_one_of_two_pieces_and_pieces_that_overlap_in_a_row_are_clear(tmp_path: Path) -> None:
    rings = [[_moved(-40, 5, z), _moved(-5, 40, z), _moved(-30, -10, z, 10)] for z in HEART_SLICES]
    case = _read(tmp_path / "hole", [c for slice_ in rings for c in slice_])
    assert _heart(case).volume_ml == pytest.approx((80 * 60 - 20 * 20) * 63 / 1000, rel=1e-6)
    assert _findings(case, "contour.hole_or_piece") == []
    rings = [[_moved(-40, -10, z), _moved(-15, 15, z), _moved(10, 40, z)] for z in HEART_SLICES]
    case = _read(tmp_path / "row", [c for slice_ in rings for c in slice_])
    assert _heart(case).volume_ml == pytest.approx(80 * 60 * 63 / 1000, rel=1e-6)
    assert _findings(case, "contour.hole_or_piece") == []


@pytest.mark.parametrize("wall", [0.011, 0.03, 0.05, 0.09])
def test_a_copy_that_leaves_no_wall_that_anybody_draws_is_no_hole(tmp_path: Path, wall: float) -> None:
    case = _read(tmp_path, heart() + [square(-30 - wall, 30 + wall, z) for z in HEART_SLICES])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-6)
    assert "Heart has 21 surplus copies of its contours" in _findings(case, "contour.repeated")[0]


@pytest.mark.parametrize("off", [0.0, 0.004, 0.01])
def test_contours_that_stand_there_twice_count_once_and_are_said(tmp_path: Path, off: float) -> None:
    case = _read(tmp_path, heart() + [square(-30, 30, z, off) for z in HEART_SLICES])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-3)
    (message,) = _findings(case, "contour.repeated")
    assert message.startswith("Heart has 21 surplus copies of its contours")


def test_of_contours_that_stand_there_four_times_the_copies_are_counted_and_called_so(tmp_path: Path) -> None:
    (message,) = _findings(_read(tmp_path, heart() * 4), "contour.repeated")
    assert message.startswith("Heart has 63 surplus copies of its contours")


def test_contours_that_stand_there_once_are_not_said_to_be_twice(tmp_path: Path) -> None:
    contours = [c for z in HEART_SLICES for c in (square(-30, 30, z), square(-29.9, 29.9, z))]
    case = _read(tmp_path, contours)
    assert _findings(case, "contour.repeated") == []
    assert _heart(case).volume_ml == pytest.approx((3600 - 59.8**2) * 63 / 1000, rel=1e-6)


def test_hundreds_of_outlines_over_each_other_are_refused(tmp_path: Path) -> None:
    case = _read(
        tmp_path, [*heart(HEART_SLICES[1:]), *(square(-30 + k / 20, 30 - k / 20, HEART_SLICES[0]) for k in range(300))]
    )
    assert _heart(case).volume_ml == pytest.approx(BOX_ML - 10.8, rel=1e-6)
    assert "300 contours with hundreds of outlines over each other" in _findings(case, "contour.degenerate")[0]


def test_open_contours_are_left_out_and_counted(tmp_path: Path) -> None:
    case = _read(tmp_path, [("OPEN_PLANAR" if k < 6 else kind, points) for k, (kind, points) in enumerate(heart())])
    assert "6 contours with an open contour" in _findings(case, "contour.degenerate")[0]
    assert "6 left out" in _findings(case, "contour.degenerate")[0]


# --- Text ---


def _rewritten(folder: Path, write: Callable[[list[str]], bytes]) -> Case:
    """Contour Data as bytes that no toolkit would write."""
    write_structures(folder, [(1, "Heart", heart())], write_ct(folder))
    dataset = pydicom.dcmread(folder / "RS.dcm")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        value = write([str(v) for v in contour.ContourData])
        value += b" " * (len(value) % 2)
        contour._dict[Tag("ContourData")] = RawDataElement(Tag("ContourData"), None, len(value), value, 0, True, True, True)
    dataset.save_as(folder / "RS.dcm")
    return read_case(folder)


WRITINGS: dict[str, Callable[[list[str]], bytes]] = {
    "decimal commas": lambda v: "\\".join(f"{float(q):.2f}".replace(".", ",") for q in v).encode(),
    "a backslash at the end": lambda v: ("\\".join(v) + "\\").encode(),
    "more than 16 characters": lambda v: "\\".join(f"{float(q):.22f}" for q in v).encode(),
    "exponents": lambda v: "\\".join(f"{float(q):+.6E}" for q in v).encode(),
    "Fortran's exponents": lambda v: "\\".join(f"{float(q):.6E}".replace("E", "D") for q in v).encode(),
    "a Python list": lambda v: repr([float(q) for q in v]).encode(),
    "a list of texts": lambda v: repr([str(q) for q in v]).encode(),
    "brackets": lambda v: ("[" + "\\".join(v) + "]").encode(),
    "a list of decimal commas": lambda v: ("[" + ", ".join(f"{float(q):.1f}".replace(".", ",") for q in v) + "]").encode(),
    "blanks": lambda v: " \\ ".join(v).encode(),
}


@pytest.mark.parametrize("how", WRITINGS)
def test_numbers_are_read_however_they_are_written(tmp_path: Path, how: str) -> None:
    case = _rewritten(tmp_path, WRITINGS[how])
    assert _heart(case).volume_ml == pytest.approx(BOX_ML, rel=1e-6)
    said = _findings(case, "contour.degenerate")
    if how in ("more than 16 characters", "exponents", "blanks"):
        assert said == []
    else:
        (message,) = said
        words = "decimal commas instead of points" if "commas" in how else "not written as DICOM has them"
        assert f"21 contours with {words}" in message or f"21 contours with coordinates that are {words}" in message
        assert "kept. Export them again." in message


@pytest.mark.parametrize(
    ("write", "shown"),
    [
        (lambda v: "\\".join([v[0].replace("-", "-1.") + ",5", *v[1:]]).encode(), "'-1."),
        (lambda v: ",".join(str(round(float(q))) for q in v).encode(), "'-30,-30"),
        (lambda v: "\\".join([*v[:4], "", *v[5:]]).encode(), "(nothing)"),
        (lambda v: "\\".join(["n/a", *v[1:]]).encode(), "'n/a'"),
        (lambda v: "\\".join(["-30_0", *v[1:]]).encode(), "'-30_0'"),
        (lambda v: "\\".join(["\u221230", *v[1:]]).encode(), "'\u221230'"),
        (lambda v: "\\".join(v[:-1]).encode(), "11 coordinates, no multiple of three"),
    ],
    ids=[
        "both separators",
        "commas only",
        "an empty number",
        "no number",
        "underscores",
        "a typographic minus",
        "a coordinate missing",
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_refused_with_the_reason(
    tmp_path: Path, write: Callable[[list[str]], bytes], shown: str
) -> None:
    case = _rewritten(tmp_path, write)
    assert _heart(case).is_empty
    assert shown in _findings(case, "contour.degenerate")[0]


def test_korean_names_are_hearts_composed_decomposed_and_in_half_width() -> None:
    half_width = "".join(map(chr, (0xFFB5, 0xFFDC, 0xFFB1, 0xFFB8, 0xFFC2, 0xFFB7)))
    names = ["심장", unicodedata.normalize("NFD", "심장"), half_width, "심장_1", "ﾊｰﾄ", "Ｈｅａｒｔ"]
    assert all(heart_score(name) > 0 for name in names)
    assert heart_score("심실") == heart_score(unicodedata.normalize("NFD", "폐")) == 0


def test_a_hyphen_before_a_number_is_no_margin() -> None:
    assert heart_score("Heart-1") == heart_score("Heart_1") == 60
    assert [heart_score(n) for n in ("Heart-5mm", "Heart - 5", "Heart-0.5", "Heart-PTV", "Heart+1")] == [0] * 5


@pytest.mark.parametrize("declared", [None, "ISO_IR 6", "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize("name", ["심장", "Cœur", "сердце"])
def test_utf8_is_read_whatever_the_file_declares(tmp_path: Path, name: str, declared: str | None) -> None:
    write_structures(tmp_path, [(1, "X" * len(name.encode()), heart())], write_ct(tmp_path))
    raw = (tmp_path / "RS.dcm").read_bytes().replace(b"X" * len(name.encode()), name.encode())
    (tmp_path / "RS.dcm").write_bytes(raw)
    if declared is not None:
        dataset = pydicom.dcmread(tmp_path / "RS.dcm")
        dataset.SpecificCharacterSet = declared
        dataset.save_as(tmp_path / "RS.dcm")
    case = read_case(tmp_path)
    assert case.structures[name].volume_ml == pytest.approx(BOX_ML, rel=1e-6)


# --- Other planes, other programs ---


@pytest.mark.parametrize("turned", ["feet first", "prone"])
def test_a_ct_stored_the_other_way_round_gives_the_same_volume(tmp_path: Path, turned: str) -> None:
    directions = {"feet first": [-1, 0, 0, 0, 1, 0], "prone": [-1, 0, 0, 0, -1, 0]}[turned]
    slices = tuple([-60.0 + 2 * k for k in range(31)] + [6.0 * k for k in range(1, 13)])

    def turn(_: int, dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = directions
        dataset.ImagePositionPatient = [93.0, 93.0 if turned == "prone" else -93.0, dataset.ImagePositionPatient[2]]

    contours = [c for z in slices if -40 <= z <= 42 for c in (square(-30, 30, z), square(-10, 10, z + 0.3))]
    write_structures(tmp_path, [(1, "Heart", contours)], write_ct(tmp_path, slices, edit=turn))
    assert _heart(read_case(tmp_path)).volume_ml == pytest.approx(309.6 * (3600 - 400) / 3600, rel=1e-6)


def test_sagittal_contours_are_read_in_their_own_planes(tmp_path: Path) -> None:
    sagittal = [(kind, [(z, x, y) for x, y, z in points]) for kind, points in heart()]
    write_structures(tmp_path, [(1, "Heart", sagittal)])
    assert _without_ct(tmp_path).volume_ml == pytest.approx(BOX_ML, rel=1e-6)


def test_the_mask_of_a_clean_box_is_its_voxels(tmp_path: Path) -> None:
    """10 x 10 voxels of 6 mm on 21 slices of 3 mm."""
    case = _read(tmp_path, heart())
    assert case.image is not None
    mask = rasterize(_heart(case), Grid.regular((41, 32, 32), (3.0, 6.0, 6.0), (-93, -93, -60)))
    assert int(mask.array.sum()) == 21 * 100
    assert case.image.grid.orientation == AXIAL
    assert case.findings == ()


@pytest.mark.real
def test_a_real_plans_structures_keep_their_volumes_without_their_ct() -> None:
    """Every structure is drawn on the 3 mm slices that the CT has: the sum of areas times 3 mm."""
    for roi in read_structure_set(real("breast-plan", "rtss.dcm")).rois:
        s = roi.structure
        if len(s.planes) > 1 and all(abs(b - a - 3) < 0.01 for a, b in pairwise(s.planes)):
            assert s.volume_ml == pytest.approx(float(s.areas_mm2.sum()) * 3 / 1000, rel=1e-6)

"""Real hearts, with calcium that radiologists marked on the original resolution."""

from __future__ import annotations

from functools import cache

import nrrd
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter, label

from rtqc.cardiac import Heart, Measured, agatston, measure
from rtqc.core import Case, Image
from rtqc.dicom import read_case, read_volume
from tests.cardiac.conftest import AT_120, measured_in_draft, moved_outline, noise_like
from tests.conftest import HEARTS, real
from tests.heart.test_draft import resampled
from tests.heart.test_view import scanned as in_narrow_view

#: A mark of the original resolution and a voxel of 3 mm belong together within this, in mm.
_NEAR_MM = 6.0


@cache
def case_of(patient: str) -> Case:
    """A patient as read; not to be changed."""
    return read_case(real("heart-ct", patient))


def marks_mm(patient: str) -> np.ndarray:  # type: ignore[type-arg]
    """Voxels of label 3 (coronary calcium), patient coordinates (n, 3), in mm."""
    values, header = nrrd.read(str(real("heart-masks", f"{patient}.nrrd")))
    index = np.argwhere(values == 3)
    at = index @ np.asarray(header["space directions"]) + np.asarray(header["space origin"])
    space = str(header.get("space", "left-posterior-superior"))
    return at * (np.array([-1, -1, 1]) if space.startswith("right-anterior") else 1)


def measured_of(case: Case, drafted: bool) -> Measured:
    assert case.image is not None
    return measured_in_draft(case.image) if drafted else measure(case.image, Heart(case.structures["Heart"]), AT_120)


@pytest.mark.parametrize("patient", HEARTS)
@pytest.mark.parametrize("drafted", [True, False])
def test_what_counts_was_marked_and_what_was_marked_and_is_dense_counts(patient: str, drafted: bool) -> None:
    case = case_of(patient)
    assert case.image is not None
    marks = marks_mm(patient)
    calcium = measured_of(case, drafted).cardiac.calcium
    assert calcium is not None
    for lesion in calcium.lesions:
        assert np.linalg.norm(marks - np.array(lesion.position_mm), axis=1).min() < _NEAR_MM, lesion
    if not marks.size:
        assert calcium.calcium_class == "0"
        return
    grid = case.image.grid
    index = np.rint(grid.index_of_patient(marks)).astype(int)
    dense, count = label(case.image.hu >= 130, np.ones((3, 3, 3)))
    wanted = {int(n) for n in dense[tuple(index.T)] if n}
    assert count
    for n in wanted:
        middle = grid.patient_mm([np.argwhere(dense == n).mean(axis=0)])[0]
        there = [x for x in calcium.lesions if np.linalg.norm(middle - x.position_mm) < _NEAR_MM]
        assert there, f"marked at {middle.round()} and not counted"


def as_marked(patient: str, density_hu: float) -> tuple[Image, float]:
    """The CT in the pixels of the radiologists' marks, with calcium of a density where they marked it instead of its own; and the score of the marks."""
    case = case_of(patient)
    assert case.image is not None
    grid, values = read_volume(real("heart-masks", f"{patient}.nrrd"))
    low, high = case.image.grid.positions_mm[[0, -1]]
    there = np.flatnonzero((grid.positions_mm >= low) & (grid.positions_mm <= high))
    slices = slice(int(there[0]), int(there[-1]) + 1)
    marks = (values == 3)[slices]
    grid = grid.crop(slices, slice(None, grid.size[0]), slice(None, grid.size[1]))
    hu = resampled(case.image, grid).hu
    around = np.ones((3, 3, 3), bool)
    blurred = binary_dilation(marks, around, iterations=5)
    hu[blurred] = np.minimum(hu[blurred], 60)
    hu += gaussian_filter(marks.astype(np.float32), (0.4, 0.7, 0.7)) * np.maximum(density_hu - hu, 0)
    hu += 12 * noise_like(grid, 0.0, 0)
    return Image(grid, hu), agatston(hu, binary_dilation(marks, around, iterations=2), grid)


@pytest.mark.parametrize("patient", HEARTS)
def test_marks_at_their_own_resolution_give_their_score(patient: str) -> None:
    """Lesions as radiologists outlined them, in pixels of 0.7 mm and slices of 2.5 mm, with the draft."""
    image, score = as_marked(patient, 300.0)
    calcium = measured_in_draft(image).cardiac.calcium
    assert calcium is not None
    assert calcium.agatston == pytest.approx(score, rel=0.02, abs=0.5)


@pytest.mark.parametrize("patient", HEARTS)
@pytest.mark.parametrize("larger_mm", [-2.0, 0.0, 2.0])
def test_another_hand_gives_the_same_class(patient: str, larger_mm: float) -> None:
    """Outlines 3 mm off (Dice 0.93 to 0.97 with the radiologists'), cut into the coronaries' fat or reaching into the lung."""
    case = case_of(patient)
    assert case.image is not None
    heart = case.structures["Heart"]
    classes = {
        scan.cardiac.calcium.calcium_class if scan.cardiac.calcium is not None else None
        for scan in (measure(case.image, Heart(heart), AT_120), *(measure(case.image, Heart(moved_outline(heart, case.image.grid, seed, 3.0, larger_mm)), AT_120) for seed in range(6)))
    }  # fmt: skip
    assert len(classes) == 1, classes


@pytest.mark.parametrize("patient", HEARTS)
@pytest.mark.parametrize(("kernel_mm", "within"), [(0.0, 0.25), (1.0, 0.5)])
def test_noise_changes_a_score_little_and_never_makes_one(patient: str, kernel_mm: float, within: float) -> None:
    """30 HU more, white as of a sharp kernel or smooth as of a soft one: half as much again as calcium scans may have."""
    case = case_of(patient)
    assert case.image is not None
    scan, _ = in_narrow_view(case.image, case.structures["Heart"], 300, False)
    heart = Heart(case.structures["Heart"])
    quiet = measure(scan, heart, AT_120).cardiac.calcium
    loud = measure(Image(scan.grid, scan.hu + 30 * noise_like(scan.grid, kernel_mm, 1)), heart, AT_120).cardiac.calcium
    assert quiet is not None
    assert loud is not None
    assert loud.smoothed_mm > 0
    assert loud.agatston == pytest.approx(quiet.agatston, rel=within)


@pytest.mark.parametrize("patient", HEARTS)
def test_a_narrow_view_gives_the_same_class(patient: str) -> None:
    """The same patient as a cardiac scan of 220 mm: the draft is another one, the class is not."""
    case = case_of(patient)
    assert case.image is not None
    image, _ = in_narrow_view(case.image, case.structures["Heart"], 220, True)
    whole, _ = in_narrow_view(case.image, case.structures["Heart"], 336, False)
    classes = []
    for scan in (whole, image):
        calcium = measured_in_draft(scan).cardiac.calcium
        assert calcium is not None
        classes.append(calcium.calcium_class)
    assert classes[0] == classes[1]

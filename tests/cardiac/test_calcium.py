"""What is coronary and what is not; noise, voltage, contrast; on hearts whose calcium is known."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from rtqc.cardiac import measure
from rtqc.cardiac.measure import Heart
from rtqc.core import Grid, Image, Structure
from rtqc.core.acquisition import Acquisition
from rtqc.geometry import rasterize
from rtqc.phantom.coronary import (
    Distractor,
    Vessel,
    courses,
    plant_coronary,
    plant_distractor,
    plant_line,
    plant_vessel,
)
from tests.cardiac.conftest import AT_120, Scanned, anatomy_of, annulus, fork, nearest, scanned, score_at

VESSELS: tuple[Vessel, ...] = ("LM/LAD", "LCX", "RCA")
DISTRACTORS: tuple[Distractor, ...] = ("aortic valve", "aortic wall", "mitral annulus", "pericardium", "clip", "lead")


def rules(measured: object) -> list[str]:
    return [f.rule for f in measured.findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [None, 11, 12])
def test_coronaries_count_and_nothing_else(seed: int | None) -> None:
    anatomy = anatomy_of(seed)
    coronary = [plant_coronary(anatomy, v, at, 2.0, 500.0) for v in VESSELS for at in (0.15, 0.5, 0.85)]
    others = [plant_distractor(anatomy, kind) for kind in DISTRACTORS]
    measured = scanned(anatomy, [*coronary, *others]).measured()
    found = [nearest(measured, x) for x in coronary]
    assert all(x is not None and x.counted for x in found)
    for x in others:
        there = nearest(measured, x)
        assert there is None or not there.counted, x.where
    calcium = measured.cardiac.calcium
    assert calcium is not None
    assert len(calcium.lesions) == len(coronary)
    assert "cardiac.metal" in rules(measured)
    # Most vessels are named right: it is a guess, and says so.
    right = sum(x is not None and x.vessel == p.where for x, p in zip(found, coronary, strict=True))
    assert right >= 5


@pytest.mark.parametrize("seed", [None, 42, 43])
def test_calcium_of_several_vessels_that_grew_together_counts_whole(seed: int | None) -> None:
    """Left main, LAD and LCX in one piece, as in those who have most: wider than any vessel, and all of it coronary."""
    anatomy = anatomy_of(seed)
    balls = fork(anatomy)
    scan = scanned(anatomy, balls, noise_hu=5.0)
    calcium = scan.measured().cardiac.calcium
    assert calcium is not None
    assert calcium.agatston == pytest.approx(score_at(scan.image, balls), rel=0.03)
    assert calcium.calcium_class == ">300"
    assert sorted(x.vessel or "" for x in calcium.lesions) == ["LCX", "LM/LAD"]


@pytest.mark.parametrize("seed", [None, 42, 46])
def test_a_calcified_mitral_annulus_does_not_count(seed: int | None) -> None:
    anatomy = anatomy_of(seed)
    calcium = scanned(anatomy, annulus(anatomy)).measured().cardiac.calcium
    assert calcium is not None
    assert calcium.agatston == 0
    assert "mitral annulus" in {x.kind for x in calcium.others}


def test_a_vessel_that_touches_the_aortic_wall_counts() -> None:
    anatomy = anatomy_of()
    wall, rca = plant_distractor(anatomy, "aortic wall"), plant_vessel(anatomy, "RCA", 0.02, 0.5, 1.8, 600.0)
    bridge = plant_line(np.array([wall.centre_mm, rca[0].centre_mm]), 2.0, 600.0, "aortic wall")
    calcium = scanned(anatomy, [wall, *bridge, *rca]).measured().cardiac.calcium
    alone = scanned(anatomy, rca).measured().cardiac.calcium
    assert calcium is not None
    assert alone is not None
    assert calcium.agatston >= alone.agatston > 300


def test_a_granuloma_of_the_lung_beside_the_heart_is_no_calcium(clean_heart: Scanned) -> None:
    """At the courses' nearest and 3 mm from the outline, where a coronary would count: but there is lung around it."""
    grid = clean_heart.image.grid
    inside = rasterize(clean_heart.heart, grid).array
    away = distance_transform_edt(~inside, sampling=(grid.slice_spacing_mm, *grid.spacing_mm))
    lung = (clean_heart.image.hu < -600) & (away > 3) & (away < 6)
    course = np.concatenate(list(courses(anatomy_of()).values()))
    places = np.argwhere(lung)
    nearest_first = np.argsort(cKDTree(course).query(grid.patient_mm(places))[0])
    hu = clean_heart.image.hu.copy()
    k, i, j = places[nearest_first[0]]
    hu[k, i - 2 : i + 3, j - 2 : j + 3] = 400
    calcium = measure(Image(grid, hu), Heart(clean_heart.heart), AT_120).cardiac.calcium
    assert calcium is not None
    assert calcium.agatston == 0
    assert [x.kind for x in calcium.others] == ["outside the heart"]


def test_a_score_is_that_of_the_balls_that_were_planted() -> None:
    """A ball of 600 HU of radius r, in slices: its area on each slice at the threshold times 4, within the blur of its edge."""
    anatomy = anatomy_of()
    ball = plant_coronary(anatomy, "LM/LAD", 0.6, 4.0, 600.0)
    calcium = scanned(anatomy, [ball], pixel_mm=0.5, noise_hu=0.0, blur_mm=0.3).measured().cardiac.calcium
    assert calcium is not None
    # The mean over slice positions of the sum of areas is volume over spacing.
    expected = 4 / 3 * pi * 4.0**3 / 3.0 * 4
    assert calcium.agatston == pytest.approx(expected, rel=0.25)
    assert calcium.calcium_class == ">300"


def test_a_heart_without_calcium_has_none(clean_heart: Scanned) -> None:
    calcium = clean_heart.measured().cardiac.calcium
    assert calcium is not None
    assert (calcium.agatston, calcium.calcium_class, calcium.cac_drs, calcium.lesions) == (0.0, "0", "A0", ())


@pytest.mark.parametrize("noise", [15.0, 25.0, 35.0, 50.0])
def test_noise_makes_no_score(noise: float) -> None:
    measured = scanned(anatomy_of(), [], noise_hu=noise).measured()
    calcium = measured.cardiac.calcium
    assert calcium is None or calcium.agatston == 0
    if noise > 25:
        assert "cardiac.noise" in rules(measured) or "cardiac.noise_too_high" in rules(measured)
    assert measured.cardiac.image is not None
    assert measured.cardiac.image.noise_hu == pytest.approx(noise, rel=0.15)


def test_calcium_is_still_found_in_noise_and_the_report_says_what_was_done() -> None:
    anatomy = anatomy_of()
    balls = [plant_coronary(anatomy, v, 0.5, 3.0, 600.0) for v in VESSELS]
    quiet = scanned(anatomy, balls, noise_hu=8.0).measured()
    loud = scanned(anatomy, balls, noise_hu=35.0).measured()
    assert all(nearest(loud, b) is not None for b in balls)
    a, b = quiet.cardiac.calcium, loud.cardiac.calcium
    assert a is not None
    assert b is not None
    assert b.smoothed_mm > 0
    assert b.agatston == pytest.approx(a.agatston, rel=0.15)
    assert "cardiac.noise" in rules(loud)


def test_thin_slices_are_averaged_before_they_are_smoothed() -> None:
    anatomy = anatomy_of()
    measured = scanned(anatomy, [plant_coronary(anatomy, "LM/LAD", 0.5, 3.0, 600.0)], slice_mm=1.5, noise_hu=30.0).measured()
    calcium = measured.cardiac.calcium
    assert calcium is not None
    assert calcium.averaged_slices == 2
    assert len(calcium.lesions) == 1


def test_slice_thickness_changes_a_score_little() -> None:
    anatomy = anatomy_of()
    balls = [plant_coronary(anatomy, v, 0.5, 3.5, 600.0) for v in VESSELS]
    scores = []
    for slice_mm in (2.0, 3.0, 5.0):
        calcium = scanned(anatomy, balls, slice_mm=slice_mm, noise_hu=5.0).measured().cardiac.calcium
        assert calcium is not None
        assert len(calcium.lesions) == 3
        scores.append(calcium.agatston)
    assert max(scores) / min(scores) < 1.35


def test_contrast_agent_refuses_calcium_and_fat_and_keeps_the_volume() -> None:
    for added in (90.0, 250.0):
        anatomy = replace(anatomy_of(), contrast_hu=added)
        measured = scanned(anatomy, [plant_coronary(anatomy, "RCA", 0.5, 3.0, 600.0)]).measured()
        assert measured.cardiac.calcium is None
        assert measured.cardiac.epicardial_fat is None
        assert measured.cardiac.heart_volume_ml is not None
        assert "cardiac.contrast" in rules(measured)


def test_a_reader_decides() -> None:
    anatomy = anatomy_of()
    scan = scanned(anatomy, [plant_coronary(anatomy, "RCA", 0.5, 2.5, 500.0), plant_distractor(anatomy, "aortic valve")])
    first = scan.measured().cardiac.calcium
    assert first is not None
    (lesion,), (valve,) = first.lesions, first.others
    changed = scan.measured(excluded=[lesion.number], included=[valve.number])
    calcium = changed.cardiac.calcium
    assert calcium is not None
    assert [x.number for x in calcium.lesions] == [valve.number]
    assert calcium.agatston == valve.agatston
    assert {x.reader for x in (*calcium.lesions, *calcium.others)} == {"included", "excluded"}
    assert "cardiac.reader" in rules(changed)


@pytest.mark.parametrize(
    ("acquisition", "rule"),
    [
        (Acquisition(), "cardiac.kvp_absent"),
        (Acquisition(kvp=100), "cardiac.kvp_adapted"),
        (Acquisition(kvp=40), "cardiac.kvp_unusual"),
        (Acquisition(kvp=120, slice_thickness_mm=1.0), "cardiac.slice_gaps"),
        (Acquisition(kvp=120, image_type=("DERIVED", "SECONDARY", "AXIAL", "MIP")), "cardiac.derived_image"),
        (Acquisition(kvp=120, rescale_type="OD"), "cardiac.derived_image"),
    ],
)
def test_what_the_header_says_is_said(clean_heart: Scanned, acquisition: Acquisition, rule: str) -> None:
    measured = clean_heart.measured(acquisition)
    assert rules(measured) == [rule]
    refused = rule in ("cardiac.kvp_unusual", "cardiac.derived_image")
    assert (measured.cardiac.calcium is None) == refused
    assert (measured.cardiac.heart is None) == (rule == "cardiac.derived_image")


def test_missing_slices_scale_the_score_and_are_said() -> None:
    anatomy = anatomy_of()
    scan = scanned(anatomy, [plant_coronary(anatomy, "RCA", 0.5, 4.0, 600.0)], noise_hu=5.0)
    keep = np.ones(scan.image.grid.shape[0], bool)
    at = int(np.abs(scan.image.grid.positions_mm - courses(anatomy)["RCA"][len(courses(anatomy)["RCA"]) // 2][2]).argmin())
    keep[at + 1] = False
    grid = scan.image.grid
    positions = tuple(np.array(grid.slice_positions_mm)[keep])
    gap = Image(Grid(grid.orientation, grid.origin_mm, grid.spacing_mm, grid.size, positions), scan.image.hu[keep])
    measured = measure(gap, Heart(scan.heart), AT_120)
    whole = scan.measured().cardiac.calcium
    calcium = measured.cardiac.calcium
    assert calcium is not None
    assert whole is not None
    assert "cardiac.slice_gaps" in rules(measured)
    assert calcium.agatston == pytest.approx(whole.agatston, rel=0.35)


def test_slices_too_thick_are_refused(clean_heart: Scanned) -> None:
    grid = clean_heart.image.grid
    thick = Grid(grid.orientation, grid.origin_mm, grid.spacing_mm, grid.size, tuple(grid.positions_mm[::3]))
    measured = measure(Image(thick, clean_heart.image.hu[::3]), Heart(clean_heart.heart), AT_120)
    assert measured.cardiac.calcium is None
    assert "cardiac.thick_slices" in rules(measured)


def test_pixels_as_wide_as_a_coronary_are_said_where_something_counts() -> None:
    anatomy = anatomy_of()
    measured = scanned(anatomy, [plant_coronary(anatomy, "RCA", 0.5, 4.0, 600.0)], pixel_mm=2.0).measured()
    assert rules(measured) == ["cardiac.coarse_pixels"]
    assert rules(scanned(anatomy, [], pixel_mm=2.0).measured()) == []


def test_no_heart_no_numbers(clean_heart: Scanned) -> None:
    empty = Structure("Heart", {}, clean_heart.heart.orientation, "ORGAN", 3.0)
    measured = measure(clean_heart.image, Heart(empty, doubts=("there is no lung in the image",)), AT_120)
    assert measured.cardiac.heart is None
    assert rules(measured) == ["cardiac.no_heart"]
    assert "no lung" in measured.findings[0].message


def test_an_untrusted_or_cut_heart_is_said(clean_heart: Scanned) -> None:
    heart = Heart(clean_heart.heart, 0.7, False, ("it looks odd",), ("superior",))
    measured = measure(clean_heart.image, heart, AT_120)
    assert rules(measured) == ["cardiac.untrusted_heart", "cardiac.heart_cut_off"]
    volume = measured.cardiac.heart
    assert volume is not None
    assert volume.cut_off == ("superior",)
    assert volume.indexed_ml_per_m2 is None


def test_small_calcium_is_found_by_size_and_noise() -> None:
    """Sensitivity: of balls of 1.5 mm radius and 400 HU nearly all are found at usual noise."""
    found = planted = 0
    for seed in (21, 22):
        anatomy = anatomy_of(seed)
        balls = [plant_coronary(anatomy, v, at, 1.5, 400.0) for v in VESSELS for at in (0.2, 0.4, 0.6, 0.8)]
        measured = scanned(anatomy, balls, pixel_mm=0.7, noise_hu=12.0).measured()
        planted += len(balls)
        found += sum((x := nearest(measured, b)) is not None and x.counted for b in balls)
    assert found >= 0.9 * planted


def test_bone_beside_the_heart_is_no_calcium(clean_heart: Scanned) -> None:
    """A rib that the outline cuts 4 mm into: most of it lies outside."""
    grid = clean_heart.image.grid
    middle = grid.shape[0] // 2
    hu = clean_heart.image.hu.copy()
    inside = rasterize(clean_heart.heart, grid).array[middle]
    row = int(np.argwhere(inside)[:, 0].mean())
    edge = int(np.flatnonzero(inside[row]).max())
    hu[middle - 2 : middle + 2, row - 6 : row + 6, edge - 5 : edge + 15] = 400
    measured = measure(Image(grid, hu), Heart(clean_heart.heart), AT_120)
    calcium = measured.cardiac.calcium
    assert calcium is not None
    assert calcium.agatston == 0

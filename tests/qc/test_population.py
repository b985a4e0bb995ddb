"""What is usual, and what is said of a heart that is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Point

from rtqc.core import Case, Structure
from rtqc.geometry.coverage import as_multipolygon
from rtqc.heart import Draft
from rtqc.heart.landmarks import landmarks_of
from rtqc.pipeline import Options, assess
from rtqc.qc import Population, numbers_of_assessment, population_of, shipped_population
from rtqc.qc.population import LEAST_SIGMA_MM, Usual
from rtqc.qc.shape import heart_shape
from tests.conftest import real

QUICK = Options(device="cpu", second_check=False)


def ball(radius: float, spacing: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Structure:
    heights = np.arange(-radius + spacing / 2, radius, spacing)
    discs = {
        float(centre[2] + z): MultiPolygon([Point(centre[:2]).buffer(np.sqrt(radius**2 - z**2), quad_segs=64)]) for z in heights
    }
    return Structure("Heart", discs)


@pytest.mark.parametrize("spacing", [1.0, 2.5, 5.0])
def test_the_numbers_of_a_ball_are_those_of_the_formula(spacing: float) -> None:
    shape = heart_shape(ball(50, spacing), None, None)
    assert shape is not None
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * 125, rel=0.005)
    assert shape.surface_to_volume_per_cm == pytest.approx(3 / 5, rel=0.005)
    assert (shape.length_mm, shape.width_mm, shape.depth_mm) == pytest.approx((100, 100, 100), abs=0.3)
    # Area at a share t of the length: proportional to t (1 - t); their mean is two thirds of the largest.
    t = (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(shape.profile, t * (1 - t) / (t * (1 - t)).mean(), atol=0.03)
    assert shape.below_carina_mm is None


def test_usual_is_a_median_and_a_spread_that_outliers_do_not_widen() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(600, 60, 200)
    values[:8] = 5000
    found = population_of(({"volume_ml": float(v)} for v in values), "ours")
    assert found is not None
    assert found.count == 200
    assert found.features["volume_ml"].centre == pytest.approx(600, abs=15)
    assert found.features["volume_ml"].sigma == pytest.approx(60, rel=0.2)
    assert population_of(({"volume_ml": 1.0} for _ in range(49)), "ours") is None
    # What never varied is no reason to flag whoever differs by a hair.
    same = population_of(
        ({"agreement_left_mm": 0.1, "rare": 1.0} if k < 10 else {"agreement_left_mm": 0.1} for k in range(60)), "ours"
    )
    assert same is not None
    assert same.features["agreement_left_mm"].sigma == LEAST_SIGMA_MM
    assert "rare" not in same.features


def narrow(case: Case, draft: Draft, **sigmas: float) -> Population:
    """Hearts like this one, and a spread for the named numbers; all else is wide."""
    own = numbers_of_assessment(assess(case, QUICK, draft))
    features = {k: Usual(centre=v, sigma=sigmas.get(k, 1e6)) for k, v in own.items()}
    return Population(name="this clinic", count=77, features=features)


def rules(case: Case, draft: Draft, population: Population) -> dict[str, str]:
    names = dict.fromkeys(("breast", "breast-40-15", "breast-50-25", "breast-26-5"), population)
    found = assess(case, replace(QUICK, populations=names), draft).findings
    return {f.rule: f.message for f in found if f.rule.startswith("population.")}


def with_heart(case: Case, heart: Structure) -> Case:
    return replace(case, rois=tuple(replace(r, structure=heart) if r.structure.name == "Heart" else r for r in case.rois))


def moved(heart: Structure, dx: float) -> Structure:
    return replace(heart, planes={w: shapely.transform(a, lambda xy: xy + (dx, 0)) for w, a in heart.planes.items()})


@pytest.mark.parametrize(
    ("rule", "number", "sigma", "words"),
    [
        ("population.size", "width_mm", 1.0, "width"),
        ("population.place", "leftward_percent", 0.5, "place from right to left between the lungs"),
        ("population.form", "profile_6", 0.002, "cross-section in tenth 6"),
        ("population.density", "low_hu", 2.0, "5th percentile"),
        ("population.agreement", "agreement_shift_left_mm", 1.0, "place to the left of the draft's"),
    ],
)
def test_a_heart_unlike_the_clinics_own_is_told_with_number_and_usual(
    clean_case: Case, clean_draft: Draft, rule: str, number: str, sigma: float, words: str
) -> None:
    heart = clean_case.structures["Heart"]
    wider = replace(heart, planes={w: as_multipolygon(a.buffer(6)) for w, a in heart.planes.items()})
    changed = wider if rule in ("population.size", "population.form") else moved(heart, 12.0)
    population = narrow(clean_case, clean_draft, **{number: sigma})
    assert rules(clean_case, clean_draft, population) == {}
    found = rules(with_heart(clean_case, changed), clean_draft, population)
    assert list(found) == [rule]
    assert words in found[rule]
    assert "unlike the 77 hearts of this clinic" in found[rule]
    assert "standard deviations" in found[rule]


def test_of_the_hearts_that_ship_it_is_said_how_many_are_synthetic(clean_case: Case, clean_draft: Draft) -> None:
    heart = clean_case.structures["Heart"]
    half = replace(heart, planes={w: as_multipolygon(a.buffer(-25)) for w, a in heart.planes.items()})
    found = rules(with_heart(clean_case, half), clean_draft, shipped_population())
    assert all("unlike the 63 hearts (60 of them synthetic) of the reference that ships" in m for m in found.values())
    assert found


def test_what_a_draft_says_counts_only_where_it_is_trusted(clean_case: Case, clean_draft: Draft) -> None:
    population = narrow(clean_case, clean_draft, agreement_shift_left_mm=0.5)
    changed = with_heart(clean_case, moved(clean_case.structures["Heart"], 12.0))
    assert "population.agreement" in rules(changed, clean_draft, population)
    doubted = replace(clean_draft, trusted=False, doubts=("a doubt",))
    assert "population.agreement" not in rules(changed, doubted, population)


def test_the_reference_that_ships_is_used_where_a_clinic_has_no_own(clean_case: Case, clean_draft: Draft) -> None:
    contoured = assess(clean_case, QUICK, clean_draft).heart.contoured
    assert contoured is not None
    assert contoured.population is not None
    assert contoured.population.name == shipped_population().name
    assert contoured.shape is not None
    assert all(abs(o.z) < 5 for o in contoured.population.outliers)


@pytest.mark.real
@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize(("patient", "carina"), [("0187", -165.0), ("0506", -77.0)])
def test_the_carina_of_real_patients_is_where_a_reader_sees_it(patient: str, carina: float, coarse: bool) -> None:
    """Heights read off the slices on which the air of the windpipe parts in two."""
    from rtqc.dicom import read_case
    from rtqc.heart.chest import lungs_of
    from rtqc.heart.looks import body_box
    from rtqc.heart.resample import averaged, covering_grid

    image = read_case(real("heart-ct", patient)).image
    assert image is not None
    grid = covering_grid(image.grid, (4.0, 4.0, 4.0) if coarse else (3.0, 3.0, 3.0))
    hu = averaged(image, grid)
    box = body_box(hu)
    hu, grid = hu[box], grid.crop(*box)
    found = landmarks_of(hu, lungs_of(hu, grid), grid)
    assert found is not None
    assert found.carina_mm == pytest.approx(carina, abs=6)


def test_the_carina_of_a_phantom_is_where_it_was_made(clean_case: Case, clean_draft: Draft) -> None:
    """Its main bronchi leave the windpipe at 76 mm, and are two on an image a little lower."""
    assert clean_draft.landmarks is not None
    assert clean_draft.landmarks.carina_mm == pytest.approx(72, abs=6)

"""The synthetic patient: its truth is what its formulas say."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import Grid
from rtqc.geometry import rasterize
from rtqc.phantom import Anatomy, Resolution, SyntheticPlan, synthetic_plan, tangential_dose, tangents_for
from rtqc.phantom.anatomy import heart_at
from rtqc.phantom.shapes import Points


def test_the_heart_contour_encloses_where_the_formula_is_negative(clean_plan: SyntheticPlan) -> None:
    grid = Grid.regular((60, 100, 100), (3.0, 2.0, 2.0), (-100, -100, -90))
    x, y, z = (a.astype(np.float32) for a in (grid.columns_mm, grid.rows_mm, grid.positions_mm))
    inside = heart_at(clean_plan.anatomy, Points(x[None, None], y[None, :, None], z[:, None, None])) < 0
    mask = rasterize(clean_plan.structures["Heart"], grid).array
    assert 2 * (inside & mask).sum() / (inside.sum() + mask.sum()) > 0.99


def test_hearts_of_the_population_are_adults_hearts() -> None:
    volumes = []
    for seed in range(12):
        plan = Anatomy.random(seed)
        line = np.arange(-120, 121, 3.0, dtype=np.float32)
        inside = heart_at(plan, Points(line[None, None], line[None, :, None], line[:, None, None])) < 0
        volumes.append(inside.sum() * 27 / 1000)
    assert min(volumes) > 350
    assert max(volumes) < 1100
    assert np.std(volumes) > 40


def test_tissues_have_their_ct_numbers(clean_plan: SyntheticPlan) -> None:
    image = clean_plan.study.image
    for name, low, high in (("Heart", 20, 80), ("Lung_L", -850, -600), ("Lung_R", -850, -600)):
        mask = rasterize(clean_plan.structures[name], image.grid).array
        assert low < float(np.median(image.hu[mask])) < high
    assert float(np.median(image.hu[0, :5, :5])) < -900


def test_the_dose_is_the_prescription_in_the_middle_of_the_breast_and_nothing_outside() -> None:
    anatomy = Anatomy()
    beams = tangents_for(anatomy)
    x, y, z = beams.centre_mm
    grid = Grid.regular((3, 3, 3), (2, 2, 2), (x - 2, y - 2, z - 2))
    assert float(tangential_dose(anatomy, beams, grid).gy[1, 1, 1]) == pytest.approx(beams.prescription_gy, rel=0.005)
    air = Grid.regular((2, 2, 2), (2, 2, 2), (300, -300, 0))
    assert float(tangential_dose(anatomy, beams, air).gy.max()) == 0


def test_the_penumbra_is_an_error_function_across_the_field_edge() -> None:
    anatomy = Anatomy()
    beams = tangents_for(anatomy, 10.0)
    inward = np.array(beams.inward)
    middle = np.array(beams.centre_mm[:2])
    edge = middle + inward * float((np.array(beams.edge_mm) - middle) @ inward)
    primary = []
    for offset in (-3.4, 3.4):
        x, y = edge + offset * inward
        grid = Grid.regular((1, 1, 1), (1, 1, 1), (x, y, beams.centre_mm[2]))
        share = float(tangential_dose(anatomy, beams, grid).gy[0, 0, 0]) / beams.prescription_gy
        primary.append(share - 0.05 * np.exp(min(offset, 0) / 30) - 0.006)
    # 20 % to 80 % of the primary lies within 6.8 mm; attenuation changes by little over such a way.
    assert primary[1] / primary[0] == pytest.approx(4.0, rel=0.1)


def test_a_deeper_field_gives_the_heart_more_dose() -> None:
    from rtqc.dosimetry import dvh

    means = []
    for depth in (-4.0, 8.0, 20.0):
        plan = synthetic_plan(Anatomy(), Resolution(48, 6.0), heart_in_field_mm=depth)
        assert plan.study.dose is not None
        means.append(dvh(plan.structures["Heart"], plan.study.dose).mean_gy)
    assert means == sorted(means)
    assert means[0] < 1.5
    assert means[-1] > 2


def test_a_patient_is_the_same_for_the_same_seed() -> None:
    a, b = (synthetic_plan(Anatomy.random(5), Resolution(32, 10.0)).study for _ in range(2))
    assert np.array_equal(a.image.hu, b.image.hu)
    assert Anatomy.random(5) != Anatomy.random(6)

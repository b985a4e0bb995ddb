"""How much of the heart lies in a lung's contour: a volume, on whatever planes the lung is drawn."""

from __future__ import annotations

import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.core import Case, Finding, Orientation, Roi, Structure
from rtqc.qc import Measurements, load_protocol, run_rules


def _slab(name: str, x: tuple[float, float], heights: list[float], spacing: float = 3.0) -> Structure:
    planes = {w: MultiPolygon([box(x[0], -30, x[1], 30)]) for w in heights}
    return Structure(name, planes, slice_spacing_mm=spacing)


HEART = _slab("Heart", (-30, 30), [3.0 * k for k in range(20)])


def _overlap(lung: Structure) -> list[Finding]:
    rois = (Roi(1, HEART), Roi(2, lung))
    measurements = Measurements(Case(rois=rois, has_structure_set=True), rois[0])
    return run_rules(measurements, load_protocol("heart"), frozenset({"contour.overlaps_lung"}))


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.4, -0.7])
def test_lung_planes_beside_the_hearts_overlap_as_planes_on_them(shift: float) -> None:
    (finding,) = _overlap(_slab("Lung_L", (12, 90), [3.0 * k + shift for k in range(-10, 40)]))
    assert finding.evidence.measured == pytest.approx(30, abs=0.1)
    # 18 of 60 mm times 60 mm times 60 mm.
    assert "30 % of Heart (65 ml) overlaps Lung_L" in finding.message


def test_a_lung_on_slices_of_another_spacing_overlaps_as_much() -> None:
    (finding,) = _overlap(_slab("Lung_L", (12, 90), [5.0 * k + 1.7 for k in range(-10, 40)], 5.0))
    assert finding.evidence.measured == pytest.approx(30, abs=0.5)


def test_a_lung_over_the_upper_half_overlaps_half_as_much() -> None:
    (finding,) = _overlap(_slab("Lung_L", (12, 90), [3.0 * k + 0.02 for k in range(10, 40)]))
    assert finding.evidence.measured == pytest.approx(15, abs=0.1)
    assert min(finding.evidence.positions_mm) == 30


def test_a_lung_on_sagittal_planes_overlaps_too() -> None:
    sagittal = Orientation((0, 1, 0), (0, 0, 1))
    planes = {float(x): MultiPolygon([box(-30, -60, 30, 100)]) for x in range(13, 90, 2)}
    (finding,) = _overlap(Structure("Lung_L", planes, sagittal, slice_spacing_mm=2.0))
    assert finding.evidence.measured == pytest.approx(30, abs=1)


def test_a_lung_beside_the_heart_does_not_overlap() -> None:
    assert _overlap(_slab("Lung_L", (30.0, 90), [3.0 * k + 0.02 for k in range(-10, 40)])) == []

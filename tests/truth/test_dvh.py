"""DVHs that stand in a formula, and the independent program beside ours (Nelms et al., Med Phys 42(8):4435, 2015)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtqc.dosimetry import dvh, second_calculation
from tests.cli.run import rtqc
from tests.truth.doses import LARGE, SMALL, Shape, Truth, sphere
from tests.truth.files import write_dose, write_structure

#: Half a slice between the last plane and a flat end: where a contour's slab ends with the shape.
ALIGNED = 0.5


def _percent(value: float, truth: float, exact: Truth) -> float:
    low, high = exact.ends_gy
    return 100 * abs(value - truth) / (high - low)


@pytest.mark.parametrize("direction", ["x", "y", "z"])
@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("offset", [0.13, 0.5, 0.81])
def test_a_heart_sized_ball(spacing: float, offset: float, direction: str) -> None:
    exact = Truth(sphere(48.5), direction, 0.2, 20.0)
    h = dvh(exact.shape.drawn(spacing, offset * spacing), exact.dose(spacing))
    assert h.volume_ml == pytest.approx(exact.shape.volume_ml, rel=0.005)
    assert _percent(h.mean_gy, exact.mean_gy, exact) < 0.02
    for x in (1, 2, 5, 50, 95, 98, 99):
        assert _percent(h.dose_at_percent_gy(x), exact.dose_at_percent_gy(x), exact) < 0.2
    assert _percent(h.dose_at_volume_gy(0.03), exact.dose_at_volume_gy(0.03), exact) < 0.2
    assert _percent(h.max_gy, exact.ends_gy[1], exact) < 0.5
    assert _percent(h.min_gy, exact.ends_gy[0], exact) < 0.5
    for gy in np.linspace(*exact.ends_gy, 15)[1:-1]:
        assert h.volume_at_dose_percent(gy) == pytest.approx(exact.volume_at_dose_percent(gy), abs=0.1)


@pytest.mark.parametrize("shape", LARGE, ids=lambda s: s.name)
@pytest.mark.parametrize("direction", ["y", "z"])
def test_heart_sized_shapes(shape: Shape, direction: str) -> None:
    spacing = 2.0  # every end then lies half a slice beyond a plane
    exact = Truth(shape, direction, 0.2, 20.0)
    h = dvh(shape.drawn(spacing, (ALIGNED + shape.reach("z")[0] / spacing % 1) * spacing), exact.dose(2.5))
    assert h.volume_ml == pytest.approx(shape.volume_ml, rel=0.005)
    assert _percent(h.mean_gy, exact.mean_gy, exact) < 0.1
    for x in (2, 50, 98):
        assert _percent(h.dose_at_percent_gy(x), exact.dose_at_percent_gy(x), exact) < 0.5
    for gy in np.linspace(*exact.ends_gy, 15)[1:-1]:
        assert h.volume_at_dose_percent(gy) == pytest.approx(exact.volume_at_dose_percent(gy), abs=0.5)


@pytest.mark.parametrize("shape", SMALL, ids=lambda s: s.name)
@pytest.mark.parametrize("direction", ["y", "z"])
@pytest.mark.parametrize("spacing", [1.0, 3.0])
def test_small_shapes_are_nearer_to_the_truth_than_the_independent_program(
    shape: Shape, direction: str, spacing: float, tmp_path: Path
) -> None:
    exact = Truth(shape, direction, 1.0, 16.0)
    drawn, dose = shape.drawn(spacing, ALIGNED * spacing), exact.dose(spacing)
    h = dvh(drawn, dose)
    assert h.volume_ml == pytest.approx(shape.volume_ml, rel=0.02)
    theirs = second_calculation(write_structure(drawn, tmp_path / "s.dcm"), write_dose(dose, tmp_path / "d.dcm"), 1)
    assert theirs is not None
    for x, other in ((2, theirs.d2_percent_gy), (50, theirs.d50_percent_gy), (98, theirs.d98_percent_gy)):
        ours = _percent(h.dose_at_percent_gy(x), exact.dose_at_percent_gy(x), exact)
        assert ours <= _percent(float(other or 0), exact.dose_at_percent_gy(x), exact)
        assert ours < 2.5
    assert _percent(h.mean_gy, exact.mean_gy, exact) <= _percent(float(theirs.mean_gy or 0), exact.mean_gy, exact) + 0.05


def test_the_command_line_tells_the_same_from_files(tmp_path: Path) -> None:
    exact = Truth(sphere(30), "y", 0.5, 20.0)
    write_structure(exact.shape.drawn(3.0, 1.1), tmp_path / "s.dcm")
    write_dose(exact.dose(2.5), tmp_path / "d.dcm")
    run = rtqc("dvh", tmp_path, "--roi", exact.shape.name, "--json")
    assert run.status == 0, run.err
    assert run.document["volume_ml"] == pytest.approx(exact.shape.volume_ml, rel=0.005)
    assert run.document["mean_gy"] == pytest.approx(exact.mean_gy, abs=0.02)
    assert run.document["d2_percent_gy"] == pytest.approx(exact.dose_at_percent_gy(2), abs=0.05)

"""``rtqc compare`` gives the volume that the other commands give, or says why it gives none. The heart is a box of 60 x 60 mm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtqc.cli.console import pick_structure
from rtqc.dicom import read_case
from tests.cli.run import rtqc
from tests.dicom.boxes import HEART_SLICES, SLICES, Contour, heart, square, write_ct, write_structures

_RULE = "structure_set.thickness_uncertain"


def _compared(folder: Path, *options: object) -> tuple[float, list[str]]:
    """Volume of A in ml, and what is said of its thickness."""
    document = rtqc("compare", folder / "RS.dcm", folder / "RS.dcm", "--roi", "Heart", "--json", *options).document
    return document["a"]["volume_ml"], [f["message"] for f in document["findings"] if f["rule"] == _RULE]


def _jittered(spacing: float, by_mm: float, seed: int) -> tuple[list[Contour], int]:
    """Outlines with a hole and a piece beside them, each at a height of its own."""
    rng = np.random.default_rng(seed)
    slices = np.arange(-30, 30 + 1e-6, spacing)
    parts = [((-30, 30), 0.0), ((-12, 12), 0.0), ((-5, 5), 60.0)]
    return [square(*ends, float(z + rng.uniform(-by_mm, by_mm)), x) for z in slices for ends, x in parts], slices.size


@pytest.mark.parametrize(("spacing", "by_mm"), [(3.0, 0.7), (2.5, 0.5), (1.25, 0.3), (5.0, 1.2)])
@pytest.mark.parametrize("seed", [1, 2])
def test_holes_and_pieces_at_heights_of_their_own_belong_to_their_outlines(
    tmp_path: Path, spacing: float, by_mm: float, seed: int
) -> None:
    contours, count = _jittered(spacing, by_mm, seed)
    write_structures(tmp_path, [(1, "Heart", contours)])
    volume, said = _compared(tmp_path)
    expected = (3600 - 576 + 100) * spacing * count / 1000
    # The two ends are known to the jitter only.
    assert volume == pytest.approx(expected, rel=2 * by_mm / (spacing * count) + 0.01)
    assert "heights vary by" in said[0]
    assert "--ct" in said[0]


def test_even_heights_are_not_said_to_vary(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", heart([z for z in HEART_SLICES if z != 3]))])
    volume, said = _compared(tmp_path)
    assert (volume, said) == (pytest.approx(226.8), [])


def test_contours_on_every_fifth_slice_have_one_volume_with_and_without_the_ct(tmp_path: Path) -> None:
    slices = tuple(float(z) for z in range(-100, 101, 5))
    write_structures(tmp_path, [(1, "Heart", heart([-50, -25, 0, 25]))], write_ct(tmp_path, slices))
    with_ct, without = _compared(tmp_path, "--ct", tmp_path), _compared(tmp_path)
    assert with_ct[0] == without[0] == pytest.approx(4 * 25 * 3.6)


def _rules(folder: Path, *options: object) -> dict[str, str]:
    document = rtqc("compare", folder / "RS.dcm", folder / "RS.dcm", "--roi", "Heart", "--json", *options).document
    return {f["rule"]: f["message"] for f in document["findings"]}


def test_contours_on_every_third_slice_of_the_ct_are_said_to_skip_slices(tmp_path: Path) -> None:
    slices = tuple(float(z) for z in range(-60, 61))
    write_structures(tmp_path, [(1, "Heart", heart(range(-30, 31, 3)))], write_ct(tmp_path, slices))
    assert _compared(tmp_path, "--ct", tmp_path)[0] == pytest.approx(226.8)
    assert "21 of the 61 CT slices" in _rules(tmp_path, "--ct", tmp_path)["contour.slice_missing"]


def test_contours_on_every_slice_of_the_ct_raise_nothing(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", heart())], write_ct(tmp_path))
    assert not [rule for rule in _rules(tmp_path, "--ct", tmp_path) if rule.startswith("contour.")]


def test_contours_beside_the_ct_that_was_given_are_said_to_lie_outside_it(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", heart())])
    other = tmp_path / "other"
    other.mkdir()
    write_ct(other, tuple(z + 200.0 for z in SLICES))
    assert "leaves the CT" in _rules(tmp_path, "--ct", other)["contour.outside_image"]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_series_the_one_that_the_contours_lie_on_tells_what_they_skip(tmp_path: Path, order: tuple[str, str]) -> None:
    near = tuple(float(z) for z in range(-60, 61))
    write_structures(tmp_path, [(1, "Heart", heart(range(-30, 31, 3)))])
    cts = tmp_path / "cts"
    cts.mkdir()
    for name, slices in zip(order, (near, tuple(z + 300.0 for z in near)), strict=True):
        write_ct(cts, slices, series=name, prefix=name)
    found = _rules(tmp_path, "--ct", cts)
    assert "21 of the 61 CT slices" in found["contour.slice_missing"]
    assert "contour.outside_image" not in found


@pytest.mark.parametrize("heights", [[0.0], [-80.0, 0.0, 80.0]])
def test_contours_that_stand_alone_are_said_to_have_an_assumed_thickness(tmp_path: Path, heights: list[float]) -> None:
    write_structures(tmp_path, [(1, "Heart", heart(heights))])
    volume, said = _compared(tmp_path)
    assert volume == pytest.approx(10.8 * len(heights))
    assert "3 mm thick, which is assumed" in said[0]


def test_a_ct_of_one_slice_is_said_not_to_help(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", heart([0]))], write_ct(tmp_path, (0.0,)))
    outcome = rtqc("compare", tmp_path / "RS.dcm", tmp_path / "RS.dcm", "--roi", "Heart", "--ct", tmp_path)
    assert outcome.status == 0
    assert "compared without it" in outcome.err
    assert "assumed" in " ".join(outcome.out.split())


def test_structures_that_cannot_be_read_are_not_perfectly_alike(tmp_path: Path) -> None:
    # Saddles: no plane holds them.
    steep = [
        (kind, [(x, y, z + (4 if x * y > 0 else -4)) for x, y, _ in points])
        for z in HEART_SLICES
        for kind, points in [square(-30, 30, z)]
    ]
    write_structures(tmp_path, [(1, "Heart", steep), (2, "Areola", [])], write_ct(tmp_path))
    for name, why in (("Heart", "do not lie on one image plane"), ("Areola", "no contours")):
        outcome = rtqc("compare", tmp_path / "RS.dcm", tmp_path / "RS.dcm", "--roi", name, "--ct", tmp_path, "--json")
        assert outcome.status == 2
        assert why in outcome.err
        assert "Dice" not in outcome.out


def test_of_two_rois_of_one_name_every_command_takes_the_one_with_contours(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", []), (2, "Heart", heart())], write_ct(tmp_path, SLICES))
    structures = read_case(tmp_path).structures
    assert pick_structure(structures, "Heart", "RS").volume_ml == pick_structure(structures, None, "RS").volume_ml
    assert _compared(tmp_path, "--ct", tmp_path)[0] == pytest.approx(226.8)


def test_a_name_with_a_newline_is_listed_on_one_line(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Lung\nright", heart())])
    outcome = rtqc("compare", tmp_path / "RS.dcm", tmp_path / "RS.dcm")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)

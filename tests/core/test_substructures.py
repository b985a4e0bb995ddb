"""LAD and left ventricle by the spellings of clinics, and what only looks like them."""

from __future__ import annotations

import pytest
from shapely.geometry import MultiPolygon, Point

from rtqc.core import Structure
from rtqc.core.substructures import LAD, LEFT_VENTRICLE, resolved, substructure_of


@pytest.mark.parametrize(
    "name",
    [
        "A_LAD", "LAD", "lad", "LAD_artery", "LADCA", "Coronary_LAD", "CoronaryArtery_LAD", "RIVA", "LeftAnteriorDescending", "A_LAD_DIBH",
        "Left Anterior Descending Artery", "Ramus interventricularis anterior", "artère IVA", "LAD 2",
    ],
)  # fmt: skip
def test_the_left_anterior_descending_artery_is_found(name: str) -> None:
    assert substructure_of(name) == LAD


@pytest.mark.parametrize(
    "name",
    [
        "Ventricle_L", "LV", "left ventricle", "LeftVentricle", "Lt Ventricle", "Linker Ventrikel", "Ventrikel links", "Ventricule gauche",
        "Ventrículo izquierdo", "ventricolo sinistro", "Heart_LV", "VG",
    ],
)  # fmt: skip
def test_the_left_ventricle_is_found(name: str) -> None:
    assert substructure_of(name) == LEFT_VENTRICLE


@pytest.mark.parametrize(
    "name",
    ["Heart", "LAD_PRV", "LAD+5mm", "zLAD_opt", "LAD-PTV", "PRV_LAD", "Ventricle_R", "RV", "Ladder", "Gland_Lad", "LVW", "Lung_L", "LAD_ring", ""],
)  # fmt: skip
def test_margins_helpers_and_other_organs_are_no_substructures(name: str) -> None:
    assert substructure_of(name) is None


def test_a_protocols_name_stands_for_every_spelling_and_contours_come_first() -> None:
    drawn = Structure("x", {0.0: MultiPolygon([Point(0, 0).buffer(5)])})
    empty = Structure("x", {})
    assert resolved("A_LAD", {"Heart": drawn, "RIVA": drawn}) == "RIVA"
    assert resolved("A_LAD", {"A_LAD": empty, "LAD": drawn}) == "LAD"
    assert resolved("A_LAD", {"A_LAD": empty}) == "A_LAD"
    assert resolved("A_LAD", {"Ventricle_L": drawn}) is None
    assert resolved("Lung_L", {"Lung_L": drawn}) == "Lung_L"
    assert resolved("Lung_L", {"Lung_Left": drawn}) is None

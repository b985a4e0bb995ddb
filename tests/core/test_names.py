"""Which name is the heart, and which only looks like it."""

from __future__ import annotations

import pytest

from rtqc.core.names import NameTable, find_hearts, heart_score, is_body, lung_side
from rtqc.core.organ_names import organ_of

HEARTS = (
    "Heart HEART heart heart_ Herz HERZ Hart Coeur Cœur Cuore Corazon Corazón Cor Coração Hjerte Hjärta Sydän Serce Srdce "
    "OAR_Heart Heart_P heart1 Heart_2 HeartTotal whole_heart Heart_FB HeartDIBH Сердце 心臓"
).split() + ["OAR Heart", "Heart (approved)", " Heart ", "Heart - final", "Pericardium incl heart"]
OTHERS = (
    "zHeart_old zHeart xHeart _Heart Heart_PRV PRV_Heart Heart-PTV Heart+5mm Heart_5mm LAD Heart_rtqc Heart_old Ring_Heart "
    "Heartwall LV LeftVentricle Lung_L Liver Cord SpinalCord Core Corpus Cortex Hartmann A_LAD Heart_A Great_Vessels Heart_avoid"
).split() + ["Heart PRV", "Heart minus PTV", "Heart test", "not heart", ""]


@pytest.mark.parametrize("name", HEARTS)
def test_clinical_spellings_of_the_heart_are_found(name: str) -> None:
    assert heart_score(name) > 0


@pytest.mark.parametrize("name", OTHERS)
def test_helpers_margins_and_other_organs_are_not_the_heart(name: str) -> None:
    assert heart_score(name) == 0


@pytest.mark.parametrize("name", ["Körper", "Koerper", "KOERPER"])
def test_umlauts_may_be_spelled_with_an_e(name: str) -> None:
    assert is_body(name)
    assert organ_of("Speiseroehre") == organ_of("Speiseröhre") == "oesophagus"
    assert organ_of("Rueckenmark") == organ_of("Rückenmark") == "cord"
    assert organ_of("Wirbelsaeule") == organ_of("Wirbelsäule") == "vertebra"
    assert organ_of("Speiseroehre-PTV") is None


def test_the_surest_spelling_comes_first() -> None:
    assert find_hearts(["heart 2", "OAR Heart", "LAD", "Heart", "HEART"]) == ["Heart", "HEART", "OAR Heart", "heart 2"]


def test_a_clinic_extends_and_restricts_the_table() -> None:
    table = NameTable(words=("cuor",), accepted=("H-1",), rejected=("HEART",))
    assert heart_score("Cuor", table) > 0
    assert heart_score("h-1", table) == 98
    assert heart_score("heart", table) == 0


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("Lung_L", "left"), ("Lt Lung", "left"), ("LUNG LEFT", "left"), ("Lunge links", "left"), ("Poumon G", "left"),
        ("Lung_R", "right"), ("Rt Lung", "right"), ("Lunge re", "right"), ("Lungs", None), ("Lung_L-PTV", None), ("Heart", None),
    ],
)  # fmt: skip
def test_lungs_have_a_side(name: str, side: str | None) -> None:
    assert lung_side(name) == side


def test_the_body_is_told_by_type_or_name() -> None:
    assert is_body("Outline_7", "EXTERNAL")
    assert is_body("BODY")
    assert not is_body("Breast_L", "ORGAN")

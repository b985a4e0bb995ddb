"""The side that names of plans and targets say, in the languages and habits of clinics."""

from __future__ import annotations

import pytest

from rtqc.core.side_words import side_of_text

LEFT = (
    "Breast_L", "PTV_Breast_L", "Lt_Chestwall", "LT CW+SCV", "Mamma li", "MammaLi 50Gy", "LBREAST", "LBreast", "Left Breast", "Sein G", "Mama izq",
    "Mammella sx", "bryst venstre", "PTV_Lung_L", "LUL SBRT", "左乳", "RT LT BREAST", "Breast LT", "Lunge li.", "PTVbreastL", "1 BreastL",
    "CTVn_L2_Breast_L", "pierś lewa", "левая молочная железа", "linker borst", "Breast_L2", "Left chest wall RT", "BREASTL", "왼쪽 유방", "Sol meme",
    "Br_L", "BR L 40Gy", "Mama E", "MAMA_E_50", "Pulmão E",
)  # fmt: skip
RIGHT = (
    "Breast_R", "Rt_Chestwall", "RT BREAST", "RT CHEST WALL", "Mamma re", "MammaRe", "RBreast", "Right Breast", "Sein D", "mamma dx", "bryst højre",
    "右肺", "RLL", "RUL SABR", "Rt Breast RT", "R breast boost", "PTV_Breast_R_5040", "PTV_Mamma re", "Brust rechts", "mama der", "seno dx", "правая",
    "jobb emlő", "PTVn_AxillaR", "Br_R", "RBr", "BreR40", "Mama D", "Pulmão D",
)  # fmt: skip
NEITHER = (
    "Research", "Breast RT", "RT plan", "RePlan Mamma", "Re-RT Lung", "PTV_L2", "L1-L3", "LN", "Breast R1", "Level_II Breast", "Breast", "Lung SBRT",
    "BREAST RT", "RT", "Bestrahlung der Mamma", "Tongue.0", "B1", "PTV", "R&D", "PTV_R", "PTV_L", "Dr Breast", "Mamma Re-Plan", "breast replan",
    "Relapse Lung", "A1", "Breast_Rev1", "", "Br_RT", "Brain", "Mama e axila", "Breast E", "Bronchus",
)  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_a_name_of_the_left_side(name: str) -> None:
    assert side_of_text(name) == "left"


@pytest.mark.parametrize("name", RIGHT)
def test_a_name_of_the_right_side(name: str) -> None:
    assert side_of_text(name) == "right"


@pytest.mark.parametrize("name", NEITHER)
def test_a_name_of_no_side(name: str) -> None:
    assert side_of_text(name) is None


@pytest.mark.parametrize(
    "name", ["Breasts bilat", "Mammae beidseits", "PTV_Breast_L + PTV_Breast_R", "left and right lung", "両側乳房"]
)
def test_a_name_of_both_sides(name: str) -> None:
    assert side_of_text(name) == "both"


def test_a_letter_counts_where_another_name_of_the_plan_is_a_paired_organ() -> None:
    assert side_of_text("PTV_L") is None
    assert side_of_text("PTV_L", "Breast") == "left"


def test_mediastinum_and_oesophagus_are_of_the_middle() -> None:
    assert [side_of_text(t) for t in ("Mediastinum", "PTV_Esophagus", "Ösophagus")] == ["midline"] * 3


def test_a_damaged_text_that_repeats_a_kind_of_target_has_no_side() -> None:
    assert side_of_text("ptv" * 5000) is None
    assert side_of_text("ptv" * 5000 + "lbreast") == "left"


def test_short_forms_of_organs_and_sides() -> None:
    """What clinics write for breast, chest wall, both and left; ``SN`` is the sentinel node but in Italian."""
    assert [side_of_text(t) for t in ("Brst_R", "RBRST", "ThxWand re", "Pecho der")] == ["right"] * 4
    assert [side_of_text(t) for t in ("BrstL", "Mammella sn")] == ["left"] * 2
    assert [side_of_text(t) for t in ("Bil breast", "Breast SN", "Pecho SN", "Bill")] == ["both", None, None, None]

"""``rtqc dvh`` as physicists use it, on a box in a dose that is linear: every number has its formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pydicom
import pytest

from rtqc.dosimetry import MetricNameError, requested_metric
from tests.boxes import HEART_ML, LIVER_ML, changed, write_box
from tests.cli.run import rtqc


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_box(tmp_path_factory.mktemp("box"))


#: The heart reaches from -31.5 to 31.5 mm, and has 3.6 ml a millimetre; the dose is 20 Gy + 0.1 Gy/mm.
HALF_MM, ML_PER_MM = 31.5, 3.6


@pytest.mark.parametrize(
    ("name", "truth", "unit", "off"),
    [
        ("D95%", 20 + 0.1 * (HALF_MM - 0.95 * 63), "Gy", 0.02),
        ("D50%", 20.0, "Gy", 0.02),
        ("D2cc", 20 + 0.1 * (HALF_MM - 2 / ML_PER_MM), "Gy", 0.02),
        ("D0.03cc", 20 + 0.1 * (HALF_MM - 0.03 / ML_PER_MM), "Gy", 0.02),
        ("V20Gy", 50.0, "%", 0.3),
        ("V22Gy", 100 * (HALF_MM - 20) / 63, "%", 0.3),
        ("V22Gy[cc]", ML_PER_MM * (HALF_MM - 20), "ml", 0.7),
        ("V44%", 100 * (HALF_MM - 20) / 63, "%", 0.3),
        ("V44%[cc]", ML_PER_MM * (HALF_MM - 20), "ml", 0.7),
        ("D95%[%]", (20 + 0.1 * (HALF_MM - 0.95 * 63)) / 50 * 100, "%", 0.05),
        ("mean", 20.0, "Gy", 0.01),
        ("max", 20 + 0.1 * HALF_MM, "Gy", 0.02),
        ("min", 20 - 0.1 * HALF_MM, "Gy", 0.02),
        ("median", 20.0, "Gy", 0.02),
    ],
)
def test_a_metric_by_name_is_that_of_the_formula(plan: Path, name: str, truth: float, unit: str, off: float) -> None:
    metric = rtqc("dvh", plan, "--metric", name, "--json").document["metrics"][name]
    assert metric["unit"] == unit
    assert metric["value"] == pytest.approx(truth, abs=off)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("d95%", "D95%"), ("D 95 %", "D95%"), ("V20gy", "V20Gy"), ("V2000cGy", "V20Gy"), ("V12,5Gy", "V12.5Gy"), ("V20Gy(cc)", "V20Gy[cc]"),
        ("V20Gy_cc", "V20Gy[cc]"), ("V20Gy cm3", "V20Gy[cc]"), ("D2CC", "D2cc"), ("D2ml", "D2cc"), ("Dmax", "max"), ("Mean", "mean"),
        ("v20_gy_percent", "V20Gy"), ("d0_03cc_gy", "D0.03cc"), ("v20_gy_ml", "V20Gy[cc]"), ("mean_gy", "mean"),
    ],
)  # fmt: skip
def test_names_are_read_as_people_write_them(written: str, name: str) -> None:
    assert requested_metric(written).name == name


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("V20", "did you mean 'V20Gy' or 'V20%'?"),
        ("D95", "did you mean 'D95%' or 'D95cc'?"),
        ("D20Gy", "'D20Gy' mixes dose and volume"),
        ("V2cc", "'V2cc' mixes dose and volume"),
        ("meen", "did you mean 'mean'?"),
        ("", "did you mean"),
        ("D120%", "0 to 100 %"),
        ("D0cc", "more than 0 cc"),
        ("V20Gy[Gy]", "a volume is in % or cc"),
        ("D95%[cc]", "a dose is in Gy or %"),
        ("D-5%", "did you mean"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(plan: Path, written: str, words: str) -> None:
    with pytest.raises(MetricNameError):
        requested_metric(written)
    outcome = rtqc("dvh", plan, "--metric", written)
    assert outcome.status == 2
    assert words in outcome.err


def test_several_structures_are_one_document_a_table_and_csv(plan: Path) -> None:
    asked = ("dvh", plan, "--roi", "Heart", "--roi", "Liver", "--metric", "D95%", "--metric", "V20Gy[cc]")
    told = rtqc(*asked, "--json").document["structures"]
    assert [s["structure"] for s in told] == ["Heart", "Liver"]
    assert [s["volume_ml"] for s in told] == pytest.approx([HEART_ML, LIVER_ML], rel=1e-4)
    assert [s["metrics"]["V20Gy[cc]"]["value"] for s in told] == pytest.approx([HEART_ML / 2, LIVER_ML / 2], rel=0.01)
    rows = list(csv.DictReader(io.StringIO(rtqc(*asked, "--csv").out)))
    assert [r["structure"] for r in rows] == ["Heart", "Liver"]
    assert float(rows[1]["volume (ml)"]) == pytest.approx(LIVER_ML, rel=1e-4)
    assert float(rows[0]["V20Gy (ml)"]) == pytest.approx(told[0]["metrics"]["V20Gy[cc]"]["value"], abs=0.001)
    table = rtqc(*asked).out
    assert "D95% (Gy)" in table
    assert "Liver" in table
    every = rtqc("dvh", plan, "--all", "--json").document["structures"]
    assert [s["structure"] for s in every] == ["Heart", "Liver"]


def test_one_structure_keeps_the_keys_of_the_contract(plan: Path) -> None:
    d = rtqc("dvh", plan, "--roi", "Liver", "--metric", "D95%", "--json").document
    assert {
        "mean_gy",
        "max_gy",
        "d0_03cc_gy",
        "d2_percent_gy",
        "v20_gy_percent",
        "structure",
        "min_gy",
        "d98_percent_gy",
        "curve",
    } <= set(d)
    assert d["curve"]["volume_ml"][0] == pytest.approx(LIVER_ML, rel=1e-3)


def test_an_empty_structure_among_several_is_said_and_the_others_are_measured(plan: Path, tmp_path: Path) -> None:
    for file in plan.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    changed(tmp_path / "RTSTRUCT.dcm", tmp_path / "RTSTRUCT.dcm", lambda d: delattr(d.ROIContourSequence[1], "ContourSequence"))
    heart, liver = rtqc("dvh", tmp_path, "--all", "--metric", "D95%", "--json").document["structures"]
    assert heart["metrics"]["D95%"]["value"] > 0
    assert liver["metrics"]["D95%"] == {"value": None, "unit": "Gy"}
    assert liver["mean_gy"] is None
    assert any("Liver is empty" in f["message"] for f in liver["findings"])
    assert rtqc("dvh", tmp_path, "--roi", "Liver").status == 2


def test_more_volume_than_a_structure_has_is_no_dose(plan: Path) -> None:
    metrics = rtqc("dvh", plan, "--roi", "Liver", "--metric", "D25cc", "--metric", "D26cc", "--json").document["metrics"]
    assert metrics["D25cc"]["value"] == pytest.approx(20 - 0.1 * HALF_MM, abs=0.05)
    assert metrics["D26cc"]["value"] is None


def test_a_part_of_the_prescription_needs_one(plan: Path, tmp_path: Path) -> None:
    for file in plan.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    def two(dataset: pydicom.Dataset) -> None:
        import copy

        boost = copy.deepcopy(dataset.DoseReferenceSequence[0])
        boost.DoseReferenceNumber, boost.TargetPrescriptionDose = 2, 60.0
        dataset.DoseReferenceSequence.append(boost)

    changed(tmp_path / "RTPLAN.dcm", tmp_path / "RTPLAN.dcm", two)
    outcome = rtqc("dvh", tmp_path, "--metric", "V95%")
    assert outcome.status == 2
    assert "has several (50 Gy, 60 Gy)" in outcome.err
    told = rtqc("dvh", tmp_path, "--metric", "V95%", "--prescription", "20", "--json").document
    assert told["metrics"]["V95%"]["value"] == pytest.approx(100 * (HALF_MM + 10) / 63, abs=0.3)
    (tmp_path / "RTPLAN.dcm").unlink()
    alone = rtqc("dvh", tmp_path, "--metric", "V95%")
    assert alone.status == 2
    assert "the plan has none" in alone.err


def test_the_volume_by_trapezoids_stands_beside_where_it_differs(plan: Path) -> None:
    told = rtqc("dvh", plan, "--json").document
    assert told["volume_ml"] == pytest.approx(HEART_ML, rel=1e-4)
    # 20 steps of 3 mm instead of 21 slices.
    assert told["trapezoid_volume_ml"] == pytest.approx(216.0, rel=1e-4)
    assert "half a slice" in told["volume_convention"]
    shown = " ".join(rtqc("dvh", plan).out.split())
    assert "226.80 ml with contours extended by half a slice" in shown
    assert "trapezoids get 216.00 ml" in shown


def test_options_that_contradict_each_other_are_said(plan: Path) -> None:
    assert "--all takes every structure" in rtqc("dvh", plan, "--all", "--roi", "Heart").err
    assert "give one of them" in rtqc("dvh", plan, "--csv", "--json").err

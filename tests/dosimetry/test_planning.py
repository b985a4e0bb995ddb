"""The planning system's DVH out of the RTDOSE, as its third column."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from rtqc.core import Case
from rtqc.core.assessment import DoseComparison
from rtqc.core.case import PlanningDvh
from rtqc.dicom import read_case
from rtqc.dicom.read_dvh import read_planning_dvhs
from rtqc.dosimetry import dvh, mean_tolerance_gy, metrics_of, planning_metrics, trapezoid_volume_ml, volume_agrees
from rtqc.pipeline import Options, assess
from rtqc.qc import Measurements, load_protocol, run_rules
from tests.shapes import cylinder


def _sequence(roi: int, kind: str, unit: str, scale: float, **stated: float) -> Dataset:
    """A structure of 50 ml whose dose is even between 0 and 10 Gy, in bins of 0.1 Gy."""
    edges = np.arange(0, 10.0, 0.1)
    whole = 50.0 if unit == "CM3" else 100.0
    volumes = whole * (1 - edges / 10) if kind == "CUMULATIVE" else np.full(edges.size, whole / edges.size)
    entry, reference = Dataset(), Dataset()
    reference.ReferencedROINumber, reference.DVHROIContributionType = roi, "INCLUDED"
    entry.DVHReferencedROISequence = Sequence([reference])
    entry.DVHType, entry.DoseUnits, entry.DoseType, entry.DVHVolumeUnits = kind, "GY", "PHYSICAL", unit
    entry.DVHDoseScaling, entry.DVHNumberOfBins = scale, edges.size
    entry.DVHData = [f"{v:.6f}" for pair in zip(np.full(edges.size, 0.1 / scale), volumes, strict=True) for v in pair]
    for keyword, value in stated.items():
        setattr(entry, keyword, value)
    return entry


@pytest.mark.parametrize(
    ("kind", "unit", "scale"), [("CUMULATIVE", "CM3", 1.0), ("CUMULATIVE", "PERCENT", 0.5), ("DIFFERENTIAL", "CM3", 1.0)]
)
def test_an_even_dose_is_told_as_it_was_written(
    kind: str,
    unit: str,
    scale: float,
    clean_folder: Path,
    clean_case,
    tmp_path: Path,  # type: ignore[no-untyped-def]
) -> None:
    number = next(r.number for r in clean_case.rois if r.structure.name == "Heart")
    folder = shutil.copytree(clean_folder, tmp_path / "plan")
    dose = pydicom.dcmread(folder / "RTDOSE.dcm")
    dose.DVHSequence = Sequence([_sequence(number, kind, unit, scale, DVHMeanDose=5.0, DVHMaximumDose=10.0)])
    dose.save_as(folder / "RTDOSE.dcm")
    case = read_case(folder)
    m = planning_metrics(case.planning_dvhs[number])
    assert m.mean_gy == pytest.approx(5.0, abs=1e-3)
    assert (m.max_gy, m.min_gy) == (10.0, None)
    assert m.d50_percent_gy == pytest.approx(5.0, abs=0.01)
    assert m.d2_percent_gy == pytest.approx(9.8, abs=0.05)
    assert m.v5_gy_percent == pytest.approx(50, abs=0.1)
    assert m.v10_gy_percent == pytest.approx(0, abs=1.1)
    assert (m.d0_03cc_gy is None) == (unit == "PERCENT")
    if kind == "CUMULATIVE" and unit == "CM3":
        assessment = assess(case, Options(device="cpu"))
        assert assessment.dose is not None
        assert assessment.dose.planning_system == m
        # 5 Gy is not what this heart gets: whoever wrote it had another contour.
        assert "dose.planning_system" in [f.rule for f in assessment.findings]


def test_a_mean_that_is_not_stated_is_integrated() -> None:
    gy = np.linspace(0, 10, 101)
    m = planning_metrics(PlanningDvh(tuple(gy), tuple(1 - gy / 10)))
    assert m.mean_gy == pytest.approx(5.0, abs=1e-3)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("odd", "not pairs of numbers"),
        ("rising", "rises with the dose"),
        ("negative", "negative volumes"),
        ("relative", "RELATIVE, not GY"),
        ("natural", "DVHType is NATURAL"),
        ("per unit", "PER_U"),
        ("doses", "doses of the bins instead of their widths"),
        ("uneven doses", "doses of the bins instead of their widths"),
        ("doses that stay", "doses of the bins instead of their widths"),
        ("excluded", ""),
        ("two", ""),
    ],
)
def test_what_cannot_be_understood_is_left_out_and_said(spoil: str, why: str, tmp_path: Path) -> None:
    entry = _sequence(1, "CUMULATIVE", "CM3", 1.0)
    if spoil == "odd":
        entry.DVHData = list(entry.DVHData)[:-1]
    elif spoil == "rising":
        entry.DVHData = ["0.1", "1", "0.1", "2", "0.1", "3"]
    elif spoil == "negative":
        entry.DVHData = ["0.1", "3", "0.1", "2", "0.1", "-1"]
    elif spoil == "relative":
        entry.DoseUnits = "RELATIVE"
    elif spoil == "natural":
        entry.DVHType = "NATURAL"
    elif spoil == "per unit":
        entry.DVHVolumeUnits = "PER_U"
    elif spoil == "doses":
        entry.DVHData = [v for k in range(1, 60) for v in (f"{k / 10:.1f}", f"{60 - k}")]
    elif spoil == "uneven doses":
        entry.DVHData = _pairs(np.sort(10 * np.linspace(0.1, 1, 60) ** 1.7), np.linspace(50, 0, 60))
    elif spoil == "doses that stay":
        entry.DVHData = _pairs(np.repeat(np.arange(0.5, 10.5, 0.5), 2)[:-1], np.linspace(50, 0, 39))
    elif spoil == "excluded":
        entry.DVHReferencedROISequence[0].DVHROIContributionType = "EXCLUDED"
    else:
        entry.DVHReferencedROISequence.append(Dataset())
    found, doubts = read_planning_dvhs(_file(entry, tmp_path), {1: "Heart"})
    assert found == {}
    # A combination of organs is nobody's mistake.
    assert [d.rule for d in doubts] == (["dose.planning_dvh"] if why else [])
    if why:
        assert why in doubts[0].message
        assert "Heart" in doubts[0].message


def _file(entry: Dataset, folder: Path) -> Path:
    """An RTDOSE of nothing but a DVH Sequence."""
    dataset = Dataset()
    dataset.DVHSequence = Sequence([entry])
    dataset.save_as(folder / "dvh.dcm", implicit_vr=True, little_endian=True)
    return folder / "dvh.dcm"


def _pairs(widths: NDArray[np.float64], volumes: NDArray[np.float64]) -> list[str]:
    return [f"{v:.10g}" for pair in zip(widths, volumes, strict=True) for v in pair]


@pytest.mark.parametrize(("uid", "used"), [("2.25.5", True), ("2.25.6", False), ("", True)])
def test_dvhs_of_another_structure_set_are_not_used_because_numbers_mean_other_organs(
    uid: str, used: bool, tmp_path: Path
) -> None:
    dataset, reference = Dataset(), Dataset()
    dataset.DVHSequence = Sequence([_sequence(1, "CUMULATIVE", "CM3", 1.0)])
    if uid:
        reference.ReferencedSOPInstanceUID = uid
        dataset.ReferencedStructureSetSequence = Sequence([reference])
    dataset.save_as(tmp_path / "dvh.dcm", implicit_vr=True, little_endian=True)
    found, doubts = read_planning_dvhs(tmp_path / "dvh.dcm", {1: "Heart"}, "2.25.5")
    assert (set(found) == {1}) == used
    assert used or "another structure set" in doubts[0].message


def test_an_effective_dvh_of_a_physical_dose_is_not_used(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.DoseType = "PHYSICAL"
    entry = _sequence(1, "CUMULATIVE", "CM3", 1.0)
    entry.DoseType = "EFFECTIVE"
    dataset.DVHSequence = Sequence([entry])
    dataset.save_as(tmp_path / "dvh.dcm", implicit_vr=True, little_endian=True)
    found, doubts = read_planning_dvhs(tmp_path / "dvh.dcm")
    assert found == {}
    assert "its DoseType is EFFECTIVE, that of the dose PHYSICAL" in doubts[0].message


@pytest.mark.parametrize("rest", [-2e-12, -1.4e-11, 0.0])
def test_a_volume_of_rounding_below_zero_is_zero(rest: float, tmp_path: Path) -> None:
    entry = _sequence(1, "CUMULATIVE", "CM3", 1.0, DVHMeanDose=5.0)
    entry.DVHData = _pairs(np.full(101, 0.1), np.r_[np.arange(100, 0, -1) / 2, rest])
    found, doubts = read_planning_dvhs(_file(entry, tmp_path))
    assert doubts == ()
    assert found[1].share[-1] == 0
    assert found[1].volume_ml == 50


@pytest.mark.parametrize(("prescribed_gy", "scale"), [(50.0, 1.0), (42.7, 0.01), (60.0, 0.5)])
def test_a_stated_mean_in_percent_is_not_believed_and_said(prescribed_gy: float, scale: float, tmp_path: Path) -> None:
    """Of an even dose from 0 to 10 Gy: 5 Gy are so many percent of the prescription."""
    percent = {"DVHMeanDose": 500 / prescribed_gy, "DVHMaximumDose": 1000 / prescribed_gy, "DVHMinimumDose": 0.0}
    found, doubts = read_planning_dvhs(_file(_sequence(1, "CUMULATIVE", "CM3", scale, **percent), tmp_path), {1: "Heart"})
    assert planning_metrics(found[1]).mean_gy == pytest.approx(5.0, abs=1e-3)
    assert (found[1].max_gy, found[1].min_gy) == (None, 0.0)
    assert f"Heart (mean {500 / prescribed_gy:.2f} instead of 5.00 Gy)" in doubts[0].message


def test_a_curve_that_begins_at_the_minimum_dose_has_the_area_of_its_bins(tmp_path: Path) -> None:
    """A first bin of 16.8 Gy: 226.8 ml receive it, half of them 23.1 Gy; the bars' area over the volume is 16.8 + 6.3 / 2 Gy."""
    entry = _sequence(1, "CUMULATIVE", "CM3", 1.0, DVHMeanDose=40.0)
    entry.DVHData = _pairs(np.array([16.8, 6.3, 0.1]), np.array([226.8, 113.4, -2e-12]))
    found, doubts = read_planning_dvhs(_file(entry, tmp_path), {1: "Heart"})
    metrics = planning_metrics(found[1])
    assert metrics.mean_gy == pytest.approx(19.95)
    assert metrics.v15_gy_percent == 100
    assert metrics.d50_percent_gy == pytest.approx(23.1)
    assert "mean 40.00 instead of 19.95 Gy" in doubts[0].message
    # Bins of 6 and 17 Gy leave that much open.
    assert mean_tolerance_gy(found[1], 20.0, 0.15) > 3


def test_a_mean_that_the_curve_has_is_believed_within_its_bins(tmp_path: Path) -> None:
    for stated, believed in ((5.0, True), (5.08, True), (4.9, True), (5.3, False), (4.6, False)):
        found, doubts = read_planning_dvhs(_file(_sequence(1, "CUMULATIVE", "CM3", 1.0, DVHMeanDose=stated), tmp_path))
        assert (found[1].mean_gy == stated) == believed
        assert (doubts == ()) == believed


def test_the_tolerance_grows_with_the_dose() -> None:
    curve = PlanningDvh((0.0, 40.0), (1.0, 0.0))
    assert mean_tolerance_gy(curve, 2.0, 0.15) == pytest.approx(0.15)
    assert mean_tolerance_gy(curve, 20.0, 0.15) == pytest.approx(0.6)


def test_a_gap_that_is_bridged_has_a_volume_by_trapezoids_too() -> None:
    # Planes 1 mm apart; the gap of 4 mm is bridged (up to 5 mm), that of 30 mm is not: 2 + 4 + 2 + 3 mm by hand.
    whole = cylinder(20, 0, 50, 1.0)
    area = whole.areas_mm2[0]
    kept = (0.5, 1.5, 2.5, 6.5, 7.5, 8.5, 38.5, 39.5, 40.5, 41.5)
    gapped = replace(whole, planes={w: whole.planes[w] for w in kept})
    assert gapped.slabs.bridged.tolist() == [True] * 5 + [False] + [True] * 3
    assert trapezoid_volume_ml(gapped) == pytest.approx(area * (2 + 4 + 2 + 3) / 1000)


def test_planning_systems_count_volume_between_the_outermost_planes() -> None:
    # By hand: 21 planes 3 mm apart are 60 mm from the first to the last, and 63 mm with half a slice at either end.
    tall, flat = cylinder(20, -30, 30, 3.0), cylinder(20, 0, 3, 3.0)
    area = tall.areas_mm2[0]
    assert trapezoid_volume_ml(tall) == pytest.approx(area * (len(tall.planes) - 1) * 3 / 1000)
    assert tall.volume_ml == pytest.approx(area * len(tall.planes) * 3 / 1000)
    assert trapezoid_volume_ml(flat) <= 0.55 * flat.volume_ml
    for volume, agrees in (
        (trapezoid_volume_ml(tall), True), (tall.volume_ml, True), (0.9 * trapezoid_volume_ml(tall), False), (1.1 * tall.volume_ml, False),
    ):  # fmt: skip
        assert volume_agrees(PlanningDvh((0.0, 1.0), (1.0, 0.0), volume), tall) == agrees
    assert volume_agrees(PlanningDvh((0.0, 1.0), (1.0, 0.0)), tall)


def _measured(case: Case, curve: PlanningDvh) -> Measurements:
    """A case whose RTDOSE carries a DVH of its heart."""
    roi = next(r for r in case.rois if r.structure.name == "Heart")
    assert case.dose is not None
    own = metrics_of(dvh(roi.structure, case.dose))
    dose = DoseComparison(contoured=own, planning_system=planning_metrics(curve))
    return Measurements(replace(case, planning_dvhs={roi.number: curve}), roi, dose=dose)


def _rules(m: Measurements) -> set[str]:
    return {
        f.rule for f in run_rules(m, load_protocol("heart"), frozenset({"dose.planning_system", "dose.planning_system_volume"}))
    }


def test_a_dvh_of_another_heart_is_found_by_its_mean_or_its_volume(clean_case: Case) -> None:
    heart = clean_case.structures["Heart"]
    assert clean_case.dose is not None
    own = dvh(heart, clean_case.dose)
    curve = own.curve()
    share = tuple(v / curve.volume_ml[0] for v in curve.volume_ml)
    right = PlanningDvh(curve.dose_gy, share, trapezoid_volume_ml(heart), own.mean_gy)
    assert _rules(_measured(clean_case, right)) == set()
    limit = max(0.15, 0.03 * own.mean_gy)
    assert _rules(_measured(clean_case, replace(right, mean_gy=own.mean_gy + 0.9 * limit))) == set()
    assert _rules(_measured(clean_case, replace(right, mean_gy=own.mean_gy + 1.1 * limit))) == {"dose.planning_system"}
    assert _rules(_measured(clean_case, replace(right, volume_ml=1.02 * heart.volume_ml))) == set()
    assert _rules(_measured(clean_case, replace(right, volume_ml=1.05 * heart.volume_ml))) == {"dose.planning_system_volume"}


def test_bins_of_widths_that_grow_once_or_twice_are_widths(tmp_path: Path) -> None:
    """A curve up to the minimum dose, fine bins, and coarse ones behind them: the mean is the area below it."""
    entry = _sequence(1, "DIFFERENTIAL", "CM3", 1.0)
    widths = np.r_[np.full(20, 0.1), np.full(20, 0.2), np.full(10, 0.4)]
    entry.DVHData = _pairs(widths, widths * 5)
    found, doubts = read_planning_dvhs(_file(entry, tmp_path), {1: "Heart"})
    assert not doubts
    # Even between 0 and 10 Gy.
    assert found[1].mean_gy == pytest.approx(5.0, abs=0.2)

"""The planning system's DVH out of the RTDOSE, as its third column."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from rtqc.core.case import PlanningDvh
from rtqc.dicom import read_case
from rtqc.dosimetry import planning_metrics
from rtqc.pipeline import Options, assess


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
        setattr(entry, keyword, value / scale)
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


@pytest.mark.parametrize("spoil", ["odd", "rising", "relative", "excluded", "two"])
def test_what_cannot_be_understood_is_left_out(spoil: str, clean_folder: Path, clean_case, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    number = next(r.number for r in clean_case.rois if r.structure.name == "Heart")
    folder = shutil.copytree(clean_folder, tmp_path / "plan")
    dose = pydicom.dcmread(folder / "RTDOSE.dcm")
    entry = _sequence(number, "CUMULATIVE", "CM3", 1.0)
    if spoil == "odd":
        entry.DVHData = list(entry.DVHData)[:-1]
    elif spoil == "rising":
        entry.DVHData = ["0.1", "1", "0.1", "2", "0.1", "3"]
    elif spoil == "relative":
        entry.DoseUnits = "RELATIVE"
    elif spoil == "excluded":
        entry.DVHReferencedROISequence[0].DVHROIContributionType = "EXCLUDED"
    else:
        entry.DVHReferencedROISequence.append(Dataset())
    dose.DVHSequence = Sequence([entry])
    dose.save_as(folder / "RTDOSE.dcm")
    case = read_case(folder)
    assert case.dose is not None
    assert case.planning_dvhs == {}

"""What the CT shows of respiration, told from its header."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from rtqc.core import Case
from rtqc.core.acquisition import Acquisition, Respiration
from rtqc.core.respiration_words import respiration_of_text
from rtqc.dicom.read_respiration import contours_on_other_images, read_respiration
from tests.qc.plans import case, cylinder, found


def header(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "kind", "percent"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "AVERAGE"]}, "average", None),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "maximum", None),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "MIN IP"]}, "minimum", None),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "Planning CT"}, "", None),
        ({"SeriesDescription": "4D_Thorax_AVG"}, "average", None),
        ({"SeriesDescription": "Ave-IP"}, "average", None),
        ({"SeriesDescription": "MIP"}, "maximum", None),
        ({"SeriesDescription": "MinIP"}, "minimum", None),
        ({"SeriesDescription": "T=0%"}, "phase", 0.0),
        ({"SeriesDescription": "Gated, 50.0% Ex"}, "phase", 50.0),
        ({"SeriesDescription": "4D Resp T00"}, "phase", 0.0),
        ({"SeriesDescription": "Thorax DIBH"}, "breath_hold", None),
        ({"SeriesDescription": "Atemanhalt Mamma"}, "breath_hold", None),
        ({"SeriesDescription": "Thorax FB"}, "free", None),
        ({"SeriesDescription": "Thorax no BH"}, "free", None),
        ({"SeriesDescription": "Thorax", "DerivationDescription": "Average of 10 phases"}, "average", None),
        ({"NominalPercentageOfRespiratoryPhase": 30.0}, "phase", 30.0),
        ({"NominalPercentageOfRespiratoryPhase": 0.0, "SeriesDescription": "4D MIP"}, "maximum", None),
        ({"RespiratoryMotionCompensationTechnique": "BREATH_HOLD"}, "breath_hold", None),
        ({"SeriesDescription": "Thorax Freeb"}, "free", None),
        ({"SeriesDescription": "FreeB_3mm"}, "free", None),
        ({"SeriesDescription": "Deep insp"}, "breath_hold", None),
        ({"SeriesDescription": "Deep_Inspiration 3mm"}, "breath_hold", None),
        ({"SeriesDescription": "MidV"}, "phase", None),
        ({"SeriesDescription": "Thorax mid-ventilation"}, "phase", None),
        ({"SeriesDescription": "metal free"}, "", None),
        ({"SeriesDescription": "Thorax ASIR 30%"}, "", None),
        ({"SeriesDescription": "T10-L2 spine"}, "", None),
        ({"SeriesDescription": "Best Diast 75%"}, "", None),
        ({}, "", None),
    ],
)
def test_the_header_says_what_the_ct_is(attributes: dict[str, object], kind: str, percent: float | None) -> None:
    respiration = read_respiration(header(**attributes))
    assert (respiration.kind, respiration.phase_percent) == (kind, percent)


def rules(kind: str, label: str = "", percent: float | None = None) -> dict[str, str]:
    shown = Acquisition(respiration=Respiration(kind, percent, f"Series Description '{kind}'"))  # type: ignore[arg-type]
    return {rule: f.severity for rule, f in found(replace(case(None, label=label), acquisition=shown), "respiration.").items()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("maximum", {"respiration.projection": "warning"}), ("minimum", {"respiration.projection": "warning"}),
        ("average", {"respiration.state": "info"}), ("phase", {"respiration.state": "info"}), ("breath_hold", {"respiration.state": "info"}),
        ("free", {}), ("", {}),
    ],
)  # fmt: skip
def test_a_projection_flags_and_an_average_a_phase_or_a_breath_hold_do_not(kind: str, expected: dict[str, str]) -> None:
    assert rules(kind) == expected


@pytest.mark.parametrize(
    ("label", "kind", "fires"),
    [
        ("Breast_L_DIBH", "free", True), ("Breast_L_DIBH", "average", True), ("Breast_L_DIBH", "breath_hold", False), ("Breast_L_DIBH", "", False),
        ("Breast_L FB", "breath_hold", True), ("Breast_L", "breath_hold", False), ("Breast_L", "free", False),
    ],
)  # fmt: skip
def test_a_plan_for_breath_hold_wants_a_ct_in_breath_hold(label: str, kind: str, fires: bool) -> None:
    assert ("respiration.contradiction" in rules(kind, label)) is fires


def heart_with(shares: dict[int, float]) -> Case:
    return replace(case(None, structures=(cylinder("Heart", 0.0, 50.0),)), contours_on_other_images=shares)


@pytest.mark.parametrize(
    ("shares", "fires"),
    [({1: 0.0, 2: 1.0}, True), ({1: 0.0, 2: 0.51}, True), ({1: 0.0, 2: 0.5}, False), ({1: 1.0, 2: 1.0}, False), ({}, False)],
)
def test_a_heart_on_images_of_another_series_is_said(shares: dict[int, float], fires: bool) -> None:
    assert ("respiration.other_series" in found(heart_with(shares), "respiration.")) is fires


def test_the_share_of_contours_on_other_images_is_counted_by_roi() -> None:
    def contour(uid: str) -> Dataset:
        entry = Dataset()
        if uid:
            entry.ContourImageSequence = [header(ReferencedSOPInstanceUID=uid)]
        return entry

    rois = [header(ReferencedROINumber=1, ContourSequence=[contour("1.2.1"), contour("1.2.2")])]
    rois += [header(ReferencedROINumber=2, ContourSequence=[contour("1.2.1"), contour("1.9.1"), contour("1.9.2"), contour("")])]
    rois += [header(ReferencedROINumber=3, ContourSequence=[contour("")])]
    assert contours_on_other_images(header(ROIContourSequence=rois), frozenset({"1.2.1", "1.2.2"})) == {
        1: 0.0,
        2: pytest.approx(2 / 3),
    }


def test_the_source_of_what_is_said_is_named() -> None:
    assert read_respiration(header(SeriesDescription="4D AVG")).source == "Series Description '4D AVG'"
    assert respiration_of_text("4D AVG").source == "4D AVG"


def test_words_that_are_written_without_a_gap() -> None:
    """Scanners' and clinics' names of series: a MIP called ``4DMIP`` is a MIP; ``Octave``, ``MIPS`` and ``Save`` are none of these."""
    kinds = {
        "maximum": ("4DMIP", "tMIP", "MIP0_90", "CTMIP"),
        "minimum": ("MinIP4D",),
        "average": ("AvgCT", "AVG4D", "CTAVG", "MeanIP"),
        "breath_hold": ("DIBH1", "vDIBH", "mDIBH2"),
        "": ("Octave", "MIPS", "Save", "hemip", "Avec contraste"),
    }
    for kind, names in kinds.items():
        assert [respiration_of_text(name).kind for name in names] == [kind] * len(names)

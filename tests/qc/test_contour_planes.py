"""What is said of contours that do not lie on the CT's slices."""

from __future__ import annotations

from pathlib import Path

from rtqc.dicom import read_case
from rtqc.qc import Measurements, load_protocol, run_rules
from tests.dicom.boxes import HEART_SLICES, heart, square, write_ct, write_structures


def _said(folder: Path, rule: str) -> list[str]:
    case = read_case(folder)
    return [f.message for f in run_rules(Measurements(case, case.rois[0]), load_protocol("heart"), frozenset({rule}))]


def test_a_heart_on_sagittal_planes_is_said_to_be(tmp_path: Path) -> None:
    turned = [(kind, [(z, x, y) for x, y, z in points]) for kind, points in heart()]
    write_structures(tmp_path, [(1, "Heart", turned)], write_ct(tmp_path))
    assert "drawn on planes 90° from the CT's slices" in _said(tmp_path, "contour.off_plane")[0]
    assert round(read_case(tmp_path).structures["Heart"].volume_ml, 3) == 226.8


def test_one_contour_between_slices_is_said_with_its_slice(tmp_path: Path) -> None:
    off = [square(-30, 30, z + (1.2 if z == 0 else 0.0)) for z in HEART_SLICES]
    write_structures(tmp_path, [(1, "Heart", off)], write_ct(tmp_path))
    (message,) = _said(tmp_path, "contour.off_plane")
    assert "at 1.2 mm, up to 1.2 mm off; each was taken as its nearest slice's" in message


def test_heights_that_wobble_by_less_than_the_limit_are_not_said(tmp_path: Path) -> None:
    off = [square(-30, 30, z + (0.4 if k % 2 else -0.3)) for k, z in enumerate(HEART_SLICES)]
    write_structures(tmp_path, [(1, "Heart", off)], write_ct(tmp_path))
    assert _said(tmp_path, "contour.off_plane") == []


def test_contours_midway_between_slices_are_off_plane_and_none_is_missing(tmp_path: Path) -> None:
    write_structures(tmp_path, [(1, "Heart", [square(-30, 30, z + 1.5) for z in HEART_SLICES])], write_ct(tmp_path))
    assert "up to 1.5 mm off" in _said(tmp_path, "contour.off_plane")[0]
    assert _said(tmp_path, "contour.slice_missing") == []

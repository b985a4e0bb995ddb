"""Where a dose lies: planes by Grid Frame Offset Vector (PS3.3 C.8.8.3.2) in any direction, and what cannot be placed is refused.

The dose is linear in patient coordinates, so that trilinear interpolation gives the formula's value at any point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import RTDoseStorage

from rtqc.core import Structure
from rtqc.dicom.dose_object import DoseError, read_dose_object
from rtqc.dosimetry.dvh import dose_at

Floats = NDArray[np.float64]

#: Row and column directions: head first supine; prone; feet first; sagittal; coronal; tilted by 30 degrees.
DIRECTIONS = {
    "supine": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "tilted": (1, 0, 0, 0, np.cos(np.pi / 6), np.sin(np.pi / 6)),
}
EVEN = tuple(3.0 * k for k in range(50))
UNEVEN = tuple(np.r_[np.arange(0, 60, 2.0), np.arange(60, 148, 4.0)])


def formula_gy(points_mm: Floats) -> Floats:
    """0.1 Gy/mm along z, half of it along x and a quarter along y, 20 Gy at the origin."""
    return np.asarray(20 + points_mm @ np.array([0.05, 0.025, 0.1]))


def write(
    folder: Path, directions: tuple[float, ...], offsets: tuple[float, ...], stated: tuple[float, ...] | None = None
) -> Path:
    """An RTDOSE of the formula around the origin.

    Args:
        folder: where to.
        directions: Image Orientation.
        offsets: of the planes from the first, along the normal, in mm.
        stated: Grid Frame Offset Vector; None: the offsets.
    """
    row, column = np.array(directions[:3], float), np.array(directions[3:], float)
    normal = np.cross(row, column)
    size, spacing = 60, 2.5
    corner = -(row + column) * spacing * (size - 1) / 2 - normal * (offsets[0] + offsets[-1]) / 2
    along = np.arange(size) * spacing
    points = (
        corner
        + normal * np.array(offsets)[:, None, None, None]
        + row * along[None, None, :, None]
        + column * along[None, :, None, None]
    )
    gy = formula_gy(points)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTDoseStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "2.25.7"
    dataset.Modality, dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "RTDOSE", "GY", "PHYSICAL", "PLAN"
    dataset.ImagePositionPatient = [f"{v:.6f}" for v in corner]
    dataset.ImageOrientationPatient = [f"{v:.10f}" for v in directions]
    dataset.PixelSpacing = [spacing, spacing]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = len(offsets), size, size
    dataset.GridFrameOffsetVector = [f"{v:.6g}" for v in (offsets if stated is None else stated)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.HighBit, dataset.DoseGridScaling = 31, "1e-7"
    dataset.PixelData = np.round(gy / 1e-7).astype("<u4").tobytes()
    target = folder / "dose.dcm"
    dataset.save_as(target, enforce_file_format=True)
    return target


def is_placed_right(path: Path) -> bool:
    """Whether the dose at points around the origin is the formula's."""
    points = np.random.default_rng(1).uniform(-45, 45, (500, 3))
    read = read_dose_object(path).dose
    return np.allclose(dose_at(points, Structure("", {}), read), formula_gy(points), atol=2e-4)


@pytest.mark.parametrize("offsets", [EVEN, UNEVEN, tuple(-v for v in EVEN), tuple(-v for v in UNEVEN)], ids=str)
@pytest.mark.parametrize("name", DIRECTIONS)
def test_planes_lie_at_their_offsets_in_every_direction(name: str, offsets: tuple[float, ...], tmp_path: Path) -> None:
    assert is_placed_right(write(tmp_path, DIRECTIONS[name], offsets))


@pytest.mark.parametrize("downward", [False, True])
@pytest.mark.parametrize("name", ["supine", "prone", "feet first"])
def test_offsets_that_are_the_planes_z_are_taken_as_such(name: str, downward: bool, tmp_path: Path) -> None:
    middle = EVEN[-1] / 2
    z = tuple(middle - v if downward else v - middle for v in EVEN)
    # Feet first, the normal points to the patient's feet.
    along = tuple(-v for v in z) if name == "feet first" else z
    assert is_placed_right(write(tmp_path, DIRECTIONS[name], tuple(v - along[0] for v in along), z))


@pytest.mark.parametrize(
    ("name", "stated", "why"),
    [
        ("supine", tuple(3.0 + v for v in EVEN), "begins with 3 mm"),
        ("supine", tuple(-80.0 + v for v in EVEN), "begins with -80 mm"),
        ("sagittal", tuple(73.75 - v for v in EVEN), "begins with 73.75 mm"),
        ("supine", EVEN[:-1], "49 values for 50 frames"),
        ("supine", EVEN[:30] + EVEN[29:-1], "does not vary monotonically"),
        ("supine", EVEN[:2] + EVEN[3:1:-1] + EVEN[4:], "does not vary monotonically"),
    ],
)
def test_offsets_of_neither_kind_are_refused(name: str, stated: tuple[float, ...], why: str, tmp_path: Path) -> None:
    with pytest.raises(DoseError, match=why):
        read_dose_object(write(tmp_path, DIRECTIONS[name], EVEN, stated))


def test_a_dose_of_one_plane_is_no_dose(tmp_path: Path) -> None:
    with pytest.raises(DoseError, match="single plane"):
        read_dose_object(write(tmp_path, DIRECTIONS["supine"], (0.0,)))


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("DoseUnits", "RELATIVE", "RELATIVE, not GY"),
        ("DoseType", "ERROR", "DoseType is ERROR"),
        ("DoseType", "CODED", "DoseType is CODED"),
        ("DoseGridScaling", "0", "not positive"),
        ("PixelSpacing", None, "has no place"),
    ],
)
def test_what_is_no_absolute_dose_in_a_place_is_refused(keyword: str, value: str | None, why: str, tmp_path: Path) -> None:
    path = write(tmp_path, DIRECTIONS["supine"], EVEN)
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, value)
    dataset.save_as(path)
    with pytest.raises(DoseError, match=why):
        read_dose_object(path)


def in_16_bits(path: Path, stored: int, *, scaling: float = 1e-2, high: int | None = None) -> Path:
    """The dose with values of 16 bits, of which so many are said to be stored."""
    dataset = pydicom.dcmread(path)
    gy = dataset.pixel_array * float(dataset.DoseGridScaling)
    dataset.DoseGridScaling = f"{scaling:g}"
    dataset.PixelData = np.round(gy / scaling).astype("<u2").tobytes()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, stored - 1 if high is None else high
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("stored", [8, 12, 14])
def test_doses_with_values_above_their_stored_bits_are_refused_by_name(stored: int, tmp_path: Path) -> None:
    """Cut to its stored bits, 20 Gy becomes 2 Gy."""
    path = in_16_bits(write(tmp_path, DIRECTIONS["supine"], EVEN), stored, scaling=1e-3)
    with pytest.raises(DoseError, match=f"BitsStored is {stored} "):
        read_dose_object(path)


def test_a_high_bit_that_is_not_the_last_stored_one_is_refused(tmp_path: Path) -> None:
    path = in_16_bits(write(tmp_path, DIRECTIONS["supine"], EVEN), 12, high=15)
    with pytest.raises(DoseError, match="its HighBit 15"):
        read_dose_object(path)


@pytest.mark.parametrize("stored", [12, 16])
def test_doses_whose_values_need_no_more_than_their_stored_bits_are_read(stored: int, tmp_path: Path) -> None:
    """At 0.01 Gy a step nothing is above 4095: only one reading is possible."""
    path = in_16_bits(write(tmp_path, DIRECTIONS["supine"], EVEN), stored)
    dose = read_dose_object(path).dose
    # Half a step of 0.01 Gy.
    assert dose_at(np.zeros((1, 3)), Structure("", {}), dose)[0] == pytest.approx(20.0, abs=0.006)


def test_doses_as_floating_point_pixels_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, DIRECTIONS["supine"], EVEN)
    dataset = pydicom.dcmread(path)
    dataset.FloatPixelData = dataset.pixel_array.astype("<f4").tobytes()
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(DoseError, match="floating-point"):
        read_dose_object(path)

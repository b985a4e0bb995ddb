"""What every object that rtqc writes has in common: identity, equipment, and that it is written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from rtqc.core.case import Provenance
from rtqc.core.whole_file import whole_file

#: rtqc's implementation class UID: a UUID-derived UID (PS3.5 B.2), fixed for all versions.
IMPLEMENTATION_UID = UID("2.25.229851234816049325148170336925174015893")

_CONTOUR_DATA = Tag("ContourData")


class AlreadyThereError(FileExistsError):
    """The file exists and nobody asked to replace it."""


def free_path(path: str | Path, replace: bool) -> Path:
    """A path that may be written.

    Raises:
        AlreadyThereError: a file is there and may not be replaced.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise AlreadyThereError(f"{target} exists already: give another name, or --force to replace it")
    return target


@dataclass(frozen=True)
class DrawnBy:
    """What drew a structure; goes into the file.

    Attributes:
        name, version, digest: of the model.
        software: name and version of the program.
        training: what the model has learnt from.
        device: what it ran on.
        converted_from: name of the file that it was converted from; then nothing is said about who or what drew it.
    """

    name: str
    version: str
    digest: str
    software: str
    training: str = ""
    device: str = ""
    converted_from: str = ""


def set_contour_data(contour: Dataset, points_mm: NDArray[np.float64], decimals: int) -> None:
    """Set the ContourData of a contour's item, as the bytes that go into the file: pydicom checks every number by itself, which takes seconds a plan.

    Args:
        contour: an item of a ContourSequence.
        points_mm: (n, 3) in patient coordinates.
        decimals: of each number; with the extents that any structure has, 16 characters are not reached (PS3.5 6.2, DS).
    """
    value = "\\".join([f"{v:.{decimals}f}" for v in points_mm.ravel().tolist()]).encode("ascii")
    value += b" " * (len(value) % 2)
    contour[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, False, True)
    # Explicit VR, little endian, which is what rtqc writes: in it the bytes are taken as they are.
    contour.set_original_encoding(False, True, default_encoding)


def new_object(sop_class: UID, provenance: Provenance) -> FileDataset:
    """An object of the case's patient and study, with an identity of its own and nothing else."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _patient_and_study(dataset, provenance)
    return dataset


def _patient_and_study(dataset: Dataset, provenance: Provenance) -> None:
    dataset.PatientName = provenance.patient_name
    dataset.PatientID = provenance.patient_id
    dataset.PatientBirthDate = provenance.patient_birth_date
    dataset.PatientSex = provenance.patient_sex
    dataset.StudyInstanceUID = provenance.study_uid
    dataset.StudyDate = provenance.study_date
    dataset.StudyTime = provenance.study_time
    dataset.StudyID = provenance.study_id
    dataset.AccessionNumber = provenance.accession_number
    dataset.ReferringPhysicianName = provenance.referring_physician


def describe_series(dataset: Dataset, modality: str, description: str, drawn_by: DrawnBy, now: datetime) -> None:
    """A series of the object's own, and the program and model as its equipment."""
    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = description
    dataset.SeriesDate, dataset.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.InstanceNumber = 1
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.SeriesDate, dataset.SeriesTime
    # Type 2: the human who takes the draft over stands here, so it stays empty.
    dataset.OperatorsName = ""
    dataset.Manufacturer = "rtqc"
    dataset.ManufacturerModelName = ascii_text(drawn_by.name, 64)
    dataset.SoftwareVersions = ascii_text(drawn_by.software, 64)
    dataset.DeviceSerialNumber = drawn_by.digest[:16]


def image_reference(sop_class: str, sop_instance: str, frame: int = 0) -> Dataset:
    """An item that refers to one SOP instance, or to one frame of it (PS3.3 10.3: Referenced Frame Number is required where not all are meant).

    Args:
        sop_class, sop_instance: UIDs.
        frame: number of the frame, from 1; 0 for the whole object.
    """
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class
    reference.ReferencedSOPInstanceUID = sop_instance
    if frame:
        reference.ReferencedFrameNumber = frame
    return reference


def ascii_text(value: str, most: int = 1024) -> str:
    """Text that every character set holds."""
    return value.encode("ascii", "replace").decode("ascii")[:most]


def save_whole(dataset: Dataset, target: Path, durable: bool = True) -> None:
    """Write a DICOM file whole or not at all; see :func:`rtqc.core.whole_file.whole_file`."""
    with whole_file(target, durable) as file:
        dataset.save_as(file, enforce_file_format=True)

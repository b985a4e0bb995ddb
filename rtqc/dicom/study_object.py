"""What all objects of a synthetic patient have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from rtqc.dicom.objects import IMPLEMENTATION_UID
from rtqc.dicom.study import Study

#: All synthetic plans are made at one time of day, so that files are the same each time.
TIME = "080000"


def new_object(study: Study, sop_class: UID, what: str, modality: str, series: str, patient_id: str = "") -> FileDataset:
    """An object with the attributes that every object of a study has (PS3.3 C.7.1 to C.7.5, C.12.1).

    Args:
        study: what it is of.
        sop_class, modality: its SOP Class UID and Modality.
        what, series: words that its SOP Instance UID and its Series Instance UID are made of.
        patient_id: another patient's; empty: the study's.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = study.uid(what)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = study.date, TIME
    dataset.StudyDate, dataset.StudyTime = study.date, TIME
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = "", "", "1"
    dataset.Modality = modality
    dataset.Manufacturer, dataset.ManufacturerModelName = "rtqc", "synthetic patient"
    dataset.PatientName, dataset.PatientID = study.patient_name, patient_id or study.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "", study.patient_sex
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study.uid("study", study.ct_key), study.uid(series)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = study.uid("frame", study.ct_key), ""
    dataset.OperatorsName = "" if modality == "CT" else study.operator
    return dataset


def set_pixels(dataset: Dataset, pixels: NDArray[np.unsignedinteger], bits: int, stored: int) -> None:
    """Image Pixel attributes (PS3.3 C.7.6.3) of one frame (rows, columns) or several (frames, rows, columns).

    Args:
        dataset: what they are set in.
        pixels: unsigned, of ``bits`` bits.
        bits, stored: Bits Allocated and Bits Stored.
    """
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored, stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()


def date_and_time(study: Study, when: str) -> tuple[str, str]:
    """Date and time of YYYYMMDDHHMMSS; of everything where it is empty."""
    return (when[:8], when[8:]) if when else (study.date, TIME)


def set_approval(dataset: Dataset, when: str) -> None:
    """Approval attributes (PS3.3 C.8.8.16): approved at YYYYMMDDHHMMSS, or unapproved where that is empty."""
    dataset.ApprovalStatus = "APPROVED" if when else "UNAPPROVED"
    if when:
        dataset.ReviewDate, dataset.ReviewTime, dataset.ReviewerName = when[:8], when[8:], "Reviewer"

"""A structure and a dose as DICOM files, written with pydicom alone, for programs that only read files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import shapely
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from rtqc.core import Dose, Structure

_STRUCT, _DOSE = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.481.2"


def write_structure(structure: Structure, path: Path, frame: str = "1.2.3", number: int = 1) -> Path:
    """An RTSTRUCT with one ROI; holes as rings of their own (even-odd)."""
    d = _file(_STRUCT, "RTSTRUCT")
    roi, contours, observation = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID, roi.ROIGenerationAlgorithm = (
        number,
        structure.name,
        frame,
        "",
    )
    observation.ObservationNumber, observation.ReferencedROINumber = 1, number
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
    contours.ReferencedROINumber = number
    contours.ContourSequence = Sequence()
    for w, area in structure.planes.items():
        for polygon in area.geoms:
            for ring in (polygon.exterior, *polygon.interiors):
                flat = shapely.get_coordinates(ring)[:-1]
                points = structure.orientation.to_patient(np.column_stack([flat, np.full(len(flat), w)]))
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
                contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
                contours.ContourSequence.append(contour)
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    d.StructureSetLabel, d.ReferencedFrameOfReferenceSequence = "truth", Sequence([reference])
    d.StructureSetROISequence, d.ROIContourSequence = Sequence([roi]), Sequence([contours])
    d.RTROIObservationsSequence = Sequence([observation])
    d.save_as(path, enforce_file_format=True)
    return path


def write_dose(dose: Dose, path: Path, frame: str = "1.2.3") -> Path:
    """An RTDOSE of 32 bit."""
    d = _file(_DOSE, "RTDOSE")
    grid = dose.grid
    d.FrameOfReferenceUID = frame
    d.ImagePositionPatient = [f"{v:.6f}" for v in grid.patient_mm([[0, 0, 0]])[0]]
    d.ImageOrientationPatient = [*grid.orientation.row, *grid.orientation.column]
    d.PixelSpacing = list(grid.spacing_mm)
    d.NumberOfFrames, d.Rows, d.Columns = grid.shape
    d.GridFrameOffsetVector = [f"{v - grid.positions_mm[0]:.6f}" for v in grid.positions_mm]
    d.FrameIncrementPointer = pydicom.tag.Tag(0x3004, 0x000C)
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = 32
    d.HighBit, d.PixelRepresentation = 31, 0
    d.DoseUnits, d.DoseType, d.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    scaling = float(f"{float(dose.gy.max()) / 2**31:.10e}")
    d.DoseGridScaling = f"{scaling:.10e}"
    d.PixelData = np.round(np.maximum(dose.gy.astype(np.float64), 0) / scaling).astype("<u4").tobytes()
    d.save_as(path, enforce_file_format=True)
    return path


def _file(sop_class: str, modality: str) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = Dataset()
    d.file_meta = meta
    d.SOPClassUID, d.SOPInstanceUID, d.Modality = sop_class, meta.MediaStorageSOPInstanceUID, modality
    d.PatientID = d.PatientName = "TRUTH"
    d.StudyInstanceUID, d.SeriesInstanceUID = "1.2.3.4", generate_uid()
    d.StudyDate = d.StudyTime = d.StudyID = d.AccessionNumber = d.PatientBirthDate = d.PatientSex = ""
    return d

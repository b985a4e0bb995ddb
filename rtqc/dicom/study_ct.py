"""CT slices of a synthetic patient (PS3.3 A.3)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage

from rtqc.dicom.study import Study
from rtqc.dicom.study_object import TIME, new_object, set_pixels

#: Rescale Intercept, in HU.
_INTERCEPT = -1024


def ct_slice(study: Study, k: int, copy: bool = False) -> FileDataset:
    """A slice of the CT by its index; ``copy``: the same under another SOP Instance UID."""
    grid = study.image.grid
    dataset = new_object(study, CTImageStorage, f"ct-{k}{'-again' if copy else ''}", "CT", "ct-series")
    dataset.SeriesDescription = study.ct_description
    dataset.SeriesDate, dataset.SeriesTime, dataset.AcquisitionNumber = study.date, TIME, 1
    dataset.ContentDate, dataset.ContentTime = study.date, TIME
    dataset.ImageType = list(study.ct_image_type)
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "CHEST"
    dataset.InstanceNumber = k + 1
    step = 2 if k in study.resized else 1
    lean = np.tan(np.radians(study.tilt_deg)) * (grid.positions_mm[k] - grid.positions_mm[0])
    corner = grid.patient_mm([(k, 0, 0)])[0] + np.array(grid.orientation.column) * lean
    dataset.ImagePositionPatient = [f"{v:.6g}" for v in corner]
    dataset.ImageOrientationPatient = [f"{v:.10g}" for v in (*grid.orientation.row, *grid.orientation.column)]
    dataset.PixelSpacing = [f"{v * step:.8g}" for v in grid.spacing_mm]
    dataset.SliceThickness = f"{grid.slice_spacing_mm:.6g}"
    dataset.SliceLocation = f"{grid.positions_mm[k]:.6g}"
    dataset.KVP, dataset.GantryDetectorTilt, dataset.ConvolutionKernel = "120", f"{study.tilt_deg:g}", "STANDARD"
    pixels = np.clip(np.round(study.image.hu[k, ::step, ::step]) - _INTERCEPT, 0, 4095).astype(np.uint16)
    if study.rescaled:
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(_INTERCEPT), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    set_pixels(dataset, pixels, bits=16, stored=12)
    return dataset

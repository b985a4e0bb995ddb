"""The RTDOSE of a synthetic patient (PS3.3 A.18)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import RTDoseStorage

from rtqc.core.volumes import Dose
from rtqc.dicom.objects import image_reference
from rtqc.dicom.study import Study
from rtqc.dicom.study_object import TIME, date_and_time, new_object, set_pixels


def dose_object(study: Study, dose: Dose) -> FileDataset:
    """A dose grid as the dose of the plan, of several, or of its first beam, as the study says."""
    dataset = new_object(study, RTDoseStorage, "dose", "RTDOSE", "dose-series", study.dose_patient_id)
    grid = dose.grid
    dataset.ContentDate, dataset.ContentTime = study.date, TIME
    dataset.ImagePositionPatient = [f"{v:.6g}" for v in grid.patient_mm([(0, 0, 0)])[0]]
    dataset.ImageOrientationPatient = [f"{v:.10g}" for v in (*grid.orientation.row, *grid.orientation.column)]
    dataset.PixelSpacing = [f"{v:.8g}" for v in grid.spacing_mm]
    dataset.SliceThickness = f"{grid.slice_spacing_mm:.6g}"
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date_and_time(study, study.dose_created)
    dataset.DoseUnits, dataset.DoseType = study.dose_units, study.dose_type
    if study.heterogeneity:
        dataset.TissueHeterogeneityCorrection = study.heterogeneity
    dataset.DoseSummationType = study.dose_summation
    dataset.NumberOfFrames = grid.shape[0]
    dataset.FrameIncrementPointer = 0x3004000C
    dataset.GridFrameOffsetVector = [f"{v:.6g}" for v in grid.positions_mm - grid.positions_mm[0]]
    scaling = float(dose.gy.max()) / (2**32 - 1) or 1.0
    dataset.DoseGridScaling = f"{scaling:.10e}"
    stored = np.round(dose.gy.astype(np.float64) / float(dataset.DoseGridScaling))
    set_pixels(dataset, np.clip(stored, 0, 2**32 - 1).astype(np.uint32), bits=32, stored=32)
    dataset.ReferencedRTPlanSequence = [image_reference(study.plan_class, study.uid("plan", study.dose_plan_key))]
    if study.dose_summation == "BEAM":
        group, beam = Dataset(), Dataset()
        beam.ReferencedBeamNumber = 1
        group.ReferencedBeamSequence, group.ReferencedFractionGroupNumber = [beam], 1
        dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence = [group]
    return dataset

"""The structure set of a synthetic patient (PS3.3 A.19)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage, RTStructureSetStorage

from rtqc.dicom.objects import image_reference, set_contour_data
from rtqc.dicom.study import DrawnRoi, Study
from rtqc.dicom.study_object import date_and_time, new_object, set_approval

#: ROI Display Colors, in turn.
_COLOURS = ((0, 200, 80), (220, 40, 40), (60, 120, 255), (255, 200, 0), (200, 80, 220), (0, 200, 220))


def structure_set(study: Study) -> FileDataset:
    """The structure set, its ROIs numbered from 1 in their order."""
    dataset = new_object(study, RTStructureSetStorage, "structure-set", "RTSTRUCT", "structure-set-series")
    dataset.StructureSetLabel = study.structure_set_label
    dataset.StructureSetDate, dataset.StructureSetTime = date_and_time(study, study.drawn)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StructureSetDate, dataset.StructureSetTime
    set_approval(dataset, study.structure_set_approved)
    slices = range(study.image.grid.shape[0])
    series = Dataset()
    series.SeriesInstanceUID = study.uid("ct-series", study.structure_set_ct_key)
    uids = [study.uid(f"ct-{k}", study.structure_set_ct_key) for k in slices if k not in study.left_out]
    series.ContourImageSequence = [image_reference(CTImageStorage, uid) for uid in uids]
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    referenced.ReferencedSOPInstanceUID = study.uid("study")
    referenced.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = study.uid("frame")
    frame.RTReferencedStudySequence = [referenced]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = [_roi(study, n, roi) for n, roi in enumerate(study.rois, 1)]
    dataset.ROIContourSequence = [_contours(study, n, roi) for n, roi in enumerate(study.rois, 1)]
    dataset.RTROIObservationsSequence = [_observation(n, roi) for n, roi in enumerate(study.rois, 1)]
    return dataset


def _roi(study: Study, number: int, roi: DrawnRoi) -> Dataset:
    entry = Dataset()
    entry.ROINumber = number
    entry.ReferencedFrameOfReferenceUID = roi.frame_uid or study.uid("frame")
    entry.ROIName = roi.name
    entry.ROIGenerationAlgorithm = "MANUAL"
    return entry


def _observation(number: int, roi: DrawnRoi) -> Dataset:
    entry = Dataset()
    entry.ObservationNumber = entry.ReferencedROINumber = number
    entry.RTROIInterpretedType = roi.kind
    entry.ROIInterpreter = ""
    return entry


def _contours(study: Study, number: int, roi: DrawnRoi) -> Dataset:
    grid = study.image.grid
    entries = []
    for contour in roi.contours:
        entry = Dataset()
        if study.contour_images:
            w = grid.orientation.to_frame(contour.points_mm[:1])[0, 2]
            k = int(np.abs(grid.positions_mm - w).argmin())
            other = study.contour_series_key if roi.name in study.contour_series_rois else ""
            uid = study.uid(f"ct-{k}", other or study.structure_set_ct_key)
            entry.ContourImageSequence = [image_reference(CTImageStorage, uid)]
        entry.ContourGeometricType = contour.kind
        entry.NumberOfContourPoints = len(contour.points_mm)
        set_contour_data(entry, contour.points_mm, 2)
        entries.append(entry)
    result = Dataset()
    result.ROIDisplayColor = [int(v) for v in _COLOURS[number % len(_COLOURS)]]
    result.ReferencedROINumber = number
    if entries:
        result.ContourSequence = entries
    return result

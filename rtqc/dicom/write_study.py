"""A whole plan as DICOM files: CT series, structure set, plan and dose (PS3.3 A.3, A.18 to A.20).

For synthetic patients: what rtqc reads in a test or a demo has gone through files like a clinic's, written by code that
knows nothing of the reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTDoseStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image
from rtqc.dicom.objects import IMPLEMENTATION_UID, image_reference, save_whole

Floats = NDArray[np.float64]
#: All synthetic plans are made at one time of day, so that files are the same each time.
_TIME = "080000"
_INTERCEPT = -1024
#: Beam Meterset of a tangential field in one fraction, about what 1.3 Gy in 10 cm depth need.
_METERSET = 150.0
#: Radiation Types of an RT Ion Plan.
_IONS = frozenset({"PROTON", "ION"})


def uid_of(*words: object) -> UID:
    """The same UID for the same words (2.25 form, PS3.5 B.2; 122 bits of a SHA-256)."""
    digest = hashlib.sha256("\x1f".join(str(w) for w in words).encode()).hexdigest()
    return UID(f"2.25.{int(digest, 16) >> 134}")


@dataclass(frozen=True)
class Contour:
    """One contour as it will stand in the file.

    Attributes:
        points_mm: patient coordinates (n, 3), in mm.
        kind: Contour Geometric Type.
    """

    points_mm: Floats
    kind: str = "CLOSED_PLANAR"


@dataclass(frozen=True)
class DrawnRoi:
    """An ROI as it will stand in the file, right or wrong.

    Attributes:
        name, kind: ROI Name and RT ROI Interpreted Type.
        contours: in file order.
        frame_uid: its frame of reference; empty: the study's.
    """

    name: str
    kind: str = "ORGAN"
    contours: tuple[Contour, ...] = ()
    frame_uid: str = ""

    @classmethod
    def of(cls, structure: Structure) -> DrawnRoi:
        """The contours of a structure; a hole is a second contour (even-odd)."""
        contours = []
        for w, area in structure.planes.items():
            for polygon in area.geoms:
                for ring in (polygon.exterior, *polygon.interiors):
                    points = shapely.get_coordinates(ring)[:-1]
                    frame = np.column_stack([points, np.full(len(points), w)])
                    contours.append(Contour(structure.orientation.to_patient(frame)))
        return cls(structure.name, structure.kind, tuple(contours))


@dataclass(frozen=True)
class Study:
    """Everything that goes into the files of one plan.

    Attributes:
        key: UIDs are made of it.
        image: planning CT.
        rois: in file order.
        dose: None: no RTDOSE is written.
        prescription_gy: None: the plan has none.
        target: what it is prescribed to.
        gantry_deg: one beam each.
        radiation_type: of all beams; ``PROTON`` and ``ION`` make an RT Ion Plan.
        isocentre_mm: of all beams, in patient coordinates (LPS), in mm.
        metersets: Beam Meterset of each beam in one fraction; None: that of an average field for each. A beam of None has none.
        beam_names: Beam Name of each beam; empty: made up.
        left_out: slices that are not written.
        doubled: slices that are written a second time, under another UID.
        resized: slices that are written with half the pixels.
        tilt_deg: gantry tilt; slices shift along the columns with it.
        rescaled: whether RescaleSlope and RescaleIntercept are written.
        dose_units, dose_summation, dose_type: as in RTDOSE.
        heterogeneity: Tissue Heterogeneity Correction of the dose; empty: absent.
        dose_created, plan_created, drawn: date and time (YYYYMMDDHHMMSS) at which the dose was calculated, the plan made and the contours
            drawn; empty: those of everything.
        plan_approved, structure_set_approved: date and time of their approval; empty: not approved.
        plan_status: Approval Status of the plan; empty: as ``plan_approved`` says.
        replaces: key of the study whose plan this plan replaces (RT Plan Relationship ``PREDECESSOR``); empty: none.
        plan_intent: Plan Intent; empty: absent.
        dose_patient_id: another patient's; empty: the same.
        dose_plan_key, plan_structure_set_key, structure_set_ct_key: keys that references point to; empty: the right ones.
        contour_images: whether contours name their slices.
        beside: further plans, of which RTPLAN and RTDOSE are written only.
        ct_key: key of the study whose CT, structure set and frame of reference it shares; empty: it has its own.
        ct_description, ct_image_type: Series Description and Image Type of the CT.
        contour_series_key: key of the CT series whose slices the ROIs of ``contour_series_rois`` name; empty: the right one.
        date: of everything (YYYYMMDD).
        operator: Operators' Name of plan and structure set.
    """

    key: str
    image: Image
    rois: tuple[DrawnRoi, ...] = ()
    dose: Dose | None = None
    patient_id: str = "RTQC-DEMO"
    patient_name: str = "Synthetic^Patient"
    patient_sex: str = "F"
    plan_label: str = "Breast"
    structure_set_label: str = "Plan"
    prescription_gy: float | None = 40.05
    target: str = "Breast"
    fractions: int = 15
    gantry_deg: tuple[float, ...] = (305.0, 125.0)
    radiation_type: str = "PHOTON"
    isocentre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    metersets: tuple[float | None, ...] | None = None
    beam_names: tuple[str, ...] = ()
    left_out: frozenset[int] = frozenset()
    doubled: frozenset[int] = frozenset()
    resized: frozenset[int] = frozenset()
    tilt_deg: float = 0.0
    rescaled: bool = True
    dose_units: str = "GY"
    dose_summation: str = "PLAN"
    dose_type: str = "PHYSICAL"
    heterogeneity: str = "IMAGE"
    dose_created: str = ""
    plan_created: str = ""
    drawn: str = ""
    plan_approved: str = ""
    plan_status: str = ""
    structure_set_approved: str = ""
    replaces: str = ""
    plan_intent: str = ""
    dose_patient_id: str = ""
    dose_plan_key: str = ""
    plan_structure_set_key: str = ""
    structure_set_ct_key: str = ""
    contour_images: bool = True
    beside: tuple[Study, ...] = ()
    ct_key: str = ""
    ct_description: str = "Planning CT"
    ct_image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    contour_series_key: str = ""
    contour_series_rois: tuple[str, ...] = ()
    date: str = "20260102"
    operator: str = ""

    @property
    def plan_class(self) -> UID:
        """SOP Class of its plan."""
        return RTIonPlanStorage if self.radiation_type in _IONS else RTPlanStorage

    def uid(self, what: str, key: str = "") -> UID:
        """The UID of one of its objects, or of another study's."""
        return uid_of("rtqc-phantom", key or self.key, what)


def write_study(study: Study, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write all files of a plan: ``CT.001.dcm`` ..., ``RTSTRUCT.dcm``, ``RTPLAN.dcm``, ``RTDOSE.dcm``; of further plans ``RTPLAN.KEY.dcm`` and ``RTDOSE.KEY.dcm``.

    Args:
        study: the plan.
        folder: made where absent; files of these names are replaced.
        progress: called with the number of slices written and their total.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = study.image.grid.shape[0]
    for k in range(total):
        if k not in study.left_out:
            save_whole(_ct_slice(study, k), folder / f"CT.{k + 1:03d}.dcm", durable=False)
        if k in study.doubled:
            save_whole(_ct_slice(study, k, copy=True), folder / f"CT.{k + 1:03d}.again.dcm", durable=False)
        if progress:
            progress(k + 1, total)
    if study.rois:
        save_whole(_structure_set(study), folder / "RTSTRUCT.dcm", durable=False)
    if study.gantry_deg:
        save_whole(_plan(study), folder / "RTPLAN.dcm", durable=False)
    if study.dose is not None:
        save_whole(_dose(study, study.dose), folder / "RTDOSE.dcm", durable=False)
    for other in study.beside:
        save_whole(_plan(other), folder / f"RTPLAN.{other.key}.dcm", durable=False)
        if other.dose is not None:
            save_whole(_dose(other, other.dose), folder / f"RTDOSE.{other.key}.dcm", durable=False)
    return folder


def _object(study: Study, sop_class: UID, what: str, modality: str, series: str, patient_id: str = "") -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = study.uid(what)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = study.date, _TIME
    dataset.StudyDate, dataset.StudyTime = study.date, _TIME
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


def _ct_slice(study: Study, k: int, copy: bool = False) -> FileDataset:
    grid = study.image.grid
    dataset = _object(study, CTImageStorage, f"ct-{k}{'-again' if copy else ''}", "CT", "ct-series")
    dataset.SeriesDescription = study.ct_description
    dataset.SeriesDate, dataset.SeriesTime, dataset.AcquisitionNumber = study.date, _TIME, 1
    dataset.ContentDate, dataset.ContentTime = study.date, _TIME
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
    _set_pixels(dataset, pixels, bits=16, stored=12)
    return dataset


def _set_pixels(dataset: Dataset, pixels: NDArray[np.unsignedinteger], bits: int, stored: int) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored, stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()


def _structure_set(study: Study) -> FileDataset:
    dataset = _object(study, RTStructureSetStorage, "structure-set", "RTSTRUCT", "structure-set-series")
    dataset.StructureSetLabel = study.structure_set_label
    dataset.StructureSetDate, dataset.StructureSetTime = _moment(study, study.drawn)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StructureSetDate, dataset.StructureSetTime
    _approve(dataset, study.structure_set_approved)
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
        entry.ContourData = [f"{v:.2f}" for v in contour.points_mm.ravel()]
        entries.append(entry)
    result = Dataset()
    result.ROIDisplayColor = [int(v) for v in _COLOURS[number % len(_COLOURS)]]
    result.ReferencedROINumber = number
    if entries:
        result.ContourSequence = entries
    return result


_COLOURS = ((0, 200, 80), (220, 40, 40), (60, 120, 255), (255, 200, 0), (200, 80, 220), (0, 200, 220))


def _plan(study: Study) -> FileDataset:
    dataset = _object(study, study.plan_class, "plan", "RTPLAN", "plan-series")
    dataset.RTPlanLabel, dataset.RTPlanGeometry = study.plan_label[:16], "PATIENT"
    dataset.RTPlanDate, dataset.RTPlanTime = _moment(study, study.plan_created)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.RTPlanDate, dataset.RTPlanTime
    _approve(dataset, study.plan_approved)
    if study.plan_status:
        dataset.ApprovalStatus = study.plan_status
    if study.plan_intent:
        dataset.PlanIntent = study.plan_intent
    if study.replaces:
        replaced = image_reference(RTPlanStorage, study.uid("plan", study.replaces))
        replaced.RTPlanRelationship = "PREDECESSOR"
        dataset.ReferencedRTPlanSequence = [replaced]
    if study.prescription_gy is not None:
        reference = Dataset()
        reference.DoseReferenceNumber, reference.DoseReferenceStructureType = 1, "SITE"
        reference.DoseReferenceDescription, reference.DoseReferenceType = study.target, "TARGET"
        reference.TargetPrescriptionDose = f"{study.prescription_gy:g}"
        dataset.DoseReferenceSequence = [reference]
    group = Dataset()
    group.FractionGroupNumber, group.NumberOfFractionsPlanned = 1, study.fractions
    group.NumberOfBeams, group.NumberOfBrachyApplicationSetups = len(study.gantry_deg), 0
    metersets = study.metersets if study.metersets is not None else (_METERSET,) * len(study.gantry_deg)
    group.ReferencedBeamSequence = [_referenced_beam(n, meterset) for n, meterset in enumerate(metersets, 1)]
    dataset.FractionGroupSequence = [group]
    if study.plan_class == RTIonPlanStorage:
        dataset.IonBeamSequence = [_ion_beam(study, n, angle) for n, angle in enumerate(study.gantry_deg, 1)]
    else:
        dataset.BeamSequence = [_beam(study, n, angle) for n, angle in enumerate(study.gantry_deg, 1)]
    setup = Dataset()
    setup.PatientSetupNumber, setup.PatientPosition = 1, "HFS"
    dataset.PatientSetupSequence = [setup]
    uid = study.uid("structure-set", study.plan_structure_set_key or study.ct_key)
    dataset.ReferencedStructureSetSequence = [image_reference(RTStructureSetStorage, uid)]
    return dataset


def _moment(study: Study, when: str) -> tuple[str, str]:
    """Date and time of YYYYMMDDHHMMSS; of everything where it is empty."""
    return (when[:8], when[8:]) if when else (study.date, _TIME)


def _approve(dataset: Dataset, when: str) -> None:
    dataset.ApprovalStatus = "APPROVED" if when else "UNAPPROVED"
    if when:
        dataset.ReviewDate, dataset.ReviewTime, dataset.ReviewerName = when[:8], when[8:], "Reviewer"


def _referenced_beam(number: int, meterset: float | None) -> Dataset:
    beam = Dataset()
    beam.ReferencedBeamNumber = number
    if meterset is not None:
        beam.BeamMeterset = f"{meterset:g}"
    return beam


def _beam(study: Study, number: int, gantry_deg: float) -> Dataset:
    beam = Dataset()
    beam.BeamNumber = number
    beam.BeamName = study.beam_names[number - 1] if study.beam_names else f"Tangent {number}"
    beam.BeamType, beam.RadiationType, beam.TreatmentDeliveryType = "STATIC", study.radiation_type, "TREATMENT"
    beam.TreatmentMachineName, beam.PrimaryDosimeterUnit, beam.SourceAxisDistance = "LINAC", "MU", "1000"
    beam.Manufacturer = "rtqc"
    devices = []
    for kind, half in (("ASYMX", 100), ("ASYMY", 100)):
        device = Dataset()
        device.RTBeamLimitingDeviceType, device.NumberOfLeafJawPairs = kind, 1
        devices.append((device, kind, half))
    beam.BeamLimitingDeviceSequence = [d for d, _, _ in devices]
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = beam.NumberOfBlocks = 0
    beam.FinalCumulativeMetersetWeight, beam.NumberOfControlPoints = "1", 2
    first, last = Dataset(), Dataset()
    first.ControlPointIndex, first.CumulativeMetersetWeight = 0, "0"
    first.NominalBeamEnergy, first.GantryAngle, first.GantryRotationDirection = "6", f"{gantry_deg:g}", "NONE"
    positions = []
    for _, kind, half in devices:
        position = Dataset()
        position.RTBeamLimitingDeviceType, position.LeafJawPositions = kind, [str(-half), str(half)]
        positions.append(position)
    first.BeamLimitingDevicePositionSequence = positions
    first.BeamLimitingDeviceAngle, first.BeamLimitingDeviceRotationDirection = "0", "NONE"
    first.PatientSupportAngle, first.PatientSupportRotationDirection = "0", "NONE"
    first.TableTopEccentricAngle, first.TableTopEccentricRotationDirection = "0", "NONE"
    first.TableTopVerticalPosition = first.TableTopLongitudinalPosition = first.TableTopLateralPosition = None
    first.IsocenterPosition = [f"{v:.6g}" for v in study.isocentre_mm]
    last.ControlPointIndex, last.CumulativeMetersetWeight = 1, "1"
    beam.ControlPointSequence = [first, last]
    beam.ReferencedPatientSetupNumber = 1
    return beam


def _ion_beam(study: Study, number: int, gantry_deg: float) -> Dataset:
    """A scanned field of one layer with one spot: what the standard asks of a beam, and no more."""
    beam = Dataset()
    beam.BeamNumber = number
    beam.BeamName = study.beam_names[number - 1] if study.beam_names else f"Field {number}"
    beam.BeamType, beam.RadiationType = "STATIC", study.radiation_type
    beam.ScanMode, beam.ModulatedScanModeType = "MODULATED", "STATIONARY"
    if study.radiation_type == "ION":
        beam.RadiationMassNumber, beam.RadiationAtomicNumber, beam.RadiationChargeState = 12, 6, 6
    beam.TreatmentMachineName, beam.PrimaryDosimeterUnit, beam.TreatmentDeliveryType = "GANTRY", "MU", "TREATMENT"
    beam.VirtualSourceAxisDistances, beam.Manufacturer, beam.PatientSupportType = [2000.0, 2000.0], "rtqc", "TABLE"
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = beam.NumberOfBlocks = 0
    beam.NumberOfRangeShifters = beam.NumberOfLateralSpreadingDevices = beam.NumberOfRangeModulators = 0
    beam.FinalCumulativeMetersetWeight, beam.NumberOfControlPoints = "1", 2
    points = []
    for index, weight in enumerate(("0", "1")):
        point = Dataset()
        point.ControlPointIndex, point.CumulativeMetersetWeight = index, weight
        point.ScanSpotTuneID, point.NumberOfScanSpotPositions, point.NumberOfPaintings = "1", 1, 1
        point.ScanSpotPositionMap, point.ScanSpotMetersetWeights = [0.0, 0.0], 1.0 - index
        point.ScanningSpotSize = [5.0, 5.0]
        points.append(point)
    first = points[0]
    first.NominalBeamEnergy, first.GantryAngle, first.GantryRotationDirection = "120", f"{gantry_deg:g}", "NONE"
    first.BeamLimitingDeviceAngle, first.BeamLimitingDeviceRotationDirection = "0", "NONE"
    first.PatientSupportAngle, first.PatientSupportRotationDirection = "0", "NONE"
    first.TableTopVerticalPosition = first.TableTopLongitudinalPosition = first.TableTopLateralPosition = None
    first.IsocenterPosition = [f"{v:.6g}" for v in study.isocentre_mm]
    beam.IonControlPointSequence = points
    beam.ReferencedPatientSetupNumber = 1
    return beam


def _dose(study: Study, dose: Dose) -> FileDataset:
    dataset = _object(study, RTDoseStorage, "dose", "RTDOSE", "dose-series", study.dose_patient_id)
    grid = dose.grid
    dataset.ContentDate, dataset.ContentTime = study.date, _TIME
    dataset.ImagePositionPatient = [f"{v:.6g}" for v in grid.patient_mm([(0, 0, 0)])[0]]
    dataset.ImageOrientationPatient = [f"{v:.10g}" for v in (*grid.orientation.row, *grid.orientation.column)]
    dataset.PixelSpacing = [f"{v:.8g}" for v in grid.spacing_mm]
    dataset.SliceThickness = f"{grid.slice_spacing_mm:.6g}"
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = _moment(study, study.dose_created)
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
    _set_pixels(dataset, np.clip(stored, 0, 2**32 - 1).astype(np.uint32), bits=32, stored=32)
    dataset.ReferencedRTPlanSequence = [image_reference(study.plan_class, study.uid("plan", study.dose_plan_key))]
    if study.dose_summation == "BEAM":
        group, beam = Dataset(), Dataset()
        beam.ReferencedBeamNumber = 1
        group.ReferencedBeamSequence, group.ReferencedFractionGroupNumber = [beam], 1
        dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence = [group]
    return dataset

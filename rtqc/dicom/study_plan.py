"""The RTPLAN or RT Ion Plan of a synthetic patient (PS3.3 A.20, A.49)."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import RTIonPlanStorage, RTPlanStorage, RTStructureSetStorage

from rtqc.dicom.objects import image_reference
from rtqc.dicom.study import Study
from rtqc.dicom.study_object import date_and_time, new_object, set_approval

#: Beam Meterset of a tangential field in one fraction, about what 1.3 Gy in 10 cm depth need.
_METERSET = 150.0


def plan_object(study: Study) -> FileDataset:
    """The plan: one fraction group, one prescription at most."""
    dataset = new_object(study, study.plan_class, "plan", "RTPLAN", "plan-series")
    dataset.RTPlanLabel, dataset.RTPlanGeometry = study.plan_label[:16], "PATIENT"
    if study.plan_description:
        dataset.RTPlanDescription = study.plan_description
    dataset.RTPlanDate, dataset.RTPlanTime = date_and_time(study, study.plan_created)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.RTPlanDate, dataset.RTPlanTime
    set_approval(dataset, study.plan_approved)
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

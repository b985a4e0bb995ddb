"""A plan as it was read: image, structures, plan, dose, and what was wrong with the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rtqc.core.acquisition import Acquisition
from rtqc.core.finding import Finding
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image

if TYPE_CHECKING:
    from rtqc.core.patient_plan import DoseOfSeveralPlans, PatientPlan

DefectKind = Literal[
    "few_points", "open", "self_intersecting", "not_a_number", "not_planar", "no_area", "too_many_points",
    "repeated", "moved_to_slice", "decimal_comma", "unlike_dicom", "tangled", "across", "beyond_limits", "scribble",
]  # fmt: skip


@dataclass(frozen=True)
class ContourDefect:
    """A contour that could not be taken as it stands.

    Attributes:
        kind: what is wrong.
        position_mm: its plane, in mm; None where even that is unknown.
        dropped: whether the contour was left out.
        detail: the text that could not be read as a number; empty for other kinds.
        offset_mm: how far it lay off the slice that it was moved to, in mm; 0 for other kinds.
    """

    kind: DefectKind
    position_mm: float | None
    dropped: bool
    detail: str = ""
    offset_mm: float = 0.0


@dataclass(frozen=True)
class Roi:
    """An item of the Structure Set ROI Sequence.

    Attributes:
        number: ROI Number.
        structure: name, type and contours; may be empty.
        frame_of_reference_uid: Referenced Frame of Reference UID; empty where absent.
        contour_count: number of contours in the file.
        defects: contours that could not be taken as they stand.
        drawn_by: ROI Generation Algorithm (AUTOMATIC, SEMIAUTOMATIC, MANUAL or empty).
        unedited_draft: whether it says to be a draft of rtqc's and has just the contours that the draft had.
        from_draft: whether it says to be a draft of rtqc's, edited or not.
    """

    number: int
    structure: Structure
    frame_of_reference_uid: str = ""
    contour_count: int = 0
    defects: tuple[ContourDefect, ...] = ()
    drawn_by: str = ""
    unedited_draft: bool = False
    from_draft: bool = False


@dataclass(frozen=True)
class Prescription:
    """Prescribed dose to a target.

    Attributes:
        dose_gy: total dose, in Gy.
        target: what it is prescribed to, as far as the plan says.
        stated_for: a target (site or volume), a point, or the sum of the beams' doses where the plan says no more.
        roi_number: ROI Number of the target; None where the plan does not say.
    """

    dose_gy: float
    target: str = ""
    stated_for: Literal["target", "point", "beams"] = "target"
    roi_number: int | None = None


@dataclass(frozen=True)
class UnusablePrescription:
    """A target prescription dose that is no dose: zero, negative, or no number.

    Attributes:
        stated: as it stands in the file.
        target, roi_number: as of a :class:`Prescription`.
    """

    stated: str
    target: str = ""
    roi_number: int | None = None


@dataclass(frozen=True)
class Beam:
    """A beam that treats: it has a meterset, whatever its delivery type says.

    Attributes:
        number: Beam Number.
        name: Beam Name.
        radiation_type: Radiation Type (``PHOTON``, ``ELECTRON``, ``PROTON`` ...).
        isocentre_mm: Isocenter Position of its first control point, in patient coordinates (LPS), in mm; None where absent.
        gantry_deg: Gantry Angle of its first control point, in degrees; None where absent.
        meterset: Beam Meterset in one fraction; None where absent.
        dose_gy: Beam Dose to its dose specification point in one fraction, in Gy; None where absent.
        fraction_group: number of the fraction group that refers to it; None where none does.
    """

    number: int
    name: str = ""
    radiation_type: str = ""
    isocentre_mm: tuple[float, float, float] | None = None
    gantry_deg: float | None = None
    meterset: float | None = None
    dose_gy: float | None = None
    fraction_group: int | None = None


@dataclass(frozen=True)
class FractionGroup:
    """A fraction group that has fractions.

    Attributes:
        number: Fraction Group Number.
        fractions: Number of Fractions Planned.
        dose_gy: dose of one of its fractions, in Gy: its Beam Doses together, else the prescription that it refers to by its fractions;
            None where it says neither.
    """

    number: int
    fractions: int
    dose_gy: float | None = None


@dataclass(frozen=True)
class ApplicationSetup:
    """A brachytherapy application setup in a fraction group.

    Attributes:
        number: Application Setup Number.
        fraction_group: number of the fraction group that refers to it.
        dose_gy: Brachy Application Setup Dose to its dose specification point in one fraction, in Gy; None where absent.
    """

    number: int
    fraction_group: int
    dose_gy: float | None = None


@dataclass(frozen=True)
class Plan:
    """What rtqc needs of an RTPLAN or an RT Ion Plan.

    Attributes:
        label: RT Plan Label.
        description: RT Plan Name, RT Plan Description and Prescription Description, as far as they are there.
        prescriptions: to targets before those to points, highest first; empty where the plan has none.
        fractions: planned number of fractions; None where the plan does not say, or says none.
        fraction_groups: number of fraction groups that have fractions.
        beams: number of treatment beams.
        treatment_beams: the treatment beams, in file order.
        application_setups: brachytherapy application setups, once for each fraction group that uses them; a plan may have beams too.
        brachy_type: Brachy Treatment Type (``HDR``, ``LDR``, ``PDR`` ...); empty without application setups.
        kind: ``photon`` for an RTPLAN (electrons too), ``ion`` for an RT Ion Plan, ``brachy`` for an RTPLAN of application setups only.
        approval: Approval Status.
        approved_at: Review Date and Review Time of the approval (YYYYMMDDHHMMSS); empty where absent.
        operator, reviewer: Operators' Name; Reviewer Name of the approval.
        date, time: RT Plan Date (YYYYMMDD) and RT Plan Time (HHMMSS).
        intent: Plan Intent (``CURATIVE``, ``VERIFICATION`` ...).
        geometry: RT Plan Geometry (``PATIENT`` or ``TREATMENT_DEVICE``).
        relations: SOP Instance UID and RT Plan Relationship of the plans that Referenced RT Plan Sequence names (PS3.3 C.8.8.9): ``PRIOR``
            was delivered before, ``PREDECESSOR`` is what this plan was derived from, ``ALTERNATIVE`` was made for choice, ``CONCURRENT`` is given
            at the same time, ``VERIFIED_PLAN`` is what this plan verifies.
        planning_system: Manufacturer, Manufacturer's Model Name and Software Versions.
        unusable_prescriptions: what it states as prescriptions and is none.
        groups: the fraction groups that have fractions, in file order.
        description_parts: the texts of ``description``, each by itself.
    """

    label: str = ""
    description: str = ""
    prescriptions: tuple[Prescription, ...] = ()
    fractions: int | None = None
    fraction_groups: int = 1
    beams: int = 0
    treatment_beams: tuple[Beam, ...] = ()
    application_setups: tuple[ApplicationSetup, ...] = ()
    brachy_type: str = ""
    kind: Literal["photon", "ion", "brachy"] = "photon"
    approval: str = ""
    approved_at: str = ""
    operator: str = ""
    reviewer: str = ""
    date: str = ""
    time: str = ""
    intent: str = ""
    geometry: str = ""
    relations: tuple[tuple[str, str], ...] = ()
    planning_system: str = ""
    unusable_prescriptions: tuple[UnusablePrescription, ...] = ()
    groups: tuple[FractionGroup, ...] = ()
    description_parts: tuple[str, ...] = ()

    @property
    def has_brachytherapy(self) -> bool:
        """Whether sources give dose, beside beams or alone."""
        return self.kind == "brachy" or bool(self.application_setups)

    @property
    def alike_fractions(self) -> int | None:
        """The number of fractions where each gives the same; None of several groups, whose doses are only known as a sum."""
        return self.fractions if self.fraction_groups == 1 else None


@dataclass(frozen=True)
class DoseAttributes:
    """What the RTDOSE objects that were used say of themselves (PS3.3 C.8.8.3).

    Attributes:
        dose_type: Dose Type (``PHYSICAL``, ``EFFECTIVE``); of several objects the one that is not ``PHYSICAL``.
        summation_type: Dose Summation Type.
        heterogeneity: Tissue Heterogeneity Correction (``IMAGE``, ``ROI_OVERRIDE``, ``WATER``), joined by a backslash; empty where absent.
        created_at: Instance Creation Date and Time of the latest object (YYYYMMDDHHMMSS); empty where absent.
    """

    dose_type: str = ""
    summation_type: str = ""
    heterogeneity: str = ""
    created_at: str = ""


@dataclass(frozen=True)
class StructureSetAttributes:
    """What the structure set says of itself.

    Attributes:
        approval: Approval Status.
        approved_at: Review Date and Review Time (YYYYMMDDHHMMSS); empty where absent.
        drawn_at: Structure Set Date and Structure Set Time (YYYYMMDDHHMMSS), which change with the contours; empty where absent.
        created_at: Instance Creation Date and Time (YYYYMMDDHHMMSS), which also change with a re-export; empty where absent.
    """

    approval: str = ""
    approved_at: str = ""
    drawn_at: str = ""
    created_at: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a case came from; all text is as it stands in the files and must be escaped before it is shown.

    Attributes:
        patient_id, patient_name, patient_sex, patient_birth_date: of the patient.
        study_uid, ct_series_uid, frame_of_reference_uid: of the planning CT.
        rtstruct_uid, rtplan_uid, rtdose_uids: SOP Instance UIDs; empty where absent.
        labels: what the files call themselves, by kind (structure set, plan, CT series).
        files: number of files of each kind that were used.
        structure_set_file: the structure set's file, relative to the folder that was read.
        slice_uids: SOP Class and Instance UID of each CT slice, in the grid's order.
        slice_frames: number of each slice's frame in its multi-frame object, from 1; 0 for an object of its own.
        slice_paths: their files, for objects that refer to them; never reported.
        structure_set_path, dose_paths: the files themselves, for the second calculation; never reported.
    """

    patient_id: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    patient_birth_date: str = ""
    study_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    position_reference: str = ""
    ct_series_uid: str = ""
    frame_of_reference_uid: str = ""
    rtstruct_uid: str = ""
    rtplan_uid: str = ""
    rtdose_uids: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    structure_set_file: str = ""
    slice_uids: tuple[tuple[str, str], ...] = ()
    slice_frames: tuple[int, ...] = ()
    slice_paths: tuple[Path, ...] = ()
    structure_set_path: Path | None = None
    dose_paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PlanningDvh:
    """A cumulative DVH as the planning system wrote it into the RTDOSE (DVH Sequence, PS3.3 C.8.8.4).

    Attributes:
        gy: ascending doses, the first 0, in Gy.
        share: part of the structure that receives at least each dose, 0 to 1.
        volume_ml: of the structure; None where the file gives percent only.
        mean_gy, min_gy, max_gy: as the file says; None where it does not, or where its own curve contradicts it.
        mean_error_gy: how far the mean may be off where it was integrated over the curve's bins, in Gy.
    """

    gy: tuple[float, ...]
    share: tuple[float, ...]
    volume_ml: float | None = None
    mean_gy: float | None = None
    min_gy: float | None = None
    max_gy: float | None = None
    mean_error_gy: float = 0.0


@dataclass(frozen=True)
class Case:
    """One plan of one patient, or what there is of it.

    Attributes:
        provenance: identifiers.
        image: planning CT; None where it is absent or unusable.
        rois: every ROI of the structure set, in file order.
        plan, dose: None where absent or unusable; a finding says why.
        findings: made while reading.
        has_structure_set: whether a structure set was read at all.
        acquisition: how the CT was made.
        dose_attributes, structure_set_attributes: what these files say of themselves; empty without them.
        planning_dvhs: the planning system's own DVHs, by ROI Number; empty where the dose carries none.
        dose_plan_uids: SOP Instance UIDs of the plans that the dose refers to; several for a dose of several plans.
        companions: the patient's other plans, which may be of one course with this one.
        companions_left_out: number of further plans that were not looked at, because there are too many.
        contours_on_other_images: by ROI Number, the part (0 to 1) of its contours that say to lie on images of another series.
        doses_of_several_plans: the patient's doses of several plans together.
    """

    provenance: Provenance = Provenance()
    image: Image | None = None
    rois: tuple[Roi, ...] = ()
    plan: Plan | None = None
    dose: Dose | None = None
    findings: tuple[Finding, ...] = ()
    has_structure_set: bool = False
    acquisition: Acquisition = Acquisition()
    dose_attributes: DoseAttributes = DoseAttributes()
    structure_set_attributes: StructureSetAttributes = StructureSetAttributes()
    planning_dvhs: Mapping[int, PlanningDvh] = field(default_factory=dict)
    dose_plan_uids: tuple[str, ...] = ()
    companions: tuple[PatientPlan, ...] = ()
    companions_left_out: int = 0
    contours_on_other_images: Mapping[int, float] = field(default_factory=dict)
    doses_of_several_plans: tuple[DoseOfSeveralPlans, ...] = ()

    @property
    def structures(self) -> dict[str, Structure]:
        """Structures by name; of two of one name the first keeps it, the next is ``"Name (ROI 7)"``."""
        named: dict[str, Structure] = {}
        for roi in self.rois:
            name = roi.structure.name
            named[name if name not in named else f"{name} (ROI {roi.number})"] = roi.structure
        return named

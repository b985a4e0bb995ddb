"""A plan of a patient as its course needs it: what the plan says of itself, and its dose and contours when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from rtqc.core.case import Case, DoseAttributes, Plan, Roi, StructureSetAttributes
from rtqc.core.finding import Finding
from rtqc.core.volumes import Dose

#: Dose Summation Type (PS3.3 C.8.8.3) of a dose that several plans give together.
MULTI_PLAN = "MULTI_PLAN"


@dataclass(frozen=True, eq=False)
class PlannedDose:
    """The dose of a plan.

    Attributes:
        dose: in Gy for all of the plan's fractions; None where there is none that can be used.
        attributes: what its objects say of themselves.
        uids: SOP Instance UIDs of the objects that it was made from.
        plan_uids: SOP Instance UIDs of the plans that these objects refer to.
        why_not: why there is no dose, as a sentence; empty where there is one.
        reason: the kind of that; ``unreadable`` where a dose was exported but cannot be used.
        findings: made while reading it.
    """

    dose: Dose | None = None
    attributes: DoseAttributes = DoseAttributes()
    uids: tuple[str, ...] = ()
    plan_uids: tuple[str, ...] = ()
    why_not: str = ""
    reason: Literal["no_dose", "unreadable", "other_frame"] = "no_dose"
    findings: tuple[Finding, ...] = ()

    @property
    def is_multi_plan(self) -> bool:
        """Whether several plans give it together."""
        return self.attributes.summation_type == MULTI_PLAN or len(set(self.plan_uids)) > 1


@dataclass(frozen=True, eq=False)
class DoseOfSeveralPlans:
    """A dose that a planning system exported for several plans together.

    Attributes:
        file: its file, relative to the folder that was read.
        plan_uids: SOP Instance UIDs of the plans, each once.
        read_dose: decodes it; called once at most.
    """

    file: str
    plan_uids: tuple[str, ...]
    read_dose: Callable[[], PlannedDose] = field(repr=False)

    @cached_property
    def dose(self) -> PlannedDose:
        """The dose, decoded when it is asked for."""
        return self.read_dose()


@dataclass(frozen=True, eq=False)
class PlannedStructures:
    """The contours that a plan was made on: its ROIs in file order, what the structure set says of itself, and its label."""

    rois: tuple[Roi, ...] = ()
    attributes: StructureSetAttributes = StructureSetAttributes()
    label: str = ""


def _no_dose() -> PlannedDose:
    return PlannedDose(why_not="its dose was not looked for")


@dataclass(frozen=True, eq=False)
class PatientPlan:
    """A plan of a patient.

    Attributes:
        uid: SOP Instance UID of the plan.
        file: its file, relative to the folder that was read.
        plan: what it says; None where it could not be read.
        created_at: Instance Creation Date and Time (YYYYMMDDHHMMSS); empty where absent.
        frame_of_reference_uid: of the CT that it was made on, else of its structure set or of itself; empty where absent.
        structure_set_uid: SOP Instance UID of its structure set; empty where absent.
        read_dose, read_structures: decode the dose and the contours; called once at most.
    """

    uid: str
    file: str = ""
    plan: Plan | None = None
    created_at: str = ""
    frame_of_reference_uid: str = ""
    structure_set_uid: str = ""
    read_dose: Callable[[], PlannedDose] = field(default=_no_dose, repr=False)
    read_structures: Callable[[], PlannedStructures] = field(default=PlannedStructures, repr=False)

    @classmethod
    def of(cls, case: Case) -> PatientPlan:
        """The plan of a case."""
        provenance = case.provenance
        labels = provenance.labels
        plan_uids = case.dose_plan_uids
        why_not = "" if case.dose is not None else "it has no dose here that can be used"
        dose = PlannedDose(case.dose, case.dose_attributes, provenance.rtdose_uids, plan_uids, why_not, findings=case.findings)
        structures = PlannedStructures(case.rois, case.structure_set_attributes, labels.get("structure_set", ""))
        return cls(
            uid=provenance.rtplan_uid,
            file=labels.get("plan_file", ""),
            plan=case.plan,
            created_at=labels.get("plan_created", ""),
            frame_of_reference_uid=provenance.frame_of_reference_uid,
            structure_set_uid=provenance.rtstruct_uid,
            read_dose=lambda: dose,
            read_structures=lambda: structures,
        )

    @property
    def label(self) -> str:
        """RT Plan Label, else the name of its file."""
        return (self.plan.label if self.plan is not None else "") or self.file or "a plan without label"

    @cached_property
    def dose(self) -> PlannedDose:
        """The dose, decoded when it is asked for."""
        return self.read_dose()

    @cached_property
    def structures(self) -> PlannedStructures:
        """The contours, decoded when they are asked for."""
        return self.read_structures()

    def shares_frame_with(self, other: PatientPlan) -> bool:
        """Whether a point of one is the same point of the patient in the other: one frame of reference, or one structure set."""
        if self.frame_of_reference_uid and other.frame_of_reference_uid:
            return self.frame_of_reference_uid == other.frame_of_reference_uid
        return bool(self.structure_set_uid) and self.structure_set_uid == other.structure_set_uid

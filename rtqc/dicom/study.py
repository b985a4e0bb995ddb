"""What goes into the DICOM files of a synthetic patient: CT, contours, plan and dose, right or wrong (:mod:`rtqc.dicom.write_study`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pydicom.uid import UID, RTIonPlanStorage, RTPlanStorage

from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image

Floats = NDArray[np.float64]
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
        plan_description: RT Plan Description; left out where empty.
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
    plan_description: str = ""
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

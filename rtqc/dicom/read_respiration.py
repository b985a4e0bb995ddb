"""What a CT's header says about respiration -> :class:`~rtqc.core.acquisition.Respiration`.

Standard attributes first: Respiratory Motion Compensation Technique and Nominal Percentage of Respiratory Phase (PS3.3 C.7.6.16.2.17) and
the values of Image Type (C.8.16.1.5 has MAXIMUM, MEAN and MINIMUM among the derived contrasts). Most scanners write neither into their
CT images but say it in Series Description, Derivation Description or Image Comments (``T=50%``, ``AVG``, ``MIP``, ``DIBH``).
"""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from rtqc.core.acquisition import Respiration
from rtqc.core.respiration_words import respiration_of_text
from rtqc.dicom.elements import get, items, number, text

#: Values of Image Type that say what an image was computed as.
_COMPUTED = {
    "MIP": "maximum", "MAX_IP": "maximum", "MAXIMUM": "maximum", "MAXIP": "maximum", "MAX IP": "maximum",
    "MINIP": "minimum", "MIN_IP": "minimum", "MINIMUM": "minimum", "MIN IP": "minimum",
    "AVERAGE": "average", "AVG": "average", "MEAN": "average", "AVE_IP": "average", "AIP": "average", "AVE": "average",
}  # fmt: skip
_TEXTS = ("SeriesDescription", "DerivationDescription", "ImageComments", "AcquisitionProtocolDescription", "ProtocolName")


def read_respiration(dataset: Dataset) -> Respiration:
    """Of a CT slice; empty where nothing is said."""
    values = get(dataset, "ImageType")
    image_type = [] if values is None else [values] if isinstance(values, str) else list(values)
    for value in (str(v).strip().upper() for v in image_type):
        if value in _COMPUTED:
            return Respiration(_COMPUTED[value], None, f"Image Type {value}")  # type: ignore[arg-type]
    texts = [(keyword, text(dataset, keyword)) for keyword in _TEXTS]
    told = [(keyword, value, respiration_of_text(value)) for keyword, value in texts if value]
    # A projection keeps the attributes of the phases that it was made of.
    for keyword, value, found in told:
        if found.kind in ("maximum", "minimum", "average"):
            return Respiration(found.kind, None, f"{_spaced(keyword)} '{value}'")
    technique = text(dataset, "RespiratoryMotionCompensationTechnique").upper()
    if technique == "BREATH_HOLD":
        return Respiration("breath_hold", None, "Respiratory Motion Compensation Technique BREATH_HOLD")
    percent = number(dataset, "NominalPercentageOfRespiratoryPhase")
    if percent is not None and 0 <= percent <= 100:
        return Respiration("phase", percent, f"Nominal Percentage of Respiratory Phase {percent:g}")
    for keyword, value, found in told:
        if found.kind:
            return Respiration(found.kind, found.phase_percent, f"{_spaced(keyword)} '{value}'")
    return Respiration()


def contours_on_other_images(structure_set: Dataset, slice_uids: frozenset[str]) -> dict[int, float]:
    """By ROI Number, the part of its contours whose Contour Image Sequence names none of a series' slices.

    Args:
        structure_set: an RTSTRUCT.
        slice_uids: SOP Instance UIDs of the CT series.

    Returns:
        0 to 1, of ROIs that have contours with a Contour Image Sequence; it is optional.
    """
    shares: dict[int, float] = {}
    for roi in items(structure_set, "ROIContourSequence"):
        named = [
            [text(i, "ReferencedSOPInstanceUID") for i in items(c, "ContourImageSequence")]
            for c in items(roi, "ContourSequence")
        ]
        named = [uids for uids in named if uids]
        roi_number = number(roi, "ReferencedROINumber")
        if named and roi_number is not None:
            shares[int(roi_number)] = sum(not slice_uids & set(uids) for uids in named) / len(named)
    return shares


def _spaced(keyword: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)

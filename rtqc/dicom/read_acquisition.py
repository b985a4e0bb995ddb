"""How a CT was made -> :class:`~rtqc.core.acquisition.Acquisition`."""

from __future__ import annotations

from pydicom.dataset import Dataset

from rtqc.core.acquisition import Acquisition
from rtqc.dicom.elements import get, number, text
from rtqc.dicom.read_respiration import read_respiration

#: Heights and weights that people have, in m and kg; others are a mix of units, or nobody's.
_HEIGHT_M, _WEIGHT_KG = (0.4, 2.5), (2.0, 350.0)


def read_acquisition(dataset: Dataset) -> Acquisition:
    """Of a CT slice; whatever is absent or unreadable is left out."""
    kernel, image_type = get(dataset, "ConvolutionKernel"), get(dataset, "ImageType")
    height, weight = number(dataset, "PatientSize"), number(dataset, "PatientWeight")
    thickness = number(dataset, "SliceThickness")
    kvp = number(dataset, "KVP")
    return Acquisition(
        kvp=kvp if kvp and kvp > 0 else None,
        kernel=_joined(kernel),
        slice_thickness_mm=thickness if thickness and thickness > 0 else None,
        contrast_agent=text(dataset, "ContrastBolusAgent"),
        image_type=tuple(v.strip().upper() for v in _joined(image_type).split("\\") if v.strip()),
        rescale_type=text(dataset, "RescaleType"),
        description=text(dataset, "SeriesDescription"),
        gated=_gated(dataset),
        height_m=height if height and _HEIGHT_M[0] <= height <= _HEIGHT_M[1] else None,
        weight_kg=weight if weight and _WEIGHT_KG[0] <= weight <= _WEIGHT_KG[1] else None,
        respiration=read_respiration(dataset),
    )


def _joined(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else "\\".join(str(v) for v in value)  # type: ignore[attr-defined]


def _gated(dataset: Dataset) -> bool | None:
    technique = text(dataset, "CardiacSynchronizationTechnique") or text(dataset, "AcquisitionType")
    if technique:
        return technique.upper() in ("PROSPECTIVE", "RETROSPECTIVE", "PACED", "REALTIME")
    return True if any(number(dataset, k) for k in ("NominalPercentageOfCardiacPhase", "TriggerTime", "HeartRate")) else None

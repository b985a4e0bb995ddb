"""CT scans by patient and study, and of several reconstructions of one the one that suits calcium best."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

from rtqc.core.acquisition import Acquisition
from rtqc.core.wording import counted
from rtqc.dicom.belonging import series_by_patient
from rtqc.dicom.bounded import read_object
from rtqc.dicom.index import Header, Index
from rtqc.dicom.read_acquisition import read_acquisition

#: Slice thickness that calcium scores are defined for, in mm.
_SCORE_SLICE_MM = 3.0
#: Fewer slices are no heart.
_FEWEST = 10
_PROJECTED = frozenset({"MIP", "MINIP", "MNIP", "AVERAGE", "PROJECTION IMAGE", "VRT", "SSD"})
#: Names of sharp kernels; soft ones are called STANDARD, SOFT, B30f, Qr36d, FC12, B ...
_SHARP_NAMES = re.compile(r"LUNG|BONE|SHARP|EDGE|DETAIL|ULTRA|^(L|D|Y[A-Z]?|E)$", re.IGNORECASE)
_NUMBERED = re.compile(r"^([A-Z]{1,3})(\d{2})", re.IGNORECASE)
#: From these numbers on kernels of Siemens (B50, Qr54, Br59) and Canon (FC30: bone, FC50: lung) are sharp.
_SHARP_FROM, _SHARP_FROM_FC = 50, 20


@dataclass(frozen=True)
class Scan:
    """A CT of one patient and study.

    Attributes:
        patient_id, study_uid: of the scan.
        series: headers of the series that was chosen.
        acquisition: of its first slice.
        passed_over: descriptions of the other series of the study.
    """

    patient_id: str
    study_uid: str
    series: tuple[Header, ...]
    acquisition: Acquisition
    passed_over: tuple[str, ...] = ()

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self.series[0].series_uid


def scans_of(index: Index) -> list[Scan]:
    """One scan a study, by patient and study."""
    studies: dict[tuple[str, str], list[list[Header]]] = defaultdict(list)
    for series in series_by_patient(index).values():
        studies[(series[0].patient_id, series[0].study_uid)].append(series)
    scans = []
    for (patient, study), all_series in studies.items():
        known = [(series, _acquisition_of(series)) for series in all_series]
        order = sorted(range(len(known)), key=lambda i: (*_unfitness(*known[i]), known[i][0][0].series_uid))
        series, acquisition = known[order[0]]
        others = tuple(_described(*known[i]) for i in order[1:])
        scans.append(Scan(patient, study, tuple(series), acquisition, others))
    return scans


def described(scan: Scan) -> str:
    """The chosen series in words."""
    return _described(list(scan.series), scan.acquisition)


def is_sharp(kernel: str) -> bool:
    """Whether a kernel sharpens edges, and noise with them.

    >>> [is_sharp(k) for k in ("STANDARD", "B30f", "Qr36d", "FC12", "LUNG", "B70f", "Br59", "FC52")]
    [False, False, False, False, True, True, True, True]
    """
    first = kernel.split("\\", maxsplit=1)[0].strip()
    if _SHARP_NAMES.search(first):
        return True
    numbered = _NUMBERED.match(first)
    if numbered is None:
        return False
    return int(numbered[2]) >= (_SHARP_FROM_FC if numbered[1].upper() == "FC" else _SHARP_FROM)


def _acquisition_of(series: list[Header]) -> Acquisition:
    try:
        return read_acquisition(read_object(series[len(series) // 2].path, header=True))
    except Exception:  # a damaged header makes pydicom raise nearly anything; reading the slices says so
        return Acquisition()


def _unfitness(series: list[Header], acquisition: Acquisition) -> tuple[float, ...]:
    """What speaks against a series, most important first."""
    thickness = acquisition.slice_thickness_mm or 2 * _SCORE_SLICE_MM
    return (
        float(len(series) < _FEWEST),
        float(bool(_PROJECTED.intersection(acquisition.image_type))),
        float(bool(acquisition.contrast_agent)),
        float(is_sharp(acquisition.kernel)),
        round(abs(math.log(thickness / _SCORE_SLICE_MM)), 2),
        -float(len(series)),
    )


def _described(series: list[Header], acquisition: Acquisition) -> str:
    thickness = f"{acquisition.slice_thickness_mm:g} mm" if acquisition.slice_thickness_mm else "unknown thickness"
    parts = (acquisition.description, acquisition.kernel, thickness, counted(len(series), "slice"))
    return ", ".join(p for p in parts if p)

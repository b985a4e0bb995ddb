"""What other packages expect of pydicom and of files, and do not find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pydicom.dicomio

#: An offset of the first plane that is more than rounding, in mm.
_FIRST_OFFSET_MM = 0.01


def pydicom_with_read_file() -> None:
    """Give ``pydicom.dicomio.read_file`` back, which dicompyler-core 0.5.6 imports and pydicom 3 has renamed ``dcmread``."""
    if not hasattr(pydicom.dicomio, "read_file"):
        pydicom.dicomio.read_file = pydicom.dcmread  # type: ignore[attr-defined]


def has_absolute_offsets(dose: Path) -> bool:
    """Whether a dose's planes are given by their positions (PS3.3 C.8.8.3.2, b), which dicompyler-core adds to the first one's.

    Args:
        dose: RTDOSE file; False for one that cannot be read.
    """
    try:
        offsets = pydicom.dcmread(dose, specific_tags=["GridFrameOffsetVector"]).get("GridFrameOffsetVector")
        return bool(np.abs(np.atleast_1d(np.asarray(offsets, float))[0]) > _FIRST_OFFSET_MM)
    except Exception:  # what cannot be read here cannot be read there either, and is said of the dose itself
        return False

"""What other packages expect of pydicom and no longer find."""

from __future__ import annotations

import pydicom
import pydicom.dicomio


def pydicom_with_read_file() -> None:
    """Give ``pydicom.dicomio.read_file`` back, which dicompyler-core 0.5.6 imports and pydicom 3 has renamed ``dcmread``."""
    if not hasattr(pydicom.dicomio, "read_file"):
        pydicom.dicomio.read_file = pydicom.dcmread  # type: ignore[attr-defined]

"""How a CT was made, as far as its header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RespirationKind = Literal["", "average", "maximum", "minimum", "phase", "breath_hold", "free"]


@dataclass(frozen=True)
class Respiration:
    """What a CT shows of respiration, as far as its header says.

    Attributes:
        kind: ``average``, ``maximum`` (MIP) or ``minimum`` (MinIP) over the phases of a 4D CT, one ``phase`` of it, ``breath_hold``,
            ``free`` breathing; empty where the header says nothing.
        phase_percent: of a phase, in percent of the cycle.
        source: attribute and value that say it.
    """

    kind: RespirationKind = ""
    phase_percent: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Acquisition:
    """Attributes of a CT series (PS3.3 C.8.2.1 and C.7.2.2).

    Attributes:
        kvp: tube voltage, in kV; None where the file does not say.
        kernel: Convolution Kernel.
        slice_thickness_mm: Slice Thickness, which may differ from the distance between slices.
        contrast_agent: Contrast/Bolus Agent; empty where none was named.
        image_type: values of Image Type, upper case.
        rescale_type: what stored values become; empty means HU (PS3.3 C.11.1.1.2 of CT images).
        description: Series Description.
        gated: whether the file says that the heart's motion steered the scan; None where it says nothing.
        height_m, weight_kg: of the patient; None where the file does not say, or says what nobody is.
        respiration: what it shows of respiration.
    """

    kvp: float | None = None
    kernel: str = ""
    slice_thickness_mm: float | None = None
    contrast_agent: str = ""
    image_type: tuple[str, ...] = ()
    rescale_type: str = ""
    description: str = ""
    gated: bool | None = None
    height_m: float | None = None
    weight_kg: float | None = None
    respiration: Respiration = Respiration()

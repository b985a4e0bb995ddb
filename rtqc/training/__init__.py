"""Learning, importing and measuring heart models; the only room that knows torch."""

from typing import Literal

from rtqc.heart import DeviceError


def training_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        DeviceError: ``cuda`` was asked for and is not there.
    """
    import torch  # measuring a model needs none of it

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise DeviceError("--device cuda was asked for, but torch finds no usable NVIDIA GPU here: use --device auto")
    return "cuda" if available and wanted != "cpu" else "cpu"

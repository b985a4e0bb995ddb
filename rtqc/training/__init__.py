"""Learning a heart model from plans with a contoured heart and from synthetic patients; the only room that knows torch."""

from typing import Literal

import torch

from rtqc.heart import DeviceError


def training_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        DeviceError: ``cuda`` was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise DeviceError("--device cuda was asked for, but torch finds no usable NVIDIA GPU here: use --device auto")
    return "cuda" if available and wanted != "cpu" else "cpu"

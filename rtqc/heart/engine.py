"""ONNX Runtime: the only place that knows it."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rtqc.heart.manifest import Manifest, Model, ModelError

Device = Literal["auto", "cpu", "cuda"]
Volume = NDArray[np.float32]


class DeviceError(Exception):
    """The wanted device is not there."""


class Engine:
    """A loaded model on a device.

    Attributes:
        model: what is loaded.
        device: what it really runs on: ``cpu`` or ``cuda``.
    """

    def __init__(self, model: Model, device: Device = "auto", threads: int = 0) -> None:
        """Load the weights.

        Args:
            model: a verified model folder.
            device: ``auto`` takes a GPU where there is one; ``cuda`` without one is an error.
            threads: of inference on the CPU; 0: all cores.

        Raises:
            DeviceError: ``cuda`` was asked for and is not there.
            ModelError: the weights cannot be loaded.
        """
        self.model = model
        self._session, self.device = _session(model.weights, model.manifest.sha256, device, threads)
        self._input = self._session.get_inputs()[0].name

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def logits(self, hu: Volume) -> Volume:
        """Run the network once.

        Args:
            hu: (slices, rows, columns) on the model's spacing, in HU, any size.

        Returns:
            Logits of the same shape.
        """
        multiple = self.manifest.size_multiple
        padding = [(0, -n % multiple) for n in hu.shape]
        padded = np.pad(hu, padding, constant_values=-1000.0)
        channels = [np.clip((padded - low) / (high - low) * 2 - 1, -1, 1) for low, high in self.manifest.windows]
        output = self._session.run(None, {self._input: np.stack(channels)[None].astype(np.float32)})[0]
        slices, rows, columns = hu.shape
        return np.asarray(output[0, 0, :slices, :rows, :columns], np.float32)


@lru_cache(maxsize=4)
def _session(weights: Path, digest: str, device: Device, threads: int) -> tuple[Any, str]:
    """A session; ``digest`` is part of its name, so that a file that changed is loaded again."""
    import onnxruntime as ort  # takes half a second to import: wait until a draft is asked for

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if threads:
        options.intra_op_num_threads = threads
    wanted = ["CPUExecutionProvider"]
    if device != "cpu" and "CUDAExecutionProvider" in ort.get_available_providers() and _may_have_gpu():
        wanted.insert(0, "CUDAExecutionProvider")
    try:
        session = ort.InferenceSession(str(weights), options, providers=wanted)
    except Exception as error:  # onnxruntime raises its own types for a damaged or unknown graph
        raise ModelError(f"{weights} cannot be loaded by ONNX Runtime {ort.__version__}: {error}") from error
    # The list of available providers says what was compiled in; the session says what runs.
    real = "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu"
    if device == "cuda" and real != "cuda":
        raise DeviceError(
            "--device cuda was asked for, but ONNX Runtime finds no usable NVIDIA GPU here: install driver and CUDA libraries, or use --device auto"
        )
    return session, real


def _may_have_gpu() -> bool:
    """Asking CUDA on a machine without a GPU costs a second and a page of errors."""
    return sys.platform != "linux" or Path("/dev/nvidiactl").exists()

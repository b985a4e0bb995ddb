"""ONNX Runtime: the only place that knows it."""

from __future__ import annotations

import os
import sys
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rtqc.heart.intensity import scaled
from rtqc.heart.manifest import Manifest, Model, ModelError
from rtqc.heart.runtime import REPAIR, RUNTIMES, installed_runtimes, runtime_clash

Device = Literal["auto", "cpu", "cuda", "tensorrt", "directml", "coreml"]
DEVICES: tuple[str, ...] = get_args(Device)
Volume = NDArray[np.float32]

#: ONNX Runtime's name of each device; TensorRT needs CUDA beside it for what it cannot run.
_PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "directml": ("DmlExecutionProvider",),
    "coreml": ("CoreMLExecutionProvider",),
}
#: CUDA tries every algorithm whenever the input's size changes (0.17 s a size on an H200, against 3 ms for the network itself) unless it is told to guess
#: (0.03 s); and rounds as a CPU does.
_OPTIONS: dict[str, dict[str, str]] = {"CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}}
#: Threads of inference on the CPU, on every machine: sums are cut into as many parts, and other parts are rounded otherwise. Eight threads are no slower on
#: one or two cores, and a network of this size has no use for more.
THREADS = 8
#: What ``auto`` tries, best first; TensorRT only when asked, because it compiles a model for minutes.
_AUTO = ("cuda", "directml", "coreml")


class DeviceError(Exception):
    """The wanted device is not there."""


class MemoryShortageError(Exception):
    """The device has not enough memory for an input of this size."""


class Engine:
    """A loaded model on a device.

    Attributes:
        model: what is loaded.
        device: what it really runs on: ``cpu``, ``cuda`` ...; says so where it needed smaller patches.
    """

    def __init__(self, model: Model, device: Device = "auto", threads: int = 0) -> None:
        """Load the weights.

        Args:
            model: a verified model folder.
            device: ``auto`` takes a GPU where there is one; any other that is not there is an error.
            threads: of inference on the CPU; 0: :data:`THREADS`, whatever the machine.

        Raises:
            DeviceError: the device is not there.
            ModelError: the weights cannot be loaded, or have another input or output than the manifest says.
        """
        self.model = model
        self._session, self._found = _session(model.weights, model.manifest.sha256, device, threads, os.getpid())
        self.device = self._found
        self._input, self._output = _ends(self._session, model)

    def for_one_case(self) -> Engine:
        """The same session for one case: what a case needs (smaller patches where memory is short) is not said of the next."""
        mine = copy(self)
        mine.device = self._found
        return mine

    def say_smaller(self, patch: tuple[int, ...]) -> None:
        """Let the result tell that memory was short."""
        self.device = f"{self._found} (patches of {' x '.join(str(n) for n in patch)}: its memory is short)"

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def run(self, channels: Volume) -> Volume:
        """Run the network once.

        Args:
            channels: its input, (channels, slices, rows, columns).

        Returns:
            Its output, (channels, slices, rows, columns).

        Raises:
            MemoryShortageError: the device has not enough memory.
            ModelError: the network refuses the input or does something else than its manifest says.
        """
        # Bound input and output: the runtime copies each once, whatever the device.
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, np.ascontiguousarray(channels[None], np.float32))
        binding.bind_output(self._output)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime raises its own types
            text = str(error)
            if any(sign in text.lower() for sign in ("allocate memory", "out of memory", "bad_alloc", "bfcarena")):
                raise MemoryShortageError(text) from error
            raise ModelError(f"{self.model.weights} cannot be run on an input of {channels.shape}: {text}") from error
        output = np.asarray(binding.copy_outputs_to_cpu()[0], np.float32)
        last = max([*self.manifest.channels, *self.manifest.level_channels.values()])
        if output.ndim != 5 or output.shape[2:] != channels.shape[1:] or output.shape[1] <= last:
            raise ModelError(
                f"{self.model.weights} gives an output of shape {output.shape} for an input of {channels[None].shape}: "
                "it must be (1, channels, slices, rows, columns) of the input's size, with the channels that the manifest names"
            )
        return np.asarray(output[0])

    def logits(self, hu: Volume) -> Volume:
        """Heart above 0, for a volume of any size.

        Args:
            hu: (slices, rows, columns) on the model's spacing and axes, in HU.

        Returns:
            Shape of ``hu``.
        """
        return heart_margin(self.outputs(hu), self.manifest)

    def outputs(self, hu: Volume) -> Volume:
        """All channels, for a volume of any size.

        Args:
            hu: (slices, rows, columns) on the model's spacing and axes, in HU.

        Returns:
            (channels, slices, rows, columns), for the voxels of ``hu``.
        """
        multiple = self.manifest.size_multiple
        padded = np.pad(hu, [(0, -n % multiple) for n in hu.shape], constant_values=-1000.0)
        output = self.run(scaled(padded, self.manifest))
        return output[(slice(None), *(slice(n) for n in hu.shape))]


def heart_margin(output: Volume, manifest: Manifest) -> Volume:
    """By how much heart wins over all else, from a network's output (channels, slices, rows, columns)."""
    heart = output[list(manifest.channels)].max(axis=0)
    if manifest.output != "classes":
        return np.asarray(heart)
    others = np.delete(output, list(manifest.channels), axis=0)
    return np.asarray(heart - others.max(axis=0))


@lru_cache(maxsize=4)
def _session(weights: Path, digest: str, device: Device, threads: int, process: int) -> tuple[Any, str]:
    """A session; ``digest`` is part of its name, so that a file that changed is loaded again.

    So is the process: the threads of a session that was made before a fork are not there after it.
    """
    import onnxruntime as ort  # takes half a second to import: wait until a draft is asked for

    if not hasattr(ort, "InferenceSession"):
        # What pip leaves where one of two packages in the same folder was uninstalled.
        raise ModelError(f"ONNX Runtime is damaged: {REPAIR.format(all=' '.join(RUNTIMES[:2]), wanted='onnxruntime')}")
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or THREADS
    # More threads than cores must not wait for each other by running in circles.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    offered = ort.get_available_providers()
    candidates = [d for d in _AUTO if _offers(d, offered)] if device == "auto" else [device]
    if _may_have_gpu() and device in ("auto", "cuda", "tensorrt") and hasattr(ort, "preload_dlls"):
        # CUDA's libraries may have come as wheels: then nobody but Python knows where they are.
        ort.preload_dlls()
    for name in [*candidates, "cpu"] if device == "auto" else candidates:
        if not _offers(name, offered):
            raise DeviceError(_absent(name))
        providers = [(p, _OPTIONS.get(p, {})) for p in (*_PROVIDERS[name], "CPUExecutionProvider")]
        try:
            session = ort.InferenceSession(str(weights), options, providers=providers)
        except Exception as error:  # onnxruntime raises its own types for a damaged or unknown graph
            raise ModelError(f"{weights} cannot be loaded by ONNX Runtime {ort.__version__}: {error}") from error
        # The list of available providers says what was compiled in; the session says what runs.
        if set(_PROVIDERS[name][:1]) <= set(session.get_providers()):
            return session, name
    raise DeviceError(_absent(device))


def _offers(device: str, offered: list[str]) -> bool:
    if device in ("cuda", "tensorrt") and not _may_have_gpu():
        return False
    return set(_PROVIDERS[device][:1]) <= set(offered)


def _absent(device: str) -> str:
    clash = runtime_clash()
    if clash:
        return f"--device {device} was asked for, but {clash}"
    if device in ("cuda", "tensorrt") and "onnxruntime-gpu" not in installed_runtimes():
        return (
            f"--device {device} was asked for, but the installed ONNX Runtime is the one for CPUs: pip uninstall -y onnxruntime; pip install onnxruntime-gpu "
            "(docs/installation.md), or use --device auto"
        )
    if device in ("cuda", "tensorrt"):
        return f"--device {device} was asked for, but ONNX Runtime finds no usable NVIDIA GPU here: install driver and CUDA libraries, or use --device auto"
    return f"--device {device} was asked for, but this ONNX Runtime does not offer it: install its build for {device}, or use --device auto"


def _may_have_gpu() -> bool:
    """Asking CUDA on a machine without a GPU costs a second and a page of errors."""
    return sys.platform != "linux" or Path("/dev/nvidiactl").exists()


def _ends(session: Any, model: Model) -> tuple[str, str]:
    """Names of input and output.

    Raises:
        ModelError: not one five-dimensional input with as many channels as the manifest says.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    wanted = max(len(model.manifest.windows), 1)
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 5 or (isinstance(shape[1], int) and shape[1] != wanted) or "float" not in inputs[0].type:
        told = ", ".join(f"{i.name} {i.shape} {i.type}" for i in inputs)
        raise ModelError(
            f"{model.weights} does not fit its manifest: it takes {told}, not one float input (1, {wanted}, slices, rows, columns)"
        )
    return str(inputs[0].name), str(outputs[0].name)

"""A foreign network and what must be known to run it -> model folder, checked against torch."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rtqc.core.names import find_hearts, words
from rtqc.heart.adopt import adopt_onnx
from rtqc.heart.engine import Engine
from rtqc.heart.manifest import Manifest, Model, ModelError

#: Largest difference of a logit between ONNX Runtime and torch, as a part of the largest logit, that is taken as the same network.
_MAX_RELATIVE_DIFFERENCE = 1e-3


@dataclass(frozen=True, eq=False)
class Imported:
    """A network and its manifest.

    Attributes:
        networks: one a fold; their outputs are averaged.
        manifest: values of :class:`~rtqc.heart.manifest.Manifest`, without the hash.
        notes: for the model card: what was read, what was assumed, what is not as in the original.
    """

    networks: tuple[nn.Module, ...]
    manifest: dict[str, Any]
    notes: tuple[str, ...] = ()


class _Ensemble(nn.Module):
    def __init__(self, networks: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = _first(self.networks[0](x))
        for network in list(self.networks)[1:]:
            total = total + _first(network(x))
        return total / len(self.networks)


def _first(output: torch.Tensor | list[torch.Tensor] | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Networks with deep supervision give their coarser outputs too."""
    return output[0] if isinstance(output, list | tuple) else output


def write_imported(imported: Imported, out: Path) -> Manifest:
    """Export to ONNX and make the model folder.

    Raises:
        ModelError: the network cannot be exported, or ONNX Runtime computes something else.
        FileExistsError: ``out`` holds a model already.
    """
    network = imported.networks[0] if len(imported.networks) == 1 else _Ensemble(imported.networks)
    network = network.eval()
    patch = Manifest(**{**imported.manifest, "sha256": ""}).patch
    example = torch.zeros(1, 1, *patch)
    axes = {2: "slices", 3: "rows", 4: "columns"}
    part = out.with_name(out.name + ".part.onnx")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns about every shape that it sees as a constant
            torch.onnx.export(
                network, (example,), str(part), input_names=["image"], output_names=["output"], opset_version=17,
                dynamic_axes={"image": axes, "output": axes}, dynamo=False,
            )  # fmt: skip
        model = adopt_onnx(part, imported.manifest, out, card=_card(imported))
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"the network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    finally:
        part.unlink(missing_ok=True)
    _check(network, model)
    return model.manifest


def _check(network: nn.Module, model: Model) -> None:
    x = np.random.default_rng(0).normal(0, 1, (1, *model.manifest.patch)).astype(np.float32)
    with torch.no_grad():
        expected = _first(network(torch.from_numpy(x[None])))[0].numpy()
    difference = float(np.abs(Engine(model, "cpu").run(x) - expected).max() / max(float(np.abs(expected).max()), 1e-6))
    if difference > _MAX_RELATIVE_DIFFERENCE:
        raise ModelError(
            f"ONNX Runtime and torch disagree by {difference:.2g} of the largest output: the model was not imported rightly"
        )


def load_weights(path: Path, trust: bool) -> Any:
    """A torch checkpoint, read without running what is in it.

    Args:
        path: the file.
        trust: whether Python objects in it may be made, which can run any code.

    Raises:
        ModelError: unreadable, or it needs trust.
    """
    harmless: list[Any] = [
        np.float64(0).__reduce__()[0],
        np.dtype,
        np.ndarray,
        type(np.dtype(np.float64)),
        type(np.dtype(np.float32)),
        type(np.dtype(np.int64)),
    ]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch and pickle raise many types for a damaged file
        if not trust and zipfile.is_zipfile(path):
            raise ModelError(
                f"{path} holds Python objects beside weights, which could run any code: if you know where it comes from, say --trust"
            ) from error
        raise ModelError(f"{path} is not a torch checkpoint: {str(error).splitlines()[0]}") from error


def heart_labels(names: dict[str, Any], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Which of a model's labels are heart.

    Args:
        names: label -> value.
        wanted: as the user says; empty: by the name table, else all labels whose first word is heart (chambers, muscle).

    Raises:
        ModelError: none.
    """
    known = ", ".join(names)
    if wanted:
        absent = [n for n in wanted if n not in names]
        if absent:
            raise ModelError(f"the model has no label '{absent[0]}': it has {known}")
        return wanted
    found = find_hearts(names)[:1] or [n for n in names if words(n)[:1] == ["heart"]]
    if not found:
        raise ModelError(f"none of the model's labels is a heart: it has {known}; name one with --label")
    return tuple(found)


def _card(imported: Imported) -> str:
    m = imported.manifest
    notes = "".join(f"- {note}\n" for note in imported.notes)
    return (
        f"# {m['name']}\n\nImported with `rtqc model import`; rtqc did not train it and has not measured it. "
        "Measure it on your own plans with `rtqc model evaluate` before you rely on it (docs/commissioning.md).\n\n"
        f"{notes}\nIts predicted Dice is taken from its own probabilities and has not been calibrated.\n\n"
        f"Licence: {m.get('licence') or 'not known; ask whoever trained it'}\n"
    )

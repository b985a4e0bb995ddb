"""MONAI bundles: network, preprocessing and labels from their configuration.

Read as data: expressions (``$…``) and classes outside MONAI are not run. What a bundle does that rtqc does not know is
refused by name rather than left out.
"""

from __future__ import annotations

import json
import pydoc
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rtqc.heart.manifest import ModelError
from rtqc.training.imports.export import Imported, heart_labels, load_weights

_CONFIGS = ("inference.json", "evaluate.json", "train.json")
_WEIGHTS = ("model.pt", "model.ts")
#: Transforms that change nothing that rtqc does not do itself.
_NEUTRAL = frozenset(
    {"LoadImage", "EnsureChannelFirst", "AddChannel", "EnsureType", "CastToType", "ToTensor", "CropForeground"}
)
_NETWORKS = "monai.networks.nets."


def find_bundle(source: Path) -> Path | None:
    """The bundle's folder, where the source is one (``configs/metadata.json``)."""
    return source if (source / "configs" / "metadata.json").is_file() else None


def read_bundle(folder: Path, *, name: str, labels: Sequence[str] = (), licence: str = "", trust: bool = False) -> Imported:
    """Read a bundle.

    Args:
        folder: with ``configs/metadata.json``, a configuration and ``models/``.
        name: of the model.
        labels: that are heart; by default found by name.
        licence: of the weights; by default what the metadata say.
        trust: see :func:`load_weights`.

    Raises:
        ModelError: something is missing or unknown; the message names it.
    """
    metadata = _json(folder / "configs" / "metadata.json")
    path = next((folder / "configs" / c for c in _CONFIGS if (folder / "configs" / c).is_file()), None)
    if path is None:
        raise ModelError(f"{folder / 'configs'} has none of {', '.join(_CONFIGS)}")
    config = _json(path)
    names = _label_names(metadata)
    chosen = heart_labels(names, tuple(labels))
    network = _network(folder, config, trust)
    only_heart = max(names.values()) == 0
    sigmoid = only_heart or "sigmoid" in json.dumps(config.get("postprocessing", {})).lower()
    manifest: dict[str, Any] = {
        "name": name,
        "version": str(metadata.get("version", "1")),
        "inference": "sliding_window",
        "tiling": "monai",
        # MONAI's arrays run along x, y, z; ours along slices, rows, columns.
        "transpose": (2, 1, 0),
        "axes": "RAS",
        "spacing_mm": (1.0, 1.0, 1.0),
        "separate_slices": False,
        "order": 1,
        "size_multiple": 32,
        "output": "sigmoid" if sigmoid else "classes",
        "channels": tuple(int(names[n]) for n in chosen),
        "training_data": (str(metadata.get("data_source", "")) or str(metadata.get("name", folder.name)),),
        "attribution": _attribution(metadata),
        "licence": licence or str(metadata.get("license", "")),
    }
    manifest |= _window(config, path)
    manifest |= _preprocessing(config, path)
    notes = (
        f"MONAI bundle {metadata.get('name', folder.name)} {metadata.get('version', '')}.",
        f"Heart is: {', '.join(chosen)}.",
    )
    return Imported((network,), manifest, notes)


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    return content


def _label_names(metadata: Mapping[str, Any]) -> dict[str, int]:
    try:
        output = next(iter(metadata["network_data_format"]["outputs"].values()))
        definition: dict[str, str] = output["channel_def"]
    except (KeyError, StopIteration) as error:
        raise ModelError(
            "the bundle's metadata do not say which output channel is what (network_data_format.outputs.*.channel_def)"
        ) from error
    return {text: int(number) for number, text in definition.items() if text.lower() != "background"}


def _attribution(metadata: Mapping[str, Any]) -> str:
    """What the metadata ask to be cited."""
    references = metadata.get("references", ())
    return "; ".join(str(r) for r in ([metadata.get("copyright", "")] if metadata.get("copyright") else []) + list(references))


def _resolved(value: Any, config: Mapping[str, Any], path: Path) -> Any:
    """References (``@key``, ``@key#sub``) replaced by what they stand for."""
    if isinstance(value, Mapping):
        return {k: _resolved(v, config, path) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolved(v, config, path) for v in value]
    if isinstance(value, str) and value.startswith("@"):
        found: Any = config
        for part in re.split(r"#|::", value[1:]):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, ValueError) as error:
                raise ModelError(f"{path} refers to {value}, which is not in it") from error
        return _resolved(found, config, path)
    if isinstance(value, str) and value.startswith("$"):
        raise ModelError(f"{path} has the expression '{value}' where rtqc needs a value: write the value there")
    return value


def _target(entry: Mapping[str, Any]) -> str:
    """Class name of a transform, without MONAI's d for dictionaries."""
    last = str(entry.get("_target_", "")).rsplit(".", 1)[-1]
    return re.sub(r"(d|D|Dict)$", "", last)


def _network(folder: Path, config: Mapping[str, Any], trust: bool) -> nn.Module:
    weights = next((folder / "models" / w for w in _WEIGHTS if (folder / "models" / w).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder / 'models'} has no {' or '.join(_WEIGHTS)}: download the bundle's weights too")
    if weights.suffix == ".ts":
        if not trust:
            raise ModelError(f"{weights} is TorchScript, a program: if you know where it comes from, say --trust")
        scripted: nn.Module = torch.jit.load(str(weights), map_location="cpu")  # type: ignore[no-untyped-call]
        return scripted
    key = next((k for k in ("network_def", "network") if isinstance(config.get(k), Mapping)), None)
    if key is None:
        raise ModelError("the bundle's configuration has no network_def")
    arguments = _resolved({k: v for k, v in config[key].items() if not k.startswith("_")}, config, folder)
    target = str(config[key].get("_target_", ""))
    class_name = target if "." in target else _NETWORKS + target
    if not class_name.startswith(_NETWORKS):
        raise ModelError(
            f"the bundle's network {target} is not one of MONAI's own: export it to ONNX and write a manifest by hand"
        )
    network_class: Any = pydoc.locate(class_name)
    if network_class is None:
        raise ModelError(f"the bundle's network {target} is not installed: pip install monai")
    network: nn.Module = network_class(**arguments)
    content = load_weights(weights, trust)
    for wrapper in ("state_dict", "model", "network"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    try:
        network.load_state_dict(content)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"{weights} does not fit the bundle's network: {' '.join(str(error).split())[:300]}") from error
    return network


def _window(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    inferer = _resolved({k: v for k, v in config.get("inferer", {}).items() if k in ("roi_size", "overlap")}, config, path)
    if "roi_size" not in inferer:
        raise ModelError(f"{path} has no inferer with a roi_size: rtqc runs large models in patches")
    return {"patch": tuple(int(n) for n in inferer["roi_size"]), "overlap": min(float(inferer.get("overlap", 0.25)), 0.9)}


def _preprocessing(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    transforms = config.get("preprocessing", {}).get("transforms")
    if not transforms:
        raise ModelError(f"{path} has no preprocessing.transforms")
    values: dict[str, Any] = {}
    steps: list[dict[str, Any]] = []
    for entry in transforms:
        kind = _target(entry)
        known = {k: v for k, v in entry.items() if not k.startswith("_") and k not in ("keys", "mode", "dtype", "device")}
        if kind in _NEUTRAL:
            continue
        p = _resolved(known, config, path)
        if kind == "Orientation":
            values["axes"] = str(p["axcodes"]).upper()
        elif kind == "Spacing":
            values["spacing_mm"] = tuple(float(s) for s in p["pixdim"])
        elif kind == "ScaleIntensityRange":
            steps.append({"step": "window", "low": p["a_min"], "high": p["a_max"], "to_low": p["b_min"], "to_high": p["b_max"]})
            if not p.get("clip", False):
                raise ModelError(f"{path}: ScaleIntensityRange without clip is not known to rtqc")
        elif kind == "NormalizeIntensity" and p.get("subtrahend") is not None:
            steps.append({"step": "standardize", "mean": p["subtrahend"], "deviation": p.get("divisor", 1.0)})
        elif kind == "NormalizeIntensity":
            steps.append({"step": "zscore", "nonzero": bool(p.get("nonzero", False))})
        elif kind == "ScaleIntensity":
            steps.append({"step": "minmax", "to_low": p.get("minv", 0.0), "to_high": p.get("maxv", 1.0)})
        else:
            raise ModelError(
                f"{path} preprocesses with {entry.get('_target_')}, which rtqc does not know: export the network to ONNX and write a manifest by hand"
            )
    if not steps:
        raise ModelError(f"{path} does not scale intensities: export the network to ONNX and write a manifest by hand")
    return values | {"intensity": steps}

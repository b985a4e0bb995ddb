"""An ONNX file and a manifest -> a model folder, made only if the two fit each other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtqc.core.whole_file import whole_file
from rtqc.heart.engine import Engine
from rtqc.heart.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Manifest,
    Model,
    ModelError,
    file_hash,
    load_model,
    read_manifest,
    refuse_external_data,
)


def adopt_onnx(weights: Path, manifest: Path | Mapping[str, Any], out: Path, card: str = "") -> Model:
    """Make a model folder and try the model once.

    Args:
        weights: the ONNX file.
        manifest: a TOML file written by hand, or its values; the hash need not be in it, and must be right if it is.
        out: the folder; must not hold a model.
        card: text of the model card; empty: a short one.

    Returns:
        The model, verified.

    Raises:
        ModelError: manifest or weights cannot be used, or do not fit each other; nothing is left then.
        FileExistsError: ``out`` holds a model already.
    """
    if (out / MANIFEST_FILE).exists():
        raise FileExistsError(f"{out} holds a model already: give another --out")
    if not weights.is_file():
        raise ModelError(f"there is no ONNX file {weights}")
    refuse_external_data(weights)
    digest = file_hash(weights)
    known = read_manifest(manifest, sha256=digest) if isinstance(manifest, Path) else Manifest(**{**manifest, "sha256": digest})
    if known.sha256 != digest:
        raise ModelError(
            f"{weights} is not the file that {manifest} describes (SHA-256 differs): leave sha256 out to adopt it as it is"
        )
    existed = out.is_dir()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with weights.open("rb") as source, whole_file(out / WEIGHTS_FILE) as copy:
            shutil.copyfileobj(source, copy)
        for name, text in ((CARD_FILE, card or _card(known)), (MANIFEST_FILE, known.toml())):
            with whole_file(out / name) as file:
                file.write(text.encode("utf-8"))
        model = load_model(out)
        engine = Engine(model, "cpu")
        engine.run(np.zeros((max(len(known.windows), 1), *known.patch), np.float32))
    except BaseException:
        for name in (WEIGHTS_FILE, CARD_FILE, MANIFEST_FILE):
            (out / name).unlink(missing_ok=True)
        if not existed:
            out.rmdir()
        raise
    return model


def _card(manifest: Manifest) -> str:
    return (
        f"# {manifest.name}\n\nAdopted from an ONNX file with a manifest written by hand; rtqc did not train it and has not measured it. "
        "Measure it on your own plans with `rtqc model evaluate` before you rely on it (docs/commissioning.md).\n\n"
        f"Licence: {manifest.licence or 'not known; ask whoever trained it'}\n"
    )

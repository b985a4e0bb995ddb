"""A model is data: a folder with ``model.onnx``, ``manifest.toml`` and ``MODEL_CARD.md``."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtqc.core.resources import resource_folder

DEFAULT_MODEL = "heart-v1"
MANIFEST_FILE = "manifest.toml"
WEIGHTS_FILE = "model.onnx"
CARD_FILE = "MODEL_CARD.md"


class ModelError(Exception):
    """A model folder that cannot be used; the message names the file and what to do."""


class Manifest(BaseModel):
    """What must be known to run a model.

    Attributes:
        name, version: of the model.
        structure: TG-263 name of what it draws.
        spacing_mm: voxel of its input, all axes; slices run to superior, rows to posterior, columns to left (LPS).
        size_multiple: input sizes must be multiples of this.
        patch: side of the crop that it was trained on, in voxels.
        windows: intensity windows in HU; each is scaled to -1..1 and is one input channel.
        output: ``logit``: inside where above 0.
        sha256: of the weights.
        training_data, attribution, licence: what it learned from and what that asks for.
        trusted_dice: predicted Dice under which a draft is not trusted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    structure: str = "Heart"
    spacing_mm: float = Field(gt=0)
    size_multiple: int = Field(16, ge=1)
    patch: int = Field(ge=16)
    windows: tuple[tuple[float, float], ...] = Field(min_length=1)
    output: Literal["logit"] = "logit"
    sha256: str
    training_data: tuple[str, ...] = ()
    attribution: str = ""
    licence: str = ""
    trusted_dice: float = Field(0.85, ge=0, le=1)
    created: str = ""


class Model(BaseModel):
    """A model folder whose manifest was read and whose weights were verified."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    manifest: Manifest

    @property
    def weights(self) -> Path:
        """The ONNX file."""
        return self.folder / WEIGHTS_FILE


def list_models() -> list[str]:
    """Names of the models that ship with rtqc."""
    return sorted(p.parent.name for p in resource_folder("models").glob(f"*/{MANIFEST_FILE}"))


def load_model(name_or_folder: str | Path = DEFAULT_MODEL, verify: bool = True) -> Model:
    """A shipped model by name, or any model folder.

    Args:
        name_or_folder: a name of :func:`list_models`, or a folder.
        verify: whether to check the weights against the manifest's hash.

    Raises:
        ModelError: not found, manifest damaged, weights absent or changed.
    """
    folder = Path(name_or_folder)
    if not (folder / MANIFEST_FILE).is_file():
        shipped = resource_folder("models") / str(name_or_folder)
        if folder.is_dir() or not (shipped / MANIFEST_FILE).is_file():
            known = ", ".join(list_models()) or "none"
            raise ModelError(
                f"there is no model '{name_or_folder}': give a shipped one ({known}) or a folder with {MANIFEST_FILE}"
            )
        folder = shipped
    path = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a valid manifest: {error}") from error
    model = Model(folder=folder, manifest=manifest)
    if not model.weights.is_file():
        raise ModelError(f"{model.weights} is missing: copy the whole model folder")
    if verify and file_hash(model.weights) != manifest.sha256:
        raise ModelError(
            f"{model.weights} is not the file that {path} describes (SHA-256 differs): copy the whole model folder again"
        )
    return model


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_card(model: Model) -> str:
    """The text of a model's card; empty where it has none."""
    path = model.folder / CARD_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""

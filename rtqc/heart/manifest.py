"""A model is data: a folder with ``model.onnx``, ``manifest.toml`` and ``MODEL_CARD.md``."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rtqc.core.cache import fetched_models
from rtqc.core.resources import resource_folder
from rtqc.defaults import DEFAULT_MODEL
from rtqc.heart.external_data import NotOnnxError, keeps_weights_elsewhere

MANIFEST_FILE = "manifest.toml"
WEIGHTS_FILE = "model.onnx"
CARD_FILE = "MODEL_CARD.md"


class ModelError(Exception):
    """A model folder that cannot be used; the message names the file and what to do."""


class Step(BaseModel):
    """One step of the intensity scaling, applied in order.

    Attributes:
        step: ``clip`` to ``low`` and ``high``; ``window``: clip, then map ``low``..``high`` to ``to_low``..``to_high``;
            ``standardize``: subtract ``mean``, divide by ``deviation``; ``zscore``: the same with the image's own mean and
            deviation (``nonzero``: of its voxels that are not 0, which stay 0); ``minmax``: map the image's own least and
            greatest value to ``to_low``..``to_high``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: Literal["clip", "window", "standardize", "zscore", "minmax"]
    low: float = 0.0
    high: float = 0.0
    to_low: float = -1.0
    to_high: float = 1.0
    mean: float = 0.0
    deviation: float = Field(1.0, gt=0)
    nonzero: bool = False


class Calibration(BaseModel):
    """What the signs of a draft say about its Dice, fitted on cases that the model had not seen.

    Attributes:
        signs: names of the signs, as in :mod:`rtqc.heart.confidence`.
        ranges: of the signs in the fit; what is outside is taken as its end.
        weights: of the signs, of their squares, and of the constant; the sum is the logit of the expected Dice.
        surface_factor: true distance over the estimated one, of the surface, 68 % of points within.
        ends_factor: the same of upper and lower end.
        cases: number of cases that it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    signs: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    weights: tuple[float, ...]
    surface_factor: float = 1.0
    ends_factor: tuple[float, float] = (1.0, 1.0)
    cases: int = 0


def _three(value: object) -> object:
    return (value,) * 3 if isinstance(value, int | float) else value


#: Names of levels of the chest (:data:`rtqc.heart.levels.LEVELS`).
LevelName = Literal["carina", "left_pulmonary_artery", "lower_end"]
#: A number for every axis, or one for each of slices, rows, columns.
PerAxis = Annotated[tuple[float, float, float], BeforeValidator(_three)]
PerAxisInt = Annotated[tuple[int, int, int], BeforeValidator(_three)]


class Manifest(BaseModel):
    """What must be known to run a model.

    Attributes:
        name, version: of the model.
        structure: TG-263 name of what it draws.
        spacing_mm: voxel of its input: one number, or slices, rows, columns (in the order after ``transpose``).
        size_multiple: input sizes must be multiples of this.
        patch: size of the crop that it was trained on, in voxels: one number, or slices, rows, columns.
        axes: where columns, rows and slices run to: ``LPS`` (left, posterior, superior), ``RAS`` ...
        transpose: order of slices, rows, columns in the model's input.
        inference: ``looks``: any size, one look at the body and close ones at the heart; ``sliding_window``: patches of
            ``patch``, weighted with a Gaussian.
        tiling: ``nnunet``: patches evenly spread, weights around voxel n // 2; ``monai``: patches at fixed steps with the last one
            moved in, weights around the patch's middle.
        overlap: of the sliding window's patches, as a part of their size.
        mirror_axes: axes (0 slices, 1 rows, 2 columns, after ``transpose``) that the patches are mirrored about, as nnU-Net's
            test-time augmentation does.
        crop_nonzero: whether the image is cropped to its voxels other than 0 first, as nnU-Net does.
        order, order_slices, separate_slices: of the spline that resamples the image; with ``separate_slices`` (None: where a
            spacing is three times another) the coarse axis is resampled by itself with ``order_slices``.
        windows: intensity windows in HU; each is scaled to -1..1 and is one input channel.
        intensity: instead of ``windows``: the steps that make the one input channel from HU.
        output: ``logit``: one channel, inside where above 0; ``classes``: one channel a class, the highest wins; ``sigmoid``:
            one channel a region, each by itself.
        channels: those of the output that are heart.
        level_channels: channels of the output that are heights above levels of the chest, by the level's name, in units of
            :data:`rtqc.heart.levels.HEIGHT_SCALE_MM`.
        sha256: of the weights.
        training_data, attribution, licence: what it learned from and what that asks for.
        trusted_dice: predicted Dice under which a draft is not trusted.
        calibration: of the predicted Dice; None: the model's own probabilities are taken for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    structure: str = "Heart"
    spacing_mm: PerAxis
    size_multiple: int = Field(16, ge=1)
    patch: PerAxisInt
    axes: str = Field("LPS", pattern="^[LR][PA][SI]$")
    transpose: tuple[int, int, int] = (0, 1, 2)
    inference: Literal["looks", "sliding_window"] = "looks"
    tiling: Literal["nnunet", "monai"] = "nnunet"
    overlap: float = Field(0.5, ge=0, lt=1)
    mirror_axes: tuple[int, ...] = ()
    crop_nonzero: bool = False
    order: int = Field(3, ge=0, le=5)
    order_slices: int = Field(0, ge=0, le=5)
    separate_slices: bool | None = None
    windows: tuple[tuple[float, float], ...] = ()
    intensity: tuple[Step, ...] = ()
    output: Literal["logit", "classes", "sigmoid"] = "logit"
    channels: tuple[int, ...] = Field((0,), min_length=1)
    level_channels: dict[LevelName, int] = Field(default_factory=dict)
    sha256: str
    training_data: tuple[str, ...] = ()
    attribution: str = ""
    licence: str = ""
    trusted_dice: float = Field(0.85, ge=0, le=1)
    created: str = ""
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm must be positive, not {self.spacing_mm}")
        if min(self.patch) < 8:
            raise ValueError(f"patch must be 8 voxels or more on each axis, not {self.patch}")
        if sorted(self.transpose) != [0, 1, 2]:
            raise ValueError(f"transpose must name the axes 0, 1 and 2 once each, not {self.transpose}")
        if bool(self.windows) == bool(self.intensity):
            raise ValueError("give either windows or intensity")
        if self.inference == "looks" and (len(set(self.spacing_mm)) > 1 or self.axes != "LPS" or self.transpose != (0, 1, 2)):
            raise ValueError("inference = 'looks' needs equal spacing on all axes, axes = 'LPS' and no transpose")
        if self.output == "logit" and self.channels != (0,):
            raise ValueError("output = 'logit' has one channel: channels must be [0]")
        if self.level_channels and (self.output != "logit" or self.inference != "looks"):
            raise ValueError("level_channels need output = 'logit' and inference = 'looks'")
        numbers = [*self.channels, *self.level_channels.values()]
        if min(numbers) < 0 or len(set(numbers)) < len(numbers):
            raise ValueError(f"channels and level_channels must be different channels, not {numbers}")
        return self

    def toml(self) -> str:
        """The text of ``manifest.toml``."""
        values = self.model_dump(mode="json", exclude_none=True, exclude=None if self.level_channels else {"level_channels"})
        return "".join(f"{key} = {_toml_value(value)}\n" for key, value in values.items())


def _toml_value(value: object) -> str:
    """JSON's strings, numbers and lists are TOML's; tables are written inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


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
    """A shipped or fetched model by name, or any model folder.

    Args:
        name_or_folder: a name of :func:`list_models`, of a model that ``rtqc model fetch`` installed, or a folder.
        verify: whether to check the weights against the manifest's hash.

    Raises:
        ModelError: not found, manifest damaged, weights absent, changed, or in other files.
    """
    folder = Path(name_or_folder)
    if not (folder / MANIFEST_FILE).is_file():
        homes = [resource_folder("models") / str(name_or_folder), fetched_models() / str(name_or_folder)]
        found = [home for home in homes if (home / MANIFEST_FILE).is_file()]
        if folder.is_dir() or not found:
            known = ", ".join(list_models()) or "none"
            raise ModelError(
                f"there is no model '{name_or_folder}': give a shipped one ({known}), one that was fetched (rtqc model fetch) "
                f"or a folder with {MANIFEST_FILE}"
            )
        folder = found[0]
    path = folder / MANIFEST_FILE
    manifest = read_manifest(path)
    model = Model(folder=folder, manifest=manifest)
    if not model.weights.is_file():
        raise ModelError(f"{model.weights} is missing: copy the whole model folder")
    if verify and file_hash(model.weights) != manifest.sha256:
        raise ModelError(
            f"{model.weights} is not the file that {path} describes (SHA-256 differs): copy the whole model folder again"
        )
    refuse_external_data(model.weights)
    return model


def refuse_external_data(weights: Path) -> None:
    """A hash of one file says nothing of weights in another.

    Raises:
        ModelError: the ONNX file keeps weights in other files, or is none.
    """
    try:
        elsewhere = keeps_weights_elsewhere(weights)
    except NotOnnxError as error:
        raise ModelError(f"{weights} is no ONNX model ({error}): copy the whole model folder again") from error
    except OSError as error:
        raise ModelError(f"{weights} cannot be read: {error.strerror or error}") from error
    if elsewhere:
        raise ModelError(
            f"{weights} keeps weights in other files, which its hash does not cover: save it as one file "
            "(onnx.save_model(onnx.load('model.onnx'), 'one.onnx', save_as_external_data=False)) and import that"
        )


def read_manifest(path: Path, **known: object) -> Manifest:
    """A manifest file.

    Args:
        path: TOML.
        known: values that need not be in the file.

    Raises:
        ModelError: not readable, not TOML, or a key or value that is not known; the message names the first.
    """
    try:
        return Manifest.model_validate({**known, **tomllib.loads(path.read_text(encoding="utf-8"))})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path} is not a valid manifest: {key + ': ' if key else ''}{first['msg']}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a valid manifest: {error}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_card(model: Model) -> str:
    """The text of a model's card; empty where it has none."""
    path = model.folder / CARD_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""

"""Settings of a training run: a TOML file, every key checked."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rtqc.training.augment import Augmentation


class Settings(BaseModel):
    """A recipe.

    Attributes:
        name: name of the model.
        spacing_mm: the model's voxel, all three axes.
        patch: side of the training crop, in voxels; a multiple of 16.
        windows: intensity windows (low, high) in HU.
        base: channels at full resolution.
        widest: no level of the network has more channels than this; None: ten times ``base``.
        heights: whether the network learns heights above the carina and the heart's two ends too (:mod:`rtqc.training.heights`).
        height_weight: of their loss.
        iterations: weight updates of the final model.
        fold_iterations: weight updates of each cross-validation model; None: as many as the final model has.
        folds: parts of the cross-validation; with no more patients than this each is left out by himself.
        batch: crops an update.
        learning_rate: at the start; falls polynomially to 0.
        weight_decay: of AdamW.
        average: decay of the moving average of weights that is exported.
        real_share: part of the crops that come from patients whose heart was drawn by hand, the rest from synthetic ones.
        judged_share: part of the crops that come from patients with a draft that was judged by eye (:mod:`rtqc.training.judged`).
        phantom: how synthetic patients are made: ``plan``, those of the test plans, or ``chest``, with vessels, bronchi and
            upper abdomen (:mod:`rtqc.phantom.chest`).
        together: train all folds and the final model in lockstep on shared crops, each without those of its unseen patients:
            making crops is the slower part beside a GPU.
        synthetic: number of synthetic patients.
        stress: number of difficult cases (:mod:`rtqc.training.stress`) that the confidence is fitted on; half of them patients
            that were left out, half synthetic ones. 0: none, and the confidence is not calibrated.
        seed: of everything random.
        mixed_precision: bfloat16 where it helps: more than twice as fast. On a CPU its kernels round differently from run
            to run, so two trainings of one seed differ in the last digits; without it they are the same bit for bit.
        checkpoint_minutes: time between checkpoints.
        augmentation: see :class:`~rtqc.training.augment.Augmentation`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "heart-v1"
    spacing_mm: float = Field(4.0, gt=0)
    patch: int = Field(80, ge=32, multiple_of=16)
    windows: tuple[tuple[float, float], ...] = ((-160.0, 240.0), (-1000.0, 600.0), (-20.0, 100.0))
    base: int = Field(12, ge=4)
    widest: int | None = Field(None, ge=4)
    heights: bool = False
    height_weight: float = Field(0.5, ge=0)
    iterations: int = Field(3000, ge=1)
    fold_iterations: int | None = Field(None, ge=1)
    folds: int = Field(5, ge=2)
    batch: int = Field(1, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    average: float = Field(0.995, ge=0, lt=1)
    real_share: float = Field(0.65, ge=0, le=1)
    judged_share: float = Field(0.0, ge=0, le=1)
    phantom: Literal["plan", "chest"] = "plan"
    together: bool = False
    synthetic: int = Field(60, ge=0)
    stress: int = Field(240, ge=0)
    seed: int = 1
    mixed_precision: bool = True
    checkpoint_minutes: float = Field(3.0, gt=0)
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.heights and not self.together:
            raise ValueError("heights are learned in lockstep only: add together = true")
        if self.real_share + self.judged_share > 1:
            raise ValueError(
                f"real_share and judged_share are parts of one whole, not {self.real_share + self.judged_share:g} of it"
            )
        return self


def read_settings(path: Path) -> Settings:
    """Settings from a TOML file.

    Raises:
        ValueError: the file is not TOML or has a key or value that is not known; the message names it.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if not first["loc"]:
            raise ValueError(f"{path.name}: {first['msg'].removeprefix('Value error, ')}") from error
        known = Augmentation.__dataclass_fields__ if key.startswith("augmentation.") else Settings.model_fields
        near = difflib.get_close_matches(str(first["loc"][-1]), list(known), n=1)
        unknown = first["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        hint = f"; did you mean '{near[0]}'?" if unknown and near else ""
        raise ValueError(f"{path.name}: '{key}': {'unknown key' if unknown else first['msg']}{hint}") from error

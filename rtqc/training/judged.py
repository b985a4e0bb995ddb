"""Patients without a hand-drawn heart: a model's draft, and what somebody who looked at it slice by slice says of it.

What is wrong in a draft is said to be no heart, what cannot be told is left out of the loss; so a network learns another hospital's chests
without learning its predecessor's mistakes. Heights that were read by eye teach the levels of the chest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.ndimage import distance_transform_edt

from rtqc.core.grid import Grid
from rtqc.core.volumes import Image
from rtqc.dicom import is_volume_file, read_volume
from rtqc.heart import Draft, Engine, draft_with
from rtqc.heart.resample import averaged
from rtqc.training.samples import UNKNOWN, Sample, real_sample, slice_levels

#: Surfaces whose standard deviation is above the first, in mm, are left out as far as the second, in mm, on both sides.
_UNSURE_MM, _MARGIN_MM = 7.0, 8.0


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Judgements:
    """What was read by eye.

    Attributes:
        readings: by patient, of those with a contour too.
        samples: patients without one.
    """

    readings: Mapping[str, Reading] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()


class Box(_Model):
    """A box in patient coordinates (LPS, mm) in which a draft is wrong or cannot be judged.

    Attributes:
        low, high: corners; a side that is not given reaches to the image's end.
        means: ``no heart`` or ``unknown``.
    """

    low: tuple[float, float, float] = (-1e4, -1e4, -1e4)
    high: tuple[float, float, float] = (1e4, 1e4, 1e4)
    means: Literal["no heart", "unknown"]


class Reading(_Model):
    """What was read in one CT; heights in patient coordinates (LPS), in mm.

    Attributes:
        carina_mm: where the windpipe parts.
        left_pulmonary_artery_mm: its lower border.
        lower_end_mm: of the heart.
        boxes: what is to be said of the draft.
    """

    carina_mm: float | None = None
    left_pulmonary_artery_mm: float | None = None
    lower_end_mm: float | None = None
    boxes: tuple[Box, ...] = ()

    def levels_mm(self) -> tuple[float | None, float | None, float | None]:
        """The three heights in the order of :data:`rtqc.heart.levels.LEVELS`."""
        return (self.carina_mm, self.left_pulmonary_artery_mm, self.lower_end_mm)


def read_readings(path: Path) -> Mapping[str, Reading]:
    """Readings by case, from a TOML file.

    Raises:
        ValueError: the file is not TOML or holds a key that is not known; the message names it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Reading.model_validate(values) for name, values in content.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path.name}: '{'.'.join(str(part) for part in first['loc'])}': {first['msg']}") from error


def read_judgements(readings: Path, folders: Sequence[Path], engine: Engine, spacing_mm: float) -> Judgements:
    """Readings, and the patients without a contour whose drafts they judge.

    Args:
        readings: TOML, by case.
        folders: with a CT a file (NRRD, NIfTI), named as in the readings.
        engine: of the model whose drafts were judged.
        spacing_mm: of the recipe.

    Raises:
        ValueError: no readings for a file, or the readings cannot be read.
    """
    known = read_readings(readings)
    samples = []
    for path in sorted(p for folder in folders for p in folder.iterdir() if is_volume_file(p)):
        name = path.name.split(".")[0]
        if name not in known:
            raise ValueError(f"{readings.name} says nothing of {name} ({path}): judge its draft, or take the file away")
        grid, hu = read_volume(path)
        image = Image(grid, np.asarray(hu, np.float32))
        samples.append(judged_sample(name, image, draft_with(image, engine), known[name], spacing_mm))
    return Judgements(known, tuple(samples))


def judged_sample(name: str, image: Image, draft: Draft, reading: Reading, spacing_mm: float) -> Sample:
    """A patient whose draft was judged by eye."""
    drawn = real_sample(name, image, draft.structure, spacing_mm)
    grid = drawn.grid
    heart = drawn.heart.astype(np.float32)
    heart[_unsure(heart, draft, grid)] = UNKNOWN
    # What is certain is said last.
    for means in ("unknown", "no heart"):
        for box in reading.boxes:
            if box.means == means:
                heart[_inside(box, grid)] = UNKNOWN if means == "unknown" else 0.0
    if reading.left_pulmonary_artery_mm is not None:
        heart[grid.positions_mm > reading.left_pulmonary_artery_mm] = 0.0
    levels = slice_levels(grid, reading.levels_mm())
    return Sample(
        name, grid, averaged(image, grid).astype(np.float16), heart.astype(np.float16), real=True, judged=True, levels=levels
    )


def with_levels(sample: Sample, reading: Reading | None) -> Sample:
    """A hand-drawn sample with the heights that were read in it; its lower end is that of its heart."""
    inside = np.flatnonzero((sample.heart > 0.5).any(axis=(1, 2)))
    step = sample.grid.slice_spacing_mm
    low = float(sample.grid.positions_mm[inside[0]]) - step / 2 if inside.size else None
    above = reading.levels_mm()[:2] if reading else (None, None)
    levels = slice_levels(sample.grid, (*above, low))
    return Sample(sample.name, sample.grid, sample.hu, sample.heart, sample.real, sample.judged, levels)


def _unsure(heart: NDArray[np.float32], draft: Draft, grid: Grid) -> NDArray[np.bool_]:
    """The neighbourhood of a surface that its model was not sure of."""
    result = np.zeros(heart.shape, bool)
    inside = heart > 0.5
    if draft.uncertainty is None or not inside.any():
        return result
    away = np.where(inside, distance_transform_edt(inside), distance_transform_edt(~inside)) * grid.slice_spacing_mm
    near = np.argwhere(away <= _MARGIN_MM)
    result[tuple(near.T)] = draft.uncertainty.at(grid.patient_mm(near)) > _UNSURE_MM
    return result


def _inside(box: Box, grid: Grid) -> NDArray[np.bool_]:
    axes = (grid.positions_mm, grid.rows_mm, grid.columns_mm)
    inside = [(low <= at) & (at <= high) for at, low, high in zip(axes, box.low[::-1], box.high[::-1], strict=True)]
    return np.asarray(inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :])

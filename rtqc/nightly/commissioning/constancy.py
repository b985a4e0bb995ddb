"""Ten stored cases, drafted again in seconds: does rtqc still draw what it drew when it was commissioned?

A case is a CT on voxels of 3 mm and the draft that was drawn on it. It holds no name, no number and no date of a patient, but it is a patient's CT: it
stays where the clinic's data stay.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from rtqc.core.grid import Grid
from rtqc.core.version import rtqc_version
from rtqc.core.volumes import Image
from rtqc.core.whole_file import whole_file
from rtqc.heart import Draft, Engine, draft_with
from rtqc.heart.resample import averaged, covering_grid
from rtqc.nightly.places import PlaceError

FOLDER, FACTS_FILE = "constancy", "facts.json"
#: So many cases are stored, on voxels of this size in mm.
MOST_CASES, STORED_MM = 10, 3.0
#: What rtqc draws again must be this alike: between devices and numerical libraries logits agree to about 1e-3, which moves an outline by hundredths
#: of a mm. Dice, volume in percent, ends in mm (half a stored slice), predicted Dice.
LEAST_DICE, MOST_VOLUME_PERCENT, MOST_END_MM, MOST_PREDICTED = 0.995, 1.0, STORED_MM / 2, 0.01


class StoredFacts(BaseModel):
    """A stored case: its file with its SHA-256, and the draft that was drawn on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    volume_ml: float
    extent_mm: tuple[float, float] | None
    predicted_dice: float
    trusted: bool


class Facts(BaseModel):
    """All stored cases, and what drew them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: str = "1.0"
    model: str
    model_folder: str = ""
    model_hash: str
    rtqc_version: str
    upper_end: str | None = None
    cases: tuple[StoredFacts, ...]


class CaseNow(BaseModel):
    """A stored case, drawn again: now minus then. ``same``: within the tolerances."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    dice: float
    volume_percent: float
    upper_end_mm: float | None
    lower_end_mm: float | None
    predicted_dice: float
    trusted_then: bool
    trusted_now: bool
    same: bool


class ConstancyReport(BaseModel):
    """The JSON of ``rtqc commission --constancy``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: str = "1.0"
    constant: bool
    model: str
    model_hash_then: str
    model_hash_now: str
    rtqc_version_then: str
    rtqc_version_now: str
    device: str
    seconds: float
    cases: tuple[CaseNow, ...]


def coarse(image: Image) -> Image:
    """The image on voxels of :data:`STORED_MM`, whole HU, as it is stored."""
    grid = covering_grid(image.grid, (STORED_MM,) * 3)
    return Image(grid, np.clip(np.rint(averaged(image, grid)), -1024, 3071).astype(np.float32))


def store_cases(
    images: Sequence[Callable[[], Image]], engine: Engine, folder: Path, model_folder: str = "", upper_end: str | None = None
) -> Facts:
    """Store cases and what is drawn on them.

    Args:
        images: each read when it is needed.
        engine: of the model.
        folder: of the commissioning.
        model_folder: of a model that does not ship with rtqc.
        upper_end: the protocol's definition.

    Raises:
        OSError: they cannot be written.
    """
    told = []
    for number, read in enumerate(images[:MOST_CASES], 1):
        image = coarse(read())
        draft = _draft(image, engine, upper_end)
        content = _packed(image, draft)
        name = f"case-{number:02d}.npz"
        with whole_file(folder / FOLDER / name) as file:
            file.write(content)
        told.append(
            StoredFacts(
                file=name, sha256=hashlib.sha256(content).hexdigest(), volume_ml=round(draft.structure.volume_ml, 3), extent_mm=_extent(draft),
                predicted_dice=draft.predicted_dice, trusted=draft.trusted,
            )
        )  # fmt: skip
    manifest = engine.manifest
    facts = Facts(
        model=manifest.name, model_folder=model_folder, model_hash=manifest.sha256, rtqc_version=rtqc_version(), upper_end=upper_end, cases=tuple(told)
    )  # fmt: skip
    with whole_file(folder / FOLDER / FACTS_FILE) as file:
        file.write((facts.model_dump_json(indent=2) + "\n").encode("utf-8"))
    return facts


def read_facts(folder: Path) -> Facts:
    """What was stored.

    Raises:
        PlaceError: nothing, or it is damaged.
    """
    path = folder / FOLDER / FACTS_FILE
    try:
        facts = Facts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlaceError(
            f"{path} cannot be read ({error.strerror or error}): give the folder of a finished rtqc commission with --out"
        ) from error
    except ValidationError as error:
        raise PlaceError(f"{path} is damaged ({error.errors()[0]['msg']}): commission again") from error
    if not facts.cases:
        raise PlaceError(f"{path} holds no cases: the archive that was commissioned on had none with a trusted draft")
    return facts


def checked(
    folder: Path, facts: Facts, engine: Engine, progress: Callable[[int, int], None] = lambda done, total: None
) -> ConstancyReport:
    """Draw the stored cases again.

    Args:
        folder: of the commissioning.
        facts: of :func:`read_facts`.
        engine: of the model that is in use now.
        progress: told the number of cases done, and of all.

    Raises:
        PlaceError: a stored case is not there, or not as it was stored.
        ModelError, DeviceError: the model cannot be used.
    """
    began = time.perf_counter()
    cases = []
    for number, stored in enumerate(facts.cases):
        progress(number, len(facts.cases))
        image, mask = _unpacked(folder / FOLDER / Path(stored.file).name, stored.sha256)
        cases.append(_now(stored, mask, _draft(image, engine, facts.upper_end)))
    manifest = engine.manifest
    return ConstancyReport(
        constant=manifest.sha256 == facts.model_hash and all(c.same for c in cases),
        model=manifest.name,
        model_hash_then=facts.model_hash,
        model_hash_now=manifest.sha256,
        rtqc_version_then=facts.rtqc_version,
        rtqc_version_now=rtqc_version(),
        device=engine.device,
        seconds=round(time.perf_counter() - began, 1),
        cases=tuple(cases),
    )


def _draft(image: Image, engine: Engine, upper_end: str | None) -> Draft:
    return draft_with(image, engine, "model" if upper_end == "model" else "feng2011")


def _extent(draft: Draft) -> tuple[float, float] | None:
    if draft.structure.is_empty:
        return None
    positions = draft.structure.positions_mm
    return round(float(positions[0]), 2), round(float(positions[-1]), 2)


def _now(stored: StoredFacts, mask: NDArray[np.bool_], draft: Draft) -> CaseNow:
    now = draft.mask.array
    total = int(mask.sum() + now.sum())
    dice = 2 * float((mask & now).sum()) / total if total else 1.0
    volume = 100 * (draft.structure.volume_ml / stored.volume_ml - 1) if stored.volume_ml else 0.0
    extent = _extent(draft)
    lower: float | None = None
    upper: float | None = None
    if stored.extent_mm is not None and extent is not None:
        lower, upper = extent[0] - stored.extent_mm[0], extent[1] - stored.extent_mm[1]
    both = (stored.extent_mm is None) == (extent is None)
    predicted = draft.predicted_dice - stored.predicted_dice
    same = (
        both
        and dice >= LEAST_DICE
        and abs(volume) <= MOST_VOLUME_PERCENT
        and all(end is None or abs(end) <= MOST_END_MM for end in (lower, upper))
        and abs(predicted) <= MOST_PREDICTED
        and draft.trusted == stored.trusted
    )
    return CaseNow(
        file=stored.file, dice=round(dice, 5), volume_percent=round(volume, 3), upper_end_mm=upper, lower_end_mm=lower, predicted_dice=round(predicted, 4),
        trusted_then=stored.trusted, trusted_now=draft.trusted, same=same,
    )  # fmt: skip


def _packed(image: Image, draft: Draft) -> bytes:
    grid = image.grid
    shape = np.array(grid.shape)
    corner = grid.patient_mm([(0, 0, 0)])[0]
    steps = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, hu=image.hu.astype(np.int16), corner_mm=corner, steps_mm=steps, draft=np.packbits(draft.mask.array), shape=shape
    )  # fmt: skip
    return buffer.getvalue()


def _unpacked(path: Path, sha256: str) -> tuple[Image, NDArray[np.bool_]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlaceError(f"{path} cannot be read ({error.strerror or error}): commission again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PlaceError(f"{path} is not as it was stored (SHA-256 differs): commission again")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            shape, steps, corner = (tuple(stored[k].tolist()) for k in ("shape", "steps_mm", "corner_mm"))
            grid = Grid.regular(shape, steps, corner)
            mask = np.unpackbits(stored["draft"], count=int(np.prod(shape))).reshape(shape).astype(bool)
            return Image(grid, stored["hu"].astype(np.float32)), mask
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PlaceError(f"{path} is damaged ({error}): commission again") from error


def table(report: ConstancyReport) -> str:
    """The report as JSON text."""
    return json.dumps(report.model_dump(mode="json"), indent=2) + "\n"

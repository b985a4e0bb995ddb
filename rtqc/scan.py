"""Scan -> CardiacReport: a CT by itself, without a plan."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtqc.cardiac import Measured, cardiac_note, measure
from rtqc.core.acquisition import Acquisition
from rtqc.core.assessment import CaseSummary, Run
from rtqc.core.cardiac import Cardiac
from rtqc.core.cardiac_report import CardiacReport
from rtqc.core.finding import Finding
from rtqc.core.volumes import Image
from rtqc.core.wording import listed
from rtqc.dicom import (
    Index,
    Scan,
    VolumeFileError,
    described,
    findings_beside,
    index_folder,
    is_volume_file,
    note,
    patient_key,
    read_series,
    read_volume,
    scans_of,
)
from rtqc.heart import Draft, Engine, draft_with
from rtqc.pipeline import draft_summary, heart_of, versions


@dataclass(eq=False)
class MeasuredScan:
    """A report with what it was made from, for pictures."""

    report: CardiacReport
    image: Image | None = None
    draft: Draft | None = None
    measured: Measured | None = None


def measure_scan(
    scan: Scan,
    engine: Engine,
    excluded: Collection[int] = (),
    included: Collection[int] = (),
    found: Collection[Finding] = (),
) -> MeasuredScan:
    """Read, draft, measure.

    Args:
        scan: of :func:`rtqc.dicom.scans_of`.
        engine: of the heart model, loaded.
        excluded, included: numbers of calcifications that a reader takes out or puts in.
        found: findings made while looking for scans: files of this patient that could not be read.

    Raises:
        DeviceError: the device's memory is too small.
    """
    began = time.perf_counter()
    series = read_series(list(scan.series))
    findings = [*found, *series.findings]
    if scan.passed_over:
        message = f"There are {len(scan.passed_over) + 1} series in this study: '{described(scan)}' was measured, not {listed(scan.passed_over, most=5)}."
        findings.append(cardiac_note("cardiac.series_chosen", message))
    case = CaseSummary(
        patient_id=scan.patient_id,
        patient_name=scan.series[0].patient_name,
        study_uid=scan.study_uid,
        ct_series_uid=scan.series_uid,
        files={"ct": len(series.slices)},
    )
    reading = time.perf_counter() - began
    return measure_image(
        series.image, engine, scan.acquisition, case, findings=findings, seconds={"read": round(reading, 3)}, excluded=excluded, included=included
    )  # fmt: skip


def measure_image(
    image: Image | None,
    engine: Engine,
    acquisition: Acquisition = Acquisition(),
    case: CaseSummary = CaseSummary(),
    *,
    findings: Collection[Finding] = (),
    seconds: dict[str, float] | None = None,
    excluded: Collection[int] = (),
    included: Collection[int] = (),
) -> MeasuredScan:
    """Draft and measure.

    Args:
        image: a CT; None where it could not be read, and ``findings`` say why.
        engine: of the heart model, loaded.
        acquisition: of the CT.
        case: whose it is.
        findings: made while reading.
        seconds: that reading took.
        excluded, included: see :func:`measure_scan`.
    """
    started = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    spent = dict(seconds or {})
    draft = measured = None
    if image is not None:
        began = time.perf_counter()
        draft = draft_with(image, engine)
        drafted = time.perf_counter()
        measured = measure(
            image, heart_of(draft), acquisition, series_uid=case.ct_series_uid, excluded=excluded, included=included
        )
        spent |= {"draft": round(drafted - began, 3), "cardiac": round(time.perf_counter() - drafted, 3)}
        grid = image.grid
        spacing = (round(grid.slice_spacing_mm, 4), *(round(s, 4) for s in grid.spacing_mm))
        case = case.model_copy(update={"image_shape": grid.shape, "voxel_spacing_mm": spacing})
    cardiac = measured.cardiac if measured is not None else Cardiac()
    report = CardiacReport(
        case=case,
        heart_volume_ml=cardiac.heart_volume_ml,
        heart=cardiac.heart,
        draft=draft_summary(draft),
        epicardial_fat=cardiac.epicardial_fat,
        calcium=cardiac.calcium,
        image=cardiac.image,
        doses=cardiac.doses,
        findings=(*findings, *(measured.findings if measured is not None else ())),
        run=Run(
            started=started,
            seconds=spent,
            host=platform.node(),
            device=draft.device if draft is not None else engine.device,
            versions=versions(),
        ),
    )
    return MeasuredScan(report, image, draft, measured)


@dataclass(frozen=True)
class FoundScan:
    """A scan that is there to be measured.

    Attributes:
        patient_id: of the scan; of a volume file its name.
        source: headers of a series, a volume file, or a folder without a CT.
        findings: made while looking.
    """

    patient_id: str
    source: Scan | Path | None
    findings: tuple[Finding, ...] = ()

    def measure(self, engine: Engine, excluded: Collection[int] = (), included: Collection[int] = ()) -> MeasuredScan:
        """Read, draft, measure; see :func:`measure_scan`."""
        if isinstance(self.source, Scan):
            return measure_scan(self.source, engine, excluded, included, self.findings)
        if self.source is None:
            return measure_image(None, engine, findings=self.findings)
        try:
            grid, values = read_volume(self.source)
        except VolumeFileError as error:
            return measure_image(None, engine, findings=(note("file.unreadable", str(error), files=[self.source.name]),))
        image = Image(grid, values.astype(np.float32))
        case = CaseSummary(patient_id=self.patient_id, files={"ct": 1})
        return measure_image(image, engine, case=case, excluded=excluded, included=included)


def found_scans(path: Path, index: Index | None = None) -> list[FoundScan]:
    """Every scan at a path; where there is none, one that says so.

    Args:
        path: a folder of DICOM in any layout, one file of it, or an NRRD or NIfTI file.
        index: of the folder, where it has been read already.

    Raises:
        FileNotFoundError: the path does not exist.
    """
    if path.is_file() and is_volume_file(path):
        return [FoundScan(path.name.split(".")[0], path)]
    index = index_folder(path) if index is None else index
    scans = [FoundScan(s.patient_id, s, tuple(findings_beside(index, patient_key(s.series[0])))) for s in scans_of(index)]
    if scans:
        return scans
    message = f"There is no CT in {path.name or path} ({index.others} DICOM objects of other kinds): give the folder of a chest CT, or NRRD and NIfTI files by name."
    return [FoundScan(path.name, None, (*index.findings, note("ct.absent", message, files=[path.name])))]

"""One row a scan: heart volume, fat and calcium of thousands, by the engine of the nightly run. Stopped anywhere, it goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from rtqc.core.assessment import DraftHeart
from rtqc.core.cardiac import Calcium, Cardiac
from rtqc.core.cardiac_report import CardiacReport
from rtqc.core.finding import Finding
from rtqc.core.version import rtqc_version
from rtqc.core.walk import files_below
from rtqc.core.whole_file import no_link, whole_file
from rtqc.dicom import is_volume_file
from rtqc.heart import Engine, load_model
from rtqc.nightly.engine import Crew, Trade, carry_out, hired
from rtqc.nightly.orders import Settings
from rtqc.nightly.spreadsheet import write_spreadsheet
from rtqc.nightly.store import Store
from rtqc.nightly.work import time_limit
from rtqc.scan import FoundScan, found_scans

#: Each row as it was made; the table is written from it at the end.
LINES_FILE, CSV_FILE, PARQUET_FILE = "measures.jsonl", "measures.csv", "measures.parquet"


@dataclass(frozen=True)
class MeasuresRow:
    """A scan. ``status``: ``measured``, ``in part`` (something refused or not trusted) or ``not measured``; ``reason`` says why."""

    patient_id: str
    study_uid: str
    series_uid: str
    source: str
    status: str
    reason: str = ""
    heart_volume_ml: float | None = None
    heart_volume_low_ml: float | None = None
    heart_volume_high_ml: float | None = None
    heart_volume_index_ml_m2: float | None = None
    heart_cut_off: str = ""
    epicardial_fat_ml: float | None = None
    epicardial_fat_hu: float | None = None
    epicardial_fat_percent: float | None = None
    agatston: float | None = None
    calcium_volume_mm3: float | None = None
    calcium_class: str = ""
    cac_drs: str = ""
    agatston_lm_lad: float | None = None
    agatston_lcx: float | None = None
    agatston_rca: float | None = None
    lesions: int | None = None
    not_counted: int | None = None
    mean_heart_dose_gy: float | None = None
    kvp: float | None = None
    kernel: str = ""
    slice_spacing_mm: float | None = None
    pixel_mm: float | None = None
    blood_hu: float | None = None
    noise_hu: float | None = None
    contrast: bool | None = None
    smoothed_mm: float | None = None
    predicted_dice: float | None = None
    trusted: bool | None = None
    findings: str = ""
    model: str = ""
    model_hash: str = ""
    rtqc_version: str = ""
    seconds: float | None = None


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(MeasuresRow))


@dataclass(frozen=True)
class MeasureOrder:
    """A scan to be measured, and where it lies."""

    scan: FoundScan
    source: str

    @cached_property
    def identity(self) -> str:
        """Of the files' UIDs, or a volume file's name, size and time."""
        source = self.scan.source
        if isinstance(source, Path):
            stat = source.stat()
            told = [str(source), str(stat.st_size), str(stat.st_mtime_ns)]
        elif source is None:
            told = ["nothing", self.source]
        else:
            told = [source.study_uid, *sorted(h.uid for h in source.series)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def find_orders(sources: Iterable[Path]) -> Iterator[MeasureOrder]:
    """Scans of folders, of volume files (NRRD, NIfTI; also in folders), and of lists of paths (``.txt``, a line each).

    Raises:
        FileNotFoundError: a path does not exist.
    """
    for source in sources:
        if source.is_file() and source.suffix.lower() == ".txt":
            lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
            yield from find_orders((source.parent / line) for line in lines if line and not line.startswith("#"))
            continue
        volumes = _volumes(source) if source.is_dir() else []
        found = found_scans(source)
        for scan in found:
            if scan.source is not None or not volumes:
                yield MeasureOrder(scan, str(source))
        for volume in volumes:
            yield from (MeasureOrder(s, str(volume)) for s in found_scans(volume))


def _volumes(folder: Path) -> list[Path]:
    return [p for p in files_below(folder) if is_volume_file(p)]


def measure_order(order: MeasureOrder, settings: Settings) -> MeasuresRow:
    """Measure one scan, in a worker."""
    with time_limit(settings.seconds):
        try:
            engine = Engine(load_model(settings.model), settings.device, settings.threads)
            return row_of_report(order.scan.measure(engine).report, order.source)
        except Exception as error:  # whatever is wrong with one scan, the cohort goes on
            return _gave_up(order, settings, "run.failed", f"The scan could not be measured ({type(error).__name__}: {error}).")


def _gave_up(order: MeasureOrder, settings: Settings, rule: str, message: str) -> MeasuresRow:
    source = order.scan.source
    study, series = (source.study_uid, source.series_uid) if source is not None and not isinstance(source, Path) else ("", "")
    return MeasuresRow(
        order.scan.patient_id, study, series, order.source, "not measured", message, findings=rule, rtqc_version=rtqc_version()
    )


MEASURING: Trade[MeasureOrder, Settings, MeasuresRow] = Trade(measure_order, _gave_up)


def row_of_report(report: CardiacReport, source: str) -> MeasuresRow:
    """A scan's report as a row."""
    cardiac = Cardiac(
        heart=report.heart, epicardial_fat=report.epicardial_fat, calcium=report.calcium, image=report.image, doses=report.doses
    )
    ids = report.case.patient_id, report.case.study_uid, report.case.ct_series_uid
    seconds = round(sum(report.run.seconds.values()), 2)
    return _row(ids, source, cardiac, report.draft, report.findings, seconds)


def rows_of_store(store: Store) -> Iterator[MeasuresRow]:
    """What the nights have measured, without copies of the same plan."""
    for row, a in store.assessments():
        if row.repeats:
            continue
        ids = a.case.patient_id, a.case.study_uid, a.case.ct_series_uid
        made = _row(ids, row.folder, a.cardiac or Cardiac(), a.heart.draft, a.findings, row.seconds)
        dose = a.dose.contoured if a.dose is not None and a.dose.contoured is not None else a.dose.draft if a.dose else None
        yield MeasuresRow(**{**asdict(made), "mean_heart_dose_gy": dose.mean_gy if dose is not None else None})


def _row(
    ids: tuple[str, str, str],
    source: str,
    cardiac: Cardiac,
    draft: DraftHeart | None,
    findings: Iterable[Finding],
    seconds: float,
) -> MeasuresRow:
    heart, fat, calcium, image = cardiac.heart, cardiac.epicardial_fat, cardiac.calcium, cardiac.image
    told = list(findings)
    whole = calcium is not None and fat is not None and draft is not None and draft.trusted
    status = "not measured" if heart is None else "measured" if whole else "in part"
    return MeasuresRow(
        *ids,
        source=source,
        status=status,
        reason="" if status == "measured" else _reason(told),
        heart_volume_ml=heart.volume_ml if heart else None,
        heart_volume_low_ml=heart.low_ml if heart else None,
        heart_volume_high_ml=heart.high_ml if heart else None,
        heart_volume_index_ml_m2=heart.indexed_ml_per_m2 if heart else None,
        heart_cut_off=" ".join(heart.cut_off) if heart else "",
        epicardial_fat_ml=fat.volume_ml if fat else None,
        epicardial_fat_hu=fat.mean_hu if fat else None,
        epicardial_fat_percent=fat.share_percent if fat else None,
        **_calcium(calcium),
        kvp=image.kvp if image else None,
        kernel=image.kernel if image else "",
        slice_spacing_mm=image.slice_spacing_mm if image else None,
        pixel_mm=image.pixel_mm if image else None,
        blood_hu=image.blood_hu if image else None,
        noise_hu=image.noise_hu if image else None,
        contrast=image.contrast if image else None,
        predicted_dice=draft.predicted_dice if draft else None,
        trusted=draft.trusted if draft else None,
        findings=" ".join(dict.fromkeys(f.rule for f in told)),
        model=draft.model if draft else "",
        model_hash=draft.model_hash if draft else "",
        rtqc_version=rtqc_version(),
        seconds=seconds,
    )


def _calcium(calcium: Calcium | None) -> dict[str, Any]:
    if calcium is None:
        return {}
    return {
        "agatston": calcium.agatston,
        "calcium_volume_mm3": calcium.volume_mm3,
        "calcium_class": calcium.calcium_class,
        "cac_drs": calcium.cac_drs,
        "agatston_lm_lad": calcium.by_vessel.get("LM/LAD", 0.0),
        "agatston_lcx": calcium.by_vessel.get("LCX", 0.0),
        "agatston_rca": calcium.by_vessel.get("RCA", 0.0),
        "lesions": len(calcium.lesions),
        "not_counted": len(calcium.others),
        "smoothed_mm": calcium.smoothed_mm,
    }


#: Findings that explain why something is missing, most telling first.
_TELLING = (
    "run.", "cardiac.no_heart", "cardiac.derived_image", "ct.", "cardiac.contrast", "cardiac.noise_too_high", "cardiac.thick_slices", "cardiac.kvp_unusual",
    "cardiac.untrusted_heart", "file.",
)  # fmt: skip


def _reason(findings: list[Finding]) -> str:
    for beginning in _TELLING:
        for finding in findings:
            if finding.rule.startswith(beginning):
                return finding.message
    return findings[0].message if findings else "not said"


class MeasuresFolder:
    """A folder of results: a line a scan as it is done, and the table at the end."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._lines = out / LINES_FILE

    def done(self) -> dict[str, MeasuresRow]:
        """Rows that are there, by key; a half-written last line is not."""
        found = {}
        if self._lines.exists():
            for line in self._lines.read_text(encoding="utf-8").splitlines():
                try:
                    told = json.loads(line)
                    found[str(told["key"])] = MeasuresRow(**told["row"])
                except (ValueError, KeyError, TypeError):
                    continue
        return found

    def add(self, key: str, row: MeasuresRow) -> None:
        """Keep a row; it is on the disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "row": asdict(row)}, ensure_ascii=True)
        with open(self._lines, "ab+", opener=no_link) as file:
            # What was cut off in the middle of a line ends here.
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def write_tables(self, rows: Iterable[MeasuresRow]) -> list[Path]:
        """CSV, and Parquet where pyarrow is installed.

        Raises:
            OSError: they cannot be written; nothing half-written stays.
        """
        told = [asdict(r) for r in rows]
        self.out.mkdir(parents=True, exist_ok=True)
        write_spreadsheet(self.out / CSV_FILE, COLUMNS, ([row[c] for c in COLUMNS] for row in told))
        written = [self.out / CSV_FILE]
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            return written
        table = pa.Table.from_pylist(told, schema=_arrow_schema(pa))
        with whole_file(self.out / PARQUET_FILE) as file:
            pq.write_table(table, file)
        return [*written, self.out / PARQUET_FILE]


def _arrow_schema(pa: Any) -> Any:
    kinds = {"str": pa.string(), "float | None": pa.float64(), "int | None": pa.int64(), "bool | None": pa.bool_()}
    return pa.schema([(f.name, kinds[str(f.type)]) for f in fields(MeasuresRow)])


@dataclass(frozen=True)
class Measurement:
    """How a cohort went.

    Attributes:
        rows: of all scans, in the order of patients.
        before: how many of them had been measured before.
        failures: why scans were not measured, and how many.
    """

    rows: tuple[MeasuresRow, ...]
    before: int
    failures: dict[str, int]


def measure_cohort(
    sources: Iterable[Path],
    folder: MeasuresFolder,
    settings: Settings,
    crew: Crew,
    progress: Callable[[int, int, MeasuresRow | None], None],
) -> Measurement:
    """Measure every scan that was not measured before with the same files, model and version.

    Args:
        sources: see :func:`find_orders`.
        folder: of results.
        settings: model, device, time limit.
        crew: who works.
        progress: called with the number done, of how many, and the row that was just made.

    Raises:
        ClusterError, OSError: what could not go on; every row that was made is kept.
    """
    known = folder.done()
    rows: dict[str, MeasuresRow] = {}
    to_do = []
    for order in find_orders(sources):
        key = f"{order.identity}-{settings.fingerprint[:16]}"
        if key in known:
            rows[key] = known[key]
        elif key not in rows:
            to_do.append(order)
    before, total = len(rows), len(rows) + len(to_do)
    progress(before, total, None)
    if to_do:
        with hired(crew) as team:
            for order, row in carry_out(to_do, settings, team, MEASURING):
                key = f"{order.identity}-{settings.fingerprint[:16]}"
                folder.add(key, row)
                rows[key] = row
                progress(len(rows), total, row)
    ordered = tuple(sorted(rows.values(), key=lambda r: (r.patient_id, r.study_uid, r.source)))
    failures = Counter(r.reason for r in ordered if r.status == "not measured")
    return Measurement(ordered, before, dict(failures.most_common()))

"""What a check leaves in an archive: the draft, the measurements and the report as DICOM objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rtqc.core.whole_file import whole_file
from rtqc.dicom import write_pdf, write_seg, write_sr
from rtqc.pipeline import Assessed, drawn_by_of, write_rtstruct
from rtqc.report.page import write_report
from rtqc.report.pdf import NoBrowserError, report_pdf

#: Files that every check writes.
REPORT_FILE, JSON_FILE = "report.html", "assessment.json"
Kind = Literal["rtstruct", "seg", "sr", "pdf"]
#: Kind -> name of its file.
FILES: dict[Kind, str] = {
    "rtstruct": "Heart_rtqc.dcm",
    "seg": "Heart_rtqc_seg.dcm",
    "sr": "report_sr.dcm",
    "pdf": "report_pdf.dcm",
}


def write_objects(
    assessed: Assessed, folder: Path, kinds: Iterable[Kind] = tuple(FILES), replace: bool = False
) -> tuple[dict[Kind, Path], dict[Kind, str]]:
    """Write what can be written.

    Args:
        assessed: of :func:`rtqc.assess_fully`.
        folder: where.
        kinds: which.
        replace: whether existing files may be replaced.

    Returns:
        The files written, and for every other kind why not.

    Raises:
        FileExistsError: a file exists and may not be replaced.
        OSError: a file cannot be written; nothing half-written stays.
    """
    written: dict[Kind, Path] = {}
    left_out: dict[Kind, str] = {}
    for kind in kinds:
        try:
            written[kind] = _write(kind, assessed, folder / FILES[kind], replace)
        except (ValueError, NoBrowserError) as error:
            left_out[kind] = str(error)
    return written, left_out


def write_results(assessed: Assessed, folder: Path) -> None:
    """``report.html`` and ``assessment.json``; what is there already is replaced.

    Raises:
        OSError: a file cannot be written; nothing half-written stays.
    """
    write_report(assessed, folder / REPORT_FILE, replace=True)
    with whole_file(folder / JSON_FILE) as file:
        file.write((assessed.assessment.model_dump_json(indent=2) + "\n").encode("utf-8"))


def _write(kind: Kind, assessed: Assessed, path: Path, replace: bool) -> Path:
    case, draft = assessed.case, assessed.draft
    if kind in ("rtstruct", "seg") and (draft is None or draft.structure.is_empty):
        raise ValueError("there is no draft")
    drawn_by = drawn_by_of(draft)
    if kind == "rtstruct" and draft is not None:
        return write_rtstruct(draft, case, path, replace=replace)
    if kind == "seg" and draft is not None:
        return write_seg(draft.structure, case, path, drawn_by, replace=replace)
    if kind == "sr":
        return write_sr(assessed.assessment, case, path, drawn_by, replace)
    return write_pdf(report_pdf(assessed), case, path, drawn_by, replace)

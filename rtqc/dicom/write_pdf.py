"""A report as an Encapsulated PDF (PS3.3 A.45), so that it is filed beside the plan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydicom.uid import EncapsulatedPDFStorage

from rtqc.core.case import Case
from rtqc.dicom.objects import DrawnBy, describe_series, free_path, image_reference, new_object, save_whole


def write_pdf(
    pdf: bytes, case: Case, path: str | Path, drawn_by: DrawnBy, replace: bool = False, now: datetime | None = None
) -> Path:
    """Wrap a PDF.

    Args:
        pdf: the document.
        case: whose patient and study it belongs to.
        path: the file.
        drawn_by: what made it.
        replace: whether an existing file may be replaced.
        now: time of writing; None: the present.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and may not be replaced.
        ValueError: it is no PDF, or the case has no study.
        OSError: the file cannot be written; nothing half-written stays.
    """
    target = free_path(path, replace)
    if not pdf.startswith(b"%PDF-"):
        raise ValueError("what should be wrapped is not a PDF")
    if not case.provenance.study_uid:
        raise ValueError("there is no study that the report could belong to")
    moment = now or datetime.now(UTC).astimezone()
    dataset = new_object(EncapsulatedPDFStorage, case.provenance)
    describe_series(dataset, "DOC", "rtqc report", drawn_by, moment)
    del dataset.OperatorsName
    dataset.ConversionType = "WSD"
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = "rtqc: heart contour and dose"
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.SourceInstanceSequence = [image_reference(*uids) for uids in dict.fromkeys(case.provenance.slice_uids)]
    save_whole(dataset, target)
    return target

"""What can be asked of an archive, over DIMSE or DICOMweb, and how a plan with all that it refers to is fetched from one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtqc.core.file_names import UidError, text_name, uid_name
from rtqc.core.whole_file import whole_folder
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import text
from rtqc.dicom.index import Header, Index, index_folder
from rtqc.dicom.peer import PeerError

#: Of a plan's folder: characters of Patient ID and label, and digits of the UID.
_READABLE, _UID_DIGITS = 32, 8
#: After so many patients in a row whose objects could not be had, nobody else is asked for.
_MOST_FAILURES = 3
#: Modalities of the objects that a plan consists of, the CT apart.
_RT = ("RTPLAN", "RTSTRUCT", "RTDOSE")


@dataclass(frozen=True)
class FoundSeries:
    """A series in an archive.

    Attributes:
        patient_id, study_uid, uid: identifiers.
        modality: CT, RTPLAN ...
        study_date: YYYYMMDD; empty where the archive does not say.
        description: Series Description.
    """

    patient_id: str
    study_uid: str
    uid: str
    modality: str
    study_date: str = ""
    description: str = ""


class Archive(Protocol):
    """Something that has series and gives them away."""

    def find(self, patient_id: str, study_date: str = "", modality: str = "") -> list[FoundSeries]:
        """Series of a patient (``*`` and ``?`` as in DICOM; empty: any), of a date or range (``20260101-20260131``).

        Raises:
            PeerError: the archive could not be asked.
        """

    def retrieve(self, series: FoundSeries, folder: Path) -> int:
        """Write a series' objects as ``<SOP Instance UID>.dcm``; returns how many.

        Raises:
            PeerError: they could not be had.
        """


@dataclass(frozen=True)
class Fetched:
    """A plan that was fetched.

    Attributes:
        folder: with the plan and what it refers to.
        patient_id, label, approval: of the plan.
        missing: what the plan refers to and the archive does not have.
    """

    folder: Path
    patient_id: str
    label: str
    approval: str
    missing: tuple[str, ...] = ()


class PartlyFetchedError(PeerError):
    """Some patients' plans could not be had; ``fetched`` are those that could."""

    def __init__(self, message: str, fetched: list[Fetched]) -> None:
        super().__init__(message)
        self.fetched = fetched


def fetch_plans(
    archive: Archive, out: Path, patient_id: str = "", study_date: str = "", approval: str = "", *, only_new: bool = False
) -> list[Fetched]:
    """Fetch plans, each with its structure set, doses and planning CT, into a folder of its own.

    The plans are those of studies of the date; what they refer to may lie in any study of the patient.

    Args:
        archive: where from.
        out: a folder a plan is made in it; one that is there already is an error.
        patient_id: of one patient, or a pattern; empty: of all patients of the date.
        study_date: a date or range; empty: any.
        approval: Approval Status that a plan must have (``APPROVED``); empty: any.
        only_new: leave out plans whose folder is there already, instead of refusing.

    Raises:
        PeerError: the archive could not be asked, or did not give what it has.
        PartlyFetchedError: it did not give what it has of some patients; the others' plans are there.
        FileExistsError: a plan's folder is there already; nothing was fetched for it.
        OSError: a file cannot be written.
    """
    fetched: list[Fetched] = []
    asked_for: dict[str, set[str]] = {}
    for plan_series in archive.find(patient_id, study_date, "RTPLAN"):
        asked_for.setdefault(plan_series.patient_id, set()).add(plan_series.uid)
    failed: list[PeerError] = []
    in_a_row = 0
    for patient, wanted in asked_for.items():
        try:
            # One at a time: those before an error stay.
            fetched.extend(_plans_of(archive, patient, wanted, out, approval, only_new))
            in_a_row = 0
        except PeerError as error:
            failed.append(error)
            in_a_row += 1
            # An archive that has gone is not asked for everybody in turn.
            if in_a_row == _MOST_FAILURES:
                break
    if failed and not fetched:
        raise failed[0]
    if failed:
        who = "1 patient" if len(failed) == 1 else f"{len(failed)} patients"
        raise PartlyFetchedError(f"the plans of {who} could not be had, those of the others are there: {failed[0]}", fetched)
    return fetched


def _plans_of(archive: Archive, patient: str, wanted: set[str], out: Path, approval: str, only_new: bool) -> Iterator[Fetched]:
    """A patient's plans, each as it is there."""
    with tempfile.TemporaryDirectory(prefix="rtqc-fetch-") as scratch:
        folder = Path(scratch)
        everything = archive.find(patient)
        for series in everything:
            if series.modality in _RT:
                archive.retrieve(series, folder)
        index = index_folder(folder)
        for plan in index.plans:
            status = text(read_object(plan.path, header=True, tags=["ApprovalStatus"]), "ApprovalStatus")
            if only_new and (out / _folder_name(plan)).exists():
                continue
            if plan.series_uid in wanted and (not approval or status.upper() == approval.upper()):
                yield _fetch(archive, plan, index, everything, out, status)


def _fetch(archive: Archive, plan: Header, index: Index, everything: list[FoundSeries], out: Path, status: str) -> Fetched:
    name = _folder_name(plan)
    target = out / name
    if target.exists():
        raise FileExistsError(f"{target} exists already: fetch into another folder, or remove it")
    structure_sets = [s for s in index.structure_sets if s.uid in plan.refers_to]
    doses = [d for d in index.doses if plan.uid in d.refers_to]
    ct = {uid for s in structure_sets for uid in s.refers_to}
    missing = []
    if not structure_sets:
        missing.append("structure set")
    if not doses:
        missing.append("dose")
    # Whole or not at all: the folder gets its name when everything is in it.
    with whole_folder(target) as part:
        for header in (plan, *structure_sets, *doses):
            shutil.copyfile(header.path, part / header.path.name)
        images = [series for series in everything if series.uid in ct]
        for series in images:
            archive.retrieve(series, part)
        if not images:
            missing.append("planning CT")
    return Fetched(target, plan.patient_id, plan.label, status, tuple(missing))


def _folder_name(plan: Header) -> str:
    """Readable, with the last digits of the plan's UID.

    Raises:
        PeerError: its UID is none.
    """
    try:
        digits = uid_name(plan.uid).rpartition(".")[2][-_UID_DIGITS:]
    except UidError as error:
        raise PeerError(f"the archive gave a plan whose SOP Instance UID cannot be one ({error}): it was not kept") from error
    patient, label = (text_name(t, fallback, _READABLE) for t, fallback in ((plan.patient_id, "patient"), (plan.label, "plan")))
    return f"{patient}-{label}-{digits}"

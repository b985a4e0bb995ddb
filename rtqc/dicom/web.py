"""DICOMweb (PS3.18): QIDO-RS, WADO-RS and STOW-RS, by dicomweb-client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from rtqc.core.file_names import uid_name
from rtqc.core.whole_file import whole_file
from rtqc.dicom.archive import FoundSeries
from rtqc.dicom.peer import ANSWER_SECONDS, CONNECT_SECONDS, PeerError

#: Attributes of an answer, by tag.
_PATIENT, _STUDY, _SERIES, _MODALITY, _DATE, _DESCRIPTION = (
    "00100020",
    "0020000D",
    "0020000E",
    "00080060",
    "00080020",
    "0008103E",
)
#: Answers that are asked for at one time.
_PAGE = 200
#: Failed SOP Sequence and the reason in it (STOW-RS response).
_WARNING_RANGE = 0xB


@dataclass(frozen=True)
class WebPeer:
    """A DICOMweb service.

    Attributes:
        url: of the service, e.g. ``https://pacs/dicom-web``.
        token: bearer token; empty: none.
    """

    url: str
    token: str = ""

    def _client(self) -> Any:
        from dicomweb_client.api import DICOMwebClient

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else None
        client = DICOMwebClient(self.url, headers=headers, timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        # Whoever waits at a terminal is told at once; the node has pauses of its own.
        client.set_http_retry_params(retry=False)
        return client

    def store(self, files: Sequence[Path]) -> dict[Path, str]:
        """Send objects; see :func:`rtqc.dicom.send.store`.

        Raises:
            PeerError: the service could not be reached, or did not answer as one should.
        """
        datasets = [dcmread(f) for f in files]
        try:
            answer = self._client().store_instances(datasets)
        except Exception as error:  # requests and the client raise many kinds
            raise PeerError(f"{self.url} could not be sent to ({_reason(error)}): check address and token") from error
        failed = {
            str(item.get("ReferencedSOPInstanceUID", "")): int(item.get("FailureReason", 0) or 0)
            for item in answer.get("FailedSOPSequence", []) or []
        }
        return {
            file: f"{self.url} refused it with status {failed[uid]:04X}"
            for file, dataset in zip(files, datasets, strict=True)
            if (uid := str(dataset.SOPInstanceUID)) in failed and failed[uid] >> 12 != _WARNING_RANGE
        }

    def find(self, patient_id: str, study_date: str = "", modality: str = "") -> list[FoundSeries]:
        """See :class:`rtqc.dicom.archive.Archive`."""
        # A bare * means any; as a filter some services take it for a character.
        filters = {"PatientID": patient_id.strip("*") and patient_id, "StudyDate": study_date, "ModalitiesInStudy": modality}
        try:
            client = self._client()
            found = []
            for study in _every(_STUDY, client.search_for_studies, {k: v for k, v in filters.items() if v}):
                wanted = {"Modality": modality} if modality else {}
                found += [
                    FoundSeries(
                        _value(study, _PATIENT),
                        _value(study, _STUDY),
                        _value(series, _SERIES),
                        _value(series, _MODALITY),
                        _value(study, _DATE),
                        _value(series, _DESCRIPTION),
                    )
                    for series in _every(_SERIES, client.search_for_series, wanted, _value(study, _STUDY))
                ]
        except Exception as error:  # as above
            raise PeerError(f"{self.url} could not be asked ({_reason(error)}): check address and token") from error
        return [s for s in found if not modality or s.modality == modality]

    def retrieve(self, series: FoundSeries, folder: Path) -> int:
        """See :class:`rtqc.dicom.archive.Archive`."""
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        try:
            for dataset in self._client().iter_series(series.study_uid, series.uid):
                name = uid_name(dataset.SOPInstanceUID)
                with whole_file(folder / f"{name}.dcm", durable=False) as file:
                    dataset.save_as(file, enforce_file_format=True)
                count += 1
        except OSError as error:
            if error.filename is not None:
                raise
            raise PeerError(f"{self.url} did not give series {series.uid} ({_reason(error)})") from error
        except Exception as error:  # as above
            raise PeerError(f"{self.url} did not give series {series.uid} ({_reason(error)})") from error
        return count


def _every(tag: str, search: Callable[..., list[dict[str, Any]]], filters: dict[str, str], *place: str) -> list[dict[str, Any]]:
    """All answers, page by page. A service that does not know pages answers the same again: then it is at its end."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = search(*place, search_filters=filters, limit=_PAGE, offset=len(found))
        new = {_value(answer, tag): answer for answer in page if _value(answer, tag) not in found}
        found |= new
        if len(page) < _PAGE or not new:
            return list(found.values())


def _value(answer: dict[str, Any], tag: str) -> str:
    values = answer.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _reason(error: Exception) -> str:
    """An error in a few words: requests' messages run over pages."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"status {status}" if status else (str(error).splitlines() or [type(error).__name__])[0][:160]

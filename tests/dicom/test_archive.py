"""Plans are fetched from an archive; what it cannot give of one patient costs nobody else his plans."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest

from rtqc.dicom import PartlyFetchedError, PeerError, fetch_plans
from rtqc.dicom.archive import FoundSeries
from rtqc.phantom import SyntheticPlan, write_plan


@dataclass
class _Archive:
    """A folder for each patient, of whom some cannot be given; remembers who was asked for."""

    folders: dict[str, Path]
    broken: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def find(self, patient_id: str, study_date: str = "", modality: str = "") -> list[FoundSeries]:
        found = {}
        for patient, folder in self.folders.items():
            for path in folder.glob("*.dcm"):
                header = pydicom.dcmread(path, stop_before_pixels=True)
                if patient_id in ("", patient) and modality in ("", header.Modality):
                    found[header.SeriesInstanceUID, patient] = FoundSeries(
                        patient, header.StudyInstanceUID, header.SeriesInstanceUID, header.Modality
                    )
        return sorted(found.values(), key=lambda s: s.patient_id)

    def retrieve(self, series: FoundSeries, folder: Path) -> int:
        self.asked.append(series.patient_id)
        if series.patient_id in self.broken:
            raise PeerError(f"an object of {series.patient_id} has a SOP Instance UID that cannot be one")
        count = 0
        for path in self.folders[series.patient_id].glob("*.dcm"):
            if pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID == series.uid:
                shutil.copy(path, folder)
                count += 1
        return count


@pytest.fixture(scope="module")
def folders(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("archive")
    few = frozenset(range(3, clean_plan.study.image.grid.shape[0]))
    return {
        p: write_plan(clean_plan.with_study(key=p, patient_id=p, left_out=few, dose=None), root / p)
        for p in ("A", "B", "C", "D", "E", "F")
    }


def test_one_patient_that_cannot_be_given_ends_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    archive = _Archive({p: folders[p] for p in "ABC"}, frozenset("B"))
    with pytest.raises(PartlyFetchedError, match=r"plans of 1 patient could not be had.*an object of B") as told:
        fetch_plans(archive, tmp_path / "out", "")
    assert [f.patient_id for f in told.value.fetched] == ["A", "C"]
    assert sorted(p.name.split("-")[0] for p in (tmp_path / "out").iterdir()) == ["A", "C"]
    assert all(len(list(f.folder.glob("*.dcm"))) == 5 for f in told.value.fetched)


def test_an_archive_that_has_gone_is_not_asked_for_everybody(folders: dict[str, Path], tmp_path: Path) -> None:
    archive = _Archive(folders, frozenset("BCDEF"))
    with pytest.raises(PartlyFetchedError, match="plans of 3 patients"):
        fetch_plans(archive, tmp_path / "out", "")
    assert set(archive.asked) == set("ABCD")


def test_where_nothing_could_be_had_the_reason_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"^an object of A") as told:
        fetch_plans(_Archive(folders, frozenset("ABCDEF")), tmp_path / "out", "")
    assert not isinstance(told.value, PartlyFetchedError)
    assert not (tmp_path / "out").exists()

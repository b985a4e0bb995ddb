"""A cohort measured by the engine of the night: one row a scan, resumed, and what cannot be measured told."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rtqc.defaults import DEFAULT_MODEL
from rtqc.dicom import write_volume
from rtqc.nightly.cohort.measures import COLUMNS, MeasuresFolder, MeasuresRow
from rtqc.phantom import SyntheticPlan
from tests.cli.run import rtqc


@pytest.fixture(scope="module")
def scans(clean_folder: Path, clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient as DICOM with all of his plan, the same as NRRD, and a folder with nothing but a dose."""
    root = tmp_path_factory.mktemp("scans")
    shutil.copytree(clean_folder, root / "a" / "plan")
    image = clean_plan.study.image
    write_volume(root / "a" / "volume.nrrd", image.grid, image.hu.astype(np.int16))
    return root


def rows(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "measures.csv").read_text("utf-8-sig").splitlines()))


def test_a_cohort_is_measured_once_and_goes_on(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = rtqc("cohort", "measure", scans, "--out", out, "--device", "cpu", "--workers", "1")
    assert first.status == 0, first.err
    told = rows(out)
    assert len(told) == 2
    assert {r["status"] for r in told} == {"measured"}
    assert list(told[0]) == list(COLUMNS)
    volumes = [float(r["heart_volume_ml"]) for r in told]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)  # the same patient in another file
    assert {r["agatston"] for r in told} == {"0"}
    assert {r["model"] for r in told} == {DEFAULT_MODEL}
    table = pq.read_table(out / "measures.parquet").to_pylist()
    assert [r["heart_volume_ml"] for r in table] == pytest.approx(volumes, rel=1e-5)
    # Killed while it wrote the second line: that scan is measured again, and only that one.
    lines = (out / "measures.jsonl").read_bytes()
    (out / "measures.jsonl").write_bytes(lines[: lines.index(b"\n") + 40])
    again = rtqc("cohort", "measure", scans, "--out", out, "--device", "cpu", "--workers", "1")
    assert again.status == 0, again.err
    assert "1 of them before" in again.out
    assert [r["heart_volume_ml"] for r in rows(out)] == [r["heart_volume_ml"] for r in told]
    third = rtqc("cohort", "measure", scans, "--out", out, "--device", "cpu")
    assert "2 of them before" in third.out


def test_what_cannot_be_measured_is_a_row_with_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "scans"
    source.mkdir()
    (source / "broken.nrrd").write_bytes(b"NRRD0004\nnothing")
    (tmp_path / "list.txt").write_text("# two\nscans/broken.nrrd\nempty\n")
    (tmp_path / "empty").mkdir()
    outcome = rtqc("cohort", "measure", tmp_path / "list.txt", "--out", tmp_path / "out", "--device", "cpu", "--workers", "1")
    assert outcome.status == 2
    told = rows(tmp_path / "out")
    assert [r["status"] for r in told] == ["not measured"] * 2
    assert any("could not be read" in r["reason"] for r in told)
    assert any("no CT" in r["reason"] for r in told)
    assert "not measured, 1" in outcome.out


def test_a_store_gives_the_same_rows(small_archive: Path, tmp_path: Path) -> None:
    night = tmp_path / "night"
    assert rtqc("nightly", small_archive, "--out", night, "--device", "cpu").status in (0, 1)
    outcome = rtqc("cohort", "measure", "--store", night / "rtqc.sqlite", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    told = rows(tmp_path / "out")
    assert told
    assert all(float(r["heart_volume_ml"]) > 200 for r in told)
    assert all(r["mean_heart_dose_gy"] for r in told)
    assert rtqc("cohort", "measure", "--out", tmp_path / "x").status == 2


def test_lines_that_were_cut_off_are_not_rows(tmp_path: Path) -> None:
    folder = MeasuresFolder(tmp_path)
    row = MeasuresRow("P", "1", "2", "here", "measured", agatston=3.0)
    folder.add("a", row)
    with (tmp_path / "measures.jsonl").open("ab") as file:
        file.write(b'{"key": "b", "row": {"patient')
    folder.add("c", row)
    assert folder.done() == {"a": row, "c": row}
    assert len([x for x in (tmp_path / "measures.jsonl").read_bytes().splitlines() if x]) == 3
    assert json.loads((tmp_path / "measures.jsonl").read_bytes().splitlines()[2])["key"] == "c"

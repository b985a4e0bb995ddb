"""``rtqc commission`` on a small clinic: ten plans with a planted habit, one drawn by rtqc itself, one with half a chest."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest

from rtqc.core.structure import Structure
from rtqc.dicom import read_case
from rtqc.heart import draft_heart
from rtqc.phantom import write_plan
from rtqc.pipeline import write_rtstruct
from rtqc.qc import load_protocol, rule_ids
from tests.archives import base
from tests.cli.run import Outcome, rtqc
from tests.nightly.clinic import Clinic, drawn, with_heart, write_clinic

SEEDS = (100, 102)
SCHEMAS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True)
class Commissioned:
    """A commissioning that is done, with what was planted."""

    archive: Path
    out: Path
    status: int
    said: str
    ends_mm: np.ndarray

    @property
    def report(self) -> dict:  # type: ignore[type-arg]
        return json.loads((self.out / "commissioning.json").read_text())  # type: ignore[no-any-return]


def _drawn_by_rtqc(folder: Path, number: int) -> None:
    """A plan whose approved heart is rtqc's own draft."""
    plan = base(SEEDS[0])
    write_plan(with_heart(plan, plan.heart, number), folder)
    case = read_case(folder)
    assert case.image is not None
    old = next(
        p for p in folder.rglob("*") if p.is_file() and pydicom.dcmread(p, stop_before_pixels=True).Modality == "RTSTRUCT"
    )
    uid = pydicom.dcmread(old).SOPInstanceUID
    old.unlink()
    write_rtstruct(draft_heart(case.image, device="cpu"), case, old)
    dataset = pydicom.dcmread(old)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.StructureSetROISequence[0].ROIName = "Heart"
    dataset.save_as(old)


def _half_a_chest(folder: Path, number: int) -> None:
    plan = base(SEEDS[1])
    write_plan(with_heart(plan, plan.heart, number), folder)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.Modality == "CT" and float(header.ImagePositionPatient[2]) < -20:
            path.unlink()


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Commissioned:
    root = tmp_path_factory.mktemp("commission")
    archive, out = root / "archive", root / "out"
    ends = write_clinic(archive, Clinic(-20, 4, 5), 10, seeds=SEEDS)
    _drawn_by_rtqc(archive / "own", 90)
    _half_a_chest(archive / "half", 91)
    options = ("--protocol", "breast", "--device", "cpu", "--workers", "1", "--no-pdf")
    done = rtqc("commission", archive, "--out", out, *options)
    return Commissioned(archive, out, done.status, done.out + done.err, ends)


def test_the_planted_habit_is_found(clinic: Commissioned) -> None:
    assert clinic.status in (0, 1), clinic.said
    report = clinic.report
    jsonschema.validate(report, json.loads((SCHEMAS / "commissioning.schema.json").read_text()))
    assert len(report["cases"]) >= 9
    if len(report["cases"]) < 10:
        pytest.fail(f"drafts were not trusted: {report['left_out']}")
    # The draft has errors of its own against the truth (heart-v1 draws synthetic hearts 4 to 5 % larger): what is measured is contour against draft.
    ends, volumes = [], []
    for case in report["cases"]:
        number = int(case["patient_id"][1:])
        truth = base(SEEDS[number % len(SEEDS)]).heart
        draft_top, draft_over_truth = _draft_against_truth(clinic.out / case["report"], truth)
        assert case["upper_end_mm"] + draft_top == pytest.approx(clinic.ends_mm[number], abs=0.1)
        assert (1 + case["volume_percent"] / 100) * draft_over_truth == pytest.approx(1.05, abs=0.01)
        ends.append(case["upper_end_mm"])
        volumes.append(case["volume_percent"])
    # Contours of one slice are spread over it, by half of it at most.
    assert report["upper_end_habit"]["median"] == pytest.approx(float(np.median(ends)), abs=2.6)
    assert report["upper_end_habit"]["median"] == pytest.approx(-20, abs=10)
    assert report["volume_habit"]["median"] == pytest.approx(float(np.median(volumes)), abs=0.01)
    assert report["two_habits"] == []


def _draft_against_truth(report: Path, truth: Structure) -> tuple[float, float]:
    """How far a draft begins above the true heart, in mm, and its area over the true one's on the planes that contour and draft share."""
    a = json.loads((report.parent / "assessment.json").read_text())
    planes = {round(w, 1): area.area for w, area in truth.planes.items()}
    shared = [s for s in a["agreement"]["slices"] if not s["missing"] and round(s["position_mm"], 1) in planes]
    ratio = sum(s["area_b_mm2"] for s in shared) / sum(planes[round(s["position_mm"], 1)] for s in shared)
    return a["heart"]["draft"]["extent_mm"][1] - max(planes), ratio


def test_own_drafts_and_half_chests_are_left_out_and_said(clinic: Commissioned) -> None:
    left = {c["patient_id"]: c["kind"] for c in clinic.report["left_out"]}
    assert left["P90"] == "own_draft"
    assert left["P91"] in ("cut_off", "untrusted")
    assert "P90" not in {c["patient_id"] for c in clinic.report["cases"]}
    page = (clinic.out / "commissioning.html").read_text()
    assert "drawn by rtqc itself" in page
    assert "data:image/svg+xml;base64," in page


def test_the_protocol_passes_the_clinics_habit_and_flags_what_departs_from_it(clinic: Commissioned, tmp_path: Path) -> None:
    protocol = clinic.out / "protocol.toml"
    assert load_protocol(str(protocol), rule_ids()).commissioned is not None
    plan = base(SEEDS[0])

    def flagged(upper_mm: float) -> set[str]:
        folder = tmp_path / f"u{upper_mm:g}"
        write_plan(with_heart(plan, drawn(plan.heart, upper_mm, 5), 70), folder)
        found = rtqc("check", folder, "--protocol", protocol, "--device", "cpu", "--json").document["findings"]
        return {f["rule"] for f in found if f["severity"] != "info" and f["rule"].startswith("agreement")}

    habit = clinic.report["upper_end_habit"]
    assert flagged(-20) == set()
    assert "agreement.upper_end" in flagged(-20 - habit["limit"] - 10)
    assert rtqc("protocol", "check", protocol).status == 0


def test_stored_cases_are_drawn_as_they_were(clinic: Commissioned, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(clinic.out / "constancy", out / "constancy")
    path = out / "constancy" / "facts.json"
    stored = json.loads(path.read_text())
    assert len(stored["cases"]) == len(clinic.report["cases"])
    facts = stored | {"cases": stored["cases"][:1]}

    def constancy(changed: dict[str, object]) -> Outcome:
        path.write_text(json.dumps(changed))
        return rtqc("commission", "--constancy", "--out", out, "--device", "cpu", "--json")

    same = constancy(facts)
    assert same.status == 0, same.out + same.err
    jsonschema.validate(same.document, json.loads((SCHEMAS / "constancy.schema.json").read_text()))
    assert same.document["cases"][0]["dice"] == 1
    assert constancy(facts | {"model_hash": "0" * 64}).status == 1
    larger = dict(facts["cases"][0], volume_ml=facts["cases"][0]["volume_ml"] * 1.05)
    off = constancy(facts | {"cases": [larger]})
    assert off.status == 1
    assert not off.document["cases"][0]["same"]
    (out / "constancy" / facts["cases"][0]["file"]).write_bytes(b"x")
    damaged = constancy(facts)
    assert damaged.status == 2
    assert "not as it was stored" in damaged.err


def test_nothing_is_replaced_or_mixed_without_being_asked_for(clinic: Commissioned, tmp_path: Path) -> None:
    again = rtqc("commission", clinic.archive, "--out", clinic.out)
    assert again.status == 2
    assert "--force" in again.err
    (tmp_path / "mine.txt").write_text("x")
    assert "other files" in rtqc("commission", clinic.archive, "--out", tmp_path).err
    assert "inside the archive" in rtqc("commission", clinic.archive, "--out", clinic.archive / "x").err
    assert rtqc("commission", "--constancy", "--out", tmp_path).status == 2
    assert rtqc("commission", "--out", tmp_path).status == 2
    assert rtqc("commission", clinic.archive, "--constancy", "--out", tmp_path).status == 2


def test_done_plans_are_not_done_again_and_wrong_ones_can_be_left_out(clinic: Commissioned, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(clinic.out, copy, symlinks=True)
    options = ("--protocol", "breast", "--device", "cpu", "--workers", "1", "--no-pdf", "--force", "--json")
    done = rtqc("commission", clinic.archive, "--out", copy, "--without", "P0[0-5]", "--compare", clinic.out, *options)
    assert done.status == 1, done.err
    assert "event=plan" not in done.err
    report = done.document
    assert len(report["cases"]) == len(clinic.report["cases"]) - 6
    assert report["upper_end_habit"] is None
    assert "too few" in report["notes"][0]
    assert report["comparison"]["same_cases"] == len(report["cases"])
    assert all(abs(c["difference"]) < 1e-9 for c in report["comparison"]["changed"])
    summary = json.loads((copy / "cases" / "latest" / "summary.json").read_text())
    assert summary["skipped"] == summary["cases"]


def test_an_archive_without_plans_is_said(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    done = rtqc("commission", tmp_path / "archive", "--out", tmp_path / "out")
    assert done.status == 2
    assert "no plan" in done.err
    assert not (tmp_path / "out" / "protocol.toml").exists()

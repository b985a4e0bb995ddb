"""The public contract: commands, JSON keys, exit status, and files that are never half-written."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

import rtqc as package
from rtqc.cli.main import COMMANDS
from rtqc.phantom import SyntheticPlan, plant, write_plan
from tests.cli.run import rtqc
from tests.conftest import real

_DOSE_KEYS = {
    "mean_gy", "max_gy", "d0_03cc_gy", "d2_percent_gy",
    *(f"v{x}_gy_percent" for x in range(5, 45, 5)),
}  # fmt: skip


@pytest.fixture(scope="module")
def flagged_folder(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(plant(clean_plan, "dose_hidden_by_contour"), tmp_path_factory.mktemp("flagged"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rtqc.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pydicom', 'scipy', 'onnxruntime', 'rich', 'pydantic', 'shapely'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_a_mistyped_command_names_the_nearest() -> None:
    outcome = rtqc("chekc")
    assert outcome.status == 2
    assert "Did you mean 'check'?" in outcome.err


def test_check_passes_a_clean_plan_with_status_0(clean_folder: Path) -> None:
    outcome = rtqc("check", clean_folder, "--json", "--device", "cpu")
    assert outcome.status == 0
    assert outcome.document["verdict"] == "pass"


def test_check_flags_a_bad_plan_with_status_1_and_every_key_of_the_contract(flagged_folder: Path) -> None:
    outcome = rtqc("check", flagged_folder, "--json", "--device", "cpu")
    assert outcome.status == 1
    d = outcome.document
    assert {"schema_version", "verdict", "case", "heart", "agreement", "dose", "constraints", "findings", "run"} <= set(d)
    assert {"patient_id", "ct_series_uid", "rtstruct_uid"} <= set(d["case"])
    assert {"name", "volume_ml"} <= set(d["heart"]["contoured"])
    assert {"volume_ml", "model", "confidence", "predicted_dice"} <= set(d["heart"]["draft"])
    assert {
        "dice", "surface_dice_3mm", "hausdorff_mm", "hausdorff95_mm", "mean_surface_distance_mm", "volume_difference_ml",
        "added_path_length_mm", "slices",
    } <= set(d["agreement"])  # fmt: skip
    for side in ("contoured", "draft", "difference"):
        assert set(d["dose"][side]) >= _DOSE_KEYS
    assert {"id", "limit", "contoured", "draft", "outcome_flips"} <= set(d["constraints"][0])
    assert {"rule", "severity", "certainty", "message", "evidence"} <= set(d["findings"][0])
    flips = [f for f in d["findings"] if f["rule"] == "constraint.flips"]
    assert flips
    assert any(c["outcome_flips"] for c in d["constraints"])


def test_check_writes_report_and_json_and_never_overwrites(flagged_folder: Path, tmp_path: Path) -> None:
    arguments = ("check", flagged_folder, "--out", tmp_path / "out", "--device", "cpu")
    outcome = rtqc(*arguments)
    assert outcome.status == 1
    assert "FLAGGED" in outcome.out
    report = tmp_path / "out" / "report.html"
    assert str(report) in outcome.out
    assert json.loads((tmp_path / "out" / "assessment.json").read_text())["verdict"] == "flag"
    before = report.read_bytes()
    again = rtqc(*arguments)
    assert again.status == 2
    assert "exists already" in again.err
    assert report.read_bytes() == before
    assert rtqc(*arguments, "--force").status == 1


def test_an_unknown_protocol_key_names_the_nearest(clean_folder: Path, tmp_path: Path) -> None:
    from importlib.resources import files

    text = (files("rtqc.qc") / "protocols" / "heart.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace("[limits.agreement_dice]", "[limits.agreement_dise]"))
    outcome = rtqc("check", clean_folder, "--protocol", tmp_path / "mine.toml")
    assert outcome.status == 2
    assert "did you mean 'agreement_dice'?" in outcome.err
    assert rtqc("check", clean_folder, "--protocol", "prostate").status == 2


def test_a_clinics_protocol_changes_names_and_severities(folder: Path, tmp_path: Path) -> None:
    from importlib.resources import files

    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    next(r for r in dataset.StructureSetROISequence if r.ROIName == "Heart").ROIName = "H3-clinic"
    dataset.save_as(folder / "RTSTRUCT.dcm")
    text = (files("rtqc.qc") / "protocols" / "heart.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace("accepted = []", 'accepted = ["H3-clinic"]'))
    assert rtqc("check", folder, "--json", "--device", "cpu").findings("contour.missing")
    assert rtqc("check", folder, "--json", "--device", "cpu", "--protocol", tmp_path / "mine.toml").status == 0


def test_cuda_without_a_gpu_is_an_error(clean_folder: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU here")
    outcome = rtqc("check", clean_folder, "--device", "cuda")
    assert outcome.status == 2
    # Either there is no GPU, or the runtime that is installed is the one for processors.
    assert "--device cuda was asked for" in outcome.err
    assert "or use --device auto" in outcome.err


def test_an_unknown_model_is_a_message(clean_folder: Path) -> None:
    outcome = rtqc("check", clean_folder, "--model", "heart-v99")
    assert outcome.status == 2
    assert "heart-v1" in outcome.err


@pytest.mark.parametrize("limit_bytes", [1000, 20_000])
def test_a_full_disk_leaves_nothing_half_written(flagged_folder: Path, tmp_path: Path, limit_bytes: int) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "rtqc", "check", str(flagged_folder), "--out", str(out), "--device", "cpu"],
        capture_output=True, text=True, check=False,
        # No file may grow beyond this: writing fails in the middle, as on a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Nothing half-written" in done.stderr
    assert not out.exists() or list(out.iterdir()) == []


def test_draft_writes_once_and_never_overwrites(clean_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "heart.dcm"
    outcome = rtqc("draft", clean_folder, "--out", target, "--device", "cpu")
    assert outcome.status == 0
    assert "Heart_rtqc" in outcome.out
    before = target.read_bytes()
    again = rtqc("draft", clean_folder, "--out", target, "--device", "cpu")
    assert again.status == 2
    assert target.read_bytes() == before


def test_compare_of_a_structure_with_itself_is_perfect(clean_folder: Path) -> None:
    file = clean_folder / "RTSTRUCT.dcm"
    outcome = rtqc("compare", file, file, "--json")
    assert outcome.status == 0
    d = outcome.document
    assert (d["dice"], d["hausdorff_mm"], d["surface_dice_3mm"]) == (1.0, 0.0, 1.0)
    assert d["a"] == d["b"] == {"name": "Heart", "volume_ml": pytest.approx(654.5, abs=1)}
    assert rtqc("compare", file, file, "--roi", "Lung_L", "--roi-b", "lung_l", "--json").document["dice"] == 1.0
    wrong = rtqc("compare", file, file, "--roi", "Liver")
    assert wrong.status == 2
    assert "Lung_R" in wrong.err


def test_compare_of_something_else_is_a_message(clean_folder: Path, tmp_path: Path) -> None:
    file = clean_folder / "RTSTRUCT.dcm"
    (tmp_path / "x.dcm").write_text("nothing")
    for other in (clean_folder / "CT.001.dcm", tmp_path / "x.dcm", clean_folder):
        outcome = rtqc("compare", file, other)
        assert outcome.status == 2
        assert other.name in outcome.err


def test_dvh_has_the_keys_of_the_contract(clean_folder: Path) -> None:
    d = rtqc("dvh", clean_folder, "--json").document
    assert set(d) >= _DOSE_KEYS | {"structure", "volume_ml", "min_gy", "d50_percent_gy", "d98_percent_gy", "curve"}
    assert d["structure"] == "Heart"
    assert d["curve"]["volume_ml"][0] == pytest.approx(d["volume_ml"], rel=1e-3)
    assert rtqc("dvh", clean_folder, "--roi", "Lung_L").status == 0
    assert rtqc("dvh", clean_folder, "--roi", "Liver").status == 2


def test_dvh_without_dose_says_what_to_export(folder: Path) -> None:
    (folder / "RTDOSE.dcm").unlink()
    outcome = rtqc("dvh", folder)
    assert outcome.status == 2
    assert "RTDOSE" in outcome.err


def test_models_are_listed_and_shown() -> None:
    assert "heart-v1" in rtqc("model", "list").out
    shown = rtqc("model", "show", "heart-v1").out
    assert "LIDC-IDRI" in shown
    assert rtqc("model", "show", "nothing").status == 2


def test_the_demo_flags_its_patient_and_exits_0(tmp_path: Path) -> None:
    outcome = rtqc("demo", "--out", tmp_path / "demo")
    assert outcome.status == 0
    assert "FLAGGED" in outcome.out
    assert "the acceptable limit of 4 Gy" in outcome.out.replace("\n", " ")
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {"report.html", "assessment.json", "Heart_rtqc.dcm", "patient"}
    assert rtqc("demo", "--out", tmp_path / "demo").status == 2
    assert "apex_cut" in rtqc("demo", "--error", "list").out


def test_the_public_api_is_there() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        package.nothing  # noqa: B018


@pytest.mark.real
@pytest.mark.parametrize("patient", ["0187", "0506", "0909"])
def test_real_patients_get_a_verdict_and_a_good_draft(patient: str, tmp_path: Path) -> None:
    outcome = rtqc("check", real("heart-ct", patient), "--json", "--device", "cpu")
    assert outcome.document["verdict"] != "error"
    assert outcome.document["agreement"]["dice"] >= 0.90


def test_an_unwritable_out_is_a_message(clean_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = rtqc("check", clean_folder, "--out", tmp_path / "file" / "out", "--device", "cpu")
    assert outcome.status == 2
    assert "file" in outcome.err


def test_wheel_contents_are_complete(tmp_path: Path) -> None:
    """The wheel, installed elsewhere, runs the demo without the checkout."""
    root = Path(package.__file__).parents[1]
    source = tmp_path / "source"
    shutil.copytree(
        root, source, ignore=shutil.ignore_patterns(".venv", ".git", "build", "dist", "demo", "*_cache", "tests", "__pycache__")
    )
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    wheel = next((tmp_path / "dist").glob("*.whl"))
    venv = tmp_path / "venv"
    # The dependencies are those of this environment: what is tested is what the wheel itself brings.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    dependencies = next(p for p in map(Path, sys.path) if (p / "pydicom").is_dir())
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    shutil.rmtree(source)
    code = "import sys; from rtqc.cli.main import main; sys.argv = ['rtqc', 'demo', '--out', 'demo']; main()"
    done = subprocess.run([str(venv / "bin" / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = tmp_path / "demo" / "report.html"
    assert report.is_file()
    where = subprocess.run(
        [str(venv / "bin" / "python"), "-c", "import rtqc; print(rtqc.__file__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert str(site) in where.stdout


def test_protocols_are_listed_shown_and_checked(tmp_path: Path) -> None:
    assert "breast" in [p["name"] for p in rtqc("protocol", "list", "--json").document]
    shown = rtqc("protocol", "show", "breast", "--json").document
    assert shown["limits"]["agreement_dice"]["value"] == 0.85
    assert "Zeleznik" in rtqc("protocol", "show", "breast").out
    own = tmp_path / "own.toml"
    shipped = (Path(package.__file__).parent / "qc" / "protocols" / "heart.toml").read_text(encoding="utf-8")
    own.write_text(shipped.replace("[limits.agreement_dice]", "[limits.agreement_dise]"), encoding="utf-8")
    wrong = rtqc("protocol", "check", own)
    assert wrong.status == 2
    assert "agreement_dise" in wrong.err
    assert "agreement_dice" in wrong.err
    assert rtqc("protocol", "check", "breast").status == 0
    assert rtqc("protocol", "show", "nothing").status == 2


def test_dvh_in_fractions_of_2_gy_and_what_its_numbers_need(clean_folder: Path, folder: Path) -> None:
    d = rtqc("dvh", clean_folder, "--json").document
    assert d["findings"] == []
    assert (d["eqd2"]["fractions"], d["eqd2"]["alpha_beta_gy"]) == (15, 3.0)
    # By hand, for the near-maximum: every point by itself, so the order of points stays.
    gy = d["d0_03cc_gy"]
    assert d["eqd2"]["d0_03cc_gy"] == pytest.approx(gy * (gy / 15 + 3) / 5, rel=1e-4)
    # Of another organ the protocol's alpha/beta is not; one that is given counts.
    assert rtqc("dvh", clean_folder, "--roi", "Lung_L", "--json").document["eqd2"] is None
    lung = rtqc("dvh", clean_folder, "--roi", "Lung_L", "--alpha-beta", 4, "--fractions", 10, "--json").document
    gy = lung["max_gy"]
    assert lung["eqd2"]["max_gy"] == pytest.approx(gy * (gy / 10 + 4) / 6, rel=1e-4)
    plan = pydicom.dcmread(folder / "RTPLAN.dcm")
    plan.FractionGroupSequence[0].NumberOfFractionsPlanned = 0
    plan.save_as(folder / "RTPLAN.dcm")
    outcome = rtqc("dvh", folder, "--json")
    assert outcome.document["eqd2"] is None
    assert [f["rule"] for f in outcome.document["findings"]] == ["plan.fractions_missing"]
    assert "plan.fractions_missing" in rtqc("dvh", folder).out


def test_check_leaves_dicom_objects_where_it_is_asked_to(clean_folder: Path, tmp_path: Path) -> None:
    outcome = rtqc("check", clean_folder, "--out", tmp_path / "out", "--dicom", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"report.html", "assessment.json", "Heart_rtqc.dcm", "Heart_rtqc_seg.dcm", "report_sr.dcm"} <= written
    again = rtqc("check", clean_folder, "--out", tmp_path / "out", "--dicom", "--device", "cpu")
    assert again.status == 2
    assert "exists already" in again.err
    assert rtqc("check", clean_folder, "--dicom").status == 2


def test_a_draft_is_written_as_a_segmentation_too(clean_folder: Path, tmp_path: Path) -> None:
    arguments = (
        "draft",
        clean_folder,
        "--out",
        tmp_path / "h.dcm",
        "--seg",
        tmp_path / "s.dcm",
        "--seg-kind",
        "fractional",
        "--device",
        "cpu",
    )
    outcome = rtqc(*arguments)
    assert outcome.status == 0, outcome.err
    assert pydicom.dcmread(tmp_path / "s.dcm").SegmentationType == "FRACTIONAL"
    assert rtqc(*arguments).status == 2

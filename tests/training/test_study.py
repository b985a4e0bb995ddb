"""``rtqc train``: curation, cross-validation by patient, a model folder that every command accepts, and going on after a stop."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtqc.core import Case
from rtqc.dicom import write_volume
from rtqc.heart import load_model
from rtqc.phantom import Anatomy, Resolution, SyntheticPlan, plant, synthetic_plan, write_plan
from rtqc.training import training_device
from rtqc.training.curate import Patient, curate
from rtqc.training.network import HeartNet
from rtqc.training.settings import Settings, read_settings
from rtqc.training.study import FIRST_SEED, StudyError, fold_parts, train_model, weights_of
from tests.cli.run import rtqc

COARSE = Resolution(pixels=64, slice_mm=5.0)
RECIPE = """
spacing_mm = 8.0
patch = 32
base = 4
iterations = 12
fold_iterations = 6
synthetic = 2
stress = 6
mixed_precision = false
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good plans, one with the previous patient's contour, one without a heart, one drawn on every second slice."""
    root = tmp_path_factory.mktemp("archive")
    plans: dict[str, SyntheticPlan] = {f"good{n}": synthetic_plan(Anatomy.random(n), COARSE, key=f"good{n}") for n in (1, 2)}
    base = synthetic_plan(Anatomy.random(3), COARSE, key="base")
    for name, error, magnitude in (("shifted", "contours_shifted", 35.0), ("none", "heart_missing", 1.0)):
        plan = plant(base, error, magnitude)
        plans[name] = replace(plan, study=replace(plan.study, key=name, patient_id=name))
    every_second = dict(list(base.structures["Heart"].planes.items())[::2])
    thin = base.with_structure(replace(base.structures["Heart"], planes=every_second))
    plans["thin"] = replace(thin, study=replace(thin.study, key="thin", patient_id="thin"))
    for name, plan in plans.items():
        write_plan(plan, root / name)
    return root


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def test_wrong_contours_are_set_aside_with_the_reason(archive: Path) -> None:
    kept, aside = curate([archive])
    assert {p.id for p in kept} == {"RTQC-GOOD1", "RTQC-GOOD2"}
    reasons = {s.name: " ".join(s.reasons) for s in aside}
    assert set(reasons) == {"shifted", "none", "thin"}
    assert "lung or air" in reasons["shifted"]
    assert "no heart contour" in reasons["none"]
    assert "Interpolate it" in reasons["thin"]


def test_cases_of_one_patient_are_never_parted() -> None:
    patients = [Patient(i, f"{i}-{n}", Case(), None) for n, i in enumerate("AABCCCDE")]  # type: ignore[arg-type]
    parts = fold_parts(patients, 3)
    assert sorted(i for part in parts for i in part) == sorted("ABCDE")
    assert len(parts) == 3
    assert len(fold_parts(patients, 10)) == 5
    assert fold_parts(patients[:2], 5) == []


def test_a_trained_model_is_accepted_by_every_command_and_says_what_it_learned_from(
    archive: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    done = rtqc(
        "train",
        archive,
        "--settings",
        recipe,
        "--out",
        out,
        "--device",
        "cpu",
        "--attribution",
        "of our clinic",
        "--licence",
        "CC0",
    )
    assert done.status == 0, done.err
    assert "2 plans to learn from, 3 set aside" in done.out
    assert len(re.findall(r"Dice \d\.\d{3} by a model that has not seen him", done.out)) == 2
    manifest = load_model(out).manifest
    assert manifest.training_data == ("RTQC-GOOD1", "RTQC-GOOD2", "2 synthetic patients (rtqc.phantom)")
    assert (manifest.attribution, manifest.licence) == ("of our clinic", "CC0")
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| RTQC-GOOD1 |" in card
    assert "Set aside: shifted." in card
    assert manifest.calibration is not None
    assert manifest.calibration.cases == 6
    assert "fitted on 6 difficult cases" in card
    assert {p.name for p in out.iterdir()} == {"model.onnx", "manifest.toml", "MODEL_CARD.md"}
    work = tmp_path / "mine.work"
    assert (work / "learning-curves.svg").is_file()
    assert (work / "worst-1.png").is_file()
    assert (work / "trials.json").is_file()
    checked = rtqc("check", archive / "good1", "--model", out, "--device", "cpu", "--json")
    assert checked.document["run"]["device"] == "cpu"
    assert rtqc("train", archive, "--settings", recipe, "--out", out).status == 2


def test_a_stopped_study_goes_on_to_the_same_model(archive: Path, recipe: Path, tmp_path: Path) -> None:
    whole = rtqc("train", archive, "--settings", recipe, "--out", tmp_path / "whole" / "m", "--device", "cpu")
    assert whole.status == 0
    # A budget that is over at once: one update a network.
    part = tmp_path / "part" / "m"
    assert rtqc("train", archive, "--settings", recipe, "--out", part, "--device", "cpu", "--minutes", "1e-9").status == 0
    first = load_model(part).manifest.sha256
    assert rtqc("train", archive, "--settings", recipe, "--out", part, "--device", "cpu", "--resume").status == 0
    assert load_model(part).manifest.sha256 != first
    assert load_model(part).manifest.sha256 == load_model(tmp_path / "whole" / "m").manifest.sha256


def test_training_goes_on_from_a_model(archive: Path, tmp_path: Path) -> None:
    shipped = load_model("heart-v1")
    weights = weights_of(shipped, Settings())
    net = HeartNet(len(Settings().windows), 12)
    net.load_state_dict(weights, strict=False)
    assert torch.equal(net.head.weight, weights["head.weight"])
    with pytest.raises(StudyError, match="base, spacing_mm and windows"):
        weights_of(shipped, Settings(base=8))
    with pytest.raises(StudyError, match="base, spacing_mm and windows"):
        weights_of(shipped, Settings(spacing_mm=3.0))


def test_what_cannot_be_trained_is_a_message(tmp_path: Path, recipe: Path, clean_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = rtqc("train", tmp_path / "empty", "--settings", recipe, "--synthetic", 0, "--out", tmp_path / "m")
    assert nothing.status == 2
    assert "nothing to learn from" in nothing.err
    resumed = rtqc("train", clean_folder, "--settings", recipe, "--out", tmp_path / "m", "--resume")
    assert resumed.status == 2
    assert "nothing to resume" in resumed.err
    (tmp_path / "bad.toml").write_text("itterations = 3\n")
    wrong = rtqc("train", clean_folder, "--settings", tmp_path / "bad.toml", "--out", tmp_path / "m")
    assert "did you mean 'iterations'" in wrong.err
    if not torch.cuda.is_available():
        assert rtqc("train", clean_folder, "--settings", recipe, "--out", tmp_path / "m", "--device", "cuda").status == 2
        assert training_device("auto") == "cpu"


def test_a_single_patient_has_no_cross_validation_and_the_card_says_so(
    clean_folder: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "one"
    assert rtqc("train", clean_folder, "--settings", recipe, "--out", out, "--device", "cpu").status == 0
    assert "Do not rely on this model" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_another_study_is_not_resumed(archive: Path, recipe: Path, tmp_path: Path) -> None:
    kept, aside = curate([archive / "good1"])
    settings = read_settings(recipe).model_copy(update={"iterations": 2})
    train_model(kept, aside, settings, tmp_path / "work", tmp_path / "a")
    with pytest.raises(StudyError, match="earlier study"):
        train_model(kept, aside, settings, tmp_path / "work", tmp_path / "b")


def test_tests_and_demo_use_no_patient_that_was_trained_on() -> None:
    shipped = read_settings(Path(__file__).resolve().parents[2] / "rtqc" / "training" / "recipes" / "heart-v1.toml")
    trained = range(FIRST_SEED, FIRST_SEED + shipped.synthetic)
    assert not set(trained) & set(range(200))
    assert Anatomy().texture_seed not in trained


LOCKSTEP = """
spacing_mm = 8.0
patch = 32
base = 4
widest = 16
iterations = 3
synthetic = 2
stress = 0
seed = 3
mixed_precision = false
heights = true
together = true
phantom = "chest"
judged_share = 0.3
real_share = 0.4
"""


def test_a_recipe_in_lockstep_learns_from_judged_drafts_too_and_its_model_tells_levels(
    archive: Path, clean_case: Case, tmp_path: Path
) -> None:
    assert clean_case.image is not None
    recipe, readings, others = tmp_path / "r.toml", tmp_path / "readings.toml", tmp_path / "others"
    recipe.write_text(LOCKSTEP)
    readings.write_text("[RTQC-GOOD1]\ncarina_mm = 60\n\n[elsewhere]\nlower_end_mm = -60\n")
    others.mkdir()
    write_volume(others / "elsewhere.nrrd", clean_case.image.grid, clean_case.image.hu.astype(np.int16))
    arguments = ("train", archive / "good1", archive / "good2", "--settings", recipe, "--device", "cpu")
    judged = ("--readings", readings, "--judged", others)
    done = rtqc(*arguments, *judged, "--out", tmp_path / "m")
    assert done.status == 0, done.err
    manifest = load_model(tmp_path / "m").manifest
    assert manifest.level_channels == {"carina": 1, "left_pulmonary_artery": 2, "lower_end": 3}
    assert "elsewhere (no contour: a draft that was judged by eye)" in manifest.training_data
    assert len(re.findall(r"Dice \d\.\d{3} by a model that has not seen him", done.out)) == 2
    work = tmp_path / "m.work"
    assert {p.stem for p in work.glob("*.pt")} == {"without-RTQC-GOOD1", "without-RTQC-GOOD2", "final"}
    again = rtqc(*arguments, *judged, "--out", tmp_path / "m", "--resume")
    assert again.status == 0, again.err
    assert load_model(tmp_path / "m").manifest.sha256 == manifest.sha256
    (work / "final.pt").unlink()
    unfinished = rtqc(*arguments, *judged, "--out", tmp_path / "m", "--resume")
    assert unfinished.status == 2
    assert "cannot go on" in unfinished.err


def test_readings_that_say_nothing_of_a_ct_are_refused(archive: Path, clean_case: Case, tmp_path: Path) -> None:
    assert clean_case.image is not None
    (tmp_path / "readings.toml").write_text("[other]\ncarina_mm = 60\n")
    (tmp_path / "others").mkdir()
    write_volume(tmp_path / "others" / "unread.nrrd", clean_case.image.grid, clean_case.image.hu.astype(np.int16))
    judged = ("--judged", tmp_path / "others")
    refused = rtqc("train", archive / "good1", *judged, "--readings", tmp_path / "readings.toml", "--out", tmp_path / "m")
    assert refused.status == 2
    assert "says nothing of unread" in refused.err
    alone = rtqc("train", archive / "good1", *judged, "--out", tmp_path / "m")
    assert alone.status == 2
    assert "--judged needs --readings" in alone.err

"""``rtqc model evaluate``: tables that agree with the single comparisons they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtqc.comparison import compare
from rtqc.core import Case
from rtqc.heart import draft_heart
from rtqc.phantom import SyntheticPlan
from tests.cli.run import rtqc


def test_the_table_says_what_compare_and_dvh_say(
    clean_folder: Path, clean_case: Case, clean_plan: SyntheticPlan, tmp_path: Path
) -> None:
    run = rtqc(
        "model",
        "evaluate",
        "heart-v1",
        clean_folder,
        "--against",
        "heart-v1",
        "--json",
        "--device",
        "cpu",
        "--out",
        tmp_path / "e",
    )
    assert run.status == 0, run.err
    case = run.document["models"][0]["cases"][0]
    assert clean_case.image is not None
    draft = draft_heart(clean_case.image, "heart-v1", device="cpu")
    agreement = compare(clean_case.structures["Heart"], draft.structure)
    assert case["dice"] == agreement.dice
    assert case["hausdorff95_mm"] == agreement.hausdorff95_mm
    assert case["drafted_ml"] == pytest.approx(draft.structure.volume_ml, abs=0.06)
    means = [rtqc("dvh", clean_folder, "--roi", "Heart", "--json").document["mean_gy"]]
    from rtqc.dosimetry import dvh

    assert clean_case.dose is not None
    means.append(dvh(draft.structure, clean_case.dose).mean_gy)
    assert case["mean_dose_difference_gy"] == pytest.approx(means[1] - means[0], abs=2e-3)
    assert all(d["mean"] == 0 for d in run.document["differences"] if d["metric"] != "seconds")
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text()) == run.document
    assert "<svg" in (tmp_path / "e" / "evaluation.svg").read_text()
    again = rtqc("model", "evaluate", "heart-v1", clean_folder, "--out", tmp_path / "e")
    assert again.status == 2
    assert "exists already" in again.err


def test_the_table_is_readable(clean_folder: Path) -> None:
    run = rtqc("model", "evaluate", "heart-v1", clean_folder, "--device", "cpu")
    assert run.status == 0
    assert "Dice mean" in run.out
    assert max(len(line) for line in run.out.splitlines()) <= 120


def test_a_folder_without_hearts_is_said(tmp_path: Path) -> None:
    run = rtqc("model", "evaluate", "heart-v1", tmp_path)
    assert run.status == 2
    assert run.err.startswith("rtqc: ")

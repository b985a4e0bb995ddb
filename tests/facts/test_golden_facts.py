"""A dozen plans whose volume, dose, overlap and verdict are formulas, read from JSON, page, structure set and store alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rtqc.core import Assessment
from rtqc.dicom import read_case
from rtqc.nightly import open_store
from rtqc.nightly.store import NewResult
from rtqc.pipeline import Assessed
from rtqc.report import FILES, write_objects, write_results
from tests.facts.plans import Blocks, Known, assessed, dice_of, write

_HEART = Blocks()
_LARGER = _HEART.moved(left=9.0, back=6.0, front=-6.0)
PLANS = {
    "nothing wrong": Known(),
    "upper end of another school, lower": Known(_HEART.moved(high=-18.0), verdict="flag", rules=frozenset({"agreement.upper_end_definition", "contour.volume"}), words=("Heart has 214 ml",)),
    "upper end of another school, higher": Known(_HEART.moved(high=18.0), rules=frozenset({"agreement.upper_end_definition"}), words=("No rule asks",)),
    "upper end too low": Known(_HEART.moved(high=-42.0), verdict="flag", rules=frozenset({"agreement.upper_end", "agreement.dice", "agreement.volume", "agreement.mean_surface_distance", "agreement.hausdorff95", "dose.mean_difference", "contour.volume"}), words=("The upper end of Heart lies 42 mm below the draft's",)),
    "lower end too high": Known(_HEART.moved(low=18.0), verdict="flag", rules=frozenset({"agreement.lower_end", "agreement.dice", "agreement.volume", "contour.volume"}), words=("The lower end of Heart lies 18 mm above the draft's",)),
    "lower end too low": Known(_HEART.moved(low=-18.0), verdict="flag", rules=frozenset({"agreement.lower_end"}), words=("The lower end of Heart lies 18 mm below the draft's",)),
    "draft larger": Known(_HEART, _LARGER, "flag", frozenset({"agreement.volume"}), words=("larger than Heart",)),
    "draft smaller": Known(_LARGER, _HEART, "flag", frozenset({"agreement.volume"}), words=("smaller than Heart",)),
    "above the ideal limit": Known(base_gy=4.5, verdict="flag", rules=frozenset({"constraint.above_ideal"}), words=("above the ideal limit",)),
    "above the acceptable limit": Known(base_gy=6.5, verdict="flag", rules=frozenset({"constraint.exceeded"}), words=("above the acceptable limit",)),
    "a slice forgotten": Known(Blocks(without=(6.0,)), verdict="flag", rules=frozenset({"contour.slice_missing"}), words=("6.0 mm",)),
    "no dose": Known(study={"dose": None}, verdict="flag", rules=frozenset({"dose.absent"}), words=("There is no dose in the folder",)),
    "the contour only": Known(base_gy=6.5, scope="contour", words=("Passed for the contour only",)),
    "a dose of another plan": Known(study={"dose_plan_key": "other"}, verdict="flag", rules=frozenset({"reference.dose_plan"}), words=("refers to another plan",)),
}  # fmt: skip
#: Mean of a dose that rises evenly: dose points are interpolated linearly, so that what is left is the sampling of the volume, and the ends' rounding.
MEAN_GY = 0.02


@pytest.fixture(scope="module", params=list(PLANS))
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Known, Assessed, Path]:
    """A plan, its assessment, and the folder with all that was written of it."""
    known: Known = PLANS[request.param]
    result = assessed(known, write(known, tmp_path_factory.mktemp("plan")))
    out = tmp_path_factory.mktemp("results")
    write_results(result, out)
    write_objects(result, out, ("rtstruct",))
    return known, result, out


def test_the_numbers_are_those_of_the_formulas(done: tuple[Known, Assessed, Path]) -> None:
    known, result, _ = done
    a = result.assessment
    assert a.verdict == known.verdict, a.headline
    assert {f.rule for f in a.findings} == known.rules
    for words in known.words:
        assert words in a.headline
    assert a.heart.contoured is not None
    assert a.heart.draft is not None
    assert a.agreement is not None
    assert a.heart.contoured.volume_ml == pytest.approx(known.heart.volume_ml, abs=0.01)
    assert a.heart.draft.volume_ml == pytest.approx(known.draft.volume_ml, abs=0.01)
    assert a.heart.contoured.extent_mm == (known.heart.low, known.heart.high)
    assert a.agreement.volume_difference_ml == pytest.approx(known.draft.volume_ml - known.heart.volume_ml, abs=0.01)
    if not known.heart.without:
        assert a.agreement.dice == pytest.approx(dice_of(known.heart, known.draft), abs=1e-3)
        shift = [d - c for c, d in zip(known.heart.middle_mm, known.draft.middle_mm, strict=True)]
        assert a.agreement.centroid_shift_mm == pytest.approx(shift, abs=0.02)
    if a.dose is None or a.dose.contoured is None:
        assert "dose" not in a.checked
        return
    assert a.dose.draft is not None
    assert a.dose.difference is not None
    assert a.dose.contoured.mean_gy == pytest.approx(known.mean_gy(known.heart), abs=MEAN_GY)
    assert a.dose.draft.mean_gy == pytest.approx(known.mean_gy(known.draft), abs=MEAN_GY)
    assert a.dose.difference.mean_gy == pytest.approx(known.mean_gy(known.draft) - known.mean_gy(known.heart), abs=MEAN_GY)


def test_json_is_the_assessment(done: tuple[Known, Assessed, Path]) -> None:
    _, result, out = done
    document = json.loads((out / "assessment.json").read_text(encoding="utf-8"))
    assert Assessment.model_validate(document) == result.assessment


def test_the_page_tells_the_same_numbers(done: tuple[Known, Assessed, Path]) -> None:
    known, result, out = done
    a = result.assessment
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", (out / "report.html").read_text(encoding="utf-8"))).replace("−", "-")
    assert f"{known.heart.volume_ml:.0f} ml" in page
    assert f"{known.draft.volume_ml:.0f} ml" in page
    assert f"from {known.heart.low:.1f} to {known.heart.high:.1f} mm" in page
    assert a.agreement is not None
    assert f"{a.agreement.dice:.3f}" in page
    for finding in a.findings:
        assert finding.rule in page
    if a.dose is not None and a.dose.difference is not None and a.dose.difference.mean_gy is not None:
        assert f"{a.dose.difference.mean_gy:+.2f} Gy" in page or f"{a.dose.difference.mean_gy:.2f} Gy" in page


def test_the_structure_set_holds_the_draft(done: tuple[Known, Assessed, Path]) -> None:
    known, result, out = done
    read = read_case(out / FILES["rtstruct"])
    (roi,) = read.rois
    # Points are written to 0.01 mm or better: 240 mm of outline on 21 planes.
    assert roi.structure.volume_ml == pytest.approx(known.draft.volume_ml, rel=2e-3)
    assert roi.structure.positions_mm.tolist() == pytest.approx(list(known.draft.planes))
    assert roi.structure.centroid_mm.tolist() == pytest.approx(list(known.draft.middle_mm), abs=0.05)
    assert read.provenance.frame_of_reference_uid == result.case.provenance.frame_of_reference_uid


def test_the_store_tells_the_same_numbers(done: tuple[Known, Assessed, Path], tmp_path: Path) -> None:
    known, result, _ = done
    a = result.assessment
    store = open_store(str(tmp_path / "store.sqlite"))
    try:
        run, _ = store.begin_run("/archive", {})
        assert store.save(run, NewResult("k", "i", "s", "folder", a, planner="A", plan_date="20260101"))
        (row,) = store.rows()
        assert (row.verdict, row.patient_id, row.plan_label) == (known.verdict, "F1", "Breast_L")
        assert row.volume_ml == pytest.approx(known.heart.volume_ml, abs=0.01)
        assert row.size_difference_percent == pytest.approx(100 * (known.draft.volume_ml / known.heart.volume_ml - 1), abs=0.01)
        if a.dose is not None and a.dose.contoured is not None:
            assert row.mean_dose_gy == pytest.approx(known.mean_gy(known.heart), abs=MEAN_GY)
            assert row.mean_dose_difference_gy == pytest.approx(
                known.mean_gy(known.draft) - known.mean_gy(known.heart), abs=MEAN_GY
            )
        told = {rule for rules in store.findings(("fail", "warning", "info")).values() for rule in rules}
        assert told == known.rules
        ((_, kept),) = store.assessments()
        assert kept == a
    finally:
        store.close()

"""Simulated cohorts whose hazard ratios are known."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rtqc.cardiac import calcium_class
from rtqc.nightly.cohort.outcomes import OutcomesError, numbers_of, outcomes_of, read_table
from tests.cli.run import rtqc

#: Hazard of each class against none, and per standard deviation of the fat.
RATIOS = {"0": 1.0, "1-100": 1.5, "101-300": 2.2, ">300": 3.5}
FAT_RATIO, AGE_RATIO = 1.3, 1.04


def cohort(count: int, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measures, and events of exponential times with these ratios, censored after about ten years."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 9, count)
    score = np.where(rng.random(count) < 0.4, 0.0, np.exp(rng.normal(4.0 + 0.03 * (age - 60), 1.6, count))).round(1)
    fat = rng.normal(110, 40, count)
    classes = [calcium_class(s) for s in score]
    hazard = 0.01 * np.array([RATIOS[c] for c in classes]) * FAT_RATIO ** ((fat - 110) / 40) * AGE_RATIO ** (age - 60)
    time = rng.exponential(1 / hazard)
    end = rng.uniform(8, 12, count)
    ids = [f"P{k:05d}" for k in range(count)]
    measures = pd.DataFrame(
        {
            "patient_id": ids, "agatston": score, "calcium_class": classes, "epicardial_fat_ml": fat, "heart_volume_ml": rng.normal(650, 90, count),
            "model": "heart-v1", "model_hash": "abc",
        }
    )  # fmt: skip
    events = pd.DataFrame(
        {
            "patient_id": ids, "years": np.minimum(time, end), "died": (time <= end).astype(int), "age": age,
            "sex": rng.choice(["F", "M"], count), "read": np.maximum(score * np.exp(rng.normal(0, 0.2, count)), 0).round(),
        }
    )  # fmt: skip
    return measures, events


@pytest.fixture(scope="module")
def large() -> tuple[pd.DataFrame, pd.DataFrame]:
    return cohort(20_000)


def test_hazard_ratios_are_those_of_the_simulation(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    report = outcomes_of(*large, time="years", event="died", adjust=["age", "sex", "epicardial_fat_ml2"][:2])
    adjusted = next(m for m in report.models if m.name.startswith("Calcium class, adjusted"))
    for term in adjusted.terms:
        for name, ratio in RATIOS.items():
            if term.term.startswith(f"Calcium {name} against"):
                # Fat is left out of the model, which pulls ratios a little towards 1.
                assert term.ratio == pytest.approx(ratio, rel=0.15)
                assert term.low < ratio * 1.05
                assert term.high > ratio * 0.95
    age = next(t for t in adjusted.terms if t.term == "age")
    assert age.ratio == pytest.approx(AGE_RATIO, abs=0.01)
    fat = next(m for m in report.models if m.name == "Epicardial fat, adjusted for age, sex")
    assert next(t for t in fat.terms if "fat" in t.term).ratio == pytest.approx(FAT_RATIO, rel=0.08)
    nothing = next(m for m in report.models if m.name == "Heart volume")
    assert nothing.terms[0].low < 1 < nothing.terms[0].high
    assert report.logrank_p is not None
    assert report.logrank_p < 1e-6
    assert adjusted.c_index is not None
    assert 0.6 < adjusted.c_index < 0.8
    assert not adjusted.cautions


def test_curves_are_those_of_the_textbook() -> None:
    """Kaplan and Meier by hand: 5 people, events at 1, 3 and 4, one censored at 2, one at 5."""
    ids = [f"P{k}" for k in range(10)]
    measures = pd.DataFrame({"patient_id": ids, "agatston": [0.0] * 5 + [400.0] * 5, "calcium_class": ["0"] * 5 + [">300"] * 5})
    events = pd.DataFrame({"patient_id": ids, "t": [1, 2, 3, 4, 5] * 2, "e": [1, 0, 1, 1, 0, 0, 0, 0, 0, 0]})
    report = outcomes_of(measures, events, time="t", event="e")
    none, much = report.curves
    at = dict(zip(none.times, none.survival, strict=True))
    assert at[1] == pytest.approx(4 / 5)
    assert at[3] == pytest.approx(4 / 5 * 2 / 3)
    assert at[4] == pytest.approx(4 / 5 * 2 / 3 * 1 / 2)
    assert set(much.survival) == {1.0}
    assert report.models == ()  # three events carry no model


def test_agreement_with_a_reader(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    measures, events = large
    readers = outcomes_of(measures[:2000], events, time="years", event="died", reader="read").readers
    assert readers is not None
    assert readers.people == 2000
    assert readers.kappa > 0.9
    assert readers.icc > 0.98
    assert sum(map(sum, readers.table)) == 2000
    assert readers.right == sum(readers.table[k][k] for k in range(4))
    same = events.assign(read=measures["agatston"])
    perfect = outcomes_of(measures[:300], same, time="years", event="died", reader="read").readers
    assert perfect is not None
    assert (perfect.kappa, perfect.right) == (pytest.approx(1.0), 300)
    assert perfect.icc == pytest.approx(1.0)
    # A textbook table (Cohen 1968; statsmodels' own documentation uses the formula): linear weights by hand.
    counts = np.array(readers.table, float)
    weights = 1 - np.abs(np.subtract.outer(range(4), range(4))) / 3
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    by_hand = ((weights * counts).sum() - (weights * expected).sum()) / (counts.sum() - (weights * expected).sum())
    assert readers.kappa == pytest.approx(by_hand)


def test_a_column_that_both_tables_have_is_that_of_the_events(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """A reader's scores are called agatston as ours are: they were once compared with themselves, and agreed."""
    measures, events = large
    own = outcomes_of(measures[:500], events, time="years", event="died", reader="read", adjust=["age"])
    named = events.rename(columns={"read": "agatston", "age": "kvp", "died": "status"})
    same = outcomes_of(
        measures[:500].assign(kvp=120, status="measured"),
        named,
        time="years",
        event="status",
        reader="agatston",
        adjust=["kvp"],
    )
    assert own.readers is not None
    assert own.readers == same.readers
    assert own.readers.right < 500
    assert [t.ratio for m in own.models for t in m.terms] == [t.ratio for m in same.models for t in m.terms]


def test_scores_alone_are_enough(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    measures, events = large
    scores = measures[["patient_id", "agatston"]]
    assert (
        outcomes_of(scores, events, time="years", event="died").curves
        == outcomes_of(measures, events, time="years", event="died").curves
    )


def test_who_is_left_out_is_said() -> None:
    measures, events = cohort(400)
    measures.loc[0, ["agatston", "calcium_class"]] = [np.nan, ""]
    again = measures.iloc[[1]].assign(agatston=np.nan)
    events.loc[2, "years"] = -1
    events.loc[3, "died"] = 2
    report = outcomes_of(
        pd.concat([again, measures[:390]]), events[5:].pipe(lambda e: pd.concat([e, events[:4]])), time="years", event="died"
    )
    assert report.left_out == {
        "further scans of a patient": 1,
        "measured, and not in the table of events": 1,
        "in the table of events, and not measured": 10,
        "without a time above 0 and an event of 0 or 1": 2,
        "without a calcium score": 1,
    }
    assert report.people == 386


def test_tables_that_do_not_fit_are_said() -> None:
    measures, events = cohort(50)
    for wrong, words in (
        ({"time": "when", "event": "died"}, "no column 'when'"),
        ({"time": "years", "event": "died", "id_column": "name"}, "no column 'name'"),
        ({"time": "years", "event": "died", "adjust": ["weight"]}, "no column 'weight'"),
    ):
        with pytest.raises(OutcomesError, match=words):
            outcomes_of(measures, events, **wrong)  # type: ignore[arg-type]
    with pytest.raises(OutcomesError, match="identifiers the same"):
        outcomes_of(measures, events.assign(patient_id="X" + events["patient_id"]), time="years", event="died")
    with pytest.raises(OutcomesError, match="more than once"):
        outcomes_of(measures, pd.concat([events, events[:3]]), time="years", event="died")
    with pytest.raises(OutcomesError, match="rtqc cohort measure"):
        outcomes_of(measures.drop(columns="agatston"), events, time="years", event="died")


def test_a_cohort_of_4000_goes_through_the_command(tmp_path: Path) -> None:
    measures, events = cohort(4000, seed=3)
    measures.to_csv(tmp_path / "measures.csv", index=False)
    events.to_csv(tmp_path / "events.csv", index=False, sep=";")
    options = [
        "--outcomes",
        tmp_path / "events.csv",
        "--time",
        "years",
        "--event",
        "died",
        "--adjust",
        "age,sex",
        "--reader",
        "read",
    ]
    outcome = rtqc("cohort", "report", tmp_path / "measures.csv", *options, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert "4000 people" in outcome.out
    assert "log-rank p < 0.001" in outcome.out
    told = json.loads((tmp_path / "out" / "outcomes.json").read_text())
    assert told["people"] == 4000
    page = (tmp_path / "out" / "outcomes.html").read_text()
    assert page.count("<svg") == 2
    assert not re.search(r"""(src|href)=["']http|url\(http""", page)
    lines = list(csv.DictReader((tmp_path / "out" / "hazard_ratios.csv").read_text("utf-8-sig").splitlines()))
    assert {x["model"] for x in lines} >= {"Calcium class", "Calcium class, adjusted for age, sex", "Epicardial fat"}
    assert rtqc("cohort", "report", tmp_path / "measures.csv", *options, "--out", tmp_path / "out").status == 2
    assert rtqc("cohort", "report", tmp_path / "measures.csv", *options, "--out", tmp_path / "out", "--force").status == 0
    (tmp_path / "broken.csv").write_bytes(b"\x00\xff\x00")
    wrong = rtqc("cohort", "report", tmp_path / "broken.csv", *options, "--out", tmp_path / "new")
    assert wrong.status == 2
    assert "broken.csv" in wrong.err
    assert not (tmp_path / "new").exists()


def test_tables_are_read_with_identifiers_as_text(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("patient_id,years\n007,1\n")
    assert list(read_table(tmp_path / "e.csv")["patient_id"]) == ["007"]
    (tmp_path / "f.csv").write_text("Case;years\n007;1\n")
    assert list(read_table(tmp_path / "f.csv", "Case")["Case"]) == ["007"]


# --- Tables as people keep them ---


def saved(path: Path, table: pd.DataFrame, **how: str) -> Path:
    """A table as a spreadsheet of another country writes it."""
    table.to_csv(path, index=False, sep=how.get("sep", ","), decimal=how.get("decimal", "."))
    return path


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    measures, events = cohort(400)
    plain = outcomes_of(measures, events, time="years", event="died", adjust=["age"])
    spread = {"sep": ";", "decimal": ","}
    tables = [read_table(saved(tmp_path / f"{n}.csv", t, **spread)) for n, t in (("m", measures), ("e", events))]
    commas = outcomes_of(*tables, time="years", event="died", adjust=["age"])
    assert (commas.people, commas.events, commas.left_out) == (plain.people, plain.events, plain.left_out)
    assert commas.follow_up == pytest.approx(plain.follow_up, rel=1e-9)
    for a, b in zip(commas.models, plain.models, strict=True):
        assert [t.ratio for t in a.terms] == pytest.approx([t.ratio for t in b.terms], rel=1e-6)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["1,234", "2,345", "3,456"], "may be 1.234 or 1234"),
        (["1,5", "2.5", "3,5"], "decimal commas ('1,5') and decimal points ('2.5')"),
        (["0", "0", "0"], "all 3 times in column 't' are 0"),
        (["-1", "0", "-2"], "no time in column 't' is above 0"),
        (["long", "short", "long"], "column 't' holds no number ('long' for example)"),
    ],
)
def test_times_that_cannot_be_used_are_refused_with_the_reason(times: list[str], words: str) -> None:
    measures = pd.DataFrame({"patient_id": ["A", "B", "C"], "agatston": [0.0, 50.0, 500.0]})
    events = pd.DataFrame({"patient_id": ["A", "B", "C"], "t": times, "died": [0, 1, 1]})
    with pytest.raises(OutcomesError) as caught:
        outcomes_of(measures, events, time="t", event="died")
    assert words in str(caught.value)


def test_commas_that_can_only_be_decimals_are_read() -> None:
    column = pd.Series(["0,125", "2,5", "10", None, "unknown"], name="t")
    assert numbers_of(column).tolist()[:3] == [0.125, 2.5, 10.0]
    assert numbers_of(column).isna().tolist() == [False, False, False, True, True]


def test_events_that_are_neither_0_nor_1_are_said() -> None:
    measures = pd.DataFrame({"patient_id": ["A", "B"], "agatston": [0.0, 50.0]})
    events = pd.DataFrame({"patient_id": ["A", "B"], "t": [1.0, 2.0], "died": [2, 3]})
    with pytest.raises(OutcomesError, match="holds neither 0 nor 1"):
        outcomes_of(measures, events, time="t", event="died")


def test_missing_text_is_missing_and_no_class(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    measures, events = large[0].head(3000), large[1].head(3000).copy()
    events.loc[events.index[:300], "sex"] = None
    events.loc[events.index[300:330], "sex"] = "  "
    report = outcomes_of(measures, events, time="years", event="died", adjust=["sex"])
    model = next(m for m in report.models if m.name.startswith("Calcium, log2") and m.adjusted)
    assert [t.term for t in model.terms if t.term.startswith("sex")] == ["sex_M"]
    assert model.people == 2670
    assert "330 people without all values were left out" in model.cautions


def test_a_number_that_half_of_the_people_lack_stays_a_number(large: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    measures, events = large[0].head(3000), large[1].head(3000).copy()
    events.loc[events.index[:2000], "age"] = np.nan
    report = outcomes_of(measures, events, time="years", event="died", adjust=["age"])
    model = next(m for m in report.models if m.name.startswith("Calcium, log2") and m.adjusted)
    assert [t.term for t in model.terms][1:] == ["age"]
    assert model.people == 1000

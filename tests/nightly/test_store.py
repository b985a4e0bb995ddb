"""The store: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text

from rtqc.core.assessment import Agreement, Assessment, CaseSummary, ContouredHeart, DraftHeart, Hearts, Run
from rtqc.core.finding import Finding
from rtqc.nightly import Store, StoreBusyError, StoreError, open_store
from rtqc.nightly.store import NewResult, RunRecord
from rtqc.nightly.store.migrate import bring_up_to_date
from rtqc.nightly.store.tables import ResultRow
from tests.cli.run import rtqc
from tests.nightly.conftest import opened


def result(number: int = 1, verdict: str = "flag", **changes: object) -> NewResult:
    finding = Finding(rule="agreement.dice", severity="fail", certainty="estimate", message="They differ.")
    assessment = Assessment(
        verdict=verdict,  # type: ignore[arg-type]
        headline="They differ.",
        case=CaseSummary(patient_id=f"P{number}", patient_name="Müller^Ü\x00", plan_label="Breast"),
        heart=Hearts(
            contoured=ContouredHeart(name="Heart", volume_ml=500.0 + number),
            draft=DraftHeart(volume_ml=550.0, model="heart-v1", confidence=0.9, predicted_dice=0.93, trusted=True),
        ),
        agreement=Agreement(dice=0.8, jaccard=0.7, volume_difference_ml=49.0, added_path_length_mm=1.0),
        findings=(finding,) if verdict == "flag" else (),
        run=Run(started="now"),
    )
    made = NewResult(
        f"k{number}", f"i{number}", f"s{number}", f"folder{number}", assessment, planner="Adams", plan_date="20260101"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def begun(store: Store, archive: str = "/archive") -> RunRecord:
    return store.begin_run(archive, {})[0]


def test_what_was_kept_comes_out_as_it_was(store: Store) -> None:
    run = begun(store)
    assert store.save(run, result())
    (row,) = store.rows()
    assert (row.patient_id, row.patient_name, row.verdict, row.dice) == ("P1", "Müller^Ü", "flag", 0.8)
    assert row.size_difference_percent == pytest.approx(100 * 49 / 501)
    ((_, assessment),) = store.assessments()
    assert assessment == result().assessment
    assert store.findings() == {row.id: ["agreement.dice"]}
    assert store.counts() == {"flag": 1}
    assert store.known_keys() == {"i1": ("k1",)}


def test_a_result_of_one_key_is_kept_once(store: Store) -> None:
    run = begun(store)
    assert store.save(run, result())
    assert not store.save(run, result(verdict="pass"))
    (row,) = store.rows()
    assert row.verdict == "pass"
    assert store.findings() == {}


def test_the_last_result_of_a_plan_is_the_current_one(store: Store) -> None:
    run = begun(store)
    store.save(run, result())
    store.save(run, result(key="k2", identity="i2"))
    assert [r.key for r in store.rows()] == ["k2"]
    assert [r.key for r in store.rows(current=False)] == ["k1", "k2"]
    # The older state again: the archive was restored.
    store.save(run, result())
    assert [r.key for r in store.rows()] == ["k1"]


def test_a_plan_that_was_exported_again_with_new_uids_is_told(store: Store) -> None:
    run = begun(store)
    store.save(run, result())
    store.save(run, result(key="k2", identity="i2", subject="s2"))
    store.save(run, result(3))
    assert [r.repeats for r in store.rows()] == [False, True, False]


def test_planners_have_pseudonyms_that_last(store: Store, new_store_url: Callable[[], str]) -> None:
    run = begun(store)
    store.save(run, result())
    store.save(run, result(2, planner=" ADAMS "))
    store.save(run, result(3, planner="Baker"))
    store.save(run, result(4, planner=""))
    names = [r.planner for r in store.rows()]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("P-")
    assert "dams" not in names[0].lower()
    assert names[3] == ""
    with opened(new_store_url()) as other:
        assert other.pseudonym("Adams") != names[0]
    store.save(run, result(5), keep_names=True)
    assert [r.planner for r in store.rows()][-1] == "Adams"


def test_a_physicist_marks_a_flag_as_reviewed(store: Store) -> None:
    store.save(begun(store), result(key="abcdef"))
    done = store.acknowledge("abc", "Physicist", "contour", "apex added")
    assert done.result_key == "abcdef"
    store.acknowledge("abcdef", "Second", "", "")
    told = store.acknowledgements()["abcdef"]
    assert [(a.by, a.outcome, a.note) for a in told] == [("Physicist", "contour", "apex added"), ("Second", "", "")]
    store.save(begun(store), result(key="abcxyz", identity="i9", subject="s9"))
    for wrong in ("abc", "", "zz", "%"):
        with pytest.raises(StoreError, match="give the number"):
            store.acknowledge(wrong, "Physicist")


def test_a_run_that_was_not_ended_is_gone_on_with(store: Store) -> None:
    first, resumed = store.begin_run("/archive", {})
    assert not resumed
    other, resumed = store.begin_run("/other", {})
    assert not resumed
    assert other.name != first.name
    again, resumed = store.begin_run("/archive", {})
    assert (again.id, resumed) == (first.id, True)
    store.end_run(first, {"cases": 3})
    third, resumed = store.begin_run("/archive", {})
    assert (third.id != first.id, resumed) == (True, False)
    assert next(r for r in store.runs() if r.id == first.id).counts == {"cases": 3}


def test_old_results_are_forgotten_with_all_that_belongs_to_them(store: Store) -> None:
    run = begun(store)
    for k in (1, 2):
        store.save(run, result(k))
        store.acknowledge(f"k{k}", "Physicist")
    store.save(run, result(key="k3", identity="i3", subject="s1"))
    assert store.forget(1) == []
    assert store.forget(-1, only_superseded=True) == ["k1"]
    assert sorted(store.forget(-1)) == ["k2", "k3"]
    assert list(store.rows(current=False)) == []
    assert store.findings() == {}
    assert store.acknowledgements() == {}


def test_days_are_24_hours_where_clocks_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Berlin 29 March 2026 has 23 hours; results are kept in universal time, of which every day has 24."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        with opened(tmp_path / "s.sqlite") as store:
            run = begun(store)
            for key, moment in (("old", datetime(2026, 3, 25, 11, 30)), ("young", datetime(2026, 3, 25, 12, 30))):
                monkeypatch.setattr("rtqc.nightly.store.store._now", lambda moment=moment: moment)
                store.save(run, result(key=key, identity=key, subject=key))
            monkeypatch.setattr("rtqc.nightly.store.store._now", lambda: datetime(2026, 4, 1, 12))
            assert store.forget(7) == ["old"]
    finally:
        monkeypatch.undo()
        time.tzset()


def _hold(url: str, held: object, release: object) -> None:
    with opened(url) as store, store.locked():
        held.set()  # type: ignore[attr-defined]
        release.wait(60)  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_one_run_at_a_time_and_a_dead_one_holds_nothing(store: Store, store_url: str, how: str) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(store_url, held, release))
    process.start()
    assert held.wait(60)
    with pytest.raises(StoreBusyError, match="another rtqc nightly uses"), store.locked():
        pass
    told: list[str] = []
    if how == "is killed":
        process.kill()
    else:
        release.set()
    with store.locked(wait_seconds=60, waiting=lambda: told.append("waiting")):
        pass
    process.join()


def test_a_store_of_a_newer_rtqc_is_refused(store: Store, store_url: str) -> None:
    with store._database._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="made by a newer rtqc"):
        open_store(store_url)
    with store._database._engine.begin() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_store_of_an_older_rtqc_is_brought_up_to_date_after_a_copy_was_made(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    bring_up_to_date(engine, to="0001")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO setting (name, value) VALUES ('pseudonym_secret', 'kept')"))
    engine.dispose()
    told: list[str] = []
    store = open_store(path, told=told.append)
    store.save(begun(store), result())
    store.close()
    (copy,) = tmp_path.glob("old.sqlite.before-0001-*")
    assert copy.name in told[0]
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT value FROM setting").fetchone() == ("kept",)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM setting").fetchone() == ("kept",)


def _open(url: str, together: object) -> None:
    together.wait(60)  # type: ignore[attr-defined]
    with opened(url) as store:
        store.counts()


def test_four_that_make_the_same_store_at_once_make_one(new_store_url: Callable[[], str]) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        url, together = new_store_url(), context.Barrier(4)
        processes = [context.Process(target=_open, args=(url, together)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [p.exitcode for p in processes] == [0] * 4


def test_looking_without_writing_leaves_an_old_store_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    bring_up_to_date(engine, to="0001")
    engine.dispose()
    before = path.read_bytes()
    (tmp_path / "archive").mkdir()
    outcome = rtqc("nightly", tmp_path / "archive", "--out", tmp_path / "out", "--store", path, "--dry-run")
    assert outcome.status == 0, outcome.err
    assert path.read_bytes()[100:] == before[100:]
    assert not list(tmp_path.glob("*before*"))


def test_stores_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be looked at " * 40)
    for url, words in (
        (tmp_path / "text.sqlite", "not a database"),
        ("mysql://host/rtqc", "SQLite or PostgreSQL, not mysql"),
        ("postgresql://rtqc@127.0.0.1:1/rtqc", "cannot be used"),
        ("://", "is not a database URL"),
        ("sqlite://", "a store in memory"),
    ):
        with pytest.raises(StoreError, match=words):
            open_store(url)
    with pytest.raises(StoreError, match="there is no store"):
        open_store(tmp_path / "absent.sqlite", create=False)
    assert not (tmp_path / "absent.sqlite").exists()
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://rtqc:geheim@127.0.0.1:1/rtqc")
    assert "geheim" not in str(caught.value)


def test_a_server_that_restarts_is_waited_for(postgres, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    url = postgres.new_database("restarted")
    with opened(url) as store:
        run = begun(store)
        store.save(run, result(1))
        postgres.stop()
        store._database.patience_seconds = 1.0
        with pytest.raises(StoreError, match="What was stored before stays"):
            store.save(run, result(2))
        postgres.start()
        store._database.patience_seconds = 60.0
        store.save(run, result(2))
        store.save(run, result(3))
        keys = store._database.stream(select(ResultRow.key).order_by(ResultRow.id), 1)
        assert next(keys)[0] == "k1"
        postgres.stop()
        postgres.start()
        assert [k for (k,) in keys] == ["k2", "k3"]
        assert [r.key for r in store.rows()] == ["k1", "k2", "k3"]


def test_exports_open_right(store: Store, store_url: str, tmp_path: Path) -> None:
    import csv

    import pyarrow.parquet as pq

    run = begun(store)
    store.save(run, result(1))
    evil = result(2)
    case = evil.assessment.case.model_copy(update={"plan_label": '=HYPERLINK("http://x","y")', "patient_name": "Ångström, Å"})
    store.save(run, replace(evil, assessment=evil.assessment.model_copy(update={"case": case})))
    store.acknowledge("k1", "Physicist", "contour", "+1")
    for ending in ("csv", "parquet", "jsonl"):
        outcome = rtqc("store", "export", tmp_path / f"x.{ending}", "--store", store_url)
        assert outcome.status == 0, outcome.err
        assert "2 results" in outcome.out
        assert rtqc("store", "export", tmp_path / f"x.{ending}", "--store", store_url).status == 2
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert [x["patient_id"] for x in lines] == ["P1", "P2"]
    assert lines[1]["plan_label"].startswith("'=")
    assert lines[1]["patient_name"] == "Ångström, Å"
    assert (lines[0]["reviewed_by"], lines[0]["review_note"]) == ("Physicist", "'+1")
    assert float(lines[0]["dice"]) == 0.8
    table = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert [(r["patient_id"], r["dice"], r["rules"]) for r in table] == [
        ("P1", 0.8, ["agreement.dice"]),
        ("P2", 0.8, ["agreement.dice"]),
    ]
    told = [json.loads(x) for x in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert told[0]["assessment"]["agreement"]["dice"] == 0.8
    assert told[0]["reviews"][0]["outcome"] == "contour"
    assert datetime.fromisoformat(told[0]["result"]["created"])


def test_the_command_reviews_and_forgets(store: Store, store_url: str) -> None:
    store.save(begun(store), result(key="abcdef"))
    outcome = rtqc("store", "review", "abc", "--store", store_url, "--by", "Physicist", "--note", "looked")
    assert outcome.status == 0, outcome.err
    assert "1 flagged" in rtqc("store", "show", "--store", store_url).out
    assert rtqc("store", "forget", "--store", store_url, "--older-than", "30", "--yes").out.startswith("0 results")
    assert [r.key for r in store.rows()] == ["abcdef"]
    assert "no result begins with 'zz'" in rtqc("store", "review", "zz", "--store", store_url).err

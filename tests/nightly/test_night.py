"""A night through the real command."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from rtqc.core.assessment import Assessment
from rtqc.dicom import Peer
from rtqc.dicom import store as store_files
from rtqc.nightly import Places
from rtqc.phantom import SyntheticPlan, write_plan
from rtqc.qc import numbers_of_assessment
from tests.cli.run import Outcome, rtqc
from tests.nightly.conftest import opened
from tests.peers import orthanc, wait_for

DOCS = Path(__file__).resolve().parents[2] / "docs"


def nightly(archive: Path, out: Path, *options: object) -> Outcome:
    return rtqc("nightly", archive, "--out", out, "--json", "--device", "cpu", *options)


def counts(outcome: Outcome) -> dict[str, int]:
    return {k: outcome.document[k] for k in ("cases", "passed", "flagged", "errors", "skipped")}


@pytest.fixture(scope="module")
def night(small_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A whole night over the small archive; not to be changed."""
    out = tmp_path_factory.mktemp("night") / "out"
    return out, nightly(small_archive, out)


def content(store: Path | str) -> dict[str, Any]:
    """What a store says, without when it was said: key -> verdict, whether it is current, and the assessment without ``run``."""
    with opened(store) as found:
        current = {r.key for r in found.rows()}
        told = {}
        for row, assessment in found.assessments(current=False):
            told[row.key] = (row.verdict, row.key in current, row.folder, assessment.model_dump(mode="json", exclude={"run"}))
        return told


def test_a_night_finds_what_was_planted_and_nothing_else(night: tuple[Path, Outcome], small_archive: Path) -> None:
    out, outcome = night
    assert outcome.status == 1, outcome.err
    assert counts(outcome) == {"cases": 4, "passed": 2, "flagged": 2, "errors": 0, "skipped": 0}
    with opened(out / "rtqc.sqlite") as store:
        rows = {r.patient_id: r for r in store.rows()}
        rules = store.findings()
        assert {p: r.verdict for p, r in rows.items()} == {"P0": "pass", "P1": "flag", "P2": "pass", "P3": "flag"}
        assert "agreement.lower_end" in rules[rows["P1"].id]
        assert rules[rows["P3"].id] == ["lungs.swapped"]
        assert rows["P1"].plan_date == "20260102"
        assert rows["P1"].folder == "P1/EXPORT"
    # What is in the store is what rtqc check says.
    alone = rtqc("check", small_archive / "P1", "--json", "--device", "cpu").document
    key = next(k for k, v in content(out / "rtqc.sqlite").items() if v[3]["case"]["patient_id"] == "P1")
    stored = content(out / "rtqc.sqlite")[key][3]
    alone.pop("run")
    assert stored == alone
    report = out / "reports" / key[:2] / key
    assert (report / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert Assessment.model_validate_json((report / "assessment.json").read_text()).verdict == "flag"
    assert (report / "thumbnail.svg").read_bytes().startswith(b"<svg")
    assert len(list((out / "reports").glob("*/*"))) == 2
    assert (out / "latest" / "index.html").is_file()
    for file, schema in (("summary.json", "nightly"), ("assessment.json", "assessment")):
        told = (out / "latest" if schema == "nightly" else report) / file
        jsonschema.validate(json.loads(told.read_text()), json.loads((DOCS / f"{schema}.schema.json").read_text()))
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["done"], status["flagged"]) == ("complete", 4, 2)
    assert not [p for p in ("P0", "P1", "Synthetic") if p in (out / "status.json").read_text() + outcome.err]


def test_what_was_done_is_not_done_again(night: tuple[Path, Outcome], small_archive: Path) -> None:
    out, _ = night
    before = content(out / "rtqc.sqlite")
    outcome = nightly(small_archive, out)
    assert outcome.status == 0
    assert counts(outcome) == {"cases": 4, "passed": 0, "flagged": 0, "errors": 0, "skipped": 4}
    assert (outcome.document["run"]["files_opened"], outcome.document["run"]["workers"]) == (0, 0)
    assert content(out / "rtqc.sqlite") == before


def test_only_what_has_changed_is_done_again(archive: Path, night: tuple[Path, Outcome], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(night[0], out, symlinks=True)
    store = f"sqlite:///{out / 'rtqc.sqlite'}"
    # Another place and other times, but the same content: nothing is to be done.
    assert counts(nightly(archive, out, "--store", store))["skipped"] == 4
    structure_set = archive / "P0" / "EXPORT" / "RTSTRUCT.dcm"
    changed = structure_set.read_bytes().replace(b"Lung_L", b"Lung_X")
    assert changed != structure_set.read_bytes()
    structure_set.write_bytes(changed)
    # A patient of another name is another content.
    for file in (archive / "P2" / "EXPORT").glob("*.dcm"):
        file.write_bytes(file.read_bytes().replace(b"Synthetic^2", b"Synthetic^9"))
    outcome = nightly(archive, out, "--store", store)
    assert counts(outcome)["skipped"] == 2
    with opened(store) as found:
        rows = {r.patient_id: r for r in found.rows()}
        assert len(rows) == 4
        assert rows["P2"].patient_name == "Synthetic^9"
        assert len(list(found.rows(current=False))) == 6
    # Other limits are other results; so is what somebody asks to be done again.
    (tmp_path / "mine.toml").write_text('extends = "breast-40-15"\nname = "mine"\n')
    assert counts(nightly(archive, out, "--store", store, "--protocol", tmp_path / "mine.toml"))["skipped"] == 0
    outcome = nightly(archive, out, "--store", store, "--rerun", "flagged", "--only", "P[13]")
    assert counts(outcome) == {"cases": 2, "passed": 0, "flagged": 2, "errors": 0, "skipped": 0}
    assert outcome.document["run"]["left_out"] == 2
    assert nightly(archive, out, "--store", store, "--since", "2099-01-01").document["run"]["left_out"] == 4


def test_a_dry_run_writes_nothing(small_archive: Path, tmp_path: Path) -> None:
    outcome = nightly(small_archive, tmp_path / "out", "--dry-run")
    assert outcome.status == 0
    assert (outcome.document["cases"], outcome.document["new"]) == (4, 4)
    assert not (tmp_path / "out").exists()
    told = rtqc("nightly", small_archive, "--out", tmp_path / "out", "--dry-run").out
    assert "4 plans" in told
    assert "P1/EXPORT" in told


def light(plan: SyntheticPlan, root: Path, count: int) -> None:
    """Plans without CT: no verdict is possible, and that is said in a moment."""
    for k in range(count):
        folder = root / f"L{k:03d}"
        small = plan.with_study(
            key=f"light{k}", patient_id=f"L{k:03d}", left_out=frozenset(range(plan.study.image.grid.shape[0])), dose=None
        )
        write_plan(small, folder)


def start(archive: Path, out: Path, *options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rtqc", "nightly", str(archive), "--out", str(out), "--device", "cpu", *map(str, options)]
    with (out.parent / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def undisturbed(small_archive: Path, clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An archive of two plans and two dozen light ones, and a night over it that nobody killed."""
    root = tmp_path_factory.mktemp("undisturbed")
    for patient in ("P0", "P1"):
        shutil.copytree(small_archive / patient, root / "archive" / patient)
    light(clean_plan, root / "archive", 24)
    assert nightly(root / "archive", root / "out").status == 2
    return root / "archive", root / "out"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_again_and_again_it_ends_with_what_an_undisturbed_run_has(
    undisturbed: tuple[Path, Path], tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    archive, other = undisturbed
    out = tmp_path / "killed" / "out"
    out.parent.mkdir()
    url = str(out / "rtqc.sqlite")
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database("killed")
    chance = random.Random(7)
    for _ in range(5):
        process = start(archive, out, "--store", url)
        time.sleep(chance.uniform(1.0, 5.0))
        process.kill()
        process.wait()
    process = start(archive, out, "--store", url)
    assert process.wait(timeout=600) == 2, (out.parent / "log").read_text()
    killed, whole = content(url), content(other / "rtqc.sqlite")
    assert len(whole) == 26
    assert killed == whole
    reports = [sorted(str(p.relative_to(o)) for p in (o / "reports").rglob("*.html")) for o in (out, other)]
    assert reports[0] == reports[1]
    assert not list(out.rglob("*.part"))
    assert "Traceback" not in (out.parent / "log").read_text()
    summary = json.loads((out / "latest" / "summary.json").read_text())
    assert (summary["errors"], summary["flagged"], summary["passed"], summary["skipped"]) == (24, 1, 1, 0)


def test_two_at_once_share_the_work_and_spoil_nothing(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    out = tmp_path / "a" / "out"
    first, second = start(archive, out), start(archive, out)
    refused = start(archive, out, "--no-wait")
    statuses = [p.wait(timeout=600) for p in (first, second, refused)]
    # Whoever came first did the work; the others found it done, or did not wait.
    assert statuses.count(1) == 1, (out.parent / "log").read_text()
    assert 2 not in statuses[:2], (out.parent / "log").read_text()
    assert {v[0] for v in content(out / "rtqc.sqlite").values()} == {"pass", "flag"}
    assert len(content(out / "rtqc.sqlite")) == 4
    assert "Traceback" not in (tmp_path / "a" / "log").read_text()


#: What every worker of a night imports first: a plan with a CT never ends.
_NEVER = """
import time
from rtqc.nightly import work
assessed = work._assessed
def never(order, settings, outcome):
    while order.parts.series:
        time.sleep(1)
    return assessed(order, settings, outcome)
work._assessed = never
"""


def test_a_plan_that_never_ends_is_given_up_and_the_night_goes_on(
    clean_plan: SyntheticPlan, archive: Path, tmp_path: Path
) -> None:
    for patient in ("P1", "P2", "P3"):
        shutil.rmtree(archive / patient)
    light(clean_plan, archive, 3)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(_NEVER)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "first"), os.environ.get("PYTHONPATH", "")]))
        outcome = nightly(archive, tmp_path / "out", "--time-limit", "10", "--workers", "1")
    assert outcome.status == 2
    assert counts(outcome)["errors"] == 4
    with opened(tmp_path / "out" / "rtqc.sqlite") as store:
        reasons = {r.patient_id: r.reason for r in store.rows()}
    assert reasons["P0"].startswith("The check took longer than 10 s, twice")
    assert "took longer" not in reasons["L002"]
    # With time enough it is judged, because errors were asked for.
    again = nightly(archive, tmp_path / "out", "--rerun", "errors", "--only", "P0")
    assert counts(again)["passed"] == 1


def workers_of(pid: int) -> list[Any]:
    import psutil

    return [p for p in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def test_a_worker_that_dies_costs_nobody_his_verdict(small_archive: Path, tmp_path: Path) -> None:
    import psutil

    (tmp_path / "a").mkdir()
    out = tmp_path / "a" / "out"
    process = start(small_archive, out, "--workers", "2")
    killed = 0
    while process.poll() is None and not killed:
        time.sleep(0.1)
        # Both at once, so that no plan meets with it twice.
        with contextlib.suppress(psutil.Error):
            busy = [w for w in workers_of(process.pid) if w.cpu_times().user > 2.0]
            if len(busy) == 2 and (out / "status.json").exists():
                for worker in busy:
                    worker.kill()
                    killed += 1
    assert process.wait(timeout=600) == 1
    assert killed == 2
    assert {v[0] for v in content(out / "rtqc.sqlite").values()} == {"pass", "flag"}
    assert "Traceback" not in (tmp_path / "a" / "log").read_text()


def test_a_scheduler_elsewhere_does_the_same(small_archive: Path, night: tuple[Path, Outcome], tmp_path: Path) -> None:
    import re

    log = tmp_path / "scheduler"
    programs = []
    with log.open("wb") as file:
        command = [
            sys.executable,
            "-m",
            "distributed.cli.dask_scheduler",
            "--port",
            "0",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
        ]
        programs.append(subprocess.Popen(command, stderr=file, stdout=file, cwd=tmp_path))
        found: list[str] = []

        def address() -> bool:
            found[:] = re.findall(r"tcp://127\.0\.0\.1:\d+", log.read_text())
            return bool(found)

        try:
            wait_for(address, 60)
            for _ in range(2):
                worker = [sys.executable, "-m", "distributed.cli.dask_worker", found[0], "--nthreads", "1", "--no-dashboard"]
                programs.append(subprocess.Popen(worker, stderr=file, stdout=file, cwd=tmp_path))
            outcome = nightly(small_archive, tmp_path / "out", "--cluster", found[0])
            assert outcome.status == 1, outcome.err
            assert outcome.document["run"]["workers"] == 2
            assert content(tmp_path / "out" / "rtqc.sqlite") == content(night[0] / "rtqc.sqlite")
        finally:
            for program in reversed(programs):
                program.send_signal(signal.SIGTERM)
            for program in programs:
                program.wait(30)
    outcome = nightly(small_archive, tmp_path / "out2", "--cluster", "tcp://127.0.0.1:1")
    assert outcome.status == 2
    assert "no dask scheduler answers at tcp://127.0.0.1:1" in outcome.err


def test_damaged_cases_are_errors_of_their_own(archive: Path, tmp_path: Path) -> None:
    broken = archive / "P2" / "EXPORT" / "RTSTRUCT.dcm"
    broken.write_bytes(broken.read_bytes()[:3000])
    (archive / "P9").mkdir()
    (archive / "P9" / "a.dcm").write_bytes(b"no DICOM" * 100)
    (archive / "notes.txt").write_text("nothing of ours")
    os.mkfifo(archive / "P1" / "pipe")
    (archive / "P1" / "gone.dcm").symlink_to(archive / "nowhere")
    for skipped in ("$RECYCLE.BIN", "@eaDir", ".snapshot"):
        shutil.copytree(archive / "P3", archive / skipped / "P3")
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in archive.rglob("*"))
    outcome = nightly(archive, tmp_path / "out")
    assert outcome.status == 2
    assert counts(outcome) == {"cases": 5, "passed": 1, "flagged": 2, "errors": 2, "skipped": 0}
    with opened(tmp_path / "out" / "rtqc.sqlite") as store:
        rows = {r.folder: r for r in store.rows()}
        rules = store.findings()
    assert "P2/EXPORT/RTSTRUCT.dcm" in rows["P2/EXPORT"].reason
    assert rows["P9"].verdict == "error"
    # What is wrong with one patient's files is no other patient's affair.
    assert rules[rows["P3/EXPORT"].id] == ["lungs.swapped"]
    assert "file.unreadable" in rules[rows["P1/EXPORT"].id]
    assert rows["P0/EXPORT"].verdict == "pass"
    page = (tmp_path / "out" / "latest" / "index.html").read_text()
    assert "files or folders could not be read" in page
    assert sorted((str(p), p.lstat().st_mtime_ns) for p in archive.rglob("*")) == before


def test_a_full_disk_ends_the_night_with_a_sentence_and_it_goes_on_later(
    small_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtqc.nightly.places import Places

    whole = Places.write_outcome

    def full(self: Places, outcome: object) -> None:
        raise OSError(28, "No space left on device", str(self.out / "reports"))

    monkeypatch.setattr(Places, "write_outcome", full)
    outcome = nightly(small_archive, tmp_path / "out")
    assert outcome.status == 2
    assert "No space left on device" in outcome.err
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "failed"
    monkeypatch.setattr(Places, "write_outcome", whole)
    outcome = nightly(small_archive, tmp_path / "out")
    assert counts(outcome)["flagged"] == 2
    assert outcome.document["run"]["resumed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda a, t: (a / "absent", "--out", t / "out"), "does not exist"),
        (lambda a, t: (a,), "--out DIR"),
        (lambda a, t: (a, "--out", a / "P0"), "lies inside the archive"),
        (lambda a, t: (a, "--out", t / "used"), "holds other files"),
        (lambda a, t: (a, "--out", t / "used" / "file"), "is a file"),
        (lambda a, t: (a, "--out", t / "out", "--workers", "1", "--cluster", "tcp://x:1"), "not both"),
        (lambda a, t: (a, "--out", t / "out", "--since", "yesterday"), "neither a day"),
        (lambda a, t: (a, "--out", t / "out", "--protocol", "breats"), "did you mean 'breast'"),
        (lambda a, t: (a, "--out", t / "out", "--model", "nothing"), "there is no model"),
        (lambda a, t: (a, "--out", t / "out", "--store", "oracle://x"), "cannot"),
        (lambda a, t: (a / "P0" / "EXPORT" / "RTPLAN.dcm", "--out", t / "out"), "is not a folder"),
    ],
)
def test_what_cannot_work_is_said(
    small_archive: Path, tmp_path: Path, arguments: Callable[[Path, Path], tuple[object, ...]], words: str
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("somebody's")
    outcome = rtqc("nightly", *arguments(small_archive, tmp_path))
    assert outcome.status == 2
    assert words in outcome.err or words == "cannot", outcome.err
    assert not list((tmp_path / "out").rglob("*.html"))
    assert [p.name for p in (tmp_path / "used").iterdir()] == ["file"]


def test_a_pacs_is_asked_for_what_is_new(clean_folder: Path, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as archive:
        assert store_files(Peer("ORTHANC", "127.0.0.1", archive.dicom), sorted(clean_folder.glob("*.dcm"))) == {}
        source = f"ORTHANC@127.0.0.1:{archive.dicom}"
        outcome = rtqc("nightly", source, "--out", tmp_path / "out", "--json", "--device", "cpu", "--since", "2026-01-01")
        assert outcome.status == 0, outcome.err
        assert counts(outcome)["passed"] == 1
        again = rtqc("nightly", source, "--out", tmp_path / "out", "--json", "--device", "cpu", "--since", "2026-01-01")
        assert counts(again) == {"cases": 1, "passed": 0, "flagged": 0, "errors": 0, "skipped": 1}
        assert counts(rtqc("nightly", source, "--out", tmp_path / "later", "--json", "--since", "2026-06-01"))["cases"] == 0
        assert "say from which day" in rtqc("nightly", source, "--out", tmp_path / "x").err
    # A PACS that is down does not keep the night from judging what is here, and is not passed over in silence.
    down = rtqc("nightly", source, "--out", tmp_path / "out", "--json", "--device", "cpu", "--since", "2026-01-01")
    assert down.status == 2
    assert counts(down)["skipped"] == 1
    assert down.document["run"]["fetch_failed"]


def test_a_file_that_goes_away_during_the_night_is_said_and_judged_anew_when_it_is_back(archive: Path, tmp_path: Path) -> None:
    from rtqc.nightly.orders import Settings
    from rtqc.nightly.scan import scan
    from rtqc.nightly.work import work

    settings = Settings(device="cpu")
    with opened(tmp_path / "s.sqlite") as store:
        order = next(o for o in scan(archive, store).orders if o.folder == "P0/EXPORT")
    gone = archive / "P0" / "EXPORT" / "RTSTRUCT.dcm"
    gone.rename(tmp_path / "away")
    outcome = work(order, settings)
    assert outcome.assessment is not None
    assert outcome.assessment.verdict == "error"
    assert "RTSTRUCT.dcm" in outcome.why
    (tmp_path / "away").rename(gone)
    again = work(order, settings)
    assert again.assessment is not None
    assert again.assessment.verdict == "pass"
    assert again.key != outcome.key


def test_the_clinics_own_hearts_take_the_place_of_those_that_ship(small_archive: Path, tmp_path: Path) -> None:
    """Fifty accepted hearts of an earlier run, all of which lie 9 mm to the left: what passes otherwise is now unusual."""
    from rtqc.nightly.store.tables import ResultRow
    from tests.nightly.test_store import begun, result

    out = tmp_path / "out"
    nightly(small_archive, out, "--only", "P0")
    with opened(out / "rtqc.sqlite") as store:
        ((_, own),) = store.assessments()
        run = begun(store, "/another archive")
        for k in range(50):
            store.save(run, result(k, verdict="pass", key=f"other{k}", identity=f"other{k}", subject=f"other{k}"))
        store.end_run(run, {})
        numbers = {**numbers_of_assessment(own), "agreement_shift_left_mm": 9.0}
        with Session(store._database._engine) as session, session.begin():
            values = {"numbers": numbers, "protocol": own.protocol, "repeats": False}
            session.execute(update(ResultRow).where(ResultRow.key.startswith("other")).values(values))
    outcome = nightly(small_archive, out, "--only", "P0", "--rerun", "all")
    assert counts(outcome)["flagged"] == 1
    with opened(out / "rtqc.sqlite") as store:
        found = next(a for r, a in store.assessments() if r.patient_id == "P0" and not r.key.startswith("other"))
    assert [f.rule for f in found.findings] == ["population.agreement"]
    assert "51 hearts of this clinic" in found.findings[0].message


def test_places_keep_the_newest_runs_and_latest_points_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(tmp_path / "out")
    places.make()
    for k in range(5):
        with places.run_folder(f"2026010{k}T000000Z") as folder:
            (folder / "index.html").write_text(str(k))
    assert (places.out / "latest").is_symlink()
    assert (places.out / "latest" / "index.html").read_text() == "4"
    # The clock went back: the newest run has the oldest name, and stays.
    with places.run_folder("20250101T000000Z") as folder:
        (folder / "index.html").write_text("last")
    places.prune_runs(2)
    assert [p.name for p in places.runs()] == ["run-20260104T000000Z", "run-20260103T000000Z", "run-20250101T000000Z"]
    assert (places.out / "latest" / "index.html").read_text() == "last"
    with pytest.raises(RuntimeError), places.run_folder("20270101T000000Z"):
        raise RuntimeError
    assert (places.out / "latest" / "index.html").read_text() == "last"
    places.clean()
    assert not list(places.out.glob(".run-*"))

    def refuse(self: Path, *more: object, **options: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with places.run_folder("20270102T000000Z") as folder:
        (folder / "index.html").write_text("copied")
    assert not (places.out / "latest").is_symlink()
    assert (places.out / "latest" / "index.html").read_text() == "copied"
    with places.run_folder("20270103T000000Z") as folder:
        (folder / "index.html").write_text("copied again")
    assert (places.out / "latest" / "index.html").read_text() == "copied again"

"""The dashboard from a local server, and the doctor."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtqc.nightly import Store
from rtqc.nightly.serve import server
from tests.cli.run import rtqc
from tests.nightly.conftest import opened
from tests.nightly.test_dashboard import browser, key_of, many, write  # noqa: F401
from tests.nightly.test_store import begun, result

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of runs whose page shows fifty plans."""
    folder = tmp_path / "out"
    write(many(50), folder)
    (folder / "run-x").rename(folder / "latest")
    return folder


@pytest.fixture
def kept(out: Path) -> Iterator[Store]:
    """Its store: two of the page's plans."""
    with opened(out / "rtqc.sqlite") as store:
        run = begun(store)
        for k in (3, 23):
            store.save(run, result(k, key=key_of(k)))
        yield store


@pytest.fixture
def address(out: Path, kept: Store) -> Iterator[str]:
    """Of the running server."""
    running = server(out, kept)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def ask(url: str, told: object = None, **headers: str) -> tuple[int, Any]:
    """Status and content of an answer."""
    data = json.dumps(told).encode() if told is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if "json" in answer.headers["Content-Type"] else content
    except urllib.error.HTTPError as error:
        content = error.read()
        return error.code, json.loads(content) if "json" in (error.headers["Content-Type"] or "") else content


def test_a_flag_is_reviewed_on_the_page_and_stays_reviewed(address: str, kept: Store, browser: Browser) -> None:  # noqa: F811
    page = browser.new_page()
    page.goto(address)
    assert page.title().startswith("rtqc nightly")
    page.select_option("#which", "flag")
    page.fill("#find", "pat00023")
    row = page.locator("#plans tbody tr", has_text="PAT00023")
    row.get_by_role("button", name="Review").click()
    page.select_option("dialog select", "model")
    page.fill("dialog input[name=by]", "A. Physicist")
    page.fill("dialog input[name=note]", "apex <i>drawn</i> by hand")
    page.get_by_role("button", name="Keep").click()
    row.get_by_text("A. Physicist").wait_for()
    assert "apex <i>drawn</i> by hand" in row.inner_text()
    (review,) = kept.acknowledgements()[key_of(23)]
    assert (review.by, review.outcome, review.note) == ("A. Physicist", "model", "apex <i>drawn</i> by hand")
    page.reload()
    page.select_option("#which", "flag")
    page.locator("#plans tbody tr", has_text="A. Physicist").wait_for()
    page.close()


def test_only_pages_and_reports_are_served(address: str, out: Path) -> None:
    assert ask(f"{address}/latest/index.html")[0] == 200
    assert ask(f"{address}/latest/plans.csv")[0] == 200
    for path in (
        "/rtqc.sqlite",
        "/status.json",
        "/latest/../rtqc.sqlite",
        "/latest/%2e%2e/rtqc.sqlite",
        "/latest/..%2frtqc.sqlite",
        "//latest/../rtqc.sqlite",
        "/%2e%2e/x",
        "/latest/",
        "/reports/",
        "/.rtqc-nightly",
        "/x",
    ):
        assert ask(address + path)[0] == 404, path


def test_no_other_site_can_write_or_read_reviews(address: str, kept: Store) -> None:
    told = {"key": key_of(3), "by": "stranger"}
    assert ask(f"{address}/reviews", told)[0] == 403
    assert ask(f"{address}/reviews", told, **{"X-Rtqc": "review", "Host": "evil.example"})[0] == 403
    assert ask(f"{address}/reviews", Host="evil.example")[0] == 403
    assert ask(f"{address}/other", told, **{"X-Rtqc": "review"})[0] == 403
    assert kept.acknowledgements() == {}
    right = {"X-Rtqc": "review"}
    assert ask(f"{address}/reviews", {"key": "zz"}, **right) == (
        400,
        {"error": ask(f"{address}/reviews", {"key": "zz"}, **right)[1]["error"]},
    )
    assert ask(f"{address}/reviews", {"key": key_of(3), "outcome": "nonsense"}, **right)[0] == 400
    assert ask(f"{address}/reviews", [1], **right)[0] == 400
    assert ask(f"{address}/reviews", {"key": key_of(3), "note": "x" * 20_000}, **right)[0] == 413
    assert ask(f"{address}/reviews", told, **right)[0] == 200
    assert ask(f"{address}/reviews")[1][key_of(3)]["by"] == "stranger"


def test_serve_says_what_it_cannot(tmp_path: Path, out: Path, kept: Store, address: str) -> None:
    assert "holds no complete run" in rtqc("serve", tmp_path).err
    outcome = rtqc("serve", out, "--port", address.rpartition(":")[2])
    assert outcome.status == 2
    assert "give another --port" in outcome.err


def test_the_doctor_finds_all_well(tmp_path: Path, clean_folder: Path, kept: Store) -> None:
    outcome = rtqc(
        "doctor", "--archive", clean_folder, "--out", tmp_path / "night", "--store", tmp_path / "out" / "rtqc.sqlite", "--json"
    )
    checks = {c["name"]: c for c in outcome.document["checks"]}
    assert outcome.status == 0, checks
    assert checks["device"]["found"].startswith("auto takes")
    assert "holds 2 plans" in checks["store"]["found"]
    assert not (tmp_path / "night").exists()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".rtqc-doctor")] == []
    assert "✓" in rtqc("doctor").out


def test_the_doctor_names_what_would_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for arguments, words, status in (
        (("--archive", tmp_path / "absent"), "is not mounted", 2),
        (("--archive", tmp_path / "empty"), "is empty", 1),
        (("--out", tmp_path / "used"), "holds other files", 2),
        (("--store", "postgresql://rtqc@127.0.0.1:1/x"), "cannot be used", 2),
        (("--store", tmp_path / "used" / "new.sqlite"), "can be made", 0),
        (("--model", "nothing"), "there is no model", 2),
    ):
        outcome = rtqc("doctor", *arguments)
        assert outcome.status == status, outcome.out
        assert words in outcome.out
    whole = Path.open

    def refuse(self: Path, *more: Any, **options: Any) -> Any:
        if self.parent.name == "used":
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *more, **options)

    monkeypatch.setattr(Path, "open", refuse)
    outcome = rtqc("doctor", "--archive", tmp_path / "used")
    assert outcome.status == 2
    assert "Permission denied" in outcome.out

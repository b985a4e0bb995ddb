"""The page for the morning, in a browser."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from rtqc.nightly.dashboard import write_dashboard
from rtqc.nightly.night import NightRun, Summary
from rtqc.nightly.scan import Archive
from rtqc.nightly.store import Acknowledgement, Row, RunRecord
from tests.conftest import tool
from tests.nightly.test_trends import row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RUN = RunRecord(2, "20261125T210000Z", "/archive", datetime(2026, 11, 25, 21), None, {})
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 8" width="10" height="8"><rect width="10" height="8" fill="red"/></svg>'


class Kept:
    """A store's answers."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def rows(self) -> list[Row]:
        return self._rows

    def findings(self) -> dict[int, list[str]]:
        return {r.id: ["agreement.dice", "dose.mean_difference"] for r in self._rows if r.verdict == "flag"}

    def acknowledgements(self) -> dict[str, list[Acknowledgement]]:
        done = next((r for r in self._rows if r.verdict == "flag" and r.run_id == 2), None)
        return (
            {done.key: [Acknowledgement(done.key, datetime(2026, 11, 25), "Physicist", "contour", "<b>apex</b>")]}
            if done
            else {}
        )


def key_of(number: int) -> str:
    """Of a plan; they differ where a reader looks."""
    return f"{number:05x}".ljust(32, "0")


def many(count: int) -> list[Row]:
    """Plans of a year, one in twenty flagged; the last fifty are of last night."""
    found = []
    for k in range(count):
        verdict = "flag" if k % 20 == 3 else "error" if k % 200 == 7 else "pass"
        last = k >= count - 50
        found.append(
            row(
                k % 365, id=k, key=key_of(k), run_id=2 if last else 1, verdict=verdict, patient_id=f"PAT{k:05d}", patient_name="Doe^Jane <i>",
                plan_label="Breast_L", headline=f"They differ by {k}." if verdict != "pass" else "No rule asks.", reason="No CT." if verdict == "error" else "",
                dice=0.95 - (k % 37) / 500, mean_dose_gy=1.0 + (k % 50) / 25, mean_dose_difference_gy=((k * 7) % 31 - 15) / 20,
                flips=int(k % 40 == 3), planner=f"P-{k % 6}", has_report=verdict == "flag", has_thumbnail=verdict == "flag",
            )
        )  # fmt: skip
    return found


def write(rows: list[Row], out: Path) -> Path:
    """The dashboard of these plans."""
    folder = out / "run-x"
    folder.mkdir(parents=True)
    told = NightRun(
        name=RUN.name, archive="/archive", store="sqlite:///x", started="", ended="", seconds=100.0, resumed=False, files=1000, files_opened=10,
        workers=2, seconds_by_step={}, left_out=0, not_plans={"CT series": 3}, unreadable_files=0, host="h", version="0",
    )  # fmt: skip
    summary = Summary(cases=len(rows), passed=1, flagged=1, errors=1, skipped=0, run=told)
    write_dashboard(Kept(rows), RUN, summary, Archive(Path("/archive")), folder)  # type: ignore[arg-type]
    for r in rows:
        if r.has_thumbnail:
            target = out / "reports" / r.key[:2] / r.key
            target.mkdir(parents=True)
            (target / "thumbnail.svg").write_bytes(PICTURE)
            (target / "report.html").write_text("<title>report</title>")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or tool("chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
        running = playwright.chromium.launch(executable_path=path, args=options)
        yield running
        running.close()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 5,500 plans."""
    return write(many(5500), tmp_path_factory.mktemp("big"))


@pytest.fixture
def page(browser: Browser, big: Path) -> Iterator[Page]:
    """It, opened from a file; anything that it complains of fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda e: complaints.append(str(e)))
    opened.goto(big.as_uri())
    yield opened
    opened.close()
    assert complaints == []


def shown(page: Page) -> list[str]:
    return page.locator("#plans tbody td.patient").evaluate_all("cells => cells.map(c => c.textContent)")


def test_last_nights_flags_come_first_and_reviewed_ones_are_out_of_the_way(page: Page) -> None:
    # Fifty plans of last night: two or three flagged, of which one was reviewed.
    expected = [r for r in many(5500) if r.run_id == 2 and r.verdict != "pass"]
    assert len(shown(page)) == len(expected) - 1
    assert (
        page.locator("h1").inner_text()
        == f"{len(expected) - 1} {'plan needs' if len(expected) == 2 else 'plans need'} a second look"
    )
    page.select_option("#which", "flag")
    assert len(shown(page)) == len([r for r in expected if r.verdict == "flag"])
    assert "<b>apex</b>" in page.locator("#plans").inner_text()
    assert "Doe^Jane <i>" in page.locator("#plans").inner_text()


def test_rows_are_sorted_filtered_and_shown_fifty_at_a_time(page: Page) -> None:
    page.select_option("#when", "all")
    page.select_option("#which", "all")
    assert page.locator("#shown").inner_text() == "50 of 5500 plans"
    page.click("#more")
    assert len(shown(page)) == 100
    page.click("button[data-sort='9']")
    dice = [float(t) for t in page.locator("#plans tbody tr td:nth-child(6)").all_inner_texts()]
    assert dice == sorted(dice)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.click("button[data-sort='9']")
    dice = [float(t) for t in page.locator("#plans tbody tr td:nth-child(6)").all_inner_texts()]
    assert dice == sorted(dice, reverse=True)
    page.fill("#find", "pat00123")
    expect(page.locator("#plans tbody tr")).to_have_count(1)
    assert shown(page)[0].startswith("PAT00123")
    page.fill("#find", "nobody of this name")
    expect(page.locator("#plans tbody tr")).to_have_count(0)
    assert page.locator("#shown").inner_text() == "no plan"


def test_pictures_and_reports_are_where_the_page_says(page: Page, big: Path) -> None:
    page.select_option("#which", "flag")
    picture = page.locator("td.picture img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    assert picture.evaluate("i => i.complete && i.naturalWidth") == 10
    page.locator("td.patient a").first.click()
    page.wait_for_load_state()
    assert page.title() == "report"


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_sticks_out_at_any_width(browser: Browser, big: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(big.as_uri())
    page.select_option("#when", "all")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_everything_can_be_reached_with_the_keyboard_and_has_a_name(page: Page) -> None:
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, input, a, img, svg')].filter(e => e.offsetParent !== null || e.tagName === 'svg')
        .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.alt || e.closest('label'))).map(e => e.outerHTML)"""
    )
    assert unnamed == []
    page.locator("#find").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main h2").all_inner_texts()[-3:] == ["Plans", "Trends", "What was not judged"]


def test_a_printed_page_holds_the_whole_list(page: Page, tmp_path: Path) -> None:
    page.select_option("#which", "flag")
    page.select_option("#when", "all")
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(shown(page)) == 275


def test_what_comes_from_files_is_text_and_nothing_is_loaded_from_elsewhere(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    rows = [
        row(
            1,
            key="a" * 32,
            run_id=2,
            verdict="flag",
            patient_id=evil,
            patient_name=evil,
            headline=evil,
            plan_label=evil,
            planner=evil,
        )
    ]
    rows.append(row(2, key="b" * 32, run_id=2, verdict="error", reason=evil, headline=evil))
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    path = write(rows, tmp_path)
    page.goto(path.as_uri())
    page.select_option("#which", "all")
    assert page.title() == "rtqc nightly – 2026-11-25"
    assert evil in page.locator("#plans").inner_text()
    assert [u for u in asked if not u.startswith(("file:", "data:"))] == []
    page.close()


def test_an_empty_night_says_so(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(write([], tmp_path).as_uri())
    assert page.locator("h1").inner_text() == "Nothing new last night"
    page.close()


def test_a_pass_for_the_contour_only_is_told_from_one_of_the_whole_plan(browser: Browser, tmp_path: Path) -> None:
    partly = "Passed for the contour only: no rule asks for a second look; plan and dose were not checked."
    rows = [
        row(k, id=k, key=key_of(k), run_id=2, verdict="pass", headline=partly if k else "No rule asks for a second look.")
        for k in range(3)
    ]
    page = browser.new_page()
    page.goto(write(rows, tmp_path).as_uri())
    assert "3 passed, 2 of them for the contour only" in page.locator("ul.counts").inner_text().replace("\n", " ")
    page.select_option("#which", "all")
    assert page.locator("#plans tbody").inner_text().count("Passed for the contour only") == 2
    page.close()


def test_the_table_beside_it_has_every_plan(big: Path) -> None:
    lines = list(csv.DictReader((big.parent / "plans.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(lines) == 5500
    assert lines[0]["patient_id"] == "PAT00000"


def embedded(page: Path) -> list[list[Any]]:
    """The plans that a page holds."""
    text = page.read_text()
    start = text.index('id="data">') + len('id="data">')
    data: list[list[Any]] = json.loads(text[start : text.index("</script>", start)])
    return data


def test_a_page_of_a_year_is_small_enough_to_mail(big: Path) -> None:
    assert len(embedded(big)) == 5500
    assert big.stat().st_size < 5 << 20

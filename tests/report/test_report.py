"""The report: what it shows, that it is safe, small, whole, and readable without seeing."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rtqc.core import Case
from rtqc.core.assessment import DoseMetrics
from rtqc.dicom import read_case
from rtqc.heart import Draft
from rtqc.phantom import SyntheticPlan, plant, write_plan
from rtqc.pipeline import Assessed, Options, assess_fully
from rtqc.report import render_report, write_report
from rtqc.report.view import tiles
from tests.conftest import tool

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class _Page(HTMLParser):
    """Tags, texts and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def flagged(clean_plan: SyntheticPlan, clean_draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> Assessed:
    folder = write_plan(plant(clean_plan, "dose_hidden_by_contour"), tmp_path_factory.mktemp("flagged"))
    return assess_fully(read_case(folder), Options(device="cpu"), clean_draft)


@pytest.fixture(scope="module")
def page(flagged: Assessed) -> str:
    return render_report(flagged)


def test_the_first_screen_says_what_where_and_what_it_does_to_the_dose(flagged: Assessed, page: str) -> None:
    text = " ".join(" ".join(_Page(page).text).split())
    first = text[: text.index("Findings")]
    assert "Flagged" in first
    assert flagged.assessment.headline in first
    assert "The lower end of Heart lies" in first
    assert "instead of" in first
    assert "the acceptable limit of 4 Gy is met with the contour" in first


def test_every_finding_is_there_with_source_and_picture(flagged: Assessed, page: str) -> None:
    parsed = _Page(page)
    text = " ".join(" ".join(parsed.text).split())
    for f in flagged.assessment.findings:
        assert f.message in text
        assert f.rule in text
        if f.evidence.source:
            assert f.evidence.source in text
    assert page.count('<figure class="slice">') >= 2
    assert len(re.findall(r"Picture \d+\.", text)) >= 1


def test_numbers_of_the_page_are_those_of_the_json(flagged: Assessed, page: str) -> None:
    document = json.loads(flagged.assessment.model_dump_json())
    text = " ".join(" ".join(_Page(page).text).split())
    assert f"{document['agreement']['dice']:.4f}" in text
    assert f"{document['dose']['contoured']['mean_gy']:.2f} {document['dose']['draft']['mean_gy']:.2f}" in text
    assert f"{document['dose']['contoured']['v20_gy_percent']:.2f}" in text


def test_a_difference_within_the_drafts_error_is_not_marked_as_bad(flagged: Assessed) -> None:
    a = flagged.assessment
    assert a.dose is not None
    assert a.dose.difference is not None
    change = a.dose.difference.mean_gy
    assert change is not None
    for error, state in ((abs(change) - 0.01, "bad"), (abs(change) + 0.01, "open")):
        dose = a.dose.model_copy(update={"draft_error": DoseMetrics(mean_gy=error)})
        (tile,) = (t for t in tiles(a.model_copy(update={"dose": dose})) if t.name.startswith("Mean heart dose"))
        assert tile.state == state
        assert ("own error" in tile.limit) is (state == "open")


def test_the_drafts_numbers_stand_with_their_error(flagged: Assessed, page: str) -> None:
    text = " ".join(" ".join(_Page(page).text).split())
    a = flagged.assessment
    assert a.dose is not None
    assert a.dose.draft is not None
    assert a.dose.draft_error is not None
    assert f"{a.dose.draft.mean_gy:.2f} ± {a.dose.draft_error.mean_gy:.2f}" in text
    for c in a.constraints:
        assert f"{c.draft:.2f} ± {c.draft_error:.2f} {'✓ met' if c.draft_met else '✕ exceeded'}" in text


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    parsed = _Page(page)
    assert not [t for t, _ in parsed.tags if t in {"script", "link", "iframe", "object", "embed", "form"}]
    for _, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href"}:
                assert (value or "").startswith("data:image/png;base64,")
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)", page)


def test_hostile_names_stay_text(clean_plan: SyntheticPlan, clean_draft: Draft, tmp_path: Path) -> None:
    plan = plant(clean_plan, "top_cut")
    study = replace(plan.study, patient_name=HOSTILE, structure_set_label=HOSTILE[:16], plan_label="<b>bold</b>")
    rois = tuple(replace(r, name=HOSTILE) if r.name == "SpinalCord" else r for r in study.rois)
    hostile = replace(plan, study=replace(study, rois=(*rois, replace(rois[1], name='heart"><script>'))))
    assessed = assess_fully(read_case(write_plan(hostile, tmp_path)), Options(device="cpu", second_check=False), clean_draft)
    content = render_report(assessed)
    parsed = _Page(content)
    assert {t for t, _ in parsed.tags} & {"script", "img", "b"} <= {"b"}
    assert "<script" not in content
    assert "<b>bold" not in content
    assert "onerror" not in {name for _, a in parsed.tags for name in a}
    assert any("alert" in t for t in parsed.text)


def test_it_is_readable_without_seeing(page: str) -> None:
    parsed = _Page(page)
    assert ("html", {"lang": "en"}) in parsed.tags
    levels = [int(t[1]) for t, _ in parsed.tags if re.fullmatch("h[1-6]", t)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels[:-1], levels[1:], strict=True))
    for tag, attributes in parsed.tags:
        if tag == "svg":
            assert (attributes.get("role") == "img" and attributes.get("aria-label")) or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope") in {"row", "col"}


def test_it_is_under_five_megabytes_and_a_passing_one_is_shorter(page: str, clean_case: Case, clean_draft: Draft) -> None:
    passing = render_report(assess_fully(clean_case, Options(device="cpu", second_check=False), clean_draft))
    assert len(page) < 5_000_000
    assert len(passing) < len(page)
    assert "Passed" in passing


def test_a_bare_assessment_gives_a_report_without_pictures(flagged: Assessed, tmp_path: Path) -> None:
    path = write_report(flagged.assessment, tmp_path / "r.html")
    content = path.read_text(encoding="utf-8")
    assert '<figure class="slice">' not in content
    assert flagged.assessment.findings[0].rule in content
    with pytest.raises(FileExistsError):
        write_report(flagged.assessment, path)


def test_an_empty_case_has_a_report(tmp_path: Path) -> None:
    content = render_report(assess_fully(read_case(tmp_path), Options(device="cpu")))
    assert "No verdict" in content
    assert "There is no DICOM file" in content


def _pixels(report: Path, width: int, target: Path) -> tuple[int, int]:
    """A screenshot by headless Chromium; its size in pixels, and the page's scroll width."""
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    profile = target.parent / f"profile-{width}"
    common = [tool("chromium"), *flags.split(), f"--user-data-dir={profile}", f"--window-size={width},1000"]
    subprocess.run([*common, f"--screenshot={target}", report.as_uri()], check=True, capture_output=True, timeout=120)
    from PIL import Image

    with Image.open(target) as picture:
        return picture.size


@pytest.mark.parametrize("width", [1280, 500])
def test_chromium_shows_it(flagged: Assessed, tmp_path: Path, width: int) -> None:
    import numpy as np
    from PIL import Image

    report = write_report(flagged, tmp_path / "report.html")
    picture = tmp_path / "page.png"
    assert _pixels(report, width, picture)[0] == width
    colours = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    # The red of the verdict, and the black of a CT's lung.
    assert (np.abs(colours.astype(int) - (179, 38, 30)).max(axis=1) < 3).mean() > 0.001
    assert (colours.max(axis=1) < 12).mean() > 0.01

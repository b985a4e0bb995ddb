"""The page: what was found last night first, then everything, then whether something drifts, then what could not be judged."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rtqc.core.resources import resource_folder
from rtqc.core.version import rtqc_version
from rtqc.core.whole_file import whole_file
from rtqc.nightly.dashboard.charts import HEIGHT, WIDTH, ChartView, chart_view, date_text, group_name, sentence
from rtqc.nightly.places import DASHBOARD_FILE, TABLE_FILE, THUMBNAIL_FILE, report_path
from rtqc.nightly.scan import Archive
from rtqc.nightly.spreadsheet import write_spreadsheet
from rtqc.nightly.store import Acknowledgement, Row, RunRecord, Store
from rtqc.nightly.trends import Trend, trends_of
from rtqc.qc.verdict import CONTOUR_PASS
from rtqc.report import REPORT_FILE, templates

if TYPE_CHECKING:
    from rtqc.nightly.night import Summary

#: Of what could not be read, so much is listed; the table has a line for each plan.
_MOST_UNREADABLE = 200
#: Columns of ``plans.csv``.
_TABLE_COLUMNS = (
    "verdict", "patient_id", "patient_name", "plan_label", "plan_date", "protocol", "rules", "headline", "dice", "hausdorff95_mm",
    "mean_surface_distance_mm", "volume_ml", "size_difference_percent", "mean_dose_gy", "mean_dose_difference_gy", "flips", "trusted",
    "predicted_dice", "planner", "reviewer", "planning_system", "scanner", "slice_spacing_mm", "noise_hu", "heart_hu", "has_table", "model", "folder",
    "created", "seconds", "repeats", "reviewed_by", "reviewed", "review_outcome", "review_note", "key",
)  # fmt: skip


def write_dashboard(store: Store, run: RunRecord, summary: Summary, archive: Archive, folder: Path) -> None:
    """Write ``index.html`` and ``plans.csv``.

    Args:
        store: with all results.
        run: of last night.
        summary: of it.
        archive: what was there.
        folder: the run's.

    Raises:
        OSError: they cannot be written.
    """
    rows = list(store.rows())
    rules = store.findings()
    reviews = store.acknowledgements()
    with whole_file(folder / DASHBOARD_FILE, durable=False) as file:
        file.write(_page(rows, rules, reviews, run, summary, archive).encode("utf-8"))
    write_table(rows, rules, reviews, folder / TABLE_FILE)


def write_table(
    rows: Iterable[Row], rules: dict[int, list[str]], reviews: dict[str, list[Acknowledgement]], path: Path
) -> None:
    """All plans as CSV that a spreadsheet opens right: UTF-8 with a mark, and no cell that begins a formula."""
    lines = []
    for row in rows:
        last = reviews.get(row.key, [None])[-1]
        more = {
            "rules": " ".join(dict.fromkeys(rules.get(row.id, ()))),
            "reviewed_by": last.by if last else "",
            "reviewed": last.made.isoformat() if last else "",
            "review_outcome": last.outcome if last else "",
            "review_note": last.note if last else "",
        }
        lines.append([more[c] if c in more else getattr(row, c) for c in _TABLE_COLUMNS])
    write_spreadsheet(path, _TABLE_COLUMNS, lines)


def _page(
    rows: list[Row], rules: dict[int, list[str]], reviews: dict[str, list[Acknowledgement]], run: RunRecord, summary: Summary,
    archive: Archive,
) -> str:  # fmt: skip
    script = (resource_folder("templates") / "nightly.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    trends = trends_of(rows)
    night = [r for r in rows if r.run_id == run.id]
    return templates().get_template("nightly.html.j2").render(
        run=run,
        summary=summary,
        night=Counter(r.verdict for r in night),
        partial=sum(map(_is_partial, night)),
        total=Counter(r.verdict for r in rows),
        open=sum(_is_open(r, reviews) for r in night),
        open_before=sum(_is_open(r, reviews) for r in rows if r.run_id != run.id),
        plans=_as_json([_packed(r, rules, reviews, run.id) for r in rows]),
        drifts=[(group_name(t), sentence(t)) for t in trends if t.drift is not None],
        charts=_charts(trends),
        too_small=_too_small(trends),
        reasons=Counter(r.reason or r.headline for r in rows if r.verdict == "error").most_common(),
        unreadable=[f.message for f in archive.unreadable[:_MOST_UNREADABLE]],
        unreadable_count=len(archive.unreadable),
        not_plans=archive.not_plans,
        left_out=archive.left_out,
        width=WIDTH,
        height=HEIGHT,
        script=script,
        script_hash=digest,
        version=rtqc_version(),
    )  # fmt: skip


def _is_partial(row: Row) -> bool:
    """Whether a pass covers the contour only (``--scope contour``)."""
    return row.verdict == "pass" and row.headline.startswith(CONTOUR_PASS)


def _is_open(row: Row, reviews: dict[str, list[Acknowledgement]]) -> bool:
    return row.verdict != "pass" and row.key not in reviews


def _packed(row: Row, rules: dict[int, list[str]], reviews: dict[str, list[Acknowledgement]], run_id: int) -> list[object]:
    """A plan for the page's script, which names the places in the same order."""
    review = reviews.get(row.key, [None])[-1]
    folder = f"../{report_path(row.key)}"
    return [
        row.verdict,
        int(row.run_id == run_id),
        row.patient_id,
        row.patient_name,
        row.plan_label,
        date_text(row.plan_date),
        row.protocol,
        "" if row.verdict == "pass" and not _is_partial(row) else row.headline,
        list(dict.fromkeys(rules.get(row.id, ())))[:6],
        _rounded(row.dice, 3),
        _rounded(row.hausdorff95_mm, 1),
        _rounded(row.mean_dose_gy, 2),
        _rounded(row.mean_dose_difference_gy, 2),
        row.flips,
        row.planner,
        f"{folder}/{REPORT_FILE}" if row.has_report else "",
        f"{folder}/{THUMBNAIL_FILE}" if row.has_thumbnail else "",
        f"{review.by}, {review.made:%Y-%m-%d}{': ' + review.note if review.note else ''}" if review else "",
        row.key[:12],
        int(row.repeats),
    ]


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)


def _as_json(value: object) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _charts(trends: list[Trend]) -> list[tuple[str, bool, list[ChartView]]]:
    """By group, with whether something in it drifts: the clinic's contours, the clinic's input, then every other group."""
    found: dict[str, list[ChartView]] = {}
    for trend in trends:
        view = chart_view(trend)
        if view is None:
            continue
        of_input = trend.grouping == "clinic" and trend.metric.of_input
        found.setdefault("CT and model" if of_input else group_name(trend), []).append(view)
    return [(name, any(v.drifts for v in views), views) for name, views in found.items()]


def _too_small(trends: list[Trend]) -> list[tuple[str, int]]:
    """Groups of which nothing can be judged, and how many plans they have."""
    sizes: dict[str, int] = {}
    judged = {group_name(t) for t in trends if t.chart is not None}
    for trend in trends:
        name = group_name(trend)
        if name not in judged:
            sizes[name] = max(sizes.get(name, 0), len(trend.rows))
    return list(sizes.items())

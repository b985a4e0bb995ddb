"""Outcomes as a page, tables and figures that can go into a paper."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rtqc.core.version import rtqc_version
from rtqc.core.whole_file import whole_file
from rtqc.nightly.cohort.outcomes import CLASSES, OutcomesReport
from rtqc.nightly.spreadsheet import write_spreadsheet
from rtqc.report import templates

PAGE_FILE, JSON_FILE, HAZARDS_FILE, CURVES_FILE = "outcomes.html", "outcomes.json", "hazard_ratios.csv", "survival.csv"
SURVIVAL_FIGURE, FOREST_FIGURE = "survival.svg", "hazard_ratios.svg"
FILES = (PAGE_FILE, JSON_FILE, HAZARDS_FILE, CURVES_FILE, SURVIVAL_FIGURE, FOREST_FIGURE)
#: Intervals that reach further are of models that did not settle.
_WIDEST = 1000.0
#: Okabe and Ito's colours, which nearly everybody tells apart; lines differ in their dashes too.
_STYLES = (("#0072B2", "-"), ("#009E73", "--"), ("#E69F00", "-."), ("#D55E00", ":"))


def write_outcomes(report: OutcomesReport, folder: Path, time_name: str) -> None:
    """Write page, tables and figures.

    Raises:
        OSError: they cannot be written; no file is left half-written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    survival, forest = _survival_figure(report, time_name), _forest_figure(report)
    page = (
        templates()
        .get_template("outcomes.html.j2")
        .render(r=report, survival=survival, forest=forest, classes=CLASSES, time_name=time_name, version=rtqc_version())
    )
    texts = {
        PAGE_FILE: page,
        JSON_FILE: json.dumps(asdict(report), indent=1) + "\n",
        SURVIVAL_FIGURE: survival,
        FOREST_FIGURE: forest,
    }
    for name, text in texts.items():
        with whole_file(folder / name) as file:
            file.write(text.encode("utf-8"))
    write_spreadsheet(
        folder / HAZARDS_FILE, ("model", "term", "hazard_ratio", "low_95", "high_95", "p", "c_index", "people", "events", "cautions"), _hazard_lines(report),
    )  # fmt: skip
    write_spreadsheet(
        folder / CURVES_FILE,
        ("class", time_name, "survival", "low_95", "high_95"),
        ((c.name, *point) for c in report.curves for point in zip(c.times, c.survival, c.low, c.high, strict=True)),
    )


def _hazard_lines(report: OutcomesReport) -> Iterator[tuple[object, ...]]:
    for m in report.models:
        for t in m.terms:
            yield m.name, t.term, t.ratio, t.low, t.high, t.p, m.c_index, m.people, m.events, "; ".join(m.cautions)


def _survival_figure(report: OutcomesReport, time_name: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for curve in report.curves:
        colour, dash = _STYLES[CLASSES.index(curve.name)]
        label = f"Agatston {curve.name} (n = {curve.people}, {curve.events} events)"
        axes.step(curve.times, curve.survival, where="post", color=colour, linestyle=dash, label=label, linewidth=1.6)
        axes.fill_between(curve.times, curve.low, curve.high, step="post", color=colour, alpha=0.12, linewidth=0)
    low = min((min(c.low) for c in report.curves), default=0.0)
    axes.set(xlabel=time_name, ylabel="Survival without event", ylim=(max(low - 0.05, 0), 1.005), xlim=(0, None))
    if report.logrank_p is not None:
        axes.set_title(f"Log-rank {p_text(report.logrank_p)}", fontsize=10, loc="right")
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def _forest_figure(report: OutcomesReport) -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    measured = {t.term for m in report.models if not m.adjusted for t in m.terms}
    rows = [(m, t) for m in report.models for t in m.terms if t.term in measured and t.low > 0 and t.high < _WIDEST]
    figure = Figure(figsize=(7.6, max(0.34 * len(rows) + 1.1, 1.8)), layout="constrained")
    axes = figure.add_subplot()
    for at, (model, term) in enumerate(rows):
        axes.plot([term.low, term.high], [-at, -at], color="#444", linewidth=1.3)
        axes.plot(
            term.ratio, -at, "s" if model.adjusted else "o", color="#D55E00" if model.adjusted else "#0072B2", markersize=5
        )
        axes.annotate(f"{term.ratio:.2f} ({term.low:.2f} to {term.high:.2f})", (1.02, -at), xycoords=("axes fraction", "data"), fontsize=7.5, va="center")  # fmt: skip
    axes.axvline(1, color="#999", linewidth=0.8, linestyle="--")
    axes.set_yticks([-k for k in range(len(rows))], [f"{t.term}{' (adj.)' if m.adjusted else ''}" for m, t in rows], fontsize=8)
    axes.set(xscale="log", xlabel="Hazard ratio (95 % interval)")
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def p_text(p: float) -> str:
    """A p value as papers write it.

    >>> p_text(0.0004), p_text(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _svg(figure: object) -> str:
    """The figure as SVG without a date, so that the same numbers give the same file; text stays text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rtqc", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})  # type: ignore[attr-defined]
    text = buffer.getvalue()
    return text[text.index("<svg") :]

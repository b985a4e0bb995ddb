"""The commissioning as a page to sign: one file, nothing loaded from anywhere, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtqc.nightly.commissioning.result import CaseMeasured, CommissioningReport
from rtqc.nightly.places import THUMBNAIL_FILE
from rtqc.report import templates
from rtqc.report.view import number

#: Pictures of the worst cases.
MOST_PICTURES = 6
WIDTH, HEIGHT = 420.0, 200.0
_BINS = 14


@dataclass(frozen=True)
class Worst:
    """A case in a picture: ``picture`` is the SVG as base64, empty where there is none."""

    case: CaseMeasured
    picture: str


@dataclass(frozen=True)
class Plot:
    """Path data of bars or points, with ticks (at, text), lines across (at, text, dashed) and upright ones (at, text)."""

    title: str
    x_name: str
    y_name: str
    bars: str = ""
    points: str = ""
    x_ticks: tuple[tuple[float, str], ...] = ()
    y_ticks: tuple[tuple[float, str], ...] = ()
    across: tuple[tuple[float, str, bool], ...] = ()
    upright: tuple[tuple[float, str], ...] = ()


def commissioning_page(report: CommissioningReport, folder: Path) -> str:
    """HTML.

    Args:
        report: what stands in it.
        folder: of the commissioning, where the cases' pictures lie.
    """
    worst = sorted(report.cases, key=lambda c: (not c.flagged_by, c.dice))[:MOST_PICTURES]
    plots = [
        _histogram(
            "Dice between the ends",
            "Dice",
            [c.dice for c in report.cases],
            [(x.proposed, "limit") for x in report.limits if x.name == "Dice"],
        ),
        _histogram("Upper end, contour − draft", "mm", [c.upper_end_mm for c in report.cases], _marks(report, "upper")),
        _histogram("Lower end, contour − draft", "mm", [c.lower_end_mm for c in report.cases], _marks(report, "lower")),
        _bland_altman(report),
    ]
    return templates().get_template("commissioning.html.j2").render(
        r=report, plots=[p for p in plots if p is not None], width=WIDTH, height=HEIGHT,
        worst=[Worst(case, _picture(folder, case)) for case in worst],
        kinds=_KINDS,
    )  # fmt: skip


_KINDS = {
    "untrusted": "draft not trusted", "own_draft": "drawn by rtqc itself", "cut_off": "heart not whole in the image", "contour": "fault of the contour",
    "no_comparison": "nothing to compare", "repeated": "the same contour again", "unwanted": "left out by hand",
}  # fmt: skip


def _picture(folder: Path, case: CaseMeasured) -> str:
    path = (folder / case.report).with_name(THUMBNAIL_FILE) if case.report else None
    try:
        return base64.b64encode(path.read_bytes()).decode("ascii") if path is not None else ""
    except OSError:
        return ""


def _marks(report: CommissioningReport, end: str) -> list[tuple[float, str]]:
    habit = report.upper_end_habit if end == "upper" else report.lower_end_habit
    if habit is None:
        return []
    return [(habit.median, "median"), (habit.median - habit.limit, "limit"), (habit.median + habit.limit, "limit")]


def _histogram(title: str, x_name: str, values: Sequence[float], marks: Sequence[tuple[float, str]]) -> Plot | None:
    if len(values) < 2:
        return None
    low, high = min([*values, *(m for m, _ in marks)]), max([*values, *(m for m, _ in marks)])
    room = max((high - low) * 0.05, 0.005 if not x_name.startswith("mm") else 1.0)
    low, high = low - room, high + room
    counts, edges = np.histogram(values, _BINS, (low, high))
    top = int(counts.max())

    def x(value: float) -> float:
        return round((value - low) / (high - low) * WIDTH, 1)

    bars = "".join(
        f"M{x(a)} {HEIGHT}V{round(HEIGHT * (1 - n / top), 1)}H{x(b)}V{HEIGHT}Z"
        for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        if n
    )
    digits = 0 if high - low > 5 else 2
    ticks = tuple((x(v), number(round(v, digits) + 0.0, digits)) for v in np.linspace(low + room, high - room, 5))
    upright = tuple((x(m), name) for m, name in marks)
    return Plot(title, x_name, "contours", bars=bars, x_ticks=ticks, y_ticks=((0.0, str(top)), (HEIGHT, "0")), upright=upright)


def _bland_altman(report: CommissioningReport) -> Plot | None:
    found = report.mean_dose
    pairs = np.array(
        [(c.contoured_mean_gy, c.draft_mean_gy) for c in report.cases if None not in (c.contoured_mean_gy, c.draft_mean_gy)],
        float,
    ).reshape(-1, 2)
    if found is None or len(pairs) < 2:
        return None
    mean, difference = pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0]
    reach = max(float(np.abs(difference).max()), abs(found.lower_low), abs(found.upper_high), 0.05) * 1.05
    low, high = float(mean.min()), float(mean.max())
    high = high if high - low > 1e-6 else low + 1.0

    def x(value: float) -> float:
        return round((value - low) / (high - low) * WIDTH, 1)

    def y(value: float) -> float:
        return round((1 - (value + reach) / (2 * reach)) * HEIGHT, 1)

    points = "".join(f"M{x(m)} {y(d)}h0" for m, d in zip(mean, difference, strict=True))
    across = tuple(
        (y(v), f"{v:+.2f}".replace("-", "−"), dashed)
        for v, dashed in ((found.bias, False), (found.lower, True), (found.upper, True))
    )
    x_ticks = tuple((x(v), f"{v:.1f}") for v in np.linspace(low, high, 5))
    y_ticks = tuple((y(v), f"{v:+.2f}".replace("-", "−")) for v in (-reach, 0.0, reach))
    return Plot(
        "Mean heart dose, draft − contour (Bland–Altman)",
        "mean of both (Gy)",
        "Gy",
        points=points,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        across=across,
    )

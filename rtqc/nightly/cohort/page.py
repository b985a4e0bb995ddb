"""The study as a page: numbers, and three pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtqc.core.version import rtqc_version
from rtqc.nightly.cohort.statistics import BlandAltman
from rtqc.nightly.cohort.study import FAILURE_DICE, CohortStudy
from rtqc.report import templates
from rtqc.report.plots import Tick

#: Inner size of a picture, in SVG units.
WIDTH, HEIGHT = 420.0, 240.0
_BINS = 40


@dataclass(frozen=True)
class Picture:
    """A plot: path data of bars or points, horizontal lines with their names, axes."""

    title: str
    x_name: str
    y_name: str
    bars: str
    points: str
    lines: tuple[tuple[float, str, bool], ...]
    upright: tuple[tuple[float, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def study_page(study: CohortStudy) -> str:
    """HTML, one file."""
    pictures = [
        _histogram(study),
        _bland_altman("Volume", "ml", study.values["volume"], study.volume),
        _bland_altman("Mean heart dose", "Gy", study.values["mean_dose"], study.mean_dose),
    ]
    return templates().get_template("cohort.html.j2").render(
        study=study, pictures=[p for p in pictures if p is not None], width=WIDTH, height=HEIGHT, version=rtqc_version(),
        failure=FAILURE_DICE,
    )  # fmt: skip


def _histogram(study: CohortStudy) -> Picture | None:
    values = np.array([v[0] for v in study.values["dice"]])
    if not values.size:
        return None
    low = max(min(float(values.min()), FAILURE_DICE) - 0.02, 0.0)
    counts, edges = np.histogram(np.clip(values, low, 1.0), _BINS, (low, 1.0))
    top = max(int(counts.max()), 1)

    def x(value: float) -> float:
        return round((value - low) / (1 - low) * WIDTH, 1)

    bars = "".join(
        f"M{x(a)} {HEIGHT}V{round(HEIGHT * (1 - n / top), 1)}H{x(b)}V{HEIGHT}Z"
        for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        if n
    )
    ticks = tuple(Tick(x(v), f"{v:.2f}") for v in np.linspace(low, 1, 6))
    upright = ((x(FAILURE_DICE), f"failure under {FAILURE_DICE:g}"),)
    return Picture(
        "Dice of contour and draft", "Dice", "plans", bars, "", (), upright, ticks, (Tick(0.0, str(top)), Tick(HEIGHT, "0"))
    )


def _bland_altman(name: str, unit: str, pairs: Sequence[tuple[float, ...]], agreement: BlandAltman | None) -> Picture | None:
    if agreement is None:
        return None
    values = np.array(pairs, float)
    mean, difference = values.mean(axis=1), values[:, 1] - values[:, 0]
    reach = max(float(np.abs(difference).max()), abs(agreement.lower), abs(agreement.upper), 1e-9) * 1.05
    low, high = float(mean.min()), float(mean.max())
    high = high if high > low else low + 1.0

    def x(value: float) -> float:
        return round((value - low) / (high - low) * WIDTH, 1)

    def y(value: float) -> float:
        return round((1 - (value + reach) / (2 * reach)) * HEIGHT, 1)

    points = "".join(f"M{x(m)} {y(d)}h0" for m, d in zip(mean, difference, strict=True))
    lines = (
        (y(agreement.bias), f"mean {_short(agreement.bias)}", False),
        (y(agreement.upper), _short(agreement.upper), True),
        (y(agreement.lower), _short(agreement.lower), True),
    )
    x_ticks = tuple(Tick(x(v), _short(v)) for v in np.linspace(low, high, 5))
    y_ticks = tuple(Tick(y(v), _short(v)) for v in (-reach, 0.0, reach))
    return Picture(
        f"{name}: draft − contour ({unit})",
        f"mean of both ({unit})",
        f"difference ({unit})",
        "",
        points,
        lines,
        (),
        x_ticks,
        y_ticks,
    )


def _short(value: float) -> str:
    """A number for an axis.

    >>> _short(-123.4), _short(0.567), _short(12.0)
    ('−123', '0.57', '12.0')
    """
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}".replace("-", "−")

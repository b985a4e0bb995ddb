"""The DVH plot and the strip of slices, as geometry for SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rtqc.core.assessment import Agreement, ConstraintResult, Curve, DoseComparison
from rtqc.core.finding import Finding
from rtqc.dosimetry import Metric

#: Inner size of the DVH plot, in SVG units.
PLOT_WIDTH, PLOT_HEIGHT = 400.0, 290.0
#: Dice of a slice from which it counts as agreeing, and below which as badly differing (docs/metrics.md).
GOOD_DICE, BAD_DICE = 0.9, 0.75


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class LimitMark:
    """A limit in the plot: a point (volume limits) or a line from bottom to top (mean dose)."""

    x: float
    y: float | None
    text: str
    exceeded: bool
    text_y: float


@dataclass(frozen=True)
class DvhPlot:
    """Everything that the DVH's SVG needs."""

    contour: str
    draft: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limits: tuple[LimitMark, ...]
    summary: str


def dvh_plot(dose: DoseComparison, constraints: Sequence[ConstraintResult]) -> DvhPlot | None:
    """Both curves in percent of the volume, with the protocol's limits; None without any curve."""
    curves = [c for c in (dose.contoured_curve, dose.draft_curve) if c is not None]
    if not curves:
        return None
    # Constraints on other structures and in other fractions have no place on the heart's physical curves.
    constraints = [c for c in constraints if not c.structure and not c.eqd2]
    limits_gy = [_dose_of(c) for c in constraints]
    top = max([c.dose_gy[-1] for c in curves] + [g for g in limits_gy if g is not None] + [1.0])
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 1e9) if top / s <= 9)
    span = float(np.ceil(top / step) * step)

    def x(gy: float) -> float:
        return round(gy / span * PLOT_WIDTH, 1)

    def y(percent: float) -> float:
        return round((1 - percent / 100) * PLOT_HEIGHT, 1)

    marks: list[LimitMark] = []
    for constraint, gy in zip(constraints, limits_gy, strict=True):
        if gy is None:
            continue
        exceeded = constraint.contoured_met is False or constraint.draft_met is False
        mean = constraint.metric == "mean_gy"
        tier = "" if constraint.tier == "acceptable" else ", ideal"
        text = f"mean ≤ {constraint.limit:g} Gy{tier}" if mean else f"V{gy:g}Gy ≤ {constraint.limit:g} %{tier}"
        # One line of text for each limit, so that neighbours do not cover each other.
        height = PLOT_HEIGHT * 0.42 + 18 * len(marks)
        marks.append(LimitMark(x(gy), None if mean else y(constraint.limit), text, exceeded, round(height, 1)))
    return DvhPlot(
        contour=_line(dose.contoured_curve, x, y),
        draft=_line(dose.draft_curve, x, y),
        x_ticks=tuple(Tick(x(v), f"{v:g}") for v in np.arange(0, span + step / 2, step)),
        y_ticks=tuple(Tick(y(v), str(v)) for v in (0, 20, 40, 60, 80, 100)),
        limits=tuple(marks),
        summary=_in_words(dose),
    )


def _dose_of(constraint: ConstraintResult) -> float | None:
    """The dose at which a constraint stands in the plot; None for one that has no place there."""
    if constraint.metric == "mean_gy":
        return constraint.limit
    metric = Metric.named(constraint.metric)
    return metric.at if metric.unit == "%" else None


def _line(curve: Curve | None, x: object, y: object) -> str:
    if curve is None or not curve.volume_ml or curve.volume_ml[0] <= 0:
        return ""
    total = curve.volume_ml[0]
    points = [(x(d), y(100 * v / total)) for d, v in zip(curve.dose_gy, curve.volume_ml, strict=True)]  # type: ignore[operator]
    return "M" + "L".join(f"{a:g} {b:g}" for a, b in points)


def _in_words(dose: DoseComparison) -> str:
    parts = []
    unit = dose.unit
    for name, metrics in (("contour", dose.contoured), ("draft", dose.draft)):
        if metrics is not None and metrics.mean_gy is not None:
            parts.append(
                f"{name}: mean {metrics.mean_gy:.2f} {unit}, V20Gy {metrics.v20_gy_percent:.1f} %, maximum {metrics.max_gy:.1f} {unit}"
            )
    return "Cumulative dose-volume histogram of the heart. " + "; ".join(parts) + "."


@dataclass(frozen=True)
class Cell:
    """One slice of the strip.

    Attributes:
        position_mm: of the slice.
        kind: ``good``, ``fair``, ``bad``, ``no-contour``, ``no-draft``.
        share: part of the cell that is filled, 0 to 1: one minus Dice.
        marked: whether a finding names this slice.
        text: what a reader hears or sees on hovering.
    """

    position_mm: float
    kind: str
    share: float
    marked: bool
    text: str


def strip(agreement: Agreement, findings: Iterable[Finding]) -> tuple[Cell, ...]:
    """One cell a slice, from inferior to superior."""
    named = {p for f in findings if f.severity != "info" for p in f.evidence.positions_mm}
    cells = []
    for s in agreement.slices:
        if s.missing:
            kind = "no-contour" if s.missing == "a" else "no-draft"
            words = "nothing contoured here" if s.missing == "a" else "the draft has nothing here"
        else:
            kind = "good" if s.dice >= GOOD_DICE else "fair" if s.dice >= BAD_DICE else "bad"
            words = f"Dice {s.dice:.2f}"
        marked = any(abs(p - s.position_mm) < 0.06 for p in named)
        cells.append(Cell(s.position_mm, kind, round(1 - s.dice, 3), marked, f"{s.position_mm:.1f} mm: {words}"))
    return tuple(cells)

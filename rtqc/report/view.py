"""Assessment -> what stands on the page: words and rounded numbers, nothing computed anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rtqc.core.assessment import Agreement, Assessment, BetweenEnds, DoseMetrics
from rtqc.core.finding import Finding
from rtqc.core.wording import sentence

#: Verdict -> word on the page, mark beside it (colour never carries meaning alone).
MARKS = {"pass": "✓", "flag": "⚑", "error": "?"}
SEVERITY_MARKS = {"fail": "✕", "warning": "!", "info": "i"}

#: Rows of the dose table: key, name after TG-263 / ICRU 83, unit, decimals.
_DOSE_ROWS: tuple[tuple[str, str, str, int], ...] = (
    ("mean_gy", "Mean dose", "Gy", 2),
    ("max_gy", "Maximum (point)", "Gy", 2),
    ("d0_03cc_gy", "D0.03cc", "Gy", 2),
    ("d2_percent_gy", "D2%", "Gy", 2),
    ("d50_percent_gy", "D50%", "Gy", 2),
    ("d98_percent_gy", "D98%", "Gy", 2),
    ("min_gy", "Minimum (point)", "Gy", 2),
    *((f"v{x}_gy_percent", f"V{x}Gy", "%", 2) for x in range(5, 45, 5)),
    ("covered_percent", "Volume inside the dose grid", "%", 1),
)
_MINUS = "−"


@dataclass(frozen=True)
class Tile:
    """A number on the first screen. ``state``: ``ok``, ``bad`` or ``open``."""

    name: str
    value: str
    limit: str
    state: str
    mark: str


@dataclass(frozen=True)
class FindingView:
    """A finding as the page shows it; ``picture``: number of its picture, ``first``: whether it is drawn here."""

    finding: Finding
    mark: str
    where: str
    measured: str
    limit: str
    picture_at: float | None = None
    picture: int | None = None
    first: bool = False


@dataclass(frozen=True)
class DoseRow:
    """A row of the dose table. ``draft_error``: how far off the draft's number may be; empty where that is not known."""

    name: str
    unit: str
    contoured: str
    draft: str
    difference: str
    second: str
    planning: str
    draft_error: str = ""


def signed(value: float | None, decimals: int = 2) -> str:
    """A difference with its sign; a true minus; what rounds to nothing has none.

    >>> signed(-1.234), signed(0.5, 1), signed(-0.001), signed(None)
    ('−1.23', '+0.5', '0.00', '–')
    """
    if value is None:
        return "–"
    text = f"{value:+.{decimals}f}"
    return text.replace("-", _MINUS) if float(text) else text[1:]


def number(value: float | None, decimals: int = 2) -> str:
    """A number, or a dash where there is none.

    >>> number(3.14159), number(-0.001), number(None)
    ('3.14', '0.00', '–')
    """
    return "–" if value is None else sentence(f"{value:.{decimals}f}").replace("-", _MINUS)


def counts(findings: Sequence[Finding]) -> str:
    """``2 fail, 1 warning``.

    >>> counts([])
    'no findings'
    """
    found = Counter(f.severity for f in findings)
    names = {"fail": ("fail", "fails"), "warning": ("warning", "warnings"), "info": ("note", "notes")}
    parts = [f"{found[key]} {names[key][found[key] > 1]}" for key in ("fail", "warning", "info") if found[key]]
    return ", ".join(parts) or "no findings"


def dose_unit(a: Assessment) -> str:
    """The unit of the assessment's doses: Gy, or Gy (RBE) of an effective dose."""
    return a.dose.unit if a.dose is not None else "Gy"


def judged_agreement(a: Assessment) -> tuple[Agreement | BetweenEnds | None, str]:
    """What the rules judged Dice and distances by, and words for it: the part between the ends where these were accepted as a habit or a school's."""
    part = a.agreement.between_ends if a.agreement is not None else None
    rules = {f.rule for f in a.findings}
    another = a.habit is not None or "agreement.upper_end_definition" in rules
    if part is None or not another or rules & {"agreement.upper_end", "agreement.lower_end"}:
        return a.agreement, ""
    return part, " between the ends"


def tiles(a: Assessment) -> list[Tile]:
    """Dice, HD95 and the change of the mean heart dose, each held against its limit; only what could be computed."""
    trusted = a.heart.draft is not None and a.heart.draft.trusted
    agreement, where = judged_agreement(a)
    result = [
        _tile(a, f"Dice{where}", agreement.dice if agreement else None, "agreement_dice", 3, "", trusted, low_is_bad=True),
        _tile(a, f"HD95{where}", agreement.hausdorff95_mm if agreement else None, "agreement_hausdorff95", 1, "mm", trusted),
    ]
    change = a.dose.difference.mean_gy if a.dose and a.dose.difference else None
    tile = _tile(
        a, "Mean heart dose, draft − contour", change, "dose_mean_difference", 2, dose_unit(a), trusted, is_signed=True
    )
    error = a.dose.draft_error.mean_gy if a.dose and a.dose.draft_error else None
    if tile is not None and tile.state == "bad" and change is not None and error is not None and abs(change) <= error:
        tile = replace(tile, limit=f"within the draft's own error of ±{number(error)} {dose_unit(a)}", state="open", mark="·")
    result.append(tile)
    if change is None and a.dose and a.dose.contoured and a.dose.contoured.mean_gy is not None:
        result.append(
            Tile(
                "Mean heart dose, contour",
                f"{number(a.dose.contoured.mean_gy)} {dose_unit(a)}",
                "no draft to compare with",
                "open",
                "",
            )
        )
    for name, heart in (("Volume, contour", a.heart.contoured), ("Volume, draft", a.heart.draft)):
        if heart is not None and heart.extent_mm is not None:
            ends = " to ".join(number(end, 1) for end in heart.extent_mm)
            result.append(Tile(name, f"{number(heart.volume_ml, 0)} ml", f"from {ends} mm", "open", ""))
    return [tile for tile in result if tile is not None]


def _tile(
    a: Assessment, name: str, value: float | None, limit_key: str, decimals: int, unit: str, judged: bool,
    *, low_is_bad: bool = False, is_signed: bool = False,
) -> Tile | None:  # fmt: skip
    limit = a.limits.get(limit_key)
    if limit is None or value is None:
        return None
    shown = signed(value, decimals) if is_signed else number(value, decimals)
    text = f"{shown} {unit}".strip()
    sign = "≥" if low_is_bad else "≤ ±" if is_signed else "≤"
    words = f"limit {sign} {limit.value:g} {unit}".strip().replace("± ", "±")
    if not judged:
        return Tile(name, text, f"{words}; not judged, the draft is not trusted", "open", "·")
    bad = value < limit.value if low_is_bad else abs(value) > limit.value
    return Tile(name, text, words, "bad" if bad else "ok", "✕" if bad else "✓")


def finding_views(a: Assessment) -> list[FindingView]:
    """Findings with the slice to show for each; a slice is drawn once, by the first finding that needs it."""
    views: list[FindingView] = []
    numbers: dict[float, int] = {}
    for f in a.findings:
        at = show_at(f, a.agreement)
        first = at is not None and at not in numbers
        if at is not None:
            numbers.setdefault(at, len(numbers) + 1)
        e = f.evidence
        views.append(
            FindingView(
                finding=f,
                mark=SEVERITY_MARKS[f.severity],
                where=_where(e.positions_mm),
                measured=_value(e.measured, e.unit),
                limit=_value(e.limit, e.unit),
                picture_at=at,
                picture=numbers[at] if at is not None else None,
                first=first,
            )
        )
    return views


def show_at(finding: Finding, agreement: Agreement | None) -> float | None:
    """The slice that shows a finding best: of those it names (or spans) the one where contour and draft differ most."""
    positions = finding.evidence.positions_mm
    if not positions:
        return None
    low, high = min(positions), max(positions)
    spans = finding.rule.endswith("_end")
    candidates = [
        s
        for s in (agreement.slices if agreement else ())
        if (low <= s.position_mm <= high if spans else s.position_mm in positions)
    ]
    if not candidates:
        return positions[len(positions) // 2]
    return max(candidates, key=lambda s: s.only_a_mm2 + s.only_b_mm2).position_mm


def worst_position(a: Assessment) -> float | None:
    """The slice for the first screen."""
    for f in a.findings:
        at = show_at(f, a.agreement) if f.severity != "info" else None
        if at is not None:
            return at
    if a.agreement and a.agreement.slices:
        return max(a.agreement.slices, key=lambda s: s.only_a_mm2 + s.only_b_mm2).position_mm
    for heart in (a.heart.contoured, a.heart.draft):
        if heart is not None and heart.extent_mm is not None:
            return (heart.extent_mm[0] + heart.extent_mm[1]) / 2
    return None


def hero_title(a: Assessment) -> str:
    """What the first picture shows."""
    if any(f.evidence.positions_mm and f.severity != "info" for f in a.findings):
        return "Worst slice"
    return "Where they differ most" if a.agreement and a.agreement.slices else "Middle slice"


def _where(positions: tuple[float, ...]) -> str:
    if not positions:
        return "whole plan"
    shown = [f"{p:.1f}".replace("-", _MINUS) for p in positions]
    if len(shown) > 3:
        return f"{shown[0]} … {shown[-1]} mm ({len(shown)} slices)"
    return ", ".join(shown) + " mm"


def _value(value: float | str | None, unit: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    text = f"{value:.4g}".replace("-", _MINUS)
    return f"{text} {unit}".strip()


def dose_rows(a: Assessment) -> list[DoseRow]:
    """The dose table; empty without any dose."""
    dose = a.dose
    if dose is None or (dose.contoured is None and dose.draft is None):
        return []

    def cell(metrics: DoseMetrics | None, key: str, decimals: int) -> str:
        return number(getattr(metrics, key) if metrics else None, decimals)

    rows = []
    for key, name, metric_unit, decimals in _DOSE_ROWS:
        unit = dose_unit(a) if metric_unit == "Gy" else metric_unit
        change = getattr(dose.difference, key) if dose.difference else None
        error = getattr(dose.draft_error, key) if dose.draft_error else None
        rows.append(
            DoseRow(
                name, unit, cell(dose.contoured, key, decimals), cell(dose.draft, key, decimals), signed(change, decimals),
                cell(dose.second_calculation, key, decimals), cell(dose.planning_system, key, decimals),
                "" if error is None else number(error, decimals),
            )
        )  # fmt: skip
    return rows

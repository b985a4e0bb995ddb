"""What the heart's measures say about what became of people: survival by calcium class, hazard ratios, and agreement with readers.

Kaplan-Meier, log-rank, Cox and Harrell's C are lifelines'; weighted kappa is statsmodels'. The intraclass correlation is
our own (:mod:`rtqc.nightly.cohort.statistics`): the library that has it is under the GPL.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rtqc.core.version import rtqc_version
from rtqc.nightly.cohort.statistics import BlandAltman, bland_altman, intraclass_correlation

#: Order of the classes; the first is what the others are held against.
CLASSES = ("0", "1-100", "101-300", ">300")
#: Measures whose hazard is per standard deviation, and what they are called.
_CONTINUOUS = {
    "heart_volume_ml": "Heart volume, per SD",
    "epicardial_fat_ml": "Epicardial fat, per SD",
    "epicardial_fat_hu": "Mean CT number of the fat, per SD",
    "mean_heart_dose_gy": "Mean heart dose, per SD",
}
#: Fewer events than this carry no model; and so many are wanted for each term (Peduzzi et al., J Clin Epidemiol 48:1503, 1995).
LEAST_EVENTS, EVENTS_A_TERM = 5, 10
#: Numbers as spreadsheets of many countries write them, and those of them that may be thousands.
_DECIMAL_COMMA, _THOUSANDS, _DECIMAL_POINT = r"[-+]?\d+,\d+", r"[-+]?[1-9]\d{0,2}(,\d{3})+", r"[-+]?\d*\.\d+"


class OutcomesError(Exception):
    """The tables do not allow it; the message says what to do."""


@dataclass(frozen=True)
class Hazard:
    """A term of a Cox model: hazard ratio with its 95 % interval."""

    term: str
    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Model:
    """A Cox model. ``c_index``: Harrell's; ``cautions``: what a reader must know; ``adjusted``: whether covariates are among its terms."""

    name: str
    terms: tuple[Hazard, ...]
    c_index: float | None
    people: int
    events: int
    cautions: tuple[str, ...] = ()
    adjusted: bool = False


@dataclass(frozen=True)
class Curve:
    """Kaplan-Meier of one class: times, survival and its 95 % interval; people and events."""

    name: str
    times: tuple[float, ...]
    survival: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    people: int
    events: int


@dataclass(frozen=True)
class Readers:
    """Agreement with a reader's Agatston scores.

    ``kappa``: linearly weighted, of the classes, with its 95 % interval; ``icc``: ICC(2,1) of log(score + 1), absolute agreement; ``table``: counts, reader's
    class by row, ours by column.
    """

    people: int
    kappa: float
    kappa_low: float
    kappa_high: float
    icc: float
    icc_low: float
    icc_high: float
    bland_altman: BlandAltman | None
    table: tuple[tuple[int, ...], ...]
    right: int


@dataclass(frozen=True)
class OutcomesReport:
    """The numbers of the page."""

    people: int
    events: int
    follow_up: float
    left_out: dict[str, int]
    curves: tuple[Curve, ...]
    logrank_p: float | None
    models: tuple[Model, ...]
    readers: Readers | None
    methods: str


def read_table(path: Path, id_column: str = "patient_id") -> Any:
    """A table as pandas has it: CSV or Parquet; identifiers stay text, whatever they look like.

    Raises:
        OutcomesError: it cannot be read.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        types = {id_column: str, "calcium_class": str}
        return pd.read_csv(path, dtype=types, sep=_separator(path), encoding="utf-8-sig", skipinitialspace=True)
    except FileNotFoundError as error:
        raise OutcomesError(f"{path} does not exist") from error
    except Exception as error:  # pandas raises many kinds on what is no table
        raise OutcomesError(f"{path} could not be read as a table ({str(error).splitlines()[0][:160]})") from error


def _separator(path: Path) -> str:
    """What separates columns, from the names of the columns: numbers below may hold commas of their own."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = file.readline()
    return next((separator for separator in (";", "\t", "|") if separator in names), ",")


def outcomes_of(
    measures: Any,
    events: Any,
    *,
    id_column: str = "patient_id",
    time: str,
    event: str,
    adjust: Sequence[str] = (),
    reader: str = "",
) -> OutcomesReport:
    """Work out everything.

    Args:
        measures: table of ``rtqc cohort measure``.
        events: table with a row a patient: identifier, time to event or end of follow-up, whether there was one (1 or 0), and covariates.
        id_column: of the events' table; that of the measures is ``patient_id``.
        time, event: columns of the events' table.
        adjust: columns of the events' table that models are adjusted for; text becomes classes.
        reader: column of the events' table with a reader's Agatston score.

    Raises:
        OutcomesError: columns that are not there, or nothing to compare.
    """
    for column in (id_column, time, event, *adjust, *([reader] if reader else [])):
        if column not in events.columns:
            raise OutcomesError(f"the table of events has no column '{column}': it has {', '.join(map(str, events.columns))}")
    for column in ("patient_id", "agatston"):
        if column not in measures.columns:
            raise OutcomesError(f"the table of measures has no column '{column}': give the one of rtqc cohort measure")
    measures, left_out = _one_a_patient(_classed(measures))
    events = events.rename(columns={id_column: "patient_id"})
    events = events.assign(patient_id=events["patient_id"].astype(str).str.strip())
    doubled = int(events["patient_id"].duplicated().sum())
    if doubled:
        raise OutcomesError(f"{doubled} patients stand more than once in the table of events: leave one row each")
    # A column that both tables have is that of the events here: a reader's "agatston" is not ours.
    names = {c: c if c not in measures.columns else f"{c} (of the events)" for c in (time, event, *adjust, reader) if c}
    time, event, adjust, reader = names[time], names[event], [names[c] for c in adjust], names.get(reader, "")
    both = measures.merge(events.rename(columns=names)[["patient_id", *names.values()]], on="patient_id", how="inner")
    left_out["measured, and not in the table of events"] = len(measures) - len(both)
    left_out["in the table of events, and not measured"] = len(events) - len(both)
    both["agatston"] = numbers_of(both["agatston"])
    given = {column: both[column] for column in (time, event)}
    for column in (time, event):
        both[column] = numbers_of(both[column])
    usable = both[time].gt(0) & both[event].isin([0, 1])
    if len(both) and not usable.any():
        raise OutcomesError(_why_unusable(both, given, time, event))
    left_out["without a time above 0 and an event of 0 or 1"] = int((~usable).sum())
    both = both[usable]
    scored = both[both["agatston"].notna()]
    left_out["without a calcium score"] = len(both) - len(scored)
    if not len(scored):
        raise OutcomesError("nobody has a calcium score and an outcome: are the identifiers the same in both tables?")
    readers = _readers(scored, reader) if reader else None
    curves, p = _curves(scored, time, event)
    models = _models(scored, time, event, adjust)
    return OutcomesReport(
        people=len(scored),
        events=int(scored[event].sum()),
        follow_up=float(scored[time].median()),
        left_out={why: count for why, count in left_out.items() if count},
        curves=curves,
        logrank_p=p,
        models=tuple(models),
        readers=readers,
        methods=_methods(scored, adjust, reader),
    )


def numbers_of(column: Any) -> Any:
    """A column's numbers; what is no number is missing.

    Raises:
        OutcomesError: a decimal comma that may be a separator of thousands, or that stands beside decimal points.
    """
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    words = column[numbers.isna() & column.notna()].astype(str).str.strip()
    commas = words[words.str.fullmatch(_DECIMAL_COMMA)]
    if not len(commas):
        return numbers
    if commas.str.fullmatch(_THOUSANDS).all():
        raise OutcomesError(
            f"column '{column.name}': '{commas.iloc[0]}' may be {commas.iloc[0].replace(',', '.')} or {commas.iloc[0].replace(',', '')}: write decimal points"
        )
    points = column[numbers.notna()].astype(str).str.strip()
    points = points[points.str.fullmatch(_DECIMAL_POINT) & ~numbers[points.index].mod(1).eq(0)]
    if len(points):
        raise OutcomesError(
            f"column '{column.name}' has decimal commas ('{commas.iloc[0]}') and decimal points ('{points.iloc[0]}'): write decimal points"
        )
    return numbers.fillna(pd.to_numeric(commas.str.replace(",", ".", regex=False)).reindex(numbers.index))


def _why_unusable(both: Any, given: dict[str, Any], time: str, event: str) -> str:
    """Why nobody of whom both tables tell can be followed."""
    for column, numbers in ((time, both[time]), (event, both[event])):
        if numbers.isna().all():
            known = given[column].dropna()
            what = f"'{known.iloc[0]}' for example" if len(known) else "nothing"
            return f"column '{column}' holds no number ({what}): give numbers"
    if both[time].eq(0).all():
        return f"all {len(both)} times in column '{time}' are 0: give the time from the scan to the event or to the end of follow-up"
    if not both[time].gt(0).any():
        return f"no time in column '{time}' is above 0: give the time from the scan to the event or to the end of follow-up"
    if not both[event].isin([0, 1]).any():
        return f"column '{event}' holds neither 0 nor 1: give 1 where there was an event, and 0 where there was none"
    return f"nobody has a time above 0 in column '{time}' and 0 or 1 in column '{event}'"


def _classed(measures: Any) -> Any:
    """With the class of each score, where the table has scores only."""
    from rtqc.cardiac import calcium_class

    if "calcium_class" in measures.columns:
        return measures
    scores = numbers_of(measures["agatston"])
    return measures.assign(agatston=scores, calcium_class=[calcium_class(v) if v >= 0 else None for v in scores])


def _one_a_patient(measures: Any) -> tuple[Any, dict[str, int]]:
    """The first scan of each patient that has a score, else his first."""
    measures = measures.assign(patient_id=measures["patient_id"].astype(str).str.strip().str.removeprefix("'"))
    order = measures.assign(_missing=measures["agatston"].isna()).sort_values("_missing", kind="stable")
    one = order.drop_duplicates("patient_id").drop(columns="_missing")
    return one, {"further scans of a patient": len(measures) - len(one)}


def _curves(table: Any, time: str, event: str) -> tuple[tuple[Curve, ...], float | None]:
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

    curves = []
    for name in CLASSES:
        part = table[table["calcium_class"] == name]
        if not len(part):
            continue
        fit = KaplanMeierFitter().fit(part[time], part[event])
        survival, interval = fit.survival_function_, fit.confidence_interval_
        curves.append(
            Curve(
                name,
                tuple(float(t) for t in survival.index),
                tuple(float(v) for v in survival.iloc[:, 0]),
                tuple(float(v) for v in interval.iloc[:, 0]),
                tuple(float(v) for v in interval.iloc[:, 1]),
                len(part),
                int(part[event].sum()),
            )
        )
    if len(curves) < 2 or not table[event].sum():
        return tuple(curves), None
    return tuple(curves), float(multivariate_logrank_test(table[time], table["calcium_class"], table[event]).p_value)


def _models(table: Any, time: str, event: str, adjust: Sequence[str]) -> list[Model]:
    import pandas as pd

    terms: dict[str, Any] = {}
    present = [c for c in CLASSES if (table["calcium_class"] == c).any()]
    if len(present) > 1:
        classes = {f"Calcium {c} against {present[0]}": (table["calcium_class"] == c).astype(float) for c in present[1:]}
        terms["Calcium class"] = pd.DataFrame(classes, index=table.index)
    terms["Calcium, log2(score + 1)"] = pd.DataFrame(
        {"Calcium, per doubling of score + 1": np.log2(table["agatston"].astype(float) + 1)}
    )
    for column, name in _CONTINUOUS.items():
        if column in table.columns:
            values = numbers_of(table[column])
            if values.notna().sum() > LEAST_EVENTS and values.std() > 0:
                terms[name.split(",")[0]] = pd.DataFrame({name: (values - values.mean()) / values.std()})
    covariates = _covariates(table, adjust)
    models = []
    for name, columns in terms.items():
        models.append(_cox(name, columns, table, time, event))
        if adjust:
            both = _cox(f"{name}, adjusted for {', '.join(adjust)}", columns.join(covariates), table, time, event)
            models.append(replace(both, adjusted=True) if both is not None else None)
    return [m for m in models if m is not None]


def _covariates(table: Any, adjust: Sequence[str]) -> Any:
    """Numbers as they are, text as classes; whoever has no value has none in any class, and is left out of the model."""
    import pandas as pd

    parts = []
    for column in adjust:
        values = table[column]
        if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
            words = values.astype("string").str.strip()
            values = values.where(words.notna() & words.ne(""))
        known, numbers = values.notna(), numbers_of(values)
        if numbers.notna().sum() >= 0.5 * known.sum():
            parts.append(numbers.rename(column))
            continue
        classes = pd.get_dummies(values[known].astype(str).str.strip(), prefix=column, drop_first=True, dtype=float)
        parts.append(classes.reindex(table.index))
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=table.index)


def _cox(name: str, columns: Any, table: Any, time: str, event: str) -> Model | None:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    data = columns.join(table[[time, event]]).dropna()
    data = data.loc[:, [c for c in data.columns if c in (time, event) or data[c].std() > 0]]
    events = int(data[event].sum())
    terms = [c for c in data.columns if c not in (time, event)]
    if events < LEAST_EVENTS or not terms:
        return None
    cautions = []
    if events < EVENTS_A_TERM * len(terms):
        cautions.append(f"{events} events for {len(terms)} terms: fewer than {EVENTS_A_TERM} a term")
    missing = len(table) - len(data)
    if missing:
        cautions.append(f"{missing} people without all values were left out")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = CoxPHFitter().fit(data, time, event)
        except (ConvergenceError, ValueError, np.linalg.LinAlgError):
            return Model(name, (), None, len(data), events, (*cautions, "the model did not converge"))
    if any("converge" in str(w.message) or "separat" in str(w.message) for w in said):
        cautions.append("a term separates events from others: its ratio is not to be trusted")
    told = [
        Hazard(
            str(t),
            float(row["exp(coef)"]),
            float(row["exp(coef) lower 95%"]),
            float(row["exp(coef) upper 95%"]),
            float(row["p"]),
        )
        for t, row in fit.summary.iterrows()
    ]
    return Model(name, tuple(told), float(fit.concordance_index_), len(data), events, tuple(cautions))


def _readers(table: Any, reader: str) -> Readers | None:
    from statsmodels.stats.inter_rater import cohens_kappa

    from rtqc.cardiac import calcium_class

    theirs = numbers_of(table[reader])
    known = theirs.notna() & theirs.ge(0)
    theirs, ours = theirs[known].astype(float), table.loc[known, "agatston"].astype(float)
    if len(theirs) < 3:
        raise OutcomesError(f"column '{reader}' has {len(theirs)} scores of people who were measured: at least 3 are needed")
    a = [CLASSES.index(calcium_class(v)) for v in theirs]
    b = [CLASSES.index(calcium_class(v)) for v in ours]
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(counts, (a, b), 1)
    kappa = cohens_kappa(counts, wt="linear")
    icc = intraclass_correlation(np.log(np.column_stack([theirs, ours]) + 1))
    return Readers(
        len(theirs), float(kappa.kappa), float(kappa.kappa_low), float(kappa.kappa_upp), icc.value, icc.low, icc.high,
        bland_altman(theirs, ours), tuple(tuple(int(v) for v in line) for line in counts), int(np.trace(counts)),
    )  # fmt: skip


def _methods(table: Any, adjust: Sequence[str], reader: str) -> str:
    models = sorted({str(m) for m in table.get("model", []) if isinstance(m, str) and m})
    hashes = sorted({str(h)[:12] for h in table.get("model_hash", []) if isinstance(h, str) and h})
    model = f" (heart model {', '.join(models)}, SHA-256 {', '.join(hashes)})" if models else ""
    adjusted = f"univariable and adjusted for {', '.join(adjust)}" if adjust else "univariable"
    text = (
        f"Coronary calcium, epicardial fat and heart volume were measured automatically with rtqc {rtqc_version()}{model}. The Agatston score was computed as "
        "defined by Agatston et al. (1990), scaled to slices of 3 mm and adapted to tube voltage; classes were 0, 1 to 100, 101 to 300 and above 300. Epicardial fat "
        "was tissue of -190 to -30 HU inside the outline of the heart. Survival was estimated by Kaplan and Meier and compared by the log-rank test; hazard ratios are "
        f"those of Cox models with Efron's method for ties, {adjusted}; discrimination is Harrell's C (lifelines {version('lifelines')})."
    )
    if reader:
        text += f" Agreement with the reader is linearly weighted kappa of the classes (statsmodels {version('statsmodels')}), ICC(2,1) of log(score + 1) (Shrout and Fleiss 1979; interval of McGraw and Wong 1996) and limits of agreement (Bland and Altman 1986)."
    return text

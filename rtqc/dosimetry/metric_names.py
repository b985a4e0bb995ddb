"""Dose metrics by the names that physicists write (TG-263, Mayo et al. 2018, and ICRU 83; from knowledge): D95%, D2cc, V20Gy, V95%.

``Dx%`` and ``Dxcc``: the dose that the hottest x percent or x ml receive at least. ``VxGy``: the volume that receives at least x Gy. ``Vx%``:
the volume that receives at least x percent of the prescription. What they are given in may stand behind: ``V20Gy[cc]``, ``D95%[%]``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from rtqc.dosimetry.dvh import DVH
from rtqc.dosimetry.metric import Metric

#: What is asked for, at what, and what it is given in; spaces are taken out and case does not matter.
_FORM = re.compile(
    r"(?P<kind>[dv])(?P<at>\d+(?:[.,]\d+)?)(?P<of>%|cgy|gy|cc|ml|cm3|cm\^3|cm³)(?:\[(?P<b>[^\]]+)\]|\((?P<p>[^)]+)\)|_?(?P<s>cc|ml|cm3|cm³|%|gy))?"
)
#: Points of the DVH that have names.
_NAMED = {
    "mean": "mean", "dmean": "mean", "avg": "mean", "max": "max", "dmax": "max", "min": "min", "dmin": "min", "median": "median",
    "dmedian": "median",
}  # fmt: skip
_VOLUMES = frozenset({"cc", "ml", "cm3", "cm^3", "cm³"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
#: Parts of the structure's volume in ml that rounding may take from it.
_ROUNDING = 1e-6


class MetricNameError(ValueError):
    """A name that is no dose metric; the message names the nearest."""


@dataclass(frozen=True)
class RequestedMetric:
    """A dose metric that a user asked for.

    Attributes:
        name: canonical: ``D95%``, ``V20Gy[cc]``, ``mean``.
        kind: ``D``: a dose at a volume, ``V``: a volume at a dose, or a named point.
        at: the number in the name; None for named points.
        of: what ``at`` is in: ``%``, ``Gy`` or ``cc``; empty for named points.
        unit: of the value: ``Gy``, ``%`` or ``ml``.
    """

    name: str
    kind: str
    at: float | None
    of: str
    unit: str

    @property
    def needs_prescription(self) -> bool:
        """Whether it is a part of the prescribed dose."""
        return (self.kind == "V" and self.of == "%") or (self.kind != "V" and self.unit == "%")

    def of_dvh(self, histogram: DVH, prescription_gy: float | None = None) -> float | None:
        """Its value.

        Args:
            histogram: of a structure.
            prescription_gy: needed where :attr:`needs_prescription`.

        Returns:
            In :attr:`unit`, rounded to 0.0001 Gy, or 0.001 % or ml; None where nothing has a dose, the prescription is not known, or the
            structure has less volume than the metric speaks of.
        """
        if histogram.is_empty or (self.needs_prescription and not prescription_gy):
            return None
        value = self._volume(histogram, prescription_gy) if self.kind == "V" else self._dose(histogram, prescription_gy)
        return None if value is None else round(value, 4 if self.unit == "Gy" else 3)

    def _volume(self, histogram: DVH, prescription_gy: float | None) -> float:
        assert self.at is not None
        gy = self.at if self.of == "Gy" else self.at / 100 * (prescription_gy or 0.0)
        percent = histogram.volume_at_dose_percent(gy)
        return percent if self.unit == "%" else percent / 100 * float(histogram.ml.sum())

    def _dose(self, histogram: DVH, prescription_gy: float | None) -> float | None:
        if self.of == "cc":
            assert self.at is not None
            if self.at > float(histogram.ml.sum()) * (1 + _ROUNDING):
                return None
            gy = histogram.dose_at_volume_gy(self.at)
        elif self.of == "%":
            assert self.at is not None
            gy = histogram.dose_at_percent_gy(self.at)
        else:
            points = {"mean": histogram.mean_gy, "max": histogram.max_gy, "min": histogram.min_gy}
            gy = points[self.kind] if self.kind in points else histogram.dose_at_percent_gy(50.0)
        return gy if self.unit == "Gy" else 100 * gy / (prescription_gy or float("nan"))


def requested_metric(name: str) -> RequestedMetric:
    """The metric of a name.

    >>> [requested_metric(n).name for n in ("d95 %", "V20Gy", "v20gy cc", "D2CC", "V95%", "Dmean", "v20_gy_percent")]
    ['D95%', 'V20Gy', 'V20Gy[cc]', 'D2cc', 'V95%', 'mean', 'V20Gy']

    Args:
        name: as physicists write it; case and spaces do not matter, a decimal comma is a point. Names of protocols (``v20_gy_percent``) too.

    Raises:
        MetricNameError: no metric has that name; the message names the nearest.
    """
    short = re.sub(r"\s+", "", name).casefold()
    point, unit = re.fullmatch(r"([a-z]+)(?:\[(gy|%)\])?", short), ""
    if point and point[1] in _NAMED:
        unit = {"gy": "Gy", "%": "%"}.get(point[2] or "gy", "Gy")
        kind = _NAMED[point[1]]
        return RequestedMetric(kind if unit == "Gy" else f"{kind}[%]", kind, None, "", unit)
    found = _FORM.fullmatch(short)
    if found is None:
        return _of_protocol(name)
    at, of, kind = float(found["at"].replace(",", ".")), found["of"], found["kind"].upper()
    if of == "cgy":
        at, of = at / 100, "gy"
    of = "cc" if of in _VOLUMES else "Gy" if of == "gy" else of
    given = found["b"] or found["p"] or found["s"] or ""
    unit = "ml" if given in _VOLUMES else {"%": "%", "gy": "Gy", "": "%" if kind == "V" else "Gy"}.get(given, "")
    if (kind == "D" and of == "Gy") or (kind == "V" and of == "cc"):
        raise MetricNameError(f"'{name}' mixes dose and volume: did you mean {_alternatives(kind, at)}?")
    if unit not in (("%", "ml") if kind == "V" else ("Gy", "%")):
        raise MetricNameError(
            f"'{name}' cannot be given in {given}: {'a volume is in % or cc' if kind == 'V' else 'a dose is in Gy or %'}"
        )
    if kind == "D" and ((of == "%" and not 0 <= at <= 100) or (of == "cc" and at <= 0)):
        raise MetricNameError(f"'{name}' asks for the dose of {at:g} {of} of a volume: give 0 to 100 %, or more than 0 cc")
    usual = "%" if kind == "V" else "Gy"
    behind = "" if unit == usual else "[cc]" if unit == "ml" else f"[{unit}]"
    return RequestedMetric(f"{kind}{at:g}{of}{behind}", kind, at, of, unit)


def _of_protocol(name: str) -> RequestedMetric:
    """A metric by the name that protocols and the JSON give it."""
    try:
        label, unit = (m := Metric.named(name.strip().casefold())).label, m.unit
    except ValueError:
        raise MetricNameError(f"there is no dose metric '{name}': did you mean {_nearest(name)}?") from None
    words = {"mean": "mean", "maximum": "max", "minimum": "min"}
    return requested_metric(words.get(label, f"{label}[cc]" if unit == "ml" else label))


def _nearest(name: str) -> str:
    """Names that could have been meant: with the number that was given, else the commonest."""
    number, first = _NUMBER.search(name), name.strip()[:1].casefold()
    if number and first in ("d", "v"):
        return _alternatives(first.upper(), float(number[0].replace(",", ".")))
    close = difflib.get_close_matches(name.strip().casefold(), sorted(_NAMED), n=1, cutoff=0.5)
    return f"'{close[0]}'" if close else "'D95%', 'D2cc', 'V20Gy', 'V95%' or 'mean'"


def _alternatives(kind: str, at: float) -> str:
    return f"'D{at:g}%' or 'D{at:g}cc'" if kind == "D" else f"'V{at:g}Gy' or 'V{at:g}%'"

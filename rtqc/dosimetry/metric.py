"""Names of dose metrics, as protocols and the JSON write them, and what they are on a DVH.

``mean_gy``, ``max_gy``, ``min_gy``; ``v20_gy_percent`` and ``v20_gy_ml``: volume that receives at least 20 Gy; ``d2_percent_gy`` and
``d0_03cc_gy``: dose that the hottest 2 % or 0.03 ml receive at least. An underscore in a number is its decimal point.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rtqc.core.assessment import DoseMetrics
from rtqc.dosimetry.dvh import DVH

_NUMBER = r"(\d+(?:_\d+)?)"
#: Pattern of a name -> its value on a DVH, its label for people, and its unit.
_KINDS: tuple[tuple[re.Pattern[str], Callable[[DVH, float], float], str, str], ...] = (
    (re.compile("mean_gy()"), lambda h, _: h.mean_gy, "mean", "Gy"),
    (re.compile("max_gy()"), lambda h, _: h.max_gy, "maximum", "Gy"),
    (re.compile("min_gy()"), lambda h, _: h.min_gy, "minimum", "Gy"),
    (re.compile(f"v{_NUMBER}_gy_percent"), lambda h, x: h.volume_at_dose_percent(x), "V{:g}Gy", "%"),
    (re.compile(f"v{_NUMBER}_gy_ml"), lambda h, x: h.volume_at_dose_percent(x) / 100 * float(h.ml.sum()), "V{:g}Gy", "ml"),
    (re.compile(f"d{_NUMBER}_percent_gy"), lambda h, x: h.dose_at_percent_gy(x), "D{:g}%", "Gy"),
    (re.compile(f"d{_NUMBER}cc_gy"), lambda h, x: h.dose_at_volume_gy(x), "D{:g}cc", "Gy"),
)
#: Examples, for a message about a name that is none.
EXAMPLES = ("mean_gy", "max_gy", "min_gy", "v20_gy_percent", "v20_gy_ml", "d2_percent_gy", "d0_03cc_gy")


@dataclass(frozen=True)
class Metric:
    """A dose metric.

    Attributes:
        name: as protocols write it.
        label: as people write it, after TG-263: ``V20Gy``, ``D0.03cc``, ``mean``.
        unit: Gy, % or ml.
        at: dose in Gy or volume in percent or ml that the name holds; None for mean, maximum and minimum.
    """

    name: str
    label: str
    unit: str
    at: float | None
    _value: Callable[[DVH, float], float]

    @classmethod
    def named(cls, name: str) -> Metric:
        """The metric of a name.

        >>> Metric.named("v1_5_gy_percent").label, Metric.named("d0_03cc_gy").at
        ('V1.5Gy', 0.03)

        Raises:
            ValueError: no metric has that name.
        """
        for pattern, value, label, unit in _KINDS:
            found = pattern.fullmatch(name)
            if found:
                at = float(found[1].replace("_", ".")) if found[1] else None
                return cls(name, label.format(at), unit, at, value)
        raise ValueError(f"there is no dose metric '{name}'")

    def of(self, histogram: DVH) -> float | None:
        """Its value, rounded as the JSON has it: 0.0001 Gy, 0.001 % or ml; None where nothing has a dose."""
        if histogram.is_empty:
            return None
        return round(self._value(histogram, self.at or 0.0), 4 if self.unit == "Gy" else 3)


#: The metrics of the JSON's dose objects.
_PUBLISHED = tuple(Metric.named(name) for name in DoseMetrics.model_fields if name != "covered_percent")


def metrics_of(histogram: DVH) -> DoseMetrics:
    """The published numbers of a DVH; all None where nothing has a dose."""
    values = {metric.name: metric.of(histogram) for metric in _PUBLISHED}
    return DoseMetrics(covered_percent=round(100 * histogram.covered_share, 2), **values)


def difference(draft: DoseMetrics, contoured: DoseMetrics) -> DoseMetrics:
    """Draft minus contoured, key by key; None where either is."""
    pairs = {k: (v, getattr(contoured, k)) for k, v in draft.model_dump().items()}
    return DoseMetrics(**{k: None if a is None or b is None else round(a - b, 4) for k, (a, b) in pairs.items()})

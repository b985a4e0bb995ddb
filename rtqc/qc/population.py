"""What hearts usually are: centre and spread of each number of a shape, of a clinic's own accepted hearts or of those that ship."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rtqc.core.assessment import Agreement, Assessment, HeartShape, Outlier, PopulationComparison
from rtqc.core.settings import load_settings

#: A clinic's own hearts take the place of those that ship when there are so many of one protocol.
LEAST_HEARTS = 50
#: Median absolute deviation to standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826
#: A number that hardly varies must not make an outlier of everybody: least spread, as a share of the centre.
_LEAST_SHARE = 0.02
#: Nobody draws closer than this from one day to the next, in mm; ends come in whole slices.
LEAST_SIGMA_MM, _LEAST_END_MM = 0.5, 1.5
_SHIFTS = ("agreement_shift_left_mm", "agreement_shift_back_mm", "agreement_shift_up_mm")
_SIDES = ("right", "left", "anterior", "posterior", "inferior", "superior")
Ends = tuple[tuple[float, float], tuple[float, float]]
_SHIPPED = Path(__file__).parent / "populations" / "shipped.toml"


class Usual(BaseModel):
    """Centre and spread (one standard deviation) of a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    centre: float
    sigma: float = Field(gt=0)


class Population(BaseModel):
    """Hearts to be held against.

    Attributes:
        name: whose.
        count: how many.
        source: where they come from.
        synthetic: how many of them are synthetic patients'.
        features: name of a number -> what is usual.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    count: int
    source: str = ""
    synthetic: int = Field(default=0, ge=0)
    features: dict[str, Usual]

    def z_scores(self, numbers: Mapping[str, float]) -> tuple[Outlier, ...]:
        """Every number's z-score, most unusual first.

        Args:
            numbers: of :func:`numbers_of`.
        """
        found = [
            Outlier(feature=name, value=round(value, 4), usual=usual.centre, z=round((value - usual.centre) / usual.sigma, 2))
            for name, value in numbers.items()
            if (usual := self.features.get(name)) is not None
        ]
        return tuple(sorted(found, key=lambda o: -abs(o.z)))

    def compare(self, numbers: Mapping[str, float]) -> PopulationComparison:
        """What is most unusual, for the report."""
        return PopulationComparison(name=self.name, count=self.count, outliers=self.z_scores(numbers)[:_MOST_OUTLIERS])


#: So many numbers are reported; rules look at all.
_MOST_OUTLIERS = 8


def numbers_of(shape: HeartShape | None, agreement: Agreement | None = None, ends_mm: Ends | None = None) -> dict[str, float]:
    """Everything about a contour that others are held against, by name.

    Args:
        shape: of the contour; areas of its profile are ``profile_1`` (lowest) to ``profile_10``.
        agreement: of the contour (A) with a draft (B) that is trusted, else None: where the contour lies from the draft. What a model always
            does a little wrong is then usual, and no error of the contour.
        ends_mm: first and last plane of contour and draft.
    """
    found: dict[str, float] = {}
    if shape is not None:
        # The median CT number tells of contrast agent, not of the contour.
        found |= {
            name: value for name, value in shape.model_dump(exclude={"profile", "median_hu"}).items() if value is not None
        }
        found |= {f"profile_{number}": value for number, value in enumerate(shape.profile, 1)}
    if agreement is not None:
        if agreement.centroid_shift_mm is not None:
            found |= dict(zip(_SHIFTS, (-v for v in agreement.centroid_shift_mm), strict=True))
        for name, distance in (
            ("agreement_mean_mm", agreement.mean_surface_distance_mm),
            ("agreement_signed_mm", agreement.signed_surface_distance_mm),
            ("agreement_hd95_mm", agreement.hausdorff95_mm),
        ):
            if distance is not None:
                found[name] = distance
        found |= {f"agreement_{r.name}_mm": r.signed_distance_mm for r in agreement.regions if r.name in _SIDES}
    if ends_mm is not None:
        (low, high), (draft_low, draft_high) = ends_mm
        found |= {"agreement_lower_end_mm": low - draft_low, "agreement_upper_end_mm": high - draft_high}
    return found


def numbers_of_assessment(a: Assessment) -> dict[str, float]:
    """The same from a finished assessment."""
    contoured, draft = a.heart.contoured, a.heart.draft
    if contoured is None:
        return {}
    trusted = draft is not None and draft.trusted
    ends = (contoured.extent_mm, draft.extent_mm) if draft is not None and contoured.extent_mm and draft.extent_mm else None
    return numbers_of(contoured.shape, a.agreement if trusted else None, ends if trusted else None)


def population_of(
    hearts: Iterable[Mapping[str, float]], name: str, source: str = "", least: int = LEAST_HEARTS
) -> Population | None:
    """What is usual among hearts; None of fewer than ``least``. Numbers that most of them lack are left out."""
    values: dict[str, list[float]] = {}
    count = 0
    for heart in hearts:
        count += 1
        for key, value in heart.items():
            values.setdefault(key, []).append(value)
    if count < least:
        return None
    features = {key: _usual(key, np.array(v)) for key, v in values.items() if len(v) >= max(least, count // 2)}
    return Population(name=name, count=count, source=source, features=features)


def _usual(key: str, values: np.ndarray) -> Usual:
    """Median, and from the median absolute deviation a standard deviation that a number which hardly varies cannot push to nothing."""
    centre = float(np.median(values))
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(values - centre)))
    least = LEAST_SIGMA_MM if key.startswith("agreement") else _LEAST_SHARE * abs(centre)
    if key.endswith("_end_mm"):
        least = _LEAST_END_MM
    return Usual(centre=round(centre, 4), sigma=round(max(sigma, least, 1e-3), 4))


@lru_cache(maxsize=1)
def shipped_population() -> Population:
    """The hearts that ship with rtqc.

    Raises:
        SettingsError: the file is damaged.
    """
    return load_settings(_SHIPPED, Population)

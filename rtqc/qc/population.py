"""What hearts usually are: centre and spread of each number of a shape, of a clinic's own accepted hearts or of those that ship."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rtqc.core.assessment import HeartShape, Outlier, PopulationComparison
from rtqc.core.settings import load_settings

#: A clinic's own hearts take the place of those that ship when there are so many of one protocol.
LEAST_HEARTS = 50
#: Median absolute deviation to standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826
#: A number that hardly varies must not make an outlier of everybody: least spread, as a share of the centre.
_LEAST_SHARE = 0.02
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
        features: name of a number -> what is usual.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    count: int
    source: str = ""
    features: dict[str, Usual]

    def compare(self, shape: HeartShape) -> PopulationComparison:
        """Every number's z-score, most unusual first."""
        found = [
            Outlier(feature=name, value=value, usual=usual.centre, z=round((value - usual.centre) / usual.sigma, 2))
            for name, value in numbers_of(shape)
            if (usual := self.features.get(name)) is not None
        ]
        return PopulationComparison(
            name=self.name, count=self.count, outliers=tuple(sorted(found, key=lambda o: -abs(o.z))[:_MOST_OUTLIERS])
        )


_MOST_OUTLIERS = 5


def numbers_of(shape: HeartShape) -> Iterator[tuple[str, float]]:
    """A shape's numbers by name; areas of the profile as ``profile_1`` (lowest) to ``profile_10``."""
    for name, value in shape.model_dump(exclude={"profile"}).items():
        if value is not None:
            yield name, value
    for number, value in enumerate(shape.profile, 1):
        yield f"profile_{number}", value


def population_of(shapes: Iterable[HeartShape], name: str, source: str = "", least: int = LEAST_HEARTS) -> Population | None:
    """What is usual among hearts; None of fewer than ``least``. Numbers that most of them lack are left out."""
    values: dict[str, list[float]] = {}
    count = 0
    for shape in shapes:
        count += 1
        for key, value in numbers_of(shape):
            values.setdefault(key, []).append(value)
    if count < least:
        return None
    features = {key: _usual(np.array(v)) for key, v in values.items() if len(v) >= max(least, count // 2)}
    return Population(name=name, count=count, source=source, features=features)


def _usual(values: np.ndarray) -> Usual:
    centre = float(np.median(values))
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(values - centre)))
    return Usual(centre=round(centre, 4), sigma=round(max(sigma, _LEAST_SHARE * abs(centre), 1e-3), 4))


@lru_cache(maxsize=1)
def shipped_population() -> Population:
    """The hearts that ship with rtqc.

    Raises:
        SettingsError: the file is damaged.
    """
    return load_settings(_SHIPPED, Population)

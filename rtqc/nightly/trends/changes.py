"""When did it change, and by how much: change points of the mean, by ruptures (Truong et al., Signal Processing 167:107299, 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtqc.nightly.trends.charts import Limits, Values

#: A level lasts at least so many plans.
LEAST_PLANS = 15
#: A change must explain so much more of the variance than chance would, in units of log(n): about 1 in 1,000 series of noise has one.
_PENALTY = 4.0


@dataclass(frozen=True)
class Change:
    """The mean changed at a plan, counted from 0, from one level to the next."""

    at: int
    before: float
    after: float

    @property
    def size(self) -> float:
        """After minus before."""
        return self.after - self.before


def changes_of(values: Values, limits: Limits) -> list[Change]:
    """Change points of the mean; values beyond the limits count as being at them."""
    if values.size < 2 * LEAST_PLANS or limits.sigma <= 0:
        return []
    import ruptures

    scaled = np.clip((values - limits.centre) / limits.sigma, -4.0, 4.0)
    # Noise as the whole series has it, so that a baseline that was too quiet does not make every step a change.
    spread = max(float(np.median(np.abs(np.diff(scaled)))) / 0.954, 1e-9)
    search = ruptures.KernelCPD(kernel="linear", min_size=LEAST_PLANS).fit((scaled / spread)[:, None])
    ends = [0, *search.predict(pen=_PENALTY * float(np.log(values.size)))]
    levels = [float(np.median(values[a:b])) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return [Change(int(at), before, after) for at, before, after in zip(ends[1:-1], levels[:-1], levels[1:], strict=True)]

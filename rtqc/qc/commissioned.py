"""What a commissioning has learned of a clinic, as a protocol carries it: where its contours lie from the draft of one model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from rtqc.qc.population import Population


class Habit(BaseModel):
    """What a clinic always does: the centre of a number, its spread, and how far a contour may lie from the centre.

    Attributes:
        median: of the clinic's accepted contours.
        low, high: 95 % interval of the median.
        deviation: robust standard deviation of a contour.
        cases: contours that it rests on.
        limit: a contour further from the median than this is flagged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    median: float
    low: float
    high: float
    deviation: float = Field(gt=0)
    cases: int = Field(ge=1)
    limit: float = Field(gt=0)


class Commissioned(BaseModel):
    """The table ``[commissioned]`` of a protocol that ``rtqc commission`` has written.

    Attributes:
        date: ISO, of the commissioning.
        rtqc_version: that made it.
        model, model_hash: whose drafts everything is measured from; with another model nothing of it holds.
        cases: accepted contours that it rests on.
        upper_end_mm, lower_end_mm: contour minus draft, positive upward; None: not enough cases, or more than one habit.
        volume_percent: contour over draft between the ends that both have, less one.
        population_file: the clinic's hearts, beside the protocol; empty: too few.
        population: what stands in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    rtqc_version: str = ""
    model: str
    model_hash: str
    cases: int = Field(ge=0)
    upper_end_mm: Habit | None = None
    lower_end_mm: Habit | None = None
    volume_percent: Habit | None = None
    population_file: str = ""
    population: Population | None = None

    @property
    def source(self) -> str:
        """Where its limits come from, for a finding."""
        return f"rtqc commission, {self.date}: {self.cases} of this clinic's accepted contours, drafts by {self.model} {self.model_hash[:12]}"

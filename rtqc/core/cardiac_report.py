"""The JSON of ``rtqc cardiac``: one scan, measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from rtqc.core.assessment import CaseSummary, DraftHeart, Run
from rtqc.core.cardiac import Calcium, CardiacImage, EpicardialFat, HeartVolume, RegionDose
from rtqc.core.finding import Finding

CARDIAC_SCHEMA_VERSION = "1.0"


class CardiacReport(BaseModel):
    """A scan, measured. ``heart_volume_ml`` repeats ``heart.volume_ml``; null means refused, and a finding says why."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    schema_version: str = CARDIAC_SCHEMA_VERSION
    case: CaseSummary
    heart_volume_ml: float | None = None
    heart: HeartVolume | None = None
    draft: DraftHeart | None = None
    epicardial_fat: EpicardialFat | None = None
    calcium: Calcium | None = None
    image: CardiacImage | None = None
    doses: tuple[RegionDose, ...] = ()
    findings: tuple[Finding, ...] = ()
    run: Run

    @property
    def status(self) -> int:
        """Exit status: 0 all measured, 1 something refused or not trusted, 2 nothing measured."""
        if self.heart is None:
            return 2
        whole = self.calcium is not None and self.epicardial_fat is not None
        return 0 if whole and self.draft is not None and self.draft.trusted else 1

"""What the heart tells besides its dose: the public JSON of ``rtqc cardiac``, and a section of the assessment.

``docs/cardiac.md`` defines each number. Null means refused or not computable; a finding says why.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Vessel = Literal["LM/LAD", "LCX", "RCA"]
#: What a calcification is taken for.
Kind = Literal[
    "coronary", "aortic root or valve", "mitral annulus", "pericardium", "outside the heart", "something else", "metal", "noise"
]
CalciumClass = Literal["0", "1-100", "101-300", ">300"]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, validate_by_alias=True, validate_by_name=True
    )


class HeartVolume(_Model):
    """Volume of the heart. ``low_ml`` to ``high_ml``: where the true volume lies if the draft's Dice is as expected; null for a drawn heart.

    ``indexed_ml_per_m2``: per body surface (Du Bois) where height and weight are in the header. ``cut_off``: sides at which it leaves the image.
    """

    volume_ml: float
    low_ml: float | None = None
    high_ml: float | None = None
    body_surface_m2: float | None = None
    indexed_ml_per_m2: float | None = None
    cut_off: tuple[str, ...] = ()


class EpicardialFat(_Model):
    """Fat inside the outline of the pericardium. ``mean_hu``: of the fat after the median filter; ``filter_mm``: the filter's width, 0 where pixels are wider.

    ``threshold_volume_ml``: the plain count of voxels of -190 to -30 HU, for comparison with other programs.
    """

    volume_ml: float
    mean_hu: float | None
    share_percent: float
    threshold_volume_ml: float
    filter_mm: float
    noise_hu: float


class Calcification(_Model):
    """A piece of at least the threshold's CT number, and what it is taken for.

    ``number`` is what ``--exclude`` and ``--include`` take. ``probability``: that it is coronary; ``vessel_probability``: of the vessel, if it is.
    ``position_mm``: middle, in patient coordinates (LPS); ``slices_mm``: of the slices that it is on.
    ``counted``: whether it is in the score; ``reader``: what a reader decided.
    """

    number: int
    kind: Kind
    vessel: Vessel | None = None
    probability: float
    vessel_probability: float | None = None
    agatston: float
    volume_mm3: float
    max_hu: float
    position_mm: tuple[float, float, float]
    slices_mm: tuple[float, ...]
    depth_mm: float
    counted: bool
    reader: Literal["excluded", "included"] | None = None


class Calcium(_Model):
    """Coronary calcium. ``class``: as in DeepCAC (Zeleznik 2021); ``cac_drs``: as in CAC-DRS (Hecht 2018), N of three vessels.

    ``threshold_hu``: 130 HU at 120 kVp, else what gives the same calcium the same weight; ``smoothed_mm``: standard deviation of the Gaussian that noise
    made necessary to look for calcium, 0 where there was none; what is scored is not smoothed. ``lesions``: what counts; ``others``: what does not.
    """

    agatston: float
    volume_mm3: float
    calcium_class: CalciumClass = Field(alias="class")
    cac_drs: str
    by_vessel: dict[Vessel, float]
    threshold_hu: float
    kvp: float | None
    noise_hu: float
    smoothed_mm: float
    averaged_slices: int = 1
    lesions: tuple[Calcification, ...] = ()
    others: tuple[Calcification, ...] = ()


class RegionDose(_Model):
    """Mean dose to a region that nobody drew: derived from the draft and approximate."""

    name: str
    about: str
    volume_ml: float
    mean_gy: float


class CardiacImage(_Model):
    """The series that was measured. ``blood_hu``: median inside the heart; ``noise_hu``: standard deviation of the noise there."""

    series_uid: str = ""
    description: str = ""
    kernel: str = ""
    kvp: float | None = None
    slice_spacing_mm: float
    pixel_mm: float
    blood_hu: float | None = None
    noise_hu: float | None = None
    contrast: bool | None = None


class Cardiac(_Model):
    """Volume, fat and calcium of a heart, and the dose to what is calcified where there is one."""

    heart: HeartVolume | None = None
    epicardial_fat: EpicardialFat | None = None
    calcium: Calcium | None = None
    image: CardiacImage | None = None
    doses: tuple[RegionDose, ...] = ()

    @property
    def heart_volume_ml(self) -> float | None:
        """Volume of the heart, in ml."""
        return self.heart.volume_ml if self.heart is not None else None

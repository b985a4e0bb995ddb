"""A heart and a CT: volume, epicardial fat, coronary calcium."""

from rtqc.cardiac.agatston import agatston, cac_drs, calcium_class, calcium_volume, voltage_factor
from rtqc.cardiac.blood import noise_of
from rtqc.cardiac.calcium import Lesion
from rtqc.cardiac.measure import Heart, Measured, measure
from rtqc.cardiac.notes import CARDIAC_RULES, cardiac_note
from rtqc.cardiac.region import Region

__all__ = [
    "CARDIAC_RULES",
    "Heart",
    "Lesion",
    "Measured",
    "Region",
    "agatston",
    "cac_drs",
    "calcium_class",
    "calcium_volume",
    "cardiac_note",
    "measure",
    "noise_of",
    "voltage_factor",
]

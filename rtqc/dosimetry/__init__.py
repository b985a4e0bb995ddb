"""A structure and a dose: DVH, heart metrics, constraints, and an independent second calculation."""

from rtqc.dosimetry.both import AlphaBeta, BothHearts, organ_dose, organ_doses
from rtqc.dosimetry.constraints import FULL_COVERAGE, OrganDose, evaluate
from rtqc.dosimetry.draft_error import MovedDoses, MovedSurface, SurfaceBand, moved_doses
from rtqc.dosimetry.dvh import DVH, dvh
from rtqc.dosimetry.fractionation import converted_dose_gy
from rtqc.dosimetry.meaning import grown_means, relative_risk, slice_contributions
from rtqc.dosimetry.metric import EXAMPLES, Metric, difference, metrics_of
from rtqc.dosimetry.planning import planning_metrics
from rtqc.dosimetry.second_check import second_calculation

__all__ = [
    "DVH",
    "EXAMPLES",
    "FULL_COVERAGE",
    "AlphaBeta",
    "BothHearts",
    "Metric",
    "MovedDoses",
    "MovedSurface",
    "OrganDose",
    "SurfaceBand",
    "converted_dose_gy",
    "difference",
    "dvh",
    "evaluate",
    "grown_means",
    "metrics_of",
    "moved_doses",
    "organ_dose",
    "organ_doses",
    "planning_metrics",
    "relative_risk",
    "second_calculation",
    "slice_contributions",
]

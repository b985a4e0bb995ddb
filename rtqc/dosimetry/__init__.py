"""A structure and a dose: DVH, heart metrics, constraints, and an independent second calculation."""

from rtqc.dosimetry.both import AlphaBeta, BothHearts, organ_dose, organ_doses
from rtqc.dosimetry.constraints import FULL_COVERAGE, OrganDose, evaluate
from rtqc.dosimetry.course import DoseOfPlan, course_dose, course_draft_errors, in_fractions
from rtqc.dosimetry.draft_error import MovedDoses, MovedSurface, SurfaceBand, moved_doses, moved_surface
from rtqc.dosimetry.dvh import DVH, dvh
from rtqc.dosimetry.fractionation import (
    converted_dose_gy,
    dose_type_of,
    dose_unit_of,
    eqd2_fractions,
    why_no_eqd2,
    why_no_linear_quadratic,
)
from rtqc.dosimetry.meaning import grown_means, relative_risk, slice_contributions
from rtqc.dosimetry.metric import EXAMPLES, Metric, difference, metrics_of
from rtqc.dosimetry.metric_names import MetricNameError, RequestedMetric, requested_metric
from rtqc.dosimetry.planning import mean_tolerance_gy, planning_metrics, trapezoid_volume_ml, volume_agrees
from rtqc.dosimetry.second_check import second_calculation

__all__ = [
    "DVH",
    "EXAMPLES",
    "FULL_COVERAGE",
    "AlphaBeta",
    "BothHearts",
    "DoseOfPlan",
    "Metric",
    "MetricNameError",
    "MovedDoses",
    "MovedSurface",
    "OrganDose",
    "RequestedMetric",
    "SurfaceBand",
    "converted_dose_gy",
    "course_dose",
    "course_draft_errors",
    "difference",
    "dose_type_of",
    "dose_unit_of",
    "dvh",
    "eqd2_fractions",
    "evaluate",
    "grown_means",
    "in_fractions",
    "mean_tolerance_gy",
    "metrics_of",
    "moved_doses",
    "moved_surface",
    "organ_dose",
    "organ_doses",
    "planning_metrics",
    "relative_risk",
    "requested_metric",
    "second_calculation",
    "slice_contributions",
    "trapezoid_volume_ml",
    "volume_agrees",
    "why_no_eqd2",
    "why_no_linear_quadratic",
]

"""A structure and a dose: DVH, heart metrics, constraints, and an independent second calculation."""

from rtqc.dosimetry.both import AlphaBeta, BothHearts, organ_dose, organ_doses
from rtqc.dosimetry.constraints import OrganDose, evaluate
from rtqc.dosimetry.dvh import DVH, dvh
from rtqc.dosimetry.meaning import grown_means, relative_risk, slice_contributions
from rtqc.dosimetry.metric import EXAMPLES, Metric, difference, metrics_of
from rtqc.dosimetry.metric_names import MetricNameError, RequestedMetric, requested_metric
from rtqc.dosimetry.planning import planning_metrics, trapezoid_volume_ml
from rtqc.dosimetry.second_check import second_calculation

__all__ = [
    "DVH",
    "EXAMPLES",
    "AlphaBeta",
    "BothHearts",
    "Metric",
    "MetricNameError",
    "OrganDose",
    "RequestedMetric",
    "difference",
    "dvh",
    "evaluate",
    "grown_means",
    "metrics_of",
    "organ_dose",
    "organ_doses",
    "planning_metrics",
    "relative_risk",
    "requested_metric",
    "second_calculation",
    "slice_contributions",
    "trapezoid_volume_ml",
]

"""Synthetic patients with known truth and planted errors, for the demo, the tests and the training.

Everything is a formula (:mod:`~rtqc.phantom.anatomy`, :mod:`~rtqc.phantom.beams`); files are written like a clinic's.
"""

from rtqc.phantom import anatomy_errors, contour_errors, course_errors, dose_errors, plan_errors  # they register themselves
from rtqc.phantom.anatomy import Anatomy
from rtqc.phantom.beams import Tangents, tangential_dose, tangents_for
from rtqc.phantom.errors import PLANTED, PlantedError, plant
from rtqc.phantom.plan import Resolution, SyntheticPlan, synthetic_plan, with_target, write_plan

__all__ = [
    "PLANTED",
    "Anatomy",
    "PlantedError",
    "Resolution",
    "SyntheticPlan",
    "Tangents",
    "anatomy_errors",
    "contour_errors",
    "course_errors",
    "dose_errors",
    "plan_errors",
    "plant",
    "synthetic_plan",
    "tangential_dose",
    "tangents_for",
    "with_target",
    "write_plan",
]

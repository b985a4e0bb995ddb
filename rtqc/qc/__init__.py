"""Rules that turn measurements into findings, the protocols that hold their thresholds, and the verdict.

``RULES`` is the whole catalogue; importing this room registers every rule.
"""

from rtqc.qc import (
    agreement_rules,
    anatomy_rules,
    approval_rules,
    cardiac_rules,
    constraint_rules,
    contour_rules,
    course_rules,
    dose_grid_rules,
    dose_level_rules,
    dose_rules,
    dose_type_rules,
    organ_rules,
    plan_rules,
    population_rules,
    respiration_rules,
    side_rules,
    substructure_rules,
)
from rtqc.qc.applicable import applicable_constraints
from rtqc.qc.choice import Choice, choose_protocol, named_choice
from rtqc.qc.course import Judging, assess_course
from rtqc.qc.course_choice import choice_within_course
from rtqc.qc.image import image_summary
from rtqc.qc.measurements import Measurements
from rtqc.qc.population import LEAST_HEARTS, Population, numbers_of_assessment, population_of, shipped_population
from rtqc.qc.protocol import CONTOUR_PROTOCOL, DEFAULT_PROTOCOL, Protocol, ProtocolError, list_protocols, load_protocol
from rtqc.qc.rule import RULES, rule_ids, run_rules, with_severities
from rtqc.qc.structure_findings import structure_findings
from rtqc.qc.undone import UNDONE_RULES, undone, undone_finding
from rtqc.qc.verdict import checked_parts, coverage_words, headline_of, in_scope, verdict_of, verdict_words

__all__ = [
    "CONTOUR_PROTOCOL",
    "DEFAULT_PROTOCOL",
    "LEAST_HEARTS",
    "RULES",
    "UNDONE_RULES",
    "Choice",
    "Judging",
    "Measurements",
    "Population",
    "Protocol",
    "ProtocolError",
    "agreement_rules",
    "anatomy_rules",
    "applicable_constraints",
    "approval_rules",
    "assess_course",
    "cardiac_rules",
    "checked_parts",
    "choice_within_course",
    "choose_protocol",
    "constraint_rules",
    "contour_rules",
    "course_rules",
    "coverage_words",
    "dose_grid_rules",
    "dose_level_rules",
    "dose_rules",
    "dose_type_rules",
    "headline_of",
    "image_summary",
    "in_scope",
    "list_protocols",
    "load_protocol",
    "named_choice",
    "numbers_of_assessment",
    "organ_rules",
    "plan_rules",
    "population_of",
    "population_rules",
    "respiration_rules",
    "rule_ids",
    "run_rules",
    "shipped_population",
    "side_rules",
    "structure_findings",
    "substructure_rules",
    "undone",
    "undone_finding",
    "verdict_of",
    "verdict_words",
    "with_severities",
]

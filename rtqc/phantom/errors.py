"""The catalogue of planted errors: what clinics get wrong, each by name, with a magnitude, and the rule that must notice.

A planted error changes the files of a clean plan and nothing else, so whatever rtqc then says, it says about the error.
The errors themselves stand in :mod:`~rtqc.phantom.contour_errors` and :mod:`~rtqc.phantom.plan_errors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtqc.phantom.plan import SyntheticPlan

Change = Callable[[SyntheticPlan, float], SyntheticPlan]


@dataclass(frozen=True)
class PlantedError:
    """An entry of the catalogue.

    Attributes:
        name: what it is called.
        about: what went wrong, in a sentence.
        rule: id of the rule that must notice.
        magnitude: how large it is by default.
        unit: of the magnitude.
        plant: the change.
        changes_ct: whether the image differs from the clean plan's.
        adds_plans: whether there are several plans in the folder.
    """

    name: str
    about: str
    rule: str
    magnitude: float
    unit: str
    plant: Change
    changes_ct: bool = False
    adds_plans: bool = False


PLANTED: dict[str, PlantedError] = {}


def plant(plan: SyntheticPlan, name: str, magnitude: float | None = None) -> SyntheticPlan:
    """A plan with an error of the catalogue in it.

    Args:
        plan: a clean plan.
        name: a key of :data:`PLANTED`.
        magnitude: in the entry's unit; None: its default.

    Raises:
        KeyError: there is no such error; the message lists all.
    """
    if name not in PLANTED:
        raise KeyError(f"there is no planted error '{name}': give one of {', '.join(PLANTED)}")
    entry = PLANTED[name]
    return entry.plant(plan, entry.magnitude if magnitude is None else magnitude)


def planted(
    rule: str, magnitude: float, unit: str, about: str, *, changes_ct: bool = False, adds_plans: bool = False
) -> Callable[[Change], Change]:
    """Register a function of plan and magnitude under its own name."""

    def register(change: Change) -> Change:
        name = change.__name__.strip("_")
        PLANTED[name] = PlantedError(name, about, rule, magnitude, unit, change, changes_ct, adds_plans)
        return change

    return register

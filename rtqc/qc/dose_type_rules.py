"""Rules about what a dose is a dose of: physical or effective, of photons, ions or sources, and of which outline."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.wording import counted
from rtqc.dosimetry import trapezoid_volume_ml, volume_agrees
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule


def _is_ion(m: Measurements) -> bool:
    return m.case.plan is not None and m.case.plan.kind == "ion"


@rule(
    "dose.effective", "warning", "fact", "The dose is EFFECTIVE: corrected for a biological effect, though no ions are planned."
)
def dose_effective(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Dose Type EFFECTIVE without an ion plan: nobody knows what was corrected, and limits are for physical dose."""
    if m.case.dose is not None and m.case.dose_attributes.dose_type == "EFFECTIVE" and not _is_ion(m):
        yield Hit(
            "The dose is EFFECTIVE (DoseType), not physical: all doses here are Gy (RBE), limits are for physical dose, and no doses in fractions of 2 Gy are made from it. Export the PHYSICAL dose.",
            measured="EFFECTIVE",
        )


@rule("dose.rbe_weighted", "info", "fact", "The dose of the ion plan is weighted with the relative biological effectiveness.")
def dose_rbe_weighted(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Dose Type EFFECTIVE of an ion plan, as it is usual."""
    if m.case.dose is not None and m.case.dose_attributes.dose_type == "EFFECTIVE" and _is_ion(m):
        yield Hit(
            "The ion plan's dose is EFFECTIVE (DoseType): all doses here are Gy (RBE), with the relative biological effectiveness that the planning system applied.",
            measured="EFFECTIVE",
        )


@rule(
    "dose.ion_physical", "warning", "fact", "The dose of the ion plan is physical, without a relative biological effectiveness."
)
def dose_ion_physical(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Dose Type PHYSICAL (or none) of an ion plan: limits are for RBE-weighted dose, 1.1 times as much for protons."""
    if m.case.dose is not None and m.case.dose_attributes.dose_type != "EFFECTIVE" and _is_ion(m):
        stated = m.case.dose_attributes.dose_type or "absent"
        yield Hit(
            f"The ion plan's dose is not RBE-weighted (DoseType {stated}), but prescription and limits of ions are: heart doses look lower than they count. Export the EFFECTIVE dose.",
            measured=stated,
        )


@rule("plan.brachytherapy", "warning", "fact", "The plan holds brachytherapy, for which there are no heart limits.")
def brachytherapy(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Application setups: the protocols' limits were made for external beams."""
    plan = m.case.plan
    if plan is not None and plan.application_setups:
        count = len({s.number for s in plan.application_setups})
        kind = f" ({plan.brachy_type})" if plan.brachy_type else ""
        yield Hit(
            f"The plan has brachytherapy{kind} with {counted(count, 'application setup')}. The protocols' dose limits are for external beams, so none was judged: judge the heart dose yourself.",
            measured=float(count),
        )


@rule(
    "dose.planning_system_volume",
    "warning",
    "fact",
    "The planning system's DVH in the RTDOSE is that of a heart of another volume.",
)
def planning_system_volume(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The DVH Sequence's volume against the contour's, by our convention and the planning systems'."""
    stated = m.case.planning_dvhs.get(m.roi.number) if m.roi is not None else None
    if stated is None or m.heart is None or stated.volume_ml is None or volume_agrees(stated, m.heart):
        return
    trapezoids = trapezoid_volume_ml(m.heart)
    yield Hit(
        f"The planning system calculated its DVH for a heart of {stated.volume_ml:.1f} ml, but the contour has {m.heart.volume_ml:.1f} ml ({trapezoids:.1f} ml by trapezoids): the contour was changed afterwards. Calculate it again.",
        measured=stated.volume_ml,
        structures=(m.heart.name,),
    )

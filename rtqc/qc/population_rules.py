"""Rules about a heart that is unlike the others of its kind. They need no draft, and so see what a draft gets wrong in the same way."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.qc.ends import judged_end
from rtqc.qc.measurements import Measurements
from rtqc.qc.population import shipped_population
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule

#: Number -> in words, and its unit.
_WORDS: dict[str, tuple[str, str]] = {
    "volume_ml": ("volume", "ml"),
    "length_mm": ("length from the lower to the upper end", "mm"),
    "width_mm": ("width", "mm"),
    "depth_mm": ("depth from front to back", "mm"),
    "surface_to_volume_per_cm": ("surface for its volume", "per cm"),
    "leftward_percent": ("place from right to left between the lungs", "%"),
    "backward_percent": ("place from front to back between the lungs", "%"),
    "upward_percent": ("height within the lungs", "%"),
    "below_carina_mm": ("upper end below the carina", "mm"),
    "agreement_shift_left_mm": ("place to the left of the draft's", "mm"),
    "agreement_shift_back_mm": ("place behind the draft's", "mm"),
    "agreement_shift_up_mm": ("place above the draft's", "mm"),
    "agreement_mean_mm": ("mean surface distance to the draft", "mm"),
    "agreement_signed_mm": ("surface outside the draft's on average", "mm"),
    "agreement_hd95_mm": ("95th percentile of the distance to the draft", "mm"),
    "agreement_right_mm": ("right side outside the draft", "mm"),
    "agreement_left_mm": ("left side outside the draft", "mm"),
    "agreement_anterior_mm": ("front outside the draft", "mm"),
    "agreement_posterior_mm": ("back outside the draft", "mm"),
    "agreement_inferior_mm": ("lower side outside the draft", "mm"),
    "agreement_superior_mm": ("upper side outside the draft", "mm"),
    "agreement_lower_end_mm": ("lower end above the draft's", "mm"),
    "agreement_upper_end_mm": ("upper end above the draft's", "mm"),
    "low_hu": ("5th percentile of the CT numbers inside", "HU"),
}


#: Numbers against the draft that a clinic's habit at the ends says nothing about, and those that no end changes much.
_OF_THE_REST = tuple(n for n in _WORDS if n.startswith("agreement") and not n.endswith("_end_mm"))
_NOT_OF_ENDS = tuple(
    f"agreement_{n}_mm" for n in ("shift_left", "right", "left", "anterior", "posterior", "inferior", "lower_end")
)
#: Those that neither end changes much.
_OF_NO_END = tuple(n for n in _NOT_OF_ENDS if n not in ("agreement_inferior_mm", "agreement_lower_end_mm"))


def _hits(m: Measurements, limits: Limits, names: tuple[str, ...], low_only: bool = False) -> Iterable[Hit]:
    limit = limits.population_z.value
    found = [o for o in m.z_scores if o.feature.startswith(names) and (-o.z if low_only else abs(o.z)) > limit]
    if not found or m.population is None or m.heart is None:
        return
    worst = found[0]
    words, unit = _WORDS[worst.feature] if worst.feature in _WORDS else (_part(worst.feature), "")
    side = "more" if worst.z > 0 else "less"
    made = f" ({m.population.synthetic} of them synthetic)" if m.population.synthetic else ""
    yield Hit(
        f"{m.heart.name} is unlike the {m.population.count} hearts{made} of {m.population.name}: its {words} is {worst.value:.4g} {unit}".rstrip()
        + f", {side} than the usual {worst.usual:.4g} by {abs(worst.z):.1f} standard deviations.",
        measured=abs(worst.z),
        limit=limits.population_z,
        structures=(m.heart.name,),
    )


def _part(feature: str) -> str:
    number = int(feature.rpartition("_")[2])
    return f"cross-section in tenth {number} of its length, counted from below, of the mean one"


@rule("population.size", "warning", "estimate", "Volume or a diameter is unlike other hearts'.")
def size(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Volume, length, width, depth."""
    return _hits(m, limits, ("volume", "length", "width", "depth"))


@rule("population.place", "warning", "estimate", "The heart lies elsewhere between the lungs than other hearts do.")
def place(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Centroid against the lungs, upper end against the carina."""
    return _hits(m, limits, ("leftward", "backward", "upward", "below_carina"))


@rule("population.form", "warning", "estimate", "The heart has another form than other hearts.")
def form(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Surface to volume, area profile."""
    return _hits(m, limits, ("surface", "profile"))


@rule("population.density", "warning", "estimate", "More of what is inside the contour is fat or lung than in other hearts.")
def density(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The low end of the CT numbers; their median tells of contrast agent, not of the contour."""
    return _hits(m, limits, ("low_hu",), low_only=True)


@rule(
    "population.agreement",
    "warning",
    "estimate",
    "The contour lies otherwise from the draft than this clinic's contours do.",
    "trusted_draft",
)
def agreement(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Place, distances, sides and ends, against the draft: what the model always does is usual, what one contour does is not.

    Where the clinic's habit is known the ends are judged by it; where another school's upper end is accepted, what follows from it is no outlier.
    Nor is what follows from the clinic's habit, where the hearts at hand are not the clinic's own.
    """
    end = judged_end(m, limits, "upper")
    if end is not None and end.is_another_school:
        return _hits(m, limits, _NOT_OF_ENDS)
    if m.commissioned is not None:
        return _hits(m, limits, _OF_NO_END if m.population == shipped_population() else _OF_THE_REST)
    return _hits(m, limits, ("agreement",))

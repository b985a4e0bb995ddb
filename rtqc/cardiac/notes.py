"""Why a number of the heart is refused, or needs a word: the findings of this room, in one table."""

from __future__ import annotations

from rtqc.core.finding import Certainty, Evidence, Finding

#: Rule -> certainty and what it means. All are of severity info: they do not decide about a plan.
CARDIAC_RULES: dict[str, tuple[Certainty, str]] = {
    "cardiac.no_heart": ("estimate", "No heart was found, so nothing is measured in it."),
    "cardiac.untrusted_heart": ("estimate", "The draft is not trusted, so what is measured in it is not either."),
    "cardiac.heart_cut_off": ("estimate", "A part of the heart is not in the image: its numbers are those of the rest."),
    "cardiac.contrast": ("estimate", "There is contrast agent in the heart: calcium and fat are refused."),
    "cardiac.derived_image": ("fact", "The image is a projection, a localizer or not in HU: it is refused."),
    "cardiac.kvp_absent": ("fact", "The tube voltage is not said: 120 kV is assumed."),
    "cardiac.kvp_adapted": ("fact", "The tube voltage is not 120 kV: the calcium thresholds were changed for it."),
    "cardiac.kvp_unusual": ("fact", "Calcium is not scored outside 70 to 150 kV."),
    "cardiac.noise": ("estimate", "Noise reaches the calcium threshold: calcium was looked for in a smoothed image."),
    "cardiac.noise_too_high": ("estimate", "Noise is too high to tell calcium from it: the score is refused."),
    "cardiac.slice_gaps": ("fact", "Slices are thinner than their distance, or missing: the score stands for what is between them."),
    "cardiac.coarse_pixels": ("fact", "Pixels are nearly as wide as a coronary: the score is rough."),
    "cardiac.thick_slices": ("fact", "Slices are thicker than calcium can be told from blood in: the score is refused."),
    "cardiac.metal": ("estimate", "There is metal in or near the heart; what lies around it is not counted."),
    "cardiac.series_chosen": ("fact", "There are several reconstructions: the one that suits calcium best was taken."),
    "cardiac.reader": ("fact", "A reader took lesions out of the score or put them in."),
}  # fmt: skip


def cardiac_note(
    rule: str,
    message: str,
    *,
    measured: float | str | None = None,
    limit: float | str | None = None,
    unit: str = "",
    source: str = "",
) -> Finding:
    """A finding of this room.

    Raises:
        KeyError: there is no such rule.
    """
    certainty, _ = CARDIAC_RULES[rule]
    evidence = Evidence(measured=measured, limit=limit, unit=unit, source=source)
    return Finding(rule=rule, severity="info", certainty=certainty, message=message, evidence=evidence)

"""Conditions of acceptance, each with where it comes from. A clinic may hold itself to others: they are said in the report, not hidden."""

from __future__ import annotations

import numpy as np

from rtqc.nightly.commissioning.limits import LEAST_CASES
from rtqc.nightly.commissioning.result import CommissioningReport, Criterion
from rtqc.qc.protocol import Limits

#: Ends whose medians lie nearer than this are one habit: two planning slices of 5 mm.
HABITS_APART_MM = 10.0
#: Largest half width of the 95 % interval of an end's median, in mm: one slice of 5 mm, the thickest that a heart may be contoured on.
_PRECISE_MM = 5.0
_MOST_UNTRUSTED_PERCENT, _LEAST_DICE, _MOST_FLAGGED_PERCENT = 20.0, 0.90, 10.0


def criteria_of(r: CommissioningReport, limits: Limits) -> tuple[Criterion, ...]:
    """Every condition, met or not."""
    n = len(r.cases)
    enough = n >= LEAST_CASES
    dice = [c.dice for c in r.cases]
    median = float(np.median(dice)) if dice else None
    most_gy = limits.dose_mean_difference.value
    ends = [h for h in (r.upper_end_habit, r.lower_end_habit) if h is not None]
    half = max(((h.high - h.low) / 2 for h in ends), default=None)
    bias = r.mean_dose
    return (
        Criterion(
            id="cases", about="Enough contours", measured=f"{n} with a trusted draft", wanted=f"at least {LEAST_CASES}", met=enough,
            source="ten cases tell the ends' medians to about 1.25 x 2.26 / sqrt(10) of their spread (docs/commissioning.md); thirty are better",
        ),
        Criterion(
            id="untrusted", about="Few drafts that rtqc itself does not trust",
            measured=f"{r.untrusted.percent:.0f} % ({r.untrusted.low_percent:.0f} to {r.untrusted.high_percent:.0f} %)",
            wanted=f"at most {_MOST_UNTRUSTED_PERCENT:.0f} %", met=r.untrusted.percent <= _MOST_UNTRUSTED_PERCENT if r.untrusted.count else None,
            source="15 to 18 % of good drafts are marked so (README); more means that these CTs are unlike those that the model learned from",
        ),
        Criterion(
            id="dice", about="Drafts agree with accepted contours between the ends", measured="–" if median is None else f"median Dice {median:.3f}",
            wanted=f"median at least {_LEAST_DICE:.2f}", met=median >= _LEAST_DICE if median is not None and enough else None,
            source="two human observers reach about 0.94 (README); the failure limit of the clinical study is 0.85 (Zeleznik et al., npj Digit Med 4:43, 2021)",
        ),
        Criterion(
            id="mean_dose", about="Mean heart dose without a bias that matters",
            measured="no doses" if bias is None else f"{bias.bias:+.2f} Gy ({bias.bias_low:+.2f} to {bias.bias_high:+.2f} Gy)",
            wanted=f"the interval within ±{most_gy:g} Gy",
            met=max(abs(bias.bias_low), abs(bias.bias_high)) <= most_gy if bias is not None and enough else None, source=limits.dose_mean_difference.source,
        ),
        Criterion(
            id="one_habit", about="One habit at each end",
            measured="two at the " + " and the ".join(h.end for h in r.two_habits) + " end" if r.two_habits else "one" if enough else "not known",
            wanted="one", met=not r.two_habits if enough else None, source="a median of two habits is nobody's end",
        ),
        Criterion(
            id="precision", about="The ends' medians are known to a slice", measured="–" if half is None or len(ends) < 2 else f"±{half:.1f} mm",
            wanted=f"±{_PRECISE_MM:g} mm", met=half <= _PRECISE_MM if half is not None and len(ends) == 2 else None,
            source="slices above 5 mm are too thick for a heart's ends (Feng et al., IJROBP 79:10, 2011)",
        ),
        Criterion(
            id="false_flags", about="Few accepted contours flagged with the limits proposed",
            measured=f"{r.flagged_with_proposal.percent:.0f} % ({r.flagged_with_proposal.low_percent:.0f} to {r.flagged_with_proposal.high_percent:.0f} %)",
            wanted=f"at most {_MOST_FLAGGED_PERCENT:.0f} %",
            met=r.flagged_with_proposal.percent <= _MOST_FLAGGED_PERCENT if enough else None,
            source="a second opinion that flags more is switched off; 8 % of untouched hearts are flagged as shipped (docs/validation.md)",
        ),
    )  # fmt: skip

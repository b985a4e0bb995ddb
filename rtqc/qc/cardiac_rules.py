"""What the heart's calcium means beside its dose."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule


@rule(
    "cardiac.calcium_and_dose",
    "info",
    "estimate",
    "Coronary calcium is above 300 (Agatston), and the mean heart dose exceeds a limit of the protocol.",
    needs="trusted_draft",
)
def calcium_and_dose(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Whoever has much calcium has most to lose by a heart dose (Gal et al., JAMA Oncol 7:1024, 2021: cardiovascular events by calcium on planning CTs of breast patients)."""
    calcium = m.cardiac.calcium if m.cardiac is not None else None
    if calcium is None or calcium.calcium_class != ">300":
        return
    # Of the two limits of a mean the higher one that is exceeded says most.
    for constraint in sorted(m.constraints, key=lambda c: -c.limit):
        value = constraint.contoured if constraint.contoured is not None else constraint.draft
        if constraint.structure or constraint.metric != "mean_gy" or value is None or value <= constraint.limit:
            continue
        yield Hit(
            f"Coronary calcium is {calcium.agatston:.0f} (Agatston, class {calcium.calcium_class}), and the mean heart dose of {value:.2f} Gy exceeds {constraint.limit:g} {constraint.unit}: this patient has most to lose by it.",
            measured=round(value, 2),
        )
        return

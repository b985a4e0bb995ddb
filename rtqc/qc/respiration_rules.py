"""Rules about respiration: what the CT shows of it, and whether the heart was drawn on that CT."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.respiration_words import respiration_of_text
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule

#: Part of an ROI's contours on images of another series from which it was drawn on that series; less are slices that are missing here.
_MOST = 0.5


@rule("respiration.projection", "warning", "fact", "The planning CT is a maximum or minimum intensity projection of a 4D CT.")
def projection(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """MIP shows the heart too large and MinIP too small; doses on either are wrong (from knowledge: averages and phases are for dose, MIP for the internal target)."""
    respiration = m.case.acquisition.respiration
    words = {"maximum": ("maximum (MIP)", "too large"), "minimum": ("minimum (MinIP)", "too small")}.get(respiration.kind)
    if words is not None:
        yield Hit(
            f"The CT is the {words[0]} of a 4D CT ({respiration.source}): the heart looks {words[1]} on it, and doses on it are wrong. Contour and plan on the average.",
            measured=respiration.source,
        )


@rule("respiration.state", "info", "fact", "The planning CT is an average or a phase of a 4D CT, or a breath hold.")
def state(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What the contour is the outline of."""
    respiration = m.case.acquisition.respiration
    percent = respiration.phase_percent
    sentence = {
        "average": "The CT is the average of a 4D CT ({}): the heart's outline on it is blurred by respiration.",
        "phase": f"The CT is {'one phase' if percent is None else f'the phase at {percent:g} %'} of a 4D CT ({{}}): heart and dose are those of this phase.",
        "breath_hold": "The CT was taken in breath hold ({}): heart dose holds for treatment in breath hold.",
    }.get(respiration.kind)
    if sentence is not None:
        yield Hit(sentence.format(respiration.source), measured=respiration.kind)


@rule("respiration.contradiction", "warning", "fact", "Plan and CT contradict each other about breath hold.")
def contradiction(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """A plan called after a breath hold on a CT of free breathing, or the other way round."""
    plan, respiration = m.case.plan, m.case.acquisition.respiration
    if plan is None or not respiration.kind:
        return
    said = next(
        (r for r in map(respiration_of_text, (plan.label, plan.description)) if r.kind in ("breath_hold", "free")), None
    )
    if said is None or (said.kind == "breath_hold") == (respiration.kind == "breath_hold"):
        return
    words = {"breath_hold": "breath hold", "free": "free breathing", "phase": "a phase of a 4D CT"}
    shown = words.get(respiration.kind, "a projection of a 4D CT")
    yield Hit(
        f"The plan '{said.source}' is for {words[said.kind]}, its CT shows {shown} ({respiration.source}): check that it is the right CT.",
        measured=respiration.kind,
    )


@rule("respiration.other_series", "warning", "fact", "The heart was drawn on images of another series than the planning CT.")
def other_series(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Contour Image Sequence of the heart against the slices of the CT.

    Silent where no ROI names this CT: then the whole structure set is of another one, which reading has said, or UIDs were replaced.
    """
    shares = m.case.contours_on_other_images
    if m.roi is None or shares.get(m.roi.number, 0.0) <= _MOST or all(s > _MOST for s in shares.values()):
        return
    percent = 100 * shares[m.roi.number]
    yield Hit(
        f"{percent:.0f} % of the contours of {m.roi.structure.name} refer to images of another series than this CT, perhaps another phase of respiration: redraw it on the planning CT.",
        measured=percent,
        structures=(m.roi.structure.name,),
    )

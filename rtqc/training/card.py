"""The model card: what the model is for, what it learned from, how it did on patients that it had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rtqc.core import Agreement
from rtqc.heart import Draft
from rtqc.training.calibrate import BAD_DICE, Reliability
from rtqc.training.curate import Patient, SetAside
from rtqc.training.settings import Settings

_CARD = """# {name}

Draws the heart (TG-263 `Heart`, as the people drew it whom the model learned from) on a CT of the chest, with or without contrast
agent. A draft to edit, and a second opinion to check a contour against; not cleared as a medical device.

## How well it does on patients that it has not seen
{validation}

## How well it knows
{confidence}

## What it learned from
- {real} plans with a contoured heart: {names}.
- {synthetic}
{aside}
{attribution}

## How
A 3D U-Net of {base} channels at full resolution, {spacing:g} mm voxels, crops of {patch}³, intensity windows {windows} HU, instance
norm, cross-entropy plus Dice with deep supervision, AdamW {rate:g} with polynomial decay, averaged weights (decay {average:g}),
{iterations} updates. Augmentation: rotation, scale, elastic, the heart alone, contrast, liver, effusion, metal, cut
field of view, thick slices, blur, noise
(`rtqc/training/augment.py`). Seed {seed}.

## Limits
- It knows what it has seen: expect failures on anatomy unlike that of the {real} plans (pectus, situs inversus, large masses).
- It draws outlines for {spacing:g} mm voxels: coronary arteries, chambers and thin pericardium are not resolved.
- It ends where the people ended whom it learned from; the atlas for breast plans begins the heart just inferior to the left pulmonary
  artery (Feng et al., IJROBP 79, 10, 2011). Its ends are as uncertain as the table says.
- Simulated, never seen: contrast agent, metal, pleural effusion, other sizes of body, cut fields. Neither seen nor simulated: implants,
  pneumonectomy, pericardial effusion, congenital heart disease, children under about 25 kg.
- A clinic commissions it on its own plans before it relies on it (docs/commissioning.md).
"""


class Result(Protocol):
    """A patient drafted by a model that has not seen him."""

    @property
    def patient(self) -> Patient: ...
    @property
    def draft(self) -> Draft: ...
    @property
    def agreement(self) -> Agreement: ...


def card_text(
    settings: Settings,
    results: Sequence[Result],
    aside: Sequence[SetAside],
    attribution: str,
    first_seed: int,
    names: Sequence[str] = (),
    reliability: Reliability | None = None,
) -> str:
    """The card of a model and its study.

    Args:
        settings: the recipe.
        results: of the cross-validation; empty where there was none.
        aside: cases that were not learned from, with reasons.
        attribution: of the data.
        first_seed: of the synthetic patients.
        names: of the plans; by default those of the results.
        reliability: of the confidence; None where it was not calibrated.
    """
    names = list(names) or [r.patient.name for r in results]
    last = first_seed + settings.synthetic - 1
    made = (
        f"{settings.synthetic} synthetic patients of `rtqc.phantom` (seeds {first_seed} to {last}): formulas, no patient data."
    )
    return _CARD.format(
        name=settings.name,
        validation=_validation(settings, results),
        confidence=_confidence(reliability),
        real=len(names),
        names=", ".join(names) or "none",
        synthetic=made if settings.synthetic else "No synthetic patients.",
        aside="".join(f"- Set aside: {s.name}. {s.reasons[0]}\n" for s in aside),
        attribution=attribution,
        base=settings.base,
        spacing=settings.spacing_mm,
        patch=settings.patch,
        windows=" and ".join(f"{low:g} to {high:g}" for low, high in settings.windows),
        rate=settings.learning_rate,
        average=settings.average,
        iterations=settings.iterations,
        seed=settings.seed,
    )


def _confidence(r: Reliability | None) -> str:
    if r is None:
        return "The predicted Dice is the model's own estimate; it was not calibrated on cases with known truth."
    across = ""
    if r.across is not None:
        across = (
            f" Fitted on synthetic cases only and judged on real ones, and the other way round: {r.across.caught:.0%} of the bad ones and\n"
            f"{r.across.false_alarms:.0%} of the good ones, rank correlation {r.across.correlation:.2f}."
        )
    return (
        f"Its predicted Dice was fitted on {r.cases} difficult cases (`rtqc/training/stress.py`: noise, blur, wrong HU, contrast agent, thick\n"
        "and missing slices, cut and small fields, metal, effusion, tilt, other sizes, mirrored, bent, masses, hernia, stomach), each drafted by a model that had not\n"
        f"seen its patient; {r.bad} of the drafts have a true Dice under {BAD_DICE:g}. Judged on patients and kinds of\ndifficulty that were both left out of the fit: rank correlation with "
        f"the true Dice {r.correlation:.2f}; {r.caught:.0%} of the bad drafts are marked as not to be trusted, and {r.false_alarms:.0%} of the good ones; the\n"
        f"predicted Dice is {r.mean_error:.2f} off on average. Form and limit of the confidence were chosen on these same cases: expect a little worse."
        + across
    )


def _validation(settings: Settings, results: Sequence[Result]) -> str:
    if not results:
        return "Not known: there were fewer than two patients, so none could be left out. Do not rely on this model."
    dice = np.array([r.agreement.dice for r in results])
    expected = np.array([r.draft.predicted_dice for r in results])
    updates = settings.fold_iterations or settings.iterations
    return "\n".join([
        f"Each patient was drafted by a model that had seen the others only (cross-validation by patient, {updates} updates each; the",
        f"model in this folder has seen all of them and had {settings.iterations}).",
        "",
        table(results),
        "",
        f"Ends: draft minus human, positive is higher. Dice: mean {dice.mean():.3f}, median {np.median(dice):.3f}, worst {dice.min():.3f}. Two human observers agree",
        "at about 0.94 (Zeleznik et al., Nat Commun 2021). The expected Dice is what rtqc says of a draft; here it is on average "
        f"{expected.mean() - dice.mean():+.2f} off.",
    ])  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """The cross-validation table in Markdown."""
    rows = [
        "| patient | Dice | HD95 (mm) | mean surface distance (mm) | volume, human / draft (ml) | upper end (mm) | lower end (mm) | expected Dice |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        a, human, drawn = r.agreement, r.patient.heart, r.draft.structure
        if drawn.is_empty:
            rows.append(f"| {r.patient.name} | 0.000 | – | – | {human.volume_ml:.0f} / 0 | – | – | 0.00 |")
            continue
        ends = (drawn.positions_mm[-1] - human.positions_mm[-1], drawn.positions_mm[0] - human.positions_mm[0])
        rows.append(
            f"| {r.patient.name} | {a.dice:.3f} | {a.hausdorff95_mm:.1f} | {a.mean_surface_distance_mm:.2f} | "
            f"{human.volume_ml:.0f} / {drawn.volume_ml:.0f} | {ends[0]:+.0f} | {ends[1]:+.0f} | {r.draft.predicted_dice:.2f} |"
        )
    return "\n".join(rows)

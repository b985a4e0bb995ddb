"""The model card: what the model is for, what it learned from, how it did on patients that it had not seen."""

from __future__ import annotations

from rtqc.training.settings import Settings
from rtqc.training.study import ATTRIBUTION, LeftOut, loo_table

_CARD = """# {name}

Draws the heart (TG-263 `Heart`, pericardial outline with the roots of the great vessels as the radiologists of the training
data drew it) on a CT of the chest, with or without contrast agent. A draft to edit, and a second opinion to check a
contour against; not cleared as a medical device.

## How well it does on patients that it has not seen
Leave one out: each patient was drafted by a model trained on the other {others} and {synthetic} synthetic patients, with the same
recipe and {fold_iterations} updates. The shipped model has seen all of them and was trained for {iterations}.

{table}

Ends: draft minus human, positive is higher. Mean Dice {mean:.3f}. Two human observers agree at about 0.94 (Zeleznik et al. 2021).
The expected Dice is the model's own estimate; on these patients it is {optimism:+.2f} above what was measured.

## What it learned from
- {real} non-contrast chest CTs with hearts drawn by cardiovascular radiologists, 3 mm voxels. {attribution}
- {synthetic} synthetic patients of `rtqc.phantom` (seeds {first} to {last}): formulas, no patient data.

## How
A 3D U-Net of {base} channels at full resolution, {spacing:g} mm voxels, crops of {patch}³, intensity windows {windows} HU, instance
norm, cross-entropy plus Dice with deep supervision, AdamW {rate:g} with polynomial decay, averaged weights (decay {average:g}).
Augmentation: rotation, scale, elastic, contrast, cut field of view, thick slices, blur, noise (`rtqc/training/augment.py`).
`make model` repeats it; the seed is {seed}.

## Limits
- {real} real hearts are few: expect failures on anatomy unlike theirs (children, pectus, pneumonectomy, situs inversus, devices).
- Planning CTs with contrast agent were simulated, not seen. Upper and lower end are uncertain by up to 15 mm.
- It draws outlines for 4 mm voxels: coronary arteries, chambers and thin pericardium are not resolved.
- A clinic commissions it on its own plans before it relies on it (docs/commissioning.md).
"""


def card_text(settings: Settings, fold_iterations: int, results: list[LeftOut], first_seed: int) -> str:
    """The card of a model and its study."""
    dice = [r.agreement.dice for r in results]
    expected = [r.draft.predicted_dice for r in results]
    return _CARD.format(
        name=settings.name,
        others=len(results) - 1,
        synthetic=settings.synthetic,
        fold_iterations=fold_iterations,
        iterations=settings.iterations,
        table=loo_table(results),
        mean=sum(dice) / len(dice),
        optimism=sum(e - d for e, d in zip(expected, dice, strict=True)) / len(dice),
        real=len(results),
        attribution=ATTRIBUTION,
        first=first_seed,
        last=first_seed + settings.synthetic - 1,
        base=settings.base,
        spacing=settings.spacing_mm,
        patch=settings.patch,
        windows=" and ".join(f"{low:g} to {high:g}" for low, high in settings.windows),
        rate=settings.learning_rate,
        average=settings.average,
        seed=settings.seed,
    )

"""What a draft's signs say about its Dice, before anyone has drawn the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtqc.heart.chest import lung_share
from rtqc.heart.ends import LEAST_DEVIATION_MM, End, Ends
from rtqc.heart.looks import Found
from rtqc.heart.manifest import Calibration

Volume = NDArray[np.float32]

#: Names of the signs, in this order in a calibration.
SIGNS = (
    "probabilities",
    "first_look",
    "close_looks",
    "lung_around",
    "alien_inside",
    "surface",
    "size",
    "upper_end",
    "lower_end",
)
#: Blood with or without contrast agent, muscle and pericardial fat lie between these (HU); what does not is no heart.
_HEART_HU = (-250.0, 700.0)
#: A heart's usual volume, in ml (ICRP 89: 620 and 840 g with blood, about 585 and 790 ml; the real hearts of the training data: 660 to 920).
_USUAL_ML = 700.0


def signs_of(
    found: Found, piece: NDArray[np.bool_], hu: Volume, lungs: NDArray[np.bool_], surface_mm: float, ends: Ends | None = None
) -> dict[str, float]:
    """The signs of a draft; each grows with the Dice to be expected.

    Args:
        found: what the model saw.
        piece: the voxels that became the draft, shape ``found.grid.shape``.
        hu: on the same grid.
        lungs: on the same grid.
        surface_mm: mean uncertainty of the surface.
        ends: where the draft ends.
    """
    looks = [one > 0 for one in found.looks]
    inside = hu[piece]
    volume = float(piece.sum() * found.grid.voxel_volumes_ml[0])
    return {
        "probabilities": logit(expected_dice(found.logits)),
        "first_look": logit(_overlap(looks[0], piece) if looks else 1.0),
        "close_looks": logit(_overlap(looks[1], looks[2]) if len(looks) > 2 else 1.0),
        "lung_around": min(lung_share(piece, lungs, found.grid.slice_spacing_mm), 0.5),
        "alien_inside": -float(((inside < _HEART_HU[0]) | (inside > _HEART_HU[1])).mean()) if inside.size else -1.0,
        "surface": -float(np.log(max(surface_mm, 0.1))),
        "size": -float(abs(np.log(max(volume, 1.0) / _USUAL_ML))),
        "upper_end": _surety(ends.upper if ends else None),
        "lower_end": _surety(ends.lower if ends else None),
    }


def _surety(end: End | None) -> float:
    """Of an end that the image cuts off nothing is to be feared."""
    return -float(np.log(end.deviation_mm)) if end is not None else -float(np.log(LEAST_DEVIATION_MM[0]))


def expected_dice(logits: Volume) -> float:
    """The Dice that a model's probabilities expect of its own outline."""
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    inside = logits > 0
    return float(2 * probability[inside].sum() / max(float(probability.sum() + inside.sum()), 1e-6))


def predicted_dice(signs: Mapping[str, float], calibration: Calibration | None) -> float:
    """The Dice to be expected, 0 to 1.

    Without a calibration the model's own probabilities and the agreement of its looks are taken at their word.
    """
    if calibration is None:
        own = 1 / (1 + np.exp(-signs["probabilities"]))
        agreed = 1 / (1 + np.exp(-signs["first_look"]))
        return round(float(min(own, 0.5 + agreed / 2)), 3)
    # Beyond what the fit has seen nothing is concluded from more of the same.
    values = np.array([np.clip(signs[n], *limits) for n, limits in zip(calibration.signs, calibration.ranges, strict=True)])
    return round(float(1 / (1 + np.exp(-np.dot([*values, *values**2, 1.0], calibration.weights)))), 3)


def logit(share: float) -> float:
    """Of a share of 0 to 1, limited to 6.2 (0.2 % and 99.8 %)."""
    limited = min(max(share, 0.002), 0.998)
    return float(np.log(limited / (1 - limited)))


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(int(a.sum() + b.sum()), 1))

"""Heart volume, with how sure it is."""

from __future__ import annotations

from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import HeartVolume


def heart_volume(
    volume_ml: float, expected_dice: float | None, cut_off: tuple[str, ...], acquisition: Acquisition
) -> HeartVolume:
    """Volume and its interval.

    Two volumes a and b overlap by no more than the smaller of them, so a Dice of D means that b / a lies between D / (2 - D) and its reciprocal: if the
    draft's Dice is as expected, the true volume cannot lie outside ``low_ml`` to ``high_ml``.

    Args:
        volume_ml: of the outline, in ml.
        expected_dice: of a draft against a human's contour; None for a contour that somebody drew.
        cut_off: sides at which the heart leaves the image.
        acquisition: carries height and weight.
    """
    ratio = expected_dice / (2 - expected_dice) if expected_dice else None
    surface = body_surface_m2(acquisition.height_m, acquisition.weight_kg)
    return HeartVolume(
        volume_ml=round(volume_ml, 1),
        low_ml=round(volume_ml * ratio, 1) if ratio else None,
        high_ml=round(volume_ml / ratio, 1) if ratio else None,
        body_surface_m2=round(surface, 3) if surface else None,
        indexed_ml_per_m2=round(volume_ml / surface, 1) if surface and not cut_off else None,
        cut_off=cut_off,
    )


def body_surface_m2(height_m: float | None, weight_kg: float | None) -> float | None:
    """Body surface in m² after D. Du Bois and E. F. Du Bois, Arch Intern Med 17:863, 1916.

    >>> round(body_surface_m2(1.70, 70.0), 3)
    1.81
    """
    if not height_m or not weight_kg:
        return None
    return float(0.007184 * weight_kg**0.425 * (100 * height_m) ** 0.725)

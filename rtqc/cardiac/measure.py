"""A heart and a CT -> volume, epicardial fat and coronary calcium, or why not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rtqc.cardiac.blood import blood_of
from rtqc.cardiac.calcium import Lesion, score_calcium
from rtqc.cardiac.doses import region_doses
from rtqc.cardiac.epicardial_fat import epicardial_fat
from rtqc.cardiac.notes import cardiac_note
from rtqc.cardiac.region import Region, region_of
from rtqc.cardiac.volume import heart_volume
from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import Cardiac, CardiacImage
from rtqc.core.finding import Finding
from rtqc.core.repeatable import repeatable
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image

#: Values of Image Type that no longer are CT numbers of single places.
_PROJECTIONS = frozenset({"LOCALIZER", "MIP", "MINIP", "AVERAGE", "MAX", "MIN", "PROJECTION IMAGE", "VRT", "SSD", "MNIP"})
#: Rescale types that are Hounsfield units; empty means so for CT.
_HOUNSFIELD = frozenset({"", "HU", "US"})


@dataclass(frozen=True)
class Heart:
    """What is measured in.

    Attributes:
        outline: of the heart.
        expected_dice: of a draft; None for a contour that somebody drew.
        trusted: whether the outline may be relied on.
        doubts: why not.
        cut_off: sides at which it leaves the image.
    """

    outline: Structure
    expected_dice: float | None = None
    trusted: bool = True
    doubts: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """The public result, and what pictures are made of; ``region`` is None where nothing was measured."""

    cardiac: Cardiac
    findings: tuple[Finding, ...]
    region: Region | None = None
    lesions: tuple[Lesion, ...] = ()


@repeatable
def measure(
    image: Image,
    heart: Heart,
    acquisition: Acquisition = Acquisition(),
    *,
    dose: Dose | None = None,
    series_uid: str = "",
    excluded: Collection[int] = (),
    included: Collection[int] = (),
) -> Measured:
    """Measure everything.

    Args:
        image: a CT, in HU.
        heart: where its heart is.
        acquisition: of the CT.
        dose: in Gy; None where there is none.
        series_uid: of the CT.
        excluded, included: numbers of calcifications that a reader takes out or puts in.
    """
    refused = _why_not(acquisition)
    region = region_of(image, heart.outline) if not heart.outline.is_empty else None
    told = CardiacImage(
        series_uid=series_uid, description=acquisition.description, kernel=acquisition.kernel, kvp=acquisition.kvp,
        slice_spacing_mm=round(image.grid.slice_spacing_mm, 3), pixel_mm=round(image.grid.spacing_mm[1], 4),
    )  # fmt: skip
    if refused is not None:
        return Measured(Cardiac(image=told), (refused,))
    if region is None:
        why = f": {heart.doubts[0]}" if heart.doubts else ""
        return Measured(
            Cardiac(image=told), (cardiac_note("cardiac.no_heart", f"No heart was found{why}. Nothing was measured."),)
        )
    findings = _about_heart(heart)
    volume = heart_volume(heart.outline.volume_ml, heart.expected_dice, heart.cut_off, acquisition)
    blood = blood_of(region)
    told = told.model_copy(update={"blood_hu": blood.hu, "noise_hu": blood.noise_hu, "contrast": blood.contrast})
    if blood.contrast:
        named = f" ({acquisition.contrast_agent})" if acquisition.contrast_agent else ""
        message = f"There is contrast agent{named} in the heart (blood {blood.hu:.0f} HU, {100 * blood.bright_share:.0f} % of the core brighter than blood is without): calcium cannot be told from it, and fat is measured 20 to 30 % too small, so neither was measured."
        source = "Xu et al., BMC Cardiovasc Disord 22:483, 2022: fat volume -28 % in the arterial and -18 % in the venous phase"
        findings.append(cardiac_note("cardiac.contrast", message, measured=blood.hu, unit="HU", source=source))
        return Measured(Cardiac(heart=volume, image=told), tuple(findings), region)
    fat = epicardial_fat(region, blood)
    score = score_calcium(region, blood, acquisition, excluded, included)
    doses = region_doses(region, score.lesions, dose) if dose is not None else ()
    cardiac = Cardiac(heart=volume, epicardial_fat=fat, calcium=score.calcium, image=told, doses=doses)
    return Measured(cardiac, (*findings, *score.findings), region, score.lesions)


def _why_not(acquisition: Acquisition) -> Finding | None:
    projected = [v for v in acquisition.image_type if v in _PROJECTIONS]
    if projected:
        return cardiac_note("cardiac.derived_image", f"The image is a {projected[0]}, not a stack of slices: nothing was measured.", measured="\\".join(acquisition.image_type))  # fmt: skip
    if acquisition.rescale_type.upper() not in _HOUNSFIELD:
        return cardiac_note("cardiac.derived_image", f"The image's values are {acquisition.rescale_type}, not HU: nothing was measured.", measured=acquisition.rescale_type)  # fmt: skip
    return None


def _about_heart(heart: Heart) -> list[Finding]:
    findings = []
    if not heart.trusted:
        why = f" ({heart.doubts[0]})" if heart.doubts else ""
        findings.append(
            cardiac_note(
                "cardiac.untrusted_heart",
                f"The draft of the heart is not trusted{why}: neither are the numbers measured in it.",
            )
        )
    if heart.cut_off:
        message = f"The heart leaves the image ({', '.join(heart.cut_off)}): its volume, fat and calcium are those of the part that is there."
        findings.append(cardiac_note("cardiac.heart_cut_off", message, measured=", ".join(heart.cut_off)))
    return findings

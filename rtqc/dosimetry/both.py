"""Heart dose with the contour and with the draft, and what the difference means: everything that the report says of dose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from rtqc.core.assessment import DoseComparison, DoseMetrics, Eqd2, RelativeRisk, SliceDose
from rtqc.core.case import Case, Roi
from rtqc.core.structure import Structure
from rtqc.core.substructures import resolved
from rtqc.dosimetry.constraints import FULL_COVERAGE, ConstraintLike, OrganDose
from rtqc.dosimetry.draft_error import MovedDoses, SurfaceBand, moved_doses
from rtqc.dosimetry.dvh import DVH, Floats, dvh
from rtqc.dosimetry.fractionation import dose_type_of, eqd2_fractions
from rtqc.dosimetry.meaning import grown_means, relative_risk, slice_contributions
from rtqc.dosimetry.metric import Metric, difference, metrics_of
from rtqc.dosimetry.planning import planning_metrics
from rtqc.dosimetry.second_check import second_calculation

#: Slabs that differ by more are of an image whose spacing changes, in mm; less is the rounding of headers.
_UNEVEN_MM = 0.1


@dataclass(frozen=True)
class AlphaBeta:
    """Of a tissue: in Gy, and who says so."""

    gy: float
    source: str


def organ_dose(case: Case, structure: Structure | None, alpha_beta: AlphaBeta) -> OrganDose:
    """A structure's dose, physical and in fractions of 2 Gy as far as the plan lets it be told."""
    if case.dose is None or structure is None:
        return OrganDose()
    physical = dvh(structure, case.dose)
    fractions = eqd2_fractions(case)
    return OrganDose(physical, physical.eqd2(fractions, alpha_beta.gy) if fractions else None)


def organ_doses(case: Case, names: Iterable[str], alpha_beta: AlphaBeta) -> dict[str, OrganDose]:
    """Doses of the case's structures by the names that a protocol has for them; of those that are there.

    Args:
        case: as read.
        names: of ROIs; a substructure of the heart is found by any of its spellings (:mod:`rtqc.core.substructures`).
        alpha_beta: of the heart.
    """
    structures = case.structures
    found = {name: resolved(name, structures) for name in set(names) if name}
    return {name: organ_dose(case, structures[there], alpha_beta) for name, there in found.items() if there is not None}


@dataclass(frozen=True, eq=False)
class BothHearts:
    """The contoured heart and the draft, as far as they are there, with their doses.

    Attributes:
        case: as read.
        roi: the ROI that was taken as the heart.
        heart, draft: regions; None where absent or empty.
        heart_dose, draft_dose: of them.
        alpha_beta: of the heart.
        moved: the draft's doses with its surface moved within its band; None where the band or the dose is unknown.
    """

    case: Case
    roi: Roi | None
    heart: Structure | None
    draft: Structure | None
    heart_dose: OrganDose
    draft_dose: OrganDose
    alpha_beta: AlphaBeta
    moved: MovedDoses | None = None

    @classmethod
    def of(
        cls,
        case: Case,
        roi: Roi | None,
        heart: Structure | None,
        draft: Structure | None,
        alpha_beta: AlphaBeta,
        band: SurfaceBand | None = None,
    ) -> BothHearts:
        """With both doses computed, and how far off the draft's may be, given how sure its surface is."""
        own, drafted = organ_dose(case, heart, alpha_beta), organ_dose(case, draft, alpha_beta)
        moved = None
        if band is not None and draft is not None and case.dose is not None and drafted.physical is not None:
            moved = moved_doses(draft, case.dose, drafted.physical, band)
        return cls(case, roi, heart, draft, own, drafted, alpha_beta, moved)

    def draft_errors(self, constraints: Iterable[ConstraintLike]) -> dict[str, float]:
        """How far off the draft's value of each of the heart's constraints may be (95 % level), by the constraint's id.

        Constraints whose error is not known are left out.
        """
        if self.moved is None:
            return {}
        errors = {}
        for c in constraints:
            if c.structure or (c.eqd2 and self.draft_dose.eqd2 is None):
                continue
            error = self.moved.error(Metric.named(c.metric), self._in_eqd2 if c.eqd2 else None)
            if error is not None:
                errors[c.id] = error
        return errors

    def _in_eqd2(self, gy: Floats) -> Floats:
        """Doses in fractions of 2 Gy, as the draft's DVH has them."""
        fractions = eqd2_fractions(self.case)
        assert fractions
        assert self.draft_dose.physical is not None
        return replace(self.draft_dose.physical, gy=gy).eqd2(fractions, self.alpha_beta.gy).gy

    def comparison(self, second_check: bool = True, breast_of_a_woman: bool = False) -> DoseComparison | None:
        """Everything that is said of dose; None without a dose or any heart.

        Args:
            second_check: whether dicompyler-core computes the contour's dose too.
            breast_of_a_woman: whether a woman's breast is treated: only then is a coronary risk known for a mean heart dose.
        """
        case, heart = self.case, self.heart
        if case.dose is None or (heart is None and self.draft is None):
            return None
        histograms = (self.heart_dose.physical, self.draft_dose.physical)
        metrics = [metrics_of(h) if h is not None else None for h in histograms]
        curves = [h.curve() if h is not None and not h.is_empty else None for h in histograms]
        change = _change(*metrics)
        own = histograms[0]
        stated = case.planning_dvhs.get(self.roi.number) if self.roi is not None else None
        return DoseComparison(
            dose_type=dose_type_of(case),
            contoured=metrics[0],
            draft=metrics[1],
            difference=change,
            draft_error=self.moved.metrics() if self.moved is not None else None,
            second_calculation=self._second() if second_check else None,
            planning_system=planning_metrics(stated) if stated is not None and heart is not None else None,
            eqd2=self._eqd2(),
            sensitivity=grown_means(heart, case.dose, own) if heart is not None and own is not None else (),
            relative_risk=_risk(*metrics) if breast_of_a_woman else None,
            slices=self._slices(*histograms),
            contoured_curve=curves[0],
            draft_curve=curves[1],
        )

    def _second(self) -> DoseMetrics | None:
        files = self.case.provenance
        if self.roi is None or self.heart is None or not files.structure_set_path or len(files.dose_paths) != 1:
            return None
        # It takes every plane as thick as the thinnest: where they differ its mean is known to be wrong.
        if np.ptp(self.heart.thickness_mm) > _UNEVEN_MM or _drawn_otherwise(self.roi):
            return None
        return second_calculation(files.structure_set_path, files.dose_paths[0], self.roi.number)

    def _slices(self, own: DVH | None, drafted: DVH | None) -> tuple[SliceDose, ...]:
        heart, draft = self.heart, self.draft
        if heart is None or draft is None or own is None or drafted is None or heart.orientation != draft.orientation:
            return ()
        return slice_contributions(own, drafted, heart)

    def _eqd2(self) -> Eqd2 | None:
        """None where the plan does not say its fractions."""
        metrics = [metrics_of(d.eqd2) if d.eqd2 is not None else None for d in (self.heart_dose, self.draft_dose)]
        fractions = eqd2_fractions(self.case)
        if not fractions or metrics == [None, None]:
            return None
        return Eqd2(
            fractions=fractions,
            alpha_beta_gy=self.alpha_beta.gy,
            source=self.alpha_beta.source,
            contoured=metrics[0],
            draft=metrics[1],
            difference=_change(*metrics),
        )


def _drawn_otherwise(roi: Roi) -> bool:
    """Whether dicompyler-core takes another region from an ROI's contours than rtqc.

    It fills open and damaged contours too, combines all of a height by exclusive or, so that a copy is a hole, and takes each height as a plane.
    """
    return any(
        d.dropped or d.kind in ("repeated", "across", "tangled") or (d.kind == "moved_to_slice" and d.offset_mm > _UNEVEN_MM)
        for d in roi.defects
    )


def _change(contoured: DoseMetrics | None, drafted: DoseMetrics | None) -> DoseMetrics | None:
    return difference(drafted, contoured) if contoured is not None and drafted is not None else None


def _risk(contoured: DoseMetrics | None, drafted: DoseMetrics | None) -> RelativeRisk | None:
    """None where a part of either heart has no dose: the mean of the rest is not the heart's."""
    if contoured is None or drafted is None or not all(_is_covered(m) for m in (contoured, drafted)):
        return None
    return relative_risk(contoured.mean_gy, drafted.mean_gy)


def _is_covered(metrics: DoseMetrics) -> bool:
    return metrics.covered_percent is not None and metrics.covered_percent >= 100 * FULL_COVERAGE

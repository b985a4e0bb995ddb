"""Case -> Assessment: the one place where the steps are put in order."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rtqc.cardiac import Heart as MeasuredHeart
from rtqc.cardiac import Measured, measure
from rtqc.comparison import between_ends, compare
from rtqc.core.assessment import (
    Agreement,
    Assessment,
    CaseSummary,
    ContouredHeart,
    DraftEnd,
    DraftHeart,
    HabitUsed,
    Hearts,
    LimitUsed,
    PrescribedDose,
    Run,
    Scope,
)
from rtqc.core.case import Case, DoseAttributes, Roi
from rtqc.core.finding import Finding, worst_first
from rtqc.core.names import find_hearts, heart_score
from rtqc.core.repeatable import repeatable
from rtqc.core.structure import Structure
from rtqc.core.version import rtqc_version
from rtqc.dicom import DrawnBy, Writing, append_rtstruct
from rtqc.dicom import write_rtstruct as write_structure
from rtqc.dosimetry import AlphaBeta, BothHearts, SurfaceBand, evaluate, organ_doses
from rtqc.heart import DEFAULT_MODEL, Device, Draft, Engine, ModelError, draft_with, load_model
from rtqc.heart.ends import End, UpperEnd
from rtqc.heart.uncertainty import LOWER_END_SD_MM, UPPER_END_SD_MM
from rtqc.qc import (
    CONTOUR_PROTOCOL,
    Choice,
    Judging,
    Measurements,
    Population,
    Protocol,
    applicable_constraints,
    assess_course,
    checked_parts,
    choice_within_course,
    choose_protocol,
    headline_of,
    image_summary,
    in_scope,
    load_protocol,
    named_choice,
    run_rules,
    shipped_population,
    undone_finding,
    verdict_of,
    with_severities,
)

#: Packages whose versions decide about numbers.
_VERSIONS_OF = ("pydicom", "numpy", "scipy", "scikit-image", "shapely", "dicompyler-core")


#: What a plan's findings say of the draft already.
_SAID_OF_THE_DRAFT = frozenset({"cardiac.untrusted_heart", "cardiac.heart_cut_off"})


@dataclass(frozen=True)
class Options:
    """How to assess.

    Attributes:
        protocol: thresholds, constraints and names; None: the shipped one that the plan asks for (:mod:`rtqc.qc.choice`).
        model: shipped model's name or model folder.
        device: ``auto``, ``cpu``, ``cuda`` ...
        threads: of the model on the CPU; 0: as many as give every machine the same result.
        scope: ``plan``: the verdict covers contour, dose, plan and image, and a plan without one of them does not pass; ``contour``: contour
            and image only, and nothing is said of plan and dose.
        second_check: whether to run the independent dose calculation.
        populations: a clinic's own hearts by name of their protocol; of the others, those that ship are taken.
        progress: called with the name of each step as it begins.
    """

    protocol: Protocol | None = None
    model: str = DEFAULT_MODEL
    device: Device = "auto"
    threads: int = 0
    scope: Scope = "plan"
    second_check: bool = True
    populations: Mapping[str, Population] = field(default_factory=dict)
    progress: Callable[[str], None] | None = None


@dataclass(eq=False)
class Assessed:
    """An assessment with what it was made from, for the report's pictures.

    Attributes:
        assessment: the public result.
        case: as read.
        heart: the contoured heart; None where absent or empty.
        draft: rtqc's heart; None where none could be drawn.
        measured: what was measured in the draft; None where there is none.
    """

    assessment: Assessment
    case: Case
    heart: Structure | None = None
    draft: Draft | None = None
    measured: Measured | None = None


@dataclass
class _Clock:
    progress: Callable[[str], None] | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and announce it."""
        if self.progress:
            self.progress(name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 3)


def assess(case: Case, options: Options = Options(), draft: Draft | None = None) -> Assessment:
    """Assess a case; see :func:`assess_fully`."""
    return assess_fully(case, options, draft).assessment


@repeatable
def assess_fully(case: Case, options: Options = Options(), draft: Draft | None = None) -> Assessed:
    """Draft, compare, compute dose, apply the rules.

    Args:
        case: as read.
        options: protocol, model, device.
        draft: a draft made already; None: one is made.

    Raises:
        DeviceError: ``cuda`` was asked for and is not there.
    """
    started = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    clock = _Clock(options.progress)
    if options.scope == "contour":
        case = _without_plan(case)
    choice = choice_within_course(case, _choice(case, options), lambda other: _choice(other, options))
    protocol = choice.protocol
    findings = with_severities(case.findings, protocol)
    candidates, roi = choose_heart(case, protocol)
    if draft is None and case.image is not None:
        with clock.step("draft"):
            draft = _draft(case, options, protocol, findings)
    heart = roi.structure if roi is not None and not roi.structure.is_empty else None
    drawn = draft.structure if draft is not None and not draft.structure.is_empty else None
    with clock.step("compare"):
        agreement = agreement_of(heart, drawn)
    with clock.step("dose"):
        alpha_beta = AlphaBeta(protocol.alpha_beta.value, protocol.alpha_beta.source)
        hearts = BothHearts.of(case, roi, heart, drawn, alpha_beta, surface_band(draft))
        breast_of_a_woman = choice.site == "breast" and case.provenance.patient_sex.strip().upper() == "F"
        dose = hearts.comparison(options.second_check, breast_of_a_woman)
        applicable = applicable_constraints(choice, case)
        others = organ_doses(case, (c.structure for c in applicable), alpha_beta)
        results = evaluate(applicable, hearts.heart_dose, hearts.draft_dose, others, hearts.draft_errors(applicable))
        constraints = results if case.dose is not None else ()
        course = assess_course(case, _judging(options, protocol, drawn, surface_band(draft)))
    with clock.step("cardiac"):
        measured = _cardiac(case, draft)
        if measured is not None:
            findings += with_severities((f for f in measured.findings if f.rule not in _SAID_OF_THE_DRAFT), protocol)
    with clock.step("rules"):
        population = options.populations.get(protocol.name) or _commissioned_population(protocol, draft) or shipped_population()
        measurements = Measurements(
            case,
            roi,
            tuple(candidates),
            draft,
            agreement,
            dose,
            constraints,
            choice,
            population,
            measured.cardiac if measured is not None else None,
            options.scope,
            course,
        )
        findings = worst_first(findings + run_rules(measurements, protocol))
    checked = checked_parts(case, heart, dose)
    verdict = verdict_of(findings, checked, options.scope)
    assessment = Assessment(
        verdict=verdict,
        scope=options.scope,
        checked=checked,
        headline=headline_of(verdict, findings, dose, checked, options.scope),
        protocol=protocol.name,
        protocol_reason=choice.reason,
        case=_summary(case),
        image=image_summary(measurements),
        heart=Hearts(contoured=_contoured(measurements), draft=draft_summary(draft)),
        agreement=agreement,
        dose=dose,
        cardiac=measured.cardiac if measured is not None else None,
        constraints=constraints,
        course=course,
        habit=_habit(measurements),
        limits={key: LimitUsed(**limit) for key, limit in protocol.limits.model_dump().items()},
        findings=tuple(findings),
        run=Run(
            started=started,
            seconds=clock.seconds,
            host=platform.node(),
            device=draft.device if draft else "",
            versions=versions(),
        ),
    )
    return Assessed(assessment, case, heart, draft, measured)


def _choice(case: Case, options: Options) -> Choice:
    """The protocol that was named, else the one that the case asks for."""
    if options.protocol is not None:
        return named_choice(options.protocol, case)
    if options.scope == "contour":
        return Choice(load_protocol(CONTOUR_PROTOCOL), "named", "contour only, as asked for")
    return choose_protocol(case)


def _without_plan(case: Case) -> Case:
    """What there is of a case for a verdict on its contour alone."""
    kept = tuple(f for f in case.findings if in_scope(f, "contour"))
    return replace(
        case,
        plan=None,
        dose=None,
        planning_dvhs={},
        dose_attributes=DoseAttributes(),
        dose_plan_uids=(),
        companions=(),
        companions_left_out=0,
        findings=kept,
    )


def write_rtstruct(
    draft: Draft,
    case: Case,
    path: str | Path,
    *,
    append_to: str | Path | None = None,
    holes: Literal["keyhole", "xor"] = "keyhole",
    replace: bool = False,
) -> Path:
    """Write a draft as a structure set that planning systems import.

    Args:
        draft: not empty.
        case: the case that it was drawn on.
        path: the file.
        append_to: a structure set of the same CT; the file is then a copy of it, with new UIDs and one ROI more.
        holes: see :class:`rtqc.dicom.Writing`.
        replace: whether an existing file may be replaced.

    Raises:
        FileExistsError: the file exists and may not be replaced.
        ValueError: the draft is empty, or the structure set to append to is of another frame of reference or CT series.
        OSError: the file cannot be written; nothing half-written stays.
    """
    drawn_by = drawn_by_of(draft)
    how = Writing(holes, replace)
    if append_to is not None:
        return append_rtstruct(draft.structure, case, Path(append_to), path, drawn_by, how)
    return write_structure(draft.structure, case, path, drawn_by, how)


def drawn_by_of(draft: Draft | None) -> DrawnBy:
    """What drew a draft, as files tell it; the program alone where there is none."""
    software = f"rtqc {rtqc_version()}"
    if draft is None:
        return DrawnBy("rtqc", rtqc_version(), "", software)
    return DrawnBy(draft.model, draft.model_version, draft.model_hash, software, draft.training_data, draft.device)


def choose_heart(case: Case, protocol: Protocol) -> tuple[list[str], Roi | None]:
    """Names that could be the heart, surest first, and the ROI taken: the surest one that has contours."""
    names = [roi.structure.name for roi in case.rois]
    candidates = find_hearts(names, protocol.name_table)
    if not candidates:
        return [], None
    rois = [roi for roi in case.rois if roi.structure.name in candidates]
    ranked = sorted(
        rois, key=lambda r: (r.structure.is_empty, -heart_score(r.structure.name, protocol.name_table), -r.structure.volume_ml)
    )
    return candidates, ranked[0]


def _judging(options: Options, protocol: Protocol, drawn: Structure | None, band: SurfaceBand | None) -> Judging:
    """How the course of a case's plan is judged: by the protocol of its own choice, with hearts found as this case's is."""

    def heart_of(rois: tuple[Roi, ...]) -> Structure | None:
        roi = choose_heart(Case(rois=rois), protocol)[1]
        return roi.structure if roi is not None and not roi.structure.is_empty else None

    return Judging(lambda other: _choice(other, options), heart_of, drawn, band)


def _draft(case: Case, options: Options, protocol: Protocol, findings: list[Finding]) -> Draft | None:
    assert case.image is not None
    try:
        # A level that draws the schools' other ends is seen by no model: they are judged by where they lie from Feng's.
        upper_end: UpperEnd = "model" if protocol.heart.upper_end == "model" else "feng2011"
        return draft_with(case.image, Engine(load_model(options.model), options.device, options.threads), upper_end)
    except ModelError as error:
        findings.append(undone_finding("model.unusable", f"No draft could be made: {error}."))
        return None


def _commissioned_population(protocol: Protocol, draft: Draft | None) -> Population | None:
    """The clinic's own hearts of its commissioning, where it was with the model that drew this draft."""
    told = protocol.commissioned
    return told.population if told is not None and draft is not None and told.model_hash == draft.model_hash else None


def _habit(m: Measurements) -> HabitUsed | None:
    told, definition = m.commissioned, m.upper_end
    if told is None:
        return HabitUsed(definition=definition) if definition is not None else None
    habits = (told.upper_end_mm, told.lower_end_mm, told.volume_percent)
    upper, lower, volume = (habit.median if habit is not None else None for habit in habits)
    return HabitUsed(source=told.source, definition=definition, upper_end_mm=upper, lower_end_mm=lower, volume_percent=volume)


def heart_of(draft: Draft) -> MeasuredHeart:
    """A draft as what volume, fat and calcium are measured in."""
    return MeasuredHeart(draft.structure, draft.predicted_dice or None, draft.trusted, draft.doubts, draft.cut_off)


def surface_band(draft: Draft | None) -> SurfaceBand | None:
    """How sure a draft's surface and ends are, as its dose error is computed from it; None where the draft does not say."""
    if draft is None or draft.uncertainty is None:
        return None
    upper, lower = (draft.ends.upper, draft.ends.lower) if draft.ends else (None, None)
    return SurfaceBand(
        draft.uncertainty.at,
        upper.deviation_mm if upper else UPPER_END_SD_MM,
        lower.deviation_mm if lower else LOWER_END_SD_MM,
    )


def _cardiac(case: Case, draft: Draft | None) -> Measured | None:
    if case.image is None or draft is None or draft.structure.is_empty:
        return None
    return measure(case.image, heart_of(draft), case.acquisition, dose=case.dose, series_uid=case.provenance.ct_series_uid)


def agreement_of(heart: Structure | None, drawn: Structure | None) -> Agreement | None:
    """How a contour agrees with a draft, as a whole and between the ends that both have; None where there is nothing to compare."""
    if heart is None or drawn is None or not heart.orientation.is_parallel(drawn.orientation):
        return None
    agreement = compare(heart, drawn)
    return agreement.model_copy(update={"between_ends": between_ends(heart, drawn, agreement)})


def _summary(case: Case) -> CaseSummary:
    provenance = case.provenance
    grid = case.image.grid if case.image else None
    prescriptions = case.plan.prescriptions if case.plan else ()
    return CaseSummary(
        patient_id=provenance.patient_id,
        patient_name=provenance.patient_name,
        plan_label=provenance.labels.get("plan", ""),
        structure_set_label=provenance.labels.get("structure_set", ""),
        study_uid=provenance.study_uid,
        ct_series_uid=provenance.ct_series_uid,
        rtstruct_uid=provenance.rtstruct_uid,
        rtplan_uid=provenance.rtplan_uid,
        rtdose_uids=provenance.rtdose_uids,
        image_shape=grid.shape if grid else None,
        voxel_spacing_mm=(round(grid.slice_spacing_mm, 4), *(round(s, 4) for s in grid.spacing_mm)) if grid else None,
        structures=tuple(case.structures),
        prescription_gy=prescriptions[0].dose_gy if prescriptions else None,
        prescriptions=tuple(PrescribedDose(dose_gy=p.dose_gy, target=p.target, stated_for=p.stated_for) for p in prescriptions),
        fractions=case.plan.fractions if case.plan else None,
        files=dict(provenance.files),
    )


def _extent(structure: Structure) -> tuple[float, float] | None:
    if structure.is_empty:
        return None
    return (round(float(structure.positions_mm[0]), 3), round(float(structure.positions_mm[-1]), 3))


def _contoured(m: Measurements) -> ContouredHeart | None:
    heart = m.heart
    if heart is None:
        return None
    return ContouredHeart(
        name=heart.name,
        volume_ml=round(heart.volume_ml, 3),
        extent_mm=_extent(heart),
        shape=m.shape,
        population=m.population_comparison,
        from_draft=m.roi is not None and m.roi.from_draft,
    )


def draft_summary(draft: Draft | None) -> DraftHeart | None:
    """A draft as the JSON tells it."""
    if draft is None:
        return None
    surface = draft.uncertainty.summary(draft.structure) if draft.uncertainty is not None else None
    return DraftHeart(
        volume_ml=round(draft.structure.volume_ml, 3),
        model=draft.model,
        model_hash=draft.model_hash,
        confidence=draft.confidence,
        predicted_dice=draft.predicted_dice,
        trusted=draft.trusted,
        doubts=draft.doubts,
        surface_uncertainty_mm=round(surface[0], 2) if surface else None,
        unsure_surface_percent=round(surface[2], 1) if surface else None,
        extent_mm=_extent(draft.structure),
        upper_end=_draft_end(draft.ends.upper) if draft.ends else None,
        lower_end=_draft_end(draft.ends.lower) if draft.ends else None,
        upper_end_definition=draft.ends.definition if draft.ends else None,
    )


def _draft_end(end: End | None) -> DraftEnd | None:
    if end is None:
        return None
    return DraftEnd(z_mm=round(end.z_mm, 1), deviation_mm=round(end.deviation_mm, 1), moved_mm=round(end.moved_mm, 1))


def versions() -> dict[str, str]:
    """Versions of what decides about numbers, by package."""
    found = {"rtqc": rtqc_version(), "python": platform.python_version()}
    for package in _VERSIONS_OF:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            found["onnxruntime"] = version(package)
            break
        except PackageNotFoundError:
            continue
    return found

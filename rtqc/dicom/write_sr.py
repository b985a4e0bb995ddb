"""Assessment -> structured report after TID 1500 (PS3.16), so that an archive can be asked for Dice and heart dose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from rtqc.core.assessment import Assessment, DoseComparison, DoseMetrics
from rtqc.core.case import Case
from rtqc.dicom.bounded import read_object
from rtqc.dicom.objects import DrawnBy, ascii_text, free_path, save_whole
from rtqc.dicom.write_seg import ct_headers

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

#: Scheme of the codes that no standard has (docs/dicom.md lists them).
SCHEME = "99RTQC"
#: The one measurement that has a standard code.
_VOLUME = "volume"
#: UCUM units: code and meaning.
_UNITS = {
    "Gy": "gray",
    "ml": "milliliter",
    "mm": "millimeter",
    "%": "percent",
    "1": "no units",
    "min": "minute",
    "Gy{RBE}": "gray, RBE-weighted",
}
#: Most findings that are written, worst first.
_MOST_FINDINGS = 50


@dataclass(frozen=True)
class _Number:
    """A measurement: code value, meaning, value, UCUM unit."""

    code: str
    meaning: str
    value: float | None
    unit: str


def write_sr(assessment: Assessment, case: Case, path: str | Path, drawn_by: DrawnBy, replace: bool = False) -> Path:
    """Write the measurements, the findings and the verdict.

    Args:
        assessment: of the case.
        case: with an image that was read from files.
        path: the file.
        drawn_by: what drew the draft.
        replace: whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and may not be replaced.
        ValueError: the case has no CT to refer to.
        OSError: a file cannot be read or written; nothing half-written stays.
    """
    from highdicom import sr

    target = free_path(path, replace)
    evidence = _evidence(case)
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(drawn_by)),
        procedure_reported=_code("plan-check", "Check of a radiotherapy plan"),
        imaging_measurements=list(_groups(assessment, drawn_by)),
        title=_code("report", "Heart contour and dose check"),
    )
    dataset = sr.ComprehensiveSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=generate_uid(prefix=None),
        series_number=1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer="rtqc",
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="rtqc check",
        manufacturer_model_name=ascii_text(drawn_by.name, 64),
        software_versions=ascii_text(drawn_by.software, 64),
        device_serial_number=drawn_by.digest[:16] or None,
    )
    save_whole(dataset, target)
    return target


def _evidence(case: Case) -> list[Dataset]:
    """Headers of everything that the numbers were made from."""
    provenance = case.provenance
    others = [p for p in (provenance.structure_set_path, *provenance.dose_paths) if p is not None]
    return [*ct_headers(case), *(read_object(p, header=True) for p in others)]


def _observer(drawn_by: DrawnBy) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(prefix=None, entropy_srcs=[drawn_by.software, drawn_by.digest]),
        name="rtqc",
        manufacturer_name="rtqc",
        model_name=ascii_text(drawn_by.name, 64),
        serial_number=drawn_by.digest[:16] or None,
    )
    return sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _code(value: str, meaning: str) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, SCHEME, ascii_text(meaning, 64))


def _groups(assessment: Assessment, drawn_by: DrawnBy) -> Iterator[Any]:
    """A measurement group for the agreement and the verdict, and one for each heart."""
    yield _group("verdict", "Contour against draft", list(_agreement(assessment)), drawn_by, assessment)
    hearts, dose = assessment.heart, assessment.dose
    for key, name, heart, metrics in (
        ("contour", "Contoured heart", hearts.contoured, dose.contoured if dose else None),
        ("draft", "Drafted heart", hearts.draft, dose.draft if dose else None),
    ):
        if heart is not None:
            volume = _Number(_VOLUME, "Volume", heart.volume_ml, "ml")
            yield _group(key, name, [volume, *_dose(metrics, _dose_unit(dose))], drawn_by)


def _dose_unit(dose: DoseComparison | None) -> str:
    """UCUM unit of doses; an annotation says that they are weighted."""
    return "Gy{RBE}" if dose is not None and dose.dose_type == "EFFECTIVE" else "Gy"


def _agreement(assessment: Assessment) -> Iterator[_Number]:
    agreement, dose = assessment.agreement, assessment.dose
    if agreement is not None:
        yield _Number("dice", "Dice coefficient", agreement.dice, "1")
        yield _Number("surface-dice-3mm", "Surface Dice at 3 mm", agreement.surface_dice_3mm, "1")
        yield _Number("hd", "Hausdorff distance", agreement.hausdorff_mm, "mm")
        yield _Number("hd95", "Hausdorff distance, 95th percentile", agreement.hausdorff95_mm, "mm")
        yield _Number("masd", "Mean average surface distance", agreement.mean_surface_distance_mm, "mm")
        yield _Number("volume-diff", "Volume, draft minus contour", agreement.volume_difference_ml, "ml")
        yield _Number("added-path", "Added path length", agreement.added_path_length_mm, "mm")
    if dose is not None and dose.difference is not None:
        yield _Number("mhd-diff", "Mean heart dose, draft minus contour", dose.difference.mean_gy, _dose_unit(dose))


def _dose(metrics: DoseMetrics | None, unit: str) -> Iterator[_Number]:
    if metrics is None:
        return
    yield _Number("mean-dose", "Mean dose", metrics.mean_gy, unit)
    yield _Number("max-dose", "Maximum dose", metrics.max_gy, unit)
    yield _Number("d0.03cc", "D0.03cc", metrics.d0_03cc_gy, unit)
    yield _Number("d2", "D2%", metrics.d2_percent_gy, unit)
    yield _Number("d50", "D50%", metrics.d50_percent_gy, unit)
    yield _Number("d98", "D98%", metrics.d98_percent_gy, unit)
    for x in range(5, 45, 5):
        yield _Number(f"v{x}gy", f"V{x}Gy", getattr(metrics, f"v{x}_gy_percent"), "%")


def _group(key: str, name: str, numbers: list[_Number], drawn_by: DrawnBy, assessment: Assessment | None = None) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    measurements = [
        sr.Measurement(
            codes.SCT.Volume if n.code == _VOLUME else _code(n.code, n.meaning),
            n.value,
            sr.CodedConcept(n.unit, "UCUM", _UNITS[n.unit]),
        )
        for n in numbers
        if n.value is not None
    ]
    evaluations = list(_evaluations(assessment)) if assessment is not None else []
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(prefix=None), identifier=f"rtqc {key}"),
        finding_type=_code(key, name),
        finding_sites=[sr.FindingSite(codes.SCT.Heart)],
        algorithm_id=sr.AlgorithmIdentification(ascii_text(drawn_by.name, 64), ascii_text(drawn_by.version or "1", 64)),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )
    if assessment is not None:
        for text in (assessment.headline, *(f.message for f in assessment.findings[:_MOST_FINDINGS])):
            group[0].ContentSequence.append(
                sr.TextContentItem(codes.DCM.Comment, text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
            )
    return group


def _evaluations(assessment: Assessment) -> Iterator[Any]:
    """The verdict, and each rule that found something with its severity."""
    from highdicom import sr

    passed = "Passed, contour only" if assessment.scope == "contour" else "Passed"
    words = {"pass": passed, "flag": "Flagged", "error": "No verdict possible"}
    yield sr.QualitativeEvaluation(
        _code("verdict", "Verdict"), _code(f"verdict-{assessment.verdict}", words[assessment.verdict])
    )
    severest = {f.rule: f.severity for f in reversed(assessment.findings[:_MOST_FINDINGS])}
    for rule, severity in severest.items():
        yield sr.QualitativeEvaluation(_code(rule, f"Rule {rule}"), _code(severity, severity.capitalize()))

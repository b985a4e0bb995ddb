"""The page: templates filled with what the view says, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from rtqc.core.assessment import Assessment
from rtqc.core.version import rtqc_version
from rtqc.core.whole_file import whole_file
from rtqc.pipeline import Assessed
from rtqc.qc import coverage_words, verdict_words
from rtqc.report.cardiac import LESION_WINDOW, lesion_pictures
from rtqc.report.environment import templates
from rtqc.report.plots import PLOT_HEIGHT, PLOT_WIDTH, dvh_plot, strip
from rtqc.report.slices import DOSE_BANDS, LEVEL_HU, WIDTH_HU, SlicePainter, SlicePicture
from rtqc.report.view import MARKS, counts, dose_rows, dose_unit, finding_views, hero_title, tiles, worst_position

#: More pictures than this are left out (their findings name the slices): a report must stay under 5 MB.
MOST_PICTURES = 24


def write_report(assessment: Assessment | Assessed, path: str | Path, *, replace: bool = False) -> Path:
    """Write the HTML report of a case.

    Args:
        assessment: what :func:`rtqc.assess_fully` returns; a bare :class:`Assessment` gives a report without pictures.
        path: the file.
        replace: whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        FileExistsError: the file exists and ``replace`` is false.
        OSError: it cannot be written; nothing half-written stays.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise FileExistsError(f"{target} exists already: give another name, or replace=True")
    content = render_report(assessment)
    with whole_file(target) as file:
        file.write(content.encode("utf-8"))
    return target


def render_report(assessment: Assessment | Assessed) -> str:
    """The report as HTML text: one file, no scripts, nothing loaded from anywhere."""
    a = assessment.assessment if isinstance(assessment, Assessed) else assessment
    painter = painter_of(assessment) if isinstance(assessment, Assessed) else None
    findings = finding_views(a)
    pictures: dict[int, SlicePicture] = {}
    if painter is not None:
        for view in findings:
            if view.first and view.picture is not None and view.picture_at is not None and len(pictures) < MOST_PICTURES:
                pictures[view.picture] = painter.at(view.picture_at)
    shown = worst_position(a)
    if shown is None and painter is not None:
        shown = painter.middle_mm
    mark = MARKS[a.verdict]
    return templates().get_template("report.html.j2").render(
        a=a,
        word=verdict_words(a.verdict, a.scope),
        mark=mark,
        covers=coverage_words(a.verdict, a.checked, a.scope),
        counts=counts(a.findings),
        tiles=tiles(a),
        hero=painter.at(shown, wash=True) if painter is not None and shown is not None else None,
            hero_title=hero_title(a),
        plot=dvh_plot(a.dose, a.constraints) if a.dose else None,
        plot_width=PLOT_WIDTH,
        plot_height=PLOT_HEIGHT,
        cells=strip(a.agreement, a.findings) if a.agreement else (),
        findings=findings,
        pictures=pictures,
        dose_rows=dose_rows(a),
        gy=dose_unit(a),
        dose_bands=DOSE_BANDS,
        window=(LEVEL_HU, WIDTH_HU),
        lesion_pictures=lesion_pictures(assessment.measured) if isinstance(assessment, Assessed) else {},
        lesion_window=LESION_WINDOW,
        version=rtqc_version(),
    )  # fmt: skip


def painter_of(assessed: Assessed) -> SlicePainter | None:
    """What paints a case's slices; None without a CT."""
    if assessed.case.image is None:
        return None
    draft = assessed.draft.structure if assessed.draft is not None else None
    uncertainty = assessed.draft.uncertainty if assessed.draft is not None else None
    return SlicePainter(assessed.case.image, assessed.heart, draft, assessed.case.dose, uncertainty)

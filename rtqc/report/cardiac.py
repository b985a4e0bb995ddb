"""What the heart tells besides its dose, as a section of the report and as a page of its own; each lesion in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from rtqc.cardiac import Lesion, Measured, Region
from rtqc.core.cardiac_report import CardiacReport
from rtqc.core.structure import Structure
from rtqc.core.version import rtqc_version
from rtqc.core.volumes import Image
from rtqc.core.whole_file import whole_file
from rtqc.geometry.coverage import as_multipolygon
from rtqc.geometry.rasterize import in_frame
from rtqc.geometry.solid import areas_at
from rtqc.heart import Draft
from rtqc.report.environment import templates
from rtqc.report.slices import LEVEL_HU, WIDTH_HU, SlicePainter, SlicePicture, png, svg_path
from rtqc.report.view import SEVERITY_MARKS

#: Side of a lesion's picture, in mm, and how far it may lie from what is cut out of the image.
_SIDE_MM = 70.0
#: Window that shows calcium, vessel and fat: level and width in HU.
LESION_WINDOW = (90.0, 500.0)
#: More pictures than this are left out; the table names every lesion.
MOST_LESIONS, MOST_OTHERS = 12, 6
_MOST_PIXELS = 200


@dataclass(frozen=True)
class LesionPicture:
    """A lesion on its largest slice; lengths in mm from the picture's upper left corner, paths for SVG."""

    number: int
    position_mm: float
    width_mm: float
    height_mm: float
    ct: str
    heart: str
    lesion: str


def lesion_pictures(measured: Measured | None) -> dict[int, LesionPicture]:
    """Pictures of the lesions that count most, and of some that do not count, by number."""
    if measured is None or measured.region is None:
        return {}
    order = sorted(measured.lesions, key=lambda x: -x.told.agatston)
    shown = [x for x in order if x.told.counted][:MOST_LESIONS] + [x for x in order if not x.told.counted][:MOST_OTHERS]
    return {x.told.number: _picture(measured.region, x) for x in shown}


def _picture(region: Region, lesion: Lesion) -> LesionPicture:
    image = region.image
    grid = image.grid
    slices, counts = np.unique(lesion.index[:, 0], return_counts=True)
    k = int(slices[counts.argmax()])
    middle = lesion.index[lesion.index[:, 0] == k][:, 1:].mean(axis=0)
    half = [int(_SIDE_MM / 2 / s) for s in grid.spacing_mm]
    rows, columns = (
        slice(max(round(m) - h, 0), min(round(m) + h + 1, n)) for m, h, n in zip(middle, half, grid.size, strict=True)
    )
    hu = image.hu[k, rows, columns]
    step = max(int(np.ceil(max(hu.shape) / _MOST_PIXELS)), 1)
    grey = np.clip((hu[::step, ::step] - LESION_WINDOW[0]) / LESION_WINDOW[1] + 0.5, 0, 1) * 255
    corner = np.array(
        [grid.columns_mm[columns.start] - grid.spacing_mm[1] / 2, grid.rows_mm[rows.start] - grid.spacing_mm[0] / 2]
    )
    pixels = lesion.index[lesion.index[:, 0] == k][:, 1:]
    x, y = grid.columns_mm[pixels[:, 1]] - corner[0], grid.rows_mm[pixels[:, 0]] - corner[1]
    dx, dy = grid.spacing_mm[1] / 2, grid.spacing_mm[0] / 2
    outline = shapely.union_all(shapely.box(x - dx, y - dy, x + dx, y + dy))
    sign = round(float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])) or 1
    return LesionPicture(
        number=lesion.told.number,
        position_mm=round(float(grid.positions_mm[k] * sign), 2),
        width_mm=round(hu.shape[1] * grid.spacing_mm[1], 2),
        height_mm=round(hu.shape[0] * grid.spacing_mm[0], 2),
        ct=png(grey.astype(np.uint8), "L"),
        heart=_heart_path(region.heart, region, k, corner),
        lesion=svg_path(as_multipolygon(outline)),
    )


def _heart_path(heart: Structure, region: Region, k: int, corner: NDArray[np.float64]) -> str:
    grid = region.image.grid
    if not heart.orientation.is_parallel(grid.orientation):
        return ""
    turned = in_frame(heart, grid.orientation)
    area: MultiPolygon = areas_at(turned, [float(grid.positions_mm[k])], 0.3 * grid.slice_spacing_mm)[0]
    return svg_path(as_multipolygon(shapely.transform(area, lambda xy: xy - np.asarray(corner))))


def render_cardiac(report: CardiacReport, image: Image | None, draft: Draft | None, measured: Measured | None) -> str:
    """A scan's page: one file, no scripts, nothing loaded from anywhere."""
    hero: SlicePicture | None = None
    if image is not None and draft is not None and not draft.structure.is_empty:
        positions = draft.structure.positions_mm
        lesions = report.calcium.lesions if report.calcium is not None else ()
        largest = max(lesions, key=lambda x: x.agatston, default=None)
        at = largest.slices_mm[len(largest.slices_mm) // 2] if largest is not None else float(positions[positions.size // 2])
        hero = SlicePainter(image, None, draft.structure, None, draft.uncertainty).at(at)
    return templates().get_template("cardiac.html.j2").render(
        r=report,
        hero=hero,
        lesion_pictures=lesion_pictures(measured),
        lesion_window=LESION_WINDOW,
        window=(LEVEL_HU, WIDTH_HU),
        dose_bands=(),
        plot_width=0,
        plot_height=0,
        marks=SEVERITY_MARKS,
        version=rtqc_version(),
    )  # fmt: skip


def write_cardiac(
    report: CardiacReport, image: Image | None, draft: Draft | None, measured: Measured | None, folder: Path
) -> None:
    """``cardiac.html`` and ``cardiac.json``; what is there already is replaced.

    Raises:
        OSError: a file cannot be written; nothing half-written stays.
    """
    for name, text in (
        ("cardiac.html", render_cardiac(report, image, draft, measured)),
        ("cardiac.json", report.model_dump_json(indent=2) + "\n"),
    ):
        with whole_file(folder / name) as file:
            file.write(text.encode("utf-8"))

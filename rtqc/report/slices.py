"""CT slices as pictures: the pixels as they are, contours as lines in mm on top of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy.ndimage import map_coordinates
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image
from rtqc.geometry.coverage import as_multipolygon
from rtqc.geometry.rasterize import in_frame
from rtqc.geometry.solid import areas_at
from rtqc.heart.uncertainty import UNSURE_MM, UncertaintyMap

#: Soft-tissue window: level and width in HU, the usual one of the mediastinum.
LEVEL_HU, WIDTH_HU = 40.0, 400.0
#: Kept around both hearts, in mm.
MARGIN_MM = 30.0
#: Width of the picture where there is no heart to look at, in mm.
WHOLE_MM = 500.0
#: A picture is made with at most so many pixels a side: a report must stay under 5 MB.
_MOST_PIXELS = 320
#: Dose bands of the wash: from (Gy), colour (r, g, b).
DOSE_BANDS: tuple[tuple[float, tuple[int, int, int]], ...] = (
    (2.0, (70, 90, 220)),
    (5.0, (20, 160, 210)),
    (10.0, (40, 180, 90)),
    (20.0, (240, 190, 40)),
    (30.0, (230, 70, 40)),
)
_WASH_ALPHA = 95
#: A structure's plane is shown on a slice within this share of the slice spacing.
_MATCH_SHARE = 0.3
#: Points of the uncertain outline are at most this far apart, in mm.
_UNSURE_STEP_MM = 2.0


@dataclass(frozen=True)
class SlicePicture:
    """One slice, ready for SVG; lengths in mm from the picture's upper left corner.

    Attributes:
        position_mm: position of the CT slice along the canonical normal.
        width_mm, height_mm: of the picture.
        ct, wash: PNG as base64; ``wash`` empty where no dose is shown.
        contour, draft: SVG path data; empty where nothing is drawn.
        unsure: SVG path data and width in mm (two standard deviations) of the parts of the draft that may be far off.
        left, right, top, bottom: letters of the patient's directions (R, L, A, P, S, I).
        scale_mm: length of the scale bar.
    """

    position_mm: float
    width_mm: float
    height_mm: float
    ct: str
    wash: str
    contour: str
    draft: str
    unsure: tuple[tuple[str, float], ...]
    left: str
    right: str
    top: str
    bottom: str
    scale_mm: float = 50.0


class SlicePainter:
    """Paints slices of one image, all with the same field of view.

    Args:
        image: the planning CT.
        heart, draft: structures, or None.
        dose: for the wash, or None.
        uncertainty: of the draft's surface, or None.
    """

    def __init__(
        self,
        image: Image,
        heart: Structure | None,
        draft: Structure | None,
        dose: Dose | None,
        uncertainty: UncertaintyMap | None = None,
    ) -> None:
        self._image = image
        self._structures = [self._turned(s) for s in (heart, draft)]
        self._dose = dose
        self._uncertainty = uncertainty
        self._rows, self._columns = _field(image.grid, [s for s in self._structures if s is not None])
        grid = image.grid
        self._sign = round(float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])) or 1

    def _turned(self, structure: Structure | None) -> Structure | None:
        orientation = self._image.grid.orientation
        if structure is None or structure.is_empty or not structure.orientation.is_parallel(orientation):
            return None
        return in_frame(structure, orientation)

    @property
    def middle_mm(self) -> float:
        """Position of the middle slice along the canonical normal."""
        positions = self._image.grid.positions_mm * self._sign
        return float(positions[positions.size // 2])

    def at(self, position_mm: float, wash: bool = False) -> SlicePicture:
        """The slice nearest to a position along the canonical normal."""
        grid = self._image.grid
        k = int(np.abs(grid.positions_mm * self._sign - position_mm).argmin())
        hu = self._image.hu[k, self._rows, self._columns]
        step = max(int(np.ceil(max(hu.shape) / _MOST_PIXELS)), 1)
        grey = np.clip((hu[::step, ::step] - LEVEL_HU) / WIDTH_HU + 0.5, 0, 1) * 255
        width = hu.shape[1] * grid.spacing_mm[1]
        height = hu.shape[0] * grid.spacing_mm[0]
        left, right, top, bottom = _letters(grid)
        paths = [self._path(s, float(grid.positions_mm[k])) for s in self._structures]
        return SlicePicture(
            position_mm=round(float(grid.positions_mm[k] * self._sign), 2),
            width_mm=round(width, 2),
            height_mm=round(height, 2),
            ct=png(grey.astype(np.uint8), "L"),
            wash=self._wash(k) if wash and self._dose is not None else "",
            contour=paths[0],
            draft=paths[1],
            unsure=self._unsure(k),
            left=left,
            right=right,
            top=top,
            bottom=bottom,
        )

    @property
    def _corner(self) -> NDArray[np.float64]:
        """The picture's upper left corner in the image's frame."""
        grid = self._image.grid
        return np.array([
            grid.columns_mm[self._columns.start] - grid.spacing_mm[1] / 2,
            grid.rows_mm[self._rows.start] - grid.spacing_mm[0] / 2,
        ])  # fmt: skip

    def _area(self, structure: Structure, w: float) -> MultiPolygon:
        return areas_at(structure, [w], _MATCH_SHARE * self._image.grid.slice_spacing_mm)[0]

    def _path(self, structure: Structure | None, w: float) -> str:
        if structure is None:
            return ""
        corner = self._corner
        return svg_path(as_multipolygon(shapely.transform(self._area(structure, w), lambda xy: xy - corner)))

    def _unsure(self, k: int) -> tuple[tuple[str, float], ...]:
        """The draft's outline where its position is unsure, in pieces of about equal uncertainty."""
        draft, grid = self._structures[1], self._image.grid
        if draft is None or self._uncertainty is None:
            return ()
        w = float(grid.positions_mm[k])
        parts = []
        for polygon in self._area(draft, w).geoms:
            ring = shapely.get_coordinates(polygon.exterior.segmentize(_UNSURE_STEP_MM))
            sigma = self._uncertainty.at(grid.orientation.to_patient(np.column_stack([ring, np.full(len(ring), w)])))
            # Bands of whole millimetres; each piece reaches to the next one's first point.
            band = np.where(sigma > UNSURE_MM, np.round(sigma), 0)
            breaks = [0, *(np.flatnonzero(np.diff(band)) + 1), len(ring) - 1]
            for first, last in zip(breaks[:-1], breaks[1:], strict=True):
                if band[first] and last > first:
                    points = ring[first : last + 1] - self._corner
                    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
                    parts.append((path, float(2 * band[first])))
        return tuple(parts)

    def _wash(self, k: int) -> str:
        """Dose bands of a slice as a transparent picture of about 1.5 mm pixels."""
        assert self._dose is not None
        grid = self._image.grid
        step = max(int(1.5 / min(grid.spacing_mm)), 1)
        rows = np.arange(self._rows.start, self._rows.stop, step)
        columns = np.arange(self._columns.start, self._columns.stop, step)
        index = np.stack(np.meshgrid([k], rows, columns, indexing="ij"), -1).reshape(-1, 3)
        where = self._dose.grid.index_of_patient(grid.patient_mm(index))
        gy = map_coordinates(self._dose.gy, where.T, order=1, cval=0.0).reshape(rows.size, columns.size)
        colour = np.zeros((*gy.shape, 4), np.uint8)
        for start, rgb in DOSE_BANDS:
            colour[gy >= start] = (*rgb, _WASH_ALPHA)
        return png(colour, "RGBA")


def svg_path(area: MultiPolygon) -> str:
    """Path data of an area, holes included (fill-rule evenodd), to 0.1 mm."""
    parts = []
    for polygon in area.geoms:
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(ring)[:-1]
            parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(parts)


def _field(grid: Grid, structures: Iterable[Structure]) -> tuple[slice, slice]:
    """Rows and columns around the structures; the middle of the image where there are none."""
    bounds = np.array([area.bounds for s in structures for area in s.planes.values()])
    if bounds.size:
        low, high = bounds[:, :2].min(axis=0) - MARGIN_MM, bounds[:, 2:].max(axis=0) + MARGIN_MM
    else:
        middle = np.array([grid.columns_mm.mean(), grid.rows_mm.mean()])
        low, high = middle - WHOLE_MM / 2, middle + WHOLE_MM / 2
    rows = _span(grid.rows_mm, low[1], high[1])
    columns = _span(grid.columns_mm, low[0], high[0])
    return rows, columns


def _span(centres: NDArray[np.float64], low: float, high: float) -> slice:
    first, last = int(np.searchsorted(centres, low)), int(np.searchsorted(centres, high))
    if last - first < 2:  # structures that lie outside the image: show all of it
        return slice(0, centres.size)
    return slice(first, last)


def _letters(grid: Grid) -> tuple[str, str, str, str]:
    """Patient directions at the picture's left, right, upper and lower edge."""
    row, column = np.array(grid.orientation.row), np.array(grid.orientation.column)
    return _letter(-row), _letter(row), _letter(-column), _letter(column)


def _letter(direction: NDArray[np.float64]) -> str:
    axis = int(np.abs(direction).argmax())
    return ("RL", "AP", "IS")[axis][int(direction[axis] > 0)]


def png(pixels: NDArray[np.uint8], mode: str) -> str:
    """Pixels as PNG, base64."""
    buffer = io.BytesIO()
    Picture.fromarray(pixels, mode).save(buffer, "PNG", optimize=False, compress_level=7)
    return base64.b64encode(buffer.getvalue()).decode("ascii")

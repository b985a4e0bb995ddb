"""The contoured target of a synthetic breast treatment: breast and subcutaneous tissue inside both fields.

A planner's PTV ends below the skin, where build-up is, and inside the field's edges; so does this one. A point belongs to it
that lies at least :data:`SKIN_MM` below the skin, outside the chest wall's muscle, and at least :data:`FIELD_MARGIN_MM` inside the
dorsal, cranial and caudal edges of the fields.
"""

from __future__ import annotations

import numpy as np
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.orientation import AXIAL
from rtqc.core.structure import Structure
from rtqc.geometry.trace import trace_field
from rtqc.phantom.anatomy import Anatomy, organs_at
from rtqc.phantom.beams import Tangents
from rtqc.phantom.render import points_of

#: Distance of the target from the skin, in mm (build-up of 6 MV photons).
SKIN_MM = 5.0
#: Distance of the target from the edges of the fields, in mm: two and a half standard deviations of the penumbra.
FIELD_MARGIN_MM = 10.0
#: Pixel of the grid on which contours are cut from the formula, in mm.
_PIXEL_MM = 1.0


def target_name(anatomy: Anatomy) -> str:
    """Name of the target after TG-263."""
    return "PTV_Breast_L" if anatomy.side == "left" else "PTV_Breast_R"


def breast_target(anatomy: Anatomy, beams: Tangents, grid: Grid, block: int = 16) -> Structure:
    """The target on the slices of an axial grid.

    Args:
        anatomy: the patient.
        beams: the fields that treat it.
        grid: its slice positions are used, and its extent.
        block: slices computed at a time, to bound memory.

    Returns:
        A structure of type ``PTV``; empty after mastectomy of a patient whose skin and muscle touch.
    """
    width = grid.spacing_mm[1] * (grid.size[1] - 1)
    depth = grid.spacing_mm[0] * (grid.size[0] - 1)
    size = (int(depth / _PIXEL_MM) + 1, int(width / _PIXEL_MM) + 1)
    fine = Grid(AXIAL, grid.origin_mm, (_PIXEL_MM,) * 2, size, grid.slice_positions_mm, grid.nominal_slice_mm)
    inward = np.array(beams.inward)
    edge = float(np.array(beams.edge_mm) @ inward)
    planes: dict[float, MultiPolygon] = {}
    for k in range(0, fine.shape[0], block):
        part = fine.crop(slice(k, k + block), slice(None), slice(None))
        p = points_of(part)
        organs = organs_at(anatomy, p)
        across = p.x * np.float32(inward[0]) + p.y * np.float32(inward[1]) - np.float32(edge)
        ends = np.maximum(np.float32(beams.lower_mm) - p.z, p.z - np.float32(beams.upper_mm))
        margin = np.float32(FIELD_MARGIN_MM)
        parts = (organs.body + np.float32(SKIN_MM), -organs.wall, margin - across, ends + margin)
        outside = np.maximum.reduce(np.broadcast_arrays(*parts))
        planes |= trace_field(-np.broadcast_to(outside, part.shape), part, 0.0).planes
    return Structure(target_name(anatomy), planes, AXIAL, "PTV", fine.slice_spacing_mm)

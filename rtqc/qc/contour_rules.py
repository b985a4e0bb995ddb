"""Rules about the contour as it was drawn: is it there, is it whole, is it smooth."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from rtqc.core.case import DefectKind
from rtqc.core.slabs import half_slices_mm, local_spacings_mm
from rtqc.core.structure import Structure
from rtqc.core.wording import counted, listed
from rtqc.geometry.pieces import piece_volume_ml
from rtqc.geometry.rasterize import in_frame
from rtqc.qc.measurements import Measurements, holes_of
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, at_positions, rule

#: A heart drawn on fewer than this share of the slices inside its extent was drawn on every n-th slice on purpose.
_SPARSE_SHARE = 0.7
#: Heights nearer than this, in mm, are one.
_ON_PLANE_MM = 0.01
#: Further from a slice than this share of the spacing, a contour lies between two slices, however thin they are.
_OFF_PLANE_SHARE = 0.35
#: Symmetric difference under which two outlines are the same one copied, relative to the area.
_COPY_TOLERANCE = 1e-4

_DEFECTS: dict[DefectKind, str] = {
    "few_points": "fewer than three different points",
    "open": "an open contour",
    "self_intersecting": "a contour that crosses itself",
    "not_a_number": "coordinates that are not numbers",
    "not_planar": "points that do not lie on one image plane",
    "no_area": "a contour without area",
    "too_many_points": "tens of thousands of points (thinned to 0.01 mm)",
    "beyond_limits": "coordinates beyond any patient",
    "scribble": "more crossings of itself than a hand draws",
    "tangled": "hundreds of outlines over each other",
    "decimal_comma": "decimal commas instead of points",
    "unlike_dicom": "coordinates that are not written as DICOM has them (such as in brackets, or with a backslash at the end)",
}
#: What an export did, not a hand.
_OF_THE_EXPORT = ("not_a_number", "decimal_comma", "unlike_dicom", "beyond_limits")


@rule("contour.missing", "fail", "fact", "The structure set has no ROI whose name means the heart.")
def contour_missing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """No heart among the names."""
    if m.case.has_structure_set and not m.candidates:
        names = listed(sorted(m.case.structures), most=12) or "none"
        yield Hit(
            f"The structure set has no heart contour (its structures: {names}): contour the heart, or add its name to the protocol.",
            files=(m.case.provenance.structure_set_file,),
        )


@rule("contour.empty", "fail", "fact", "The heart's ROI has no usable contour.")
def contour_empty(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """A name without a region."""
    if m.roi is not None and m.roi.structure.is_empty:
        count = m.roi.contour_count
        why = "none of its contours can be used" if count else "it has no contours"
        yield Hit(
            f"{m.roi.structure.name} is empty: {why}. Contour it.",
            structures=(m.roi.structure.name,),
            measured=float(count),
        )


@rule("contour.single_plane", "fail", "fact", "The heart is drawn on one slice only.")
def single_plane(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """One plane: its thickness, and so its volume and dose, are a convention."""
    if m.heart is not None and len(m.heart.planes) == 1:
        w = next(iter(m.heart.planes))
        yield Hit(
            f"{m.heart.name} is drawn on a single slice ({w:.1f} mm): volume and doses are those of a slab of {m.heart.usual_spacing_mm:g} mm. Contour the other slices too.",
            (w,),
            1.0,
            structures=(m.heart.name,),
        )


@rule(
    "contour.unedited_draft",
    "warning",
    "fact",
    "The approved name stands on rtqc's own draft, and not one point of it was edited.",
)
def unedited_draft(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The draft's own fingerprint, which it carries in its ROI Description."""
    if m.roi is not None and m.roi.unedited_draft:
        yield Hit(
            f"{m.roi.structure.name} is a draft of rtqc's under another name: not one point was changed, so the comparison below is of the draft with itself. Look at the contour and edit it, or let a second person approve it as it is.",
            structures=(m.roi.structure.name,),
        )


@rule("contour.two_hearts", "warning", "fact", "More than one ROI could be the heart; the surest name with contours was taken.")
def contour_two_hearts(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Two candidates."""
    if len(m.candidates) > 1 and m.roi is not None:
        others = [name for name in m.candidates if name != m.roi.structure.name] or list(m.candidates[1:])
        yield Hit(
            f"{len(m.candidates)} structures could be the heart: {m.roi.structure.name} was taken, {', '.join(others)} was not. Keep one.",
            structures=m.candidates,
        )


@rule(
    "contour.degenerate",
    "warning",
    "fact",
    "Contours of the heart have fewer than 3 points, are open, cross themselves or are no numbers.",
)
def contour_degenerate(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Contours that could not be taken as they stand."""
    if m.roi is None:
        return
    for kind, words in _DEFECTS.items():
        found = [d for d in m.roi.defects if d.kind == kind]
        if found:
            where = [d.position_mm for d in found if d.position_mm is not None]
            dropped = sum(d.dropped for d in found)
            done = f"{dropped} left out" if dropped else "read even-odd" if kind == "self_intersecting" else "kept"
            place = f" at {at_positions(where)}" if where else ""
            example = next((f" (such as '{d.detail}')" for d in found if d.detail), "")
            advice = "Export them again" if kind in _OF_THE_EXPORT else "Redraw them"
            yield Hit(
                f"{m.roi.structure.name} has {len(found)} {'contour' if len(found) == 1 else 'contours'} with {words}{example}{place}; {done}. {advice}.",
                tuple(where),
                float(len(found)),
                structures=(m.roi.structure.name,),
            )


@rule(
    "contour.repeated",
    "warning",
    "fact",
    "Contours of the heart stand in the structure set more than once; each was counted once.",
)
def contour_repeated(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Outlines that another of the same slice already is."""
    found = [d for d in m.roi.defects if d.kind == "repeated"] if m.roi is not None else []
    if found and m.roi is not None:
        where = sorted({d.position_mm for d in found if d.position_mm is not None})
        copies = f"{len(found)} surplus {'copy' if len(found) == 1 else 'copies'}"
        yield Hit(
            f"{m.roi.structure.name} has {copies} of its contours, at {at_positions(where)}: each contour was counted once, but a copy is a hole to programs that combine by exclusive or. Delete the copies.",
            tuple(where),
            float(len(found)),
            structures=(m.roi.structure.name,),
        )


@rule(
    "contour.hole_or_piece",
    "warning",
    "fact",
    "A contour lies across the overlap of others: whether it is a hole or a piece, the file does not say.",
)
def contour_hole_or_piece(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Outlines inside several that overlap together, and inside none of them."""
    found = [d for d in m.roi.defects if d.kind == "across"] if m.roi is not None else []
    if found and m.roi is not None:
        where = sorted({d.position_mm for d in found if d.position_mm is not None})
        count = f"{counted(len(found), 'contour')} of {m.roi.structure.name} {'lies' if len(found) == 1 else 'lie'}"
        yield Hit(
            f"{count} across the overlap of other pieces, at {at_positions(where)}, and may be meant as {'a hole' if len(found) == 1 else 'holes'}: taken as {'a piece' if len(found) == 1 else 'pieces'}. Unite the pieces and draw the hole again.",
            tuple(where),
            float(len(found)),
            structures=(m.roi.structure.name,),
        )


@rule("contour.off_plane", "warning", "fact", "Contours lie between CT slices.")
def contour_off_plane(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Planes without a slice, and contours that were moved onto theirs."""
    if m.heart is None or m.roi is None or m.case.image is None:
        return
    limit = limits.contour_off_plane
    if m.slices_mm is None:
        cosine = abs(float(np.dot(m.heart.orientation.normal, m.case.image.grid.orientation.normal)))
        yield Hit(
            f"{m.heart.name} is drawn on planes {np.degrees(np.arccos(min(cosine, 1.0))):.0f}° from the CT's slices: it was read on its own planes. Redraw it on the slices.",
            structures=(m.heart.name,),
        )
        return
    slices = m.slices_mm
    off = {w: float(np.abs(slices - w).min()) for w in m.heart.planes}
    moved = {d.position_mm: abs(d.offset_mm) for d in m.roi.defects if d.kind == "moved_to_slice" and d.position_mm is not None}
    off |= {w: d for w, d in moved.items() if d > off.get(w, 0.0)}
    # On a thin CT a contour may lie midway between two slices and still within the limit.
    thin = _OFF_PLANE_SHARE * float(np.median(np.diff(slices))) if slices.size > 1 else limit.value
    between = [w for w, d in off.items() if d > min(limit.value, thin) and slices[0] < w < slices[-1]]
    if between:
        taken = "; each was taken as its nearest slice's" if all(w in moved for w in between) else ""
        yield Hit(
            f"{m.heart.name} has contours between CT slices at {at_positions(between)}, up to {max(off[w] for w in between):.1f} mm off{taken}: redraw them on the slices.",
            tuple(between),
            max(off[w] for w in between),
            limit if max(off[w] for w in between) > limit.value else None,
            (m.heart.name,),
        )


@rule("contour.outside_image", "fail", "fact", "Contours lie outside the CT.")
def contour_outside_image(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Beyond the first or last slice, or beyond the pixels."""
    if m.heart is None or m.slices_mm is None or m.case.image is None:
        return
    grid = m.case.image.grid
    heart = in_frame(m.heart, grid.orientation)
    half_row, half_column = grid.spacing_mm[0] / 2, grid.spacing_mm[1] / 2
    field = shapely.box(
        grid.columns_mm[0] - half_column, grid.rows_mm[0] - half_row, grid.columns_mm[-1] + half_column, grid.rows_mm[-1] + half_row
    )  # fmt: skip
    low, high = grid.slab_bounds_mm[0, 0], grid.slab_bounds_mm[-1, 1]
    outside = [w for w, area in heart.planes.items() if not low <= w <= high or not shapely.covers(field, area)]
    if outside:
        sign = round(float(grid.orientation.transform_to(m.heart.orientation)[2, 2]))
        where = tuple(sorted(w * sign for w in outside))
        yield Hit(
            f"{m.heart.name} leaves the CT at {at_positions(where)}: it belongs to another image, or the CT is cut off.",
            where,
            float(len(where)),
            structures=(m.heart.name,),
        )


@rule("contour.outside_body", "fail", "fact", "Part of the heart lies outside the body.")
def contour_outside_body(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Share of the volume outside the body's outline."""
    limit = limits.contour_outside_body
    percent, where = m.outside_body
    if m.heart is not None and percent > limit.value:
        yield Hit(
            f"{percent:.1f} % of {m.heart.name} lies outside the body, at {at_positions(where)}: check for stray or shifted contours.",
            where,
            percent,
            limit,
            (m.heart.name,),
        )


@rule("contour.frame_of_reference", "fail", "fact", "The heart belongs to another frame of reference than the CT.")
def contour_frame_of_reference(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """ReferencedFrameOfReferenceUID against the CT's."""
    frame = m.case.provenance.frame_of_reference_uid
    if m.roi is not None and m.case.image is not None and frame and m.roi.frame_of_reference_uid not in ("", frame):
        yield Hit(
            f"{m.roi.structure.name} was drawn in another frame of reference than the CT: its coordinates mean other places. Copy it to the planning CT.",
            measured=m.roi.frame_of_reference_uid,
            structures=(m.roi.structure.name,),
        )


@rule("contour.slice_missing", "fail", "fact", "A CT slice inside the heart's extent has no contour.")
def contour_slice_missing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Slices between first and last plane without a contour."""
    if m.heart is None or m.heart.positions_mm.size < 2:
        return
    planes = m.heart.positions_mm
    missing = _missing_slices(m, planes)
    if not missing:
        return
    if m.slices_mm is not None:
        inside = int(((m.slices_mm >= planes[0] - _ON_PLANE_MM) & (m.slices_mm <= planes[-1] + _ON_PLANE_MM)).sum())
        if planes.size < _SPARSE_SHARE * inside:
            bridged = bool(m.heart.slabs.bridged.all())
            done = (
                "between them it was interpolated"
                if bridged
                else "where they lie too far apart nothing was assumed between them"
            )
            yield Hit(
                f"{m.heart.name} is drawn on {planes.size} of the {inside} CT slices that it spans; {done}. Interpolate it in the planning system.",
                tuple(missing),
                float(len(missing)),
                structures=(m.heart.name,),
            )
            return
    word = "slice has" if len(missing) == 1 else "slices have"
    yield Hit(
        f"{len(missing)} CT {word} no contour of {m.heart.name} although it is drawn above and below: {at_positions(missing)}. Draw it there.",
        tuple(missing),
        float(len(missing)),
        structures=(m.heart.name,),
    )


def _missing_slices(m: Measurements, planes: np.ndarray) -> list[float]:
    if m.slices_mm is not None and m.slices_mm.size > 1:
        reach = half_slices_mm(m.slices_mm)
        inside = np.flatnonzero((m.slices_mm > planes[0] + _ON_PLANE_MM) & (m.slices_mm < planes[-1] - _ON_PLANE_MM))
        off = [m.slices_mm[k] - planes for k in inside]
        # A contour belongs to the slice in whose slab it lies, and midway between two to both.
        drawn = [
            bool(((d < reach[k, 0] + _ON_PLANE_MM) & (-d < reach[k, 1] + _ON_PLANE_MM)).any())
            for k, d in zip(inside, off, strict=True)
        ]
        return [float(m.slices_mm[k]) for k, there in zip(inside, drawn, strict=True) if not there]
    gaps = np.flatnonzero(np.diff(planes) > 1.5 * local_spacings_mm(planes))
    return [float((planes[k] + planes[k + 1]) / 2) for k in gaps]


@rule("contour.stray_island", "warning", "fact", "A piece of the heart is not connected to the rest.")
def contour_stray_island(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Pieces apart from the largest."""
    limit = limits.contour_island
    if m.heart is None:
        return
    missing = set(_missing_slices(m, m.heart.positions_mm)) if m.heart.positions_mm.size > 1 else set()
    for piece in m.pieces[1:]:
        volume = piece_volume_ml(piece, m.heart)
        where = tuple(sorted({w for w, _ in piece}))
        if volume < limit.value or _only_parted_by_gap(m.heart, piece, missing):
            continue
        yield Hit(
            f"A piece of {m.heart.name} of {volume:.2f} ml at {at_positions(where)} is not connected to the rest: delete or join it.",
            where,
            volume,
            limit,
            (m.heart.name,),
        )


def _only_parted_by_gap(heart: Structure, piece: list[tuple[float, shapely.Polygon]], missing: set[float]) -> bool:
    """A missing slice parts the heart in two; that is its own finding, not an island."""
    if not missing:
        return False
    low, high = min(w for w, _ in piece), max(w for w, _ in piece)
    reach = 1.01 * heart.usual_spacing_mm
    return any(low - reach <= w <= low or high <= w <= high + reach for w in missing) and len(piece) > 1


@rule("contour.hole", "warning", "fact", "The heart has a hole.")
def contour_hole(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Interiors of the polygons."""
    limit = limits.contour_hole
    if m.heart is None:
        return
    holes = {w: holes_of(area, limit.value) for w, area in m.heart.planes.items()}
    where = tuple(w for w, size in holes.items() if size > 0)
    if where:
        yield Hit(
            f"{m.heart.name} has a hole of {max(holes.values()):.0f} mm² at {at_positions(where)}: fill it.",
            where,
            max(holes.values()),
            limit,
            (m.heart.name,),
        )


@rule("contour.copied", "warning", "fact", "The same outline stands unchanged on several slices.")
def contour_copied(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Runs of identical planes."""
    limit = limits.contour_copied
    if m.heart is None:
        return
    planes = list(m.heart.planes.items())
    run = [planes[0][0]]
    for (_, before), (w, area) in zip(planes[:-1], planes[1:], strict=True):
        same = abs(before.area - area.area) < _COPY_TOLERANCE * area.area
        if same and shapely.symmetric_difference(before, area).area < _COPY_TOLERANCE * area.area:
            run.append(w)
            continue
        if len(run) >= limit.value:
            yield _copied(m.heart, run, limits)
        run = [w]
    if len(run) >= limit.value:
        yield _copied(m.heart, run, limits)


def _copied(heart: Structure, run: list[float], limits: Limits) -> Hit:
    return Hit(
        f"The same outline of {heart.name} was copied over {counted(len(run), 'slice')}, {at_positions([run[0], run[-1]])}: adapt it to each slice.",
        tuple(run),
        float(len(run)),
        limits.contour_copied,
        (heart.name,),
    )


@rule("contour.area_jump", "warning", "fact", "The area changes abruptly from one slice to the next.")
def contour_area_jump(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Change of area between neighbours inside the heart, per 3 mm, relative to the largest area."""
    limit = limits.contour_area_jump
    if m.heart is None or m.heart.positions_mm.size < 7:
        return
    areas, positions = m.heart.areas_mm2, m.heart.positions_mm
    # The ends may begin abruptly: the upper one where the atria end, the lower one on the diaphragm.
    inner = slice(2, -3)
    steps = np.diff(positions)[inner]
    change = 100 * np.diff(areas)[inner] / areas.max() * 3.0 / np.maximum(steps, 3.0)
    where = [float(positions[inner.start + 1 + k]) for k in np.flatnonzero(np.abs(change) > limit.value)]
    if where:
        worst = float(np.abs(change).max())
        yield Hit(
            f"The area of {m.heart.name} jumps by {worst:.0f} % of its largest between neighbouring slices at {at_positions(where)}: check these slices.",
            tuple(where),
            worst,
            limit,
            (m.heart.name,),
        )

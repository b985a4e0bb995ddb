"""A region of the patient as it was drawn: polygons on planes. The truth that masks only render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from rtqc.core.orientation import AXIAL, Orientation
from rtqc.core.slabs import Slabs, slabs_of, usual_spacing_mm
from rtqc.core.volumes import Mask


@dataclass(frozen=True)
class Structure:
    """A named region on parallel planes.

    Attributes:
        name: ROIName, as it stands in the file.
        planes: plane position ``w`` in mm -> area on that plane, coordinates ``(u, v)`` in mm of ``orientation``'s
            frame (axial: patient x and y), with its real holes. Kept in ascending order; empty areas are dropped.
        orientation: the planes' orientation.
        kind: RT ROI Interpreted Type (PS3.3 C.8.8.8), e.g. ``ORGAN``; empty where unknown.
        slice_spacing_mm: slice spacing of the image that it was drawn on; needed only for a single plane.
        slices_mm: positions of that image's slices along the planes' normal, ascending, in mm: how thick a plane is where the image's
            spacing changes. None where they are not known.
        voxels: the mask that the planes are the outlines of; None where they were drawn, and in every changed copy.
    """

    name: str
    planes: Mapping[float, MultiPolygon]
    orientation: Orientation = AXIAL
    kind: str = ""
    slice_spacing_mm: float | None = None
    slices_mm: tuple[float, ...] | None = field(default=None, compare=False, repr=False)
    voxels: Mask | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        kept = {float(w): area for w, area in sorted(self.planes.items()) if not area.is_empty}
        object.__setattr__(self, "planes", kept)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn."""
        return not self.planes

    @cached_property
    def positions_mm(self) -> NDArray[np.float64]:
        """Plane positions, ascending, in mm."""
        return np.array(list(self.planes), float)

    @cached_property
    def usual_spacing_mm(self) -> float:
        """Distance between neighbouring planes, in mm: the usual one, where it changes.

        Raises:
            ValueError: a single plane and no ``slice_spacing_mm``; an empty structure.
        """
        return usual_spacing_mm(self.positions_mm, self.slice_spacing_mm)

    @cached_property
    def slabs(self) -> Slabs:
        """What each plane stands for along the normal, and which planes are one piece."""
        return slabs_of(self.positions_mm, self.slice_spacing_mm, self.slices_mm)

    @property
    def slab_bounds_mm(self) -> NDArray[np.float64]:
        """Ends of each plane's slab along the normal, shape (planes, 2), in mm."""
        return self.slabs.bounds_mm

    @property
    def thickness_mm(self) -> NDArray[np.float64]:
        """Thickness of each plane's slab, shape (planes,), in mm."""
        bounds = self.slab_bounds_mm
        return np.asarray(bounds[:, 1] - bounds[:, 0])

    @cached_property
    def areas_mm2(self) -> NDArray[np.float64]:
        """Area on each plane, in mm²."""
        return np.array([area.area for area in self.planes.values()], float)

    @property
    def volume_ml(self) -> float:
        """Sum of area times slab thickness, in ml; 0 for an empty structure."""
        if self.is_empty:
            return 0.0
        return float(self.areas_mm2 @ self.thickness_mm) / 1000.0

    @property
    def centroid_mm(self) -> NDArray[np.float64]:
        """Centre of volume in patient coordinates, shape (3,), in mm.

        Raises:
            ValueError: an empty structure.
        """
        if self.is_empty:
            raise ValueError(f"{self.name} is empty: it has no centroid")
        weights = self.areas_mm2 * self.thickness_mm
        # A slab reaches further up than down where the spacing grows: its middle is not its plane.
        middles = self.slab_bounds_mm.mean(axis=1)
        frame = np.array([[a.centroid.x, a.centroid.y, w] for a, w in zip(self.planes.values(), middles, strict=True)])
        return np.asarray(self.orientation.to_patient((weights @ frame / weights.sum())[None])[0])

    def renamed(self, name: str) -> Structure:
        """The same region under another name."""
        return replace(self, name=name).outlining(self.voxels)

    def outlining(self, voxels: Mask | None) -> Structure:
        """The same structure, said to be the outlines of a mask."""
        copy = replace(self)
        object.__setattr__(copy, "voxels", voxels)
        return copy

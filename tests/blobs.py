"""Random structures without symmetry, and moves of the patient, for tests of what must not change and what must turn along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from hypothesis import Phase, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core import AXIAL, Orientation, Structure

#: Few examples, because each takes tenths of a second; one that fails is shown as it is.
FEW = settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate))
#: Words along each axis of the patient, lower end first.
WORDS = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))


def _star(radii: tuple[float, ...], x: float, y: float) -> Polygon:
    angle = 2 * np.pi * (np.arange(len(radii)) + 0.2) / len(radii)
    return Polygon(np.column_stack([x + np.array(radii) * np.cos(angle), y + np.array(radii) * np.sin(angle)]))


@st.composite
def blobs(draw: st.DrawFn, name: str = "Blob", offset: float = 0.0) -> Structure:
    """Four planes, unevenly apart, of a star with seven unequal points that leans and grows.

    With an offset no plane of it lies on the end of another's slab, which belongs to one of two slabs only.
    """
    radii = draw(st.tuples(*[st.integers(9, 20)] * 7))
    x, y, lean, grow = (draw(st.integers(*ends)) for ends in ((-9, 9), (-9, 9), (-2, 2), (-2, 2)))
    heights = np.cumsum([draw(st.integers(-6, 6)), *(draw(st.integers(2, 4)) for _ in range(3))])
    planes = {
        float(w + offset): MultiPolygon([_star(tuple(r * (1 + 0.04 * grow * k) for r in radii), x + lean * k, y - lean * k)])
        for k, w in enumerate(heights)
    }
    return Structure(name, planes, slice_spacing_mm=3.0)


@dataclass(frozen=True)
class Move:
    """A way to move the patient: an orthogonal matrix that keeps axial planes axial, and a shift in mm.

    Attributes:
        matrix: signed permutation, 3 x 3; ``moved = matrix @ point + shift``.
        shift: in mm.
    """

    matrix: np.ndarray
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def structure(self, given: Structure) -> Structure:
        """The structure at its new place."""
        turn, up, shift = self.matrix[:2, :2], self.matrix[2, 2], np.array(self.shift)
        planes = {
            float(up * w + shift[2]): shapely.transform(area, lambda xy: xy @ turn.T + shift[:2])
            for w, area in given.planes.items()
        }
        return Structure(given.name, planes, AXIAL, given.kind, given.slice_spacing_mm)

    def points(self, given: np.ndarray) -> np.ndarray:
        """Patient coordinates (n, 3) at their new place."""
        return np.asarray(given) @ self.matrix.T + self.shift

    def back(self, given: np.ndarray) -> np.ndarray:
        """The other way."""
        return (np.asarray(given) - self.shift) @ self.matrix

    def word(self, word: str) -> str:
        """Where a direction points afterwards."""
        axis = next(k for k, ends in enumerate(WORDS) if word in ends)
        way = np.zeros(3)
        way[axis] = 1.0 if WORDS[axis].index(word) else -1.0
        moved = self.matrix @ way
        new = int(np.abs(moved).argmax())
        return WORDS[new][int(moved[new] > 0)]

    def words(self, text: str) -> str:
        """Of an octant, in the order that octants are named in."""
        moved = {self.word(w) for w in text.split()}
        return " ".join(w for ends in WORDS for w in ends if w in moved)


MOVES = {
    "mirrored left and right": Move(np.diag([-1.0, 1, 1])),
    "mirrored front and back": Move(np.diag([1.0, -1, 1])),
    "upside down": Move(np.diag([1.0, 1, -1])),
    "turned by 90 degrees": Move(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])),
    "turned by 180 degrees": Move(np.diag([-1.0, -1, 1]), (3, -5, 7)),
    "shifted": Move(np.eye(3), (103.25, -57.5, 880.75)),
}


def stored(given: Structure, orientation: Orientation) -> Structure:
    """The same region of the patient, drawn on an image that is stored another way."""
    turn = AXIAL.transform_to(orientation)
    up = round(float(turn[2, 2]))
    matrix = turn[:2, :2]
    planes = {float(up * w): shapely.transform(area, lambda xy: xy @ matrix.T) for w, area in given.planes.items()}
    return Structure(given.name, planes, orientation, given.kind, given.slice_spacing_mm)


def reordered(given: Structure) -> Structure:
    """The same structure in another order: planes last first, rings the other way round and begun elsewhere."""

    def ring(points: np.ndarray) -> np.ndarray:
        return np.roll(points[:-1], 3, axis=0)[::-1]

    planes = {
        w: MultiPolygon([Polygon(ring(np.array(p.exterior.coords))) for p in area.geoms])
        for w, area in reversed(list(given.planes.items()))
    }
    return Structure(given.name, planes, given.orientation, given.kind, given.slice_spacing_mm)

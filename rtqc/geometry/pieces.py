"""Pieces of a structure that hang together from plane to plane."""

from __future__ import annotations

from shapely.geometry import Polygon

from rtqc.core.structure import Structure

#: Polygons of one piece, each with its plane's position in mm.
Piece = list[tuple[float, Polygon]]


def pieces_of(structure: Structure) -> list[Piece]:
    """Polygons that touch from one plane to the next, as one piece; the largest piece first."""
    nodes = [(k, w, p) for k, (w, area) in enumerate(structure.planes.items()) for p in area.geoms]
    home = list(range(len(nodes)))

    def root(i: int) -> int:
        while home[i] != i:
            i = home[i]
        return i

    by_plane: dict[int, list[int]] = {}
    for i, (k, _, _) in enumerate(nodes):
        by_plane.setdefault(k, []).append(i)
    for k, below in by_plane.items():
        for i in below:
            for j in by_plane.get(k + 1, []):
                if nodes[i][2].intersects(nodes[j][2]):
                    home[root(j)] = root(i)
    groups: dict[int, Piece] = {}
    for i, (_, w, polygon) in enumerate(nodes):
        groups.setdefault(root(i), []).append((w, polygon))
    return sorted(groups.values(), key=lambda g: -sum(p.area for _, p in g))


def piece_volume_ml(piece: Piece, structure: Structure) -> float:
    """Volume of a piece of a structure, in ml: each polygon as thick as its plane.

    Args:
        piece: polygons on planes of the structure.
        structure: which it is a piece of.
    """
    thickness = dict(zip(structure.planes, structure.thickness_mm.tolist(), strict=True))
    return float(sum(p.area * thickness[w] for w, p in piece)) / 1000.0

"""Where in a heart coronaries run, and what else calcifies: probabilities from place, fat around, and depth.

The heart's own coordinates are those of its box: -1 to 1 to the left, to the back and up. In them the courses of the coronaries, the aortic root and the
mitral annulus are known from anatomy (AHA segments: Austen et al., Circulation 51(4 Suppl):5, 1975; Leipsic et al., J Cardiovasc Comput Tomogr 8:342,
2014) to about a centimetre, which is why the vessel is a guess with a probability. Coronaries run in fat; valves lie in blood: that tells them apart
where the place does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rtqc.core.cardiac import Kind, Vessel

Points = NDArray[np.float64]

#: Courses in box coordinates (left, back, up).
COURSES: dict[Vessel, tuple[tuple[tuple[float, float, float], ...], ...]] = {
    "LM/LAD": (
        (
            (0.12, 0.0, 0.62), (0.28, -0.02, 0.6), (0.4, -0.22, 0.48), (0.46, -0.5, 0.25), (0.52, -0.72, -0.05),
            (0.64, -0.78, -0.4), (0.76, -0.68, -0.75),
        ),
        ((0.42, -0.3, 0.42), (0.66, -0.3, 0.3), (0.82, -0.25, 0.0)),
    ),
    "LCX": (
        ((0.28, 0.02, 0.58), (0.46, 0.2, 0.48), (0.64, 0.42, 0.25), (0.66, 0.62, 0.0), (0.5, 0.76, -0.3), (0.25, 0.74, -0.5)),
        ((0.66, 0.42, 0.22), (0.86, 0.3, -0.1)),
    ),
    "RCA": (
        (
            (-0.12, -0.28, 0.55), (-0.38, -0.46, 0.42), (-0.54, -0.48, 0.15), (-0.6, -0.42, -0.15), (-0.56, -0.22, -0.5),
            (-0.36, 0.14, -0.74), (-0.05, 0.42, -0.74), (0.2, 0.22, -0.85), (0.5, -0.15, -0.92),
        ),
    ),
}  # fmt: skip
#: The right coronary; the others are of the left.
RIGHT: Vessel = "RCA"
#: Middle of the aortic root, from the valve up; and the mitral annulus, whose back part calcifies.
_ROOT = ((0.02, -0.05, 0.22), (-0.06, -0.12, 0.6), (-0.12, -0.15, 1.05))
_ANNULUS = ((0.1, 0.55, -0.12), (0.3, 0.62, -0.25), (0.48, 0.5, -0.2), (0.52, 0.28, 0.02))
#: Half the width of the root, within which its walls and leaflets calcify, in mm.
_ROOT_MM = 13.0
#: How far a structure of one heart lies from its place in another, standard deviation, in mm.
_COURSE_SD_MM, _ROOT_SD_MM, _ANNULUS_SD_MM = 9.0, 5.0, 7.0
#: An outline cuts so far into a coronary's fat (radiologists' too: 3 mm), and further it is less and less likely: standard deviation, in mm.
_CUT_MM, _CUT_SD_MM = 1.5, 2.5
#: From so far outside on lie nodes, ribs and what the lung holds; standard deviation of where that begins, in mm.
_OUTSIDE_MM, _OUTSIDE_SD_MM = 2.5, 2.5
#: Coronaries are 2 to 5 mm wide (Dodge et al., Circulation 86:232, 1992), dense calcium glows by as much again: what is thicker is less and less likely one,
#: standard deviation, in mm.
_THICK_MM, _THICK_SD_MM = 8.0, 2.0
#: They are tubes, bent and branching: volume over length and thickness is so much, and what is wider is a plate, of bone or annulus, in mm.
_WIDE_MM, _WIDE_SD_MM = 8.0, 2.5
#: What spreads so far in the second of its main directions, in mm (four standard deviations), may be several vessels that grew together.
_SPREAD_MM = 12.0
#: Pericardium lies at the surface, in mm of depth.
_PERICARDIUM_MM, _PERICARDIUM_SD_MM = 0.0, 1.8
#: How often each is what is seen, before anything is known of it (autopsy and CT series: coronaries far before valves, those before the rest).
_PRIOR: dict[str, float] = {
    "LM/LAD": 0.38,
    "LCX": 0.14,
    "RCA": 0.22,
    "aortic root or valve": 0.08,
    "aortic wall": 0.06,
    "mitral annulus": 0.08,
    "pericardium": 0.015,
    "outside the heart": 0.04,
    "something else": 0.03,
}
#: Share of fat around: parameters of a beta distribution.
_FAT_AROUND: dict[str, tuple[float, float]] = {
    "LM/LAD": (1.8, 2.6), "LCX": (1.8, 2.6), "RCA": (2.0, 2.4), "aortic root or valve": (1.0, 11.0), "aortic wall": (2.0, 4.0), "mitral annulus": (1.2, 7.0), "pericardium": (1.8, 2.4),
    "outside the heart": (1.5, 2.5),
    "something else": (1.0, 1.0),
}  # fmt: skip
#: Share of lung around: parameters of a beta distribution. Coronaries have pericardium and fat between them and the lung; hilar nodes and granulomas do not.
_LUNG_AROUND: dict[str, tuple[float, float]] = {
    "LM/LAD": (1.0, 10.0), "LCX": (1.0, 10.0), "RCA": (1.0, 10.0), "aortic root or valve": (1.0, 10.0), "aortic wall": (1.0, 10.0), "mitral annulus": (1.0, 20.0),
    "pericardium": (1.0, 3.0), "outside the heart": (1.0, 1.5), "something else": (1.0, 1.5),
}  # fmt: skip
#: What lies nowhere in particular is muscle, a scar, a leaking outline: as unlikely as a coronary three and a half standard deviations from its course.
_ELSEWHERE = -6.0
#: No kind is thrown out by the fat around alone: logarithms end here.
_FLOOR = -6.0
_SAMPLES_MM = 2.0
_OTHERS: tuple[Kind, ...] = ("aortic root or valve", "mitral annulus", "pericardium", "outside the heart", "something else")


@dataclass(frozen=True)
class Look:
    """What is known of a calcification.

    Attributes:
        points_mm: its voxels, patient coordinates (n, 3), in mm.
        depth_mm: below the heart's surface; negative outside.
        fat_around: part of the shell around it that is fat, of what is not lung, 0 to 1; None where there is no shell to see.
        lung_around: part of that shell that is lung.
        thick_mm: diameter of the largest ball that fits into it, in mm.
        wide_mm: its volume over its length and thickness, in mm.
    """

    points_mm: Points
    depth_mm: float
    fat_around: float | None
    lung_around: float | None = None
    thick_mm: float = 0.0
    wide_mm: float = 0.0


@dataclass(frozen=True)
class Guess:
    """What it is taken for: the kind, the probability that it is coronary, and of each vessel if it is."""

    kind: Kind
    coronary: float
    vessels: Mapping[Vessel, float]

    @property
    def vessel(self) -> Vessel:
        """The most likely one."""
        return max(self.vessels, key=lambda v: self.vessels[v])

    def of_side(self, right: bool) -> Guess:
        """The same where it is known to be of the right coronary, or of the left."""
        known = {v: p for v, p in self.vessels.items() if (v == RIGHT) == right}
        total = max(sum(known.values()), 1e-9)
        return replace(self, vessels={v: p / total for v, p in known.items()})

    def but(self, kind: Kind) -> Guess:
        """The same where something else than place shows that it is no coronary."""
        return replace(self, kind=kind, coronary=0.0)


class Places:
    """The courses in one heart."""

    def __init__(self, low_mm: Points, high_mm: Points) -> None:
        """Of a heart with this box: its lowest and highest corner, patient coordinates, in mm."""
        self._middle = (low_mm + high_mm) / 2
        self._half = (high_mm - low_mm) / 2
        self.courses = {vessel: np.concatenate([self._sampled(c) for c in courses]) for vessel, courses in COURSES.items()}
        self._root = self._sampled(_ROOT)
        self._annulus = self._sampled(_ANNULUS)

    def _sampled(self, course: Sequence[tuple[float, float, float]]) -> Points:
        nodes = self._middle + np.array(course) * self._half
        parts = []
        for a, b in zip(nodes[:-1], nodes[1:], strict=True):
            count = max(int(np.linalg.norm(b - a) / _SAMPLES_MM), 1)
            parts.append(a + (b - a) * np.linspace(0, 1, count, endpoint=False)[:, None])
        return np.concatenate([*parts, nodes[-1:]])

    def parts(self, points: Points) -> NDArray[np.intp]:
        """Which structure each point belongs to by its place alone, numbered from 0 as it happens to be: vessels, root, annulus."""
        prior = {**_PRIOR, "aortic root or valve": _PRIOR["aortic root or valve"] + _PRIOR["aortic wall"]}
        logs = [
            place + np.log(prior[what]) for what, place in self._by_place(lambda course: _distances(points, course)).items()
        ]
        return np.asarray(np.argmax(logs, axis=0), np.intp)

    def _by_place(self, away: Callable[[Points], Any]) -> dict[str, Any]:
        """Logarithm of how well a distance from each course suits what lies along it."""
        placed: dict[str, Any] = {vessel: -0.5 * (away(course) / _COURSE_SD_MM) ** 2 for vessel, course in self.courses.items()}
        root = -0.5 * (np.maximum(away(self._root) - _ROOT_MM, 0.0) / _ROOT_SD_MM) ** 2
        return {**placed, "aortic root or valve": root, "mitral annulus": -0.5 * (away(self._annulus) / _ANNULUS_SD_MM) ** 2}

    def guess(self, look: Look) -> Guess:
        """What a calcification is likely to be."""
        unlike = -0.5 * (max(-look.depth_mm - _CUT_MM, 0.0) / _CUT_SD_MM) ** 2
        unlike -= 0.5 * (max(look.thick_mm - _THICK_MM, 0.0) / _THICK_SD_MM) ** 2
        unlike -= 0.5 * (max(look.wide_mm - _WIDE_MM, 0.0) / _WIDE_SD_MM) ** 2
        by_place = self._by_place(lambda course: float(_distances(look.points_mm, course).mean()))
        places: dict[str, float] = {
            **by_place,
            "aortic wall": by_place["aortic root or valve"],
            "pericardium": -0.5 * ((look.depth_mm - _PERICARDIUM_MM) / _PERICARDIUM_SD_MM) ** 2,
            "something else": _ELSEWHERE,
            "outside the heart": -0.5 * (max(look.depth_mm + _OUTSIDE_MM, 0.0) / _OUTSIDE_SD_MM) ** 2,
        }
        for vessel in COURSES:
            places[vessel] += unlike
        logs = {}
        for what, place in places.items():
            fat = _log_beta(look.fat_around, *_FAT_AROUND[what]) if look.fat_around is not None else 0.0
            lung = _log_beta(look.lung_around, *_LUNG_AROUND[what]) if look.lung_around is not None else 0.0
            logs[what] = place + max(fat, _FLOOR) + max(lung, _FLOOR) + float(np.log(_PRIOR[what]))
        top = max(logs.values())
        weights = {what: float(np.exp(v - top)) for what, v in logs.items()}
        weights["aortic root or valve"] += weights.pop("aortic wall")
        total = sum(weights.values())
        among = sum(weights[vessel] for vessel in COURSES)
        coronary = among / total
        vessels = {vessel: weights[vessel] / max(among, 1e-300) for vessel in COURSES}
        kind: Kind = "coronary" if coronary >= 0.5 else max(_OTHERS, key=lambda k: weights[k])
        return Guess(kind, coronary, vessels)


def _distances(points: Points, course: Points) -> NDArray[np.float64]:
    """Distance (n,) of points from a course, in mm."""
    return np.asarray(cKDTree(course).query(points)[0], np.float64)


def is_bulky(points_mm: Points, thick_mm: float) -> bool:
    """Whether a calcification is more than one vessel is: several that grew together, or no vessel at all."""
    return thick_mm > _THICK_MM or _second_extent(points_mm) > _SPREAD_MM


def _second_extent(points: Points) -> float:
    """How far points spread in the second of their main directions, in mm: four standard deviations."""
    if len(points) < 3:
        return 0.0
    return float(4 * np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[1], 0.0)))


def _log_beta(x: float, a: float, b: float) -> float:
    """Logarithm of the beta density, at shares that are not quite 0 or 1."""
    from math import lgamma

    x = min(max(x, 0.02), 0.98)
    return float(lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * np.log(x) + (b - 1) * np.log(1 - x))

"""A thorax made of formulas: every organ is a signed distance, so its contour on any plane is known.

Not a digital human: enough of one that a heart network can learn from it and that a planted error is the only thing
wrong with its plan. Sizes are those of adults (heart 500 to 900 ml; lungs and chest after ICRP Publication 89).
Patient coordinates (LPS, mm); the heart's middle is near the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtqc.phantom.shapes import Field, Points, ellipsoid, rotation, smooth_union, superellipse, tube

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Anatomy:
    """One synthetic patient.

    Attributes:
        half_width_mm, half_depth_mm: half axes of the trunk.
        fat_mm: thickness of the subcutaneous fat.
        heart_scale: linear size of the heart; 1 is about 650 ml.
        heart_turn: small rotation of the heart about x, y, z, in radians.
        heart_shift_mm: displacement of the heart.
        breath_mm: how far the diaphragm is lower than at rest (deep inspiration breath-hold: 20 to 30).
        apex_mm: height of the lungs' tips above the heart's middle.
        breast_mm: projection of the breasts; 0 after mastectomy, and small in men.
        side: treated breast.
        muscle_mm: thickness of the chest wall.
        tilt: lateral asymmetry of the diaphragm, mm by which the right dome is higher.
        vessel_scale: size of the great vessels.
        texture_seed: seed of texture and noise.
        contrast_hu: HU added to blood (0: no contrast agent).
        gas: whether there is gas in the stomach.
        table: whether a couch lies under the patient.
    """

    half_width_mm: float = 168.0
    half_depth_mm: float = 112.0
    fat_mm: float = 14.0
    heart_scale: float = 1.0
    heart_turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    heart_shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breath_mm: float = 0.0
    apex_mm: float = 165.0
    breast_mm: float = 45.0
    side: Side = "left"
    muscle_mm: float = 15.0
    tilt: float = 14.0
    vessel_scale: float = 1.0
    texture_seed: int = 0
    contrast_hu: float = 0.0
    gas: bool = True
    table: bool = True

    @classmethod
    def random(cls, seed: int) -> Anatomy:
        """A patient drawn from the population; the same for the same seed."""
        rng = np.random.default_rng(seed)
        male = bool(rng.random() < 0.35)
        width = float(rng.normal(172 if male else 160, 12))
        return cls(
            half_width_mm=width,
            half_depth_mm=float(np.clip(rng.normal(0.67, 0.04), 0.58, 0.78)) * width,
            fat_mm=float(np.clip(rng.gamma(4, 4), 5, 40)),
            heart_scale=float(np.clip(rng.normal(1.03 if male else 0.97, 0.07), 0.8, 1.2)),
            heart_turn=tuple(rng.normal(0, 0.13, 3)),
            heart_shift_mm=tuple(rng.normal(0, (6, 4, 5))),
            breath_mm=float(np.clip(rng.normal(4, 9), -12, 30)),
            apex_mm=float(rng.normal(165, 12)),
            breast_mm=0.0 if rng.random() < 0.1 else (12.0 if male else float(np.clip(rng.normal(48, 16), 18, 90))),
            side="left" if rng.random() < 0.6 else "right",
            muscle_mm=float(np.clip(rng.normal(15, 3), 9, 22)),
            tilt=float(rng.normal(14, 6)),
            vessel_scale=float(np.clip(rng.normal(1, 0.1), 0.75, 1.3)),
            texture_seed=seed,
            contrast_hu=float(rng.choice([0.0, 0.0, 0.0, rng.uniform(60, 220)])),
            gas=bool(rng.random() < 0.6),
            table=bool(rng.random() < 0.7),
        )


class Organs:
    """Signed distances of every organ at the same points, in mm, negative inside; same broadcast shape.

    Each is computed when it is asked for: the outline of a lung needs no vessels.
    """

    def __init__(self, anatomy: Anatomy, points: Points) -> None:
        self._anatomy, self._p = anatomy, points

    @cached_property
    def _trunk(self) -> tuple[Field, Field, Field, Field]:
        return _body(self._anatomy, self._p)

    @property
    def body(self) -> Field:
        """All within the skin."""
        return self._trunk[0]

    @property
    def breast_left(self) -> Field:
        """The left breast."""
        return self._trunk[2]

    @property
    def breast_right(self) -> Field:
        """The right breast."""
        return self._trunk[3]

    @cached_property
    def wall(self) -> Field:
        """The chest wall and what it encloses."""
        return self._trunk[1] + np.float32(self._anatomy.fat_mm)

    @cached_property
    def cavity(self) -> Field:
        """What the ribs enclose."""
        return _cavity(self._anatomy, self._p)

    @cached_property
    def heart(self) -> Field:
        """The heart."""
        return _heart(self._anatomy, self._p, 1.0)

    @cached_property
    def chambers(self) -> Field:
        """The blood in the heart."""
        return _heart(self._anatomy, self._p, 0.72)

    @cached_property
    def _under_diaphragm(self) -> Field:
        return _diaphragm(self._anatomy, self._p)

    @cached_property
    def spine(self) -> Field:
        """The vertebral column."""
        p = self._p
        column = np.hypot(p.x, p.y - np.float32(_spine_y(self._anatomy))) - 17
        return np.asarray(np.maximum(column, -np.float32(1e3) + 0 * p.z), np.float32)

    @cached_property
    def cord(self) -> Field:
        """The spinal cord."""
        p = self._p
        return np.asarray(np.hypot(p.x, p.y - np.float32(_spine_y(self._anatomy) + 25)) - 6 + 0 * p.z, np.float32)

    @cached_property
    def _lungs(self) -> Field:
        p = self._p
        mediastinum = np.abs(p.x - np.float32(4)) - (np.float32(20) + np.clip(p.y, 0, 40) * np.float32(0.15)) + 0 * p.z
        # 3 mm of fat lie between heart and lung: the pericardial layer that makes the outline visible.
        parts = (self.cavity, -mediastinum, self._under_diaphragm, 3 - self.heart, 8 - self.spine)
        return np.asarray(np.maximum.reduce(np.broadcast_arrays(*parts)), np.float32)

    @cached_property
    def lung_left(self) -> Field:
        """The left lung."""
        return np.asarray(np.maximum(self._lungs, -(self._p.x - np.float32(4))), np.float32)

    @cached_property
    def lung_right(self) -> Field:
        """The right lung."""
        return np.asarray(np.maximum(self._lungs, self._p.x - np.float32(4)), np.float32)

    @cached_property
    def below_diaphragm(self) -> Field:
        """Everything below the diaphragm."""
        return np.asarray(np.maximum(np.maximum(-self._under_diaphragm, self.cavity), 2 - self.heart), np.float32)

    @cached_property
    def vessels(self) -> Field:
        """The great vessels."""
        return _vessels(self._anatomy, self._p)

    @cached_property
    def airway(self) -> Field:
        """Windpipe and main bronchi."""
        return _airway(self._p)

    @cached_property
    def oesophagus(self) -> Field:
        """The oesophagus."""
        p = self._p
        return np.asarray(np.hypot(p.x - 6, p.y - np.float32(_spine_y(self._anatomy) - 26)) - 8 + 0 * p.z, np.float32)

    @cached_property
    def bone(self) -> Field:
        """Vertebrae, ribs and breast bone."""
        return _bone(self._anatomy, self._p, self._trunk[1])


def organs_at(anatomy: Anatomy, p: Points) -> Organs:
    """Evaluate the anatomy at points."""
    return Organs(anatomy, p)


def body_at(anatomy: Anatomy, p: Points) -> Field:
    """Signed distance to the skin at points."""
    return _body(anatomy, p)[0]


def heart_at(anatomy: Anatomy, p: Points) -> Field:
    """Signed distance to the heart's outline at points."""
    return _heart(anatomy, p, 1.0)


def in_heart(anatomy: Anatomy, points: ArrayLike) -> NDArray[np.float64]:
    """Points (n, 3) of the unscaled, unturned heart, in mm from its middle, where they are in this patient."""
    drop = -anatomy.breath_mm * 0.55
    shift = np.array(anatomy.heart_shift_mm) + (0, 0, drop) + (2.0, 2.0, 0.0)
    turn = rotation(*anatomy.heart_turn).astype(np.float64)
    return np.asarray(anatomy.heart_scale * (np.atleast_2d(np.asarray(points, float)) @ turn.T) + shift)


def _f32(values: ArrayLike) -> Field:
    return np.asarray(values, np.float32)


def _spine_y(anatomy: Anatomy) -> float:
    return anatomy.half_depth_mm - anatomy.fat_mm * 0.6 - 42


def _body(anatomy: Anatomy, p: Points) -> tuple[Field, Field, Field, Field]:
    # Shoulders: the trunk widens above the armpits.
    widening = 1 + np.clip((p.z - 110) / 400, 0, 0.2)
    torso = superellipse(p.x, p.y, _f32(anatomy.half_width_mm * widening), anatomy.half_depth_mm, 2.4)
    breasts = []
    for sign in (1.0, -1.0):
        if anatomy.breast_mm <= 0:
            breasts.append(np.full(np.broadcast_shapes(*(c.shape for c in p)), 1e3, np.float32))
            continue
        centre = (sign * anatomy.half_width_mm * 0.5, -anatomy.half_depth_mm * 0.87, -8.0)
        radii = (56.0, anatomy.breast_mm + 14.0, 62.0)
        breasts.append(ellipsoid(p, centre, radii, np.eye(3, dtype=np.float32)))
    body = smooth_union(np.minimum(breasts[0], breasts[1]), torso, 12.0)
    front = p.y + np.float32(anatomy.half_depth_mm * 0.45)
    left, right = (np.maximum(np.maximum(b - 4, body), front) for b in breasts)
    return body, torso, left, right


def _cavity(anatomy: Anatomy, p: Points) -> Field:
    rim = anatomy.fat_mm + anatomy.muscle_mm
    top = np.clip((p.z - 55) / np.float32(anatomy.apex_mm - 55), 0, 0.98)
    taper = np.sqrt(1 - top * top)
    half_x = (anatomy.half_width_mm - rim) * (0.93 * taper + 0.02)
    half_y = (anatomy.half_depth_mm - rim) * (0.35 + 0.65 * taper) * np.ones_like(p.z)
    side = superellipse(p.x, p.y + 4, half_x, half_y, 2.3)
    return _f32(np.maximum(side, p.z - np.float32(anatomy.apex_mm)))


def _diaphragm(anatomy: Anatomy, p: Points) -> Field:
    """Positive below the diaphragm."""
    half = anatomy.half_width_mm * 0.5
    right = -28 + anatomy.tilt * 0.5 - ((p.x + half) / 62) ** 2 * 18
    left = -28 - anatomy.tilt * 0.5 - ((p.x - half) / 62) ** 2 * 18
    dome = np.maximum(right, left) - np.clip((p.y - 10) / 50, -1.2, 2) ** 2 * 14 - anatomy.breath_mm
    return np.asarray((dome - p.z) * np.float32(0.85), np.float32)


def _heart(anatomy: Anatomy, p: Points, inner: float) -> Field:
    s = anatomy.heart_scale
    turn = rotation(*anatomy.heart_turn)
    # Long axis: to the left, forward and down (about 45 degrees each), as in the textbook.
    long_axis = np.array([0.68, -0.52, -0.52])
    long_axis /= np.linalg.norm(long_axis)
    side = np.cross(long_axis, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    axes = np.stack([long_axis, side, np.cross(long_axis, side)]).astype(np.float32) @ turn.T
    drop = -anatomy.breath_mm * 0.55
    shift = np.array(anatomy.heart_shift_mm) + (0, 0, drop)
    parts = (
        ((32.0, -22.0, -16.0), (56.0, 39.0, 38.0), axes),
        ((4.0, -34.0, -14.0), (54.0, 31.0, 36.0), rotation(0, 0.25, 0.25)),
        ((-4.0, 6.0, 16.0), (45.0, 33.0, 38.0), rotation(0, 0, 0.2)),
    )
    whole: Field | None = None
    for centre, radii, part_axes in parts:
        placed = turn @ (s * np.array(centre)) + shift + np.array([2.0, 2.0, 0.0])
        part = ellipsoid(
            p,
            (float(placed[0]), float(placed[1]), float(placed[2])),
            (radii[0] * s * inner, radii[1] * s * inner, radii[2] * s * inner),
            part_axes,
        )
        whole = part if whole is None else smooth_union(whole, part, 14.0)
    assert whole is not None
    return whole


def _vessels(anatomy: Anatomy, p: Points) -> Field:
    v = anatomy.vessel_scale
    x, y, z = anatomy.heart_shift_mm
    spine_y = _spine_y(anatomy)
    top = 92.0
    parts = [
        tube(p, (6 + x, -10 + y, 30 + z), (-12, -14, top - 22), 16 * v),
        tube(p, (-12, -14, top - 22), (8, 12, top), 14.5 * v),
        tube(p, (8, 12, top), (22, spine_y - 20, top - 22), 13 * v),
        tube(p, (22, spine_y - 20, top - 22), (16, spine_y - 22, -260), 12 * v),
        tube(p, (-28 + x, -6 + y, 20 + z), (-30, -8, 170), 10 * v),
        tube(p, (14 + x, -26 + y, 34 + z), (20, 4, 62), 13 * v),
        tube(p, (-30, 14, 52), (40, 12, 58), 10 * v),
    ]
    return _f32(np.minimum.reduce(np.broadcast_arrays(*parts)))


def _airway(p: Points) -> Field:
    parts = [
        tube(p, (0, 14, 76), (0, 8, 260), 8.5),
        tube(p, (0, 16, 76), (-34, 22, 48), 6.5),
        tube(p, (0, 16, 76), (38, 22, 46), 6.0),
    ]
    return _f32(np.minimum.reduce(np.broadcast_arrays(*parts)))


def _bone(anatomy: Anatomy, p: Points, torso: Field) -> Field:
    spine_y = _spine_y(anatomy)
    # Vertebral bodies of 20 mm with 5 mm discs.
    in_period = np.abs((p.z + 500) % 25 - 12.5) - 10
    vertebra = np.maximum(np.hypot(p.x, p.y - np.float32(spine_y)) - 17, in_period)
    arch = np.maximum(np.abs(np.hypot(p.x, p.y - np.float32(spine_y + 25)) - 12) - 3.5, in_period)
    depth = anatomy.fat_mm + anatomy.muscle_mm * 0.6
    # Ribs fall forward: the front end lies about 60 mm lower than the back end.
    phase = np.abs((p.z - p.y * np.float32(0.3) + 500) % 27 - 13.5) - 5.5
    ribs = np.maximum(np.abs(torso + np.float32(depth)) - 4, phase)
    ribs = np.maximum(ribs, np.float32(-150) - p.z)
    sternum = np.maximum.reduce(
        np.broadcast_arrays(
            np.abs(p.x) - 17,
            np.abs(p.y + np.float32(anatomy.half_depth_mm - anatomy.fat_mm * 0.7 - 10)) - 6,
            np.abs(p.z - 40) - 85,
        )
    )
    return _f32(np.minimum.reduce(np.broadcast_arrays(vertebra, arch, ribs, sternum)))

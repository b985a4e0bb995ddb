"""A chest with what lies around a heart: great vessels, bronchi, oesophagus, liver, stomach and spleen, for networks to learn from.

The plan phantom (:mod:`rtqc.phantom.anatomy`) has a heart whose upper end depends on nothing that the image shows. Here it ends just below the left
pulmonary artery (Feng et al., IJROBP 79, 10, 2011), wherever that lies, and above it the great vessels go on. Sizes of vessels and bronchi are
those of adults, from knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtqc.core.grid import Grid
from rtqc.phantom.anatomy import Anatomy, Organs, in_heart, organs_at
from rtqc.phantom.render import HU, points_of, share_of, texture_of
from rtqc.phantom.shapes import Field, Points, ellipsoid, tube

#: The heart ends so far below the lower border of the left pulmonary artery, in mm: on the first slice that is free of it.
BELOW_ARTERY_MM = 5.0
#: Pericardium and fat around the roots of the great vessels, in mm.
_ROOT_FAT_MM = 3.0
#: Middles of right atrium, right ventricle, left atrium, left ventricle in the heart's frame, in mm.
_CHAMBERS = ((-32.0, -8.0, 2.0), (10.0, -38.0, -12.0), (0.0, 20.0, 16.0), (36.0, -6.0, -20.0))


@dataclass(frozen=True)
class Mediastinum:
    """Where the parts around a heart lie; heights in mm.

    Attributes:
        artery_mm: lower border of the left pulmonary artery.
        carina_mm: where the windpipe parts.
        arch_mm: top of the aortic arch.
        vessel: size of the vessels.
        blood_hu: added to right heart, left heart, superior vena cava.
        stomach: half axes in mm.
        stomach_hu: of its contents; gas in front of part of it.
        gas: part of the stomach's depth that is gas.
        liver_edge_mm: how far the liver reaches to the left.
        liver_hu, spleen_hu: of both.
        oesophagus: ``collapsed``, ``air``, ``fluid`` or ``tube``.
        arms: ``up``, ``down`` or ``none`` in view.
    """

    artery_mm: float
    carina_mm: float
    arch_mm: float
    vessel: float
    blood_hu: tuple[float, float, float]
    stomach: tuple[float, float, float]
    stomach_hu: float
    gas: float
    liver_edge_mm: float
    liver_hu: float
    spleen_hu: float
    oesophagus: str
    arms: str

    @classmethod
    def random(cls, anatomy: Anatomy, seed: int) -> Mediastinum:
        """Drawn from the population; the same for the same seed."""
        rng = np.random.default_rng([seed, 11])
        artery = 50 * anatomy.heart_scale + _drop(anatomy) + float(rng.normal(0, 7))
        carina = artery + float(np.clip(rng.normal(13, 6), 3, 27))
        phase = 0.0 if rng.random() < 0.45 else float(rng.uniform(50, 300))
        right, left = ((1.0, 1.0), (1.0, 0.3), (0.4, 1.0))[int(rng.integers(3))]
        cava = phase * right * float(rng.uniform(0.8, 3.0))
        return cls(
            artery_mm=artery,
            carina_mm=carina,
            arch_mm=carina + float(rng.uniform(14, 34)),
            vessel=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.35)),
            blood_hu=(phase * right, phase * left, cava),
            stomach=(float(rng.uniform(28, 58)), float(rng.uniform(25, 60)), float(rng.uniform(22, 48))),
            stomach_hu=float(rng.choice([rng.uniform(-10, 60), rng.uniform(100, 400)], p=[0.85, 0.15])),
            gas=float(rng.uniform(0, 0.8)),
            liver_edge_mm=float(rng.uniform(20, 95)),
            liver_hu=float(rng.normal(55, 16)) + 0.3 * phase,
            spleen_hu=float(rng.normal(48, 8)) + 0.3 * phase,
            oesophagus=str(rng.choice(["collapsed", "air", "fluid", "tube"], p=[0.45, 0.3, 0.15, 0.1])),
            arms=str(rng.choice(["up", "down", "none"])),
        )


@dataclass(frozen=True, eq=False)
class Chest:
    """A rendered chest.

    Attributes:
        hu: shape of the grid, without noise.
        heart: share of each voxel that is heart, 0 to 1.
        levels_mm: carina, lower border of the left pulmonary artery, lower end of the heart.
    """

    hu: Field
    heart: Field
    levels_mm: tuple[float, float, float]


def render_chest(anatomy: Anatomy, around: Mediastinum, grid: Grid) -> Chest:
    """The image of a chest on an axial grid, and its heart."""
    p = points_of(grid)
    o = organs_at(anatomy, p)
    vessels = _vessels(anatomy, around, p)
    roots = np.minimum(vessels["trunk"], vessels["aorta_root"]) - np.float32(_ROOT_FAT_MM)
    whole = np.minimum(o.heart, roots)
    heart = np.maximum(whole, p.z - np.float32(around.artery_mm - BELOW_ARTERY_MM))
    step = (grid.slice_spacing_mm, grid.spacing_mm[0])
    share = share_of(np.broadcast_to(heart, grid.shape), step)
    hu = _painted(anatomy, around, o, vessels, p, grid)
    inside = np.flatnonzero((share > 0.5).any(axis=(1, 2)))
    low = float(grid.positions_mm[inside[0]] - grid.slice_spacing_mm / 2) if inside.size else float("nan")
    return Chest(hu, share, (around.carina_mm, around.artery_mm, low))


def _drop(anatomy: Anatomy) -> float:
    return -0.55 * anatomy.breath_mm + anatomy.heart_shift_mm[2]


def _vessels(anatomy: Anatomy, m: Mediastinum, p: Points) -> dict[str, Field]:
    """Signed distances; the left pulmonary artery's lower border lies at ``artery_mm``."""
    v = m.vessel
    x, y, _ = anatomy.heart_shift_mm
    down = _drop(anatomy)
    back = anatomy.half_depth_mm - anatomy.fat_mm * 0.6 - 42
    wide = 11.0 * v
    fork = (18.0, -8.0, m.artery_mm + wide)
    arch = m.arch_mm - 13 * v
    ascending = ((6 + x, -10 + y, 30 + down), (-12.0, -14.0, max(arch - 20, m.artery_mm)))
    return {
        "trunk": tube(p, (14 + x, -28 + y, 28 + down), (18.0, -12.0, m.artery_mm + wide), 13.5 * v),
        "aorta_root": tube(p, *ascending, 16.5 * v),
        "left": np.minimum(
            tube(p, fork, (44.0, 18.0, m.artery_mm + wide), wide),
            tube(p, (44.0, 18.0, m.artery_mm + wide), (52.0, 32.0, m.artery_mm - 42), 7.0 * v),
        ),
        "right": np.minimum(
            tube(p, fork, (-38.0, 10.0, m.artery_mm + 2), 9.5 * v),
            tube(p, (-38.0, 10.0, m.artery_mm + 2), (-54.0, 24.0, m.artery_mm - 40), 7.5 * v),
        ),
        "aorta": np.minimum.reduce(
            np.broadcast_arrays(
                tube(p, ascending[1], (8.0, 12.0, arch), 14.5 * v),
                tube(p, (8.0, 12.0, arch), (22.0, back - 20, arch - 22), 13 * v),
                tube(p, (22.0, back - 20, arch - 22), (16.0, back - 22, -260.0), 12 * v),
            )
        ),
        "cava": tube(p, (-28 + x, -6 + y, 20 + down), (-30.0, -8.0, m.carina_mm + 95), 9.5 * v),
        "lower_cava": tube(p, (-24 + x, 4 + y, -14 + down), (-22.0, 14.0, -220.0), 12 * v),
        "veins": np.minimum.reduce(
            np.broadcast_arrays(
                *(
                    tube(p, (s * 26 + x, 16 + y, 20 + down + d), (s * 62.0, 30.0, 14 + down + 2.2 * d), 5.5 * v)
                    for s in (-1, 1)
                    for d in (-10, 8)
                )
            )
        ),
    }


def _airway(m: Mediastinum, p: Points) -> Field:
    c = m.carina_mm
    parts = [
        tube(p, (0.0, 15.0, c + 6), (0.0, 6.0, c + 200), 8.5),
        tube(p, (2.0, 16.0, c + 6), (-36.0, 22.0, c - 22), 6.8),
        tube(p, (-2.0, 16.0, c + 6), (42.0, 26.0, c - 32), 6.0),
    ]
    return np.asarray(np.minimum.reduce(np.broadcast_arrays(*parts)), np.float32)


def _chamber_hu(anatomy: Anatomy, m: Mediastinum, p: Points, shape: tuple[int, ...]) -> Field:
    """What contrast agent adds to blood in each voxel of the heart."""
    middles = in_heart(anatomy, np.array(_CHAMBERS))
    away = np.stack(
        [np.broadcast_to((p.x - c[0]) ** 2 + (p.y - c[1]) ** 2 + (p.z - c[2]) ** 2, shape) for c in middles.astype(np.float32)]
    )
    added = np.array([m.blood_hu[0], m.blood_hu[0], m.blood_hu[1], m.blood_hu[1]], np.float32)
    return np.asarray(added[away.argmin(axis=0)], np.float32)


def _painted(anatomy: Anatomy, m: Mediastinum, o: Organs, vessels: dict[str, Field], p: Points, grid: Grid) -> Field:
    step = (grid.slice_spacing_mm, grid.spacing_mm[0])
    texture = texture_of(anatomy, grid)
    hu = np.full(grid.shape, HU["air"], np.float32)

    def put(distance: Field, value: Field | float) -> None:
        share = share_of(np.broadcast_to(distance, grid.shape), step)
        np.add(hu, share * (value - hu), out=hu)

    if anatomy.table:
        put(np.maximum(np.abs(p.y - np.float32(anatomy.half_depth_mm + 22)) - 18, np.abs(p.x) - 250), HU["couch"])
    for arm in _arms(anatomy, m, p):
        put(arm, HU["fat"])
        put(arm + 9, HU["muscle"])
        put(arm + 30, HU["cancellous"] + 250)
    put(o.body, HU["skin"])
    put(o.body + 2, HU["fat"] + 6 * texture)
    for breast in (o.breast_left, o.breast_right):
        put(breast + 18 + 6 * texture, HU["gland"])
    put(o.wall, HU["muscle"] + 8 * texture)
    put(o.cavity, HU["fat"] + 15 * texture)
    _abdomen(anatomy, m, o, p, texture, put)
    for lung in (o.lung_left, o.lung_right):
        put(lung, HU["lung"] + 45 * texture + 220 * np.clip(texture - 1.6, 0, 2))
    put(np.maximum(o.heart - 3, -o.heart), HU["fat"] + 20)
    put(o.oesophagus, HU["muscle"] - 15)
    if m.oesophagus != "collapsed":
        put(o.oesophagus + 4.5, {"air": -800.0, "fluid": 12.0, "tube": 250.0}[m.oesophagus])
    side = {"trunk": 0, "left": 0, "right": 0, "cava": 2, "aorta_root": 1, "aorta": 1, "veins": 1}
    for name in side:
        put(vessels[name] - 1.5, HU["fat"] + 30)
    for name, which in side.items():
        put(vessels[name], HU["blood"] + m.blood_hu[which] + 4 * texture)
    put(vessels["lower_cava"], HU["blood"] + 0.5 * m.blood_hu[0])
    put(o.heart, HU["myocardium"] + 0.2 * max(m.blood_hu[:2]) + 5 * texture)
    put(o.chambers, HU["blood"] + _chamber_hu(anatomy, m, p, grid.shape) + 4 * texture)
    airway = _airway(m, p)
    put(airway - 1.5, HU["muscle"] - 10)
    put(airway, -960.0)
    put(o.bone, HU["cancellous"] + 60 * texture)
    put(np.maximum(np.abs(o.bone + 1.5) - 1.5, o.wall), 420.0)
    put(o.cord, HU["cord"])
    return np.clip(hu, -1000, 3000)


def _abdomen(anatomy: Anatomy, m: Mediastinum, o: Organs, p: Points, texture: Field, put: object) -> None:
    """Fat with liver, stomach and spleen below the diaphragm."""
    paint = put
    assert callable(paint)
    eye = np.eye(3, dtype=np.float32)
    dome = -28 - anatomy.tilt * 0.5 - anatomy.breath_mm
    paint(o.below_diaphragm, HU["fat"] + 12 * texture)
    paint(np.maximum(np.abs(o.below_diaphragm + 1.5) - 2, -o.wall - 400), HU["muscle"])
    # The left lobe lies in front and thins out to the left.
    edge = p.x - np.float32(m.liver_edge_mm) + np.maximum(p.y, 0) * np.float32(1.2)
    paint(np.maximum(o.below_diaphragm + 2, edge), m.liver_hu + 6 * texture)
    spleen = ellipsoid(p, (100.0, 42.0, dome - 42), (30.0, 38.0, 40.0), eye)
    paint(np.maximum(spleen, o.below_diaphragm + 3), m.spleen_hu + 5 * texture)
    middle = (66.0, -6.0, dome - 6 - m.stomach[2])
    stomach = np.maximum(ellipsoid(p, middle, m.stomach, eye), o.below_diaphragm + 3)
    paint(stomach, HU["muscle"] - 10)
    paint(stomach + 3, m.stomach_hu + 15 * texture)
    level = middle[1] - m.stomach[1] * (1 - 2 * m.gas)
    paint(np.maximum(stomach + 3, p.y - np.float32(level)), -950.0)


def _arms(anatomy: Anatomy, m: Mediastinum, p: Points) -> list[Field]:
    side = anatomy.half_width_mm
    if m.arms == "down":
        return [tube(p, (s * (side + 48), 6.0, -300.0), (s * (side + 36), 6.0, 130.0), 42.0) for s in (-1.0, 1.0)]
    if m.arms == "up":
        return [tube(p, (s * (side - 10), 0.0, 120.0), (s * (side + 60), 10.0, 330.0), 46.0) for s in (-1.0, 1.0)]
    return []

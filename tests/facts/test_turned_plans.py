"""A plan mirrored, stored feet first, shifted, split over folders, reordered and renamed: numbers stay, words turn with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.affinity import scale, translate
from shapely.geometry import MultiPolygon

from rtqc.core import Assessment, Dose, Grid, Image, Orientation, Structure
from rtqc.dicom.study import Contour, DrawnRoi
from tests.facts.plans import GRID, IMAGE, POINTS, TREATED, Blocks, Known, assessed, dose_of, write

#: A contour that is too high at its lower end, too wide on the left and too far in front, and a draft that does not follow.
KNOWN = Known(Blocks(left=57.0, front=-41.0, low=-15.0), Blocks())


@dataclass(frozen=True)
class Turn:
    """x becomes ``sign`` times x, and everything moves by so much, in mm."""

    sign: float = 1.0
    by_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Patient coordinates (n, 3)."""
        return np.asarray(points * [self.sign, 1, 1] + self.by_mm)

    def structure(self, of: Structure, slices: bool = True) -> Structure:
        """Contours."""
        x, y, z = self.by_mm
        planes = {w + z: translate(scale(a, self.sign, origin=(0, 0)), x, y) for w, a in of.planes.items()}
        moved = tuple(s + z for s in of.slices_mm) if of.slices_mm is not None else None
        return replace(of, planes={w: MultiPolygon(list(shapely.get_parts(a))) for w, a in planes.items()}, slices_mm=moved)

    def roi(self, of: DrawnRoi, name: str = "") -> DrawnRoi:
        """Contours of a file."""
        return replace(of, name=name or of.name, contours=tuple(Contour(self.points(c.points_mm), c.kind) for c in of.contours))

    def grid(self, of: Grid) -> Grid:
        """Where values lie; mirrored, the columns run the other way."""
        corner = self.points(of.patient_mm([(0, 0, of.size[1] - 1 if self.sign < 0 else 0)]))[0]
        return Grid.regular(of.shape, (of.slice_spacing_mm, *of.spacing_mm), corner)

    def values(self, of: np.ndarray) -> np.ndarray:
        """Values on it."""
        return np.ascontiguousarray(of[:, :, ::-1] if self.sign < 0 else of)


def told(turn: Turn, folder: Path, change: Callable[[Path], object] = lambda _: None, image: Image | None = None, dose: Dose | None = None, **study: object) -> Assessment:  # fmt: skip
    """The plan, turned, written, changed and assessed."""
    given = dose_of(KNOWN.base_gy)
    heart = DrawnRoi.of(turn.structure(KNOWN.heart.structure("Heart")))
    side = "L" if turn.sign > 0 else "R"
    x, y, z = turn.points(np.array([[78.0, -72.0, 0.0]]))[0]
    values = {
        "rois": (heart, turn.roi(TREATED, f"PTV_Breast_{side}")), "plan_label": f"Breast_{side}", "target": f"PTV_Breast_{side}",
        "image": image or Image(turn.grid(GRID), IMAGE.hu), "dose": dose or Dose(turn.grid(POINTS), turn.values(given.gy)),
        "isocentre_mm": (float(x), float(y), float(z)), **study,
    }  # fmt: skip
    write(KNOWN, folder, **values)
    change(folder)
    return assessed(KNOWN, folder, turn.structure(KNOWN.draft.structure("Heart_rtqc"))).assessment


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    """The plan as it is."""
    return told(Turn(), tmp_path_factory.mktemp("plain"))


def numbers(a: Assessment) -> dict[str, object]:
    """What does not change with place and side."""
    assert a.agreement is not None
    assert a.dose is not None
    assert a.heart.contoured is not None
    assert a.heart.draft is not None
    doses = [m.model_dump() for m in (a.dose.contoured, a.dose.draft, a.dose.difference) if m is not None]
    agreement = a.agreement.model_dump(include={"dice", "jaccard", "hausdorff_mm", "hausdorff95_mm", "mean_surface_distance_mm", "signed_surface_distance_mm", "volume_difference_ml", "added_path_length_mm", "editing_minutes"})  # fmt: skip
    return {
        "volumes": [a.heart.contoured.volume_ml, a.heart.draft.volume_ml], "eqd2": a.dose.eqd2.contoured.mean_gy if a.dose.eqd2 and a.dose.eqd2.contoured else None,
        **agreement, **{f"{k} {name}": v for k, metrics in enumerate(doses) for name, v in metrics.items()},
    }  # fmt: skip


def same(a: Assessment, b: Assessment) -> None:
    """Numbers agree to a hundredth: coordinates in files are rounded, and volumes are sampled at other places."""
    first, second = numbers(a), numbers(b)
    assert list(first) == list(second)
    for name, value in first.items():
        # The extremes are those of single samples, which lie up to 1.5 mm from a corner, and volumes at a dose come in steps of a sample.
        slack = 0.07 if name.endswith(("min_gy", "max_gy", "d0_03cc_gy")) else 0.6 if name.endswith("gy_percent") else 0.02
        assert value == pytest.approx(second[name], abs=slack, rel=2e-3), name


def regions(a: Assessment) -> dict[str, float]:
    assert a.agreement is not None
    return {r.name: r.signed_distance_mm for r in a.agreement.regions}


def rules(a: Assessment) -> list[tuple[str, str]]:
    return sorted((f.rule, f.severity) for f in a.findings)


def test_the_plan_itself_says_which_side_lies_where(plain: Assessment) -> None:
    """12 mm too far to the left, 6 mm to the front, 18 mm short below: the draft lies to the right, behind and below."""
    assert plain.agreement is not None
    shift = plain.agreement.centroid_shift_mm
    assert shift is not None
    expected = [d - c for c, d in zip(KNOWN.heart.middle_mm, KNOWN.draft.middle_mm, strict=True)]
    assert shift == pytest.approx(expected, abs=0.05)
    side = regions(plain)
    # The mean over a side that is 12 mm too far out where it is drawn, and absent below.
    assert 4.0 < side["left"] < 12.0
    assert side["right"] < 0.0
    assert side["anterior"] > 3.0
    assert side["posterior"] < 0.0
    assert side["inferior"] < -5.0
    assert plain.agreement.centroid_shift is not None
    assert "right" in plain.agreement.centroid_shift
    assert "The lower end of Heart lies 18 mm above the draft's" in plain.headline


def test_mirrored_left_and_right_are_exchanged_and_nothing_else(plain: Assessment, tmp_path: Path) -> None:
    turned = told(Turn(-1.0), tmp_path)
    same(turned, plain)
    swapped = {"left": "right", "right": "left"}
    renamed = {"-".join(swapped.get(w, w) for w in name.split("-")): v for name, v in regions(plain).items()}
    assert {n.replace("left", "right") for n in renamed} == {n.replace("left", "right") for n in regions(turned)}
    for name in ("left", "right", "anterior", "posterior", "inferior", "superior"):
        assert regions(turned)[name] == pytest.approx(renamed[name], abs=0.1), name
    assert plain.agreement is not None
    assert turned.agreement is not None
    assert plain.agreement.centroid_shift is not None
    assert turned.agreement.centroid_shift == plain.agreement.centroid_shift.replace("right", "left")
    assert turned.agreement.hausdorff_at_mm is not None
    assert plain.agreement.hausdorff_at_mm is not None
    assert turned.headline == plain.headline
    # Limits for the left breast do not hold for the right one; what is said of the contour stays.
    about_contour = [r for r in rules(plain) if not r[0].startswith("constraint.")]
    assert [r for r in rules(turned) if not r[0].startswith("constraint.")] == about_contour


def test_a_mirrored_dose_under_the_old_name_contradicts_it(tmp_path: Path) -> None:
    given = dose_of(KNOWN.base_gy)
    mirrored = Dose(Turn(-1.0).grid(POINTS), Turn(-1.0).values(given.gy))
    turned = told(Turn(), tmp_path, dose=mirrored)
    (finding,) = [f for f in turned.findings if f.rule == "side.contradiction"]
    assert "left" in finding.message
    assert "lies on the right" in finding.message


def test_shifted_places_move_and_numbers_stay(plain: Assessment, tmp_path: Path) -> None:
    by = (12.0, -8.0, 21.0)
    turned = told(Turn(1.0, by), tmp_path)
    same(turned, plain)
    assert rules(turned) == rules(plain)
    assert turned.heart.contoured is not None
    assert turned.heart.contoured.extent_mm == (KNOWN.heart.low + 21, KNOWN.heart.high + 21)
    for before, after in zip(plain.findings, turned.findings, strict=True):
        assert after.evidence.positions_mm == pytest.approx([p + 21 for p in before.evidence.positions_mm])
    assert "from -12.0 to 6.0 mm" in turned.headline
    assert "from -33.0 to -15.0 mm" in plain.headline


@pytest.mark.parametrize(
    ("row", "column"),
    [((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))],
    ids=["feet first", "prone, feet first", "prone"],
)  # fmt: skip
def test_stored_another_way_round_everything_stays(row: tuple[float, float, float], column: tuple[float, float, float], plain: Assessment, tmp_path: Path) -> None:  # fmt: skip
    """CT and dose are stored along other directions of the same patient: places in the patient are what counts."""
    given = dose_of(KNOWN.base_gy)
    flips = (-1 if row[0] * column[1] < 0 else 1, int(column[1]), int(row[0]))
    turned_grids = []
    for grid in (GRID, POINTS):
        corner = grid.patient_mm([[0 if f > 0 else n - 1 for f, n in zip(flips, grid.shape, strict=True)]])[0]
        turned_grids.append(
            Grid.regular(grid.shape, (grid.slice_spacing_mm, *grid.spacing_mm), corner, Orientation(row, column))
        )
    gy = np.ascontiguousarray(given.gy[:: flips[0], :: flips[1], :: flips[2]])
    turned = told(Turn(), tmp_path, image=Image(turned_grids[0], IMAGE.hu), dose=Dose(turned_grids[1], gy))
    same(turned, plain)
    assert rules(turned) == rules(plain)
    assert turned.headline == plain.headline
    assert turned.agreement is not None
    assert plain.agreement is not None
    assert turned.agreement.centroid_shift == plain.agreement.centroid_shift


def _scattered(folder: Path) -> None:
    """Files in two folders, under names that say nothing, in another order."""
    files = sorted(folder.iterdir())
    order = list(range(len(files)))
    random.Random(7).shuffle(order)
    for number, file in zip(order, files, strict=True):
        place = folder / ("a" if number % 2 else "b/c")
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / f"{number:03d}")


def test_files_in_two_folders_under_other_names_make_the_same_plan(plain: Assessment, tmp_path: Path) -> None:
    turned = told(Turn(), tmp_path, _scattered)
    same(turned, plain)
    assert rules(turned) == rules(plain)
    assert turned.headline == plain.headline
    assert turned.case.files == plain.case.files


def test_a_dose_split_in_two_beams_is_the_same_dose(plain: Assessment, tmp_path: Path) -> None:
    from tests.dicom.dose_files import add_dose, part

    def split(folder: Path) -> None:
        for beam, share in ((1, 0.3), (2, 0.7)):
            add_dose(folder / "RTDOSE.dcm", folder, share, "BEAM", [part(1, [beam])])
        (folder / "RTDOSE.dcm").unlink()

    turned = told(Turn(), tmp_path, split)
    same(turned, plain)
    assert rules(turned) == rules(plain)


def test_renamed_only_the_names_change(plain: Assessment, tmp_path: Path) -> None:
    heart = replace(DrawnRoi.of(KNOWN.heart.structure("Heart")), name="Herz")
    liver = DrawnRoi("Leber", contours=heart.contours[:3])
    turned = told(Turn(), tmp_path, rois=(liver, TREATED, heart), patient_id="F2", patient_name="Other^Name")
    same(turned, plain)
    assert rules(turned) == rules(plain)
    assert turned.headline == plain.headline.replace("Heart", "Herz")
    assert (turned.case.patient_id, turned.case.patient_name) == ("F2", "Other^Name")

"""Write docs/cardiac-validation.md: ``python docs/make_cardiac.py`` (ten minutes on two cores)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from rtqc.cardiac import Heart, measure
from rtqc.core.cardiac import Calcification
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image
from rtqc.dicom import read_case
from rtqc.heart import draft_heart
from rtqc.phantom.coronary import Distractor, Vessel, plant_coronary, plant_distractor, plant_line, plant_vessel
from tests.cardiac.conftest import (
    AT_120,
    anatomy_of,
    annulus,
    fork,
    measured_in_draft,
    moved_outline,
    nearest,
    noise_like,
    scanned,
    score_at,
)
from tests.cardiac.test_real import as_marked
from tests.cardiac.test_volume_and_fat import true_fat_ml
from tests.heart.test_view import dice_in_view
from tests.heart.test_view import scanned as narrow

_TARGET = Path(__file__).with_name("cardiac-validation.md")
_REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "heart-ct"
_VESSELS: tuple[Vessel, ...] = ("LM/LAD", "LCX", "RCA")
_DISTRACTORS: tuple[Distractor, ...] = ("aortic valve", "aortic wall", "mitral annulus", "pericardium", "clip", "lead")
_SEEDS = (41, 42, 43)


def main() -> None:
    """Write the page."""
    lines = [
        "# Calcium, fat and volume against what is known",
        "",
        "Made by `python docs/make_cardiac.py`. Synthetic hearts (`rtqc.phantom.coronary`) have coronaries in the grooves between their chambers, fat around them, and calcium of",
        "known size, density and place. Definitions and sources: [cardiac.md](cardiac.md). Exact scores of blocks of voxels are in `tests/cardiac/test_agatston.py`.",
        "",
        *sensitivity(),
        *kinds(),
        *grown_together(),
        *marks(),
        *other_hands(),
        *noise_on_real(),
        *fat(),
        *narrow_views(),
    ]
    _TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sensitivity() -> list[str]:
    """Balls of several sizes in several noises: how many are found and counted, and what is counted where there is none."""
    lines = [
        "## What is found, by size and noise",
        "",
        f"Balls of 400 HU in the three vessels, four in each of {len(_SEEDS)} hearts, outline known, slices of 3 mm, pixels of 0.7 mm. Found: counted as coronary. False: lesions that "
        "count in the same hearts without any calcium.",
        "",
        "| noise (HU) | radius 1 mm | 1.5 mm | 2 mm | 3 mm | false lesions | smoothed by (mm) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for noise in (5.0, 12.0, 20.0, 30.0, 40.0):
        cells, smoothed = [], 0.0
        for radius in (1.0, 1.5, 2.0, 3.0):
            found = count = 0
            for seed in _SEEDS:
                anatomy = anatomy_of(seed)
                balls = [plant_coronary(anatomy, v, at, radius, 400.0) for v in _VESSELS for at in (0.2, 0.4, 0.6, 0.8)]
                measured = scanned(anatomy, balls, pixel_mm=0.7, noise_hu=noise).measured()
                count += len(balls)
                if measured.cardiac.calcium is not None:
                    smoothed = measured.cardiac.calcium.smoothed_mm
                    found += sum((x := nearest(measured, b)) is not None and x.counted for b in balls)
            cells.append(f"{found} of {count}")
        false = 0
        for seed in _SEEDS:
            calcium = scanned(anatomy_of(seed), [], pixel_mm=0.7, noise_hu=noise).measured().cardiac.calcium
            false += len(calcium.lesions) if calcium is not None else 0
        lines.append(f"| {noise:g} | {' | '.join(cells)} | {false} | {smoothed:g} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def kinds() -> list[str]:
    """Which calcification is taken for what, with the outline known and with the draft's."""
    lines = [
        "## What it is taken for",
        "",
        f"Calcium of 2.5 mm radius and 500 HU in {len(_SEEDS)} hearts: four in each vessel, and six things that are no coronary calcium (metal: 3000 HU).",
        "",
        "| outline | coronary calcium that counts | in the right vessel | other things that count |",
        "| --- | --- | --- | --- |",
    ]
    for how in ("known", "draft"):
        counted = right = total = wrong = others = 0
        for seed in _SEEDS:
            anatomy = anatomy_of(seed)
            balls = [plant_coronary(anatomy, v, at, 2.5, 500.0) for v in _VESSELS for at in (0.1, 0.35, 0.6, 0.85)]
            things = [plant_distractor(anatomy, kind) for kind in _DISTRACTORS]
            scan = scanned(anatomy, [*balls, *things], noise_hu=12.0)
            measured = scan.measured() if how == "known" else measured_in_draft(scan.image)
            found: list[Calcification | None] = [nearest(measured, b) for b in balls]
            total += len(balls)
            counted += sum(x is not None and x.counted for x in found)
            right += sum(x is not None and x.counted and x.vessel == b.where for x, b in zip(found, balls, strict=True))
            wrong += sum((x := nearest(measured, t)) is not None and x.counted for t in things)
            others += len(things)
        lines.append(f"| {how} | {counted} of {total} | {right} of {counted} | {wrong} of {others} |")
        print(lines[-1], flush=True)
    return [
        *lines,
        "",
        "On the two real patients with calcium every lesion that counts was marked by the radiologists, and every mark that is dense enough at 3 mm counts, with the draft and with the",
        "radiologists' outline; the third patient has none and gets none (`tests/cardiac/test_real.py`).",
        "",
    ]


def grown_together() -> list[str]:
    """Calcium of several structures in one piece."""
    lines = [
        "## Calcium that grew together",
        "",
        f"One piece in each of {len(_SEEDS)} hearts, 1.8 mm radius, 600 HU: score counted over the score of all that was planted (of the mitral annulus nothing should count).",
        "",
        "| piece | counted over planted, each heart |",
        "| --- | --- |",
    ]
    cells: dict[str, list[str]] = {}
    for seed in _SEEDS:
        anatomy = anatomy_of(seed)
        rca = plant_vessel(anatomy, "RCA", 0.02, 0.5, 1.8, 600.0)
        wall = plant_distractor(anatomy, "aortic wall")
        bridge = plant_line(np.array([wall.centre_mm, rca[0].centre_mm]), 2.0, 600.0, "aortic wall")
        for what, balls, coronary in (
            ("left main, half of the LAD, LCX", fork(anatomy), fork(anatomy)),
            ("half of the RCA", rca, rca),
            ("half of the RCA, bridge to the aortic wall (RCA over RCA)", [wall, *bridge, *rca], rca),
            ("half of the mitral annulus, 3.5 mm radius", annulus(anatomy), annulus(anatomy)),
        ):
            scan = scanned(anatomy, balls, noise_hu=5.0)
            calcium = scan.measured().cardiac.calcium
            assert calcium is not None
            cells.setdefault(what, []).append(f"{calcium.agatston / score_at(scan.image, coronary):.2f}")
    for what, ratios in cells.items():
        lines.append(f"| {what} | {', '.join(ratios)} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def marks() -> list[str]:
    """Lesions as radiologists outlined them, at their resolution."""
    if not _REAL.exists():
        return []
    lines = [
        "## Lesions as radiologists outlined them",
        "",
        "The real patients in the pixels of the radiologists' marks (0.68 mm, slices of 2.5 mm), with calcium of a density where they marked it and noise of 12 HU: Agatston score of the draft and of the",
        "marks themselves.",
        "",
        "| patient | 250 HU: rtqc, marks | 400 HU | 700 HU |",
        "| --- | --- | --- | --- |",
    ]
    for folder in sorted(_REAL.iterdir()):
        cells = []
        for density in (250.0, 400.0, 700.0):
            image, score = as_marked(folder.name, density)
            calcium = measured_in_draft(image).cardiac.calcium
            assert calcium is not None
            cells.append(f"{calcium.agatston:.0f}, {score:.0f}")
        lines.append(f"| {folder.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def other_hands() -> list[str]:
    """Real patients with outlines that are not quite right."""
    if not _REAL.exists():
        return []
    lines = [
        "## With another outline",
        "",
        "The three real patients at 3 mm, radiologists' outline and draft, each moved by eight smooth random fields of 3 mm (standard deviation), and outward or inward everywhere: the",
        "score, and how often the class is that of the outline as it is.",
        "",
        "| patient, outline | as it is | 3 mm | 3 mm, 2 mm larger | 3 mm, 2 mm smaller | 3 mm, 4 mm smaller |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for folder in sorted(_REAL.iterdir()):
        case = read_case(folder)
        assert case.image is not None
        for name, heart in (
            ("radiologists", case.structures["Heart"]),
            ("draft", draft_heart(case.image, device="cpu").structure),
        ):
            first = measure(case.image, Heart(heart), AT_120).cardiac.calcium
            assert first is not None
            cells = [f"{first.agatston:.0f}"]
            for larger in (0.0, 2.0, -2.0, -4.0):
                scores, same = [], 0
                for seed in range(8):
                    moved = moved_outline(heart, case.image.grid, seed, 3.0, larger)
                    calcium = measure(case.image, Heart(moved), AT_120).cardiac.calcium
                    assert calcium is not None
                    scores.append(calcium.agatston)
                    same += calcium.calcium_class == first.calcium_class
                cells.append(f"{min(scores):.0f} to {max(scores):.0f}; {same} of 8")
            lines.append(f"| {folder.name}, {name} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return [*lines, ""]


def noise_on_real() -> list[str]:
    """Real patients with more noise than they have."""
    if not _REAL.exists():
        return []
    levels = ((0.0, 0.0), (20.0, 0.0), (30.0, 0.0), (40.0, 0.0), (20.0, 1.0), (30.0, 1.0), (40.0, 1.0))
    heads = [f"{sd:g} HU" + (", smooth" if kernel else "") if sd else "as it is" for sd, kernel in levels]
    lines = [
        "## Noise on real patients",
        "",
        "The same patients interpolated to pixels of 0.8 mm (which lowers their scores), with noise added: white, as of a sharp kernel, or smoothed by 1 mm, as of a soft one. Four noises each, the",
        "radiologists' outline. Score, or refused.",
        "",
        f"| patient | {' | '.join(heads)} |",
        f"| --- | {' | '.join('---' for _ in levels)} |",
    ]
    for folder in sorted(_REAL.iterdir()):
        case = read_case(folder)
        assert case.image is not None
        scan, _ = narrow(case.image, case.structures["Heart"], 300, False)
        cells = []
        for sd, kernel in levels:
            scores = []
            for seed in range(4 if sd else 1):
                noisy = Image(scan.grid, scan.hu + sd * noise_like(scan.grid, kernel, seed))
                calcium = measure(noisy, Heart(case.structures["Heart"]), AT_120).cardiac.calcium
                scores.append(f"{calcium.agatston:.0f}" if calcium is not None else "refused")
            cells.append(", ".join(scores))
        lines.append(f"| {folder.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def fat() -> list[str]:
    """Fat of known volume in noise and slices of all sorts."""
    lines = [
        "## Epicardial fat",
        "",
        "Volume against a count on 0.75 mm points of the formulas; the plain count of voxels of -190 to -30 HU beside it.",
        "",
        "| true (ml) | slices, pixels (mm) | noise (HU) | rtqc (ml) | plain count (ml) | mean HU |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    anatomy = anatomy_of()
    for fat_mm in (2.5, 5.0):
        truth = true_fat_ml(anatomy, fat_mm, 0.75)
        for slice_mm, pixel_mm, noise in (
            (3.0, 0.8, 0.0),
            (3.0, 0.8, 20.0),
            (3.0, 0.8, 40.0),
            (1.5, 0.6, 20.0),
            (5.0, 0.8, 10.0),
        ):
            found = scanned(anatomy, [], slice_mm, pixel_mm, noise_hu=noise, fat_mm=fat_mm).measured().cardiac.epicardial_fat
            assert found is not None
            lines.append(
                f"| {truth:.0f} | {slice_mm:g}, {pixel_mm:g} | {noise:g} | {found.volume_ml:.0f} ({100 * (found.volume_ml / truth - 1):+.0f} %) | "
                f"{found.threshold_volume_ml:.0f} ({100 * (found.threshold_volume_ml / truth - 1):+.0f} %) | {found.mean_hu} |"
            )
            print(lines[-1], flush=True)
    return [*lines, ""]


def narrow_views() -> list[str]:
    """Real patients as a cardiac scanner would have seen them."""
    if not _REAL.exists():
        return ["## Narrow fields of view", "", "Not at hand when this page was made."]
    lines = [
        "## Narrow fields of view",
        "",
        "The three real patients in pixels of 0.8 mm and slices of 3 mm, 15 mm above and below the heart: Dice within the view. The model has seen these patients; what is measured is what",
        "the view costs. With contrast: 300 HU more in the heart's core.",
        "",
        "| patient | contrast | whole chest (336 mm) | 250 mm | 220 mm | 180 mm |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for folder in sorted(_REAL.iterdir()):
        case = read_case(folder)
        assert case.image is not None
        for added in (0.0, 300.0):
            image = _with_contrast(case.image, case.structures["Heart"], added)
            cells = []
            for width, round_view in ((336, False), (250, True), (220, True), (180, True)):
                scan, seen = narrow(image, case.structures["Heart"], width, round_view)
                cells.append(f"{dice_in_view(draft_heart(scan, device='cpu'), case.structures['Heart'], scan, seen):.3f}")
            lines.append(f"| {folder.name} | {'yes' if added else 'no'} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def _with_contrast(image: Image, heart: Structure, added: float) -> Image:
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    from rtqc.geometry import rasterize

    if not added:
        return image
    grid = image.grid
    depth = distance_transform_edt(rasterize(heart, grid).array, sampling=(grid.slice_spacing_mm, *grid.spacing_mm))
    return Image(grid, (image.hu + added * gaussian_filter((depth > 12).astype(np.float32), 1.0)).astype(np.float32))


if __name__ == "__main__":
    main()

"""Drafts as files, read by programs that we did not write: tables of validation.md."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pydicom
from rt_utils import RTStructBuilder
from shapely.geometry import MultiPolygon, Point, Polygon

from rtqc.core import Case, Structure
from rtqc.dicom import DrawnBy, Writing, pydicom_with_read_file, read_case, write_rtstruct
from rtqc.geometry import rasterize
from rtqc.heart import draft_heart

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "heart-ct"
_BY = DrawnBy("heart-v1", "1", "0" * 64, "rtqc")


def reader_lines() -> list[str]:
    """Markdown; without the real patients one line that says so."""
    if not SHARED.is_dir():
        return ["## Drafts as files", "", "The real patients are absent."]
    lines = [
        "## Drafts as files",
        "",
        "Drafts of the three real patients, written by `rtqc draft` and read back; Dice of the voxels with the draft's own. The CT's pixels are 3 mm, which is",
        "hard on readers that fill every pixel that the outline touches (rt-utils).",
        "",
        "| patient | rtqc | plastimatch | rt-utils | dicompyler-core (volume, %) |",
        "| --- | --- | --- | --- | --- |",
    ]
    shape = [
        "",
        "The outline: points a slice (median, most), mean turn from edge to edge in degrees weighted by length, and total turning of an outline in full circles",
        "(1 is a convex outline; a stair-case has many). Beside it what rt-utils writes of the draft's own mask.",
        "",
        "| patient | rtqc: points | turn | circles | rt-utils: points | turn | circles |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for patient in ("0187", "0506", "0909"):
            case = read_case(SHARED / patient)
            assert case.image is not None
            draft = draft_heart(case.image, device="cpu")
            file = write_rtstruct(draft.structure, case, Path(scratch) / f"{patient}.dcm", _BY)
            ours = draft.mask.array
            dice = {name: _dice(ours, mask) for name, mask in _masks(file, SHARED / patient / "ct", case, draft.structure.name)}
            volume = 100 * (_dicompyler_ml(file, case) / draft.structure.volume_ml - 1)
            lines.append(
                f"| {patient} | {dice['rtqc']:.4f} | {dice['plastimatch']:.4f} | {dice['rt-utils']:.4f} | {volume:+.2f} |"
            )
            other = Path(scratch) / f"{patient}-rtutils.dcm"
            _by_rt_utils(SHARED / patient / "ct", ours, other)
            shape.append(f"| {patient} | {_outline(file)} | {_outline(other)} |")
        return [*lines, *shape, "", *_holes(Path(scratch))]


def _holes(scratch: Path) -> list[str]:
    case = read_case(SHARED / "0187")
    assert case.image is not None
    grid = case.image.grid
    x, y = float(grid.columns_mm.mean()), float(grid.rows_mm.mean())
    area = MultiPolygon([Point(x, y).buffer(60).difference(Point(x + 15, y).buffer(24))])
    ring = Structure("Ring", {float(w): area for w in grid.positions_mm[40:60]}, slice_spacing_mm=grid.slice_spacing_mm)
    truth = rasterize(ring, grid).array
    filled = rasterize(
        Structure(
            "Disc",
            {w: MultiPolygon([Polygon(p.exterior) for p in a.geoms]) for w, a in ring.planes.items()},
            slice_spacing_mm=grid.slice_spacing_mm,
        ),
        grid,
    ).array
    lines = [
        "A disc of 120 mm with a hole of 48 mm, written in both ways; how each program reads it:",
        "",
        "| holes | " + " | ".join(("rtqc", "plastimatch", "rt-utils")) + " |",
        "| --- | --- | --- | --- |",
    ]
    for holes in ("keyhole", "xor"):
        file = write_rtstruct(ring, case, scratch / f"{holes}.dcm", _BY, Writing(holes))  # type: ignore[arg-type]
        said = []
        for _, mask in _masks(file, SHARED / "0187" / "ct", case, "Ring"):
            whole = _dice(filled, mask) > _dice(truth, mask)
            said.append(
                f"{'filled' if whole else 'hole'} ({_dice(filled if whole else truth, mask):.3f})" if mask.any() else "not read"
            )
        lines.append(f"| `{holes}` | " + " | ".join(said) + " |")
    return lines


def _masks(file: Path, series: Path, case: Case, name: str) -> Iterator[tuple[str, np.ndarray]]:
    assert case.image is not None
    own = next(r.structure for r in read_case_with(case, file) if r.structure.name == name)
    yield "rtqc", rasterize(own, case.image.grid).array
    with tempfile.TemporaryDirectory() as scratch:
        program = shutil.which("plastimatch", path=str(Path(sys.executable).parent)) or "plastimatch"
        command = [
            program,
            "convert",
            "--input",
            file,
            "--referenced-ct",
            series,
            "--output-prefix",
            f"{scratch}/m",
            "--prefix-format",
            "nrrd",
        ]
        subprocess.run(command, check=True, capture_output=True)
        found = sorted(Path(scratch, "m").glob("*.nrrd"))
        yield "plastimatch", nrrd.read(str(found[0]))[0].T > 0 if found else np.zeros(case.image.grid.shape, bool)
    try:
        theirs = RTStructBuilder.create_from(str(series), str(file)).get_roi_mask_by_name(name)
        yield "rt-utils", np.transpose(theirs, (2, 0, 1))
    except Exception:
        yield "rt-utils", np.zeros(case.image.grid.shape, bool)


def read_case_with(case: Case, file: Path) -> tuple[Any, ...]:
    """ROIs of a structure set on the case's CT."""
    from rtqc.dicom import read_structure_set

    assert case.image is not None
    return read_structure_set(file, case.image.grid.orientation, case.image.grid.slice_spacing_mm).rois


def _dicompyler_ml(file: Path, case: Case) -> float:
    pydicom_with_read_file()
    from dicompylercore import dicomparser

    assert case.image is not None
    planes = dicomparser.DicomParser(str(file)).GetStructureCoordinates(1)
    areas = [Polygon([p[:2] for p in c["data"]]).area for plane in planes.values() for c in plane]
    return float(sum(areas)) * case.image.grid.slice_spacing_mm / 1000


def _by_rt_utils(series: Path, mask: np.ndarray, target: Path) -> None:
    builder = RTStructBuilder.create_new(str(series))
    builder.add_roi(np.transpose(mask, (1, 2, 0)), name="Heart")
    builder.save(str(target))


def _outline(file: Path) -> str:
    contours = pydicom.dcmread(file).ROIContourSequence[0].ContourSequence
    points, turns, circles = [], [], []
    for contour in contours:
        xy = np.array(contour.ContourData, float).reshape(-1, 3)[:, :2]
        edges = np.roll(xy, -1, axis=0) - xy
        edges = edges[np.hypot(*edges.T) > 0]
        angle = np.arctan2(edges[:, 1], edges[:, 0])
        turn = np.abs(np.angle(np.exp(1j * (np.roll(angle, -1) - angle))))
        points.append(len(xy))
        turns.append(np.degrees(turn).mean())
        circles.append(turn.sum() / (2 * np.pi))
    return f"{np.median(points):.0f}, {max(points)} | {np.mean(turns):.0f} | {np.mean(circles):.2f}"


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


if __name__ == "__main__":
    print("\n".join(reader_lines()))

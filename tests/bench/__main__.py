"""Run all benchmarks and write the table."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.inference import network_alone
from tests.bench.page import Row, write_section

if TYPE_CHECKING:
    from rtqc import Mask

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RUNS = 3


#: A process inherits the peak memory of the one that starts it, so a small one starts each.
_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def seconds(function: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall time after one warm-up."""
    function()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def processes(command: list[str], runs: int = RUNS) -> tuple[float, float]:
    """Median wall time of a command, in s, and the largest peak memory of any, in MiB."""
    times, peaks = [], []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=True, cwd=tempfile.gettempdir()
        )
        wall, peak = done.stdout.split()
        times.append(float(wall))
        peaks.append(float(peak))
    return statistics.median(times), max(peaks)


def large_case(folder: Path) -> Path:
    """A synthetic plan of 512 x 512 x 120."""
    from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan

    if not (folder / "RTDOSE.dcm").exists():
        write_plan(synthetic_plan(Anatomy(), Resolution(512, 320 / 119.5), key="bench"), folder)
    return folder


def bench_reading(folder: Path) -> Row:
    """Reading the CT against a bare loop over the same files."""
    import pydicom

    from rtqc.dicom import index_folder, load_case, plan_cases
    from rtqc.dicom.index import Index

    files = sorted(folder.glob("CT.*.dcm"))

    def bare() -> object:
        return np.stack([pydicom.dcmread(f).pixel_array.astype(np.float32) for f in files])

    def ours() -> object:
        index: Index = index_folder(folder)
        index.structure_sets, index.plans, index.doses = [], [], []
        return load_case(plan_cases(index)[0], index)

    ratios = [(seconds(ours, 1), seconds(bare, 1)) for _ in range(RUNS)]
    a, b = statistics.median(r[0] for r in ratios), statistics.median(r[1] for r in ratios)
    ratio = statistics.median(x / y for x, y in ratios)
    return Row(
        "read the CT of a 512 x 512 x 120 case",
        f"{a:.2f} s",
        f"{b:.2f} s (pydicom, bare loop over the same files)",
        f"{ratio:.2f}",
        "≤ 1.5",
    )


def bench_check(folder: Path) -> Row:
    """The whole check as a process."""
    wall, peak = processes([sys.executable, "-m", "rtqc", "check", str(folder), "--json", "--device", "cpu"])
    return Row("`rtqc check`, 512 x 512 x 120 with dose", f"{wall:.1f} s, {peak:.0f} MiB peak", "–", "–", "≤ 12 s, ≤ 2048 MiB")


def bench_cardiac() -> list[Row]:
    """Volume, fat and calcium on top of the draft, of a planning CT and of a cardiac scan, against the network alone."""
    from rtqc.cardiac import measure
    from rtqc.core import Grid
    from rtqc.heart import Engine, draft_with, load_model
    from rtqc.phantom.coronary import plant_coronary, render_heart
    from rtqc.pipeline import heart_of
    from tests.cardiac.conftest import anatomy_of

    engine = Engine(load_model(), "cpu")
    anatomy = anatomy_of()
    balls = [plant_coronary(anatomy, v, at, 2.0, 500.0) for v in ("LM/LAD", "LCX", "RCA") for at in (0.2, 0.5, 0.8)]
    rows = []
    for name, grid, noise in (
        ("512 x 512 x 120", Grid.regular((120, 512, 512), (2.5, 0.8, 0.8), (-205, -180, -170)), 12.0),
        ("512 x 512 x 120, noise of 30 HU", Grid.regular((120, 512, 512), (2.5, 0.8, 0.8), (-205, -180, -170)), 30.0),
        ("cardiac scan, 512 x 512 x 50 of 0.4 mm", Grid.regular((50, 512, 512), (3.0, 0.4, 0.4), (-95, -115, -90)), 15.0),
    ):
        image = render_heart(anatomy, grid, balls, noise_hu=noise)
        heart = heart_of(draft_with(image, engine))
        bare, count = network_alone(image, engine)
        triples = [
            (seconds(lambda: measure(image, heart), 1), seconds(lambda: measure(image, heart_of(draft_with(image, engine))), 1), seconds(bare, 1))  # noqa: B023
            for _ in range(RUNS)
        ]  # fmt: skip
        a, both, b = (statistics.median(side) for side in zip(*triples, strict=True))
        rows.append(
            Row(
                f"volume, fat and calcium, {name}",
                f"{a:.2f} s; with the draft {both:.2f} s",
                f"{b:.2f} s (ONNX Runtime alone, {count} inputs)",
                f"{a / b:.2f}",
                "≤ 1 s; ≤ 5 s",
            )
        )
    return rows


def bench_draft(folder: Path) -> Row:
    """The draft of a large case, engine loaded, against the network alone on the very inputs that it gets."""
    from rtqc.dicom import read_case
    from rtqc.heart import Engine, draft_with, load_model

    image = read_case(folder).image
    assert image is not None
    engine = Engine(load_model(), "cpu")
    bare, count = network_alone(image, engine)

    pairs = [(seconds(lambda: draft_with(image, engine), 1), seconds(bare, 1)) for _ in range(RUNS)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(
        "draft the heart, 512 x 512 x 120",
        f"{a:.2f} s",
        f"{b:.2f} s (ONNX Runtime alone, the same {count} inputs)",
        f"{statistics.median(x / y for x, y in pairs):.2f}",
        "≤ 4 s",
    )


def bench_demo(folder: Path) -> Row:
    """The demo as a process, from start to report."""
    wall, peak = processes([sys.executable, "-m", "rtqc", "demo", "--out", str(folder), "--force"])
    return Row("`rtqc demo` to the report", f"{wall:.1f} s, {peak:.0f} MiB peak", "–", "–", "≤ 30 s")


def bench_help() -> Row:
    """Start of the command line."""
    wall, _ = processes([sys.executable, "-m", "rtqc", "--help"], 7)
    bare, _ = processes([sys.executable, "-c", "import click"], 7)
    return Row("`rtqc --help`", f"{wall:.2f} s", f"{bare:.2f} s (python -c 'import click')", f"{wall / bare:.1f}", "< 0.5 s")


def bench_compare() -> Row | None:
    """All of the agreement against surface-distance's part of it."""
    pair = SHARED / "metric-pair"
    if not pair.exists():
        return None
    import surface_distance

    from rtqc import compare

    masks = _pair(pair)
    spacing = (masks[0].grid.slice_spacing_mm, *masks[0].grid.spacing_mm)

    def reference() -> object:
        distances = surface_distance.compute_surface_distances(masks[0].array, masks[1].array, spacing)
        return (
            surface_distance.compute_robust_hausdorff(distances, 95),
            surface_distance.compute_average_surface_distance(distances),
            surface_distance.compute_surface_dice_at_tolerance(distances, 3.0),
        )

    a, b = seconds(lambda: compare(masks[0], masks[1]), 5), seconds(reference, 5)
    return Row(
        "compare two real hearts, 512 x 512 x 143 masks",
        f"{a:.2f} s",
        f"{b:.2f} s (surface-distance 0.1, a third of it)",
        f"{a / b:.2f}",
        "≤ 1",
    )


def bench_dvh(folder: Path) -> Row:
    """DVH and all measures of a heart against dicompyler-core's default and interpolated modes, from the same files."""
    from rtqc.dicom import pydicom_with_read_file, read_case
    from rtqc.dosimetry import dvh, metrics_of

    pydicom_with_read_file()
    from dicompylercore import dicomparser, dvhcalc

    case = read_case(folder)
    assert case.dose is not None
    dose, roi = case.dose, next(r for r in case.rois if r.structure.name == "Heart")
    files = [dicomparser.DicomParser(str(folder / f"{name}.dcm")).ds for name in ("RTSTRUCT", "RTDOSE")]
    spacing = roi.structure.usual_spacing_mm

    def theirs(**options: object) -> object:
        return dvhcalc.get_dvh(*files, roi.number, **options)

    a = seconds(lambda: metrics_of(dvh(roi.structure, dose)))
    b = seconds(theirs)
    c = seconds(
        lambda: theirs(interpolation_resolution=dose.grid.spacing_mm[0] / 4, interpolation_segments_between_planes=2), 1
    )
    return Row(
        f"DVH and measures of a heart, {spacing:.1f} mm slices, {dose.grid.spacing_mm[0]:g} mm dose grid",
        f"{a:.2f} s",
        f"{b:.2f} s (dicompyler-core), {c:.2f} s (interpolated)",
        f"{a / b:.2f}, {a / c:.2f}",
        "≤ 0.3 s; ≤ 1, ≤ 0.1",
    )


def bench_structures() -> Row | None:
    """The same two hearts as contours."""
    pair = SHARED / "metric-pair"
    if not pair.exists():
        return None
    from rtqc import Structure, compare, trace

    traced = [trace(m) for m in _pair(pair)]
    drawn = [Structure(s.name, s.planes, s.orientation, slice_spacing_mm=s.slice_spacing_mm) for s in traced]
    a = seconds(lambda: compare(*drawn), 5)
    return Row("compare the same two hearts as contours", f"{a:.2f} s", "–", "–", "≤ 0.5 s")


def bench_receiving(folder: Path) -> Row | None:
    """A plan by C-STORE from dcmtk's storescu, into our receiver (written, synced, renamed) and into dcmtk's storescp."""
    if shutil.which("storescu") is None or shutil.which("storescp") is None:
        return None
    from rtqc.dicom import Door, Receiver
    from tests.peers import free_port, running

    files = sorted(folder.glob("*.dcm"))

    def send(port: int, called: str) -> None:
        subprocess.run(["storescu", "-aec", called, "127.0.0.1", str(port), *map(str, files)], check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as scratch:
        ours = Receiver(Door(port=0, least_free_bytes=0), Path(scratch), lambda patient: patient)
        ours.start()
        a = seconds(lambda: send(ours.port, "RTQC"))
        ours.stop()
        port, theirs = free_port(), Path(scratch) / "storescp"
        theirs.mkdir()
        with running(["storescp", "-od", theirs, port], port, Path(scratch)):
            b = seconds(lambda: send(port, "STORESCP"))
    size = sum(f.stat().st_size for f in files) / 2**20
    return Row(
        f"receive a plan of {len(files)} objects, {size:.0f} MiB, by C-STORE",
        f"{a:.2f} s",
        f"{b:.2f} s (dcmtk's storescp)",
        f"{a / b:.2f}",
        "–",
    )


def _pair(folder: Path) -> list[Mask]:
    """The masks of metric-pair."""
    import nrrd

    from rtqc import Grid, Mask

    masks = []
    for name in ("a", "b"):
        labels, header = nrrd.read(str(folder / f"{name}.nrrd"))
        spacing = tuple(float(v) for v in np.abs(np.diag(header["space directions"]))[::-1])
        array = np.ascontiguousarray(np.transpose(labels > 0))
        masks.append(Mask(Grid.regular(array.shape, spacing), array))
    return masks


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = large_case(Path(scratch) / "large")
        rows = [
            bench_reading(folder),
            bench_draft(folder),
            *bench_cardiac(),
            bench_check(folder),
            bench_demo(Path(scratch) / "demo"),
            bench_help(),
            bench_compare(),
            bench_structures(),
            bench_dvh(folder),
            bench_receiving(folder),
        ]
    write_section("all", [row for row in rows if row is not None])


if __name__ == "__main__":
    main()

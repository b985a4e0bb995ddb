"""Pictures of a training: learning curves and the worst cases. They show patients, so they stay in the work folder."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rtqc.core import Agreement
from rtqc.core.whole_file import whole_file
from rtqc.heart import Draft
from rtqc.report.slices import SlicePainter
from rtqc.training.curate import Patient

#: Cases that get a picture.
_MOST = 3
_CURVE_COLOURS = ("#0b57a4", "#b3261e", "#1a6b36", "#8a5300", "#5b3fa8", "#00808f")
#: Pixels for a millimetre in the pictures of slices.
_SCALE = 3


def learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """Smoothed loss against iteration, one line a network, as SVG."""
    points = [p for curve in curves.values() for p in curve]
    last = max((i for i, _ in points), default=1)
    top = max((v for _, v in points), default=1.0)
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-50 -20 720 380" font-family="sans-serif" font-size="13">',
        '<rect x="-50" y="-20" width="720" height="380" fill="#fff"/>',
        f'<path d="M0 0v300h600" fill="none" stroke="#57606a"/><text x="300" y="335" text-anchor="middle">weight updates (to {last})</text>',
        f'<text x="-6" y="8" text-anchor="end">{top:.2f}</text><text x="-6" y="304" text-anchor="end">0</text>',
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = _CURVE_COLOURS[number % len(_CURVE_COLOURS)]
        track = " ".join(f"{600 * i / last:.1f},{300 - 300 * v / top:.1f}" for i, v in curve)
        label = name.replace("&", "&amp;").replace("<", "&lt;")
        lines.append(f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="420" y="{16 + 18 * number}" fill="{colour}">{label}</text>')
    with whole_file(path) as file:
        file.write(("\n".join([*lines, "</svg>"]) + "\n").encode("utf-8"))


def worst_cases(results: Sequence[tuple[Patient, Draft, Agreement]], folder: Path) -> list[Path]:
    """The slices with the largest differences of the worst cases, as ``worst-1.png`` and so on."""
    paths = []
    for number, (patient, draft, agreement) in enumerate(sorted(results, key=lambda r: r[2].dice)[:_MOST], 1):
        if patient.case.image is None or not agreement.slices:
            continue
        painter = SlicePainter(patient.case.image, patient.heart, draft.structure, None)
        at = max(agreement.slices, key=lambda s: s.only_a_mm2 + s.only_b_mm2).position_mm
        picture = painter.at(at)
        size = (round(picture.width_mm * _SCALE), round(picture.height_mm * _SCALE))
        canvas = Image.open(io.BytesIO(base64.b64decode(picture.ct))).convert("RGB").resize(size, Image.Resampling.NEAREST)
        pen = ImageDraw.Draw(canvas)
        for path, colour in ((picture.contour, "#19d3f3"), (picture.draft, "#ff9d2e")):
            for ring in _rings(path):
                pen.line([tuple(p) for p in ring * _SCALE], fill=colour, width=2)
        pen.text(
            (6, 6), f"{patient.name}: Dice {agreement.dice:.3f}, slice {at:.1f} mm; contour blue, draft orange", fill="#ffffff"
        )
        buffer = io.BytesIO()
        canvas.save(buffer, "PNG")
        target = folder / f"worst-{number}.png"
        with whole_file(target) as file:
            file.write(buffer.getvalue())
        paths.append(target)
    return paths


def _rings(path: str) -> list[np.ndarray]:
    """Rings (n, 2) in mm of the path data that :func:`rtqc.report.slices.svg_path` writes, closed."""
    rings = []
    for part in path.split("M")[1:]:
        points = np.array([[float(v) for v in pair.split()] for pair in part.rstrip("Z").split("L")])
        rings.append(np.vstack([points, points[:1]]))
    return rings

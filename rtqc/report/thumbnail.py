"""The worst slice, small: for lists of many cases."""

from __future__ import annotations

import base64
import io

from PIL import Image as Picture

from rtqc.pipeline import Assessed
from rtqc.report.page import painter_of
from rtqc.report.slices import SlicePicture
from rtqc.report.view import worst_position

#: Pixels of the longer side of the CT in it.
_PIXELS = 128
_STYLE = "fill:none;vector-effect:non-scaling-stroke;stroke-width:"


def thumbnail(assessed: Assessed) -> bytes | None:
    """An SVG picture of the slice where contour and draft differ most; None without a CT."""
    painter = painter_of(assessed)
    at = worst_position(assessed.assessment)
    if painter is None:
        return None
    picture = painter.at(painter.middle_mm if at is None else at)
    return _svg(picture).encode("ascii")


def _svg(picture: SlicePicture) -> str:
    w, h = picture.width_mm, picture.height_mm
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}">',
        f'<image width="{w:g}" height="{h:g}" preserveAspectRatio="none" href="data:image/jpeg;base64,{_small(picture.ct)}"/>',
        f'<path d="{picture.contour}" stroke="#19d3f3" fill-rule="evenodd" style="{_STYLE}1.6"/>',
        f'<path d="{picture.draft}" stroke="#ff9d2e" stroke-dasharray="4 2" fill-rule="evenodd" style="{_STYLE}1.6"/>',
        "</svg>",
    ]
    return "".join(lines)


def _small(png: str) -> str:
    picture = Picture.open(io.BytesIO(base64.b64decode(png)))
    picture.thumbnail((_PIXELS, _PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return base64.b64encode(buffer.getvalue()).decode("ascii")

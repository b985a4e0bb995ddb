"""Contours, masks and surfaces, and the way from each to the others.

Pure geometry in mm: nothing here knows what a heart, a dose or a file is.
"""

from rtqc.geometry.rasterize import cover, rasterize
from rtqc.geometry.reslice import on_slices
from rtqc.geometry.trace import trace, trace_field

__all__ = ["cover", "on_slices", "rasterize", "trace", "trace_field"]

"""Two structures: overlap, surface distance, slice by slice, editing effort."""

from rtqc.comparison.agreement import TOLERANCES_MM, compare

__all__ = ["TOLERANCES_MM", "compare"]

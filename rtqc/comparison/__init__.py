"""Two structures: overlap, surface distance, slice by slice, editing effort."""

from rtqc.comparison.agreement import compare

__all__ = ["compare"]

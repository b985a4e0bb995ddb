"""Two structures: overlap, surface distance, slice by slice, editing effort."""

from rtqc.comparison.agreement import TOLERANCES_MM, compare
from rtqc.comparison.between_ends import between_ends

__all__ = ["TOLERANCES_MM", "between_ends", "compare"]

"""Attributes, asked for by name, from files that may be damaged.

A private element with a wrong length makes pydicom raise only when somebody walks over it. So nobody walks:
every attribute is asked for by itself, and one that cannot be read counts as absent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag


def get(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, or None where it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom raises whatever its converter raised: ValueError, KeyError, struct.error
        return None
    if value is None:
        return None
    try:
        return None if len(value) == 0 else value
    except TypeError:
        return value


def text(dataset: Dataset, keyword: str) -> str:
    """The attribute as stripped text; empty where absent."""
    value = get(dataset, keyword)
    return "" if value is None else str(value).replace("\x00", "").strip()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The attribute as a finite float; None where absent, text or not finite."""
    try:
        value = float(get(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def numbers(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """A multi-valued attribute as finite floats; None where absent, of another length or not finite."""
    value = get(dataset, keyword)
    if value is None:
        return None
    try:
        values = tuple(float(v) for v in (value if not isinstance(value, (str, int, float)) else [value]))
    except (TypeError, ValueError):
        return None
    if not np.isfinite(values).all() or (count is not None and len(values) != count):
        return None
    return values


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty where absent or unreadable."""
    value = get(dataset, keyword)
    return list(value) if value is not None else []


def referenced_series(structure_set: Dataset) -> list[Dataset]:
    """The items that name the series a structure set was drawn on, of all its frames of reference and studies."""
    return [
        series
        for frame in items(structure_set, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]


def decimals(dataset: Dataset, keyword: str) -> tuple[NDArray[np.float64], int]:
    """A long decimal string (ContourData), without one Python object a number.

    Returns:
        All values, NaN where one is not a number, and how many were not.
    """
    raw: Any
    try:
        raw = dataset.get_item(Tag(keyword), keep_deferred=False)
        value = raw.value if raw is not None else None
    except Exception:  # see ``get``
        return np.empty(0), 0
    if value is None:
        return np.empty(0), 0
    if isinstance(value, bytes):
        parts: list[Any] = value.rstrip(b"\x00 ").split(b"\\") if value.strip(b"\x00 ") else []
    else:
        parts = list(value) if not isinstance(value, (str, float, int)) else [value]
    try:
        values = np.array(parts).astype(np.float64)
    except (ValueError, TypeError):
        values = np.array([_decimal(p) for p in parts], np.float64)
    return values, int((~np.isfinite(values)).sum())


#: Length of an element that ends with a delimiter instead (PS3.5 7.1.1).
_UNDEFINED_LENGTH = 0xFFFFFFFF


def is_cut_off(dataset: Dataset) -> bool:
    """Whether the file ended inside an element: pydicom hands out what there is, as if it were all.

    To be asked right after reading, before any element is decoded.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        length = getattr(element, "length", None)
        value = getattr(element, "value", None)
        if isinstance(value, bytes) and length not in (None, _UNDEFINED_LENGTH) and len(value) < length:
            return True
    return False


def _decimal(part: Any) -> float:
    try:
        return float(part)
    except (TypeError, ValueError):
        return float("nan")

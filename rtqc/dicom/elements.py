"""Attributes, asked for by name, from files that may be damaged.

A private element with a wrong length makes pydicom raise only when somebody walks over it. So nobody walks:
every attribute is asked for by itself, and one that cannot be read counts as absent.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.charset import CODES_TO_ENCODINGS, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rtqc.core.limits import MOST_ITEMS, LimitError

#: Tag of an item (PS3.5 7.5), little and big endian.
_ITEM, _ITEM_BIG = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
#: What programs put around a list or its numbers.
_BRACKETS = str.maketrans("", "", "[](){}'\"")
#: An exponent as Fortran writes it.
_FORTRAN = re.compile(r"^([+-]?[\d.,]+)[dD]([+-]?\d+)$")
#: Character sets of files that declare none, as DICOM and pydicom call them.
_UNDECLARED = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6", "iso8859"})
#: Characters that no text has (C1 controls): a sign that bytes were taken for Latin-1.
_CONTROLS = re.compile("[\x80-\x9f]")
#: Sequences that designate a character set within a text (ISO 2022, PS3.5 6.1.2.5.3): they belong to its encoding, never to what it says.
_DESIGNATOR = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")
#: The first is that of the text before the first designator.
_DESIGNATED = ["iso8859", *dict.fromkeys(e for e in CODES_TO_ENCODINGS.values() if e != "iso8859")]
#: So many characters of what could not be read are shown.
_SHOWN = 40


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
    """The attribute as stripped text; empty where absent.

    UTF-8 is read as such where the file declares no character set, or one whose text cannot hold such characters: bytes above 127 are not valid UTF-8 by chance.
    """
    value = get(dataset, keyword)
    if value is None:
        return ""
    plain = str(value).replace("\x00", "").strip()
    if "\x1b" in plain:
        return _without_designators(plain)
    if plain.isascii() or (_declares_characters(dataset) and not _CONTROLS.search(plain)):
        return plain
    return _as_utf8(plain)


def _declares_characters(dataset: Dataset) -> bool:
    """Whether a file, or the item that a dataset is, says in which characters its text is."""
    declared = dataset.get("SpecificCharacterSet") or getattr(dataset, "original_character_set", None) or []
    sets = [declared] if isinstance(declared, str) else declared
    return any(str(v).strip() not in _UNDECLARED for v in sets)


def _without_designators(text: str) -> str:
    """Text as its ISO 2022 designators say, where the file does not declare them or pydicom leaves them in place (ISO 2022 IR 58)."""
    # Text that is decoded already, or in a set that nobody knows, stays what it is.
    with suppress(UnicodeError, LookupError):
        text = decode_bytes(text.encode("latin-1"), _DESIGNATED, set())
    return _DESIGNATOR.sub("", text).strip()


def _as_utf8(text: str) -> str:
    """Text whose bytes were taken for Latin-1 as the UTF-8 that they are; as it is where they are not."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def number(dataset: Dataset, keyword: str) -> float | None:
    """The attribute as a finite float; None where absent, text or not finite."""
    values = _of_decimal_string(dataset, keyword)
    try:
        value = float(get(dataset, keyword)) if values is None else float(values[0]) if values.size == 1 else float("nan")
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def as_written(dataset: Dataset, keyword: str) -> str:
    """The attribute as its characters stand in the file, stripped; empty where absent. Of numbers that pydicom would refuse or round, too."""
    try:
        raw: Any = dataset.get_item(Tag(keyword), keep_deferred=False)
    except Exception:  # see ``get``
        return ""
    value = raw.value if raw is not None else None
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _decoded(value).strip("\x00 ")
    return str(getattr(value, "original_string", None) or value).strip("\x00 ")


def _decoded(value: bytes) -> str:
    """Characters that no number has, as they would be seen: a typographic minus is three bytes of UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def numbers(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """A multi-valued attribute as finite floats; None where absent, of another length or not finite."""
    value = _of_decimal_string(dataset, keyword)
    if value is None:
        value = get(dataset, keyword)
    if value is None:
        return None
    try:
        values = tuple(float(v) for v in (value if not isinstance(value, (str, int, float)) else [value]))
    except (TypeError, ValueError):
        return None
    if not values or not np.isfinite(values).all() or (count is not None and len(values) != count):
        return None
    return values


def _of_decimal_string(dataset: Dataset, keyword: str) -> NDArray[np.float64] | None:
    """Values of an attribute that is still text in memory, as :func:`decimal_string` reads them; None for all others.

    pydicom refuses decimal commas and brackets, and warns of what is longer than 16 characters.
    """
    tag = Tag(keyword)
    try:
        raw: Any = dataset.get_item(tag, keep_deferred=False)
        if raw is None or not isinstance(raw.value, bytes) or dictionary_VR(tag) not in ("DS", "IS"):
            return None
    except Exception:  # see ``get``
        return None
    return decimal_string(dataset, keyword).values if raw.VR in (None, "DS", "IS", "UN", "LO", "SH", "LT", "UT") else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty where absent or unreadable.

    Raises:
        LimitError: it has more items than any object of a patient; nothing of them was read.
    """
    _refuse_items(dataset, keyword)
    value = get(dataset, keyword)
    return list(value) if value is not None else []


def _refuse_items(dataset: Dataset, keyword: str) -> None:
    """Count the items of a sequence that is still bytes: each would become a thousand times as many."""
    try:
        raw: Any = dataset.get_item(Tag(keyword), keep_deferred=False)
    except Exception:  # see ``get``
        return
    value = getattr(raw, "value", None)
    if isinstance(value, bytes) and len(value) > 8 * MOST_ITEMS and value.count(_ITEM) + value.count(_ITEM_BIG) > MOST_ITEMS:
        raise LimitError(f"its {keyword} has more than {MOST_ITEMS} items")


def referenced_series(structure_set: Dataset) -> list[Dataset]:
    """The items that name the series a structure set was drawn on, of all its frames of reference and studies."""
    return [
        series
        for frame in items(structure_set, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]


@dataclass(frozen=True)
class Decimals:
    """A long decimal string, read.

    Attributes:
        values: NaN where a part is not a number.
        bad: the first part that is not a number, as it stands in the file; empty where all are.
        commas: whether its decimal separator is a comma.
        unlike_dicom: whether it is written in another way than PS3.5 6.2 says (brackets, quotes, a backslash at the end, commas), and was read all the same.
    """

    values: NDArray[np.float64]
    bad: str = ""
    commas: bool = False
    unlike_dicom: bool = False


def decimals(dataset: Dataset, keyword: str) -> tuple[NDArray[np.float64], int]:
    """A long decimal string: its values, NaN where one is not a number, and how many were not; see :func:`decimal_string`."""
    values = decimal_string(dataset, keyword).values
    return values, int((~np.isfinite(values)).sum())


def decimal_string(dataset: Dataset, keyword: str) -> Decimals:
    """A long decimal string (ContourData), without one Python object a number.

    Beside what PS3.5 6.2 calls a decimal string: more than 16 characters, decimal commas, a backslash at the end, brackets and quotes around a list, and ``D`` before
    an exponent, as far as only one reading is possible.
    """
    raw: Any
    try:
        raw = dataset.get_item(Tag(keyword), keep_deferred=False)
        value = raw.value if raw is not None else None
    except Exception:  # see ``get``
        return Decimals(np.empty(0))
    if value is None:
        return Decimals(np.empty(0))
    if isinstance(value, bytes):
        stripped = value.strip(b"\x00 ")
        try:
            # As planning systems write them; bytes are read in half the time of text.
            # Python reads 30_0 as 300; no decimal string has such a thing.
            if b"_" in stripped:
                return _unusual(_decoded(stripped))
            values = np.array(stripped.split(b"\\") if stripped else []).astype(np.float64)
        except ValueError:
            return _unusual(_decoded(stripped))
        return Decimals(values) if np.isfinite(values).all() else decimals_of(_decoded(stripped))
    parts = list(value) if not isinstance(value, (str, float, int)) else [value]
    try:
        if any(isinstance(p, str) and "_" in p for p in parts):
            return _unusual("\\".join(str(p) for p in parts))
        return Decimals(np.array(parts).astype(np.float64))
    except (ValueError, TypeError):
        return decimals_of("\\".join(str(p) for p in parts))


def decimals_of(text: str) -> Decimals:
    r"""Numbers of a text, parted by backslashes.

    >>> decimals_of("1,5\\-2,25\\0\\").values.tolist(), decimals_of("[1.5, 2, 3e-1]").values.tolist()
    ([1.5, -2.25, 0.0], [1.5, 2.0, 0.3])
    >>> decimals_of("1.234,5\\2").bad, decimals_of("1,5\\2.5").bad
    ('1.234,5', '1,5')
    """
    stripped = text.strip("\x00 ")
    parts = stripped.split("\\") if stripped else []
    if "_" in stripped:
        return _unusual(stripped)
    try:
        # As planning systems write them: nothing below is needed.
        values = np.array(parts).astype(np.float64)
    except ValueError:
        return _unusual(stripped)
    return Decimals(values) if np.isfinite(values).all() else Decimals(values, _first_bad(parts))


def _unusual(text: str) -> Decimals:
    """Numbers that numpy cannot read, as far as only one reading is possible."""
    bare = text.translate(_BRACKETS).strip("\x00 \\\r\n\t")
    parts = [p.strip() for p in bare.split("\\")]
    blanks = len(parts) == 1 and re.search(r",\s", bare)
    if blanks or (len(parts) == 1 and "," in bare and "." in bare):
        # A list as programming languages print it: a comma and a blank, or commas between decimal points, part its numbers.
        parts = [p.strip() for p in re.split(r",\s+" if blanks else ",", bare.rstrip(","))]
        if 0 < sum("," in p for p in parts) < len(parts):
            return Decimals(np.full(len(parts), np.nan), bare[:_SHOWN])
    parts = [_FORTRAN.sub(r"\1e\2", p) for p in parts]
    commas = any("," in p for p in parts) and not any("." in p for p in parts)
    if commas:
        parts = [p.replace(",", ".") if p.count(",") == 1 else p for p in parts]
    values = np.array([_decimal(p) for p in parts], np.float64)
    bad = _first_bad(parts)
    return Decimals(values, bad.replace(".", ",") if commas else bad, commas and not bad, not bad)


def _first_bad(parts: list[str]) -> str:
    """The first part that is no finite number, as it stands there, for a sentence."""
    bad = next((p for p in parts if not np.isfinite(_decimal(p))), None)
    return "" if bad is None else bad.strip()[:_SHOWN] or "(nothing)"


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
        return float("nan") if isinstance(part, str) and "_" in part else float(part)
    except (TypeError, ValueError):
        return float("nan")

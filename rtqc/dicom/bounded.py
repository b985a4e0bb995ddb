"""Opening an object without trusting a word of it: its size, what it inflates to, the lengths that it states and the number of its elements have limits.

:func:`read_object` stands for ``pydicom.dcmread`` wherever a stranger's file is read.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import FileDataset

from rtqc.core.limits import (
    MOST_HEADER_READS,
    MOST_INFLATED_BYTES,
    MOST_ITEMS,
    MOST_OBJECT_BYTES,
    MOST_READS,
    LimitError,
)

#: Deflated Explicit VR Little Endian (PS3.5 A.5).
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PREAMBLE = 132
#: File Meta Information is shorter than this; a deflated object says so in it.
_META_BYTES = 1 << 16
_BLOCK = 1 << 20
#: So often bytes are asked for before the items are counted; most structure sets need fewer.
_READS_UNSUSPECTED = 200_000
#: Tag of an item (PS3.5 7.5), little and big endian.
_ITEM, _ITEM_BIG = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
#: VRs whose length has four bytes (PS3.5 7.1.2), of those that occur in File Meta Information.
_LONG_VRS = frozenset({b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC", b"UR"})


def read_object(
    source: Path | BinaryIO, *, header: bool = False, tags: Iterable[Any] | None = None, force: bool = True
) -> FileDataset:
    """Read an object, or its header.

    Args:
        source: a file, or bytes that are open.
        header: whether to stop before the pixels; such an object may hold fewer elements.
        tags: attributes that are wanted alone; None: all.
        force: whether an object without preamble is read too.

    Raises:
        LimitError: it is larger, or holds more, than anything that is made of a patient.
        RecursionError, Exception: whatever pydicom raises on a damaged file.
        OSError: it cannot be opened.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_object(file, header=header, tags=tags, force=force)
    size = _size(source)
    if size > MOST_OBJECT_BYTES:
        raise LimitError(f"it has {size >> 20} MiB, more than {MOST_OBJECT_BYTES >> 20}")
    _refuse_inflated(source)
    bounded: Any = _Bounded(source, size, MOST_HEADER_READS if header else MOST_READS)
    return pydicom.dcmread(
        bounded, stop_before_pixels=header, specific_tags=list(tags) if tags is not None else None, force=force
    )


class _Bounded:
    """A file that gives no more than it has, and is not asked without end.

    Python allocates what it is asked to read before it reads: an element that states 4 GiB would have them.
    """

    def __init__(self, file: BinaryIO, size: int, reads: int) -> None:
        self._file, self._size, self._left = file, size, reads
        self._uncounted = reads - _READS_UNSUSPECTED
        self._read = file.read
        # Asked for at each element: the file's own are as fast as can be.
        self.seek, self.tell, self.close = file.seek, file.tell, file.close
        self.name = getattr(file, "name", "")
        self.mode = getattr(file, "mode", "rb")

    def read(self, count: int = -1) -> bytes:
        """As a file."""
        self._left -= 1
        if self._left < 0:
            raise LimitError("it holds millions of elements, more than any object of a patient")
        if self._left == self._uncounted:
            self._count_items()
        if count > _BLOCK:
            count = min(count, max(self._size - self.tell(), 0))
        return self._read(count)

    def _count_items(self) -> None:
        """Items of an object with very many elements, counted as bytes, which takes a thousandth of the time of reading them."""
        place, items = self.tell(), 0
        self.seek(0)
        while block := self._read(16 * _BLOCK):
            items += block.count(_ITEM) + block.count(_ITEM_BIG)
        self.seek(place)
        if items > MOST_ITEMS:
            raise LimitError(f"it holds {items} items, more than {MOST_ITEMS}")

    @property
    def closed(self) -> bool:
        """As a file."""
        return self._file.closed


def _size(file: BinaryIO) -> int:
    try:
        return os.fstat(file.fileno()).st_size
    except (OSError, io.UnsupportedOperation):
        place = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(place)
        return size


def _refuse_inflated(file: BinaryIO) -> None:
    """Inflate a deflated object, keep nothing, and see how much it is: 3 MB become 3 GB.

    Raises:
        LimitError: it is too much.
    """
    began = file.tell()
    start = file.read(_META_BYTES)
    place = _end_of_meta(start) if _DEFLATED in start else None
    if place is None:
        file.seek(began)
        return
    file.seek(began + place)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    while not inflater.eof and (block := file.read(_BLOCK)):
        while block:
            total += len(inflater.decompress(block, _BLOCK))
            if total > MOST_INFLATED_BYTES:
                raise LimitError(f"it is deflated and has more than {MOST_INFLATED_BYTES >> 20} MiB when inflated")
            block = inflater.unconsumed_tail
    file.seek(began)


def _end_of_meta(start: bytes) -> int | None:
    """Where the data set begins behind File Meta Information (PS3.10 7.1); None where there is none."""
    place = _PREAMBLE if start[128:132] == b"DICM" else 0
    while start[place : place + 2] == b"\x02\x00":
        long = start[place + 4 : place + 6] in _LONG_VRS
        length = start[place + 8 : place + 12] if long else start[place + 6 : place + 8]
        place += (12 if long else 8) + int.from_bytes(length, "little")
    return place if 0 < place <= len(start) else None

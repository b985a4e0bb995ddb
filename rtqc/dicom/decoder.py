"""Pixels of an object: plain ones as they stand, compressed ones from a process that may die of them.

Codecs for JPEG, JPEG-LS and JPEG 2000 are native code that a few flipped bytes bring down, and no exception says so. One child decodes
for a whole process, slice after slice; where it dies the slice is said to be damaged, and the next one gets a new child.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from rtqc.core.child_process import Child, ChildDiedError
from rtqc.core.limits import refuse_matrix
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import get, number

_SCRIPT = Path(__file__).with_name("decoder_child.py")
#: Attributes that decoding asks for (PS3.3 C.7.6.3).
_ATTRIBUTES = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PlanarConfiguration",
)  # fmt: skip
#: An object may take so long to decode, in s, and so much more for each million voxels: a slice takes 0.05 s, an Enhanced CT of 300 slices 10 s, and the
#: child starts in half a second; on a machine that has twenty things to do it is twenty times as long.
_SECONDS, _SECONDS_A_MILLION = 60.0, 1.0
#: Bytes that the child may have resident, and more for each voxel.
_MEMORY, _MEMORY_A_VOXEL = 1 << 30, 24
#: Bytes of the answer's first line.
_LINE = 4096


class DecoderDiedError(ValueError):
    """Compressed pixels that brought their decoder down; the message says how."""


def pixels_of(dataset: Dataset) -> NDArray[Any]:
    """The stored pixel values of an object, (rows, columns) or (frames, rows, columns); one of several samples has them last.

    Raises:
        LimitError: it has more pixels than any image of a patient.
        DecoderDiedError: the decoder crashed, or took too much time or memory.
        Exception: whatever pydicom and its codecs raise on damaged pixels.
    """
    rows, columns, frames = (number(dataset, k) for k in ("Rows", "Columns", "NumberOfFrames"))
    refuse_matrix(rows, columns, frames)
    syntax = get(getattr(dataset, "file_meta", None) or Dataset(), "TransferSyntaxUID")
    if syntax is None or (syntax.is_transfer_syntax and not syntax.is_compressed):
        return dataset.pixel_array
    samples = number(dataset, "SamplesPerPixel") or 1
    return _decoded(dataset, str(syntax), int((rows or 1) * (columns or 1) * max(frames or 1, 1) * min(max(samples, 1), 4)))


def plain_object(path: Path) -> Dataset:
    """An object whose pixels are not compressed, for programs that would decode them in this process.

    Raises:
        Exception: as :func:`pixels_of`, and whatever pydicom raises on a damaged file.
    """
    dataset = read_object(path)
    syntax = get(dataset.file_meta, "TransferSyntaxUID")
    if syntax is not None and (not syntax.is_transfer_syntax or syntax.is_compressed):
        pixels = pixels_of(dataset)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset["PixelData"] = DataElement(Tag("PixelData"), "OB" if pixels.dtype.itemsize == 1 else "OW", pixels.tobytes())
    return dataset


def _decoded(dataset: Dataset, syntax: str, voxels: int) -> NDArray[Any]:
    content = dataset.get("PixelData")
    if not isinstance(content, bytes):
        raise ValueError("no pixel data")
    seconds = _SECONDS + _SECONDS_A_MILLION * voxels / 1e6
    request: dict[str, Any] = {
        "syntax": syntax,
        "attributes": {k: _plain(v) for k in _ATTRIBUTES if (v := get(dataset, k)) is not None},
        "voxels": voxels,
        "seconds": seconds + 10.0,
    }
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        table = get(dataset, keyword)
        if isinstance(table, bytes):
            request[keyword] = table.hex()
    try:
        answer = _CHILD.ask(json.dumps(request).encode() + b"\n", content, seconds, voxels)
    except ChildDiedError as error:
        raise DecoderDiedError(f"its compressed pixels brought the decoder down, which {error.how}") from error
    line, _, values = answer.partition(b"\n")
    told = json.loads(line)
    if "error" in told:
        raise ValueError(f"{told['error']}: {told['why']}")
    # A child whose memory was overwritten may say anything.
    dtype, shape = np.dtype(str(told["dtype"])), tuple(int(n) for n in told["shape"])
    if dtype.kind not in "iuf" or len(values) != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise DecoderDiedError("its compressed pixels made the decoder answer nonsense")
    return np.frombuffer(values, dtype).reshape(shape)


def _plain(value: Any) -> int | str:
    return int(value) if isinstance(value, (int, float)) else str(value)


class _Shared:
    """The one child of this process, started when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._owner = 0

    def ask(self, line: bytes, content: bytes, seconds: float, voxels: int) -> bytes:
        """Its answer.

        Raises:
            ChildDiedError: it crashed, or took too much time or memory.
        """
        with self._lock:
            if self._child is None or self._owner != os.getpid():
                # After a fork the child is the parent's, and so are the pipes to it.
                self._child, self._owner = Child.of_command(["-P", str(_SCRIPT)]), os.getpid()
            try:
                memory = _MEMORY + 2 * len(content) + _MEMORY_A_VOXEL * voxels
                return self._child.ask(line, memoryview(content), seconds=seconds, memory=memory, most=_LINE + 8 * voxels)
            except BaseException:
                self._child = None
                raise

    def close(self) -> None:
        """End it."""
        if self._child is not None and self._owner == os.getpid():
            with suppress(Exception):
                self._child.end()
            self._child = None

    def forget(self) -> None:
        """In a process that was forked: a lock that another thread of the parent held is nobody's here."""
        self._lock, self._child = threading.Lock(), None


_CHILD = _Shared()
atexit.register(_CHILD.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_CHILD.forget)

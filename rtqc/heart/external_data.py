"""Whether an ONNX file keeps weights in other files, which its hash would not cover. Read from the protobuf itself: the core has no package onnx.

Field numbers are those of onnx.proto (ONNX 1.17, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); the wire format is protobuf's.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

#: What a message is followed into: field number -> the kind of message there. ``tensor`` is where it ends.
_INTO: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
#: Graphs inside graphs (If, Loop); no network needs so many.
_DEEPEST = 64


class NotOnnxError(Exception):
    """The bytes are no ONNX model."""


def keeps_weights_elsewhere(path: Path) -> bool:
    """Whether a tensor of the model says that its data lie in another file.

    Raises:
        NotOnnxError: it is no ONNX model.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise NotOnnxError("empty") from error
        with content:
            return _any_external(content, 0, len(content), "model", 0)


def _any_external(content: mmap.mmap, start: int, end: int, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise NotOnnxError("too deep")
    if kind == "tensor":
        return any(
            n == _EXTERNAL_DATA or (n == _DATA_LOCATION and v == _EXTERNAL) for n, v, _, _ in _fields(content, start, end)
        )
    into = _INTO[kind]
    return any(
        _any_external(content, begin, stop, into[number], depth + 1)
        for number, value, begin, stop in _fields(content, start, end)
        if number in into and value is None
    )


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int | None, int, int]]:
    """Number, value (of a varint, else None), begin and end of each field; long ones are passed over unread."""
    at = start
    while at < end:
        key, at = _varint(content, at, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise NotOnnxError("no field")
        if wire == 0:
            value, at = _varint(content, at, end)
            yield number, value, at, at
            continue
        if wire == 2:
            size, at = _varint(content, at, end)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise NotOnnxError("no wire type")
        if at + size > end:
            raise NotOnnxError("cut off")
        yield number, None, at, at + size
        at += size


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise NotOnnxError("cut off")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotOnnxError("no number")

"""The process in which compressed pixels are decoded: run as a script (``python -P decoder_child.py``), imported by nobody.

It reads requests from stdin and writes answers to stdout, until stdin ends. A request is JSON in one line (the attributes of the Image Pixel
Module, the transfer syntax, limits) and the Pixel Data behind it; an answer is JSON in one line and the pixels. It knows rtqc not: what starts in a tenth of
a second is started anew whenever a decoder has brought it down.
"""

from __future__ import annotations

import faulthandler
import json
import os
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

_HEAD = struct.Struct("<cQ")
#: Address space of the interpreter with pydicom, numpy and the decoders, in bytes, and what a decoder may take for each voxel of the answer.
_OWN_BYTES, _BYTES_A_VOXEL = 1 << 30, 24


def main() -> None:
    """Answer until the other side is gone."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    # Decoders print what they dislike: never into an answer.
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    with open(os.devnull, "w", encoding="ascii") as sink:
        while True:
            head = requests.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            content = requests.read(_HEAD.unpack(head)[1])
            line, _, pixel_data = content.partition(b"\n")
            del content
            request = json.loads(line)
            # Ends this process even where the decoder never returns and whoever asked has gone.
            faulthandler.dump_traceback_later(float(request["seconds"]), exit=True, file=sink)
            answer = _answer(request, pixel_data)
            faulthandler.cancel_dump_traceback_later()
            _write(answers, *answer)


def _answer(request: dict[str, Any], pixel_data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        _limit_memory(_OWN_BYTES + 2 * len(pixel_data) + _BYTES_A_VOXEL * int(request["voxels"]))
        return _decoded(request, pixel_data)
    except MemoryError:
        return {"error": "MemoryError", "why": "it asks for more memory than an image of its size has"}, b""
    except Exception as error:  # codecs raise nearly anything
        return {"error": type(error).__name__, "why": str(error)[:300]}, b""


def _decoded(request: dict[str, Any], pixel_data: bytes) -> tuple[dict[str, Any], bytes]:
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = request["syntax"]
    for keyword, value in request["attributes"].items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixel_data
    dataset["PixelData"].VR = "OB"
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in request:
            setattr(dataset, keyword, bytes.fromhex(request[keyword]))
    pixels = np.ascontiguousarray(dataset.pixel_array)
    return {"dtype": pixels.dtype.newbyteorder("<").str, "shape": pixels.shape}, pixels.astype(
        pixels.dtype.newbyteorder("<"), copy=False
    ).tobytes()


def _limit_memory(most: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit: there the other side watches
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _write(stream: BinaryIO, told: dict[str, Any], pixels: bytes) -> None:
    line = json.dumps(told).encode() + b"\n"
    stream.write(_HEAD.pack(b"A", len(line) + len(pixels)))
    stream.write(line)
    stream.write(pixels)
    stream.flush()


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.dont_write_bytecode = True
    main()

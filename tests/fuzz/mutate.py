"""Mutations of our own files by a seed, and what reading them must never do."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from rtqc.dicom.bounded import read_object
from rtqc.dicom.decoder import DecoderDiedError, pixels_of
from tests.fuzz.files import heart_contours

#: Bytes that headers take badly: delimiters, largest lengths, VRs.
_BYTES = (
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
    b"SQ",
    b"UN",
    b"OB\x00\x00",
    b"\x7f\xff\xff\xff",
)
#: Texts that contours and attributes take badly.
_WORDS = (
    "1e9", "-1e9", "1e308", "1e400", "nan", "inf", "-inf", "0", "-0", "1e-300", "1,5", "", " ", "\\", "[1]", "1_000", "0x10", "9" * 40, "1d3", "\u2212" + "3", "1.2.3", "--1",
)  # fmt: skip
_NUMBERS = (
    "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel", "PixelRepresentation", "GantryDetectorTilt", "InstanceNumber", "DoseGridScaling",
    "GridFrameOffsetVector", "NumberOfFrames", "AcquisitionNumber",
)  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """How a file is damaged.

    Attributes:
        kind: ``bytes``, ``cut``, ``header``, ``number``, ``contour``, ``frame``, ``deflated``.
        seed: of everything random in it.
    """

    kind: str
    seed: int

    def apply(self, path: Path) -> bool:
        """Damage a file where it lies; False where this kind is none for it."""
        return _KINDS[self.kind](path, random.Random(self.seed))


def _bytes(path: Path, rng: random.Random) -> bool:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 2, 8, 64))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)
    return True


def _cut(path: Path, rng: random.Random) -> bool:
    content = path.read_bytes()
    a, b = sorted(rng.randrange(len(content)) for _ in range(2))
    path.write_bytes(rng.choice((content[:a], content[:a] + content[b:], content[:b] + content[a:], content + content[a:b])))
    return True


def _header(path: Path, rng: random.Random) -> bool:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 2, 5))):
        place = 128 + rng.randrange(min(len(content) - 128, 1600))
        word = rng.choice(_BYTES)
        if rng.random() < 0.7:
            content[place : place + len(word)] = word
        else:
            content[place:place] = word
    path.write_bytes(content)
    return True


def _number(path: Path, rng: random.Random) -> bool:
    dataset = pydicom.dcmread(path)
    there = [k for k in _NUMBERS if k in dataset]
    if not there:
        return False
    for keyword in rng.sample(there, min(len(there), rng.choice((1, 1, 2)))):
        element = dataset[keyword]
        if element.VR in ("DS", "IS"):
            parts = str(dataset[keyword].value).strip("[]").split(", ") if element.VM > 1 else [str(element.value)]
            parts[rng.randrange(len(parts))] = rng.choice(_WORDS)
            # As raw bytes: pydicom would refuse to write most of them.
            _raw(dataset, keyword, "\\".join(parts))
        elif element.VR == "US":
            setattr(dataset, keyword, rng.choice((0, 1, 2, 3, 7, 31, 255, 4096, 4097, 65535)))
    return _saved(dataset, path)


def _contour(path: Path, rng: random.Random) -> bool:
    dataset = pydicom.dcmread(path)
    if "ROIContourSequence" not in dataset:
        return False
    for contour in rng.sample(heart_contours(dataset), 3):
        parts = [str(v) for v in contour.ContourData]
        for _ in range(rng.choice((1, 3, 20))):
            what = rng.random()
            if what < 0.6:
                parts[rng.randrange(len(parts))] = rng.choice(
                    (*_WORDS, f"{rng.uniform(-1e5, 1e5):.2f}", f"{rng.gauss(0, 60):.2f}")
                )
            elif what < 0.8:
                rng.shuffle(parts)
            else:
                parts = parts * rng.choice((2, 5)) if len(parts) < 60_000 else parts[: rng.randrange(1, len(parts))]
        _raw(contour, "ContourData", "\\".join(parts))
    return _saved(dataset, path)


def _frame(path: Path, rng: random.Random) -> bool:
    """Damage compressed pixels, mostly their headers."""
    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset or not dataset.file_meta.TransferSyntaxUID.is_compressed:
        return False
    content = bytearray(dataset.PixelData)
    for _ in range(rng.choice((1, 3, 10, 50))):
        most = 300 if rng.random() < 0.7 else len(content)
        content[rng.randrange(0 if rng.random() < 0.1 else 16, most)] = rng.randrange(256)
    dataset.PixelData = bytes(content)
    return _saved(dataset, path)


def _deflated(path: Path, rng: random.Random) -> bool:
    """The object deflated, and its stream damaged, or nothing but it."""
    dataset = pydicom.dcmread(path)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return False
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    if not _saved(dataset, path):
        return False
    content = bytearray(path.read_bytes())
    if rng.random() < 0.7:
        for _ in range(rng.choice((1, 4))):
            content[rng.randrange(350, len(content))] = rng.randrange(256)
    else:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        content[350:] = deflater.compress(rng.randbytes(100) * rng.randrange(1, 5000)) + deflater.flush()
    path.write_bytes(content)
    return True


def _raw(dataset: Dataset, keyword: str, value: str) -> None:
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    content = value.encode("utf-8")
    content += b" " * (len(content) % 2)
    dataset[Tag(keyword)] = RawDataElement(Tag(keyword), "UN", len(content), content, 0, False, True)


def _saved(dataset: Dataset, path: Path) -> bool:
    try:
        dataset.save_as(path)
    except Exception:  # what pydicom cannot write is no file
        return False
    return True


_KINDS: dict[str, Callable[[Path, random.Random], bool]] = {
    "bytes": _bytes, "cut": _cut, "header": _header, "number": _number, "contour": _contour, "frame": _frame, "deflated": _deflated,
}  # fmt: skip
KINDS = tuple(_KINDS)


def decode(path: Path) -> str:
    """What becomes of a slice's pixels: ``read``, ``refused`` or ``died``; nothing else may happen."""
    try:
        pixels_of(read_object(path))
    except DecoderDiedError:
        return "died"
    except Exception:
        return "refused"
    return "read"

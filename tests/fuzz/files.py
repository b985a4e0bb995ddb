"""Hostile files, made from our own synthetic plan: each takes one number of one file beyond what any patient has, or damages bytes."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

#: Bytes before the File Meta Information, and of its Group Length element (PS3.10 7.1).
_PREAMBLE, _GROUP_LENGTH = 132, 12
#: Transfer syntaxes that CT slices come compressed in, by a short name and by gdcm's.
CODECS = {"jls": "JPEGLSLossless", "j2k": "JPEG2000Lossless", "jll": "JPEGLosslessProcess14_1", "rle": "RLELossless"}


def one(folder: Path, pattern: str) -> Path:
    """The first file of a kind: ``CT*``, ``RTSTRUCT*``, ``RTPLAN*``, ``RTDOSE*``."""
    return sorted(folder.glob(pattern))[0]


def compress(path: Path, codec: str) -> None:
    """Compress a slice where it lies."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, CODECS[codec])))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def slices(folder: Path) -> Iterator[Path]:
    """All CT slices."""
    yield from sorted(folder.glob("CT*"))


def heart_contours(dataset: Dataset) -> list[Dataset]:
    """Contours of the heart."""
    number = next(r.ROINumber for r in dataset.StructureSetROISequence if r.ROIName == "Heart")
    return list(next(c for c in dataset.ROIContourSequence if c.ReferencedROINumber == number).ContourSequence)


def edited(path: Path, change: Callable[[Dataset], None]) -> None:
    """Change an object where it lies."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def scale_heart(folder: Path, factor: float) -> None:
    """Contours that are so many times as wide."""

    def change(dataset: Dataset) -> None:
        for contour in heart_contours(dataset):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            points[:, :2] *= factor
            contour.ContourData = [f"{v:.6g}" for v in points.ravel()]

    edited(one(folder, "RTSTRUCT*"), change)


def star(folder: Path, points: int, contours: int = 20) -> None:
    """Contours that cross themselves points²/2 times."""

    def change(dataset: Dataset) -> None:
        for contour in heart_contours(dataset)[:contours]:
            old = np.array(contour.ContourData, float).reshape(-1, 3)
            angles = np.arange(points) * (points // 2) * 2 * np.pi / points
            ring = np.stack([40 * np.cos(angles), 40 * np.sin(angles)], axis=1) + old[:, :2].mean(axis=0)
            new = np.column_stack([ring, np.full(points, old[0, 2])])
            contour.ContourData = [f"{v:.3f}" for v in new.ravel()]
            contour.NumberOfContourPoints = points

    edited(one(folder, "RTSTRUCT*"), change)


def apart(folder: Path, step_mm: float) -> None:
    """Slices so far apart."""
    for number, path in enumerate(slices(folder)):
        edited(path, lambda d, n=number: setattr(d, "ImagePositionPatient", [*d.ImagePositionPatient[:2], n * step_mm]))  # type: ignore[misc]


def pixels_of_a_metre(folder: Path) -> None:
    """Pixels of 1 m."""
    for path in slices(folder):
        edited(path, lambda d: setattr(d, "PixelSpacing", [1000, 1000]))


def far_away(folder: Path) -> None:
    """A plan at 1e9 mm: image, contours and dose."""
    for path in slices(folder):
        edited(path, lambda d: setattr(d, "ImagePositionPatient", [1e9, *d.ImagePositionPatient[1:]]))


def huge_rle(folder: Path) -> None:
    """A slice of 20,000 x 20,000 in 100 kB."""
    path = list(slices(folder))[10]
    edited(path, lambda d: d.compress(pydicom.uid.RLELossless))

    def change(dataset: Dataset) -> None:
        dataset.Rows = dataset.Columns = 20_000

    edited(path, change)


def huge_dose(folder: Path) -> None:
    """A dose grid whose planes are 100 m apart."""
    edited(
        one(folder, "RTDOSE*"),
        lambda d: setattr(d, "GridFrameOffsetVector", [100_000.0 * k for k in range(len(d.GridFrameOffsetVector))]),
    )


def mad_dose(folder: Path) -> None:
    """A dose of 1e30 Gy."""
    edited(one(folder, "RTDOSE*"), lambda d: setattr(d, "DoseGridScaling", 1e30))


def deflated_bomb(folder: Path, size: int = 3 << 30) -> Path:
    """A deflated object of a few MB that has gigabytes when inflated, in place of the structure set."""
    path = one(folder, "RTSTRUCT*")
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    meta = dataset.file_meta
    meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.file_meta = meta
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    content = path.read_bytes()
    start = content[: _PREAMBLE + _GROUP_LENGTH + int.from_bytes(content[140:144], "little")]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(1 << 20)
    with path.open("wb") as file:
        file.write(start)
        file.write(deflater.compress(b"\x08\x00\x16\x00UI\x1e\x001.2.840.10008.5.1.4.1.1.481.3\x00"))
        file.write(deflater.compress(b"\x09\x30\x10\x10OB\x00\x00" + (size & 0xFFFFFFFE).to_bytes(4, "little")))
        for _ in range(size >> 20):
            file.write(deflater.compress(block))
        file.write(deflater.flush())
    return path


def lying_length(folder: Path) -> None:
    """An element that says that it has 4 GiB."""
    path = one(folder, "RTSTRUCT*")
    content = path.read_bytes()
    path.write_bytes(content + b"\x09\x30\x10\x10OB\x00\x00\xf0\xff\xff\xff" + b"abc")


#: What was done to a plan -> what does it; each must be survived within seconds, and be said.
HOSTILE: dict[str, Callable[[Path], object]] = {
    "contours of 20 km": lambda f: scale_heart(f, 200_000.0),
    "stars of 4,000 points": lambda f: star(f, 4001),
    "slices 10 km apart": lambda f: apart(f, 1e7),
    "slices 400 mm apart": lambda f: apart(f, 400.0),
    "pixels of 1 m": pixels_of_a_metre,
    "a plan at 1e9 mm": far_away,
    "an RLE slice of 20,000 x 20,000": huge_rle,
    "dose planes 100 m apart": huge_dose,
    "a dose of 1e30 Gy": mad_dose,
    "a deflated bomb": deflated_bomb,
    "a length that lies": lying_length,
}


def copied(source: Path, target: Path) -> Path:
    """A copy to break."""
    shutil.copytree(source, target)
    return target

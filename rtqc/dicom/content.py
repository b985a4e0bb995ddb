"""What an object holds, in one word: two files of one SOP Instance UID must have the same.

Only what numbers and contours follow from counts. An object that came by another way (another transfer syntax, a corrected Patient's Name,
another study) is the same object; one whose contours, pixels or prescription differ is not, whatever its UID says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from filecmp import cmp
from itertools import pairwise
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from rtqc.dicom.bounded import read_object
from rtqc.dicom.decoder import pixels_of
from rtqc.dicom.elements import is_cut_off

#: Groups of the image's geometry and values, and of the radiotherapy modules (PS3.6): acquisition, image presentation, RT dose, structure set, plan, brachytherapy, approval.
_GROUPS = frozenset((0x0018, 0x0028, 0x3002, 0x3004, 0x3006, 0x3008, 0x300A, 0x300C, 0x300E))
#: Of group 0020 the place in the patient: Image Position and Orientation (Patient), Frame of Reference UID. Study and instance numbers are an archive's to change.
_PLACE = frozenset((0x00200032, 0x00200037, 0x00200052))
#: Of group 0008: SOP Instance UIDs that are referred to.
_REFERENCES = frozenset((0x00081155,))
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def content_digest(path: Path) -> str:
    """A hash of what an object holds.

    Args:
        path: a DICOM file.

    Returns:
        Hexadecimal BLAKE2b of 160 bits; of a file that cannot be decoded, that of its bytes; empty where it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    try:
        try:
            dataset = read_object(path)
            for word in _words(dataset):
                digest.update(word)
        except OSError:
            raise
        except Exception:  # pydicom and its codecs raise nearly anything on damaged files
            return byte_digest(path)
    except OSError:
        return ""
    return digest.hexdigest()


def byte_digest(path: Path) -> str:
    """A hash of a file's bytes, as :func:`content_digest` has it of what cannot be decoded; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    except OSError:
        return ""


def have_one_content(paths: Iterable[Path]) -> bool:
    """Whether files hold one object; only those that are not the same byte for byte are decoded.

    Args:
        paths: DICOM files.
    """
    files = list(paths)
    try:
        if all(cmp(a, b, shallow=False) for a, b in pairwise(files)):
            return True
    except OSError:  # one that cannot be read has the empty digest
        pass
    return len({content_digest(path) for path in files}) <= 1


def damaged_copies(paths: Iterable[Path]) -> frozenset[Path]:
    """Those copies of one object that are cut off or cannot be decoded, while another one can be.

    Only copies of different length are opened: what a broken transfer leaves is shorter.

    Args:
        paths: files of one SOP Instance UID.

    Returns:
        The damaged ones; empty where none is, and where all are, so that there is nothing to choose.
    """
    files = list(paths)
    sizes = {path: _size(path) for path in files}
    if len(set(sizes.values())) < 2:
        return frozenset()
    damaged = {path for path in files if _is_beginning(path, files, sizes) or not _can_be_decoded(path)}
    return frozenset(damaged) if len(damaged) < len(sizes) else frozenset()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _is_beginning(path: Path, files: Iterable[Path], sizes: dict[Path, int]) -> bool:
    """Whether a file is what another one begins with: cut off between two elements, it looks whole."""
    try:
        longer = [other for other in files if sizes[other] > sizes[path]]
        content = path.read_bytes() if longer else b""
        for other in longer:
            with other.open("rb") as file:
                if file.read(len(content)) == content:
                    return True
    except OSError:  # told by decoding it
        pass
    return False


def _can_be_decoded(path: Path) -> bool:
    try:
        dataset = read_object(path)
        if is_cut_off(dataset):
            return False
        for _ in _words(dataset):
            pass
    except Exception:  # pydicom and its codecs raise nearly anything on damaged files
        return False
    return True


def _words(dataset: Dataset) -> Iterator[bytes]:
    for tag in sorted(dataset.keys()):
        number = int(tag)
        if number in _PIXELS:
            yield _pixels(dataset)
        elif tag.group in _GROUPS or number in _PLACE or number in _REFERENCES:
            yield from _word(dataset[tag])


def _word(element: DataElement) -> Iterator[bytes]:
    yield f"{int(element.tag):08x}".encode()
    if isinstance(element.value, Sequence):
        for item in element.value:
            yield b"<"
            yield from _words(item)
            yield b">"
    elif element.value is not None:
        value = element.value
        # Numbers by what they are: a toolkit may write 1.50 as 1.5.
        many = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
        yield "\\".join(_text(v) for v in many).encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    return repr(float(value)) if isinstance(value, (int, float)) else str(value).strip()


def _pixels(dataset: Dataset) -> bytes:
    """Decoded, because compression is no part of the content."""
    return hashlib.blake2b(pixels_of(dataset).tobytes(), digest_size=20).digest()

"""NRRD and NIfTI for researchers, by pynrrd and nibabel, with the geometry that SimpleITK would give them."""

from __future__ import annotations

import bz2
import gzip
import math
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rtqc.core.grid import Grid
from rtqc.core.limits import MOST_VOXELS, LimitError, refuse_extent, refuse_places, refuse_spacing
from rtqc.core.orientation import Orientation
from rtqc.core.whole_file import whole_path
from rtqc.dicom.objects import free_path

#: Endings of the files that are read and written.
NRRD, NIFTI = (".nrrd",), (".nii", ".nii.gz")
#: LPS, as DICOM and NRRD have it, to RAS, as NIfTI has it.
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Axes may be off the right angle by this much (cosine) through rounding.
_SQUARE = 1e-3
#: Units of NIfTI (xyzt_units) in mm; writers that leave it out mean mm.
_NIFTI_UNITS_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
#: Two places of one volume that are less apart are one: quaternions and matrices round differently.
_SAME_PLACE_MM = 0.1
#: Bytes that are read and inflated at a time, and of the largest kind of value.
_BLOCK, _LARGEST_VALUE = 1 << 20, 16
#: Of a NIfTI-1 file: length of the header with the first extension's length, what the header's first number may be, and bytes of extensions.
_NIFTI_START, _NIFTI_HEADERS, _MOST_EXTENSIONS = 356, (348,), 64 << 20


class VolumeFileError(Exception):
    """A volume that cannot be read or written; the message names the file and says what to do."""


def is_volume_file(path: Path) -> bool:
    """Whether a name is that of a volume.

    >>> is_volume_file(Path("a.nii.gz")), is_volume_file(Path("a.dcm"))
    (True, False)
    """
    return path.name.lower().endswith(NRRD + NIFTI)


def write_volume(path: Path, grid: Grid, array: NDArray[Any], replace: bool = False) -> Path:
    """Write values on a grid.

    Args:
        path: ends with ``.nrrd``, ``.nii`` or ``.nii.gz``.
        grid: evenly spaced.
        array: shape ``grid.shape``; bool is written as 0 and 1.
        replace: whether an existing file may be replaced.

    Raises:
        AlreadyThereError: the file exists and may not be replaced.
        VolumeFileError: the ending is unknown, or the slices are not evenly spaced: neither format has a place for that.
        OSError: it cannot be written; nothing half-written stays.
    """
    if not is_volume_file(path):
        raise VolumeFileError(f"{path.name} is neither .nrrd nor .nii nor .nii.gz: choose one of them")
    free_path(path, replace)
    if not grid.is_even:
        raise VolumeFileError(f"the slices are not evenly spaced, which {path.name} could not say: resample them first")
    values = array.astype(np.uint8) if array.dtype == np.bool_ else array
    # Columns, rows, slices, as both formats count.
    values = np.ascontiguousarray(values.transpose(2, 1, 0))
    affine = _affine(grid)
    write = _write_nrrd if path.name.lower().endswith(NRRD) else _write_nifti
    with whole_path(path, "".join(path.suffixes[-2:])) as part:
        write(part, values, affine)
    return path


def read_volume(path: Path) -> tuple[Grid, NDArray[Any]]:
    """Read values and the grid that they lie on.

    Args:
        path: ends with ``.nrrd``, ``.nii`` or ``.nii.gz``; three-dimensional.

    Returns:
        The grid, and an array of its shape.

    Raises:
        VolumeFileError: it cannot be read, is larger than anything that is made of a patient, is no stack of rectangular slices, or does not say where in the patient it lies.
    """
    if not is_volume_file(path):
        raise VolumeFileError(f"{path.name} is neither .nrrd nor .nii nor .nii.gz: convert it first")
    try:
        return _volume(path)
    except LimitError as error:
        raise VolumeFileError(f"{path.name} was not read: {error}. No volume of a patient has that: write it again") from error


def _volume(path: Path) -> tuple[Grid, NDArray[Any]]:
    values, affine = _read(path)
    if values.ndim > 3 and set(values.shape[3:]) == {1}:
        values = values.reshape(values.shape[:3])  # one point in time is no fourth dimension
    if values.ndim != 3:
        raise VolumeFileError(f"{path.name} has {values.ndim} dimensions: give a volume of three")
    return _on_grid(path, values, affine)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Values as they stand, and their affine to patient coordinates."""
    try:
        return _read_nrrd(path) if path.name.lower().endswith(NRRD) else _read_nifti(path)
    except (VolumeFileError, LimitError):
        raise
    except Exception as error:  # both libraries raise many kinds on damaged files
        raise VolumeFileError(f"{path.name} could not be read ({str(error).splitlines()[0][:160]}): write it again") from error


def is_unplaced(path: Path) -> bool:
    """Whether a volume has the place of an array that nobody gave a place: its first voxel is the origin of the patient, and its axes are the patient's.

    Programs that make a volume of a bare array write that, and no scanner does: no CT begins at exactly 0, 0, 0 mm.

    Raises:
        VolumeFileError: it cannot be read.
    """
    _, affine = _read(path)
    linear = affine[:3, :3]
    return not affine[:3, 3].any() and not (linear - np.diag(np.diag(linear))).any()


def _affine(grid: Grid) -> NDArray[np.float64]:
    """Columns, rows, slices (and 1) to patient coordinates in mm (LPS), 4 x 4."""
    matrix = np.eye(4)
    axes = (grid.orientation.row, grid.orientation.column, grid.orientation.normal)
    steps = (grid.spacing_mm[1], grid.spacing_mm[0], grid.slice_spacing_mm)
    matrix[:3, :3] = np.array(axes).T * steps
    matrix[:3, 3] = grid.patient_mm([(0, 0, 0)])[0]
    return matrix


def _on_grid(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> tuple[Grid, NDArray[Any]]:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and (steps > 0).all()):
        raise VolumeFileError(f"{path.name} does not say where its voxels lie: write it with spacing and directions")
    refuse_spacing(steps, "spacing")
    refuse_places(affine[:3, 3], "origin")
    refuse_extent((steps * np.array(values.shape)).tolist(), "spacing")
    axes = affine[:3, :3] / steps
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SQUARE:
        raise VolumeFileError(f"{path.name} has axes that are not at right angles: resample it first")
    array = values.transpose(2, 1, 0)
    first = affine[:3, 3].copy()
    if float(np.cross(axes[:, 0], axes[:, 1]) @ axes[:, 2]) < 0:
        # Slices that run against the normal: the last is the first of a grid.
        first += affine[:3, 2] * (array.shape[0] - 1)
        array = array[::-1]
    orientation = Orientation(tuple(axes[:, 0]), tuple(axes[:, 1]))
    grid = Grid.regular(array.shape, (float(steps[2]), float(steps[1]), float(steps[0])), tuple(first), orientation)
    return grid, np.ascontiguousarray(array)


def _write_nrrd(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    import nrrd

    header = {
        "space": "left-posterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }
    nrrd.write(str(path), values, header)


def _read_nrrd(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    import nrrd

    with path.open("rb") as file:
        header = nrrd.read_header(file)
        sizes = [int(n) for n in np.atleast_1d(header.get("sizes", ()))]
        _refuse_shape(sizes, "sizes")
        if header.get("data file") or header.get("datafile"):
            raise VolumeFileError(f"{path.name} has its values in another file: write both into one")
        _refuse_inflated_nrrd(file, str(header.get("encoding", "raw")), sizes)
        values = nrrd.read_data(header, file, str(path))
    absent = [f"'{key}'" for key in ("space", "space directions", "space origin") if header.get(key) is None]
    if absent:
        raise VolumeFileError(f"{path.name} does not say where its voxels lie: write it with {' and '.join(absent)}")
    units = {str(u).strip().strip('"').lower() for u in header.get("space units", ())} - {"mm", "millimeter", "millimetre", ""}
    if units:
        raise VolumeFileError(f"{path.name} has space units {', '.join(sorted(units))}: write it in mm")
    directions = np.atleast_2d(np.asarray(header["space directions"], float))
    directions = directions[np.isfinite(directions).all(axis=1)]  # an axis of colours or of time has none
    if directions.shape != (3, 3):
        raise VolumeFileError(f"{path.name} has space directions for {len(directions)} axes: give a volume of three")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, header["space origin"]
    space = str(header["space"]).lower()
    if space in ("right-anterior-superior", "ras"):
        affine = _TO_RAS @ affine
    elif space not in ("left-posterior-superior", "lps"):
        raise VolumeFileError(f"{path.name} lies in space '{space}': write it in left-posterior-superior")
    return values, affine


def _write_nifti(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    import nibabel

    image = nibabel.Nifti1Image(values, _TO_RAS @ affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, str(path))


def _read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    import nibabel

    _refuse_inflated_nifti(path)
    image: Any = nibabel.load(str(path))
    _refuse_shape(image.shape, "dim")
    header = image.header
    unit = header.get_xyzt_units()[0]
    if unit not in _NIFTI_UNITS_MM:
        raise VolumeFileError(f"{path.name} is in {unit}: write it in mm")
    if not (int(header["qform_code"]) or int(header["sform_code"])):
        raise VolumeFileError(
            f"{path.name} does not say where its voxels lie (qform and sform are both unset): write it with the place of the CT that it was drawn on"
        )
    affine = np.asarray(image.affine, float)
    if int(header["qform_code"]) and int(header["sform_code"]):
        apart = _apart_mm(np.asarray(header.get_qform(), float), affine, image.shape[:3]) * _NIFTI_UNITS_MM[unit]
        if apart > _SAME_PLACE_MM:
            raise VolumeFileError(
                f"{path.name} says two places for its voxels: qform and sform are up to {apart:.1f} mm apart. Write it with one of them"
            )
    affine[:3] *= _NIFTI_UNITS_MM[unit]
    return np.asanyarray(image.dataobj), _TO_RAS @ affine


def _refuse_shape(shape: Iterable[int], attribute: str) -> None:
    """Whether an array may be made.

    Raises:
        LimitError: it has more voxels than any image, or a negative number of them.
    """
    sizes = [int(n) for n in shape]
    # Python's integers, which do not overflow.
    if any(n < 0 for n in sizes) or math.prod(sizes) > MOST_VOXELS:
        raise LimitError(f"its {attribute} are {' x '.join(str(n) for n in sizes)} voxels, more than {MOST_VOXELS}")


def _refuse_inflated_nrrd(file: BinaryIO, encoding: str, sizes: list[int]) -> None:
    """Whether compressed values are no more than the header says: a few MB become gigabytes.

    Args:
        file: at the beginning of the values, where it is left.
        encoding, sizes: of the header.

    Raises:
        LimitError: they are more.
    """
    inflaters = {"gzip": _gunzip, "gz": _gunzip, "bzip2": bz2.BZ2Decompressor, "bz2": bz2.BZ2Decompressor}
    if encoding not in inflaters:
        return
    place = file.tell()
    inflater: Any = inflaters[encoding]()
    most, total = math.prod(sizes) * _LARGEST_VALUE + _BLOCK, 0
    while not inflater.eof and (block := file.read(_BLOCK)):
        while block or getattr(inflater, "needs_input", True) is False:
            total += len(inflater.decompress(block, _BLOCK))
            if total > most:
                raise LimitError("its values are more than its sizes say")
            block = getattr(inflater, "unconsumed_tail", b"")
            if inflater.eof:
                break
    file.seek(place)


def _gunzip() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _refuse_inflated_nifti(path: Path) -> None:
    """Whether the header's extensions are no more than a header has: values are read as many as the header says, extensions as long as they say.

    Raises:
        LimitError: they are more.
    """
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        start = file.read(_NIFTI_START)
    for order in "<>":
        if len(start) >= _NIFTI_START and struct.unpack(f"{order}i", start[:4])[0] in _NIFTI_HEADERS:
            offset = struct.unpack(f"{order}f", start[108:112])[0]
            length = struct.unpack(f"{order}i", start[352:356])[0] if start[348] else 0
            if not 0 <= offset <= _MOST_EXTENSIONS or not 0 <= length <= _MOST_EXTENSIONS:
                raise LimitError(f"its header has extensions of more than {_MOST_EXTENSIONS >> 20} MiB")


def _apart_mm(a: NDArray[np.float64], b: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """How far two affines put the corners of a volume from each other."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in (*shape, 1, 1)[:3]], [1], indexing="ij"), axis=-1).reshape(-1, 4)
    return float(np.linalg.norm(ends @ (a - b).T, axis=1).max())

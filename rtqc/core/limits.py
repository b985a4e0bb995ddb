"""What no file of a patient holds: limits from what a human body, a scanner and a planning system are, asked before anything is allocated.

Files come from everywhere. A number in one of them decides how much memory and time its reader takes, so each such number is
held against a limit first. The limits are wide: nothing that a clinic has ever exported comes near them. Sources stand beside
them; "from knowledge" is what the field knows and no document was read for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

#: Longest extent of an image, a dose or a structure, in mm. The tallest human measured was 2,720 mm (R. Wadlow, 1940; from knowledge), and the
#: longest scan range of a CT table is about 2,000 mm (scanners' data sheets, from knowledge).
LONGEST_MM = 3_000.0
#: Its two other extents, in mm: bores are 700 to 900 mm wide, extended fields of view end at 850 mm (from knowledge).
WIDEST_MM = 1_500.0
#: Furthest that anything lies from the origin of its frame of reference, in mm: rooms and couch travels are shorter.
FARTHEST_MM = 10_000.0
#: Pixel spacing and the distance of planes, in mm: micro-CT has 0.01, the coarsest dose grids have 10 (from knowledge).
FINEST_MM, COARSEST_MM = 0.005, 50.0
#: Rows or columns of a CT slice or a plane of dose: the finest scanners make 2,048 (from knowledge).
MOST_PIXELS_A_SIDE = 4_096
#: Slices, frames or planes of one image or dose: 3,000 mm in steps of 0.3 mm.
MOST_PLANES = 10_000
#: Voxels of one image or dose: 1,024 x 1,024 x 512; as CT numbers in memory 2 GiB.
MOST_VOXELS = 1 << 29
#: Dose in Gy. The dose in a voxel that holds a brachytherapy source reaches some 10,000 Gy (from knowledge).
MOST_DOSE_GY = 100_000.0
#: Times that one contour crosses itself: a slipped hand crosses it once or twice, a scribble ten times. Each crossing costs memory and time: a second
#: for a thousand, and a structure set has thousands of contours.
MOST_CROSSINGS = 100
#: Bytes of a file that is opened as an object: an Enhanced CT of 1,000 slices has 0.5 GiB, an element ends at 4 GiB (PS3.5 7.1).
MOST_OBJECT_BYTES = 2 << 30
#: Bytes that a deflated object may have inflated, as the node takes of one that is not deflated (``most_object_mib``).
MOST_INFLATED_BYTES = 512 << 20
#: Items of one sequence, with those inside them: structure sets of 300 ROIs on 500 slices have 300,000.
MOST_ITEMS = 500_000
#: Times that pydicom asks for bytes of one object; the largest structure sets ask 3 million times.
MOST_READS = 6_000_000
#: Times that it does so for a header, and bytes of a sequence in one: 50,000 references have 8 MiB.
MOST_HEADER_READS, MOST_HEADER_SEQUENCE_BYTES = 3_000_000, 16 << 20


class LimitError(ValueError):
    """A number that no patient's file has; the message begins with the attribute and says the limit. Whoever knows the file puts its name before it."""


def refuse_matrix(rows: float | None, columns: float | None, planes: float | None = 1) -> None:
    """Whether a matrix may be allocated.

    Args:
        rows, columns, planes: Rows, Columns and Number of Frames as the file has them; one that is None is no matter of this function.

    Raises:
        LimitError: it has more than a scanner makes.

    >>> refuse_matrix(512, 512)
    >>> refuse_matrix(20_000, 20_000)
    Traceback (most recent call last):
    rtqc.core.limits.LimitError: its Rows are 20000, more than 4096
    """
    for name, value, most in (
        ("Rows", rows, MOST_PIXELS_A_SIDE),
        ("Columns", columns, MOST_PIXELS_A_SIDE),
        ("NumberOfFrames", planes, MOST_PLANES),
    ):
        if value is not None and not value <= most:
            raise LimitError(f"its {name} {'is' if name.startswith('Number') else 'are'} {_shown(value)}, more than {most}")
    voxels = (rows or 1) * (columns or 1) * (planes or 1)
    if voxels > MOST_VOXELS:
        raise LimitError(f"its Rows, Columns and NumberOfFrames make {_shown(voxels)} voxels, more than {MOST_VOXELS}")


def refuse_spacing(spacing_mm: Iterable[float], attribute: str = "PixelSpacing") -> None:
    """Whether distances of pixels or planes may be.

    Raises:
        LimitError: one is finer or coarser than anything that is made of a patient, or no number.
    """
    for value in spacing_mm:
        if not FINEST_MM <= value <= COARSEST_MM:
            raise LimitError(f"its {attribute} is {_shown(value)} mm, not between {FINEST_MM:g} and {COARSEST_MM:g} mm")


def refuse_places(coordinates_mm: ArrayLike, attribute: str = "ImagePositionPatient") -> None:
    """Whether patient coordinates may be.

    Raises:
        LimitError: one is further from the origin than a room is wide, or no number.
    """
    values = np.abs(np.asarray(coordinates_mm, float))
    if values.size and not float(values.max()) <= FARTHEST_MM:
        raise LimitError(f"its {attribute} reaches {_shown(float(values.max()))} mm, more than {FARTHEST_MM:g} mm")


def refuse_extent(extent_mm: Sequence[float], attribute: str) -> None:
    """Whether something is larger than a patient.

    Args:
        extent_mm: in any order of directions.
        attribute: what makes it so large.

    Raises:
        LimitError: its longest side is longer than a person, or another is wider than a bore.

    >>> refuse_extent((700, 700, 2000), "PixelSpacing")
    >>> refuse_extent((700, 10_000_000, 700), "PixelSpacing")
    Traceback (most recent call last):
    rtqc.core.limits.LimitError: its PixelSpacing makes it 10000000 mm long, more than 3000 mm
    """
    longest, *others = sorted((float(e) for e in extent_mm), reverse=True)
    if not longest <= LONGEST_MM:
        raise LimitError(f"its {attribute} makes it {_shown(longest)} mm long, more than {LONGEST_MM:g} mm")
    if any(not e <= WIDEST_MM for e in others):
        raise LimitError(f"its {attribute} makes it {_shown(others[0])} mm wide, more than {WIDEST_MM:g} mm")


def _shown(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:g}"

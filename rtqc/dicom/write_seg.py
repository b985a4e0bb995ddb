"""Draft -> DICOM Segmentation (PS3.3 A.51), for viewers and archives that do not read structure sets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from rtqc.core.case import Case
from rtqc.core.structure import Structure
from rtqc.dicom.bounded import read_object
from rtqc.dicom.objects import DrawnBy, ascii_text, free_path, save_whole
from rtqc.geometry.rasterize import cover, rasterize

#: Occupancy is written in so many steps: a byte's worth.
_STEPS = 255
#: Orange, as in the structure set.
_COLOUR = (255, 140, 0)


def write_seg(
    structure: Structure,
    case: Case,
    path: str | Path,
    drawn_by: DrawnBy,
    kind: Literal["binary", "fractional"] = "binary",
    replace: bool = False,
) -> Path:
    """Write a draft of the heart as a segmentation of the case's CT.

    Args:
        structure: not empty.
        case: with an image that was read from files; not one that was straightened because of a tilted gantry.
        path: the file.
        drawn_by: what drew it.
        kind: ``binary``: the voxels whose centre lies inside by more than half; ``fractional``: the share of each that lies inside.
        replace: whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and may not be replaced.
        ValueError: the draft is empty, or the case has no CT on which it could lie.
        OSError: a file cannot be read or written; nothing half-written stays.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    target = free_path(path, replace)
    sources = ct_headers(case)
    assert case.image is not None
    if structure.is_empty:
        raise ValueError(f"{structure.name} is empty: there is nothing to write")
    algorithm = hd.AlgorithmIdentificationSequence(
        name=ascii_text(drawn_by.name, 64),
        family=codes.DCM.ArtificialIntelligence,
        version=ascii_text(drawn_by.version, 64),
        source=ascii_text(drawn_by.software, 64),
        parameters={"sha256": drawn_by.digest},
    )
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=structure.name,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Heart,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=generate_uid(prefix=None),
        tracking_id=structure.name,
        display_color=hd.color.CIELabColor.from_rgb(*_COLOUR),
    )
    grid = case.image.grid
    pixels = rasterize(structure, grid).array.astype(np.uint8) if kind == "binary" else cover(structure, grid)
    dataset = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=kind.upper(),
        segment_descriptions=[description],
        series_instance_uid=generate_uid(prefix=None),
        series_number=1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer="rtqc",
        manufacturer_model_name=ascii_text(drawn_by.name, 64),
        software_versions=ascii_text(drawn_by.software, 64),
        device_serial_number=drawn_by.digest[:16] or "unknown",
        fractional_type="OCCUPANCY",
        max_fractional_value=_STEPS,
        content_description="Heart drawn by rtqc; not approved",
        content_label="HEART",
        series_description="rtqc draft",
    )
    save_whole(dataset, target)
    return target


def ct_headers(case: Case) -> list[Dataset]:
    """The headers of the case's CT slices, in the order of its grid.

    Raises:
        ValueError: there is no CT, it was not read from files, or its slices were straightened.
        OSError: a file is no longer there.
    """
    paths = case.provenance.slice_paths
    if case.image is None or len(paths) != case.image.grid.shape[0]:
        raise ValueError("there is no CT to refer to: give the folder of the planning CT")
    if any(f.rule == "ct.gantry_tilt" for f in case.findings):
        raise ValueError("the CT was scanned with a tilted gantry, so its slices are not those of the draft: write an RTSTRUCT")
    return [read_object(path, header=True) for path in paths]

"""A whole plan as DICOM files: CT series, structure set, plan and dose (PS3.3 A.3, A.18 to A.20).

For synthetic patients: what rtqc reads in a test or a demo has gone through files like a clinic's, written by code that
knows nothing of the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rtqc.dicom.objects import save_whole
from rtqc.dicom.study import Study
from rtqc.dicom.study_ct import ct_slice
from rtqc.dicom.study_dose import dose_object
from rtqc.dicom.study_plan import plan_object
from rtqc.dicom.study_structure_set import structure_set


def write_study(study: Study, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write all files of a plan: ``CT.001.dcm`` ..., ``RTSTRUCT.dcm``, ``RTPLAN.dcm``, ``RTDOSE.dcm``; of further plans ``RTPLAN.KEY.dcm`` and ``RTDOSE.KEY.dcm``.

    Args:
        study: the plan.
        folder: made where absent; files of these names are replaced.
        progress: called with the number of slices written and their total.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = study.image.grid.shape[0]
    for k in range(total):
        if k not in study.left_out:
            save_whole(ct_slice(study, k), folder / f"CT.{k + 1:03d}.dcm", durable=False)
        if k in study.doubled:
            save_whole(ct_slice(study, k, copy=True), folder / f"CT.{k + 1:03d}.again.dcm", durable=False)
        if progress:
            progress(k + 1, total)
    if study.rois:
        save_whole(structure_set(study), folder / "RTSTRUCT.dcm", durable=False)
    if study.gantry_deg:
        save_whole(plan_object(study), folder / "RTPLAN.dcm", durable=False)
    if study.dose is not None:
        save_whole(dose_object(study, study.dose), folder / "RTDOSE.dcm", durable=False)
    for other in study.beside:
        save_whole(plan_object(other), folder / f"RTPLAN.{other.key}.dcm", durable=False)
        if other.dose is not None:
            save_whole(dose_object(other, other.dose), folder / f"RTDOSE.{other.key}.dcm", durable=False)
    return folder

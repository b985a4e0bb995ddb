"""Dose objects and plans for tests of what they mean together: a plan without its CT, so that reading it takes no time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rtqc.core import Case
from rtqc.dicom.study import uid_of

#: Mean heart dose of a case whose dose is a factor times the clean plan's, over that factor, is the clean plan's.
PARTS = ("RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm")


def without_ct(folder: Path, target: Path, *, dose: bool = True) -> Path:
    """A copy of a plan's structure set and plan, with its dose or not."""
    target.mkdir(parents=True)
    for name in PARTS[: 3 if dose else 2]:
        shutil.copy(folder / name, target / name)
    return target


def changed(folder: Path, change: Callable[[Dataset], None], name: str = "RTPLAN.dcm") -> Path:
    """The folder with one of its files changed."""
    dataset = pydicom.dcmread(folder / name)
    change(dataset)
    dataset.save_as(folder / name)
    return folder


def part(group: int | None, beams: Iterable[int] = (), setups: Iterable[int] = ()) -> Dataset:
    """An item of Referenced Fraction Group Sequence."""
    item = Dataset()
    if group is not None:
        item.ReferencedFractionGroupNumber = group
    for sequence, keyword, numbers in (
        ("ReferencedBeamSequence", "ReferencedBeamNumber", tuple(beams)),
        ("ReferencedBrachyApplicationSetupSequence", "ReferencedBrachyApplicationSetupNumber", tuple(setups)),
    ):
        references = []
        for number in numbers:
            reference = Dataset()
            setattr(reference, keyword, number)
            references.append(reference)
        if references:
            setattr(item, sequence, references)
    return item


def add_dose(
    source: Path,
    folder: Path,
    share: float,
    summation: str = "PLAN",
    parts: Iterable[Dataset] = (),
    change: Callable[[Dataset], None] = lambda _: None,
) -> Path:
    """Write a share of a dose object as another one, which says what it is the dose of.

    Args:
        source: an RTDOSE; only scaled, so that the sum of shares is known to the digit.
        folder: where to.
        share: of the dose; 0 makes it zero everywhere.
        summation: Dose Summation Type; empty: absent.
        parts: fraction groups that it refers to.
        change: anything else.
    """
    dataset = pydicom.dcmread(source)
    number = len(list(folder.glob("dose-*.dcm")))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid_of("part", str(folder), number)
    dataset.InstanceCreationTime = f"08{number:02d}00"
    if share:
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) * share:.10e}"
    else:
        dataset.PixelData = bytes(len(dataset.PixelData))
    if summation:
        dataset.DoseSummationType = summation
    else:
        del dataset.DoseSummationType
    references = list(parts)
    if references:
        dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence = references
    change(dataset)
    target = folder / f"dose-{number}.dcm"
    dataset.save_as(target)
    return target


def several_groups(fractions: Iterable[int], beams: Iterable[Iterable[int]]) -> Callable[[Dataset], None]:
    """A change of a plan: its fraction groups with these fractions, and the beams that each uses."""

    def change(plan: Dataset) -> None:
        groups = []
        for number, (count, used) in enumerate(zip(fractions, beams, strict=True), 1):
            group = Dataset()
            group.FractionGroupNumber, group.NumberOfFractionsPlanned = number, count
            references = []
            for beam in used:
                reference = Dataset()
                reference.ReferencedBeamNumber, reference.BeamMeterset = beam, 100
                references.append(reference)
            group.ReferencedBeamSequence = references
            groups.append(group)
        plan.FractionGroupSequence = groups

    return change


def messages(case: Case, start: str = "dose.") -> dict[str, str]:
    """Rule and message of the findings about doses."""
    return {f.rule: f.message for f in case.findings if f.rule.startswith(start)}


def gy_of(case: Case) -> NDArray[np.float32]:
    """The dose's values; fails where there is no dose."""
    assert case.dose is not None, messages(case)
    return case.dose.gy

"""Our own files, damaged at random by fixed seeds and for a fixed number of times; ``make fuzz`` goes on from other seeds."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from rtqc.dicom import index_folder, load_case, plan_cases
from tests.fuzz.files import CODECS, compress
from tests.fuzz.mutate import KINDS, Mutation, decode

#: How often each codec's slice, and each plan, is damaged: half a minute together.
FRAMES, PLANS = 60, 12
SEEDS = [
    line.split()
    for line in Path(__file__).with_name("seeds.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_compressed_slices_are_read_or_refused_and_never_end_the_process(
    codec: str, base: Path, tmp_path: Path
) -> None:
    good = Path(shutil.copy(sorted(base.glob("CT*"))[10], tmp_path / "good.dcm"))
    compress(good, codec)
    outcomes: Counter[str] = Counter()
    for seed in range(FRAMES):
        path = Path(shutil.copy(good, tmp_path / "damaged.dcm"))
        if Mutation("frame", seed).apply(path):
            outcomes[decode(path)] += 1
    assert outcomes["refused"] > 0
    assert outcomes.total() > 0.9 * FRAMES


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "frame"])
def test_damaged_plans_are_read_with_findings_and_never_raise(kind: str, base: Path, tmp_path: Path) -> None:
    names = ("CT", "RTSTRUCT", "RTDOSE", "RTPLAN")
    for seed in range(PLANS):
        folder = tmp_path / f"{seed}"
        shutil.copytree(base, folder)
        path = sorted(folder.glob(f"{names[seed % len(names)]}*"))[0]
        Mutation(kind, seed).apply(path)
        index = index_folder(folder)
        for parts in plan_cases(index):
            load_case(parts, index)
        shutil.rmtree(folder)


@pytest.mark.parametrize(("kind", "file", "seed"), SEEDS)
def test_what_was_found_once_stays_mended(kind: str, file: str, seed: str, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    shutil.copytree(base, folder)
    Mutation(kind, int(seed)).apply(folder / file)
    index = index_folder(folder)
    for parts in plan_cases(index):
        load_case(parts, index)

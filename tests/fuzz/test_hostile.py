"""Hostile files: each is survived, and said by the file's name and the attribute's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from rtqc.core.child_process import ChildDiedError
from rtqc.dicom import VolumeFileError, decoder, read_case, read_volume
from rtqc.dicom.decoder import DecoderDiedError, pixels_of
from tests.cli.run import rtqc
from tests.fuzz import files
from tests.fuzz.files import CODECS, HOSTILE

#: Memory that reading a small plan may take when it is hostile, in KiB: the attacks took 3 to 10 GB.
MOST_KIB = 1 << 20
#: What is said of each: the rule, the file, the attribute.
SAID = {
    "contours of 20 km": ("structure_set.contours_beyond_limits", "RTSTRUCT.dcm", "ContourData"),
    "stars of 4,000 points": ("structure_set.contours_beyond_limits", "RTSTRUCT.dcm", "ContourData"),
    "slices 10 km apart": ("file.beyond_limits", "CT.", "ImagePositionPatient"),
    "slices 400 mm apart": ("file.beyond_limits", "CT.", "ImagePositionPatient"),
    "pixels of 1 m": ("file.beyond_limits", "CT.", "PixelSpacing"),
    "a plan at 1e9 mm": ("file.beyond_limits", "CT.", "ImagePositionPatient"),
    "an RLE slice of 20,000 x 20,000": ("file.beyond_limits", "CT.011.dcm", "Rows"),
    "dose planes 100 m apart": ("dose.unusable", "RTDOSE.dcm", "GridFrameOffsetVector"),
    "a dose of 1e30 Gy": ("dose.unusable", "RTDOSE.dcm", ""),
    "a deflated bomb": ("file.beyond_limits", "RTSTRUCT.dcm", "inflated"),
    "a length that lies": ("structure_set.unusable", "RTSTRUCT.dcm", "cut off"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_plan_is_read_within_memory_and_says_which_file_and_attribute(name: str, folder: Path) -> None:
    HOSTILE[name](folder)
    rule, file, attribute = SAID[name]
    findings, peak_kib = _read_apart(folder)
    said = [message for told, message in findings if told == rule]
    assert said, findings
    assert file in said[0]
    assert attribute in said[0]
    assert peak_kib < MOST_KIB


#: Reads a case in a process of its own, whose peak of memory is nobody else's: findings and the peak in KiB as JSON. Linux hands ru_maxrss down from the parent.
_READ = """
import json, re, resource, sys
from pathlib import Path
from rtqc.dicom import read_case
findings = [(f.rule, f.message) for f in read_case(Path(sys.argv[1])).findings]
status = Path("/proc/self/status")
if status.exists():
    peak = int(re.search("VmHWM:\\s+(\\d+) kB", status.read_text())[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps([findings, peak]))
"""


def _read_apart(folder: Path) -> tuple[list[tuple[str, str]], int]:
    done = subprocess.run([sys.executable, "-c", _READ, str(folder)], capture_output=True, text=True, check=True, timeout=300)
    findings, peak_kib = json.loads(done.stdout)
    return findings, peak_kib


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_series_has_the_same_values_as_a_plain_one(codec: str, folder: Path) -> None:
    plain = read_case(folder).image
    for path in list(files.slices(folder))[20:24]:
        files.compress(path, codec)
    image = read_case(folder).image
    assert image is not None
    assert plain is not None
    assert np.array_equal(image.hu, plain.hu)


def test_a_decoder_that_dies_costs_its_slice_and_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = list(files.slices(folder))[20:23]
    for path in paths:
        files.compress(path, "jls")
    fatal = len(pydicom.dcmread(paths[1]).PixelData)
    ask = decoder._CHILD.ask

    def dying(line: bytes, content: bytes, seconds: float, voxels: int) -> bytes:
        answer = ask(line, content, seconds, voxels)
        if len(content) == fatal:
            raise ChildDiedError("died", "was ended by signal 6 (SIGABRT)")
        return answer

    monkeypatch.setattr(decoder._CHILD, "ask", dying)
    case = read_case(folder)
    said = [f for f in case.findings if f.rule == "file.decoder_died"]
    assert paths[1].name in said[0].message
    assert "SIGABRT" in said[0].message


def test_a_decoder_that_is_killed_is_said_and_the_next_slice_has_a_new_one(folder: Path) -> None:
    path = files.one(folder, "CT*")
    files.compress(path, "rle")
    dataset = pydicom.dcmread(path)
    expected = pixels_of(dataset)
    child = decoder._CHILD._child
    assert child is not None
    os.kill(child.pid, 9)
    with pytest.raises(DecoderDiedError, match="SIGKILL"):
        pixels_of(dataset)
    assert np.array_equal(pixels_of(dataset), expected)


def test_a_good_plan_beside_one_at_1e9_mm_has_its_verdict_and_the_other_its_error(
    clean_folder: Path, tmp_path: Path, tiny_plan: object
) -> None:
    from rtqc.phantom import write_plan

    both = tmp_path / "both"
    files.copied(clean_folder, both / "good")
    files.far_away(write_plan(tiny_plan, both / "bad"))  # type: ignore[arg-type]
    outcome = rtqc("check", both, "--json", "--device", "cpu")
    assert outcome.status == 2
    verdicts = {c["case"]["patient_id"]: (c["verdict"], c["headline"]) for c in outcome.document["cases"]}
    assert verdicts["RTQC-TEST"][0] == "pass"
    assert verdicts["RTQC-OTHER"][0] == "error"
    assert "ImagePositionPatient" in verdicts["RTQC-OTHER"][1]


def test_a_plan_that_takes_too_long_has_no_verdict_and_says_so(clean_folder: Path) -> None:
    outcome = rtqc("check", clean_folder, "--json", "--device", "cpu", "--time-limit", "0.05")
    assert outcome.status == 2
    assert outcome.document["verdict"] == "error"
    assert outcome.findings("run.time_limit") or "could not be read" in outcome.document["headline"]


def test_a_plan_that_takes_too_much_memory_has_no_verdict_and_says_so(clean_folder: Path) -> None:
    outcome = rtqc("check", clean_folder, "--json", "--device", "cpu", "--memory-limit", "0.02")
    assert outcome.status == 2
    assert outcome.document["verdict"] == "error"
    assert outcome.findings("run.memory_limit") or "could not be read" in outcome.document["headline"]


def test_a_volume_of_another_size_than_its_values_is_a_sentence(tmp_path: Path) -> None:
    import nrrd

    path = tmp_path / "bomb.nrrd"
    nrrd.write(
        str(path), np.zeros((512, 512, 200), np.int16),
        {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": [0.0, 0.0, 5.0], "encoding": "gzip"},
    )  # fmt: skip
    content = path.read_bytes()
    path.write_bytes(content.replace(b"sizes: 512 512 200", b"sizes: 2 2 2"))
    with pytest.raises(VolumeFileError, match=r"bomb\.nrrd.*sizes"):
        read_volume(path)
    path.write_bytes(content.replace(b"sizes: 512 512 200", b"sizes: 99999 99999 200"))
    with pytest.raises(VolumeFileError, match=r"bomb\.nrrd.*sizes"):
        read_volume(path)


def test_a_folder_and_files_whose_names_are_no_text_are_checked_and_shown_by_their_bytes(
    clean_folder: Path, tmp_path: Path
) -> None:
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    shutil.copytree(clean_folder, latin)
    Path(os.fsdecode(os.fsencode(latin) + b"/Herz\xe9.dcm")).write_bytes(b"no DICOM at all" * 20)
    outcome = rtqc("check", tmp_path, "--json", "--device", "cpu", "--out", tmp_path / "out")
    assert outcome.document["verdict"] == "flag"
    assert outcome.findings("file.unreadable")[0]["evidence"]["files"] == ["M\\xfcller/Herz\\xe9.dcm"]
    assert (tmp_path / "out" / "report.html").exists()

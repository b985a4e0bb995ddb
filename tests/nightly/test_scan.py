"""An archive: what belongs together, what is new, and what lies there that is nobody's plan."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from rtqc.dicom import Header, Index, plan_cases, split_archive
from rtqc.dicom.notes import note
from rtqc.nightly import Selection
from rtqc.nightly.orders import Settings
from rtqc.nightly.scan import scan
from rtqc.nightly.work import digests_of
from tests.boxes import changed, without_contours, write_box
from tests.nightly.conftest import opened


def header(uid: str, modality: str, patient: str = "P", **more: object) -> Header:
    plain = {
        "path": Path(f"/a/{uid}"), "name": f"{patient}/{uid}", "sop_class": "1.2", "uid": uid, "modality": modality, "patient_id": patient,
        "patient_name": "N", "study_uid": f"study-{patient}", "series_uid": f"series-{patient}", "frame_uid": f"frame-{patient}",
        "image_type": "", "refers_to": (), "label": "", "created": "",
    }  # fmt: skip
    return Header(**(plain | more))  # type: ignore[arg-type]


def archive_of(*headers: Header) -> Index:
    index = Index(Path("/a"))
    for h in headers:
        if h.modality == "CT":
            index.ct[h.series_uid].append(h)
        else:
            {"RTSTRUCT": index.structure_sets, "RTPLAN": index.plans, "RTDOSE": index.doses}[h.modality].append(h)
    return index


def whole(patient: str) -> list[Header]:
    """A patient's plan: CT, structure set, plan, dose."""
    return [
        header(f"ct-{patient}", "CT", patient),
        header(f"rs-{patient}", "RTSTRUCT", patient, refers_to=(f"series-{patient}",)),
        header(f"rp-{patient}", "RTPLAN", patient, refers_to=(f"rs-{patient}",)),
        header(f"rd-{patient}", "RTDOSE", patient, refers_to=(f"rp-{patient}",)),
    ]


def test_ten_thousand_plans_of_one_patient_are_ten_thousand_cases() -> None:
    ct = header("ct", "CT")
    sets = [header(f"rs{k}", "RTSTRUCT", refers_to=("series-P",)) for k in range(10_000)]
    plans = [header(f"rp{k}", "RTPLAN", refers_to=(f"rs{k}",)) for k in range(10_000)]
    doses = [header(f"rd{k}", "RTDOSE", refers_to=(f"rp{k}",)) for k in range(10_000)]
    (part,) = split_archive(archive_of(ct, *sets, *plans, *doses))
    cases = plan_cases(part)
    assert len(cases) == 10_000
    for k in (0, 5_000, 9_999):
        assert cases[k].plan is plans[k]
        assert cases[k].structure_set is sets[k]
        assert cases[k].doses == [doses[k]]
        assert cases[k].series == [ct]
        (finding,) = cases[k].findings
        assert "10000 plans" in finding.message
        assert len(finding.evidence.files) <= 20


def test_patients_are_kept_apart_unless_their_files_refer_to_each_other() -> None:
    a, b = whole("A"), whole("B")
    assert len(split_archive(archive_of(*a, *b))) == 2
    b[1] = replace(b[1], refers_to=("series-A",))
    (both,) = split_archive(archive_of(*a, *b))
    assert {h.patient_id for h in both.plans} == {"A", "B"}
    # Without Patient ID, studies are what is kept apart.
    nobody = [replace(h, patient_id="", study_uid=f"s{k}", series_uid=f"x{k}") for k, h in enumerate((a[0], b[0]))]
    assert len(split_archive(archive_of(*nobody))) == 2


def test_an_unreadable_file_speaks_for_the_patient_in_whose_folder_it_lies() -> None:
    """A's broken file is A's; a folder of nothing but broken files may be an export; one broken file above both patients is no case."""
    index = archive_of(*whole("A"), *whole("B"))
    for name in ("A/RT/broken.dcm", "stray.dcm", "C/only.dcm"):
        index.findings.append(note("file.unreadable", f"{name} is damaged.", files=[name]))
    parts = split_archive(index)
    told = {tuple(f.evidence.files[0] for f in p.findings): [h.patient_id for h in p.plans] for p in parts}
    assert told == {("A/RT/broken.dcm",): ["A"], (): ["B"], ("C/only.dcm",): []}


def test_an_unchanged_archive_is_not_opened_again(archive: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "s.sqlite") as store:
        first = scan(archive, store)
        assert first.opened == first.files > 0
        again = scan(archive, store)
        assert (again.opened, again.files) == (0, first.files)
        key = [(o.identity, o.folder, o.subject, [h.uid for h in o.parts.headers]) for o in again.orders]
        assert key == [(o.identity, o.folder, o.subject, [h.uid for h in o.parts.headers]) for o in first.orders]
        assert again.orders[0].parts.plan == first.orders[0].parts.plan
        os.utime(archive / "P0" / "EXPORT" / "RTPLAN.dcm")
        (archive / "P1" / "EXPORT" / "CT.001.dcm").unlink()
        shutil.copy(archive / "P1" / "EXPORT" / "CT.002.dcm", archive / "P1" / "EXPORT" / "another name")
        changed = scan(archive, store)
        assert changed.opened == 2


def test_content_decides_not_names_or_times(archive: Path, tmp_path: Path) -> None:
    settings = Settings()
    with opened(tmp_path / "s.sqlite") as store:
        before = {o.folder: o.key(settings, digests_of(o)) for o in scan(archive, store).orders}
        for file in (archive / "P0" / "EXPORT").iterdir():
            file.rename(file.with_name("x" + file.name[::-1]))
            os.utime(file.with_name("x" + file.name[::-1]), (0, 0))
        dose = archive / "P1" / "EXPORT" / "RTDOSE.dcm"
        content = bytearray(dose.read_bytes())
        content[-1] ^= 1
        dose.write_bytes(content)
        after = {o.folder: o.key(settings, digests_of(o)) for o in scan(archive, store).orders}
    assert after["P0/EXPORT"] == before["P0/EXPORT"]
    assert after["P1/EXPORT"] != before["P1/EXPORT"]
    assert Settings(model_hash="other").fingerprint != settings.fingerprint


def test_what_is_no_plan_is_counted_and_never_silently_ignored(archive: Path, tmp_path: Path) -> None:
    for name in ("RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm"):
        (archive / "P0" / "EXPORT" / name).unlink()
    with opened(tmp_path / "s.sqlite") as store:
        found = scan(archive, store)
        assert len(found.orders) == 3
        assert found.not_plans == {"CT series": 1}
        some = scan(archive, store, Selection(only=("P1", "P3")))
        assert ([o.parts.patient_id for o in some.orders], some.left_out) == (["P1", "P3"], 1)


def test_a_folder_that_cannot_be_listed_is_said(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where the right to list it is missing; root, who runs some of these tests, may list everything."""
    listed = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("P1"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with opened(tmp_path / "s.sqlite") as store:
        found = scan(archive, store)
    assert [f.message for f in found.unreadable] == [
        "The folder P1 could not be listed (Permission denied): check its permissions."
    ]
    assert [o.folder for o in found.orders] == ["P0/EXPORT", "P2/EXPORT", "P3/EXPORT", "."]


def test_names_that_are_no_utf8_and_very_long_ones_are_read_all_the_same(archive: Path, tmp_path: Path) -> None:
    odd = os.fsencode(archive / "P0" / "EXPORT") + b"/CT.001.dcm"
    os.rename(odd, odd[:-11] + b"\xff\xfe.dcm")
    deep = archive / "P1" / ("d" * 200) / ("e" * 200) / ("f" * 200)
    deep.mkdir(parents=True)
    (archive / "P1" / "EXPORT" / "CT.001.dcm").rename(deep / "g")
    with opened(tmp_path / "s.sqlite") as store:
        for _ in range(2):
            found = scan(archive, store)
            assert len(found.orders) == 4
            assert len({o.files for o in found.orders}) == 1


def test_a_true_copy_is_nothing_new_and_other_content_under_an_old_uid_is(tmp_path: Path) -> None:
    settings = Settings()
    plan = write_box(tmp_path / "archive" / "P1")

    def key() -> str:
        with opened(tmp_path / "s.sqlite") as store:
            (order,) = scan(tmp_path / "archive", store).orders
            return order.key(settings, digests_of(order))

    before = key()
    shutil.copy(plan / "RTSTRUCT.dcm", plan / "copy.dcm")
    assert key() == before
    changed(plan / "RTSTRUCT.dcm", plan / "copy.dcm", without_contours)
    assert key() != before


def test_a_damaged_file_among_several_patients_is_counted_and_no_case(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        for file in write_box(tmp_path / "x", patient).iterdir():
            target = tmp_path / "archive" / f"{patient}-{file.name}"
            target.parent.mkdir(exist_ok=True)
            file.rename(target)
    (tmp_path / "archive" / "bad.dcm").write_bytes(b"nothing")
    with opened(tmp_path / "s.sqlite") as store:
        found = scan(tmp_path / "archive", store)
    assert [o.parts.patient_id for o in found.orders] == ["P1", "P2"]
    assert [o.index.findings for o in found.orders] == [[], []]
    assert [f.evidence.files for f in found.unreadable] == [("bad.dcm",)]


def test_what_is_not_judged_reaches_the_patients_own_order_and_makes_it_a_new_one(small_archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for patient in ("P0", "P1"):
        shutil.copytree(small_archive / patient, root / patient)

    def not_judged() -> dict[str, list[str]]:
        with opened(tmp_path / "store.sqlite") as store:
            orders = scan(root, store).orders
        return {order.parts.patient_id: [h.name for h in order.index.not_judged] for order in orders}

    def keys() -> dict[str, str]:
        settings = Settings(model_hash="x")
        with opened(tmp_path / "store.sqlite") as store:
            return {order.parts.patient_id: order.key(settings, {}) for order in scan(root, store).orders}

    before = keys()
    plan = next((root / "P0").rglob("RTPLAN*"))
    record = pydicom.dcmread(plan)
    record.SOPClassUID = record.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.4"
    record.SOPInstanceUID = record.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    record.save_as(root / "record.dcm")
    record.PatientID = "SOMEBODY-ELSE"
    record.SOPInstanceUID = record.file_meta.MediaStorageSOPInstanceUID = "1.2.3.5"
    record.save_as(root / "another.dcm")
    assert not_judged() == {"P0": ["record.dcm"], "P1": []}
    after = keys()
    assert after["P0"] != before["P0"]
    assert after["P1"] == before["P1"]

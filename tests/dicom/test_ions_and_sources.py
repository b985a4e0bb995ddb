"""Plans of ions and of brachytherapy sources: read like any plan, and judged only as far as there is something to judge them by."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RTIonPlanStorage

from rtqc.core import Case
from rtqc.core.case import ApplicationSetup, Prescription
from rtqc.dicom import (
    Caller,
    DimseArchive,
    Door,
    DrawnBy,
    Header,
    Peer,
    Receiver,
    Scanned,
    fetch_plans,
    index_folder,
    note,
    read_case,
    store,
    write_sr,
)
from rtqc.dicom.study import uid_of
from rtqc.dosimetry import dvh, eqd2_fractions, why_no_eqd2
from rtqc.heart import Draft
from rtqc.phantom import SyntheticPlan, write_plan
from rtqc.pipeline import Options, assess, assess_fully
from rtqc.qc.dose_unit import with_dose_unit
from rtqc.report import write_report
from tests.cli.run import rtqc
from tests.conftest import dciodvfy
from tests.dicom.dose_files import add_dose, changed, gy_of, messages, part, several_groups, without_ct
from tests.peers import orthanc, wait_for

CPU = Options(device="cpu", second_check=False)


@pytest.fixture(scope="module")
def protons(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean plan as a proton plan, with the dose weighted as planning systems export it."""
    study = replace(clean_plan.study, radiation_type="PROTON", dose_type="EFFECTIVE")
    return write_plan(replace(clean_plan, study=study), tmp_path_factory.mktemp("protons"))


@pytest.fixture(scope="module")
def proton_case(protons: Path) -> Case:
    """It, as read."""
    return read_case(protons)


# --- Ions ---


def test_an_ion_plan_is_a_plan(proton_case: Case, clean_case: Case) -> None:
    ion, photon = proton_case.plan, clean_case.plan
    assert ion is not None
    assert photon is not None
    assert (ion.kind, photon.kind) == ("ion", "photon")
    assert (ion.prescriptions, ion.fractions, ion.beams) == (photon.prescriptions, photon.fractions, photon.beams)
    assert [b.radiation_type for b in ion.treatment_beams] == ["PROTON", "PROTON"]
    assert [(b.isocentre_mm, b.gantry_deg) for b in ion.treatment_beams] == [
        (b.isocentre_mm, b.gantry_deg) for b in photon.treatment_beams
    ]
    assert proton_case.findings == ()


@pytest.mark.parametrize("kind", ["PROTON", "ION"])
def test_an_ion_plan_is_written_by_the_standard(kind: str, clean_plan: SyntheticPlan, tmp_path: Path) -> None:
    study = replace(clean_plan.study, radiation_type=kind, left_out=frozenset(range(clean_plan.study.image.grid.shape[0])))
    write_plan(replace(clean_plan, study=study), tmp_path)
    assert dciodvfy(tmp_path / "RTPLAN.dcm")[0] == []
    assert pydicom.dcmread(tmp_path / "RTPLAN.dcm").SOPClassUID == RTIonPlanStorage


def test_doses_of_ions_are_said_to_be_weighted_and_a_clean_ion_plan_passes(
    proton_case: Case, clean_draft: Draft, tmp_path: Path
) -> None:
    full = assess_fully(proton_case, CPU, clean_draft)
    assessment = full.assessment
    assert [(f.rule, f.severity) for f in assessment.findings] == [("dose.rbe_weighted", "info")]
    assert assessment.verdict == "pass"
    assert assessment.dose is not None
    assert assessment.dose.dose_type == "EFFECTIVE"
    # The weighted dose is converted with the plan's fractions as it is, and no further effectiveness is put on it.
    assert assessment.dose.eqd2 is not None
    heart = proton_case.structures["Heart"]
    assert proton_case.dose is not None
    own = dvh(heart, proton_case.dose).eqd2(15, assessment.dose.eqd2.alpha_beta_gy)
    assert assessment.dose.eqd2.contoured is not None
    assert assessment.dose.eqd2.contoured.mean_gy == pytest.approx(own.mean_gy, abs=1e-3)
    page = write_report(full, tmp_path / "report.html").read_text()
    assert f"mean {assessment.dose.contoured.mean_gy:.2f} Gy (RBE)" in page  # type: ignore[union-attr]
    assert "dose (Gy (RBE))" in page


def test_a_physical_dose_of_ions_is_a_warning_and_not_converted(
    clean_plan: SyntheticPlan, clean_case: Case, clean_draft: Draft, tmp_path: Path
) -> None:
    study = replace(clean_plan.study, radiation_type="PROTON")
    case = read_case(write_plan(replace(clean_plan, study=study), tmp_path))
    assert eqd2_fractions(case) is None
    assert "physical" in why_no_eqd2(case)
    assessment = assess(case, CPU, clean_draft)
    assert [f.rule for f in assessment.findings] == ["dose.ion_physical"]
    assert assessment.dose is not None
    assert assessment.dose.eqd2 is None


@pytest.mark.parametrize(("shares", "whole"), [((0.5, 0.5), True), ((0.2, 0.8), True), ((0.5, None), False)])
def test_single_field_doses_of_protons_are_matched_to_their_fields(
    protons: Path, clean_case: Case, shares: tuple[float, float | None], whole: bool, tmp_path: Path
) -> None:
    folder = without_ct(protons, tmp_path / "plan", dose=False)
    for field, share in enumerate(shares, 1):
        if share is not None:
            add_dose(protons / "RTDOSE.dcm", folder, share, "BEAM", [part(1, [field])])
    case = read_case(folder)
    assert (case.dose is not None) == whole
    if whole:
        assert clean_case.dose is not None
        assert gy_of(case).max() == pytest.approx(clean_case.dose.gy.max(), rel=1e-5)
        assert case.dose_attributes.dose_type == "EFFECTIVE"
    else:
        assert "beam 2 has no dose" in messages(case)["dose.summation"]


def test_an_ion_plan_comes_over_the_network(protons: Path, tmp_path: Path) -> None:
    files = [protons / name for name in ("RTPLAN.dcm", "RTSTRUCT.dcm", "RTDOSE.dcm", "CT.040.dcm", "CT.041.dcm", "CT.042.dcm")]
    (tmp_path / "incoming").mkdir()
    receiver = Receiver(Door(port=0, callers=(Caller("TPS"),), least_free_bytes=0), tmp_path / "incoming", lambda _: "one")
    receiver.start()
    try:
        assert store(Peer("RTQC", "127.0.0.1", receiver.port, "TPS"), files) == {}
    finally:
        receiver.stop()
    case = read_case(tmp_path / "incoming")
    assert case.plan is not None
    assert case.plan.kind == "ion"
    assert case.dose is not None


def test_an_ion_plan_is_fetched_with_all_that_it_refers_to(protons: Path, tmp_path: Path) -> None:
    files = [protons / name for name in ("RTPLAN.dcm", "RTSTRUCT.dcm", "RTDOSE.dcm", "CT.040.dcm", "CT.041.dcm", "CT.042.dcm")]
    with orthanc(tmp_path / "orthanc") as running:
        peer = Peer("ORTHANC", "127.0.0.1", running.dicom)
        assert store(peer, files) == {}
        wait_for(lambda: sum(running.modalities().values()) == len(files))
        (fetched,) = fetch_plans(DimseArchive(peer), tmp_path / "out", "RTQC-TEST")
    assert fetched.missing == ()
    case = read_case(fetched.folder)
    assert case.plan is not None
    assert case.plan.kind == "ion"


class _OldMemory:
    """What a version remembers that did not know ion plans."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def recall(self, path: Path, name: str, size: int, changed_ns: int) -> tuple[Scanned] | None:
        header = Header(path, name, str(RTIonPlanStorage), "2.25.1", "", "", "", "", "", "", "", (), "", "")
        return (header,) if name == "RTPLAN.dcm" else None

    def remember(self, name: str, size: int, changed_ns: int, scanned: Scanned) -> None:
        self.kept.append(name)


def test_an_ion_plan_that_an_older_version_remembers_as_nothing_is_read_anew(protons: Path, tmp_path: Path) -> None:
    memory = _OldMemory()
    index = index_folder(without_ct(protons, tmp_path / "plan"), memory=memory)
    assert [h.modality for h in index.plans] == ["RTPLAN"]
    assert index.plans[0].refers_to == (index.structure_sets[0].uid,)
    assert "RTPLAN.dcm" in memory.kept


# --- Effective doses of other plans ---


@pytest.fixture
def effective(clean_folder: Path, tmp_path: Path) -> Path:
    """The clean photon plan with an EFFECTIVE dose."""
    folder = shutil.copytree(clean_folder, tmp_path / "effective")
    return changed(folder, lambda dose: setattr(dose, "DoseType", "EFFECTIVE"), "RTDOSE.dcm")


def test_an_effective_dose_of_photons_is_said_and_never_converted_again(effective: Path, clean_draft: Draft) -> None:
    case = read_case(effective)
    assessment = assess(case, CPU, clean_draft)
    assert [f.rule for f in assessment.findings] == ["dose.effective"]
    assert assessment.verdict == "flag"
    assert assessment.dose is not None
    assert (assessment.dose.dose_type, assessment.dose.eqd2) == ("EFFECTIVE", None)
    assert assessment.dose.contoured is not None
    assert "a biological model has been applied" in why_no_eqd2(case)


def test_the_dvh_command_says_it_and_converts_nothing_even_when_told_the_fractions(effective: Path) -> None:
    for more in ((), ("--fractions", "15", "--alpha-beta", "3")):
        outcome = rtqc("dvh", effective, "--json", *more)
        assert outcome.status == 0, outcome.err
        assert (outcome.document["dose_type"], outcome.document["eqd2"]) == ("EFFECTIVE", None)
        assert [f["rule"] for f in outcome.document["findings"]] == ["dose.effective"]
    assert "Gy (RBE)" in rtqc("dvh", effective).out


def test_every_sentence_about_an_effective_dose_has_its_unit_but_limits_keep_theirs() -> None:
    def said(rule: str, message: str, unit: str) -> str:
        return with_dose_unit([note("dose.zero", message).model_copy(update={"rule": rule})], unit)[0].message

    before = "Mean heart dose is 4.60 Gy with the contour (+1.20 Gy), above the limit of 4 Gy."
    after = "Mean heart dose is 4.60 Gy (RBE) with the contour (+1.20 Gy (RBE)), above the limit of 4 Gy."
    assert said("constraint.exceeded", before, "Gy (RBE)") == after
    assert said("constraint.exceeded", after, "Gy (RBE)") == after
    assert said("constraint.exceeded", before, "Gy") == before
    for rule in ("dose.level", "dose.level_unusual", "dose.target_coverage", "dose.grid_spacing"):
        assert said(rule, "The highest has 41.20 Gy.", "Gy (RBE)") == "The highest has 41.20 Gy (RBE)."
    assert said("plan.several_prescriptions", "50 Gy to the breast.", "Gy (RBE)") == "50 Gy to the breast."


def test_the_structured_report_writes_an_effective_dose_in_its_unit(
    effective: Path, clean_draft: Draft, tmp_path: Path
) -> None:
    full = assess_fully(read_case(effective), CPU, clean_draft)
    write_sr(full.assessment, full.case, tmp_path / "sr.dcm", DrawnBy("m", "1", "0", "rtqc"))
    text = str(pydicom.dcmread(tmp_path / "sr.dcm"))
    assert "Gy{RBE}" in text
    assert "'Gy'" not in text


def test_a_physical_dose_is_converted_and_not_said_to_be_anything_else(clean_folder: Path) -> None:
    outcome = rtqc("dvh", clean_folder, "--json")
    assert outcome.document["dose_type"] == "PHYSICAL"
    assert outcome.document["eqd2"] is not None
    assert outcome.document["findings"] == []


# --- Sources ---


def as_brachytherapy(doses_gy: tuple[float, ...], kind: str = "HDR", fractions: int = 4):  # type: ignore[no-untyped-def]
    """A change of a plan: application setups of these doses in one fraction, in place of its beams."""

    def change(plan: Dataset) -> None:
        del plan.BeamSequence, plan.DoseReferenceSequence
        plan.BrachyTreatmentTechnique, plan.BrachyTreatmentType = "INTERSTITIAL", kind
        group = plan.FractionGroupSequence[0]
        del group.ReferencedBeamSequence
        group.NumberOfBeams, group.NumberOfBrachyApplicationSetups = 0, len(doses_gy)
        group.NumberOfFractionsPlanned = fractions
        setups, references = [], []
        for number, dose in enumerate(doses_gy, 1):
            setup, reference = Dataset(), Dataset()
            setup.ApplicationSetupType, setup.ApplicationSetupNumber = "OTHER", number
            reference.ReferencedBrachyApplicationSetupNumber, reference.BrachyApplicationSetupDose = number, dose
            setups.append(setup)
            references.append(reference)
        plan.ApplicationSetupSequence, group.ReferencedBrachyApplicationSetupSequence = setups, references

    return change


@pytest.mark.parametrize(("doses", "fractions", "total"), [((8.5,), 4, 34.0), ((5.0, 2.0), 3, 21.0), ((18.0,), 1, 18.0)])
def test_a_brachytherapy_plan_prescribes_what_its_application_setups_give(
    clean_folder: Path, doses: tuple[float, ...], fractions: int, total: float, tmp_path: Path
) -> None:
    case = read_case(changed(without_ct(clean_folder, tmp_path / "plan"), as_brachytherapy(doses, fractions=fractions)))
    plan = case.plan
    assert plan is not None
    assert (plan.kind, plan.beams, plan.fractions, plan.brachy_type) == ("brachy", 0, fractions, "HDR")
    assert plan.prescriptions == (Prescription(total, "", "beams"),)
    assert plan.application_setups == tuple(ApplicationSetup(n, 1, dose) for n, dose in enumerate(doses, 1))
    assert eqd2_fractions(case) == fractions


def test_heart_limits_are_not_invented_for_brachytherapy(clean_folder: Path, clean_draft: Draft, tmp_path: Path) -> None:
    folder = changed(shutil.copytree(clean_folder, tmp_path / "plan"), as_brachytherapy((8.5,)))
    assessment = assess(read_case(folder), CPU, clean_draft)
    found = {f.rule: f for f in assessment.findings}
    assert assessment.constraints == ()
    assert "none was judged" in found["plan.brachytherapy"].message
    assert "its application setups give 34.00 Gy" in found["plan.prescription_per_beam"].message
    assert assessment.verdict == "flag"
    assert assessment.dose is not None
    assert assessment.dose.contoured is not None


@pytest.mark.parametrize(("dose", "fractions"), [(7.0, 4), (8.5, 4), (34.0, 1)])
def test_no_other_protocol_is_asked_for_where_limits_do_not_hold_for_sources(
    dose: float, fractions: int, clean_folder: Path, clean_draft: Draft, tmp_path: Path
) -> None:
    """The plan tells its number of fractions: that is not why nothing was judged."""
    folder = changed(shutil.copytree(clean_folder, tmp_path / "plan"), as_brachytherapy((dose,), fractions=fractions))
    found = {f.rule: f.message for f in assess(read_case(folder), CPU, clean_draft).findings}
    assert "plan.brachytherapy" in found
    assert not found.keys() & {"protocol.other_fractionation", "protocol.assumed"}
    assert not any("1 fractions" in message for message in found.values())


@pytest.mark.parametrize("kind", ["LDR", "PDR", ""])
def test_slow_sources_are_not_converted_to_fractions_of_two(kind: str, clean_folder: Path, tmp_path: Path) -> None:
    folder = changed(without_ct(clean_folder, tmp_path / "plan"), as_brachytherapy((50.0,), kind, 1))
    case = read_case(folder)
    assert eqd2_fractions(case) is None
    assert "short fractions" in why_no_eqd2(case)
    # A number of fractions that the user gives does not make the model one for slow sources.
    told = rtqc("dvh", folder, "--json", "--fractions", "4", "--alpha-beta", "3")
    assert told.document["eqd2"] is None


def test_a_plan_of_beams_and_sources_has_no_limits_either_and_needs_the_dose_of_both(
    clean_folder: Path, clean_case: Case, tmp_path: Path
) -> None:
    folder = changed(without_ct(clean_folder, tmp_path / "plan", dose=False), several_groups([15, 2], [(1, 2), ()]))

    def with_setup(plan: Dataset) -> None:
        reference = Dataset()
        reference.ReferencedBrachyApplicationSetupNumber, reference.BrachyApplicationSetupDose = 1, 6.0
        plan.FractionGroupSequence[1].ReferencedBrachyApplicationSetupSequence = [reference]

    changed(folder, with_setup)
    for beam in (1, 2):
        add_dose(clean_folder / "RTDOSE.dcm", folder, 0.4, "BEAM", [part(1, [beam])])
    case = read_case(folder)
    assert case.plan is not None
    assert (case.plan.kind, case.plan.beams, len(case.plan.application_setups)) == ("photon", 2, 1)
    assert case.dose is None
    assert "application setup 1 has no dose" in messages(case)["dose.summation"]
    add_dose(clean_folder / "RTDOSE.dcm", folder, 0.2, "BRACHY", [part(2, setups=[1])])
    whole = read_case(folder)
    assert clean_case.dose is not None
    assert gy_of(whole).max() == pytest.approx(clean_case.dose.gy.max(), rel=1e-5)
    assert "brachytherapy" in why_no_eqd2(whole)


def test_electron_boosts_in_a_plan_are_beams_of_it(clean_folder: Path, tmp_path: Path) -> None:
    folder = changed(without_ct(clean_folder, tmp_path / "plan", dose=False), several_groups([15, 5], [(1,), (2,)]))
    changed(folder, lambda plan: setattr(plan.BeamSequence[1], "RadiationType", "ELECTRON"))
    plan = read_case(folder).plan
    assert plan is not None
    assert [(b.number, b.radiation_type, b.fraction_group) for b in plan.treatment_beams] == [
        (1, "PHOTON", 1),
        (2, "ELECTRON", 2),
    ]
    assert (plan.kind, plan.fractions, plan.alike_fractions) == ("photon", 20, None)


# --- What is not judged ---


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.4", "RT Beams Treatment Record"),
        ("1.2.840.10008.5.1.4.1.1.481.9", "RT Ion Beams Treatment Record"),
        ("1.2.840.10008.5.1.4.34.7", "RT Beams Delivery Instruction"),
    ],
)
def test_radiotherapy_objects_that_are_not_judged_are_named(
    sop_class: str, name: str, clean_folder: Path, tmp_path: Path
) -> None:
    folder = without_ct(clean_folder, tmp_path / "plan")
    for number, patient in enumerate(("RTQC-TEST", "RTQC-TEST", "SOMEBODY-ELSE")):
        record = pydicom.dcmread(folder / "RTPLAN.dcm")
        record.SOPClassUID = record.file_meta.MediaStorageSOPClassUID = sop_class
        record.SOPInstanceUID = record.file_meta.MediaStorageSOPInstanceUID = uid_of("record", number)
        record.PatientID = patient
        record.save_as(folder / f"record-{number}.dcm")
    (found,) = [f for f in read_case(folder).findings if f.rule == "file.not_judged"]
    assert (found.severity, found.evidence.files) == ("info", ("record-0.dcm", "record-1.dcm"))
    assert f"2 {name}" in found.message

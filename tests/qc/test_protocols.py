"""Protocols: what ships, what a clinic may write, and which one a plan is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from shapely.geometry import MultiPolygon

from rtqc.core import Case, Structure
from rtqc.core.case import Plan, Prescription, Roi
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from rtqc.qc import ProtocolError, choose_protocol, list_protocols, load_protocol, rule_ids


def case_of(
    *prescriptions: tuple[float, str],
    fractions: int | None = 15,
    label: str = "",
    targets: tuple[str, ...] = (),
    organs: tuple[str, ...] = (),
) -> Case:
    """A case with nothing but a plan and names of structures."""
    rois = [Roi(n, Structure(name, {}, kind="PTV")) for n, name in enumerate(targets, 1)]
    rois += [Roi(n, Structure(name, {}, kind="ORGAN")) for n, name in enumerate(organs, 100)]
    plan = Plan(label, prescriptions=tuple(Prescription(d, t) for d, t in prescriptions), fractions=fractions)
    return Case(plan=plan, rois=tuple(rois))


def _with_tier(tier: str, name: str = "a", limit: float = 4.0, head: bool = True) -> str:
    """A protocol file with one constraint, or that constraint alone."""
    start = 'extends = "breast"\nname = "x"\n' if head else ""
    return (
        start + f'[[constraints]]\nid = "{name}"\ndescription = "a"\nmetric = "mean_gy"\ntier = "{tier}"\nside = "left"\n'
        f'optional = true\nlimit = {limit}\nunit = "Gy"\nsource = "s"\n'
    )


def test_every_shipped_protocol_loads_and_each_number_has_a_source() -> None:
    assert {"breast", "breast-50-25", "breast-40-15", "breast-26-5", "lung", "oesophagus", "hodgkin", "heart"} <= set(
        list_protocols()
    )
    for name in list_protocols():
        protocol = load_protocol(name, rule_ids())
        assert protocol.name == name
        assert all(len(c.source) > 10 for c in protocol.constraints)
        # Limits that may be converted say what they were made for, and that is one of the protocol's own fractionations, if it has any.
        assert (protocol.reference_schedule is None) == (name == "heart")
        assert (len(protocol.constraints) == 0) == (name == "heart")
        assert len({c.id for c in protocol.constraints}) == len(protocol.constraints)


@pytest.mark.parametrize(
    ("case", "name", "fit"),
    [
        (case_of((40.05, "Breast"), label="Breast_L"), "breast-40-15", "fits"),
        (case_of((40.0, "PTV_Breast")), "breast-40-15", "fits"),
        (case_of((42.56, "Mamma links"), fractions=16), "breast-40-15", "fits"),
        (case_of((40.0, ""), label="LBreast"), "breast-40-15", "fits"),
        (case_of((40.0, ""), label="TANGENTS"), "breast-40-15", "fits"),
        (case_of((50.0, "Chest wall"), fractions=25), "breast-50-25", "fits"),
        (case_of((26.0, "Breast"), fractions=5), "breast-26-5", "fits"),
        (case_of((26.0, "PTV_Breast_SCF"), fractions=5), "breast-26-5", "fits"),
        (case_of((30.0, "PBI"), fractions=5), "breast-30-5", "fits"),
        (case_of((16.0, "Boost"), fractions=8, label="Breast boost"), "breast-boost", "fits"),
        (case_of((48.0, "PTV_Boost"), (40.05, "PTV_Breast")), "breast-40-15", "fits"),
        (case_of((45.0, "Breast"), fractions=20), "breast", "other_fractionation"),
        (case_of((15.0, "Breast"), fractions=7), "breast", "other_fractionation"),
        (case_of((54.0, "PTV"), fractions=3, label="SBRT lung"), "lung-sbrt-3", "fits"),
        (case_of((48.0, "PTV"), fractions=4, label="RLL"), "lung-sbrt-4", "fits"),
        (case_of((55.0, ""), fractions=5, targets=("PTV_Lung",)), "lung-sbrt-5", "fits"),
        (case_of((60.0, "Lunge rechts"), fractions=8), "lung-sbrt-8", "fits"),
        (case_of((55.0, "PTV Lung"), fractions=20), "lung-hypofractionated", "fits"),
        (case_of((60.0, "PTV Lung"), fractions=20), "lung-hypofractionated", "fits"),
        (case_of((20.0, "PTV"), fractions=10, label="Mediastinum"), "hodgkin", "fits"),
        (case_of((60.0, "PTV"), fractions=30, targets=("PTV_mediastinum",)), "lung", "fits"),
        (case_of((60.0, ""), fractions=30, label="LUL", organs=("Lung_L", "Breast_L", "Esophagus")), "lung", "fits"),
        (case_of((66.0, "PTV"), fractions=33, targets=("PTV_Lung",)), "lung", "fits"),
        (case_of((50.0, ""), fractions=25, targets=("PTV_Oesophagus",)), "oesophagus", "fits"),
        (case_of((41.4, "GTV"), fractions=23, label="Œsophagus"), "oesophagus", "fits"),
        (case_of((50.4, "PTV"), fractions=28, label="Speiseröhre"), "oesophagus", "fits"),
        (case_of((50.4, "PTV"), fractions=28, label="Speiseroehre"), "oesophagus", "fits"),
        (case_of((50.4, "PTV_Oesophagus_oben"), fractions=28), "oesophagus", "fits"),
        (case_of((70.0, "Mundhoehle"), fractions=35), "heart", "assumed"),
        (case_of((30.0, "Wirbelsaeule"), fractions=10), "heart", "assumed"),
        (case_of((30.0, ""), fractions=15, label="Hodgkin"), "hodgkin", "fits"),
        # A fractionation alone never says the site.
        (case_of((30.6, ""), fractions=17), "hodgkin", "assumed"),
        (case_of((20.0, ""), fractions=10), "hodgkin", "assumed"),
        (case_of((26.0, ""), fractions=5), "breast-26-5", "assumed"),
        (case_of((54.0, ""), fractions=3), "lung-sbrt-3", "assumed"),
        (case_of((50.0, ""), fractions=25), "breast-50-25", "assumed"),
        (case_of((61.0, ""), fractions=9), "breast", "assumed"),
        (case_of((45.0, ""), fractions=25, label="mediastinum"), "oesophagus", "assumed"),
        # A site that no protocol is for has no heart limits at all.
        (case_of((70.0, "tongue.0"), fractions=35), "heart", "assumed"),
        (case_of((60.0, "PTV"), fractions=20, label="Prostate"), "heart", "assumed"),
        (case_of((4005.0, "Breast")), "breast", "no_prescription"),
        (case_of(), "breast", "no_prescription"),
        (case_of(label="lung"), "lung", "no_prescription"),
        (case_of((40.05, "Breast"), fractions=None), "breast", "no_prescription"),
        (Case(), "breast", "no_prescription"),
    ],
)  # fmt: skip
def test_the_protocol_follows_from_site_and_fractionation(case: Case, name: str, fit: str) -> None:
    choice = choose_protocol(case)
    assert (choice.protocol.name, choice.fit) == (name, fit), choice.reason


def test_an_assessment_says_which_protocol_and_why(clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.plan is not None
    options = Options(device="cpu", second_check=False)
    fitting = assess(clean_case, options, clean_draft)
    assert (fitting.protocol, fitting.protocol_reason) == ("breast-40-15", "breast, 40.05 Gy in 15 fractions")
    assert {c.id for c in fitting.constraints} >= {"heart-v13gy-10", "heart-v17gy-5", "heart-v17gy-10"}
    assert "protocol.other_fractionation" not in {f.rule for f in fitting.findings}
    other = assess(replace(clean_case, plan=replace(clean_case.plan, fractions=20)), options, clean_draft)
    finding = next(f for f in other.findings if f.rule == "protocol.other_fractionation")
    assert finding.severity == "warning"
    assert "converted from 25 to 20 fractions with alpha/beta 3 Gy" in finding.message
    assert all(c.converted_from for c in other.constraints)
    strange = replace(clean_case.plan, label="A1", prescriptions=(Prescription(61.0),), fractions=9)
    assumed = assess(replace(clean_case, plan=strange), options, clean_draft)
    finding = next(f for f in assumed.findings if f.rule == "protocol.assumed")
    assert "no protocol is for 61 Gy in 9 fractions" in finding.message
    assert assumed.verdict == "flag"
    named = assess(replace(clean_case, plan=strange), replace(options, protocol=load_protocol("lung")), clean_draft)
    assert (named.protocol, named.protocol_reason) == ("lung", "as asked for")
    assert {f.rule for f in named.findings if f.severity != "info"} == {"dose.level"}, "40.05 Gy are no 60"
    assert {f.rule: f.severity for f in named.findings if f.rule.startswith("protocol.")} == {"protocol.converted": "info"}
    elsewhere = replace(clean_case.plan, label="tongue", prescriptions=(Prescription(70.0, "tongue.0"),), fractions=35)
    bare = replace(clean_case, plan=elsewhere, rois=tuple(r for r in clean_case.rois if r.structure.kind != "PTV"))
    unjudged = assess(bare, options, clean_draft)
    assert unjudged.constraints == ()
    assert "no protocol ships for that" in next(f.message for f in unjudged.findings if f.rule == "protocol.assumed")


def test_a_clinic_extends_a_protocol_and_changes_what_it_wants(tmp_path: Path) -> None:
    (tmp_path / "house.toml").write_text(
        'extends = "breast-40-15"\nname = "house"\n[limits.agreement_dice]\nvalue = 0.9\nsource = "our own audit"\n'
        '[severity]\n"contour.hole" = "off"\n'
    )
    (tmp_path / "strict.toml").write_text(
        'extends = "house.toml"\nname = "strict"\n[severity]\n"contour.copied" = "fail"\n'
        '[[constraints]]\nid = "lad"\ndescription = "Maximum of the LAD"\nstructure = "A_LAD"\nmetric = "d0_03cc_gy"\nlimit = 20\nunit = "Gy"\nsource = "x"\n'
    )
    house, strict = (load_protocol(str(tmp_path / f"{n}.toml"), rule_ids()) for n in ("house", "strict"))
    assert house.limits.agreement_dice.value == 0.9
    assert house.limits.agreement_dice.unit == ""
    assert house.limits.agreement_end == load_protocol("heart").limits.agreement_end
    assert house.applies is None
    assert house.reference_schedule == load_protocol("breast-40-15").reference_schedule
    # Limits of its own were not made for the other protocol's fractionation.
    assert strict.reference_schedule is None
    assert [c.id for c in house.constraints] == [c.id for c in load_protocol("breast-40-15").constraints]
    assert strict.severity == {"contour.hole": "off", "contour.copied": "fail"}
    assert [c.structure for c in strict.constraints] == ["A_LAD"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "breast"\nname = "x"\n[limit]\n', "unknown key 'limit'; did you mean 'limits'"),
        ('extend = "breast"\nname = "x"\n', "unknown key 'extend'; did you mean 'extends'"),
        ('extends = "brest"\nname = "x"\n', "no protocol 'brest'; did you mean 'breast'"),
        ('extends = "x.toml"\nname = "x"\n', "x.toml extends itself"),
        ('extends = "breast"\nname = "x"\n[applies]\nsite = "breast"\nword = []\n', "did you mean 'words'"),
        ('extends = "breast"\nname = "x"\n[limits.agreement_dice]\nvalu = 1\nsource = "s"\n', "did you mean 'value'"),
        (
            'extends = "breast"\nname = "x"\n[[constraints]]\nid = "a"\ndescription = "a"\nmetric = "v20_percent"\nlimit = 1\nunit = "%"\nsource = "s"\n',
            "unknown metric 'v20_percent'; did you mean 'v20_gy_percent'",
        ),
        (
            'extends = "breast"\nname = "x"\n[[constraints]]\nid = "a"\ndescription = "a"\nmetric = "v20_gy_ml"\nlimit = 1\nunit = "%"\nsource = "s"\n',
            "v20_gy_ml is in ml, not in '%'",
        ),
        (
            'extends = "breast"\nname = "x"\n[[constraints]]\nid = "a"\ndescription = "a"\nmetrik = "mean_gy"\nlimit = 1\nunit = "Gy"\nsource = "s"\n',
            "did you mean 'metric'",
        ),
        (_with_tier("idael"), "'idael' is not one of ideal, acceptable; did you mean 'ideal'"),
        (_with_tier("ideal").replace("optional", "optinal"), "did you mean 'optional'"),
        (_with_tier("ideal").replace('"left"', '"lft"'), "'lft' is not one of left, right; did you mean 'left'"),
        (
            _with_tier("ideal") + _with_tier("acceptable", "b", 3.0, head=False),
            "the ideal limit of 4 Gy is above the acceptable one of 3 Gy (b)",
        ),
        (_with_tier("ideal") + _with_tier("acceptable", "a", 5.0, head=False), "two constraints have the id 'a'"),
        (_with_tier("ideal", limit=-1.0), "greater than or equal to 0"),
        ('extends = "breast"\nname = "x"\nreference_schedule = { dose_gy = 50, fractions = 0 }\n', "greater than 0"),
    ],
)
def test_a_mistake_in_a_protocol_names_the_right_word(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ProtocolError) as caught:
        load_protocol(str(tmp_path / "x.toml"), rule_ids())
    assert message in str(caught.value)


def test_a_constraint_that_cannot_be_checked_is_a_finding(clean_case: Case, clean_draft: Draft) -> None:
    lungs = {
        "id": "lung",
        "description": "Lung volume receiving 20 Gy",
        "metric": "v20_gy_percent",
        "limit": 30.0,
        "unit": "%",
        "source": "QUANTEC",
    }
    base = load_protocol("breast-40-15")

    def assessed(case: Case, **more: object) -> tuple[list[str], float | None]:
        constraint = type(base.constraints[0]).model_validate(lungs | more)
        options = Options(base.model_copy(update={"constraints": (constraint,)}), device="cpu", second_check=False)
        assessment = assess(case, options, clean_draft)
        return [f.message for f in assessment.findings if f.rule == "constraint.not_assessed"], assessment.constraints[
            0
        ].contoured

    messages, value = assessed(clean_case, structure="Lung_L")
    assert messages == []
    assert value is not None
    assert value > 0
    messages, value = assessed(clean_case, structure="Lung_Left")
    assert value is None
    assert "no structure 'Lung_Left'" in messages[0]
    assert "Lung_L" in messages[0]
    assert clean_case.plan is not None
    without = replace(clean_case, plan=replace(clean_case.plan, fractions=None))
    messages, _ = assessed(without, eqd2=True)
    assert "in fractions of 2 Gy" in messages[0]


def test_a_heart_on_one_slice_and_one_of_a_hundredth_of_a_millilitre_are_findings(clean_case: Case, clean_draft: Draft) -> None:
    heart = next(r for r in clean_case.rois if r.structure.name == "Heart")
    w, area = list(heart.structure.planes.items())[len(heart.structure.planes) // 2]

    def rules(planes: dict[float, MultiPolygon]) -> set[str]:
        roi = replace(heart, structure=replace(heart.structure, planes=planes))
        rois = tuple(roi if r is heart else r for r in clean_case.rois)
        found = assess(replace(clean_case, rois=rois), Options(device="cpu", second_check=False), clean_draft)
        assert found.dose is not None
        assert found.dose.contoured is not None
        assert found.dose.contoured.mean_gy is not None
        return {f.rule for f in found.findings}

    assert {"contour.single_plane", "contour.volume"} <= rules({w: area})
    # A disc of 3.3 mm² on a slab of 3 mm: 0.01 ml.
    speck = MultiPolygon([shapely.Point(area.centroid.x, area.centroid.y).buffer(1.03)])
    assert {"contour.single_plane", "dose.small_structure", "contour.volume"} <= rules({w: speck})

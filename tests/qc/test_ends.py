"""Ends are judged by a clinic's habit, by the school that it names, or by what schools differ; the rest is compared between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rtqc.core import Case
from rtqc.core.finding import Finding
from rtqc.core.structure import Structure
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from rtqc.qc import Population, Protocol, ProtocolError, load_protocol, shipped_population
from rtqc.qc.commissioned import Commissioned, Habit
from rtqc.report.view import tiles


def moved_ends(of: Structure, upper_mm: float = 0.0, lower_mm: float = 0.0) -> Structure:
    """The structure with its ends moved, positive upward: planes taken off, or the last ones repeated."""
    step = of.usual_spacing_mm
    planes = dict(of.planes)
    for at_top, mm in ((True, upper_mm), (False, -lower_mm)):
        for _ in range(round(abs(mm) / step)):
            edge = max(planes) if at_top else min(planes)
            if mm < 0:
                del planes[edge]
            else:
                planes[edge + (step if at_top else -step)] = planes[edge]
    return replace(of, planes=planes)


@pytest.fixture
def judge(clean_case: Case, clean_draft: Draft):  # type: ignore[no-untyped-def]
    """Findings about agreement and population of a contour that is the draft itself but for its ends."""

    def run(
        protocol: Protocol | None = None, upper_mm: float = 0.0, lower_mm: float = 0.0, own: Population | None = None
    ) -> dict[str, Finding]:
        heart = replace(moved_ends(clean_draft.structure, upper_mm, lower_mm), name="Heart")
        rois = tuple(replace(r, structure=heart) if r.structure.name == "Heart" else r for r in clean_case.rois)
        populations = {"breast": own} if own is not None else {}
        options = Options(protocol or load_protocol("breast"), device="cpu", second_check=False, populations=populations)
        found = assess(replace(clean_case, rois=rois), options, clean_draft).findings
        return {f.rule: f for f in found if f.rule.startswith(("agreement.", "population.agreement", "protocol.other_model"))}

    return run


def commissioned(draft: Draft, upper_mm: float, lower_mm: float = 0.0, model_hash: str | None = None) -> Protocol:
    def habit(median: float, limit: float) -> Habit:
        return Habit(median=median, low=median - 2, high=median + 2, deviation=4, cases=12, limit=limit)

    told = Commissioned(
        date="2026-11-27", model=draft.model, model_hash=draft.model_hash if model_hash is None else model_hash, cases=12,
        upper_end_mm=habit(upper_mm, 12), lower_end_mm=habit(lower_mm, 12), volume_percent=habit(0, 10),
    )  # fmt: skip
    return load_protocol("breast").model_copy(update={"commissioned": told})


def test_without_a_habit_another_schools_upper_end_is_an_info_and_the_rest_is_compared(judge) -> None:  # type: ignore[no-untyped-def]
    found = judge(upper_mm=-30)
    assert set(found) == {"agreement.upper_end_definition"}
    assert found["agreement.upper_end_definition"].severity == "info"
    assert "30 mm below" in found["agreement.upper_end_definition"].message
    assert "Dice 1.00" in found["agreement.upper_end_definition"].message


def test_an_upper_end_beyond_every_school_is_flagged_and_nothing_is_excused(judge) -> None:  # type: ignore[no-untyped-def]
    found = judge(upper_mm=-45)
    assert found["agreement.upper_end"].severity == "warning"
    assert "agreement.upper_end_definition" not in found
    assert "agreement.dice" in found
    assert "agreement.upper_end" in judge(upper_mm=36)


def test_schools_do_not_differ_about_the_lower_end(judge) -> None:  # type: ignore[no-untyped-def]
    assert "agreement.lower_end" in judge(lower_mm=18)
    assert judge(lower_mm=12) == {}


def test_a_named_school_is_held_to_where_it_begins(judge) -> None:  # type: ignore[no-untyped-def]
    def named(name: str) -> Protocol:
        base = load_protocol("breast")
        return base.model_copy(update={"heart": base.heart.model_copy(update={"upper_end": name})})

    assert "agreement.upper_end" in judge(named("feng2011"), upper_mm=-30)
    assert "agreement.upper_end" not in judge(named("left_atrium"), upper_mm=-30)
    assert "agreement.upper_end" in judge(named("left_atrium"), upper_mm=12)
    assert "agreement.upper_end" not in judge(named("rtog1106"), upper_mm=21)


def test_a_clinics_own_habit_is_no_error_and_what_departs_from_it_is(judge, clean_draft: Draft) -> None:  # type: ignore[no-untyped-def]
    habit = commissioned(clean_draft, upper_mm=-20)
    assert judge(habit, upper_mm=-21) == {}
    found = judge(habit, upper_mm=0)
    assert "20 mm above where this clinic ends hearts (20 mm below the draft's end" in found["agreement.upper_end"].message
    assert found["agreement.upper_end"].evidence.limit == 12
    assert "rtqc commission" in found["agreement.upper_end"].evidence.source
    assert "agreement.upper_end" in judge(habit, upper_mm=-36)
    assert "agreement.lower_end" in judge(habit, upper_mm=-21, lower_mm=15)


def test_beside_the_clinics_own_hearts_nothing_is_excused_by_its_habit(judge, clean_draft: Draft) -> None:  # type: ignore[no-untyped-def]
    """Its own hearts have the habit: one that lies otherwise than they do is an outlier, whoever keeps them (the store or the protocol)."""
    shipped = shipped_population()
    own = shipped.model_copy(update={"name": "this clinic"})
    habit = commissioned(clean_draft, upper_mm=-20)
    assert set(judge(habit, upper_mm=-21, own=own)) == {"population.agreement"}
    assert "of this clinic" in judge(habit, upper_mm=-21, own=own)["population.agreement"].message
    assert judge(habit, upper_mm=-21, own=shipped) == {}


def test_a_habit_of_another_models_drafts_is_not_used_and_said(judge, clean_draft: Draft) -> None:  # type: ignore[no-untyped-def]
    found = judge(commissioned(clean_draft, upper_mm=-20, model_hash="0" * 64), upper_mm=0)
    assert set(found) == {"protocol.other_model"}
    assert "commission again" in found["protocol.other_model"].message


def test_a_misspelt_definition_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('extends = "breast"\nname = "ours"\n[heart]\nupper_end = "feng2001"\n')
    with pytest.raises(ProtocolError, match="did you mean 'feng2011'"):
        load_protocol(str(tmp_path / "p.toml"))


def test_a_protocol_that_misses_its_hearts_says_which_file(tmp_path: Path) -> None:
    text = (
        'extends = "breast"\nname = "ours"\n[commissioned]\ndate = "2026-11-27"\nmodel = "heart-v1"\nmodel_hash = "ab"\n'
        'cases = 12\npopulation_file = "population.toml"\n'
    )
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ProtocolError, match=r"population\.toml cannot be read"):
        load_protocol(str(tmp_path / "p.toml"))
    (tmp_path / "population.toml").write_text('name = "us"\ncount = 12\n[features.volume_ml]\ncentre = 700\nsigma = 100\n')
    (tmp_path / "q.toml").write_text('extends = "p.toml"\nname = "ours, changed"\n')
    loaded = load_protocol(str(tmp_path / "q.toml"))
    assert loaded.commissioned is not None
    assert loaded.commissioned.population is not None
    assert loaded.commissioned.population.features["volume_ml"].centre == 700


def test_the_report_shows_what_was_judged(clean_case: Case, clean_draft: Draft) -> None:
    heart = replace(moved_ends(clean_draft.structure, -30), name="Heart")
    rois = tuple(replace(r, structure=heart) if r.structure.name == "Heart" else r for r in clean_case.rois)
    options = Options(load_protocol("breast"), device="cpu", second_check=False)
    a = assess(replace(clean_case, rois=rois), options, clean_draft)
    shown = {t.name: t.value for t in tiles(a)}
    assert a.agreement is not None
    assert a.agreement.between_ends is not None
    assert a.agreement.dice < 0.92
    assert a.agreement.between_ends.dice == 1.0
    assert shown["Dice between the ends"] == f"{a.agreement.between_ends.dice:.3f}"
    assert a.heart.contoured is not None
    assert not a.heart.contoured.from_draft

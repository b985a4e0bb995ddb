"""The tool itself: the changes that it makes, and that what is written down of them still fits the source."""

from __future__ import annotations

from functools import cache

import pytest

from tests.mutants.equivalent import Equivalent, equivalents
from tests.mutants.known import Known, known_mutants
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.rooms import ROOMS, ROOT


@pytest.mark.parametrize("known", list(known_mutants()), ids=lambda k: k.user[:60])
def test_a_known_wrong_change_still_has_its_place(known: Known) -> None:
    """Whether it is noticed is what ``make mutants`` says; here its text stands in the file once, and the changed file is Python."""
    mutant = known.mutant()
    assert known.room in ROOMS
    assert mutant.source != (ROOT / known.file).read_text()


@cache
def _made(file: str) -> list[Mutant]:
    return mutants_of(file, (ROOT / file).read_text())


@pytest.mark.parametrize("equivalent", equivalents(), ids=lambda e: f"{e.file}: {e.change}"[:80])
def test_a_change_that_is_none_still_has_its_line_and_a_reason(equivalent: Equivalent) -> None:
    made = _made(equivalent.file)
    assert any(equivalent.is_of(m) for m in made), "no such change is made any more: take the entry out"
    assert len(equivalent.reason.split()) >= 4


def changes(source: str) -> set[str]:
    """What is made of one or more lines, as ``old -> new``."""
    return {f"{m.old} -> {m.new}" for m in mutants_of("x.py", source)}


@pytest.mark.parametrize(("source", "expected"), [
    ("x = a - b", {"a - b -> (a + b)", "a - b -> (b - a)", "a -> b", "b -> a"}),
    ("x = -a", {"-a -> a"}),
    ("x = n < 3", {"n < 3 -> (n <= 3)", "n < 3 -> (n > 3)", "3 -> 4"}),
    ("x = p and q", {"p and q -> (p or q)", "p and q -> q", "p and q -> p"}),
    ("x = t[::-1]", {"t[::-1] -> t[:]", "-1 -> 1", "1 -> 0"}),
    ("x = m.T", {"m.T -> m"}),
    ("x = f(p, q)", {"f(p, q) -> f(q, p)"}),
    ("x = max(p, q)", {"max(p, q) -> min(p, q)", "max(p, q) -> p"}),
    ("x = m.sum(axis=0)", {"m.sum(axis=0) -> m.sum()", "0 -> 1"}),
    ("x = 'the heart lies above'", {"'the heart lies above' -> 'the heart lies below'"}),
    ("x = f'{n} mm too large'", {"f'{n} mm too large' -> f'{n} mm too small'"}),
    ("x = [p for p in q if p.ok]", {"[p for p in q if p.ok] -> [p for p in q]", "p.ok -> (not p.ok)"}),
    ("x += 2", {"x += 2 -> x -= 2", "x += 2 -> pass", "2 -> 3"}),
    ("def f():\n    if ready:\n        return 5", {"ready -> (not ready)", "return 5 -> return None", "5 -> 6"}),
    ("def f():\n    for k in q:\n        continue", {"continue -> break"}),
    ("def f(p=True):\n    g(p)", {"True -> False", "g(p) -> pass"}),
])  # fmt: skip
def test_the_changes_of_a_line(source: str, expected: set[str]) -> None:
    found = changes(source)
    assert expected <= found
    # Names are exchanged in functions that have both only; at the top they are always.
    assert found - expected <= {"a -> b", "b -> a", "-1 -> 1", "1 -> 0", "max(p, q) -> max(q, p)"}


@pytest.mark.parametrize("source", [
    '"""Words above and below."""', "import above", "def f() -> int:\n    '''1 above.'''", "raise ValueError('above 3')", "assert n < 3", "T = TypeVar('T')", "x: list[int]",
    "__all__ = ['left', 'right']", "x = round(p, 2)",
])  # fmt: skip
def test_what_no_user_gets_is_not_changed(source: str) -> None:
    assert changes(source) == set()


def test_a_name_is_exchanged_for_one_that_the_function_has() -> None:
    assert "row -> column" in changes("def f(row, column):\n    return row")
    assert "row -> column" not in changes("def f(row):\n    return row")


def test_a_change_is_known_by_its_place_and_not_by_its_number() -> None:
    one, other = mutants_of("x.py", "def f(n):\n    return n + 1"), mutants_of("x.py", "\n\n\ndef f(n):\n    return n + 1")
    assert [m.key for m in one] == [m.key for m in other]
    twice = mutants_of("x.py", "x = p[0] + p[0]")
    assert len({m.key for m in twice}) == len(twice)


def test_every_room_has_files_and_tests() -> None:
    for room in ROOMS.values():
        assert room.files, room.name
        assert all((ROOT / folder).is_dir() for folder in room.tests), room.name

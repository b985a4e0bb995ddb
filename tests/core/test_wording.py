"""Sentences for people: on one line, and without the sign of nothing."""

from __future__ import annotations

import pytest

from rtqc.core import Finding
from rtqc.core.wording import listed, sentence


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("differ most at -0.0 mm.", "differ most at 0.0 mm."),
        ("at -0.0, 3.0, 6.0 mm", "at 0.0, 3.0, 6.0 mm"),
        ("(-0.00 Gy)", "(0.00 Gy)"),
        ("-0 mm apart", "0 mm apart"),
        ("at -0.04 mm and -0.10 mm", "at -0.04 mm and -0.10 mm"),
        ("Heart-0.5 and A-0.0 and 10-0 mm", "Heart-0.5 and A-0.0 and 10-0 mm"),
    ],
)
def test_nothing_has_no_sign(written: str, read: str) -> None:
    assert sentence(written) == read


@pytest.mark.parametrize("control", ["\n", "\r\n", "\t", "\x0b", "\x85", "\u2028", "\x00", "\x1b[31m", "\x9b31m"])
def test_a_name_cannot_break_a_findings_line_or_steer_a_terminal(control: str) -> None:
    finding = Finding(rule="contour.empty", severity="fail", certainty="fact", message=f"Heart{control}PASSED is empty.")
    assert len(finding.message.splitlines()) == 1
    assert finding.message.isprintable()
    assert finding.message.startswith("Heart")
    assert finding.message.endswith("PASSED is empty.")


def test_text_of_every_script_stays_as_it_is() -> None:
    text = "Coeur\u00a0gauche, 심장, 心脏, הלב, Herz – 2 × 3 °"
    assert sentence(text) == text


def test_lists_say_what_they_leave_out() -> None:
    assert listed([]) == ""
    assert listed(["a"], last=" and ") == "a"
    assert listed("abcd", None, last=" and ") == "a, b, c and d"
    assert listed("abcd", 3, last=" and ") == "a, b, c and 1 more"

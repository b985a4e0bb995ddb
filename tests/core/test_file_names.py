"""Names made from what others wrote stay in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.uid import RE_VALID_UID

from rtqc.core.file_names import UidError, distinct_name, printable, shown, text_name, uid_name

_DEVICES = {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


@given(st.text(max_size=300))
@example("../../etc/passwd")
@example("..\\..\\windows")
@example("a\0b")
@example("CON")
@example("nul.txt")
@example(".")
@example("")
@example("-rf")
@example("x" * 63 + "./")
def test_a_name_from_any_text_is_one_name_in_its_folder(text: str) -> None:
    for name in (text_name(text, "case"), distinct_name(text, "case")):
        assert name
        assert len(name) <= 75
        assert (Path("/folder") / name).parent == Path("/folder")
        assert name.isascii()
        assert not set(name) & set('/\\:\0 *?"<>|\n\x1b')
        assert name[0] not in ".-"
        assert name[-1] not in ". "
        assert name.partition(".")[0].upper() not in _DEVICES


@given(st.text(max_size=70), st.text(max_size=70))
def test_distinct_texts_have_distinct_names(one: str, other: str) -> None:
    assert (distinct_name(one, "case") == distinct_name(other, "case")) == (one == other)


@given(st.from_regex(RE_VALID_UID, fullmatch=True).filter(lambda u: len(u) <= 64 and u.isascii()))
def test_a_uid_is_its_own_name(uid: str) -> None:
    assert uid_name(uid) == uid.rstrip()


@pytest.mark.parametrize(
    "uid", ["../../evil", "/etc/passwd", "", ".", "..", "1..2", ".1", "1.", "1.2/3", "1.2\n", "1.2\x00/../x", "١.٢", "1." * 40 + "1", "1.2.x", "con"]
)  # fmt: skip
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(UidError):
        uid_name(uid)


def test_a_uid_padded_as_on_the_wire_and_one_with_leading_zeros_are_taken() -> None:
    assert uid_name("1.2.3\0") == "1.2.3"
    assert uid_name("1.2.003") == "1.2.003"


@given(st.text(max_size=200))
@example("P1\x1b[2J\r\nroot\u2028\u202e\x9b")
def test_what_is_shown_is_one_line_that_no_terminal_obeys(text: str) -> None:
    for told in (printable(text), shown(text)):
        assert told.isprintable()
        assert len(told.splitlines()) <= 1

"""Log lines cannot be forged by what stands in a file, and don't say who is meant unless that is asked for."""

from __future__ import annotations

import json
import logging
import os
import pickle
import stat
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtqc.core.log import FIELDS, Identifying, LineFormatter, log_key

KEY, OTHER = b"k" * 32, b"o" * 32
FORGED = "P1\x1b[2J\r\n2026-11-27T02:00:00 INFO admin logged in\u2028x"


def written(
    formatter: LineFormatter, message: str, *arguments: object, error: Exception | None = None, **fields: object
) -> str:
    """What a logger writes."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("rtqc.node")
    logger.addHandler(handler)
    logger.error(message, *arguments, exc_info=error, extra={FIELDS: fields})
    return stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("key", [KEY, None])
def test_one_event_is_one_line_of_characters_that_print(as_json: bool, key: bytes | None) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as caught:
        error = caught
    line = written(
        LineFormatter(key, as_json), "%s and %s and %s", Identifying(FORGED), FORGED, 3, error=error, patient=Identifying(FORGED)
    )  # fmt: skip
    assert line.endswith("\n")
    assert len(line[:-1].splitlines()) == 1
    assert line[:-1].isprintable()
    if as_json:
        told = json.loads(line)
        assert told["level"] == "error"
        assert (told["patient"] == FORGED) == (key is None)
        assert told["error"]["kind"] == "ValueError"
        assert [p.split()[1] for p in told["error"]["places"]] == ["test_one_event_is_one_line_of_characters_that_print"]


@given(st.text(max_size=60))
def test_whatever_stands_in_a_file_stays_in_its_line(text: str) -> None:
    for key in (None, KEY):
        for as_json in (False, True):
            line = written(
                LineFormatter(key, as_json), "%s: %s", Identifying(text, "folder"), text, plan=Identifying(text, "plan")
            )
            assert line[:-1].isprintable()
            assert line.count("\n") == 1


def test_an_identifier_is_hashed_unless_asked_for() -> None:
    error = ValueError("cannot read incoming/MEIER-4711")
    for as_json in (False, True):
        line = written(
            LineFormatter(KEY, as_json), "%s came", Identifying("MEIER-4711"), error=error, patient=Identifying("MEIER-4711")
        )
        assert "4711" not in line
        assert "MEIER" not in line
        assert "patient:" in line
        assert "ValueError" in line
        assert "4711" in written(LineFormatter(None, as_json), "%s came", Identifying("MEIER-4711"))


def test_the_same_patient_has_the_same_hash_in_one_installation_and_another_in_another() -> None:
    def hashed(key: bytes, text: str) -> str:
        return written(LineFormatter(key), "%s", Identifying(text)).split()[-1]

    assert hashed(KEY, "4711") == hashed(KEY, "4711")
    assert hashed(KEY, "4711") != hashed(KEY, "4712")
    assert hashed(KEY, "4711") != hashed(OTHER, "4711")


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = log_key(tmp_path / "state" / "log.key")
    assert len(key) == 32
    assert log_key(tmp_path / "state" / "log.key") == key
    assert log_key(tmp_path / "other.key") != key
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "state" / "log.key").stat().st_mode) == 0o600
        (tmp_path / "link.key").symlink_to(tmp_path / "other.key")
        with pytest.raises(OSError, match="symbolic links"):
            log_key(tmp_path / "link.key")


def test_what_identifies_goes_from_one_process_to_another() -> None:
    assert pickle.loads(pickle.dumps(Identifying("4711", "plan"))) == Identifying("4711", "plan")
    assert str(Identifying("a\nb")) == "a\\nb"


def test_a_line_with_arguments_that_do_not_fit_is_written_all_the_same() -> None:
    assert "100 % of %s" in written(LineFormatter(KEY), "100 % of %s", 3)

"""Folders deeper than Python recurses, and names that are no text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rtqc.core.walk import files_below, shown_name, walk

DEPTH = 1200


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(DEPTH):
            os.mkdir("d")
            os.chdir("d")
        Path("file").write_text("x")
    finally:
        os.chdir(here)
    return tmp_path


def test_a_folder_deeper_than_pythons_recursion_is_walked_to_its_end(deep: Path) -> None:
    assert sys.getrecursionlimit() < DEPTH
    assert sum(1 for _ in walk(deep)) == DEPTH + 1
    assert len(files_below(deep)) == 1
    # pytest's own tidying recurses.
    folders = [folder for folder, _, _ in walk(deep)]
    os.unlink(files_below(deep)[0])
    for folder in reversed(folders[1:]):
        os.rmdir(folder)


def test_walking_is_in_the_order_that_is_asked_for_and_leaves_out_what_is_taken_away(tmp_path: Path) -> None:
    for name in ("b/x", "a/y", "c/z"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    seen = []
    for folder, folders, _ in walk(tmp_path):
        folders[:] = sorted(f for f in folders if f != "b")
        seen.append(folder.name)
    assert seen[1:] == ["a", "c"]


def test_a_link_to_above_is_not_walked_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert len(list(walk(tmp_path))) == 2


def test_a_name_that_is_no_text_is_shown_by_its_bytes_and_others_as_they_are() -> None:
    assert shown_name(os.fsdecode(b"M\xfcller")) == "M\\xfcller"
    assert shown_name("Müller") == "Müller"
    shown_name("\ud800").encode("utf-8")

"""The doctor: what would not work, before the night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtqc.nightly import Store
from tests.cli.run import rtqc
from tests.nightly.conftest import opened
from tests.nightly.test_dashboard import key_of
from tests.nightly.test_store import begun, result


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """A store of two plans."""
    (tmp_path / "out").mkdir()
    with opened(tmp_path / "out" / "rtqc.sqlite") as store:
        run = begun(store)
        for k in (3, 23):
            store.save(run, result(k, key=key_of(k)))
        yield store


def test_the_doctor_finds_all_well(tmp_path: Path, clean_folder: Path, kept: Store) -> None:
    outcome = rtqc(
        "doctor", "--archive", clean_folder, "--out", tmp_path / "night", "--store", tmp_path / "out" / "rtqc.sqlite", "--json"
    )
    checks = {c["name"]: c for c in outcome.document["checks"]}
    assert outcome.status == 0, checks
    assert checks["device"]["found"].startswith("auto takes")
    assert "holds 2 plans" in checks["store"]["found"]
    assert not (tmp_path / "night").exists()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".rtqc-doctor")] == []
    assert "✓" in rtqc("doctor").out


def test_the_doctor_names_what_would_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for arguments, words, status in (
        (("--archive", tmp_path / "absent"), "is not mounted", 2),
        (("--archive", tmp_path / "empty"), "is empty", 1),
        (("--out", tmp_path / "used"), "holds other files", 2),
        (("--store", "postgresql://rtqc@127.0.0.1:1/x"), "cannot be used", 2),
        (("--store", tmp_path / "used" / "new.sqlite"), "can be made", 0),
        (("--model", "nothing"), "there is no model", 2),
    ):
        outcome = rtqc("doctor", *arguments)
        assert outcome.status == status, outcome.out
        assert words in outcome.out
    whole = Path.open

    def refuse(self: Path, *more: Any, **options: Any) -> Any:
        if self.parent.name == "used":
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *more, **options)

    monkeypatch.setattr(Path, "open", refuse)
    outcome = rtqc("doctor", "--archive", tmp_path / "used")
    assert outcome.status == 2
    assert "Permission denied" in outcome.out

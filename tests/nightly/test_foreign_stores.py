"""Databases of others stay as they are; passwords are never shown; PostgreSQL's address is understood as libpq does."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from rtqc.core.secrets import masked, without
from rtqc.nightly import StoreError, open_store
from rtqc.nightly.store.postgresql import AddressError, prepared
from tests.cli.run import rtqc
from tests.nightly.conftest import Postgres

SECRET = "gehe1m-Wort"


def database(path: Path, *statements: str) -> bytes:
    """A SQLite file of somebody's; its content."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE patients (id INTEGER)",),
        (
            "CREATE TABLE alembic_version (version_num TEXT)",
            "INSERT INTO alembic_version VALUES ('abc')",
            "CREATE TABLE patients (id INTEGER)",
        ),
        ("PRAGMA application_id = 1196444487", "CREATE TABLE alembic_version (version_num TEXT)"),
        ("CREATE TABLE run (id INTEGER)", "CREATE TABLE result (id INTEGER)"),
    ],
    ids=["tables", "Alembic of others", "application id", "names like ours"],
)
def test_a_database_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "theirs.sqlite"
    before = database(path, *statements)
    for create in (True, False):
        with pytest.raises(StoreError, match="another program and stays as it is"):
            open_store(path, create=create)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["theirs.sqlite"]
    outcome = rtqc("store", "show", "--store", path)
    assert outcome.status == 2
    assert "another program" in outcome.err


def test_what_stands_only_in_the_log_of_a_foreign_database_counts(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE patients (id INTEGER)")
        connection.commit()
        with pytest.raises(StoreError, match="another program"):
            open_store(path)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("patients",)]


def test_our_stores_say_that_they_are_ours_and_older_ones_are_still_known(tmp_path: Path) -> None:
    path = tmp_path / "ours.sqlite"
    open_store(path).close()
    assert path.read_bytes()[68:72] == b"rtqc"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 0")
    open_store(path, create=False).close()


def test_a_foreign_postgresql_database_is_refused(postgres: Postgres) -> None:
    url = postgres.new_database("theirs")
    engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patients (id INTEGER)"))
    with pytest.raises(StoreError, match="another program"):
        open_store(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")) == 1
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://rtqc:{SECRET}@127.0.0.1:1/rtqc", f"postgresql://rtqc@127.0.0.1:1/rtqc?password={SECRET}", f"postgresql://rtqc:{SECRET}@127.0.0.1:x/rtqc",
        f"postgresql://rtqc@127.0.0.1:1/rtqc?PassWord={SECRET}", f"postgresql://rtqc@127.0.0.1:1/rtqc?sslmode=none&password={SECRET}",
        f"postgresql://rtqc@127.0.0.1:1/rtqc?password={SECRET}&password={SECRET}", f"mysql://rtqc:{SECRET}@127.0.0.1/rtqc", f"nonsense://{SECRET}:{SECRET}@",
        f"postgresql://rtqc:a@{SECRET}@127.0.0.1:1/rtqc", f"postgresql://rtqc:a/{SECRET}@127.0.0.1:1/rtqc", f"sqlite:////proc/none/x.sqlite?password={SECRET}",
        f"postgresql+psycopg2cffi://rtqc:{SECRET}@127.0.0.1:1/rtqc",
    ],
)  # fmt: skip
def test_a_password_is_never_shown(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    for command in (
        ("store", "show", "--store", url), ("store", "forget", "--older-than", "1", "--store", url), ("doctor", "--store", url, "--json"),
        ("nightly", tmp_path, "--out", tmp_path.parent / f"{tmp_path.name}-out", "--store", url, "--json"),
    ):  # fmt: skip
        outcome = rtqc(*command)
        shown.append(outcome.out + outcome.err)
        assert outcome.status == (1 if "forget" in command else 2), outcome  # the question is not answered
    told = "\n".join([*shown, caplog.text])
    assert SECRET not in told.replace(f"nonsense://{SECRET}:", "")


def test_a_password_is_not_in_what_a_night_leaves_behind(postgres: Postgres, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    out = tmp_path / "out"
    url = postgres.new_database("secretive").replace("rtqc@", f"rtqc:{SECRET}@")
    outcome = rtqc("nightly", tmp_path / "archive", "--out", out, "--store", url, "--json")
    assert outcome.status == 0, outcome.err
    assert "***" in json.loads(outcome.out)["run"]["store"]
    assert SECRET not in outcome.out + outcome.err
    for file in out.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_secrets_are_masked_in_every_form() -> None:
    for told, shown in (
        ("postgresql://a:b@h/d", "postgresql://a:***@h/d"),
        ("postgresql://a:b@c@h/d", "postgresql://a:***@h/d"),
        ("https://a:b@h:8042/x?token=abc&y=1", "https://a:***@h:8042/x?token=***&y=1"),
        ("host=h password='a b' user=u", "host=h password=*** user=u"),
        ("postgresql://a@h/d?sslmode=require", "postgresql://a@h/d?sslmode=require"),
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
    ):
        assert masked(told) == shown
    assert without(f"FATAL: {SECRET} is wrong", SECRET) == "FATAL: *** is wrong"


def test_the_address_of_a_server_is_read_as_libpq_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    passwords = tmp_path / "pgpass"
    passwords.write_text(
        "# comment\nother:5432:*:ann:no\nh:5433:*:ann:a\\:b\\\\c\n*:*:rtqc:ben:second\nlocalhost:5432:d:ann:unix\n"
    )
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    passwords.chmod(0o600)

    def password(url: str) -> str | None:
        return prepared(make_url(url))[0].password

    assert password("postgresql://ann@h:5433/x") == "a:b\\c"
    assert password("postgresql://ben@other/rtqc") == "second"
    assert password("postgresql://ben@other/x") is None
    assert password("postgresql://ann@/d?host=/run/pg") == "unix"
    assert password("postgresql://ann:own@h:5433/x") == "own"
    assert password("postgresql://ann@h:5433/x?password=p") == "p"
    passwords.chmod(0o644)
    assert password("postgresql://ann@h:5433/x") is None
    monkeypatch.setenv("PGPASSWORD", "env")
    assert password("postgresql://ann@h:5433/x") == "env"
    told = prepared(make_url("postgresql://ann@/d?host=/run/pg&port=5433"))[1]
    assert told["unix_sock"] == "/run/pg/.s.PGSQL.5433"
    assert prepared(make_url("postgresql://a@h/d?sslmode=disable"))[1]["ssl_context"] is False
    context = prepared(make_url("postgresql://a@h/d?sslmode=verify-full"))[1]["ssl_context"]
    assert context.check_hostname
    for wrong in ("sslmode=x", "options=-c", "sslrootcert=/nowhere&sslmode=verify-ca", "port=x"):
        with pytest.raises(AddressError):
            prepared(make_url(f"postgresql://a@h/d?{wrong}"))

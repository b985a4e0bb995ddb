"""Accounts, sessions, failed sign-ins, the audit trail."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from rtqc.workbench import Account, AccountError, Accounts, AuditError, AuditTrail
from rtqc.workbench.audit import broken_line
from rtqc.workbench.sessions import IDLE_SECONDS, LONGEST_SECONDS, MOST_OF_ONE, Sessions
from rtqc.workbench.throttle import FREE, Throttle
from tests.cli.run import rtqc
from tests.workbench.conftest import PASSWORD, Client, trail


def test_accounts_are_kept_as_argon2_in_a_file_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "accounts.json"
    accounts = Accounts(path)
    accounts.add("Zoë", "reviewer", PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    assert PASSWORD not in text
    # RFC 9106, section 4: argon2id, version 19.
    assert json.loads(text)["accounts"][0]["password_hash"].startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    # The same name, composed otherwise, in other case.
    assert Accounts(path).verify("ZOE\u0308", PASSWORD) == accounts.find("Zoë")
    assert Accounts(path).verify("Zoë", PASSWORD + "x") is None
    assert Accounts(path).verify("nobody", PASSWORD) is None
    path.chmod(0o640)
    with pytest.raises(AccountError, match="chmod 600"):
        Accounts(path).all()


def test_what_cannot_be_an_account_is_said(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    accounts.add("ann", "reader", PASSWORD)
    for name, password, words in (
        ("ANN", PASSWORD, "already"), ("", PASSWORD, "characters"), ("a\nb", PASSWORD, "can be seen"), ("b", "short", "12 to 256"), ("b", "x" * 300, "12 to 256"),
        ("b", "aaaaaaaaaaaaaa", "guessed"), ("long enough name", "Long Enough Name", "guessed"),
    ):  # fmt: skip
        with pytest.raises(AccountError, match=words):
            accounts.add(name, "reader", password)
    for change in (
        lambda: accounts.remove("b"),
        lambda: accounts.set_role("b", "reader"),
        lambda: accounts.set_password("b", PASSWORD),
    ):
        with pytest.raises(AccountError, match="no account 'b'"):
            change()
    assert accounts.all() == [Account("ann", "reader", accounts.all()[0].password_hash)]
    for content in (
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"version": 1, "accounts": [{"name": "x", "role": "root", "password_hash": ""}]}',
        b"\xff",
    ):
        (tmp_path / "bad.json").touch(mode=0o600)
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(AccountError, match="no file of accounts"):
            Accounts(tmp_path / "bad.json").all()


def test_an_account_without_password_cannot_sign_in_with_one(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    accounts.add("ann", "reader", None)
    assert accounts.verify("ann", "") is None
    assert accounts.verify("ann", PASSWORD) is None


def test_sessions_end_when_unused_and_after_a_day_of_work() -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    begun = sessions.start("ann", "s")
    assert begun is not None
    token = begun[0]
    now = IDLE_SECONDS
    assert sessions.find(token) is not None
    now += IDLE_SECONDS + 1
    assert sessions.find(token) is None
    begun = sessions.start("ann", "s")
    assert begun is not None
    while now < 2 * IDLE_SECONDS + 1 + LONGEST_SECONDS:
        assert sessions.find(begun[0]) is not None
        now += IDLE_SECONDS / 2
    now += IDLE_SECONDS / 2
    assert sessions.find(begun[0]) is None
    many = [sessions.start("ann", "s") for _ in range(MOST_OF_ONE + 5)]
    alive = [m for m in many if m is not None and sessions.find(m[0]) is not None]
    assert alive == many[5:]


def test_failed_sign_ins_wait_longer_each_time_and_lock_no_colleague_out() -> None:
    now = 1000.0
    throttle = Throttle(lambda: now)
    for _ in range(FREE["pair"]):
        assert throttle.wait_seconds("ann", "10.0.0.1") == 0
        throttle.tried("ann", "10.0.0.1")
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_seconds("ann", "10.0.0.1"))
        now += waits[-1]
        assert throttle.wait_seconds("ann", "10.0.0.1") == 0
        throttle.tried("ann", "10.0.0.1")
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    assert throttle.wait_seconds("ann", "10.0.0.2") == 0
    assert throttle.wait_seconds("ben", "10.0.0.2") == 0
    now += 901
    assert throttle.wait_seconds("ann", "10.0.0.1") == 0
    # A ward behind one address that signs in all day waits for nobody.
    for k in range(500):
        assert throttle.wait_seconds(f"u{k}", "10.0.0.9") == 0
        throttle.tried(f"u{k}", "10.0.0.9")
        throttle.succeeded(f"u{k}", "10.0.0.9")


def test_guessing_is_slowed_down_and_recorded(client: Client, out: Path) -> None:
    for _ in range(FREE["pair"]):
        assert client.sign_in(password="wrong").status == 403
    slowed = client.sign_in(password=PASSWORD)
    assert slowed.status == 429
    assert int(slowed.headers["retry-after"]) >= 1
    assert client.sign_in("trainee").status == 303
    told = trail(out)
    assert [t["event"] for t in told[1:]] == ["refused"] * FREE["pair"] + ["signed in"]
    assert told[1]["who"] == "A. Physicist"
    client.sign_in("typed-my-password-here", "x")
    assert trail(out)[-1]["who"] == ""
    assert "typed" not in (out / "audit.jsonl").read_text("ascii")


def test_a_form_of_another_site_signs_nobody_in(client: Client) -> None:
    page = client.ask("/login").content.decode()
    token = page.split('name="token" value="')[1].split('"')[0]
    form = f"token={token}&name=trainee&password={PASSWORD.replace(' ', '+')}".encode()
    assert client.ask("/login", "POST", form, Origin="https://evil.example").status == 403
    assert client.ask("/login", "POST", form.replace(token.encode(), b"x")).status == 403
    client.cookies.clear()
    assert client.ask("/login", "POST", form).status == 403
    for wrong in (b"\xff", b"a=1&" * 50, b""):
        assert client.ask("/login", "POST", wrong).status in (400, 403)


def test_a_sign_in_returns_to_our_pages_only(client: Client) -> None:
    for told, goes in (
        ("/latest/index.html", "/latest/index.html"), ("//evil.example/latest/x.html", "/"), ("https://evil.example/", "/"), ("/\\evil.example/x.html", "/"),
        ("/latest/x.html\r\nSet-Cookie: a=b", "/"),
    ):  # fmt: skip
        answer = client.sign_in(next=told)
        assert (answer.status, answer.headers["location"]) == (303, goes)


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(client: Client) -> None:
    (cookie,) = client.sign_in().cookies
    assert {"httponly", "samesite=strict", "path=/"} <= {p.strip().lower() for p in cookie.split(";")}
    assert "domain" not in cookie.lower()


def test_a_changed_or_removed_line_of_the_trail_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditTrail(path) as audit:
        for k in range(5):
            audit.record("saw", "ann\n{", "127.0.0.1", case=f"{k}")
        with pytest.raises(AuditError, match="another rtqc serve"):
            AuditTrail(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_bytes().splitlines(keepends=True)
    # A run that was cut in the middle of a line is gone on with.
    path.write_bytes(b"".join(lines) + b'{"half')
    with AuditTrail(path) as audit:
        audit.record("saw", "ben", "")
    assert broken_line(path) is None
    assert rtqc("accounts", "audit", path).status == 0
    for changed in (
        [*lines[:2], lines[2].replace(b'"2"', b'"9"'), *lines[3:]],
        [*lines[:2], *lines[3:]],
        [lines[1], lines[0], *lines[2:]],
        lines[1:],
    ):
        path.write_bytes(b"".join(changed))
        assert broken_line(path) is not None
        outcome = rtqc("accounts", "audit", path)
        assert outcome.status == 1
        assert "was changed or removed" in outcome.out


def test_the_trail_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(AuditError, match="cannot be written"):
        AuditTrail(tmp_path / "audit.jsonl")


def test_accounts_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from rtqc.cli.main import cli

    path = str(tmp_path / "accounts.json")

    def run(*arguments: str, told: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["accounts", *arguments, "--accounts", path], input=told)
        return done.exit_code, done.output

    assert run("add", "ann", "--role", "reviewer", "--password-stdin", told=PASSWORD + "\n") == (
        0,
        "ann may sign in as reviewer\n",
    )
    assert run("add", "ben", told=f"{PASSWORD}\n{PASSWORD}\n")[0] == 0
    assert run("add", "cid", "--no-password")[0] == 0
    text = run("list", "--json")[1]
    assert json.loads(text)["accounts"] == [
        {"name": "ann", "role": "reviewer", "has_password": True},
        {"name": "ben", "role": "reader", "has_password": True},
        {"name": "cid", "role": "reader", "has_password": False},
    ]
    assert "by a reverse proxy only" in run("list")[1]
    assert run("role", "ben", "reviewer")[0] == 0
    assert run("password", "ann", "--password-stdin", told="another long password\n")[0] == 0
    assert Accounts(Path(path)).verify("ann", "another long password") is not None
    assert run("remove", "ann")[0] == 0
    assert run("remove", "ann")[0] == 2
    assert run("add", "dan", "--password-stdin", told="short\n")[0] == 2
    assert [a.name for a in Accounts(Path(path)).all()] == ["ben", "cid"]

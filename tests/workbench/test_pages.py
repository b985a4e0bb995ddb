"""What is shown to whom, and who may decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rtqc.nightly import Store
from rtqc.workbench import Accounts, WebServer
from tests.nightly.test_dashboard import browser, key_of  # noqa: F401
from tests.workbench.conftest import PASSWORD, Client, Start, trail

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_flag_is_reviewed_on_the_page_in_the_name_of_who_signed_in(
    server: WebServer, kept: Store, out: Path, browser: Browser  # noqa: F811
) -> None:  # fmt: skip
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.goto(server.address)
    assert page.title() == "rtqc – sign in"
    page.fill("input[name=name]", "A. Physicist")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#account", has_text="A. Physicist, reviewer").wait_for()
    assert page.title().startswith("rtqc nightly")
    page.select_option("#which", "flag")
    page.fill("#find", "pat00023")
    row = page.locator("#plans tbody tr", has_text="PAT00023")
    row.get_by_role("button", name="Review").click()
    page.select_option("dialog select", "model")
    page.fill("dialog input[name=note]", "apex <i>drawn</i> by hand")
    page.get_by_role("button", name="Keep").click()
    row.get_by_text("A. Physicist").wait_for()
    assert "apex <i>drawn</i> by hand" in row.inner_text()
    (review,) = kept.acknowledgements()[key_of(23)]
    assert (review.by, review.outcome, review.note) == ("A. Physicist", "model", "apex <i>drawn</i> by hand")
    page.reload()
    page.select_option("#which", "flag")
    page.locator("#plans tbody tr", has_text="A. Physicist").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.locator("input[name=password]").wait_for()
    # Pictures of plans that the store's test rows do not have may be missing; a policy that was broken may not.
    assert [w for w in wrong if "Content Security Policy" in w] == []
    page.close()
    events = [(t["event"], t["who"], t.get("case", "")) for t in trail(out)]
    assert ("decided", "A. Physicist", key_of(23)[:12]) in events
    assert events[-1] == ("signed out", "A. Physicist", "")


def test_a_reader_sees_and_does_not_decide(client: Client, kept: Store, out: Path) -> None:
    assert client.sign_in("trainee").status == 303
    assert client.ask("/latest/index.html").status == 200
    refused = client.review({"key": key_of(3), "outcome": "model"})
    assert refused.status == 403
    assert "role reviewer" in refused.document["error"]
    assert kept.acknowledgements() == {}
    assert trail(out)[-1]["event"] == "denied"


def test_only_pages_and_reports_are_served(client: Client, out: Path, tmp_path: Path) -> None:
    client.sign_in()
    (tmp_path / "secret.json").write_text("{}")
    (out / "reports" / "link.json").symlink_to(tmp_path / "secret.json")
    assert client.ask("/").headers["location"] == "/latest/index.html"
    assert client.ask("/latest/index.html").status == 200
    assert client.ask("/latest/plans.csv").status == 200
    paths = (
        "/rtqc.sqlite", "/status.json", "/audit.jsonl", "/accounts.json", "/latest/../rtqc.sqlite", "/latest/%2e%2e/rtqc.sqlite", "/latest/..%2frtqc.sqlite",
        "//latest/../rtqc.sqlite", "/%2e%2e/x", "/latest/", "/reports/", "/.rtqc-nightly", "/x", "/reports/link.json", "/latest/%00.html", "/latest/a%0a.html",
        "/latest/..%5c..%5caccounts.json", "/reports/../../accounts.json", "/latest/%ff.html", "/latest/" + "a" * 500 + ".html",
    )  # fmt: skip
    for path in paths:
        assert client.ask(path).status == 404, path


def test_nobody_sees_anything_before_signing_in(server: WebServer, client: Client, out: Path) -> None:
    case = next((out / "reports").rglob("thumbnail.svg")).relative_to(out)
    for path in ("/latest/index.html", "/latest/plans.csv", f"/{case}", "/reviews", "/session", "/latest/absent.html"):
        answer = client.ask(path)
        assert (answer.status, answer.document) == (401, {"error": "sign in first"}), path
    page = client.ask("/latest/index.html", Accept="text/html")
    assert (page.status, page.headers["location"]) == (303, "/login?next=/latest/index.html")
    assert client.ask("/reviews", "POST", b"{}").status == 401


def test_who_saw_which_case_is_recorded_without_a_word_about_patients(client: Client, out: Path) -> None:
    client.sign_in()
    picture = next((out / "reports").rglob("thumbnail.svg"))
    assert client.ask(f"/{picture.relative_to(out)}").status == 200
    client.ask("/latest/plans.csv")
    saw, listed = trail(out)[-2:]
    assert (saw["event"], saw["who"], saw["case"], saw["file"]) == ("saw", "A. Physicist", picture.parent.name, "thumbnail.svg")
    assert (listed["event"], listed["file"]) == ("listed", "latest/plans.csv")
    assert "PAT0" not in (out / "audit.jsonl").read_text("ascii")


def test_every_answer_carries_the_headers_that_keep_it_where_it_belongs(client: Client, out: Path) -> None:
    picture = next((out / "reports").rglob("thumbnail.svg")).relative_to(out)
    anonymous = [client.ask(path) for path in ("/", "/login", "/absent", "/reviews")]
    client.sign_in()
    for answer in [
        *anonymous,
        *(client.ask(p) for p in ("/latest/index.html", "/latest/plans.csv", f"/{picture}", "/session")),
    ]:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "server" not in answer.headers
        assert "script-src 'unsafe" not in policy
    policies = [client.ask("/login").headers["content-security-policy"] for _ in range(2)]
    assert policies[0] != policies[1]
    assert all("style-src 'nonce-" in p for p in policies)


def test_a_review_needs_its_token_its_site_and_its_shape(client: Client, kept: Store, server: WebServer) -> None:
    client.sign_in()
    told = {"key": key_of(3), "by": "stranger"}
    body = json.dumps(told).encode()
    assert client.ask("/reviews", "POST", body).status == 403
    assert client.ask("/reviews", "POST", body, X_CSRF_Token="x").status == 403
    assert client.review(told, Origin="https://evil.example").status == 403
    assert client.review(told, Origin="null").status == 403
    assert client.review(told, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status == 403
    assert client.ask("/reviews", Host="evil.example").status == 403
    token = client.ask("/session").document["csrf"]
    other = Client(server.port)
    other.sign_in("trainee")
    assert other.ask("/reviews", "POST", body, X_CSRF_Token=token).status == 403
    assert kept.acknowledgements() == {}
    for wrong in (
        {"key": "zz"}, {"key": ""}, {"key": key_of(3), "outcome": "nonsense"}, [1], 5, None, "x", {"key": 3}, {"key": key_of(3), "note": "a\nb"},
        {"key": key_of(3), "note": "\ud800"}, {"key": key_of(3), "note": "\x00"}, {"key": key_of(3), "note": "x" * 2001},
    ):  # fmt: skip
        answer = client.review(wrong)
        assert answer.status == 400, wrong
        assert answer.document["error"]
    for raw in (b"{", b"[" * 9_000, b"\xff\xfe", b'{"key":1e999}', b""):
        assert client.ask("/reviews", "POST", raw, X_CSRF_Token=token).status == 400, raw
    assert client.ask("/reviews", "POST", b"x" * 20_000, X_CSRF_Token=token).status == 413
    assert kept.acknowledgements() == {}
    assert client.review(told).status == 200
    assert client.ask("/reviews").document[key_of(3)]["by"] == "A. Physicist"


def test_a_removed_account_and_a_changed_password_end_sessions_at_once(client: Client, accounts_file: Path) -> None:
    client.sign_in()
    assert client.ask("/session").document["role"] == "reviewer"
    Accounts(accounts_file).set_role("A. Physicist", "reader")
    assert client.ask("/session").document["role"] == "reader"
    Accounts(accounts_file).set_password("a. physicist", "another long password")
    assert client.ask("/session").status == 401
    client.sign_in(password="another long password")
    assert client.ask("/session").status == 200
    Accounts(accounts_file).remove("A. Physicist")
    assert client.ask("/session").status == 401


def test_nothing_is_shown_that_cannot_be_recorded(client: Client, server: WebServer, kept: Store) -> None:
    client.sign_in()

    def full(*arguments: object, **more: object) -> None:
        from rtqc.workbench import AuditError

        raise AuditError("full")

    token = client.ask("/session").document["csrf"]
    server._audit.record = full  # type: ignore[method-assign]
    assert client.ask("/latest/index.html").status == 503
    assert client.ask("/reviews", "POST", json.dumps({"key": key_of(3)}).encode(), X_CSRF_Token=token).status == 503
    assert kept.acknowledgements() == {}
    del server._audit.record


def test_who_started_the_server_gets_in_by_its_address_and_nobody_else(start: Start, kept: Store) -> None:
    server = start()
    client = Client(server.port)
    assert client.ask("/latest/index.html").status == 401
    assert client.ask("/open/wrong").status == 403
    assert client.ask("/open/%ff").status == 403
    assert client.sign_in("root", "").status == 404
    answer = client.ask("/" + server.address.split("/", 3)[3])
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert client.ask("/latest/index.html").status == 200
    assert client.review({"key": key_of(3), "outcome": "contour"}).status == 200
    assert kept.acknowledgements()[key_of(3)][0].by

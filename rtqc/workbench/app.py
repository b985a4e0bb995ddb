"""The pages of the server: signing in and out, what nights have written, reviews."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from rtqc.nightly.places import DASHBOARD_FILE, LATEST
from rtqc.nightly.store import Acknowledgement, Store, StoreError
from rtqc.report import templates
from rtqc.workbench.accounts import Account, AccountError
from rtqc.workbench.audit import AuditError, AuditTrail
from rtqc.workbench.files import case_of, file_response, may_return_to, served_file
from rtqc.workbench.guard import TooLargeError
from rtqc.workbench.identity import Identity, LinkIdentity, PasswordIdentity, RefusedError, SignedIn, User, stamp_of
from rtqc.workbench.throttle import Throttle

CSRF_HEADER = "X-CSRF-Token"
_HOME = f"/{LATEST}/{DASHBOARD_FILE}"
_OUTCOMES = ("", "contour", "model", "accepted")
_MOST_KEY, _MOST_NOTE = 64, 2_000
_log = logging.getLogger("rtqc.workbench")

Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """All endpoints, with what they need."""

    def __init__(
        self,
        out: Path,
        store: Store,
        identity: Identity,
        audit: AuditTrail,
        *,
        is_secure: bool,
        throttle: Throttle | None = None,
    ) -> None:
        """Take what was opened.

        Args:
            out: the folder of all runs.
            store: reviews are kept there.
            identity: how people prove who they are.
            audit: whatever is seen or decided is recorded there first.
            is_secure: whether browsers come over TLS, so that cookies may ask for it.
            throttle: of failed sign-ins.
        """
        self._out, self._store, self._identity, self._audit = out, store, identity, audit
        self._throttle = throttle or Throttle()
        self._is_secure = is_secure
        # __Host-: no other host below our domain can set it, and none of its pages is asked without TLS.
        self._cookie, self._form_cookie = ("__Host-rtqc", "__Host-rtqc-form") if is_secure else ("rtqc", "rtqc-form")

    def application(self) -> Starlette:
        """The routes."""
        route = self._answered
        return Starlette(
            routes=[
                Route("/", route(self.home), methods=["GET"]),
                Route("/login", route(self.login_page), methods=["GET"]),
                Route("/login", route(self.login), methods=["POST"]),
                Route("/open/{secret}", route(self.open_link), methods=["GET"]),
                Route("/logout", route(self.logout), methods=["POST"]),
                Route("/session", route(self.session), methods=["GET"]),
                Route("/reviews", route(self.reviews), methods=["GET"]),
                Route("/reviews", route(self.review), methods=["POST"]),
                Route("/{path:path}", route(self.file), methods=["GET"]),
            ]
        )

    async def home(self, request: Request) -> Response:
        """The last night's page."""
        return RedirectResponse(_HOME, 303)

    async def login_page(self, request: Request) -> Response:
        """A form, or what to do instead."""
        return self._form(request)

    async def login(self, request: Request) -> Response:
        """A name and a password for a session."""
        identity = self._identity
        if not isinstance(identity, PasswordIdentity):
            raise RefusedError("nobody signs in here with a password", 404)
        form = await _form_fields(request)
        token = request.cookies.get(self._form_cookie, "")
        if not token or not _same(form.get("token", ""), token):
            return self._form(request, "The form was too old: try again.", 403, form.get("next"))
        name, address = form.get("name", "")[:200], _address(request)
        wait = self._throttle.wait_seconds(name, address)
        if wait > 0:
            response = self._form(
                request, f"Too many wrong passwords: wait {int(wait) + 1} s and try again.", 429, form.get("next")
            )
            response.headers["Retry-After"] = str(int(wait) + 1)
            return response
        # Counted before it is tried: a hundred tries at once are a hundred tries.
        self._throttle.tried(name, address)
        account = await run_in_threadpool(identity.accounts.verify, name, form.get("password", ""))
        if account is None:
            # Passwords are typed into the field of the name: only names that exist are recorded.
            known = identity.accounts.find(name)
            self._audit.record("refused", known.name if known else "", address, why="password")
            return self._form(request, "This name and password do not fit.", 403, form.get("next"))
        self._throttle.succeeded(name, address)
        signed_in = self._signed_in(account, address)
        response = RedirectResponse(may_return_to(form.get("next", "/")), 303)
        self._give_cookie(response, signed_in)
        return response

    async def open_link(self, request: Request) -> Response:
        """The address that the terminal showed."""
        identity = self._identity
        account = identity.open(request.path_params["secret"]) if isinstance(identity, LinkIdentity) else None
        if account is None:
            raise RefusedError("this address is not the one that rtqc serve showed in its terminal")
        response = RedirectResponse("/", 303)
        self._give_cookie(response, self._signed_in(account, _address(request)))
        return response

    async def logout(self, request: Request) -> Response:
        """End the session."""
        user = self._user(request)
        self._require_token(request, user)
        self._identity.sessions.end(request.cookies.get(self._cookie, ""))
        self._audit.record("signed out", user.name, _address(request))
        response = JSONResponse({"signed_out": user.name})
        response.delete_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="strict")
        return response

    async def session(self, request: Request) -> Response:
        """Who has signed in, and the token for what changes something."""
        user = self._user(request)
        return JSONResponse(
            {"name": user.name, "role": user.role, "csrf": user.session.csrf, "can_leave": self._identity.has_form}
        )

    async def reviews(self, request: Request) -> Response:
        """The last review of every result."""
        self._user(request)
        all_of_them = await run_in_threadpool(self._store.acknowledgements)
        return JSONResponse({key: _told(reviews[-1]) for key, reviews in all_of_them.items()})

    async def review(self, request: Request) -> Response:
        """Keep a review, in the name of who has signed in."""
        user = self._user(request)
        self._require_token(request, user)
        if user.role != "reviewer":
            self._audit.record("denied", user.name, _address(request), why="review")
            raise RefusedError("your account may look, not review: ask for the role reviewer")
        try:
            asked = json.loads(await request.body())
            key, outcome, note = (
                _text(asked, name, most) for name, most in (("key", _MOST_KEY), ("outcome", 16), ("note", _MOST_NOTE))
            )
            if outcome not in _OUTCOMES or not key:
                raise ValueError("the outcome is contour, model, accepted or empty, and the key is that of a report")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            return JSONResponse({"error": f"this is no review ({str(error) or type(error).__name__})"}, 400)
        # Recorded before it happens: a decision without a record must not be; a record of one that failed is followed by its failure.
        self._audit.record("decided", user.name, _address(request), case=key, outcome=outcome)
        try:
            done = await run_in_threadpool(self._store.acknowledge, key, user.name, outcome, note)
        except StoreError as error:
            self._audit.record("failed", user.name, _address(request), case=key)
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(_told(done))

    async def file(self, request: Request) -> Response:
        """A page, report, table or picture."""
        path = request.url.path if request.scope["path"] == "" else request.scope["path"]
        user = self._user(request)
        found = await run_in_threadpool(served_file, self._out, path)
        if found is None:
            raise RefusedError("there is no such page", 404)
        case = case_of(path)
        if case:
            self._audit.record("saw", user.name, _address(request), case=case, file=found.name)
        else:
            self._audit.record("listed", user.name, _address(request), file=path[1:])
        return file_response(found, path)

    def _answered(self, endpoint: Endpoint) -> Endpoint:
        """What an endpoint refuses becomes a sentence; a session of a proxy's gets its cookie."""

        async def answered(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except RefusedError as refused:
                return self._refused(request, refused)
            except TooLargeError:
                return PlainTextResponse("too large", 413)
            except AccountError as error:
                _log.error("%s", error)
                return PlainTextResponse("the accounts cannot be read: tell who runs this server", 503)
            except StoreError as error:
                _log.error("%s", error)
                return JSONResponse({"error": "the store cannot be used: tell who runs this server"}, 503)
            except AuditError as error:
                _log.error("%s", error)
                return PlainTextResponse("nothing is shown that cannot be recorded: tell who runs this server", 503)
            fresh: SignedIn | None = getattr(request.state, "fresh", None)
            if fresh is not None:
                self._give_cookie(response, fresh)
            return response

        return answered

    def _refused(self, request: Request, refused: RefusedError) -> Response:
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if refused.status == 401 and wants_page and self._identity.has_form:
            return RedirectResponse(f"/login?next={quote(request.scope['path'])}", 303)
        if wants_page and refused.status == 401:
            return self._form(request, status=401)
        return JSONResponse({"error": str(refused)}, refused.status)

    def _user(self, request: Request) -> User:
        """Who asks.

        Raises:
            RefusedError: nobody who has signed in.
        """
        _own_site_only(request)
        claimed = self._identity.from_request(request)
        session = self._identity.sessions.find(request.cookies.get(self._cookie, ""))
        if claimed is not None and (session is None or session.name != claimed.name):
            fresh = self._signed_in(claimed, _address(request))
            request.state.fresh = fresh
            return fresh.user
        account = self._identity.account(session) if session is not None else None
        if session is None or account is None or (claimed is None and not self._may_use_cookie()):
            raise RefusedError("sign in first", 401)
        return User(account.name, account.role, session)

    def _may_use_cookie(self) -> bool:
        return isinstance(self._identity, PasswordIdentity | LinkIdentity)

    def _signed_in(self, account: Account, address: str) -> SignedIn:
        begun = self._identity.sessions.start(account.name, stamp_of(account))
        if begun is None:
            raise RefusedError("too many people have signed in: try again later", 503)
        token, session = begun
        self._audit.record("signed in", account.name, address)
        return SignedIn(User(account.name, account.role, session), token)

    def _give_cookie(self, response: Response, signed_in: SignedIn) -> None:
        # No max-age: gone when the browser is closed, and before that when the session ends here.
        response.set_cookie(self._cookie, signed_in.token, path="/", secure=self._is_secure, httponly=True, samesite="strict")

    def _require_token(self, request: Request, user: User) -> None:
        if not _same(request.headers.get(CSRF_HEADER, ""), user.session.csrf):
            raise RefusedError("this page is of an older rtqc or an older session: load it again, or run rtqc nightly once")

    def _form(self, request: Request, wrong: str = "", status: int = 200, back: str | None = None) -> Response:
        back = may_return_to(back if back is not None else request.query_params.get("next", "/"))
        nonce, token = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        page = templates().get_template("login.html.j2").render(
            nonce=nonce, token=token, wrong=wrong, has_form=self._identity.has_form, next=back
        )  # fmt: skip
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        response = Response(page, status, {"Content-Security-Policy": policy}, "text/html; charset=utf-8")
        if self._identity.has_form:
            response.set_cookie(
                self._form_cookie, token, max_age=900, path="/", secure=self._is_secure, httponly=True, samesite="strict"
            )
        return response


def _own_site_only(request: Request) -> None:
    """A page of another site is told nothing, whatever cookies its browser sends with it.

    Raises:
        RefusedError: the browser says that another site asks.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise RefusedError("another site asks: open the page at its own address")
    if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") != "navigate":
        raise RefusedError("another site asks: open the page at its own address")


async def _form_fields(request: Request) -> Mapping[str, str]:
    _own_site_only(request)
    try:
        text = (await request.body()).decode("ascii")
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=10, errors="strict").items()}
    except ValueError as error:
        raise RefusedError("this is no form of ours", 400) from error


def _text(asked: object, name: str, most: int) -> str:
    if not isinstance(asked, dict):
        raise TypeError("a JSON object is expected")
    value = asked.get(name, "")
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is a text of at most {most} characters")
    if any(ord(c) < 0x20 or 0xD800 <= ord(c) <= 0xDFFF or ord(c) == 0x7F for c in value):
        raise ValueError(f"{name} holds characters that cannot be seen")
    return value


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _told(done: Acknowledgement) -> dict[str, str]:
    return {"key": done.result_key, "by": done.by, "made": f"{done.made:%Y-%m-%d}", "outcome": done.outcome, "note": done.note}

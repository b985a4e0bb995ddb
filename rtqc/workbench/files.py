"""What nights have written, as it may be served: pages, reports, tables and pictures; no store, no record, no status."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import FileResponse

from rtqc.nightly.places import LATEST

#: What may be served.
_SERVED = re.compile(rf"/(?:{LATEST}|reports|run-[^/]+)/(?:[^/]+/)*[^/]+\.(?P<ending>html|json|csv|svg)")
_TYPES = {"html": "text/html", "json": "application/json", "csv": "text/csv", "svg": "image/svg+xml"}
#: A page of a night allows its own script by this hash, which stands before anything that comes from a plan.
_OWN_SCRIPT = re.compile(rb"script-src 'sha256-([A-Za-z0-9+/]{43}=)'")
_HEAD_BYTES = 600
_CASE = re.compile(r"/reports/(?:[^/]+/)*(?P<key>[0-9a-f]{32,64})/")
_PAGE_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; {script}connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def served_file(out: Path, path: str) -> Path | None:
    """The file behind a path; None where there is none that may be served.

    Args:
        out: the folder of all runs.
        path: of the request, decoded; it begins with a slash.
    """
    if (
        not _SERVED.fullmatch(path)
        or not path.isprintable()
        or "\\" in path
        or any(p in ("", ".", "..") for p in path[1:].split("/"))
    ):
        return None
    try:
        file = (out / path[1:]).resolve()
        # ``latest`` is a link inside the folder; a link that leads out of it is nobody's business.
        return file if file.is_relative_to(out.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None


def file_response(file: Path, path: str) -> FileResponse:
    """The file, with the policy that it needs."""
    ending = path.rpartition(".")[2]
    response = FileResponse(file, media_type=_TYPES[ending])
    if ending == "html":
        with file.open("rb") as opened:
            own = _OWN_SCRIPT.search(opened.read(_HEAD_BYTES))
        script = f"script-src 'sha256-{own[1].decode('ascii')}'; " if own else ""
        response.headers["Content-Security-Policy"] = _PAGE_POLICY.format(script=script)
    elif ending == "svg":
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
        )
    return response


def case_of(path: str) -> str:
    """The key of the result whose report or picture a path is; empty where it is nobody's."""
    found = _CASE.match(path)
    return found["key"] if found else ""


def may_return_to(path: str) -> str:
    """Where a sign-in goes back to: a page of ours, or the first one."""
    return path if _SERVED.fullmatch(path) and path.isprintable() and path.isascii() else "/"

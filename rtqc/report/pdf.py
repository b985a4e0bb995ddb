"""The report as a PDF, printed by a Chromium that the machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rtqc.pipeline import Assessed
from rtqc.report.page import render_report

#: Programs that print pages without a screen; ``RTQC_CHROMIUM`` names another.
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
#: A page is printed within a second or two; a browser that hangs is stopped.
_SECONDS = 120


class NoBrowserError(Exception):
    """There is no Chromium, or it could not print; the message says what to do."""


def report_pdf(assessed: Assessed) -> bytes:
    """Print a case's report; see :func:`page_pdf`."""
    return page_pdf(render_report(assessed))


def page_pdf(html: str) -> bytes:
    """Print a page of ours.

    Raises:
        NoBrowserError: there is no Chromium, or it did not print.
    """
    named = os.environ.get("RTQC_CHROMIUM")
    browser = named or next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise NoBrowserError(
            "there is no Chromium to print the report with: install chromium, or set RTQC_CHROMIUM to its path"
        )
    with tempfile.TemporaryDirectory(prefix="rtqc-pdf-") as folder:
        page, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            browser, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={pdf}", page.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Chromium refuses to sandbox itself as root; the page is ours and runs no script.
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoBrowserError(
                f"{browser} could not print the report ({error}): set RTQC_CHROMIUM to one that can"
            ) from error
        if not pdf.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoBrowserError(f"{browser} did not print the report ({last}): set RTQC_CHROMIUM to one that can")
        return pdf.read_bytes()

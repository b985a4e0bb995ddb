"""Assessment -> one HTML file that needs no network and runs no script; the only room that knows Jinja2 and Pillow.

The same as objects for an archive: the draft, a structured report and a PDF.
"""

from rtqc.report.cardiac import render_cardiac, write_cardiac
from rtqc.report.environment import templates
from rtqc.report.objects import FILES, JSON_FILE, REPORT_FILE, Kind, write_objects, write_results
from rtqc.report.page import render_report, write_report
from rtqc.report.pdf import NoBrowserError, page_pdf, report_pdf
from rtqc.report.thumbnail import thumbnail

__all__ = [
    "FILES",
    "JSON_FILE",
    "REPORT_FILE",
    "Kind",
    "NoBrowserError",
    "page_pdf",
    "render_cardiac",
    "render_report",
    "report_pdf",
    "templates",
    "thumbnail",
    "write_cardiac",
    "write_objects",
    "write_report",
    "write_results",
]

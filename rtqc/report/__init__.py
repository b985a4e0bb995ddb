"""Assessment -> one HTML file that needs no network and runs no script; the only room that knows Jinja2 and Pillow."""

from rtqc.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]

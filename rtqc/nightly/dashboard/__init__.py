"""The page for the morning: one HTML file that opens from a file share."""

from rtqc.nightly.dashboard.page import write_dashboard

__all__ = ["write_dashboard"]

"""Commissioning: what a clinic does before use and after every update.

Its accepted contours are held against the drafts, its habit is learned, limits are proposed with the false flags that each would have, and a protocol is
written that ``rtqc check`` takes.
"""

from rtqc.nightly.commissioning.constancy import ConstancyReport, checked, read_facts
from rtqc.nightly.commissioning.result import CommissioningReport
from rtqc.nightly.commissioning.run import HTML_FILE, PDF_FILE, Commissioning

__all__ = [
    "HTML_FILE",
    "PDF_FILE",
    "Commissioning",
    "CommissioningReport",
    "ConstancyReport",
    "checked",
    "read_facts",
]

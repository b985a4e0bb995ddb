"""Tables that a spreadsheet opens right: UTF-8 with a mark, and no cell that begins a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from rtqc.core.whole_file import whole_file


def write_spreadsheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV.

    Raises:
        OSError: it cannot be written; nothing half-written stays.
    """
    with whole_file(path, durable=False) as file:
        file.write(b"\xef\xbb\xbf" + spreadsheet_text(columns, rows, "\r\n").encode("utf-8"))


def spreadsheet_text(columns: Sequence[str], rows: Iterable[Sequence[object]], ending: str = "\n") -> str:
    """A table as the text of a CSV file, without a mark at its beginning; ``ending`` is that of its lines."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ending)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell: nothing that a spreadsheet takes for a formula, numbers with as many digits as they have."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value

"""Tables that a spreadsheet opens right: UTF-8 with a mark, and no cell that begins a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rtqc.core.whole_file import whole_file

#: Where a formula would begin: at the start of a cell, and behind whatever another country's spreadsheet takes for the end of one (a comma is inside quotes, a
#: semicolon is not). Full-width signs count in Japanese ones.
_FORMULA = re.compile(r"""(?:(?<=[;\t|\r\n\v\f\x85\u2028\u2029])|^)(?=[\s"']*[=+\-@＝＋－＠]|[\t\r])""")


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
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell: nothing that a spreadsheet takes for a formula, numbers with as many digits as they have."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return _FORMULA.sub("'", value) if isinstance(value, str) else value

"""Tables that a spreadsheet opens right, whatever its country takes for a separator."""

from __future__ import annotations

import csv
import io

import pytest

from rtqc.nightly.spreadsheet import spreadsheet_text

EVIL = (
    "=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "Muster;=1+1", "Muster; =1+1", 'Muster;"=1+1"', 'Muster;""=1+1', "Muster\t=1+1", "Muster|=cmd|' /C calc'!A0", "a\n=1",
    "a\r\n@x", " =1", '"=1+1"', ";=1", "a;b;-1", "＝1+1", "a;＝1", "a\u2028=1", "x;\n=1", ";;;=1",
)  # fmt: skip


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_cell_begins_a_formula_whatever_separates_columns(value: str, separator: str) -> None:
    text = spreadsheet_text(("name", value), [(value, 1.5, None), ("x", value, value)], "\r\n")
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting):
            for cell in row:
                assert (
                    cell.lstrip(" \"'\v\f\u2028")[:1] not in ("=", "+", "-", "@", "＝")
                    or "'" in cell[: len(cell) - len(cell.lstrip(" \"'\v\f\u2028"))]
                ), cell


def test_what_is_no_formula_stays_as_it_is() -> None:
    values = ("Ångström, Å", "a; b", "A-B", "3 - 4", "x=1", "1e-3", "P|1", "it's", '5" tube')
    (row,) = csv.reader(io.StringIO(spreadsheet_text((), [values]).lstrip("\n")))
    assert row == list(values)

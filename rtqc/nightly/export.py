"""The store as a table for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtqc.core.whole_file import whole_file, whole_path
from rtqc.nightly.dashboard.page import write_table
from rtqc.nightly.store import Row, Store
from rtqc.nightly.store.results import ROW_COLUMNS


class ExportError(Exception):
    """The format cannot be written here; the message says what to install."""


def export_results(store: Store, path: Path, superseded: bool = False) -> int:
    """Write all results.

    Args:
        store: open.
        path: its ending says the format.
        superseded: whether results that a later one has replaced are written too.

    Returns:
        How many.

    Raises:
        ExportError: a library is missing.
        OSError: the file cannot be written; nothing half-written stays.
    """
    return FORMATS[path.suffix.lower()](store, path, superseded)


def _csv(store: Store, path: Path, superseded: bool) -> int:
    rows = list(store.rows(current=not superseded))
    write_table(rows, store.findings(), store.acknowledgements(), path)
    return len(rows)


def _json_lines(store: Store, path: Path, superseded: bool) -> int:
    reviews = store.acknowledgements()
    count = 0
    with whole_file(path) as file:
        for row, assessment in store.assessments(current=not superseded):
            told = {
                "result": _plain(row),
                "reviews": [{**asdict(a), "made": a.made.isoformat()} for a in reviews.get(row.key, ())],
                "assessment": assessment.model_dump(mode="json"),
            }
            file.write((json.dumps(told, ensure_ascii=False) + "\n").encode("utf-8"))
            count += 1
    return count


def _parquet(store: Store, path: Path, superseded: bool) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ExportError("Parquet needs pyarrow: pip install 'rtqc[parquet]'") from error
    rules = store.findings()
    rows = [{**asdict(row), "rules": rules.get(row.id, [])} for row in store.rows(current=not superseded)]
    kinds = {"int": pa.int64(), "str": pa.string(), "float": pa.float64(), "bool": pa.bool_(), "datetime": pa.timestamp("us")}
    schema = pa.schema(
        [(n, kinds[str(Row.__annotations__[n]).split(" ")[0]]) for n in ROW_COLUMNS] + [("rules", pa.list_(pa.string()))]
    )
    with whole_path(path, path.suffix) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), part)
    return len(rows)


def _plain(row: Row) -> dict[str, Any]:
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in asdict(row).items()}


FORMATS: dict[str, Callable[[Store, Path, bool], int]] = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines}

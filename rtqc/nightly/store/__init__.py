"""Where results are kept: the only place that knows SQLAlchemy. SQLite by default, PostgreSQL by URL, the same in both."""

from rtqc.nightly.store.database import StoreBusyError, StoreError
from rtqc.nightly.store.results import Acknowledgement, NewResult, Row
from rtqc.nightly.store.store import RunRecord, Store, open_store

__all__ = [
    "Acknowledgement",
    "NewResult",
    "Row",
    "RunRecord",
    "Store",
    "StoreBusyError",
    "StoreError",
    "open_store",
]

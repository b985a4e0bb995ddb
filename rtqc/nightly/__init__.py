"""Many cases: an archive checked by night, kept in a store, watched for drift, and shown in the morning.

:class:`Night` is the whole of it; the store (:mod:`rtqc.nightly.store`) is the only place that knows SQLAlchemy, the engine the only one that
knows dask.
"""

from rtqc.nightly.engine import ClusterError, ClusterTls, Crew
from rtqc.nightly.night import Listener, Night, Summary, rules_of
from rtqc.nightly.orders import Order, Outcome, Settings
from rtqc.nightly.places import PlaceError, Places
from rtqc.nightly.scan import Selection
from rtqc.nightly.store import Store, StoreBusyError, StoreError, open_store

__all__ = [
    "ClusterError",
    "ClusterTls",
    "Crew",
    "Listener",
    "Night",
    "Order",
    "Outcome",
    "PlaceError",
    "Places",
    "Selection",
    "Settings",
    "Store",
    "StoreBusyError",
    "StoreError",
    "Summary",
    "open_store",
    "rules_of",
]

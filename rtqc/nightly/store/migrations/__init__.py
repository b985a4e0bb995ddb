"""Changes of the tables, one file each; written with Alembic, run by :mod:`rtqc.nightly.store.migrate`."""

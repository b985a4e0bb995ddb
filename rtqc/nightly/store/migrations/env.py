"""Alembic's entry: runs on the connection that :mod:`rtqc.nightly.store.migrate` hands over."""

from alembic import context

from rtqc.nightly.store.tables import Base

connection = context.config.attributes["connection"]
# SQLite cannot alter a column: Alembic then writes the table anew.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()

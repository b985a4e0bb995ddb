"""Numbers of heart and agreement beside each result, for what is usual; whether a table is in view."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    with op.batch_alter_table("result") as table:
        table.add_column(sa.Column("numbers", sa.JSON(), nullable=True))
        table.add_column(sa.Column("has_table", sa.Boolean(), nullable=True))

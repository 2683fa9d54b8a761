"""What changed in which transaction, and the keys of what is gone: for extractions that read only what is new.

No table is rewritten. Rows from before keep no number: the first extraction after this reads everything. The indexes that
it reads by are the next migration's: they are built outside of a transaction.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from data.migrations import changes_v1, online
from data.schema.base import Xid8

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

THIS_TRANSACTION = sa.text("pg_current_xact_id()")
CHANGED = (*changes_v1.WATCHED, "served_picks")


def upgrade() -> None:
    online.lock(*CHANGED)
    for table in changes_v1.WATCHED:
        # A default that is not a constant would rewrite the table if it came with the column.
        op.add_column(table, sa.Column("changed_in", Xid8(), nullable=True))
        op.alter_column(table, "changed_in", server_default=THIS_TRANSACTION)
    op.create_table(
        "tombstones",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("of", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=True),
        sa.Column("page_id", sa.Uuid(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("deleted_in", Xid8(), server_default=THIS_TRANSACTION, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "of IN ('reviews', 'favorites', 'served_pages', 'served_picks', 'feedback_events')",
            name=op.f("ck_tombstones_table_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
    )
    op.create_index(op.f("ix_tombstones_deleted_in"), "tombstones", ["deleted_in"], unique=False)
    op.create_index(op.f("ix_tombstones_created_at"), "tombstones", ["created_at"], unique=False)
    op.create_table(
        "tombstone_horizon",
        sa.Column("is_the_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("forgotten", Xid8(), server_default=sa.text("'0'::xid8"), nullable=False),
        sa.CheckConstraint("is_the_row", name=op.f("ck_tombstone_horizon_one_row")),
        sa.PrimaryKeyConstraint("is_the_row", name=op.f("pk_tombstone_horizon")),
    )
    op.execute("INSERT INTO tombstone_horizon DEFAULT VALUES")
    for statement in changes_v1.CREATE:
        op.execute(statement)


def downgrade() -> None:
    online.lock(*CHANGED, "tombstones", "tombstone_horizon")
    for statement in changes_v1.DROP:
        op.execute(statement)
    op.drop_table("tombstone_horizon")
    op.drop_table("tombstones")
    for table in changes_v1.WATCHED:
        op.drop_column(table, "changed_in")

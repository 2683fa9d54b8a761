"""What changed in which transaction, found without reading the whole table; and how many rows there are, in its order.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

from data.migrations import changes_v1, online

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in changes_v1.WATCHED:
        online.create_index(f"ix_{table}_changed_in", table, ["changed_in"])


def downgrade() -> None:
    for table in reversed(changes_v1.WATCHED):
        op.drop_index(op.f(f"ix_{table}_changed_in"), table_name=table)

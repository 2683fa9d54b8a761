"""How a migration changes tables that are in use: nobody else waits for it for longer than a moment."""

import sqlalchemy as sa
from alembic import op

LOCK_MILLISECONDS = 400
# Building an index waits for transactions that began before it, and stops nobody meanwhile: there is no hurry.
OLD_TRANSACTIONS_SECONDS = 60

_IS_BROKEN = sa.text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def lock(*tables: str) -> None:
    """Take all of the tables, within one wait: whoever gets one after the other keeps the first while it waits for the last.

    The limit is a statement's, not a lock's, which would begin anew with each table. What follows in the transaction
    must take milliseconds.
    """
    op.execute(f"SET LOCAL statement_timeout = {LOCK_MILLISECONDS}")
    op.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
    op.execute("SET LOCAL statement_timeout = 0")


def create_index(name: str, table: str, columns: list[str]) -> None:
    """Build an index while others write. Outside of a transaction, so a migration that calls this does nothing else.

    May be repeated: an index that is whole stays; one whose build was broken off (it is written to and never read) goes
    first.
    """
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{OLD_TRANSACTIONS_SECONDS}s'")
        if op.get_bind().scalar(_IS_BROKEN, {"name": name}):
            op.drop_index(op.f(name), table_name=table, postgresql_concurrently=True)
        op.create_index(
            op.f(name),
            table,
            columns,
            unique=False,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")

"""What the probes ask Postgres."""

import psycopg

from serving.kit.db import Runs


async def revision(run: Runs) -> str | None:
    """The revision of the schema; ``None`` when nothing was migrated yet.

    Raises:
        psycopg.OperationalError: Postgres does not answer.
    """
    try:
        row = await run.row("SELECT version_num FROM alembic_version")
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None else str(row[0])

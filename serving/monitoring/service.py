"""Whether the service can do its work."""

import functools
from collections.abc import Mapping

import psycopg

from data.database import head
from serving.kit.db import Runs
from serving.monitoring import queries


@functools.cache
def _head() -> str:
    return head()


async def checks(run: Runs) -> Mapping[str, bool]:
    """What readiness needs: Postgres, and the schema that this code was written for."""
    try:
        revision = await queries.revision(run)
    except psycopg.OperationalError:
        return {"postgres": False, "schema": False}
    return {"postgres": True, "schema": revision == _head()}

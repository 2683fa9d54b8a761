"""Genres in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
import uuid
from collections.abc import Mapping
from typing import Final

from serving.kit.db import Runs
from serving.shapes import COUNTED_GENRE_SQL, GENRE_SQL

_COLUMNS: Final = ("name", "name_key", "description")
_LIST: Final = f"""
SELECT {COUNTED_GENRE_SQL}::text
FROM genres g
LEFT JOIN (SELECT genre_id, count(*) AS books FROM book_genres GROUP BY genre_id) AS c ON c.genre_id = g.id
ORDER BY g.name_key, g.id
"""
_LIKE: Final = "SELECT id, name FROM genres WHERE name_key = %(name_key)s"
_INSERT: Final = f"""
INSERT INTO genres AS g (name, name_key, description) VALUES (%(name)s, %(name_key)s, %(description)s)
RETURNING {GENRE_SQL}::text
"""


async def everything(run: Runs) -> list[str]:
    """JSON of ``CountedGenre``, by name."""
    return [str(text) for (text,) in await run.rows(_LIST)]


async def like(run: Runs, name_key: str) -> list[tuple[uuid.UUID, str]]:
    """Ids and names of the genres that differ from each other in case and accents alone."""
    return [(genre, str(name)) for genre, name in await run.rows(_LIKE, {"name_key": name_key})]


async def insert(run: Runs, columns: Mapping[str, object]) -> str:
    """JSON of ``Genre``. Raises psycopg.errors.UniqueViolation (``uq_genres_name_lower``)."""
    rows = await run.rows(_INSERT, columns)
    return str(rows[0][0])


@functools.cache
def _update_statement(columns: frozenset[str]) -> str:
    assignments = ", ".join(f"{name} = %({name})s" for name in _COLUMNS if name in columns)
    return f"UPDATE genres AS g SET {assignments} WHERE g.id = %(genre)s RETURNING {GENRE_SQL}::text"


async def update(run: Runs, genre: uuid.UUID, columns: Mapping[str, object]) -> str | None:
    """JSON of ``Genre``, ``None`` when there is none. Raises like ``insert``."""
    row = await run.row(_update_statement(frozenset(columns)), {**columns, "genre": genre})
    return None if row is None else str(row[0])


async def delete(run: Runs, genre: uuid.UUID) -> bool:
    """Whether there was one."""
    return await run.row("DELETE FROM genres WHERE id = %(genre)s RETURNING 1", {"genre": genre}) is not None

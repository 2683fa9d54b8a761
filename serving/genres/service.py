"""Genres: what books are sorted into."""

import contextlib
import uuid
from collections.abc import Iterator

import orjson
import psycopg
import structlog

from data.text import sort_key
from serving.genres import queries
from serving.genres.schemas import GenreChanges, GenreDraft
from serving.kit.db import Database, Runs, violated
from serving.kit.envelope import json_array
from serving.kit.errors import Detail, GenreNameTaken, GenreNotFound

log = structlog.get_logger(__name__)


async def everything(run: Runs) -> orjson.Fragment:
    """All genres with their numbers of books, by name."""
    return json_array(await queries.everything(run))


async def add(run: Runs, draft: GenreDraft) -> orjson.Fragment:
    """Raises GenreNameTaken."""
    with _refusals():
        text = await queries.insert(run, {**draft.model_dump(), "name_key": sort_key(draft.name)})
    log.info("genre added")
    return orjson.Fragment(text)


async def change(run: Runs, genre: uuid.UUID, changes: GenreChanges) -> orjson.Fragment:
    """Raises GenreNotFound; GenreNameTaken."""
    columns = changes.sent()
    if "name" in columns:
        columns["name_key"] = sort_key(columns["name"])
    with _refusals():
        text = await queries.update(run, genre, columns)
    if text is None:
        raise GenreNotFound
    log.info("genre changed", genre_id=str(genre))
    return orjson.Fragment(text)


async def remove(database: Database, genre: uuid.UUID) -> None:
    """Its books stay, without it. Raises GenreNotFound."""

    async def work(run: Runs) -> bool:
        return await queries.delete(run, genre)

    if not await database.all_or_none(work):  # a book that is being changed may hold on to it
        raise GenreNotFound
    log.info("genre removed", genre_id=str(genre))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_genres_name_lower"):
            raise GenreNameTaken([Detail("name", GenreNameTaken.message, "genre_name_taken")]) from exc
        raise

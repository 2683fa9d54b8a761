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
    name_key = sort_key(draft.name)
    await _refuse_taken(run, draft.name, name_key)
    with _refusals():
        text = await queries.insert(run, {**draft.model_dump(), "name_key": name_key})
    log.info("genre added")
    return orjson.Fragment(text)


async def change(run: Runs, genre: uuid.UUID, changes: GenreChanges) -> orjson.Fragment:
    """Raises GenreNotFound; GenreNameTaken."""
    columns = changes.sent()
    if "name" in columns:
        columns["name_key"] = sort_key(columns["name"])
        await _refuse_taken(run, columns["name"], columns["name_key"], but=genre)
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


async def _refuse_taken(run: Runs, name: str, name_key: str, *, but: uuid.UUID | None = None) -> None:
    """Case is folded here: a Postgres whose locale is C folds ASCII alone, and none makes ss of ß.

    The index decides between two that arrive at once, as far as it can tell them to be the same.
    """
    taken = (known.casefold() for genre, known in await queries.like(run, name_key) if genre != but)
    if name.casefold() in taken:
        raise _taken()


def _taken() -> GenreNameTaken:
    return GenreNameTaken([Detail("name", GenreNameTaken.message, "genre_name_taken")])


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_genres_name_lower"):
            raise _taken() from exc
        raise

"""What the rankings that are the same for everybody cost Postgres, and how long who asks for one waits.

The library's last ratings are of today, so that the windows are as full as in one that is used. No model is
learned: lists for nobody in particular need none.
"""

import asyncio
import contextlib
import datetime as dt
import http.client
import statistics
import time
from typing import NamedTuple

import click

from data.database import connect
from data.sources.generator import Generator
from deploy.local.bench.client import API, Client
from deploy.local.bench.library import Api, library, serve
from serving.kit.db import Database
from serving.recommendations import service
from serving.recommendations.popularity import FRESH_SECONDS
from serving.recommendations.rankings import Rise, Wanted, Window

CONNECTIONS = 5  # new ones, on which a statement is run for the first time
WARM = 200  # answers
SETTLE_SECONDS = 10.0  # in which the service computes what it computes at its start
_TIMEOUT = 600.0
HEADING = f"{'milliseconds':<34}{'statement':>10}{'first':>8}{'warm':>8}{'after a minute':>16}{'and another':>13}"


class Question(NamedTuple):
    """A request, and the ranking that answers it."""

    path: str
    wanted: Wanted


class Waits(NamedTuple):
    """Milliseconds: of the statement alone, and of answers.

    The first answer since the service started; one that comes from memory, the median; and the first one after nobody
    has asked for more than a minute, twice: by then the service knows which rankings are dear.
    """

    statement: float
    first: float
    warm: float
    minute: float
    another: float


def run(*, books: int, ratings: int, pause: float = FRESH_SECONDS + 1, settle: float = SETTLE_SECONDS) -> None:
    """Print a table.

    Args:
        books: Of the library.
        ratings: Of the library.
        pause: Seconds between an answer and the next one that must not come from memory.
        settle: Seconds between the service's start and the first question.

    Raises:
        ChildFailed: the API does not start.
        Failed: the API answered something else than a success.
    """
    with library(books, ratings, _until_today) as place:
        asked = questions(place.databases.brs)
        statements = [asyncio.run(computing(place.databases.brs, question.wanted)) for question in asked]
        api = serve(place, workers=1)
        time.sleep(settle)
        first = _all(api, asked)
        warm = [statistics.median(answering(api, question.path, WARM)) for question in asked]
        after = []
        for _ in range(2):
            time.sleep(pause)
            after.append(_all(api, asked))
    click.echo(f"\n{HEADING}")
    for question, *waits in zip(asked, statements, first, warm, *after, strict=True):
        click.echo(line(question, Waits(*waits)))


def _until_today(readers: int, books: int, ratings: int) -> Generator:
    return Generator(readers, books, ratings, seed=1, until=dt.datetime.now(dt.UTC))


def questions(database_url: str) -> list[Question]:
    """What pages show, and what grows with the library: a large genre, long windows."""
    popular, trending, starters = service.always()
    with connect(database_url) as connection:
        genres = "SELECT genre_id FROM book_genres GROUP BY genre_id ORDER BY count(*) DESC, genre_id LIMIT 1"
        [(genre,)] = connection.execute(genres).fetchall()
    return [
        Question("/popular", popular),
        Question(f"/popular?genre_id={genre}", Window(genre, min_reviews=5)),
        Question("/popular?days_back=30", Window(min_reviews=5, days_back=30)),
        Question("/popular?days_back=365", Window(min_reviews=5, days_back=365)),
        Question("/trending", trending),
        Question("/trending?days_back=365", Rise(365, 3)),
        Question("/starters", starters),
    ]


async def computing(database_url: str, wanted: Wanted) -> float:
    """Milliseconds, the median of connections that have run nothing before."""
    taken = []
    for _ in range(CONNECTIONS):
        database = Database(database_url, pool_size=1, statement_timeout=_TIMEOUT)
        await database.open()
        try:
            await database.rows("SELECT 1")
            begun = time.perf_counter()
            await wanted.books(database)
            taken.append(1000 * (time.perf_counter() - begun))
        finally:
            await database.close()
    return statistics.median(taken)


def _all(api: Api, asked: list[Question]) -> list[float]:
    """Milliseconds of one answer to each."""
    return [answering(api, question.path, 1)[0] for question in asked]


def answering(api: Api, path: str, times: int) -> list[float]:
    """Milliseconds of each answer, over one connection."""
    taken = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", api.port)) as connection:
        connection.connect()
        for _ in range(times):
            begun = time.perf_counter()
            Client(api.port).ask(connection, "GET", f"{API}/recommendations{path}")
            taken.append(1000 * (time.perf_counter() - begun))
    return taken


def line(question: Question, waits: Waits) -> str:
    name = question.path.partition("=")[0] + "=…" if "genre" in question.path else question.path
    figures = (
        f"{waits.statement:>10.1f}{waits.first:>8.1f}{waits.warm:>8.1f}{waits.minute:>16.1f}{waits.another:>13.1f}"
    )
    return f"{name:<34}{figures}"

"""CPU time of one request of each kind, not elapsed time: it hardly depends on what else the machine does.

Application and Postgres apart, beside the goals and beside what an earlier backend of the same description took.
"""

import contextlib
import http.client
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import click

from deploy.local.bench.client import API, PASSWORD, RATED, Client, Shelf, experienced, register, search_path, shelf
from deploy.local.bench.library import Api, learn, library, serve

CONNECTIONS, REQUESTS = 8, 2_000
WARM_UP = 400  # Postgres plans a statement for good when a connection uses it for the eleventh time
LOGINS, LOGIN_WARM_UP = 48, 8  # each takes a tenth of a second
HEADING = (
    f"{'CPU ms a request':<46}{'application':>12}{'Postgres':>10}{'together':>10}"
    f"{'goal':>6}{'earlier':>9}{'a second':>10}"
)

Ask = Callable[[Client, http.client.HTTPConnection], Any]


class Question(NamedTuple):
    """One kind of request; ``goal`` and ``earlier`` in ms of CPU, application and Postgres together."""

    name: str
    ask: Ask
    goal: float | None = None
    earlier: float | None = None
    requests: int = REQUESTS
    warm_up: int = WARM_UP


class Cost(NamedTuple):
    """Milliseconds of CPU a request, and requests a second of ``CONNECTIONS`` clients."""

    application: float
    postgres: float
    rate: float


def run(*, books: int, ratings: int) -> None:
    """Print a table. Everything is made in a temporary folder and removed again, away from what the environment names.

    Raises:
        ChildFailed: the API does not start.
        Failed: the API answered something else than a success.
    """
    with library(books, ratings) as place:
        learn(place)
        api = serve(place, workers=1)
        known = shelf(place.databases.brs)
        client = experienced(api.port, known.popular)
        click.echo(f"\n{HEADING}")
        for question in questions(known, register(api.port).email):
            click.echo(line(question, measured(api, client, question)))


def questions(known: Shelf, email: str) -> list[Question]:
    basket = [{"book_id": book, "rating": 5} for book in known.popular[:RATED]]
    account = {"email": email, "password": PASSWORD}
    preview = {"ratings": basket, "limit": 10}
    return [
        Question("GET /books (20, total)", _get("/books?sort_by=average_rating&sort_order=desc"), 4, 16),
        Question("GET /books/{id}", _of(known.popular, f"{API}/books/{{}}"), 2, 5),
        *(Question(f"GET /books/search: {kind}", _search(texts), 7, 73) for kind, texts in known.searches.items()),
        Question("GET /books/{id}/reviews (100)", _of(known.crowded, f"{API}/books/{{}}/reviews?per_page=100"), 5, 21),
        Question("GET /recommendations/popular", _get("/recommendations/popular"), None, 16),
        Question("GET /recommendations/personal", _get("/recommendations/personal?limit=10"), None, 77),
        Question(
            "POST /recommendations/preview",
            lambda c, h: c.ask(h, "POST", f"{API}/recommendations/preview", preview),
        ),
        Question(
            "POST /auth/login/json",
            lambda c, h: c.ask(h, "POST", f"{API}/auth/login/json", account),
            None,
            340,
            LOGINS,
            LOGIN_WARM_UP,
        ),
    ]


def _get(path: str) -> Ask:
    return lambda client, connection: client.ask(connection, "GET", API + path)


def _of(ids: Sequence[str], path: str) -> Ask:
    return lambda client, connection: client.ask(connection, "GET", path.format(secrets.choice(ids)))


def _search(texts: Sequence[str]) -> Ask:
    return lambda client, connection: client.ask(connection, "GET", search_path(secrets.choice(texts)))


def measured(api: Api, client: Client, question: Question) -> Cost:
    _drive(client, question.ask, question.warm_up)
    before, started = api.cpu(), time.monotonic()
    _drive(client, question.ask, question.requests)
    seconds, after = time.monotonic() - started, api.cpu()
    application, postgres = (
        (late - early) / question.requests * 1000 for early, late in zip(before, after, strict=True)
    )
    return Cost(application, postgres, question.requests / seconds)


def line(question: Question, cost: Cost) -> str:
    together = cost.application + cost.postgres
    figures = f"{cost.application:>12.2f}{cost.postgres:>10.2f}{together:>10.2f}"
    told = ["-" if number is None else f"{number:g}" for number in (question.goal, question.earlier)]
    return f"{question.name:<46}{figures}{told[0]:>6}{told[1]:>9}{cost.rate:>10.0f}"


def _drive(client: Client, ask: Ask, requests: int) -> None:
    def some(_: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", client.port)) as connection:
            for _ in range(requests // CONNECTIONS):
                ask(client, connection)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, range(CONNECTIONS)))
